"""The database: one writer thread with group commit, readers beside it; the same on SQLite and PostgreSQL.

Jobs that arrive while a transaction runs share the next one, each behind a savepoint so that one failing job
fails alone. `docs/performance.md` has the figures.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url

T = TypeVar("T")
Job = Callable[[Connection], T]

MOST_JOBS = 128
"""Jobs in one transaction."""

MOST_WAITING = 10_000
"""Jobs queued before more are turned away: no unbounded queue."""

BUSY_SECONDS = 10.0


class DatabaseBusy(RuntimeError):
    """The writer's queue is full: nothing was queued, the same may be tried again later."""


@dataclass(frozen=True)
class _Queued:
    """A job, and since when it waits."""

    job: Job[Any]
    done: Future[Any]
    since: float = field(default_factory=time.monotonic)


def create(url: str, *, writes: bool) -> Engine:
    """An engine for the writer or the readers.

    SQLite writers begin IMMEDIATE: a deferred one loses updates. Every read is one snapshot, however many
    queries it makes, so that `verify` beside a writer sees no half of anything.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
        level = "READ COMMITTED" if writes else "REPEATABLE READ"
        return create_engine(parsed, pool_pre_ping=True, isolation_level=level)
    engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


class Database:
    """Reads and writes from async code without blocking it."""

    def __init__(self, url: str) -> None:
        self._readers = create(url, writes=False)
        self._writers = create(url, writes=True)
        self._jobs: queue.Queue[_Queued | None] = queue.Queue(MOST_WAITING)
        self._oldest: float | None = None
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="database-writer", daemon=True)
        self._thread.start()

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._writers.dialect.name

    @property
    def waiting(self) -> int:
        """Jobs queued for the writer."""
        return self._jobs.qsize()

    @property
    def lag(self) -> float:
        """Seconds since the oldest job was queued that is not yet committed; 0 when there is none."""
        oldest = self._oldest
        return 0.0 if oldest is None else time.monotonic() - oldest

    async def read(self, job: Job[T]) -> T:
        """Run a job that only reads."""
        return await asyncio.to_thread(self.read_now, job)

    def read_now(self, job: Job[T]) -> T:
        """Run a job that only reads, in this thread."""
        with self._readers.connect() as connection:
            return job(connection)

    async def write(self, job: Job[T]) -> T:
        """Run a job in the writer's next transaction; when this returns, it is committed. Raises DatabaseBusy."""
        return await asyncio.wrap_future(self.submit(job))

    def submit(self, job: Job[T]) -> Future[T]:
        """Queue a job for the writer; the future is done after the commit.

        Raises DatabaseBusy at once when the queue is full, since who waits here may be an event loop; RuntimeError
        after `close`.
        """
        done: Future[T] = Future()
        with self._closing:
            if self._closed:
                raise RuntimeError("the database is closed")
            try:
                self._jobs.put_nowait(_Queued(job, done))
            except queue.Full:
                raise DatabaseBusy("too many writes wait for the database") from None
        return done

    def write_now(self, job: Job[T]) -> T:
        """Run a job in the writer's next transaction and wait in this thread (command line, rebuild)."""
        return self.submit(job).result()

    def close(self) -> None:
        """Finish what is queued, then let go of the database."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._thread.join()
        self._readers.dispose()
        self._writers.dispose()

    # ── the writer thread ────────────────────────────────────────────────────────────────────────────

    def _work(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch = [first]
            self._oldest = first.since
            closing = False
            while len(batch) < MOST_JOBS and not self._jobs.empty():
                job = self._jobs.get()
                if job is None:
                    closing = True
                    break
                batch.append(job)
            self._commit(batch)
            self._oldest = None
            if closing:
                return

    def _commit(self, batch: list[_Queued]) -> None:
        live = [(one.job, one.done) for one in batch if one.done.set_running_or_notify_cancel()]
        outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with self._writers.begin() as connection:
                if self.dialect == "postgresql":
                    # commit order is ledger order, whichever process writes
                    connection.execute(text("SELECT pg_advisory_xact_lock(7310)"))
                if len(live) == 1:
                    ((job, done),) = live
                    outcomes.append((done, job(connection), None))
                else:
                    outcomes.extend((done, *_attempt(connection, job)) for job, done in live)
        except Exception as error:  # noqa: BLE001 - every caller of the batch gets it
            for _, done in live:
                done.set_exception(error)
            return
        for done, result, failure in outcomes:
            if failure is None:
                done.set_result(result)
            else:
                done.set_exception(failure)


def _attempt(connection: Connection, job: Job[Any]) -> tuple[Any, BaseException | None]:
    """One job behind a savepoint: its failure is its own, unless the connection itself is lost."""
    savepoint = connection.begin_nested()
    try:
        result = job(connection)
        savepoint.commit()
    except Exception as error:
        if connection.invalidated:
            raise
        savepoint.rollback()
        return None, error
    return result, None
