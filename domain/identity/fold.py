"""What is true afterwards: the fold of an identity check, what is due next, and the proof it gives."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from functools import singledispatch

from domain.case import Event, after
from domain.identity.words import (
    ENDED,
    TRANSITIONS,
    CodeAsked,
    CodeSent,
    CoolingDown,
    IdentityStatus,
    Mismatched,
    Opened,
    ProofSpent,
    State,
    Verified,
    WrongCode,
)
from domain.proof import Method, Proof


def evolve(state: State | None, event: Event) -> State:
    """The check after one event."""
    if isinstance(event, Opened):
        fields = {k: v for k, v in dict(event).items() if k not in ("type", "at", "actor")}
        by_code = event.method is Method.CODE_AND_ID_TAIL
        policy = event.policy
        return State(
            opened_at=event.at,
            asked=int(by_code),
            resend_at=event.at + policy.send_again_after if by_code else None,
            expires_at=event.at + (policy.code_valid if by_code else policy.attest_within),
            **fields,
        )
    if state is None:
        raise ValueError("an identity check begins with Opened")
    status = after(TRANSITIONS, state.status, event)
    ends = status in ENDED and state.ended_at is None
    change = {"status": status, "ended_at": event.at if ends else state.ended_at}
    return state.model_copy(update={**change, **_change(event, state)})


@singledispatch
def _change(event: Event, state: State) -> dict[str, object]:
    """Most events move the status and nothing else."""
    return {}


@_change.register
def _(event: CodeAsked, state: State) -> dict[str, object]:
    return {"asked": event.serial, "resend_at": event.at + state.policy.send_again_after}


@_change.register
def _(event: CodeSent, state: State) -> dict[str, object]:
    policy = state.policy
    return {
        "sent": event.serial,
        "resend_at": event.at + policy.send_again_after,
        "expires_at": event.at + policy.code_valid,
    }


@_change.register
def _(event: WrongCode, state: State) -> dict[str, object]:
    return {"tries": state.tries + 1}


@_change.register
def _(event: Verified, state: State) -> dict[str, object]:
    return {"carrier": event.carrier, "activated_at": event.activated_at, "verified_at": event.at}


@_change.register(Mismatched)
@_change.register(CoolingDown)
def _(event: Mismatched | CoolingDown, state: State) -> dict[str, object]:
    return {"free_at": event.free_at}


@_change.register
def _(event: ProofSpent, state: State) -> dict[str, object]:
    return {"spent_by": event.by}


class Due(StrEnum):
    """What a check's workflow does next."""

    SEND = "send"
    CONFIRM = "confirm"
    WAIT = "wait"


def due(state: State) -> Due | None:
    """The next thing to do; None when the check has ended."""
    if state.status in ENDED:
        return None
    if state.status is IdentityStatus.CONFIRMING:
        return Due.CONFIRM
    return Due.SEND if state.asked > state.sent else Due.WAIT


def opens_until(state: State) -> datetime | None:
    """Until when the proof opens a case; None where there is no proof."""
    return state.verified_at + state.policy.opens_within if state.verified_at else None


def follows_until(state: State) -> datetime | None:
    """Until when the proof is good for looking into its case; None where there is no proof."""
    return state.verified_at + state.policy.follows_within if state.verified_at else None


def proof(state: State) -> Proof:
    """The outcome as other case kinds carry it. ValueError for a check that is not verified."""
    if state.carrier is None or state.activated_at is None or state.verified_at is None:
        raise ValueError("only a verified check gives a proof")
    return Proof(
        check=state.case,
        method=state.method,
        carrier=state.carrier,
        activated_at=state.activated_at,
        verified_at=state.verified_at,
    )
