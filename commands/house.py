"""What whoever runs the house does: the stack, the ledger, keys and credentials.

What these commands need is imported where they need it, so that a case worker's commands start in half the time.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from commands.common import NO_ANSWER, NOT_RIGHT, AsJson, err, out, print_json, say, warn
from runtime import settings as configuration

if TYPE_CHECKING:
    from runtime.stack import Stack
    from store.database import Database
    from store.keys import KeyRing

app = typer.Typer()
T = TypeVar("T")


@app.command()
def demo(
    apps: Annotated[int, typer.Option(min=1, max=230, help="How many apps.")] = 220,
    keep: Annotated[Path, typer.Option(help="Where everything is written; emptied first.")] = Path("var/demo"),
) -> None:
    """Run the main jobs on real parts, as a person would see them."""
    from sandbox.demo import run

    with _stack():
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
    from runtime.stack import Stack, StackError

    for ending in (signal.SIGINT, signal.SIGTERM):  # a background job of a shell is born deaf to the first
        signal.signal(ending, signal.default_int_handler)
    stack = Stack(folder.resolve(), environment={"JIEBANG_REGISTRY": str(registry.resolve())} if registry else {})
    with _stack():
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
def verify(as_json: AsJson = False) -> None:
    """Recompute every chain and every read model; name the first difference."""
    from store import audit

    try:
        found = _audited(
            "verifying", lambda database, say: database.read_now(lambda c: audit.verify(c, _ring(), say))
        )
    except audit.Difference as difference:
        if as_json:
            print_json({"ok": False, "difference": str(difference)})
        else:
            warn(str(difference), "difference")
        raise typer.Exit(NOT_RIGHT) from None
    if as_json:
        print_json({"ok": True, **vars(found)})
    else:
        say(f"The ledger is whole: {found.events} events, {found.cases} cases, {found.work_items} work items.")


@app.command()
def rebuild(as_json: AsJson = False) -> None:
    """Restore the read models from the ledger alone."""
    from store import audit

    events = _audited("rebuilding", lambda database, say: database.write_now(lambda c: audit.rebuild(c, say)))
    if as_json:
        print_json({"events": events})
    else:
        say(f"The read models were made again from {events} events.")


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
    say(f"The current key of {config.keys} is {ring.current}: back the ring up.")
    say("Restart all workers and gateways together, with this ring; then run `starter.py rewrap`.")


@app.command()
def rewrap(as_json: AsJson = False) -> None:
    """Lock all that is locked with older keys with the current one; only after all workers and gateways know it."""
    from store import accounts, signing, vault

    ring = _ring()
    with database() as opened:
        changed = opened.write_now(lambda c: vault.rewrap(c, ring))
        keys = opened.write_now(lambda c: signing.rewrap(c, ring))
        people = opened.write_now(lambda c: accounts.rewrap(c, ring))
    if as_json:
        print_json({"current": ring.current, "changed": changed, "signing_keys": keys, "accounts": people})
    else:
        done = f"{changed} cases, {keys} signing keys and {people} accounts"
        say(f"{done} were locked with {ring.current}, the others were already.")


@app.command()
def migrate(as_json: AsJson = False) -> None:
    """Bring the database to the newest shape; make a key ring if there is none."""
    from store import schema
    from store.keys import KeyRing

    config = configuration.load()
    fresh = not config.keys.exists()
    if fresh:
        KeyRing.new().save(config.keys)
    with _answering():
        schema.upgrade(config.database_url)
    if as_json:
        print_json({"keys": str(config.keys), "new_keys": fresh})
        return
    if fresh:
        say(f"A new key ring is at {config.keys}: back it up.")
    say("The database has the newest shape.")


@app.command()
def preflight(as_json: AsJson = False) -> None:
    """Tell what would keep gateway and worker from starting with JIEBANG_ENV=production, and how to put it right."""
    from runtime import production

    found = production.findings(configuration.load())
    if as_json:
        print_json({"ok": not found, "findings": [vars(one) for one in found]})
    elif not found:
        say("Nothing here is insecure: fit for JIEBANG_ENV=production.")
    for one in () if as_json else found:
        warn(str(one), one.rule)
    if found:
        raise typer.Exit(NOT_RIGHT)


# ── helpers ──────────────────────────────────────────────────────────────────────────────────────────


def _introduce(stack: Stack) -> None:
    from domain.access import SCOPES, Scope
    from runtime.credentials import SANDBOX_CLERKS, SANDBOX_PEOPLE

    desk = ", ".join(code for code, role in SANDBOX_PEOPLE.items() if Scope.DESK_READ in SCOPES[role])
    for line in (
        f"Open  {stack.api}",
        "",
        "  a citizen        any number and ID tail, such as 13900000888 and 15106X;",
        f"                   its short messages, codes too:  {stack.world}/phone",
        f"  the case desk    {stack.api}/desk   as {desk}",
        "                   (through the sandbox's OpenID provider: no password)",
        f"  an enterprise    {stack.api}/work   as {', '.join(SANDBOX_CLERKS)};",
        f"                   or by a mailed link:  {stack.world}/mailbox",
        "",
        f"OpenAPI {stack.api}/openapi.json   Temporal {stack.temporal}, its pages {stack.temporal_ui}",
        f"metrics {stack.gateway_metrics} (gateway), {stack.metrics} (worker)   logs {stack.folder}/logs",
        "",
        "Or in another terminal:",
        "  .venv/bin/python starter.py renew --number 13800138000 --activated-on 2026-08-01 --wait",
        "  .venv/bin/python starter.py query --number 13900000888 --id-tail 15106X --wait",
        "  .venv/bin/python starter.py phone 13900000888     (shows the code the query asks for)",
        "  .venv/bin/python starter.py queue",
        "",
        "Ctrl-C ends everything.",
    ):
        say(line)


def _ring() -> KeyRing:
    return configuration.load().key_ring


@contextmanager
def _stack() -> Iterator[None]:
    """What keeps a stack from running is one sentence."""
    from runtime.stack import StackError

    try:
        yield
    except StackError as error:
        warn(str(error), "cannot run")
        raise typer.Exit(NO_ANSWER) from None


@contextmanager
def _answering() -> Iterator[None]:
    """A database that does not answer, or has not been migrated, is one sentence."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        warn(f"{type(error.orig).__name__}; check JIEBANG_DATABASE_URL, run `make up` once", "database")
        raise typer.Exit(NO_ANSWER) from None


@contextmanager
def database() -> Iterator[Database]:
    """The database of the settings; one that does not answer is one sentence."""
    from store.database import Database

    opened = Database(configuration.load().database_url)
    try:
        with _answering():
            yield opened
    finally:
        opened.close()


def _audited(what: str, job: Callable[[Database, Callable[[int], None]], T]) -> T:
    columns = (SpinnerColumn(), TextColumn("{task.description} {task.completed} events"), TimeElapsedColumn())
    _ring()  # says what is wrong with it before a bar is drawn
    with database() as opened, Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(what)
        return job(opened, lambda n: bar.update(task, completed=n))
