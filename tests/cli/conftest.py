"""Commands run in this process, as `starter.py` runs them, against one whole stack per module.

A process of its own costs a second each; `test_starter.py` starts some.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import typer

import starter
from runtime.api import Api
from runtime.stack import Stack
from tests.chaos.conftest import PLAIN, until

NUMBER = re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)")
CODE = re.compile(r"(?<!\d)\d{6}(?!\d)")
ID_TAIL = "15106X"
BUILT = typer.main.get_command(starter.app)
"""All commands, put together once: as much work as running one."""

Typed = str | Callable[[], str]


class Typing(io.StringIO):
    """What somebody types, a line at a time; some of it only known when it is wanted."""

    def __init__(self, answers: Sequence[Typed]) -> None:
        super().__init__()
        self._answers = list(answers)

    def readline(self, *_: Any) -> str:
        if not self._answers:
            return ""
        answer = self._answers.pop(0)
        return f"{answer if isinstance(answer, str) else answer()}\n"


@dataclass(frozen=True)
class Done:
    """What a command ended with and printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self
        return json.loads(self.out)


def run(folder: Path, *words: str, typed: Sequence[Typed] = (), who: str = "") -> Done:
    """Run a command with the folder of a stack; no number and no traceback ever comes out of one."""
    given = {"JIEBANG_FOLDER": str(folder), "COLUMNS": "400", **({"JIEBANG_AS": who} if who else {})}
    clean = {key: value for key, value in os.environ.items() if not key.startswith("JIEBANG_")}
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, clean | given, clear=True),
        patch.object(starter, "app", BUILT),
        patch.object(sys, "argv", ["starter.py", *words]),
        patch.object(sys, "stdin", Typing(typed)),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            starter.main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    done = Done(code, out.getvalue(), err.getvalue())
    assert not NUMBER.search(done.out + done.err), done
    assert "Traceback" not in done.err, done
    return done


class Terminal:
    """Somebody at a terminal, beside a running stack."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._numbers = count(13900010100)

    def __call__(self, *words: str, typed: Sequence[Typed] = (), who: str = "") -> Done:
        """Run a command."""
        return run(self.stack.folder, *words, typed=typed, who=who)

    def number(self) -> str:
        """A number nobody has used yet."""
        return str(next(self._numbers))

    def code(self, number: str, check: str) -> str:
        """The code of a check, once the phone has it."""

        def look() -> str | None:
            found = [CODE.search(text) for text in self.texts(number) if check in text]
            return found[-1][0] if found and found[-1] else None

        return until(look)

    def newest_code(self, number: str) -> Callable[[], str]:
        """The code of the check that is being made right now."""
        before = len(self.texts(number))

        def look() -> str | None:
            found = [code[0] for text in self.texts(number)[before:] if (code := CODE.search(text))]
            return found[-1] if found else None

        return lambda: until(look)

    def texts(self, number: str) -> list[str]:
        """What a phone got, the newest last."""
        answer = PLAIN.post(f"{self.stack.world}/world/phone", json={"number": number})
        return [one["text"] for one in answer.json()["texts"]]

    # ── preparations, without the command line ───────────────────────────────────────────────────────

    @cached_property
    def channel(self) -> Api:
        return Api.from_folder(self.stack.folder, None, None, "channel")

    def proof(self, number: str, purpose: str) -> str:
        """A verified identity check."""
        body = {"number": number, "id_tail": ID_TAIL, "purpose": purpose, "origin": f"test-{purpose}"}
        check: str = self.channel.open("/v1/identity-checks", body)["check"]
        code = self.code(number, check)
        self.channel.call("POST", f"/v1/identity-checks/{check}/code", json={"code": code})
        until(lambda: self.channel.call("GET", f"/v1/identity-checks/{check}")["opens_until"])
        return check

    def dispute(self, *apps: str, number: str = "", reason: str = "not_mine") -> tuple[str, str]:
        """An open dispute over these apps, and the check that looks into it."""
        check = self.proof(number or self.number(), "dispute")
        claims = [{"app": app, "reason": reason} for app in apps]
        return str(self.channel.open("/v1/disputes", {"check": check, "claims": claims})["case"]), check

    def claims(self, case: str) -> dict[str, str]:
        """Where each claim of a dispute stands."""
        return {one["app"]: one["state"] for one in self.channel.call("GET", f"/v1/disputes/{case}")["claims"]}

    def brought_to(self, case: str, app: str, state: str) -> None:
        """Wait until a claim stands so."""
        until(lambda: self.claims(case)[app] == state)

    def with_case_worker(self, *apps: str) -> str:
        """A dispute whose claims are all a case worker's: their enterprises say no, and no hotline helped."""
        case, check = self.dispute(*apps)
        for app in apps:
            self.brought_to(case, app, "hotline")
            self.channel.call("POST", f"/v1/disputes/{case}/unsolved", json={"check": check, "app": app})
        return case

    def complaint(self, kind: str, *apps: str) -> str:
        """A complaint that has gone on as another case."""
        check = self.proof(self.number(), "complaint")
        body = {"check": check, "kind": kind, "apps": list(apps), "text": "Still their codes."}
        case: str = self.channel.open("/v1/complaints", body)["case"]
        until(lambda: self.channel.call("GET", f"/v1/complaints/{case}")["follow_ups"])
        return case


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal beside a stack of this module's own."""
    with Stack(tmp_path_factory.mktemp("stack")) as running:
        yield Terminal(running)
