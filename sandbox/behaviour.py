"""How the sandbox's enterprises behave: one line per kind, so that a test can say beforehand how every item ends.

An enterprise's code names its kind (`slow-03` is slow). Whatever varies between work items is decided by a digest
of the item's id: nothing is random, and `expected_state` is exact.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from domain.unbind import ItemState, Outcome, Reason


class Manner(StrEnum):
    """How an enterprise goes about answering."""

    PLAIN = "plain"
    BULK = "bulk"
    DOUBLING = "doubling"
    REPLAYING = "replaying"
    AMENDING = "amending"
    FORGING = "forging"
    MEDDLING = "meddling"


class Fault(StrEnum):
    """What is wrong with an endpoint at first."""

    UNAVAILABLE = "unavailable"
    WEB_PAGE = "web_page"
    HANGING = "hanging"


class Since(StrEnum):
    """What an answer's delay counts from."""

    RECEIVED = "received"
    DUE = "due"


@dataclass(frozen=True)
class Span:
    """Seconds from `least` to `most`; where between them is the work item's digest's choice."""

    least: float
    most: float

    def of(self, item: str) -> float:
        """This work item's delay."""
        return self.least + (self.most - self.least) * share(item, "delay")


@dataclass(frozen=True)
class Reply:
    """An answer; `bound` is when the account was bound, counted from the number's activation."""

    outcome: Outcome
    reason: Reason | None = None
    bound: timedelta | None = None

    @property
    def state(self) -> ItemState:
        """The state it brings a work item to."""
        return ItemState(self.outcome.value)


@dataclass(frozen=True)
class Trouble:
    """An endpoint's fault and when it is over: `seconds` after the first request, or `requests` requests later."""

    fault: Fault
    seconds: float = 0.0
    requests: int = 0


SECOND = timedelta(seconds=1)
UNBOUND = Reply(Outcome.UNBOUND, bound=-SECOND)
CANCELLED = Reply(Outcome.CANCELLED, bound=-SECOND)
NOT_FOUND = Reply(Outcome.NOT_FOUND, Reason.NO_BINDING)
KEPT = Reply(Outcome.KEPT, Reason.BOUND_AFTER_BOUNDARY, bound=SECOND)
TOKEN_UNKNOWN = Reply(Outcome.REJECTED, Reason.TOKEN_UNKNOWN)
MEDDLERS = Reply(Outcome.KEPT, Reason.HOLDER_CONFIRMED)
"""What a meddler answers for others. Nobody answers so of their own, so it shows if one is ever taken."""

MIXED: Mapping[Reply, float] = {UNBOUND: 0.70, NOT_FOUND: 0.12, KEPT: 0.10, CANCELLED: 0.08}


@dataclass(frozen=True)
class Behaviour:
    """One kind of enterprise. Delays are seconds; no replies means that no proper answer ever comes."""

    manner: Manner = Manner.PLAIN
    acknowledges_after: float = 0.2
    answers_after: Span = Span(0.5, 4.0)
    since: Since = Since.RECEIVED
    replies: Mapping[Reply, float] | Reply | None = None
    amendment: Reply | None = None
    amends_after: float = 3.0
    extends_by: str = ""
    trouble: Trouble | None = None

    @property
    def expected(self) -> frozenset[ItemState]:
        """The states a work item may end in."""
        match self.amendment or self.replies:
            case None:
                return frozenset({ItemState.OVERDUE})
            case Reply() as only:
                return frozenset({only.state})
            case mix:
                return frozenset(reply.state for reply in mix)

    def reply(self, item: str) -> Reply | None:
        """The first answer to this work item."""
        if not isinstance(self.replies, Mapping):
            return self.replies
        left = share(item, "reply")
        for reply, part in self.replies.items():
            left -= part
            if left < 0:
                return reply
        return next(iter(self.replies))

    def state(self, item: str) -> ItemState:
        """The state this work item ends in."""
        last = self.amendment or self.reply(item)
        return last.state if last else ItemState.OVERDUE


BEHAVIOURS: Mapping[str, Behaviour] = {
    "steady": Behaviour(replies=MIXED),
    "bulk": Behaviour(Manner.BULK, answers_after=Span(2, 2), replies=MIXED),
    "slow": Behaviour(answers_after=Span(15, 20), replies=MIXED),
    "silent": Behaviour(),
    "late": Behaviour(answers_after=Span(8, 8), since=Since.DUE, replies=UNBOUND),
    "extending": Behaviour(answers_after=Span(3, 3), since=Since.DUE, extends_by="PT10S", replies=UNBOUND),
    "refusing": Behaviour(replies=Reply(Outcome.REJECTED, Reason.OUT_OF_SCOPE)),
    "exempt": Behaviour(replies=Reply(Outcome.EXEMPT, Reason.LEGAL_HOLD)),
    "amending": Behaviour(Manner.AMENDING, replies=NOT_FOUND, amendment=UNBOUND),
    "doubling": Behaviour(Manner.DOUBLING, replies=MIXED),
    "replaying": Behaviour(Manner.REPLAYING, replies=MIXED),
    "forging": Behaviour(Manner.FORGING),
    "meddling": Behaviour(Manner.MEDDLING, replies=MIXED),
    "down": Behaviour(replies=MIXED, trouble=Trouble(Fault.UNAVAILABLE, seconds=8)),
    "html": Behaviour(replies=MIXED, trouble=Trouble(Fault.WEB_PAGE, seconds=5)),
    "hanging": Behaviour(replies=MIXED, trouble=Trouble(Fault.HANGING, requests=2)),
    "mail": Behaviour(answers_after=Span(2, 5), replies=MIXED),
}
"""By kind. `extending` answers after its first deadline, within the extension; the others' clocks fit the registry's."""

REAL: Mapping[str, str] = {
    "tencent": "bulk",
    "alibaba": "bulk",
    "alipay": "steady",
    "baidu": "steady",
    "kuaishou": "steady",
    "douyin": "steady",
    "jd": "steady",
    "meituan": "steady",
}
"""Enterprises with a name of their own, and the kind they behave as."""


def behaviour_of(enterprise: str, overrides: Mapping[str, Behaviour] = {}) -> Behaviour:
    """An enterprise's behaviour; one whose code names no kind is steady."""
    kind = REAL.get(enterprise) or enterprise.rpartition("-")[0]
    return overrides.get(enterprise) or BEHAVIOURS.get(kind) or BEHAVIOURS["steady"]


def expected_state(
    enterprise: str,
    item: str,
    overrides: Mapping[str, Behaviour] = {},
) -> ItemState:
    """The state a work item of this enterprise ends in, if nobody withdraws it and its case stays open long enough."""
    return behaviour_of(enterprise, overrides).state(item)


def share(text: str, purpose: str) -> float:
    """A number from 0 to 1 that depends on nothing but the text and what it is for."""
    return int.from_bytes(hashlib.sha256(f"{purpose}/{text}".encode()).digest()[:4]) / 2**32
