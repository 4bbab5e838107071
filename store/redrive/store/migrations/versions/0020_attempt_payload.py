"""The revision of the payload that an attempt ran with. Attempts from before keep none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("payload_revision", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("attempts", "payload_revision")
