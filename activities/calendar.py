"""The working-day calendar of mainland China, from the `holidays` library, with its version."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from importlib.metadata import version

import holidays

from domain.sla import Calendar


@lru_cache(maxsize=8)
def china(year: int) -> Calendar:
    """Holidays and worked weekends of `year` and the next: a clock may run over New Year."""
    years = (year, year + 1)
    source = holidays.country_holidays("CN", years=years)
    worked: set[date] = getattr(source, "weekend_workdays", set())
    return Calendar(
        version=f"holidays-{version('holidays')}/CN",
        holidays=frozenset(day for day in source if day.year in years),
        worked_weekends=frozenset(day for day in worked if date(year, 1, 1) <= day),
    )
