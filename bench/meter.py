"""CPU seconds of processes that are not ours to instrument: read from the kernel before and after."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import psutil

QUIET_CPU = 0.06
QUIET_EVERY = 0.25
QUIET_AT_MOST = 4.0


def cpu_of(pid: int) -> float:
    """User and system seconds of a process, of the children it has now and of those it has reaped."""
    process = psutil.Process(pid)
    own = process.cpu_times()
    children = sum(_own(child) for child in process.children(recursive=True))
    return own.user + own.system + own.children_user + own.children_system + children


def _own(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


class Meter:
    """CPU per part while it runs; can be paused while everybody only waits for a clock."""

    def __init__(self, parts: Mapping[str, int]) -> None:
        """`parts`: a name and a process id each; the driver is this very process, without its children."""
        self._parts = dict(parts)
        self._began: dict[str, float] | None = None
        self.spent = dict.fromkeys([*self._parts, "driver"], 0.0)

    def start(self) -> None:
        """Count from now."""
        self._began = self._read()

    def pause(self) -> None:
        """Add what was spent since the start and stop counting."""
        if self._began is None:
            return
        now = self._read()
        for name, before in self._began.items():
            self.spent[name] += now[name] - before
        self._began = None

    async def quiet(self) -> None:
        """Wait until the parts have done what they put off (the server's visibility and timer queues)."""
        until = time.monotonic() + QUIET_AT_MOST
        before = self._busy()
        while time.monotonic() < until:
            await asyncio.sleep(QUIET_EVERY)
            now = self._busy()
            if now - before < QUIET_CPU * QUIET_EVERY:
                return
            before = now

    def _busy(self) -> float:
        return sum(cpu_of(pid) for pid in self._parts.values())

    def _read(self) -> dict[str, float]:
        return {**{name: cpu_of(pid) for name, pid in self._parts.items()}, "driver": time.process_time()}
