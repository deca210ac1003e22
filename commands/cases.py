"""What everybody does with a case, each in their own way: look at it, withdraw it."""

from __future__ import annotations

from typing import Any

import typer

from commands import carrier, citizen, desk
from commands.common import ApiUrl, As, AsJson, Case, Client, api, out, print_json, say
from runtime import render
from runtime.api import ApiError
from runtime.render import plain

app = typer.Typer()


@app.command()
def show(case: Case, as_json: AsJson = False, url: ApiUrl = None, client: Client = None, who: As = None) -> None:
    """Any case as a readable story, for case workers; a renewal app by app, for its carrier (`--as` for its story)."""
    view = None if who or not _renewal(case) else _of_carrier(case, url, client)
    if view is None:
        story = api(url, client, who or desk.WORKER).call("GET", f"/v1/cases/{case}")
        print_json(story) if as_json else out.print(render.story(story))
    else:
        print_json(view) if as_json else out.print(render.renewal(view))


def _of_carrier(case: str, url: str | None, client: str | None) -> dict[str, Any] | None:
    """A renewal as its carrier sees it; None for a case worker."""
    try:
        return api(url, client, carrier.CARRIER).show(case)
    except ApiError as error:
        if client and error.code == "not_allowed":
            return None
        raise


@app.command()
def withdraw(
    case: Case, check: citizen.Check = None, as_json: AsJson = False, url: ApiUrl = None, client: Client = None
) -> None:
    """Withdraw a renewal (carriers) or a dispute (its citizen); what an enterprise has acknowledged goes on."""
    if case[0] == "D":
        citizen.withdraw(api(url, client, citizen.CHANNEL), case, check, as_json)
        return
    if not _renewal(case):
        raise typer.BadParameter("only renewals (R…) and disputes (D…) can be withdrawn", param_hint="CASE")
    gateway = api(url, client, carrier.CARRIER)
    result = gateway.withdraw(case)
    if as_json:
        print_json(result)
        return
    view = gateway.show(case)
    say(f"The withdrawal was taken; {case} is {plain(view['status'])}, its apps are")
    out.print(render.counts(view))


def _renewal(case: str) -> bool:
    return case[0] == "R" and "-unbind-" not in case
