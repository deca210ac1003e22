"""Codes (验证码): what is left of the last one of a check is a keyed digest, bound to the check and to its serial.

A row begins with its check, without a digest: it keeps the same session word (origin) from having a code sent to the
same number again too soon. Another origin is not held up, so nobody can keep the holder from getting a code.
"""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, update

from store.keys import KeyRing
from store.tables import codes

NONE = ""
"""The digest before there is a code; no code has it."""


def digest(keys: KeyRing, check: str, serial: int, code: str) -> str:
    """What is kept of a code, and compared: says nothing without the key, and fits no other check and no other send."""
    return keys.token("code", f"{check}/{serial}/{code}")


def origin_token(keys: KeyRing, channel: str, word: str) -> str:
    """A channel's session word as it is kept."""
    return keys.token("origin", f"{channel}/{word}")


def free_at(
    connection: Connection, number_token: str, origin: str, again_after: timedelta, at: datetime
) -> datetime | None:
    """From when on this origin may have another code sent to this number; None for now."""
    found = select(func.max(codes.c.sent_at)).where(codes.c.number_token == number_token, codes.c.origin == origin)
    last: datetime | None = connection.execute(found).scalar_one()
    return last + again_after if last and at < last + again_after else None


def take_turn(
    connection: Connection, number_token: str, origin: str, check: str, again_after: timedelta, at: datetime
) -> datetime | None:
    """A check begins, and its first code is about to be sent; or from when on that is possible."""
    if until := free_at(connection, number_token, origin, again_after, at):
        return until
    row = {"case_id": check, "number_token": number_token, "origin": origin, "digest": NONE, "sent_at": at}
    connection.execute(insert(codes), row)
    return None


def whose(connection: Connection, check: str) -> tuple[str, str] | None:
    """The number and the origin of a running check, both as tokens."""
    own = select(codes.c.number_token, codes.c.origin).where(codes.c.case_id == check)
    row = connection.execute(own).one_or_none()
    return (row.number_token, row.origin) if row else None


def next_turn(connection: Connection, check: str, again_after: timedelta, at: datetime) -> datetime | None:
    """From when on the origin of a running check may have another code sent, whichever of its checks had the last."""
    own = whose(connection, check)
    return free_at(connection, *own, again_after, at) if own else None


def put(connection: Connection, check: str, kept: str, at: datetime) -> None:
    """A new code counts; the one before does not any more."""
    connection.execute(update(codes).where(codes.c.case_id == check), {"digest": kept, "sent_at": at})


def fits(connection: Connection, check: str, asked: str) -> bool:
    """Whether this is the digest of the check's last code, compared in constant time."""
    kept = connection.execute(select(codes.c.digest).where(codes.c.case_id == check)).scalar_one_or_none()
    return bool(kept) and hmac.compare_digest((kept or NONE).encode(), asked.encode())


def forget(connection: Connection, check: str) -> None:
    """The check is over, and so is the time within which its origin had to wait."""
    connection.execute(delete(codes).where(codes.c.case_id == check))
