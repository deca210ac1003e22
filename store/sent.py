"""The log of signed messages to partners: what was sent, whether it was taken, and what it can be made from again.

Never a body: `About` names the case, the work items or the question, and a replay makes the body afresh from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, TypeAdapter
from sqlalchemy import (
    Connection,
    Row,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from domain import number, unbind
from domain.case import CaseId, Model, QuestionId, WorkItemId
from store.keyset import Order, Place
from store.tables import sent_webhooks

columns = sent_webhooks.c
ORDER = Order(columns.first_at, columns.message_id)
"""The oldest first."""

KEPT = timedelta(days=30)
"""How long a message can be replayed."""

MOST_AGAIN = 10_000
"""Messages in one replay."""


class OfRenewal(Model):
    """A renewal's result, for its carrier."""

    of: Literal["renewal"] = "renewal"
    case: CaseId
    summary: int


class OfItems(Model):
    """Work items of one unbind request, for their enterprise."""

    of: Literal["items"] = "items"
    case: CaseId
    notice: unbind.Notice
    items: tuple[WorkItemId, ...]


class OfQuestion(Model):
    """A question, for its party."""

    of: Literal["question"] = "question"
    question: QuestionId


class OfNumber(Model):
    """A number that was recycled, or is its former holder's again."""

    of: Literal["number"] = "number"
    case: CaseId
    announcement: int
    notice: number.Notice
    cancelled_at: AwareDatetime


About = Annotated[OfRenewal | OfItems | OfQuestion | OfNumber, Field(discriminator="of")]
ABOUT: TypeAdapter[About] = TypeAdapter(About)


@dataclass(frozen=True)
class Sent:
    """One try at one message. Without a `failure` it was taken."""

    partner: str
    message_id: str
    type: str
    about: About
    at: datetime
    failure: str = ""


def log(connection: Connection, messages: Sequence[Sent]) -> None:
    """Remember tries, in the transaction of what they are part of. What was taken once stays taken."""
    if messages:
        rows = [
            {
                "partner": one.partner,
                "message_id": one.message_id,
                "type": one.type,
                "about": one.about.model_dump_json(),
                "first_at": one.at,
                "last_at": one.at,
                "tries": 1,
                "taken": not one.failure,
                "failure": one.failure,
            }
            for one in messages
        ]
        connection.execute(_LOG[connection.dialect.name], rows)


def prune(connection: Connection, now: datetime) -> int:
    """Drop what can no longer be replayed; return how many."""
    return connection.execute(delete(sent_webhooks).where(columns.first_at < now - KEPT)).rowcount


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Wanted:
    """A partner's messages, first sent in [since, until); what is None does not matter."""

    partner: str
    taken: bool | None = None
    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def page(connection: Connection, wanted: Wanted, after: Place | None, limit: int) -> list[Row[Any]]:
    """Messages, the oldest first, from beyond a place."""
    found = select(sent_webhooks).where(_these(wanted))
    return list(connection.execute(ORDER.page(found, after, limit)))


# ── replaying ────────────────────────────────────────────────────────────────────────────────────────


def mark(connection: Connection, partner: str, message_id: str, replay: str) -> bool:
    """Have one message sent again by this replay; False if the partner was sent no such message."""
    this = and_(columns.partner == partner, columns.message_id == message_id)
    return connection.execute(update(sent_webhooks).where(this), {"replay": replay}).rowcount > 0


def mark_all(connection: Connection, wanted: Wanted, replay: str) -> int | None:
    """Have these messages sent again by this replay: how many; None, and nothing marked, for more than `MOST_AGAIN`."""
    these = _these(wanted)
    some = select(literal(1)).select_from(sent_webhooks).where(these).limit(MOST_AGAIN + 1).subquery()
    if connection.execute(select(func.count()).select_from(some)).scalar_one() > MOST_AGAIN:
        return None
    return connection.execute(update(sent_webhooks).where(these), {"replay": replay}).rowcount


def unmark(connection: Connection, replay: str) -> int:
    """The replay is over: how many messages it did not get to its partner."""
    return connection.execute(update(sent_webhooks).where(columns.replay == replay), {"replay": None}).rowcount


def left(connection: Connection, replay: str) -> int:
    """How many messages a replay has still to send."""
    return connection.execute(select(func.count()).where(columns.replay == replay)).scalar_one()


@dataclass(frozen=True)
class Waiting:
    """A message that waits for its replay."""

    message_id: str
    about: About


def waiting(connection: Connection, replay: str, before: datetime, limit: int) -> list[Waiting]:
    """Messages that a replay has still to send and were last tried before a moment, the longest ago first."""
    found = (
        select(columns.message_id, columns.about)
        .where(columns.replay == replay, columns.last_at < before)
        .order_by(columns.last_at, columns.message_id)
        .limit(limit)
    )
    return [Waiting(row.message_id, ABOUT.validate_json(row.about)) for row in connection.execute(found)]


@dataclass(frozen=True)
class Again:
    """What came of one message in a replay. `sent`: it left the house; `waits`: it is tried again."""

    message_id: str
    failure: str = ""
    sent: bool = True
    waits: bool = False


def replayed(connection: Connection, partner: str, replay: str, at: datetime, outcomes: Sequence[Again]) -> None:
    """Remember what came of these messages. What another replay has taken over by now is left to that."""
    rows = [
        {
            "partner_": partner,
            "message": one.message_id,
            "replay_": replay,
            "at": at,
            "sent": int(one.sent),
            "taken_": not one.failure,
            "failure_": one.failure,
            "waits": one.waits,
        }
        for one in outcomes
    ]
    if rows:
        connection.execute(_REPLAYED, rows)


def _these(wanted: Wanted) -> Any:
    conditions = [columns.partner == wanted.partner]
    if wanted.taken is not None:
        conditions.append(columns.taken.is_(wanted.taken))
    if wanted.type is not None:
        conditions.append(columns.type == wanted.type)
    if wanted.since is not None:
        conditions.append(columns.first_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(columns.first_at < wanted.until)
    return and_(*conditions)


def _log(insert: Any) -> Any:
    new = insert(sent_webhooks)
    return new.on_conflict_do_update(
        index_elements=[columns.partner, columns.message_id],
        set_={
            "last_at": new.excluded.last_at,
            "tries": columns.tries + 1,
            "taken": or_(columns.taken, new.excluded.taken),
            "failure": new.excluded.failure,
        },
    )


# Built once: making a statement anew costs more than running it.
_LOG = {"sqlite": _log(sqlite.insert), "postgresql": _log(postgresql.insert)}
_REPLAYED = (
    update(sent_webhooks)
    .where(
        columns.partner == bindparam("partner_"),
        columns.message_id == bindparam("message"),
        columns.replay == bindparam("replay_"),
    )
    .values(
        last_at=case((bindparam("sent") == 1, bindparam("at", type_=columns.last_at.type)), else_=columns.last_at),
        tries=columns.tries + bindparam("sent"),
        taken=or_(columns.taken, bindparam("taken_", type_=columns.taken.type)),
        failure=bindparam("failure_"),
        replay=case((bindparam("waits", type_=columns.taken.type), columns.replay), else_=null()),
    )
)
