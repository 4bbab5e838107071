"""dead letters: counts that are kept, what people said about them, and retention."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# A trigger, and not a part of the statements that change tasks: whatever statement it is, the counts stay right. It
# only runs for dead letters; for every other row its condition is all that is evaluated.
_NOTE = """
CREATE FUNCTION note_dead_letter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.status = 'dead' THEN
        INSERT INTO dead_letter_changes
            (namespace, fingerprint, "group", scene, kind, dead_reason, finished_at, task_id, change)
        VALUES (OLD.namespace, COALESCE(OLD.fingerprint, 'none'), OLD."group", OLD.scene, OLD.kind, OLD.dead_reason,
            OLD.finished_at, OLD.id, -1);
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.status = 'dead' THEN
        INSERT INTO dead_letter_changes
            (namespace, fingerprint, "group", scene, kind, dead_reason, finished_at, task_id, change)
        VALUES (NEW.namespace, COALESCE(NEW.fingerprint, 'none'), NEW."group", NEW.scene, NEW.kind, NEW.dead_reason,
            NEW.finished_at, NEW.id, 1);
    END IF;
    RETURN NULL;
END
$$
"""
_TRIGGERS = {
    "dead_letter_inserted": "AFTER INSERT ON tasks FOR EACH ROW WHEN (NEW.status = 'dead')",
    "dead_letter_deleted": "AFTER DELETE ON tasks FOR EACH ROW WHEN (OLD.status = 'dead')",
    "dead_letter_updated": (
        "AFTER UPDATE ON tasks FOR EACH ROW WHEN ((OLD.status = 'dead' OR NEW.status = 'dead') AND "
        '(OLD.status, OLD.dead_reason, OLD.namespace, OLD.fingerprint, OLD."group", OLD.scene, OLD.kind, '
        "OLD.finished_at) IS DISTINCT FROM (NEW.status, NEW.dead_reason, NEW.namespace, NEW.fingerprint, "
        'NEW."group", NEW.scene, NEW.kind, NEW.finished_at))'
    ),
}


def upgrade() -> None:
    op.add_column(
        "namespaces",
        sa.Column("retention", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.create_index(
        "ix_tasks_dead_scene",
        "tasks",
        ["namespace", "group", "scene", "finished_at", "id"],
        postgresql_where=sa.text("status = 'dead'"),
    )
    op.create_table(
        "dead_letter_changes",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("scene", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("dead_reason", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("change", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letter_changes")),
    )
    op.create_table(
        "dead_letter_totals",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("scene", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("dead_reason", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sample_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint(
            "namespace", "fingerprint", "group", "scene", "kind", "dead_reason", name=op.f("pk_dead_letter_totals")
        ),
    )
    op.create_table(
        "dead_letter_hours",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("scene", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("dead_reason", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "namespace", "fingerprint", "hour", "group", "scene", "kind", "dead_reason",
            name=op.f("pk_dead_letter_hours"),
        ),
    )  # fmt: skip
    op.create_index("ix_dead_letter_hours_hour", "dead_letter_hours", ["namespace", "hour"])
    op.create_table(
        "dead_letter_notes",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("muted_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "fingerprint", name=op.f("pk_dead_letter_notes")),
    )
    op.execute(_NOTE)
    for name, definition in _TRIGGERS.items():
        op.execute(f"CREATE TRIGGER {name} {definition} EXECUTE FUNCTION note_dead_letter()")
    # What is dead already: the triggers hold a lock until the end, so that nothing dies meanwhile.
    op.execute(
        """
        INSERT INTO dead_letter_changes
            (namespace, fingerprint, "group", scene, kind, dead_reason, finished_at, task_id, change)
        SELECT namespace, COALESCE(fingerprint, 'none'), "group", scene, kind, dead_reason, finished_at, id, 1
        FROM tasks WHERE status = 'dead'
        """
    )


def downgrade() -> None:
    for name in _TRIGGERS:
        op.execute(f"DROP TRIGGER {name} ON tasks")
    op.execute("DROP FUNCTION note_dead_letter()")
    op.drop_table("dead_letter_notes")
    op.drop_table("dead_letter_hours")
    op.drop_table("dead_letter_totals")
    op.drop_table("dead_letter_changes")
    op.drop_index("ix_tasks_dead_scene", table_name="tasks")
    op.drop_column("namespaces", "retention")
