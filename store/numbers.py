"""Numbers: which case a number's life is kept in, what is known of its unbind requests, and the list of recycled ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from domain import number, unbind
from domain.case import CaseKind
from domain.number import Notice
from domain.privacy import PhoneNumber
from domain.refusal import Refusal
from domain.unbind import ItemState
from store import slots
from store.keys import KeyRing
from store.projection import PROJECTIONS
from store.tables import ledger, numbers, submissions, work_items
from store.vault import NotInVault, get

EVENT_SLOT = "number_event"
"""A carrier's event id is a slot that is taken once, for good, by the case of its number."""

LOOKED_AT = 20_000
"""Ledger positions one page of the list looks through, whatever is in them."""


def event_id(keys: KeyRing, carrier: str, said: str) -> str:
    """A carrier's own id of an event, as a keyed digest: it may say anything, and stays in the ledger for good."""
    return keys.token("number-event", f"{carrier}/{said}")[:26]


def find(connection: Connection, keys: KeyRing, phone: PhoneNumber) -> str | None:
    """The case of a number; None if nobody has reported anything of it."""
    found = select(numbers.c.case_id).where(numbers.c.number_token == keys.token("number", phone.e164))
    return connection.execute(found).scalar_one_or_none()


def hold(connection: Connection, keys: KeyRing, phone: PhoneNumber, case: str) -> None:
    """The number's life is kept in this case from now on."""
    connection.execute(insert(numbers), {"number_token": keys.token("number", phone.e164), "case_id": case})


def claim_event(connection: Connection, event: str, case: str, at: datetime) -> Refusal | None:
    """Take an event id for a case; a refusal if it came before with another number."""
    taken = slots.look(connection, event, EVENT_SLOT, at)
    if taken is None:
        slots.take(connection, event, EVENT_SLOT, case, at)
        return None
    return None if taken.case == case else number.refuse_other_content()


def started(connection: Connection, case: str) -> bool:
    """Whether the engine has taken the case."""
    found = select(submissions.c.started).where(submissions.c.case_id == case)
    return bool(connection.execute(found).scalar_one_or_none())


def items_of(connection: Connection, parts: Iterable[str]) -> list[unbind.Item]:
    """The work items of these unbind requests, as they stand."""
    rows = connection.execute(
        select(work_items.c.data).where(work_items.c.case_id.in_([*parts])).order_by(work_items.c.cursor)
    )
    return [unbind.Item.model_validate_json(row.data) for row in rows]


def outcomes_of(connection: Connection, parts: Iterable[str]) -> dict[str, dict[str, ItemState]]:
    """The state of every app of these unbind requests; one that has not begun is not in it."""
    found: dict[str, dict[str, ItemState]] = {}
    wanted = select(work_items.c.case_id, work_items.c.app, work_items.c.state)
    for row in connection.execute(wanted.where(work_items.c.case_id.in_([*parts])).order_by(work_items.c.cursor)):
        found.setdefault(row.case_id, {})[row.app] = ItemState(row.state)
    return found


@dataclass(frozen=True)
class Listed:
    """A number that was recycled, or is its former holder's again, as one enterprise may know it."""

    position: int
    notice: Notice
    token: str
    cancelled_at: datetime


@dataclass(frozen=True)
class Page:
    """`next` is the position to go on from, now or next time; `more`: there is something beyond it already."""

    listed: list[Listed]
    next: int
    more: bool


def recycled(connection: Connection, keys: KeyRing, enterprise: str, after: int, limit: int) -> Page:
    """What has happened to numbers since a position of the ledger, oldest first."""
    last: int = connection.execute(select(func.coalesce(func.max(ledger.c.position), 0))).scalar_one()
    until = min(after + LOOKED_AT, last)
    rows = connection.execute(
        select(ledger.c.position, ledger.c.case_id, ledger.c.kind, ledger.c.data)
        .where(
            ledger.c.position > after,
            ledger.c.position <= until,
            ledger.c.kind == CaseKind.NUMBER.value,
            ledger.c.type.in_([Notice.RECYCLED.value, Notice.REINSTATED.value]),
        )
        .order_by(ledger.c.position)
        .limit(limit)
    ).all()
    reached = rows[-1].position if len(rows) == limit else max(until, after)
    listed: list[Listed] = []
    for row in rows:
        event = PROJECTIONS[CaseKind.NUMBER].events.validate_json(row.data)
        try:
            person = get(connection, keys, row.case_id)
        except NotInVault:
            continue
        token = keys.enterprise_token(enterprise, person.number.e164)
        listed.append(Listed(row.position, Notice(event.type), token, event.cancelled_at))
    return Page(listed, reached, reached < last)
