"""Connections: uvicorn's, with a bound on how many there are, and on how long and how big a request's head may be."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.problems import MEDIA_TYPE, Problem, problem

MOST_CONNECTIONS = 8000
HEAD_SECONDS = 10.0
"""How long a connection may be without a whole request: its head, or what is left of a body nobody wants."""

MOST_HEAD_BYTES = 64 * 1024
SEE = "See /openapi.json for what there is."


class Connection(HttpToolsProtocol):
    """One connection; `_clock` runs while something is expected and nobody works on a request."""

    _clock: asyncio.TimerHandle | None = None
    _head = 0
    _body_comes = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody connects."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            self._end(problem(503, "crowded", "Too many connections at once.", "Try again in a few seconds."))
        else:
            self._start_clock()

    def data_received(self, data: bytes) -> None:
        """Some of a request, or what comes after one."""
        idle = self.cycle is None or self.cycle.response_complete
        if idle:
            self._start_clock()
            self._head += 0 if self._body_comes else len(data)
        super().data_received(data)
        if idle and self._head > MOST_HEAD_BYTES and not self.transport.is_closing():
            self._end(problem(431, "head_too_large", "The headers are over 64 KiB.", "Send less of them."))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        super().on_headers_complete()
        self._body_comes = True
        self._stop_clock()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._body_comes = False
        self._stop_clock()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._stop_clock()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered with a problem too."""
        self._end(problem(400, "malformed", "This is no HTTP request.", SEE))

    def _start_clock(self) -> None:
        if self._clock is None:
            self._clock = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _stop_clock(self) -> None:
        self._head = 0
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self._end(problem(408, "too_slow", "The request did not come in time.", "Send it without a pause."))

    def _end(self, found: Problem) -> None:
        if self.cycle is not None and self.cycle.response_complete:  # it has its answer
            self.transport.close()
            return
        body = found.model_dump_json().encode()
        head = (
            f"HTTP/1.1 {found.status} {HTTPStatus(found.status).phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\nretry-after: 5\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
