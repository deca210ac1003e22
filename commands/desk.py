"""What case workers and supervisors do: look at queues, take cases on, decide, tell their story."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from commands.common import ApiUrl, As, AsJson, Case, Token, api, err, local, out, print_json
from store.queues import Queue

app = typer.Typer()
WORKER = "worker-chen"
"""Who one is at the embedded stack if one does not say."""

NOT_ALL = 1
Reason = Annotated[str, typer.Argument(help="Why, in a sentence; it is kept in the vault.")]


@app.command()
def queue(
    name: Annotated[Queue | None, typer.Argument(help="Which queue; left out: how many cases are in each.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only cases of this kind.")] = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
    who: As = None,
) -> None:
    """The case workers' queues."""
    gateway = api(url, token, who or WORKER)
    if name is None:
        counts: dict[str, int] = gateway.call("GET", "/v1/queues")
        if as_json:
            print_json(counts)
            return
        for word, count in counts.items():
            out.print(f"{count:>6}  {word.replace('_', ' ')}")
        return
    listing = gateway.call("GET", "/v1/cases", params={"queue": name.value, **({"kind": kind} if kind else {})})
    if as_json:
        print_json(listing)
        return
    out.print(_table(listing["cases"]))
    if listing["next"]:
        out.print("There are more; narrow it with --kind.")


def _table(cases: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("Case", "Kind", "Status", "Waiting for", "Assignee", "Due (Shanghai)", ""):
        table.add_column(title, no_wrap=True)
    for one in cases:
        flags = [word for word in ("paused", "escalated") if one[word]]
        table.add_row(
            one["case"],
            one["kind"].replace("_", " "),
            one["status"].replace("_", " "),
            one["waiting"].replace("_", " "),
            one["assignee"],
            local(one["due_at"]),
            ", ".join(flags),
        )
    return table


@app.command()
def claim(case: Case, as_json: AsJson = False, url: ApiUrl = None, token: Token = None, who: As = None) -> None:
    """Take a case on."""
    _act(case, {"action": "claim"}, as_json, url, token, who)


@app.command()
def release(case: Case, as_json: AsJson = False, url: ApiUrl = None, token: Token = None, who: As = None) -> None:
    """Give a case back to the queue."""
    _act(case, {"action": "release"}, as_json, url, token, who)


@app.command()
def assign(
    case: Case,
    to: Annotated[str, typer.Argument(help="A case worker's code.")],
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
    who: As = None,
) -> None:
    """Give a case to somebody (supervisors)."""
    _act(case, {"action": "assign", "to": to}, as_json, url, token, who or "supervisor-wu")


@app.command()
def note(
    case: Case,
    text: Annotated[str, typer.Argument(help="What to write down; it is kept in the vault.")],
    attach: Annotated[list[str], typer.Option(help="A reference to a document; may be repeated.")] = [],  # noqa: B006
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
    who: As = None,
) -> None:
    """Write something down."""
    _act(case, {"action": "note", "text": text, "attachments": attach}, as_json, url, token, who)


@app.command()
def pause(
    case: Case, reason: Reason, as_json: AsJson = False, url: ApiUrl = None, token: Token = None, who: As = None
) -> None:
    """Stop a case's clock."""
    _act(case, {"action": "pause", "reason": reason}, as_json, url, token, who)


@app.command()
def resume(case: Case, as_json: AsJson = False, url: ApiUrl = None, token: Token = None, who: As = None) -> None:
    """Let a case's clock go on."""
    _act(case, {"action": "resume"}, as_json, url, token, who)


@app.command()
def extend(
    case: Case,
    reason: Reason,
    days: Annotated[int, typer.Option(min=1, help="By how many days.")] = 5,
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
    who: As = None,
) -> None:
    """Move a case's deadline."""
    _act(case, {"action": "extend", "by": f"P{days}D", "reason": reason}, as_json, url, token, who)


@app.command()
def escalate(
    case: Case, reason: Reason, as_json: AsJson = False, url: ApiUrl = None, token: Token = None, who: As = None
) -> None:
    """Hand a case up to a supervisor."""
    _act(case, {"action": "escalate", "reason": reason}, as_json, url, token, who)


@app.command()
def merge(
    case: Case,
    into: Annotated[str, typer.Argument(help="The case that goes on.")],
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
    who: As = None,
) -> None:
    """Close a case in favour of one that says the same."""
    _act(case, {"action": "merge", "into": into}, as_json, url, token, who)


@app.command()
def reopen(
    case: Case, reason: Reason, as_json: AsJson = False, url: ApiUrl = None, token: Token = None, who: As = None
) -> None:
    """Let a closed case go on."""
    _act(case, {"action": "reopen", "reason": reason}, as_json, url, token, who)


@app.command()
def decide(
    case: Case,
    decision: Annotated[str, typer.Argument(help="refuse, override (an enterprise's refusal) or conclude.")],
    reason: Reason,
    about: Annotated[str, typer.Option(help="The app, or an investigation's result.")] = "",
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
    who: As = None,
) -> None:
    """Decide; it takes effect when somebody else approves."""
    action = {"action": "propose", "decision": decision, "about": about, "reason": reason}
    _act(case, action, as_json, url, token, who)


@app.command()
def approve(case: Case, as_json: AsJson = False, url: ApiUrl = None, token: Token = None, who: As = None) -> None:
    """Approve what somebody else decided."""
    _act(case, {"action": "approve"}, as_json, url, token, who or "worker-lin")


@app.command()
def reject(case: Case, as_json: AsJson = False, url: ApiUrl = None, token: Token = None, who: As = None) -> None:
    """Do not approve what somebody else decided."""
    _act(case, {"action": "reject"}, as_json, url, token, who or "worker-lin")


@app.command()
def investigate(
    case: Case,
    question: Annotated[str, typer.Argument(help="What the parties are asked; it is kept in the vault.")],
    party: Annotated[list[str], typer.Option(help="PARTY:APP,APP …; may be repeated.")],
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
    who: As = None,
) -> None:
    """Open an investigation from a case: one task with a deadline per party."""
    parties = {code: apps.split(",") if apps else [] for code, _, apps in (one.partition(":") for one in party)}
    body = {"from_case": case, "question": question, "parties": parties}
    opened = api(url, token, who or WORKER).open("/v1/investigations", body)
    if as_json:
        print_json(opened)
    else:
        out.print(f"Investigation {opened['case']}. Read its record with: starter.py evidence {opened['case']}")


@app.command()
def evidence(case: Case, as_json: AsJson = False, url: ApiUrl = None, token: Token = None, who: As = None) -> None:
    """An investigation's joined record: what each party said, and who is missing."""
    found = api(url, token, who or WORKER).call("GET", f"/v1/investigations/{case}")
    if as_json:
        print_json(found)
        return
    out.print(f"Investigation {found['case']}: {found['status'].replace('_', ' ')}, due {local(found['due_at'])}")
    for task in found["parties"]:
        out.print(f"[bold]{task['party']}[/bold] {task['state'].replace('_', ' ')}, due {local(task['due_at'])}")
        if task["statement"]:
            out.print(f"  {task['statement']}")
        for one in task["attachments"]:
            out.print(f"  attachment: {one}")


@app.command()
def settle(
    case: Case,
    of_app: Annotated[str, typer.Argument(help="The app whose claim is settled.")],
    settlement: Annotated[str, typer.Argument(help="solved, or explained: the citizen knows why not.")],
    reason: Reason,
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
    who: As = None,
) -> None:
    """Settle a dispute's claim that was solved by telephone."""
    body = {"app": of_app, "settlement": settlement, "reason": reason}
    done = api(url, token, who or WORKER).call("POST", f"/v1/disputes/{case}/settle", json=body)
    print_json(done) if as_json else out.print(f"{case} is {done['status'].replace('_', ' ')}.")


@app.command()
def bulk(
    action: Annotated[str, typer.Argument(help="claim, release, pause, resume, escalate, reopen or assign.")],
    cases: Annotated[list[str], typer.Argument(help="The cases.")],
    reason: Annotated[str | None, typer.Option(help="For pause, escalate and reopen.")] = None,
    to: Annotated[str | None, typer.Option(help="For assign.")] = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
    who: As = None,
) -> None:
    """One action on many cases; says which were not done and why (exit code 1)."""
    words = {"action": action, "reason": reason, "to": to}
    body = {"cases": cases, "action": {key: value for key, value in words.items() if value is not None}}
    done = api(url, token, who or WORKER).call("POST", "/v1/cases/act", json=body)
    if as_json:
        print_json(done)
    else:
        out.print(f"{done['done']} of {done['of']} done" + (", these not:" if done["not_done"] else "."))
        for one in done["not_done"]:
            err.print(f"  {one['case']}: {one['problem']['detail']} {one['problem']['remedy']}", soft_wrap=True)
    if done["not_done"]:
        raise typer.Exit(NOT_ALL)


def _act(
    case: str, action: dict[str, Any], as_json: bool, url: str | None, token: str | None, who: str | None
) -> None:
    done = api(url, token, who or WORKER).call("POST", f"/v1/cases/{case}/act", json=action)
    if as_json:
        print_json(done)
        return
    word = "done" if done["changed"] else "nothing to do"
    out.print(f"{action['action']}: {word}. {case} is {done['status'].replace('_', ' ')}.")


def print_story(story: dict[str, Any]) -> None:
    """A case as a readable story."""
    out.print(
        f"[bold]{story['kind'].replace('_', ' ').capitalize()} {story['case']}[/bold]  {story['number']}  "
        f"{story['status'].replace('_', ' ')}"
    )
    facts = {
        "assignee": story["assignee"],
        "waiting for": story["waiting"].replace("_", " ").replace("nobody", ""),
        "due": local(story["due_at"]),
        "linked with": ", ".join(story["links"]),
        "decision": story["proposal"] and f"{story['proposal']}, waits for a second person",
    }
    for word, fact in facts.items():
        if fact:
            out.print(f"{word}: {fact}")
    table = Table(box=None, pad_edge=False)
    for title in ("When (Shanghai)", "Who", "What"):
        table.add_column(title, no_wrap=title != "What")
    for line in story["lines"]:
        said = f"{line['what']} “{line['note']}”" if line["note"] else line["what"]
        table.add_row(local(line["at"]), line["who"], said)
    out.print(table)
    if story["next"]:
        when = f", {local(story['next_at'])}" if story["next_at"] else ""
        out.print(f"Next: {story['next']}{when}")
