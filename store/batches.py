"""Batches: a carrier's uploads of many renewals, kept line by line while they arrive and worked on when complete.

What was received is only added to. Each line keeps a keyed digest of the upload down to itself, so that any repetition
can be compared with it, and two requests that bring the same lines at once end up as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, func, insert, select, update

from store.ids import new_batch_id
from store.keys import KeyRing
from store.keyset import Order, Place
from store.tables import batch_lines, batches, submissions

MOST_OPEN = 20
"""Batches of one carrier that are not finished."""

ABANDONED = timedelta(hours=24)
"""An upload that nothing more came of for so long is cancelled: its lines wait with personal data in them."""

MOST_DROPPED = 1000
"""Lines of a cancelled batch that one transaction drops."""


class BatchState(StrEnum):
    """Where a batch stands."""

    RECEIVING = "receiving"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


class LineState(StrEnum):
    """What became of a line."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    CANCELLED = "cancelled"


class OtherContent(ValueError):
    """What is sent is not what was received under this key before."""


class BatchCancelled(RuntimeError):
    """The batch takes no more lines: it is cancelled."""


class TooManyOpen(RuntimeError):
    """The carrier has as many unfinished batches as it may have."""


class NoLines(ValueError):
    """A batch without a line cannot be complete."""


@dataclass(frozen=True)
class NewLine:
    """A line as it was received: what it asks for, in clear, or (as JSON) the problem it is refused with."""

    digest: str
    size: int
    clear: bytes = b""
    problem: str = ""


@dataclass(frozen=True)
class Claimed:
    """A line to be worked on now; `since`: when that was tried first."""

    batch: str
    line: int
    ring_key: str
    box: bytes
    since: datetime

    @property
    def key(self) -> str:
        """The idempotency key of its renewal: the same line never gives two cases."""
        return f"{self.batch}-{self.line}"

    def opened(self, keys: KeyRing) -> bytes:
        """What it asks for."""
        return keys.unlock(self.ring_key, "batch-line", self.box, self.key.encode())


@dataclass(frozen=True)
class Outcome:
    """What became of a line: its case, or (as JSON) the problem it is refused with."""

    line: int
    case: str = ""
    problem: str = ""


# ── receiving ────────────────────────────────────────────────────────────────────────────────────────


def begin(
    connection: Connection, keys: KeyRing, carrier: str, key: str, format_: str, now: datetime
) -> tuple[Row[Any], bool]:
    """The batch of a carrier's key, and whether it was there before. Raises TooManyOpen."""
    kept = keys.token("idempotency-key", key)
    mine = batches.c.carrier == carrier
    earlier = connection.execute(select(batches).where(mine, batches.c.key == kept)).one_or_none()
    if earlier is not None:
        return earlier, True
    unfinished = select(func.count()).select_from(batches).where(mine, batches.c.finished_at.is_(None))
    if connection.execute(unfinished).scalar_one() >= MOST_OPEN:
        raise TooManyOpen(f"{carrier} has {MOST_OPEN} unfinished batches")
    row = {"batch_id": new_batch_id(), "carrier": carrier, "key": kept, "format": format_, "header": ""}
    count = {"state": BatchState.RECEIVING.value, "lines": 0, "bytes": 0}
    connection.execute(insert(batches), {**row, **count, "submitted_at": now, "received_at": now})
    return _batch(connection, row["batch_id"]), False


def digest_at(connection: Connection, batch: str, line: int) -> str:
    """The digest of the upload down to a line that was received."""
    here = (batch_lines.c.batch_id == batch, batch_lines.c.line == line)
    return str(connection.execute(select(batch_lines.c.digest).where(*here)).scalar_one())


def append(
    connection: Connection,
    keys: KeyRing,
    batch: str,
    header: str,
    first: int,
    lines: Sequence[NewLine],
    now: datetime,
) -> None:
    """Keep what is new of these lines, which follow on lines known to be the same; compare the others.

    Raises OtherContent, or BatchCancelled.
    """
    row = _batch(connection, batch)
    known = min(row.lines, first + len(lines) - 1)
    if known >= first and digest_at(connection, batch, known) != lines[known - first].digest:
        raise OtherContent(f"{batch} was received with other lines")
    new = lines[known - first + 1 :]
    if not new:
        return
    if row.state == BatchState.CANCELLED:
        raise BatchCancelled(f"{batch} is cancelled")
    if row.state != BatchState.RECEIVING:
        raise OtherContent(f"{batch} was complete with fewer lines")
    connection.execute(insert(batch_lines), [_kept(keys, batch, n, one) for n, one in enumerate(new, known + 1)])
    received = {"lines": known + len(new), "bytes": row.bytes + sum(one.size for one in new), "header": header}
    connection.execute(update(batches).where(batches.c.batch_id == batch), {**received, "received_at": now})


def complete(connection: Connection, batch: str, lines: int, now: datetime) -> None:
    """That was all: from now on it is worked on. Raises NoLines, or OtherContent if more lines had come before."""
    row = _batch(connection, batch)
    if row.lines != lines:
        raise OtherContent(f"{batch} has more lines")
    if not lines:
        raise NoLines(f"{batch} has no line")
    if row.state == BatchState.RECEIVING:
        running = {"state": BatchState.RUNNING.value, "received_at": now}
        connection.execute(update(batches).where(batches.c.batch_id == batch), running)


def cancel(connection: Connection, batch: str) -> bool:
    """Take no more of its lines up; whether there was anything to cancel."""
    live = batches.c.state.in_([BatchState.RECEIVING.value, BatchState.RUNNING.value])
    cancelled = update(batches).where(batches.c.batch_id == batch, live)
    return connection.execute(cancelled, {"state": BatchState.CANCELLED.value}).rowcount > 0


def abandon(connection: Connection, now: datetime) -> int:
    """Cancel uploads that were never completed; return how many."""
    left = and_(batches.c.state == BatchState.RECEIVING.value, batches.c.received_at < now - ABANDONED)
    left = and_(left, batches.c.finished_at.is_(None))
    return connection.execute(update(batches).where(left), {"state": BatchState.CANCELLED.value}).rowcount


# ── working on the lines ─────────────────────────────────────────────────────────────────────────────


def unfinished(connection: Connection) -> list[Row[Any]]:
    """Batches that something has to be done about."""
    rows = select(batches).where(batches.c.finished_at.is_(None), batches.c.state != BatchState.RECEIVING.value)
    return list(connection.execute(rows.order_by(batches.c.submitted_at, batches.c.batch_id)))


def behind(connection: Connection, before: datetime) -> int:
    """How many cases recorded before that moment the engine has yet to take."""
    late = and_(submissions.c.started.is_(False), submissions.c.submitted_at < before)
    return connection.execute(select(func.count()).select_from(submissions).where(late)).scalar_one()


def claim(connection: Connection, batch: str, after: int, most: int, now: datetime) -> list[Claimed]:
    """The next lines to work on. Once claimed, a line is no longer cancelled: it may have a case already."""
    wanted = and_(_waiting(batch), batch_lines.c.line > after)
    if _batch(connection, batch).state == BatchState.CANCELLED:
        wanted = and_(wanted, batch_lines.c.tried_at.is_not(None))
    rows = connection.execute(select(batch_lines).where(wanted).order_by(batch_lines.c.line).limit(most)).all()
    fresh = [row.line for row in rows if row.tried_at is None]
    if fresh:
        these = and_(batch_lines.c.batch_id == batch, batch_lines.c.line.in_(fresh))
        connection.execute(update(batch_lines).where(these), {"tried_at": now})
    return [Claimed(batch, row.line, row.ring_key, row.box, row.tried_at or now) for row in rows]


def settle(connection: Connection, batch: str, outcomes: Iterable[Outcome]) -> None:
    """Write down what became of lines, and forget what they asked for. A case counts, whatever else was written."""
    for one in outcomes:
        line = and_(batch_lines.c.batch_id == batch, batch_lines.c.line == one.line)
        if not one.case:
            line = and_(line, batch_lines.c.state == LineState.WAITING.value)
        state = LineState.ACCEPTED if one.case else LineState.REFUSED
        connection.execute(
            update(batch_lines).where(line),
            {"state": state.value, "ring_key": "", "box": None, "case_id": one.case, "problem": one.problem},
        )


def drop(connection: Connection, batch: str) -> int:
    """Some of a cancelled batch's lines are cancelled and forgotten; return how many."""
    untried = and_(_waiting(batch), batch_lines.c.tried_at.is_(None))
    some = [row.line for row in connection.execute(select(batch_lines.c.line).where(untried).limit(MOST_DROPPED))]
    these = and_(batch_lines.c.batch_id == batch, batch_lines.c.line.in_(some))
    gone = {"state": LineState.CANCELLED.value, "ring_key": "", "box": None}
    return connection.execute(update(batch_lines).where(these), gone).rowcount if some else 0


def finish(connection: Connection, batch: str, now: datetime) -> None:
    """It is over once no line waits."""
    over = and_(batches.c.batch_id == batch, batches.c.finished_at.is_(None), ~exists().where(_waiting(batch)))
    connection.execute(update(batches).where(over), {"finished_at": now})
    done = and_(batches.c.batch_id == batch, batches.c.finished_at.is_not(None))
    running = batches.c.state == BatchState.RUNNING.value
    connection.execute(update(batches).where(done, running), {"state": BatchState.DONE.value})


# ── looking ──────────────────────────────────────────────────────────────────────────────────────────


def find(connection: Connection, carrier: str, batch: str) -> Row[Any] | None:
    """A batch, if it is this carrier's."""
    mine = and_(batches.c.batch_id == batch, batches.c.carrier == carrier)
    return connection.execute(select(batches).where(mine)).one_or_none()


def counts(connection: Connection, batch: str) -> dict[LineState, int]:
    """How many lines stand where."""
    per_state = select(batch_lines.c.state, func.count()).where(batch_lines.c.batch_id == batch)
    found = {row[0]: row[1] for row in connection.execute(per_state.group_by(batch_lines.c.state))}
    return {state: found.get(state.value, 0) for state in LineState}


NEWEST = Order(batches.c.submitted_at, batches.c.batch_id, descending=True)


def page(
    connection: Connection, carrier: str, state: BatchState | None, after: Place | None, limit: int
) -> list[Row[Any]]:
    """A carrier's batches, the newest first, from beyond a place."""
    wanted = select(batches).where(batches.c.carrier == carrier)
    if state is not None:
        wanted = wanted.where(batches.c.state == state.value)
    return list(connection.execute(NEWEST.page(wanted, after, limit)))


def lines_of(connection: Connection, batch: str, state: LineState | None, after: int, limit: int) -> list[Row[Any]]:
    """Lines of a batch from beyond one of them, in their order."""
    wanted = select(batch_lines).where(batch_lines.c.batch_id == batch, batch_lines.c.line > after)
    if state is not None:
        wanted = wanted.where(batch_lines.c.state == state.value)
    return list(connection.execute(wanted.order_by(batch_lines.c.line).limit(limit)))


def _batch(connection: Connection, batch: str) -> Row[Any]:
    return connection.execute(select(batches).where(batches.c.batch_id == batch)).one()


def _waiting(batch: str) -> ColumnElement[bool]:
    return and_(batch_lines.c.batch_id == batch, batch_lines.c.state == LineState.WAITING.value)


def _kept(keys: KeyRing, batch: str, line: int, new: NewLine) -> dict[str, Any]:
    row = {"batch_id": batch, "line": line, "digest": new.digest, "problem": new.problem}
    if new.problem:
        return {**row, "state": LineState.REFUSED.value, "ring_key": "", "box": None}
    ring_key, box = keys.lock("batch-line", new.clear, f"{batch}-{line}".encode())
    return {**row, "state": LineState.WAITING.value, "ring_key": ring_key, "box": box}
