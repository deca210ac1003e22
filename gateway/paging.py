"""Cursors: where a page ended, sealed, so that a client can neither read much into one nor make one up."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query
from pydantic import AfterValidator, AwareDatetime

from gateway.problems import fail
from store.keys import KeyRing
from store.keyset import Place

MOST = 100
SEAL = 16
"""Characters of a cursor's seal: 80 bits."""

After = Annotated[str, Query(max_length=200, description="`next` of the page before; left out: the first page")]
Limit = Annotated[int, Query(ge=1, le=MOST, description="How many at most")]


def _in_utc(moment: datetime) -> datetime:
    """Raises ValueError for a time that is beyond the calendar in UTC."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("it is beyond the calendar") from None


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A time to look from or up to (RFC 3339), in UTC."""


def cursor(keys: KeyRing, of: str, place: Place) -> str:
    """The cursor of a place in a list. It holds a time and a reference, nothing about a person, and fits `of` alone."""
    said = f"{place.at.isoformat()}|{place.case}"
    return urlsafe_b64encode(f"{said}|{_seal(keys, of, said)}".encode()).decode().rstrip("=")


def place(keys: KeyRing, of: str, cursor: str) -> Place | None:
    """The place of a cursor of the same list; None for none. Anything else is refused."""
    if not cursor:
        return None
    try:
        said, _, seal = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").rpartition("|")
        if hmac.compare_digest(seal, _seal(keys, of, said)):
            at, _, case = said.partition("|")
            return Place(datetime.fromisoformat(at), case)
    except ValueError:
        pass
    raise fail(
        422,
        "malformed",
        "after: it is no cursor of this list in this order.",
        "Use `next` of the page before, with the same `sort`; or leave it out and begin anew.",
        "after",
    )


def _seal(keys: KeyRing, of: str, said: str) -> str:
    return keys.token(f"cursor/{of}", said)[:SEAL]
