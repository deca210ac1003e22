"""Which workflow a recorded case starts, and what it is handed: one row per kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from domain.case import CaseKind
from domain.registry import Registry
from workflows.messages import RenewalOrder
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
}
