"""Read models: the domain's own fold, applied to just the rows an event touches.

`project` runs in the transaction that appends; `rebuild` and `verify` run the same code over the whole ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from domain import complaint, dispute, identity, investigation, number, query, renewal, unbind
from domain.case import CaseKind, Event, Model, root
from domain.casework import Standing
from domain.question import Questions
from store import slots
from store.tables import case_parties, cases, questions, running, work_items, worklist
from store.vault import purge_after

CURSOR_STRIDE = 10_000
"""Work items or questions one event can create; a cursor is its ledger position times this plus the item's place."""


KEPT_AFTER_CLOSE = timedelta(days=30)
"""How long personal data outlives its case (domain.md, privacy)."""

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""When a case is due that is not: after every other."""


@dataclass(frozen=True)
class Projection:
    """How one case kind is folded into rows."""

    events: TypeAdapter[Any]
    head: type[Model]
    evolve: Callable[[Any, Event], Model]
    opened_items: Callable[[Event], Mapping[str, unbind.Item]] = lambda _event: {}
    touched: Callable[[Event], tuple[str, ...]] = lambda _event: ()
    questions: Callable[[Any], Questions] = lambda _state: {}
    """Every question the case has put to a party, answered or not."""
    parties: Callable[[Any], Iterable[str]] = lambda _event: ()
    """Enterprises and carriers an event brings in; those of an unbind request belong to the case it is part of."""
    standing: Callable[[Any], Standing | None] = lambda _state: None
    """Where it stands in the case workers' queues; None for kinds without case work."""
    follows: Callable[[Connection, Any], None] = lambda _connection, _state: None
    """What else has to be so, in the same transaction."""


def _renewal_follows(connection: Connection, state: renewal.State) -> None:
    if renewal.frees_number(state.status):
        connection.execute(delete(running).where(running.c.case_id == state.case))


PROJECTIONS: Mapping[CaseKind, Projection] = {
    CaseKind.RENEWAL: Projection(
        events=TypeAdapter(renewal.RenewalEvent),
        head=renewal.State,
        evolve=renewal.evolve,
        parties=lambda event: {event.carrier} if isinstance(event, renewal.Submitted) else (),
        standing=renewal.standing,
        follows=_renewal_follows,
    ),
    CaseKind.UNBIND: Projection(
        events=TypeAdapter(unbind.UnbindEvent),
        head=unbind.Header,
        evolve=unbind.evolve_header,
        opened_items=lambda event: unbind.open_items(event) if isinstance(event, unbind.Opened) else {},
        touched=lambda event: () if isinstance(event, unbind.Opened) else unbind.touched(event),
        parties=lambda event: {one.enterprise for one in event.items} if isinstance(event, unbind.Opened) else (),
    ),
    CaseKind.IDENTITY: Projection(
        events=TypeAdapter(identity.IdentityEvent),
        head=identity.State,
        evolve=identity.evolve,
    ),
    CaseKind.QUERY: Projection(
        events=TypeAdapter(query.QueryEvent),
        head=query.State,
        evolve=query.evolve,
        questions=lambda state: state.questions,
        parties=lambda event: {one.party for one in event.apps} if isinstance(event, query.Submitted) else (),
        standing=query.standing,
        follows=slots.after_query,
    ),
    CaseKind.DISPUTE: Projection(
        events=TypeAdapter(dispute.DisputeEvent),
        head=dispute.State,
        evolve=dispute.evolve,
        questions=lambda state: state.questions,
        parties=lambda event: {one.party for one in event.claims} if isinstance(event, dispute.Opened) else (),
        standing=dispute.standing,
    ),
    CaseKind.NUMBER: Projection(
        events=TypeAdapter(number.NumberEvent),
        head=number.State,
        evolve=number.evolve,
        parties=lambda event: {event.actor.code} if isinstance(event, number.Opened | number.Reported) else (),
        standing=number.standing,
    ),
    CaseKind.INVESTIGATION: Projection(
        events=TypeAdapter(investigation.InvestigationEvent),
        head=investigation.State,
        evolve=investigation.evolve,
        questions=lambda state: state.questions,
        parties=lambda event: {one.code for one in event.parties} if isinstance(event, investigation.Opened) else (),
        standing=investigation.standing,
    ),
    CaseKind.COMPLAINT: Projection(
        events=TypeAdapter(complaint.ComplaintEvent),
        head=complaint.State,
        evolve=complaint.evolve,
        parties=lambda event: {one.code for one in event.parties} if isinstance(event, complaint.Taken) else (),
        standing=complaint.standing,
    ),
}


def project(
    connection: Connection,
    kind: CaseKind,
    case: str,
    head: Row[Any] | None,
    happened: Sequence[tuple[Mapping[str, Any], Event]],
) -> None:
    """Fold events just appended (each with its ledger row) into the case's row and its work items."""
    how = PROJECTIONS[kind]
    state: Any = how.head.model_validate_json(head.data) if head else None
    ended_before = getattr(state, "ended_at", None)
    asked: dict[str, Any] = dict(how.questions(state)) if state else {}
    before = dict(asked)
    asked_at: dict[str, int] = {}
    wanted = {item for _, event in happened for item in how.touched(event)}
    items = load_items(connection, wanted)
    cursors: dict[str, int] = {}
    for row, event in happened:
        state = how.evolve(state, event)
        asked_at.update(_new_questions(asked, how.questions(state), row["position"]))
        for place, (item_id, item) in enumerate(how.opened_items(event).items()):
            items[item_id] = item
            cursors[item_id] = row["position"] * CURSOR_STRIDE + place
        for item_id in how.touched(event):
            items[item_id] = unbind.evolve_item(items[item_id], event)
    if state is None:
        return
    last = happened[-1][0]
    values = {
        "status": state.status.value,
        "seq": last["seq"],
        "seal": last["seal"],
        "changed_at": last["at"],
        "data": state.model_dump_json(exclude_none=True),
    }
    if head:
        connection.execute(_UPDATE_CASE, {"key": case, **values})
    else:
        opened_at = happened[0][0]["at"]
        connection.execute(_INSERT_CASE, {"case_id": case, "kind": kind.value, "opened_at": opened_at, **values})
    _save_items(connection, case, items, cursors)
    _save_questions(connection, case, before, asked, asked_at)
    _save_parties(connection, root(case), {party for _, event in happened for party in how.parties(event)})
    if standing := how.standing(state):
        _save_standing(connection, case, standing_values(kind, standing, state), happened[0][0]["at"])
    how.follows(connection, state)
    ended = getattr(state, "ended_at", None)
    if ended != ended_before:
        purge_after(connection, case, ended + KEPT_AFTER_CLOSE if ended else None)


def _new_questions(asked: dict[str, Any], now: Questions, position: int) -> dict[str, int]:
    """Take over what the questions are now; the cursors of those that are new."""
    fresh = [key for key in now if key not in asked]
    asked.update(now)
    return {key: position * CURSOR_STRIDE + place for place, key in enumerate(fresh)}


def load_state(connection: Connection, kind: CaseKind, case: str) -> Any:
    """The folded state of a case (without work items). KeyError if there is no such case."""
    data = connection.execute(
        select(cases.c.data).where(cases.c.case_id == case, cases.c.kind == kind.value)
    ).scalar_one_or_none()
    if data is None:
        raise KeyError(case)
    return PROJECTIONS[kind].head.model_validate_json(data)


def load_items(connection: Connection, wanted: set[str]) -> dict[str, unbind.Item]:
    """Work items by id, those that exist."""
    if not wanted:
        return {}
    rows = connection.execute(_ITEMS, {"wanted": sorted(wanted)})
    return {row.item_id: unbind.Item.model_validate_json(row.data) for row in rows}


def item_values(item: unbind.Item) -> dict[str, Any]:
    """The columns that follow from a work item."""
    return {
        "enterprise": item.enterprise,
        "app": item.app,
        "state": item.state.value,
        "open": item.state in unbind.OPEN,
        "due_at": item.due_at,
        "opened_at": item.opened_at,
        "acknowledged_at": item.acknowledged_at,
        "answered_at": item.answered_at if item.version == 1 else None,
        "late": item.overdue_at is not None,
        "data": item.model_dump_json(exclude_none=True),
    }


def _save_items(
    connection: Connection, case: str, items: Mapping[str, unbind.Item], cursors: Mapping[str, int]
) -> None:
    fresh = [
        {"item_id": key, "case_id": case, "cursor": cursors[key], **item_values(item)}
        for key, item in items.items()
        if key in cursors
    ]
    changed = [{"key": key, **item_values(item)} for key, item in items.items() if key not in cursors]
    if fresh:
        connection.execute(_INSERT_ITEM, fresh)
    if changed:
        connection.execute(_UPDATE_ITEM, changed)


def question_values(question: Any) -> dict[str, Any]:
    """The columns that follow from a question."""
    return {
        "kind": question.kind.value,
        "party": question.party,
        "open": question.open,
        "due_at": question.due_at,
        "asked_at": question.asked_at,
        "answered_at": question.answered_at,
        "data": question.model_dump_json(exclude_none=True),
    }


def _save_questions(
    connection: Connection, case: str, before: Questions, now: Questions, cursors: Mapping[str, int]
) -> None:
    fresh = [
        {"question_id": key, "case_id": case, "cursor": cursors[key], **question_values(now[key])} for key in cursors
    ]
    changed = [
        {"key": key, **question_values(one)} for key, one in now.items() if key in before and before[key] != one
    ]
    if fresh:
        connection.execute(_INSERT_QUESTION, fresh)
    if changed:
        connection.execute(_UPDATE_QUESTION, changed)


def _save_parties(connection: Connection, case: str, parties: set[str]) -> None:
    if not parties:
        return
    known = set(connection.execute(_PARTIES, {"case": case}).scalars())
    if fresh := sorted(parties - known):
        connection.execute(_INSERT_PARTY, [{"case_id": case, "party": party} for party in fresh])


def standing_values(kind: CaseKind, standing: Standing, state: Any) -> dict[str, Any]:
    """The columns that follow from where a case stands."""
    work = standing.work
    return {
        "kind": kind.value,
        "status": standing.status,
        "open": standing.open,
        "waiting": standing.waiting.value,
        "assignee": work.assignee,
        "due_at": work.due_at,
        "due_order": work.due_at or NEVER,
        "paused": work.paused_at is not None,
        "escalated": work.escalated_at is not None,
        "closed_at": state.ended_at,
        "masked_number": state.masked_number,
    }


def _save_standing(connection: Connection, case: str, values: dict[str, Any], opened_at: Any) -> None:
    if not connection.execute(_UPDATE_WORKLIST, {"key": case, **values}).rowcount:
        connection.execute(_INSERT_WORKLIST, {"case_id": case, "opened_at": opened_at, **values})


# Built once: making a statement anew costs more than running it.
_ITEMS = select(work_items.c.item_id, work_items.c.data).where(
    work_items.c.item_id.in_(bindparam("wanted", expanding=True))
)
_INSERT_CASE = insert(cases)
_INSERT_ITEM = insert(work_items)
_UPDATE_CASE = (
    update(cases)
    .where(cases.c.case_id == bindparam("key"))
    .values({name: bindparam(name) for name in ("status", "seq", "seal", "changed_at", "data")})
)
_UPDATE_ITEM = (
    update(work_items)
    .where(work_items.c.item_id == bindparam("key"))
    .values(
        {
            name: bindparam(name)
            for name in (
                "enterprise",
                "app",
                "state",
                "open",
                "due_at",
                "opened_at",
                "acknowledged_at",
                "answered_at",
                "late",
                "data",
            )
        }
    )
)
_INSERT_QUESTION = insert(questions)
_QUESTION = ("kind", "party", "open", "due_at", "asked_at", "answered_at", "data")
_UPDATE_QUESTION = (
    update(questions)
    .where(questions.c.question_id == bindparam("key"))
    .values({name: bindparam(name) for name in _QUESTION})
)
_PARTIES = select(case_parties.c.party).where(case_parties.c.case_id == bindparam("case"))
_INSERT_PARTY = insert(case_parties)
_INSERT_WORKLIST = insert(worklist)
_UPDATE_WORKLIST = (
    update(worklist)
    .where(worklist.c.case_id == bindparam("key"))
    .values(
        {
            name: bindparam(name)
            for name in (
                "kind",
                "status",
                "open",
                "waiting",
                "assignee",
                "due_at",
                "due_order",
                "paused",
                "escalated",
                "closed_at",
                "masked_number",
            )
        }
    )
)
