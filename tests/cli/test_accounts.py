"""Accounts from the command line; what comes of them at the doors is tested there."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pyotp import TOTP
from typer.testing import CliRunner, Result

from commands.accounts import app
from commands.common import REFUSED
from store import accounts, schema, trail
from store.accounts import Proof
from store.database import Database
from store.keys import KeyRing
from store.trail import Wanted

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A house that was never up."""
    KeyRing.new().save(tmp_path / "keys.json")
    schema.upgrade(f"sqlite:///{tmp_path}/jiebang.db")
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    """`starter.py account …`."""

    def run(*words: str, **settings: str) -> Result:
        return CliRunner().invoke(app, words, env={"JIEBANG_FOLDER": str(folder), **settings})

    return run


def opened(folder: Path, job: Callable[..., Any]) -> Any:
    """What the house knows afterwards."""
    database = Database(f"sqlite:///{folder}/jiebang.db")
    try:
        return database.write_now(job)
    finally:
        database.close()


def test_an_account_is_made_reset_and_disabled(run: Run, folder: Path) -> None:
    made = json.loads(run("add", "worker-chen", "--role", "case_worker", "--json").output)
    again = json.loads(run("reset", "worker-chen", "--json").output)
    assert again["password"] != made["password"] and len(again["password"]) >= 20
    secret = parse_qs(urlsplit(again["otpauth"]).query)["secret"][0]
    keys, now = KeyRing.load(folder / "keys.json"), datetime.now(UTC)
    kept = opened(folder, lambda c: accounts.find(c, "worker-chen")).password
    assert accounts.fits(kept, again["password"]) and not accounts.fits(kept, made["password"])
    code = TOTP(secret).at(now)
    assert opened(folder, lambda c: accounts.prove(c, keys, "worker-chen", kept, code, now)) is Proof.RIGHT

    assert run("disable", "worker-chen").exit_code == 0
    for words in (("reset", "worker-chen"), ("disable", "nobody"), ("add", "worker-chen", "--role", "auditor")):
        assert run(*words).exit_code == REFUSED
    assert run("add", "tencent", "--role", "enterprise").exit_code == REFUSED
    (listed,) = json.loads(run("list", "--json").output)
    assert (listed["state"], listed["signs_in_by"]) == ("disabled", [])
    noted = opened(folder, lambda c: trail.page(c, Wanted(about="worker-chen"), None, 9))
    assert [one.action.value for one in noted] == ["account_disabled", "account_reset", "account_added"]
    assert all(one.actor.startswith("operator:") for one in noted)


def test_who_signs_in_at_a_provider_has_no_password(run: Run) -> None:
    add = ("add", "auditor-he", "--role", "auditor", "--oidc-subject", "he@example.org")
    assert run(*add).exit_code == REFUSED  # of which provider?
    provider = {"JIEBANG_OIDC_ISSUER": "https://id.example", "JIEBANG_OIDC_CLIENT_ID": "jiebang"}
    done = run(*add, **provider)
    assert done.exit_code == 0 and "password" not in done.output
    assert "openid" in run("list").output
    assert run("add", "worker-lin", "--role", "case_worker", **provider).exit_code == 0
    assert run("link", "worker-lin", "he@example.org", **provider).exit_code == REFUSED
    assert run("link", "worker-lin", "lin@example.org", **provider).exit_code == 0


def test_a_clerk_is_of_an_enterprise_that_the_registry_has(run: Run, folder: Path) -> None:
    clerk = ("add", "clerk-li", "--role", "enterprise")
    for words in (
        clerk,
        (*clerk, "--enterprise", "nobody-here"),
        ("add", "jd", *clerk[2:], "--enterprise", "tencent"),
    ):
        refused = run(*words)
        assert refused.exit_code == REFUSED and "Traceback" not in refused.output, words
    assert run("add", "worker-he", "--role", "case_worker", "--enterprise", "tencent").exit_code == REFUSED
    assert "password" in json.loads(run(*clerk, "--enterprise", "tencent", "--json").output)
    (listed,) = json.loads(run("list", "--json").output)
    assert (listed["account"], listed["role"], listed["enterprise"]) == ("clerk-li", "enterprise", "tencent")
    assert opened(folder, lambda c: accounts.find(c, "clerk-li")).tenant == "tencent"
