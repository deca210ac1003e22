"""`starter.py demo`: the main jobs on real parts — a renewal over 220 apps, then a query and the dispute it leads to."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from domain.privacy import mask_text
from domain.renewal import RenewalStatus
from domain.unbind import ItemState
from runtime import render
from runtime.api import Api, ApiError
from runtime.stack import Stack
from sandbox.behaviour import expected_state
from sandbox.second_act import SecondAct
from store import audit, views
from store.database import Database

NUMBER = "13912345678"
ID_TAIL = "01123X"
LONGEST = timedelta(seconds=100)


def run(folder: Path, count: int, out: Console) -> int:
    """0 only if every app ended in the state its behaviour calls for and the ledger is whole."""
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    stack = Stack(folder)
    with out.status("starting Temporal, the sandbox world, a worker and the gateway …"):
        stack.__enter__()
    try:
        out.print(
            f"The stack is up after {time.monotonic() - began:.1f} s: gateway {stack.api}, Temporal {stack.temporal}"
        )
        api = Api.from_folder(folder, None, None)
        case = _submit(api, count, out)
        view = _watch(api, case, out)
        acts = [_conclude(stack, case, view, out), _second_act(stack, out), _verified(stack, out)]
    finally:
        with out.status("ending everything …"):
            stack.stop()
    where = os.path.relpath(folder)
    out.print(f"\nDone in {time.monotonic() - began:.0f} s; nothing is left running. Everything is under {where}.")
    out.print("Where to look next:")
    for words, what in (
        (f"JIEBANG_FOLDER={where} .venv/bin/python starter.py verify", "check the ledger again"),
        ("make up", "the same stack, until Ctrl-C"),
        ("docs/enterprise-protocol.md", "how an enterprise takes part"),
    ):
        out.print(f"  {words}   {what}", soft_wrap=True)
    return 0 if all(acts) else 1


def _submit(api: Api, count: int, out: Console) -> str:
    now = datetime.now(UTC)
    codes = [app["app"] for app in api.apps()][:count]
    case = api.renew(NUMBER, now - timedelta(days=60), codes, ID_TAIL, now, secrets.token_urlsafe(16))
    out.print(f"The carrier handed in a renewal of {mask_text(NUMBER)} over {len(codes)} apps: case {case}\n")
    return case


def _watch(api: Api, case: str, out: Console) -> dict[str, Any]:
    until = time.monotonic() + LONGEST.total_seconds()
    with Live(console=out, refresh_per_second=4) as live:
        while True:
            view = api.show(case)
            live.update(render.progress(view, max(min(out.height - 8, 20), 5)))
            if view["status"] == RenewalStatus.CLOSED or time.monotonic() > until:
                return view
            time.sleep(0.4)


def _conclude(stack: Stack, case: str, view: dict[str, Any], out: Console) -> bool:
    """Show what came of it, and compare it with what should have."""
    seen = httpx.get(f"{stack.world}/world/state", timeout=10, trust_env=False).json()
    for message in seen["sms"]:
        out.print(Panel(message["text"], title="short message from 10699000", width=76))
    out.print(_summary(view))
    database = Database(stack.settings.database_url)
    try:
        wrong = database.read_now(lambda c: _unexpected(views.renewal_view(c, case)))
    finally:
        database.close()
    for line in wrong:
        out.print(f"[bold red]not as expected:[/bold red] {line}")
    twice = [item for item, effects in seen["effects"].items() if effects != 1]
    if twice:
        out.print(f"[bold red]carried out more than once:[/bold red] {', '.join(twice)}")
    closed = view["status"] == RenewalStatus.CLOSED
    if not closed:
        out.print(f"[bold red]the renewal is still {view['status']}[/bold red]: see {stack.folder}/logs")
    if closed and not wrong:
        out.print(f"Every one of the {len(view['apps'])} apps ended as its enterprise's behaviour calls for.")
    return closed and not wrong and not twice and bool(seen["sms"])


def _second_act(stack: Stack, out: Console) -> bool:
    """A query and a dispute; what did not come as it should is one sentence."""
    try:
        return SecondAct(stack, out).play()
    except (ApiError, TimeoutError, StopIteration) as error:
        out.print(f"[bold red]the second act broke off:[/bold red] {error}")
        return False


def _verified(stack: Stack, out: Console) -> bool:
    database = Database(stack.settings.database_url)
    try:
        with out.status("verifying the ledger …"):
            found = database.read_now(lambda c: audit.verify(c, stack.settings.key_ring))
    except audit.Difference as difference:
        out.print(f"[bold red]the ledger is not whole:[/bold red] {difference}")
        return False
    finally:
        database.close()
    out.print(f"The ledger is whole: {found.events} events, {found.cases} cases, {found.work_items} work items.")
    return True


def _summary(view: dict[str, Any]) -> Table:
    table = Table(title="What became of the apps", box=None)
    table.add_column("Outcome")
    table.add_column("Apps", justify="right")
    found = Counter(ItemState(app["state"]) for app in view["apps"])
    for state in ItemState:
        if found[state]:
            table.add_row(state.value.replace("_", " "), str(found[state]), style=render.STYLE[state])
    return table


def _unexpected(view: views.RenewalView | None) -> list[str]:
    if view is None:
        return ["the case is gone"]
    return [
        f"{item.app} of {item.enterprise} is {item.state.value}, not {expected.value}"
        for item in view.items
        if item.state is not (expected := expected_state(item.enterprise, item.id))
    ]
