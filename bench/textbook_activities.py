"""The textbook's activities: one per thing to do, as the documentation shows them."""

from __future__ import annotations

from temporalio import activity

from bench.app_steps import AppSteps
from bench.textbook_models import Step
from domain.unbind import Notice


class AppActivities(AppSteps):
    """Bodies in `AppSteps`."""

    @activity.defn
    async def deliver(self, step: Step) -> None:
        """Tell the enterprise."""
        await self.tell(step, Notice.REQUEST)

    @activity.defn
    async def record_delivered(self, step: Step) -> None:
        """Write that down."""
        await self.told(step, Notice.REQUEST)

    @activity.defn
    async def remind(self, step: Step) -> None:
        """Tell it again."""
        await self.tell(step, Notice.REMINDER)

    @activity.defn
    async def record_reminded(self, step: Step) -> None:
        """Write that down."""
        await self.told(step, Notice.REMINDER)

    @activity.defn
    async def record_answer(self, step: Step) -> None:
        """Write the answer down."""
        await self.answered(step)

    @activity.defn
    async def record_overdue(self, step: Step) -> None:
        """Write its absence down."""
        await self.overdue(step)
