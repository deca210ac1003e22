"""The domain's words as they are typed.

They stand here a second time because the domain takes most of a second to import, which every command would pay;
`tests/cli/test_words.py` holds them against the domain's own.
"""

from __future__ import annotations

from enum import StrEnum

CASE_ID = r"[RKQDNXC][0-9A-HJKMNP-TV-Z]{12}(-unbind-[0-9]{1,3})?"
ITEM_ID = r"W[0-9A-HJKMNP-TV-Z]{20}"


class Purpose(StrEnum):
    """What an identity check is for."""

    QUERY = "query"
    DISPUTE = "dispute"
    COMPLAINT = "complaint"
    RENEWAL = "renewal"
    FOLLOW = "follow"


class Language(StrEnum):
    """What short messages are written in."""

    ZH = "zh"
    EN = "en"


class Target(StrEnum):
    """What a query counts."""

    ACCOUNTS = "accounts"
    CARDS = "cards"


class ClaimReason(StrEnum):
    """Why a citizen disputes."""

    NOT_MINE = "not_mine"
    MINE_NOT_WANTED = "mine_not_wanted"
    ASKED_BEFORE = "asked_before"
    WRONG_DATA = "wrong_data"
    OTHER = "other"


class Wish(StrEnum):
    """What is to become of an account."""

    UNBIND = "unbind"
    CANCEL = "cancel"
    KEEP = "keep"


class ComplaintKind(StrEnum):
    """What people complain of."""

    WRONG_ACCOUNT = "wrong_account"
    STILL_BOUND = "still_bound"
    NOT_DONE = "not_done"


class Way(StrEnum):
    """Where a complaint goes."""

    DISPUTE = "dispute"
    INVESTIGATION = "investigation"


class Fact(StrEnum):
    """What a carrier may report of a number."""

    ACTIVATION = "activation"
    SUSPENSION = "suspension"
    RESUMPTION = "resumption"
    TRANSFER = "transfer"
    CANCELLATION = "cancellation"
    FREEZE = "freeze"
    REISSUE = "reissue"


class CaseKind(StrEnum):
    """The kinds of cases there are."""

    RENEWAL = "renewal"
    UNBIND = "unbind"
    IDENTITY = "identity_check"
    QUERY = "query"
    DISPUTE = "dispute"
    NUMBER = "number"
    INVESTIGATION = "investigation"
    COMPLAINT = "complaint"


class Queue(StrEnum):
    """Which cases a case worker looks at."""

    UNASSIGNED = "unassigned"
    MINE = "mine"
    DUE_SOON = "due_soon"
    OVERDUE = "overdue"
    WAITING_FOR_CITIZEN = "waiting_for_citizen"
    WAITING_FOR_PARTY = "waiting_for_party"
    ESCALATED = "escalated"
    PAUSED = "paused"
    OPEN = "open"
    ALL = "all"


class Sort(StrEnum):
    """What stands on top of a list of cases."""

    DUE = "due"
    DUE_LAST = "-due"
    OPENED = "opened"
    NEWEST = "-opened"


class Waiting(StrEnum):
    """Whose turn it is."""

    CASE_WORKER = "case_worker"
    CITIZEN = "citizen"
    PARTY = "party"
    CARRIER = "carrier"
    NOBODY = "nobody"


class Decision(StrEnum):
    """What takes two people."""

    REFUSE = "refuse"
    OVERRIDE = "override"
    CONCLUDE = "conclude"


class Result(StrEnum):
    """What an investigation finds."""

    CITIZEN_RIGHT = "citizen_right"
    ENTERPRISE_RIGHT = "enterprise_right"
    INCONCLUSIVE = "inconclusive"


class Settlement(StrEnum):
    """How one case worker may end a claim."""

    SOLVED = "solved"
    EXPLAINED = "explained"


class Bulk(StrEnum):
    """What can be done with many cases at once."""

    CLAIM = "claim"
    RELEASE = "release"
    ASSIGN = "assign"
    NOTE = "note"
    PAUSE = "pause"
    RESUME = "resume"
    EXTEND = "extend"
    ESCALATE = "escalate"
    REOPEN = "reopen"
    APPROVE = "approve"
    REJECT = "reject"
