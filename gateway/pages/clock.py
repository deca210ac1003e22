"""A clock as a page shows it: a bar with its marks, and the same in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.pages.page import Page, ago
from gateway.pages.words import N_, duration

OPENED, REMINDER, SOON, DUE = N_("Opened"), N_("Reminder"), N_("Due soon from"), N_("Due")


@dataclass(frozen=True)
class Mark:
    """A time on the bar: `place` is how far along, in percent."""

    name: str
    at: datetime
    place: int


@dataclass(frozen=True)
class Clock:
    """`tone` is `good`, `warn` after the reminder, `bad` after the deadline; empty while it stands."""

    title: str
    sentence: str
    tone: str
    gone: int
    due: int
    marks: Sequence[Mark]


def clock(
    page: Page,
    title: str,
    opened: datetime,
    due: datetime,
    early: tuple[str, datetime] | None,
    paused_at: datetime | None,
) -> Clock:
    """The clock of something that is due; `early` is a mark before that, by its name."""
    now = paused_at or page.now
    end = max(due, now)
    whole = max(end - opened, timedelta(seconds=1))

    def place(at: datetime) -> int:
        return round(100 * (min(max(at, opened), end) - opened) / whole)

    times = [(OPENED, opened), *([early] if early and early[1] > opened else []), (DUE, due)]
    return Clock(
        title=page._(title),
        sentence=sentence(page, due, paused_at),
        tone="" if paused_at else "bad" if now >= due else "warn" if early and now >= early[1] else "good",
        gone=place(now),
        due=place(due),
        marks=[Mark(page._(name), at, place(at)) for name, at in times],
    )


def sentence(page: Page, due: datetime, paused_at: datetime | None) -> str:
    """When something is due, as one says it."""
    if paused_at and due <= paused_at:
        return page._("The clock stands; it was overdue already.")
    if paused_at:
        left = duration(due - paused_at, page.language)
        return page._("The clock stands; time left when it was stopped: %(time)s.", time=left)
    if due <= page.now:
        return page._("Overdue for %(time)s.", time=duration(page.now - due, page.language))
    return page._("Due %(when)s.", when=ago(page, due))
