"""Credentials: what somebody is handed once, so that their programs may come in and their messages can be checked."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from domain.access import Role, Scope
from domain.case import Model
from domain.casework import WORKER_CODE
from domain.registry import Channel, Registry
from runtime.settings import CredentialsError
from store import clients, signing
from store.clients import ClientError, IssuedClient
from store.database import Database
from store.keys import KeyRing

PARTIES = frozenset({Role.CARRIER, Role.ENTERPRISE})
"""Who signs, and is sent signed messages."""


class Issued(Model):
    """What somebody is handed, once. `secret` signs webhooks both ways; `token_key` (hex) lets an enterprise compute its
    users' tokens; both are empty for who needs none."""

    client_id: str
    client_secret: str
    secret: str = ""
    token_key: str = ""


def hand_out(
    connection: Connection,
    registry: Registry,
    keys: KeyRing,
    code: str,
    role: Role | None,
    now: datetime,
    scopes: Iterable[Scope] | None = None,
    certificate: str = "",
) -> Issued:
    """A fresh client for a code of the registry, or for somebody outside it in a role; the first one of an enterprise
    or a carrier comes with a signing key.

    Raises CredentialsError for a code nobody has, one the ledger could not name, a carrier that could not take part,
    a scope beyond the role.
    """
    role = _role(registry, code, role)
    try:
        client = clients.issue(connection, code, role, now, scopes, certificate)
    except ClientError as error:
        raise CredentialsError(str(error)) from None
    return with_keys(connection, keys, code, role, client, now, signs=not signing.listed(connection, code, now))


def with_keys(
    connection: Connection,
    keys: KeyRing,
    code: str,
    role: Role,
    client: IssuedClient,
    now: datetime,
    *,
    signs: bool = True,
) -> Issued:
    """A client with what else its role needs; `signs`: a party gets a fresh signing key besides."""
    return Issued(
        client_id=client.client_id,
        client_secret=client.client_secret,
        secret=signing.issue(connection, keys, code, now).secret if signs and role in PARTIES else "",
        token_key=keys.token_key(code).hex() if role is Role.ENTERPRISE else "",
    )


def _role(registry: Registry, code: str, asked: Role | None) -> Role:
    """What this code is. Raises CredentialsError."""
    known = roles(registry)
    if code in known:
        if asked not in (None, known[code]):
            raise CredentialsError(f"{code} is a {known[code].value} in the registry: leave --role out")
        if known[code] is Role.CARRIER and not registry.carrier(code).takes_part:
            raise CredentialsError(f"carrier {code} needs endpoint and results in the registry: add them there first")
        return known[code]
    if asked is None or asked in PARTIES:
        raise CredentialsError(
            f"the registry has no carrier or enterprise {code}: add it there first, or give --role"
        )
    if asked is Role.CITIZEN:
        raise CredentialsError("citizens come through a channel: make a client for the channel")
    if not re.fullmatch(WORKER_CODE, code):
        raise CredentialsError(f"{code!r} is no code: lower-case letters, digits and hyphens, such as worker-chen")
    return asked


def roles(registry: Registry) -> dict[str, Role]:
    """What everybody in the registry is."""
    carriers = {carrier.code: Role.CARRIER for carrier in registry.carriers}
    return carriers | {enterprise.code: Role.ENTERPRISE for enterprise in registry.enterprises}


def check(database: Database, registry: Registry) -> None:
    """Registry and credentials fit, so that nobody's message fails days later.

    Raises CredentialsError naming the first who has an address but no signing key, or a key but no address, and for a
    database that does not answer or was not migrated.
    """
    try:
        signs = database.read_now(lambda c: signing.tenants(c, datetime.now(UTC)))
    except DBAPIError as error:
        raise CredentialsError(
            f"the database does not answer as it should ({type(error.orig).__name__}): "
            "check JIEBANG_DATABASE_URL, run `starter.py migrate`"
        ) from None
    for enterprise in registry.enterprises:
        if enterprise.channel is Channel.PUSH and enterprise.code not in signs:
            raise CredentialsError(
                f"enterprise {enterprise.code} is pushed to but has no signing key: "
                f"run `starter.py client add {enterprise.code}`"
            )
    for carrier in registry.carriers:
        if carrier.code in signs and not carrier.takes_part:
            raise CredentialsError(
                f"carrier {carrier.code} has a signing key but no address: "
                f"give it endpoint and results in the registry, or end its keys: `starter.py key list {carrier.code}`"
            )


# ── the sandbox ──────────────────────────────────────────────────────────────────────────────────────────

SANDBOX_PEOPLE: Mapping[str, Role] = {
    "mini-program": Role.CHANNEL,
    "worker-chen": Role.CASE_WORKER,
    "worker-lin": Role.CASE_WORKER,
    "supervisor-wu": Role.SUPERVISOR,
    "auditor-qian": Role.AUDITOR,
    "admin-zhao": Role.ADMINISTRATOR,
}
"""Who works at the sandbox's case desk, and the channel its citizens come through."""

SANDBOX_CLERKS: Mapping[str, str] = {"clerk-sun": "mail-04"}
"""Clerks in the sandbox, and whom each works for: somebody whose work waits for a person."""


def issue_missing(database: Database, registry: Registry, keys: KeyRing, handed_out: Path) -> None:
    """Credentials for everybody in a sandbox who has none; what the world outside is handed is in a file, in clear."""
    clear = json.loads(handed_out.read_text()) if handed_out.exists() else {}
    for role in Role:
        clear.setdefault(f"{role.value}s", {})
    idle = {carrier.code for carrier in registry.carriers if not carrier.takes_part}
    everybody = {code: role for code, role in {**roles(registry), **SANDBOX_PEOPLE}.items() if code not in idle}

    def issue(connection: Connection) -> None:
        now = datetime.now(UTC)
        good = {client.client_id for client in clients.listed(connection) if client.revoked_at is None}
        for code, role in everybody.items():
            has = clear[f"{role.value}s"].get(code, {})
            if has.get("client_id") in good:
                continue
            issued = with_keys(connection, keys, code, role, clients.issue(connection, code, role, now), now)
            clear[f"{role.value}s"][code] = issued.model_dump()

    database.write_now(issue)
    private(handed_out, json.dumps(clear))


def private(path: Path, text: str) -> None:
    """Write a file only its owner can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
