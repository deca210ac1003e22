"""Server-sent events: a page that is looked at is told when what it shows has changed, and fetches itself anew.

An event says only that something changed. Without scripts the page is what it was when it was opened, and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from fastapi import Request
from fastapi.responses import StreamingResponse
from sqlalchemy import Connection

from gateway.problems import fail
from gateway.services import Services

EVERY_SECONDS = 1.0
HEARTBEATS = 15
"""So many looks without a change, then a comment, so that proxies and browsers keep the line."""

MOST_LOOKS = 600
"""After so many the line is closed, and the browser opens another: whoever signed out or was signed out is noticed."""

MOST_STREAMS = 500
"""Pages this process keeps fresh at once; the others stay as they were opened."""

_open = 0


async def stream(request: Request, services: Services, version: Callable[[Connection], str]) -> StreamingResponse:
    """Events whenever `version` reads differently. Raises ProblemError 503."""
    if _open >= MOST_STREAMS:
        raise fail(503, "crowded", "Too many pages are kept fresh.", "Reload the page by hand.", retry_after=30)
    seen = await services.database.read(version)
    return StreamingResponse(
        _events(request, services, version, seen),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _events(
    request: Request, services: Services, version: Callable[[Connection], str], seen: str
) -> AsyncIterator[str]:
    global _open
    _open += 1
    try:
        yield "retry: 3000\n\n"
        for look in range(MOST_LOOKS):
            await asyncio.sleep(EVERY_SECONDS)
            if await request.is_disconnected():
                return
            if (found := await services.database.read(version)) != seen:
                seen = found
                yield "event: changed\ndata: \n\n"
            elif look % HEARTBEATS == HEARTBEATS - 1:
                yield ": still here\n\n"
    finally:
        _open -= 1
