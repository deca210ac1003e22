"""What is kept of every request: a line in the log, figures, and a span; by its route's template, never by its path."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping

import structlog
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.case import CASE_ID
from gateway import sessions
from gateway.metrics import METHODS, Metrics
from gateway.pressure import UNTOUCHED
from runtime import logs

log = structlog.get_logger()

NOWHERE = "unrouted"
"""The route of what no route is for, or what was refused before one was looked for."""

CASES = ("case", "check")
"""Parameters of routes that are a case's reference."""


class Watched:
    """ASGI middleware: outermost, so that it sees every answer."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._joins = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})
        logs.about.set(lambda: {"request": request_id, **_about(scope)})
        started, status = time.perf_counter(), 500

        async def noticing(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                identified = (b"x-request-id", request_id.encode())
                message = {**message, "headers": [*message.get("headers", ()), identified]}
            await send(message)

        tracer = trace.get_tracer("jiebang.gateway", tracer_provider=getattr(scope["app"].state, "tracing", None))
        parent = self._joins.extract({"traceparent": Headers(scope=scope).get("traceparent", "")})
        with tracer.start_as_current_span(
            scope["method"], parent, trace.SpanKind.SERVER, record_exception=False
        ) as span:
            try:
                await self._app(scope, receive, noticing)
            finally:
                seconds = time.perf_counter() - started
                self._note(scope, status, seconds)
                if span.is_recording():
                    _describe(span, scope, status)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        self._metrics.answered(route(scope), scope["method"], status, seconds)
        if scope["path"] not in UNTOUCHED:
            log.info("answered", status=status, ms=round(1000 * seconds, 1))


def route(scope: Scope) -> str:
    """The template of the route a request was for."""
    found = getattr(scope.get("route"), "path", None)
    return str(found) if found else NOWHERE


def _about(scope: Scope) -> Mapping[str, str]:
    """What every line of a request's log carries, as far as it is known yet."""
    method = scope["method"]
    said = {"method": method if method in METHODS else "other", "route": route(scope)}
    if caller := scope["state"].get("caller"):
        said["client"] = caller.code if caller.client == sessions.CLIENT else caller.client
    if case := case_of(scope):
        said["case"] = case
    return said


def case_of(scope: Scope) -> str:
    """The case a request names in its path, if that is a reference at all, or has opened."""
    given = [str(value) for key, value in scope.get("path_params", {}).items() if key in CASES]
    opened = str(structlog.contextvars.get_contextvars().get("case", ""))
    return next((one for one in given if re.fullmatch(CASE_ID, one)), opened)


def _describe(span: trace.Span, scope: Scope, status: int) -> None:
    span.update_name(f"{scope['method']} {route(scope)}" if scope["method"] in METHODS else route(scope))
    span.set_attributes(
        {"http.request.method": scope["method"], "http.route": route(scope), "http.response.status_code": status}
    )
    if case := case_of(scope):
        span.set_attribute("jiebang.case", case)
    if status >= 500:
        span.set_status(trace.StatusCode.ERROR)
