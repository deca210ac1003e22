"""The ledger (留痕): every event of every case, in order, sealed in a chain per case.

A row's seal is an HMAC over the previous seal and everything in the row, under a key of the ring: changing,
removing or reordering rows shows at `verify`, and somebody with the database alone cannot seal again.
An append names its *step*; a step that is there already is not written twice but read back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from domain.case import CaseKind, Event
from store.keys import KeyRing
from store.projection import PROJECTIONS, project
from store.tables import cases, ledger


class StepConflict(Exception):
    """A step was recorded before with other events: two writers believe to be the same step of a case."""


@dataclass(frozen=True)
class Append:
    """Events of one step of one case."""

    case: str
    kind: CaseKind
    step: str
    events: Sequence[Event]


def seal(keys: KeyRing, previous: str, row: dict[str, Any], key_id: str | None = None) -> str:
    """The seal of a row that follows the one sealed `previous` (empty for a case's first)."""
    at: datetime = row["at"]
    parts = (
        previous,
        str(row["position"]),
        row["case_id"],
        str(row["seq"]),
        row["kind"],
        row["type"],
        at.isoformat(),
        row["actor"],
        row["step"],
        row["data"],
    )
    return keys.seal("ledger", "\x1f".join(parts).encode(), key_id)


def append(connection: Connection, keys: KeyRing, order: Append, *, decided: bool = False) -> tuple[Event, ...]:
    """Write a step and fold it into the read models, in the caller's transaction; return its events.

    A step that is there already is read back instead. With `decided` its events must be the same ones
    (a workflow's decision is deterministic), else StepConflict.
    """
    adapter = PROJECTIONS[order.kind].events
    earlier = connection.execute(
        select(ledger.c.data)
        .where(ledger.c.case_id == order.case, ledger.c.step == order.step)
        .order_by(ledger.c.seq)
    ).scalars()
    if known := [adapter.validate_json(data) for data in earlier]:
        if decided and list(known) != list(order.events):
            raise StepConflict(f"{order.case} recorded {order.step} before with other events")
        return tuple(known)

    head = connection.execute(select(cases).where(cases.c.case_id == order.case)).one_or_none()
    seq, previous = (head.seq, head.seal) if head else (0, "")
    position: int = connection.execute(select(func.coalesce(func.max(ledger.c.position), 0))).scalar_one()
    rows = []
    for happened in order.events:
        seq, position = seq + 1, position + 1
        row = {
            "position": position,
            "case_id": order.case,
            "seq": seq,
            "kind": order.kind.value,
            "type": happened.type,
            "at": happened.at.astimezone(UTC),
            "actor": str(happened.actor),
            "step": order.step,
            "data": happened.model_dump_json(exclude_none=True),
        }
        previous = row["seal"] = seal(keys, previous, row)
        rows.append(row)
    if rows:
        connection.execute(insert(ledger), rows)
        project(connection, order.kind, order.case, head, list(zip(rows, order.events, strict=True)))
    return tuple(order.events)


def read(connection: Connection, case: str) -> list[Row[Any]]:
    """A case's rows, oldest first."""
    return list(connection.execute(select(ledger).where(ledger.c.case_id == case).order_by(ledger.c.seq)))


def parse(rows: Iterable[Row[Any]]) -> list[Event]:
    """The events of ledger rows."""
    return [PROJECTIONS[CaseKind(row.kind)].events.validate_json(row.data) for row in rows]


def has_step(connection: Connection, case: str, step: str) -> bool:
    """Whether a step of a case is recorded."""
    found = select(ledger.c.seq).where(ledger.c.case_id == case, ledger.c.step == step).limit(1)
    return connection.execute(found).one_or_none() is not None
