"""What may happen to an identity check: each command gives events, nothing, or a refusal with its remedy.

Nothing said to the citizen before the right code depends on whose number it is, or on whether there is such a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import singledispatch

from domain.case import STAFF, Actor, ActorKind
from domain.identity.fold import follows_until, opens_until
from domain.identity.words import (
    ENDED,
    Attest,
    Attested,
    CodeAccepted,
    CodeAsked,
    Command,
    Cool,
    CoolingDown,
    Decision,
    Expire,
    Expired,
    Follow,
    Hear,
    HolderVerdict,
    IdentityStatus,
    Locked,
    Mismatched,
    NotAttested,
    NumberCancelled,
    Open,
    Opened,
    ProofSpent,
    Resend,
    Spend,
    State,
    Try,
    Unconfirmed,
    Verified,
    WrongCode,
)
from domain.proof import Method, Purpose
from domain.refusal import Refusal, RefusalCode
from domain.registry import IdentityPolicy, Registry
from domain.sla import SHANGHAI

_SECOND = timedelta(seconds=1)


def open_check(command: Open, at: datetime, policy: IdentityPolicy) -> Opened | Refusal:
    """Begin a check, or say what is wrong with the request."""
    named = command.attester is not None
    if named != (command.method is Method.ENTERPRISE):
        sentence = "Only the method enterprise names an enterprise." if named else "The enterprise is not named."
        return _refuse(RefusalCode.MALFORMED, sentence, "Name the enterprise that checks, or none.", "enterprise")
    fields = {name: value for name, value in dict(command).items() if name != "actor"}
    return Opened(at=at, actor=command.actor, policy=policy, **fields)


def decide(state: State, command: Command, at: datetime) -> Decision:
    """Events that follow from a command at time `at`, none if it changes nothing, or why it is refused."""
    return _decide(command, state, at)


@singledispatch
def _decide(command: Command, state: State, at: datetime) -> Decision:
    raise TypeError(f"no rule for {type(command).__name__}")


# ── the code ─────────────────────────────────────────────────────────────────────────────────────────


@_decide.register
def _(command: Try, state: State, at: datetime) -> Decision:
    if refusal := _no_code_wanted(state, at):
        return refusal
    if state.sent == 0:
        return _refuse(RefusalCode.NOT_YOUR_TURN, "The code is not sent yet.", "Wait for it, then enter it.", "code")
    if command.right:
        return (CodeAccepted(at=at, serial=state.sent),)
    wrong = WrongCode(at=at, left=state.tries_left - 1)
    return (wrong,) if wrong.left else (wrong, Locked(at=at))


@_decide.register
def _(command: Resend, state: State, at: datetime) -> Decision:
    if refusal := _no_code_wanted(state, at):
        return refusal
    if state.resend_at is not None and at < state.resend_at:
        return wait_before_sending(state.resend_at, at)
    if state.asked >= state.policy.sends:
        return _refuse(
            RefusalCode.TOO_MANY_CODES,
            f"{state.policy.sends} codes were sent in this check.",
            "Enter the last one, or start a new check.",
        )
    if state.asked > state.sent:
        return ()  # one is on its way
    return (CodeAsked(at=at, serial=state.asked + 1),)


def _no_code_wanted(state: State, at: datetime) -> Refusal | None:
    if state.method is not Method.CODE_AND_ID_TAIL:
        return _refuse(
            RefusalCode.NOT_ALLOWED, "This check takes no code.", "Whoever checks the identity attests it instead."
        )
    if state.status in CODE_IS_OVER:
        return CODE_IS_OVER[state.status]()
    if at >= state.expires_at:
        return _expired()
    return None


def told(decision: Decision) -> Refusal | None:
    """What the citizen is told of a decided try, where it is not good news."""
    if isinstance(decision, Refusal):
        return decision
    for event in reversed(decision):
        if isinstance(event, Locked):
            return _locked()
        if isinstance(event, WrongCode):
            tries = "1 try is" if event.left == 1 else f"{event.left} tries are"
            return _refuse(
                RefusalCode.WRONG_CODE,
                f"The code is wrong; {tries} left.",
                "Enter the last code you got by short message.",
                "code",
            )
    return None


def wait_before_sending(until: datetime, at: datetime) -> Refusal:
    """Another code may be sent, but not yet."""
    return _refuse(
        RefusalCode.WAIT_BEFORE_SENDING,
        f"A code was sent a moment ago; the next can be sent in {seconds_until(until, at)} s.",
        "Wait for the short message, then ask again.",
    )


def seconds_until(until: datetime, at: datetime) -> int:
    """Whole seconds to wait; never too few."""
    return max(-(-(until - at) // _SECOND), 0)


# ── other methods ────────────────────────────────────────────────────────────────────────────────────


@_decide.register
def _(command: Attest, state: State, at: datetime) -> Decision:
    if not _entitled(state, command.actor):
        return _refuse(
            RefusalCode.NOT_ALLOWED, "You do not attest this check.", "Whoever was named at its opening does."
        )
    if state.status is IdentityStatus.EXPIRED or (state.status is IdentityStatus.OPENED and at >= state.expires_at):
        return _refuse(RefusalCode.CASE_CLOSED, "The check has expired.", "Start a new one.")
    said_before = state.status is not IdentityStatus.OPENED
    if said_before and command.matched == (state.status is not IdentityStatus.NOT_ATTESTED):
        return ()
    if said_before:
        return _refuse(RefusalCode.ALREADY_ANSWERED, "This check was attested otherwise.", "Start a new one.")
    return (Attested(at=at, actor=command.actor) if command.matched else NotAttested(at=at, actor=command.actor),)


def _entitled(state: State, actor: Actor) -> bool:
    match state.method:
        case Method.COUNTER:
            return actor.kind in STAFF
        case Method.ENTERPRISE:
            return actor.kind is ActorKind.ENTERPRISE and actor.code == state.attester
        case Method.CODE_AND_ID_TAIL:
            return False


# ── what the carriers say ────────────────────────────────────────────────────────────────────────────


@_decide.register
def _(command: Cool, state: State, at: datetime) -> Decision:
    if state.status is not IdentityStatus.CONFIRMING or at >= command.free_at:
        return ()
    return (CoolingDown(at=at, free_at=command.free_at),)


@_decide.register
def _(command: Hear, state: State, at: datetime) -> Decision:
    """One carrier that knows the holder is enough; nobody at all knowing the number is a mismatch like any other."""
    if state.status is not IdentityStatus.CONFIRMING:
        return ()
    said = {verdict: carrier for carrier, verdict in reversed(list(command.answers.items()))}
    if carrier := said.get(HolderVerdict.MATCH):
        by = Actor(kind=ActorKind.CARRIER, code=carrier)
        return (Verified(at=at, actor=by, carrier=carrier, activated_at=command.activated_at[carrier]),)
    if carrier := said.get(HolderVerdict.CANCELLED):
        return (NumberCancelled(at=at, actor=Actor(kind=ActorKind.CARRIER, code=carrier), carrier=carrier),)
    if HolderVerdict.MISMATCH in said or (said and command.everybody):
        return (Mismatched(at=at, free_at=at + state.policy.cool_down if _held_the_phone(state) else None),)
    return (Unconfirmed(at=at),) if command.give_up else ()


def _held_the_phone(state: State) -> bool:
    """Only who entered a right code can cost the number its 24 hours."""
    return state.method is Method.CODE_AND_ID_TAIL


@_decide.register
def _(command: Expire, state: State, at: datetime) -> Decision:
    waits = state.status in (IdentityStatus.OPENED, IdentityStatus.CODE_SENT)
    return (Expired(at=at),) if waits and at >= state.expires_at else ()


# ── the proof ────────────────────────────────────────────────────────────────────────────────────────


@_decide.register
def _(command: Spend, state: State, at: datetime) -> Decision:
    until = opens_until(state)
    if until is None:
        return _not_verified()
    if state.purpose is not command.purpose:
        return _wrong_purpose(state)
    if state.spent_by is not None:
        return () if state.spent_by == command.by else _used()
    return (ProofSpent(at=at, by=command.by),) if at < until else _proof_expired()


@_decide.register
def _(command: Follow, state: State, at: datetime) -> Decision:
    until = follows_until(state)
    if until is None:
        return _not_verified()
    if state.spent_by not in (None, command.case):
        return _used()
    if at >= until:
        return _proof_expired()
    if state.spent_by is not None:
        return ()
    return (ProofSpent(at=at, by=command.case),) if state.purpose is Purpose.FOLLOW else _wrong_purpose(state)


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────


def outcome(state: State, registry: Registry) -> Refusal | None:
    """Why an ended check gives no proof; None for one that does, or that has not ended."""
    if state.status not in ENDED or state.status is IdentityStatus.VERIFIED:
        return None
    free_at = f"{state.free_at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S} (Beijing)" if state.free_at else ""
    again = (
        f"Look at your ID card and check again from {free_at} on." if free_at else "Look at the ID and start anew."
    )
    hotlines = ", ".join(f"{carrier.name} {carrier.hotline}" for carrier in registry.carriers if carrier.hotline)
    match state.status:
        case IdentityStatus.MISMATCH:
            sentence = "The number and the ID tail do not belong together."
            return _refuse(RefusalCode.MISMATCH, sentence, again, "id_tail")
        case IdentityStatus.COOLING_DOWN:
            sentence = "The last check of this number did not match; the next is possible 24 hours after it."
            return _refuse(RefusalCode.COOLING_DOWN, sentence, f"Check again from {free_at} on.", "number")
        case IdentityStatus.CANCELLED_NUMBER:
            call = f"Call your carrier: {hotlines}." if hotlines else "Call your carrier."
            return _refuse(RefusalCode.CANCELLED_NUMBER, "This number is cancelled.", call, "number")
        case IdentityStatus.UNCONFIRMED:
            sentence = "The carriers could not be reached; this check costs nothing."
            return _refuse(RefusalCode.UNCONFIRMED, sentence, "Start a new check in some minutes.")
        case IdentityStatus.EXPIRED if state.method is not Method.CODE_AND_ID_TAIL:
            return _refuse(RefusalCode.NOT_VERIFIED, "Nobody attested this check in time.", "Start a new one.")
        case IdentityStatus.NOT_ATTESTED:
            sentence = "Whoever checked the identity says that it does not match."
            return _refuse(RefusalCode.NOT_VERIFIED, sentence, "Ask them, or start a new check.")
        case _:
            return CODE_IS_OVER[state.status]()


def refuse_unknown(check: str) -> Refusal:
    """The same words whether the check does not exist, is another channel's or another person's."""
    return _refuse(
        RefusalCode.UNKNOWN_CASE,
        f"There is no identity check {check[:40]} of yours.",
        "Check the reference.",
        "check",
    )


def _used_code() -> Refusal:
    return _refuse(RefusalCode.CODE_USED, "The code of this check was used.", "Look at the check for its outcome.")


def _locked() -> Refusal:
    return _refuse(RefusalCode.LOCKED, "Too many wrong codes: this check is over.", "Start a new one.")


def _expired() -> Refusal:
    return _refuse(RefusalCode.CODE_EXPIRED, "The code has expired, and the check with it.", "Start a new one.")


CODE_IS_OVER: Mapping[IdentityStatus, Callable[[], Refusal]] = {
    IdentityStatus.CONFIRMING: _used_code,
    IdentityStatus.VERIFIED: _used_code,
    IdentityStatus.MISMATCH: _used_code,
    IdentityStatus.COOLING_DOWN: _used_code,
    IdentityStatus.CANCELLED_NUMBER: _used_code,
    IdentityStatus.UNCONFIRMED: _used_code,
    IdentityStatus.LOCKED: _locked,
    IdentityStatus.EXPIRED: _expired,
}
"""Where no code is taken any more, and why."""


def _not_verified() -> Refusal:
    return _refuse(
        RefusalCode.NOT_VERIFIED, "This identity check proves nothing.", "Finish it first, or start another.", "check"
    )


def _used() -> Refusal:
    return _refuse(
        RefusalCode.PROOF_USED, "This identity check was used for another case.", "Start a new one.", "check"
    )


def _proof_expired() -> Refusal:
    return _refuse(RefusalCode.PROOF_EXPIRED, "This identity check is too old.", "Start a new one.", "check")


def _wrong_purpose(state: State) -> Refusal:
    return _refuse(
        RefusalCode.WRONG_PURPOSE,
        f"This identity check is for a {state.purpose.value}.",
        "Start one that names what you want to do.",
        "check",
    )


def _refuse(code: RefusalCode, sentence: str, remedy: str, field: str = "") -> Refusal:
    return Refusal(code=code, sentence=sentence, remedy=remedy, field=field)
