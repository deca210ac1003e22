"""Slots: one query of a kind at a time and one result in 24 hours, to the second; whoever comes first has it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from domain import casework, query
from domain.case import CaseKind
from domain.query import Target
from store import slots
from store.database import Database
from store.keys import KeyRing
from store.ledger import Append, append
from store.slots import Taken
from tests.domain.test_query import ALL, CASE, OTHER, WORKER, Query
from tests.strategies import DAY, HOUR, SECOND, T0

TOKEN = "A" * 52
ACCOUNTS, CARDS = Target.ACCOUNTS.value, Target.CARDS.value


def look(database: Database, at: datetime, what: str = ACCOUNTS) -> Taken | None:
    return database.read_now(lambda c: slots.look(c, TOKEN, what, at))


def take(database: Database, case: str, at: datetime, what: str = ACCOUNTS) -> Taken | None:
    return database.write_now(lambda c: slots.take(c, TOKEN, what, case, at))


def write(database: Database, keys: KeyRing, case: Query, first: int = 0) -> None:
    """A query's events into the ledger, as its workflow does."""
    order = Append(CASE, CaseKind.QUERY, f"step-{first}", case.events[first:])
    database.write_now(lambda c: append(c, keys, order))


def test_a_slot_is_taken_for_as_long_as_its_case_runs(database: Database) -> None:
    assert look(database, T0) is None and take(database, CASE, T0) is None
    assert look(database, T0 + 365 * DAY) == Taken(CASE, None)
    assert take(database, OTHER, T0 + DAY) == Taken(CASE, None)
    assert take(database, OTHER, T0, CARDS) is None, "another kind is another slot"
    assert database.read_now(lambda c: slots.look(c, "B" * 52, ACCOUNTS, T0)) is None


def test_one_result_a_day(database: Database, keys: KeyRing) -> None:
    """24 hours after the result, to the second, the number may be queried again; not a moment before."""
    assert take(database, CASE, T0) is None
    case = Query()
    write(database, keys, case)
    case.heard(ALL, at=HOUR)
    write(database, keys, case, 1)
    assert look(database, T0 + HOUR) == Taken(CASE, None), "heard is not told yet"
    case.do(query.Report(), HOUR + SECOND)
    write(database, keys, case, 2)
    free_at = T0 + HOUR + SECOND + DAY
    assert case.state.free_at == free_at
    assert take(database, OTHER, free_at - SECOND) == Taken(CASE, free_at)
    assert look(database, free_at - timedelta(microseconds=1)) == Taken(CASE, free_at)
    assert look(database, free_at) is None
    case.told(at=2 * HOUR)
    write(database, keys, case, 3)
    assert look(database, free_at - SECOND) == Taken(CASE, free_at), "when it was delivered does not matter"
    assert take(database, OTHER, free_at) is None
    case.do(query.Close(), 30 * DAY)
    write(database, keys, case, 4)
    assert look(database, T0 + 30 * DAY) == Taken(OTHER, None), "an old query never frees a new one's slot"


def test_a_query_without_result_gives_its_slot_back(database: Database, keys: KeyRing) -> None:
    take(database, CASE, T0)
    case = Query()
    case.do(casework.Merge(actor=WORKER, into=OTHER))
    write(database, keys, case)
    assert look(database, T0 + HOUR) is None


def test_a_block_is_over_to_the_second_and_a_later_one_counts(database: Database) -> None:
    until = T0 + DAY
    database.write_now(lambda c: slots.block(c, TOKEN, slots.MISMATCH, CASE, until))
    assert look(database, until - SECOND, slots.MISMATCH) == Taken(CASE, until)
    assert look(database, until, slots.MISMATCH) is None
    database.write_now(lambda c: slots.block(c, TOKEN, slots.MISMATCH, OTHER, until + HOUR))
    assert look(database, until, slots.MISMATCH) == Taken(OTHER, until + HOUR)
    assert look(database, T0) is None, "a mismatch takes no query's slot"


def test_a_refused_opening_leaves_no_slot_taken(database: Database) -> None:
    def opening(connection: object) -> None:
        slots.take(connection, TOKEN, ACCOUNTS, CASE, T0)  # type: ignore[arg-type]
        raise RuntimeError("refused")

    with pytest.raises(RuntimeError):
        database.write_now(opening)
    assert look(database, T0) is None


def test_of_many_at_once_one_gets_it(open_database: Callable[[], Database]) -> None:
    databases = [open_database() for _ in range(3)]
    with ThreadPoolExecutor(12) as pool:
        taken = list(pool.map(lambda n: take(databases[n % 3], f"Q{n:012d}", T0), range(12)))
    (winner,) = [n for n, one in enumerate(taken) if one is None]
    assert {one.case for one in taken if one is not None} == {f"Q{winner:012d}"}
