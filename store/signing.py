"""Signing keys: the secrets that webhooks both ways are signed with (Standard Webhooks), and their overlap.

While an old and a new key overlap, what we send carries a signature by each, and what comes in may be signed by either.
"""

from __future__ import annotations

import secrets
import time
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, insert, or_, select, update

from domain.case import Model
from store.database import Database
from store.keys import KeyRing
from store.tables import signing_keys
from store.trail import Did, Entry, note

PURPOSE = "signing-key"
REMEMBERED_SECONDS = 3.0
LONGEST_OVERLAP = timedelta(days=30)


class IssuedKey(Model):
    """A fresh signing key; the secret is shown once."""

    key_id: str
    secret: str


@dataclass(frozen=True)
class SigningKey:
    """A key without its secret. `ends_at`: from then on it is not good any more."""

    key_id: str
    created_at: datetime
    ends_at: datetime | None


def issue(connection: Connection, keys: KeyRing, tenant: str, now: datetime) -> IssuedKey:
    """A fresh key beside those there are."""
    key_id = "wk" + secrets.token_hex(6)
    secret = "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    ring_key, box = keys.lock(PURPOSE, secret.encode(), key_id.encode())
    row = {"key_id": key_id, "tenant": tenant, "ring_key": ring_key, "box": box, "created_at": now}
    connection.execute(insert(signing_keys), row)
    return IssuedKey(key_id=key_id, secret=secret)


def rotate(
    connection: Connection, keys: KeyRing, tenant: str, actor: str, now: datetime, overlap: timedelta
) -> IssuedKey:
    """A fresh key; the others end after the overlap, or earlier if they were to."""
    ends = now + overlap
    older = (signing_keys.c.tenant == tenant, or_(signing_keys.c.ends_at.is_(None), signing_keys.c.ends_at > ends))
    connection.execute(update(signing_keys).where(*older), {"ends_at": ends})
    fresh = issue(connection, keys, tenant, now)
    note(connection, Entry(now, actor, Did.KEY_ROTATED, fresh.key_id))
    return fresh


def listed(connection: Connection, tenant: str, now: datetime) -> list[SigningKey]:
    """A tenant's keys that are still good, the newest first."""
    rows = connection.execute(_good(tenant, now))
    return [SigningKey(row.key_id, row.created_at, row.ends_at) for row in rows]


def end(connection: Connection, tenant: str, key_id: str, actor: str, now: datetime) -> bool:
    """End a key at once; False if the tenant has no such key."""
    mine = (signing_keys.c.tenant == tenant, signing_keys.c.key_id == key_id)
    ended = connection.execute(update(signing_keys).where(*mine), {"ends_at": now}).rowcount > 0
    if ended:
        note(connection, Entry(now, actor, Did.KEY_ENDED, key_id))
    return ended


def secrets_of(connection: Connection, keys: KeyRing, tenant: str, now: datetime) -> tuple[str, ...]:
    """The secrets that are good now, the newest first. Raises KeyRingError."""
    rows = connection.execute(_good(tenant, now))
    return tuple(keys.unlock(row.ring_key, PURPOSE, row.box, row.key_id.encode()).decode() for row in rows)


def tenants(connection: Connection, now: datetime) -> frozenset[str]:
    """Who has a key that is good now."""
    good = or_(signing_keys.c.ends_at.is_(None), signing_keys.c.ends_at > now)
    return frozenset(connection.execute(select(signing_keys.c.tenant).where(good)).scalars())


def rewrap(connection: Connection, keys: KeyRing) -> int:
    """Lock every key with the ring's current key; return how many were not."""
    rows = connection.execute(select(signing_keys).where(signing_keys.c.ring_key != keys.current)).all()
    for row in rows:
        clear = keys.unlock(row.ring_key, PURPOSE, row.box, row.key_id.encode())
        ring_key, box = keys.lock(PURPOSE, clear, row.key_id.encode())
        this = signing_keys.c.key_id == row.key_id
        connection.execute(update(signing_keys).where(this), {"ring_key": ring_key, "box": box})
    return len(rows)


class SigningKeys:
    """Secrets as senders and doors use them: remembered for seconds."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._keys = keys
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}

    async def secrets(self, tenant: str, now: datetime) -> tuple[str, ...]:
        """The secrets that are good now, the newest first; none for a tenant without."""
        at, found = self._known.get(tenant, (0.0, ()))
        if not at or time.monotonic() - at > REMEMBERED_SECONDS:
            found = await self._database.read(lambda c: secrets_of(c, self._keys, tenant, now))
            self._known[tenant] = (time.monotonic(), found)
        return found

    def forget(self, tenant: str) -> None:
        """The tenant's keys have changed."""
        self._known.pop(tenant, None)


def _good(tenant: str, now: datetime) -> Select[Any]:
    return (
        select(signing_keys)
        .where(signing_keys.c.tenant == tenant, or_(signing_keys.c.ends_at.is_(None), signing_keys.c.ends_at > now))
        .order_by(signing_keys.c.created_at.desc(), signing_keys.c.key_id)
    )
