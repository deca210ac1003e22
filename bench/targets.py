"""The targets, each a line: what was asked, what was measured, met or missed. Nothing fails: figures are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.plan import SIZE, Answers, Who

Results = Mapping[str, Any]
Row = Mapping[str, Any]


def middle(results: Results, who: Who, answers: Answers, apps: int) -> Row | None:
    """The run, or of several the figures in the middle."""
    found = [r for r in results["runs"] if (r["who"], r["answers"], r["apps"]) == (who.value, answers.value, apps)]
    if not found:
        return None
    return {
        **found[0],
        **{key: median(r[key] for r in found) for key in ("wall", "cost", "events", "bytes")},
        "cpu": {key: median(r["cpu"].get(key, 0.0) for r in found) for key in found[0]["cpu"]},
        "times": len(found),
    }


class NotMeasured(LookupError):
    """A target needs a run that this invocation left out."""


def _of(results: Results, who: Who, key: str, apps: int = SIZE, answers: Answers = Answers.TOGETHER) -> float:
    row = middle(results, who, answers, apps)
    if row is None:
        raise NotMeasured(f"{who.value}, {answers.value}, {apps}")
    return float(row[key])


def _rate(results: Results, who: str) -> float:
    for row in results["steps"]:
        if row["who"] == who:
            return float(row["cases_per_second"])
    raise NotMeasured(who)


def _best_dbos_steps(results: Results) -> float:
    return max(_rate(results, who.value) for who in (Who.DBOS_SQLITE, Who.DBOS_POSTGRES))


def _against_dbos(results: Results) -> float:
    ours = _of(results, Who.OURS, "wall")
    return min(_of(results, who, "wall") for who in (Who.DBOS_SQLITE, Who.DBOS_POSTGRES)) / ours


@dataclass(frozen=True)
class Target:
    """One promise. `at_most` tells on which side of the limit it is kept."""

    words: str
    limit: float
    at_most: bool
    measured: Callable[[Results], float]
    unit: str = "×"


TARGETS: Sequence[Target] = (
    Target(
        "history events against the textbook, 200 apps",
        1 / 8,
        True,
        lambda r: _of(r, Who.OURS, "events") / _of(r, Who.TEXTBOOK, "events"),
    ),
    Target(
        "CPU of server and worker against the textbook, 200 apps",
        1 / 5,
        True,
        lambda r: _of(r, Who.OURS, "cost") / _of(r, Who.TEXTBOOK, "cost"),
    ),
    Target("speed against DBOS (the faster of its two databases), 200 apps", 1.0, False, _against_dbos),
    Target(
        "rate against the bare minimum, 200 apps",
        0.5,
        False,
        lambda r: _of(r, Who.BARE, "wall") / _of(r, Who.OURS, "wall"),
    ),
    Target(
        "history events per app, answers one by one, 200 apps",
        6.0,
        True,
        lambda r: _of(r, Who.OURS, "events", SIZE, Answers.ONE) / SIZE,
        "",
    ),
    Target(
        "CPU per app at 2,000 apps against that at 50",
        1.3,
        True,
        lambda r: (_of(r, Who.OURS, "cost", 2000) / 2000) / (_of(r, Who.OURS, "cost", 50) / 50),
    ),
    Target(
        "3-step cases/s against the bare engine's three activities",
        1.25,
        False,
        lambda r: _rate(r, "ours") / _rate(r, "bare engine"),
    ),
    Target(
        "3-step cases/s against DBOS (the faster of its two databases)",
        0.9,
        False,
        lambda r: _rate(r, "ours") / _best_dbos_steps(r),
    ),
    Target(
        "the same with the workflow sandbox off (a setting)",
        0.9,
        False,
        lambda r: _rate(r, "ours, no sandbox") / _best_dbos_steps(r),
    ),
)


@dataclass(frozen=True)
class Verdict:
    """A target with its figure."""

    words: str
    limit: str
    measured: str
    word: str


def judge(results: Results) -> list[Verdict]:
    """Every target."""
    return [_judge(target, results) for target in TARGETS]


def _judge(target: Target, results: Results) -> Verdict:
    sign = "≤" if target.at_most else "≥"
    limit = f"{sign} {target.limit:.3g}{target.unit}"
    try:
        value = target.measured(results)
    except NotMeasured:
        return Verdict(target.words, limit, "–", "not measured")
    kept = value <= target.limit if target.at_most else value >= target.limit
    return Verdict(target.words, limit, f"{value:.3g}{target.unit}", "met" if kept else "MISSED")
