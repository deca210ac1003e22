"""A worker that dies between writing to the ledger and ending its workflow task: the case goes on from the ledger."""

from __future__ import annotations

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.records import Records
from domain import unbind
from domain.case import Actor, CaseKind
from domain.renewal import RenewalStatus
from gateway.desk import EngineBusy
from store.ledger import Append, append
from tests.house import DAY, House
from tests.support import eventually
from tests.workflows.test_unbind import delivered


async def orphan(house: House, case: str, enterprise: str) -> None:
    """What a killed worker leaves: the next write is in the ledger, the workflow does not know."""
    part = f"{case}-unbind-0"
    item = house.item(case, enterprise)
    answered = unbind.Answered(
        at=item.opened_at,
        actor=Actor(kind="enterprise", code=enterprise),
        item=item.id,
        outcome=unbind.Outcome.NOT_FOUND,
        reason=unbind.Reason.NO_BINDING,
        version=1,
    )
    step = Append(part, CaseKind.UNBIND, "decide-1", (answered,))
    await house.database.write(lambda c: append(c, house.keys, step))


async def test_a_forgotten_write_is_recalled_and_nothing_is_doubled(house: House) -> None:
    async with house.working():
        case = (await house.renew()).id
        await delivered(house, case)
        await eventually(lambda: house.states(case)["push-1"] == "delivered")
        await orphan(house, case, "push-0")
        assert (await house.answer(case, "push-1", "unbound")).state == "unbound", "another enterprise goes on"
        repeated = await house.answer(case, "push-0", "not_found")
        assert (repeated.state, repeated.version, repeated.changed) == ("not_found", 1, False)
        await house.answer(case, "pull-0", "unbound")
        await eventually(lambda: house.status(case) is RenewalStatus.SUMMARY_SENT)
    assert house.events(f"{case}-unbind-0").count("answered") == 3
    house.verify()


async def test_a_breach_after_a_forgotten_answer_is_none(house: House, skipping: WorkflowEnvironment) -> None:
    async with house.working():
        case = (await house.renew(apps=["push-0-app"])).id
        await delivered(house, case)
        await orphan(house, case, "push-0")
        await skipping.sleep(6 * DAY)
        await eventually(lambda: house.status(case) is RenewalStatus.SUMMARY_SENT)
        assert house.states(case) == {"push-0": "not_found"}
    assert "went_overdue" not in house.events(f"{case}-unbind-0")
    house.verify()


async def test_many_decide_while_the_ledger_knows_better(house: House) -> None:
    async with house.working():
        case = (await house.renew()).id
        await delivered(house, case)
        await orphan(house, case, "push-0")
        commands = [
            unbind.Answer(item=house.item(case, e).id, enterprise=e, outcome=unbind.Outcome.UNBOUND)
            for e in ("push-0", "push-1", "pull-0")
        ]
        first, *others = await house.desk.take(commands)
        assert not isinstance(first, EngineBusy) and first.refusal, "the ledger has another answer: it needs amends"
        assert all(not isinstance(one, EngineBusy) and one.state == "unbound" for one in others)
    house.verify()


async def test_a_renewal_recalls_as_well(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Records._append
    lied: list[str] = []

    async def once_unknown(self: Records, order: Append) -> bool:
        same = await real(self, order)
        if order.kind is CaseKind.RENEWAL and not lied:
            lied.append(order.step)
            return False
        return same

    monkeypatch.setattr(Records, "_append", once_unknown)
    async with house.working():
        case = (await house.renew(apps=["push-0-app"])).id
        await delivered(house, case)
        await house.answer(case, "push-0", "unbound")
        await eventually(lambda: house.status(case) is RenewalStatus.SUMMARY_SENT)
    assert lied and len(house.centre.texts) == 1
    house.verify()
