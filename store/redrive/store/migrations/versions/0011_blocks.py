"""Tasks that wait for the end of another one of their key, and reports that replace what was there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tasks", sa.Column("queue_key", sa.Text(), nullable=True))
    op.add_column("payloads", sa.Column("report_id", sa.Text(), nullable=True))
    op.create_index(
        "ix_payloads_report_id", "payloads", ["report_id"], postgresql_where=sa.text("report_id IS NOT NULL")
    )
    op.create_index(
        "ix_tasks_queue",
        "tasks",
        ["namespace", "group", "scene", "queue_key", "id"],
        postgresql_where=sa.text("queue_key IS NOT NULL"),
    )
    op.drop_index("ix_tasks_pending", table_name="tasks")
    op.create_index(
        "ix_tasks_pending",
        "tasks",
        ["namespace", "group", "next_attempt_at"],
        postgresql_where=sa.text("status = 'pending' AND queue_key IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_tasks_pending", table_name="tasks")
    op.create_index(
        "ix_tasks_pending",
        "tasks",
        ["namespace", "group", "next_attempt_at"],
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.drop_index("ix_tasks_queue", table_name="tasks")
    op.drop_index("ix_payloads_report_id", table_name="payloads")
    op.drop_column("payloads", "report_id")
    op.drop_column("tasks", "queue_key")
