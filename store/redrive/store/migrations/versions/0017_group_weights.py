"""The weights of groups, by which they share what runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("groups", sa.Column("weight", sa.Double(), server_default=sa.text("1"), nullable=False))


def downgrade() -> None:
    op.drop_column("groups", "weight")
