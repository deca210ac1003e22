"""What must not be so in production: one table of rules, each with what is wrong and how to put it right.

With `JIEBANG_ENV=production` gateway and worker refuse to start while a rule is broken; `starter.py preflight` tells the
same beforehand.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from domain.access import PEOPLE
from runtime import engine
from runtime.credentials import SANDBOX_PEOPLE
from runtime.settings import CANNOT_RUN, HOUSE, Environment, MailTls, Settings, SettingsError
from store import clients
from store.database import create
from store.tables import accounts

SANDBOX_FOLDER = HOUSE / "sandbox"
HANDED_OUT = "credentials.json"
"""The file in which the sandbox hands out credentials in clear, in its folder."""


@dataclass(frozen=True)
class Finding:
    """What is wrong, and how to put it right."""

    rule: str
    wrong: str
    fix: str

    def __str__(self) -> str:
        return f"{self.wrong}: {self.fix}"


class NotForProduction(SettingsError):
    """Something insecure is set up: names every finding."""

    def __init__(self, found: Sequence[Finding]) -> None:
        super().__init__(
            "\n  ".join([f"not with JIEBANG_ENV=production ({len(found)} to put right)", *map(str, found)])
        )
        self.found = found


@dataclass(frozen=True)
class Rule:
    """What must not be so."""

    name: str
    broken: Callable[[Settings], bool]
    wrong: str
    fix: str


def findings(settings: Settings) -> list[Finding]:
    """Everything that must not be so in production. What cannot even be read is a finding as well."""
    found: dict[str, Finding] = {}
    for rule in RULES:
        try:
            if rule.broken(settings):
                found.setdefault(rule.wrong, Finding(rule.name, rule.wrong, rule.fix))
        except (*CANNOT_RUN, engine.EngineError) as error:
            wrong, _, fix = str(error).partition(": ")
            found.setdefault(wrong, Finding(rule.name, wrong, fix))
        except DBAPIError as error:
            wrong = f"the database does not answer as it should ({type(error.orig).__name__})"
            found[wrong] = Finding(rule.name, wrong, "check JIEBANG_DATABASE_URL, run starter.py migrate")
    return list(found.values())


def check(settings: Settings) -> None:
    """Raises NotForProduction where these settings are for production and something is insecure."""
    if settings.env is Environment.PRODUCTION and (found := findings(settings)):
        raise NotForProduction(found)


# ── the rules ────────────────────────────────────────────────────────────────────────────────────────────


def here(host: str) -> bool:
    """Whether a host is this machine: what goes there crosses no network."""
    if host.strip("[]").lower() == "localhost" or host.startswith("/"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _sandbox_registry(settings: Settings) -> bool:
    inside = settings.registry.resolve().is_relative_to(SANDBOX_FOLDER)
    return inside or bool(settings.sandbox_url) or settings.registry_data.version.startswith("sandbox")


def _sandbox_accounts(settings: Settings) -> bool:
    if (settings.folder / HANDED_OUT).exists():
        return True
    reader = create(settings.database_url, writes=False)
    try:
        with reader.connect() as connection:
            return set(SANDBOX_PEOPLE) <= _tenants(connection) or _desk_of_sandbox() <= _accounts(connection)
    finally:
        reader.dispose()


def _tenants(connection: Connection) -> set[str]:
    return {client.tenant for client in clients.listed(connection) if client.revoked_at is None}


def _accounts(connection: Connection) -> set[str]:
    alive = select(accounts.c.code).where(accounts.c.disabled_at.is_(None))
    return set(connection.execute(alive).scalars())


def _desk_of_sandbox() -> set[str]:
    return {code for code, role in SANDBOX_PEOPLE.items() if role in PEOPLE}


def _temporal_in_clear(_settings: Settings) -> bool:
    config = engine.configured()
    return not config.get("tls") and not here(config["target_host"].rpartition(":")[0])


def _readable_by_others(settings: Settings) -> bool:
    return settings.keys.exists() and bool(stat.S_IMODE(settings.keys.stat().st_mode) & 0o077)


def _redis_in_clear(settings: Settings) -> bool:
    url = urlsplit(settings.limits)
    return url.scheme == "redis" and not here(url.hostname or "")


RULES: Sequence[Rule] = (
    Rule(
        "sandbox keys",
        lambda settings: settings.key_ring.sandbox,
        "the key ring was made for the sandbox",
        "set JIEBANG_KEYS to a ring of its own; starter.py migrate makes one where there is none",
    ),
    Rule(
        "key ring readable",
        _readable_by_others,
        "others than its owner may read the key ring",
        "chmod 600 the file of JIEBANG_KEYS",
    ),
    Rule(
        "sandbox registry",
        _sandbox_registry,
        "the registry is the sandbox's",
        "set JIEBANG_REGISTRY to your own and unset JIEBANG_SANDBOX_URL",
    ),
    Rule(
        "sandbox accounts",
        _sandbox_accounts,
        "the sandbox's accounts may come in, or their credentials lie in credentials.json in clear",
        "use a folder and a database the sandbox never had, or revoke them (starter.py client revoke) "
        "and delete the file",
    ),
    Rule(
        "SQLite",
        lambda settings: settings.database_url.startswith("sqlite") and not settings.sqlite_in_production,
        "the database is a SQLite file, for one machine only",
        "set JIEBANG_DATABASE_URL to PostgreSQL, or say JIEBANG_SQLITE_IN_PRODUCTION=yes",
    ),
    Rule(
        "Temporal in clear",
        _temporal_in_clear,
        "Temporal is on another machine and the connection is not encrypted",
        "set TEMPORAL_TLS=true (and its certificates), or TEMPORAL_API_KEY",
    ),
    Rule(
        "SMS centre's password",
        lambda settings: settings.smpp_password in ("", Settings.model_fields["smpp_password"].default),
        "the password at the SMS centre is the sandbox's, or there is none",
        "set JIEBANG_SMPP_PASSWORD",
    ),
    Rule(
        "SMS centre in clear",
        lambda settings: not settings.smpp_tls and not here(settings.smpp_host),
        "the SMS centre is on another machine and the connection is not encrypted",
        "set JIEBANG_SMPP_TLS=true, or reach it through a tunnel on this machine",
    ),
    Rule(
        "mail in clear",
        lambda settings: settings.smtp_tls is MailTls.NONE and not here(settings.smtp_host),
        "the mail server is on another machine and the connection is not encrypted",
        "set JIEBANG_SMTP_TLS to starttls or tls",
    ),
    Rule(
        "mail password",
        lambda settings: bool(settings.smtp_username) and not settings.smtp_password,
        "there is a login at the mail server without a password",
        "set JIEBANG_SMTP_PASSWORD",
    ),
    Rule(
        "Redis in clear",
        _redis_in_clear,
        "Redis is on another machine and the connection is not encrypted",
        "set JIEBANG_LIMITS to a rediss:// address",
    ),
    Rule(
        "public address",
        lambda settings: not re.match(r"https://", settings.public_url),
        "links to this gateway are not https",
        "set JIEBANG_PUBLIC_URL to the address of its proxy, with https",
    ),
    Rule(
        "log level",
        lambda settings: settings.log_level.upper() == "DEBUG",
        "the log level DEBUG lets libraries write what they handle",
        "set JIEBANG_LOG_LEVEL=INFO",
    ),
)
