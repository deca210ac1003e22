"""The command line. `python starter.py --help` lists the commands; `--json` prints data for programs.

Exit codes: 0 done · 1 not as it should be (verify found a difference, demo did not end as expected)
· 2 wrong words on the command line · 3 refused (the sentence says why) · 4 nobody answers.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.live import Live
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from sqlalchemy.exc import DBAPIError

from commands import carrier, citizen, desk
from commands.common import ApiUrl, As, AsJson, Case, Token, api, err, local, moment, out, print_json
from domain.renewal import ENDED, RenewalStatus
from runtime import render
from runtime import settings as configuration
from runtime.api import Api, ApiError
from runtime.partners import PartnerKind, add_partner, add_person
from runtime.settings import CANNOT_RUN
from runtime.stack import Stack, StackError
from store import audit, schema, vault
from store.database import Database
from store.keys import KeyRing

NOT_RIGHT, USAGE, REFUSED, NO_ANSWER = 1, 2, 3, 4

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
T = TypeVar("T")
CARRIER = "carrier"


@app.command()
def demo(
    apps: Annotated[int, typer.Option(min=1, max=230, help="How many apps.")] = 220,
    keep: Annotated[Path, typer.Option(help="Where everything is written; emptied first.")] = Path("var/demo"),
) -> None:
    """Run the main job on real parts, as a person would see it."""
    from sandbox.demo import run

    sys.exit(run(keep.resolve(), apps, out))


@app.command()
def up(
    folder: Annotated[Path, typer.Option(help="Where everything is written.")] = Path("var"),
    registry: Annotated[
        Path | None,
        typer.Option(envvar="JIEBANG_REGISTRY", help="Enterprises and carriers; left out: the sandbox's."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the whole stack on loopback until Ctrl-C; of JIEBANG_* and TEMPORAL_* it heeds JIEBANG_REGISTRY only."""
    stack = Stack(folder.resolve(), environment={"JIEBANG_REGISTRY": str(registry.resolve())} if registry else {})
    with err.status("starting Temporal, the sandbox world, a worker and the gateway …"):
        stack.__enter__()
    try:
        if as_json:
            print_json(stack.addresses)
        else:
            _introduce(stack)
        while all(stack.alive(part) for part in ("temporal", "world", "worker", "gateway")):
            time.sleep(0.5)
        raise StackError(f"a part of the stack ended: see {stack.folder}/logs")
    except KeyboardInterrupt:
        err.print("ending …")
    finally:
        stack.stop()


@app.command()
def renew(
    number: Annotated[str, typer.Option(help="The re-issued number.")],
    activated_on: Annotated[str, typer.Option(help="When the holder's contract began: a date, or RFC 3339.")],
    apps: Annotated[str | None, typer.Option(help="App codes with commas between; left out: all.")] = None,
    id_tail: Annotated[str | None, typer.Option(help="Last six of the holder's ID.")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key; the same key gives the same case.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the renewal until its summary is sent.")] = False,
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
) -> None:
    """Hand a renewal in, as a carrier's system would."""
    chosen = [code.strip() for code in apps.split(",") if code.strip()] if apps is not None else None
    since = moment("--activated-on", activated_on)
    gateway = api(url, token, CARRIER)
    case = gateway.renew(number, since, chosen, id_tail, datetime.now(UTC), key or secrets.token_urlsafe(16))
    if wait:
        _follow(gateway, case, as_json)
    elif as_json:
        print_json({"case": case})
    else:
        out.print(f"Case {case}. Follow it with: python starter.py watch {case}")


@app.command()
def show(case: Case, as_json: AsJson = False, url: ApiUrl = None, token: Token = None, who: As = None) -> None:
    """Any case as a readable story, for case workers; for its carrier, where a renewal stands, app by app."""
    if token is None and (who or not case.startswith("R")):
        story = api(url, token, who or desk.WORKER).call("GET", f"/v1/cases/{case}")
        print_json(story) if as_json else desk.print_story(story)
        return
    view = api(url, token, who or CARRIER).show(case)
    if as_json:
        print_json(view)
        return
    out.print(f"[bold]Renewal {view['case']}[/bold]  {view['number']}  {view['status'].replace('_', ' ')}")
    if view["reason"]:
        out.print(f"reason: {view['reason'].replace('_', ' ')}")
    out.print(f"submitted {local(view['submitted_at'])}, number activated {local(view['activated_at'])} (Shanghai)")
    if view["ask_again_at"]:
        out.print(f"the carrier does not know yet; it is asked again {local(view['ask_again_at'])} (Shanghai)")
    out.print(render.counts(view))
    out.print(render.app_table(view["apps"]))


@app.command()
def watch(case: Case, as_json: AsJson = False, url: ApiUrl = None, token: Token = None) -> None:
    """Follow a renewal live until its summary is sent."""
    _follow(api(url, token, CARRIER), case, as_json)


@app.command()
def withdraw(case: Case, as_json: AsJson = False, url: ApiUrl = None, token: Token = None) -> None:
    """Withdraw a renewal; what an enterprise has acknowledged goes on."""
    gateway = api(url, token, CARRIER)
    result = gateway.withdraw(case)
    if as_json:
        print_json(result)
        return
    view = gateway.show(case)
    out.print(f"The withdrawal was taken; {case} is {view['status'].replace('_', ' ')}, its apps are")
    out.print(render.counts(view))


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Recompute every chain and every read model; name the first difference."""
    try:
        found = _audited("verifying", lambda c, ring, say: audit.verify(c, ring, say), write=False)
    except audit.Difference as difference:
        if as_json:
            print_json({"ok": False, "difference": str(difference)})
        else:
            err.print(f"[bold red]difference:[/bold red] {difference}")
        raise typer.Exit(NOT_RIGHT) from None
    if as_json:
        print_json({"ok": True, **vars(found)})
    else:
        out.print(f"The ledger is whole: {found.events} events, {found.cases} cases, {found.work_items} work items.")


@app.command()
def rebuild(as_json: AsJson = False) -> None:
    """Restore the read models from the ledger alone."""
    events = _audited("rebuilding", lambda c, _ring, say: audit.rebuild(c, say), write=True)
    if as_json:
        print_json({"events": events})
    else:
        out.print(f"The read models were made again from {events} events.")


@app.command()
def rotate_keys(as_json: AsJson = False) -> None:
    """Make a fresh key the current one. Then restart all workers and gateways together, then run `rewrap`.

    What runs keeps to the old key, which stays in the ring; it could not read what one with the new key writes.
    """
    config = configuration.load()
    ring = config.key_ring.rotated()
    ring.save(config.keys)
    if as_json:
        print_json({"current": ring.current})
        return
    out.print(f"The current key of {config.keys} is {ring.current}: back the ring up.", soft_wrap=True)
    out.print("Restart all workers and gateways together, with this ring; then run `starter.py rewrap`.")


@app.command()
def rewrap(as_json: AsJson = False) -> None:
    """Lock every case's key with the current key; only after all workers and gateways know it (`rotate-keys`)."""
    config = configuration.load()
    ring = config.key_ring
    database = Database(config.database_url)
    try:
        changed = database.write_now(lambda c: vault.rewrap(c, ring))
    finally:
        database.close()
    if as_json:
        print_json({"current": ring.current, "changed": changed})
    else:
        out.print(f"{changed} cases were locked with {ring.current}, the others were already.")


@app.command()
def migrate(as_json: AsJson = False) -> None:
    """Bring the database to the newest shape; make a key ring if there is none."""
    config = configuration.load()
    fresh = not config.keys.exists()
    if fresh:
        KeyRing.new().save(config.keys)
    schema.upgrade(config.database_url)
    if as_json:
        print_json({"keys": str(config.keys), "new_keys": fresh})
        return
    if fresh:
        out.print(f"A new key ring is at {config.keys}: back it up.", soft_wrap=True)
    out.print("The database has the newest shape.")


@app.command()
def issue(
    code: Annotated[str, typer.Argument(help="A carrier's or an enterprise's code in the registry, or a new one.")],
    kind: Annotated[
        PartnerKind | None, typer.Option(help="channel, case_worker or supervisor for somebody outside the registry.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fresh credentials for a partner; older ones of the same code end. Restart the gateway and the workers."""
    config = configuration.load()
    if kind in (None, PartnerKind.CARRIER, PartnerKind.ENTERPRISE):
        issued = add_partner(code, config.registry_data, config.key_ring, config.partners)
    else:
        issued = add_person(code, kind, config.key_ring, config.partners)
    if as_json:
        print_json(issued.model_dump())
        return
    out.print(f"Hand these to {code}; they are shown only now:")
    for name, value in issued.model_dump().items():
        if value:
            out.print(f"  {name.replace('_', ' ')}: {value}", soft_wrap=True)


app.add_typer(citizen.app)
app.add_typer(desk.app)
app.add_typer(carrier.app, name="number")


# ── helpers ──────────────────────────────────────────────────────────────────────────────────────────


def _introduce(stack: Stack) -> None:
    out.print(f"gateway        {stack.api}   (OpenAPI at /openapi.json)")
    out.print(f"Temporal       {stack.temporal}   pages at {stack.temporal_ui}")
    out.print(f"sandbox world  {stack.world}/world/state")
    out.print(f"worker metrics {stack.metrics}")
    out.print(f"logs           {stack.folder}/logs\n")
    out.print("Try, in another terminal:")
    out.print("  .venv/bin/python starter.py renew --number 13800138000 --activated-on 2026-08-01 --wait\n")
    out.print("Ctrl-C ends everything.")


def _audited(what: str, job: Callable[..., T], *, write: bool) -> T:
    config = configuration.load()
    ring = config.key_ring
    database = Database(config.database_url)
    columns = (SpinnerColumn(), TextColumn("{task.description} {task.completed} events"), TimeElapsedColumn())
    try:
        with Progress(*columns, console=err, transient=True) as bar:
            task = bar.add_task(what)
            run = database.write_now if write else database.read_now
            return run(lambda c: job(c, ring, lambda n: bar.update(task, completed=n)))
    finally:
        database.close()


def _follow(gateway: Api, case: str, as_json: bool) -> None:
    over = {RenewalStatus.SUMMARY_SENT, *ENDED}
    with Live(console=err, refresh_per_second=4) as live:
        while RenewalStatus((view := gateway.show(case))["status"]) not in over:
            live.update(render.progress(view, max(err.height - 8, 5)))
            time.sleep(0.5)
        live.update(render.progress(view, max(err.height - 8, 5)))
    if as_json:
        print_json(view)


def main() -> None:
    """Run a command; what goes wrong is one sentence and an exit code."""
    try:
        app()
    except ApiError as error:
        err.print(f"[bold red]{error.code or 'no answer'}:[/bold red] {error}")
        sys.exit(REFUSED if error.code else NO_ANSWER)
    except DBAPIError as error:
        err.print(
            f"[bold red]database:[/bold red] {type(error.orig).__name__}; check JIEBANG_DATABASE_URL, run `make up` once"
        )
        sys.exit(NO_ANSWER)
    except (*CANNOT_RUN, StackError) as error:
        err.print(f"[bold red]cannot run:[/bold red] {error}")
        sys.exit(NO_ANSWER)


if __name__ == "__main__":
    main()
