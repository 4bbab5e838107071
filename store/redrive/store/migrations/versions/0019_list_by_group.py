"""The list of a group's tasks in one status."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_tasks_list_group", "tasks", ["namespace", "group", "status", "id"])


def downgrade() -> None:
    op.drop_index("ix_tasks_list_group", table_name="tasks")
