"""Accounts of people at the case desk and of enterprises' clerks: who may sign in, and what each of their tries comes to.

A password is an argon2 hash, the one-time code's secret (RFC 6238) is locked with the key ring, and of what an OpenID
provider calls the person only a keyed token is kept. Hashing takes long: it is done before a transaction, never in one.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pyotp import TOTP, random_base32
from sqlalchemy import Connection, RowMapping, insert, select, update

from domain.access import PEOPLE, Role
from domain.casework import WORKER_CODE
from store import clients, sessions
from store.ids import CROCKFORD
from store.keys import KeyRing
from store.tables import accounts
from store.trail import NOBODY, Did, Entry, note

SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 200

FAILURES = 5
"""Failures in a row after which an account is locked; each further one locks it for twice as long."""

FIRST_LOCK, LONGEST_LOCK = timedelta(minutes=15), timedelta(days=1)

STEP = 30
STEPS_OFF = 1
"""A one-time code counts for the step before and the step after, for clocks that differ."""

PURPOSE = "totp"

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)  # OWASP: 19 MiB, 2 passes, 50 ms


class AccountError(ValueError):
    """An account cannot be made or changed so: says why and what to do."""


@dataclass(frozen=True)
class Account:
    """Somebody who may sign in, as those who run the house see them."""

    code: str
    role: Role
    tenant: str
    password: str = field(repr=False)
    linked: bool
    failures: int
    locked_until: datetime | None
    created_at: datetime
    disabled_at: datetime | None

    def locked(self, now: datetime) -> bool:
        """Whether nothing helps for now."""
        return self.locked_until is not None and now < self.locked_until


@dataclass(frozen=True)
class Credentials:
    """What a person is handed, once: a password, and the secret for their authenticator application."""

    password: str = field(repr=False)
    totp_secret: str = field(repr=False)
    hash: str = field(repr=False)

    @classmethod
    def new(cls) -> Credentials:
        """Fresh ones; the password is 125 random bits in groups that can be typed."""
        groups = ("".join(secrets.choice(CROCKFORD.lower()) for _ in range(5)) for _ in range(5))
        password = "-".join(groups)
        return cls(password, random_base32(), hashed(password))

    def uri(self, code: str) -> str:
        """What an authenticator application reads."""
        return TOTP(self.totp_secret, interval=STEP).provisioning_uri(name=code, issuer_name="Jiebang")


# ── passwords ────────────────────────────────────────────────────────────────────────────────────────


def hashed(password: str) -> str:
    """A password as it is kept: 50 ms of work."""
    return _hasher.hash(password)


@cache
def _hash_of_nothing() -> str:
    return hashed(secrets.token_urlsafe())


def fits(kept: str, password: str) -> bool:
    """Whether a password is the one kept. As long for an account there is not (or one without a password) as for others."""
    try:
        return _hasher.verify(kept or _hash_of_nothing(), password) and bool(kept)
    except (VerificationError, InvalidHashError):
        return False


# ── who there is ─────────────────────────────────────────────────────────────────────────────────────


def find(connection: Connection, code: str) -> Account | None:
    """An account by its code."""
    row = _row(connection, code)
    return _account(row) if row else None


def linked_to(connection: Connection, keys: KeyRing, issuer: str, subject: str) -> Account | None:
    """The account an administrator linked to a provider's subject; None too once it is disabled."""
    found = select(accounts).where(accounts.c.oidc_subject == _subject(keys, issuer, subject))
    row = connection.execute(found.where(accounts.c.disabled_at.is_(None))).mappings().one_or_none()
    return _account(row) if row else None


def listed(connection: Connection) -> Sequence[Account]:
    """Everybody, by their codes; disabled ones too."""
    return [_account(row) for row in connection.execute(select(accounts).order_by(accounts.c.code)).mappings()]


# ── trying to come in ────────────────────────────────────────────────────────────────────────────────


class Proof(StrEnum):
    """What a try to come in comes to."""

    RIGHT = "right"
    WRONG = "wrong"
    LOCKED = "locked"


def prove(
    connection: Connection, keys: KeyRing, code: str, verified: str, one_time_code: str | None, now: datetime
) -> Proof:
    """Judge a try. `verified` is the hash the password was found to fit, empty if it fitted none.

    Without a one-time code (None) the password alone is judged: for somebody whose session is alive. Nothing helps
    while the account is locked, and tries in that time do not prolong it.
    """
    row = _row(connection, code)
    if row is None or row["disabled_at"] is not None:
        note(connection, Entry(now, NOBODY, Did.SIGN_IN_FAILED))  # what was typed may be anything
        return Proof.WRONG
    if _account(row).locked(now):
        note(connection, Entry(now, NOBODY, Did.SIGN_IN_FAILED, code, "locked"))
        return Proof.LOCKED
    # the hash is compared again: the password may have been changed since it was verified
    if not verified or not hmac.compare_digest(row["password"], verified):
        return _failed(connection, row, now, "password")
    if one_time_code is not None:
        step = _step(keys, row, one_time_code, now)
        if step is None:
            return _failed(connection, row, now, "one-time code")
        _change(connection, code, {"totp_step": step})
    _change(connection, code, {"failures": 0, "locked_until": None})
    return Proof.RIGHT


def _failed(connection: Connection, row: RowMapping, now: datetime, what: str) -> Proof:
    code, failures = row["code"], row["failures"] + 1
    note(connection, Entry(now, NOBODY, Did.SIGN_IN_FAILED, code, what))
    changed: dict[str, Any] = {"failures": failures}
    if failures >= FAILURES:
        doubled = FIRST_LOCK * 2 ** min(failures - FAILURES, 10)
        changed["locked_until"] = now + min(doubled, LONGEST_LOCK)
        note(connection, Entry(now, NOBODY, Did.ACCOUNT_LOCKED, code, f"{failures} failures"))
    _change(connection, code, changed)
    return Proof.WRONG


def _step(keys: KeyRing, row: RowMapping, one_time_code: str, now: datetime) -> int | None:
    """The step whose code this is, if it is later than any that was taken before: no code is good twice."""
    totp, here = TOTP(_secret(keys, row).decode(), interval=STEP), int(now.timestamp()) // STEP
    for step in range(here - STEPS_OFF, here + STEPS_OFF + 1):
        right = hmac.compare_digest(totp.generate_otp(step).encode(), one_time_code.encode())
        if right and step > row["totp_step"]:
            return step
    return None


# ── administration ───────────────────────────────────────────────────────────────────────────────────


def add(
    connection: Connection,
    keys: KeyRing,
    code: str,
    role: Role,
    given: Credentials | None,
    actor: str,
    now: datetime,
    tenant: str = "",
) -> None:
    """A new account; without credentials its person signs in through a provider only. `tenant`: the enterprise a clerk
    works for. Raises AccountError."""
    if not re.fullmatch(WORKER_CODE, code):
        raise AccountError(f"{code!r} is no code: lower-case letters, digits and hyphens, such as worker-chen")
    if role not in PEOPLE | {Role.ENTERPRISE}:
        raise AccountError(f"a {role.value} has no account: make a client for its system")
    if bool(tenant) is not (role is Role.ENTERPRISE):
        raise AccountError(
            "a clerk works for one enterprise: say which" if not tenant else f"a {role.value} is no clerk"
        )
    if _row(connection, code):
        raise AccountError(f"there is an account {code} already: choose another code, or `account reset {code}`")
    if others := [one.role.value for one in clients.listed(connection, code) if tenant or one.role is not role]:
        raise AccountError(f"{code} is the code of a {others[0]} already: choose another")
    row = {"code": code, "role": role.value, "tenant": tenant, "created_at": now}
    connection.execute(insert(accounts), row | (_kept(keys, code, given) if given else {}))
    note(connection, Entry(now, actor, Did.ACCOUNT_ADDED, code, f"{role.value} {tenant}".rstrip()))


def link(
    connection: Connection, keys: KeyRing, code: str, issuer: str, subject: str, actor: str, now: datetime
) -> None:
    """Let whom the provider calls so come in as this account. Raises AccountError."""
    _usable(connection, code)
    other = linked_to(connection, keys, issuer, subject)
    if other and other.code != code:
        raise AccountError(f"this subject is linked to {other.code}: disable that account first")
    _change(connection, code, {"oidc_subject": _subject(keys, issuer, subject)})
    note(connection, Entry(now, actor, Did.ACCOUNT_LINKED, code))


def reset(connection: Connection, keys: KeyRing, code: str, given: Credentials, actor: str, now: datetime) -> None:
    """Fresh credentials; a lock and all sessions end. Raises AccountError."""
    _usable(connection, code)
    _change(connection, code, {**_kept(keys, code, given), "failures": 0, "locked_until": None})
    sessions.end_all(connection, code)
    note(connection, Entry(now, actor, Did.ACCOUNT_RESET, code))


def disable(connection: Connection, code: str, actor: str, now: datetime) -> None:
    """Nobody comes in with this account any more, and who is in is out. Its code stays taken. Raises AccountError."""
    _usable(connection, code)
    nothing = {"password": "", "totp_box": None, "totp_ring_key": "", "oidc_subject": None}
    _change(connection, code, {**nothing, "disabled_at": now})
    sessions.end_all(connection, code)
    note(connection, Entry(now, actor, Did.ACCOUNT_DISABLED, code))


def change_password(connection: Connection, code: str, fresh: str, keep: str, now: datetime) -> None:
    """A hash in place of the one before; every session but `keep` (its digest) ends."""
    _change(connection, code, {"password": fresh})
    sessions.end_all(connection, code, keep)
    note(connection, Entry(now, code, Did.PASSWORD_CHANGED, code))


def rewrap(connection: Connection, keys: KeyRing) -> int:
    """Lock every one-time code's secret with the ring's current key; return how many were not."""
    old = accounts.c.totp_box.is_not(None) & (accounts.c.totp_ring_key != keys.current)
    rows = connection.execute(select(accounts).where(old)).mappings().all()
    for row in rows:
        ring_key, box = keys.lock(PURPOSE, _secret(keys, row), row["code"].encode())
        _change(connection, row["code"], {"totp_ring_key": ring_key, "totp_box": box})
    return len(rows)


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────


def _usable(connection: Connection, code: str) -> None:
    found = find(connection, code)
    if found is None:
        raise AccountError(f"there is no account {code!r}: see `account list`")
    if found.disabled_at:
        raise AccountError(f"{code} is disabled for good: add an account under another code")


def _kept(keys: KeyRing, code: str, given: Credentials) -> dict[str, Any]:
    ring_key, box = keys.lock(PURPOSE, given.totp_secret.encode(), code.encode())
    return {"password": given.hash, "totp_ring_key": ring_key, "totp_box": box, "totp_step": 0}


def _secret(keys: KeyRing, row: RowMapping) -> bytes:
    """Whoever has a password has one of these."""
    return keys.unlock(row["totp_ring_key"], PURPOSE, row["totp_box"], row["code"].encode())


def _subject(keys: KeyRing, issuer: str, subject: str) -> str:
    """Bound to the provider, so that another one's subject of the same name is somebody else."""
    return keys.token("oidc-subject", f"{issuer}\n{subject}")


def _row(connection: Connection, code: str) -> RowMapping | None:
    return connection.execute(select(accounts).where(accounts.c.code == code)).mappings().one_or_none()


def _change(connection: Connection, code: str, values: Mapping[str, Any]) -> None:
    connection.execute(update(accounts).where(accounts.c.code == code), dict(values))


def _account(row: RowMapping) -> Account:
    return Account(
        code=row["code"],
        role=Role(row["role"]),
        tenant=row["tenant"],
        password=row["password"],
        linked=row["oidc_subject"] is not None,
        failures=row["failures"],
        locked_until=row["locked_until"],
        created_at=row["created_at"],
        disabled_at=row["disabled_at"],
    )
