"""The alarm: any activity that keeps failing is an error in the log, whoever retries it and for how long."""

from __future__ import annotations

from typing import Any

import structlog
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

log = structlog.get_logger()

ALARM_FROM = 5
"""Attempts after which a failing activity is reported, each time."""


class Alarm(Interceptor):
    """Put on a worker."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Watch every attempt."""
        return _Watched(super().intercept_activity(next))


class _Watched(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        if info.attempt >= ALARM_FROM:
            activity.metric_meter().create_counter("jiebang_alarms").add(1, {"activity": info.activity_type})
            log.error(
                "activity_keeps_failing", activity=info.activity_type, case=info.workflow_id, attempt=info.attempt
            )
        return await super().execute_activity(input)
