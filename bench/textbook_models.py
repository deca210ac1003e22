"""What the textbook's workflows and activities hand each other."""

from __future__ import annotations

from datetime import datetime, timedelta

from domain.case import Model
from domain.unbind import Outcome


class AppOrder(Model):
    """One app of one renewal: a workflow of its own."""

    case: str
    parent: str
    app: str
    remind_after: timedelta
    then_overdue_after: timedelta


class RenewalOrder(Model):
    """All of them."""

    apps: tuple[AppOrder, ...]


class Step(Model):
    """One activity of one app: which notice, or which answer."""

    order: AppOrder
    at: datetime
    opened_at: datetime
    outcome: Outcome | None = None
