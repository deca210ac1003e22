"""Settings and partners: production's variables stay out of the embedded stack, and misfits end a start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain import registry as registries
from domain.access import Role
from domain.registry import Registry
from runtime import settings as configuration
from runtime.credentials import CredentialsError, Issued, check, hand_out, issue_missing
from runtime.settings import SettingsError
from runtime.stack import SANDBOX_REGISTRY, Stack
from store import schema, signing
from store.database import Database
from store.keys import KeyRing

REGISTRY = """
version = "1"
[[carriers]]
code = "carrier"
name = "运营商"
endpoint = "http://127.0.0.1:9"
results = "http://127.0.0.1:9/results"
[[carriers]]
code = "idle"
name = "尚未参加"
[[enterprises]]
code = "pushed"
name = "甲"
channel = "push"
endpoint = "http://127.0.0.1:9/hooks"
apps = [{ code = "pushed-app", name = "一" }]
[[enterprises]]
code = "pulling"
name = "乙"
apps = [{ code = "pulling-app", name = "二" }]
"""

PRODUCTION = {
    "JIEBANG_FOLDER": "/production",
    "JIEBANG_DATABASE_URL": "postgresql://production/x",
    "JIEBANG_KEYS": "/production/keys.json",
    "JIEBANG_REGISTRY": "/production/registry.toml",
    "JIEBANG_PUBLIC_URL": "https://production.example",
    "JIEBANG_SMPP_HOST": "smsc.production.example",
    "JIEBANG_SMPP_TLS": "true",
    "JIEBANG_SMTP_HOST": "mail.production.example",
    "JIEBANG_SMTP_USERNAME": "production",
    "TEMPORAL_ADDRESS": "production.example:7233",
    "TEMPORAL_API_KEY": "production",
    "TEMPORAL_TLS": "true",
    "TEMPORAL_CONFIG_FILE": "/production/temporal.toml",
}


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator's shell, with everything exported; `test_starter.py` runs a whole stack in one."""
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("production")
def test_the_stack_heeds_nothing_meant_for_production(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    given = stack._process_environment()
    ours = {name: value for name, value in given.items() if name.startswith(("JIEBANG_", "TEMPORAL_"))}
    assert ours == stack.environment and "PATH" in given
    assert not set(ours.values()) & set(PRODUCTION.values())
    assert not {"TEMPORAL_API_KEY", "TEMPORAL_TLS", "JIEBANG_SMPP_TLS", "JIEBANG_SMTP_USERNAME"} & ours.keys()
    settings = stack.settings
    assert settings.database_url == f"sqlite:///{tmp_path}/jiebang.db"
    assert {settings.keys.parent, settings.folder} == {tmp_path}
    assert settings.registry == SANDBOX_REGISTRY and settings.smtp_username == ""
    assert (settings.smpp_host, settings.smtp_host, settings.smpp_tls) == ("127.0.0.1", "127.0.0.1", False)


def test_settings_come_from_the_environment_given() -> None:
    settings = configuration.load({"JIEBANG_FOLDER": "/f", "JIEBANG_SMTP_TLS": "starttls", "JIEBANG_SMPP_TLS": "yes"})
    assert settings.database_url == "sqlite:////f/jiebang.db" and settings.keys == Path("/f/keys.json")
    assert (settings.smtp_tls, settings.smpp_tls) == ("starttls", True)
    with pytest.raises(SettingsError, match=r"JIEBANG_SMTP_TLS: .*starttls"):
        configuration.load({"JIEBANG_SMTP_TLS": "perhaps"})


Here = tuple[Database, Registry, KeyRing]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    """A migrated database without any credentials, a registry and a key ring."""
    url = f"sqlite:///{tmp_path}/jiebang.db"
    schema.upgrade(url)
    with closing(Database(url)) as database:
        yield database, registries.load(REGISTRY), KeyRing.new()


def handed_out(here: Here, code: str, role: Role | None = None) -> Issued:
    database, registry, keys = here
    return database.write_now(lambda c: hand_out(c, registry, keys, code, role, datetime.now(UTC)))


def test_credentials_that_fit_may_start(here: Here, tmp_path: Path) -> None:
    database, registry, keys = here
    issue_missing(database, registry, keys, tmp_path / "credentials.json")
    before = (tmp_path / "credentials.json").read_text()
    check(database, registry)
    issue_missing(database, registry, keys, tmp_path / "credentials.json")
    assert (tmp_path / "credentials.json").read_text() == before, "who has some keeps them"
    assert "idle" not in json.loads(before)["carriers"]


def test_a_misfit_is_named_before_anything_starts(here: Here) -> None:
    database, registry, keys = here
    handed_out(here, "carrier")
    with pytest.raises(CredentialsError, match=r"enterprise pushed .*starter\.py client add pushed"):
        check(database, registry)
    assert handed_out(here, "pushed").secret and not handed_out(here, "pushed").secret, "the second client shares it"
    check(database, registry)
    database.write_now(lambda c: signing.issue(c, keys, "idle", datetime.now(UTC)))
    with pytest.raises(CredentialsError, match=r"carrier idle .*endpoint and results"):
        check(database, registry)


@pytest.mark.parametrize(
    ("code", "role", "said"),
    [
        ("idle", None, "carrier idle needs endpoint and results"),
        ("nobody", None, "add it there first, or give --role"),
        ("carrier", Role.CHANNEL, "carrier is a carrier in the registry"),
        ("new-one", Role.ENTERPRISE, "no carrier or enterprise new-one"),
        ("Worker A", Role.CASE_WORKER, "such as worker-chen"),
        ("somebody", Role.CITIZEN, "citizens come through a channel"),
    ],
)
def test_nobody_gets_credentials_that_do_not_fit(here: Here, code: str, role: Role | None, said: str) -> None:
    with pytest.raises(CredentialsError, match=said):
        handed_out(here, code, role)


def test_a_code_has_one_role(here: Here) -> None:
    handed_out(here, "worker-a", Role.CASE_WORKER)
    with pytest.raises(CredentialsError, match="worker-a is a case_worker already"):
        handed_out(here, "worker-a", Role.SUPERVISOR)
