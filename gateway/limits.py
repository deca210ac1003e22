"""How much a request may be: bodies are cut off while they come in, not after."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import problem, response

MOST_BYTES = 1024 * 1024
MOST_BULK_BYTES = 8 * 1024 * 1024
BULK_PATHS = frozenset({"/v1/answers"})


class _TooLarge(Exception):
    """The body went over its limit."""


class BodyLimit:
    """ASGI middleware: 413 as soon as a body is, or says it is, over the limit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = MOST_BULK_BYTES if scope["path"] in BULK_PATHS else MOST_BYTES
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        refusal = response(
            problem(413, "too_large", f"The body is over {most // 1024} KiB.", "Send less, in several requests.")
        )
        if declared.isdigit() and int(declared) > most:
            await refusal(scope, receive, send)
            return
        taken = 0
        started = False

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                raise _TooLarge
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, counted, watched)
        except _TooLarge:
            if not started:
                await refusal(scope, receive, send)
