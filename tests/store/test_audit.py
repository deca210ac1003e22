"""The audit: a whole ledger passes, any change of any column of any row is found, read models come back as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Row, Table, and_, delete, func, insert, select, update

from domain.case import CaseKind
from store import audit
from store.audit import Difference, rebuild, verify
from store.database import Database
from store.keys import KeyRing
from store.ledger import Append, append
from store.tables import cases, ledger, running, submissions, vault, work_items
from tests.store.history import DONE, WAITING, contents, write_history
from tests.strategies import T0, opening

AUDITED = (ledger, cases, work_items)
COLUMNS = [pytest.param(table, column, id=f"{table.name}.{column.name}") for table in AUDITED for column in table.c]


@pytest.fixture
def written(database: Database, keys: KeyRing) -> Database:
    """A database with a realistic ledger."""
    write_history(database, keys)
    return database


class Undo(Exception):
    """Ends a job without a trace."""


def found(database: Database, keys: KeyRing, *tampering: Callable[[Connection], Any]) -> list[str]:
    """What `verify` says about each of several changes, each undone afterwards; empty where it finds nothing."""
    said: list[str] = []

    def job(connection: Connection) -> None:
        for tamper in tampering:
            savepoint = connection.begin_nested()
            tamper(connection)
            try:
                verify(connection, keys)
            except Difference as difference:
                said.append(str(difference))
            else:
                said.append("")
            savepoint.rollback()
        raise Undo

    with pytest.raises(Undo):
        database.write_now(job)
    assert len(said) == len(tampering)
    return said


def rows_of(database: Database, table: Table) -> list[Row[Any]]:
    return database.read_now(lambda c: c.execute(select(table).order_by(*table.primary_key.columns)).all())  # type: ignore[return-value]


def one(table: Table, row: Row[Any]) -> Any:
    return and_(*(column == getattr(row, column.name) for column in table.primary_key.columns))


def other_values(column: Column[Any], value: Any) -> Iterator[Any]:
    """Values somebody might put there instead."""
    match value:
        case bool():
            yield not value
        case int():
            yield value + 1_000_000
            yield -value
        case datetime():
            yield value + timedelta(seconds=1)
            yield value - timedelta(microseconds=1)
        case str():
            yield value + " "
            yield value[:-1]
            if column.name == "kind":
                yield next(kind.value for kind in CaseKind if kind.value != value)
            if column.name == "data":
                yield value.replace("2026", "2025", 1)


# ── a whole ledger ───────────────────────────────────────────────────────────────────────────────────


def test_a_realistic_ledger_is_whole(written: Database, keys: KeyRing) -> None:
    said = written.read_now(lambda c: verify(c, keys))
    assert (said.events, said.cases, said.work_items) == (len(rows_of(written, ledger)), 5, 5)


def test_an_empty_ledger_is_whole(database: Database, keys: KeyRing) -> None:
    said = database.read_now(lambda c: verify(c, keys))
    assert (said.events, said.cases, said.work_items) == (0, 0, 0)


def test_the_history_has_every_kind_of_event(written: Database) -> None:
    """Else the tests below would look at less than there is."""
    types = {(row.kind, row.type) for row in rows_of(written, ledger)}
    assert len([t for kind, t in types if kind == "unbind"]) == 9
    assert len([t for kind, t in types if kind == "renewal"]) == 10  # all but a refusal


def test_progress_is_told(written: Database, keys: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "CHUNK", 4)
    told: list[int] = []
    events = written.read_now(lambda c: verify(c, keys, told.append)).events
    assert told == list(range(4, events + 1, 4))


# ── tampering ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_change_of_any_column_of_any_row_is_found(
    written: Database, keys: KeyRing, table: Table, column: Column[Any]
) -> None:
    changes: list[tuple[str, Callable[[Connection], Any]]] = []
    rows = rows_of(written, table)
    some = {rows[0], rows[len(rows) // 2], rows[-1]}
    for row in rows if written.dialect == "sqlite" else some:
        values = list(other_values(column, getattr(row, column.name)))
        for value in values if row in some else values[:1]:
            name = f"{one(table, row).compile(compile_kwargs={'literal_binds': True})} := {value!r}"
            changes.append(
                (name, lambda c, r=row, v=value: c.execute(update(table).where(one(table, r)), {column.name: v}))
            )
    assert changes
    said = found(written, keys, *(change for _, change in changes))
    assert [name for (name, _), text in zip(changes, said, strict=True) if not text] == []


@pytest.mark.parametrize("table", AUDITED, ids=lambda t: t.name)
def test_a_row_taken_away_is_found(written: Database, keys: KeyRing, table: Table) -> None:
    rows = rows_of(written, table)[:: 1 if written.dialect == "sqlite" else 4]
    said = found(written, keys, *(lambda c, r=row: c.execute(delete(table).where(one(table, r))) for row in rows))
    assert [tuple(row)[:2] for row, text in zip(rows, said, strict=True) if not text] == []


def exchange(a: Row[Any], b: Row[Any], *names: str) -> Callable[[Connection], None]:
    """Two ledger rows exchange these columns."""

    def job(connection: Connection) -> None:
        connection.execute(delete(ledger).where(ledger.c.position.in_([a.position, b.position])))
        for row, other in ((a, b), (b, a)):
            connection.execute(insert(ledger), {**row._mapping, **{name: getattr(other, name) for name in names}})

    return job


@pytest.mark.parametrize(
    "names",
    [
        ("position",),
        ("position", "seq"),
        ("data", "type", "at", "actor"),
        ("data", "type", "at", "actor", "seal"),
        ("step",),
    ],
    ids=lambda names: "+".join(names),
)
def test_rows_that_changed_places_are_found(written: Database, keys: KeyRing, names: tuple[str, ...]) -> None:
    rows = rows_of(written, ledger)
    pairs = [(a, b) for a, b in pairwise(rows) if any(getattr(a, n) != getattr(b, n) for n in names)]
    if "seq" in names:
        pairs = [(a, b) for a, b in pairs if a.case_id == b.case_id]
    pairs = pairs if written.dialect == "sqlite" else pairs[::4]
    assert pairs
    said = found(written, keys, *(exchange(a, b, *names) for a, b in pairs))
    assert [(a.position, b.position) for (a, b), text in zip(pairs, said, strict=True) if not text] == []


def test_a_row_that_nobody_wrote_is_found(written: Database, keys: KeyRing) -> None:
    last = rows_of(written, ledger)[-1]._mapping
    forged = {**last, "position": last["position"] + 1, "seq": last["seq"] + 1}
    item = rows_of(written, work_items)[0]._mapping
    case = rows_of(written, cases)[0]._mapping
    said = found(
        written,
        keys,
        lambda c: c.execute(insert(ledger), forged),
        lambda c: c.execute(insert(ledger), {**forged, "case_id": "R000000F0RGED", "seq": 1}),
        lambda c: c.execute(insert(work_items), {**item, "item_id": "W" + "9" * 20}),
        lambda c: c.execute(insert(work_items), {**item, "item_id": "W" + "9" * 20, "case_id": "R000000F0RGED"}),
        lambda c: c.execute(insert(cases), {**case, "case_id": "R000000F0RGED"}),
        lambda c: c.execute(insert(cases), {**case, "case_id": "R000000F0RGED", "seq": 0, "seal": ""}),
    )
    names = [
        "ledger row",
        "ledger row of a new case",
        "work item",
        "work item of no case",
        "case",
        "case without events",
    ]
    assert [name for name, text in zip(names, said, strict=True) if not text] == []


def test_a_case_without_a_single_event_that_was_submitted(written: Database, keys: KeyRing) -> None:
    row = {"partner": "carrier", "key": "k", "digest": "d", "submitted_at": T0, "started": True}
    (said,) = found(written, keys, lambda c: c.execute(insert(submissions), {**row, "case_id": "R000000000NEW"}))
    assert "R000000000NEW" in said


def test_who_holds_a_number_is_who_is_under_way(written: Database, keys: KeyRing) -> None:
    """A missing row would let a second renewal of a number begin, one too many would keep it out for ever."""
    token = {"number_token": "t"}
    said = found(
        written,
        keys,
        lambda c: c.execute(delete(running)),
        lambda c: c.execute(insert(running), {**token, "case_id": DONE}),
        lambda c: c.execute(insert(running), {**token, "case_id": "R000000F0RGED"}),
        lambda c: c.execute(update(running), {"case_id": "R000000F0RGED"}),
    )
    assert WAITING in said[0] and "backup, or withdraw it" in said[0]
    assert DONE in said[1] and "rebuild" in said[1]
    assert "R000000F0RGED" in said[2] and "delete its row" in said[2]
    assert WAITING in said[3]


def test_rebuild_frees_the_number_of_a_renewal_that_is_over(written: Database, keys: KeyRing) -> None:
    before = rows_of(written, running)
    written.write_now(lambda c: c.execute(insert(running), {"number_token": "t", "case_id": DONE}))
    written.write_now(rebuild)
    assert rows_of(written, running) == before and [row.case_id for row in before] == [WAITING]
    written.read_now(lambda c: verify(c, keys))


def test_the_first_difference_names_its_place_and_a_remedy(written: Database, keys: KeyRing) -> None:
    row = rows_of(written, ledger)[6]
    item = rows_of(written, work_items)[0]
    said = found(
        written,
        keys,
        lambda c: c.execute(update(ledger).where(ledger.c.position == row.position), {"data": "{}"}),
        lambda c: c.execute(delete(ledger).where(ledger.c.position == row.position)),
        lambda c: c.execute(update(work_items).where(work_items.c.item_id == item.item_id), {"open": not item.open}),
    )
    assert f"position {row.position} ({row.case_id}, event {row.seq})" in said[0] and "backup" in said[0]
    assert f"position {row.position} is missing" in said[1] and "backup" in said[1]
    assert item.item_id in said[2] and "rebuild" in said[2]


def test_verify_beside_a_writer_raises_no_false_alarm(
    written: Database, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`starter.py verify` runs while the house works: what commits in the middle of it is no difference."""
    check_heads = audit._check_heads
    opened = opening(("alpha",), case="R00000000NEW0-unbind-0", first=8)
    order = Append(opened.case, CaseKind.UNBIND, "open", (opened,))

    def meanwhile(*arguments: Any) -> None:
        written.write_now(lambda c: append(c, keys, order))
        check_heads(*arguments)

    monkeypatch.setattr(audit, "_check_heads", meanwhile)
    written.read_now(lambda c: verify(c, keys))


# ── rebuild ──────────────────────────────────────────────────────────────────────────────────────────


def garbled(connection: Connection) -> None:
    connection.execute(update(cases), {"data": "{}", "status": "closed", "seq": 0, "seal": "", "changed_at": T0})
    connection.execute(update(work_items), {"data": "{}", "state": "kept", "open": False, "due_at": T0, "cursor": 1})


def deleted(connection: Connection) -> None:
    connection.execute(delete(cases))
    connection.execute(delete(work_items))


def half_deleted(connection: Connection) -> None:
    connection.execute(delete(cases).where(cases.c.case_id == DONE))
    lowest = select(func.min(work_items.c.item_id)).scalar_subquery()
    connection.execute(delete(work_items).where(work_items.c.item_id == lowest))


def untouched(_connection: Connection) -> None:
    """A rebuild that was not needed."""


@pytest.mark.parametrize("damage", [garbled, deleted, half_deleted, untouched])
def test_read_models_come_back_byte_by_byte(
    written: Database, keys: KeyRing, damage: Callable[[Connection], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "CHUNK", 7)
    everything = (ledger, cases, work_items, running, vault)
    before = written.read_now(contents(*everything))
    written.write_now(damage)
    assert written.write_now(rebuild) == len(before[0])
    assert written.read_now(contents(*everything)) == before
    written.read_now(lambda c: verify(c, keys))


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────


def test_older_seals_are_checked_with_their_key(database: Database, keys: KeyRing) -> None:
    rotated = keys.rotated()
    write_history(database, keys, rotated)
    assert {row.seal.partition(":")[0] for row in rows_of(database, ledger)} == {"k1", "k2"}
    database.read_now(lambda c: verify(c, rotated))
    database.read_now(lambda c: verify(c, rotated.rotated()))


def test_a_ring_without_the_key_says_which_one_it_needs(database: Database, keys: KeyRing) -> None:
    write_history(database, keys, keys.rotated())
    with pytest.raises(Difference, match="no key k2"):
        database.read_now(lambda c: verify(c, keys))


def test_somebody_with_the_database_alone_cannot_seal(written: Database) -> None:
    with pytest.raises(Difference, match=r"position 1 .*seal does not fit"):
        written.read_now(lambda c: verify(c, KeyRing.new()))
