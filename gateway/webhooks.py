"""Doors for who gets messages from us: which were sent and taken, and sending them again."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Row
from temporalio.service import RPCError

from domain.access import Scope
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.intake import CONNECT_AND_START_SECONDS, START_SECONDS
from gateway.limits import Window
from gateway.paging import After, Limit, Moment, cursor, place
from gateway.problems import fail
from gateway.renewals import busy
from gateway.services import Services
from store import sent
from store.keyset import Place
from store.sent import ABOUT, MOST_AGAIN, OfItems, OfQuestion, OfRenewal, Wanted
from workflows.clockwork import TASK_QUEUE
from workflows.messages import RedeliveryOrder
from workflows.redelivery import RedeliveryWorkflow

log = structlog.get_logger()
router = APIRouter(prefix="/v1", tags=["webhooks"])

Receiver = Annotated[Caller, may(Scope.WEBHOOKS_MANAGE)]
MessageInPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,120}$", description="The message's `webhook-id`")]


class SentMessage(BaseModel):
    """A message we sent you. Times are UTC."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "message_id": "request.W0123456789ABCDEFGHJK.1795310000",
                    "type": "work_items.requested",
                    "first_sent_at": "2026-11-20T01:30:00Z",
                    "last_sent_at": "2026-11-20T02:30:00Z",
                    "tries": 8,
                    "taken": False,
                    "failure": "http_503",
                    "replaying": False,
                    "renewal": None,
                    "work_items": ["W0123456789ABCDEFGHJK"],
                    "question": None,
                }
            ]
        }
    )

    message_id: str = Field(description="Its `webhook-id`")
    type: str
    first_sent_at: AwareDatetime
    last_sent_at: AwareDatetime
    tries: int
    taken: bool = Field(description="Whether you ever answered it with a 2xx")
    failure: str = Field(description="What became of the last try: `http_503`, `http_timeout` …; empty when taken")
    replaying: bool = Field(description="Whether it is about to be sent again")
    renewal: str | None = Field(description="The renewal it is about, for a carrier")
    work_items: list[str] = Field(description="The work items it is about")
    question: str | None = Field(description="The question it asks")


class SentMessages(BaseModel):
    """A page of messages, the oldest first."""

    messages: list[SentMessage]
    next: str | None = Field(description="Cursor of the following page; null: this is the last one")


class ReplayRequest(BaseModel):
    """Which messages to send again: those first sent in this time."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"since": "2026-11-20T00:00:00+08:00", "until": "2026-11-20T06:00:00+08:00"}]}
    )

    since: Moment = Field(description="Inclusive; messages are kept for 30 days")
    until: Moment | None = Field(None, description="Exclusive; left out: now")
    only_missed: bool = Field(True, description="false: also what you have taken")


class Replay(BaseModel):
    """Messages about to be sent again."""

    messages: int = Field(description="How many")


@router.get("/webhooks")
async def list_messages(
    receiver: Receiver,
    services: Using,
    taken: Annotated[bool | None, Query(description="false: only those you have not taken")] = None,
    type: Annotated[str | None, Query(pattern="^[a-z_.]{1,60}$", description="e.g. `questions.asked`")] = None,
    since: Annotated[Moment | None, Query(description="First sent then or later")] = None,
    after: After = "",
    limit: Limit = 50,
) -> SentMessages:
    """The messages we sent to your endpoint in the last 30 days, the oldest first, and whether you took them."""
    wanted, of = Wanted(receiver.code, taken, type, since), f"webhooks/{receiver.code}"
    there = place(services.keys, of, after)
    rows = await services.database.read(lambda c: sent.page(c, wanted, there, limit))
    more = len(rows) == limit
    last = cursor(services.keys, of, Place(rows[-1].first_at, rows[-1].message_id)) if more else None
    return SentMessages(messages=[_told(row) for row in rows], next=last)


@router.post("/webhooks/replay", status_code=202)
async def replay_messages(body: ReplayRequest, receiver: Receiver, services: Using) -> Replay:
    """Send messages again, under the `webhook-id` they had and with what is so today; tried for a day."""
    await services.limits.take(Window.REPLAYS, receiver.code)
    until = body.until or datetime.now(UTC)
    wanted = Wanted(receiver.code, False if body.only_missed else None, None, body.since, until)
    name = _name()
    count = await services.database.write(lambda c: sent.mark_all(c, wanted, name))
    if count is None:
        raise fail(
            422,
            "too_many_messages",
            f"These are more than {MOST_AGAIN} messages.",
            "Name a shorter time, and the next one when these have come.",
            "since",
        )
    if count:
        await _start(services, receiver.code, name)
    return Replay(messages=count)


@router.post("/webhooks/{message_id}/replay", status_code=202)
async def replay_message(message_id: MessageInPath, receiver: Receiver, services: Using) -> Replay:
    """Send one message again, taken or not."""
    await services.limits.take(Window.REPLAYS, receiver.code)
    name = _name()
    if not await services.database.write(lambda c: sent.mark(c, receiver.code, message_id, name)):
        raise fail(
            404,
            "unknown_message",
            "You were sent no such message in the last 30 days.",
            "List them with GET /v1/webhooks.",
            "message_id",
        )
    await _start(services, receiver.code, name)
    return Replay(messages=1)


def _told(row: Row[Any]) -> SentMessage:
    about = ABOUT.validate_json(row.about)
    return SentMessage(
        message_id=row.message_id,
        type=row.type,
        first_sent_at=row.first_at,
        last_sent_at=row.last_at,
        tries=row.tries,
        taken=row.taken,
        failure=row.failure,
        replaying=row.replay is not None,
        renewal=about.case if isinstance(about, OfRenewal) else None,
        work_items=list(about.items) if isinstance(about, OfItems) else [],
        question=about.question if isinstance(about, OfQuestion) else None,
    )


def _name() -> str:
    return f"redelivery-{secrets.token_hex(8)}"


async def _start(services: Services, partner: str, name: str) -> None:
    """Start the replay, or take its marks away again."""
    try:
        async with asyncio.timeout(CONNECT_AND_START_SECONDS):
            await services.engine.start_workflow(
                RedeliveryWorkflow.run,
                RedeliveryOrder(partner=partner, replay=name),
                id=name,
                task_queue=TASK_QUEUE,
                rpc_timeout=START_SECONDS,
            )
    except (RPCError, TimeoutError) as error:
        log.warning("replay_not_started", partner=partner, error=type(error).__name__)
        await services.database.write(lambda c: sent.unmark(c, name))
        raise busy() from None
