"""A case as a readable story: one sentence per event, and what is next and when.

Tables only. A test goes through every event type of every kind, so a new one cannot be left without a sentence.
Whoever did it stands beside the sentence, so a sentence about what people did begins with the verb. Everything is
said through `say`, which may put a sentence, a phrase or a word into another language; its {fields} stay.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from domain import dispute, identity, investigation, number, query, question
from domain.case import Actor, CaseKind, Event, LinkKind, PaperId
from domain.casework import DecisionKind, Waiting, Work
from domain.dispute import ClaimState
from domain.identity import IdentityStatus
from domain.investigation import InvestigationStatus, TaskState
from domain.messages import MessageKey
from domain.number import NumberStatus
from domain.proof import Method
from domain.query import QueryStatus
from domain.sla import SHANGHAI

Say = Callable[[str], str]
"""What puts a sentence, with its {fields} still in it, into the reader's language."""


def in_english(text: str) -> str:
    """As the tables have it."""
    return text


MOST_NAMES = 6
"""Names in one sentence; of more only the number is said."""

SHARED: Mapping[str, str] = {
    "told": "The citizen was told {message} (short message{delivery}).",
    "not_told": "The citizen could not be told {message} ({e.code}): a case worker has to.",
    "linked": "{link}.",
    "questions_put": "Asked: {asked}.",
    "heard": "{heard}.",
    "party_answered": "{said}.",
    "claimed": "{claim}.",
    "released": "Gave the case back to the queue.",
    "noted": "Wrote a note.",
    "paused": "Stopped the clock.",
    "resumed": "Let the clock go on{until}.",
    "due_moved": "Moved the deadline to {when}.",
    "handed_up": "Escalated it to a supervisor.",
    "merged": "Merged it into {e.into}, which goes on.",
    "reopened": "Reopened it{until}.",
    "proposed": "Proposed {decision}; somebody else has to approve.",
    "approved": "Approved what {e.decided_by} proposed: {decision}.",
    "rejected": "Rejected it, the proposal is void: {decision}.",
}
"""What all kinds have."""

STORY: Mapping[CaseKind, Mapping[str, str]] = {
    CaseKind.RENEWAL: {
        "submitted": "Handed in a renewal over {apps} for the number's holder.",
        "eligibility_answered": "Asked whether the number is re-issued, the carrier said {e.verdict}{because}{again}.",
        "started": "The enterprises were asked, in {parts}.",
        "reported": "So far: {outcomes}.",
        "summary_sent": "The holder was told what became of it (short message{delivery}).",
        "result_sent": "The carrier got the result.",
        "not_told": "The {whom} could not be told what became of it ({e.code}): a case worker has to.",
        "withdrawal_asked": "Asked to withdraw; what an enterprise has acknowledged goes on.",
        "withdrawn": "Withdrawn as a whole.",
        "refused": "It cannot be done: {e.reason}.",
        "closed": "Closed: late answers are over.",
    },
    CaseKind.UNBIND: {
        "opened": "Opened with {items} for {enterprises}.",
        "noticed:request": "{e.enterprise} was sent {items} ({which}).",
        "noticed:reminder": "{e.enterprise} was reminded of {items} ({which}).",
        "noticed:withdrawal": "{e.enterprise} was told that {items} {are} withdrawn ({which}).",
        "notice_failed": "{e.enterprise} could not be told ({e.notice}: {e.code}); tried again after {when}.",
        "acknowledged": "Acknowledged work item {e.item}.",
        "answered": "{answers} work item {e.item}: {e.outcome}{because}{late}.",
        "extended": "Took until {when} for work item {e.item}.",
        "went_overdue": "Overdue: {items} ({which}).",
        "escalated": "The case desk was told of {items} overdue.",
        "withdrawn": "Withdrawn: {items} ({which}).",
        "paused": "Stopped the clock of {items} ({which}).",
        "resumed": "Let the clock of {items} go on{until} ({which}).",
        "closed": "Closed: no more answers are taken.",
    },
    CaseKind.IDENTITY: {
        "opened": "Somebody said to be the number's holder, to be proven {method}, for a {e.purpose}.",
        "code_asked": "Another code was asked for.",
        "code_sent": "A code went to the number by short message.",
        "code_not_sent": "No code went out ({e.code}); nobody is told, it would say which numbers exist.",
        "wrong_code": "A wrong code was entered; tries left: {e.left}.",
        "locked": "Too many wrong codes: locked.",
        "code_accepted": "The right code was entered: they hold the phone.",
        "attested": "Attested that they are the holder.",
        "not_attested": "Attested that they are not the holder.",
        "verified": "Confirmed the ID tail, and a contract since {since}: verified.",
        "mismatched": "The ID tail is not the holder's{blocked}.",
        "cooling_down": "Too soon after a check that did not match: no carrier was asked; possible again {again_at}.",
        "number_cancelled": "Said that the number is cancelled.",
        "unconfirmed": "No carrier that knows the number could be reached; this costs nothing.",
        "expired": "Nobody entered a code or attested anything in time: expired.",
        "proof_spent": "The proof was used for {e.by}.",
    },
    CaseKind.QUERY: {
        "submitted": "Asked for the {e.target} of {apps}.",
        "reported": "The result was fixed: {counted} counted, {silent}.",
        "supplemented": "Late answers changed the result: {counted} counted, {silent}.",
        "closed": "Closed: late answers are over.",
    },
    CaseKind.DISPUTE: {
        "opened": "The citizen disputed {reasons}.",
        "detail_wanted": "The party was asked for the accounts again: {which}.",
        "own_check_wanted": "The citizen has to pass the enterprise's own identity check first: {which}.",
        "detail_given": "The accounts are there, and the citizen has to choose: {which}.",
        "nothing_found": "The party found no account: {which}.",
        "chosen": "Chose what is to become of the accounts ({wishes}); carried out in {e.part}.",
        "all_kept": "Kept every account: {which}.",
        "solved": "Done: {outcomes}.",
        "party_refused": "The party said no, {e.ground}: {which}.",
        "unanswered": "The party let its time pass: {which}.",
        "hotline_given": "The citizen was pointed to the party's hotline: {which}.",
        "desk_asked": "A case worker has to see to it by {when}: {which}.",
        "desk_asked by citizen": "Said that it is not solved; a case worker has to see to it by {when}: {which}.",
        "unbinding_again": "The refusal was set aside, and the enterprise asked once more in {e.part}: {which}.",
        "under_investigation": "{e.investigation} investigates it: {which}.",
        "settled": "Settled, {e.settlement}{conclusion}: {which}.",
        "reminded": "The citizen was to be reminded that it is their turn: {which}.",
        "lapsed": "Nothing came of it: {which}.",
        "withdrawal_asked": "Asked to withdraw; what an enterprise has acknowledged goes on.",
        "claims_withdrawn": "Withdrawn: {which}.",
        "reopened_by_citizen": "Went on with it.",
        "reopened_by_amendment": "An enterprise took back its answer: open again.",
        "closed": "Closed.",
        "withdrawn": "Withdrawn as a whole.",
    },
    CaseKind.NUMBER: {
        "opened": "Reported {e.fact}, at {happened}.",
        "reported": "Reported {e.fact}, at {happened}.",
        "recycled": "The number became nobody's: it stands in the enterprises' list, and they are told.",
        "reinstated": "The cancellation was a mistake: the enterprises are told.",
        "announced": "{announced}.",
        "not_announced": "For days {enterprises} could not be told; they find it in their list.",
        "reminder_due": "The holder was to be told {message}.",
        "reissued_early": "Somebody's again without a release: a case worker has to look at it.",
        "batch_started": "What was bound before the cancellation is to be unbound, in {parts}.",
        "batch_reported": "News of the apps: {outcomes}.",
        "batch_renewed": "Every app has answered.",
        "batch_withdrawn": "The requests of the mistaken cancellation were withdrawn: {parts}.",
        "overridden": "Let the number be released all the same.",
        "number_released": "Released: it may be re-issued{unreported}.",
    },
    CaseKind.INVESTIGATION: {
        "opened": "Opened to find out about the number; asked for evidence by {evidence_due}: {which}.",
        "evidence_overdue": "Overdue with their evidence: {which}.",
        "went_overdue": "Overdue without a decision: the citizen was told where to appeal.",
        "decided": "Two people have decided: {e.result}.",
        "closed": "Closed.",
    },
    CaseKind.COMPLAINT: {
        "taken": "The citizen complained, {e.kind}: {which}{about}.",
        "followed_up": "It went on as the {e.way} {e.to}.",
        "rerouted": "Sent it another way: {e.way}.",
        "concluded": "{e.by} has ended: {conclusion}.",
        "returned": "That gave no answer: a case worker has to see to it.",
        "closed": "Answered: {e.ending}.",
    },
}
"""Each kind's own, which go before the shared ones: by what the event is called where states are drawn
(`noticed:request`), by who did it (`desk_asked by citizen`), or by its type."""

NEXT: Mapping[CaseKind, Mapping[str, str]] = {
    CaseKind.RENEWAL: {
        "submitted": "The carrier is asked whether the number is re-issued.",
        "waiting_for_data": "The carrier is asked again.",
        "running": "The enterprises answer; the holder is told when nothing is waited for any more.",
        "summary_sent": "Late answers are taken until the case closes.",
    },
    CaseKind.UNBIND: {"open": "The enterprises answer; late answers are taken until it closes."},
    CaseKind.IDENTITY: {
        "opened": "The code goes out, or whoever checks the identity attests it.",
        "code_sent": "The citizen enters the code.",
        "confirming": "The carriers are asked whether the ID tail is the holder's.",
        "verified": "The proof opens one case, or looks into one.",
    },
    CaseKind.QUERY: {
        "asking": "The result goes out when all have answered, at the latest at the deadline.",
        "reported": "The short message is on its way.",
        "result_sent": "Late answers are taken until the case closes.",
        "undelivered": "A case worker sees to it that the citizen learns of the result.",
    },
    CaseKind.DISPUTE: {"open": "Each claim goes its own way."},
    CaseKind.NUMBER: {
        "active": "The carrier reports what happens next.",
        "suspended": "The carrier reports what happens next.",
        "cancelled": "Everything that hangs on the number is unbound before its re-issue.",
        "frozen": "Everything that hangs on the number is unbound before its re-issue.",
        "batch_renewed": "The number may be released when its freeze is over.",
        "reissued": "The carrier reports the new holder's activation.",
    },
    CaseKind.INVESTIGATION: {
        "open": "The parties give evidence; one person proposes a result, another approves it.",
        "overdue": "One person proposes a result, another approves it; the citizen may appeal.",
        "decided": "The citizen is told the result; then it is closed.",
    },
    CaseKind.COMPLAINT: {
        "taken": "A case worker sends it on, to be disputed or investigated.",
        "in_dispute": "The dispute brings the answer.",
        "in_investigation": "The investigation brings the answer.",
    },
}
"""What comes next, by status; a status without a sentence is an end."""

CLAIM_NEXT: Mapping[ClaimState, str] = {
    ClaimState.ASKING_DETAIL: "the enterprise says which accounts there are",
    ClaimState.OWN_CHECK: "the citizen passes the enterprise's own identity check",
    ClaimState.CHOOSING: "the citizen chooses what is to become of each account",
    ClaimState.UNBINDING: "the enterprise does what the citizen chose",
    ClaimState.REFUSED: "the citizen is pointed to the hotline",
    ClaimState.OVERDUE: "the citizen is pointed to the hotline",
    ClaimState.HOTLINE: "the citizen calls the hotline, and says so if that does not solve it",
    ClaimState.WITH_CASE_WORKER: "a case worker settles it, investigates it, or decides together with a second person",
    ClaimState.INVESTIGATING: "the investigation brings the result",
}
"""What comes next for a dispute's claims; the other states are ends."""

SAID: Mapping[str, str] = {
    MessageKey.QUERY_RESULT: "the result",
    MessageKey.QUERY_SUPPLEMENT: "what late answers changed",
    MessageKey.DISPUTE_OPENED: "that we have the dispute",
    MessageKey.DISPUTE_OWN_CHECK: "to pass the enterprise's own identity check",
    MessageKey.DISPUTE_CHOOSE: "to look at the accounts and choose",
    MessageKey.DISPUTE_REMIND: "once more that it is their turn",
    MessageKey.DISPUTE_REFUSED: "why the enterprise says no, and its hotline",
    MessageKey.DISPUTE_HOTLINE: "that the enterprise is late, and its hotline",
    MessageKey.DISPUTE_CLOSED: "how it ended",
    MessageKey.DISPUTE_SILENT: "that it lapsed without a word from them",
    MessageKey.NUMBER_OPENED: "to have a former holder's accounts unbound",
    MessageKey.NUMBER_TRANSFER: "to have the former holder's accounts unbound",
    MessageKey.NUMBER_CANCELLED: "to change the number in their apps first",
    MessageKey.INVESTIGATION_OPENED: "that it is investigated, and by when they hear of it",
    MessageKey.INVESTIGATION_DECIDED: "the result, and where to turn against it",
    MessageKey.INVESTIGATION_APPEAL: "that it takes longer, and where to appeal",
    MessageKey.COMPLAINT_TAKEN: "that we have the complaint",
    MessageKey.COMPLAINT_CLOSED: "how it ended",
}
"""What the citizen was told, by text."""

LINKS: Mapping[LinkKind, str] = {
    LinkKind.OPENED_FROM: "It was opened from",
    LinkKind.LED_TO: "It led to",
    LinkKind.MERGED_INTO: "It went on in",
    LinkKind.MERGED_FROM: "Into it was merged",
}

DECISIONS: Mapping[DecisionKind, str] = {
    DecisionKind.REFUSE: "to refuse the citizen's wish",
    DecisionKind.OVERRIDE: "to set the enterprise's answer aside",
    DecisionKind.CONCLUDE: "this result",
}

METHODS: Mapping[Method, str] = {
    Method.CODE_AND_ID_TAIL: "by a code and the ID tail",
    Method.COUNTER: "at a counter",
    Method.ENTERPRISE: "by an enterprise's own check",
}

DELIVERY: Mapping[bool | None, str] = {True: ", delivered", False: ", not delivered", None: ", no receipt"}


# ── telling ──────────────────────────────────────────────────────────────────────────────────────────


def tell(kind: CaseKind, event: Event, say: Say = in_english) -> str:
    """One event as a sentence. KeyError if there is none for its type."""
    names = (f"{event.type} by {event.actor.kind.value}", event.word, event.type)
    sentences = STORY.get(kind, {})
    template = next((sentences[name] for name in names if name in sentences), None) or SHARED[event.type]
    return _Wording(event, say).format(say(template))


def who(actor: Actor, say: Say = in_english) -> str:
    """Who did it, in words."""
    return f"{_word(actor.kind, say)} {actor.code}".strip()


def readable(event: Event) -> tuple[PaperId, ...]:
    """The papers of an event that case workers may read: what they wrote themselves, and evidence given to them.

    Never a masked account: that is for the citizen only.
    """
    single = [getattr(event, name, None) for name in ("note", "reason", "text", "statement")]
    papers = [paper for paper in single if isinstance(paper, str) and paper.startswith("P") and len(paper) == 13]
    given = [paper for one in _answers(event) if isinstance(one, question.Evidence) for paper in _papers(one)]
    return (*papers, *getattr(event, "attachments", ()), *given)


def _answers(event: Event) -> Iterator[Any]:
    if answer := getattr(event, "answer", None):
        yield answer
    yield from (one.answer for one in getattr(event, "questions", ()) or () if one.answer is not None)


def _papers(evidence: question.Evidence) -> tuple[PaperId, ...]:
    return (evidence.statement, *evidence.attachments)


class _Wording(string.Formatter):
    """Fills a sentence in: `e` is the event, any other word one of `WORDS`; words of the domain in plain spelling."""

    def __init__(self, event: Event, say: Say) -> None:
        self._event = event
        self._say = say

    def get_value(self, key: int | str, args: Any, kwargs: Any) -> Any:
        return self._event if key == "e" else WORDS[str(key)](self._event, self._say)

    def format_field(self, value: Any, format_spec: str) -> str:
        return (
            _word(value, self._say) if isinstance(value, StrEnum) else str(super().format_field(value, format_spec))
        )


Told = Callable[[Event, Say], str]
"""A piece of a sentence."""


def _word(word: str, say: Say) -> str:
    """A word of the domain in plain spelling."""
    plain = str(getattr(word, "value", word)).replace("_", " ")
    return say(plain) if plain else ""


def _get(*names: str, otherwise: Any = None) -> Callable[[Event], Any]:
    """The first of these fields that an event has."""

    def find(event: Event) -> Any:
        return next((found for name in names if (found := getattr(event, name, None)) is not None), otherwise)

    return find


def _counted(one: str, many: str, *fields: str) -> Told:
    """So many of something."""
    find = _get(*fields, otherwise=())

    def count(event: Event, say: Say) -> str:
        found = find(event)
        return _so_many(len(found) if isinstance(found, Collection) else found, one, many, say)

    return count


def _so_many(count: int, one: str, many: str, say: Say) -> str:
    return say(one if count == 1 else many).format(count=count)


def _listed(names: Iterable[str], one: str, many: str, say: Say) -> str:
    """All of them by name, or how many."""
    known = list(dict.fromkeys(names))
    return say(", ").join(known) if known and len(known) <= MOST_NAMES else _so_many(len(known), one, many, say)


def _begun(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _enterprises(event: Event, say: Say) -> str:
    named = getattr(event, "enterprises", None)
    names = named or (one.enterprise for one in _items(event))
    return _listed(names, "{count} enterprise", "{count} enterprises", say)


def _items(event: Event) -> tuple[Any, ...]:
    return tuple(one for one in getattr(event, "items", ()) if not isinstance(one, str))


def _which(event: Event, say: Say) -> str:
    found = _get("apps", "choices", "claims", "parties", "items", otherwise=())(event)
    names = (str(getattr(one, "code", getattr(one, "app", one))) for one in found)
    return _listed(names, "{count} in all", "{count} in all", say)


def _asked(event: Event, say: Say) -> str:
    parties = [one.party for one in getattr(event, "questions", ()) or ()]
    return _listed(parties, "{count} party", "{count} parties", say)


def _heard(event: Event, say: Say) -> str:
    """How one round of asking went."""
    asked = getattr(event, "questions", ())
    ways = {
        say("answered at once: {parties}"): [one.party for one in asked if one.answer is not None],
        say("could not be reached: {parties}"): [one.party for one in asked if one.answer is None and one.failure],
        say("will answer later: {parties}"): [one.party for one in asked if one.answer is None and not one.failure],
    }
    said = [
        how.format(parties=_listed(parties, "{count} party", "{count} parties", say))
        for how, parties in ways.items()
        if parties
    ]
    return _begun(say("; ").join(said))


def _said(event: Event, say: Say) -> str:
    """What a party answered, without what only the citizen may see."""
    match getattr(event, "answer", None):
        case question.Counts(counts=counts):
            apps = _listed(counts, "{count} app", "{count} apps", say)
            return say("Said how many accounts there are: {apps}").format(apps=apps)
        case question.Detail(accounts=accounts):
            found = _so_many(sum(map(len, accounts.values())), "{count} account", "{count} accounts", say)
            apps = _listed(accounts, "{count} app", "{count} apps", say)
            return say("Gave the detail of {accounts}: {apps}").format(accounts=found, apps=apps)
        case question.OwnCheck():
            return say("Wanted to check the citizen's identity itself first")
        case question.Evidence():
            return say("Gave evidence")
        case question.Declined(reason=reason):
            return say("Declined: {reason}").format(reason=_word(reason, say))
    return say("Answered")


def _claim(event: Event, say: Say) -> str:
    to = getattr(event, "assignee", "")
    return say("Took the case on") if event.actor.code == to else say("Gave the case to {who}").format(who=to)


def _decision(event: Event, say: Say) -> str:
    what, about = getattr(event, "what", None), getattr(event, "about", "")
    return decided(what, about, say) if what else ""


def decided(what: DecisionKind, about: str, say: Say = in_english) -> str:
    """What takes two people, in words, as it stands in a sentence: `to refuse the citizen's wish (wechat)`."""
    return _with(say(DECISIONS[what]), _word(about, say), say)


def _with(what: str, about: str, say: Say) -> str:
    return say("{what} ({about})").format(what=what, about=about) if about else what


def _link(event: Event, say: Say) -> str:
    how = getattr(event, "how", None)
    return f"{say(LINKS[how])} {getattr(event, 'to', '')}" if how else ""


def _silent(event: Event, say: Say) -> str:
    silent = getattr(event, "silent", None)
    if not (isinstance(silent, tuple) and silent):
        return say("all")
    return say("without a reply yet: {apps}").format(apps=_listed(silent, "{count} app", "{count} apps", say))


def _reasons(event: Event, say: Say) -> str:
    claims = getattr(event, "claims", ())
    if len(claims) > MOST_NAMES:
        return _so_many(len(claims), "{count} app", "{count} apps", say)
    return say(", ").join(_with(one.app, _word(one.reason, say), say) for one in claims)


def _wishes(event: Event, say: Say) -> str:
    choices = getattr(event, "choices", None) or {}
    if not isinstance(choices, Mapping):
        return ""
    if len(choices) > MOST_NAMES:
        return _so_many(len(choices), "{count} app", "{count} apps", say)
    each = say("{app}: {wishes}")
    return say("; ").join(each.format(app=app, wishes=_tally(of_app, say)) for app, of_app in choices.items())


def _outcomes(event: Event, say: Say) -> str:
    """App by app where they are few, counted where they are many."""
    found = getattr(event, "outcomes", None) or {}
    if len(found) > MOST_NAMES:
        return _tally(found, say)
    return say(", ").join(f"{app} {_word(outcome, say)}" for app, outcome in found.items())


def _tally(outcomes: Mapping[str, Any], say: Say) -> str:
    counted: dict[str, int] = {}
    for outcome in outcomes.values():
        word = _word(outcome, say)
        counted[word] = counted.get(word, 0) + 1
    return say(", ").join(f"{word} {count}" for word, count in counted.items())


def _announced(event: Event, say: Say) -> str:
    told, failed = getattr(event, "told", ()), getattr(event, "failed", None) or {}
    said = _so_many(len(told), "{count} enterprise was told", "{count} enterprises were told", say)
    if not failed:
        return said
    again = _listed(failed, "{count} enterprise", "{count} enterprises", say)
    return say("{told}; tried again: {enterprises}").format(told=said, enterprises=again)


def _unreported(event: Event, say: Say) -> str:
    left = getattr(event, "unreported", 0)
    said = _so_many(left, ", {count} app unreported", ", {count} apps unreported", say) if left else ""
    return said + say(", by a supervisor's override") if getattr(event, "overridden", False) else said


def _optional(around: str, *names: str) -> Told:
    """A word or a time of the event with its connecting words; nothing where it has none."""
    find = _get(*names)

    def said(event: Event, say: Say) -> str:
        found = find(event)
        if not found:
            return ""
        value = _local(found) if isinstance(found, datetime) else _word(found, say)
        return say(around).format(value=value)

    return said


def _time(*names: str) -> Told:
    """A time of the event; nothing where it has none."""
    find = _get(*names)
    return lambda event, _say: _local(find(event))


def _when(event: Event, say: Say) -> str:
    return _local(getattr(getattr(event, "clock", event), "due_at", None) or getattr(event, "try_after", None))


def _local(moment: datetime | None) -> str:
    return f"{moment.astimezone(SHANGHAI):%Y-%m-%d %H:%M}" if moment else ""


def _conclusion(event: Event, say: Say) -> str:
    """What a case that followed from this one came to, in its own word."""
    if hasattr(event, "outcome"):
        return _word(event.outcome, say)
    return _optional(" with {value}", "conclusion")(event, say)


def _answers_what(event: Event, say: Say) -> str:
    return say("Amended its answer to") if getattr(event, "version", 1) > 1 else say("Answered")


def _are(event: Event, say: Say) -> str:
    return say("is") if len(getattr(event, "items", ())) == 1 else say("are")


def _message(event: Event, say: Say) -> str:
    message = getattr(event, "message", "")
    return say(SAID[message]) if message in SAID else _word(message, say)


def _parts(event: Event, say: Say) -> str:
    return _listed(getattr(event, "parts", None) or (), "{count} request", "{count} requests", say)


WORDS: Mapping[str, Told] = {
    "about": _optional(", about {value}", "about"),
    "again": _optional("; it is asked again {value}", "ask_again_at"),
    "again_at": _time("free_at"),
    "announced": _announced,
    "answers": _answers_what,
    "apps": _counted("{count} app", "{count} apps", "apps"),
    "are": _are,
    "asked": _asked,
    "because": _optional(", {value}", "reason"),
    "blocked": _optional("; the next try counts from {value}", "free_at"),
    "claim": _claim,
    "conclusion": _conclusion,
    "counted": _counted("{count} app", "{count} apps", "counts"),
    "decision": _decision,
    "delivery": lambda event, say: say(DELIVERY[getattr(event, "delivered", None)]),
    "enterprises": _enterprises,
    "evidence_due": _time("evidence_due_at"),
    "happened": _time("occurred_at"),
    "heard": _heard,
    "items": _counted("{count} work item", "{count} work items", "items"),
    "late": lambda event, say: say(", late") if getattr(event, "late", False) else "",
    "link": _link,
    "message": _message,
    "method": lambda event, say: say(METHODS[getattr(event, "method", None) or Method.CODE_AND_ID_TAIL]),
    "outcomes": _outcomes,
    "parts": _parts,
    "reasons": _reasons,
    "said": _said,
    "silent": _silent,
    "since": _time("activated_at"),
    "unreported": _unreported,
    "until": _optional(", until {value}", "due_at"),
    "when": _when,
    "which": _which,
    "whom": lambda event, say: _word(getattr(event, "who", ""), say),
    "wishes": _wishes,
}


# ── what is next ─────────────────────────────────────────────────────────────────────────────────────

Next = tuple[str, datetime | None]


def next_step(kind: CaseKind, state: Any, say: Say = in_english) -> Next:
    """What comes next and when at the latest, if anything does: first what waits for a second person."""
    sentence, at = STEPS.get(kind, _by_status)(kind, state, say)
    work: Work | None = getattr(state, "work", None)
    if work and sentence and work.proposal:
        first = say("Somebody else approves or rejects what {who} proposed. {then}")
        sentence = first.format(who=work.proposal.by, then=sentence)
    if work and sentence and work.paused_at:
        stands = say("The clock stands since {time} until it is resumed. {then}")
        return stands.format(time=_local(work.paused_at), then=sentence), None
    return sentence, at or (work.due_at if work and sentence else None)


def _by_status(kind: CaseKind, state: Any, say: Say) -> Next:
    sentence = NEXT.get(kind, {}).get(state.status.value)
    return say(sentence) if sentence else "", None


def _renewal(kind: CaseKind, state: Any, say: Say) -> Next:
    return _by_status(kind, state, say)[0], state.ask_again_at


def _identity(kind: CaseKind, state: identity.State, say: Say) -> Next:
    said = _by_status(kind, state, say)[0]
    if state.status is IdentityStatus.VERIFIED:
        return (said, identity.opens_until(state)) if state.spent_by is None else ("", None)
    return said, state.expires_at


def _query(kind: CaseKind, state: query.State, say: Say) -> Next:
    if state.status is QueryStatus.REPORTED:
        return _by_status(kind, state, say)
    return _by_status(kind, state, say)[0], query.next_step(state).at


def _dispute(kind: CaseKind, state: dispute.State, say: Say) -> Next:
    """Claims that wait for the same, together."""
    if dispute.standing(state).waiting is Waiting.NOBODY:
        return "", None
    waiting: dict[str, list[str]] = {}
    for claim in state.claims.values():
        if claim.state in CLAIM_NEXT:
            waiting.setdefault(CLAIM_NEXT[claim.state], []).append(claim.app)
    said = [
        _with(say(sentence), _listed(apps, "{count} app", "{count} apps", say), say)
        for sentence, apps in waiting.items()
    ]
    times = [at for claim in state.claims.values() if (at := dispute.next_at(state, claim))]
    return _begun(say("{sentence}.").format(sentence=say("; ").join(said))), min(times, default=None)


def _number(kind: CaseKind, state: number.State, say: Say) -> Next:
    """Before the batch, its time; after it, the end of the freeze; then whatever the carrier says."""
    life, said = state.life, _by_status(kind, state, say)[0]
    if state.alarmed_at is not None:
        return say("A case worker looks at it, and says so in a note. {then}").format(then=said), None
    if life.released_at is not None and life.gone:
        return say("It was released: the carrier reports its re-issue."), None
    if life.gone and life.batch_at is None:
        return said, number.batch_due(life, state.policy)
    if life.gone and state.status is not NumberStatus.BATCH_RENEWED:
        return (
            say("The enterprises answer; once all have, and its freeze is over, it may be released."),
            number.freeze_ends(state),
        )
    return said, number.freeze_ends(state) if life.gone else None


def _investigation(kind: CaseKind, state: investigation.State, say: Say) -> Next:
    """Evidence first, as long as some is waited for."""
    said = _by_status(kind, state, say)[0]
    if state.status is not InvestigationStatus.OPEN:
        return said, None
    if any(task.state is TaskState.ASKED for task in state.tasks.values()):
        return said, state.evidence_due_at
    return say("One person proposes a result, another approves it."), None


STEPS: Mapping[CaseKind, Callable[[CaseKind, Any, Say], Next]] = {
    CaseKind.RENEWAL: _renewal,
    CaseKind.IDENTITY: _identity,
    CaseKind.QUERY: _query,
    CaseKind.DISPUTE: _dispute,
    CaseKind.NUMBER: _number,
    CaseKind.INVESTIGATION: _investigation,
}
"""Where more is known than the status says."""
