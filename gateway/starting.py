"""Which workflow a recorded case starts, and what it is handed: one row per kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from domain.case import CaseKind
from domain.registry import Registry
from workflows.complaint import ComplaintWorkflow
from workflows.dispute import DisputeWorkflow
from workflows.identity import IdentityCheckWorkflow
from workflows.investigation import InvestigationWorkflow
from workflows.messages import (
    ComplaintOrder,
    DisputeOrder,
    IdentityOrder,
    InvestigationOrder,
    NumberOrder,
    QueryOrder,
    RenewalOrder,
)
from workflows.number import NumberWorkflow
from workflows.query import QueryWorkflow
from workflows.renewal import RenewalWorkflow


@dataclass(frozen=True)
class Start:
    """A workflow's run method, and its order from the case's first event."""

    run: Any
    order: Callable[[Any, Registry], Any]


STARTS: Mapping[CaseKind, Start] = {
    CaseKind.RENEWAL: Start(
        RenewalWorkflow.run, lambda first, registry: RenewalOrder(submitted=first, policy=registry.renewal)
    ),
    CaseKind.QUERY: Start(QueryWorkflow.run, lambda first, _registry: QueryOrder(first=first)),
    CaseKind.INVESTIGATION: Start(
        InvestigationWorkflow.run, lambda first, _registry: InvestigationOrder(first=first)
    ),
    CaseKind.IDENTITY: Start(IdentityCheckWorkflow.run, lambda first, _registry: IdentityOrder(first=first)),
    CaseKind.NUMBER: Start(NumberWorkflow.run, lambda first, _registry: NumberOrder(first=first)),
    CaseKind.COMPLAINT: Start(ComplaintWorkflow.run, lambda first, _registry: ComplaintOrder(first=first)),
    CaseKind.DISPUTE: Start(DisputeWorkflow.run, lambda first, _registry: DisputeOrder(first=first)),
}
