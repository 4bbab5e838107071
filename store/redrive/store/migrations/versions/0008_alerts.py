"""Alert rules, their alarms and notices, channels, and what nodes say of their SDK."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alert_channels",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("settings", JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        _instant("created_at", default=True),
        _instant("updated_at", default=True),
        sa.ForeignKeyConstraint(["namespace"], ["namespaces.name"], name=op.f("fk_alert_channels_namespace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_channels")),
    )
    op.create_index("uq_alert_channels_name", "alert_channels", ["namespace", "name"], unique=True)
    op.create_table(
        "alert_rules",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rule", JSONB(), nullable=False),
        sa.Column("channels", JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        _instant("muted_until"),
        _instant("evaluated_at"),
        _instant("due_at", default=True),
        _instant("created_at", default=True),
        _instant("updated_at", default=True),
        sa.ForeignKeyConstraint(["namespace"], ["namespaces.name"], name=op.f("fk_alert_rules_namespace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_rules")),
    )
    op.create_index("uq_alert_rules_name", "alert_rules", ["namespace", "name"], unique=True)
    op.create_index("ix_alert_rules_due", "alert_rules", ["due_at"], postgresql_where=sa.text("enabled"))
    op.create_table(
        "alert_alarms",
        sa.Column("rule_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("alarm", JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["rule_id"], ["alert_rules.id"], name=op.f("fk_alert_alarms_rule_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("rule_id", "key", name=op.f("pk_alert_alarms")),
    )
    op.create_table(
        "alert_notices",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Uuid(), nullable=False),
        sa.Column("rule_name", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("group", sa.Text(), nullable=True),
        sa.Column("scene", sa.Text(), nullable=True),
        sa.Column("where", JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("incident", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('firing', 'recovered', 'suppressed')", name=op.f("ck_alert_notices_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_notices")),
    )
    op.create_index("ix_alert_notices_list", "alert_notices", ["namespace", "id"])
    op.create_index("ix_alert_notices_rule", "alert_notices", ["rule_id", "id"])
    op.create_table(
        "alert_deliveries",
        sa.Column("notice_id", sa.Uuid(), nullable=False),
        sa.Column("channel_id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["notice_id"], ["alert_notices.id"], name=op.f("fk_alert_deliveries_notice_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("notice_id", "channel_id", name=op.f("pk_alert_deliveries")),
    )
    op.drop_constraint(op.f("ck_tasks_kind"), "tasks")
    op.create_check_constraint(op.f("ck_tasks_kind"), "tasks", "kind IN ('task', 'callback', 'alert')")
    op.add_column("nodes", sa.Column("spool_size", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("nodes", sa.Column("spool_oldest_seconds", sa.Float(), nullable=True))
    op.add_column("nodes", sa.Column("errors", sa.BigInteger(), server_default=sa.text("0"), nullable=False))


def downgrade() -> None:
    for column in ("errors", "spool_oldest_seconds", "spool_size"):
        op.drop_column("nodes", column)
    op.execute("DELETE FROM tasks WHERE kind = 'alert'")
    op.drop_constraint(op.f("ck_tasks_kind"), "tasks")
    op.create_check_constraint(op.f("ck_tasks_kind"), "tasks", "kind IN ('task', 'callback')")
    for table in ("alert_deliveries", "alert_notices", "alert_alarms", "alert_rules", "alert_channels"):
        op.drop_table(table)


def _instant(name: str, *, default: bool = False) -> sa.Column[Any]:
    given = sa.text("now()") if default else None
    return sa.Column(name, sa.DateTime(timezone=True), nullable=not default, server_default=given)
