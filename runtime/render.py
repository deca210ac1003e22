"""How cases look in a terminal: counts on top, a bar, and what matters now.

Whatever comes from a case is shown as it is: nothing in it is taken for markup.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from domain.sla import SHANGHAI

STYLE: Mapping[str, str] = {
    "queued": "dim",
    "delivered": "cyan",
    "acknowledged": "blue",
    "overdue": "bold red",
    "unbound": "green",
    "cancelled": "green",
    "not_found": "green",
    "kept": "yellow",
    "exempt": "magenta",
    "rejected": "magenta",
    "withdrawn": "dim",
}
"""Work items, in the order in which their states are counted."""

OPEN = frozenset({"queued", "delivered", "acknowledged", "overdue"})
"""Work items that an enterprise still owes an answer for."""

ANSWER_STYLE: Mapping[str, str] = {
    "counted": "green",
    "pending": "cyan",
    "no_reply": "bold red",
    "unreachable": "yellow",
}

CLAIM_STYLE: Mapping[str, str] = {
    "choosing": "bold cyan",
    "own_check": "bold cyan",
    "hotline": "bold cyan",
    "done": "green",
    "settled": "green",
    "refused": "magenta",
    "overdue": "bold red",
    "with_case_worker": "yellow",
}

FOR_THE_CITIZEN = frozenset({"solved", "in_favour"})
"""Settlements after which nobody wants to know why an enterprise said no."""

UNITS = (("d", 86400), ("h", 3600), ("min", 60))


def local(text: str | None) -> str:
    """A time as people in China read it."""
    return f"{datetime.fromisoformat(text).astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}" if text else ""


def plain(word: str) -> str:
    """A word of the domain as people write it."""
    return word.replace("_", " ")


# ── renewals ─────────────────────────────────────────────────────────────────────────────────────────


def progress(view: Mapping[str, Any], rows: int) -> RenderableType:
    """A live picture: the bar, the counts, and up to `rows` apps, those that changed last first."""
    apps: Sequence[Mapping[str, Any]] = view["apps"]
    done = sum(app["state"] not in OPEN for app in apps)
    shown = sorted(apps, key=_last_change, reverse=True)[:rows]
    said = f"{done} of {len(apps)} answered"
    return Group(_head("Renewal", view), Text(said), _bar(done, len(apps)), counts(view), app_table(shown))


def renewal(view: Mapping[str, Any]) -> RenderableType:
    """Where a renewal stands, app by app, for its carrier."""
    lines = [_head("Renewal", view)]
    if view["reason"]:
        lines.append(Text(f"reason: {plain(view['reason'])}"))
    lines.append(
        Text(f"submitted {local(view['submitted_at'])}, number activated {local(view['activated_at'])} (Shanghai)")
    )
    if view["ask_again_at"]:
        lines.append(
            Text(f"the carrier does not know yet; it is asked again {local(view['ask_again_at'])} (Shanghai)")
        )
    return Group(*lines, counts(view), app_table(view["apps"]))


def counts(view: Mapping[str, Any]) -> RenderableType:
    """How many apps stand where."""
    if not view["apps"]:
        return Text("the enterprises have not been asked yet", style="dim")
    return tally(Counter(app["state"] for app in view["apps"]))


def tally(found: Mapping[str, int]) -> RenderableType:
    """How many stand where."""
    words = [(f"{plain(state)} {found[state]}   ", style) for state, style in STYLE.items() if found.get(state)]
    return Text.assemble(*words)


def app_table(apps: Sequence[Mapping[str, Any]]) -> Table:
    """App, enterprise, state, time left."""
    table = _table("App", "Enterprise", "State", "Time left", "")
    for app in apps:
        state = app["state"]
        table.add_row(
            Text(app["name"]),
            Text(app["enterprise_name"]),
            Text(plain(state), STYLE[state]),
            time_left(state, app["due_at"]),
            Text(app["last_failure"] or app["reason"] or "", "dim"),
        )
    return table


def time_left(state: str, due_at: str) -> str:
    """Until the answer is due, in the largest unit that says something."""
    if state not in OPEN:
        return ""
    seconds = (datetime.fromisoformat(due_at) - datetime.now(UTC)).total_seconds()
    return f"{'-' if seconds < 0 else ''}{_span(abs(seconds))}"


def _span(seconds: float) -> str:
    unit, size = next(((unit, size) for unit, size in UNITS if seconds >= size), ("s", 1))
    return f"{seconds / size:.{0 if size == 1 else 1}f} {unit}"


def _last_change(app: Mapping[str, Any]) -> str:
    return max(app["answered_at"] or "", app["acknowledged_at"] or "", app["delivered_at"] or "")


# ── the citizen's cases ──────────────────────────────────────────────────────────────────────────────


def query(view: Mapping[str, Any]) -> RenderableType:
    """Counts per app; an app without a reply is never shown as 0."""
    answered = sum(one["count"] is not None for one in view["counts"])
    table = _table("App", "", "Of", "Count", "")
    for one in view["counts"]:
        state = one["state"]
        count = "–" if one["count"] is None else str(one["count"])
        style = ANSWER_STYLE.get(state, "dim")
        table.add_row(Text(one["name"]), Text(one["app"], "dim"), one["party"], count, Text(plain(state), style))
    said = Text(f"{answered} of {len(view['counts'])} answered, {view['total']} in all")
    return Group(_head("Query", view), said, _bar(answered, len(view["counts"])), table)


def dispute(view: Mapping[str, Any]) -> RenderableType:
    """Where each claim of a dispute stands, what comes next and by when; why not, with the law and the remedy."""
    table = _table("App", "", "Where it stands", "What is next", wrapped=("What is next",))
    for claim in view["claims"]:
        state, following = claim["state"], claim["next"]
        how = claim["outcome"] or claim["settlement"]
        stands = f"{plain(state)}, {plain(how)}" if how else plain(state)
        until = f" ({local(following['at'])[:16]})" if following["at"] else ""
        table.add_row(
            Text(claim["name"]),
            Text(claim["app"], "dim"),
            Text(stands, CLAIM_STYLE.get(state, "")),
            Text(f"{following['what']}{until}"),
        )
        if (refusal := claim["refusal"]) and claim["settlement"] not in FOR_THE_CITIZEN:
            for line in (refusal["reason"], refusal["law"], f"{claim['party_name']} {claim['hotline']}".strip()):
                table.add_row("", "", "", Text(line, "dim"))
    lines: list[RenderableType] = [_head("Dispute", view), table]
    if view["links"]:
        lines.append(Text(f"linked with: {', '.join(view['links'])}"))
    if view["reopen_until"]:
        lines.append(Text(f"you may go on with it until {local(view['reopen_until'])} (Shanghai)"))
    return Group(*lines)


def detail(found: Mapping[str, Any]) -> RenderableType:
    """The accounts of a dispute as their owner may see them."""
    table = _table("App", "Account", "", "You may", "")
    for app in found["claims"]:
        for one in app["accounts"] or ():
            whose = one["label"] or "a former holder's"
            chosen = f"chosen: {one['chosen']}" if one["chosen"] else ""
            table.add_row(
                Text(app["name"]), Text(f"{app['app']}/{one['ref']}"), Text(whose), ", ".join(one["may"]), chosen
            )
        if app["link"]:
            table.add_row(Text(app["name"]), Text(app["app"]), "its own identity check first", Text(app["link"]), "")
        if app["accounts"] is None and not app["link"]:
            table.add_row(Text(app["name"]), Text(app["app"]), Text(plain(app["state"]), "dim"), "", "")
    return table


def complaint(view: Mapping[str, Any]) -> RenderableType:
    """Where a complaint stands, and where it went."""
    lines = [_head("Complaint", view), Text(f"{plain(view['kind'])}: {', '.join(view['apps'])}")]
    for one in view["follow_ups"]:
        lines.append(Text(f"goes on as the {one['kind']} {one['case']}  {plain(one['outcome'])}".rstrip()))
    return Group(*lines, Text(view["next"]))


def my_case(view: Mapping[str, Any], language: str) -> RenderableType:
    """Any case as its citizen sees it: where it stands app by app, what happened, what is next."""
    apps = _table("App", "Where it stands", "Until (Shanghai)", "Hotline", wrapped=("Where it stands",))
    for one in view["apps"]:
        count = "" if one["count"] is None else f"  {one['count']}"
        apps.add_row(
            Text(one["name"]), Text(one["what"][language] + count), local(one["at"])[:16], Text(one["hotline"])
        )
    lines: list[RenderableType] = [_head(plain(view["kind"]).capitalize(), view), Text(view["what"][language])]
    lines += [Text(f"{local(one['at'])}  {one['what'][language]}") for one in view["happened"]]
    lines.append(apps)
    if following := view["next"]["what"][language]:
        until = f" ({local(view['next']['at'])}, Shanghai)" if view["next"]["at"] else ""
        lines.append(Text.assemble(("Next: ", "bold"), following, until))
    return Group(*lines)


# ── the case desk ────────────────────────────────────────────────────────────────────────────────────


def queue(cases: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Cases of a queue, what is due first on top."""
    if not cases:
        return Text("nothing here", style="dim")
    narrow = ("Kind", "Status", "Waiting for", "Assignee", "")
    table = _table("Case", "Kind", "Status", "Waiting for", "Assignee", "Due (Shanghai)", "", wrapped=narrow)
    for one in cases:
        flags = [word for word in ("paused", "escalated") if one[word]]
        words = (one["kind"], one["status"], one["waiting"])
        table.add_row(one["case"], *map(plain, words), one["assignee"], local(one["due_at"])[:16], ", ".join(flags))
    return table


def story(told: Mapping[str, Any]) -> RenderableType:
    """A case from its beginning: who, when, what; then what is next, and when."""
    facts = {
        "assignee": told["assignee"],
        "waiting for": plain(told["waiting"]).replace("nobody", ""),
        "due": f"{local(told['due_at'])} (Shanghai)" if told["due_at"] else "",
        "linked with": ", ".join(told["links"]),
    }
    table = _table("When (Shanghai)", "Who", "What", wrapped=("What",))
    day = ""
    for line in told["lines"]:
        date, _, time = local(line["at"]).partition(" ")
        said = f"{line['what']} “{line['note']}”" if line["note"] else line["what"]
        table.add_row(f"{date if date != day else ' ' * len(date)} {time}", line["who"], Text(said))
        day = date
    lines: list[RenderableType] = [_head(plain(told["kind"]).capitalize(), told)]
    lines += [Text(f"{word}: {fact}") for word, fact in facts.items() if fact]
    lines.append(table)
    if told["next"]:
        when = f" Until {local(told['next_at'])} (Shanghai)." if told["next_at"] else ""
        lines.append(Text.assemble(("Next: ", "bold"), told["next"], when))
    return Group(*lines)


def evidence(found: Mapping[str, Any]) -> RenderableType:
    """An investigation's joined record."""
    lines = [_head("Investigation", found)]
    facts = {
        "opened from": found["opened_from"],
        "asked": found["question"],
        "due": f"{local(found['due_at'])} (Shanghai)" if found["due_at"] else "",
        "assignee": found["assignee"],
    }
    lines += [Text(f"{word}: {fact}") for word, fact in facts.items() if fact]
    for task in found["parties"]:
        when = f" {local(task['answered_at'])}" if task["answered_at"] else f", due {local(task['due_at'])}"
        said = f"  {task['name']}: {plain(task['state'])}{when}{', late' if task['late'] else ''}"
        lines.append(Text.assemble((task["party"], "bold"), said))
        told = [task["statement"], task["declined"] and f"declined: {plain(task['declined'])}", task["failure"]]
        lines += [Text(f"  {one}") for one in told if one]
        lines += [Text(f"  attachment: {one}") for one in task["attachments"]]
    if proposal := found["proposal"]:
        why = f" “{proposal['reason']}”" if proposal["reason"] else ""
        lines.append(Text(f"proposed by {proposal['by']}: {plain(proposal['result'])}{why}; somebody else approves"))
    if found["result"]:
        lines.append(Text.assemble(("result: ", "bold"), plain(found["result"]), f", {local(found['decided_at'])}"))
    return Group(*lines)


# ── numbers ──────────────────────────────────────────────────────────────────────────────────────────


def certificate(found: Mapping[str, Any]) -> RenderableType:
    """A re-issue certificate in short: its JSON is what counts."""
    left = [app for app, became in found["apps"].items() if became == "unreported"]
    by = ", by a supervisor's override" if found["override"] else ""
    lines = [
        Text.assemble(("Re-issue certificate ", "bold"), f"{found['case']}  {found['number']}  life {found['life']}"),
        Text(f"cancelled {local(found['cancelled_at'])}, released {local(found['released_at'])} (Shanghai){by}"),
        Text("   ".join(f"{plain(became)} {count}" for became, count in found["counts"].items())),
    ]
    if left:
        lines.append(Text(f"unreported: {', '.join(left)}"))
    lines.append(Text(f"event {found['ledger']['seq']} of the case, seal {found['seal'][:16]}…", style="dim"))
    return Group(*lines)


# ── small things ─────────────────────────────────────────────────────────────────────────────────────


def _head(what: str, view: Mapping[str, Any]) -> Text:
    number = view.get("number", "")
    return Text.assemble(
        (f"{what} ", "bold"), view["case"], f"  {number}  " if number else "  ", plain(view["status"])
    )


def _bar(done: int, of: int) -> RenderableType:
    """Padding ends its line; a bar alone does not."""
    return Padding(ProgressBar(total=max(of, 1), completed=done, width=60), 0)


def _table(*titles: str, wrapped: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=title not in wrapped, overflow="fold")
    return table
