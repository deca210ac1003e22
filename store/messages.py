"""Short messages on their way: an intent before, the centre's ids after, the receipts when they come.

intended → submitted → delivered / undelivered; `failed` means it certainly never left us. A message found
*intended* after a crash may or may not have left: its receipt, matched by the 16-bit reference, tells.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, and_, func, insert, select, update

from store.tables import message_parts, short_messages

REFERENCE_LIVES = timedelta(days=2)
"""A reference is 16 bits: it is matched among the messages of these days only."""


class MessageState(StrEnum):
    """How far a short message is."""

    INTENDED = "intended"
    SUBMITTED = "submitted"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    """Of a part: it belongs to an earlier try, whose receipts say nothing about this one."""


ON_ITS_WAY = frozenset({MessageState.SUBMITTED, MessageState.DELIVERED})


def state(connection: Connection, case: str, step: str) -> MessageState | None:
    """How far the message of a step is; None if there was none."""
    found = connection.execute(select(short_messages.c.state).where(_is(case, step))).scalar_one_or_none()
    return MessageState(found) if found else None


def intend(connection: Connection, case: str, step: str, reference: int, at: datetime) -> None:
    """Write down that the message is about to be handed over."""
    if state(connection, case, step) is None:
        row = {"case_id": case, "step": step, "reference": reference, "parts": 0}
        connection.execute(insert(short_messages), {**row, "state": MessageState.INTENDED.value, "submitted_at": at})
    else:
        connection.execute(
            update(message_parts).where(_part_is(case, step)), {"state": MessageState.SUPERSEDED.value}
        )
        again = {"state": MessageState.INTENDED.value, "reference": reference, "parts": 0, "submitted_at": at}
        connection.execute(update(short_messages).where(_is(case, step)), again)


def mark(connection: Connection, case: str, step: str, new: MessageState) -> None:
    """Set how far the message is."""
    connection.execute(update(short_messages).where(_is(case, step)), {"state": new.value})


def submitted(connection: Connection, case: str, step: str, ids: tuple[str, ...]) -> None:
    """The centre took it, in these parts."""
    for message_id in ids:
        _part(connection, case, step, message_id, None)
    connection.execute(
        update(short_messages).where(_is(case, step)),
        {"state": MessageState.SUBMITTED.value, "parts": len(ids)},
    )
    _settle(connection, case, step)


def receipt(connection: Connection, message_id: str, reference: int | None, delivered: bool, at: datetime) -> bool:
    """A delivery receipt came; False if no message is known by its id or its reference."""
    row = connection.execute(select(message_parts).where(message_parts.c.message_id == message_id)).one_or_none()
    if row is not None and row.state == MessageState.SUPERSEDED.value:
        return True
    if row is None and reference is not None:
        row = connection.execute(
            select(short_messages.c.case_id, short_messages.c.step).where(
                short_messages.c.reference == reference,
                short_messages.c.submitted_at > at - REFERENCE_LIVES,
                short_messages.c.state == MessageState.INTENDED.value,
            )
        ).first()
    if row is None:
        return False
    new = MessageState.DELIVERED if delivered else MessageState.UNDELIVERED
    _part(connection, row.case_id, row.step, message_id, new)
    _settle(connection, row.case_id, row.step)
    return True


def left_us(connection: Connection, case: str, step: str) -> bool:
    """Whether receipts prove that a message found intended had been handed over."""
    parts = select(func.count()).select_from(message_parts).where(_part_is(case, step))
    return bool(connection.execute(parts).scalar_one())


def tries(connection: Connection, case: str, step: str) -> int:
    """How many times the message was handed over, judged by the parts of earlier tries."""
    parts: int = connection.execute(select(short_messages.c.parts).where(_is(case, step))).scalar_one()
    every = select(func.count()).select_from(message_parts)
    here = every.where(message_parts.c.case_id == case, message_parts.c.step == step)
    handed_over: int = connection.execute(here).scalar_one()
    return handed_over // max(parts, 1)


def _part(connection: Connection, case: str, step: str, message_id: str, new: MessageState | None) -> None:
    here = message_parts.c.message_id == message_id
    known = connection.execute(select(message_parts.c.state).where(here)).scalar_one_or_none()
    if known is None:
        row = {"message_id": message_id, "case_id": case, "step": step}
        connection.execute(insert(message_parts), {**row, "state": (new or MessageState.SUBMITTED).value})
    elif new is not None:
        connection.execute(update(message_parts).where(here), {"state": new.value})


def _settle(connection: Connection, case: str, step: str) -> None:
    """Delivered when every part is; undelivered when one is not."""
    states = set(connection.execute(select(message_parts.c.state).where(_part_is(case, step))).scalars())
    count = select(func.count()).select_from(message_parts).where(_part_is(case, step))
    expected = connection.execute(select(short_messages.c.parts).where(_is(case, step))).scalar_one()
    if MessageState.UNDELIVERED.value in states:
        mark(connection, case, step, MessageState.UNDELIVERED)
    elif states == {MessageState.DELIVERED.value} and connection.execute(count).scalar_one() == expected:
        mark(connection, case, step, MessageState.DELIVERED)


def _is(case: str, step: str) -> ColumnElement[bool]:
    return and_(short_messages.c.case_id == case, short_messages.c.step == step)


def _part_is(case: str, step: str) -> ColumnElement[bool]:
    return and_(
        message_parts.c.case_id == case,
        message_parts.c.step == step,
        message_parts.c.state != MessageState.SUPERSEDED.value,
    )
