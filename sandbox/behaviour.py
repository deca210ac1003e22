"""How the sandbox's enterprises behave: one line per kind, so that a test can say beforehand how every item ends.

An enterprise's code names its kind (`slow-03` is slow). Whatever varies between work items is decided by a digest
of the item's id, and what an enterprise knows of a number by a digest of its token of the number: nothing is random,
and `expected_state`, `expected_count` and `expected_query` are exact. Carriers, as owners of phone cards, are steady.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from domain.question import DeclineReason
from domain.registry import cards_of
from domain.sla import SHANGHAI
from domain.unbind import ItemState, Outcome, Reason

T = TypeVar("T")


class Manner(StrEnum):
    """How an enterprise goes about answering."""

    PLAIN = "plain"
    BULK = "bulk"
    DOUBLING = "doubling"
    REPLAYING = "replaying"
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
    """Seconds from `least` to `most`; where between them is the choice of a work item's or a question's digest."""

    least: float
    most: float

    def of(self, id_: str) -> float:
        """The delay of what has this id."""
        return self.least + (self.most - self.least) * share(id_, "delay")


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
class Telling:
    """How questions are answered: in the reply to the message, or so many seconds `after` through the gateway's door.

    Who is not pushed to always uses the door. `declines` is why detail is never given; counts and evidence are.
    """

    after: Span | None = None
    since: Since = Since.RECEIVED
    declines: DeclineReason | None = None


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
    """One kind of enterprise. Delays are seconds; no replies means that no proper answer to a work item ever comes,
    no telling that none to a question does."""

    manner: Manner = Manner.PLAIN
    acknowledges_after: float = 0.2
    answers_after: Span = Span(0.5, 4.0)
    since: Since = Since.RECEIVED
    replies: Mapping[Reply, float] | Reply | None = None
    amendment: Reply | None = None
    amends_after: float = 3.0
    extends_by: str = ""
    telling: Telling | None = Telling()
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
        return _drawn(self.replies, share(item, "reply"))

    def state(self, item: str, cancels: bool | None = None) -> ItemState:
        """The state this work item ends in; `cancels` as in `chosen`."""
        last = self.amendment or self.reply(item)
        return chosen(last, cancels).state if last else ItemState.OVERDUE


def chosen(reply: Reply, cancels: bool | None) -> Reply:
    """What is done where the citizen chose per account: `cancels` says whether an account is to be cancelled. Otherwise
    it is only unbound. None: nothing was chosen, the enterprise does as it does. A refusal stays one."""
    if cancels is None or reply.state not in (ItemState.UNBOUND, ItemState.CANCELLED):
        return reply
    return CANCELLED if cancels else UNBOUND


SHORTLY = Telling(Span(0.5, 2))

BEHAVIOURS: Mapping[str, Behaviour] = {
    "steady": Behaviour(replies=MIXED),
    "bulk": Behaviour(Manner.BULK, answers_after=Span(2, 2), replies=MIXED),
    "slow": Behaviour(answers_after=Span(15, 20), replies=MIXED, telling=Telling(Span(8, 12))),
    "silent": Behaviour(telling=None),
    "late": Behaviour(
        answers_after=Span(8, 8), since=Since.DUE, replies=UNBOUND, telling=Telling(Span(4, 4), Since.DUE)
    ),
    "extending": Behaviour(
        answers_after=Span(3, 3),
        since=Since.DUE,
        extends_by="PT10S",
        replies=UNBOUND,
        telling=Telling(Span(2, 4)),
    ),
    "refusing": Behaviour(
        replies=Reply(Outcome.REJECTED, Reason.OUT_OF_SCOPE), telling=Telling(declines=DeclineReason.OUT_OF_SCOPE)
    ),
    "exempt": Behaviour(
        replies=Reply(Outcome.EXEMPT, Reason.LEGAL_HOLD), telling=Telling(declines=DeclineReason.LEGAL_HOLD)
    ),
    "amending": Behaviour(replies=NOT_FOUND, amendment=UNBOUND),
    "doubling": Behaviour(Manner.DOUBLING, replies=MIXED, telling=SHORTLY),
    "replaying": Behaviour(Manner.REPLAYING, replies=MIXED, telling=SHORTLY),
    "forging": Behaviour(Manner.FORGING, telling=None),
    "meddling": Behaviour(Manner.MEDDLING, replies=MIXED, telling=SHORTLY),
    "down": Behaviour(replies=MIXED, trouble=Trouble(Fault.UNAVAILABLE, seconds=8)),
    "html": Behaviour(replies=MIXED, trouble=Trouble(Fault.WEB_PAGE, seconds=5)),
    "hanging": Behaviour(replies=MIXED, trouble=Trouble(Fault.HANGING, requests=2)),
    "mail": Behaviour(answers_after=Span(2, 5), replies=MIXED, telling=Telling(Span(2, 5))),
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
    "mail-04": "silent",
}
"""Enterprises whose code names no kind, and the kind they behave as. Nobody in the sandbox answers for `mail-04`: that
is for whoever plays with it, by its mails or as its clerk."""


def behaviour_of(enterprise: str, overrides: Mapping[str, Behaviour] = {}) -> Behaviour:
    """An enterprise's behaviour; one whose code names no kind is steady."""
    kind = REAL.get(enterprise) or enterprise.rpartition("-")[0]
    return overrides.get(enterprise) or BEHAVIOURS.get(kind) or BEHAVIOURS["steady"]


def expected_state(
    enterprise: str,
    item: str,
    overrides: Mapping[str, Behaviour] = {},
    cancels: bool | None = None,
) -> ItemState:
    """The state a work item of this enterprise ends in, if nobody withdraws it and its case stays open long enough.

    `cancels` says of a work item with accounts whether one of them is to be cancelled.
    """
    return behaviour_of(enterprise, overrides).state(item, cancels)


# ── what a party knows of a number ───────────────────────────────────────────────────────────────────

CONTRACT_AGE = timedelta(days=60)
OPENING_HOUR = 10

PHONE_CARDS = cards_of("")
"""What the code of a carrier's phone cards ends with."""

ACCOUNTS: Mapping[int, float] = {0: 0.40, 1: 0.34, 2: 0.16, 3: 0.08, 8: 0.02}
CARDS: Mapping[int, float] = {0: 0.10, 1: 0.40, 2: 0.25, 3: 0.15, 4: 0.10}
"""So many accounts (or cards), in this part of the cases."""

OWN = 0.6
"""The part of accounts that were bound after the holder's contract began."""

FIRST_LETTERS = "微晴小阿老梦云海星米"
LAST_LETTERS = "户鱼生年风月糖客猫石"


@dataclass(frozen=True)
class Held:
    """One account in a party's books, or one card; `bound` counts from the beginning of the holder's contract."""

    ref: str
    label: str
    bound: timedelta


@dataclass(frozen=True)
class ExpectedQuery:
    """What a query brings, by app: counts in the result, more in supplements, and apps that never say anything."""

    counts: Mapping[str, int]
    supplements: Mapping[str, int]
    silent: frozenset[str]

    @property
    def unanswered(self) -> frozenset[str]:
        """The apps that the result names as 未反馈."""
        return self.silent | self.supplements.keys()


def activation(now: datetime) -> datetime:
    """When every holder's contract began."""
    begun = now.astimezone(SHANGHAI) - CONTRACT_AGE
    return begun.replace(hour=OPENING_HOUR, minute=0, second=0, microsecond=0)


def expected_count(app: str, token: str) -> int:
    """How many accounts of an app (or cards of a carrier) its owner finds for its token of a number."""
    mix = CARDS if app.endswith(PHONE_CARDS) else ACCOUNTS
    return _drawn(mix, share(f"{app}/{token}", "count"))


def held(app: str, token: str) -> tuple[Held, ...]:
    """Which ones, as many as the count says."""
    label = _card if app.endswith(PHONE_CARDS) else _name
    marks = [f"{app}/{token}/{number}" for number in range(expected_count(app, token))]
    return tuple(Held(_handle(mark), label(mark), _bound(mark)) for mark in marks)


def expected_query(
    asked: Mapping[str, Iterable[str]], token_of: Callable[[str], str], overrides: Mapping[str, Behaviour] = {}
) -> ExpectedQuery:
    """What a query brings if it asks these parties about these apps; `token_of` gives a party's token of the number."""
    counts: dict[str, int] = {}
    supplements: dict[str, int] = {}
    silent: set[str] = set()
    for party, apps in asked.items():
        telling = behaviour_of(party, overrides).telling
        if telling is None:
            silent.update(apps)
        else:
            found = {app: expected_count(app, token_of(party)) for app in apps}
            (supplements if telling.since is Since.DUE else counts).update(found)
    return ExpectedQuery(counts, supplements, frozenset(silent))


def share(text: str, purpose: str) -> float:
    """A number from 0 to 1 that depends on nothing but the text and what it is for."""
    return int.from_bytes(_digest(purpose, text)[:4]) / 2**32


def _digest(purpose: str, text: str) -> bytes:
    return hashlib.sha256(f"{purpose}/{text}".encode()).digest()


def _drawn(mix: Mapping[T, float], left: float) -> T:
    """What stands at this place of a mix, whose parts add up to one."""
    for drawn, part in mix.items():
        left -= part
        if left < 0:
            return drawn
    return next(iter(mix))


def _bound(mark: str) -> timedelta:
    """Since the contract began, or up to four years before."""
    where = share(mark, "bound")
    return CONTRACT_AGE * share(mark, "age") * 0.9 if where < OWN else -timedelta(days=1 + 1460 * share(mark, "age"))


def _handle(mark: str) -> str:
    """Letters only: nothing in it can look like a number."""
    return "".join(chr(ord("a") + octet % 26) for octet in _digest("ref", mark)[:16])


def _name(mark: str) -> str:
    """A masked account name."""
    first, last, *_ = _digest("label", mark)
    return f"{FIRST_LETTERS[first % len(FIRST_LETTERS)]}**{LAST_LETTERS[last % len(LAST_LETTERS)]}"


def _card(mark: str) -> str:
    """A masked phone number."""
    digits = int.from_bytes(_digest("label", mark)[:4])
    return f"1{3 + digits % 7}{digits % 10}****{digits % 10000:04}"
