"""The audit trail for those who may read it: what people and programs did besides cases."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from domain.access import Scope
from gateway import paging
from gateway.auth import Using, may
from gateway.caller import Caller
from store import trail
from store.keyset import Place
from store.trail import Did, Noted

router = APIRouter(prefix="/v1", tags=["audit"])

LIST = "audit-entries"


class AuditEntry(BaseModel):
    """Who did what to what, and when (UTC)."""

    at: AwareDatetime
    actor: str = Field(description="A code; `operator:` and who was at the command line; `nobody`: not proven who")
    action: Did
    about: str = Field(description="The code or id of what it was done to")
    detail: str

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "at": "2026-08-03T01:12:00Z",
                    "actor": "supervisor-wu",
                    "action": "signed_in",
                    "about": "supervisor-wu",
                    "detail": "",
                }
            ]
        }
    }


class AuditEntries(BaseModel):
    """A page of the trail, the newest on top."""

    entries: list[AuditEntry]
    next: str | None = Field(description="Cursor of the following page; null: this is the last one")


Code = Annotated[str, Query(max_length=80, pattern=r"^[A-Za-z0-9:._@-]*$")]


@router.get("/audit-entries")
async def list_audit_entries(
    reader: Annotated[Caller, may(Scope.AUDIT_READ)],
    services: Using,
    actor: Code = "",
    action: Did | None = None,
    about: Code = "",
    since: paging.Moment | None = None,
    after: paging.After = "",
    limit: paging.Limit = 50,
) -> AuditEntries:
    """The audit trail, the newest on top."""
    wanted, place = trail.Wanted(actor, action, about, since), paging.place(services.keys, LIST, after)
    before = int(place.case) if place else None
    found = await services.database.read(lambda c: trail.page(c, wanted, before, limit))
    entries = [AuditEntry(**{name: getattr(one, name) for name in AuditEntry.model_fields}) for one in found]
    next_ = paging.cursor(services.keys, LIST, _place(found[-1])) if len(found) == limit else None
    return AuditEntries(entries=entries, next=next_)


def _place(found: Noted) -> Place:
    return Place(found.at, str(found.entry_id))
