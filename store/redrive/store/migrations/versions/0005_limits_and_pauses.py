"""Limits with their permits, and pauses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "limits",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("rate", sa.Float(), nullable=True),
        sa.Column("burst", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=True),
        sa.Column("tat", sa.DateTime(timezone=True), nullable=True),
        sa.Column("turn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("average_seconds", sa.Float(), nullable=True),
        sa.Column("author", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("scope IN ('group', 'scene', 'target')", name=op.f("ck_limits_scope")),
        sa.CheckConstraint("rate IS NOT NULL OR concurrency IS NOT NULL", name=op.f("ck_limits_limits_something")),
        sa.CheckConstraint("rate > 0 AND burst >= 1 AND concurrency >= 1", name=op.f("ck_limits_numbers")),
        sa.ForeignKeyConstraint(["namespace"], ["namespaces.name"], name=op.f("fk_limits_namespace")),
        sa.PrimaryKeyConstraint("namespace", "scope", "key", name=op.f("pk_limits")),
    )
    op.create_table(
        "permits",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["namespace", "scope", "key"],
            ["limits.namespace", "limits.scope", "limits.key"],
            name=op.f("fk_permits_namespace_scope_key"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("namespace", "scope", "key", "task_id", name=op.f("pk_permits")),
    )
    op.create_index("ix_permits_task_id", "permits", ["task_id"], unique=False)
    op.create_table(
        "pauses",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("author", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("scope IN ('namespace', 'group', 'scene', 'target')", name=op.f("ck_pauses_scope")),
        sa.CheckConstraint("(scope = 'namespace') = (key = '')", name=op.f("ck_pauses_key")),
        sa.ForeignKeyConstraint(["namespace"], ["namespaces.name"], name=op.f("fk_pauses_namespace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pauses")),
    )
    op.create_index("ix_pauses_scope", "pauses", ["namespace", "scope", "key"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_pauses_scope", table_name="pauses")
    op.drop_table("pauses")
    op.drop_index("ix_permits_task_id", table_name="permits")
    op.drop_table("permits")
    op.drop_table("limits")
