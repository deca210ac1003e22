"""The gateway as a process: what keeps it from starting is one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.protocol_doc import FILE
from store.keys import KeyRing

HOUSE = FILE.parent.parent


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("JIEBANG_KEYS", "nowhere.json", "there is no key ring"),
        ("JIEBANG_REGISTRY", "nowhere.toml", "no registry"),
        ("JIEBANG_SMTP_PORT", "many", "JIEBANG_SMTP_PORT"),
    ],
)
def test_what_keeps_it_from_starting_is_a_sentence(tmp_path: Path, variable: str, value: str, said: str) -> None:
    KeyRing.new().save(tmp_path / "keys.json")
    environment = {"JIEBANG_FOLDER": str(tmp_path), "JIEBANG_SANDBOX_URL": "http://127.0.0.1:1", variable: value}
    ended = subprocess.run(
        [sys.executable, "-m", "gateway", "--port", "1"],
        cwd=HOUSE, env=environment, capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (4, "")
    assert said in ended.stderr and "Traceback" not in ended.stderr and ended.stderr.count("\n") == 1
