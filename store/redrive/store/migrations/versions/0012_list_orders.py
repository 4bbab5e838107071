"""Orders of lists, and successes by attempts in a tally of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_KEY = ["namespace", "seconds", "at", "group", "scene", "status"]
_COLUMNS = 'namespace, seconds, at, "group", scene, status'


def upgrade() -> None:
    op.create_index(
        "ix_tasks_finished",
        "tasks",
        ["namespace", "finished_at", "id"],
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )
    op.create_index("ix_tasks_priority", "tasks", ["namespace", "priority", "id"])
    op.create_index("ix_tasks_attempts", "tasks", ["namespace", "attempts", "id"])
    op.create_table(
        "success_tallies",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "seconds", "at", "group", "attempts", name=op.f("pk_success_tallies")),
    )
    op.execute("LOCK end_tallies")
    op.execute(
        'INSERT INTO success_tallies SELECT namespace, seconds, at, "group", attempts, sum(count) FROM end_tallies'
        " WHERE status = 'succeeded' GROUP BY 1, 2, 3, 4, 5"
    )
    op.execute(
        f"CREATE TEMPORARY TABLE kept ON COMMIT DROP AS SELECT {_COLUMNS}, sum(count) AS count FROM end_tallies"  # noqa: S608 - constants
        " GROUP BY 1, 2, 3, 4, 5, 6"
    )
    op.execute("DELETE FROM end_tallies")
    op.drop_constraint(op.f("pk_end_tallies"), "end_tallies")
    op.drop_column("end_tallies", "attempts")
    op.create_primary_key(op.f("pk_end_tallies"), "end_tallies", _KEY)
    op.execute(f"INSERT INTO end_tallies ({_COLUMNS}, count) SELECT {_COLUMNS}, count FROM kept")  # noqa: S608 - constants
    op.execute("DROP TABLE kept")


def downgrade() -> None:
    op.drop_constraint(op.f("pk_end_tallies"), "end_tallies")
    op.add_column("end_tallies", sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.alter_column("end_tallies", "attempts", server_default=None)
    op.create_primary_key(op.f("pk_end_tallies"), "end_tallies", [*_KEY, "attempts"])
    op.drop_table("success_tallies")
    op.drop_index("ix_tasks_attempts", "tasks")
    op.drop_index("ix_tasks_priority", "tasks")
    op.drop_index("ix_tasks_finished", "tasks")
