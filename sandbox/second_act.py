"""The demo's second act: an account query with one silent app, a dispute raised from it, solved at the case desk.

The citizen speaks through the channel's doors; what case workers do is typed into the command line, shown as typed.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.rule import Rule

from domain.privacy import mask_text
from runtime import render
from runtime.api import Api
from runtime.settings import HOUSE
from runtime.stack import Stack

NUMBER = "13900000888"
ID_TAIL = "15106X"
LONGEST_SECONDS = 60.0
T = TypeVar("T")


class SecondAct:
    """One citizen and two case workers. `play` tells whether everything came as it should."""

    def __init__(self, stack: Stack, out: Console) -> None:
        self._stack = stack
        self._out = out
        self._citizen = Api.from_folder(stack.folder, None, None, "channel")
        self._wrong: list[str] = []

    def play(self) -> bool:
        """Query, dispute, case desk."""
        self._out.print(Rule("Second act: an account query, and a dispute"))
        query = self._query()
        self._dispute(query)
        for line in self._wrong:
            self._out.print(f"[bold red]not as expected:[/bold red] {line}")
        return not self._wrong

    # ── the citizen ──────────────────────────────────────────────────────────────────────────────────

    def _query(self) -> dict[str, Any]:
        """Ask, wait for the short message, check it against what the enterprises have in their books."""
        check = self._prove("query")
        case = self._citizen.open("/v1/queries", {"check": check, "target": "accounts", "language": "zh"})["case"]
        self._out.print(f"{mask_text(NUMBER)} asks how many accounts hang on the number: case {case}\n")
        with Live(console=self._out, refresh_per_second=4) as live:

            def reported() -> dict[str, Any] | None:
                view: dict[str, Any] = self._citizen.call("GET", f"/v1/queries/{case}")
                live.update(render.query(view))
                return view if view["delivered"] is not None else None

            view = self._until(reported, "the query's result")
        self._show_text(case)
        silent = [one["name"] for one in view["counts"] if one["count"] is None]
        self._expect(len(silent) == 1 and view["silent"] == silent, f"one app is silent, and named: {view['silent']}")
        return view

    def _dispute(self, query: dict[str, Any]) -> None:
        """Dispute what is not theirs: one app does as asked, one refuses, and a case worker sees to that."""
        disputed = self._disputed(query)
        check = self._prove("dispute")
        claims = [{"app": app, "reason": "not_mine"} for app in disputed]
        body = {"check": check, "claims": claims, "query": query["case"], "language": "zh"}
        case = self._citizen.open("/v1/disputes", body)["case"]
        self._out.print(f"\nTwo of them are not theirs: dispute {case} over {', '.join(disputed)}")
        found = self._until(lambda: self._detail(case, check), "the detail of the disputed accounts")
        self._out.print(render.detail(found))
        choices = {
            app["app"]: {one["ref"]: "unbind" for one in app["accounts"]}
            for app in found["claims"]
            if app["accounts"]
        }
        self._citizen.call("POST", f"/v1/disputes/{case}/choose", json={"check": check, "choices": choices})
        refused = self._until(lambda: self._claims(case, "hotline"), "the refusal of one enterprise")
        self._show_text(case)
        self._citizen.call("POST", f"/v1/disputes/{case}/unsolved", json={"check": check, "app": refused[0]})
        self._desk(case, refused[0])
        self._until(lambda: self._closed(case), "the end of the dispute")
        self._show_text(case)
        self._type("show", case)

    def _disputed(self, query: dict[str, Any]) -> list[str]:
        """One app that will do as asked, and one whose enterprise refuses."""
        counted = {one["app"]: one["party"] for one in query["counts"] if one["count"]}
        refusing = next(app for app, party in counted.items() if party.startswith("refusing-"))
        steady = next(app for app, party in counted.items() if "-" not in party)
        return [steady, refusing]

    def _detail(self, case: str, check: str) -> dict[str, Any] | None:
        found: dict[str, Any] = self._citizen.call("GET", f"/v1/disputes/{case}/detail", params={"check": check})
        return found if any(app["accounts"] for app in found["claims"]) else None

    def _claims(self, case: str, state: str) -> list[str] | None:
        view = self._citizen.call("GET", f"/v1/disputes/{case}")
        return [claim["app"] for claim in view["claims"] if claim["state"] == state] or None

    def _closed(self, case: str) -> bool:
        return bool(self._citizen.call("GET", f"/v1/disputes/{case}")["status"] == "closed")

    def _prove(self, purpose: str) -> str:
        """Number, ID tail, and the code from the short message."""
        body = {
            "number": NUMBER,
            "id_tail": ID_TAIL,
            "purpose": purpose,
            "origin": f"demo-{purpose}",
            "language": "zh",
        }
        check: str = self._citizen.open("/v1/identity-checks", body)["check"]
        code = self._until(lambda: self._code(check), "the code")
        self._citizen.call("POST", f"/v1/identity-checks/{check}/code", json={"code": code})
        view = self._until(
            lambda: (found := self._citizen.call("GET", f"/v1/identity-checks/{check}"))["opens_until"] and found,
            "the carrier's confirmation",
        )
        self._out.print(f"Identity check {check} for a {purpose}: code by short message, {view['status']}.")
        return check

    # ── the case desk ────────────────────────────────────────────────────────────────────────────────

    def _desk(self, case: str, app: str) -> None:
        """Two case workers, in the command line."""
        self._type("queue", "unassigned")
        self._type("claim", case)
        self._type("show", case)
        self._type("note", case, "Telephoned the enterprise: the account is a former holder's.")
        self._type("decide", case, "override", "The citizen's contract is older than the account.", "--about", app)
        self._type("approve", case, expected=3)
        self._type("approve", case, "--as", "worker-lin")

    def _type(self, *words: str, expected: int = 0) -> None:
        """One command, as typed, and what it printed."""
        who = words[words.index("--as") + 1] if "--as" in words else "worker-chen"
        self._out.print(f"\n[bold]{who}$[/bold] starter.py {shlex.join(words)}", soft_wrap=True, highlight=False)
        environment = {**os.environ, "JIEBANG_FOLDER": str(self._stack.folder), "COLUMNS": str(self._out.width)}
        if "--as" not in words:
            environment["JIEBANG_AS"] = who
        done = subprocess.run(  # noqa: S603 - our own command line
            [sys.executable, str(Path(HOUSE) / "starter.py"), *words],
            cwd=HOUSE,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        self._out.print((done.stdout + done.stderr).rstrip(), highlight=False, markup=False)
        self._expect(done.returncode == expected, f"`{words[0]}` ended with {done.returncode}, not {expected}")

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────

    def _texts(self) -> list[str]:
        """What the phone got, the newest last."""
        answer = httpx.post(f"{self._stack.world}/world/phone", json={"number": NUMBER}, timeout=10, trust_env=False)
        return [one["text"] for one in answer.json()["texts"]]

    def _code(self, check: str) -> str | None:
        found = [re.search(r"[0-9]{6}", text) for text in self._texts() if check in text]
        return found[-1][0] if found and found[-1] else None

    def _show_text(self, case: str) -> None:
        text = self._until(lambda: next((t for t in reversed(self._texts()) if case in t), None), "a short message")
        self._out.print(Panel(text, title="short message from 10699000", width=76))

    def _until(self, look: Callable[[], T | None], what: str) -> T:
        end = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < end:
            if found := look():
                return found
            time.sleep(0.3)
        raise TimeoutError(f"{what} did not come within {LONGEST_SECONDS:.0f} s: see {self._stack.folder}/logs")

    def _expect(self, fine: bool, what: str) -> None:
        if not fine:
            self._wrong.append(what)
