"""Short messages on their way: an intent before, the centre's ids after, the receipts when they come.

intended → submitted → delivered / undelivered; `failed` means that no more of it left us than the parts written down.
A message found *intended* after a crash may or may not have left: its receipt, matched by the 16-bit reference, tells.

Parts are handed over one after the other. So if n of them are known to have left, be it by the centre's answer or by
receipts, the first n have, and a retry hands over the others.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, and_, func, insert, select, update

from store.tables import message_parts, short_messages

REFERENCE_LIVES = timedelta(days=2)
"""A reference is 16 bits: it is matched among the messages of these days only."""

JOINED_WITHIN = timedelta(hours=1)
"""How long phones and centres are trusted to keep the first parts of a text until the others come."""


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
BROKEN_OFF = frozenset({MessageState.INTENDED, MessageState.FAILED})


def state(connection: Connection, case: str, step: str) -> MessageState | None:
    """How far the message of a step is; None if there was none."""
    found = connection.execute(select(short_messages.c.state).where(_is(case, step))).scalar_one_or_none()
    return MessageState(found) if found else None


def intend(connection: Connection, case: str, step: str, reference: int, at: datetime) -> None:
    """Write down that the message is about to be handed over, as a whole."""
    if state(connection, case, step) is None:
        row = {"case_id": case, "step": step, "reference": reference, "parts": 0}
        connection.execute(insert(short_messages), {**row, "state": MessageState.INTENDED.value, "submitted_at": at})
    else:
        connection.execute(
            update(message_parts).where(_part_is(case, step)), {"state": MessageState.SUPERSEDED.value}
        )
        again = {"state": MessageState.INTENDED.value, "reference": reference, "parts": 0, "submitted_at": at}
        connection.execute(update(short_messages).where(_is(case, step)), again)


def intend_rest(connection: Connection, case: str, step: str, reference: int, at: datetime) -> int:
    """Write down that the parts which have not left yet are about to be handed over; how many have."""
    row = connection.execute(select(short_messages).where(_is(case, step))).one_or_none()
    if row is not None and row.state in BROKEN_OFF:
        left = _known_parts(connection, case, step)
        if left > row.parts or (left and at - row.submitted_at <= JOINED_WITHIN):
            going_on = {"state": MessageState.INTENDED.value, "parts": left}
            connection.execute(update(short_messages).where(_is(case, step)), going_on)
            return left
    intend(connection, case, step, reference, at)
    return 0


def broke_off(connection: Connection, case: str, step: str, taken: tuple[str, ...], *, may_have_left: bool) -> None:
    """The centre took these parts and not the next, or nobody knows whether it took the next."""
    for message_id in taken:
        _part(connection, case, step, message_id, None)
    new = MessageState.INTENDED if may_have_left else MessageState.FAILED
    known = short_messages.c.parts + len(taken)
    connection.execute(update(short_messages).where(_is(case, step)).values(state=new.value, parts=known))
    _settle(connection, case, step)


def mark(connection: Connection, case: str, step: str, new: MessageState) -> None:
    """Set how far the message is."""
    connection.execute(update(short_messages).where(_is(case, step)), {"state": new.value})


def submitted(connection: Connection, case: str, step: str, ids: tuple[str, ...]) -> None:
    """The centre took it, or what was missing of it, in these parts."""
    for message_id in ids:
        _part(connection, case, step, message_id, None)
    connection.execute(
        update(short_messages).where(_is(case, step)),
        {"state": MessageState.SUBMITTED.value, "parts": _known_parts(connection, case, step)},
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


def left_us(connection: Connection, case: str, step: str) -> int:
    """How many parts of a message found intended are proven by their receipts to have left, beside those known to."""
    known: int = connection.execute(select(short_messages.c.parts).where(_is(case, step))).scalar_one()
    return _known_parts(connection, case, step) - known


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
    """Delivered when all was taken and every part is; undelivered when one is not."""
    states = set(connection.execute(select(message_parts.c.state).where(_part_is(case, step))).scalars())
    if MessageState.UNDELIVERED.value in states:
        mark(connection, case, step, MessageState.UNDELIVERED)
    elif states == {MessageState.DELIVERED.value} and state(connection, case, step) is MessageState.SUBMITTED:
        mark(connection, case, step, MessageState.DELIVERED)


def _known_parts(connection: Connection, case: str, step: str) -> int:
    """The parts of this try that are known to have left."""
    count = select(func.count()).select_from(message_parts).where(_part_is(case, step))
    parts: int = connection.execute(count).scalar_one()
    return parts


def _is(case: str, step: str) -> ColumnElement[bool]:
    return and_(short_messages.c.case_id == case, short_messages.c.step == step)


def _part_is(case: str, step: str) -> ColumnElement[bool]:
    return and_(
        message_parts.c.case_id == case,
        message_parts.c.step == step,
        message_parts.c.state != MessageState.SUPERSEDED.value,
    )
