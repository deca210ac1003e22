"""The same tables twice: on the terminal, and as Markdown for `docs/performance.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.plan import Answers, Who
from bench.targets import judge, middle

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


@dataclass(frozen=True)
class Sheet:
    """One table."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


RUN_COLUMNS = (
    "contender",
    "apps",
    "wall s",
    "apps/s",
    "CPU ms/app",
    "server s",
    "worker s",
    "driver s",
    "events/app",
    "bytes/app",
    "runs",
)


def sheets(results: Mapping[str, Any]) -> list[Sheet]:
    """Every table that has rows, targets first."""
    return [sheet for sheet in _all(results) if sheet.rows]


def _all(results: Mapping[str, Any]) -> list[Sheet]:
    return [
        Sheet(
            "Targets",
            ("target", "asked", "measured", ""),
            [(v.words, v.limit, v.measured, v.word) for v in judge(results)],
        ),
        *(_runs(results, answers) for answers in Answers),
        Sheet(
            "A case of three steps",
            ("contender", "cases/s", "worker CPU ms/case", "server CPU ms/case", "rounds"),
            [
                (
                    row["who"],
                    f"{row['cases_per_second']:.1f}",
                    f"{row['worker_cpu_ms']:.1f}",
                    f"{row['server_cpu_ms']:.1f}",
                    " ".join(f"{one:.0f}" for one in row["rounds"]),
                )
                for row in results["steps"]
            ],
        ),
        Sheet(
            "Appends to the ledger",
            ("database", "path", "appends/s", "our CPU ms", "database CPU ms"),
            [
                (
                    row["database"],
                    row["path"],
                    f"{row['per_second']:,.0f}",
                    f"{row['cpu_ms']:.2f}",
                    f"{row['server_cpu_ms']:.2f}",
                )
                for row in results["database"]
            ],
        ),
    ]


def _runs(results: Mapping[str, Any], answers: Answers) -> Sheet:
    sizes = sorted({row["apps"] for row in results["runs"]})
    found = [middle(results, who, answers, apps) for apps in sizes for who in Who]
    return Sheet(f"Answers: {answers.value}", RUN_COLUMNS, [_cells(row) for row in found if row])


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    apps, cpu = row["apps"], row["cpu"]
    return (
        row["who"],
        f"{apps:,}",
        f"{row['wall']:.2f}",
        f"{apps / row['wall']:.0f}" if row["answers"] != Answers.NOBODY.value else "–",
        f"{row['cost'] / apps * 1000:.1f}",
        f"{cpu['server']:.2f}",
        f"{cpu['worker']:.2f}",
        f"{cpu['driver']:.2f}",
        f"{row['events'] / apps:.2f}",
        f"{row['bytes'] / apps:,.0f}",
        str(row["times"]),
    )


def show(results: Mapping[str, Any], console: Console) -> None:
    """On the terminal."""
    for sheet in sheets(results):
        table = Table(title=sheet.title, title_justify="left", title_style="bold")
        for place, column in enumerate(sheet.columns):
            table.add_column(column, justify="left" if place == 0 else "right")
        for row in sheet.rows:
            table.add_row(*row)
        console.print(table)
    for verdict in judge(results):
        console.print(f"target {verdict.words}: {verdict.limit}, measured {verdict.measured}, {verdict.word}")


def markdown(results: Mapping[str, Any]) -> str:
    """The same for the page."""
    machine = results["machine"]
    lines = [f"Measured {machine['date']}: {machine['words']}.", ""]
    for sheet in sheets(results):
        lines += [f"### {sheet.title}", "", _line(sheet.columns), _line(["---"] * len(sheet.columns))]
        lines += [_line(row) for row in sheet.rows]
        lines.append("")
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def write_docs(results: Mapping[str, Any], page: Path) -> None:
    """Put fresh figures between the page's two marks; everything else on it is written by hand."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{markdown(results)}{END}{after}")
