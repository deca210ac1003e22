"""What a party reads of the gateway's messages and lists, and how it words what it says back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from domain.question import DeclineReason, QuestionKind
from domain.unbind import Action
from sandbox.behaviour import MEDDLERS, Reply, activation, expected_count, held

FAR_TOO_MANY = 9_999
"""Accounts nobody has: what a meddler tells of others' apps, so it shows if it is ever taken."""


@dataclass(frozen=True)
class WorkItem:
    """What an enterprise reads of a work item. `cancels` says whether the citizen wants one of its accounts cancelled;
    None if no accounts are named."""

    id: str
    token: str
    number: str
    bound_before: datetime
    due_at: datetime
    cancels: bool | None = None

    called = "answer"
    """What an answer to it is called among refused calls."""

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """From the gateway's JSON; fields it does not know are no fault."""
        accounts = data.get("accounts")
        return cls(
            id=data["id"],
            token=data["subject"]["token"],
            number=data["subject"].get("number") or "",
            bound_before=datetime.fromisoformat(data["bound_before"]),
            due_at=datetime.fromisoformat(data["due_at"]),
            cancels=any(account["action"] == Action.CANCEL for account in accounts) if accounts else None,
        )

    @property
    def door(self) -> str:
        """Where it is answered."""
        return f"/v1/work-items/{self.id}/answer"

    @property
    def made_up(self) -> Self:
        """One that nobody has."""
        return replace(self, id="W" + "0" * 20)

    @property
    def slander(self) -> Mapping[str, Any]:
        """What somebody says who has no business to."""
        return self.wording(MEDDLERS)

    def wording(self, reply: Reply) -> dict[str, Any]:
        """A reply as the gateway reads it."""
        body = {
            "outcome": reply.outcome.value,
            "reason": reply.reason and reply.reason.value,
            "bound_at": reply.bound is not None and (self.bound_before + reply.bound).isoformat(),
        }
        return {name: value for name, value in body.items() if value}


@dataclass(frozen=True)
class Question:
    """What a party reads of a question."""

    id: str
    kind: QuestionKind
    apps: tuple[str, ...]
    token: str
    due_at: datetime
    identity_checked: bool

    called = "question"

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """From the gateway's JSON."""
        return cls(
            id=data["id"],
            kind=QuestionKind(data["kind"]),
            apps=tuple(data["apps"]),
            token=data["subject"]["token"],
            due_at=datetime.fromisoformat(data["due_at"]),
            identity_checked=data["identity_checked"],
        )

    @property
    def door(self) -> str:
        """Where it is answered."""
        return f"/v1/questions/{self.id}/answer"

    @property
    def made_up(self) -> Self:
        """One that nobody was asked."""
        return replace(self, id="A" + "0" * 20)

    @property
    def slander(self) -> Mapping[str, Any]:
        """What somebody says who has no business to."""
        if self.kind is QuestionKind.COUNTS:
            return {"type": "counts", "counts": dict.fromkeys(self.apps, FAR_TOO_MANY)}
        return _declined(DeclineReason.IDENTITY_NOT_ACCEPTED)

    @property
    def ticket(self) -> str:
        """What a link to the party's own identity check carries: nothing that could be guessed from the question."""
        return hashlib.sha256(f"own check/{self.token}/{self.id}".encode()).hexdigest()[:24]

    def wording(self, now: datetime, declines: DeclineReason | None = None, own_check: str = "") -> dict[str, Any]:
        """What the party's books say, as the gateway reads it. Detail may be declined, or wait for the party's own
        identity check behind a link."""
        if self.kind is QuestionKind.DETAIL and declines:
            return _declined(declines)
        if self.kind is QuestionKind.DETAIL and own_check:
            return {"type": "own_check", "link": own_check}
        return _WORDING[self.kind](self, now)


def _declined(reason: DeclineReason) -> dict[str, Any]:
    return {"type": "declined", "reason": reason.value}


def _counts(question: Question, _: datetime) -> dict[str, Any]:
    return {"type": "counts", "counts": {app: expected_count(app, question.token) for app in question.apps}}


def _detail(question: Question, now: datetime) -> dict[str, Any]:
    begun = activation(now)
    accounts = {
        app: [
            {"ref": one.ref, "label": one.label, "bound_at": (begun + one.bound).isoformat()}
            for one in held(app, question.token)
        ]
        for app in question.apps
    }
    return {"type": "detail", "accounts": accounts}


def _evidence(question: Question, _: datetime) -> dict[str, Any]:
    found = sum(expected_count(app, question.token) for app in question.apps)
    return {
        "type": "evidence",
        "statement": f"经核查，我方记录显示该号码名下有 {found} 个账号（卡），绑定记录见附件。",
        "attachments": [f"record-{question.ticket[:8]}"],
    }


_WORDING: Mapping[QuestionKind, Callable[[Question, datetime], dict[str, Any]]] = {
    QuestionKind.COUNTS: _counts,
    QuestionKind.DETAIL: _detail,
    QuestionKind.EVIDENCE: _evidence,
}
