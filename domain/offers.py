"""What somebody at the desk may do with a case as it is: whatever its kind's own rules would take from them now.

It is found out by trying: there is no second list of what is allowed that could say something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from domain import casework, complaint, dispute, investigation, number, query, renewal, unbind
from domain.case import Actor, CaseKind
from domain.casework import SOME_PAPER, Decision, WorkCommand
from domain.registry import RenewalPolicy

Offer = WorkCommand | dispute.Settle | complaint.Route | number.Override
ItemOffer = unbind.Pause | unbind.Resume


def _renewal(state: renewal.State, command: Any, at: datetime) -> Decision:
    return renewal.decide(state, command, at, RenewalPolicy())  # its clocks have no part in case work


DECIDE: Mapping[CaseKind, Callable[[Any, Any, datetime], Decision]] = {
    CaseKind.RENEWAL: _renewal,
    CaseKind.QUERY: query.decide,
    CaseKind.DISPUTE: dispute.decide,
    CaseKind.NUMBER: number.decide,
    CaseKind.INVESTIGATION: investigation.decide,
    CaseKind.COMPLAINT: complaint.decide,
}
"""The kinds there is case work on."""

ABOUTS: Mapping[CaseKind, Callable[[Any], Iterable[str]]] = {
    CaseKind.DISPUTE: lambda state: state.claims,
    CaseKind.INVESTIGATION: lambda _state: investigation.Result,
}
"""What a decision of two people may be about; elsewhere it is about the case."""


def _settled(state: dispute.State, actor: Actor) -> Iterator[Offer]:
    for app in state.claims:
        yield dispute.Settle(actor=actor, app=app, settlement=dispute.Settlement.SOLVED, reason=SOME_PAPER)


def _routed(state: complaint.State, actor: Actor) -> Iterator[Offer]:
    for way in complaint.Way:
        yield complaint.Route(actor=actor, way=way, reason=SOME_PAPER)


def _overridden(state: number.State, actor: Actor) -> Iterator[Offer]:
    yield number.Override(actor=actor, reason=SOME_PAPER)


BESIDES: Mapping[CaseKind, Callable[[Any, Actor], Iterator[Offer]]] = {
    CaseKind.DISPUTE: _settled,
    CaseKind.COMPLAINT: _routed,
    CaseKind.NUMBER: _overridden,
}
"""What case workers do with cases of one kind only."""


def open_to(kind: CaseKind, state: Any, actor: Actor, at: datetime) -> tuple[Offer, ...]:
    """One of everything this person could do with the case now; nothing for kinds without case work."""
    if kind not in DECIDE:
        return ()

    def takes(command: Offer) -> Decision:
        return DECIDE[kind](state, command, at)

    abouts = ABOUTS[kind](state) if kind in ABOUTS else ("",)
    own = BESIDES[kind](state, actor) if kind in BESIDES else ()
    return (
        *(one for one in own if casework.changes(takes(one))),
        *casework.open_to(actor, state.case, state.work, takes, abouts),
    )


def open_items(
    header: unbind.Header, items: Iterable[unbind.Item], actor: Actor, at: datetime
) -> tuple[ItemOffer, ...]:
    """Whose clock among these work items could be stopped now, and whose could go on."""
    state = unbind.State(header=header, items={one.id: one for one in items})
    if header.status is unbind.UnbindStatus.CLOSED:
        return ()
    tried = (
        one
        for item in state.items
        for one in (unbind.Pause(item=item, actor=actor, reason=SOME_PAPER), unbind.Resume(item=item, actor=actor))
    )
    return tuple(one for one in tried if casework.changes(unbind.decide(state, one, at)))
