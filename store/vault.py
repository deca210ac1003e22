"""The vault: the only place where a phone number or an ID tail stands, each case under a key of its own.

Envelope encryption: the person is locked with the case's key (AES-256-GCM), that key with the ring's. A new ring
key re-wraps the case keys only; a deleted row is overwritten (SQLite: `secure_delete`; its log until the next
checkpoint, backups until they are replaced).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, Row, delete, insert, select, update

from domain.privacy import IdTail, PhoneNumber
from store.keys import KEY_BYTES, NONCE_BYTES, KeyRing
from store.tables import papers, vault


class NotInVault(LookupError):
    """The personal data of this case is gone (kept as short as the purpose allows) or never was."""


@dataclass(frozen=True)
class Person:
    """Who a case is about: the number, and the ID tail where the carrier gave it."""

    number: PhoneNumber
    id_tail: IdTail | None = None


class _Stored(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)
    number: str
    id_tail: str | None = None


def put(connection: Connection, keys: KeyRing, case: str, person: Person) -> None:
    """Lock a person away under a fresh key."""
    case_key, nonce = AESGCM.generate_key(KEY_BYTES * 8), os.urandom(NONCE_BYTES)
    tail = person.id_tail.value if person.id_tail else None
    clear = _Stored(number=person.number.national, id_tail=tail).model_dump_json().encode()
    ring_key, wrapped = keys.lock("vault", case_key, case.encode())
    box = nonce + AESGCM(case_key).encrypt(nonce, clear, case.encode())
    connection.execute(insert(vault), {"case_id": case, "ring_key": ring_key, "case_key": wrapped, "box": box})


def get(connection: Connection, keys: KeyRing, case: str) -> Person:
    """The person of a case. Raises NotInVault."""
    row, case_key = _opened(connection, keys, case)
    clear = AESGCM(case_key).decrypt(row.box[:NONCE_BYTES], row.box[NONCE_BYTES:], case.encode())
    stored = _Stored.model_validate_json(clear)
    return Person(PhoneNumber(stored.number), IdTail(stored.id_tail) if stored.id_tail else None)


def known(connection: Connection, case: str) -> bool:
    """Whether a case has a person in the vault."""
    found = select(vault.c.case_id).where(vault.c.case_id == case)
    return connection.execute(found).scalar_one_or_none() is not None


def case_key(connection: Connection, keys: KeyRing, case: str) -> bytes:
    """The case's own key: what else is locked with it is forgotten with the person. Raises NotInVault."""
    return _opened(connection, keys, case)[1]


def _opened(connection: Connection, keys: KeyRing, case: str) -> tuple[Row[Any], bytes]:
    row = connection.execute(select(vault).where(vault.c.case_id == case)).one_or_none()
    if row is None:
        raise NotInVault(f"{case} has no personal data in the vault any more")
    return row, keys.unlock(row.ring_key, "vault", row.case_key, case.encode())


def purge_after(connection: Connection, case: str, moment: datetime | None) -> None:
    """Say from when on a case's person is no longer needed (30 days after the close); None: it is needed again."""
    connection.execute(update(vault).where(vault.c.case_id == case), {"purge_after": moment})


def purge(connection: Connection, now: datetime) -> int:
    """Forget whoever is no longer needed, and what was written about them; return how many."""
    gone = select(vault.c.case_id).where(vault.c.purge_after < now)
    connection.execute(delete(papers).where(papers.c.case_id.in_(gone)))
    return connection.execute(delete(vault).where(vault.c.purge_after < now)).rowcount


def rewrap(connection: Connection, keys: KeyRing) -> int:
    """After a rotation: lock every case key with the ring's current key; return how many were changed."""
    old = connection.execute(select(vault).where(vault.c.ring_key != keys.current)).all()
    for row in old:
        bound_to = row.case_id.encode()
        ring_key, wrapped = keys.lock("vault", keys.unlock(row.ring_key, "vault", row.case_key, bound_to), bound_to)
        connection.execute(
            update(vault).where(vault.c.case_id == row.case_id), {"ring_key": ring_key, "case_key": wrapped}
        )
    return len(old)
