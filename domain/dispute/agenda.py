"""What is due: everything a clock makes happen to a dispute, computed from its state alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from pydantic import AwareDatetime

from domain.case import AppCode, Model, PartyCode
from domain.casework import REOPEN_WITHIN, Standing, Waiting
from domain.dispute.words import (
    CITIZENS_TURN,
    PARTYS_TURN,
    REMINDED,
    Claim,
    ClaimState,
    DisputeStatus,
    State,
)

ASK_AGAIN_FIRST = timedelta(minutes=5)
ASK_AGAIN_AT_MOST = timedelta(hours=6)


class Agenda(Model):
    """What the workflow has to do now, and when it has to look again (None: when a message comes)."""

    ask: Mapping[PartyCode, tuple[AppCode, ...]]
    ask_due_at: AwareDatetime
    over: bool
    wake_at: AwareDatetime | None


def agenda(state: State, now: datetime) -> Agenda:
    """What is left to do at `now`, once what is due was decided (`Look`)."""
    if state.ended_at is not None:
        ends = state.ended_at + REOPEN_WITHIN
        return Agenda(ask={}, ask_due_at=ends, over=ends <= now, wake_at=ends)
    clocks = [at for at in _clocks(state) if at > now]
    wanted = _to_ask(state)
    ask_at = _ask_at(state)
    if wanted and ask_at > now:
        wanted, clocks = {}, [*clocks, ask_at]
    due = [end for claim in state.claims_in(ClaimState.ASKING_DETAIL) if (end := deadline(state, claim))]
    return Agenda(ask=wanted, ask_due_at=max(due, default=now), over=False, wake_at=min(clocks, default=None))


def deadline(state: State, claim: Claim) -> datetime | None:
    """When a claim's turn is over: the party's to say which accounts, or the citizen's to say anything."""
    if claim.state is ClaimState.ASKING_DETAIL:
        return claim.since + state.policy.detail_within
    return claim.since + state.policy.citizen_silent_after if claim.state in CITIZENS_TURN else None


def reminders(state: State, claim: Claim) -> tuple[datetime, ...]:
    """When a silent citizen is reminded of a claim."""
    if claim.state not in REMINDED:
        return ()
    return tuple(claim.since + after for after in state.policy.remind_citizen_after)


def passed(state: State, claim: Claim, at: datetime) -> int:
    """How many reminders were due by then."""
    return sum(due <= at for due in reminders(state, claim))


def next_at(state: State, claim: Claim) -> datetime | None:
    """When something happens to a claim if nobody does anything; None where no clock of ours runs."""
    if state.work.paused_at is not None or state.status is not DisputeStatus.OPEN:
        return None
    if claim.state is ClaimState.WITH_CASE_WORKER:
        return state.work.due_at
    return deadline(state, claim)


def standing(state: State) -> Standing:
    """Whose turn it is: a case worker's before the citizen's before a party's."""
    turns = {claim.state for claim in state.claims.values()}
    if state.status is not DisputeStatus.OPEN:
        waiting = Waiting.NOBODY
    elif ClaimState.WITH_CASE_WORKER in turns or state.work.proposal:
        waiting = Waiting.CASE_WORKER
    elif turns & CITIZENS_TURN:
        waiting = Waiting.CITIZEN
    else:
        waiting = Waiting.PARTY if turns & PARTYS_TURN else Waiting.NOBODY
    open_ = state.status is DisputeStatus.OPEN
    return Standing(status=state.status.value, open=open_, waiting=waiting, work=state.work)


def _clocks(state: State) -> Iterator[datetime]:
    if state.work.paused_at is not None:
        return
    for claim in state.claims.values():
        yield from reminders(state, claim)
        if end := deadline(state, claim):
            yield end


def _to_ask(state: State) -> dict[PartyCode, tuple[AppCode, ...]]:
    """Everybody at first; then those that could not be reached, as long as a claim waits for them."""
    wanted: dict[PartyCode, tuple[AppCode, ...]] = {}
    for claim in state.claims_in(ClaimState.ASKING_DETAIL):
        asked = state.question_of(claim)
        if asked is None or (asked.failure and asked.answer is None):
            wanted[claim.party] = (*wanted.get(claim.party, ()), claim.app)
    return wanted


def _ask_at(state: State) -> datetime:
    if state.asked_at is None:
        return state.opened_at
    wait = ASK_AGAIN_FIRST * (1 << min(state.asked - 1, 16))
    return state.asked_at + min(wait, ASK_AGAIN_AT_MOST)
