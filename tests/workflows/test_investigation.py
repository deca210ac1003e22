"""`InvestigationWorkflow`: two parties and two people, the silent one, the appeal at day fifteen, linked both ways."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

import pytest
from sqlalchemy import select
from temporalio.testing import WorkflowEnvironment

from activities.contracts import AskParties
from activities.parties import Parties
from activities.ports import Unavailable
from activities.records import Records
from domain import casework, investigation
from domain.case import Actor, ActorKind, CaseKind, LinkKind, kind_of
from domain.investigation import InvestigationStatus, Result
from domain.query import QueryStatus
from domain.question import Answer, Answering, Declined, DeclineReason, Evidence, Heard
from domain.refusal import Refusal, RefusalCode
from gateway.intake import Admitted, Opening
from store import papers, projection
from store.ids import new_case_id, new_paper_id
from store.ledger import Append, parse, read
from store.tables import worklist
from store.vault import Person
from tests.house import DAY, NUMBER, TAIL, House
from tests.support import eventually
from tests.workflows import test_query as queries
from workflows.investigation import InvestigationWorkflow
from workflows.messages import Act, Done

HOUR = timedelta(hours=1)
CHEN = Actor(kind=ActorKind.CASE_WORKER, code="worker-chen")
LIN = Actor(kind=ActorKind.CASE_WORKER, code="worker-lin")
PAPER = "P0123456789AB"
QUESTION = "When was it unbound, and on whose request?"
TWO: Mapping[str, list[str]] = {"push-0": [], "pull-0": []}
NO = Declined(reason=DeclineReason.LEGAL_HOLD)
EVERY_TEXT = ["investigation_opened", "investigation_appeal", "investigation_decided"]


def says(statement: str, *attachments: str) -> Any:
    """A party that gives evidence at once."""
    return lambda asked: {"type": "evidence", "statement": statement, "attachments": list(attachments)}


async def investigate(
    house: House, origin: str | None = None, wanted: Mapping[str, list[str]] = TWO, at: datetime | None = None
) -> str:
    """An investigation as the gateway opens it."""
    case, text = new_case_id(CaseKind.INVESTIGATION), new_paper_id()
    parties = investigation.parties_of(wanted, house.registry)
    assert not isinstance(parties, Refusal), parties
    first = investigation.opened(
        case=case,
        opened_from=origin,
        masked_number=NUMBER.mask(),
        text=text,
        text_for_parties=True,
        parties=parties,
        policy=house.registry.investigation,
        at=at or datetime.now(UTC),
        actor=CHEN,
    )
    admitted = await house.intake.open(
        Opening(
            partner="worker-chen",
            key=case,
            wording=case,
            kind=CaseKind.INVESTIGATION,
            case=case,
            first=first,
            person=Person(NUMBER, TAIL),
            papers={text: QUESTION},
        )
    )
    assert isinstance(admitted, Admitted), admitted
    return case


def any_state(house: House, case: str) -> Any:
    """The read model of a case of any kind."""
    return house.database.read_now(lambda c: projection.load_state(c, kind_of(case), case))


def state(house: House, case: str) -> investigation.State:
    found: investigation.State = any_state(house, case)
    return found


def links(house: House, case: str) -> list[tuple[str, str]]:
    """Which other cases a case's ledger names, and why."""
    events = parse(house.database.read_now(lambda c: read(c, case)))
    return [(event.to, event.how.value) for event in events if event.type == "linked"]


def tasks(house: House, case: str) -> dict[str, str]:
    return {party: task.state.value for party, task in state(house, case).tasks.items()}


def told(house: House, case: str) -> list[str]:
    """What the citizen was told, in order."""
    return [
        event.message for event in parse(house.database.read_now(lambda c: read(c, case))) if event.type == "told"
    ]


async def reached(house: House, case: str, status: InvestigationStatus) -> None:
    await eventually(lambda: state(house, case).status is status)


async def asked(house: House, case: str) -> None:
    """Everybody was asked, reached or not."""
    await eventually(lambda: all(task.question for task in state(house, case).tasks.values()))


async def act(house: House, case: str, command: Any) -> Done:
    return await house.desk.say(case, "act", Act(command=command), Done)


async def refused(house: House, case: str, command: Any) -> Refusal:
    done = await act(house, case, command)
    assert done.refusal is not None and not done.changed
    return done.refusal


async def answers(house: House, case: str, party: str, answer: Answer) -> Done:
    """A party answers through its door."""
    question = state(house, case).tasks[party].question
    assert question is not None
    return await house.desk.say(case, "answer", Answering(question=question, party=party, answer=answer), Done)


async def evidence(house: House, case: str, statement: str = "late but true") -> Evidence:
    """What a party's door makes of a statement."""
    return Evidence(statement=await house.database.write(lambda c: papers.put(c, house.keys, case, statement)))


def conclude(about: str = Result.CITIZEN_RIGHT, by: Actor = CHEN) -> casework.Propose:
    return casework.Propose(actor=by, what=casework.DecisionKind.CONCLUDE, about=about, reason=PAPER)


async def decided(house: House, case: str, about: str = Result.CITIZEN_RIGHT) -> None:
    """Two people state the result."""
    for command in (casework.Claim(actor=CHEN), conclude(about), casework.Approve(actor=LIN)):
        done = await act(house, case, command)
        assert done.refusal is None, done.refusal
    await reached(house, case, InvestigationStatus.CLOSED)


async def over(house: House, case: str, skipping: WorkflowEnvironment) -> investigation.State:
    """The workflow's last word, thirty days after the close."""
    await skipping.sleep(31 * DAY)
    return await house.client.get_workflow_handle_for(InvestigationWorkflow.run, case).result()


async def test_two_parties_one_of_them_silent_and_two_people(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.answers = {"push-0": says("unbound on 2 March", "doc-17", "doc-18")}
    async with house.working():
        origin = (await house.renew()).id
        case = await investigate(house, origin)
        await eventually(lambda: tasks(house, case) == {"push-0": "answered", "pull-0": "asked"})
        (question,) = [
            body["data"]["questions"][0] for _, _, body in house.webhooks.posts if body["type"] == "questions.asked"
        ]
        assert (question["kind"], question["text"], question["apps"]) == ("evidence", QUESTION, ["push-0-app"])
        assert house.webhooks.told("pull-0") == [], "who pulls finds it in its list"

        assert (await refused(house, case, conclude())).code is RefusalCode.NOT_CLAIMED
        await act(house, case, casework.Claim(actor=CHEN))
        too_early = await refused(house, case, conclude())
        assert too_early.code is RefusalCode.NOT_YOUR_TURN and "pull-0" in too_early.sentence

        await skipping.sleep(7 * DAY + HOUR)
        await eventually(lambda: tasks(house, case) == {"push-0": "answered", "pull-0": "overdue"})
        unknown = await refused(house, case, conclude("guilty"))
        assert (unknown.code, unknown.field) == (RefusalCode.MALFORMED, "about")
        assert (await act(house, case, conclude())).changed
        assert (await answers(house, case, "pull-0", await evidence(house, case))).changed, "late, and still counts"
        assert (await refused(house, case, casework.Approve(actor=CHEN))).code is RefusalCode.SAME_PERSON
        assert (await act(house, case, casework.Approve(actor=LIN))).changed

        await reached(house, case, InvestigationStatus.CLOSED)
        assert state(house, case).result is Result.CITIZEN_RIGHT
        assert told(house, case) == ["investigation_opened", "investigation_decided"]
        assert "支持您的主张" in house.centre.texts[-1] and case in house.centre.texts[-1]
        assert links(house, origin) == [(case, LinkKind.LED_TO)]
        assert state(house, case).work.links == (origin,)

        late = await answers(house, case, "pull-0", NO)
        assert late.refusal and late.refusal.code is RefusalCode.ALREADY_ANSWERED
        assert (await over(house, case, skipping)).status is InvestigationStatus.CLOSED
    untold = [kind for kind in house.events(case) if kind != "told"]
    before = ["opened", "questions_put", "heard", "claimed", "evidence_overdue", "proposed", "party_answered"]
    assert untold == [*before, "approved", "decided", "closed"]
    house.verify()


async def test_the_appeal_at_day_fifteen(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.answers = {"push-0": says("unbound on 2 March")}
    async with house.working():
        case = await investigate(house)
        await asked(house, case)
        assert (await answers(house, case, "pull-0", NO)).changed
        assert tasks(house, case) == {"push-0": "answered", "pull-0": "declined"}
        await skipping.sleep(15 * DAY - HOUR)
        assert state(house, case).status is InvestigationStatus.OPEN
        await skipping.sleep(2 * HOUR)
        await reached(house, case, InvestigationStatus.OVERDUE)
        row = house.database.read_now(lambda c: c.execute(select(worklist)).one())
        assert (row.status, row.waiting, row.open) == ("overdue", "case_worker", True)
        await eventually(lambda: told(house, case) == EVERY_TEXT[:2])
        assert "申诉" in house.centre.texts[1] and "30日" in house.centre.texts[1]

        await skipping.sleep(10 * DAY)
        await decided(house, case, Result.INCONCLUSIVE)
        assert told(house, case) == EVERY_TEXT, "and it can still be decided"
    house.verify()


async def test_a_pause_moves_the_deadline(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.answers = {"push-0": says("nothing")}
    async with house.working():
        case = await investigate(house, wanted={"push-0": []})
        await eventually(lambda: tasks(house, case) == {"push-0": "answered"})
        due = state(house, case).work.due_at
        await act(house, case, casework.Pause(actor=CHEN, reason=PAPER))
        await skipping.sleep(20 * DAY)
        assert state(house, case).status is InvestigationStatus.OPEN, "the clock stands"
        await act(house, case, casework.Resume(actor=CHEN))
        moved = state(house, case).work.due_at
        assert due and moved and timedelta(0) <= moved - due - 20 * DAY < HOUR
        await skipping.sleep(14 * DAY)
        assert state(house, case).status is InvestigationStatus.OPEN
        await act(house, case, casework.Extend(actor=CHEN, by=2 * DAY, reason=PAPER))
        await skipping.sleep(2 * DAY)
        assert state(house, case).status is InvestigationStatus.OPEN
        await skipping.sleep(DAY + HOUR)
        await reached(house, case, InvestigationStatus.OVERDUE)
    house.verify()


async def test_only_who_is_out_of_reach_is_asked_again(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.failing["push-0"] = Unavailable("http_503", "down")
    async with house.working():
        case = await investigate(house, wanted={"push-0": [], "push-1": []})
        await asked(house, case)
        await skipping.sleep(3 * HOUR)
        await eventually(lambda: state(house, case).tasks["push-0"].failures > 5)
        assert house.webhooks.told("push-1") == ["questions.asked"]
        del house.webhooks.failing["push-0"]
        house.webhooks.answers = {"push-0": says("here I am")}
        await skipping.sleep(2 * HOUR)
        await eventually(lambda: tasks(house, case) == {"push-0": "answered", "push-1": "asked"})
        rounds = house.events(case).count("heard")

        house.webhooks.failing["push-1"] = Unavailable("http_503", "down")
        await skipping.sleep(7 * DAY)
        await eventually(lambda: tasks(house, case)["push-1"] == "overdue")
        assert house.events(case).count("heard") == rounds, "who was reached is left alone"
    house.verify()


async def test_out_of_reach_for_a_week_is_a_case_workers(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.failing["push-0"] = Unavailable("http_503", "down")
    async with house.working():
        case = await investigate(house, wanted={"push-0": []})
        await asked(house, case)
        for _ in range(7):
            await skipping.sleep(DAY)
        await skipping.sleep(HOUR)
        await eventually(lambda: tasks(house, case) == {"push-0": "overdue"})
        rounds = house.events(case).count("heard")
        await skipping.sleep(3 * DAY)
        assert house.events(case).count("heard") == rounds
        await decided(house, case, Result.INCONCLUSIVE)
    house.verify()


async def test_reopened_and_decided_again(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.answers = {"push-0": says("nothing")}
    async with house.working():
        case = await investigate(house, wanted={"push-0": []})
        await eventually(lambda: tasks(house, case) == {"push-0": "answered"})
        await decided(house, case, Result.ENTERPRISE_RIGHT)
        await skipping.sleep(29 * DAY)
        assert (await act(house, case, casework.Reopen(actor=LIN, reason=PAPER))).status == "open"
        await skipping.sleep(2 * DAY)
        assert state(house, case).status is InvestigationStatus.OPEN, "its fifteen days begin anew"
        await decided(house, case, Result.CITIZEN_RIGHT)
        assert told(house, case).count("investigation_decided") == 2
        assert "企业处理无误" in house.centre.texts[1] and "支持您的主张" in house.centre.texts[2]
        assert (await over(house, case, skipping)).result is Result.CITIZEN_RIGHT
    house.verify()


async def test_a_case_that_has_ended_is_linked_in_its_ledger(house: House, skipping: WorkflowEnvironment) -> None:
    """Nobody is there to be signalled: the link is not lost."""
    house.webhooks.answers = {"push-0": queries.says(2), "push-1": queries.says(1), "pull-0": queries.says(1)}
    async with house.working():
        origin = await queries.opened(house)
        await skipping.sleep(10 * DAY)
        await queries.until(house, origin, QueryStatus.CLOSED)
        await house.client.get_workflow_handle(origin).result()
        case = await investigate(house, origin, at=await skipping.get_current_time())
        await eventually(lambda: links(house, origin) == [(case, LinkKind.LED_TO)])
        assert any_state(house, origin).work.links == (case,)
        await asked(house, case)
    house.verify()


async def test_a_running_case_of_any_kind_is_told(house: House) -> None:
    async with house.working():
        origin = await queries.opened(house)
        case = await investigate(house, origin)
        await eventually(lambda: links(house, origin) == [(case, LinkKind.LED_TO)])
        await asked(house, case)
    house.verify()


async def test_another_case_links_itself(house: House) -> None:
    async with house.working():
        one, other = await investigate(house), await investigate(house)
        await act(house, one, casework.Link(to=other, how=LinkKind.MERGED_FROM))
        assert (await act(house, other, casework.Merge(actor=CHEN, into=one))).status == "closed"
        handle = house.client.get_workflow_handle_for(InvestigationWorkflow.run, other)
        await handle.signal(InvestigationWorkflow.linked, casework.Link(to=new_case_id(), how=LinkKind.LED_TO))
        await eventually(lambda: len(state(house, other).work.links) == 2)
        assert state(house, one).work.links == (other,)
        assert state(house, one).status is InvestigationStatus.OPEN
    house.verify()


async def test_evidence_that_overtakes_its_question_waits_for_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question is in the ledger before the workflow hears that it was asked."""
    real = Parties.ask_parties
    early: list[asyncio.Task[Done]] = []

    @wraps(real)  # with its activity definition
    async def slow_to_return(self: Parties, order: AskParties) -> Heard:
        heard = await real(self, order)
        early.append(asyncio.create_task(answers(house, order.case, "pull-0", NO)))
        await asyncio.sleep(0.5)
        return heard

    monkeypatch.setattr(Parties, "ask_parties", slow_to_return)
    async with house.working():
        case = await investigate(house)
        await asked(house, case)
        await eventually(lambda: early)
        assert (await early[0]).changed
        assert tasks(house, case) == {"push-0": "asked", "pull-0": "declined"}
    house.verify()


@pytest.mark.parametrize("forgotten", ["decided", "went_overdue", "closed"])
async def test_what_the_workflow_forgot_is_told_once(
    house: House, skipping: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    """The worker died after the write: it is in the ledger, and the citizen is told all the same, by the state."""
    real, lied = Records._append, []

    async def once_unknown(self: Records, order: Append) -> bool:
        same = await real(self, order)
        if any(event.type == forgotten for event in order.events) and not lied:
            lied.append(order.step)
            return False
        return same

    monkeypatch.setattr(Records, "_append", once_unknown)
    house.webhooks.answers = {"push-0": says("nothing")}
    async with house.working():
        case = await investigate(house, wanted={"push-0": []})
        await eventually(lambda: tasks(house, case) == {"push-0": "answered"})
        await skipping.sleep(15 * DAY + HOUR)
        await reached(house, case, InvestigationStatus.OVERDUE)
        await act(house, case, casework.Claim(actor=CHEN))
        await act(house, case, conclude())
        await act(house, case, casework.Approve(actor=LIN))
        await reached(house, case, InvestigationStatus.CLOSED)
        assert lied and told(house, case) == EVERY_TEXT
        assert all(house.events(case).count(kind) == 1 for kind in ("went_overdue", "decided", "closed"))
    house.verify()
