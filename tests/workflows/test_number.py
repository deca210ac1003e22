"""`NumberWorkflow`: the batch before the re-issue, releases and overrides, announcements, a workflow that never ends."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from temporalio.testing import WorkflowEnvironment

from activities.ports import Refused, Unavailable
from domain import number, unbind
from domain.access import SCOPES, Role
from domain.case import Actor, ActorKind, CaseKind
from domain.casework import Note
from domain.number import Fact, NumberStatus
from domain.privacy import PhoneNumber
from domain.refusal import Refusal, RefusalCode
from gateway import numbers as doors
from gateway.caller import Caller
from gateway.problems import ProblemError
from store import certificate, numbers
from store.database import Database
from store.keys import KeyRing
from store.ledger import Append, append
from store.projection import load_state
from store.tables import cases, ledger, worklist
from tests.house import CARRIER, DAY, NUMBER, House, registry
from tests.support import eventually
from tests.workflows.test_real_server import SOON, real_server
from workflows.messages import Act, Done

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
SUPERVISOR = Actor(kind=ActorKind.SUPERVISOR, code="wu-supervisor")
WORKER = Actor(kind=ActorKind.CASE_WORKER, code="chen-worker")
PAPER = "P0123456789AB"


def partner(code: str) -> Caller:
    """A carrier at the door."""
    return Caller(code, Role.CARRIER, SCOPES[Role.CARRIER], f"{code}.1")


class Line:
    """A carrier's line to the house: what it reports of one number, and what the house then says of it."""

    def __init__(self, house: House, phone: PhoneNumber = NUMBER, carrier: str = CARRIER) -> None:
        self.house, self.phone, self.carrier = house, phone, carrier
        self.services = house.services
        self.began = datetime.now(UTC)
        self.sent = 0
        self.case = ""

    async def report(self, what: Fact | str, at: datetime | None = None, event_id: str = "") -> doors.Recorded:
        """A fact, as the carrier's system sends it."""
        self.sent += 1
        body = doors.NumberEvent(
            number=self.phone.national,
            event_id=event_id or f"e-{self.carrier}-{self.sent}",
            event=Fact(what),
            occurred_at=at or self.began,
        )
        recorded = await doors.report(body, partner(self.carrier), self.services)
        self.case = recorded.case
        return recorded

    async def release(self) -> doors.NumberBrief:
        """Ask for the release; ProblemError when refused."""
        return await doors.release(doors.NumberWish(number=self.phone.national), partner(self.carrier), self.services)

    async def refused(self) -> str:
        """Why the release is refused."""
        with pytest.raises(ProblemError) as error:
            await self.release()
        return f"{error.value.problem.code}: {error.value.problem.detail}"

    @property
    def state(self) -> number.State:
        found: number.State = self.house.database.read_now(lambda c: load_state(c, CaseKind.NUMBER, self.case))
        return found

    @property
    def status(self) -> NumberStatus:
        return self.state.status

    @property
    def events(self) -> list[str]:
        return self.house.events(self.case)

    def items(self, part: int = 0) -> dict[str, unbind.Item]:
        """The work items of a batch, by enterprise."""
        found = self.house.database.read_now(lambda c: numbers.items_of(c, [f"{self.case}-unbind-{part}"]))
        return {item.enterprise: item for item in found}

    async def answer(self, enterprise: str, outcome: str, part: int = 0, **more: Any) -> None:
        """An enterprise answers its item of the batch."""
        item = self.items(part)[enterprise]
        answer = unbind.Answer(item=item.id, enterprise=enterprise, outcome=outcome, **more)  # type: ignore[arg-type]
        taken = await self.house.command(answer)
        assert taken.refusal is None, taken.refusal


async def until(skipping: WorkflowEnvironment, moment: datetime) -> None:
    """Let the clock run until then."""
    await skipping.sleep(moment - await skipping.get_current_time())


async def test_batch_before_reissue_day_89_and_day_90(house: House, skipping: WorkflowEnvironment) -> None:
    line = Line(house)
    async with house.working():
        await line.report("activation", line.began - 400 * DAY)
        await line.report("cancellation")
        await line.report("freeze")
        assert line.status is NumberStatus.FROZEN
        assert not line.items(), "a mistake can still be undone"

        await until(skipping, line.began + 7 * DAY + MINUTE)
        await eventually(lambda: "noticed" in house.events(f"{line.case}-unbind-0"))
        items = line.items()
        assert {item.app for item in items.values()} == set(house.registry.app_codes)
        assert {item.boundary for item in items.values()} == {line.began}, "what was bound before the cancellation"
        await line.answer("push-0", "unbound")
        await line.answer("pull-0", "kept", reason="holder_confirmed")
        await until(skipping, line.began + 13 * DAY)
        await eventually(lambda: "batch_reported" in line.events)
        assert line.items()["push-1"].state == "overdue"

        await until(skipping, line.began + 90 * DAY - MINUTE)
        assert (await line.refused()).startswith("freeze_not_over")
        await until(skipping, line.began + 90 * DAY)
        assert await line.refused() == "items_unreported: 1 of 3 apps have not reported."
        with pytest.raises(certificate.NotReleased):
            house.database.read_now(lambda c: certificate.issue(c, house.keys, line.case))
        await line.answer("push-1", "not_found")
        assert line.status in (NumberStatus.FROZEN, NumberStatus.BATCH_RENEWED)
        released = await line.release()
        assert released.status is NumberStatus.BATCH_RENEWED and released.released_at and not released.overridden

        issued = house.database.read_now(lambda c: certificate.issue(c, house.keys, line.case))
        assert dict(issued.apps) == {"push-0-app": "unbound", "push-1-app": "not_found", "pull-0-app": "kept"}
        assert issued.number == "138****8000" and not issued.override
        genuine = issued.model_dump(mode="json")
        verify = lambda one: house.database.read_now(lambda c: certificate.verify(c, house.keys, one))  # noqa: E731
        assert verify(genuine) == ""
        tampered = {**genuine, "apps": {**genuine["apps"], "push-1-app": "unbound"}}
        assert verify(tampered) == 'apps.push-1-app: the certificate says "unbound", the ledger "not_found"'

        now = await skipping.get_current_time()
        assert (await line.report("reissue", now)).life == 2
        assert "reissued_early" not in line.events and line.status is NumberStatus.REISSUED
        assert verify(genuine) == "", "what comes later does not change it"
    house.verify()


async def test_release_counts_a_late_answer_at_once(house: House, skipping: WorkflowEnvironment) -> None:
    """Two overdue: the unbind request stays silent after the first late answer, the ledger does not."""
    line = Line(house)
    async with house.working():
        await line.report("cancellation")
        await until(skipping, line.began + 7 * DAY + MINUTE)
        await eventually(lambda: "noticed" in house.events(f"{line.case}-unbind-0"))
        await line.answer("pull-0", "unbound")
        await until(skipping, line.began + 91 * DAY)
        assert "2 of 3" in await line.refused()
        await line.answer("push-0", "unbound")
        assert "1 of 3" in await line.refused()
    house.verify()


async def test_override(house: House, skipping: WorkflowEnvironment) -> None:
    line = Line(house)
    async with house.working():
        await line.report("cancellation")
        assert (await line.refused()).startswith("freeze_not_over")
        wish = number.Override(actor=SUPERVISOR, reason=PAPER)
        by_worker = wish.model_copy(update={"actor": WORKER})
        refused = (await house.desk.say(line.case, "override", by_worker, Done)).refusal
        assert isinstance(refused, Refusal) and refused.code is RefusalCode.NOT_ALLOWED
        assert (await house.desk.say(line.case, "override", wish, Done)).changed
        assert not (await house.desk.say(line.case, "override", wish, Done)).changed
        assert (await line.release()).overridden
        issued = house.database.read_now(lambda c: certificate.issue(c, house.keys, line.case))
        assert issued.override and not issued.apps
        audited = house.database.read_now(
            lambda c: c.execute(select(ledger.c.actor, ledger.c.data).where(ledger.c.type == "overridden")).one()
        )
        assert audited.actor == str(SUPERVISOR) and PAPER in audited.data
    house.verify()


async def test_reissue_without_a_release_calls_a_case_worker(house: House) -> None:
    line = Line(house)
    async with house.working():
        await line.report("cancellation", line.began - DAY)
        await line.report("reissue")
        assert (line.status, line.state.life.life) == (NumberStatus.REISSUED, 2)
        assert "reissued_early" in line.events
        waiting = select(worklist.c.waiting, worklist.c.open).where(worklist.c.case_id == line.case)
        row = house.database.read_now(lambda c: c.execute(waiting).one())
        assert (row.waiting, row.open) == ("case_worker", True)
        noted = await house.desk.say(line.case, "act", Act(command=Note(actor=WORKER, note=PAPER)), Done)
        assert noted.changed and line.state.alarmed_at is None
    house.verify()


async def test_two_first_reports_in_parallel_are_one_case(house: House) -> None:
    line, other = Line(house), Line(house, carrier="other-carrier")
    async with house.working():
        reports = [line.report("activation", line.began - DAY), line.report("suspension"), other.report("suspension")]
        reports += [line.report("activation", line.began - DAY, event_id="e-carrier-1")]
        recorded = await asyncio.gather(*reports)
        assert len({one.case for one in recorded}) == 1
        count = select(func.count()).select_from(cases).where(cases.c.kind == "number")
        assert house.database.read_now(lambda c: c.execute(count).scalar_one()) == 1
        await eventually(lambda: len(line.state.timeline) == 3)
        assert (line.status, line.state.life.carrier) == (NumberStatus.SUSPENDED, CARRIER)
        assert sum(one.changed for one in recorded) == 3
    house.verify()


async def test_any_order_and_more_than_once(house: House, skipping: WorkflowEnvironment) -> None:
    house.registry = registry(push=0, pull=0, mail=1)
    line, plain = Line(house), Line(house, PhoneNumber("13900139000"))
    ago = lambda days: line.began - days * DAY  # noqa: E731
    life = [("activation", 90), ("suspension", 30), ("cancellation", 3), ("freeze", 2), ("resumption", 20)]
    async with house.working():
        for what, days in life:
            await plain.report(what, ago(days), f"p-{what}")
        for what, days in [*reversed(life), *life]:
            await line.report(what, ago(days), f"l-{what}")
        assert line.state.life == plain.state.life
        assert line.status is NumberStatus.FROZEN and len(line.state.timeline) == len(life)
        with pytest.raises(ProblemError) as error:
            await line.report("freeze", ago(1), "l-freeze")
        assert (error.value.problem.status, error.value.problem.code) == (409, "idempotency_key_reused")
        with pytest.raises(ProblemError) as error:
            await line.report("freeze", ago(2), "p-freeze")
        assert error.value.problem.field == "event_id", "an id belongs to one number"
        with pytest.raises(ProblemError) as error:
            await line.report("activation", ago(90), "p-activation")
        assert error.value.problem.field == "event_id", "the one that opened a case too"
    house.verify()


async def test_reminders_at_opening_and_cancellation(house: House) -> None:
    line = Line(house)
    async with house.working():
        await line.report("activation", line.began - DAY)
        await eventually(lambda: len(house.centre.texts) == 1)
        await line.report("cancellation")
        await eventually(lambda: "told" in line.events and not line.state.reminders)
        assert "曾为他人使用" in house.centre.texts[0] and "即将停用" in house.centre.texts[1]
        assert all(line.case in text and "13800138000" not in text for text in house.centre.texts)
    house.verify()


async def test_a_cancelled_number_that_cannot_be_reached_is_fine(house: House) -> None:
    house.centre.failing = Refused("sms_bad_destination", "no such number")
    line = Line(house)
    async with house.working():
        await line.report("cancellation")
        await eventually(lambda: "not_told" in line.events)
        assert line.state.reminders == () and line.status is NumberStatus.CANCELLED
    house.verify()


async def test_recycled_numbers_are_announced_by_push(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.failing["push-1"] = Unavailable("http_503", "down")
    line = Line(house)
    async with house.working():
        await line.report("cancellation")
        await eventually(lambda: "announced" in line.events)
        (code, message_id, body), *more = house.webhooks.posts
        assert (code, body["type"], more) == ("push-0", "numbers.recycled", [])
        mine = hmac.new(house.keys.token_key("push-0"), NUMBER.e164.encode(), hashlib.sha256).hexdigest()
        assert body["data"] == {"numbers": [{"token": mine, "cancelled_at": line.began.isoformat()}]}
        assert line.case not in message_id
        await skipping.sleep(2 * HOUR)
        assert line.state.announcement is not None and line.state.announcement.waiting == ("push-1",)
        del house.webhooks.failing["push-1"]
        await skipping.sleep(7 * HOUR)
        await eventually(lambda: house.webhooks.told("push-1") == ["numbers.recycled"])
        assert house.webhooks.told("push-0") == ["numbers.recycled"], "who was told is not told again"
        await eventually(lambda: line.state.announcement is None)
    house.verify()


async def test_an_enterprise_out_of_reach_is_given_up_on_record(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.failing["push-1"] = Refused("http_404", "no such page")
    line = Line(house)
    async with house.working():
        await line.report("cancellation")
        await skipping.sleep(5 * DAY)
        await eventually(lambda: "not_announced" in line.events)
        assert line.events.count("announced") == number.ANNOUNCE_TRIES
    house.verify()


async def test_reinstatement_is_announced_and_the_batch_never_begins(
    house: House, skipping: WorkflowEnvironment
) -> None:
    line = Line(house)
    async with house.working():
        await line.report("activation", line.began - 40 * DAY)
        await line.report("cancellation")
        await eventually(lambda: "announced" in line.events)
        await skipping.sleep(3 * DAY)
        await line.report("activation", line.began + 2 * DAY)
        assert (line.status, line.state.life.life) == (NumberStatus.ACTIVE, 1)
        await eventually(lambda: line.events.count("announced") == 2)
        assert house.webhooks.told("push-0") == ["numbers.recycled", "numbers.reinstated"]
        page = house.database.read_now(lambda c: numbers.recycled(c, house.keys, "pull-0", 0, 200))
        assert [one.notice for one in page.listed] == ["recycled", "reinstated"]
        await skipping.sleep(10 * DAY)
        assert "batch_started" not in line.events
        assert "not_cancelled" not in await line.refused() and "not_frozen" in await line.refused()
    house.verify()


async def test_a_mistake_found_out_late_withdraws_the_batch(house: House, skipping: WorkflowEnvironment) -> None:
    line = Line(house)
    async with house.working():
        await line.report("cancellation")
        await until(skipping, line.began + 7 * DAY + MINUTE)
        await eventually(lambda: "noticed" in house.events(f"{line.case}-unbind-0"))
        await line.report("activation", line.began + DAY)
        await eventually(lambda: {item.state.value for item in line.items().values()} == {"withdrawn"})
        await eventually(lambda: "batch_withdrawn" in line.events)
        await line.report("cancellation", line.began + 2 * DAY)
        await skipping.sleep(3 * DAY)
        await eventually(lambda: line.items(1))
        assert {item.boundary for item in line.items(1).values()} == {line.began + 2 * DAY}
    house.verify()


async def test_policy_comes_from_the_registry_of_the_day(house: House, skipping: WorkflowEnvironment) -> None:
    house.registry = registry(push=1, pull=0, extra='[number]\nfreeze = "PT10H"\nbatch_after = "PT1H"')
    house.__post_init__()
    line = Line(house)
    async with house.working():
        await line.report("cancellation")
        await skipping.sleep(HOUR + MINUTE)
        await eventually(lambda: "noticed" in house.events(f"{line.case}-unbind-0"))
        await line.answer("push-0", "unbound")
        await eventually(lambda: line.status is NumberStatus.BATCH_RENEWED)
        assert (await line.refused()).startswith("freeze_not_over")
        await until(skipping, line.began + 10 * HOUR)
        assert (await line.release()).released_at
    house.verify()


async def test_a_forgotten_write_is_recalled_and_nothing_is_lost(house: House) -> None:
    """What a killed worker leaves: the next write is in the ledger, the workflow does not know."""
    line = Line(house)
    async with house.working():
        await line.report("activation", line.began - DAY)
        await eventually(lambda: not line.state.reminders)
        at = datetime.now(UTC)
        event = numbers.event_id(house.keys, CARRIER, "orphan")
        actor = Actor(kind=ActorKind.CARRIER, code=CARRIER)
        forgotten = (
            number.Reported(at=at, actor=actor, event=event, fact=Fact.CANCELLATION, occurred_at=line.began),
            number.Recycled(at=at, life=1, cancelled_at=line.began),
            number.ReminderDue(at=at, message="number_cancelled"),
        )
        step = Append(line.case, CaseKind.NUMBER, f"decide-{2}", forgotten)
        await house.database.write(lambda c: append(c, house.keys, step))
        await line.report("freeze")
        assert line.status is NumberStatus.FROZEN
        await eventually(lambda: "announced" in line.events and len(house.centre.texts) == 2)
        assert line.events.count("recycled") == 1
    house.verify()


async def test_continue_as_new(database: Database, keys: KeyRing) -> None:
    async with real_server(database, keys, *SOON) as house:
        line = Line(house)
        await line.report("activation", line.began - 300 * DAY)
        handle = house.client.get_workflow_handle(line.case)
        first = (await handle.describe()).run_id
        await line.report("cancellation", line.began - 100 * DAY)
        await eventually(lambda: "noticed" in house.events(f"{line.case}-unbind-0"))
        for n in range(25):
            await line.report("suspension" if n % 2 == 0 else "resumption", line.began - 200 * DAY + n * DAY)
        await line.answer("push-0", "unbound")
        await line.answer("push-1", "unbound")
        assert "1 of 3" in await line.refused()
        latest = (await handle.describe()).run_id
        assert latest != first, "the history was renewed"
        renewed = await house.client.get_workflow_handle(line.case, run_id=latest).fetch_history()
        started = [
            e for e in renewed.events if e.HasField("start_child_workflow_execution_initiated_event_attributes")
        ]
        assert not started, "what is under way is not begun again"
        await line.answer("pull-0", "cancelled")
        await eventually(lambda: line.status is NumberStatus.BATCH_RENEWED)
        assert (await line.release()).released_at
        assert line.events.count("reported") == 26 and line.events.count("opened") == 1
        assert line.events.count("batch_started") == 1
        assert (await line.report("activation", line.began - 300 * DAY, "e-carrier-1")).changed is False
        house.verify()


async def test_a_tampered_ledger_is_named_by_the_certificate(house: House) -> None:
    line = Line(house)
    async with house.working():
        await line.report("cancellation")
        await house.desk.say(line.case, "override", number.Override(actor=SUPERVISOR, reason=PAPER), Done)
        await line.release()
        issued = house.database.read_now(lambda c: certificate.issue(c, house.keys, line.case))
    row = (ledger.c.case_id == line.case, ledger.c.type == "number_released")
    house.database.write_now(lambda c: c.execute(update(ledger).where(*row).values(actor="carrier:other")))
    said = house.database.read_now(lambda c: certificate.verify(c, house.keys, issued.model_dump(mode="json")))
    assert "seal does not fit" in said
