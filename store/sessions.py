"""Sessions of people who signed in: found by a digest of what their cookie carries, over when idle, old or ended."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from domain.access import Role
from store.tables import accounts, sessions

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=12)

SEEN_EVERY = timedelta(minutes=1)
"""So precisely is it kept when a session was last used: not every request is a write."""


@dataclass(frozen=True)
class Session:
    """Somebody who is signed in, until when at the latest and until when without doing anything."""

    digest: str
    account: str
    role: Role
    seen_at: datetime
    ends_at: datetime
    tenant: str = ""
    """The enterprise a clerk works for."""

    @property
    def over_at(self) -> datetime:
        """When it is over if nothing more is done."""
        return min(self.ends_at, self.seen_at + IDLE)


def digest(session_id: str) -> str:
    """An id is 256 random bits, so a plain SHA-256 of it cannot be guessed back."""
    return hashlib.sha256(session_id.encode()).hexdigest()


def begin(connection: Connection, account: str, role: Role, now: datetime, tenant: str = "") -> tuple[str, Session]:
    """A fresh session, and its id, which nobody but the cookie will know."""
    session_id = secrets.token_urlsafe(32)
    session = Session(digest(session_id), account, role, now, now + LONGEST, tenant)
    row = {"session_digest": session.digest, "account": account, "created_at": now}
    connection.execute(insert(sessions), {**row, "seen_at": now, "ends_at": session.ends_at})
    return session_id, session


def find(connection: Connection, session_id: str, now: datetime) -> Session | None:
    """The session of this id, if it is still alive and its account not disabled."""
    columns = (*sessions.c, accounts.c.role, accounts.c.tenant)
    joined = sessions.join(accounts, accounts.c.code == sessions.c.account)
    found = select(*columns).select_from(joined).where(sessions.c.session_digest == digest(session_id))
    row = connection.execute(found.where(accounts.c.disabled_at.is_(None))).one_or_none()
    if row is None:
        return None
    session = Session(row.session_digest, row.account, Role(row.role), row.seen_at, row.ends_at, row.tenant)
    return session if now < session.over_at else None


def seen(connection: Connection, session: Session, now: datetime) -> None:
    """It was used just now."""
    connection.execute(
        update(sessions).where(sessions.c.session_digest == session.digest, sessions.c.seen_at < now),
        {"seen_at": now},
    )


def end(connection: Connection, session_id: str) -> str | None:
    """Whose session ended; None if it had."""
    own = sessions.c.session_digest == digest(session_id)
    account = connection.execute(select(sessions.c.account).where(own)).scalar_one_or_none()
    connection.execute(delete(sessions).where(own))
    return account


def end_all(connection: Connection, account: str, keep: str = "") -> None:
    """End an account's sessions, but for the one whose digest is `keep`."""
    others = (sessions.c.account == account, sessions.c.session_digest != keep)
    connection.execute(delete(sessions).where(*others))


def purge(connection: Connection, now: datetime) -> int:
    """Drop what is over; return how many."""
    over = (sessions.c.ends_at <= now) | (sessions.c.seen_at <= now - IDLE)
    return connection.execute(delete(sessions).where(over)).rowcount
