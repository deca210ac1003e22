"""Sealed links for enterprises that answer by hand: who, which request, until when — and nothing personal."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidTag

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
        """The link as one URL-safe word that only we can read: two enterprises cannot tell that theirs belong together."""
        body = f"{self.enterprise}/{self.case}/{int(self.expires_at.timestamp())}"
        key_id, box = keys.lock("link", body.encode())
        return urlsafe_b64encode(key_id.encode() + b":" + box).decode().rstrip("=")

    @classmethod
    def open(cls, keys: KeyRing, word: str, now: datetime) -> Link:
        """Check and read a link. Raises BadLink."""
        try:
            key_id, _, box = urlsafe_b64decode(word + "=" * (-len(word) % 4)).partition(b":")
            enterprise, case, until = keys.unlock(key_id.decode(), "link", box).decode().split("/")
        except (ValueError, InvalidTag) as error:
            raise BadLink("This link is damaged. Open it from the mail again, as a whole.") from error
        link = cls(enterprise, case, datetime.fromtimestamp(int(until), UTC))
        if now >= link.expires_at:
            raise BadLink("This link has expired; no more answers are taken. Call the case desk.")
        return link
