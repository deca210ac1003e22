"""What a case asked of enterprises and carriers: its unbind requests with their work items, and its questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from sqlalchemy import Connection, select

from domain import unbind
from domain.case import CaseKind, kind_of
from domain.question import Question
from store.tables import cases, questions, work_items

PARTS_AT_ONCE = 20


@dataclass(frozen=True)
class Asked:
    """Unbind requests by their reference, each with its work items, and the questions, as they were made."""

    requests: Mapping[str, tuple[unbind.Header, Sequence[unbind.Item]]]
    questions: Sequence[Question]


def asked(connection: Connection, case: str) -> Asked:
    """What this case asked; of an unbind request, its own work items."""
    headers = _headers(connection, case)
    items: dict[str, list[unbind.Item]] = {part: [] for part in headers}
    rows = select(work_items.c.case_id, work_items.c.data).where(work_items.c.case_id.in_([*headers]))
    for row in connection.execute(rows.order_by(work_items.c.cursor)):
        items[row.case_id].append(unbind.Item.model_validate_json(row.data))
    put = select(questions.c.data).where(questions.c.case_id == case).order_by(questions.c.cursor)
    return Asked(
        {part: (header, items[part]) for part, header in headers.items()},
        [Question.model_validate_json(data) for data in connection.execute(put).scalars()],
    )


def _headers(connection: Connection, case: str) -> dict[str, unbind.Header]:
    """The unbind requests of a case: they are numbered from 0 without gaps."""
    if kind_of(case) is CaseKind.UNBIND:
        return _found(connection, [case])
    found: dict[str, unbind.Header] = {}
    for first in count(step=PARTS_AT_ONCE):
        some = _found(connection, [f"{case}-unbind-{n}" for n in range(first, first + PARTS_AT_ONCE)])
        found |= some
        if len(some) < PARTS_AT_ONCE:
            break
    return found


def _found(connection: Connection, parts: list[str]) -> dict[str, unbind.Header]:
    rows = connection.execute(select(cases.c.case_id, cases.c.data).where(cases.c.case_id.in_(parts)))
    headers = {row.case_id: unbind.Header.model_validate_json(row.data) for row in rows}
    return {part: headers[part] for part in parts if part in headers}
