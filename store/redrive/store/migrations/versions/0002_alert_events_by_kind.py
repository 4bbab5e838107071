"""Alert events are counted by kind and time, not handed over one by one."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_alert_events_pending", table_name="alert_events")
    op.drop_column("alert_events", "delivered_at")
    op.create_index("ix_alert_events_kind", "alert_events", ["namespace", "kind", "created_at"])


def downgrade() -> None:
    op.drop_index("ix_alert_events_kind", table_name="alert_events")
    op.add_column("alert_events", sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_alert_events_pending", "alert_events", ["id"], postgresql_where=sa.text("delivered_at IS NULL"))
