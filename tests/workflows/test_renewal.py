"""`RenewalWorkflow`: the carrier that does not know, the centre that is down, the holder who changes their mind."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.ports import Refused, Unavailable
from domain.refusal import Refusal, RefusalCode
from domain.renewal import Hear, NotEligible, RenewalStatus, Verdict
from gateway.intake import Admitted
from store.vault import NotInVault, get
from tests.house import CARRIER, DAY, NUMBER, FakeCarriers, House
from tests.support import eventually
from tests.workflows.test_unbind import delivered

UNKNOWN = Hear(verdict=Verdict.UNKNOWN)
YES = Hear(verdict=Verdict.YES)
HOUR = timedelta(hours=1)


async def test_not_second_hand_or_unknown_waits_and_asks_again(house: House, skipping: WorkflowEnvironment) -> None:
    house.carriers = FakeCarriers(UNKNOWN, UNKNOWN, YES)
    async with house.working():
        case = (await house.renew()).id
        await eventually(lambda: house.status(case) is RenewalStatus.WAITING_FOR_DATA)
        assert not house.webhooks.posts, "no enterprise is asked before the carrier knows"
        await skipping.sleep(7 * HOUR)
        await eventually(lambda: house.carriers.asked == 2)
        await skipping.sleep(6 * HOUR)
        await eventually(lambda: house.status(case) is RenewalStatus.RUNNING)
    house.verify()


async def test_unknown_for_ever_ends_with_a_reason(house: House, skipping: WorkflowEnvironment) -> None:
    house.carriers = FakeCarriers(UNKNOWN)
    async with house.working():
        renewal = await house.renew()
        await skipping.sleep(31 * DAY)
        ended = await house.ended(renewal)
    assert (ended.status, ended.reason) == (RenewalStatus.REFUSED, NotEligible.NO_ANSWER)
    assert house.carriers.asked > 100
    assert "未能确认" in house.centre.texts[0]
    house.verify()


async def test_not_second_hand_is_told_with_its_reason(house: House) -> None:
    house.carriers = FakeCarriers(Hear(verdict=Verdict.NO, reason=NotEligible.NEVER_CANCELLED))
    async with house.working():
        ended = await house.ended(await house.renew())
    assert (ended.status, ended.reason) == (RenewalStatus.REFUSED, "never_cancelled")
    assert "未曾销户" in house.centre.texts[0] and "138****8000" in house.centre.texts[0]
    assert house.webhooks.told(CARRIER) == ["renewal.refused"]
    assert house.events(ended.case)[-1] in ("summary_sent", "result_sent")
    house.verify()


async def test_carrier_out_of_reach_is_asked_until_it_answers(house: House, skipping: WorkflowEnvironment) -> None:
    house.carriers = FakeCarriers(*[Unavailable("http_503", "down")] * 5, YES)
    async with house.working():
        case = (await house.renew()).id
        await skipping.sleep(10 * timedelta(minutes=1))
        await eventually(lambda: house.status(case) is RenewalStatus.RUNNING)
    assert house.carriers.asked == 6


async def test_withdrawal_that_comes_too_late_is_refused(house: House) -> None:
    async with house.working():
        case = (await house.renew(apps=["push-0-app"])).id
        await delivered(house, case)
        await house.acknowledge(case, "push-0")
        for _ in range(2):
            taken = await house.desk.withdraw(case)
            assert taken.refusal and taken.refusal.code is RefusalCode.TOO_LATE_TO_WITHDRAW
        assert house.states(case) == {"push-0": "acknowledged"}
        await house.answer(case, "push-0", "unbound")
        await eventually(lambda: house.status(case) is RenewalStatus.SUMMARY_SENT)
    house.verify()


async def test_withdrawn_while_waiting_for_data(house: House) -> None:
    house.carriers = FakeCarriers(UNKNOWN)
    async with house.working():
        case = (renewal := await house.renew()).id
        await eventually(lambda: house.status(case) is RenewalStatus.WAITING_FOR_DATA)
        assert (await house.desk.withdraw(case)).status is RenewalStatus.WITHDRAWN
        assert (await house.ended(renewal)).status is RenewalStatus.WITHDRAWN
        assert not house.webhooks.told("push-0")
    house.verify()


async def test_sms_centre_down_for_an_hour_sends_one_summary(house: House, skipping: WorkflowEnvironment) -> None:
    house.centre.failing = Unavailable("sms_not_bound", "down")
    async with house.working():
        case = (await house.renew(apps=["push-0-app"])).id
        await delivered(house, case)
        await house.answer(case, "push-0", "unbound")
        await eventually(lambda: house.webhooks.told(CARRIER) == ["renewal.result"])
        await skipping.sleep(HOUR)
        assert house.centre.texts == [] and house.centre.tries > 5
        house.centre.failing = None
        await skipping.sleep(10 * timedelta(minutes=1))
        await eventually(lambda: house.status(case) is RenewalStatus.SUMMARY_SENT)
        assert len(house.centre.texts) == 1 and house.webhooks.told(CARRIER) == ["renewal.result"]
    house.verify()


async def test_undelivered_summary_is_sent_again(house: House, skipping: WorkflowEnvironment) -> None:
    house.centre.undelivered = 2
    async with house.working():
        case = (await house.renew(apps=["push-0-app"])).id
        await delivered(house, case)
        await house.answer(case, "push-0", "unbound")
        await eventually(lambda: len(house.centre.texts) == 1)
        await skipping.sleep(3 * HOUR)
        await eventually(lambda: house.status(case) is RenewalStatus.SUMMARY_SENT)
        assert len(house.centre.texts) == 3
    house.verify()


async def test_a_barred_phone_is_not_sent_to_for_ever(house: House, skipping: WorkflowEnvironment) -> None:
    house.centre.undelivered = 100
    async with house.working():
        case = (await house.renew(apps=["push-0-app"])).id
        await delivered(house, case)
        await house.answer(case, "push-0", "unbound")
        await eventually(lambda: len(house.centre.texts) == 1)
        await skipping.sleep(2 * DAY)
        await eventually(lambda: "not_told" in house.events(case))
        assert len(house.centre.texts) == 3
    house.verify()


async def test_a_carrier_that_is_down_does_not_hold_back_the_supplement(
    house: House, skipping: WorkflowEnvironment
) -> None:
    house.webhooks.failing[CARRIER] = Unavailable("http_503", "down")
    async with house.working():
        case = (await house.renew(apps=["push-0-app", "push-1-app"])).id
        await delivered(house, case)
        await house.answer(case, "push-0", "unbound")
        await skipping.sleep(5 * DAY + HOUR)
        await eventually(lambda: len(house.centre.texts) == 1)
        await house.answer(case, "push-1", "unbound")
        await eventually(lambda: len(house.centre.texts) == 2)
        assert not house.webhooks.told(CARRIER)
        del house.webhooks.failing[CARRIER]
        await skipping.sleep(HOUR)
        await eventually(lambda: house.webhooks.told(CARRIER) == ["renewal.result", "renewal.result"])
    house.verify()


async def test_holder_who_cannot_be_told_is_on_record(house: House) -> None:
    house.centre.failing = Refused("sms_bad_destination", "no such number")
    async with house.working():
        case = (await house.renew(apps=["push-0-app"])).id
        await delivered(house, case)
        await house.answer(case, "push-0", "unbound")
        await eventually(lambda: house.status(case) is RenewalStatus.SUMMARY_SENT)
    assert "not_told" in house.events(case)
    assert house.webhooks.told(CARRIER) == ["renewal.result"], "the carrier is told all the same"
    house.verify()


async def test_same_key_same_case_other_body_refused(house: House) -> None:
    async with house.working():
        first = await house.intake.submit(CARRIER, house.wish("k", ["push-0-app"]))
        again = await house.intake.submit(CARRIER, house.wish("k", ["push-0-app"]))
        assert isinstance(first, Admitted) and isinstance(again, Admitted)
        assert again == Admitted(first.case, again=True)
        other = await house.intake.submit(CARRIER, house.wish("k", ["push-1-app"]))
        assert isinstance(other, Refusal) and other.code is RefusalCode.KEY_REUSED


async def test_one_running_renewal_per_number(house: House, skipping: WorkflowEnvironment) -> None:
    async with house.working():
        case = (await house.renew(apps=["push-0-app"])).id
        second = await house.intake.submit(CARRIER, house.wish("other"))
        assert isinstance(second, Refusal) and second.code is RefusalCode.RENEWAL_RUNNING
        await delivered(house, case)
        await house.answer(case, "push-0", "unbound")
        await eventually(lambda: house.status(case) is RenewalStatus.SUMMARY_SENT)
        assert isinstance(await house.intake.submit(CARRIER, house.wish("third")), Admitted)


async def test_personal_data_is_forgotten_after_the_case(house: House) -> None:
    house.carriers = FakeCarriers(Hear(verdict=Verdict.NO, reason=NotEligible.NOT_ACTIVE))
    async with house.working():
        ended = await house.ended(await house.renew())
    from store import vault

    person = house.database.read_now(lambda c: get(c, house.keys, ended.case))
    assert person.number == NUMBER and ended.ended_at
    late = ended.ended_at + 31 * DAY
    assert house.database.write_now(lambda c: vault.purge(c, late)) == 1
    with pytest.raises(NotInVault):
        house.database.read_now(lambda c: get(c, house.keys, ended.case))
    house.verify()
