"""Signed links for enterprises that answer by hand: who, which request, until when — and nothing personal."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime

from store.keys import KeyRing


class BadLink(ValueError):
    """The link was not made by us, was changed, or has expired: the sentence says which."""


@dataclass(frozen=True)
class Link:
    """An enterprise's way to its work items of one request."""

    enterprise: str
    case: str
    expires_at: datetime

    def sign(self, keys: KeyRing) -> str:
        """The link as one URL-safe word."""
        body = f"{self.enterprise}/{self.case}/{int(self.expires_at.timestamp())}"
        return urlsafe_b64encode(f"{body}/{keys.seal('link', body.encode())}".encode()).decode().rstrip("=")

    @classmethod
    def open(cls, keys: KeyRing, word: str, now: datetime) -> Link:
        """Check and read a link. Raises BadLink."""
        try:
            text = urlsafe_b64decode(word + "=" * (-len(word) % 4)).decode()
            body, _, seal = text.rpartition("/")
            enterprise, case, until = body.split("/")
            expected = keys.seal("link", body.encode(), seal.partition(":")[0])
            genuine = hmac.compare_digest(seal.encode(), expected.encode())
            link = cls(enterprise, case, datetime.fromtimestamp(int(until), UTC))
        except (ValueError, OverflowError) as error:
            raise BadLink("This link is damaged. Open it from the mail again, as a whole.") from error
        if not genuine:
            raise BadLink("This link was changed. Open it from the mail again, as a whole.")
        if now >= link.expires_at:
            raise BadLink("This link has expired. A reminder with a new one comes before the answer is due.")
        return link
