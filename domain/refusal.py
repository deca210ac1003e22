"""Refusals: what a person or a partner is told when something cannot be done.

A refusal is a value, not an exception: a stable code, one sentence, and what to do about it
(PIPL art. 50: refusals state the reason; domain.md, privacy row).
"""

from __future__ import annotations

from enum import StrEnum

from domain.case import Model


class RefusalCode(StrEnum):
    """Stable codes; the HTTP status of each is in `gateway/problems.py`."""

    MALFORMED = "malformed"
    UNKNOWN_APP = "unknown_app"
    NO_APPS = "no_apps"
    TOO_MANY_APPS = "too_many_apps"
    ACTIVATION_IN_FUTURE = "activation_in_future"
    IDENTITY_NOT_PROVEN = "identity_not_proven"
    CARRIER_TAKES_NO_PART = "carrier_takes_no_part"
    RENEWAL_RUNNING = "renewal_running"
    KEY_REUSED = "idempotency_key_reused"
    UNKNOWN_CASE = "unknown_case"
    UNKNOWN_WORK_ITEM = "unknown_work_item"
    CASE_CLOSED = "case_closed"
    WITHDRAWN = "withdrawn"
    TOO_LATE_TO_WITHDRAW = "too_late_to_withdraw"
    REASON_REQUIRED = "reason_required"
    REASON_DOES_NOT_FIT = "reason_does_not_fit"
    ALREADY_ANSWERED = "already_answered"
    WRONG_VERSION = "wrong_version"
    OLDER_THAN_BOUNDARY = "older_than_boundary"
    NEWER_THAN_BOUNDARY = "newer_than_boundary"
    EXTENSION_NOT_ALLOWED = "extension_not_allowed"
    UNKNOWN_QUESTION = "unknown_question"
    ANSWER_DOES_NOT_FIT = "answer_does_not_fit"
    # identity checks
    WAIT_BEFORE_SENDING = "wait_before_sending"
    TOO_MANY_CODES = "too_many_codes"
    WRONG_CODE = "wrong_code"
    CODE_EXPIRED = "code_expired"
    CODE_USED = "code_used"
    LOCKED = "locked"
    NOT_VERIFIED = "not_verified"
    PROOF_USED = "proof_used"
    PROOF_EXPIRED = "proof_expired"
    WRONG_PURPOSE = "wrong_purpose"
    COOLING_DOWN = "cooling_down"
    CANCELLED_NUMBER = "cancelled_number"
    MISMATCH = "mismatch"
    UNCONFIRMED = "unconfirmed"
    # queries, disputes, complaints
    QUERY_RUNNING = "query_running"
    ONE_RESULT_A_DAY = "one_result_a_day"
    NOTHING_TO_DISPUTE = "nothing_to_dispute"
    DETAIL_MISSING = "detail_missing"
    UNKNOWN_ACCOUNT = "unknown_account"
    FORMER_HOLDERS = "former_holders"
    NOT_YOUR_TURN = "not_your_turn"
    NOT_ASKED_TO_CANCEL = "not_asked_to_cancel"
    # case work
    NOT_ALLOWED = "not_allowed"
    CLAIMED_BY_ANOTHER = "claimed_by_another"
    NOT_CLAIMED = "not_claimed"
    PAUSED = "paused"
    NOT_PAUSED = "not_paused"
    CLOCK_NOT_RUNNING = "clock_not_running"
    CANNOT_MERGE = "cannot_merge"
    NOT_CLOSED = "not_closed"
    TOO_LATE_TO_REOPEN = "too_late_to_reopen"
    NOTHING_PROPOSED = "nothing_proposed"
    DECISION_PENDING = "decision_pending"
    SAME_PERSON = "same_person"
    CHANGED_MEANWHILE = "changed_meanwhile"
    # numbers
    FREEZE_NOT_OVER = "freeze_not_over"
    ITEMS_UNREPORTED = "items_unreported"
    NOT_FROZEN = "not_frozen"
    UNKNOWN_NUMBER = "unknown_number"


class Refusal(Model):
    """Why not, on which field, and what to do next."""

    code: RefusalCode
    sentence: str
    remedy: str
    field: str = ""

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        return f"{where}{self.sentence} {self.remedy}"


def changed_meanwhile() -> Refusal:
    """Somebody acts on a case as they saw it, and it is not so any more."""
    return Refusal(
        code=RefusalCode.CHANGED_MEANWHILE,
        field="If-Match",
        sentence="The case has changed since you read it.",
        remedy="Read it again, and act on what it says now.",
    )
