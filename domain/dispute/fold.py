"""What is true afterwards: the fold of a dispute, its claims by their own table of states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import singledispatch

from domain import casework, question
from domain.case import AppCode, Event, NotTold, Told, after
from domain.casework import Work
from domain.dispute.words import (
    CLAIM_TRANSITIONS,
    ENDED,
    OVER,
    TRANSITIONS,
    AllKept,
    Chosen,
    Claim,
    ClaimState,
    ClaimsWithdrawn,
    Closed,
    DeskAsked,
    DetailGiven,
    DetailWanted,
    HotlineGiven,
    Lapsed,
    NothingFound,
    Opened,
    Owed,
    OwnCheckWanted,
    PartyRefused,
    Reminded,
    ReopenedByAmendment,
    ReopenedByCitizen,
    Round,
    Settled,
    Solved,
    State,
    Unanswered,
    UnbindingAgain,
    UnderInvestigation,
    Wish,
    WithdrawalAsked,
    Withdrawn,
)
from domain.messages import MessageKey
from domain.unbind import Action, Choice, ItemState

Claims = dict[AppCode, Claim]
Change = dict[str, object]


def evolve(state: State | None, event: Event) -> State:
    """The dispute after one event."""
    if isinstance(event, Opened):
        return _opened(event)
    if state is None:
        raise ValueError("a dispute begins with Opened")
    status = after(TRANSITIONS, state.status, event)
    ended_at = state.ended_at if status is state.status else event.at if status in ENDED else None
    then = state.model_copy(update={"status": status, "ended_at": ended_at, **_change(event, state)})
    return _owing(then, event)


def _opened(event: Opened) -> State:
    claims = {one.app: Claim(since=event.at, **dict(one)) for one in event.claims}
    queries = [one.query for one in event.claims if one.query]
    links = tuple(dict.fromkeys([*([event.opened_from] if event.opened_from else []), *queries]))
    fields = {k: v for k, v in dict(event).items() if k not in ("type", "at", "actor", "claims")}
    return _owing(State(opened_at=event.at, claims=claims, work=Work(links=links), **fields), event)


# ── what the citizen is to be told ───────────────────────────────────────────────────────────────────

TELLS: Mapping[type[Event], MessageKey] = {
    Opened: MessageKey.DISPUTE_OPENED,
    OwnCheckWanted: MessageKey.DISPUTE_OWN_CHECK,
    DetailGiven: MessageKey.DISPUTE_CHOOSE,
    Reminded: MessageKey.DISPUTE_REMIND,
    PartyRefused: MessageKey.DISPUTE_REFUSED,
    Unanswered: MessageKey.DISPUTE_HOTLINE,
    Lapsed: MessageKey.DISPUTE_SILENT,
    Closed: MessageKey.DISPUTE_CLOSED,
    Withdrawn: MessageKey.DISPUTE_CLOSED,
}
"""Which events the citizen hears of."""


def _owing(state: State, event: Event) -> State:
    key = TELLS.get(type(event))
    said_anyway = (isinstance(event, Closed) and event.silent) or (isinstance(event, Lapsed) and event.merged)
    if key is None or said_anyway:
        return state
    owed = Owed(number=state.messages, key=key, apps=getattr(event, "apps", ()))
    return state.model_copy(update={"owed": (*state.owed, owed), "messages": state.messages + 1})


def _told(state: State, key: str) -> tuple[Owed, ...]:
    """What is owed once a message of this key is dealt with: they go out in order."""
    first = next((owed for owed in state.owed if owed.key.value == key), None)
    return tuple(owed for owed in state.owed if owed is not first)


# ── claims ───────────────────────────────────────────────────────────────────────────────────────────


def _moved(state: State, event: Event, apps: Iterable[AppCode], **changes: object) -> Claims:
    """These claims after an event, by the table; a claim that comes into a new state begins its turn."""
    moved = {app: _claim(state.claims[app], event, changes) for app in apps}
    return {**state.claims, **moved}


def _claim(claim: Claim, event: Event, changes: Mapping[str, object]) -> Claim:
    then = after(CLAIM_TRANSITIONS, claim.state, event)
    turn = {} if then is claim.state else {"state": then, "since": event.at, "reminded": 0}
    return claim.model_copy(update={**turn, **changes})


def _with_claims(state: State, claims: Claims) -> Change:
    """The claims, and no deadline for a case worker who has none of them any more."""
    desk = any(claim.state is ClaimState.WITH_CASE_WORKER for claim in claims.values())
    work = state.work if desk or state.work.due_at is None else state.work.model_copy(update={"due_at": None})
    return {"claims": claims, "work": work}


def _heard_kind(state: State, app: AppCode) -> str:
    """Which kind of answer its party has given to the question for the accounts."""
    asked = state.question_of(state.claims[app])
    return asked.answer.type if asked and asked.answer else ""


def _heard(state: State, claims: Claims, apps: Iterable[AppCode]) -> Claims:
    return {**claims, **{app: claims[app].model_copy(update={"heard": _heard_kind(state, app)}) for app in apps}}


@singledispatch
def _change(event: Event, state: State) -> Change:
    if isinstance(event, casework.EVENTS):
        return {"work": casework.evolve(state.work, event)}
    raise TypeError(f"no fold for {type(event).__name__}")


@_change.register(Told)
@_change.register(NotTold)
def _(event: Told | NotTold, state: State) -> Change:
    return {"owed": _told(state, event.message)}


@_change.register
def _(event: question.Heard, state: State) -> Change:
    questions = question.evolve(state.questions, event)
    return {"questions": questions, "asked": state.asked + 1, "asked_at": event.at}


@_change.register(question.QuestionsPut)
@_change.register(question.Answered)
def _(event: question.QuestionsPut | question.Answered, state: State) -> Change:
    return {"questions": question.evolve(state.questions, event)}


@_change.register(DetailWanted)
@_change.register(HotlineGiven)
def _(event: DetailWanted | HotlineGiven, state: State) -> Change:
    return _with_claims(state, _moved(state, event, event.apps))


@_change.register(ClaimsWithdrawn)
@_change.register(Lapsed)
def _(event: ClaimsWithdrawn | Lapsed, state: State) -> Change:
    return _with_claims(state, _moved(state, event, event.apps))


@_change.register(OwnCheckWanted)
@_change.register(Unanswered)
def _(event: OwnCheckWanted | Unanswered, state: State) -> Change:
    return _with_claims(state, _heard(state, _moved(state, event, event.apps), event.apps))


@_change.register
def _(event: DetailGiven, state: State) -> Change:
    claims = _moved(state, event, event.apps, choices={}, part=None, outcome=None, ground=None)
    return _with_claims(state, _heard(state, claims, event.apps))


@_change.register
def _(event: NothingFound, state: State) -> Change:
    claims = _moved(state, event, event.apps, outcome=ItemState.NOT_FOUND, ground=None)
    return _with_claims(state, _heard(state, claims, event.apps))


@_change.register
def _(event: PartyRefused, state: State) -> Change:
    claims = _moved(state, event, event.apps, ground=event.ground, outcome=event.outcome)
    return _with_claims(state, _heard(state, claims, event.apps))


@_change.register
def _(event: Chosen, state: State) -> Change:
    claims: Claims = dict(state.claims)
    for app, wishes in event.choices.items():
        claims[app] = _claim(claims[app], event, {"choices": wishes, "part": event.part})
    return {**_with_claims(state, claims), "rounds": (*state.rounds, _round(event.part, event.choices))}


@_change.register
def _(event: AllKept, state: State) -> Change:
    claims: Claims = dict(state.claims)
    for app, wishes in event.choices.items():
        claims[app] = _claim(claims[app], event, {"choices": wishes, "outcome": ItemState.KEPT})
    return _with_claims(state, claims)


@_change.register
def _(event: UnbindingAgain, state: State) -> Change:
    claims = _moved(state, event, event.apps, part=event.part, outcome=None, ground=None)
    again = _round(event.part, {app: state.claims[app].choices for app in event.apps})
    return {**_with_claims(state, claims), "rounds": (*state.rounds, again)}


def _round(part: str, choices: Mapping[AppCode, Mapping[str, Wish]]) -> Round:
    """What the enterprises are asked to do; what the citizen keeps is none of their business."""
    return Round(
        part=part,
        choices={
            app: tuple(
                Choice(ref=ref, action=Action(wish.value)) for ref, wish in wishes.items() if wish is not Wish.KEEP
            )
            for app, wishes in choices.items()
        },
    )


@_change.register
def _(event: Solved, state: State) -> Change:
    claims: Claims = dict(state.claims)
    for app, outcome in event.outcomes.items():
        claims[app] = _claim(claims[app], event, {"outcome": outcome, "ground": None})
    return _with_claims(state, claims)


@_change.register
def _(event: DeskAsked, state: State) -> Change:
    claims = _moved(state, event, event.apps)
    due_at = state.work.due_at or event.due_at
    return {"claims": claims, "work": state.work.model_copy(update={"due_at": due_at})}


@_change.register
def _(event: UnderInvestigation, state: State) -> Change:
    return _with_claims(state, _moved(state, event, event.apps, investigation=event.investigation))


@_change.register
def _(event: Settled, state: State) -> Change:
    how = {"settlement": event.settlement, "conclusion": event.conclusion}
    return _with_claims(state, _moved(state, event, event.apps, **how))


@_change.register
def _(event: Reminded, state: State) -> Change:
    return {"claims": _moved(state, event, event.apps, reminded=event.turn)}


@_change.register
def _(event: WithdrawalAsked, state: State) -> Change:
    return {"withdrawal_asked_at": event.at}


@_change.register(ReopenedByCitizen)
@_change.register(ReopenedByAmendment)
def _(event: Event, state: State) -> Change:
    again = {"paused_at": None, "escalated_at": None, "proposal": None}
    return {"withdrawal_asked_at": None, "work": state.work.model_copy(update=again)}


@_change.register
def _(event: casework.Reopened, state: State) -> Change:
    return {"withdrawal_asked_at": None, "work": casework.evolve(state.work, event)}


@_change.register
def _(event: casework.Resumed, state: State) -> Change:
    """Every turn begins later by as long as the case stood."""
    stood_from = state.work.paused_at or event.at
    claims = {app: _later(claim, stood_from, event.at) for app, claim in state.claims.items()}
    return {"claims": claims, "work": casework.evolve(state.work, event)}


def _later(claim: Claim, stood_from: datetime, now: datetime) -> Claim:
    if claim.state in OVER:
        return claim
    return claim.model_copy(update={"since": claim.since + (now - max(stood_from, claim.since))})


@_change.register(Closed)
@_change.register(Withdrawn)
def _(event: Closed | Withdrawn, state: State) -> Change:
    return {"work": state.work.model_copy(update={"proposal": None})}
