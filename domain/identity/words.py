"""The words an identity check is told in: statuses, events and commands. No code, number or ID tail is among them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from domain.case import Actor, CarrierCode, CaseId, EnterpriseCode, Event, Model, PartyCode, Transitions
from domain.messages import Language
from domain.proof import Method, Purpose
from domain.refusal import Refusal
from domain.registry import IdentityPolicy


class IdentityStatus(StrEnum):
    """Where a check stands."""

    OPENED = "opened"
    CODE_SENT = "code_sent"
    CONFIRMING = "confirming"
    VERIFIED = "verified"
    EXPIRED = "expired"
    LOCKED = "locked"
    NOT_ATTESTED = "not_attested"
    MISMATCH = "mismatch"
    COOLING_DOWN = "cooling_down"
    CANCELLED_NUMBER = "cancelled_number"
    UNCONFIRMED = "unconfirmed"


RUNNING = frozenset({IdentityStatus.OPENED, IdentityStatus.CODE_SENT, IdentityStatus.CONFIRMING})
ENDED = frozenset(IdentityStatus) - RUNNING

TRANSITIONS: Transitions[IdentityStatus] = {
    (IdentityStatus.OPENED, "code_sent"): IdentityStatus.CODE_SENT,
    (IdentityStatus.OPENED, "expired"): IdentityStatus.EXPIRED,
    (IdentityStatus.OPENED, "attested"): IdentityStatus.CONFIRMING,
    (IdentityStatus.OPENED, "not_attested"): IdentityStatus.NOT_ATTESTED,
    (IdentityStatus.CODE_SENT, "code_accepted"): IdentityStatus.CONFIRMING,
    (IdentityStatus.CODE_SENT, "locked"): IdentityStatus.LOCKED,
    (IdentityStatus.CODE_SENT, "expired"): IdentityStatus.EXPIRED,
    (IdentityStatus.CONFIRMING, "verified"): IdentityStatus.VERIFIED,
    (IdentityStatus.CONFIRMING, "mismatched"): IdentityStatus.MISMATCH,
    (IdentityStatus.CONFIRMING, "cooling_down"): IdentityStatus.COOLING_DOWN,
    (IdentityStatus.CONFIRMING, "number_cancelled"): IdentityStatus.CANCELLED_NUMBER,
    (IdentityStatus.CONFIRMING, "unconfirmed"): IdentityStatus.UNCONFIRMED,
}


class HolderVerdict(StrEnum):
    """What a carrier says to 'is this the ID tail of the number's holder?'."""

    MATCH = "match"
    MISMATCH = "mismatch"
    CANCELLED = "cancelled"
    NOT_OURS = "not_ours"


class State(Model):
    """One check."""

    case: CaseId
    channel: PartyCode
    number: str
    method: Method
    attester: EnterpriseCode | None = None
    purpose: Purpose
    follows: CaseId | None = None
    language: Language
    policy: IdentityPolicy
    opened_at: AwareDatetime
    status: IdentityStatus = IdentityStatus.OPENED
    asked: int = 0
    """How many codes were asked for; more than were sent means one is on its way."""
    sent: int = 0
    """Which code counts: the serial of the last one."""
    tries: int = 0
    """Wrong codes, of all serials together."""
    resend_at: AwareDatetime | None = None
    expires_at: AwareDatetime
    carrier: CarrierCode | None = None
    activated_at: AwareDatetime | None = None
    verified_at: AwareDatetime | None = None
    free_at: AwareDatetime | None = None
    """When the number may be checked again after a mismatch; None where the check costs nothing."""
    spent_by: CaseId | None = None
    ended_at: AwareDatetime | None = None

    @property
    def tries_left(self) -> int:
        """How many wrong codes it still takes."""
        return max(self.policy.tries - self.tries, 0)


# ── events ───────────────────────────────────────────────────────────────────────────────────────────


class Opened(Event):
    """Somebody says to be the holder of a number; nothing of it is true yet."""

    type: Literal["opened"] = "opened"
    case: CaseId
    channel: PartyCode
    number: str
    method: Method
    attester: EnterpriseCode | None = None
    purpose: Purpose
    follows: CaseId | None = None
    """The case that was named in place of a number. The number is that case's; there may be neither."""
    language: Language = Language.ZH
    policy: IdentityPolicy


class CodeAsked(Event):
    """Another code was asked for, by somebody who got none."""

    type: Literal["code_asked"] = "code_asked"
    serial: int


class CodeSent(Event):
    """A code is made and goes to the number by short message; earlier ones count no more."""

    type: Literal["code_sent"] = "code_sent"
    serial: int


class CodeNotSent(Event):
    """The SMS centre did not take the code. The citizen is not told: it would tell which numbers exist."""

    type: Literal["code_not_sent"] = "code_not_sent"
    serial: int
    code: str


class WrongCode(Event):
    """A wrong code was entered; so many tries are left."""

    type: Literal["wrong_code"] = "wrong_code"
    left: int


class Locked(Event):
    """Too many wrong codes: this check is over."""

    type: Literal["locked"] = "locked"


class CodeAccepted(Event):
    """The right code: whoever asks holds the phone. It counts no more."""

    type: Literal["code_accepted"] = "code_accepted"
    serial: int


class Attested(Event):
    """Whoever was entitled to checked the identity another way, and it is the holder."""

    type: Literal["attested"] = "attested"


class NotAttested(Event):
    """Whoever was entitled to checked the identity another way, and it is not the holder."""

    type: Literal["not_attested"] = "not_attested"


class Verified(Event):
    """The carrier says that the ID tail is the holder's, and since when their contract runs."""

    type: Literal["verified"] = "verified"
    carrier: CarrierCode
    activated_at: AwareDatetime


class Mismatched(Event):
    """The ID tail is not the holder's, or no carrier knows the number. `free_at`: until then no other try counts."""

    type: Literal["mismatched"] = "mismatched"
    free_at: AwareDatetime | None = None


class CoolingDown(Event):
    """A check of this number did not match less than 24 hours ago: no carrier was asked."""

    type: Literal["cooling_down"] = "cooling_down"
    free_at: AwareDatetime


class NumberCancelled(Event):
    """The carrier says that the number is cancelled: hotlines instead."""

    type: Literal["number_cancelled"] = "number_cancelled"
    carrier: CarrierCode


class Unconfirmed(Event):
    """No carrier that knows the number could be reached; costs nothing."""

    type: Literal["unconfirmed"] = "unconfirmed"


class Expired(Event):
    """Nobody entered the code, or attested anything, in time."""

    type: Literal["expired"] = "expired"


class ProofSpent(Event):
    """The proof opened a case, or looks into one: it is good for no other."""

    type: Literal["proof_spent"] = "proof_spent"
    by: CaseId


IdentityEvent = Annotated[
    Opened
    | CodeAsked
    | CodeSent
    | CodeNotSent
    | WrongCode
    | Locked
    | CodeAccepted
    | Attested
    | NotAttested
    | Verified
    | Mismatched
    | CoolingDown
    | NumberCancelled
    | Unconfirmed
    | Expired
    | ProofSpent,
    Field(discriminator="type"),
]

Outcome = Annotated[
    Verified | Mismatched | CoolingDown | NumberCancelled | Unconfirmed,
    Field(discriminator="type"),
]
"""How asking the carriers may end."""


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────


class Open(Model):
    """What a channel or a case worker asks for, already masked: number and ID tail are in the vault."""

    case: CaseId
    channel: PartyCode
    number: str
    method: Method = Method.CODE_AND_ID_TAIL
    attester: EnterpriseCode | None = None
    purpose: Purpose
    follows: CaseId | None = None
    language: Language = Language.ZH
    actor: Actor


class Try(Model):
    """A code was entered and compared: it is the last one sent, or it is not."""

    right: bool


class Resend(Model):
    """No code came: send another."""


class Attest(Model):
    """The identity was checked at a counter, or by the enterprise named at the opening."""

    actor: Actor
    matched: bool


class Hear(Model):
    """What the carriers said that could be reached; `everybody` if none is missing."""

    answers: Mapping[CarrierCode, HolderVerdict]
    activated_at: Mapping[CarrierCode, AwareDatetime] = {}
    everybody: bool
    give_up: bool = False
    """Whether this was the last time they were asked."""


class Cool(Model):
    """The number's last mismatch is less than 24 hours ago."""

    free_at: AwareDatetime


class Expire(Model):
    """Look whether the time is over."""


class Spend(Model):
    """Open a case with the proof."""

    by: CaseId
    purpose: Purpose


class Follow(Model):
    """Look into a case, or act on it, with the proof."""

    case: CaseId


Command = Try | Resend | Attest | Cool | Hear | Expire | Spend | Follow
Decision = tuple[Event, ...] | Refusal
