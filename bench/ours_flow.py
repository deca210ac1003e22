"""A renewal cut down to what it does with its unbind requests: start them, hear their reports, wait for their end.

The real one also asks the carrier and sends short messages, which no other contender does.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from datetime import datetime

    from domain.case import Model
    from domain.renewal import parts_of
    from workflows.clockwork import TASK_QUEUE
    from workflows.messages import UnbindOrder, UnbindReport
    from workflows.unbind import UnbindWorkflow


class RenewalOrder(Model):
    """One renewal over these apps."""

    case: str
    apps: tuple[str, ...]
    boundary: datetime
    late_window: timedelta


@workflow.defn
class Renewal:
    """The parent of the real unbind requests."""

    def __init__(self) -> None:
        self.reports: dict[str, UnbindReport] = {}

    @workflow.run
    async def run(self, order: RenewalOrder) -> int:
        """How many apps were reported."""
        parts = parts_of(order.case, order.apps)
        children = [
            await workflow.start_child_workflow(
                UnbindWorkflow.run,
                UnbindOrder(
                    case=part, parent=order.case, apps=apps, boundary=order.boundary, late_window=order.late_window
                ),
                id=part,
                task_queue=TASK_QUEUE,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            )
            for part, apps in parts.items()
        ]
        reports = await asyncio.gather(*children)
        return sum(len(report.outcomes) for report in reports)

    @workflow.signal
    def report(self, report: UnbindReport) -> None:
        """As the real renewal takes it."""
        self.reports[report.case] = report
