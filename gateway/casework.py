"""Doors for case workers: everything that can be done with a case, in bulk too, and its story.

Every action is an update on the case's workflow, decided by the domain, in the ledger with who did it. What people
write goes into the vault as papers before the workflow hears of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from domain import casework, story
from domain.access import Scope
from domain.case import Actor, ActorKind, CaseId, CaseKind, LinkKind, kind_of
from domain.casework import DecisionKind, Waiting, WorkCommand, WorkerCode
from domain.refusal import Refusal, RefusalCode
from gateway import versions
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.desk import CaseEnded, EngineBusy
from gateway.problems import Problem, ProblemError, fail, of_refusal
from gateway.renewals import CaseInPath, busy
from gateway.services import Services
from store import papers, views
from store.vault import NotInVault
from store.views import CaseView, case_view
from workflows.messages import Act, Done

router = APIRouter(prefix="/v1", tags=["case work"])

MOST_CASES = 200
"""Cases in one bulk action."""

AT_ONCE = 8
Words = Annotated[str, Field(min_length=1, max_length=2000)]


class _Action(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Plain(_Action):
    """Take a case on, give it back, let its clock go on, approve or reject what somebody else decided."""

    action: Literal["claim", "release", "resume", "approve", "reject"]


class Assign(_Action):
    """Give a case to somebody (supervisors)."""

    action: Literal["assign"]
    to: WorkerCode


class Note(_Action):
    """Write something down; attachments by reference (an id in your document store)."""

    action: Literal["note"]
    text: Words
    attachments: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(default=[], max_length=20)


class WithReason(_Action):
    """Stop the clock, escalate to a supervisor, reopen a closed case."""

    action: Literal["pause", "escalate", "reopen"]
    reason: Words


class Extend(_Action):
    """Move the deadline (ISO 8601 duration, at most 15 days)."""

    action: Literal["extend"]
    by: timedelta
    reason: Words


class Merge(_Action):
    """Close the case in favour of one that says the same."""

    action: Literal["merge"]
    into: CaseId


class Propose(_Action):
    """Decide; takes effect when a second person approves. `about` is an app's code, or a result word."""

    action: Literal["propose"]
    decision: DecisionKind
    about: str = Field("", max_length=60, pattern=r"^[a-z0-9_-]*$")
    reason: Words


Action = Annotated[Plain | Assign | Note | WithReason | Extend | Merge | Propose, Field(discriminator="action")]

PLAIN: Mapping[str, Callable[..., WorkCommand]] = {
    "claim": casework.Claim,
    "release": casework.Release,
    "resume": casework.Resume,
    "approve": casework.Approve,
    "reject": casework.Reject,
}
WITH_REASON: Mapping[str, Callable[..., WorkCommand]] = {
    "pause": casework.Pause,
    "escalate": casework.HandUp,
    "reopen": casework.Reopen,
}


class Acted(BaseModel):
    """Where the case stands after the action; `changed` is false for a repetition."""

    case: str
    status: str
    changed: bool


class Bulk(_Action):
    """One action on many cases."""

    cases: list[CaseId] = Field(min_length=1, max_length=MOST_CASES)
    action: Action


class NotDone(BaseModel):
    """A case the action was not done on, and why."""

    case: str
    problem: Problem


class BulkDone(BaseModel):
    """`38 of 40 done, these 2 not, because`."""

    of: int
    done: int
    not_done: list[NotDone]


class Line(BaseModel):
    """One thing that happened."""

    at: AwareDatetime
    who: str
    what: str
    note: str = Field("", description="What a case worker wrote; empty once the person is forgotten")


class Story(BaseModel):
    """A case as a readable story, and what is next."""

    case: str
    kind: CaseKind
    status: str
    number: str
    opened_at: AwareDatetime
    waiting: Waiting
    assignee: str
    due_at: AwareDatetime | None
    paused: bool
    escalated: bool
    links: list[str]
    proposal: str = Field("", description="A decision that waits for a second person, and whose it is")
    next: str
    next_at: AwareDatetime | None
    lines: list[Line]


@router.get("/cases/{case}", response_model=Story, responses=versions.RESPONSES)
async def show_case(
    case: CaseInPath,
    staff: Annotated[Caller, may(Scope.DESK_READ)],
    services: Using,
    response: Response,
    if_none_match: versions.IfNoneMatch = "",
) -> Story | Response:
    """Any case as a story: who did what and when, what is next and when."""
    found = await services.database.read(lambda c: read(c, services, case))
    if found is None:
        raise unknown(case)
    view, notes, version = found
    response.headers["etag"] = versions.etag(version)
    return versions.unchanged(if_none_match, version) or told(view, notes)


@router.post("/cases/{case}/act")
async def act(
    case: CaseInPath,
    action: Action,
    staff: Annotated[Caller, may(Scope.DESK_ACT)],
    services: Using,
    if_match: versions.IfMatch = "",
) -> Acted:
    """One action on one case. With `If-Match`, only if the case is still as you read it."""
    done = await _act(services, staff, case, action, if_match)
    return Acted(case=case, status=done.status, changed=done.changed)


@router.post("/cases/act")
async def act_on_many(body: Bulk, staff: Annotated[Caller, may(Scope.DESK_ACT)], services: Using) -> BulkDone:
    """One action on many cases; each is decided on its own."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(case: str) -> NotDone | None:
        async with room:
            try:
                await _act(services, staff, case, body.action)
            except ProblemError as error:
                return NotDone(case=case, problem=error.problem)
            return None

    wanted = list(dict.fromkeys(body.cases))
    failed = [one for one in await asyncio.gather(*(one(case) for case in wanted)) if one]
    return BulkDone(of=len(wanted), done=len(wanted) - len(failed), not_done=failed)


async def _act(services: Services, staff: Caller, case: str, action: Action, if_match: str = "") -> Done:
    """Put away what was written, then let the workflow decide."""
    if kind_of(case) in (CaseKind.UNBIND, CaseKind.IDENTITY):
        raise fail(409, "no_case_work", f"There is no case work on {case}.", "Act on the case it belongs to.", "case")
    if await services.database.read(lambda c: case_view(c, case)) is None:
        raise unknown(case)
    expected = await versions.expected(services, case, if_match)
    if isinstance(action, Merge):
        await _link(services, case, action.into)
    try:
        command = await services.database.write(lambda c: _command(c, services, case, action, actor_of(staff)))
    except NotInVault:
        raise fail(410, "forgotten", "The person of this case is forgotten.", "Open a new case.", "case") from None
    return await say(services, case, "act", Act(command=command, expected=expected))


async def say(services: Services, case: str, update: str, order: Any) -> Done:
    """An update to a case's workflow; its refusals as problems."""
    try:
        done = await services.desk.say(case, update, order, Done)
    except EngineBusy:
        raise busy() from None
    except CaseEnded:
        raise fail(
            409, "case_closed", "The case has ended for good.", "Open a new one that names it.", "case"
        ) from None
    if done.refusal:
        changed = done.refusal.code is RefusalCode.CHANGED_MEANWHILE
        raise ProblemError(of_refusal(done.refusal), etag=await versions.current(services, case) if changed else "")
    return done


async def _link(services: Services, case: str, into: str) -> None:
    """The other case learns of the merger first, so that no case is ever merged into one that does not know."""
    if into == case or kind_of(into) is not kind_of(case):
        return  # the domain refuses it, in its own words
    if await services.database.read(lambda c: case_view(c, into)) is None:
        raise ProblemError(
            of_refusal(
                Refusal(
                    code=RefusalCode.CANNOT_MERGE,
                    field="into",
                    sentence=f"There is no case {into}.",
                    remedy="Check the reference.",
                )
            )
        )
    await say(services, into, "act", Act(command=casework.Link(to=case, how=LinkKind.MERGED_FROM)))


def _command(connection: Connection, services: Services, case: str, action: Action, actor: Actor) -> WorkCommand:
    def paper(text: str) -> str:
        return papers.put(connection, services.keys, case, text)

    match action:
        case Plain():
            return PLAIN[action.action](actor=actor)
        case WithReason():
            return WITH_REASON[action.action](actor=actor, reason=paper(action.reason))
        case Assign():
            return casework.Assign(actor=actor, to=action.to)
        case Note():
            attachments = tuple(paper(one) for one in action.attachments)
            return casework.Note(actor=actor, note=paper(action.text), attachments=attachments)
        case Extend():
            return casework.Extend(actor=actor, by=action.by, reason=paper(action.reason))
        case Merge():
            return casework.Merge(actor=actor, into=action.into)
        case Propose():
            return casework.Propose(
                actor=actor, what=action.decision, about=action.about, reason=paper(action.reason)
            )


def actor_of(staff: Caller) -> Actor:
    """A case worker or a supervisor as the ledger names them."""
    return Actor(kind=ActorKind(staff.role.value), code=staff.code)


def read(connection: Connection, services: Services, case: str) -> tuple[CaseView, dict[str, str], str] | None:
    """A case, what was written in its course, and which version of it that is."""
    view, version = case_view(connection, case), views.version(connection, case)
    return (view, _notes(connection, services, view), version) if view and version else None


def _notes(connection: Connection, services: Services, view: CaseView) -> dict[str, str]:
    """What case workers wrote in the course of the case; nothing once its person is forgotten."""
    found = {}
    for event in view.events:
        for paper in story.readable(event):
            try:
                found[paper] = papers.get(connection, services.keys, view.case, paper)
            except (NotInVault, KeyError):
                continue
    return found


def told(view: CaseView, notes: Mapping[str, str], say: story.Say = story.in_english) -> Story:
    """A case as a story, in the language of `say`."""
    standing = view.standing
    next_, next_at = story.next_step(view.kind, view.state, say)
    work = standing.work if standing else casework.Work()
    return Story(
        case=view.case,
        kind=view.kind,
        status=view.state.status.value,
        number=getattr(view.state, "masked_number", getattr(view.state, "number", "")),
        opened_at=view.events[0].at,
        waiting=standing.waiting if standing else Waiting.NOBODY,
        assignee=work.assignee,
        due_at=work.due_at,
        paused=work.paused_at is not None,
        escalated=work.escalated_at is not None,
        links=list(work.links),
        proposal=f"{work.proposal.what.value} {work.proposal.about} by {work.proposal.by}" if work.proposal else "",
        next=next_,
        next_at=next_at,
        lines=[
            Line(
                at=event.at,
                who=story.who(event.actor, say),
                what=story.tell(view.kind, event, say),
                note=" / ".join(notes[paper] for paper in story.readable(event) if paper in notes),
            )
            for event in view.events
        ],
    )


def unknown(case: str) -> ProblemError:
    """No such case."""
    return fail(404, "unknown_case", f"There is no case {case}.", "Check the reference.", "case")
