"""The ledger: steps written once, positions without gaps, cases side by side."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta, timezone

import pytest
from sqlalchemy import Connection, select

from domain import unbind
from domain.case import CaseKind, Event, root
from domain.unbind import Notice
from store import ledger, views
from store.database import Database
from store.keys import KeyRing
from store.ledger import Append, append
from store.tables import cases, work_items
from store.tables import ledger as rows_of_all
from tests.store.history import contents
from tests.strategies import DAY, HOUR, PART, T0, item_id, opening

OTHER = "R0123456789ZZ-unbind-0"
OPENED = opening(("alpha", "beta"))
TOLD = unbind.Noticed(at=T0, notice=Notice.REQUEST, enterprise="alpha", items=(item_id(0),))
TAKEN = unbind.Acknowledged(at=T0 + HOUR, item=item_id(0))


def step(name: str, *events: Event, case: str = PART) -> Append:
    return Append(case, CaseKind.UNBIND, name, events)


@pytest.fixture
def write(database: Database, keys: KeyRing) -> Callable[..., tuple[Event, ...]]:
    def write(order: Append) -> tuple[Event, ...]:
        return database.write_now(lambda c: append(c, keys, order))

    return write


Write = Callable[..., tuple[Event, ...]]


def events(database: Database, case: str = PART) -> list[Event]:
    return database.read_now(lambda c: ledger.parse(ledger.read(c, case)))


def positions(connection: Connection) -> list[int]:
    return list(connection.execute(select(rows_of_all.c.position).order_by(rows_of_all.c.position)).scalars())


def test_what_is_appended_is_read(database: Database, write: Write) -> None:
    assert write(step("open", OPENED)) == (OPENED,)
    assert write(step("tell", TOLD, TAKEN)) == (TOLD, TAKEN)
    assert events(database) == [OPENED, TOLD, TAKEN]
    rows = database.read_now(lambda c: ledger.read(c, PART))
    assert [(r.position, r.seq, r.kind, r.type, r.step, r.at) for r in rows] == [
        (1, 1, "unbind", "opened", "open", T0),
        (2, 2, "unbind", "noticed", "tell", T0),
        (3, 3, "unbind", "acknowledged", "tell", T0 + HOUR),
    ]
    assert len({r.seal for r in rows}) == 3
    assert database.read_now(lambda c: ledger.read(c, OTHER)) == []


def test_the_read_models_follow(database: Database, write: Write) -> None:
    write(step("open", OPENED))
    write(step("tell", TOLD, TAKEN))
    state = unbind.evolve(unbind.evolve(unbind.evolve(None, OPENED), TOLD), TAKEN)
    for item in state.items.values():
        listed = database.read_now(lambda c, i=item: views.item_of(c, i.enterprise, i.id))
        assert listed is not None and listed.item == item
    row = database.read_now(lambda c: c.execute(select(cases)).one())
    assert (row.case_id, row.kind, row.status, row.seq) == (PART, "unbind", "open", 3)
    assert (row.opened_at, row.changed_at) == (T0, T0 + HOUR)


def test_a_case_reads_differently_when_an_unbind_request_of_it_does(
    database: Database, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "PARTS_AT_ONCE", 1)
    seen = []
    for events in ((OPENED,), (TOLD, TAKEN)):
        seen.append(database.read_now(lambda c: views.version_with_parts(c, root(PART))))
        write(step(f"step-{len(seen)}", *events))
    seen.append(database.read_now(lambda c: views.version_with_parts(c, root(PART))))
    assert len(set(seen)) == 3
    assert database.read_now(lambda c: views.version_with_parts(c, root(OTHER))) == seen[0] == ""


def test_a_step_is_written_once_and_read_back(database: Database, write: Write) -> None:
    write(step("open", OPENED))
    later = TOLD.model_copy(update={"at": T0 + DAY})
    assert write(step("tell", TOLD)) == (TOLD,)
    before = database.read_now(contents(rows_of_all, cases, work_items))
    assert write(step("tell", TOLD)) == (TOLD,)
    assert write(step("tell", later)) == (TOLD,)  # what is recorded counts
    assert database.read_now(contents(rows_of_all, cases, work_items)) == before


@pytest.mark.parametrize(
    "other",
    [(TAKEN.model_copy(update={"at": T0}),), (TAKEN, TOLD), (TOLD,), ()],
    ids=["time", "more", "other", "none"],
)
def test_a_step_with_other_events_gives_back_what_stands(
    database: Database, write: Write, other: tuple[Event, ...]
) -> None:
    write(step("open", OPENED))
    write(step("decide-1", TAKEN))
    before = database.read_now(contents(rows_of_all, cases, work_items))
    assert write(step("decide-1", *other)) == (TAKEN,)
    assert database.read_now(contents(rows_of_all, cases, work_items)) == before


def test_the_same_step_of_another_case_is_another_step(database: Database, write: Write) -> None:
    write(step("open", OPENED))
    write(step("open", opening(case=OTHER, first=5), case=OTHER))
    assert len(events(database, OTHER)) == 1


def test_a_step_without_events_leaves_no_trace(database: Database, write: Write) -> None:
    write(step("open", OPENED))
    assert write(step("nothing")) == ()
    assert len(events(database)) == 1
    assert not database.read_now(lambda c: ledger.step_at(c, PART, "nothing"))
    assert database.read_now(lambda c: ledger.step_at(c, PART, "open"))


def test_cases_side_by_side(database: Database, write: Write) -> None:
    """Positions count over all cases without gaps, `seq` within each."""
    write(step("open", OPENED))
    write(step("open", opening(("alpha",), case=OTHER, first=5), case=OTHER))
    for n in range(4):
        failed = unbind.NoticeFailed(
            at=T0, notice=Notice.REQUEST, enterprise="alpha", items=(item_id(0),), code="x", try_after=T0 + HOUR
        )
        write(step(f"a-{n}", failed))
        write(step(f"b-{n}", failed.model_copy(update={"items": (item_id(5),)}), case=OTHER))
    assert database.read_now(positions) == list(range(1, 11))
    for case in (PART, OTHER):
        assert [r.seq for r in database.read_now(lambda c, case=case: ledger.read(c, case))] == [1, 2, 3, 4, 5]


def test_a_job_that_fails_leaves_no_gap(database: Database, keys: KeyRing, write: Write) -> None:
    write(step("open", OPENED))

    def fails(connection: Connection) -> None:
        append(connection, keys, step("tell", TOLD))
        raise LookupError("afterwards")

    with pytest.raises(LookupError):
        database.write_now(fails)
    write(step("take", TAKEN))
    assert database.read_now(positions) == [1, 2]
    assert events(database) == [OPENED, TAKEN]


def test_an_event_that_does_not_fit_is_not_half_written(database: Database, write: Write) -> None:
    """The fold fails (an item nobody opened): the ledger row goes with it."""
    write(step("open", OPENED))
    before = database.read_now(contents(rows_of_all, cases, work_items))
    with pytest.raises(KeyError):
        write(step("take", TAKEN.model_copy(update={"item": item_id(9)})))
    assert database.read_now(contents(rows_of_all, cases, work_items)) == before


def test_two_writers_of_one_step_write_it_once(open_database: Callable[[], Database], keys: KeyRing) -> None:
    """A worker that was believed dead and its successor, at the same time."""
    one, other = open_database(), open_database()
    one.write_now(lambda c: append(c, keys, step("open", OPENED)))
    orders = [
        step(
            f"step-{n}",
            unbind.NoticeFailed(
                at=T0, notice=Notice.REQUEST, enterprise="alpha", items=(item_id(0),), code="x", try_after=T0
            ),
        )
        for n in range(30)
    ]
    done = [
        database.submit(lambda c, order=order: append(c, keys, order))
        for order in orders
        for database in (one, other)
    ]
    for future in done:
        future.result(30)
    assert one.read_now(positions) == list(range(1, 32))
    listed = one.read_now(lambda c: views.item_of(c, "alpha", item_id(0)))
    assert listed is not None and listed.item.failures == 30


def test_a_moment_of_any_zone_is_kept(database: Database, write: Write) -> None:
    shanghai = T0.astimezone(timezone(timedelta(hours=8)))
    write(step("open", OPENED.model_copy(update={"at": shanghai})))
    (row,) = database.read_now(lambda c: ledger.read(c, PART))
    assert row.at == T0 and row.at.utcoffset() == timedelta(0)
    assert events(database)[0].at == T0


def test_items_are_listed_in_commit_order(database: Database, write: Write) -> None:
    """An enterprise pulls by cursor; whatever commits later comes later."""
    write(step("open", opening(("alpha", "beta", "alpha"), first=7)))
    write(step("open", opening(("alpha",), case=OTHER, first=2), case=OTHER))
    listed = database.read_now(lambda c: views.open_items(c, "alpha", 0, 10))
    assert [one.item.id for one in listed] == [item_id(7), item_id(9), item_id(2)]
    cursors = [one.cursor for one in listed]
    assert cursors == sorted(set(cursors))
    after = database.read_now(lambda c: views.open_items(c, "alpha", cursors[0], 1))
    assert [one.item.id for one in after] == [item_id(9)]
