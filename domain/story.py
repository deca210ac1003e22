"""A case as a readable story: one sentence per event, and what is next and when.

Tables only. A test goes through every event type of every kind, so a new one cannot be left without a sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from domain.case import Actor, CaseKind, Event, PaperId

SHARED: Mapping[str, str] = {
    "told": "The citizen was told by short message ({e.message}){delivery}.",
    "not_told": "The citizen could not be told ({e.message}: {e.code}); a case worker has to.",
    "linked": "Linked with {e.to} ({e.how.value}).",
    "heard": "{answered} of {n} parties answered; {failed} could not be reached.",
    "party_answered": "A party answered.",
    "claimed": "{e.assignee} has the case.",
    "released": "The case was given back to the queue.",
    "noted": "A note was written.",
    "paused": "The clock was stopped.",
    "resumed": "The clock goes on.",
    "due_moved": "The deadline was moved to {e.due_at}.",
    "handed_up": "Escalated to a supervisor.",
    "merged": "Merged into {e.into}, which goes on.",
    "reopened": "Reopened.",
    "proposed": "Decided: {e.what.value} {e.about}; a second person has to approve.",
    "approved": "Approved what {e.decided_by} decided: {e.what.value} {e.about}.",
    "rejected": "Did not approve the decision: {e.what.value} {e.about}.",
}
"""What all kinds have."""

STORY: Mapping[CaseKind, Mapping[str, str]] = {
    CaseKind.RENEWAL: {
        "submitted": "The carrier handed in a renewal over {apps} apps.",
        "eligibility_answered": "The carrier was asked whether the number is re-issued: {e.verdict.value}.",
        "started": "The enterprises are being asked.",
        "reported": "There is something to tell: {outcomes}.",
        "summary_sent": "The holder was told by short message{delivery}.",
        "result_sent": "The carrier has the result.",
        "not_told": "The {e.who} could not be told ({e.code}); a case worker has to.",
        "withdrawal_asked": "The holder asked to withdraw.",
        "withdrawn": "Withdrawn.",
        "refused": "Cannot be done: {e.reason.value}.",
        "closed": "Closed; late answers are over.",
    },
    CaseKind.UNBIND: {
        "opened": "{n} work items were opened.",
        "noticed": "{e.enterprise} was told ({e.notice.value}) about {n} work items.",
        "notice_failed": "{e.enterprise} could not be told ({e.code}); tried again after {e.try_after}.",
        "acknowledged": "Work item {e.item} was acknowledged.",
        "answered": "Work item {e.item} was answered: {e.outcome.value}{late}.",
        "extended": "Work item {e.item} was extended to {e.clock.due_at}.",
        "went_overdue": "{n} work items went overdue.",
        "escalated": "The case desk was told of {n} overdue work items.",
        "withdrawn": "{n} work items were withdrawn.",
        "paused": "The clocks of {n} work items were stopped.",
        "resumed": "The clocks of {n} work items go on.",
        "closed": "Closed; no more answers are taken.",
    },
}
"""Each kind's own; a kind's sentence goes before the shared one."""

NEXT: Mapping[CaseKind, Mapping[str, str]] = {
    CaseKind.RENEWAL: {
        "submitted": "The carrier is asked whether the number is re-issued.",
        "waiting_for_data": "The carrier is asked again.",
        "running": "The enterprises answer; the holder is told when nothing is waited for any more.",
        "summary_sent": "Late answers are taken until the case closes.",
    },
    CaseKind.UNBIND: {"open": "The enterprises answer."},
}
"""What comes next, by status; a status without a sentence is an end."""

CLOCKS: Mapping[CaseKind, tuple[str, ...]] = {
    CaseKind.RENEWAL: ("ask_again_at",),
}
"""Where a state keeps the time of what comes next: the first that is set."""


def tell(kind: CaseKind, event: Event) -> str:
    """One event as a sentence. KeyError if there is none for its type."""
    template = STORY.get(kind, {}).get(event.type) or SHARED[event.type]
    return template.format(e=event, **_words(event)).replace(" .", ".").replace(" ;", ";")


def next_step(kind: CaseKind, state: Any) -> tuple[str, datetime | None]:
    """What comes next and when, if anything does."""
    sentence = NEXT.get(kind, {}).get(state.status.value, "")
    work = getattr(state, "work", None)
    times: Iterable[datetime | None] = (
        *(getattr(state, name, None) for name in CLOCKS.get(kind, ())),
        work.due_at if work else None,
    )
    return sentence, next((at for at in times if at is not None), None) if sentence else None


def who(actor: Actor) -> str:
    """Who did it, in words."""
    kind = actor.kind.value.replace("_", " ")
    return f"{kind} {actor.code}".strip()


def readable(event: Event) -> tuple[PaperId, ...]:
    """The papers of an event that case workers may read: what they wrote themselves, and evidence given to them.

    Never a masked account: that is for the citizen only.
    """
    single = [getattr(event, name, None) for name in ("note", "reason", "text", "statement")]
    papers = [paper for paper in single if isinstance(paper, str) and paper.startswith("P") and len(paper) == 13]
    return (*papers, *getattr(event, "attachments", ()))


def _words(event: Event) -> dict[str, object]:
    """What sentences use besides the event's own fields."""
    many = next(
        (getattr(event, n) for n in ("items", "questions", "claims", "parts", "apps") if hasattr(event, n)), ()
    )
    delivered = getattr(event, "delivered", None)
    questions = getattr(event, "questions", ()) or ()
    return {
        "n": len(many) if hasattr(many, "__len__") else 0,
        "apps": len(getattr(event, "apps", ()) or ()),
        "answered": sum(q.answer is not None for q in questions),
        "failed": sum(bool(q.failure) for q in questions),
        "late": ", late" if getattr(event, "late", False) else "",
        "delivery": {True: ", delivered", False: ", not delivered", None: ""}[delivered],
        "outcomes": _tally(getattr(event, "outcomes", {})),
    }


def _tally(outcomes: Mapping[str, Any]) -> str:
    counted: dict[str, int] = {}
    for outcome in outcomes.values():
        word = str(getattr(outcome, "value", outcome))
        counted[word] = counted.get(word, 0) + 1
    return ", ".join(f"{word} {count}" for word, count in counted.items())
