"""A case of three steps: ours writes each to the ledger by a local activity; the bare engine runs three activities
that do nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities import contracts
    from activities.contracts import Record
    from bench.bare_flow import nothing
    from domain import renewal
    from domain.case import Actor, CaseKind, Event
    from workflows.clockwork import OWN_DATABASE


def three_steps(case: str, at: datetime) -> tuple[Event, Event, Event]:
    """What happens to every case of this measurement."""
    carrier = Actor(kind="carrier", code="c1")
    identity = renewal.IdentityProof(checked_by="c1", method=renewal.CheckMethod.FACE, checked_at=at)
    return (
        renewal.Submitted(
            at=at,
            actor=carrier,
            case=case,
            carrier="c1",
            masked_number="138****8000",
            activated_at=datetime(2026, 1, 5, tzinfo=UTC),
            apps=("a1",),
            identity=identity,
        ),
        renewal.EligibilityAnswered(at=at, actor=carrier, verdict=renewal.Verdict.YES),
        renewal.Started(at=at, parts=(f"{case}-unbind-0",)),
    )


@workflow.defn
class Ours:
    """Three writes to the ledger and its read models."""

    @workflow.run
    async def run(self, case: str) -> int:
        """How many."""
        for number, event in enumerate(three_steps(case, workflow.now())):
            data = event.model_dump_json(exclude_none=True)
            order = Record(case=case, kind=CaseKind.RENEWAL, step=f"decide-{number}", events=(data,))
            await workflow.execute_local_activity(contracts.record, order, **OWN_DATABASE)
        return 3


@workflow.defn
class Bare:
    """Three regular activities that do nothing."""

    @workflow.run
    async def run(self, _case: str) -> int:
        """How many."""
        for _ in range(3):
            await workflow.execute_activity(nothing, start_to_close_timeout=timedelta(seconds=30))
        return 3
