"""The gates before the application, on real sockets: slow, big and many requests."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from gateway import connections, pressure, problems
from gateway.connections import Connection
from gateway.desk import AnswerDesk, EngineBusy
from gateway.intake import Intake
from gateway.pressure import MOST_BYTES, Body, Load, Turns
from store import database as the_database
from store.database import Database, DatabaseBusy
from tests.serving import serving
from tests.support import eventually
from workflows.messages import Done


@dataclass
class Gate:
    """A small application behind the gates, and what it does."""

    load: Load
    http: httpx.AsyncClient
    port: int
    database: SimpleNamespace
    go: asyncio.Event = field(default_factory=asyncio.Event)
    answered: int = 0
    most: int = 0
    refused: list[str] = field(default_factory=list)
    sent: int = 0

    async def raw(self, *parts: bytes, pause: float = 0.0) -> tuple[str, dict[str, Any]]:
        """Send bytes with pauses between them; the status line, and the problem, once we are hung up on."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        answer = asyncio.create_task(reader.read())
        for part in parts:
            if answer.done():
                break
            writer.write(part)
            self.sent += 1
            await asyncio.wait([answer], timeout=pause)
        head, _, body = (await asyncio.wait_for(answer, 10)).partition(b"\r\n\r\n")
        writer.close()
        return head.split(b"\r\n")[0].decode(), json.loads(body)


@pytest.fixture
async def gate(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gate]:
    """Two requests at once, two more may wait."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.4)
    monkeypatch.setattr(pressure, "PROGRESS_SECONDS", 0.4)
    monkeypatch.setitem(pressure.BODIES, "/stream", Body(1000, seconds=1.0, stream=True))  # type: ignore[misc]
    load = Load(turns=Turns(2, 2, 0.5), streams=Turns(1, 1, 0.5))
    app = FastAPI()
    problems.install(app)
    pressure.install(app, load)
    database = SimpleNamespace(lag=0.0)
    app.state.services = SimpleNamespace(database=database)

    @app.api_route("/echo", methods=["GET", "POST"])
    async def echo(request: Request) -> int:
        made.most = max(made.most, load.turns.taken)
        made.answered += 1
        await asyncio.sleep(0)
        return len(await request.body())

    @app.post("/held")
    async def held() -> str:
        await made.go.wait()
        return "done"

    @app.post("/stream")
    async def stream(request: Request) -> int:
        return sum([len(part) async for part in request.stream()])

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            yield "first\n"
            await made.go.wait()
            yield "last\n"

        return StreamingResponse(lines())

    @app.get("/busy")
    async def busy() -> None:
        raise DatabaseBusy("full")

    async with (
        serving(app, http=Connection) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as http,
    ):
        made = Gate(load, http, int(url.rpartition(":")[2]), database)
        load.refused = made.refused.append
        yield made
        made.go.set()


def post(path: str, headers: str = "") -> bytes:
    """The head of a request whose body comes in chunks."""
    return f"POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n{headers}\r\n".encode()


async def test_a_body_is_cut_off_where_it_is_too_much(gate: Gate) -> None:
    most = b"x" * MOST_BYTES
    assert (await gate.http.post("/echo", content=most)).json() == MOST_BYTES
    declared = await gate.http.post("/echo", content=most + b"x")
    assert (declared.status_code, declared.json()["code"]) == (413, "too_large")
    streamed = await gate.http.post("/stream", content=b"x" * 900)
    assert streamed.json() == 900

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 400

    assert (await gate.http.post("/stream", content=parts())).status_code == 413
    assert gate.load.buffered == gate.load.open == gate.load.turns.taken == gate.load.streams.taken == 0


async def test_who_drips_is_cut_off_and_holds_up_nobody(gate: Gate) -> None:
    still = [
        asyncio.create_task(gate.raw(post(path), b"1\r\nx\r\n", b"1\r\n")) for path in ("/echo",) * 5 + ("/stream",)
    ]
    await eventually(lambda: gate.load.open == 6)
    assert (await gate.http.post("/echo", content=b"quick")).json() == 5, "nobody waits for those who drip"
    for line, problem in await asyncio.gather(*still):
        assert line.startswith("HTTP/1.1 408") and problem["code"] == "too_slow"
    gate.sent = 0
    drip = await gate.raw(post("/stream"), *[b"1\r\nx\r\n"] * 40, pause=0.1)
    assert drip[0].startswith("HTTP/1.1 408") and gate.sent < 40, "in all it took longer than it may"
    assert gate.load.open == 0


async def test_a_head_has_to_come_in_time_and_be_of_a_size(gate: Gate) -> None:
    slow = await gate.raw(b"POST /echo HTTP/1.1\r\n", *[b"x: y\r\n"] * 4, pause=0.15)
    assert slow[0].startswith("HTTP/1.1 408") and slow[1]["code"] == "too_slow"
    big = await gate.raw(b"GET /echo HTTP/1.1\r\nhost: x\r\n", *[b"x: " + b"y" * 30_000 + b"\r\n"] * 4)
    assert big[0].startswith("HTTP/1.1 431") and big[1]["code"] == "head_too_large"
    rubbish = await gate.raw(b"rubbish\r\n\r\n")
    assert rubbish[0].startswith("HTTP/1.1 400") and rubbish[1]["code"] == "malformed"


async def test_more_than_can_be_worked_on_wait_and_then_are_refused(gate: Gate) -> None:
    working = [asyncio.create_task(gate.http.post("/held")) for _ in range(2)]
    await eventually(lambda: gate.load.turns.taken == 2)
    waiting = [asyncio.create_task(gate.http.post("/echo", content=b"x")) for _ in range(2)]
    await eventually(lambda: gate.load.turns.waiting == 2)
    refused = await gate.http.post("/echo")
    assert (refused.status_code, refused.json()["code"]) == (503, "crowded")
    assert int(refused.headers["retry-after"]) > 0 and gate.refused == ["crowded"]
    gate.go.set()
    assert [(await one).status_code for one in (*working, *waiting)] == [200] * 4
    gate.go.clear()
    working = [asyncio.create_task(gate.http.post("/held")) for _ in range(2)]
    await eventually(lambda: gate.load.turns.taken == 2)
    assert (await gate.http.post("/echo")).json()["code"] == "crowded", "nobody waits for ever"
    for one in working:
        one.cancel()
    await asyncio.gather(*working, return_exceptions=True)


async def test_turns_are_never_lost() -> None:
    turns = Turns(3, 1000, 0.02)

    async def one(n: int) -> None:
        try:
            await turns.take()
        except problems.ProblemError:
            return
        try:
            await asyncio.sleep(0.001 * (n % 7))
        finally:
            turns.give_back()

    tasks = [asyncio.create_task(one(n)) for n in range(300)]
    for n, task in enumerate(tasks):
        if n % 5 == 0:
            await asyncio.sleep(0)
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (turns.taken, turns.waiting) == (0, 0)
    for _ in range(3):
        await asyncio.wait_for(turns.take(), 1)
    with pytest.raises(problems.ProblemError):
        await turns.take()


async def test_an_answer_has_to_begin_in_time(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pressure, "ANSWER_SECONDS", 0.2)
    late = await gate.http.post("/held")
    assert (late.status_code, late.json()["code"]) == (503, "took_too_long") and late.headers["retry-after"]
    async with gate.http.stream("GET", "/events") as events:
        lines = events.aiter_lines()
        assert await anext(lines) == "first"
        assert gate.load.turns.taken == 0 and gate.load.open == 1, "what goes on has had its turn"
        await asyncio.sleep(0.3)
        gate.go.set()
        assert await anext(lines) == "last"


async def test_nothing_is_taken_on_while_the_database_or_the_engine_is_behind(gate: Gate) -> None:
    gate.database.lag = pressure.MOST_LAG_SECONDS + 1
    behind = await gate.http.post("/echo")
    assert (behind.status_code, behind.json()["code"]) == (503, "database_busy") and behind.headers["retry-after"]
    assert (await gate.http.get("/echo")).status_code == 200 and gate.answered == 1
    gate.database.lag = 0.0
    gate.load.not_started = pressure.MOST_NOT_STARTED + 1
    starting = await gate.http.post("/echo", headers={"idempotency-key": "k"})
    assert (starting.status_code, starting.json()["code"]) == (503, "engine_busy")
    assert (await gate.http.post("/echo")).status_code == 200
    full = await gate.http.get("/busy")
    assert (full.status_code, full.json()["code"], full.headers["retry-after"]) == (503, "database_busy", "5")


async def test_many_at_once_all_get_an_answer_and_never_more_than_two_work(gate: Gate) -> None:
    gate.load.turns = Turns(2, 1000, 20)
    limits = httpx.Limits(max_connections=20)
    async with httpx.AsyncClient(base_url=gate.http.base_url, trust_env=False, timeout=20, limits=limits) as many:
        answers = await asyncio.gather(*(many.post("/echo", content=b"x" * n) for n in range(40)))
    assert [answer.json() for answer in answers] == list(range(40))
    assert gate.most == 2 and gate.answered == 40


# ── the queues behind ────────────────────────────────────────────────────────────────────────────────────


async def test_the_writers_queue_is_bounded_and_tells_how_far_behind_it_is(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, working = threading.Event(), threading.Event()
    database._jobs.maxsize = 3

    def slow(_connection: Any) -> None:
        working.set()
        hold.wait(10)

    first = database.submit(slow)
    await asyncio.to_thread(working.wait, 10)
    waiting = [database.submit(lambda _connection: None) for _ in range(3)]
    with pytest.raises(DatabaseBusy):
        await database.write(lambda _connection: None)
    await eventually(lambda: database.lag > 0.05)
    hold.set()
    for one in (first, *waiting):
        await asyncio.wrap_future(one)
    await eventually(lambda: database.lag == 0.0)
    assert the_database.MOST_WAITING < 100_000


class SlowEngine:
    """A client of an engine that takes its time."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.asked = 0

    def get_workflow_handle(self, _case: str) -> SlowEngine:
        return self

    async def execute_update(self, *_: Any, **__: Any) -> Done:
        self.asked += 1
        await self.go.wait()
        return Done(status="open")

    async def start_workflow(self, *_: Any, **__: Any) -> None:
        self.asked += 1
        await self.go.wait()


async def test_a_slow_engine_is_not_asked_more_and_more(
    database: Database, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.desk.MOST_UPDATES", 2)
    engine = SlowEngine()
    desk = AnswerDesk(_client(engine), database)
    under_way = [asyncio.create_task(desk.say("case", "act", None, Done)) for _ in range(2)]
    await eventually(lambda: engine.asked == 2)
    with pytest.raises(EngineBusy):
        await desk.say("case", "act", None, Done)
    engine.go.set()
    assert [(await one).status for one in under_way] == ["open", "open"]
    assert (await desk.say("case", "act", None, Done)).status == "open"

    monkeypatch.setattr("gateway.intake.MOST_STARTING", 0)
    monkeypatch.setattr("gateway.intake.STARTS", {None: SimpleNamespace(run=None, order=lambda *_: None)})
    intake = Intake(database, keys, _client(None), _client(engine))
    assert await intake._start(None, "case", None) is False, "left to the sweep"  # type: ignore[arg-type]
    assert engine.asked == 3


def _client(engine: Any) -> Any:
    return engine
