"""tallies."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)

# What of a row of `tasks` is counted: its state; when it is due while an attempt lies ahead; when it ended, and after
# how many attempts it succeeded.
_COUNTED = """
    {row}.namespace, {row}."group", {row}.scene, {row}.status,
    CASE WHEN {row}.status IN ('pending', 'waiting', 'parked') THEN date_trunc('minute', {row}.next_attempt_at) END,
    date_trunc('minute', {row}.finished_at),
    CASE WHEN {row}.status = 'succeeded' THEN {row}.attempts ELSE 0 END
"""
_COLUMNS = '(namespace, "group", scene, status, due_at, ended_at, attempts, change)'

_FUNCTIONS = (
    f"""
    CREATE FUNCTION redrive_count_new_tasks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO task_moves {_COLUMNS}
        SELECT {_COUNTED.format(row="tasks_after")}, count(*) FROM tasks_after GROUP BY 1, 2, 3, 4, 5, 6, 7;
        RETURN NULL;
    END $$
    """,  # noqa: S608 - built from this module's constants only
    f"""
    CREATE FUNCTION redrive_count_moved_task() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO task_moves {_COLUMNS}
        VALUES ({_COUNTED.format(row="OLD")}, -1), ({_COUNTED.format(row="NEW")}, 1);
        RETURN NULL;
    END $$
    """,  # noqa: S608 - built from this module's constants only
    f"""
    CREATE FUNCTION redrive_count_gone_tasks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO task_moves {_COLUMNS}
        SELECT {_COUNTED.format(row="tasks_before")}, -count(*) FROM tasks_before GROUP BY 1, 2, 3, 4, 5, 6, 7;
        RETURN NULL;
    END $$
    """,  # noqa: S608 - built from this module's constants only
    # The bucket is that of `redrive.core.histogram`.
    """
    CREATE FUNCTION redrive_count_ended_attempt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO attempt_ends (namespace, "group", scene, ended_at, failed, lag_bucket)
        VALUES (
            NEW.namespace, NEW."group", NEW.scene, date_trunc('minute', NEW.finished_at),
            NEW.status IN ('failed', 'timed_out'),
            LEAST(120, CEIL(4 * LN(GREATEST(
                1, EXTRACT(EPOCH FROM NEW.started_at - NEW.due_at)::float8 * 1000
            )) / LN(2::float8)))
        );
        RETURN NULL;
    END $$
    """,
)
_TRIGGERS = (
    """
    CREATE TRIGGER count_new_tasks AFTER INSERT ON tasks REFERENCING NEW TABLE AS tasks_after
    FOR EACH STATEMENT EXECUTE FUNCTION redrive_count_new_tasks()
    """,
    """
    CREATE TRIGGER count_moved_task AFTER UPDATE ON tasks FOR EACH ROW
    WHEN (OLD.status <> NEW.status OR OLD.next_attempt_at IS DISTINCT FROM NEW.next_attempt_at)
    EXECUTE FUNCTION redrive_count_moved_task()
    """,
    """
    CREATE TRIGGER count_gone_tasks AFTER DELETE ON tasks REFERENCING OLD TABLE AS tasks_before
    FOR EACH STATEMENT EXECUTE FUNCTION redrive_count_gone_tasks()
    """,
    """
    CREATE TRIGGER count_ended_attempt AFTER UPDATE ON attempts FOR EACH ROW
    WHEN (OLD.status = 'running' AND NEW.status <> 'running')
    EXECUTE FUNCTION redrive_count_ended_attempt()
    """,
)


def _count() -> sa.Column[int]:
    return sa.Column("count", sa.BigInteger(), server_default=sa.text("0"), nullable=False)


def _span() -> list[sa.Column[object]]:
    return [
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "task_moves",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("scene", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("due_at", _INSTANT, nullable=True),
        sa.Column("ended_at", _INSTANT, nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("change", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task_moves")),
    )
    op.create_table(
        "attempt_ends",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("scene", sa.Text(), nullable=False),
        sa.Column("ended_at", _INSTANT, nullable=False),
        sa.Column("failed", sa.Boolean(), nullable=False),
        sa.Column("lag_bucket", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt_ends")),
    )
    op.create_table(
        "status_tallies",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("scene", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        _count(),
        sa.PrimaryKeyConstraint("namespace", "group", "scene", "status", name=op.f("pk_status_tallies")),
    )
    op.create_table(
        "due_tallies",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
        _count(),
        sa.PrimaryKeyConstraint("namespace", "at", "group", name=op.f("pk_due_tallies")),
    )
    op.create_table(
        "end_tallies",
        *_span(),
        sa.Column("scene", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), autoincrement=False, nullable=False),
        _count(),
        sa.PrimaryKeyConstraint(
            "namespace", "seconds", "at", "group", "scene", "status", "attempts", name=op.f("pk_end_tallies")
        ),
    )
    op.create_table(
        "attempt_tallies",
        *_span(),
        sa.Column("scene", sa.Text(), nullable=False),
        _count(),
        sa.Column("failed", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "seconds", "at", "group", "scene", name=op.f("pk_attempt_tallies")),
    )
    op.create_table(
        "lag_tallies",
        *_span(),
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        _count(),
        sa.PrimaryKeyConstraint("namespace", "seconds", "at", "group", "bucket", name=op.f("pk_lag_tallies")),
    )
    for table in ("task_moves", "attempt_ends"):
        # They are filled and emptied all the time, so their size and not their share must call the vacuum.
        op.execute(
            f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,"
            " autovacuum_vacuum_insert_scale_factor = 0)"
        )
    for statement in (*_FUNCTIONS, *_TRIGGERS):
        op.execute(statement)
    # The triggers hold writers off until the migration commits, so nothing moves between the count and the first move.
    op.execute(
        f"INSERT INTO task_moves {_COLUMNS}"  # noqa: S608 - built from this module's constants only
        f" SELECT {_COUNTED.format(row='tasks')}, count(*) FROM tasks GROUP BY 1, 2, 3, 4, 5, 6, 7"
    )


def downgrade() -> None:
    for trigger, table in (
        ("count_new_tasks", "tasks"),
        ("count_moved_task", "tasks"),
        ("count_gone_tasks", "tasks"),
        ("count_ended_attempt", "attempts"),
    ):
        op.execute(f"DROP TRIGGER {trigger} ON {table}")
        op.execute(f"DROP FUNCTION redrive_{trigger}()")
    for table in (
        "lag_tallies",
        "attempt_tallies",
        "end_tallies",
        "due_tallies",
        "status_tallies",
        "attempt_ends",
        "task_moves",
    ):
        op.drop_table(table)
