"""How a renewal looks in a terminal: counts on top, a bar, and the apps that matter now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from domain.unbind import OPEN, ItemState

STYLE: Mapping[ItemState, str] = {
    ItemState.QUEUED: "dim",
    ItemState.DELIVERED: "cyan",
    ItemState.ACKNOWLEDGED: "blue",
    ItemState.OVERDUE: "bold red",
    ItemState.UNBOUND: "green",
    ItemState.CANCELLED: "green",
    ItemState.NOT_FOUND: "green",
    ItemState.KEPT: "yellow",
    ItemState.EXEMPT: "magenta",
    ItemState.REJECTED: "magenta",
    ItemState.WITHDRAWN: "dim",
}


def progress(view: Mapping[str, Any], rows: int) -> RenderableType:
    """A live picture: the bar, the counts, and up to `rows` apps, those that changed last first."""
    apps: Sequence[Mapping[str, Any]] = view["apps"]
    done = sum(ItemState(app["state"]) not in OPEN for app in apps)
    head = Text.assemble(
        ("Renewal ", "bold"), view["case"], "  ", view["number"], "  ", (view["status"].replace("_", " "), "bold")
    )
    bar = ProgressBar(total=max(len(apps), 1), completed=done, width=60)
    shown = sorted(apps, key=_last_change, reverse=True)[:rows]
    return Group(head, Text(f"{done} of {len(apps)} answered"), bar, counts(view), app_table(shown))


def counts(view: Mapping[str, Any]) -> RenderableType:
    """How many apps stand where."""
    found = Counter(ItemState(app["state"]) for app in view["apps"])
    words = [
        (f"{state.value.replace('_', ' ')} {found[state]}   ", STYLE[state]) for state in ItemState if found[state]
    ]
    return Text.assemble(*words) if words else Text("the enterprises have not been asked yet", style="dim")


def app_table(apps: Sequence[Mapping[str, Any]]) -> Table:
    """App, enterprise, state, time left."""
    table = Table(box=None, pad_edge=False)
    for title in ("App", "Enterprise", "State", "Time left", ""):
        table.add_column(title, no_wrap=True)
    for app in apps:
        state = ItemState(app["state"])
        table.add_row(
            app["name"],
            app["enterprise_name"],
            Text(state.value.replace("_", " "), STYLE[state]),
            time_left(state, app["due_at"]),
            Text(app["last_failure"] or app["reason"] or "", "dim"),
        )
    return table


def time_left(state: ItemState, due_at: str) -> str:
    """Until the answer is due, in the largest unit that says something."""
    if state not in OPEN:
        return ""
    seconds = (datetime.fromisoformat(due_at) - datetime.now(UTC)).total_seconds()
    late, seconds = seconds < 0, abs(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{'-' if late else ''}{seconds / size:.1f} {unit}"
    return f"{'-' if late else ''}{seconds:.0f} s"


def _last_change(app: Mapping[str, Any]) -> str:
    return max(app["answered_at"] or "", app["acknowledged_at"] or "", app["delivered_at"] or "")


ANSWER_STYLE: Mapping[str, str] = {
    "counted": "green",
    "pending": "cyan",
    "no_reply": "bold red",
    "unreachable": "yellow",
}


def query(view: Mapping[str, Any]) -> RenderableType:
    """How a query looks in a terminal: counts per app; an app without a reply is never shown as 0."""
    head = Text.assemble(
        ("Query ", "bold"), view["case"], "  ", view["number"], "  ", (view["status"].replace("_", " "), "bold")
    )
    answered = sum(one["count"] is not None for one in view["counts"])
    bar = ProgressBar(total=max(len(view["counts"]), 1), completed=answered, width=60)
    table = Table(box=None, pad_edge=False)
    for title in ("App", "Of", "Count", ""):
        table.add_column(title, no_wrap=True)
    for one in view["counts"]:
        count = "–" if one["count"] is None else str(one["count"])
        state = one["state"]
        table.add_row(one["name"], one["party"], count, Text(state.replace("_", " "), ANSWER_STYLE.get(state, "dim")))
    return Group(head, Text(f"{answered} of {len(view['counts'])} answered, {view['total']} in all"), bar, table)


def detail(found: Mapping[str, Any]) -> RenderableType:
    """The accounts of a dispute as their owner may see them."""
    table = Table(box=None, pad_edge=False)
    for title in ("App", "Account", "", "You may"):
        table.add_column(title, no_wrap=True)
    for app in found["claims"]:
        for one in app["accounts"] or ():
            whose = one["label"] or "a former holder's"
            table.add_row(app["name"], f"{app['app']}/{one['ref']}", whose, ", ".join(one["may"]))
        if app["link"]:
            table.add_row(app["name"], "", "its own identity check first", app["link"])
    return table
