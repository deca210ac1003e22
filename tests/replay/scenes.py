"""One life of every workflow, with what can happen to it: a scene per kind of case.

A scene tells which histories are kept of it, by a label that begins with the kind. Every step of a scene waits for
what the step before has led to (`stage`); where several clocks would run out in one sleep, a scene sleeps twice.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory

from activities.ports import Refused, Unavailable
from domain import casework, dispute, number, question, unbind
from domain.case import Actor, ActorKind, CaseKind, LinkKind
from domain.casework import DecisionKind
from domain.complaint import ComplaintKind, ComplaintStatus, Way
from domain.dispute import DisputeStatus, Settlement
from domain.identity import IdentityStatus
from domain.investigation import InvestigationStatus, Result
from domain.number import NumberStatus
from domain.proof import Method
from domain.query import QueryStatus
from domain.renewal import Hear, NotEligible, RenewalStatus, Verdict
from store.ids import new_case_id
from tests.house import DAY, FakeCarriers
from tests.replay.stage import Stage, real_stage, stage
from tests.support import eventually
from tests.workflows import test_complaint as complaints
from tests.workflows import test_dispute as disputes
from tests.workflows import test_investigation as investigations
from tests.workflows import test_query as queries
from tests.workflows import test_redelivery as redeliveries
from tests.workflows.test_identity import Checks
from tests.workflows.test_number import Line
from workflows.messages import Act, Conclusion, Done

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DOWN = Unavailable("http_503", "down")
NOBODY = Refused("sms_bad_destination", "no such number")
PAPER = "P0123456789AB"
CHEN = Actor(kind=ActorKind.CASE_WORKER, code="worker-chen")
LIN = Actor(kind=ActorKind.CASE_WORKER, code="worker-lin")
WU = Actor(kind=ActorKind.SUPERVISOR, code="wu-supervisor")

Histories = dict[str, WorkflowHistory]
"""What is kept of a scene; a label begins with the kind."""


async def renewal(on: Stage) -> Histories:
    """The carrier does not know at first; one enterprise is down, one acknowledges and is late; the holder withdraws."""
    house = on.house
    house.carriers = FakeCarriers(Hear(verdict=Verdict.UNKNOWN), Hear(verdict=Verdict.YES))
    house.webhooks.failing_once["push-1"] = DOWN
    async with house.working():
        case = (await house.renew()).id
        await on.still()
        assert house.status(case) is RenewalStatus.WAITING_FOR_DATA
        await on.sleep(6 * HOUR + MINUTE)
        part = f"{case}-unbind-0"
        assert "notice_failed" in house.events(part)
        await on.sleep(HOUR)
        assert house.states(case)["push-1"] == "delivered"
        await act(on, case, casework.Claim(actor=CHEN))
        await signal(on, case, "linked", casework.Link(to=new_case_id(CaseKind.INVESTIGATION), how=LinkKind.LED_TO))
        await house.acknowledge(case, "push-0")
        item = house.item(case, "push-0").id
        await house.command(unbind.Extend(item=item, enterprise="push-0", by=DAY, reason="migration"))
        await house.desk.withdraw(case)
        await on.still()
        assert house.states(case) == {"push-0": "acknowledged", "push-1": "withdrawn", "pull-0": "withdrawn"}
        await on.sleep(5 * DAY)
        assert house.webhooks.told("push-0")[-1] == "work_items.reminded"
        await on.sleep(DAY)
        assert house.status(case) is RenewalStatus.SUMMARY_SENT
        house.centre.failing = NOBODY
        await house.answer(case, "push-0", "unbound")
        await on.still()
        assert house.events(case).count("result_sent") == 2 and "not_told" in house.events(case)
        await on.sleep(40 * DAY)
        assert house.status(case) is RenewalStatus.CLOSED

        house.carriers.answers = [Hear(verdict=Verdict.NO, reason=NotEligible.NOT_ACTIVE)]
        refused = (await house.renew()).id
        await on.still()
        assert house.status(refused) is RenewalStatus.REFUSED
        return {
            "renewal": await whole(on, case),
            "renewal-refused": await whole(on, refused),
            "unbind-renewal": await whole(on, part),
        }


async def unbind_(on: Stage) -> Histories:
    """Account by account: a failed delivery, an extension, a clock that stands, a refusal, an exemption, late words."""
    house = on.house
    house.webhooks.answers = {"push-0": disputes.detail(1, 2), "push-1": disputes.detail(1)}
    async with house.working():
        case = await disputes.open_dispute(house, "push-0-app", "push-1-app")
        await on.still()
        house.webhooks.failing_once["push-1"] = DOWN
        wishes = disputes.choice(push_0_app={"a0": "cancel", "a1": "keep"}, push_1_app={"a0": "unbind"})
        await disputes.taken(house, case, "choose", wishes)
        await on.sleep(MINUTE)
        first, second = (disputes.item_of(house, case, app) for app in ("push-0-app", "push-1-app"))
        assert (first.state, second.state) == ("delivered", "delivered")
        await house.command(unbind.Acknowledge(item=first.id, enterprise="push-0"))
        await house.command(unbind.Extend(item=first.id, enterprise="push-0", by=DAY, reason="migration"))
        await house.command(unbind.Pause(item=second.id, actor=CHEN, reason=PAPER))
        await on.sleep(5 * DAY)
        assert house.webhooks.told("push-0")[-1] == "work_items.reminded"
        await on.sleep(DAY)
        assert house.mailer.mails, "the desk is told that one is overdue"
        await house.command(unbind.Resume(item=second.id, actor=CHEN))
        await disputes.answer(house, case, "push-1-app", "rejected", reason="out_of_scope")
        await disputes.answer(house, case, "push-1-app", "exempt", reason="legal_hold", amends=1)
        await disputes.answer(house, case, "push-0-app", "cancelled")
        await disputes.answer(house, case, "push-1-app", "unbound", amends=2)
        await on.sleep(42 * DAY)
        assert "closed" in house.events(f"{case}-unbind-0")
        return {"unbind": await whole(on, f"{case}-unbind-0")}


async def identity(on: Stage) -> Histories:
    """A wrong code, another code, the right one, a carrier that is out of reach at first; and a number that is none."""
    house, checks = on.house, Checks(on.house, on)
    async with house.working():
        check = await checks.opened()
        await checks.wrong(check)
        await on.sleep(MINUTE)
        await checks.resend(check)
        await on.still()
        house.carriers.verdict = DOWN
        entering = asyncio.create_task(checks.enter(check, checks.code(check)))
        await eventually(lambda: house.carriers.confirmed)
        await on.sleep(timedelta(seconds=11))
        assert (await entering).status == "confirming"
        house.carriers.verdict = None
        await on.sleep(MINUTE)
        assert checks.status(check) is IdentityStatus.VERIFIED
        await on.sleep(MINUTE)

        house.centre.failing = NOBODY
        nobody = await checks.open(origin="another")
        await on.sleep(6 * MINUTE)
        assert checks.status(nobody) is IdentityStatus.EXPIRED

        attested = await checks.open(origin="a third", method=Method.COUNTER)
        await checks.attest(attested, CHEN)
        await on.still()
        assert checks.status(attested) is IdentityStatus.VERIFIED
        return {
            "identity": await whole(on, check),
            "identity-expired": await whole(on, nobody),
            "identity-attested": await on.history(attested),
        }


async def query(on: Stage) -> Histories:
    """One party out of reach, one silent; case work; late answers in one supplement; closed."""
    house = on.house
    house.webhooks.answers = {"push-0": queries.says(2)}
    house.webhooks.failing_once["push-1"] = DOWN
    async with house.working():
        case = await queries.opened(house)
        await on.sleep(MINUTE + timedelta(seconds=1))
        assert queries.state(house, case).asked == 2
        for command in (casework.Claim(actor=CHEN), casework.Pause(actor=CHEN, reason=PAPER)):
            await act(on, case, command)
        await on.sleep(DAY)
        await act(on, case, casework.Resume(actor=CHEN))
        await act(on, case, casework.Note(actor=CHEN, note=PAPER))
        other = new_case_id(CaseKind.DISPUTE)
        await signal(on, case, "linked", casework.Link(to=other, how=LinkKind.LED_TO))
        await signal(on, case, "concluded", Conclusion(case=other, outcome="solved"))
        await on.sleep(2 * DAY)
        assert queries.state(house, case).status is QueryStatus.RESULT_SENT
        await queries.answers(house, case, "push-1", {"push-1-app": 1})
        await queries.answers(house, case, "pull-0", {"pull-0-app": 0})
        await on.still()
        assert house.events(case).count("supplemented") == 1
        await on.sleep(8 * DAY)
        assert queries.state(house, case).status is QueryStatus.CLOSED
        return {"query": await whole(on, case)}


async def dispute_(on: Stage) -> Histories:
    """Three claims on three ways: refused and overridden, the enterprise's own check and silence, an investigation."""
    house = on.house
    house.webhooks.answers = {"push-0": disputes.detail(1), "push-1": disputes.own_check}
    house.webhooks.failing_once["push-0"] = DOWN
    async with house.working():
        case = await disputes.open_dispute(house, "push-0-app", "push-1-app", "pull-0-app")
        await on.sleep(5 * MINUTE + timedelta(seconds=1))
        await claims(on, case, push_0_app="choosing", push_1_app="own_check", pull_0_app="asking_detail")
        await disputes.act(house, case, casework.Claim(actor=CHEN))
        await disputes.act(house, case, casework.Pause(actor=CHEN, reason=PAPER))
        await on.sleep(DAY)
        await disputes.act(house, case, casework.Resume(actor=CHEN))
        asked = disputes.state(house, case).question_of(disputes.state(house, case).claims["push-1-app"])
        found = question.Detail(accounts={"push-1-app": (question.Account(ref="a0", own=False),)})
        answering = question.Answering(question=asked.id, party="push-1", answer=found)
        await disputes.taken(house, case, "answer", answering)

        await disputes.taken(house, case, "choose", disputes.choice(push_0_app={"a0": "unbind"}))
        await on.still()
        await disputes.answer(house, case, "push-0-app", "rejected", reason="out_of_scope")
        await disputes.taken(house, case, "unsolved", dispute.Unsolved(app="push-0-app"))
        override = casework.Propose(actor=CHEN, what=DecisionKind.OVERRIDE, about="push-0-app", reason=PAPER)
        for command in (override, casework.Reject(actor=LIN), override, casework.Approve(actor=LIN)):
            await disputes.act(house, case, command)
        await on.still()
        await disputes.answer(house, case, "push-0-app", "unbound", part=1)
        await claims(on, case, push_0_app="done", push_1_app="choosing", pull_0_app="asking_detail")

        await on.sleep(3 * DAY + HOUR)
        assert disputes.told(house, case)[-1] == "dispute_remind"
        await on.sleep(2 * DAY)
        await claims(on, case, push_0_app="done", push_1_app="choosing", pull_0_app="with_case_worker")
        other = new_case_id(CaseKind.INVESTIGATION)
        await signal(on, case, "linked", casework.Link(to=other, how=LinkKind.LED_TO))
        await on.sleep(2 * DAY)
        await on.sleep(7 * DAY)
        await claims(on, case, push_0_app="done", push_1_app="lapsed", pull_0_app="investigating")
        await signal(on, case, "concluded", Conclusion(case=other, outcome="citizen_right"))
        await disputes.closed(house, case)

        await disputes.taken(house, case, "take_up", dispute.TakeUp())
        await disputes.taken(house, case, "choose", disputes.choice(push_1_app={"a0": "unbind"}))
        await disputes.taken(house, case, "withdraw", dispute.Withdraw())
        await disputes.closed(house, case)
        await disputes.answer(house, case, "push-0-app", "rejected", part=1, reason="data_incomplete", amends=1)
        await claims(on, case, push_0_app="hotline", push_1_app="withdrawn", pull_0_app="settled")
        await disputes.taken(house, case, "unsolved", dispute.Unsolved(app="push-0-app"))
        solved = dispute.Settle(actor=CHEN, app="push-0-app", settlement=Settlement.SOLVED, reason=PAPER)
        await disputes.taken(house, case, "settle", solved)
        await disputes.closed(house, case)
        for _ in range(3):
            await on.sleep(15 * DAY)
        assert disputes.state(house, case).status is DisputeStatus.CLOSED
        return {"dispute": await whole(on, case)}


async def number_(on: Stage) -> Histories:
    """Out of order, announced to one that is down, unbound in one go, released after a late answer; a second life."""
    house, line = on.house, Line(on.house)
    house.webhooks.failing_once["push-1"] = DOWN
    async with house.working():
        await line.report("suspension", line.began - 20 * DAY)
        await line.report("activation", line.began - 400 * DAY)
        await line.report("cancellation")
        await line.report("freeze")
        await on.still()
        assert line.state.announcement is not None
        await on.sleep(DAY)
        assert line.state.announcement is None
        await until(on, line.began + 7 * DAY + MINUTE)
        part = f"{line.case}-unbind-0"
        assert "noticed" in house.events(part)
        await line.answer("push-0", "unbound")
        await line.answer("pull-0", "kept", reason="holder_confirmed")
        await until(on, line.began + 11 * DAY + HOUR)
        await until(on, line.began + 12 * DAY + HOUR)
        assert "batch_reported" in line.events
        assert (await line.refused()).startswith("freeze_not_over")
        await until(on, line.began + 91 * DAY)
        assert (await line.refused()).startswith("items_unreported")
        await line.answer("push-1", "not_found")
        assert (await line.release()).released_at
        await line.report("reissue", await on.get_current_time())
        assert line.status is NumberStatus.REISSUED

        await act(on, line.case, casework.Note(actor=CHEN, note=PAPER))
        await signal(on, line.case, "linked", casework.Link(to=new_case_id(CaseKind.QUERY), how=LinkKind.LED_TO))
        cancelled = await on.get_current_time()
        house.centre.failing = NOBODY
        await line.report("cancellation", cancelled)
        await house.desk.say(line.case, "override", number.Override(actor=WU, reason=PAPER), Done)
        await on.sleep(7 * DAY + MINUTE)
        assert line.items(1)
        await line.report("activation", cancelled + DAY)
        await on.still()
        assert "batch_withdrawn" in line.events and "not_told" in line.events
        return {"number": await on.history(line.case)}


async def investigation(on: Stage) -> Histories:
    """From a dispute that waits for it; one party down at first, one silent; paused, overdue, decided, decided again."""
    house = on.house
    house.webhooks.answers = {"push-0": lambda _asked: {"type": "declined", "reason": "out_of_scope"}}
    async with house.working():
        origin = await disputes.open_dispute(house, "push-0-app")
        await on.still()
        await disputes.taken(house, origin, "unsolved", dispute.Unsolved(app="push-0-app"))
        house.webhooks.answers = {"push-0": investigations.says("unbound on 2 March", "doc-17")}
        house.webhooks.failing_once["push-0"] = DOWN
        case = await investigations.investigate(house, origin)
        await on.sleep(MINUTE)
        assert investigations.tasks(house, case) == {"push-0": "answered", "pull-0": "asked"}
        await claims(on, origin, push_0_app="investigating")
        await act(on, case, casework.Claim(actor=CHEN))
        await act(on, case, casework.Pause(actor=CHEN, reason=PAPER))
        await on.sleep(DAY)
        await act(on, case, casework.Resume(actor=CHEN))
        await on.sleep(7 * DAY)
        assert investigations.tasks(house, case) == {"push-0": "answered", "pull-0": "overdue"}
        await on.sleep(9 * DAY)
        assert investigations.state(house, case).status is InvestigationStatus.OVERDUE
        late = await investigations.evidence(house, case)
        assert (await investigations.answers(house, case, "pull-0", late)).changed
        await act(on, case, investigations.conclude())
        await act(on, case, casework.Reject(actor=LIN))
        await investigations.decided(house, case)
        await disputes.closed(house, origin)
        await on.sleep(DAY)
        await act(on, case, casework.Reopen(actor=LIN, reason=PAPER))
        await signal(on, case, "linked", casework.Link(to=new_case_id(CaseKind.COMPLAINT), how=LinkKind.LED_TO))
        await investigations.decided(house, case, Result.ENTERPRISE_RIGHT)
        await on.sleep(29 * DAY)
        await on.sleep(2 * DAY)
        return {"investigation": await whole(on, case)}


async def complaint(on: Stage) -> Histories:
    """About a case that has ended; to a dispute, from there to an investigation; reopened, and refused by two people."""
    house = on.house
    async with house.working():
        about = await queries.opened(house)
        await queries.act(house, about, casework.Merge(actor=CHEN, into=new_case_id(CaseKind.QUERY)))
        case = await complaints.complain(house, ComplaintKind.STILL_BOUND, about)
        await on.still()
        first = await complaints.followed(house, case, Way.DISPUTE)
        await complaints.route(house, case, Way.INVESTIGATION)
        await on.still()
        second = await complaints.followed(house, case, Way.INVESTIGATION, 2)
        await disputes.taken(house, first, "withdraw", dispute.Withdraw())
        await on.still()
        assert complaints.state(house, case).follow_ups[0].outcome == "withdrawn"
        await on.sleep(7 * DAY + HOUR)
        await investigations.decided(house, second)
        await complaints.closed(house, case)
        await on.sleep(DAY)
        await act(on, case, casework.Reopen(actor=CHEN, reason=PAPER))
        await signal(on, case, "linked", casework.Link(to=new_case_id(CaseKind.QUERY), how=LinkKind.LED_TO))
        await complaints.route(house, case, Way.INVESTIGATION)
        await on.still()
        third = await complaints.followed(house, case, Way.INVESTIGATION, 3)
        await act(on, third, casework.Merge(actor=CHEN, into=new_case_id(CaseKind.INVESTIGATION)))
        await on.still()
        assert complaints.state(house, case).status is ComplaintStatus.TAKEN
        await act(on, case, casework.Claim(actor=CHEN))
        await act(on, case, casework.Propose(actor=CHEN, what=DecisionKind.REFUSE, reason=PAPER))
        await act(on, case, casework.Approve(actor=LIN))
        await complaints.closed(house, case)
        await on.sleep(29 * DAY + HOUR)
        await on.sleep(DAY)
        return {
            "complaint": await whole(on, case),
            "dispute-complaint": await on.history(first),
            "investigation-merged": await on.history(third),
        }


async def redelivery(on: Stage) -> Histories:
    """A message again: its partner asks for patience, is down, and takes it."""
    house = on.house
    async with house.working():
        await house.renew(apps=["push-0-app"])
        await on.still()
        house.webhooks.failing_once["push-0"] = Unavailable("http_429", "later", retry_after=90)
        again = (await redeliveries.replay(house, "push-0", "redelivery-1", None)).id
        await on.still()
        house.webhooks.failing_once["push-0"] = DOWN
        await on.sleep(2 * MINUTE)
        await on.sleep(2 * MINUTE)
        assert house.webhooks.told("push-0") == 2 * ["work_items.requested"]
        return {"redelivery": await whole(on, again)}


async def continued(on: Stage) -> Histories:
    """What a dispute, a number and its unbind request do when their histories have grown long, and after that."""
    house, line = on.house, Line(on.house)
    house.webhooks.answers = {"push-0": disputes.detail(1)}
    async with house.working():
        case = await disputes.open_dispute(house, "push-0-app")
        phone = (await line.report("activation", line.began - 300 * DAY)).case
        await line.report("cancellation", line.began - 100 * DAY)
        await on.still()
        part = f"{phone}-unbind-0"
        first = {workflow: await on.run(workflow) for workflow in (case, phone, part)}
        await disputes.taken(house, case, "choose", disputes.choice(push_0_app={"a0": "unbind"}))
        await line.answer("push-0", "unbound")
        outcomes, versions = itertools.cycle(("cancelled", "unbound")), itertools.count(1)
        note = Act(command=casework.Note(actor=CHEN, note=PAPER))
        await renewed(on, case, lambda: house.desk.say(case, "act", note, Done))
        await renewed(on, phone, lambda: house.desk.say(phone, "act", note, Done))
        await renewed(on, part, lambda: line.answer("push-0", next(outcomes), amends=next(versions)))
        await disputes.answer(house, case, "push-0-app", "rejected", reason="out_of_scope")
        await claims(on, case, push_0_app="hotline")
        await disputes.taken(house, case, "withdraw", dispute.Withdraw())
        await disputes.closed(house, case, DisputeStatus.WITHDRAWN)
        await line.answer("push-1", "unbound")
        await line.answer("pull-0", "cancelled")
        await on.still()
        assert line.status is NumberStatus.BATCH_RENEWED and (await line.release()).released_at
        kept: Histories = {}
        for label, workflow in {"dispute": case, "number": phone, "unbind": part}.items():
            kept[f"{label}-long"] = await on.history(workflow, first[workflow])
            kept[f"{label}-continued"] = await on.history(workflow)
            ended = kept[f"{label}-long"].events[-1].workflow_execution_continued_as_new_event_attributes
            assert ended.new_execution_run_id == await on.run(workflow), "there are two histories of each, no more"
        return kept


LONG = 60
"""Events after which the real server suggests a fresh history."""


async def renewed(on: Stage, workflow: str, step: Callable[[], Awaitable[object]]) -> None:
    """Do a step until a workflow has a fresh history."""
    before = await on.run(workflow)
    for _ in range(LONG):
        await step()
        await on.still()
        if await on.run(workflow) != before:
            return
    raise AssertionError(f"{workflow} goes on with one long history")


# ── what all scenes do ───────────────────────────────────────────────────────────────────────────────


async def act(on: Stage, case: str, command: Any) -> None:
    """Case work that is taken."""
    done = await on.house.desk.say(case, "act", Act(command=command), Done)
    assert done.refusal is None and done.changed, done


async def signal(on: Stage, case: str, name: str, message: Any) -> None:
    """A word from another case."""
    await on.house.client.get_workflow_handle(case).signal(name, message)


async def claims(on: Stage, case: str, **wanted: str) -> None:
    """Where a dispute's claims stand once everything rests: `push_0_app="choosing"`."""
    await on.still()
    there = disputes.states(on.house, case)
    assert there == {app.replace("_", "-"): state for app, state in wanted.items()}, there


async def whole(on: Stage, case: str) -> WorkflowHistory:
    """The history of a workflow that is over."""
    history = await on.history(case)
    assert history.events[-1].event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, case
    return history


async def until(on: Stage, moment: datetime) -> None:
    """Let the clock run until then."""
    await on.sleep(moment - await on.get_current_time())


# ── all of them ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Scene:
    """What is played, and on which stage."""

    play: Callable[[Stage], Awaitable[Histories]]
    on: Callable[[Path], AbstractAsyncContextManager[Stage]] = stage

    async def live(self, folder: Path) -> Histories:
        """The histories it leaves."""
        async with self.on(folder) as here:
            return await self.play(here)


SCENES: Mapping[str, Scene] = {
    "renewal": Scene(renewal),
    "unbind": Scene(unbind_),
    "identity": Scene(identity),
    "query": Scene(query),
    "dispute": Scene(dispute_),
    "number": Scene(number_),
    "investigation": Scene(investigation),
    "complaint": Scene(complaint),
    "redelivery": Scene(redelivery),
    "continued": Scene(continued, on=lambda folder: real_stage(folder, long=LONG)),
}
"""A scene per kind, and one for what only the real server does."""
