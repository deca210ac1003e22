"""How much may come in: bodies, their time, requests at once, and what is refused before work is taken on.

A request passes three gates: its body comes in whole and in time, it gets a turn, and its answer begins in time.
Only the turns cost anything, so slow senders hold up nobody else. No gate queues without end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import ProblemError, fail, response
from gateway.services import Services
from store.database import DatabaseBusy

log = structlog.get_logger()


@dataclass(frozen=True)
class Body:
    """What a door takes: how many bytes, how long they may take, and whether the route reads them as they come."""

    most: int
    seconds: float = 60.0
    stream: bool = False


MOST_BYTES = 1024 * 1024
ELSEWHERE = Body(MOST_BYTES)
BODIES: Mapping[str, Body] = {
    "/v1/answers": Body(8 * 1024 * 1024),
    "/work/upload": Body(8 * 1024 * 1024),
    "/v1/renewal-batches": Body(64 * 1024 * 1024, seconds=600.0, stream=True),
}
"""Doors that take more than others."""

MOST_BUFFERED = 256 * 1024 * 1024
"""Bytes of bodies that are still coming in or wait for their turn, in all."""

PROGRESS_SECONDS = 10.0
"""A body has to move at least so often."""

MOST_OPEN = 4000
"""Requests this process holds at all, whatever they wait for."""

MOST_IN_WORK = 128
MOST_WAITING = 2000
TURN_SECONDS = 10.0
"""How long a request may wait for its turn."""

MOST_STREAMS = 8
"""Uploads that are read as they come, at once; they have turns of their own."""

ANSWER_SECONDS = 30.0
"""When an answer has to begin; for an upload that is read as it comes, from its last byte on."""

MOST_LAG_SECONDS = 2.0
"""How far behind the database may be before nothing more is taken on."""

MOST_NOT_STARTED = 20_000
"""Submissions the engine has yet to take before no more are taken in."""

READING = frozenset({"GET", "HEAD", "OPTIONS"})
UNTOUCHED = frozenset({"/healthz", "/readyz"})
"""Answered whatever else is going on."""


class Turns:
    """So many at once, in the order they came; so many may wait, for so long."""

    def __init__(self, most: int, waiting: int, seconds: float) -> None:
        self._free = most
        self._most_waiting = waiting
        self._seconds = seconds
        self._queue: deque[asyncio.Future[None]] = deque()
        self.taken = 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    async def take(self) -> None:
        """Wait for a turn. Raises ProblemError 503."""
        if self._free > 0:
            self._free -= 1
        else:
            await self._wait()
        self.taken += 1

    def give_back(self) -> None:
        """A turn is over: it is the next one's."""
        self.taken -= 1
        while self._queue:
            following = self._queue.popleft()
            if not following.done():
                following.set_result(None)
                return
        self._free += 1

    async def _wait(self) -> None:
        if len(self._queue) >= self._most_waiting:
            raise crowded()
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(mine)
        try:
            async with asyncio.timeout(self._seconds):
                await mine
        except BaseException as error:
            if mine.done() and not mine.cancelled():  # it became ours in the same moment
                self.taken += 1
                self.give_back()
            elif mine in self._queue:
                self._queue.remove(mine)
            if isinstance(error, TimeoutError):
                raise crowded() from None
            raise


@dataclass
class Load:
    """What this process is doing, shared by the gates and the metrics."""

    open: int = 0
    buffered: int = 0
    not_started: int = 0
    turns: Turns = field(default_factory=lambda: Turns(MOST_IN_WORK, MOST_WAITING, TURN_SECONDS))
    streams: Turns = field(default_factory=lambda: Turns(MOST_STREAMS, MOST_STREAMS, TURN_SECONDS))
    refused: Callable[[str], None] = lambda _code: None
    """Told the code of every refusal."""


class Pressure:
    """ASGI middleware: the three gates."""

    def __init__(self, app: ASGIApp, load: Load) -> None:
        self._app = app
        self._load = load

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"] in UNTOUCHED:
            await self._app(scope, receive, send)
            return
        begun = False

        async def noticing(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start" and message["status"] == 408:
                # who is too slow is not waited for; who sends too much has to read this first
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        try:
            await self._pass(scope, receive, noticing)
        except ProblemError as error:
            if begun:
                raise
            self._load.refused(error.problem.code)
            await response(error.problem, error.retry_after)(scope, receive, noticing)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        load, body = self._load, _body_of(scope)
        if load.open >= MOST_OPEN:
            raise crowded()
        refuse_when_strained(scope, load)
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdigit() and int(declared) > body.most:
            raise _too_large(body)
        load.open += 1
        try:
            if body.stream:
                async with _turn(load.streams) as turn:
                    sending = turn.over_at_streaming(send)
                    await _in_time(self._app, scope, _Streamed(body, receive), sending, body.seconds)
            else:
                async with _whole(load, body, receive) as came, _turn(load.turns) as turn:
                    if came is not None:
                        await _in_time(self._app, scope, came, turn.over_at_streaming(send), 0.0)
        finally:
            load.open -= 1


def _body_of(scope: Scope) -> Body:
    """What a door takes; the rest of an upload comes as a PATCH of what its beginning made."""
    path = scope["path"].rpartition("/")[0] if scope["method"] == "PATCH" else scope["path"]
    return ELSEWHERE if scope["method"] in READING else BODIES.get(path, ELSEWHERE)


@asynccontextmanager
async def _whole(load: Load, body: Body, receive: Receive) -> AsyncIterator[Receive | None]:
    """A body that came in whole, to be received at once; None when the sender has gone."""
    parts: list[bytes] = []
    size = 0
    reading = _Streamed(body, receive)
    try:
        while True:
            message = await reading()
            if message["type"] == "http.disconnect":
                yield None
                return
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            load.buffered += len(parts[-1])
            if load.buffered > MOST_BUFFERED:
                raise crowded()
            if not message.get("more_body", False):
                break
        whole: list[Message] = [{"type": "http.request", "body": b"".join(parts), "more_body": False}]

        async def replayed() -> Message:
            return whole.pop() if whole else await receive()

        yield replayed
    finally:
        load.buffered -= size


class _Streamed:
    """A body as it comes in: cut off at its limit, when it stops moving, and when it takes too long."""

    def __init__(self, body: Body, receive: Receive) -> None:
        self._body = body
        self._receive = receive
        self._size = 0
        self._over = asyncio.get_running_loop().time() + body.seconds
        self._whole = False

    async def __call__(self) -> Message:
        """The next part. Raises ProblemError 408 or 413."""
        if self._whole:
            return await self._receive()  # for those who wait whether the caller goes away
        left = self._over - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(PROGRESS_SECONDS, max(left, 0.0))):
                message = await self._receive()
        except TimeoutError:
            raise fail(
                408,
                "too_slow",
                f"The body stood still for {PROGRESS_SECONDS:g} s, or took more than {self._body.seconds:g} s.",
                "Send it without a pause, or less of it.",
            ) from None
        self._size += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._size > self._body.most:
            raise _too_large(self._body)
        return message


class _Turn:
    """A turn that somebody has; given back once."""

    def __init__(self, turns: Turns) -> None:
        self._turns: Turns | None = turns

    def over(self) -> None:
        """Give it back."""
        if self._turns is not None:
            self._turns.give_back()
            self._turns = None

    def over_at_streaming(self, send: Send) -> Send:
        """An answer that goes on, such as events to a page, has had its turn when it has begun."""

        async def sending(message: Message) -> None:
            if message.get("more_body", False):
                self.over()
            await send(message)

        return sending


@asynccontextmanager
async def _turn(turns: Turns) -> AsyncIterator[_Turn]:
    await turns.take()
    mine = _Turn(turns)
    try:
        yield mine
    finally:
        mine.over()


async def _in_time(app: ASGIApp, scope: Scope, receive: Receive, send: Send, reading: float) -> None:
    """Answer; if nothing of the answer is there in time (and `reading` seconds for a body), the caller is told so."""
    try:
        async with asyncio.timeout(reading + ANSWER_SECONDS) as deadline:

            async def begins(message: Message) -> None:
                if deadline.when() is not None:
                    deadline.reschedule(None)
                await send(message)

            await app(scope, receive, begins)
    except TimeoutError:
        if not deadline.expired():
            raise
        log.error("answer_took_too_long", seconds=reading + ANSWER_SECONDS)
        raise fail(
            503,
            "took_too_long",
            "The answer took too long; what was asked for may or may not have been done.",
            "Send the same request again, with the same Idempotency-Key if it had one.",
            retry_after=10,
        ) from None


def refuse_when_strained(scope: Scope, load: Load) -> None:
    """Refuse what would only add to the work while the database or the engine is behind. Raises ProblemError 503."""
    if scope["method"] in READING:
        return
    services: Services = scope["app"].state.services
    if services.database.lag > MOST_LAG_SECONDS:
        raise database_busy()
    if load.not_started > MOST_NOT_STARTED and b"idempotency-key" in dict(scope["headers"]):
        raise fail(
            503, "engine_busy", "Too many cases wait to be started.", "Send the same request again.", retry_after=30
        )


def crowded() -> ProblemError:
    """The refusal of a process that has its hands full."""
    return fail(503, "crowded", "Too many requests at once.", "Send the same request again.", retry_after=2)


def database_busy() -> ProblemError:
    """The refusal while the database is behind or away."""
    return fail(503, "database_busy", "The database does not keep up.", "Send the same request again.", retry_after=5)


def _too_large(body: Body) -> ProblemError:
    return fail(413, "too_large", f"The body is over {body.most // 1024} KiB.", "Send less, in several requests.")


def install(app: FastAPI, load: Load) -> None:
    """Put the gates before an application, and let a database that is away or full be a problem 503."""
    app.add_middleware(Pressure, load=load)

    async def busy(_request: Request, error: Exception) -> JSONResponse:
        log.error("database_busy", error=type(error).__name__, cause=type(error.__cause__).__name__)
        refusal = database_busy()
        load.refused(refusal.problem.code)
        return response(refusal.problem, refusal.retry_after)

    for away in (DatabaseBusy, OperationalError, NoConnectionFree):
        app.add_exception_handler(away, busy)
