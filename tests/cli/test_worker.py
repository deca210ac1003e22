"""The worker's wiring check says what is wrong before anything runs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from temporalio import activity

import worker
from activities.records import Records


def test_wiring_is_complete() -> None:
    done = subprocess.run([sys.executable, "worker.py", "--check"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "every contract is implemented" in done.stdout


def test_missing_and_different_activities_are_named() -> None:
    with pytest.raises(worker.WiringError, match="record_unbind"):
        worker.check([])

    @activity.defn(name="record_unbind")
    async def other(order: int) -> None: ...

    with pytest.raises(worker.WiringError, match="record_unbind takes or gives something else"):
        worker.check([other, Records.record_renewal])
