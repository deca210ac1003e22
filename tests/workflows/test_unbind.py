"""`UnbindWorkflow` against the clock: every timer, every late word."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

from sqlalchemy import Connection
from temporalio.testing import WorkflowEnvironment

from activities.ports import Refused, Unavailable
from domain import unbind
from domain.case import Actor, ActorKind
from domain.refusal import RefusalCode
from domain.renewal import RenewalStatus
from tests.house import DAY, House, registry
from tests.support import eventually

HOUR = timedelta(hours=1)
CHEN = Actor(kind=ActorKind.CASE_WORKER, code="worker-chen")
PAPER = "P0123456789AB"


async def delivered(house: House, case: str) -> None:
    """Wait until every enterprise that can be told was told."""
    await eventually(lambda: "noticed" in house.events(f"{case}-unbind-0"))


async def test_reminder_breach_late_answer_close(house: House, skipping: WorkflowEnvironment) -> None:
    async with house.working():
        case = (renewal := await house.renew()).id
        await delivered(house, case)
        await house.acknowledge(case, "push-1")
        await house.answer(case, "push-0", "unbound")
        await house.answer(case, "pull-0", "kept", reason="holder_confirmed")
        assert house.webhooks.told("push-1") == ["work_items.requested"]

        await skipping.sleep(4 * DAY + HOUR)
        await eventually(lambda: len(house.webhooks.told("push-1")) == 2)
        assert house.webhooks.told("push-1")[1] == "work_items.reminded"
        assert len(house.webhooks.told("push-0")) == 1, "who has answered is not reminded"
        assert house.status(case) is RenewalStatus.RUNNING

        await skipping.sleep(DAY)
        await eventually(lambda: house.status(case) is RenewalStatus.SUMMARY_SENT)
        assert house.states(case) == {"push-0": "unbound", "push-1": "overdue", "pull-0": "kept"}
        assert "逾期未反馈1" in house.centre.texts[0]
        assert [to for to, _, _ in house.mailer.mails] == ["desk@us.example"], "the desk is told once"

        taken = await house.answer(case, "push-1", "cancelled")
        assert (taken.state, taken.version) == ("cancelled", 1)
        await eventually(lambda: len(house.centre.texts) == 2)
        assert "结果更新" in house.centre.texts[1]

        await skipping.sleep(31 * DAY)
        assert (await house.ended(renewal)).status is RenewalStatus.CLOSED
        late = await house.answer(case, "push-0", "not_found", amends=1)
        assert late.refusal and late.refusal.code is RefusalCode.CASE_CLOSED
    house.verify()


async def test_extension_moves_reminder_and_breach(house: House, skipping: WorkflowEnvironment) -> None:
    async with house.working():
        case = (await house.renew(apps=["push-0-app"])).id
        await delivered(house, case)
        item = house.item(case, "push-0")
        more = unbind.Extend(item=item.id, enterprise="push-0", by=2 * DAY, reason="system migration")
        assert not (await house.command(more)).refusal
        assert house.item(case, "push-0").due_at == item.due_at + 2 * DAY
        again = await house.command(more.model_copy(update={"reason": "still migrating"}))
        assert again.refusal and again.refusal.code is RefusalCode.EXTENSION_NOT_ALLOWED

        await skipping.sleep(5 * DAY + HOUR)
        assert house.states(case) == {"push-0": "delivered"}, "the old deadline has passed without a breach"
        await skipping.sleep(DAY)
        await eventually(lambda: house.webhooks.told("push-0")[-1] == "work_items.reminded")
        await skipping.sleep(DAY)
        await eventually(lambda: house.states(case) == {"push-0": "overdue"})
    house.verify()


async def test_only_who_failed_is_tried_again(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.failing["push-0"] = Unavailable("http_503", "down")
    async with house.working():
        case = (await house.renew()).id
        await eventually(lambda: house.item(case, "push-0").failures == 1 if house.view(case).items else False)
        await skipping.sleep(3 * HOUR)
        assert house.item(case, "push-0").failures > 5
        assert house.webhooks.told("push-1") == ["work_items.requested"]
        del house.webhooks.failing["push-0"]
        await skipping.sleep(2 * HOUR)
        await eventually(lambda: house.webhooks.told("push-0") == ["work_items.requested"])
        assert house.states(case)["push-0"] == "delivered"
        assert house.item(case, "push-0").last_failure == ""
    house.verify()


async def test_a_slow_answer_before_delivery_counts(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.failing["push-0"] = Unavailable("http_timeout", "it took the request but never said so")
    async with house.working():
        case = (await house.renew(apps=["push-0-app"])).id
        await eventually(lambda: "notice_failed" in house.events(f"{case}-unbind-0"))
        assert (await house.answer(case, "push-0", "unbound")).state == "unbound"
        await eventually(lambda: house.status(case) is RenewalStatus.SUMMARY_SENT)
    house.verify()


async def test_amended_answer_is_versioned(house: House) -> None:
    async with house.working():
        case = (await house.renew(apps=["push-0-app"])).id
        await delivered(house, case)
        await house.answer(case, "push-0", "not_found")
        again = await house.answer(case, "push-0", "not_found")
        assert (again.version, again.changed) == (1, False)
        other = await house.answer(case, "push-0", "unbound")
        assert other.refusal and other.refusal.code is RefusalCode.ALREADY_ANSWERED
        amended = await house.answer(case, "push-0", "unbound", amends=1)
        assert (amended.state, amended.version) == ("unbound", 2)
        assert house.events(f"{case}-unbind-0").count("answered") == 2
    house.verify()


async def test_withdrawal_until_acknowledged(house: House, skipping: WorkflowEnvironment) -> None:
    async with house.working():
        case = (renewal := await house.renew()).id
        await delivered(house, case)
        await house.acknowledge(case, "push-0")
        taken = await house.desk.withdraw(case)
        assert taken.refusal is None
        await eventually(lambda: house.states(case)["push-1"] == "withdrawn")
        assert house.states(case) == {"push-0": "acknowledged", "push-1": "withdrawn", "pull-0": "withdrawn"}
        await eventually(lambda: house.webhooks.told("push-1")[-1] == "work_items.withdrawn")
        refused = await house.answer(case, "push-1", "unbound")
        assert refused.refusal and refused.refusal.code is RefusalCode.WITHDRAWN
        await house.answer(case, "push-0", "unbound")
        await eventually(lambda: house.status(case) is RenewalStatus.SUMMARY_SENT)
        await skipping.sleep(40 * DAY)
        assert (await house.ended(renewal)).status is RenewalStatus.CLOSED
    house.verify()


async def test_withdrawal_of_everything_ends_the_renewal(house: House) -> None:
    async with house.working():
        case = (renewal := await house.renew()).id
        await delivered(house, case)
        await house.desk.withdraw(case)
        assert (await house.ended(renewal)).status is RenewalStatus.WITHDRAWN
        assert "撤回" in house.centre.texts[-1] and len(house.centre.texts) == 1
    house.verify()


async def test_refusing_mail_server_is_tried_again(house: House, skipping: WorkflowEnvironment) -> None:
    house = House(house.client, house.database, house.keys, registry(push=0, pull=0, mail=1))
    house.mailer.failing = Refused("mail_refused", "550")
    async with house.working():
        case = (await house.renew()).id
        await eventually(lambda: "notice_failed" in house.events(f"{case}-unbind-0"))
        assert house.item(case, "mail-0").last_failure == "mail_refused"
        house.mailer.failing = None
        await skipping.sleep(HOUR)
        await eventually(lambda: house.states(case) == {"mail-0": "delivered"})
        assert len(house.mailer.mails) == 1
    house.verify()


async def test_locked_database_delays_and_loses_nothing(house: House) -> None:
    blocked = threading.Event()

    def hold(_connection: Connection) -> None:
        blocked.wait(30)

    async with house.working():
        case = (await house.renew(apps=["push-0-app"])).id
        await delivered(house, case)
        held = house.database.submit(hold)
        answering = asyncio.create_task(house.answer(case, "push-0", "unbound"))
        await eventually(lambda: house.database.waiting > 0)
        assert house.states(case) == {"push-0": "delivered"}
        blocked.set()
        assert (await answering).state == "unbound" and held.result(5) is None
    house.verify()


async def test_a_mail_server_that_is_down_holds_nothing_back(house: House, skipping: WorkflowEnvironment) -> None:
    house.mailer.failing = Unavailable("mail_unreachable", "down")
    async with house.working():
        case = (await house.renew(apps=["push-0-app"])).id
        await delivered(house, case)
        await skipping.sleep(5 * DAY + HOUR)
        await eventually(lambda: len(house.centre.texts) == 1)
        assert house.states(case) == {"push-0": "overdue"} and not house.mailer.mails
        house.mailer.failing = None
        await skipping.sleep(HOUR)
        await eventually(lambda: len(house.mailer.mails) == 1)
        await eventually(lambda: "escalated" in house.events(f"{case}-unbind-0"))
    house.verify()


async def test_a_fault_with_one_enterprise_is_nobody_else_s(house: House) -> None:
    house.webhooks.failing["push-0"] = RuntimeError("no credentials")
    async with house.working():
        case = (await house.renew()).id
        await eventually(lambda: "notice_failed" in house.events(f"{case}-unbind-0"))
        assert house.item(case, "push-0").last_failure == "internal"
        assert house.states(case)["push-1"] == "delivered"
    house.verify()


async def test_flipping_answers_text_the_holder_once_more_at_most(house: House) -> None:
    async with house.working():
        case = (await house.renew(apps=["push-0-app"])).id
        await delivered(house, case)
        await house.answer(case, "push-0", "unbound")
        await eventually(lambda: house.status(case) is RenewalStatus.SUMMARY_SENT)
        for version in range(1, 8):
            await house.answer(case, "push-0", "cancelled" if version % 2 else "unbound", amends=version)
        assert len(house.centre.texts) <= 2
    house.verify()


async def test_mail_enterprise_gets_one_digest_with_a_link(house: House) -> None:
    house = House(house.client, house.database, house.keys, registry(push=0, pull=0, mail=1))
    async with house.working():
        case = (await house.renew()).id
        await delivered(house, case)
        ((to, subject, text),) = house.mailer.mails
        assert to == "clerk@e.example" and house.item(case, "mail-0").id in subject
        assert "http://us/m/" in text and "13800138000" not in text and "138****8000" not in text
        assert house.keys.enterprise_token("mail-0", "+8613800138000") in text, (
            "a profile that may see the token only"
        )
    house.verify()


async def test_paused_clock(house: House, skipping: WorkflowEnvironment) -> None:
    """No reminder and no breach while it stands, for that item alone; then both are later by as long as it stood."""
    async with house.working():
        case = (await house.renew(apps=["push-0-app", "push-1-app"])).id
        await delivered(house, case)
        item = house.item(case, "push-0")
        await house.command(unbind.Pause(item=item.id, actor=CHEN, reason=PAPER))
        await skipping.sleep(5 * DAY + HOUR)
        await eventually(lambda: house.states(case) == {"push-0": "delivered", "push-1": "overdue"})
        assert house.webhooks.told("push-0") == ["work_items.requested"]
        await house.answer(case, "push-1", "unbound")
        await skipping.sleep(60 * DAY)
        assert house.states(case) == {"push-0": "delivered", "push-1": "unbound"}, "it stands beyond the late window"
        await house.command(unbind.Resume(item=item.id, actor=CHEN))
        await skipping.sleep(4 * DAY + HOUR)
        await eventually(lambda: house.webhooks.told("push-0")[-1] == "work_items.reminded")
        await skipping.sleep(DAY)
        await eventually(lambda: house.states(case)["push-0"] == "overdue")
    house.verify()
