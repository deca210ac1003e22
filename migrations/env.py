"""Alembic's environment: one line of history for SQLite and PostgreSQL, on the connection it is given."""

from __future__ import annotations

import os

from alembic import context

from store import database
from store.tables import Utc, metadata


def _render(kind: str, value: object, _autogen: object) -> str | bool:
    """Our types by the column type beneath them, so that a migration never changes its meaning later."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(value, Utc) else False


def run() -> None:
    """Migrate the database of JIEBANG_DATABASE_URL, or the one in the configuration."""
    url = context.config.get_main_option("sqlalchemy.url") or os.environ["JIEBANG_DATABASE_URL"]
    engine = database.create(url, writes=True)
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            render_item=_render,
            render_as_batch=connection.dialect.name == "sqlite",
            compare_type=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
