"""parked by reason."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

PARKED = sa.text("status = 'parked'")


def upgrade() -> None:
    op.drop_index("ix_tasks_parked_target", table_name="tasks")
    columns = ["parked_for", "namespace", "target_key", "priority", "id"]
    op.create_index("ix_tasks_parked_target", "tasks", columns, postgresql_where=PARKED)


def downgrade() -> None:
    op.drop_index("ix_tasks_parked_target", table_name="tasks")
    op.create_index(
        "ix_tasks_parked_target", "tasks", ["namespace", "target_key", "priority", "id"], postgresql_where=PARKED
    )
