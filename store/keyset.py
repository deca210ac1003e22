"""Lists a page at a time: a page goes on from the place where the one before it ended, however many rows came between."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Select, literal, tuple_


@dataclass(frozen=True)
class Place:
    """Where a page ended: the moment its last row stands by, and that row's case."""

    at: datetime
    case: str


@dataclass(frozen=True)
class Order:
    """The columns a list stands by, a moment and a case; an index over both, after what is equal, gives it."""

    at: Column[Any]
    case: Column[Any]
    descending: bool = False

    def page(self, wanted: Select[Any], after: Place | None, limit: int) -> Select[Any]:
        """At most `limit` rows from beyond a place."""
        here = tuple_(self.at, self.case)
        if after is not None:
            there = tuple_(literal(after.at, self.at.type), literal(after.case, self.case.type))
            wanted = wanted.where(here < there if self.descending else here > there)
        ways = [column.desc() if self.descending else column.asc() for column in (self.at, self.case)]
        return wanted.order_by(*ways).limit(limit)
