"""One run: a fresh house and a fresh worker process, a short warm-up, then the measurement."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import psutil
from temporalio.client import Client

from bench.bare import BareMinimum
from bench.contender import Contender, Kept, TooLate, at_most
from bench.house import House, build
from bench.meter import Meter
from bench.ours import Ours
from bench.parts import Part, part
from bench.plan import Answers, Run, Who
from bench.small_team import SmallTeam
from bench.textbook import Textbook
from bench.worker import engine_address
from runtime import engine

WARM_APPS = 10


@dataclass(frozen=True)
class Servers:
    """What all runs share."""

    folder: Path
    temporal_pid: int
    partner: Part
    partner_port: int
    postgres_pid: int
    postgres_uri: str


@dataclass
class Figures:
    """What one run gave."""

    who: str
    answers: str
    apps: int
    wall: float
    """Seconds from the start until every answer (or its absence) is recorded."""
    cpu: dict[str, float]
    """CPU seconds until every workflow has completed, by part: server, worker, partner, driver."""
    events: int
    bytes: int
    workflows: int
    busy: float
    """Load average when it began: others may share the machine."""

    @property
    def cost(self) -> float:
        """CPU seconds of server and worker."""
        return self.cpu["server"] + self.cpu["worker"]


async def measure(run: Run, servers: Servers, attempt: int) -> Figures:
    """One run; on a slow machine once more with twice the time to answer."""
    try:
        return await _once(run, servers, attempt)
    except TooLate:
        return await _once(replace(run, slack=2.5), servers, attempt)


async def _once(run: Run, servers: Servers, attempt: int) -> Figures:
    """Set up, warm up, measure, take down."""
    with ExitStack() as stack:
        folder = servers.folder / f"{run.name}-{attempt}-{run.slack:.0f}"
        house = build(folder, run.apps, run.timing, servers.partner_port)
        async with CONTENDERS[run.who](run, servers, house, stack) as (contender, pids):
            await _warm(contender, min(WARM_APPS, run.apps))
            meter = Meter({**pids, "partner": servers.partner.pid})
            await meter.quiet()
            return await _measured(run, contender, meter)


async def _warm(contender: Contender, apps: int) -> None:
    """Imports, caches and connections, with answers whichever way the run goes."""
    await contender.open(apps)
    await contender.delivered()
    await contender.answer_all(apps)
    try:
        await contender.forget()
    except Exception as error:  # noqa: BLE001 - a bare workflow may have ended already
        assert "already completed" in str(error), error


async def _measured(run: Run, contender: Contender, meter: Meter) -> Figures:
    busy = psutil.getloadavg()[0]
    meter.start()
    began = time.monotonic()
    await contender.open(run.apps)
    await ARRIVE[run.answers](contender, run.apps)
    wall = time.monotonic() - began
    await contender.ended(meter)
    await meter.quiet()
    meter.pause()
    kept: Kept = await contender.kept()
    return Figures(
        who=run.who.value,
        answers=run.answers.value,
        apps=run.apps,
        wall=wall,
        cpu={"server": 0.0, **meter.spent},
        events=kept.events,
        bytes=kept.size,
        workflows=kept.workflows,
        busy=busy,
    )


async def _together(contender: Contender, apps: int) -> None:
    await contender.delivered()
    await contender.answer_all(apps)


async def _some_at_a_time(limit: int, contender: Contender, apps: int) -> None:
    await contender.delivered()
    await at_most(limit, [partial(contender.answer, number) for number in range(apps)])


async def _nobody(contender: Contender, apps: int) -> None:
    await contender.overdue(apps)


ARRIVE: dict[Answers, Callable[[Contender, int], Awaitable[None]]] = {
    Answers.TOGETHER: _together,
    Answers.EIGHT: partial(_some_at_a_time, 8),
    Answers.ONE: partial(_some_at_a_time, 1),
    Answers.NOBODY: _nobody,
}

# ── the contenders with their processes ──────────────────────────────────────────────────────────────

Ready = AsyncIterator[tuple[Contender, dict[str, int]]]


@asynccontextmanager
async def _ours(which: str, run: Run, servers: Servers, house: House, stack: ExitStack) -> Ready:
    worker = stack.enter_context(part(house.folder, "bench.worker", which, house.folder))
    contender = Ours(run, await engine.connect(house.keys), house)
    stack.callback(contender.close)
    yield contender, {"server": servers.temporal_pid, "worker": worker.pid}


@asynccontextmanager
async def _textbook(run: Run, servers: Servers, house: House, stack: ExitStack) -> Ready:
    worker = stack.enter_context(part(house.folder, "bench.worker", "textbook", house.folder))
    contender = Textbook(run, await engine.connect(house.keys), house)
    stack.callback(contender.close)
    yield contender, {"server": servers.temporal_pid, "worker": worker.pid}


@asynccontextmanager
async def _bare(run: Run, servers: Servers, house: House, stack: ExitStack) -> Ready:
    worker = stack.enter_context(part(house.folder, "bench.worker", "bare", house.folder))
    client = await Client.connect(engine_address())
    yield BareMinimum(run).on(client), {"server": servers.temporal_pid, "worker": worker.pid}


@asynccontextmanager
async def _dbos(on_postgres: bool, run: Run, servers: Servers, house: House, stack: ExitStack) -> Ready:
    name = f"d{abs(hash(house.folder)) % 10**9}"
    url = (
        servers.postgres_uri.replace("/postgres?", f"/{name}?")
        if on_postgres
        else f"sqlite:///{house.folder}/dbos.db"
    )
    worker = stack.enter_context(part(house.folder, "bench.dbos_worker", house.folder, url))
    contender = SmallTeam(run, house, worker, url)
    stack.callback(contender.close)
    server = {"server": servers.postgres_pid} if on_postgres else {}
    yield contender, {**server, "worker": worker.pid}


CONTENDERS = {
    Who.OURS: partial(_ours, "ours"),
    Who.OURS_BARE_PYTHON: partial(_ours, "ours-unsandboxed"),
    Who.TEXTBOOK: _textbook,
    Who.BARE: _bare,
    Who.DBOS_SQLITE: partial(_dbos, False),
    Who.DBOS_POSTGRES: partial(_dbos, True),
}


def row(figures: Figures) -> dict[str, object]:
    """For results.json."""
    return {**asdict(figures), "cost": figures.cost}
