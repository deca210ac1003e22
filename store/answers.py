"""What a party says to a question, as it comes: what is about a person is put away as papers before it is an answer.

The same form whether it comes as the reply to our message or later through the party's door.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError
from sqlalchemy import Connection

from domain import question
from domain.case import AppCode
from domain.question import AccountRef, DeclineReason
from store import papers
from store.keys import KeyRing

LONG_NUMBER = re.compile(r"[0-9]{11}")


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class SaidCounts(_Said):
    """How many accounts per app of yours are bound to the number; 0 where there is none."""

    type: Literal["counts"]
    counts: Mapping[AppCode, Annotated[int, Field(ge=0, le=10_000)]]


def _opaque(ref: str) -> str:
    """It stays in the ledger for ever, so it must not be a person's number or ID."""
    if LONG_NUMBER.search(ref):
        raise PydanticCustomError("ref", "it is your own opaque handle, without 11 digits in a row")
    return ref


class SaidAccount(_Said):
    """One account: your own opaque handle, what its owner may see of it (masked), and when it was bound."""

    ref: Annotated[AccountRef, AfterValidator(_opaque)]
    label: str = Field(min_length=1, max_length=60, description="Masked, e.g. `微**户`; only its owner sees it")
    bound_at: AwareDatetime | None = None


class SaidDetail(_Said):
    """The accounts bound to the number, per app."""

    type: Literal["detail"]
    accounts: Mapping[AppCode, list[SaidAccount]]


class SaidOwnCheck(_Said):
    """You want the citizen to pass your own identity check first; answer again with the detail when they have."""

    type: Literal["own_check"]
    link: str = Field(max_length=500, pattern=r"^https?://[^\s]+$")


class SaidEvidence(_Said):
    """What your books say, in words, with references to attachments you keep."""

    type: Literal["evidence"]
    statement: str = Field(min_length=1, max_length=5000)
    attachments: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(default=[], max_length=20)


class SaidDeclined(_Said):
    """You cannot say, for a reason."""

    type: Literal["declined"]
    reason: DeclineReason


Said = Annotated[SaidCounts | SaidDetail | SaidOwnCheck | SaidEvidence | SaidDeclined, Field(discriminator="type")]


class SaidTo(_Said):
    """An answer to one question."""

    question: str
    answer: Said


class SaidAtOnce(BaseModel):
    """What a party may reply to our message: answers to some of the questions in it."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)
    answers: list[SaidTo] = []

    def to(self, question: str) -> Said | None:
        """What is said to this question, if anything."""
        return next((one.answer for one in self.answers if one.question == question), None)


def take(
    connection: Connection,
    keys: KeyRing,
    case: str,
    said: Said,
    activated_at: datetime | None,
    apps: tuple[str, ...],
    cards: bool = False,
) -> question.Answer:
    """Put away what is personal and give the rest; apps that were not asked about are left out. The same said again
    gives the same answer and leaves nothing more behind.

    An account bound before `activated_at`, or at an unknown time, is a former holder's: its label is thrown away
    (domain.md, 'no takeover'). `cards` of a carrier stand under the citizen's ID, not on their number: every one is
    theirs, however old. Raises NotInVault when the person is forgotten.
    """
    match said:
        case SaidCounts():
            return question.Counts(counts={app: n for app, n in said.counts.items() if app in apps})
        case SaidDetail():
            return question.Detail(
                accounts={
                    app: tuple(_account(connection, keys, case, one, activated_at, cards) for one in accounts)
                    for app, accounts in said.accounts.items()
                    if app in apps
                }
            )
        case SaidOwnCheck():
            return question.OwnCheck(link=papers.keep(connection, keys, case, said.link))
        case SaidEvidence():
            return question.Evidence(
                statement=papers.keep(connection, keys, case, said.statement),
                attachments=tuple(papers.keep(connection, keys, case, one) for one in said.attachments),
            )
        case SaidDeclined():
            return question.Declined(reason=said.reason)


def _account(
    connection: Connection, keys: KeyRing, case: str, said: SaidAccount, activated_at: datetime | None, cards: bool
) -> question.Account:
    newer = activated_at is not None and said.bound_at is not None and said.bound_at >= activated_at
    own = cards or newer
    return question.Account(
        ref=said.ref, own=own, label=papers.keep(connection, keys, case, said.label) if own else None
    )
