"""Working on batches: a few lines at once, each handed in like any renewal, under a key of its own.

A line is written down as done after its case is recorded; whoever dies between the two, or works on the same batch
beside another gateway, hands it in again and gets the same case.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

from domain.refusal import Refusal
from gateway.desk import EngineBusy
from gateway.intake import START_SECONDS, Intake
from gateway.problems import ProblemError, of_refusal
from gateway.renewals import wish_of
from gateway.uploads import noted, of_ndjson
from store import batches
from store.batches import BatchState, Claimed, Outcome
from store.database import Database, DatabaseBusy
from store.keys import KeyRing

log = structlog.get_logger()

AT_ONCE = 8
"""Lines handed in at the same time."""

MOST_UNSTARTED = 16
"""With so many cases waiting for the engine, batches add no more to them."""

ALARM_AFTER = timedelta(hours=1)
AWAY = (EngineBusy, DatabaseBusy, SQLAlchemyError, RPCError, OSError)
"""What no other line would fare better with now."""

ALL_SEEN = 2**31
"""Where a turn stands with a batch whose lines it has all seen."""


class BatchWork:
    """Hands in the lines of complete batches."""

    def __init__(self, database: Database, keys: KeyRing, intake: Intake) -> None:
        self._database = database
        self._keys = keys
        self._intake = intake

    async def sweep(self) -> None:
        """One turn: every waiting line once, some of each batch at a time; it ends early while the engine lags."""
        places: dict[str, int] = {}
        while left := [one for one in await self._unfinished() if places.get(one.batch_id) != ALL_SEEN]:
            for one in left:
                place = await self._some(one, places.get(one.batch_id, 0))
                if place is None or await self._engine_lags():
                    return
                places[one.batch_id] = place

    async def abandon(self) -> None:
        """Cancel uploads that nobody goes on with."""
        now = datetime.now(UTC)
        if gone := await self._database.write(lambda c: batches.abandon(c, now)):
            log.info("batches_abandoned", batches=gone)

    async def _unfinished(self) -> list[Row[Any]]:
        return await self._database.read(batches.unfinished)

    async def _engine_lags(self) -> bool:
        late = datetime.now(UTC) - START_SECONDS
        return await self._database.read(lambda c: batches.behind(c, late)) >= MOST_UNSTARTED

    async def _some(self, batch: Row[Any], after: int) -> int | None:
        """The next lines of a batch: the last of them, or None if all of them have to wait for better times."""
        name, now = batch.batch_id, datetime.now(UTC)
        if batch.state == BatchState.CANCELLED and await self._database.write(lambda c: batches.drop(c, name)):
            return after
        lines = await self._database.write(lambda c: batches.claim(c, name, after, AT_ONCE, now))
        if not lines:
            await self._database.write(lambda c: batches.finish(c, name, now))
            return ALL_SEEN
        results = await asyncio.gather(*(self._one(batch.carrier, line) for line in lines), return_exceptions=True)
        outcomes = [one for one in results if isinstance(one, Outcome)]
        await self._database.write(lambda c: batches.settle(c, name, outcomes))
        for line, result in zip(lines, results, strict=True):
            if isinstance(result, BaseException):
                _waits(line, result, now)
        return None if any(isinstance(one, AWAY) for one in results) else lines[-1].line

    async def _one(self, carrier: str, line: Claimed) -> Outcome:
        """What becomes of a line. Whatever is raised, it waits for the next turn."""
        try:
            wish = wish_of(of_ndjson(line.opened(self._keys)), line.key)
        except ProblemError as error:  # it was well-formed by the rules of the day it was received
            return Outcome(line.line, problem=noted(error.problem))
        admitted = await self._intake.submit(carrier, wish)
        if isinstance(admitted, Refusal):
            return Outcome(line.line, problem=noted(of_refusal(admitted)))
        return Outcome(line.line, case=admitted.case)


def _waits(line: Claimed, error: BaseException, now: datetime) -> None:
    """Say so in the log; loudly once it has failed for long."""
    about = {"batch": line.batch, "line": line.line, "since": line.since.isoformat(), "error": type(error).__name__}
    if now - line.since > ALARM_AFTER:
        log.error("batch_line_cannot_be_done", **about)
    else:
        log.warning("batch_line_waits", **about)
