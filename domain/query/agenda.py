"""What is due: whom to ask, what to report, when to look again, and what a citizen is told comes next."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime

from domain.case import AppCode, Model, PartyCode
from domain.casework import Standing, Waiting
from domain.query.words import AFTER_REPORT, OPEN, Clockwork, Close, QueryStatus, Report, State, Supplement
from domain.question import Counts, Question


class Agenda(Model):
    """What the workflow has to do now: ask these parties, or this; else look again at `wake_at`, if at all."""

    ask: tuple[PartyCode, ...] = ()
    command: Clockwork | None = None
    wake_at: AwareDatetime | None = None


def agenda(state: State, now: datetime) -> Agenda:
    """Everything due at `now`, and the earliest clock among the rest."""
    if command := due(state, now):
        return Agenda(command=command)
    again = ask_again_at(state)
    if again is not None and again <= now:
        return Agenda(ask=to_ask(state))
    clocks = [again] if again is not None else []
    end = _clock(state)
    if end is not None and end > now:
        clocks.append(end)
    return Agenda(wake_at=min(clocks, default=None))


def due(state: State, at: datetime) -> Clockwork | None:
    """The command whose time has come. The first round goes out whatever the clock says: nobody is silent unasked."""
    end = _clock(state)
    over = end is not None and at >= end
    if state.status is QueryStatus.ASKING:
        return Report() if state.asked and (over or settled(state)) else None
    if state.status not in AFTER_REPORT:
        return None
    if state.supplemented_at is None and counted(state) != dict(state.counts) and (over or settled(state)):
        return Supplement()
    return Close() if over and state.status is not QueryStatus.REPORTED else None


def _clock(state: State) -> datetime | None:
    """The end of what the query is in: the 48 hours, then the late window. None while the clock stands."""
    if state.status not in OPEN or state.work.paused_at is not None:
        return None
    return state.deadline_at if state.late_until is None else state.late_until


def settled(state: State) -> bool:
    """Nothing is waited for any more: every party has answered."""
    return len(state.questions) == len(state.parties) and not any(one.open for one in state.questions.values())


def counted(state: State) -> dict[AppCode, int]:
    """What the parties have said so far."""
    said: dict[str, int] = {}
    for one in state.questions.values():
        if isinstance(one.answer, Counts):
            said.update(one.answer.counts)
    return {one.app: said[one.app] for one in state.apps if one.app in said}


def to_ask(state: State) -> tuple[PartyCode, ...]:
    """Everybody at first; then those that could not be reached. Who was reached answers through its door."""
    if not state.asked:
        return tuple(state.parties)
    return tuple(one.party for one in state.questions.values() if _failing(one))


def ask_again_at(state: State) -> datetime | None:
    """When the next round of asking is due, the pause doubling each time; None if there is none."""
    if state.status is not QueryStatus.ASKING or not to_ask(state):
        return None
    if state.heard_at is None:
        return state.submitted_at
    wait = state.policy.ask_again_first * (1 << min(state.asked - 1, 16))
    return state.heard_at + min(wait, state.policy.ask_again_at_most)


def _failing(question: Question) -> bool:
    return question.open and bool(question.failure)


# ── what people see ──────────────────────────────────────────────────────────────────────────────────


class AnswerState(StrEnum):
    """What is known of one app."""

    PENDING = "pending"
    COUNTED = "counted"
    UNREACHABLE = "unreachable"
    """It could not be reached; it is asked again."""
    NO_REPLY = "no_reply"
    """未反馈: the result went out without it, or its enterprise left it out."""


class AppAnswer(Model):
    """One app's answer; `count` is there only where one was given, so that no answer ever reads as zero."""

    state: AnswerState
    count: int | None = None


def answers(state: State) -> dict[AppCode, AppAnswer]:
    """Every app's answer as it is now."""
    counts = counted(state)
    return {
        one.app: AppAnswer(state=AnswerState.COUNTED, count=counts[one.app])
        if one.app in counts
        else AppAnswer(state=_without_count(state, state.question_to(one.party)))
        for one in state.apps
    }


def _without_count(state: State, question: Question | None) -> AnswerState:
    if state.status is not QueryStatus.ASKING or (question is not None and not question.open):
        return AnswerState.NO_REPLY
    return AnswerState.UNREACHABLE if question is not None and _failing(question) else AnswerState.PENDING


class Step(StrEnum):
    """What happens next to a query."""

    RESULT = "result"
    """The result goes out when all have answered, at the latest at the deadline."""
    MESSAGE = "message"
    """The short message is on its way."""
    CASE_WORKER = "case_worker"
    """A case worker sees to it that the citizen learns of the result."""
    SUPPLEMENT = "supplement"
    """Late answers are taken; when the last one is in, or their time is over, one more message goes out."""
    CLOSE = "close"
    """Nothing is waited for; the case is closed."""
    NOTHING = "nothing"


class Next(Model):
    """What happens next, and at the latest when; no time where no clock runs."""

    step: Step
    at: AwareDatetime | None = None


def next_step(state: State) -> Next:
    """What the citizen may expect."""
    waits = Step.SUPPLEMENT if state.supplemented_at is None and not settled(state) else Step.CLOSE
    steps = {
        QueryStatus.ASKING: Step.RESULT,
        QueryStatus.REPORTED: Step.MESSAGE,
        QueryStatus.RESULT_SENT: waits,
        QueryStatus.UNDELIVERED: Step.CASE_WORKER,
        QueryStatus.CLOSED: Step.NOTHING,
    }
    step = steps[state.status]
    return Next(step=step, at=None if step is Step.MESSAGE else _clock(state))


WAITING = {
    Step.RESULT: Waiting.PARTY,
    Step.SUPPLEMENT: Waiting.PARTY,
    Step.CASE_WORKER: Waiting.CASE_WORKER,
}


def standing(state: State) -> Standing:
    """Whose turn it is."""
    waiting = WAITING.get(next_step(state).step, Waiting.NOBODY)
    return Standing(status=state.status.value, open=state.status in OPEN, waiting=waiting, work=state.work)
