"""The words a dispute is told in: statuses, a claim's states, events and commands.

A *claim* (异议项) is one app (or one carrier's cards) that the citizen disputes; claims on apps of one party travel
together. What the citizen is to be told is *owed* by the state, so that a crash neither forgets nor repeats it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from domain import casework, question
from domain.case import (
    Actor,
    AppCode,
    CaseId,
    Event,
    Model,
    NotTold,
    PaperId,
    PartyCode,
    Told,
    Transitions,
)
from domain.casework import Work
from domain.dispute.grounds import Ground
from domain.messages import Language, MessageKey
from domain.proof import Proof
from domain.question import Account, AccountRef, Question, Questions
from domain.refusal import Refusal
from domain.registry import DisputePolicy
from domain.unbind import Choice, ItemState, Reason

# ── words ────────────────────────────────────────────────────────────────────────────────────────────


class DisputeStatus(StrEnum):
    """Where the dispute as a whole stands; whose turn it is follows from its claims (`standing`)."""

    OPEN = "open"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


ENDED = frozenset({DisputeStatus.CLOSED, DisputeStatus.WITHDRAWN})

TRANSITIONS: Transitions[DisputeStatus] = {
    (DisputeStatus.OPEN, "closed"): DisputeStatus.CLOSED,
    (DisputeStatus.OPEN, "merged"): DisputeStatus.CLOSED,
    (DisputeStatus.OPEN, "withdrawn"): DisputeStatus.WITHDRAWN,
    **{
        (ended, reopened): DisputeStatus.OPEN
        for ended in (DisputeStatus.CLOSED, DisputeStatus.WITHDRAWN)
        for reopened in ("reopened", "reopened_by_citizen")
    },
    (DisputeStatus.CLOSED, "reopened_by_amendment"): DisputeStatus.OPEN,
}


class ClaimReason(StrEnum):
    """Why a citizen disputes (domain.md, 'reason mix')."""

    NOT_MINE = "not_mine"
    MINE_NOT_WANTED = "mine_not_wanted"
    ASKED_BEFORE = "asked_before"
    WRONG_DATA = "wrong_data"
    OTHER = "other"


class ClaimState(StrEnum):
    """Where one claim stands."""

    ASKING_DETAIL = "asking_detail"
    OWN_CHECK = "own_check"
    """The party wants the citizen to pass its own identity check first."""
    CHOOSING = "choosing"
    UNBINDING = "unbinding"
    DONE = "done"
    REFUSED = "refused"
    OVERDUE = "overdue"
    HOTLINE = "hotline"
    """The citizen was told why not, and the party's hotline; they say if that does not solve it."""
    WITH_CASE_WORKER = "with_case_worker"
    INVESTIGATING = "investigating"
    SETTLED = "settled"
    LAPSED = "lapsed"
    """The citizen was silent, or the case went on in another."""
    WITHDRAWN = "withdrawn"


OVER = frozenset({ClaimState.DONE, ClaimState.SETTLED, ClaimState.LAPSED, ClaimState.WITHDRAWN})
"""Claims nobody has to do with any more."""

CITIZENS_TURN = frozenset({ClaimState.OWN_CHECK, ClaimState.CHOOSING, ClaimState.HOTLINE})
REMINDED = frozenset({ClaimState.OWN_CHECK, ClaimState.CHOOSING})
"""Where the citizen is reminded; silence at the hotline means it was solved there."""

PARTYS_TURN = frozenset({ClaimState.ASKING_DETAIL, ClaimState.UNBINDING, ClaimState.INVESTIGATING})
FREE = frozenset({ClaimState.ASKING_DETAIL, ClaimState.WITH_CASE_WORKER}) | CITIZENS_TURN
"""Claims that can be withdrawn without asking anybody."""

LISTENING = FREE | {ClaimState.LAPSED}
"""Claims for which a party's word on the accounts still counts."""

CLAIM_TRANSITIONS: Transitions[ClaimState] = {
    **{
        (before, event): then
        for event, then in (
            ("own_check_wanted", ClaimState.OWN_CHECK),
            ("detail_given", ClaimState.CHOOSING),
            ("nothing_found", ClaimState.DONE),
            ("party_refused", ClaimState.REFUSED),
            ("unanswered", ClaimState.OVERDUE),
        )
        for before in (ClaimState.ASKING_DETAIL, ClaimState.OWN_CHECK)
    },
    (ClaimState.CHOOSING, "chosen"): ClaimState.UNBINDING,
    (ClaimState.CHOOSING, "all_kept"): ClaimState.DONE,
    (ClaimState.UNBINDING, "solved"): ClaimState.DONE,
    (ClaimState.UNBINDING, "party_refused"): ClaimState.REFUSED,
    (ClaimState.UNBINDING, "unanswered"): ClaimState.OVERDUE,
    (ClaimState.DONE, "party_refused"): ClaimState.REFUSED,
    (ClaimState.REFUSED, "hotline_given"): ClaimState.HOTLINE,
    (ClaimState.OVERDUE, "hotline_given"): ClaimState.HOTLINE,
    **{
        (before, event): then
        for event, then in (
            ("own_check_wanted", ClaimState.OWN_CHECK),
            ("detail_given", ClaimState.CHOOSING),
            ("nothing_found", ClaimState.DONE),
            ("solved", ClaimState.DONE),
        )
        for before in (ClaimState.HOTLINE, ClaimState.WITH_CASE_WORKER)
    },
    (ClaimState.HOTLINE, "desk_asked"): ClaimState.WITH_CASE_WORKER,
    (ClaimState.WITH_CASE_WORKER, "unbinding_again"): ClaimState.UNBINDING,
    (ClaimState.WITH_CASE_WORKER, "under_investigation"): ClaimState.INVESTIGATING,
    (ClaimState.WITH_CASE_WORKER, "settled"): ClaimState.SETTLED,
    (ClaimState.INVESTIGATING, "settled"): ClaimState.SETTLED,
    (ClaimState.INVESTIGATING, "desk_asked"): ClaimState.WITH_CASE_WORKER,
    **{(before, "claims_withdrawn"): ClaimState.WITHDRAWN for before in sorted(FREE | {ClaimState.UNBINDING})},
    **{(before, "lapsed"): ClaimState.LAPSED for before in sorted(set(ClaimState) - OVER)},
    **{(before, "desk_asked"): ClaimState.WITH_CASE_WORKER for before in sorted(OVER)},
    **{
        (before, event): then
        for before in (ClaimState.LAPSED, ClaimState.WITHDRAWN)
        for event, then in (
            ("detail_wanted", ClaimState.ASKING_DETAIL),
            ("own_check_wanted", ClaimState.OWN_CHECK),
            ("detail_given", ClaimState.CHOOSING),
            ("nothing_found", ClaimState.DONE),
            ("party_refused", ClaimState.REFUSED),
            ("unanswered", ClaimState.OVERDUE),
            ("hotline_given", ClaimState.HOTLINE),
        )
    },
}


class Wish(StrEnum):
    """What a citizen chooses for one account."""

    UNBIND = "unbind"
    CANCEL = "cancel"
    KEEP = "keep"


class Settlement(StrEnum):
    """How a claim ended that a case worker had."""

    SOLVED = "solved"
    """The party did it after all, by telephone."""
    EXPLAINED = "explained"
    """The citizen knows why not, and leaves it at that."""
    IN_FAVOUR = "in_favour"
    """Two people: the citizen is right, and nothing is left to unbind."""
    REFUSED = "refused"
    """Two people: refused for good."""
    INVESTIGATED = "investigated"
    """By the result of an investigation."""


BY_TELEPHONE = frozenset({Settlement.SOLVED, Settlement.EXPLAINED})
"""What one case worker may settle alone."""

FOR_THE_CITIZEN = frozenset({Settlement.SOLVED, Settlement.IN_FAVOUR})


class Ending(StrEnum):
    """How a dispute ended, for the case it followed from."""

    SOLVED = "solved"
    NOT_SOLVED = "not_solved"
    WITHDRAWN = "withdrawn"
    MERGED = "merged"
    """It goes on in another."""


class Wanted(Model):
    """One app as the citizen disputes it: whose it is, how people call it, and what a query counted (None: not known)."""

    app: AppCode
    party: PartyCode
    name: str
    name_en: str = ""
    hotline: str = ""
    reason: ClaimReason
    query: CaseId | None = None
    counted: int | None = None


class Claim(Wanted):
    """One claim."""

    state: ClaimState = ClaimState.ASKING_DETAIL
    since: AwareDatetime
    """When it came into this state; pauses of the case move it, and with it every deadline."""
    heard: str = ""
    """Which kind of answer to the question for its accounts was acted on."""
    reminded: int = 0
    choices: Mapping[AccountRef, Wish] = {}
    part: CaseId | None = None
    """The unbind request that carries the choices out."""
    outcome: ItemState | None = None
    ground: Ground | None = None
    """Why the party said no."""
    investigation: CaseId | None = None
    settlement: Settlement | None = None
    conclusion: str = ""
    """An investigation's result, in its own word."""


class Round(Model):
    """One unbind request: what is wanted of which accounts."""

    part: CaseId
    choices: Mapping[AppCode, tuple[Choice, ...]]


class Owed(Model):
    """Something the citizen has to be told about these apps."""

    number: int
    key: MessageKey
    apps: tuple[AppCode, ...] = ()


class State(Model):
    """One dispute."""

    case: CaseId
    channel: PartyCode
    masked_number: str
    language: Language
    identity: Proof
    policy: DisputePolicy
    opened_at: AwareDatetime
    opened_from: CaseId | None = None
    status: DisputeStatus = DisputeStatus.OPEN
    claims: Mapping[AppCode, Claim]
    questions: Questions = {}
    asked: int = 0
    """How many rounds of asking there were."""
    asked_at: AwareDatetime | None = None
    rounds: tuple[Round, ...] = ()
    owed: tuple[Owed, ...] = ()
    messages: int = 0
    withdrawal_asked_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    work: Work

    def question_of(self, claim: Claim) -> Question | None:
        """What the claim's party was asked, once it was."""
        return next((one for one in self.questions.values() if one.party == claim.party), None)

    def accounts_of(self, claim: Claim) -> tuple[Account, ...] | None:
        """The accounts its party found; None while it has not said."""
        asked = self.question_of(claim)
        detail = asked.answer if asked else None
        return detail.accounts.get(claim.app) if isinstance(detail, question.Detail) else None

    def claims_in(self, *states: ClaimState) -> tuple[Claim, ...]:
        """The claims in these states, in the order they were made."""
        return tuple(claim for claim in self.claims.values() if claim.state in states)


# ── events ───────────────────────────────────────────────────────────────────────────────────────────


class Opened(Event):
    """A citizen disputes, identified by a proof that is good for this dispute alone."""

    type: Literal["opened"] = "opened"
    case: CaseId
    opened_from: CaseId | None = None
    channel: PartyCode
    masked_number: str
    language: Language = Language.ZH
    identity: Proof
    policy: DisputePolicy
    claims: tuple[Wanted, ...] = Field(min_length=1)


class _OfApps(Event):
    apps: tuple[AppCode, ...]


class DetailWanted(_OfApps):
    """The party's word on the accounts is waited for again."""

    type: Literal["detail_wanted"] = "detail_wanted"


class OwnCheckWanted(_OfApps):
    """The party wants the citizen to pass its own identity check; the link is a paper only they see."""

    type: Literal["own_check_wanted"] = "own_check_wanted"


class DetailGiven(_OfApps):
    """The citizen has to choose for each account the party found."""

    type: Literal["detail_given"] = "detail_given"


class NothingFound(_OfApps):
    """The party looked and found no account."""

    type: Literal["nothing_found"] = "nothing_found"


class Chosen(Event):
    """The citizen chose for every account, and something is to be done: an unbind request carries it out."""

    type: Literal["chosen"] = "chosen"
    part: CaseId
    choices: Mapping[AppCode, Mapping[AccountRef, Wish]]


class AllKept(Event):
    """The citizen keeps every account: they are their own after all."""

    type: Literal["all_kept"] = "all_kept"
    choices: Mapping[AppCode, Mapping[AccountRef, Wish]]


class Solved(Event):
    """The enterprises did what was asked, or found that nothing was to be done."""

    type: Literal["solved"] = "solved"
    outcomes: Mapping[AppCode, ItemState]


class PartyRefused(_OfApps):
    """The party said no, for this reason."""

    type: Literal["party_refused"] = "party_refused"
    ground: Ground
    outcome: ItemState | None = None


class Unanswered(_OfApps):
    """The party let its time pass, or left these apps out of its answer."""

    type: Literal["unanswered"] = "unanswered"


class HotlineGiven(_OfApps):
    """The citizen is pointed to the party's hotline."""

    type: Literal["hotline_given"] = "hotline_given"


class DeskAsked(_OfApps):
    """A case worker has to see to it by then."""

    type: Literal["desk_asked"] = "desk_asked"
    due_at: AwareDatetime


class UnbindingAgain(_OfApps):
    """The party's refusal was set aside: it is asked once more to do what the citizen chose."""

    type: Literal["unbinding_again"] = "unbinding_again"
    part: CaseId


class UnderInvestigation(_OfApps):
    """An investigation was opened from this case."""

    type: Literal["under_investigation"] = "under_investigation"
    investigation: CaseId


class Settled(_OfApps):
    """The case desk has an end of it."""

    type: Literal["settled"] = "settled"
    settlement: Settlement
    reason: PaperId | None = None
    conclusion: str = ""


class Reminded(_OfApps):
    """The citizen is reminded that it is their turn."""

    type: Literal["reminded"] = "reminded"
    turn: int


class Lapsed(_OfApps):
    """Nothing came of these claims: the citizen was silent, or the case goes on in another."""

    type: Literal["lapsed"] = "lapsed"
    merged: bool = False


class WithdrawalAsked(Event):
    """The citizen asked to withdraw."""

    type: Literal["withdrawal_asked"] = "withdrawal_asked"


class ClaimsWithdrawn(_OfApps):
    """The citizen withdrew these claims before any enterprise took them on."""

    type: Literal["claims_withdrawn"] = "claims_withdrawn"


class ReopenedByCitizen(Event):
    """The citizen goes on with a closed dispute."""

    type: Literal["reopened_by_citizen"] = "reopened_by_citizen"


class ReopenedByAmendment(Event):
    """An enterprise took back what it had said it did: the dispute is not over after all."""

    type: Literal["reopened_by_amendment"] = "reopened_by_amendment"


class Closed(Event):
    """Every claim is over. `silent`: because the citizen was, which they are told anyway."""

    type: Literal["closed"] = "closed"
    silent: bool = False


class Withdrawn(Event):
    """Every claim was withdrawn."""

    type: Literal["withdrawn"] = "withdrawn"


DisputeEvent = Annotated[
    Opened
    | DetailWanted
    | OwnCheckWanted
    | DetailGiven
    | NothingFound
    | Chosen
    | AllKept
    | Solved
    | PartyRefused
    | Unanswered
    | HotlineGiven
    | DeskAsked
    | UnbindingAgain
    | UnderInvestigation
    | Settled
    | Reminded
    | Lapsed
    | WithdrawalAsked
    | ClaimsWithdrawn
    | ReopenedByCitizen
    | ReopenedByAmendment
    | Closed
    | Withdrawn
    | question.QuestionsPut
    | question.Heard
    | question.Answered
    | Told
    | NotTold
    | casework.WorkEvent,
    Field(discriminator="type"),
]

# ── commands ─────────────────────────────────────────────────────────────────────────────────────────


class Submit(Model):
    """What a channel asks for a citizen, already masked and identified: the number itself is in the vault."""

    case: CaseId
    opened_from: CaseId | None = None
    channel: PartyCode
    masked_number: str
    language: Language = Language.ZH
    identity: Proof
    claims: tuple[Wanted, ...]


class Choose(Model):
    """The citizen says what is to become of every account of these apps."""

    choices: Mapping[AppCode, Mapping[AccountRef, Wish]] = Field(min_length=1)


class Unsolved(Model):
    """The hotline did not solve it, says the citizen."""

    app: AppCode


class Withdraw(Model):
    """The citizen withdraws what no enterprise has taken on."""


class TakeUp(Model):
    """The citizen goes on with a closed dispute."""


class Settle(Model):
    """A case worker ends a claim they have solved by telephone."""

    actor: Actor
    app: AppCode
    settlement: Settlement
    reason: PaperId


class Look(Model):
    """Take up what parties said to the question, and what a clock makes due."""


class Report(Model):
    """An unbind request stands like this."""

    part: CaseId
    outcomes: Mapping[AppCode, ItemState]
    reasons: Mapping[AppCode, Reason] = {}


class Conclude(Model):
    """An investigation that followed from this case has ended."""

    investigation: CaseId
    outcome: str


Command = (
    Choose
    | Unsolved
    | Withdraw
    | TakeUp
    | Settle
    | Look
    | Report
    | Conclude
    | question.Answering
    | casework.WorkCommand
)
Decision = tuple[Event, ...] | Refusal
