"""Whether this process lives, and whether it can do its work. Without a token, and without saying anything secret."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from gateway.auth import Using
from store import schema
from store.database import Database
from workflows.clockwork import TASK_QUEUE

log = structlog.get_logger()
T = TypeVar("T")

router = APIRouter(tags=["health"])

CHECK_SECONDS = 2.0
"""How long a part may take to answer before it counts as away."""

KEPT_SECONDS = 2.0
"""How long what was found is told again: asking often costs nothing."""

SEEN_WITHIN = timedelta(seconds=75)
"""When a worker last asked for work; an idle one asks once a minute."""


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Part(BaseModel):
    """One thing the gateway needs; `wrong` is empty while it is there."""

    ok: bool
    wrong: str = ""


class Ready(BaseModel):
    """Whether requests should be sent here, and what is wrong if not."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "ready": False,
                    "parts": {"database": {"ok": True}, "worker": {"ok": False, "wrong": "none was seen"}},
                }
            ]
        }
    )

    ready: bool
    parts: dict[str, Part]


class Readiness:
    """Looks at everything the gateway needs, at most every other second however many ask."""

    def __init__(self, database: Database, client: Client) -> None:
        self._database = database
        self._client = client
        self._looking = asyncio.Lock()
        self._found: tuple[float, Ready] | None = None

    async def look(self) -> Ready:
        """What is there."""
        async with self._looking:
            if self._found is None or time.monotonic() - self._found[0] > KEPT_SECONDS:
                wrong = {**await self._of_database(), **await self._of_engine()}
                parts = {name: Part(ok=not said, wrong=said) for name, said in wrong.items()}
                self._found = (time.monotonic(), Ready(ready=not any(wrong.values()), parts=parts))
            return self._found[1]

    async def _of_database(self) -> Mapping[str, str]:
        asked = await _in_time(
            lambda: self._database.read(lambda c: (c.execute(text("SELECT 1")), schema.current(c)))
        )
        if asked is None:
            return {"database": "it does not answer", "schema": "not known while the database is away"}
        newest = await asyncio.to_thread(schema.newest)
        return {"database": "", "schema": "" if asked[1] == newest else "not at its newest: run starter.py migrate"}

    async def _of_engine(self) -> Mapping[str, str]:
        queue = TaskQueue(name=TASK_QUEUE)
        wanted = DescribeTaskQueueRequest(
            namespace=self._client.namespace,
            task_queue=queue,
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
        service, within = self._client.workflow_service, timedelta(seconds=CHECK_SECONDS)
        found = await _in_time(lambda: service.describe_task_queue(wanted, timeout=within))
        if found is None:
            return {"engine": "it does not answer", "worker": "not known while the engine is away"}
        seen = [poller.last_access_time.ToDatetime(UTC) for poller in found.pollers]
        recent = any(datetime.now(UTC) - at < SEEN_WITHIN for at in seen)
        return {"engine": "", "worker": "" if recent else "none has asked for work for over a minute"}


async def _in_time(ask: Callable[[], Awaitable[T]]) -> T | None:
    """The answer; None when there is none in time."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await ask()
    except (SQLAlchemyError, RPCError, RuntimeError, TimeoutError) as error:  # RuntimeError: the SDK never connected
        log.warning("not_ready", error=type(error).__name__)
        return None


@router.get("/healthz")
async def healthz() -> Alive:
    """Whether the process answers; nothing else is looked at."""
    return Alive()


@router.get("/readyz", responses={503: {"model": Ready}})
async def readyz(request: Request, response: Response, services: Using) -> Ready:
    """Whether the database, its schema, the engine and a worker are there; 503 if not, with what is wrong."""
    state = request.app.state
    if not hasattr(state, "readiness"):
        state.readiness = Readiness(services.database, services.engine)
    readiness: Readiness = state.readiness
    found = await readiness.look()
    if not found.ready:
        response.status_code = 503
    return found
