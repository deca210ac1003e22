"""What the gateway measures of itself, for Prometheus, on an address of its own (`JIEBANG_GATEWAY_METRICS`).

Label values come from closed sets: route templates, methods, windows, case kinds. No path, number, or name.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from sqlalchemy import Connection, and_, case, func, select

from domain.case import CaseKind
from gateway.limits import Limits
from gateway.pressure import Load
from runtime.settings import SettingsError
from store.database import Database
from store.tables import submissions, worklist

EVERY_SECONDS = 15.0
"""How often the database is asked for what is counted there."""

MOST_COUNTED = 100_000
"""Where counting ends: a gauge that stands there means that many or more."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True)
class Counts:
    """What the database says of cases and submissions."""

    not_started: int
    open: Mapping[str, int]
    overdue: Mapping[str, int]


class Metrics:
    """The gateway's figures; one registry per application."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.registry = CollectorRegistry()
        requests = ("route", "method", "status")
        self._requests = self._counter("requests", "Requests answered", *requests)
        self._seconds = Histogram(
            "jiebang_gateway_request_seconds",
            "Time until a request was answered",
            ("route", "method"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._refused = self._counter("refused", "Requests refused, by window or problem code", "reason")
        self._gauge("open", "Requests held, whatever they wait for").set_function(lambda: load.open)
        self._gauge("in_work", "Requests that have their turn").set_function(lambda: load.turns.taken)
        self._gauge("waiting", "Requests that wait for their turn").set_function(lambda: load.turns.waiting)
        self._not_started = self._gauge("not_started", "Submissions the engine has yet to take")
        self._open_cases = self._gauge("open_cases", "Cases in the case workers' queues that are open", "kind")
        self._overdue = self._gauge("overdue_cases", "Those of them whose time is over", "kind")
        self._measured = self._gauge("measured_timestamp_seconds", "When the gauges of cases were last read")
        load.refused = self.refused

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered."""
        known = method if method in METHODS else "other"
        self._requests.labels(route, known, status).inc()
        self._seconds.labels(route, known).observe(seconds)

    def refused(self, reason: str) -> None:
        """A request was refused: a window was full, or it came at a bad time."""
        self._refused.labels(reason).inc()

    def watch(self, database: Database, limits: Limits) -> None:
        """Show also what these say of themselves."""
        limits.refused = lambda window: self.refused(window.value)
        self._gauge("limits_alone", "1 while limits are counted here because Redis is away").set_function(
            lambda: limits.alone
        )
        self._gauge("writer_queue", "Writes that wait for the database").set_function(lambda: database.waiting)
        self._gauge("writer_lag_seconds", "How long the oldest of them waits").set_function(lambda: database.lag)

    async def measure(self, database: Database) -> None:
        """Read what is counted in the database."""
        counts = await database.read(lambda c: counted(c, datetime.now(UTC)))
        self._load.not_started = counts.not_started
        self._not_started.set(counts.not_started)
        for gauge, found in ((self._open_cases, counts.open), (self._overdue, counts.overdue)):
            for kind in CaseKind:
                gauge.labels(kind.value).set(found.get(kind.value, 0))
        self._measured.set_to_current_time()

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"jiebang_gateway_{name}", what, labels, registry=self.registry)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"jiebang_gateway_{name}", what, labels, registry=self.registry)


def counted(connection: Connection, now: datetime) -> Counts:
    """Open and overdue cases by kind, and submissions not started; bounded by indexes and `MOST_COUNTED`."""
    waiting = select(submissions.c.case_id).where(submissions.c.started.is_(False)).limit(MOST_COUNTED).subquery()
    late = case((and_(worklist.c.paused.is_(False), worklist.c.due_at <= now), 1), else_=0).label("late")
    some = select(worklist.c.kind, late).where(worklist.c.open.is_(True)).limit(MOST_COUNTED).subquery()
    by_kind = select(some.c.kind, func.count().label("open"), func.sum(some.c.late).label("late")).group_by(
        some.c.kind
    )
    rows = connection.execute(by_kind).all()
    return Counts(
        connection.execute(select(func.count()).select_from(waiting)).scalar_one(),
        {row.kind: row.open for row in rows},
        {row.kind: int(row.late) for row in rows},
    )


class Scrape:
    """The address Prometheus reads from, while the gateway runs. Raises SettingsError."""

    def __init__(self, address: str, metrics: Metrics) -> None:
        host, _, port = address.rpartition(":")
        try:
            started: tuple[WSGIServer, threading.Thread] = start_http_server(
                int(port), host.strip("[]") or "127.0.0.1", metrics.registry
            )
        except (OSError, OverflowError) as error:
            raise SettingsError(
                f"JIEBANG_GATEWAY_METRICS: nothing can listen at {address} ({type(error).__name__}): choose another"
            ) from None
        self._server, self._thread = started

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
