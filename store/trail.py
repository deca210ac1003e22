"""The audit trail: what people and programs did besides cases. Codes and words only, no personal data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, insert, select

from store.tables import audit_entries

NOBODY = "nobody"
"""The actor of what somebody did who has not proven who they are."""


class Did(StrEnum):
    """What is noted."""

    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    ACCOUNT_LOCKED = "account_locked"
    SIGNED_OUT = "signed_out"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a word of the trail
    CLIENT_ADDED = "client_added"
    CLIENT_REVOKED = "client_revoked"
    KEY_ROTATED = "key_rotated"
    KEY_ENDED = "key_ended"
    ENTERPRISE_ADDED = "enterprise_added"
    ACCOUNT_ADDED = "account_added"
    ACCOUNT_LINKED = "account_linked"
    ACCOUNT_RESET = "account_reset"
    ACCOUNT_DISABLED = "account_disabled"
    EXPORTED = "exported"
    WORK_ANSWERED = "work_answered"


@dataclass(frozen=True)
class Entry:
    """One line. `actor`: a code as the ledger has it, `operator:` and who was at the command line, or `nobody`;
    `about`: the code or id of what it was done to; `detail`: a few words in the product's own vocabulary."""

    at: datetime
    actor: str
    action: Did
    about: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Noted(Entry):
    """A line of the trail with its place in it."""

    entry_id: int = 0


def note(connection: Connection, *entries: Entry) -> None:
    """Add lines, at least one, in the transaction of what they tell of."""
    connection.execute(insert(audit_entries), [{**vars(entry), "action": entry.action.value} for entry in entries])


@dataclass(frozen=True)
class Wanted:
    """Which lines to look for; what is left empty does not matter."""

    actor: str = ""
    action: Did | None = None
    about: str = ""
    since: datetime | None = None


def page(connection: Connection, wanted: Wanted, before: int | None, limit: int) -> Sequence[Noted]:
    """Lines, the newest first, from below the place `before`."""
    columns = audit_entries.c
    found = select(audit_entries).order_by(columns.entry_id.desc()).limit(limit)
    if wanted.actor:
        found = found.where(columns.actor == wanted.actor)
    if wanted.action:
        found = found.where(columns.action == wanted.action.value)
    if wanted.about:
        found = found.where(columns.about == wanted.about)
    if wanted.since:
        found = found.where(columns.at >= wanted.since)
    if before is not None:
        found = found.where(columns.entry_id < before)
    rows = connection.execute(found).mappings()
    return [Noted(**{**row, "action": Did(row["action"])}) for row in rows]
