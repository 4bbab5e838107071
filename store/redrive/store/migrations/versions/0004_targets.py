"""targets."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TARGET_KEY = (
    "CASE WHEN (target ->> 'kind'::text) = 'webhook'::text"
    """ THEN 'host:'::text || lower("substring"(target ->> 'url'::text, '^[^:]+://([^/?#]*)'::text))"""
    """ ELSE (('scene:'::text || "group") || '/'::text) || scene END"""
)
PARKED_FOR = (
    "parked_for IS NULL OR parked_for IN ('breaker', 'limit', 'no_node', 'pause', 'poison', 'pushback', 'rule')"
)


def upgrade() -> None:
    op.add_column("tasks", sa.Column("parked_for", sa.Text(), nullable=True))
    op.add_column(
        "tasks",
        sa.Column("counters", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.add_column("tasks", sa.Column("target_key", sa.Text(), sa.Computed(TARGET_KEY, persisted=True), nullable=False))
    op.execute("UPDATE tasks SET parked_for = 'no_node' WHERE status = 'parked'")
    op.create_check_constraint("parked_for", "tasks", PARKED_FOR)
    op.create_index(
        "ix_tasks_parked_target",
        "tasks",
        ["namespace", "target_key", "priority", "id"],
        postgresql_where=sa.text("status = 'parked'"),
    )
    op.add_column("attempts", sa.Column("probe", sa.Text(), nullable=True))
    op.create_table(
        "target_states",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("state", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("opened", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("rules", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("carry", sa.Float(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["namespace"], ["namespaces.name"], name=op.f("fk_target_states_namespace"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("namespace", "key", name=op.f("pk_target_states")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_index(
        "ix_target_states_opened", "target_states", ["namespace", "key"], postgresql_where=sa.text("opened")
    )
    op.create_table(
        "target_events",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id > 0", name=op.f("ck_target_events_id")),
        sa.ForeignKeyConstraint(
            ["namespace", "key"],
            ["target_states.namespace", "target_states.key"],
            name=op.f("fk_target_events_namespace_key"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_target_events")),
    )
    op.create_index("ix_target_events_key", "target_events", ["namespace", "key", "id"])


def downgrade() -> None:
    op.drop_table("target_events")
    op.drop_table("target_states")
    op.drop_column("attempts", "probe")
    op.drop_index("ix_tasks_parked_target", table_name="tasks")
    op.drop_constraint("parked_for", "tasks", type_="check")
    op.drop_column("tasks", "target_key")
    op.drop_column("tasks", "counters")
    op.drop_column("tasks", "parked_for")
