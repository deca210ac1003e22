"""Following `docs/add-an-enterprise.md` to the letter works, and mistakes are named."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from domain.registry import RegistryError, load
from tests.cli.test_starter import starter

DOCUMENT = Path("docs/add-an-enterprise.md").read_text()
ENTRY, ENDPOINT = re.findall(r"```toml\n(.*?)```", DOCUMENT, re.S)
_ADD, COPY, UP, RENEW = (shlex.split(line) for line in re.findall(r"```\n(.*?)\n```", DOCUMENT))


def test_a_new_enterprise_takes_part(tmp_path: Path) -> None:
    """The document's commands, in a folder of the test's own."""
    command, original, copy = COPY
    assert command == "cp"
    registry = Path(shutil.copy(original, tmp_path / copy))
    registry.write_text(registry.read_text() + re.sub(r"endpoint = .*\n", lambda _: ENDPOINT, ENTRY))
    name, _, value = UP[0].partition("=")
    assert (name, value, UP[1:]) == ("JIEBANG_REGISTRY", copy, ["make", "up"])
    words = [str(Path("starter.py").resolve()), "up", "--json", "--folder", "stack"]
    up = subprocess.Popen(
        [sys.executable, *words], cwd=tmp_path, env={**os.environ, name: value}, stdout=subprocess.PIPE, text=True
    )
    assert up.stdout
    said, last = json.JSONDecoder(), ""
    while "}" not in last:
        last += up.stdout.readline() or pytest.fail("up ended")
    assert said.decode(last)["api"].startswith("http://127.0.0.1:")
    try:
        assert RENEW[:2] == [".venv/bin/python", "starter.py"]
        done = starter(*RENEW[2:], "--json", folder=tmp_path / "stack")
    finally:
        up.send_signal(signal.SIGINT)
    assert done.returncode == 0, done.stderr
    (app,) = json.loads(done.stdout)["apps"]
    assert app["enterprise_name"] == "示例读书" and app["outcome"]
    assert up.wait(30) == 0


def test_a_mistake_is_named_as_the_document_says() -> None:
    real = Path("domain/registry.toml").read_text()
    with pytest.raises(RegistryError, match=r"registry, enterprises\.8: .*channel push needs endpoint"):
        load(real + re.sub(r'endpoint = ".*?"', "", ENTRY))
