"""The outside parties as the activities see them: one small port each.

A real adapter for every port is in `adapters/`; a fake exists only in unit tests. Every port raises the
two errors below and nothing else: `Unavailable` is worth another try, `Refused` is not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from domain.identity import HolderVerdict as HolderVerdict
from domain.privacy import IdTail, PhoneNumber
from domain.renewal import Hear


class PortError(Exception):
    """An outside party did not do what it was asked. `code` is stable and free of personal data."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(f"{code}: {sentence}")
        self.code = code
        self.sentence = sentence


class Unavailable(PortError):
    """Nobody answered, or the answer was 'later': try again after `retry_after` seconds if given.

    `taken` are the message ids of a text's parts that were taken before the one this is about.
    """

    def __init__(self, code: str, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(code, sentence)
        self.retry_after = retry_after
        self.taken: tuple[str, ...] = ()


class Refused(PortError):
    """The party answered, and will answer the same again."""


class ReceiptState(StrEnum):
    """Final state of a short message as its delivery receipt (回执) tells it (SMPP 3.4, 5.2.28)."""

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"


@dataclass(frozen=True)
class SmsReceipt:
    """A delivery receipt. `reference` echoes the sender's 16-bit reference where the centre supports it."""

    message_id: str
    state: ReceiptState
    at: datetime
    reference: int | None = None


ReceiptListener = Callable[[SmsReceipt], Awaitable[None]]


class SmsCentre(Protocol):
    """The short message centre (短信中心)."""

    async def submit(self, to: str, text: str, reference: int, already: int = 0) -> tuple[str, ...]:
        """Hand over one text, split into as many parts as it needs; return the centre's message id per part.

        `to` is E.164 (`+8613800138000`); `reference` is 16 bits and comes back in the receipt. The first `already`
        parts are left out: the centre has them from an earlier try with the same text and reference.
        Raises `Unavailable` (no bind, throttled, queue full) or `Refused` (bad destination).
        """
        ...


class Mailer(Protocol):
    """The mail server."""

    async def send(self, to: str, subject: str, text: str, message_id: str) -> None:
        """Send one plain-text UTF-8 mail; `message_id` is the same at every retry, so a reader sees it once.

        Raises `Unavailable` (no connection, 4xx) or `Refused` (5xx).
        """
        ...


class Webhooks(Protocol):
    """Signed messages to a partner's HTTP endpoint (Standard Webhooks)."""

    async def post(self, partner: str, url: str, message_id: str, body: Mapping[str, Any]) -> None:
        """Sign with the partner's secret and post; a 2xx with JSON or nothing in it means taken.

        `message_id` is the same at every retry. Raises `Unavailable` (no answer, 5xx, 429 with its Retry-After,
        a page instead of JSON) or `Refused` (another 4xx).
        """
        ...

    async def ask(self, partner: str, url: str, message_id: str, body: Mapping[str, Any]) -> bytes:
        """The same as `post`, for a message that may be answered at once: the answer's JSON, or nothing."""
        ...


@dataclass(frozen=True)
class HolderAnswer:
    """A carrier's verdict on a number and an ID tail, and when the holder's contract began (for a match)."""

    verdict: HolderVerdict
    activated_at: datetime | None = None


class CarrierRegistry(Protocol):
    """A carrier's number registry: has this number been re-issued, and to this holder since then?"""

    async def eligibility(
        self, carrier: str, number: PhoneNumber, id_tail: IdTail | None, activated_at: datetime
    ) -> Hear:
        """The verdict yes / no with a reason / unknown. Raises `Unavailable` or `Refused`."""
        ...

    async def confirm(self, carrier: str, number: PhoneNumber, id_tail: IdTail) -> HolderAnswer:
        """Whether the carrier serves the number and the ID tail is its holder's. Raises `Unavailable` or `Refused`."""
        ...
