"""The whole stack as processes, for tests that kill them or read everything they wrote."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from runtime.api import ApiError
from runtime.stack import SANDBOX_REGISTRY, Stack

T = TypeVar("T")

CHANGING = ("silent", "late", "extending", "forging")
"""Kinds of enterprises whose items end overdue, or change after the summary."""


def until(check: Callable[[], T], limit: float = 60.0, every: float = 0.2) -> T:
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


@pytest.fixture
def patient_registry(tmp_path: Path) -> Path:
    """The sandbox's registry with clocks that outlast a crash, and a late window that ends at once."""
    text = SANDBOX_REGISTRY.read_text()
    text = text.replace('answer_within = "PT25S"', 'answer_within = "PT5M"')
    path = tmp_path / "registry.toml"
    path.write_text(text)
    return path


@pytest.fixture
def stack(tmp_path: Path, patient_registry: Path) -> Stack:
    """A stack of this test's own; enter it to start it."""
    return Stack(tmp_path / "stack", environment={"JIEBANG_REGISTRY": str(patient_registry)})
