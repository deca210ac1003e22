"""Nothing insecure starts in production; every finding is named at once, with how to put it right."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

import starter
import worker
from gateway import app as gateway_app
from runtime import production
from runtime.credentials import SANDBOX_PEOPLE
from runtime.production import RULES, NotForProduction, findings, here
from runtime.settings import CANNOT_RUN, HOUSE, load
from store import clients
from store.database import Database
from store.keys import KeyRing

REGISTRY = """
version = "1"
[[carriers]]
code = "carrier"
name = "运营商"
[[enterprises]]
code = "pulling"
name = "甲"
apps = [{ code = "pulling-app", name = "一" }]
"""
Change = Mapping[str, str] | Callable[[Path], None]


@pytest.fixture
def environment(tmp_path: Path, _migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An installation with nothing insecure about it."""
    (tmp_path / "registry.toml").write_text(REGISTRY)
    shutil.copy(_migrated_sqlite, tmp_path / "jiebang.db")
    KeyRing.new().save(tmp_path / "keys.json")
    given = {
        "JIEBANG_ENV": "production",
        "JIEBANG_FOLDER": str(tmp_path),
        "JIEBANG_REGISTRY": str(tmp_path / "registry.toml"),
        "JIEBANG_SQLITE_IN_PRODUCTION": "yes",
        "JIEBANG_PUBLIC_URL": "https://jiebang.example",
        "JIEBANG_SMPP_HOST": "smsc.example",
        "JIEBANG_SMPP_TLS": "true",
        "JIEBANG_SMPP_PASSWORD": "of our own",
        "JIEBANG_SMTP_HOST": "mail.example",
        "JIEBANG_SMTP_TLS": "starttls",
        "JIEBANG_LIMITS": "rediss://redis.example/0",
    }
    for name, value in {"TEMPORAL_ADDRESS": "127.0.0.1:7233", "TEMPORAL_CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(name, value)
    return given


def test_a_proper_installation_may_start(environment: dict[str, str]) -> None:
    assert findings(load(environment)) == []
    production.check(load(environment))


def sandbox_ring(folder: Path) -> None:
    KeyRing.new(sandbox=True).rotated().save(folder / "keys.json")


def sandbox_clients(folder: Path) -> None:
    database = Database(f"sqlite:///{folder}/jiebang.db")
    now = datetime.now(UTC)
    database.write_now(lambda c: [clients.issue(c, code, role, now) for code, role in SANDBOX_PEOPLE.items()])
    database.close()


BROKEN: list[tuple[str, Change]] = [
    ("sandbox keys", sandbox_ring),
    ("key ring readable", lambda folder: (folder / "keys.json").chmod(0o640)),
    ("sandbox registry", {"JIEBANG_SANDBOX_URL": "http://127.0.0.1:1"}),
    (
        "sandbox registry",
        lambda folder: (folder / "registry.toml").write_text(REGISTRY.replace('"1"', '"sandbox-1"')) and None,
    ),
    ("sandbox accounts", lambda folder: (folder / "credentials.json").write_text("{}") and None),
    ("sandbox accounts", sandbox_clients),
    ("SQLite", {"JIEBANG_SQLITE_IN_PRODUCTION": "no"}),
    ("Temporal in clear", {"TEMPORAL_ADDRESS": "temporal.example:7233"}),
    ("SMS centre's password", {"JIEBANG_SMPP_PASSWORD": "jiebang"}),
    ("SMS centre in clear", {"JIEBANG_SMPP_TLS": "false"}),
    ("mail in clear", {"JIEBANG_SMTP_TLS": "none"}),
    ("mail password", {"JIEBANG_SMTP_USERNAME": "jiebang"}),
    ("Redis in clear", {"JIEBANG_LIMITS": "redis://redis.example/0"}),
    ("public address", {"JIEBANG_PUBLIC_URL": "http://jiebang.example"}),
    ("log level", {"JIEBANG_LOG_LEVEL": "debug"}),
]


@pytest.mark.parametrize(("rule", "change"), BROKEN, ids=[f"{n}-{rule}" for n, (rule, _) in enumerate(BROKEN)])
def test_each_rule_finds_what_it_is_for(
    environment: dict[str, str], tmp_path: Path, rule: str, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    if callable(change):
        change(tmp_path)
    else:
        for name, value in change.items():
            monkeypatch.setenv(name, value)
        environment |= change
    (found,) = findings(load(environment))
    assert found.rule == rule and found.fix
    with pytest.raises(NotForProduction, match="1 to put right"):
        production.check(load(environment))
    production.check(load({**environment, "JIEBANG_ENV": "development"}))


def test_every_rule_is_tried() -> None:
    assert {rule for rule, _ in BROKEN} == {rule.name for rule in RULES}


def test_what_encrypts_the_way_to_temporal(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")
    monkeypatch.setenv("TEMPORAL_API_KEY", "a key")
    assert findings(load(environment)) == []
    monkeypatch.setenv("TEMPORAL_TLS", "false")
    assert [one.rule for one in findings(load(environment))] == ["Temporal in clear"]


def test_what_cannot_be_read_is_a_finding(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "keys.json").unlink()
    (tmp_path / "registry.toml").write_text("rubbish")
    (tmp_path / "jiebang.db").unlink()
    assert [one.rule for one in findings(load(environment))] == [
        "sandbox keys",
        "sandbox registry",
        "sandbox accounts",
    ]


@pytest.mark.parametrize(
    ("host", "is_here"),
    [("127.0.0.1", True), ("localhost", True), ("[::1]", True), ("10.0.0.1", False), ("smsc", False), ("", False)],
)
def test_what_is_this_machine(host: str, is_here: bool) -> None:
    assert here(host) is is_here


def test_neither_part_starts_and_all_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    KeyRing.new(sandbox=True).save(tmp_path / "keys.json")
    (tmp_path / "credentials.json").write_text("{}")
    insecure = {
        "JIEBANG_FOLDER": str(tmp_path),
        "JIEBANG_ENV": "production",
        "JIEBANG_REGISTRY": str(HOUSE / "sandbox" / "registry.toml"),
        "JIEBANG_SANDBOX_URL": "http://127.0.0.1:1",
        "TEMPORAL_CONFIG_FILE": os.devnull,
    }
    for name, value in insecure.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["worker.py"])
    assert worker.main() == worker.NO_ANSWER == 4
    first, *each = capsys.readouterr().err.splitlines()
    assert first == "cannot run: not with JIEBANG_ENV=production (6 to put right)" and len(each) == 6
    assert all(": " in line for line in each)
    with pytest.raises(CANNOT_RUN) as refused:  # which `python -m gateway` ends with, as with all of these
        gateway_app.create(load())
    assert f"cannot run: {refused.value}".splitlines() == [first, *each]

    monkeypatch.setattr(sys, "argv", ["starter.py", "preflight", "--json"])
    with pytest.raises(SystemExit) as ended:
        starter.main()
    told = json.loads(capsys.readouterr().out)
    assert (ended.value.code, told["ok"], len(told["findings"])) == (1, False, 6)
    assert all(set(one) == {"rule", "wrong", "fix"} for one in told["findings"])
