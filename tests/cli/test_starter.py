"""The command line as a person or a script uses it: words in, one sentence or JSON out, exit codes as documented.

One of each kind of ending is seen from outside, by a process of its own.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import pytest

from runtime.stack import Stack
from tests.chaos.conftest import until
from tests.cli.conftest import Terminal, run
from tests.cli.test_settings import PRODUCTION

FEW = "wechat,qq,taobao"
SLOW = "banxia-zhaopin"
"""An app whose enterprise is silent: a renewal over it can be withdrawn."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack in an operator's shell, which has everything exported that is meant for production."""
    with patch.dict(os.environ, PRODUCTION), Stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="module")
def terminal(stack: Stack) -> Terminal:
    """A terminal in this process, beside the same stack."""
    return Terminal(stack)


def starter(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command, with the folder of a stack."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("JIEBANG_")}
    environment = clean | {"JIEBANG_FOLDER": str(folder or "/nonexistent"), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "starter.py", *words], capture_output=True, text=True, env=environment, timeout=90
    )


def test_the_stack_works_beside_production_s_variables(stack: Stack) -> None:
    assert os.environ.items() >= PRODUCTION.items()
    assert stack.alive("worker") and stack.alive("gateway")


def test_renew_wait_show_verify(stack: Stack, terminal: Terminal) -> None:
    done = starter(
        "renew", "--number", "13800138000", "--activated-on", "2026-08-01", "--apps", FEW, "--wait", "--json",
        folder=stack.folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    view = json.loads(done.stdout)
    assert view["status"] == "summary_sent" and len(view["apps"]) == 3
    assert view["activated_at"] in ("2026-07-31T16:00:00Z", "2026-08-01T00:00:00+08:00")
    shown = starter("show", view["case"], folder=stack.folder)
    assert "138****8000" in shown.stdout and "微信" in shown.stdout and "13800138000" not in shown.stdout
    assert terminal("show", view["case"], "--json").json["case"] == view["case"]
    assert terminal("watch", view["case"]).code == 0
    whole = terminal("verify")
    assert whole.code == 0 and "whole" in whole.out


def test_a_batch(terminal: Terminal, tmp_path: Path) -> None:
    header = "number,activated_at,apps,checked_by,method,checked_at"
    row = f"2026-08-01T00:00:00Z,qq,counter-7,counter,{datetime.now(UTC).isoformat()}"
    file = tmp_path / "renewals.CSV"
    file.write_text("\n".join([header, f"{terminal.number()},{row}", f"{terminal.number()},{row}", f"12345,{row}"]))
    done = terminal("batch", str(file))
    assert done.code == 1 and "is done: 3 lines, 2 accepted, 1 refused." in done.out
    assert "3 " in done.out and "malformed" in done.out and "number: " in done.out
    again = terminal("batch", str(file), "--no-wait", "--json")
    view = json.loads(again.out)
    assert view["batch"] in done.out and [one["line"] for one in view["refused"]] == [3]
    file.write_text(f"{header}\n")
    assert terminal("batch", str(file)).code == 3


def test_withdraw(terminal: Terminal) -> None:
    words = ("renew", "--activated-on", "2026-08-01", "--apps", SLOW, "--json", "--number", terminal.number())
    case = terminal(*words).json["case"]
    assert terminal("withdraw", case, "--json").json["case"] == case
    ended = until(lambda: (seen := terminal("show", case, "--json").json)["ended_at"] and seen)
    assert ended["status"] == "withdrawn"
    assert terminal("withdraw", case).code in (0, 3)


def test_withdraw_says_what_became_of_the_work_items(terminal: Terminal) -> None:
    words = ("renew", "--activated-on", "2026-08-01", "--apps", f"{FEW},{SLOW},muduo-youxiang,alipay", "--json")
    case = terminal(*words, "--number", terminal.number()).json["case"]
    apps = until(lambda: terminal("show", case, "--json").json["apps"])
    done = terminal("withdraw", case)
    assert done.code == 0, done.err
    first, *rest = done.out.splitlines()
    assert case in first and ("is running" in first or "is withdrawn" in first)
    assert sum(int(word) for line in rest for word in line.split() if word.isdecimal()) == len(apps)


def test_a_number_from_activation_to_re_issue(terminal: Terminal, tmp_path: Path) -> None:
    number = terminal.number()
    first = terminal("number", "report", "activation", "--at", "2020-01-01", "--event-id", "a", typed=[number])
    assert first.code == 0 and first.out.startswith("Taken: N") and "active" in first.out
    again = ("number", "report", "activation", "--number", number, "--at", "2020-01-01", "--event-id", "a")
    assert terminal(*again).out.startswith("Known already: ")
    case = terminal(*again, "--json").json["case"]
    over = terminal("number", "report", "cancellation", "--number", number, "--at", "2026-06-01", "--json").json
    assert over["case"] == case and over["status"] == "cancelled" and over["changed"] is True
    assert terminal("number", "find", "--number", number, "--json").json["case"] == case
    found = terminal("number", "find", typed=[number])
    assert "releasable at: 2026-06-01" in found.out and "139****" in found.out

    until(lambda: terminal("number", "find", "--number", number, "--json").json["batch_at"])
    early = terminal("number", "release", "--number", number)
    assert early.code == 3 and "items_unreported" in early.err
    assert "not_released" in terminal("number", "certificate", case).err
    worker = terminal("number", "override", case, "Why not", who="worker-chen")
    assert worker.code == 3 and "not_allowed" in worker.err
    waived = terminal("number", "override", case, typed=["The last app has been shut down."])
    assert waived.code == 0 and "The next release will pass." in waived.out
    done = terminal("number", "release", "--number", number)
    assert done.code == 0 and f"number certificate {case}" in done.out and "released at" in done.out

    file = tmp_path / "certificate.json"
    assert terminal("number", "certificate", case, "--into", str(file)).code == 0
    assert terminal("number", "certificate", case, "--json").json == json.loads(file.read_text())
    read = terminal("number", "certificate", case).out
    assert "a supervisor's override" in read and "unreported" in read
    assert "genuine" in terminal("number", "verify", str(file)).out
    assert terminal("number", "verify", str(file), "--json").json == {"genuine": True, "difference": ""}
    file.write_text(file.read_text().replace('"override": true', '"override": false'))
    forged = terminal("number", "verify", str(file))
    assert forged.code == 1 and "override" in forged.err
    assert json.loads(terminal("number", "verify", str(file), "--json").out)["genuine"] is False

    assert terminal("number", "report", "reissue", "--number", number, "--json").json["life"] == 2
    shown = terminal("number", "show", case)
    assert "cancellation" in shown.out and "life 2" in shown.out
    assert [one["event"] for one in terminal("number", "show", case, "--json").json["timeline"]] == [
        "activation",
        "cancellation",
        "reissue",
    ]
    story = terminal("show", case).out
    assert "Reported cancellation" in story and "“The last app has been shut down.”" in story
    assert "Released: it may be re-issued" in story and "Next: The carrier reports" in story


def test_what_is_refused_of_a_number(terminal: Terminal, tmp_path: Path) -> None:
    text = tmp_path / "certificate.txt"
    text.write_text("no JSON")
    number = terminal.number()
    for words, code, said in (
        (("number", "report", "burial", "--number", number), 2, "burial"),
        (("number", "report", "freeze", "--number", "123"), 3, "11 digits"),
        (("number", "report", "freeze", "--number", number, "--at", "soon"), 2, "2026-08-01"),
        (("number", "report", "freeze"), 2, "Phone number is missing"),
        (("number", "find", "--number", number), 3, "unknown_number"),
        (("number", "release", "--number", number), 3, "unknown_number"),
        (("number", "show", "N000000000000"), 3, "unknown_case"),
        (("number", "certificate", "N000000000000"), 3, "unknown_case"),
        (("number", "override", "nonsense", "x"), 2, "no reference"),
        (("number", "verify", str(text)), 2, "JSON"),
        (("number", "verify", str(tmp_path / "none")), 2, "exist"),
    ):
        refused = terminal(*words)
        assert refused.code == code and said in refused.err, (words, refused)
    assert terminal("number", "report", "activation", "--number", number, "--json").code == 0
    other = terminal("number", "find", "--number", number, who="sandbox-telecom")
    assert other.code == 3 and "unknown_number" in other.err


def test_refusals_are_one_sentence_and_code_3(terminal: Terminal) -> None:
    renew = ("renew", "--activated-on", "2026-08-01")
    for words, code in (
        ((*renew, "--number", "123"), "malformed"),
        ((*renew, "--number", "13800138009", "--apps", "nope"), "unknown_app"),
        ((*renew, "--number", "13800138009", "--apps", ""), "no_apps"),
        (("renew", "--activated-on", "2999-01-01", "--number", "13800138009"), "activation_in_future"),
        (("show", "R000000000000"), "unknown_case"),
    ):
        done = terminal(*words)
        assert done.code == 3 and done.err.startswith(f"{code}: "), (words, done)


def test_wrong_words_and_nobody_there(tmp_path: Path) -> None:
    assert starter("no-such-command").returncode == 2
    absent = starter("show", "R000000000000")
    assert absent.returncode == 4 and "make up" in absent.stderr
    assert run(tmp_path, "renew", "--number", "13800138000", "--activated-on", "tomorrow").code == 2
    assert run(tmp_path, "show", "nonsense").code == 2
    assert run(tmp_path / "nowhere", "verify").code == 4
    closed = run(tmp_path, "show", "R000000000000", "--api", "http://127.0.0.1:9", "--client", "x:y")
    assert closed.code == 4 and "does not answer" in closed.err


def test_keys_rotate_in_two_steps_and_what_runs_goes_on(stack: Stack, terminal: Terminal) -> None:
    words = ("renew", "--activated-on", "2026-08-01", "--apps", FEW, "--wait", "--json", "--number")
    rotated = terminal("rotate-keys")
    assert rotated.code == 0 and "k2" in rotated.out and "together" in rotated.out
    between = terminal(*words, terminal.number())
    assert between.code == 0, between.err
    for part in ("worker", "gateway"):
        stack.kill(part)
    for part in ("worker", "gateway"):
        stack.start(part)
    changed = terminal("rewrap", "--json").json
    assert changed["current"] == "k2" and changed["changed"] > 0
    assert terminal("rewrap", "--json").json == {"current": "k2", "changed": 0, "accounts": 0, "signing_keys": 0}
    assert terminal(*words, terminal.number()).code == 0
    assert terminal("verify").code == 0
    assert terminal("rotate-keys", "--json").json == {"current": "k3"}


def test_migrate_says_whether_the_ring_is_new(tmp_path: Path) -> None:
    done = starter("migrate", "--json", folder=tmp_path)
    said = [json.loads(done.stdout), run(tmp_path, "migrate", "--json").json]
    assert said == [{"keys": str(tmp_path / "keys.json"), "new_keys": new} for new in (True, False)]


def test_people_get_clients_by_codes_the_ledger_can_name(tmp_path: Path) -> None:
    assert run(tmp_path, "migrate").code == 0
    issued = run(tmp_path, "client", "add", "worker-a", "--role", "case_worker", "--json")
    assert issued.json["client_secret"]
    refused = run(tmp_path, "client", "add", "Worker A", "--role", "supervisor")
    assert refused.code == 4 and "such as worker-chen" in refused.err


def test_tampering_is_named_and_rebuild_mends_read_models(stack: Stack, terminal: Terminal) -> None:
    path = stack.folder / "jiebang.db"

    def change(sql: str) -> None:
        with sqlite3.connect(path, timeout=10) as connection:
            connection.execute(sql)
        connection.close()

    change("UPDATE work_items SET state = 'garbled' WHERE app = 'wechat'")
    found = starter("verify", folder=stack.folder)
    assert found.returncode == 1 and "work item" in found.stderr and "rebuild" in found.stderr
    assert json.loads(terminal("verify", "--json").out)["ok"] is False
    assert terminal("rebuild").code == 0
    assert terminal("verify").code == 0
    change("UPDATE ledger SET data = replace(data, 'unbound', 'kept') WHERE type = 'reported'")
    forged = terminal("verify")
    assert forged.code == 1 and "seal" in forged.err
