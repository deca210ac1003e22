"""Migrations: up, as the tables say, down to nothing, and up again."""

from __future__ import annotations

from sqlalchemy import inspect

from store import database, schema
from store.tables import metadata


def tables_of(url: str) -> set[str]:
    """The tables there are."""
    engine = database.create(url, writes=False)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_up_down_and_up_again(blank_database_url: str) -> None:
    url = blank_database_url
    for _ in range(2):
        schema.upgrade(url)
        schema.check(url)
        assert tables_of(url) == {*metadata.tables, "alembic_version"}
        schema.upgrade(url)  # nothing left to do
        schema.downgrade(url)
        assert tables_of(url) <= {"alembic_version"}
