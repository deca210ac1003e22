"""What a carrier's system does: renewals, one or many, reports of a number's life, the certificate at its re-issue."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from commands.common import (
    NOT_RIGHT,
    ApiUrl,
    As,
    AsJson,
    Case,
    Client,
    Number,
    Reason,
    api,
    ask,
    err,
    moment,
    out,
    print_json,
    say,
    warn,
)
from commands.words import Fact
from runtime import render
from runtime.api import FOR_PROGRAMS, Api
from runtime.render import local, plain

app = typer.Typer()
numbers = typer.Typer(
    help="A number's life: report, find, show, release, override, certificate, verify.", no_args_is_help=True
)
CARRIER = "carrier"
SUPERVISOR = "supervisor-wu"
OVER = frozenset({"summary_sent", "closed", "refused", "withdrawn"})
"""Statuses of a renewal in which nothing more is waited for."""


@app.command()
def renew(
    activated_on: Annotated[
        str | None, typer.Option(help="When the holder's contract began: a date, or RFC 3339; asked for if left out.")
    ] = None,
    number: Number = None,
    apps: Annotated[str | None, typer.Option(help="App codes with commas between; left out: all.")] = None,
    id_tail: Annotated[str | None, typer.Option(help="Last six of the holder's ID.")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key; the same key gives the same case.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the renewal until its summary is sent.")] = False,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
) -> None:
    """Hand a renewal in, as a carrier's system would."""
    chosen = [code.strip() for code in apps.split(",") if code.strip()] if apps is not None else None
    since = moment("--activated-on", activated_on) if activated_on else None
    gateway = api(url, client, CARRIER)
    phone = ask("Phone number", number)
    since = since or moment("--activated-on", ask("When the holder's contract began, as 2026-08-01"))
    case = gateway.renew(phone, since, chosen, id_tail, datetime.now(UTC), key or secrets.token_urlsafe(16))
    if wait:
        _follow(gateway, case, as_json)
    elif as_json:
        print_json({"case": case})
    else:
        say(f"Case {case}. Follow it with: starter.py watch {case}")


@app.command()
def watch(case: Case, as_json: AsJson = False, url: ApiUrl = None, client: Client = None) -> None:
    """Follow a renewal live until its summary is sent."""
    _follow(api(url, client, CARRIER), case, as_json)


def _follow(gateway: Api, case: str, as_json: bool) -> None:
    with Live(console=err, refresh_per_second=4, transient=True) as live:
        while (view := gateway.show(case))["status"] not in OVER:
            live.update(render.progress(view, max(err.height - 8, 5)))
            time.sleep(0.5)
    print_json(view) if as_json else out.print(render.progress(view, max(err.height - 8, 5)))


# ── many renewals ────────────────────────────────────────────────────────────────────────────────────

BATCHES = "/v1/renewal-batches"
MOST_SHOWN = 50
"""Refused lines in the table; `--json` has all of them."""


@app.command()
def batch(
    file: Annotated[
        Path,
        typer.Argument(
            help="One renewal per line: CSV if its name ends so, NDJSON otherwise.", exists=True, dir_okay=False
        ),
    ],
    key: Annotated[
        str | None, typer.Option(help="Idempotency key; left out: made of the file, so that the file is its own key.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until every line is done.")] = True,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
) -> None:
    """Hand in many renewals as one file. The same file again goes on where it stopped; nothing is done twice."""
    gateway = api(url, client, CARRIER)
    view = _upload(gateway, file, key or f"file-{_digest(file)}")
    if wait:
        view = _wait_for(gateway, view)
    refused = list(_refused(gateway, view))
    if as_json:
        print_json({**view, "refused": refused})
    else:
        _show_batch(view, refused)
    if refused or view["counts"]["cancelled"]:
        raise typer.Exit(NOT_RIGHT)


def _upload(gateway: Api, file: Path, key: str) -> dict[str, Any]:
    media = "text/csv" if file.suffix.lower() == ".csv" else "application/x-ndjson"
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("uploading", total=file.stat().st_size)

        def pieces() -> Iterator[bytes]:
            with file.open("rb") as opened:
                while piece := opened.read(64 * 1024):
                    yield piece
                    bar.advance(task, len(piece))

        headers = {"idempotency-key": key, "content-type": media}
        view: dict[str, Any] = gateway.call("POST", BATCHES, content=pieces(), headers=headers)
    return view


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _wait_for(gateway: Api, view: dict[str, Any]) -> dict[str, Any]:
    """The batch when it is finished."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("handing in", total=view["lines"])
        while not view["finished_at"]:
            bar.update(task, completed=view["lines"] - view["counts"]["waiting"])
            time.sleep(0.5)
            view = gateway.call("GET", view["status_url"])
    return view


def _refused(gateway: Api, view: dict[str, Any]) -> Iterator[dict[str, Any]]:
    after: int | None = 0
    while after is not None and view["counts"]["refused"]:
        page = gateway.call("GET", view["lines_url"], params={"state": "refused", "after": after, "limit": 1000})
        yield from page["lines"]
        after = page["next"]


def _show_batch(view: dict[str, Any], refused: list[dict[str, Any]]) -> None:
    said = ", ".join(f"{count} {state}" for state, count in view["counts"].items() if count)
    say(f"Batch {view['batch']} is {view['state']}: {view['lines']} lines, {said}.")
    if not refused:
        return
    table = Table(box=None, pad_edge=False)
    for title in ("Line", "Code", "Why", "What to do"):
        table.add_column(title, overflow="fold")
    for one in refused[:MOST_SHOWN]:
        problem = one["problem"]
        words = (str(one["line"]), problem["code"], problem["detail"], problem["remedy"].partition(FOR_PROGRAMS)[0])
        table.add_row(*map(Text, words))
    out.print(table)
    if len(refused) > MOST_SHOWN:
        say(f"and {len(refused) - MOST_SHOWN} more; --json has all of them")


# ── a number's life ──────────────────────────────────────────────────────────────────────────────────


@numbers.command()
def report(
    event: Annotated[Fact, typer.Argument(help="What happened.")],
    number: Number = None,
    at: Annotated[str | None, typer.Option(help="When it happened (a date, or RFC 3339); left out: now.")] = None,
    event_id: Annotated[str | None, typer.Option(help="Your own id; the same id again changes nothing.")] = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """Report what happened to a number."""
    when = moment("--at", at) if at else datetime.now(UTC)
    body = {
        "number": ask("Phone number", number),
        "event_id": event_id or secrets.token_urlsafe(12),
        "event": event.value,
        "occurred_at": when.isoformat(),
    }
    done = api(url, client, who or CARRIER).call("POST", "/v1/number-events", json=body)
    if as_json:
        print_json(done)
    else:
        say(f"{'Taken' if done['changed'] else 'Known already'}: {done['case']} is {plain(done['status'])}.")


@numbers.command()
def find(
    number: Number = None, as_json: AsJson = False, url: ApiUrl = None, client: Client = None, who: As = None
) -> None:
    """The case a number's life is kept in."""
    gateway = api(url, client, who or CARRIER)
    _brief(gateway.call("POST", "/v1/numbers/find", json={"number": ask("Phone number", number)}), as_json)


@numbers.command()
def show(case: Case, as_json: AsJson = False, url: ApiUrl = None, client: Client = None, who: As = None) -> None:
    """Where a number stands, how it came there, and what became of what hung on it."""
    view = api(url, client, who or CARRIER).call("GET", f"/v1/numbers/{case}")
    if as_json:
        print_json(view)
        return
    _brief(view, as_json)
    for one in view["timeline"]:
        say(f"  {local(one['occurred_at'])}  {one['event']:<13} then {plain(one['status'])}, life {one['life']}")
    if view["counts"]:
        out.print(render.tally(view["counts"]))


@numbers.command()
def release(
    number: Number = None, as_json: AsJson = False, url: ApiUrl = None, client: Client = None, who: As = None
) -> None:
    """Ask whether a cancelled number may be re-issued now."""
    gateway = api(url, client, who or CARRIER)
    done = gateway.call("POST", "/v1/numbers/release", json={"number": ask("Phone number", number)})
    if not as_json:
        say("It may be re-issued. Its certificate: starter.py number certificate " + done["case"])
    _brief(done, as_json)


@numbers.command()
def override(
    case: Case,
    reason: Reason = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """Let the next release of a number pass before its time (supervisors); audited."""
    gateway = api(url, client, who or SUPERVISOR)
    body = {"reason": ask("Why", reason)}
    done = gateway.call("POST", f"/v1/numbers/{case}/override", json=body)
    if not as_json:
        say("The next release will pass.")
    _brief(done, as_json)


@numbers.command()
def certificate(
    case: Case,
    into: Annotated[Path | None, typer.Option(help="Write it to this file, as JSON.")] = None,
    life: Annotated[int | None, typer.Option(min=1, help="Of which life; left out: the one released last.")] = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """The re-issue certificate: what was unbound, kept, unreported."""
    chosen = {"life": life} if life else {}
    found = api(url, client, who or CARRIER).call("GET", f"/v1/numbers/{case}/certificate", params=chosen)
    if into is not None:
        into.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n")
    if as_json:
        print_json(found)
    elif into is not None:
        say(f"The certificate of {case} is in {into}. Check it with: starter.py number verify {into}")
    else:
        out.print(render.certificate(found))


@numbers.command()
def verify(
    file: Annotated[Path, typer.Argument(help="A re-issue certificate.", exists=True, dir_okay=False)],
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """Check a re-issue certificate against the ledger; exit code 1 if it is not genuine."""
    try:
        given = json.loads(file.read_text())
    except ValueError:
        raise typer.BadParameter("it is not JSON", param_hint="FILE") from None
    found = api(url, client, who or CARRIER).call("POST", "/v1/certificates/verify", json={"certificate": given})
    if as_json:
        print_json(found)
    elif found["genuine"]:
        say("The certificate is genuine.")
    else:
        warn(found["difference"], "not genuine")
    if not found["genuine"]:
        raise typer.Exit(NOT_RIGHT)


def _brief(view: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    say(f"{view['case']}  {view['number']}  {plain(view['status'])}, life {view['life']}")
    for word in ("activated_at", "cancelled_at", "batch_at", "releasable_at", "released_at"):
        if view[word]:
            say(f"  {plain(word)}: {local(view[word])} (Shanghai)")
    if view["unreported"] is not None:
        say(f"  unreported apps: {view['unreported']}")
    if view["overridden"] and not view["released_at"]:
        say("  a supervisor lets it be released all the same")
