"""Doors for carriers and channels: what they have handed in, a page at a time. Nobody sees another's."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, Field

from domain.access import Scope
from domain.case import CaseKind
from domain.complaint import ComplaintStatus
from domain.dispute import DisputeStatus
from domain.query import QueryStatus
from domain.renewal import RenewalStatus
from gateway import paging
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.services import Services
from store import lists
from store.keyset import Place
from store.lists import Own

router = APIRouter(prefix="/v1")


class Sort(StrEnum):
    """What stands on top."""

    NEWEST = "-submitted"
    OLDEST = "submitted"


class Brief(BaseModel):
    """A case you have handed in. Times are UTC."""

    case: str
    status: str
    number: str = Field(description="Masked")
    submitted_at: AwareDatetime
    due_at: AwareDatetime | None = Field(description="When the case as a whole is due; null: no such clock runs")
    open: bool
    status_url: str


class Briefs(BaseModel):
    """A page of your cases."""

    cases: list[Brief]
    next: str | None = Field(description="Cursor of the following page; null: this is the last one")


class Window(BaseModel):
    """Which of them, and where to go on."""

    since: AwareDatetime | None
    until: AwareDatetime | None
    sort: Sort
    after: str
    limit: int


async def window(
    submitted_from: Annotated[paging.Moment | None, Query(description="Handed in then or later (RFC 3339)")] = None,
    submitted_until: Annotated[paging.Moment | None, Query(description="Handed in earlier (RFC 3339)")] = None,
    sort: Annotated[Sort, Query(description="The newest on top, or the oldest")] = Sort.NEWEST,
    after: paging.After = "",
    limit: paging.Limit = 50,
) -> Window:
    """What every list understands."""
    return Window(since=submitted_from, until=submitted_until, sort=sort, after=after, limit=limit)


Of = Annotated[Window, Depends(window)]
AsChannel = Annotated[Caller, may(Scope.CASES_FOLLOW)]
Status = Query(description="Only those that stand there")


@router.get("/renewals", tags=["renewals"])
async def list_renewals(
    partner: Annotated[Caller, may(Scope.RENEWALS_READ)],
    services: Using,
    of: Of,
    status: Annotated[RenewalStatus | None, Status] = None,
) -> Briefs:
    """The renewals you have handed in."""
    return await _listed(services, partner, CaseKind.RENEWAL, "renewals", of, status)


@router.get("/queries", tags=["queries"])
async def list_queries(
    channel: AsChannel, services: Using, of: Of, status: Annotated[QueryStatus | None, Status] = None
) -> Briefs:
    """The queries that came through you."""
    return await _listed(services, channel, CaseKind.QUERY, "queries", of, status)


@router.get("/disputes", tags=["disputes"])
async def list_disputes(
    channel: AsChannel, services: Using, of: Of, status: Annotated[DisputeStatus | None, Status] = None
) -> Briefs:
    """The disputes that came through you. One that a complaint went on as is told of by the complaint."""
    return await _listed(services, channel, CaseKind.DISPUTE, "disputes", of, status)


@router.get("/complaints", tags=["complaints"])
async def list_complaints(
    channel: AsChannel, services: Using, of: Of, status: Annotated[ComplaintStatus | None, Status] = None
) -> Briefs:
    """The complaints that came through you."""
    return await _listed(services, channel, CaseKind.COMPLAINT, "complaints", of, status)


ORDERS = {Sort.NEWEST: lists.NEWEST, Sort.OLDEST: lists.OLDEST}


async def _listed(
    services: Services, owner: Caller, kind: CaseKind, path: str, of: Window, status: StrEnum | None
) -> Briefs:
    """A cursor goes back to whom it was given to, in the order it was made for."""
    name = f"{path}/{owner.code}/{of.sort}"
    place = paging.place(services.keys, name, of.after)
    own = Own(owner.code, kind, status.value if status else "", of.since, of.until)
    rows = await services.database.read(lambda c: lists.page(c, own, ORDERS[of.sort], place, of.limit + 1))
    briefs = [
        Brief(
            case=row.case_id,
            status=row.status,
            number=row.masked_number,
            submitted_at=row.submitted_at,
            due_at=row.due_at,
            open=row.open,
            status_url=f"/v1/{path}/{row.case_id}",
        )
        for row in rows[: of.limit]
    ]
    if len(rows) <= of.limit:
        return Briefs(cases=briefs, next=None)
    last = Place(briefs[-1].submitted_at, briefs[-1].case)
    return Briefs(cases=briefs, next=paging.cursor(services.keys, name, last))
