"""A number's timeline: facts and marks in the order in which they happened, and the lives that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pydantic import AwareDatetime

from domain.number.words import (
    KEPT_ENTRIES,
    MOST_ENTRIES,
    REINSTATEMENT,
    TRANSITIONS,
    Entry,
    EventId,
    Fact,
    FactEntry,
    Life,
    Mark,
    MarkEntry,
    NumberStatus,
    State,
)
from domain.registry import NumberPolicy

SAME_MOMENT = (
    Fact.REISSUE,
    Fact.ACTIVATION,
    Fact.TRANSFER,
    Fact.SUSPENSION,
    Fact.RESUMPTION,
    Fact.CANCELLATION,
    Fact.FREEZE,
)
"""Carriers whose clocks count days report several facts of one moment: the order in which a life goes."""

NEEDS_NO_OWNER = frozenset({Fact.ACTIVATION, Fact.REISSUE})
"""What another carrier may report of a number and so take it over (携号转网); the rest is its own carrier's to say."""

SOMEBODYS = frozenset({Fact.ACTIVATION, Fact.SUSPENSION, Fact.RESUMPTION, Fact.TRANSFER, Fact.REISSUE})
"""Facts of a number that somebody has."""

REINSTATING = frozenset({Fact.ACTIVATION, Fact.SUSPENSION, Fact.RESUMPTION})
"""Those of them that the former holder may be meant by."""


def placed(state: State, entry: Entry) -> dict[str, object]:
    """What changes in a state with one more entry. One older than what is kept is in the ledger alone."""
    if state.since is not None and entry.at < state.since:
        return {}
    timeline = tuple(sorted((*state.timeline, entry), key=_place))
    base, since = state.base, state.since
    if len(timeline) > MOST_ENTRIES:
        old, timeline = timeline[:-KEPT_ENTRIES], timeline[-KEPT_ENTRIES:]
        base, since = last(base, old, state.policy), old[-1].at
    return {"timeline": timeline, "base": base, "since": since, "life": last(base, timeline, state.policy)}


def last(base: Life, timeline: tuple[Entry, ...], policy: NumberPolicy) -> Life:
    """Where a number stands after its timeline."""
    return [base, *(life for _, life in lives(base, timeline, policy))][-1]


def lives(base: Life, timeline: tuple[Entry, ...], policy: NumberPolicy) -> Iterator[tuple[Entry, Life]]:
    """Where the number stood after each entry."""
    life = base
    for entry in timeline:
        life = _after_mark(life, entry) if isinstance(entry, MarkEntry) else _after_fact(life, entry, policy)
        yield entry, life


def early(base: Life, timeline: tuple[Entry, ...], policy: NumberPolicy) -> frozenset[EventId]:
    """The facts by which the number was somebody's again without having been released."""
    before, found = base.life, set[str]()
    for entry, life in lives(base, timeline, policy):
        if life.life > before and life.early and isinstance(entry, FactEntry):
            found.add(entry.event)
        before = life.life
    return frozenset(found)


def batch_due(life: Life, policy: NumberPolicy) -> AwareDatetime | None:
    """When everything that hung on a cancelled number is to be unbound; until then a mistake can be undone."""
    return life.cancelled_at + policy.batch_after if life.gone and life.cancelled_at else None


def _place(entry: Entry) -> tuple[AwareDatetime, int, str]:
    if isinstance(entry, MarkEntry):
        return entry.at, len(SAME_MOMENT), entry.mark
    return entry.at, SAME_MOMENT.index(entry.fact), entry.event


def _status(life: Life, word: str) -> NumberStatus:
    return TRANSITIONS.get((life.status, word), life.status)


# ── marks ────────────────────────────────────────────────────────────────────────────────────────────


def _after_mark(life: Life, entry: MarkEntry) -> Life:
    """A mark says something about a cancelled number only."""
    if not life.gone:
        return life
    return life.model_copy(update={"status": _status(life, entry.mark), **_BY_MARK[entry.mark](entry)})


_BY_MARK: Mapping[Mark, Callable[[MarkEntry], dict[str, object]]] = {
    Mark.BATCH_STARTED: lambda entry: {"batch_at": entry.at, "parts": entry.parts},
    Mark.BATCH_RENEWED: lambda _entry: {},
    Mark.OVERRIDDEN: lambda _entry: {"overridden": True},
    Mark.RELEASED: lambda entry: {"released_at": entry.at},
}


# ── facts ────────────────────────────────────────────────────────────────────────────────────────────


def _after_fact(life: Life, entry: FactEntry, policy: NumberPolicy) -> Life:
    """The newest fact says where the number stands; a fact of somebody's number ends a cancellation."""
    own = life.carrier in ("", entry.carrier)
    if not own and entry.fact not in NEEDS_NO_OWNER:
        return life
    life = life.model_copy(update={"carrier": life.carrier or entry.carrier})
    if life.gone and entry.fact in SOMEBODYS:
        mistake = own and entry.fact in REINSTATING and _before_batch(life, entry, policy)
        life = _reinstated(life) if mistake else _next(life, entry, Fact.REISSUE)
        if mistake and entry.fact is Fact.ACTIVATION:
            return life
    elif entry.fact is Fact.REISSUE:
        return _confirmed(life) if life.unconfirmed and own else _next(life, entry, Fact.REISSUE)
    change = _BY_FACT.get(entry.fact)
    moved = life.model_copy(update={"status": _status(life, entry.fact)})
    return change(life, moved, entry) if change else moved


def _before_batch(life: Life, entry: FactEntry, policy: NumberPolicy) -> bool:
    due = batch_due(life, policy)
    return due is not None and entry.at < due


def _reinstated(life: Life) -> Life:
    """As if it had never been cancelled."""
    return _kept(life, _status(life, REINSTATEMENT), life=life.life, activated_at=life.activated_at, early=life.early)


def _next(life: Life, entry: FactEntry, word: Fact) -> Life:
    """Somebody else's: by a re-issue, said or not, or by a transfer."""
    again = word is Fact.REISSUE
    return _kept(
        life,
        _status(life, word),
        life=life.life + 1,
        carrier=entry.carrier,
        activated_at=entry.at,
        recycled_at=life.ended_at,
        early=again and life.released_at is None,
        unconfirmed=again and life.released_at is not None and entry.fact is not Fact.REISSUE,
    )


def _kept(life: Life, status: NumberStatus, /, **more: object) -> Life:
    """A life without anything of a cancellation."""
    kept = {"status": status, "carrier": life.carrier, "recycled_at": life.recycled_at}
    return Life().model_copy(update={**kept, **more})


def _confirmed(life: Life) -> Life:
    return life.model_copy(update={"unconfirmed": False})


def _activated(before: Life, moved: Life, entry: FactEntry) -> Life:
    """A contract begins with the first activation of a life; another carrier's is the same holder's, ported."""
    begins = before.status is NumberStatus.REISSUED or before.activated_at is None
    at = entry.at if begins else before.activated_at
    return moved.model_copy(update={"activated_at": at, "carrier": entry.carrier})


def _transferred(before: Life, moved: Life, entry: FactEntry) -> Life:
    """A new holder without a gap. A cancelled number's transfer has begun the next life already."""
    return moved if before.activated_at == entry.at else _next(before, entry, Fact.TRANSFER)


def _cancelled(before: Life, moved: Life, entry: FactEntry) -> Life:
    if before.gone and not before.assumed:
        return moved
    return moved.model_copy(update={"cancelled_at": entry.at, "assumed": False, "unconfirmed": False})


def _frozen(before: Life, moved: Life, entry: FactEntry) -> Life:
    """A frozen number has been cancelled, whether we heard of that or not."""
    change: dict[str, object] = {"frozen_at": before.frozen_at or entry.at}
    if not before.gone:
        change.update(cancelled_at=entry.at, assumed=True, unconfirmed=False)
    return moved.model_copy(update=change)


_BY_FACT: Mapping[Fact, Callable[[Life, Life, FactEntry], Life]] = {
    Fact.ACTIVATION: _activated,
    Fact.TRANSFER: _transferred,
    Fact.CANCELLATION: _cancelled,
    Fact.FREEZE: _frozen,
}
