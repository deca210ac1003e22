"""Reading the read models: a renewal with its apps, an enterprise's open work items, a page at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any

from pydantic import AwareDatetime, BaseModel
from sqlalchemy import Connection, Row, Select, func, select

from domain import renewal, unbind
from domain.case import CaseKind, Event, kind_of, root
from domain.casework import Standing
from domain.question import Question
from store.keyset import Order, Place
from store.ledger import parse, read
from store.projection import PROJECTIONS, load_state
from store.tables import cases, questions, work_items, worklist
from store.vault import known

PARTS_AT_ONCE = 20


@dataclass(frozen=True)
class RenewalView:
    """A renewal and its work items, in the order the apps were asked for."""

    state: renewal.State
    items: Sequence[unbind.Item]


def renewal_view(connection: Connection, case: str) -> RenewalView | None:
    """One renewal; None if there is no such case."""
    try:
        state: renewal.State = load_state(connection, CaseKind.RENEWAL, case)
    except KeyError:
        return None
    rows = connection.execute(
        select(work_items.c.data)
        .where(work_items.c.case_id.in_([*renewal.parts_of(case, state.apps)]))
        .order_by(work_items.c.cursor)
    )
    return RenewalView(state, [unbind.Item.model_validate_json(row.data) for row in rows])


@dataclass(frozen=True)
class CaseView:
    """Any case: its state, where it stands in the queues, and everything that happened."""

    case: str
    kind: CaseKind
    state: Any
    standing: Standing | None
    events: Sequence[Event]


def version(connection: Connection, case: str) -> str | None:
    """What changes whenever a case reads differently: its number of events, and whether its person is forgotten."""
    seq = connection.execute(select(cases.c.seq).where(cases.c.case_id == case)).scalar_one_or_none()
    return None if seq is None else f"{seq}" if known(connection, case) else f"{seq}-forgotten"


def version_with_parts(connection: Connection, case: str) -> str:
    """What changes whenever a case, or one of its unbind requests, reads differently; empty without such a case."""
    found = [version(connection, case) or ""]
    for first in count(step=PARTS_AT_ONCE):
        wanted = [f"{case}-unbind-{n}" for n in range(first, first + PARTS_AT_ONCE)]
        parts = select(cases.c.case_id, cases.c.seq).where(cases.c.case_id.in_(wanted)).order_by(cases.c.case_id)
        rows = connection.execute(parts).all()
        found += [f"{row.case_id}.{row.seq}" for row in rows]
        if len(rows) < PARTS_AT_ONCE:
            break
    return " ".join(found)


def case_view(connection: Connection, case: str) -> CaseView | None:
    """One case of any kind; None if there is no such case."""
    kind = kind_of(case)
    try:
        state = load_state(connection, kind, case)
    except KeyError:
        return None
    return CaseView(case, kind, state, PROJECTIONS[kind].standing(state), parse(read(connection, case)))


@dataclass(frozen=True)
class ListedItem:
    """A work item with the case it belongs to and its place in the enterprise's list."""

    item: unbind.Item
    case: str
    cursor: int


def open_items(connection: Connection, enterprise: str, after: int, limit: int) -> list[ListedItem]:
    """An enterprise's open work items, oldest first, from beyond a cursor.

    What was never answered stays open; once its case is closed nobody waits for it any more.
    """
    beyond = _owed(enterprise).where(work_items.c.cursor > after)
    rows = connection.execute(beyond.order_by(work_items.c.cursor).limit(limit))
    return [_item(row) for row in rows]


BY_DUE = Order(work_items.c.due_at, work_items.c.item_id)


def _owed(enterprise: str) -> Select[Any]:
    """An enterprise's open work items whose case still waits."""
    return (
        select(work_items)
        .join(cases, cases.c.case_id == work_items.c.case_id)
        .where(
            cases.c.status == unbind.UnbindStatus.OPEN.value,
            work_items.c.enterprise == enterprise,
            work_items.c.open.is_(True),
        )
    )


def due_items(connection: Connection, enterprise: str, after: Place | None, limit: int) -> list[ListedItem]:
    """The same items for people: those due first on top."""
    return [_item(row) for row in connection.execute(BY_DUE.page(_owed(enterprise), after, limit))]


def owed(connection: Connection, enterprise: str, now: datetime, most: int) -> tuple[int, int]:
    """How many items an enterprise owes an answer for, and how many of them are late; neither is counted beyond `most`."""
    counted = _owed(enterprise).with_only_columns(work_items.c.due_at).limit(most).subquery()
    late = func.count().filter(counted.c.due_at <= now)
    row = connection.execute(select(func.count(), late).select_from(counted)).one()
    return row[0], row[1]


def items_of(connection: Connection, enterprise: str, items: Collection[str]) -> list[ListedItem]:
    """Those of these work items that are this enterprise's, open or not."""
    wanted = select(work_items).where(work_items.c.item_id.in_(items), work_items.c.enterprise == enterprise)
    return [_item(row) for row in connection.execute(wanted)]


def _item(row: Row[Any]) -> ListedItem:
    return ListedItem(unbind.Item.model_validate_json(row.data), root(row.case_id), row.cursor)


def item_of(connection: Connection, enterprise: str, item: str) -> ListedItem | None:
    """One work item if it is this enterprise's."""
    row = connection.execute(
        select(work_items).where(work_items.c.item_id == item, work_items.c.enterprise == enterprise)
    ).one_or_none()
    return _item(row) if row else None


def items_of_request(connection: Connection, enterprise: str, case: str) -> list[unbind.Item]:
    """An enterprise's work items of one unbind request."""
    rows = connection.execute(
        select(work_items.c.data)
        .where(work_items.c.case_id == case, work_items.c.enterprise == enterprise)
        .order_by(work_items.c.cursor)
    )
    return [unbind.Item.model_validate_json(row.data) for row in rows]


@dataclass(frozen=True)
class ListedQuestion:
    """A question with its case, and its place in the party's list. `wanted` while somebody waits for its answer.

    `activated_at` is when the citizen's contract began, where the case rests on an identity check.
    """

    question: Question
    case: str
    cursor: int
    wanted: bool
    activated_at: datetime | None


class _Contract(BaseModel):
    activated_at: AwareDatetime


class _Rests(BaseModel):
    """Of a case's state, whatever its kind: the identity check it rests on."""

    identity: _Contract | None = None


def open_questions(connection: Connection, party: str, after: int, limit: int) -> list[ListedQuestion]:
    """The questions a party has yet to answer, oldest first, from beyond a cursor; of cases that are not over."""
    rows = connection.execute(
        _QUESTIONS.where(
            worklist.c.open.is_(True),
            questions.c.party == party,
            questions.c.open.is_(True),
            questions.c.cursor > after,
        )
        .order_by(questions.c.cursor)
        .limit(limit)
    )
    return [_listed(row) for row in rows]


def owed_answers(connection: Connection, party: str, most: int) -> int:
    """How many questions a party has yet to answer; not counted beyond `most`."""
    wanted = _QUESTIONS.with_only_columns(questions.c.question_id).where(
        worklist.c.open.is_(True), questions.c.party == party, questions.c.open.is_(True)
    )
    return connection.execute(select(func.count()).select_from(wanted.limit(most).subquery())).scalar_one()


def question_of(connection: Connection, party: str, question: str) -> ListedQuestion | None:
    """One question if it is to this party, answered or not."""
    wanted = _QUESTIONS.where(questions.c.question_id == question, questions.c.party == party)
    row = connection.execute(wanted).one_or_none()
    return _listed(row) if row else None


_QUESTIONS: Select[Any] = (
    select(
        questions.c.data,
        questions.c.case_id,
        questions.c.cursor,
        worklist.c.open.label("wanted"),
        cases.c.data.label("state"),
    )
    .join(cases, cases.c.case_id == questions.c.case_id)
    .join(worklist, worklist.c.case_id == questions.c.case_id)
)


def _listed(row: Row[Any]) -> ListedQuestion:
    rests = _Rests.model_validate_json(row.state).identity
    return ListedQuestion(
        question=Question.model_validate_json(row.data),
        case=row.case_id,
        cursor=row.cursor,
        wanted=row.wanted,
        activated_at=rests.activated_at if rests else None,
    )
