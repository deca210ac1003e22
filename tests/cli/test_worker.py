"""The worker's wiring check says what is wrong before anything runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity

import worker
from activities.records import Records
from adapters.smpp import SmppCentre
from runtime.settings import Settings, load
from store.keys import KeyRing


def test_wiring_is_complete() -> None:
    done = subprocess.run([sys.executable, "worker.py", "--check"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "every contract is implemented" in done.stdout


def test_missing_and_different_activities_are_named() -> None:
    with pytest.raises(worker.WiringError, match="no activity implements record"):
        worker.check([])

    @activity.defn(name="record")
    async def other(order: int) -> None: ...

    with pytest.raises(worker.WiringError, match="record takes or gives something else"):
        worker.check([other, Records.recall])


def started(**environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("JIEBANG_")}
    return subprocess.run(
        [sys.executable, "worker.py"], capture_output=True, text=True, timeout=60, env=clean | environment
    )


def test_what_keeps_it_from_starting_is_one_sentence_and_code_4(tmp_path: Path) -> None:
    here = {"JIEBANG_FOLDER": str(tmp_path)}
    said = [started(**here, JIEBANG_SMTP_PORT="x"), started(**here)]
    KeyRing.new().save(tmp_path / "keys.json")
    said += [started(**here, JIEBANG_REGISTRY="/no.toml"), started(**here)]
    for done, about in zip(said, ("JIEBANG_SMTP_PORT", "key ring", "no.toml", "starter.py migrate"), strict=True):
        assert done.returncode == 4 and done.stdout == ""
        assert done.stderr.startswith("cannot run: ") and about in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("tls", "use_tls", "start_tls"), [("none", False, False), ("starttls", False, True), ("tls", True, False)]
)
async def test_mail_login_and_encryption_come_from_the_settings(
    tls: str, use_tls: bool, start_tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []

    async def send(_mail: object, **how: Any) -> None:
        sent.append(how)

    monkeypatch.setattr("adapters.smtp.send", send)
    login = {"JIEBANG_SMTP_USERNAME": "jie", "JIEBANG_SMTP_PASSWORD": "secret"}
    await worker.mailer(load({"JIEBANG_SMTP_TLS": tls, **login})).send("a@b.example", "s", "t", "id")
    await worker.mailer(load({})).send("a@b.example", "s", "t", "id")
    assert (sent[0]["use_tls"], sent[0]["start_tls"]) == (use_tls, start_tls)
    assert (sent[0]["username"], sent[0]["password"]) == ("jie", "secret")
    assert (sent[1]["username"], sent[1]["use_tls"], sent[1]["start_tls"]) == (None, False, False)


def test_encryption_to_the_sms_centre_comes_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []

    def centre(*_where: object, **how: Any) -> SmppCentre:
        made.append(how)
        return SmppCentre.__new__(SmppCentre)

    async def hear(_receipt: object) -> None: ...

    monkeypatch.setattr(worker, "SmppCentre", centre)
    for given in ({"JIEBANG_SMPP_TLS": "true"}, {}):
        worker.sms_centre(load(given), hear)
    assert [how["tls"] for how in made] == [True, False]
    assert Settings.model_validate({}).smpp_tls is False
