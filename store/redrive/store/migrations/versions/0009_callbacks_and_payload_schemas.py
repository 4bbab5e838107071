"""Callbacks and payload schemas of scenes, the end of a replaced signing secret, and why a payload was edited."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("namespaces", _document("callback_policy"))
    for name in ("callbacks", "callback_policy", "payload_schema"):
        op.add_column("scenes", _document(name))
    op.add_column(
        "scenes", sa.Column("schema_on_report", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("groups", sa.Column("previous_secret_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("payloads", sa.Column("reason", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("payloads", "reason")
    op.drop_column("groups", "previous_secret_until")
    for name in ("schema_on_report", "payload_schema", "callbacks", "callback_policy"):
        op.drop_column("scenes", name)
    op.drop_column("namespaces", "callback_policy")


def _document(name: str) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False)
