"""Searches of the case desk that somebody keeps for themselves, by name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select

from store.tables import saved_searches

MOST = 20
"""Searches one account keeps."""

columns = saved_searches.c


@dataclass(frozen=True)
class Saved:
    """A search: the query string of the list it gives."""

    name: str
    query: str


def listed(connection: Connection, account: str) -> list[Saved]:
    """Somebody's searches, by name."""
    wanted = select(columns.name, columns.query).where(columns.account == account).order_by(columns.name)
    return [Saved(*row) for row in connection.execute(wanted)]


def save(connection: Connection, account: str, search: Saved, now: datetime) -> bool:
    """Keep a search, instead of the one of that name if there is one; false if there are too many."""
    forget(connection, account, search.name)
    kept = select(func.count()).where(columns.account == account)
    if connection.execute(kept).scalar_one() >= MOST:
        return False
    row = {"account": account, "name": search.name, "query": search.query, "saved_at": now}
    connection.execute(insert(saved_searches), row)
    return True


def forget(connection: Connection, account: str, name: str) -> bool:
    """Whether there was one of that name; there is none any more."""
    own = (columns.account == account, columns.name == name)
    return bool(connection.execute(delete(saved_searches).where(*own)).rowcount)
