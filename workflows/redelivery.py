"""`RedeliveryWorkflow`: messages a partner missed, sent again until it has taken or refused them, for a day at most.

Which messages stands in their log, marked with the replay's name; a pass tries all that are left.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities import contracts
    from activities.contracts import Redeliver
    from workflows.clockwork import REDELIVERY
    from workflows.messages import RedeliveryOrder

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=1)
GIVEN_UP_AFTER = timedelta(days=1)


@workflow.defn
class RedeliveryWorkflow:
    """One replay for one partner."""

    @workflow.run
    async def run(self, order: RedeliveryOrder) -> int:
        """Pass after pass with growing pauses; how many messages were not taken or refused in the end."""
        pause, ends = FIRST_PAUSE, workflow.now() + GIVEN_UP_AFTER
        while True:
            last = workflow.now() + pause > ends
            done = await workflow.execute_activity(
                contracts.redeliver, Redeliver(partner=order.partner, replay=order.replay, last=last), **REDELIVERY
            )
            if last or not done.left:
                return done.left
            await workflow.sleep(max(pause, timedelta(seconds=done.retry_after)))
            pause = min(2 * pause, LONGEST_PAUSE)
