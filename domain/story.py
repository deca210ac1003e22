"""A case as a readable story: one sentence per event, and what is next and when.

Tables only. A test goes through every event type of every kind, so a new one cannot be left without a sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from domain.case import Actor, CaseKind, Event, PaperId
from domain.sla import SHANGHAI

SHARED: Mapping[str, str] = {
    "told": "The citizen was told by short message ({e.message}){delivery}.",
    "not_told": "The citizen could not be told ({e.message}: {e.code}); a case worker has to.",
    "linked": "Linked with {e.to} ({e.how.value}).",
    "questions_put": "{n} parties are being asked.",
    "heard": "{answered} of {n} parties answered; {failed} could not be reached.",
    "party_answered": "A party answered.",
    "claimed": "{e.assignee} has the case.",
    "released": "The case was given back to the queue.",
    "noted": "A note was written.",
    "paused": "The clock was stopped.",
    "resumed": "The clock goes on.",
    "due_moved": "The deadline was moved to {when}.",
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
        "notice_failed": "{e.enterprise} could not be told ({e.code}); tried again after {when}.",
        "acknowledged": "Work item {e.item} was acknowledged.",
        "answered": "Work item {e.item} was answered: {e.outcome.value}{late}.",
        "extended": "Work item {e.item} was extended to {when}.",
        "went_overdue": "{n} work items went overdue.",
        "escalated": "The case desk was told of {n} overdue work items.",
        "withdrawn": "{n} work items were withdrawn.",
        "paused": "The clocks of {n} work items were stopped.",
        "resumed": "The clocks of {n} work items go on.",
        "closed": "Closed; no more answers are taken.",
    },
    CaseKind.IDENTITY: {
        "opened": "Somebody wants to prove that they are the holder, for a {e.purpose.value}, by {e.method.value}.",
        "code_asked": "Another code was asked for.",
        "code_sent": "A code was sent to the number.",
        "code_not_sent": "The centre did not take the code ({e.code}); the citizen is not told.",
        "wrong_code": "A wrong code; tries left: {e.left}.",
        "locked": "Too many wrong codes: locked.",
        "code_accepted": "The right code: they hold the phone.",
        "attested": "The identity was checked and fits.",
        "not_attested": "The identity was checked and does not fit.",
        "verified": "{e.carrier} confirms the ID tail: verified.",
        "mismatched": "The ID tail is not the holder's.",
        "cooling_down": "Too soon after a check that did not match.",
        "number_cancelled": "{e.carrier} says that the number is cancelled.",
        "unconfirmed": "No carrier could be reached; this costs nothing.",
        "expired": "Nobody entered a code in time: expired.",
        "proof_spent": "The proof was used for {e.by}.",
    },
    CaseKind.QUERY: {
        "submitted": "The citizen asks for the {e.target.value} of {apps} apps.",
        "reported": "The result: {counted} apps answered, {silent} without a reply yet.",
        "supplemented": "Late answers came: {counted} apps answered, {silent} without a reply.",
        "closed": "Closed; late answers are over.",
    },
    CaseKind.DISPUTE: {
        "opened": "The citizen disputes {n} apps.",
        "detail_wanted": "The accounts are asked for again: {which}.",
        "own_check_wanted": "The enterprise wants to check the citizen's identity itself: {which}.",
        "detail_given": "The accounts are there, the citizen has to choose: {which}.",
        "nothing_found": "No account was found: {which}.",
        "chosen": "The citizen chose what is to become of the accounts: {which}.",
        "all_kept": "The citizen keeps the accounts: {which}.",
        "solved": "Solved: {outcomes}.",
        "party_refused": "Refused ({e.ground.value}): {which}.",
        "unanswered": "No answer in time: {which}.",
        "hotline_given": "The citizen was given the hotline: {which}.",
        "desk_asked": "A case worker has to see to it: {which}.",
        "unbinding_again": "The refusal was set aside, the enterprise is asked again: {which}.",
        "under_investigation": "Under investigation in {e.investigation}: {which}.",
        "settled": "Settled ({e.settlement.value}): {which}.",
        "reminded": "The citizen was reminded: {which}.",
        "lapsed": "Nothing came of it: {which}.",
        "withdrawal_asked": "The citizen asked to withdraw.",
        "claims_withdrawn": "Withdrawn: {which}.",
        "reopened_by_citizen": "The citizen goes on with it.",
        "reopened_by_amendment": "An enterprise took back its answer: open again.",
        "closed": "Closed.",
        "withdrawn": "Withdrawn as a whole.",
    },
    CaseKind.NUMBER: {
        "opened": "The carrier reported: {e.fact}, at {happened}.",
        "reported": "The carrier reported: {e.fact}, at {happened}.",
        "recycled": "The number is nobody's; enterprises are told.",
        "reinstated": "The cancellation was a mistake; enterprises are told.",
        "announced": "{told} enterprises were told, {failures} could not be.",
        "not_announced": "Some enterprises could not be told for days; they find it in their list.",
        "reminder_due": "The holder is reminded to unbind.",
        "reissued_early": "Re-issued without a release: a case worker has to look at it.",
        "batch_started": "Everything bound before the cancellation is being unbound.",
        "batch_reported": "Apps answered: {outcomes}.",
        "batch_renewed": "Every app has answered.",
        "batch_withdrawn": "The requests of the mistaken cancellation were withdrawn.",
        "overridden": "A supervisor lets the number be released all the same.",
        "number_released": "Released: the number may be re-issued.",
    },
    CaseKind.INVESTIGATION: {
        "opened": "An investigation was opened; {n} parties are asked.",
        "evidence_overdue": "Overdue with their evidence: {which}.",
        "went_overdue": "The investigation is overdue; the citizen was told how to appeal.",
        "decided": "Decided: {e.result.value}.",
        "closed": "Closed.",
    },
    CaseKind.COMPLAINT: {
        "taken": "The citizen complains: {e.kind.value}.",
        "followed_up": "It goes on as the {e.way.value} {e.to}.",
        "rerouted": "A case worker sends it another way: {e.way.value}.",
        "concluded": "{e.by} has ended: {e.outcome}.",
        "returned": "That gave no answer: a case worker has to see to it.",
        "closed": "Answered: {e.ending.value}.",
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
    CaseKind.QUERY: {
        "asking": "The result goes out when all have answered, at the latest at the deadline.",
        "reported": "The short message is on its way.",
        "result_sent": "Late answers are taken until the case closes.",
        "undelivered": "A case worker sees to it that the citizen learns of the result.",
    },
    CaseKind.UNBIND: {"open": "The enterprises answer."},
    CaseKind.INVESTIGATION: {
        "open": "The parties give evidence; then one person proposes a result and another approves it.",
        "overdue": "One person proposes a result and another approves it; the citizen may appeal.",
        "decided": "The citizen is told; then it is closed.",
    },
    CaseKind.IDENTITY: {
        "opened": "The code goes out, or whoever checks the identity attests it.",
        "code_sent": "The citizen enters the code.",
        "confirming": "The carriers are asked whether the ID tail is the holder's.",
    },
    CaseKind.DISPUTE: {"open": "Each claim goes its way; whose turn it is stands above."},
    CaseKind.NUMBER: {
        "active": "The carrier reports what happens next.",
        "suspended": "The carrier reports what happens next.",
        "cancelled": "Everything that hangs on the number is unbound before its re-issue.",
        "frozen": "Everything that hangs on the number is unbound before its re-issue.",
        "batch_renewed": "The number may be released when its freeze is over.",
        "reissued": "The carrier reports the new holder's activation.",
    },
    CaseKind.COMPLAINT: {
        "taken": "It goes on as a dispute or an investigation.",
        "in_dispute": "The dispute brings the answer.",
        "in_investigation": "The investigation brings the answer.",
    },
}
"""What comes next, by status; a status without a sentence is an end."""

CLOCKS: Mapping[CaseKind, tuple[str, ...]] = {
    CaseKind.RENEWAL: ("ask_again_at",),
    CaseKind.IDENTITY: ("expires_at",),
    CaseKind.QUERY: ("late_until", "deadline_at"),
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
        (
            getattr(event, n)
            for n in ("items", "questions", "claims", "parties", "parts", "apps")
            if hasattr(event, n)
        ),
        (),
    )
    delivered = getattr(event, "delivered", None)
    questions = getattr(event, "questions", ()) or ()
    when = getattr(getattr(event, "clock", event), "due_at", None) or getattr(event, "try_after", None)
    return {
        "n": len(many) if hasattr(many, "__len__") else 0,
        "apps": len(getattr(event, "apps", ()) or ()),
        "answered": sum(q.answer is not None for q in questions),
        "failed": sum(bool(q.failure) for q in questions),
        "when": _local(when),
        "late": ", late" if getattr(event, "late", False) else "",
        "delivery": {True: ", delivered", False: ", not delivered", None: ""}[delivered],
        "outcomes": _tally(getattr(event, "outcomes", {})),
        "counted": len(getattr(event, "counts", ())),
        "silent": len(silent) if isinstance(silent := getattr(event, "silent", ()), tuple) else 0,
        "told": len(getattr(event, "told", ())),
        "failures": len(getattr(event, "failed", ())),
        "which": ", ".join(
            str(getattr(one, "code", one))
            for one in next((getattr(event, n) for n in ("apps", "choices", "parties") if hasattr(event, n)), ())
        ),
        "happened": _local(getattr(event, "occurred_at", None)),
    }


def _local(moment: datetime | None) -> str:
    return f"{moment.astimezone(SHANGHAI):%Y-%m-%d %H:%M}" if moment else ""


def _tally(outcomes: Mapping[str, Any]) -> str:
    counted: dict[str, int] = {}
    for outcome in outcomes.values():
        word = str(getattr(outcome, "value", outcome))
        counted[word] = counted.get(word, 0) + 1
    return ", ".join(f"{word} {count}" for word, count in counted.items())
