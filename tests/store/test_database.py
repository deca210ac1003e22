"""The writer: jobs share a transaction and fail alone, several processes lose nothing, a locked file is waited for."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, OperationalError

from store import database as databases
from store.database import MOST_JOBS, Database
from store.tables import running, short_messages
from tests.strategies import T0
from tests.support import eventually

Open = Callable[[], Database]

only_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
only_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def mark(token: str) -> Callable[[Connection], Any]:
    """A job that writes one row; twice the same is an IntegrityError."""
    return lambda c: c.execute(insert(running), {"number_token": token, "case_id": f"case-{token}"})


def tokens(connection: Connection) -> set[str]:
    """A job that reads what the marks wrote."""
    return set(connection.execute(select(running.c.number_token)).scalars())


@contextmanager
def held(database: Database) -> Iterator[None]:
    """The writer is busy with a transaction; what is submitted meanwhile shares the next one."""
    begun, go_on = threading.Event(), threading.Event()

    def wait(_connection: Connection) -> None:
        begun.set()
        assert go_on.wait(10)

    busy = database.submit(wait)
    assert begun.wait(10)
    try:
        yield
    finally:
        go_on.set()
        busy.result(10)


def test_what_is_written_can_be_read(database: Database) -> None:
    database.write_now(mark("a"))
    assert database.read_now(tokens) == {"a"}


async def test_the_same_from_async_code(database: Database) -> None:
    await asyncio.gather(*(database.write(mark(str(n))) for n in range(5)))
    assert await database.read(tokens) == {"0", "1", "2", "3", "4"}


def test_jobs_that_wait_share_a_transaction(database: Database) -> None:
    connections: list[int] = []
    transactions: list[object] = []

    def look(connection: Connection) -> None:
        connections.append(id(connection))
        transactions.append(connection.get_transaction())

    with held(database):
        done = [database.submit(look) for _ in range(5)]
    for one in done:
        one.result(10)
    assert len(set(connections)) == 1
    assert len({id(t) for t in transactions}) == 1


def test_a_failing_job_fails_alone(database: Database) -> None:
    def half(connection: Connection) -> None:
        mark("half")(connection)
        raise LookupError("mine")

    with held(database):
        before, broken = database.submit(mark("a")), database.submit(half)
        twice, after = database.submit(mark("a")), database.submit(mark("b"))
    before.result(10)
    with pytest.raises(LookupError, match="mine"):
        broken.result(10)
    with pytest.raises(IntegrityError):
        twice.result(10)
    after.result(10)
    assert database.read_now(tokens) == {"a", "b"}


def test_more_jobs_than_fit_one_transaction(database: Database) -> None:
    with held(database):
        done = [database.submit(mark(str(n))) for n in range(2 * MOST_JOBS + 1)]
    for one in done:
        one.result(10)
    assert len(database.read_now(tokens)) == 2 * MOST_JOBS + 1


def test_a_cancelled_job_is_not_done(database: Database) -> None:
    with held(database):
        gone, stays = database.submit(mark("gone")), database.submit(mark("stays"))
        assert gone.cancel()
    stays.result(10)
    assert database.read_now(tokens) == {"stays"}


def test_a_reader_does_not_see_what_is_not_committed(database: Database) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        mark("slow")(connection)
        begun.set()
        assert go_on.wait(10)

    done = database.submit(slow)
    assert begun.wait(10)
    assert database.read_now(tokens) == set()
    go_on.set()
    done.result(10)
    assert database.read_now(tokens) == {"slow"}


def test_closing_finishes_what_is_queued(open_database: Open, database_url: str) -> None:
    closing = Database(database_url)
    with held(closing):
        done = [closing.submit(mark(str(n))) for n in range(10)]
    closing.close()
    assert all(one.done() for one in done)
    assert len(open_database().read_now(tokens)) == 10


def test_a_job_after_the_close_is_refused(database_url: str) -> None:
    """A caller that comes too late is told, and does not wait for ever."""
    closed = Database(database_url)
    closed.close()
    with pytest.raises(RuntimeError):
        closed.submit(mark("late")).result(0.2)


def test_two_writers_lose_nothing(open_database: Open) -> None:
    one, other = open_database(), open_database()
    row = {"case_id": "c", "step": "s", "reference": 1, "state": "x", "parts": 0, "submitted_at": T0}
    one.write_now(lambda c: c.execute(insert(short_messages), row))

    def increment(connection: Connection) -> None:
        seen = connection.execute(select(short_messages.c.parts)).scalar_one()
        connection.execute(update(short_messages), {"parts": seen + 1})

    done = [writer.submit(increment) for _ in range(200) for writer in (one, other)]
    for future in done:
        future.result(30)
    assert one.read_now(lambda c: c.execute(select(short_messages.c.parts)).scalar_one()) == 400


# ── a database that is busy or lost ──────────────────────────────────────────────────────────────────


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Somebody else is writing to the file."""
    other = sqlite3.connect(make_url(url).database or "", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
    finally:
        other.close()


@only_sqlite
async def test_a_locked_file_is_waited_for(open_database: Open, database_url: str) -> None:
    database = open_database()
    database.write_now(mark("before"))
    with locked(database_url):
        done = database.submit(mark("waits"))
        await eventually(lambda: database._jobs.empty())
        with pytest.raises(TimeoutError):
            done.result(0.1)
    done.result(10)
    assert database.read_now(tokens) == {"before", "waits"}


@only_sqlite
def test_a_file_that_stays_locked_fails_the_jobs_and_leaves_nothing_half_written(
    open_database: Open, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "BUSY_SECONDS", 0.1)
    database = open_database()
    database.write_now(mark("before"))
    with locked(database_url):
        lost = [database.submit(mark(str(n))) for n in range(3)]
        for future in lost:
            with pytest.raises(OperationalError, match="locked"):
                future.result(10)
        assert database.read_now(tokens) == {"before"}  # readers are not held up
    database.write_now(mark("after"))
    assert database.read_now(tokens) == {"before", "after"}


@only_postgresql
def test_a_lost_connection_fails_its_jobs_and_the_next_ones_get_another(database: Database) -> None:
    with held(database):
        before = database.submit(mark("before"))
        lost = database.submit(lambda c: c.execute(text("SELECT pg_terminate_backend(pg_backend_pid())")))
        after = database.submit(mark("after"))
    for future in (before, lost, after):
        with pytest.raises(OperationalError):
            future.result(10)
    assert database.read_now(tokens) == set()
    database.write_now(mark("next"))
    assert database.read_now(tokens) == {"next"}


def test_both_kinds_are_tested(database: Database, database_url: str) -> None:
    assert database.dialect == make_url(database_url).get_backend_name()
