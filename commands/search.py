"""What case workers look for: the search through every case, and the same as a table for a spreadsheet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from commands.common import ApiUrl, As, AsJson, Client, api, out, print_json, reference, say
from commands.words import CaseKind, Queue, Sort, Waiting
from runtime import render

WORKER = "worker-chen"
"""Who one is at the embedded stack if one does not say: the first case worker."""

InQueue = Annotated[
    Queue | None,
    typer.Option(help="Only this queue. Left out: open cases, or all where a case itself is looked for."),
]
Kind = Annotated[CaseKind | None, typer.Option(help="Only cases of this kind.")]
Reference = Annotated[str | None, typer.Option(help="The whole reference.", parser=reference, metavar="CASE")]
AnyNumber = Annotated[str | None, typer.Option(help="The number, masked as it is shown: 138****8000; or in full.")]
MaskedNumber = Annotated[str | None, typer.Option(help="The number, masked as it is shown: 138****8000.")]
Enterprise = Annotated[str | None, typer.Option(help="Code of an enterprise or a carrier the case is about.")]
Status = Annotated[str | None, typer.Option(help="Where it stands.")]
DueAfter = Annotated[str | None, typer.Option(help="Due then or later: 2026-11-20T09:00:00+08:00.")]
DueBefore = Annotated[str | None, typer.Option(help="Due earlier.")]
Assignee = Annotated[str | None, typer.Option(help="Whose it is, by code.")]
IsWaiting = Annotated[Waiting | None, typer.Option(help="Whose turn it is.")]


def search(
    queue: InQueue = None,
    kind: Kind = None,
    case: Reference = None,
    number: AnyNumber = None,
    enterprise: Enterprise = None,
    status: Status = None,
    due_after: DueAfter = None,
    due_before: DueBefore = None,
    assignee: Assignee = None,
    waiting: IsWaiting = None,
    sort: Annotated[Sort | None, typer.Option(help="What stands on top; due first if left out.")] = None,
    after: Annotated[str, typer.Option(help="Where the page before ended.")] = "",
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """Look for cases, closed ones too."""
    gateway = api(url, client, who or WORKER)
    words = _words(queue, kind, case, number, enterprise, status, due_after, due_before, assignee, waiting)
    if number and "*" not in number:  # in the body: a full number has no place in a URL
        if len(words) > 1 or sort:
            raise typer.BadParameter("a full number is looked for alone; mask it to combine it: 138****8000")
        listing = gateway.call("POST", "/v1/cases/find", json={"number": number, "after": after})
    else:
        more = {"sort": sort.value if sort else "", "after": after}
        params = words | {key: value for key, value in more.items() if value}
        listing = gateway.call("GET", "/v1/cases", params=params)
    show(listing, as_json)


def show(listing: dict[str, Any], as_json: bool) -> None:
    """A page of cases."""
    if as_json:
        print_json(listing)
        return
    out.print(render.queue(listing["cases"]))
    if listing["next"]:
        say(f"There are more: --after {listing['next']}")


def export(
    file: Annotated[Path, typer.Argument(help="Where to write the table (CSV).")],
    queue: InQueue = None,
    kind: Kind = None,
    case: Reference = None,
    number: MaskedNumber = None,
    enterprise: Enterprise = None,
    status: Status = None,
    due_after: DueAfter = None,
    due_before: DueBefore = None,
    assignee: Assignee = None,
    waiting: IsWaiting = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """Write what a search finds to a table for a spreadsheet; the trail says who did."""
    words = _words(queue, kind, case, number, enterprise, status, due_after, due_before, assignee, waiting)
    rows = api(url, client, who or WORKER).download("/v1/cases/export.csv", words, file) - 1
    if as_json:
        print_json({"file": str(file), "cases": rows})
    else:
        say(f"{rows} cases in {file}.")


def _words(*given: Any) -> dict[str, str]:
    """What was said, as the gateway calls it."""
    names = ("queue", "kind", "reference", "number", "enterprise", "status", "due_after", "due_before")
    pairs = zip((*names, "assignee", "waiting"), given, strict=True)
    return {name: str(value) for name, value in pairs if value}
