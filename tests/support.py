"""What tests of several folders share."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(check: Callable[[], T], limit: float = 10.0, every: float = 0.02) -> T:
    """The first truthy value of `check`; an AssertionError that names it if none comes within `limit` s."""
    clock = asyncio.get_running_loop().time
    end = clock() + limit
    while not (value := check()):
        if clock() > end:
            raise AssertionError(f"after {limit} s still waiting for: {_source(check)}; last value: {value!r}")
        await asyncio.sleep(every)
    return value


def _source(check: Callable[[], T]) -> str:
    try:
        return " ".join(inspect.getsource(check).split())
    except (OSError, TypeError):
        return repr(check)
