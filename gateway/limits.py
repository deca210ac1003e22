"""How much a request may be: bodies are cut off while they come in, not after."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import problem, response

MOST_BYTES = 1024 * 1024
MOST_BULK_BYTES = 8 * 1024 * 1024
BULK_PATHS = frozenset({"/v1/answers"})


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
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > most:
                await refusal(scope, receive, send)
                return
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replayed() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, replayed, send)
