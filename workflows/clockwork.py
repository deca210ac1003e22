"""How long activities may take and how often they are tried: one table for all workflows.

No retry is without an end or an alarm: writes to our own database are retried until it is back (an
alarm is raised from the fifth attempt: `activities/alarm.py`), the outside world for a week, after which the case says so.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

TASK_QUEUE = "jiebang"


class LocalOptions(TypedDict):
    """Keyword arguments of `workflow.execute_local_activity`."""

    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy


class RemoteOptions(TypedDict, total=False):
    """Keyword arguments of `workflow.execute_activity`."""

    start_to_close_timeout: timedelta
    schedule_to_close_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType


OWN_DATABASE = LocalOptions(
    start_to_close_timeout=timedelta(seconds=20),
    retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=30)),
)
"""Our own ledger: must be written, however long it takes."""

DELIVERY = RemoteOptions(
    start_to_close_timeout=timedelta(minutes=10),
    heartbeat_timeout=timedelta(seconds=10),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1)),
)
"""Enterprises in bulk: failures per enterprise are results, so this retries only our own mishaps."""

SOMEBODY_WAITS = RemoteOptions(
    start_to_close_timeout=timedelta(seconds=30),
    heartbeat_timeout=timedelta(seconds=10),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=15)),
)
"""A citizen sits before the screen: tried quickly, and given up by the activity itself, which then records that."""

REDELIVERY = RemoteOptions(
    start_to_close_timeout=timedelta(hours=1),
    heartbeat_timeout=timedelta(seconds=10),
    schedule_to_close_timeout=timedelta(days=1),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1)),
)
"""A pass of a replay: who is out of reach is a result, so this retries only our own mishaps, and goes on where it was."""

OUTSIDE = RemoteOptions(
    start_to_close_timeout=timedelta(minutes=3),
    heartbeat_timeout=timedelta(seconds=10),
    schedule_to_close_timeout=timedelta(days=7),
    retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=5)),
)
"""One outside party: SMS centre, mail server, carrier."""
