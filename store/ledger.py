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

from sqlalchemy import Connection, Row, bindparam, func, insert, select

from domain.case import CaseKind, Event
from store.keys import KeyRing
from store.projection import PROJECTIONS, project
from store.tables import cases, ledger


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


# Built once: making a statement anew costs more than running it.
_STEP = (
    select(ledger.c.step, ledger.c.data)
    .where(ledger.c.case_id == bindparam("case"), ledger.c.step.in_(bindparam("steps", expanding=True)))
    .order_by(ledger.c.seq)
)
_HEAD = select(cases).where(cases.c.case_id == bindparam("case"))
_LAST = select(func.coalesce(func.max(ledger.c.position), 0))
_INSERT = insert(ledger)


def append(connection: Connection, keys: KeyRing, order: Append) -> tuple[Event, ...]:
    """Write a step and fold it into the read models, in the caller's transaction; return its events.

    A step that is there already is read back instead, whatever the order says.
    """
    (recorded,) = append_steps(connection, keys, (order,))
    return recorded


def append_steps(connection: Connection, keys: KeyRing, orders: Sequence[Append]) -> list[tuple[Event, ...]]:
    """Write several steps of one case at the price of one; each one's events, as they stand in the ledger."""
    case, kind = orders[0].case, orders[0].kind
    known = _recorded(connection, kind, case, [order.step for order in orders])
    fresh = [(order.step, event) for order in orders if order.step not in known for event in order.events]
    if fresh:
        _write(connection, keys, kind, case, fresh)
    return [tuple(known.get(order.step, order.events)) for order in orders]


def _recorded(connection: Connection, kind: CaseKind, case: str, steps: list[str]) -> dict[str, list[Event]]:
    """Those of the steps that are in the ledger."""
    known: dict[str, list[Event]] = {}
    for row in connection.execute(_STEP, {"case": case, "steps": steps}):
        known.setdefault(row.step, []).append(PROJECTIONS[kind].events.validate_json(row.data))
    return known


def _write(
    connection: Connection, keys: KeyRing, kind: CaseKind, case: str, fresh: Sequence[tuple[str, Event]]
) -> None:
    head = connection.execute(_HEAD, {"case": case}).one_or_none()
    seq, previous = (head.seq, head.seal) if head else (0, "")
    position: int = connection.execute(_LAST).scalar_one()
    rows = []
    for step, event in fresh:
        seq, position = seq + 1, position + 1
        row = {
            "position": position,
            "case_id": case,
            "seq": seq,
            "kind": kind.value,
            "type": event.type,
            "at": event.at.astimezone(UTC),
            "actor": str(event.actor),
            "step": step,
            "data": event.model_dump_json(exclude_none=True),
        }
        previous = row["seal"] = seal(keys, previous, row)
        rows.append(row)
    connection.execute(_INSERT, rows)
    project(connection, kind, case, head, [(row, event) for row, (_, event) in zip(rows, fresh, strict=True)])


def read(connection: Connection, case: str) -> list[Row[Any]]:
    """A case's rows, oldest first."""
    return list(connection.execute(select(ledger).where(ledger.c.case_id == case).order_by(ledger.c.seq)))


def page(connection: Connection, case: str, after: int, limit: int) -> list[Row[Any]]:
    """Some of a case's rows, oldest first, from beyond a place among its events."""
    beyond = select(ledger).where(ledger.c.case_id == case, ledger.c.seq > after)
    return list(connection.execute(beyond.order_by(ledger.c.seq).limit(limit)))


def parse(rows: Iterable[Row[Any]]) -> list[Event]:
    """The events of ledger rows."""
    return [PROJECTIONS[CaseKind(row.kind)].events.validate_json(row.data) for row in rows]


def length(connection: Connection, case: str) -> int:
    """How many events a case has."""
    found = select(func.coalesce(func.max(ledger.c.seq), 0)).where(ledger.c.case_id == case)
    seq: int = connection.execute(found).scalar_one()
    return seq


def step_at(connection: Connection, case: str, step: str) -> datetime | None:
    """When a step of a case was recorded; None if it was not."""
    found = select(ledger.c.at).where(ledger.c.case_id == case, ledger.c.step == step).limit(1)
    return connection.execute(found).scalar_one_or_none()
