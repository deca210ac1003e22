"""What a carrier's system reports about a number's life, and the certificate at its re-issue."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from commands.common import ApiUrl, As, AsJson, Case, Token, api, err, local, moment, out, print_json

app = typer.Typer(help="A number's life: report, show, release, override, certificate, verify.", no_args_is_help=True)
CARRIER = "carrier"
NOT_RIGHT = 1
Number = Annotated[str, typer.Option(help="The phone number.")]


@app.command()
def report(
    event: Annotated[
        str, typer.Argument(help="activation, suspension, resumption, transfer, cancellation, freeze or reissue.")
    ],
    number: Number,
    at: Annotated[str | None, typer.Option(help="When it happened (RFC 3339); left out: now.")] = None,
    event_id: Annotated[str | None, typer.Option(help="Your own id; the same id again changes nothing.")] = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
    who: As = None,
) -> None:
    """Report what happened to a number."""
    body = {
        "number": number,
        "event_id": event_id or secrets.token_urlsafe(12),
        "event": event,
        "occurred_at": (moment("--at", at) if at else datetime.now(UTC)).isoformat(),
    }
    _say(api(url, token, who or CARRIER).call("POST", "/v1/number-events", json=body), as_json)


@app.command()
def find(number: Number, as_json: AsJson = False, url: ApiUrl = None, token: Token = None, who: As = None) -> None:
    """The case a number's life is kept in."""
    _say(api(url, token, who or CARRIER).call("POST", "/v1/numbers/find", json={"number": number}), as_json)


@app.command()
def release(number: Number, as_json: AsJson = False, url: ApiUrl = None, token: Token = None, who: As = None) -> None:
    """Ask whether a cancelled number may be re-issued now."""
    _say(api(url, token, who or CARRIER).call("POST", "/v1/numbers/release", json={"number": number}), as_json)


@app.command()
def override(
    case: Case,
    reason: Annotated[str, typer.Argument(help="Why it may be re-issued all the same; audited.")],
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
    who: As = None,
) -> None:
    """Let a number be released before its time (supervisors)."""
    gateway = api(url, token, who or "supervisor-wu")
    _say(gateway.call("POST", f"/v1/numbers/{case}/override", json={"reason": reason}), as_json)


@app.command()
def certificate(
    case: Case,
    into: Annotated[Path | None, typer.Option(help="Write it to this file.")] = None,
    url: ApiUrl = None,
    token: Token = None,
    who: As = None,
) -> None:
    """The re-issue certificate: what was unbound, kept, unreported. JSON."""
    found = api(url, token, who or CARRIER).call("GET", f"/v1/numbers/{case}/certificate")
    if into is None:
        print_json(found)
    else:
        into.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n")
        out.print(f"The certificate of {case} is in {into}.")


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="A re-issue certificate.", exists=True, dir_okay=False)],
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
    who: As = None,
) -> None:
    """Check a re-issue certificate against the ledger; exit code 1 if it is not genuine."""
    try:
        given = json.loads(file.read_text())
    except ValueError:
        raise typer.BadParameter("it is not JSON", param_hint="file") from None
    found = api(url, token, who or CARRIER).call("POST", "/v1/certificates/verify", json={"certificate": given})
    if as_json:
        print_json(found)
    elif found["genuine"]:
        out.print("The certificate is genuine.")
    else:
        err.print(f"[bold red]not genuine:[/bold red] {found['difference']}")
    if not found["genuine"]:
        raise typer.Exit(NOT_RIGHT)


def _say(done: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    out.print(f"{done['case']} is {done['status'].replace('_', ' ')}.")
    for word in ("cancelled_at", "releasable_at", "released_at"):
        if done.get(word):
            out.print(f"  {word.replace('_', ' ')}: {local(done[word])} (Shanghai)")
