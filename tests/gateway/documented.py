"""Every answer the tests of the doors get is one the OpenAPI tells of: its status, and its media type."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

import httpx

from gateway.app import bare


@cache
def spec() -> dict[str, Any]:
    """The document, made once: it takes a second."""
    return bare().openapi()


@cache
def _operations() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    """Paths and what there is under them; those without a blank first, as they are found."""
    paths = sorted(spec()["paths"].items(), key=lambda item: item[0].count("{"))
    return [(re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)), item) for path, item in paths]


def documented() -> Callable[[httpx.Response], Awaitable[None]]:
    """A hook for a client, made before the server is waited for: fails on what no program could have expected."""
    operations = _operations()

    async def look(response: httpx.Response) -> None:
        request = response.request
        item = next((item for path, item in operations if path.fullmatch(request.url.path)), {})
        operation = item.get(request.method.lower())
        if operation is None:
            return
        said = operation["responses"].get(str(response.status_code))
        name = operation["operationId"]
        assert said is not None, f"{name} answers {response.status_code}: say so in ALSO of gateway/openapi.py"
        media = response.headers.get("content-type", "").partition(";")[0]
        assert not media or not said.get("content") or media in said["content"], f"{name}: {media} is not documented"

    return look
