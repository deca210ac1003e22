"""What is measured: who competes, in which way answers arrive, over how many apps. Tables, so the whole run shows at a glance."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Answers(StrEnum):
    """How the enterprises' answers arrive."""

    TOGETHER = "together"
    EIGHT = "8 at a time"
    ONE = "one by one"
    NOBODY = "nobody answers"


class Who(StrEnum):
    """The contenders."""

    OURS = "ours"
    OURS_BARE_PYTHON = "ours, no sandbox"
    TEXTBOOK = "textbook"
    BARE = "bare minimum"
    DBOS_SQLITE = "DBOS, SQLite"
    DBOS_POSTGRES = "DBOS, PostgreSQL"


@dataclass(frozen=True)
class Timing:
    """The clocks of one run, in seconds."""

    answer_within: float
    remind_before: float
    late_window: float


@dataclass(frozen=True)
class Run:
    """One measurement."""

    who: Who
    answers: Answers
    apps: int
    slack: float = 1.0
    """How many times the usual deadline."""

    @property
    def name(self) -> str:
        """Unique, and fit for a folder."""
        words = f"{self.who.value} {self.answers.value} {self.apps}"
        return "-".join("".join(c if c.isalnum() else " " for c in words).split())

    @property
    def timing(self) -> Timing:
        """Long enough for every answer to be in time, short enough to see the close."""
        base, each = SECONDS[self.answers]
        within = (base + each * self.apps) * self.slack
        if self.answers is Answers.NOBODY:
            return Timing(within, REMIND_BEFORE, 2.0 + REMIND_EACH * self.apps)
        return Timing(within, 0.0, 1.0)


SECONDS = {
    Answers.TOGETHER: (6.0, 0.018),
    Answers.EIGHT: (5.0, 0.03),
    Answers.ONE: (6.0, 0.06),
    Answers.NOBODY: (6.0, 0.018),
}
"""The deadline: a start, and so much per app. A run whose answers came too late is done again with twice the time."""

REMIND_BEFORE = 2.0
REMIND_EACH = 0.018
"""Reminding takes as long as delivering, and has to be over before the case closes."""

EVERYBODY = tuple(Who)
SIZE = 200
MAIN = (Who.OURS, Who.TEXTBOOK, Who.BARE, Who.DBOS_POSTGRES)

GROWTH = {50: MAIN, 200: EVERYBODY, 1000: (Who.OURS, Who.BARE), 2000: (Who.OURS, Who.BARE)}
"""Answers together."""

OTHERS = {
    Answers.ONE: {50: (Who.OURS,), 200: EVERYBODY},
    Answers.EIGHT: {200: MAIN},
    Answers.NOBODY: {50: (Who.OURS,), 200: MAIN, 2000: (Who.OURS,)},
}

REPEATED = ((Who.OURS, 50), (Who.OURS, 200), (Who.BARE, 200), (Who.DBOS_POSTGRES, 200))
"""What a target hangs on is measured three times; the middle figure counts."""

FULL = {1000: EVERYBODY, 2000: EVERYBODY}
"""With `--full`: everybody at every size, which takes some ten minutes more."""

QUICK_SIZES = (50, 200)


def runs(quick: bool = False, full: bool = False) -> list[Run]:
    """Everything in order, the repetitions at the beginning and at the end."""
    tables = {Answers.TOGETHER: {**GROWTH, **(FULL if full else {})}, **OTHERS}
    found = [
        Run(who, answers, apps) for answers, sizes in tables.items() for apps, whos in sizes.items() for who in whos
    ]
    again = [Run(who, Answers.TOGETHER, apps) for who, apps in REPEATED]
    return [run for run in [*again, *found, *again] if not quick or run.apps in QUICK_SIZES]
