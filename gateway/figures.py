"""The door to a party's own figures: how it keeps its deadlines. Nobody sees another's."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from domain.access import Scope
from domain.sla import SHANGHAI
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.problems import fail
from store.figures import ItemFigures, QuestionFigures, Span, of_items, of_questions

router = APIRouter(prefix="/v1", tags=["self-service"])

LONGEST = timedelta(days=366)
EARLIEST = date(2020, 1, 1)


class Figures(BaseModel):
    """Your own figures for some days."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    since: date = Field(alias="from")
    until: date
    work_items: ItemFigures
    questions: QuestionFigures


@router.get("/figures")
async def own_figures(
    party: Annotated[Caller, may(Scope.FIGURES_READ)],
    services: Using,
    since: Annotated[date, Query(alias="from", description="First day, in Shanghai")],
    until: Annotated[date, Query(description="Day after the last; at most a year in all")],
) -> Figures:
    """How you kept your deadlines: what you received in this time, and how it stands now."""
    if since < EARLIEST or not timedelta() < until - since <= LONGEST:
        raise fail(
            422,
            "malformed",
            f"until: it is not after `from`, or more than a year after; or `from` is before {EARLIEST}.",
            "Ask for at most a year; `until` is the day after the last.",
            "until",
        )
    span = Span(_midnight(since), _midnight(until), datetime.now(UTC))
    return Figures(
        since=since,
        until=until,
        work_items=await services.database.read(lambda c: of_items(c, party.code, span)),
        questions=await services.database.read(lambda c: of_questions(c, party.code, span)),
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), SHANGHAI)
