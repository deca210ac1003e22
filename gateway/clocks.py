"""Doors for case workers: stop the clock of one work item and let it go on, whatever case it belongs to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, select

from domain import unbind
from domain.access import Scope
from domain.case import root
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.casework import Words, actor_of
from gateway.desk import EngineBusy
from gateway.problems import ProblemError, fail, of_refusal
from gateway.renewals import busy
from gateway.services import Services
from gateway.work_items import ItemInPath, Recorded
from store import papers
from store.keys import KeyRing
from store.tables import work_items
from store.vault import NotInVault

router = APIRouter(prefix="/v1", tags=["case work"])


class PauseBody(BaseModel):
    """Why the clock is stopped, in words."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={"examples": [{"reason": "The enterprise waits for the court's order."}]},
    )

    reason: Words


@router.post("/work-items/{item}/pause")
async def pause(
    item: ItemInPath, body: PauseBody, staff: Annotated[Caller, may(Scope.DESK_ACT)], services: Using
) -> Recorded:
    """Stop a work item's clock: no reminder and no breach while it stands. Pausing it again changes nothing."""
    try:
        reason = await services.database.write(lambda c: _paper(c, services.keys, item, body.reason))
    except NotInVault:
        raise fail(410, "forgotten", "The case of this work item is closed.", "Nothing needs to be done.") from None
    return await _said(services, unbind.Pause(item=item, actor=actor_of(staff), reason=reason))


@router.post("/work-items/{item}/resume")
async def resume(item: ItemInPath, staff: Annotated[Caller, may(Scope.DESK_ACT)], services: Using) -> Recorded:
    """Let the clock go on; reminder and deadline are later by as long as it stood."""
    return await _said(services, unbind.Resume(item=item, actor=actor_of(staff)))


async def _said(services: Services, command: unbind.Pause | unbind.Resume) -> Recorded:
    (taken,) = await services.desk.take([command])
    if isinstance(taken, EngineBusy):
        raise busy()
    if taken.refusal:
        raise ProblemError(of_refusal(taken.refusal))
    assert taken.state is not None
    return Recorded(work_item=taken.item, state=taken.state, version=taken.version, changed=taken.changed)


def _paper(connection: Connection, keys: KeyRing, item: str, text: str) -> str:
    """The reason, put away with the case the work item belongs to."""
    found = select(work_items.c.case_id).where(work_items.c.item_id == item)
    case = connection.execute(found).scalar_one_or_none()
    if case is None:
        raise ProblemError(of_refusal(unbind.refuse_unknown(item)))
    return papers.put(connection, keys, root(case), text)
