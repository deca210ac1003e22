"""The schema's migrations, run from code: at start-up of the embedded stack and in tests."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

HERE = Path(__file__).resolve().parent.parent


def configuration(url: str) -> Config:
    """Alembic's configuration for a database."""
    config = Config(toml_file=HERE / "pyproject.toml")
    config.set_main_option("script_location", str(HERE / "migrations"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def upgrade(url: str) -> None:
    """To the newest shape."""
    command.upgrade(configuration(url), "head")


def downgrade(url: str) -> None:
    """To nothing."""
    command.downgrade(configuration(url), "base")


def current(connection: Connection) -> str | None:
    """The migration the database is at; None for one without any."""
    return MigrationContext.configure(connection).get_current_revision()


@lru_cache(maxsize=1)
def newest() -> str | None:
    """The newest migration there is."""
    return ScriptDirectory.from_config(configuration("")).get_current_head()


def check(url: str) -> None:
    """Raises alembic.util.CommandError when tables and migrations disagree."""
    command.check(configuration(url))
