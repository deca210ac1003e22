"""Audit: is every chain whole, does every read model say what its events say, and make them say so again.

`verify` walks the ledger once and names the first difference; `rebuild` restores the read models from the
ledger alone. Neither needs Temporal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from sys import intern
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select

from domain.case import CaseKind, root
from domain.question import Questions
from domain.renewal import RenewalStatus, frees_number
from domain.unbind import Item, evolve_item
from store.keys import KeyRing, KeyRingError
from store.ledger import seal
from store.projection import CURSOR_STRIDE, PROJECTIONS, item_values, project, question_values, standing_values
from store.tables import case_parties, cases, ledger, questions, running, submissions, work_items, worklist

CHUNK = 500


class Difference(Exception):
    """The first place where the ledger or a read model is not what it should be."""


@dataclass(frozen=True)
class Verified:
    """What was looked at."""

    events: int
    cases: int
    work_items: int


def verify(connection: Connection, keys: KeyRing, progress: Callable[[int], None] | None = None) -> Verified:
    """Recompute every chain and every read model. Raises Difference naming the first that is not right."""
    heads: dict[str, tuple[int, str]] = {}
    events = 0
    for row in _rows(connection):
        events += 1
        _check_row(keys, row, events, heads.get(row.case_id, (0, "")))
        heads[row.case_id] = (row.seq, row.seal)
        if progress and events % CHUNK == 0:
            progress(events)
    _check_heads(connection, heads)
    items = 0
    parties: dict[str, set[str]] = {}
    for case in heads:
        items += _check_case(connection, case, parties.setdefault(root(case), set()))
    _check_parties(connection, parties)
    stored: int = connection.execute(select(func.count()).select_from(work_items)).scalar_one()
    if stored != items:
        raise Difference(f"there are {stored} work items, the ledger opened {items}: run rebuild")
    _check_running(connection)
    return Verified(events, len(heads), items)


def _rows(connection: Connection) -> Iterator[Row[Any]]:
    after = 0
    while chunk := connection.execute(
        select(ledger).where(ledger.c.position > after).order_by(ledger.c.position).limit(CHUNK)
    ).all():
        yield from chunk
        after = chunk[-1].position


def _check_row(keys: KeyRing, row: Row[Any], position: int, head: tuple[int, str]) -> None:
    where = f"ledger position {row.position} ({row.case_id}, event {row.seq})"
    if row.position != position:
        raise Difference(f"ledger position {position} is missing: restore it from your backup")
    seq, previous = head
    if row.seq != seq + 1:
        raise Difference(f"{where}: expected event {seq + 1} of this case: restore the ledger from your backup")
    key_id = row.seal.partition(":")[0]
    try:
        expected = seal(keys, previous, dict(row._mapping), key_id)
    except KeyRingError as error:
        raise Difference(f"{where}: {error}") from error
    if expected != row.seal:
        raise Difference(f"{where}: its seal does not fit its content: restore the ledger from your backup")


def _check_heads(connection: Connection, heads: dict[str, tuple[int, str]]) -> None:
    for row in connection.execute(select(cases)):
        if row.case_id not in heads:
            raise Difference(f"case {row.case_id} has a row but no event in the ledger: restore it from your backup")
        seq, last = heads[row.case_id]
        if row.seq > seq:
            raise Difference(
                f"case {row.case_id} has {row.seq} events, the ledger {seq}: restore the ledger from your backup"
            )
        if (row.seq, row.seal) != (seq, last):
            raise Difference(f"case {row.case_id}: its row is behind the ledger: run rebuild")
    for case in connection.execute(select(submissions.c.case_id)).scalars():
        if case not in heads:
            raise Difference(f"case {case} was submitted but has no event: restore the ledger from your backup")


def _check_case(connection: Connection, case: str, parties: set[str]) -> int:
    """One case's rows against the fold of its events; returns its number of work items, adds to its parties."""
    rows = connection.execute(select(ledger).where(ledger.c.case_id == case).order_by(ledger.c.seq)).all()
    kind = CaseKind(rows[0].kind)
    how = PROJECTIONS[kind]
    state: Any = None
    items: dict[str, Item] = {}
    cursors: dict[str, int] = {}
    asked: dict[str, int] = {}
    for row in rows:
        event = how.events.validate_json(row.data)
        if (event.type, str(event.actor), event.at) != (row.type, row.actor, row.at):
            raise Difference(f"ledger position {row.position}: its columns do not fit its event")
        state = how.evolve(state, event)
        parties.update(map(intern, how.parties(event)))
        fresh = [key for key in how.questions(state) if key not in asked]
        asked.update((key, row.position * CURSOR_STRIDE + place) for place, key in enumerate(fresh))
        for place, (item_id, opened) in enumerate(how.opened_items(event).items()):
            items[item_id], cursors[item_id] = opened, row.position * CURSOR_STRIDE + place
        for item_id in how.touched(event):
            items[item_id] = evolve_item(items[item_id], event)
    stored = connection.execute(select(cases).where(cases.c.case_id == case)).one_or_none()
    if stored is None:
        raise Difference(f"case {case} has events but no row: run rebuild")
    facts = (stored.kind, stored.status, stored.data, stored.opened_at, stored.changed_at)
    if facts != (
        kind.value,
        state.status.value,
        state.model_dump_json(exclude_none=True),
        rows[0].at,
        rows[-1].at,
    ):
        raise Difference(f"case {case}: its row does not say what its events say: run rebuild")
    kept = connection.execute(select(work_items).where(work_items.c.case_id == case)).mappings()
    seen = 0
    for item_row in kept:
        seen += 1
        item = items.get(item_row["item_id"])
        expected = {"cursor": cursors[item.id], **item_values(item)} if item else {}
        if not expected or any(item_row[name] != value for name, value in expected.items()):
            raise Difference(
                f"work item {item_row['item_id']} of {case} does not say what its events say: run rebuild"
            )
    if seen != len(items):
        raise Difference(f"case {case} has {seen} work items, its events opened {len(items)}: run rebuild")
    _check_questions(connection, case, how.questions(state), asked)
    standing = how.standing(state)
    queued = connection.execute(select(worklist).where(worklist.c.case_id == case)).mappings().one_or_none()
    values = {"opened_at": rows[0].at, **standing_values(kind, standing, state)} if standing else None
    if values != (queued and {name: value for name, value in queued.items() if name != "case_id"}):
        raise Difference(f"case {case}: the case workers' queue does not say what its events say: run rebuild")
    return len(items)


def _check_questions(connection: Connection, case: str, asked: Questions, cursors: dict[str, int]) -> None:
    kept = connection.execute(select(questions).where(questions.c.case_id == case)).mappings().all()
    stored = {row["question_id"]: dict(row) for row in kept}
    expected = {
        key: {"question_id": key, "case_id": case, "cursor": cursors[key], **question_values(question)}
        for key, question in asked.items()
    }
    if stored != expected:
        raise Difference(f"case {case}: its questions do not say what its events say: run rebuild")


def _check_parties(connection: Connection, parties: dict[str, set[str]]) -> None:
    """Every case is found by its enterprises and carriers, and by no others."""
    for row in connection.execute(select(case_parties)):
        if row.party not in parties.get(row.case_id, ()):
            raise Difference(f"case {row.case_id} has nothing to do with {row.party}: run rebuild")
        parties[row.case_id].remove(row.party)
    for case, missing in parties.items():
        if missing:
            raise Difference(f"case {case} is not found by {min(missing)}: run rebuild")


def _check_running(connection: Connection) -> None:
    """Every renewal that is not over holds its number, and nobody else does."""
    renewals = connection.execute(
        select(cases.c.case_id, cases.c.status).where(cases.c.kind == CaseKind.RENEWAL.value)
    ).all()
    over = {row.case_id for row in renewals if frees_number(RenewalStatus(row.status))}
    under_way = {row.case_id for row in renewals} - over
    holding = set(connection.execute(select(running.c.case_id)).scalars())
    for case in sorted(under_way - holding):
        raise Difference(
            f"renewal {case} is under way but does not hold its number, so that another could begin: "
            "restore its row of the table running from your backup, or withdraw it"
        )
    for case in sorted(holding - under_way):
        remedy = "run rebuild" if case in over else "delete its row of the table running"
        raise Difference(f"{case} holds a number but is no renewal under way: {remedy}")


def rebuild(connection: Connection, progress: Callable[[int], None] | None = None) -> int:
    """Throw the read models away and fold the ledger into them again; return the number of events."""
    for table in (work_items, questions, worklist, case_parties, cases):
        connection.execute(delete(table))
    events = 0
    for row in _rows(connection):
        event = PROJECTIONS[CaseKind(row.kind)].events.validate_json(row.data)
        head = connection.execute(select(cases).where(cases.c.case_id == row.case_id)).one_or_none()
        project(connection, CaseKind(row.kind), row.case_id, head, [(dict(row._mapping), event)])
        events += 1
        if progress and events % CHUNK == 0:
            progress(events)
    return events
