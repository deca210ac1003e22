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
    false,
    text,
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
    Column("opened_at", Utc),
    Column("acknowledged_at", Utc),
    Column("answered_at", Utc),
    Column("late", Boolean, nullable=False, server_default=false()),
    Column("data", Text, nullable=False),
    Index("ix_work_items_case", "case_id"),
    Index("ix_work_items_figures", "enterprise", "opened_at", "state", "late", "answered_at", "acknowledged_at"),
    Index("ix_work_items_pull", "enterprise", "open", "cursor"),
    Index("ix_work_items_due", "open", "due_at"),
    Index("ix_work_items_owed", "enterprise", "open", "due_at", "item_id"),
)
"""One row per work item; `cursor` grows in commit order, which is what an enterprise pulls by. `answered_at`: empty for
an amended answer too, whose first time is not kept; `late`: it went overdue, before its answer if there is one."""

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
    Index("ix_submissions_listed", "partner", "submitted_at", "case_id"),
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
    Column("asked_at", Utc),
    Column("answered_at", Utc),
    Column("data", Text, nullable=False),
    Index("ix_questions_case", "case_id"),
    Index("ix_questions_figures", "party", "asked_at", "open", "answered_at", "due_at"),
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
    Column("due_order", Utc, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("escalated", Boolean, nullable=False),
    Column("opened_at", Utc, nullable=False),
    Column("closed_at", Utc),
    Column("masked_number", String(20), nullable=False, server_default=""),
    Index("ix_worklist_queue", "open", "assignee", "due_order", "case_id"),
    Index("ix_worklist_unassigned", "open", "waiting", "assignee", "due_order", "case_id"),
    Index("ix_worklist_waiting", "open", "waiting", "due_order", "case_id"),
    Index("ix_worklist_open_due", "open", "due_order", "case_id"),
    Index("ix_worklist_open_opened", "open", "opened_at", "case_id"),
    Index("ix_worklist_due", "due_order", "case_id"),
    Index("ix_worklist_opened", "opened_at", "case_id"),
    Index("ix_worklist_number", "masked_number"),
    *(
        Index(
            f"ix_worklist_{flag}",
            "open",
            flag,
            "due_order",
            "case_id",
            sqlite_where=text(f"{flag} IS 1"),
            postgresql_where=text(f"{flag} IS TRUE"),
        )
        for flag in ("escalated", "paused")
    ),
)
"""The case workers' queues: one row per case that case workers may have to do with. `due_order` is `due_at`, or the
end of time where nothing is due: a column that is never empty, so that an index can give the order."""

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

case_parties = Table(
    "case_parties",
    metadata,
    Column("case_id", String(40), primary_key=True),
    Column("party", String(40), primary_key=True),
    Index("ix_case_parties_party", "party"),
)
"""Which enterprises and carriers a case is about, for case workers who look for it."""

clients = Table(
    "clients",
    metadata,
    Column("client_id", String(60), primary_key=True),
    Column("tenant", String(40), nullable=False),
    Column("role", String(20), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("secret_digest", String(64), nullable=False),
    Column("certificate", String(64), nullable=False, server_default=""),
    Column("created_at", Utc, nullable=False),
    Column("revoked_at", Utc),
    Index("ix_clients_tenant", "tenant"),
)
"""OAuth 2 clients: programs that may come in, for whom (`tenant`: a partner's or a person's code), as what, for what.
`certificate`: the SHA-256 of the client certificate it has to come with, if it has to."""

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("key_id", String(20), primary_key=True),
    Column("tenant", String(40), nullable=False),
    Column("ring_key", String(20), nullable=False),
    Column("box", LargeBinary, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("ends_at", Utc),
    Index("ix_signing_keys_tenant", "tenant"),
)
"""Secrets that webhooks both ways are signed with, locked with the key ring. While two overlap, either is good."""

accounts = Table(
    "accounts",
    metadata,
    Column("code", String(40), primary_key=True),
    Column("role", String(20), nullable=False),
    Column("tenant", String(40), nullable=False, server_default=""),
    Column("password", String(200), nullable=False, server_default=""),
    Column("totp_ring_key", String(20), nullable=False, server_default=""),
    Column("totp_box", LargeBinary),
    Column("totp_step", BigInteger, nullable=False, server_default="0"),
    Column("oidc_subject", String(200), unique=True),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("locked_until", Utc),
    Column("created_at", Utc, nullable=False),
    Column("disabled_at", Utc),
)
"""People at the case desk who sign in with a password (argon2) and a one-time code, or through OpenID Connect
(`oidc_subject`: a keyed token of the provider and what it calls them); `tenant`: the enterprise a clerk works for."""

sessions = Table(
    "sessions",
    metadata,
    Column("session_digest", String(64), primary_key=True),
    Column("account", String(40), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("seen_at", Utc, nullable=False),
    Column("ends_at", Utc, nullable=False),
    Index("ix_sessions_account", "account"),
)
"""Who is signed in, by a digest of what their cookie carries."""

saved_searches = Table(
    "saved_searches",
    metadata,
    Column("account", String(40), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("query", String(500), nullable=False),
    Column("saved_at", Utc, nullable=False),
)
"""Filters of the case desk somebody keeps for themselves: a page's query string, which has no personal data in it."""

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("entry_id", Position, primary_key=True, autoincrement=True),
    Column("at", Utc, nullable=False, index=True),
    Column("actor", String(80), nullable=False),
    Column("action", String(40), nullable=False),
    Column("about", String(80), nullable=False),
    Column("detail", Text, nullable=False),
)
"""What people and programs did besides cases: signed in, exported, made or ended credentials. No personal data."""

batches = Table(
    "batches",
    metadata,
    Column("batch_id", String(20), primary_key=True),
    Column("carrier", String(40), nullable=False),
    Column("key", String(80), nullable=False),
    Column("format", String(10), nullable=False),
    Column("header", String(200), nullable=False),
    Column("state", String(20), nullable=False),
    Column("lines", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("submitted_at", Utc, nullable=False),
    Column("received_at", Utc, nullable=False),
    Column("finished_at", Utc),
    UniqueConstraint("carrier", "key", name="uq_batches_carrier_key"),
    Index("ix_batches_open", "finished_at", "state"),
    Index("ix_batches_listed", "carrier", "submitted_at", "batch_id"),
)
"""A carrier's uploads of many renewals: how much of each was received, and how far it is."""

batch_lines = Table(
    "batch_lines",
    metadata,
    Column("batch_id", String(20), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("state", String(20), nullable=False),
    Column("digest", String(52), nullable=False),
    Column("ring_key", String(20), nullable=False, server_default=""),
    Column("box", LargeBinary),
    Column("tried_at", Utc),
    Column("case_id", String(40), nullable=False, server_default=""),
    Column("problem", Text, nullable=False, server_default=""),
    Index("ix_batch_lines_state", "batch_id", "state", "line"),
)
"""One renewal of an upload: locked while it waits, and what became of it. The box goes when the line is done.
`digest` covers the upload down to this line, keyed; from `tried_at` on the line may have a case."""

sent_webhooks = Table(
    "sent_webhooks",
    metadata,
    Column("partner", String(40), primary_key=True),
    Column("message_id", String(120), primary_key=True),
    Column("type", String(60), nullable=False),
    Column("about", Text, nullable=False),
    Column("first_at", Utc, nullable=False, index=True),
    Column("last_at", Utc, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("taken", Boolean, nullable=False),
    Column("failure", String(60), nullable=False),
    Column("replay", String(40)),
    Index("ix_sent_webhooks_listed", "partner", "first_at", "message_id"),
    Index(
        "ix_sent_webhooks_replay",
        "replay",
        sqlite_where=text("replay IS NOT NULL"),
        postgresql_where=text("replay IS NOT NULL"),
    ),
)
"""Every message we sent a partner, without its body: `about` is what a replay makes it from again. `replay`: the
replay that has still to send it again."""
