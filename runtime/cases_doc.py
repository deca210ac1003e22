"""`docs/cases.md` from the domain's own tables: `python -m runtime.cases_doc` writes it, a test checks it is current."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from domain import casework, complaint, dispute, identity, investigation, number, query, renewal, unbind
from domain.case import LETTERS, CaseKind, Transitions
from domain.story import NEXT

FILE = Path(__file__).resolve().parent.parent / "docs" / "cases.md"

INTRODUCTION = """# Case kinds and their states

Made from the domain's tables by `python -m runtime.cases_doc`; do not edit by hand. An arrow is an event in the ledger;
what is not drawn changes nothing. The words are those of `domain/<kind>/words.py`, what may happen is decided in
`domain/<kind>/rules.py`, when in `workflows/<kind>.py`.
"""

MODULES: Mapping[CaseKind, Any] = {
    CaseKind.IDENTITY: identity,
    CaseKind.QUERY: query,
    CaseKind.DISPUTE: dispute,
    CaseKind.UNBIND: unbind,
    CaseKind.RENEWAL: renewal,
    CaseKind.NUMBER: number,
    CaseKind.INVESTIGATION: investigation,
    CaseKind.COMPLAINT: complaint,
}

TABLES: Mapping[str, str] = {
    "TRANSITIONS": "The case",
    "ITEM_TRANSITIONS": "Each work item",
    "CLAIM_TRANSITIONS": "Each claim",
    "TASK_TRANSITIONS": "Each party's task",
}
"""The tables a kind may have, and whose states they are."""


def text() -> str:
    """The whole document."""
    parts = [INTRODUCTION]
    for kind, module in MODULES.items():
        parts.append("\n".join(_kind(kind, module)))
    parts.append("\n".join(_case_work()))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _kind(kind: CaseKind, module: Any) -> Iterator[str]:
    title = kind.value.replace("_", " ").capitalize()
    letter = LETTERS.get(kind)
    yield f"## {title}"
    yield ""
    yield (
        f"Reference: `{letter}` and twelve characters."
        if letter
        else "Reference: its parent's, `-unbind-` and a number."
    )
    yield ""
    yield from _first_sentence(module)
    for name, whose in TABLES.items():
        if table := getattr(module, name, None):
            yield from ("", f"**{whose}**", "")
            yield from _diagram(table)
    if following := NEXT.get(kind):
        yield from ("", "| status | what comes next |", "|---|---|")
        for status, sentence in following.items():
            yield f"| {status.replace('_', ' ')} | {sentence} |"


def _first_sentence(module: Any) -> Iterator[str]:
    """The module's own description, up to its first empty line."""
    yield (module.__doc__ or "").strip().split("\n\n")[0]


def _diagram(table: Transitions[StrEnum]) -> Iterator[str]:
    """One arrow per pair of states, with every event that leads there."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (before, word), then in table.items():
        if then != before:
            arrows.setdefault((before.value, then.value), []).append(word.replace(":", " ").replace("_", " "))
    reached = {then for _, then in arrows}
    yield "```mermaid"
    yield "stateDiagram-v2"
    for first in dict.fromkeys(source for source, _ in arrows if source not in reached):
        yield f"    [*] --> {first}"
    for (source, target), words in arrows.items():
        yield f"    {source} --> {target}: {', '.join(words)}"
    for last in dict.fromkeys(target for _, target in arrows if target not in {source for source, _ in arrows}):
        yield f"    {last} --> [*]"
    yield "```"


def _case_work() -> Iterator[str]:
    yield from (
        "## Case work",
        "",
        "What case workers and supervisors can do with a case, and what the ledger says then.",
        "",
    )
    yield from ("| action | what it does |", "|---|---|")
    for command in casework.COMMANDS:
        yield f"| {command.__name__} | {(command.__doc__ or '').strip()} |"


if __name__ == "__main__":
    FILE.write_text(text())
