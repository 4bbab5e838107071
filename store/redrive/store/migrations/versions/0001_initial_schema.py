"""initial schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alert_events",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("group", sa.Text(), nullable=True),
        sa.Column("scene", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=True),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("id > 0", name=op.f("ck_alert_events_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_events")),
    )
    op.create_index(
        "ix_alert_events_pending",
        "alert_events",
        ["id"],
        unique=False,
        postgresql_where=sa.text("delivered_at IS NULL"),
    )
    op.create_table(
        "namespaces",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("policy", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("auto_create", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_namespaces")),
    )
    op.create_table(
        "nodes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("executors", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=True),
        sa.Column("in_flight", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("live_since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_heartbeat_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('live', 'draining')", name=op.f("ck_nodes_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
    )
    op.create_index("ix_nodes_group", "nodes", ["namespace", "group", "last_heartbeat_at"], unique=False)
    op.create_table(
        "reconciliations",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rows_checked", sa.Integer(), nullable=False),
        sa.Column("workflows_checked", sa.Integer(), nullable=False),
        sa.Column("restarted", sa.Integer(), nullable=False),
        sa.Column("cancelled", sa.Integer(), nullable=False),
        sa.Column("closed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliations")),
    )
    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("scene", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default=sa.text("'task'"), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("executor", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("dead_reason", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("generation", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("mirror_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("priority", sa.Integer(), server_default=sa.text("3"), nullable=False),
        sa.Column("delay_seconds", sa.Float(), nullable=True),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("dedupe_key", sa.Text(), nullable=True),
        sa.Column("dedupe_seconds", sa.Float(), nullable=True),
        sa.Column("report_id", sa.Text(), nullable=True),
        sa.Column("payload_hash", sa.Text(), nullable=False),
        sa.Column("payload_revision", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("business_key", sa.Text(), nullable=True),
        sa.Column("duplicates", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("callbacks", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("target", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("policy", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("policy_override", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("policy_version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("error_type", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("error_stack", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column(
            "trace_context", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(status = 'dead') = (dead_reason IS NOT NULL)", name=op.f("ck_tasks_dead_has_reason")),
        sa.CheckConstraint(
            "(status IN ('cancelled', 'dead', 'succeeded')) = (finished_at IS NOT NULL)",
            name=op.f("ck_tasks_ended_has_instant"),
        ),
        sa.CheckConstraint(
            "dead_reason IS NULL OR dead_reason IN ('exhausted', 'expired', 'rejected', 'stopped')",
            name=op.f("ck_tasks_dead_reason"),
        ),
        sa.CheckConstraint("kind IN ('task', 'callback')", name=op.f("ck_tasks_kind")),
        sa.CheckConstraint(
            "status IN ('cancelled', 'dead', 'parked', 'paused', 'pending', 'running', 'succeeded', 'waiting')",
            name=op.f("ck_tasks_status"),
        ),
        sa.CheckConstraint("attempts >= 0 AND generation >= 1", name=op.f("ck_tasks_counters")),
        sa.CheckConstraint("priority BETWEEN 1 AND 5", name=op.f("ck_tasks_priority")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tasks")),
    )
    op.create_index(
        "ix_tasks_business_key",
        "tasks",
        ["namespace", "business_key", "id"],
        unique=False,
        postgresql_where=sa.text("business_key IS NOT NULL"),
    )
    op.create_index(
        "ix_tasks_dead",
        "tasks",
        ["namespace", "finished_at", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'dead'"),
    )
    op.create_index(
        "ix_tasks_dead_fingerprint",
        "tasks",
        ["namespace", "fingerprint", "finished_at"],
        unique=False,
        postgresql_where=sa.text("status = 'dead'"),
    )
    op.create_index(
        "ix_tasks_due",
        "tasks",
        ["namespace", "next_attempt_at", "id"],
        unique=False,
        postgresql_where=sa.text("status IN ('parked', 'paused', 'pending', 'running', 'waiting')"),
    )
    op.create_index(
        "ix_tasks_idempotency_key",
        "tasks",
        ["namespace", "idempotency_key", "id"],
        unique=False,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index("ix_tasks_list", "tasks", ["namespace", "id"], unique=False)
    op.create_index("ix_tasks_list_scene", "tasks", ["namespace", "group", "scene", "id"], unique=False)
    op.create_index("ix_tasks_list_status", "tasks", ["namespace", "status", "id"], unique=False)
    op.create_index(
        "ix_tasks_parent", "tasks", ["parent_id"], unique=False, postgresql_where=sa.text("parent_id IS NOT NULL")
    )
    op.create_index(
        "ix_tasks_parked",
        "tasks",
        ["namespace", "group", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'parked'"),
    )
    op.create_index(
        "ix_tasks_pending",
        "tasks",
        ["namespace", "group", "next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index("ix_tasks_updated", "tasks", ["namespace", "updated_at", "id"], unique=False)
    op.create_index(
        "uq_tasks_dedupe_key",
        "tasks",
        ["namespace", "group", "scene", "dedupe_key"],
        unique=True,
        postgresql_where=sa.text("dedupe_key IS NOT NULL"),
    )
    op.create_index(
        "uq_tasks_report_id",
        "tasks",
        ["namespace", "group", "report_id"],
        unique=True,
        postgresql_where=sa.text("report_id IS NOT NULL"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=True),
        sa.Column("group", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint('namespace IS NOT NULL OR "group" IS NULL', name=op.f("ck_api_keys_scope")),
        sa.ForeignKeyConstraint(["namespace"], ["namespaces.name"], name=op.f("fk_api_keys_namespace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("hash"),
    )
    op.create_table(
        "attempts",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("scene", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("trigger", sa.Text(), server_default=sa.text("'timer'"), nullable=False),
        sa.Column("deliveries", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("node_id", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("response", sa.Text(), nullable=True),
        sa.Column("error_type", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("error_stack", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("retry_after_seconds", sa.Float(), nullable=True),
        sa.Column("stop", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("logs", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("delay_seconds", sa.Float(), nullable=True),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(status = 'running') = (finished_at IS NULL)", name=op.f("ck_attempts_ended_has_instant")),
        sa.CheckConstraint(
            "status IN ('cancelled', 'failed', 'running', 'succeeded', 'timed_out')", name=op.f("ck_attempts_status")
        ),
        sa.CheckConstraint("generation >= 1 AND number >= 1 AND deliveries >= 1", name=op.f("ck_attempts_counters")),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_attempts_task_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task_id", "generation", "number", name=op.f("pk_attempts")),
    )
    op.create_index("ix_attempts_started_at", "attempts", ["started_at"], unique=False, postgresql_using="brin")
    op.create_table(
        "groups",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("policy", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column(
            "signing_secrets", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False
        ),
        sa.Column("auto_create", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["namespace"], ["namespaces.name"], name=op.f("fk_groups_namespace")),
        sa.PrimaryKeyConstraint("namespace", "name", name=op.f("pk_groups")),
    )
    op.create_table(
        "payloads",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("args", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("kwargs", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("body", postgresql.JSON(astext_type=sa.Text()), nullable=True),
        sa.Column("author", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_payloads_task_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task_id", "revision", name=op.f("pk_payloads")),
    )
    op.create_table(
        "scenes",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("policy_version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["namespace", "group"], ["groups.namespace", "groups.name"], name=op.f("fk_scenes_namespace_group")
        ),
        sa.PrimaryKeyConstraint("namespace", "group", "name", name=op.f("pk_scenes")),
    )
    op.create_table(
        "scene_policies",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("scene", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("policy", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("author", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["namespace", "group", "scene"],
            ["scenes.namespace", "scenes.group", "scenes.name"],
            name=op.f("fk_scene_policies_namespace_group_scene"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("namespace", "group", "scene", "version", name=op.f("pk_scene_policies")),
    )
    op.execute("INSERT INTO namespaces (name, description) VALUES ('default', 'the first namespace')")


def downgrade() -> None:
    op.drop_table("scene_policies")
    op.drop_table("scenes")
    op.drop_table("payloads")
    op.drop_table("groups")
    op.drop_index("ix_attempts_started_at", table_name="attempts", postgresql_using="brin")
    op.drop_table("attempts")
    op.drop_table("api_keys")
    op.drop_index("uq_tasks_report_id", table_name="tasks", postgresql_where=sa.text("report_id IS NOT NULL"))
    op.drop_index("uq_tasks_dedupe_key", table_name="tasks", postgresql_where=sa.text("dedupe_key IS NOT NULL"))
    op.drop_index("ix_tasks_updated", table_name="tasks")
    op.drop_index("ix_tasks_pending", table_name="tasks", postgresql_where=sa.text("status = 'pending'"))
    op.drop_index("ix_tasks_parked", table_name="tasks", postgresql_where=sa.text("status = 'parked'"))
    op.drop_index("ix_tasks_parent", table_name="tasks", postgresql_where=sa.text("parent_id IS NOT NULL"))
    op.drop_index("ix_tasks_list_status", table_name="tasks")
    op.drop_index("ix_tasks_list_scene", table_name="tasks")
    op.drop_index("ix_tasks_list", table_name="tasks")
    op.drop_index(
        "ix_tasks_idempotency_key", table_name="tasks", postgresql_where=sa.text("idempotency_key IS NOT NULL")
    )
    op.drop_index(
        "ix_tasks_due",
        table_name="tasks",
        postgresql_where=sa.text("status IN ('parked', 'paused', 'pending', 'running', 'waiting')"),
    )
    op.drop_index("ix_tasks_dead_fingerprint", table_name="tasks", postgresql_where=sa.text("status = 'dead'"))
    op.drop_index("ix_tasks_dead", table_name="tasks", postgresql_where=sa.text("status = 'dead'"))
    op.drop_index("ix_tasks_business_key", table_name="tasks", postgresql_where=sa.text("business_key IS NOT NULL"))
    op.drop_table("tasks")
    op.drop_table("reconciliations")
    op.drop_index("ix_nodes_group", table_name="nodes")
    op.drop_table("nodes")
    op.drop_table("namespaces")
    op.drop_index(
        "ix_alert_events_pending", table_name="alert_events", postgresql_where=sa.text("delivered_at IS NULL")
    )
    op.drop_table("alert_events")
