"""Redrives: durable operations on many tasks."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_OPEN = "status IN ('paused', 'running', 'waiting') OR waiting > 0 OR in_flight > 0"


def _instant(name: str, *, nullable: bool = False, now: bool = False) -> sa.Column[object]:
    default = sa.text("now()") if now else None
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, server_default=default)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default=sa.text("0"))


def _text(name: str, *, nullable: bool = False, default: str | None = None) -> sa.Column[str]:
    value = None if default is None else sa.text(f"'{default}'")
    return sa.Column(name, sa.Text(), nullable=nullable, server_default=value)


def upgrade() -> None:
    op.add_column("tasks", sa.Column("redrive_id", sa.Uuid(), nullable=True))
    op.create_table(
        "redrives",
        sa.Column("id", sa.Uuid(), nullable=False),
        _text("namespace"),
        _text("group", nullable=True),
        _text("action"),
        _text("status"),
        _text("why", default=""),
        sa.Column("selection", postgresql.JSONB(), nullable=False),
        sa.Column("options", postgresql.JSONB(), nullable=False),
        _text("reason", nullable=True),
        _text("author", nullable=True),
        *map(_number, ("total", "waiting", "in_flight", "succeeded", "dead", "skipped", "failed")),
        sa.Column("rate_now", sa.Float(), nullable=False, server_default=sa.text("0")),
        sa.Column("pace", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'")),
        _instant("look_at", now=True),
        _instant("looked_at", nullable=True),
        _instant("created_at", now=True),
        _instant("started_at", nullable=True),
        _instant("finished_at", nullable=True),
        sa.CheckConstraint(
            "status IN ('aborted', 'completed', 'paused', 'running', 'stopped', 'waiting')",
            name=op.f("ck_redrives_status"),
        ),
        sa.CheckConstraint(
            "(status IN ('paused', 'running', 'waiting')) = (finished_at IS NULL)",
            name=op.f("ck_redrives_ended_has_instant"),
        ),
        sa.CheckConstraint(
            "waiting >= 0 AND in_flight >= 0 AND succeeded >= 0 AND dead >= 0 AND skipped >= 0 AND failed >= 0"
            " AND total = waiting + in_flight + succeeded + dead + skipped + failed",
            name=op.f("ck_redrives_adds_up"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_redrives")),
    )
    op.create_index("ix_redrives_list", "redrives", ["namespace", "id"])
    op.create_index("ix_redrives_open", "redrives", ["look_at"], postgresql_where=sa.text(_OPEN))
    op.create_table(
        "redrive_items",
        sa.Column("redrive_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        _text("outcome", default="waiting"),
        _text("why", default=""),
        sa.Column("started_generation", sa.Integer(), nullable=True),
        _instant("started_at", nullable=True),
        _instant("finished_at", nullable=True),
        sa.CheckConstraint(
            "outcome IN ('dead', 'failed', 'skipped', 'started', 'succeeded', 'waiting')",
            name=op.f("ck_redrive_items_outcome"),
        ),
        sa.ForeignKeyConstraint(
            ["redrive_id"], ["redrives.id"], name=op.f("fk_redrive_items_redrive_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("redrive_id", "position", name=op.f("pk_redrive_items")),
    )
    op.create_index("ix_redrive_items_outcome", "redrive_items", ["redrive_id", "outcome", "position"])
    op.create_index("ix_redrive_items_task", "redrive_items", ["task_id"])


def downgrade() -> None:
    op.drop_table("redrive_items")
    op.drop_table("redrives")
    op.drop_column("tasks", "redrive_id")
