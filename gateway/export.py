"""Exports for case workers: the search as a table for a spreadsheet, with a line in the trail of who took it away."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from sqlalchemy import Connection, Row

from domain.access import Scope
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.problems import fail
from gateway.search import Wanted
from gateway.services import Services
from store import queues, trail
from store.keyset import Place
from store.queues import Search, Sort
from store.trail import Did, Entry

router = APIRouter(prefix="/v1", tags=["case work"])

MOST_ROWS = 100_000
BATCH = 500
CSV = "text/csv"
BOM = "\ufeff"
"""Excel takes a file without it for one in the machine's old code page."""

HEADER = (
    "reference",
    "kind",
    "status",
    "number",
    "enterprises",
    "opened",
    "due",
    "assignee",
    "waiting",
    "closed",
)
EXAMPLE = f"{','.join(HEADER)}\r\nQ0123456789AB,query,asking,138****8000,alipay tencent,2026-11-20T01:30:00+00:00,,,party,\r\n"


@router.get(
    "/cases/export.csv",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "A table with a header, oldest case first; UTF-8, times in UTC",
            "content": {CSV: {"schema": {"type": "string"}, "example": EXAMPLE}},
        }
    },
)
async def export_cases(
    staff: Annotated[Caller, may(Scope.DESK_EXPORT)], services: Using, search: Wanted
) -> StreamingResponse:
    """What a search finds, as CSV, at most 100,000 cases; the trail says who took it, and how many."""
    now = datetime.now(UTC)
    rows = await services.database.read(lambda c: queues.count(c, search, staff.code, now, MOST_ROWS))
    if rows > MOST_ROWS:
        raise fail(
            422,
            "too_many_rows",
            f"There are more than {MOST_ROWS:,} such cases.",
            "Look for less: one kind, one queue, or a span of due times.",
        )
    entry = Entry(at=now, actor=f"{staff.role}:{staff.code}", action=Did.EXPORTED, detail=_told(search, rows))
    await services.database.write(lambda c: trail.note(c, entry))
    headers = {
        "content-disposition": f'attachment; filename="cases-{now:%Y-%m-%d}.csv"',
        "cache-control": "no-store",
    }
    return StreamingResponse(_table(services, search, staff.code, now), media_type=CSV, headers=headers)


async def _table(services: Services, search: Search, me: str, now: datetime) -> AsyncIterator[str]:
    """A batch at a time, in the order the cases were opened: unlike what is due, that never changes meanwhile."""
    yield BOM + line(HEADER)
    after: Place | None = None
    for _ in range(-(-MOST_ROWS // BATCH)):
        place = after
        rows, parties = await services.database.read(lambda c: _batch(c, search, me, now, place))  # noqa: B023
        if rows:
            yield "".join(line(_cells(row, parties.get(row.case_id, []))) for row in rows)
            after = queues.place(rows[-1], Sort.OPENED)
        if len(rows) < BATCH:
            return


def _batch(
    connection: Connection, search: Search, me: str, now: datetime, after: Place | None
) -> tuple[list[Row[Any]], dict[str, list[str]]]:
    rows = queues.page(connection, search, me, now, Sort.OPENED, after, BATCH)
    return rows, queues.parties(connection, [row.case_id for row in rows])


def _cells(row: Row[Any], parties: list[str]) -> tuple[str, ...]:
    opened, due, closed = (
        moment.isoformat() if moment else "" for moment in (row.opened_at, row.due_at, row.closed_at)
    )
    return (
        row.case_id,
        row.kind,
        row.status,
        row.masked_number,
        " ".join(parties),
        opened,
        due,
        row.assignee,
        row.waiting,
        closed,
    )


def line(cells: Iterable[str]) -> str:
    """A row of a table; what a spreadsheet would take for a formula is text."""
    line = io.StringIO()
    csv.writer(line).writerow([_harmless(cell) for cell in cells])
    return line.getvalue()


def _harmless(cell: str) -> str:
    """A cell a spreadsheet would take for a formula is text."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _told(search: Search, rows: int) -> str:
    """What was looked for, without the number, and how much was found."""
    words = {
        "queue": search.queue,
        "kind": search.kind,
        "reference": search.reference,
        "number": "given" if search.number else "",
        "enterprise": search.enterprise,
        "status": search.status,
        "due_after": search.due_after,
        "due_before": search.due_before,
        "assignee": search.assignee,
        "waiting": search.waiting,
    }
    return " ".join([f"rows={rows}", *(f"{name}={value}" for name, value in words.items() if value)])
