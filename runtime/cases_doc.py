"""`docs/cases.md` from the domain's own tables: `python -m runtime.cases_doc` writes it, a test checks it is current."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from domain import (
    casework,
    complaint,
    dispute,
    identity,
    investigation,
    number,
    query,
    registry,
    renewal,
    sla,
    unbind,
)
from domain.case import LETTERS, CaseKind, Transitions
from domain.story import CLAIM_NEXT, NEXT

FILE = Path(__file__).resolve().parent.parent / "docs" / "cases.md"

INTRODUCTION = """# Case kinds: states, clocks, what comes next

Made from the domain's tables by `python -m runtime.cases_doc`; do not edit by hand. An arrow is an event in the ledger;
what is not drawn changes nothing. The words are those of `domain/<kind>/words.py`, what may happen is decided in
`domain/<kind>/rules.py`, when in `workflows/<kind>.py`. Clocks are the registry's (`domain/registry.py`), with the
values they have where the registry's file says nothing; a case keeps the ones it was opened with.
"""

MODULES: Mapping[CaseKind, Any] = {
    CaseKind.RENEWAL: renewal,
    CaseKind.UNBIND: unbind,
    CaseKind.IDENTITY: identity,
    CaseKind.QUERY: query,
    CaseKind.DISPUTE: dispute,
    CaseKind.COMPLAINT: complaint,
    CaseKind.INVESTIGATION: investigation,
    CaseKind.NUMBER: number,
}


@dataclass(frozen=True)
class Drawing:
    """A table of states to be drawn: whose they are, where they begin, and which of them are left again only when
    something is amended or taken up once more (`again`): arrows out of those are a table below."""

    whose: str
    table: Transitions[Any]
    start: StrEnum
    again: frozenset[StrEnum] = frozenset()
    what_is_next: Mapping[Any, str] = field(default_factory=dict)


DRAWINGS: Mapping[CaseKind, tuple[Drawing, ...]] = {
    CaseKind.RENEWAL: (Drawing("The case", renewal.TRANSITIONS, renewal.RenewalStatus.SUBMITTED),),
    CaseKind.UNBIND: (
        Drawing("The request", unbind.TRANSITIONS, unbind.UnbindStatus.OPEN),
        Drawing(
            "Each work item",
            unbind.ITEM_TRANSITIONS,
            unbind.ItemState.QUEUED,
            again=frozenset(unbind.ItemState) - unbind.OPEN,
        ),
    ),
    CaseKind.IDENTITY: (Drawing("The check", identity.TRANSITIONS, identity.IdentityStatus.OPENED),),
    CaseKind.QUERY: (Drawing("The case", query.TRANSITIONS, query.QueryStatus.ASKING),),
    CaseKind.DISPUTE: (
        Drawing("The case", dispute.TRANSITIONS, dispute.DisputeStatus.OPEN),
        Drawing(
            "Each claim",
            dispute.CLAIM_TRANSITIONS,
            dispute.ClaimState.ASKING_DETAIL,
            again=dispute.OVER,
            what_is_next=CLAIM_NEXT,
        ),
    ),
    CaseKind.COMPLAINT: (Drawing("The case", complaint.TRANSITIONS, complaint.ComplaintStatus.TAKEN),),
    CaseKind.INVESTIGATION: (
        Drawing("The case", investigation.TRANSITIONS, investigation.InvestigationStatus.OPEN),
        Drawing("Each party's task", investigation.TASK_TRANSITIONS, investigation.TaskState.ASKED),
    ),
    CaseKind.NUMBER: (Drawing("The number", number.TRANSITIONS, number.NumberStatus.ACTIVE),),
}

CLOCKS: Mapping[CaseKind, Mapping[type[BaseModel], Mapping[str, str]]] = {
    CaseKind.RENEWAL: {
        registry.RenewalPolicy: {
            "ask_again": "a carrier that does not know yet is asked again",
            "give_up_after": "a carrier that never knows is given up",
            "late_window": "late answers and amendments are taken for so long after the last deadline",
            "identity_valid": "how old the carrier's own identity check may be",
        }
    },
    CaseKind.UNBIND: {
        sla.SlaPolicy: {
            "days": "how days are counted, per enterprise; working days in Asia/Shanghai, 调休 included",
            "answer_within": "the enterprise's answer is due",
            "remind_before": "it is reminded so long before that",
            "extend_at_most": "it may extend by so much, with a reason",
        }
    },
    CaseKind.IDENTITY: {
        registry.IdentityPolicy: {
            "code_valid": "a code counts",
            "tries": "wrong codes, then it is locked",
            "send_again_after": "another code can be sent",
            "sends": "codes in all",
            "attest_within": "a counter or an enterprise attests",
            "confirm_within": "the carriers are tried again before it ends unconfirmed, at no cost",
            "opens_within": "the proof opens a case",
            "follows_within": "the proof looks into its case and acts on it",
            "cool_down": "after an ID tail that did not match, no other try counts",
        }
    },
    CaseKind.QUERY: {
        registry.QueryPolicy: {
            "answer_within": "the result goes out, whoever is silent",
            "ask_again_first": "a party that cannot be reached is asked again, the pause doubling",
            "ask_again_at_most": "the longest such pause",
            "late_window": "late answers are taken after the result",
            "one_result_in": "one result per number and kind",
        }
    },
    CaseKind.DISPUTE: {
        registry.DisputePolicy: {
            "detail_within": "the enterprise says which accounts there are",
            "remind_citizen_after": "a silent citizen is reminded",
            "citizen_silent_after": "a claim its citizen is silent about lapses",
            "handle_within": "a case worker is done with it",
            "late_window": "late answers and amendments of the unbinding are taken after its last deadline",
        }
    },
    CaseKind.COMPLAINT: {},
    CaseKind.INVESTIGATION: {
        registry.InvestigationPolicy: {
            "evidence_within": "each party gives evidence",
            "answer_within": "the result is due; a complaint's answer too",
        }
    },
    CaseKind.NUMBER: {
        registry.NumberPolicy: {
            "batch_after": "after the cancellation everything is asked to be unbound; until then a mistake is undone",
            "freeze": "after the cancellation it may not be re-issued, unless a supervisor overrides",
            "late_window": "late answers and amendments of the unbinding are taken after its last deadline",
        }
    },
}
"""What each clock of a policy is for; one without its words here is a KeyError when the document is made."""

UNITS = ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute"))


def text() -> str:
    """The whole document."""
    parts = [INTRODUCTION, *("\n".join(_kind(kind, module)) for kind, module in MODULES.items())]
    return "\n\n".join(part.strip() for part in (*parts, "\n".join(_case_work()))) + "\n"


def _kind(kind: CaseKind, module: Any) -> Iterator[str]:
    letter = LETTERS.get(kind)
    yield f"## {_plain(kind).capitalize()}"
    yield ""
    yield f"{_first_paragraph(module)} " + (
        f"Reference: `{letter}` and twelve characters."
        if letter
        else "Reference: its parent's, `-unbind-` and a number."
    )
    for drawing in DRAWINGS[kind]:
        yield from ("", f"**{drawing.whose}**", "", *_diagram(drawing), *_again(drawing))
        yield from _next(drawing.what_is_next or (NEXT.get(kind, {}) if drawing is DRAWINGS[kind][0] else {}))
    for policy, meanings in CLOCKS[kind].items():
        yield from ("", "| clock | value | what for |", "|---|---|---|")
        for name, clock in policy.model_fields.items():
            yield f"| `{name}` | {_value(clock.default)} | {meanings[name]} |"


def _first_paragraph(module: Any) -> str:
    """The module's own description, up to its first empty line, on one line."""
    return " ".join((module.__doc__ or "").strip().split("\n\n")[0].split())


def _diagram(drawing: Drawing) -> Iterator[str]:
    """One arrow per pair of states, with every event that leads there; what leads there from everywhere that is not
    `again` is one arrow out of a box around those."""
    moves = _moves(drawing)
    inside = {source for source, _ in moves if source not in drawing.again}
    shared = {
        (word, target)
        for words in moves.values()
        for word in words
        for target in drawing.again
        if len(inside) > 2 and all(word in moves.get((source, target), ()) for source in inside)
    }
    yield from ("```mermaid", "stateDiagram-v2", f"    [*] --> {_plain_id(drawing.start)}")
    if shared:
        yield from (
            "    state not_over {",
            *(f"        {_plain_id(one)}" for one in _sorted(inside, drawing)),
            "    }",
        )
    for (source, target), words in moves.items():
        left = [word for word in words if (word, target) not in shared]
        if left and source not in drawing.again:
            yield f"    {_plain_id(source)} --> {_plain_id(target)}: {_events(left)}"
    for target in _sorted({target for _, target in shared}, drawing):
        words = [word for word, to in sorted(shared) if to == target]
        yield f"    not_over --> {_plain_id(target)}: {_events(words)}"
    leaving = {source for source, _ in moves}
    for last in _sorted({target for _, target in moves} - leaving, drawing):
        yield f"    {_plain_id(last)} --> [*]"
    yield "```"


def _again(drawing: Drawing) -> Iterator[str]:
    """Arrows out of states that are left again only by way of exception."""
    found: dict[tuple[str, StrEnum], list[StrEnum]] = {}
    for (source, target), words in _moves(drawing).items():
        if source in drawing.again:
            for word in words:
                found.setdefault((word, target), []).append(source)
    if not found:
        return
    yield from ("", "| afterwards | from | to |", "|---|---|---|")
    for (word, target), sources in found.items():
        yield f"| {_events([word])} | {', '.join(map(_plain, sources))} | {_plain(target)} |"


def _next(following: Mapping[Any, str]) -> Iterator[str]:
    if following:
        yield from ("", "| state | what comes next |", "|---|---|")
        for state, sentence in following.items():
            yield f"| {_plain(state)} | {sentence[:1].upper()}{sentence[1:].rstrip('.')}. |"


def _moves(drawing: Drawing) -> dict[tuple[StrEnum, StrEnum], list[str]]:
    """The events from one state to another, in the table's order."""
    moves: dict[tuple[StrEnum, StrEnum], list[str]] = {}
    for (source, word), target in drawing.table.items():
        if target != source:
            moves.setdefault((source, target), []).append(str(word))
    return moves


def _sorted(states: set[StrEnum], drawing: Drawing) -> list[StrEnum]:
    order = list(type(drawing.start))
    return sorted(states, key=order.index)


def _plain_id(state: StrEnum) -> str:
    return state.value


def _plain(word: str) -> str:
    return str(getattr(word, "value", word)).replace("_", " ")


def _events(words: list[str]) -> str:
    return ", ".join(_plain(word).replace(":", " ") for word in words)


def _value(default: Any) -> str:
    match default:
        case timedelta():
            return _span(default)
        case tuple():
            return ", ".join(map(_value, default))
        case StrEnum():
            return _plain(default)
    return str(default)


def _span(length: timedelta) -> str:
    """In the largest unit that leaves no rest; hours up to two days, as the rules are written."""
    if length == timedelta(days=2):
        return "48 hours"
    for size, unit in UNITS:
        count, rest = divmod(length, size)
        if count and not rest and (size, count) != (timedelta(days=1), 1):
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{length.seconds} seconds"


def _case_work() -> Iterator[str]:
    yield from (
        "## Case work",
        "",
        "What case workers and supervisors can do with a case, and what the ledger says then. A closed case can be "
        f"reopened within {_span(casework.REOPEN_WITHIN)}; an extension is at most {_span(casework.EXTEND_AT_MOST)}, "
        "the second one a supervisor's.",
        "",
    )
    yield from ("| action | what it does |", "|---|---|")
    for command in casework.COMMANDS:
        yield f"| {command.__name__} | {(command.__doc__ or '').strip()} |"


if __name__ == "__main__":
    FILE.write_text(text())
