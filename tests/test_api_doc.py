"""Every block of `docs/api.md` does what it says, against one whole stack."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from domain.access import Role
from runtime.api import Api, texts
from runtime.settings import HOUSE
from runtime.stack import Stack
from tests.chaos.conftest import until

DOCUMENT = HOUSE / "docs" / "api.md"
NUMBER = "13900000888"
CODE = re.compile(r"验证码([0-9]{6})")
CLIENT = re.compile(r"Client in the sandbox: `(\w+)`, `([\w-]+)`")
BLOCK = re.compile(r"^```(sh|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
END = "-- end of block --"
TOKEN, EVERY = "A token", "What holds for every door"
"""What belongs to no role; each role goes on from the first."""

Block = tuple[str, Any]
"""A block, and the JSON the document says it ends with (None: nothing is said)."""


def sections() -> dict[str, str]:
    """The document by its headings."""
    _, *parts = re.split(r"^## ", DOCUMENT.read_text(), flags=re.MULTILINE)
    return {title: text for title, _, text in (part.partition("\n") for part in parts)}


def blocks(text: str) -> list[Block]:
    """The blocks to run of a section, each with the answer that is printed below it."""
    found: list[Block] = []
    for kind, body in BLOCK.findall(text):
        found = [*found, (body, None)] if kind == "sh" else [*found[:-1], (found[-1][0], json.loads(body))]
    return found


class Reader:
    """Somebody who types the document in."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._credentials = json.loads(stack.credentials.read_text())

    def read(self, *parts: str, client: str, **variables: str) -> list[Any]:
        """Run these sections in one shell; what their last blocks answered."""
        group, code = self._client(client)
        known = self._credentials[group][code]
        given = {"API": self._stack.api, "CLIENT": known["client_id"], "SECRET": known["client_secret"], **variables}
        wanted = [block for part in parts for block in blocks(sections()[part])]
        script = "".join(f"{body}\necho; echo '{END}'\n" for body, _ in wanted)
        (self._folder / "script").write_text(script)
        seen = len(self._codes())
        with subprocess.Popen(
            ["bash", "-euo", "pipefail", "script"],
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "NO_PROXY": "*", "LC_ALL": "C.UTF-8", **given},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as shell:
            typed = until(lambda: self._codes()[seen:])[0] + "\n" if "read -rp" in script else ""
            out, err = shell.communicate(typed, timeout=60)
        assert shell.returncode == 0, f"{parts}: {out}{err}"
        answers = out.split(END)
        for (body, expected), said in zip(wanted, answers, strict=False):
            if expected is not None:
                has(json.loads(said), expected, body)
        return [json.loads(said) for (_, expected), said in zip(wanted, answers, strict=False) if expected]

    def _codes(self) -> list[str]:
        found = [CODE.search(one["text"]) for one in texts(self._stack.folder, NUMBER)]
        return [one[1] for one in found if one]

    @staticmethod
    def _client(part: str) -> tuple[str, str]:
        (found,) = CLIENT.findall(sections()[part])
        return found[0], found[1]


def has(said: Any, expected: Any, where: str) -> None:
    """Whether an answer has all that the document shows, in its form; words and figures may be others."""
    if isinstance(expected, Mapping):
        assert isinstance(said, Mapping) and expected.keys() <= said.keys(), (where, said)
        for name, value in expected.items():
            has(said[name], value, f"{where}: {name}")
    elif isinstance(expected, list):
        assert isinstance(said, list) and len(said) >= min(len(expected), 1), (where, said)
        for one in said[: len(expected)]:
            has(one, expected[0], where)
    else:
        assert type(said) is type(expected), (where, said)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for the whole document."""
    with Stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


def test_every_block_runs_and_says_what_is_printed(stack: Stack, tmp_path: Path) -> None:
    reader = Reader(stack, tmp_path)
    channel, carrier = (Api.from_folder(stack.folder, None, None, who) for who in ("channel", "carrier"))

    def as_(role: str, **variables: str) -> Any:
        return reader.read(TOKEN, role, client=role, **variables)[-1]

    me, nobody = reader.read(TOKEN, EVERY, client="Channel")
    assert me["role"] == "channel" and nobody["code"] == "not_signed_in"
    case = as_("Channel")["case"]
    until(lambda: channel.call("GET", f"/v1/disputes/{case}")["claims"][0]["state"] == "hotline")
    assert as_("Citizen", CASE=case)["apps"][0]["state"] == "hotline"
    renewal = as_("Carrier")["case"]
    until(lambda: carrier.show(renewal)["apps"])
    assert as_("Enterprise")["work_items"][0]["app"] == "nanzhi-qianbao"
    assert as_("Case worker", CASE=case)["changed"] and as_("Supervisor", CASE=case)["changed"]
    (given,) = json.loads((tmp_path / "worker-lin.json").read_text())["cases"]
    assert given["case"] == case, "the supervisor gave it to somebody"
    assert as_("Auditor")["entries"][0]["actor"] == "auditor:auditor-qian"
    assert as_("Administrator")["clients"][0]["role"] == "channel"


def test_every_role_has_its_section() -> None:
    parts = sections()
    assert {part.lower().replace(" ", "_") for part in parts} - {role.value for role in Role} == {
        part.lower().replace(" ", "_") for part in (TOKEN, EVERY)
    }
    assert all(blocks(parts[role.value.capitalize().replace("_", " ")]) for role in Role)
