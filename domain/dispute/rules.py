"""What may happen: each command to a dispute gives events, nothing, or a refusal with its remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import singledispatch

from domain import casework, question
from domain.case import (
    CITIZEN,
    STAFF,
    SYSTEM,
    Actor,
    ActorKind,
    AppCode,
    CaseKind,
    Event,
    Linked,
    LinkKind,
    PartyCode,
    kind_of,
)
from domain.casework import DecisionKind
from domain.dispute.agenda import deadline, passed
from domain.dispute.fold import evolve
from domain.dispute.grounds import Ground, of_decline, of_reason
from domain.dispute.words import (
    BY_TELEPHONE,
    FREE,
    LISTENING,
    OVER,
    REMINDED,
    AllKept,
    Choose,
    Chosen,
    Claim,
    ClaimState,
    ClaimsWithdrawn,
    Closed,
    Command,
    Conclude,
    Decision,
    DeskAsked,
    DetailGiven,
    DetailWanted,
    DisputeStatus,
    HotlineGiven,
    Lapsed,
    Look,
    NothingFound,
    Opened,
    OwnCheckWanted,
    PartyRefused,
    Reminded,
    ReopenedByAmendment,
    ReopenedByCitizen,
    Report,
    Settle,
    Settled,
    Settlement,
    Solved,
    State,
    Submit,
    TakeUp,
    Unanswered,
    UnbindingAgain,
    UnderInvestigation,
    Unsolved,
    Wish,
    Withdraw,
    WithdrawalAsked,
    Withdrawn,
)
from domain.investigation import MERGED
from domain.question import Account
from domain.refusal import Refusal, RefusalCode
from domain.registry import DisputePolicy
from domain.unbind import ItemState

MOST_CLAIMS = 200
MOST_ROUNDS = 1000
"""Unbind requests of one dispute, by the three digits of their references."""

Events = tuple[Event, ...]


def submit(command: Submit, at: datetime, policy: DisputePolicy) -> Decision:
    """Open a dispute, or say what is wrong with the request."""
    if not command.claims:
        return _nothing("The dispute names no app.", "Name the apps you dispute, each with a reason.")
    apps = [claim.app for claim in command.claims]
    if len(apps) > MOST_CLAIMS:
        return _refuse(
            RefusalCode.TOO_MANY_APPS, f"The dispute names {len(apps)} apps.", f"At most {MOST_CLAIMS}.", "claims"
        )
    if twice := sorted({app for app in apps if apps.count(app) > 1}):
        return _refuse(RefusalCode.MALFORMED, f"{twice[0]} is named more than once.", "Name each app once.", "claims")
    if none := [claim.app for claim in command.claims if claim.counted == 0]:
        return _nothing(f"The query found no account of {none[0]}.", "Leave it out, or dispute it without the query.")
    channel = Actor(kind=ActorKind.CHANNEL, code=command.channel)
    return (Opened(at=at, actor=channel, policy=policy, **dict(command)),)


def decide(state: State, command: Command, at: datetime) -> Decision:
    """Events that follow from a command, none if it changes nothing, or why it is refused."""
    if isinstance(command, casework.COMMANDS):
        decision = _case_work(state, command, at)
    else:
        decision = _decide(command, state, at)
    return decision if isinstance(decision, Refusal) else _and_end(state, decision, at)


def _and_end(state: State, events: Events, at: datetime) -> Events:
    """What happened, and the end of the case where every claim is over by it."""
    then = _then(state, events)
    if not events or then.status is not DisputeStatus.OPEN or any(c.state not in OVER for c in then.claims.values()):
        return events
    if all(claim.state is ClaimState.WITHDRAWN for claim in then.claims.values()):
        return (*events, Withdrawn(at=at))
    return (*events, Closed(at=at, silent=any(isinstance(event, Lapsed) for event in events)))


def _then(state: State, events: Iterable[Event]) -> State:
    for event in events:
        state = evolve(state, event)
    return state


@singledispatch
def _decide(command: Command, state: State, at: datetime) -> Decision:
    raise TypeError(f"no rule for {type(command).__name__}")


# ── the citizen ──────────────────────────────────────────────────────────────────────────────────────


@_decide.register
def _(command: Choose, state: State, at: datetime) -> Decision:
    unknown = [app for app in command.choices if app not in state.claims]
    if unknown:
        return _no_claim(unknown[0])
    claims = [state.claims[app] for app in command.choices]
    if all(dict(c.choices) == dict(command.choices[c.app]) and c.state is not ClaimState.CHOOSING for c in claims):
        return ()
    if state.status is not DisputeStatus.OPEN:
        return _closed()
    for claim in claims:
        if refusal := _may_choose(state, claim) or _fits(state, claim, command.choices[claim.app]):
            return refusal
    kept = {app: wishes for app, wishes in command.choices.items() if set(wishes.values()) == {Wish.KEEP}}
    rest = {app: wishes for app, wishes in command.choices.items() if app not in kept}
    part = next_part(state)
    return (
        *((AllKept(at=at, actor=CITIZEN, choices=kept),) if kept else ()),
        *((Chosen(at=at, actor=CITIZEN, part=part, choices=rest),) if rest else ()),
    )


def next_part(state: State) -> str:
    """The reference of the next unbind request."""
    return f"{state.case}-unbind-{len(state.rounds)}"


def _may_choose(state: State, claim: Claim) -> Refusal | None:
    if claim.state is ClaimState.CHOOSING and len(state.rounds) < MOST_ROUNDS:
        return None
    if claim.state in (ClaimState.ASKING_DETAIL, ClaimState.OWN_CHECK):
        return _refuse(
            RefusalCode.DETAIL_MISSING,
            f"The accounts of {claim.app} are not known yet.",
            "Pass the enterprise's own check if it wants one; you are told when you can choose.",
            "choices",
        )
    return _not_your_turn(claim)


def _fits(state: State, claim: Claim, wishes: Mapping[str, Wish]) -> Refusal | None:
    """Every account is chosen for, none is made up, and a former holder's is at most unbound (domain.md, 'no takeover')."""
    accounts: Mapping[str, Account] = {one.ref: one for one in state.accounts_of(claim) or ()}
    for ref, wish in wishes.items():
        if ref not in accounts:
            return _refuse(
                RefusalCode.UNKNOWN_ACCOUNT,
                f"{claim.app} has no account {ref}.",
                "Use the refs from the detail.",
                "choices",
            )
        if wish is not Wish.UNBIND and not accounts[ref].own:
            return _refuse(
                RefusalCode.FORMER_HOLDERS,
                f"The account {ref} of {claim.app} was bound before your contract began, or nobody knows when.",
                "Choose unbind: it leaves your number, and stays its owner's.",
                "choices",
            )
    if missing := [ref for ref in accounts if ref not in wishes]:
        return _refuse(
            RefusalCode.MALFORMED,
            f"There is no choice for the account {missing[0]} of {claim.app}.",
            "Choose for every account in the detail.",
            "choices",
        )
    return None


@_decide.register
def _(command: Unsolved, state: State, at: datetime) -> Decision:
    claim = state.claims.get(command.app)
    if claim is None:
        return _no_claim(command.app)
    if claim.state is ClaimState.WITH_CASE_WORKER:
        return ()
    if state.status is not DisputeStatus.OPEN:
        return _closed()
    if claim.state not in (ClaimState.HOTLINE, ClaimState.DONE):
        return _not_your_turn(claim)
    return (_desk(state, at, (claim.app,), CITIZEN),)


@_decide.register
def _(command: Withdraw, state: State, at: datetime) -> Decision:
    if state.status is DisputeStatus.WITHDRAWN:
        return ()
    free = state.claims_in(*FREE)
    waiting = state.claims_in(ClaimState.UNBINDING)
    if state.status is DisputeStatus.CLOSED or not (free or waiting):
        return too_late_to_withdraw()
    asked = () if state.withdrawal_asked_at else (WithdrawalAsked(at=at, actor=CITIZEN),)
    gone = (ClaimsWithdrawn(at=at, actor=CITIZEN, apps=_apps(free)),) if free else ()
    return (*asked, *gone)


def too_late_to_withdraw() -> Refusal:
    """Nothing can be taken back any more."""
    return _refuse(
        RefusalCode.TOO_LATE_TO_WITHDRAW,
        "Every enterprise has acknowledged or answered already.",
        "Follow the answers; ask the case desk about one you disagree with.",
    )


@_decide.register
def _(command: TakeUp, state: State, at: datetime) -> Decision:
    if state.ended_at is None:
        return ()
    if at - state.ended_at >= casework.REOPEN_WITHIN:
        return _refuse(
            RefusalCode.TOO_LATE_TO_REOPEN,
            f"The dispute was closed more than {casework.REOPEN_WITHIN.days} days ago.",
            "Open a new one.",
        )
    if state.work.merged_into:
        return _refuse(
            RefusalCode.CASE_CLOSED, f"It goes on as {state.work.merged_into}.", "Follow that case.", "case"
        )
    return (ReopenedByCitizen(at=at, actor=CITIZEN), *_resumed(state, at))


# ── the parties ──────────────────────────────────────────────────────────────────────────────────────


@_decide.register
def _(command: question.Answering, state: State, at: datetime) -> Decision:
    """A late answer; what it means for the claims is said in the same breath, if the case is still open."""
    decision = question.decide(state.questions, command, at)
    if isinstance(decision, Refusal):
        return decision
    then = _then(state, decision)
    return (*decision, *_heard(then, at)) if then.status is DisputeStatus.OPEN else decision


@_decide.register
def _(command: Report, state: State, at: datetime) -> Decision:
    """What came of an unbind request; what an older one of the same claim says counts no more."""
    solved: dict[AppCode, ItemState] = {}
    withdrawn: list[AppCode] = []
    silent: dict[PartyCode, list[Claim]] = {}
    no: _Noes = {}
    for app, outcome in command.outcomes.items():
        claim = state.claims.get(app)
        if claim is None or claim.part != command.part or (claim.outcome is outcome and claim.ground is None):
            continue
        if outcome in SOLVED_BY and claim.state in ANSWERABLE:
            solved[app] = outcome
        elif outcome in REFUSED_BY and claim.state in ANSWERABLE:
            ground = of_reason(command.reasons.get(app))
            if claim.ground is not ground:
                no.setdefault((claim.party, ground, outcome), []).append(claim)
        elif claim.state is ClaimState.UNBINDING and outcome is ItemState.OVERDUE:
            silent.setdefault(claim.party, []).append(claim)
        elif claim.state is ClaimState.UNBINDING and outcome is ItemState.WITHDRAWN:
            withdrawn.append(app)
    if state.status is not DisputeStatus.OPEN:
        return _amended(state, no, at)
    return (
        *((Solved(at=at, outcomes=solved),) if solved else ()),
        *((ClaimsWithdrawn(at=at, actor=CITIZEN, apps=tuple(withdrawn)),) if withdrawn else ()),
        *_refused(no, at),
        *_not_answered(state, silent.values(), at),
    )


def _amended(state: State, no: _Noes, at: datetime) -> Events:
    """The citizen was told that it is done, and now it is not: that opens a closed dispute again."""
    if not no or state.work.merged_into or state.ended_at is None or at - state.ended_at >= casework.REOPEN_WITHIN:
        return ()
    return (ReopenedByAmendment(at=at), *_refused(no, at))


SOLVED_BY = frozenset({ItemState.UNBOUND, ItemState.CANCELLED, ItemState.NOT_FOUND, ItemState.KEPT})
REFUSED_BY = frozenset({ItemState.EXEMPT, ItemState.REJECTED})
ANSWERABLE = frozenset({ClaimState.UNBINDING, ClaimState.DONE, ClaimState.HOTLINE, ClaimState.WITH_CASE_WORKER})
"""Claims for which an enterprise's answer still counts, the first or an amended one."""


def _heard(state: State, at: datetime) -> Events:
    """What the parties' answers to the question for their accounts mean."""
    links: list[Claim] = []
    found: list[Claim] = []
    empty: list[Claim] = []
    left_out: dict[PartyCode, list[Claim]] = {}
    no: _Noes = {}
    for claim in state.claims_in(*LISTENING):
        asked = state.question_of(claim)
        answer = asked.answer if asked else None
        if answer is None or answer.type == claim.heard:
            continue
        match answer:
            case question.OwnCheck():
                links.append(claim)
            case question.Declined():
                no.setdefault((claim.party, of_decline(answer.reason), None), []).append(claim)
            case question.Detail():
                accounts = answer.accounts.get(claim.app)
                if accounts is None:
                    left_out.setdefault(claim.party, []).append(claim)
                else:
                    (found if accounts else empty).append(claim)
    return (
        *((OwnCheckWanted(at=at, apps=_apps(links)),) if links else ()),
        *((DetailGiven(at=at, apps=_apps(found)),) if found else ()),
        *((NothingFound(at=at, apps=_apps(empty)),) if empty else ()),
        *_refused(no, at),
        *_not_answered(state, left_out.values(), at),
    )


_Noes = dict[tuple[PartyCode, Ground, ItemState | None], list[Claim]]
"""Who said no, why, and in answer to what: one message to the citizen each."""


def _refused(no: _Noes, at: datetime) -> Events:
    """Who is refused is told why and pointed to the hotline; a case worker who has the claim keeps it."""
    told = tuple(claim.app for claims in no.values() for claim in claims if claim.state not in STAYS)
    return (
        *(
            PartyRefused(at=at, apps=_apps(claims), ground=ground, outcome=outcome)
            for (_, ground, outcome), claims in no.items()
        ),
        *((HotlineGiven(at=at, apps=told),) if told else ()),
    )


STAYS = frozenset({ClaimState.HOTLINE, ClaimState.WITH_CASE_WORKER})


def _not_answered(state: State, by_party: Iterable[list[Claim]], at: datetime) -> Events:
    """Told, pointed to the hotline, and a case worker sees to it (domain.md, 'overdue')."""
    silent = [claims for claims in by_party if claims]
    apps = tuple(claim.app for claims in silent for claim in claims)
    if not apps:
        return ()
    return (
        *(Unanswered(at=at, apps=_apps(claims)) for claims in silent),
        HotlineGiven(at=at, apps=apps),
        _desk(state, at, apps),
    )


# ── clocks ───────────────────────────────────────────────────────────────────────────────────────────


@_decide.register
def _(command: Look, state: State, at: datetime) -> Decision:
    if state.status is not DisputeStatus.OPEN:
        return ()
    heard = _heard(state, at)
    return (*heard, *_due(_then(state, heard), at))


def _due(state: State, at: datetime) -> Events:
    """What a clock makes happen; none runs while the case is paused."""
    if state.work.paused_at is not None:
        return ()
    over = [claim for claim in state.claims.values() if (end := deadline(state, claim)) and end <= at]
    silent: dict[PartyCode, list[Claim]] = {}
    for claim in over:
        if claim.state is ClaimState.ASKING_DETAIL:
            silent.setdefault(claim.party, []).append(claim)
    lapsed = tuple(claim.app for claim in over if claim.state is not ClaimState.ASKING_DETAIL)
    turns: dict[int, list[Claim]] = {}
    for claim in state.claims_in(*REMINDED):
        turn = passed(state, claim, at)
        if claim not in over and turn > claim.reminded:
            turns.setdefault(turn, []).append(claim)
    return (
        *_not_answered(state, silent.values(), at),
        *((Lapsed(at=at, apps=lapsed),) if lapsed else ()),
        *(Reminded(at=at, apps=_apps(claims), turn=turn) for turn, claims in turns.items()),
    )


# ── case work ────────────────────────────────────────────────────────────────────────────────────────


@_decide.register
def _(command: Settle, state: State, at: datetime) -> Decision:
    claim = state.claims.get(command.app)
    if claim is None:
        return _no_claim(command.app)
    if command.actor.kind not in STAFF:
        return _refuse(RefusalCode.NOT_ALLOWED, "This takes a case worker.", "Ask the case desk.")
    if claim.state is ClaimState.SETTLED and claim.settlement is command.settlement:
        return ()
    if state.status is not DisputeStatus.OPEN:
        return _closed()
    if state.work.assignee != command.actor.code:
        return _refuse(RefusalCode.NOT_CLAIMED, "You do not have this case.", "Claim it first.")
    if command.settlement not in BY_TELEPHONE:
        return _refuse(
            RefusalCode.NOT_ALLOWED,
            f"{command.settlement.value} is not for one person to say.",
            "Propose a decision; somebody else approves it.",
            "settlement",
        )
    if claim.state is not ClaimState.WITH_CASE_WORKER:
        return _not_your_turn(claim)
    return (
        Settled(
            at=at,
            actor=command.actor,
            apps=(claim.app,),
            settlement=command.settlement,
            reason=command.reason,
        ),
    )


@_decide.register
def _(command: Conclude, state: State, at: datetime) -> Decision:
    apps = tuple(
        claim.app
        for claim in state.claims_in(ClaimState.INVESTIGATING)
        if claim.investigation == command.investigation
    )
    if not apps or state.status is not DisputeStatus.OPEN:
        return ()
    if command.outcome == MERGED:  # it goes on in another investigation, which does not report here
        return (_desk(state, at, apps),)
    return (Settled(at=at, apps=apps, settlement=Settlement.INVESTIGATED, conclusion=command.outcome),)


def _case_work(state: State, command: casework.WorkCommand, at: datetime) -> Decision:
    """What case workers do with any case, and what it means for this one's claims."""
    if isinstance(command, casework.Propose) and state.ended_at is None and (no := _may_propose(state, command)):
        return no
    decision = casework.decide(state.work, state.case, command, at, state.ended_at)
    if isinstance(decision, Refusal):
        return decision
    return (*decision, *(more for event in decision for more in _consequences(event, state, at)))


def _may_propose(state: State, command: casework.Propose) -> Refusal | None:
    if command.what not in (DecisionKind.REFUSE, DecisionKind.OVERRIDE):
        return _refuse(
            RefusalCode.NOT_ALLOWED,
            f"A dispute is not decided by {command.what.value}.",
            "Propose to refuse, or to override the enterprise.",
            "decision",
        )
    claim = state.claims.get(command.about)
    if claim is None:
        return _no_claim(command.about, "about")
    return None if claim.state is ClaimState.WITH_CASE_WORKER else _not_your_turn(claim)


@singledispatch
def _consequences(event: Event, state: State, at: datetime) -> Events:
    return ()


@_consequences.register
def _(event: casework.Approved, state: State, at: datetime) -> Events:
    claim = state.claims.get(event.about)
    if claim is None or claim.state is not ClaimState.WITH_CASE_WORKER:
        return ()
    apps = (claim.app,)
    if event.what is DecisionKind.REFUSE:
        settlement = Settlement.REFUSED
    elif set(claim.choices.values()) <= {Wish.KEEP} or len(state.rounds) >= MOST_ROUNDS:
        settlement = Settlement.IN_FAVOUR
    else:
        return (UnbindingAgain(at=at, actor=event.actor, apps=apps, part=next_part(state)),)
    return (Settled(at=at, actor=event.actor, apps=apps, settlement=settlement, reason=event.reason),)


@_consequences.register
def _(event: Linked, state: State, at: datetime) -> Events:
    apps = _apps(state.claims_in(ClaimState.WITH_CASE_WORKER))
    opened = event.how is LinkKind.LED_TO and kind_of(event.to) is CaseKind.INVESTIGATION
    if not (opened and apps and state.status is DisputeStatus.OPEN):
        return ()
    return (UnderInvestigation(at=at, actor=event.actor, apps=apps, investigation=event.to),)


@_consequences.register
def _(event: casework.Merged, state: State, at: datetime) -> Events:
    left = tuple(claim.app for claim in state.claims.values() if claim.state not in OVER)
    return (Lapsed(at=at, actor=event.actor, apps=left, merged=True),)


@_consequences.register
def _(event: casework.Reopened, state: State, at: datetime) -> Events:
    return _resumed(state, at)


def _resumed(state: State, at: datetime) -> Events:
    """A closed dispute goes on: what lapsed or was withdrawn where it was; if nothing was, the desk looks at all of it."""
    stopped = state.claims_in(ClaimState.LAPSED, ClaimState.WITHDRAWN)
    if not stopped:
        return (_desk(state, at, tuple(state.claims)),)
    refused = tuple(claim.app for claim in stopped if claim.ground)
    left = [claim for claim in stopped if not claim.ground]
    waiting: list[Claim] = []
    links: list[Claim] = []
    found: list[Claim] = []
    desk: list[Claim] = []
    for claim in left:
        asked = state.question_of(claim)
        answer = asked.answer if asked else None
        if isinstance(answer, question.OwnCheck):
            links.append(claim)
        elif state.accounts_of(claim):
            found.append(claim)
        else:
            (waiting if answer is None else desk).append(claim)
    return (
        *((HotlineGiven(at=at, apps=refused),) if refused else ()),
        *((OwnCheckWanted(at=at, apps=_apps(links)),) if links else ()),
        *((DetailGiven(at=at, apps=_apps(found)),) if found else ()),
        *((DetailWanted(at=at, apps=_apps(waiting)),) if waiting else ()),
        *((_desk(state, at, _apps(desk)),) if desk else ()),
    )


# ── words for all ────────────────────────────────────────────────────────────────────────────────────


def _desk(state: State, at: datetime, apps: tuple[AppCode, ...], actor: Actor = SYSTEM) -> Event:
    return DeskAsked(at=at, actor=actor, apps=apps, due_at=at + state.policy.handle_within)


def _apps(claims: Iterable[Claim]) -> tuple[AppCode, ...]:
    return tuple(claim.app for claim in claims)


def _refuse(code: RefusalCode, sentence: str, remedy: str, field: str = "") -> Refusal:
    return Refusal(code=code, sentence=sentence, remedy=remedy, field=field)


def _nothing(sentence: str, remedy: str) -> Refusal:
    return _refuse(RefusalCode.NOTHING_TO_DISPUTE, sentence, remedy, "claims")


def _no_claim(app: str, field: str = "app") -> Refusal:
    return _refuse(
        RefusalCode.UNKNOWN_APP, f"This dispute is not about {app[:40]}.", "Use the apps of its claims.", field
    )


def _closed() -> Refusal:
    return _refuse(RefusalCode.CASE_CLOSED, "The dispute is closed.", "Reopen it first.")


def _not_your_turn(claim: Claim) -> Refusal:
    return _refuse(
        RefusalCode.NOT_YOUR_TURN,
        f"The claim on {claim.app} is {claim.state.value.replace('_', ' ')}.",
        "Look at the dispute for what happens next, and when.",
    )
