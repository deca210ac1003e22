"""Contender (a), the textbook: a child workflow per app, an activity per thing to do, an answer as a signal.

What a careful newcomer writes after reading the documentation: pydantic models, modules passed through the sandbox.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from bench.textbook_models import AppOrder, RenewalOrder, Step
    from domain.unbind import Outcome

WITHIN = timedelta(minutes=1)


@workflow.defn
class OneApp:
    """Deliver, wait, record."""

    def __init__(self) -> None:
        self.outcome: Outcome | None = None

    @workflow.run
    async def run(self, order: AppOrder) -> str:
        """Until the app's enterprise has answered, or is overdue."""
        opened = workflow.now()
        await self._do("deliver", order, opened)
        await self._do("record_delivered", order, opened)
        if not await self._answered(order.remind_after):
            await self._do("remind", order, opened)
            await self._do("record_reminded", order, opened)
            if not await self._answered(order.then_overdue_after):
                await self._do("record_overdue", order, opened)
                return "overdue"
        await self._do("record_answer", order, opened)
        return str(self.outcome)

    @workflow.signal
    def answer(self, outcome: Outcome) -> None:
        """From the gateway."""
        self.outcome = outcome

    async def _answered(self, within: timedelta) -> bool:
        try:
            await workflow.wait_condition(lambda: self.outcome is not None, timeout=within)
        except TimeoutError:
            return False
        return True

    async def _do(self, what: str, order: AppOrder, opened: datetime) -> Any:
        step = Step(order=order, at=workflow.now(), opened_at=opened, outcome=self.outcome)
        await workflow.execute_activity(what, step, start_to_close_timeout=WITHIN)


@workflow.defn
class AllApps:
    """The parent: one child per app."""

    @workflow.run
    async def run(self, order: RenewalOrder) -> int:
        """How many apps."""
        children = (workflow.execute_child_workflow(OneApp.run, app, id=app.case) for app in order.apps)
        return len(await asyncio.gather(*children))
