"""The whole stack as processes, for tests that kill them or read everything they wrote."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from runtime.api import ApiError
from runtime.credentials import SANDBOX_CLERKS
from runtime.stack import SANDBOX_REGISTRY, Stack
from store.database import Database

T = TypeVar("T")

PLAIN = httpx.Client(timeout=30, trust_env=False, verify=False)
"""For everything on loopback: a client of its own per request reads all authorities, 50 ms each time."""

CHANGING = ("silent", "late", "extending", "forging")
"""Kinds of enterprises whose items end overdue, or change after the summary."""


def settles(enterprise: str) -> bool:
    """Whether an enterprise of the sandbox answers by itself, once and in time."""
    return enterprise.rpartition("-")[0] not in CHANGING and enterprise not in SANDBOX_CLERKS.values()


PATIENT = {'answer_within = "PT25S"': 'answer_within = "PT5M"'}
"""Clocks of work items that outlast a crash, and a slow machine."""


def until(check: Callable[[], T | None], limit: float = 60.0, every: float = 0.2) -> T:
    """The first truthy value of `check`; what it raises meanwhile (a killed server) counts as not yet."""
    end = time.monotonic() + limit
    last: object = None
    while time.monotonic() < end:
        try:
            if value := check():
                return value
        except (httpx.HTTPError, ApiError, OSError, LookupError, ValueError) as error:
            last = error
        time.sleep(every)
    raise AssertionError(f"not within {limit} s; last: {last!r}")


def registry(
    folder: Path, changes: Mapping[str, str], codes: Collection[str] = (), asked: Collection[str] = ()
) -> Path:
    """The sandbox's registry in other words, with these enterprises only (all if none are named).

    Those in `asked` take part in queries, whatever stood there.
    """
    text = SANDBOX_REGISTRY.read_text()
    for old, new in changes.items():
        assert old in text, f"the sandbox's registry has no {old}"
        text = text.replace(old, new)
    head, *enterprises = text.split("[[enterprises]]\n")
    kept = []
    for one in enterprises:
        code = tomllib.loads(one.splitlines()[0])["code"]
        if not codes or code in codes:
            kept.append(one.replace("queries = false\n", "") if code in asked else one)
    path = folder / "registry.toml"
    path.write_text("[[enterprises]]\n".join([head, *kept]))
    return path


def stack_of(folder: Path, registry: Path) -> Stack:
    """A stack of a test's own; enter it to start it."""
    return Stack(folder / "stack", environment={"JIEBANG_REGISTRY": str(registry)})


@contextmanager
def database(stack: Stack) -> Iterator[Database]:
    """The stack's database, to look into beside the product."""
    opened = Database(stack.settings.database_url)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A stack with everybody in it, whose clocks outlast a crash."""
    return stack_of(tmp_path, registry(tmp_path, PATIENT))
