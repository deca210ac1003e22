"""The domain's words as people at the desk read them: tables, one for each kind of word.

A template shows one by `_(labels.KINDS[kind])`. A test looks that no word of the domain is left without its label.
"""

from __future__ import annotations

from collections.abc import Mapping

from domain import complaint, dispute, identity, investigation, number, query, question, renewal, unbind
from domain.access import Role
from domain.case import ActorKind, CaseKind, LinkKind
from domain.casework import DecisionKind, Waiting
from gateway.pages.words import N_
from store.queues import Queue, Sort

KINDS: Mapping[CaseKind, str] = {
    CaseKind.RENEWAL: N_("Renewal"),
    CaseKind.UNBIND: N_("Unbind request"),
    CaseKind.IDENTITY: N_("Identity check"),
    CaseKind.QUERY: N_("Query"),
    CaseKind.DISPUTE: N_("Dispute"),
    CaseKind.NUMBER: N_("Number"),
    CaseKind.INVESTIGATION: N_("Investigation"),
    CaseKind.COMPLAINT: N_("Complaint"),
}

WAITING: Mapping[Waiting, str] = {
    Waiting.CASE_WORKER: N_("Case worker"),
    Waiting.CITIZEN: N_("Citizen"),
    Waiting.PARTY: N_("Enterprise"),
    Waiting.CARRIER: N_("Carrier"),
    Waiting.NOBODY: N_("Nobody"),
}
"""Whose turn it is."""

QUEUES: Mapping[Queue, str] = {
    Queue.UNASSIGNED: N_("Nobody has it"),
    Queue.MINE: N_("Mine"),
    Queue.DUE_SOON: N_("Due soon"),
    Queue.OVERDUE: N_("Overdue"),
    Queue.WAITING_FOR_CITIZEN: N_("Waiting for the citizen"),
    Queue.WAITING_FOR_PARTY: N_("Waiting for enterprises"),
    Queue.ESCALATED: N_("Escalated"),
    Queue.PAUSED: N_("Paused"),
    Queue.OPEN: N_("All open"),
    Queue.ALL: N_("All, closed too"),
}

SORTS: Mapping[Sort, str] = {
    Sort.DUE: N_("Due first"),
    Sort.DUE_LAST: N_("Due last"),
    Sort.OPENED: N_("Oldest first"),
    Sort.NEWEST: N_("Newest first"),
}

STATUS: Mapping[CaseKind, Mapping[str, str]] = {
    CaseKind.RENEWAL: {
        renewal.RenewalStatus.SUBMITTED: N_("Handed in"),
        renewal.RenewalStatus.WAITING_FOR_DATA: N_("Waiting for the carrier"),
        renewal.RenewalStatus.RUNNING: N_("Enterprises at work"),
        renewal.RenewalStatus.SUMMARY_SENT: N_("Holder was told"),
        renewal.RenewalStatus.CLOSED: N_("Closed"),
        renewal.RenewalStatus.REFUSED: N_("Refused"),
        renewal.RenewalStatus.WITHDRAWN: N_("Withdrawn"),
    },
    CaseKind.UNBIND: {
        unbind.UnbindStatus.OPEN: N_("Open"),
        unbind.UnbindStatus.CLOSED: N_("Closed"),
    },
    CaseKind.IDENTITY: {
        identity.IdentityStatus.OPENED: N_("Begun"),
        identity.IdentityStatus.CODE_SENT: N_("Code sent"),
        identity.IdentityStatus.CONFIRMING: N_("Carriers are asked"),
        identity.IdentityStatus.VERIFIED: N_("Verified"),
        identity.IdentityStatus.EXPIRED: N_("Expired"),
        identity.IdentityStatus.LOCKED: N_("Locked"),
        identity.IdentityStatus.NOT_ATTESTED: N_("Not attested"),
        identity.IdentityStatus.MISMATCH: N_("Does not match"),
        identity.IdentityStatus.COOLING_DOWN: N_("Too soon"),
        identity.IdentityStatus.CANCELLED_NUMBER: N_("Number is cancelled"),
        identity.IdentityStatus.UNCONFIRMED: N_("No carrier answered"),
    },
    CaseKind.QUERY: {
        query.QueryStatus.ASKING: N_("Apps are asked"),
        query.QueryStatus.REPORTED: N_("Result fixed"),
        query.QueryStatus.RESULT_SENT: N_("Result sent"),
        query.QueryStatus.UNDELIVERED: N_("Citizen not reached"),
        query.QueryStatus.CLOSED: N_("Closed"),
    },
    CaseKind.DISPUTE: {
        dispute.DisputeStatus.OPEN: N_("Open"),
        dispute.DisputeStatus.CLOSED: N_("Closed"),
        dispute.DisputeStatus.WITHDRAWN: N_("Withdrawn"),
    },
    CaseKind.NUMBER: {
        number.NumberStatus.ACTIVE: N_("In use"),
        number.NumberStatus.SUSPENDED: N_("Suspended"),
        number.NumberStatus.CANCELLED: N_("Number cancelled"),
        number.NumberStatus.FROZEN: N_("Frozen"),
        number.NumberStatus.BATCH_RENEWED: N_("Unbound before re-issue"),
        number.NumberStatus.REISSUED: N_("Re-issued"),
    },
    CaseKind.INVESTIGATION: {
        investigation.InvestigationStatus.OPEN: N_("Open"),
        investigation.InvestigationStatus.OVERDUE: N_("Overdue"),
        investigation.InvestigationStatus.DECIDED: N_("Decided"),
        investigation.InvestigationStatus.CLOSED: N_("Closed"),
    },
    CaseKind.COMPLAINT: {
        complaint.ComplaintStatus.TAKEN: N_("Taken"),
        complaint.ComplaintStatus.IN_DISPUTE: N_("Goes on as a dispute"),
        complaint.ComplaintStatus.IN_INVESTIGATION: N_("Is investigated"),
        complaint.ComplaintStatus.CLOSED: N_("Closed"),
    },
}
"""Where a case stands."""

ITEM_STATES: Mapping[unbind.ItemState, str] = {
    unbind.ItemState.QUEUED: N_("Not sent yet"),
    unbind.ItemState.DELIVERED: N_("Enterprise has it"),
    unbind.ItemState.ACKNOWLEDGED: N_("Enterprise is at work on it"),
    unbind.ItemState.OVERDUE: N_("Overdue"),
    unbind.ItemState.UNBOUND: N_("Unbound"),
    unbind.ItemState.CANCELLED: N_("Account cancelled"),
    unbind.ItemState.NOT_FOUND: N_("Nothing was bound"),
    unbind.ItemState.KEPT: N_("Kept"),
    unbind.ItemState.EXEMPT: N_("Exempt"),
    unbind.ItemState.REJECTED: N_("Refused"),
    unbind.ItemState.WITHDRAWN: N_("Withdrawn"),
}
"""Where a work item stands."""

OUTCOMES: Mapping[unbind.Outcome, str] = {
    unbind.Outcome.UNBOUND: N_("Unbound"),
    unbind.Outcome.CANCELLED: N_("Account cancelled"),
    unbind.Outcome.NOT_FOUND: N_("Nothing was bound"),
    unbind.Outcome.KEPT: N_("Kept"),
    unbind.Outcome.EXEMPT: N_("Exempt"),
    unbind.Outcome.REJECTED: N_("Refused"),
}
"""What an enterprise may answer to a work item."""

REASONS: Mapping[unbind.Reason, str] = {
    unbind.Reason.NO_BINDING: N_("The number is not bound"),
    unbind.Reason.BOUND_AFTER_BOUNDARY: N_("Bound after the holder's contract began"),
    unbind.Reason.HOLDER_CONFIRMED: N_("The holder confirmed the account as theirs"),
    unbind.Reason.LEGAL_HOLD: N_("Held by law"),
    unbind.Reason.UNDER_INVESTIGATION: N_("Under investigation"),
    unbind.Reason.FUNDS_REMAIN: N_("Money is left in the account"),
    unbind.Reason.TOKEN_UNKNOWN: N_("The number could not be matched"),
    unbind.Reason.OUT_OF_SCOPE: N_("Outside what the app does"),
    unbind.Reason.DATA_INCOMPLETE: N_("Data are incomplete"),
}
"""Why an enterprise answered as it did."""

GROUNDS: Mapping[dispute.Ground, str] = {
    dispute.Ground.LEGAL_HOLD: N_("Held by law"),
    dispute.Ground.UNDER_INVESTIGATION: N_("Under investigation"),
    dispute.Ground.FUNDS_REMAIN: N_("Money is left in the account"),
    dispute.Ground.TOKEN_UNKNOWN: N_("The number could not be matched"),
    dispute.Ground.OUT_OF_SCOPE: N_("Outside what the app does"),
    dispute.Ground.DATA_INCOMPLETE: N_("Data are incomplete"),
    dispute.Ground.IDENTITY_NOT_ACCEPTED: N_("The identity check is not accepted"),
    dispute.Ground.NO_ACCOUNT: N_("There is no such account"),
}
"""Why a party said no to a claim."""

DECLINES: Mapping[question.DeclineReason, str] = {
    question.DeclineReason.IDENTITY_NOT_ACCEPTED: N_("The identity check is not accepted"),
    question.DeclineReason.NO_ACCOUNT: N_("There is no such account"),
    question.DeclineReason.LEGAL_HOLD: N_("Held by law"),
    question.DeclineReason.UNDER_INVESTIGATION: N_("Under investigation"),
    question.DeclineReason.OUT_OF_SCOPE: N_("Outside what the app does"),
}
"""Why a party gives no detail or evidence."""

CLAIM_REASONS: Mapping[dispute.ClaimReason, str] = {
    dispute.ClaimReason.NOT_MINE: N_("Not mine"),
    dispute.ClaimReason.MINE_NOT_WANTED: N_("Mine, but not wanted"),
    dispute.ClaimReason.ASKED_BEFORE: N_("Asked the enterprise before, in vain"),
    dispute.ClaimReason.WRONG_DATA: N_("The data are wrong"),
    dispute.ClaimReason.OTHER: N_("Another reason"),
}
"""Why a citizen disputes."""

CLAIM_STATES: Mapping[dispute.ClaimState, str] = {
    dispute.ClaimState.ASKING_DETAIL: N_("Enterprise is asked for the accounts"),
    dispute.ClaimState.OWN_CHECK: N_("Enterprise checks the citizen's identity"),
    dispute.ClaimState.CHOOSING: N_("Citizen chooses"),
    dispute.ClaimState.UNBINDING: N_("Enterprise is at work on it"),
    dispute.ClaimState.DONE: N_("Done"),
    dispute.ClaimState.REFUSED: N_("Refused"),
    dispute.ClaimState.OVERDUE: N_("Overdue"),
    dispute.ClaimState.HOTLINE: N_("Pointed to the hotline"),
    dispute.ClaimState.WITH_CASE_WORKER: N_("With a case worker"),
    dispute.ClaimState.INVESTIGATING: N_("Is investigated"),
    dispute.ClaimState.SETTLED: N_("Settled"),
    dispute.ClaimState.LAPSED: N_("Lapsed"),
    dispute.ClaimState.WITHDRAWN: N_("Withdrawn"),
}
"""Where one claim of a dispute stands."""

ROLES: Mapping[Role, str] = {
    Role.CITIZEN: N_("Citizen"),
    Role.CHANNEL: N_("Channel"),
    Role.CARRIER: N_("Carrier"),
    Role.ENTERPRISE: N_("Enterprise"),
    Role.CASE_WORKER: N_("Case worker"),
    Role.SUPERVISOR: N_("Supervisor"),
    Role.AUDITOR: N_("Auditor"),
    Role.ADMINISTRATOR: N_("Administrator"),
}

ACTORS: Mapping[ActorKind, str] = {
    ActorKind.HOLDER: N_("Holder"),
    ActorKind.CITIZEN: N_("Citizen"),
    ActorKind.CARRIER: N_("Carrier"),
    ActorKind.ENTERPRISE: N_("Enterprise"),
    ActorKind.CHANNEL: N_("Channel"),
    ActorKind.CASE_WORKER: N_("Case worker"),
    ActorKind.SUPERVISOR: N_("Supervisor"),
    ActorKind.SYSTEM: N_("System"),
}
"""Who did something."""

ACTIONS: Mapping[str, str] = {
    "claim": N_("Take it on"),
    "release": N_("Give it back"),
    "assign": N_("Assign it"),
    "note": N_("Write a note"),
    "pause": N_("Stop the clock"),
    "resume": N_("Let the clock go on"),
    "extend": N_("Move the deadline"),
    "escalate": N_("Escalate to a supervisor"),
    "merge": N_("Merge into another case"),
    "reopen": N_("Reopen"),
    "propose": N_("Propose a decision"),
    "approve": N_("Approve"),
    "reject": N_("Reject"),
    "settle": N_("Settle a claim"),
    "route": N_("Send it another way"),
    "override": N_("Let the number be released"),
    "investigate": N_("Open an investigation"),
    "pause-item": N_("Stop the clock of a work item"),
    "resume-item": N_("Let the clock of a work item go on"),
}
"""What can be done with a case, by the word of the API; or by the door's own name, where it has a door of its own."""

QUESTION_KINDS: Mapping[question.QuestionKind, str] = {
    question.QuestionKind.COUNTS: N_("How many accounts"),
    question.QuestionKind.DETAIL: N_("Which accounts"),
    question.QuestionKind.EVIDENCE: N_("Evidence"),
}
"""What a party is asked."""

TASK_STATES: Mapping[investigation.TaskState, str] = {
    investigation.TaskState.ASKED: N_("Is asked"),
    investigation.TaskState.ANSWERED: N_("Gave evidence"),
    investigation.TaskState.DECLINED: N_("Declined"),
    investigation.TaskState.OVERDUE: N_("Overdue"),
}
"""Where one party's part of an investigation stands."""

RESULTS: Mapping[investigation.Result, str] = {
    investigation.Result.CITIZEN_RIGHT: N_("The citizen is right"),
    investigation.Result.ENTERPRISE_RIGHT: N_("The enterprise is right"),
    investigation.Result.INCONCLUSIVE: N_("It cannot be told"),
}
"""What an investigation finds."""

SETTLEMENTS: Mapping[dispute.Settlement, str] = {
    dispute.Settlement.SOLVED: N_("The enterprise did it after all"),
    dispute.Settlement.EXPLAINED: N_("The citizen knows why not, and leaves it at that"),
    dispute.Settlement.IN_FAVOUR: N_("Two people: the citizen is right"),
    dispute.Settlement.REFUSED: N_("Two people: refused"),
    dispute.Settlement.INVESTIGATED: N_("By the result of an investigation"),
}
"""How a claim ended that a case worker had."""

WAYS: Mapping[complaint.Way, str] = {
    complaint.Way.DISPUTE: N_("Dispute"),
    complaint.Way.INVESTIGATION: N_("Investigation"),
}
"""Where a complaint goes."""

DECISIONS: Mapping[DecisionKind, str] = {
    DecisionKind.REFUSE: N_("Refuse the citizen's wish"),
    DecisionKind.OVERRIDE: N_("Set the enterprise's answer aside"),
    DecisionKind.CONCLUDE: N_("State the result"),
}
"""What takes two people."""

LINKS: Mapping[LinkKind, str] = {
    LinkKind.OPENED_FROM: N_("Opened from"),
    LinkKind.LED_TO: N_("Led to"),
    LinkKind.MERGED_INTO: N_("Went on in"),
    LinkKind.MERGED_FROM: N_("Took in"),
}
"""How two cases belong together."""

PROBLEMS: Mapping[str, str] = {
    "http_400": "Something is wrong with the request. Go back and try again.",
    "http_404": "Check the address, or begin at the start page.",
    "http_405": "This page cannot be opened like that. Go back, or begin at the start page.",
    "changed_meanwhile": "The case has changed since you opened this page. Look at what it says now, then send it again; "
    "what you typed is still there.",
    "csrf": "This did not come from a page of this site, or the page was too old. Open it again and send it once more.",
    "engine_busy": "The system does not answer at the moment. Send it once more in a while; nothing is done twice.",
    "not_allowed": "Your account may not do this. If you need it, ask a supervisor or an administrator.",
    "not_signed_in": "You are not signed in. Please sign in first.",
    "number_in_url": "A full number has no place in an address. Use its masked form (138****8000).",
    "too_many_requests": "That was too often. Wait a moment, then try again.",
    "took_too_long": "The answer took too long; it may have been done or not. Look at how things stand, then send it again.",
    "unknown_app": "No such app is registered. Choose one from the list.",
    "unknown_question": "There is no such question to you. Look at your open questions.",
    "unknown_work_item": "There is no such work item. Look at the list of open work items.",
}
"""What a problem says on a page, in English, where its own words are for programs. The Chinese of every problem is in
the catalogue, as `problem:` and its code."""
