"""Read models: the domain's own fold, applied to just the rows an event touches.

`project` runs in the transaction that appends; `rebuild` and `verify` run the same code over the whole ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from domain import renewal, unbind
from domain.case import CaseKind, Event, Model
from store.tables import cases, running, work_items
from store.vault import purge_after

CURSOR_STRIDE = 10_000
"""Work items one opening can create; a cursor is its ledger position times this plus the item's place."""


KEPT_AFTER_CLOSE = timedelta(days=30)
"""How long personal data outlives its case (domain.md, privacy)."""


@dataclass(frozen=True)
class Projection:
    """How one case kind is folded into rows."""

    events: TypeAdapter[Any]
    head: type[Model]
    evolve: Callable[[Any, Event], Model]
    opened_items: Callable[[Event], Mapping[str, unbind.Item]]
    touched: Callable[[Event], tuple[str, ...]]


def _no_items(_event: Event) -> dict[str, unbind.Item]:
    return {}


PROJECTIONS: Mapping[CaseKind, Projection] = {
    CaseKind.RENEWAL: Projection(
        events=TypeAdapter(renewal.RenewalEvent),
        head=renewal.State,
        evolve=renewal.evolve,
        opened_items=_no_items,
        touched=lambda _event: (),
    ),
    CaseKind.UNBIND: Projection(
        events=TypeAdapter(unbind.UnbindEvent),
        head=unbind.Header,
        evolve=unbind.evolve_header,
        opened_items=lambda event: unbind.open_items(event) if isinstance(event, unbind.Opened) else {},
        touched=lambda event: () if isinstance(event, unbind.Opened) else unbind.touched(event),
    ),
}


def project(
    connection: Connection,
    kind: CaseKind,
    case: str,
    head: Row[Any] | None,
    happened: Sequence[tuple[Mapping[str, Any], Event]],
) -> None:
    """Fold events just appended (each with its ledger row) into the case's row and its work items."""
    how = PROJECTIONS[kind]
    state = how.head.model_validate_json(head.data) if head else None
    wanted = {item for _, event in happened for item in how.touched(event)}
    items = load_items(connection, wanted)
    cursors: dict[str, int] = {}
    for row, event in happened:
        state = how.evolve(state, event)
        for place, (item_id, item) in enumerate(how.opened_items(event).items()):
            items[item_id] = item
            cursors[item_id] = row["position"] * CURSOR_STRIDE + place
        for item_id in how.touched(event):
            items[item_id] = unbind.evolve_item(items[item_id], event)
    if state is None:
        return
    last = happened[-1][0]
    values = {
        "status": state.status.value,  # type: ignore[attr-defined]
        "seq": last["seq"],
        "seal": last["seal"],
        "changed_at": last["at"],
        "data": state.model_dump_json(exclude_none=True),
    }
    if head:
        connection.execute(_UPDATE_CASE, {"key": case, **values})
    else:
        opened_at = happened[0][0]["at"]
        connection.execute(_INSERT_CASE, {"case_id": case, "kind": kind.value, "opened_at": opened_at, **values})
    _save_items(connection, case, items, cursors)
    if isinstance(state, renewal.State):
        if renewal.frees_number(state.status):
            connection.execute(delete(running).where(running.c.case_id == case))
        if state.ended_at:
            purge_after(connection, case, state.ended_at + KEPT_AFTER_CLOSE)


def load_state(connection: Connection, kind: CaseKind, case: str) -> Any:
    """The folded state of a case (without work items). KeyError if there is no such case."""
    data = connection.execute(
        select(cases.c.data).where(cases.c.case_id == case, cases.c.kind == kind.value)
    ).scalar_one_or_none()
    if data is None:
        raise KeyError(case)
    return PROJECTIONS[kind].head.model_validate_json(data)


def load_items(connection: Connection, wanted: set[str]) -> dict[str, unbind.Item]:
    """Work items by id, those that exist."""
    if not wanted:
        return {}
    rows = connection.execute(_ITEMS, {"wanted": sorted(wanted)})
    return {row.item_id: unbind.Item.model_validate_json(row.data) for row in rows}


def item_values(item: unbind.Item) -> dict[str, Any]:
    """The columns that follow from a work item."""
    return {
        "enterprise": item.enterprise,
        "app": item.app,
        "state": item.state.value,
        "open": item.state in unbind.OPEN,
        "due_at": item.due_at,
        "data": item.model_dump_json(exclude_none=True),
    }


def _save_items(
    connection: Connection, case: str, items: Mapping[str, unbind.Item], cursors: Mapping[str, int]
) -> None:
    fresh = [
        {"item_id": key, "case_id": case, "cursor": cursors[key], **item_values(item)}
        for key, item in items.items()
        if key in cursors
    ]
    changed = [{"key": key, **item_values(item)} for key, item in items.items() if key not in cursors]
    if fresh:
        connection.execute(_INSERT_ITEM, fresh)
    if changed:
        connection.execute(_UPDATE_ITEM, changed)


# Built once: making a statement anew costs more than running it.
_ITEMS = select(work_items.c.item_id, work_items.c.data).where(
    work_items.c.item_id.in_(bindparam("wanted", expanding=True))
)
_INSERT_CASE = insert(cases)
_INSERT_ITEM = insert(work_items)
_UPDATE_CASE = (
    update(cases)
    .where(cases.c.case_id == bindparam("key"))
    .values({name: bindparam(name) for name in ("status", "seq", "seal", "changed_at", "data")})
)
_UPDATE_ITEM = (
    update(work_items)
    .where(work_items.c.item_id == bindparam("key"))
    .values({name: bindparam(name) for name in ("enterprise", "app", "state", "open", "due_at", "data")})
)
