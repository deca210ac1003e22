"""Contender (b), the bare minimum: one workflow, one activity, a signal per app; no domain and no database.

Nothing built on this engine can be faster; the question is what the domain costs on top.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from temporalio import activity, workflow


@activity.defn
async def nothing() -> None:
    """An activity that does nothing."""


@workflow.defn
class Bare:
    """Counts signals."""

    def __init__(self) -> None:
        self.heard = 0

    @workflow.run
    async def run(self, apps: int, within: float) -> int:
        """Until as many signals came, or the time is up."""
        await workflow.execute_activity(nothing, start_to_close_timeout=timedelta(seconds=10))
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self.heard >= apps, timeout=timedelta(seconds=within))
        return self.heard

    @workflow.signal
    def answer(self, _outcome: str) -> None:
        """One more."""
        self.heard += 1
