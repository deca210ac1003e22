"""OAuth 2 clients: which programs may come in, for whom, as what, for what.

A client's secret is 256 random bits, so a plain SHA-256 of it cannot be guessed back; it is shown once.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from domain.access import SCOPES, Role, Scope, beyond
from domain.case import Model
from store.database import Database
from store.tables import accounts, clients
from store.trail import Did, Entry, note

REMEMBERED_SECONDS = 3.0
"""How long a gateway may go on with what it last read of a client: so long a revoked one may still come in."""

MOST_REMEMBERED = 5000


class ClientError(ValueError):
    """A client cannot be made so: says why and what to do."""


@dataclass(frozen=True)
class Client:
    """A program that may come in. `tenant` is whose it is: the code the ledger names its deeds by."""

    client_id: str
    tenant: str
    role: Role
    scopes: frozenset[Scope]
    certificate: str
    created_at: datetime
    revoked_at: datetime | None


class IssuedClient(Model):
    """What a client is handed, once."""

    client_id: str
    client_secret: str


def issue(
    connection: Connection,
    tenant: str,
    role: Role,
    now: datetime,
    scopes: Iterable[Scope] | None = None,
    certificate: str = "",
) -> IssuedClient:
    """A fresh client; without `scopes` it gets all its role may have.

    `certificate` is the SHA-256 (hex) of the client certificate it has to come with. Raises ClientError for a scope
    beyond the role, and for a tenant that is known in another role.
    """
    wanted = SCOPES[role] if scopes is None else frozenset(scopes)
    if too_much := beyond(role, sorted(wanted)):
        raise ClientError(f"a {role.value} may not have {', '.join(too_much)}: leave it out")
    others = {one.role for one in listed(connection, tenant)} | _of_account(connection, tenant)
    if others := others - {role}:
        raise ClientError(f"{tenant} is a {min(others).value} already: choose another code")
    client_id, secret = f"{tenant}.{secrets.token_hex(4)}", secrets.token_urlsafe(32)
    row = {
        "client_id": client_id,
        "tenant": tenant,
        "role": role.value,
        "scopes": " ".join(sorted(wanted)),
        "secret_digest": _digest(secret),
        "certificate": certificate,
        "created_at": now,
    }
    connection.execute(insert(clients), row)
    return IssuedClient(client_id=client_id, client_secret=secret)


def listed(connection: Connection, tenant: str | None = None) -> list[Client]:
    """All clients, or a tenant's, by their ids; revoked ones too."""
    query = select(clients).order_by(clients.c.client_id)
    return [_client(row) for row in connection.execute(query.where(clients.c.tenant == tenant) if tenant else query)]


def revoke(connection: Connection, client_id: str, actor: str, now: datetime) -> Client | None:
    """End a client; again changes nothing. None for one there never was."""
    unrevoked = (clients.c.client_id == client_id, clients.c.revoked_at.is_(None))
    if connection.execute(update(clients).where(*unrevoked), {"revoked_at": now}).rowcount:
        note(connection, Entry(now, actor, Did.CLIENT_REVOKED, client_id))
    return _find(connection, client_id)


def tenants(connection: Connection, role: Role) -> frozenset[str]:
    """Who has a client in this role that is not revoked."""
    query = select(clients.c.tenant).where(clients.c.role == role.value, clients.c.revoked_at.is_(None))
    return frozenset(connection.execute(query).scalars())


class Clients:
    """Clients as the gateway looks at them at every request: remembered for seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[float, Client | None]] = {}

    async def authenticated(self, client_id: str, secret: str) -> Client | None:
        """The client if the secret is its own and it is not revoked."""
        found = await self._database.read(lambda c: _with_secret(c, client_id, secret))
        return found if found and found.revoked_at is None else None

    async def alive(self, client_id: str) -> Client | None:
        """The client if it is not revoked."""
        at, found = self._known.get(client_id, (0.0, None))
        if time.monotonic() - at > REMEMBERED_SECONDS or not at:
            found = await self._database.read(lambda c: _find(c, client_id))
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[client_id] = (time.monotonic(), found)
        return found if found and found.revoked_at is None else None


def _of_account(connection: Connection, code: str) -> set[Role]:
    """What somebody with an account is."""
    return {
        Role(role) for role in connection.execute(select(accounts.c.role).where(accounts.c.code == code)).scalars()
    }


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _with_secret(connection: Connection, client_id: str, secret: str) -> Client | None:
    row = _row(connection, client_id)
    return _client(row) if row and hmac.compare_digest(row.secret_digest, _digest(secret)) else None


def _find(connection: Connection, client_id: str) -> Client | None:
    row = _row(connection, client_id)
    return _client(row) if row else None


def _row(connection: Connection, client_id: str) -> Row[Any] | None:
    return connection.execute(select(clients).where(clients.c.client_id == client_id)).one_or_none()


def _client(row: Row[Any]) -> Client:
    known = {scope.value for scope in Scope}
    return Client(
        client_id=row.client_id,
        tenant=row.tenant,
        role=Role(row.role),
        scopes=frozenset(Scope(word) for word in row.scopes.split() if word in known),
        certificate=row.certificate,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
