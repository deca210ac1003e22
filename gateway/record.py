"""Doors for who looks into a case closely: what was asked of whom, and its events as they stand in the ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from domain.access import Scope
from domain.question import Declined, Question, QuestionKind
from domain.registry import Registry
from domain.unbind import ItemState, Reason
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.problems import ProblemError, fail
from gateway.renewals import CaseInPath
from store import ledger, views
from store.requests import Asked, asked

router = APIRouter(prefix="/v1", tags=["case work"])

MOST_EVENTS = 100


class RequestedItem(BaseModel):
    """A work item of a case, as case workers see it. Times are UTC."""

    work_item: str
    request: str = Field(description="The unbind request it is part of")
    app: str
    name: str
    enterprise: str
    enterprise_name: str
    state: ItemState
    reason: Reason | None
    version: int = Field(description="Counts its answers; 0 before the first")
    remind_at: AwareDatetime
    reminded_at: AwareDatetime | None
    due_at: AwareDatetime
    overdue_at: AwareDatetime | None
    answered_at: AwareDatetime | None
    paused_at: AwareDatetime | None
    failures: int = Field(description="How often its enterprise could not be told")


class PutQuestion(BaseModel):
    """A question of a case to a party. Times are UTC."""

    question_id: str
    kind: QuestionKind
    party: str
    party_name: str
    apps: list[str]
    asked_at: AwareDatetime
    due_at: AwareDatetime
    answered_at: AwareDatetime | None
    declined: str = Field(description="Why the party gave no answer, if it said why")
    failure: str = Field(description="Why it could not be reached, when it could not")


class Requests(BaseModel):
    """What a case asked of enterprises and carriers."""

    case: str
    work_items: list[RequestedItem]
    questions: list[PutQuestion]


class RawEvent(BaseModel):
    """One event as it stands in the ledger. It names papers by their ids and numbers masked, nothing else of a person."""

    seq: int
    at: AwareDatetime
    type: str
    actor: str
    step: str = Field(description="The step of the workflow that wrote it; a step is written once")
    data: Mapping[str, Any]


class RawEvents(BaseModel):
    """A page of a case's events, oldest first."""

    case: str
    events: list[RawEvent]
    next: int | None = Field(description="`after` of the following page; null: this is the last one")


@router.get("/cases/{case}/requests")
async def list_requests(
    case: CaseInPath, staff: Annotated[Caller, may(Scope.DESK_READ)], services: Using
) -> Requests:
    """Every work item and every question of a case, in the order they were made."""
    found, known = await services.database.read(lambda c: (asked(c, case), views.version(c, case)))
    if known is None:
        raise _unknown(case)
    return presented(case, found, services.registry)


@router.get("/cases/{case}/events")
async def list_events(
    case: CaseInPath,
    reader: Annotated[Caller, may(Scope.LEDGER_READ)],
    services: Using,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="`next` of the page before")] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_EVENTS)] = 50,
) -> RawEvents:
    """The events of a case as they stand in the ledger, for who has to check what was done."""
    rows, known = await services.database.read(
        lambda c: (ledger.page(c, case, after, limit + 1), views.version(c, case))
    )
    if known is None:
        raise _unknown(case)
    events = [
        RawEvent(seq=row.seq, at=row.at, type=row.type, actor=row.actor, step=row.step, data=json.loads(row.data))
        for row in rows[:limit]
    ]
    return RawEvents(case=case, events=events, next=events[-1].seq if len(rows) > limit else None)


def presented(case: str, found: Asked, registry: Registry) -> Requests:
    """What a case asked of enterprises and carriers, with their names."""
    return Requests(
        case=case,
        work_items=[
            RequestedItem(
                work_item=item.id,
                request=part,
                name=app_name(registry, item.app),
                enterprise_name=party_name(registry, item.enterprise),
                **item.model_dump(include=set(RequestedItem.model_fields)),
            )
            for part, (_, items) in found.requests.items()
            for item in items
        ],
        questions=[_put(one, registry) for one in found.questions],
    )


def _put(question: Question, registry: Registry) -> PutQuestion:
    answer = question.answer
    return PutQuestion(
        question_id=question.id,
        party_name=party_name(registry, question.party),
        apps=list(question.apps),
        declined=answer.reason.value if isinstance(answer, Declined) else "",
        failure=question.failure if question.open else "",
        **question.model_dump(include={"kind", "party", "asked_at", "due_at", "answered_at"}),
    )


def party_name(registry: Registry, party: str) -> str:
    """How people call an enterprise or a carrier; its code if it is no longer registered."""
    try:
        return registry.enterprise(party).name
    except KeyError:
        return party


def app_name(registry: Registry, app: str) -> str:
    """How people call an app; its code if it is no longer registered."""
    try:
        return registry.app(app).name
    except KeyError:
        return app


def _unknown(case: str) -> ProblemError:
    return fail(404, "unknown_case", f"There is no case {case}.", "Check the reference.", "case")
