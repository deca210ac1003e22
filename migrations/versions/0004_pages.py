"""pages: clerks' accounts, saved searches, figures without reading every item, indexes for the desk's lists"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
FLAGS = ("escalated", "paused")
FIGURES = ["enterprise", "opened_at", "state", "late", "answered_at", "acknowledged_at"]


def upgrade() -> None:
    """To the new shape. What happened before is filled in by `starter.py rebuild`."""
    op.create_table(
        "saved_searches",
        sa.Column("account", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("query", sa.String(length=500), nullable=False),
        sa.Column("saved_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "name", name=op.f("pk_saved_searches")),
    )
    with op.batch_alter_table("accounts") as accounts:
        accounts.add_column(sa.Column("tenant", sa.String(length=40), server_default="", nullable=False))
    with op.batch_alter_table("work_items") as items:
        for name in ("opened_at", "acknowledged_at", "answered_at"):
            items.add_column(sa.Column(name, MOMENT, nullable=True))
        items.add_column(sa.Column("late", sa.Boolean(), server_default=sa.false(), nullable=False))
        items.create_index("ix_work_items_figures", FIGURES)
        items.create_index("ix_work_items_owed", ["enterprise", "open", "due_at", "item_id"])
    with op.batch_alter_table("questions") as questions:
        for name in ("asked_at", "answered_at"):
            questions.add_column(sa.Column(name, MOMENT, nullable=True))
        questions.create_index("ix_questions_figures", ["party", "asked_at", "open", "answered_at", "due_at"])
    unassigned = ["open", "waiting", "assignee", "due_order", "case_id"]
    op.create_index("ix_worklist_unassigned", "worklist", unassigned)
    op.create_index("ix_worklist_open_opened", "worklist", ["open", "opened_at", "case_id"])
    for flag in FLAGS:
        op.create_index(
            f"ix_worklist_{flag}",
            "worklist",
            ["open", flag, "due_order", "case_id"],
            sqlite_where=sa.text(f"{flag} IS 1"),
            postgresql_where=sa.text(f"{flag} IS TRUE"),
        )


def downgrade() -> None:
    """Back to the old shape."""
    for name in (*FLAGS, "open_opened", "unassigned"):
        op.drop_index(f"ix_worklist_{name}", table_name="worklist")
    with op.batch_alter_table("questions") as questions:
        questions.drop_index("ix_questions_figures")
        for name in ("asked_at", "answered_at"):
            questions.drop_column(name)
    with op.batch_alter_table("work_items") as items:
        items.drop_index("ix_work_items_owed")
        items.drop_index("ix_work_items_figures")
        for name in ("late", "opened_at", "acknowledged_at", "answered_at"):
            items.drop_column(name)
    with op.batch_alter_table("accounts") as accounts:
        accounts.drop_column("tenant")
    op.drop_table("saved_searches")
