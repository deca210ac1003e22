"""`python -m bench`: everything in one run on one server; figures in `var/bench/results.json`."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import psutil
import typer
import uvloop
from rich.console import Console

from bench import database, measure, parts, plan, report, throughput
from runtime import logs
from runtime.settings import HOUSE
from runtime.stack import BIN

OUT = HOUSE / "var" / "bench"
RESULTS = OUT / "results.json"
PAGE = HOUSE / "docs" / "performance.md"

console = Console(width=max(130, Console().width))
app = typer.Typer(add_completion=False)


@app.command()
def main(
    quick: bool = typer.Option(False, help="50 and 200 apps only, one round of the three-step case."),
    full: bool = typer.Option(False, help="Every contender at every size; some ten minutes more."),
    only: str = typer.Option("", help="Again only what has these words in its name: ours-together-200-, steps, …"),
    write_docs: bool = typer.Option(False, help="Measure nothing: put the last figures into docs/performance.md."),
) -> None:
    """Measure ours against the textbook, the bare minimum and DBOS."""
    if write_docs:
        report.write_docs(json.loads(RESULTS.read_text()), PAGE)
        console.print(f"{PAGE} has the figures of {RESULTS}")
        return
    logs.configure("bench", "ERROR")
    chosen = [run for run in plan.runs(quick, full) if only in f"{run.name}-"]
    wanted = [name for name in ("steps", "database") if only in name]
    results = uvloop.run(_all(chosen, wanted, rounds=1 if quick else throughput.ROUNDS))
    if only and RESULTS.exists():
        results = merged(json.loads(RESULTS.read_text()), results)
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False))
    report.show(results, console)
    console.print(f"{results['machine']['seconds']:.0f} s in all; figures in {RESULTS}")


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Earlier figures, with what was measured again in their place."""

    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["who"], row["answers"], row["apps"]

    again = {key(row) for row in new["runs"]}
    return {
        "steps": new["steps"] or old["steps"],
        "runs": [*(row for row in old["runs"] if key(row) not in again), *new["runs"]],
        "database": new["database"] or old["database"],
        "machine": new["machine"],
    }


async def _all(runs: list[plan.Run], wanted: list[str], rounds: int) -> dict[str, Any]:
    folder = OUT / f"run-{os.getpid()}"
    folder.mkdir(parents=True)
    began = time.monotonic()
    try:
        with (
            parts.temporal(folder / "temporal") as temporal,
            parts.postgres(folder / "postgres") as (postgres, uri),
            parts.part(folder, "bench.partner") as partner,
        ):
            servers = measure.Servers(folder, temporal, partner, int(partner.said.split()[1]), postgres, uri)
            return {
                "steps": await _tell("three-step cases", throughput.measure(servers, rounds))
                if "steps" in wanted
                else [],
                "runs": await _runs(runs, servers),
                "database": await _tell("appends to the ledger", database.measure(servers))
                if "database" in wanted
                else [],
                "machine": _machine(time.monotonic() - began),
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _runs(runs: list[plan.Run], servers: measure.Servers) -> list[dict[str, object]]:
    """One after the other; one that fails is told and left out."""
    found = []
    for place, run in enumerate(runs):
        try:
            found.append(await _run(run, servers, place, len(runs)))
        except Exception as error:  # noqa: BLE001 - ten minutes of figures are not thrown away for one
            console.print(f"[red]{run.name} could not be measured[/red]: {type(error).__name__}: {error}")
    return found


async def _run(run: plan.Run, servers: measure.Servers, place: int, count: int) -> dict[str, object]:
    figures = await measure.measure(run, servers, place)
    console.print(
        f"[dim]{place + 1}/{count}[/dim] {run.who.value}, {run.answers.value}, {run.apps} apps: {figures.wall:.2f} s, "
        f"{figures.cost / run.apps * 1000:.1f} ms CPU and {figures.events / run.apps:.2f} events per app"
    )
    return measure.row(figures)


async def _tell(words: str, work: Any) -> Any:
    console.print(f"[dim]{words} …[/dim]")
    return await work


def _machine(seconds: float) -> dict[str, object]:
    server = subprocess.run([BIN / "temporal", "--version"], capture_output=True, text=True, check=False)
    words = (
        f"{os.cpu_count()} cores, {psutil.virtual_memory().total >> 30} GB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {server.stdout.strip()}, SDK {version('temporalio')}, "
        f"DBOS {version('dbos')}; load average {psutil.getloadavg()[2]:.1f} over the last quarter of an hour"
    )
    today = datetime.now(UTC).date().isoformat()
    return {"date": today, "words": words, "seconds": seconds}


if __name__ == "__main__":
    app()
