"""The tables: a ledger that is only added to, read models that can be rebuilt from it, and a vault.

Times are UTC; JSON is text so that the ledger's seals cover exactly what is stored.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Utc(TypeDecorator[datetime]):
    """An aware moment, kept as UTC on databases with and without time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone cannot be stored")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


Position = BigInteger().with_variant(Integer, "sqlite")

ledger = Table(
    "ledger",
    metadata,
    Column("position", Position, primary_key=True, autoincrement=False),
    Column("case_id", String(40), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("type", String(40), nullable=False),
    Column("at", Utc, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("step", String(120), nullable=False),
    Column("data", Text, nullable=False),
    Column("seal", String(80), nullable=False),
    UniqueConstraint("case_id", "seq", name="uq_ledger_case_seq"),
    Index("ix_ledger_case_step", "case_id", "step"),
)
"""Every event of every case. `position` counts without gaps in commit order, `seq` within the case."""

cases = Table(
    "cases",
    metadata,
    Column("case_id", String(40), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("status", String(30), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("seal", String(80), nullable=False),
    Column("opened_at", Utc, nullable=False),
    Column("changed_at", Utc, nullable=False),
    Column("data", Text, nullable=False),
    Index("ix_cases_kind_status", "kind", "status"),
)
"""One row per case: its folded state (without work items) and the head of its chain."""

work_items = Table(
    "work_items",
    metadata,
    Column("item_id", String(30), primary_key=True),
    Column("case_id", String(40), nullable=False),
    Column("cursor", BigInteger, nullable=False),
    Column("enterprise", String(40), nullable=False),
    Column("app", String(40), nullable=False),
    Column("state", String(20), nullable=False),
    Column("open", Boolean, nullable=False),
    Column("due_at", Utc, nullable=False),
    Column("data", Text, nullable=False),
    Index("ix_work_items_case", "case_id"),
    Index("ix_work_items_pull", "enterprise", "open", "cursor"),
    Index("ix_work_items_due", "open", "due_at"),
)
"""One row per work item; `cursor` grows in commit order, which is what an enterprise pulls by."""

submissions = Table(
    "submissions",
    metadata,
    Column("partner", String(40), primary_key=True),
    Column("key", String(80), primary_key=True),
    Column("digest", String(80), nullable=False),
    Column("case_id", String(40), nullable=False, unique=True),
    Column("submitted_at", Utc, nullable=False),
    Column("started", Boolean, nullable=False),
    Index("ix_submissions_started", "started"),
)
"""What partners asked for, by a digest of their key; not `started` means the engine has yet to take it."""

running = Table(
    "running",
    metadata,
    Column("number_token", String(60), primary_key=True),
    Column("case_id", String(40), nullable=False, unique=True),
)
"""The one running renewal of a number."""

vault = Table(
    "vault",
    metadata,
    Column("case_id", String(40), primary_key=True),
    Column("ring_key", String(20), nullable=False),
    Column("case_key", LargeBinary, nullable=False),
    Column("box", LargeBinary, nullable=False),
    Column("purge_after", Utc),
    Index("ix_vault_purge_after", "purge_after"),
)
"""Personal data, each case under a key of its own, that key under the ring's (envelope encryption)."""

short_messages = Table(
    "short_messages",
    metadata,
    Column("case_id", String(40), primary_key=True),
    Column("step", String(60), primary_key=True),
    Column("reference", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("parts", Integer, nullable=False),
    Column("submitted_at", Utc, nullable=False),
    Index("ix_short_messages_reference", "reference"),
)
"""What was handed to the SMS centre, so that it is never handed over twice."""

message_parts = Table(
    "message_parts",
    metadata,
    Column("message_id", String(70), primary_key=True),
    Column("case_id", String(40), nullable=False),
    Column("step", String(60), nullable=False),
    Column("state", String(20), nullable=False),
    Index("ix_message_parts_case", "case_id", "step"),
)
"""The centre's id of every part, and what its receipt said."""

seen_messages = Table(
    "seen_messages",
    metadata,
    Column("partner", String(40), primary_key=True),
    Column("message_id", String(120), primary_key=True),
    Column("digest", String(60), nullable=False),
    Column("seen_at", Utc, nullable=False, index=True),
)
"""Signed messages already taken, by a digest of their id, each with a digest of what it said: a replay is refused
while its signature could still be valid, and an id used again for something else is told apart."""

questions = Table(
    "questions",
    metadata,
    Column("question_id", String(30), primary_key=True),
    Column("case_id", String(40), nullable=False),
    Column("cursor", BigInteger, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("party", String(40), nullable=False),
    Column("open", Boolean, nullable=False),
    Column("due_at", Utc, nullable=False),
    Column("data", Text, nullable=False),
    Index("ix_questions_case", "case_id"),
    Index("ix_questions_pull", "party", "open", "cursor"),
)
"""One row per question to an enterprise or a carrier; `cursor` grows in commit order."""

worklist = Table(
    "worklist",
    metadata,
    Column("case_id", String(40), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("status", String(30), nullable=False),
    Column("open", Boolean, nullable=False),
    Column("waiting", String(20), nullable=False),
    Column("assignee", String(40), nullable=False),
    Column("due_at", Utc),
    Column("paused", Boolean, nullable=False),
    Column("escalated", Boolean, nullable=False),
    Column("opened_at", Utc, nullable=False),
    Index("ix_worklist_queue", "open", "assignee", "due_at"),
    Index("ix_worklist_waiting", "open", "waiting", "due_at"),
)
"""The case workers' queues: one row per case that case workers may have to do with."""

papers = Table(
    "papers",
    metadata,
    Column("paper_id", String(20), primary_key=True),
    Column("case_id", String(40), nullable=False),
    Column("box", LargeBinary, nullable=False),
    Index("ix_papers_case", "case_id"),
)
"""What people wrote or showed (notes, reasons, masked accounts, links, statements), under the case's own key: it is
forgotten with the case's person."""

codes = Table(
    "codes",
    metadata,
    Column("case_id", String(40), primary_key=True),
    Column("number_token", String(60), nullable=False),
    Column("origin", String(60), nullable=False),
    Column("digest", String(80), nullable=False),
    Column("sent_at", Utc, nullable=False),
    Index("ix_codes_number", "number_token", "origin"),
)
"""The last code of an identity check, as a keyed digest; deleted when the check is over."""

slots = Table(
    "slots",
    metadata,
    Column("number_token", String(60), primary_key=True),
    Column("what", String(20), primary_key=True),
    Column("case_id", String(40), nullable=False),
    Column("until", Utc),
    Index("ix_slots_case", "case_id"),
)
"""What a number may not do again yet: one query of a kind at a time and one result in 24 hours, nothing for 24 hours
after a mismatch. No `until`: for as long as the case runs."""

numbers = Table(
    "numbers",
    metadata,
    Column("number_token", String(60), primary_key=True),
    Column("case_id", String(40), nullable=False, unique=True),
)
"""The case a number's life is kept in."""
