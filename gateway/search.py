"""Doors for case workers: the queues, and the search through every case."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Connection, Row

from domain.access import Scope
from domain.case import CaseKind, root
from domain.casework import WORKER_CODE, Waiting
from domain.privacy import PhoneNumber
from gateway import paging
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.problems import ProblemError, fail
from gateway.services import Services
from store import queues, vault
from store.keyset import Place
from store.queues import Queue, Search, Sort
from store.vault import NotInVault

router = APIRouter(prefix="/v1", tags=["case work"])

AsReader = Annotated[Caller, may(Scope.DESK_READ)]

MASKED = re.compile(r"1[3-9][0-9]\*{4}[0-9]{4}")
REFERENCE = r"^ *[RKQDNXCrkqdnxc][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{12}(-[Uu][Nn][Bb][Ii][Nn][Dd]-[0-9]{1,3})? *$"
CODE = r"^[a-z][a-z0-9-]{1,39}$"
LOOKED_AT = 200
"""Cases with the same masked number one search for a number looks at."""


class Listed(BaseModel):
    """A case in a list of case workers. Times are UTC."""

    case: str
    kind: CaseKind
    status: str
    number: str = Field(description="Masked")
    waiting: Waiting
    assignee: str
    due_at: AwareDatetime | None
    paused: bool
    escalated: bool
    opened_at: AwareDatetime
    closed_at: AwareDatetime | None


class Listing(BaseModel):
    """A page of cases."""

    cases: list[Listed]
    next: str | None = Field(description="Cursor of the following page; null: this is the last one")


class NumberSearch(BaseModel):
    """A full number, in the body: it has no place in a URL, which is logged on the way."""

    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, json_schema_extra={"examples": [{"number": "13800138000"}]}
    )

    number: str = Field(max_length=20, description="Mainland mobile number, +86 optional")
    after: str = Field("", max_length=200, description="`next` of the page before")


async def wanted(
    queue: Annotated[
        Queue | None,
        Query(description="Left out: `open`, or `all` where a reference, number, enterprise or status is looked for"),
    ] = None,
    kind: CaseKind | None = None,
    reference: Annotated[
        str,
        Query(pattern=f"{REFERENCE}|^$", max_length=40, description="The whole reference, in any case of letters"),
    ] = "",
    number: Annotated[str, Query(max_length=20, description="Masked, as it is shown: 138****8000")] = "",
    enterprise: Annotated[
        str, Query(pattern=f"{CODE}|^$", description="Code of an enterprise or a carrier the case is about")
    ] = "",
    status: Annotated[str, Query(pattern=r"^[a-z_]{0,30}$", description="In the words of the case's kind")] = "",
    due_after: Annotated[paging.Moment | None, Query(description="Due then or later (RFC 3339)")] = None,
    due_before: Annotated[paging.Moment | None, Query(description="Due earlier (RFC 3339)")] = None,
    assignee: Annotated[str, Query(pattern=f"{WORKER_CODE}|^$", description="Whose it is, by code")] = "",
    waiting: Annotated[Waiting | None, Query(description="Whose turn it is")] = None,
) -> Search:
    """What a request looks for."""
    sought = any((reference, number, enterprise, status))
    return Search(
        queue=queue or (Queue.ALL if sought else Queue.OPEN),
        kind=kind,
        reference=root(reference.strip().upper().replace("-UNBIND-", "-unbind-")),
        number=_masked(number),
        enterprise=enterprise,
        status=status,
        due_after=due_after,
        due_before=due_before,
        assignee=assignee,
        waiting=waiting,
    )


Wanted = Annotated[Search, Depends(wanted)]


@router.get("/queues")
async def count_queues(staff: AsReader, services: Using) -> dict[Queue, int]:
    """How many cases are in each queue, counted up to 1,000: 1001 means more; `mine` is the caller's."""
    return await services.database.read(lambda c: queues.counts(c, staff.code, datetime.now(UTC)))


@router.get("/cases")
async def list_cases(
    staff: AsReader,
    services: Using,
    search: Wanted,
    sort: Annotated[
        Sort, Query(description="What stands on top: due first, or last; opened first, or last")
    ] = Sort.DUE,
    after: paging.After = "",
    limit: paging.Limit = 50,
) -> Listing:
    """Cases of a queue, or that are looked for: what is due first on top, if nothing else is said."""
    place, now = paging.place(services.keys, f"cases/{sort}", after), datetime.now(UTC)
    rows = await services.database.read(lambda c: queues.page(c, search, staff.code, now, sort, place, limit + 1))
    return _listing(services, rows[:limit], sort, more=len(rows) > limit)


@router.post("/cases/find")
async def find_cases(body: NumberSearch, staff: AsReader, services: Using) -> Listing:
    """The cases of one number, the newest first, closed ones too; not those whose person is forgotten.

    A page may have few cases or none and still be followed by another.
    """
    place = paging.place(services.keys, f"cases/{Sort.NEWEST}", body.after)
    try:
        number = PhoneNumber.parse(body.number)
    except ValueError as error:
        raise fail(422, "malformed", f"number: {error}.", "Correct it and ask again.", "number") from None
    rows, own = await services.database.read(lambda c: _of_number(c, services, number, staff.code, place))
    more = len(rows) == LOOKED_AT
    found = _listing(services, rows, Sort.NEWEST, more=more)
    return found.model_copy(update={"cases": [one for one in found.cases if one.case in own]})


def _of_number(
    connection: Connection, services: Services, number: PhoneNumber, me: str, place: Place | None
) -> tuple[list[Row[object]], set[str]]:
    """Cases that look the same when masked, and which of them are this number's."""
    search, own = Search(queue=Queue.ALL, number=number.mask()), set()
    rows = queues.page(connection, search, me, datetime.now(UTC), Sort.NEWEST, place, LOOKED_AT)
    for row in rows:
        try:
            if vault.get(connection, services.keys, row.case_id).number == number:
                own.add(row.case_id)
        except NotInVault:
            continue
    return rows, own


def _listing(services: Services, rows: list[Row[object]], sort: Sort, *, more: bool) -> Listing:
    listed = [
        Listed(
            case=row.case_id,
            number=row.masked_number,
            **{name: getattr(row, name) for name in Listed.model_fields if name not in ("case", "number")},
        )
        for row in rows
    ]
    last = paging.cursor(services.keys, f"cases/{sort}", queues.place(rows[-1], sort)) if more else None
    return Listing(cases=listed, next=last)


def _masked(number: str) -> str:
    if not number or MASKED.fullmatch(number):
        return number
    raise (
        _not_in_a_url()
        if re.search(r"[0-9]{7}", re.sub(r"[\s+-]", "", number))
        else fail(
            422, "malformed", "number: it is no masked number.", "Write it as it is shown: 138****8000.", "number"
        )
    )


def _not_in_a_url() -> ProblemError:
    return fail(
        422,
        "number_in_url",
        "A full number has no place in a URL.",
        "Use its masked form (138****8000), or POST /v1/cases/find with the number in the body.",
        "number",
    )
