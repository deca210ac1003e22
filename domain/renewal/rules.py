"""What may happen to a renewal: each command gives events, nothing, or a refusal with its remedy."""

from __future__ import annotations

from datetime import datetime, timedelta

from domain import casework
from domain.case import Actor, ActorKind
from domain.privacy import mask_text
from domain.refusal import Refusal, RefusalCode
from domain.registry import RenewalPolicy
from domain.renewal.words import (
    MOST_APPS,
    Close,
    Closed,
    Command,
    Decision,
    EligibilityAnswered,
    Hear,
    NotEligible,
    Refused,
    RenewalStatus,
    Report,
    Reported,
    Start,
    Started,
    State,
    Submit,
    Submitted,
    Verdict,
    Withdraw,
    WithdrawalAsked,
    Withdrawn,
)
from domain.unbind import ItemState


def submit(command: Submit, at: datetime, policy: RenewalPolicy) -> Decision:
    """Open a renewal, or say what is wrong with the request."""
    refusals = (
        (
            not command.apps,
            RefusalCode.NO_APPS,
            "apps",
            "The renewal names no app.",
            "Name at least one, or leave apps out to ask all.",
        ),
        (
            len(command.apps) > MOST_APPS,
            RefusalCode.TOO_MANY_APPS,
            "apps",
            f"The renewal names {len(command.apps)} apps.",
            f"Name at most {MOST_APPS}.",
        ),
        (
            command.activated_at > at,
            RefusalCode.ACTIVATION_IN_FUTURE,
            "activated_at",
            "The activation lies in the future.",
            "Send the time the current holder's contract began.",
        ),
        (
            command.identity.checked_at > at + timedelta(minutes=1),
            RefusalCode.IDENTITY_NOT_PROVEN,
            "identity.checked_at",
            "The identity check lies in the future.",
            "Check the holder's identity and the clock, then send the renewal again.",
        ),
        (
            at - command.identity.checked_at > policy.identity_valid,
            RefusalCode.IDENTITY_NOT_PROVEN,
            "identity.checked_at",
            f"The identity check is older than {policy.identity_valid}.",
            "Check the holder's identity again, then send the renewal again.",
        ),
    )
    for wrong, code, field, sentence, remedy in refusals:
        if wrong:
            return Refusal(code=code, field=field, sentence=sentence, remedy=remedy)
    by = Actor(kind=ActorKind.CARRIER, code=command.carrier)
    if command.channel:
        by = Actor(kind=ActorKind.CHANNEL, code=command.channel)
    proof = command.identity.model_copy(update={"checked_by": mask_text(command.identity.checked_by)})
    facts = {name: value for name, value in command if name not in ("channel", "identity")}
    return (Submitted(at=at, actor=by, identity=proof, **facts),)


def decide(state: State, command: Command, at: datetime, policy: RenewalPolicy) -> Decision:
    """Events that follow from a command, none if it changes nothing, or why it is refused."""
    match command:
        case Submit():
            return ()
        case Hear():
            return _hear(state, command, at, policy)
        case Start():
            if state.status not in BEFORE_START or not state.eligible:
                return ()
            return (Started(at=at, parts=command.parts),)
        case Report():
            return _report(state, command, at)
        case Withdraw():
            return _withdraw(state, at)
        case Close():
            return () if state.status is not RenewalStatus.SUMMARY_SENT else (Closed(at=at),)
        case _ if isinstance(command, ON_A_RENEWAL):
            return casework.decide(state.work, state.case, command, at, state.ended_at)
        case _:
            return Refusal(
                code=RefusalCode.NOT_ALLOWED,
                field="action",
                sentence=f"A renewal takes no {command.type.replace('_', ' ')}.",
                remedy="Pause or extend its work items, or open an investigation from it.",
            )


ON_A_RENEWAL = (
    casework.Claim,
    casework.Release,
    casework.Assign,
    casework.Note,
    casework.HandUp,
    casework.Link,
)
"""Case work that makes sense on a renewal: its clocks are its work items', its outcome is the enterprises'."""


BEFORE_START = frozenset({RenewalStatus.SUBMITTED, RenewalStatus.WAITING_FOR_DATA})


def _hear(state: State, command: Hear, at: datetime, policy: RenewalPolicy) -> Decision:
    if state.status not in BEFORE_START:
        return ()
    carrier = Actor(kind="carrier", code=state.carrier)
    answered = EligibilityAnswered(at=at, actor=carrier, verdict=command.verdict, reason=command.reason)
    if command.verdict is Verdict.YES:
        return (answered,)
    if command.verdict is Verdict.NO:
        return (answered, Refused(at=at, reason=command.reason or NotEligible.NO_ANSWER))
    if at - state.submitted_at >= policy.give_up_after:
        return (answered, Refused(at=at, reason=NotEligible.NO_ANSWER))
    return (answered.model_copy(update={"ask_again_at": at + policy.ask_again}),)


def _report(state: State, command: Report, at: datetime) -> Decision:
    if state.status not in (RenewalStatus.RUNNING, RenewalStatus.SUMMARY_SENT):
        return ()
    if dict(command.outcomes) == dict(state.outcomes):
        return ()
    reported = Reported(at=at, outcomes=command.outcomes)
    if set(command.outcomes.values()) == {ItemState.WITHDRAWN}:
        return (reported, Withdrawn(at=at))
    return (reported,)


def _withdraw(state: State, at: datetime) -> Decision:
    if state.status is RenewalStatus.WITHDRAWN or state.withdrawal_asked_at:
        return ()
    asked = WithdrawalAsked(at=at, actor=Actor(kind="holder"))
    if state.status in BEFORE_START:
        return (asked, Withdrawn(at=at))
    if state.status is RenewalStatus.RUNNING:
        return (asked,)
    return too_late_to_withdraw()


def too_late_to_withdraw() -> Refusal:
    """Every enterprise has acknowledged or answered, or the renewal is over."""
    return Refusal(
        code=RefusalCode.TOO_LATE_TO_WITHDRAW,
        sentence="Every enterprise has acknowledged or answered already.",
        remedy="Follow the answers; ask the case desk about one you disagree with.",
    )
