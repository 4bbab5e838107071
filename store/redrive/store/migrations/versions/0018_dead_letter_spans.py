"""Dead letters by day and week, and by error and hour: for long ranges of time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_KEY = 'namespace, fingerprint, "group", scene, kind, dead_reason'
_IN_SPANS = f"""
    INSERT INTO dead_letter_spans AS known ({_KEY}, seconds, at, count)
    SELECT {_KEY}, seconds, date_bin(make_interval(secs => seconds), hour, 'epoch'), sum(count)
    FROM {{source}} CROSS JOIN (VALUES (86400), (604800)) AS spans(seconds) GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    HAVING sum(count) <> 0
    ON CONFLICT ({_KEY}, seconds, at) DO UPDATE SET count = known.count + EXCLUDED.count
"""  # noqa: S608 - built from this module's constants only
_BY_ERROR = """
    INSERT INTO dead_letter_error_hours AS known (namespace, fingerprint, hour, count)
    SELECT namespace, fingerprint, hour, sum(count) FROM {source} GROUP BY 1, 2, 3 HAVING sum(count) <> 0
    ON CONFLICT (namespace, fingerprint, hour) DO UPDATE SET count = known.count + EXCLUDED.count
"""
# What a statement added to the hours, and what it took from them. Triggers, and not a part of the folding: while an
# upgrade goes on, processes of the version before fold as well.
_CHANGED = {
    "insert": ("NEW TABLE AS added", "added"),
    "update": (
        "NEW TABLE AS added OLD TABLE AS gone",
        f"(SELECT {_KEY}, hour, count FROM added UNION ALL SELECT {_KEY}, hour, -count FROM gone) AS changed",  # noqa: S608 - built from this module's constants only
    ),
    "delete": ("OLD TABLE AS gone", f"(SELECT {_KEY}, hour, -count AS count FROM gone) AS changed"),  # noqa: S608
}


def upgrade() -> None:
    op.create_table(
        "dead_letter_spans",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("scene", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("dead_reason", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "namespace", "fingerprint", "seconds", "at", "group", "scene", "kind", "dead_reason",
            name=op.f("pk_dead_letter_spans"),
        ),
    )  # fmt: skip
    op.create_index("ix_dead_letter_spans_at", "dead_letter_spans", ["namespace", "seconds", "at"])
    op.create_table(
        "dead_letter_error_hours",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "fingerprint", "hour", name=op.f("pk_dead_letter_error_hours")),
    )
    for event, (tables, changed) in _CHANGED.items():
        op.execute(
            f"""
            CREATE FUNCTION dead_letter_hours_{event}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                {_IN_SPANS.format(source=changed)};
                {_BY_ERROR.format(source=changed)};
                RETURN NULL;
            END
            $$
            """
        )
        op.execute(
            f"CREATE TRIGGER dead_letter_hours_{event} AFTER {event} ON dead_letter_hours REFERENCING {tables} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION dead_letter_hours_{event}()"
        )
    # What is known already: the triggers hold a lock until the end, so that nothing is folded meanwhile.
    op.execute(_IN_SPANS.format(source="dead_letter_hours"))
    op.execute(_BY_ERROR.format(source="dead_letter_hours"))


def downgrade() -> None:
    for event in _CHANGED:
        op.execute(f"DROP TRIGGER dead_letter_hours_{event} ON dead_letter_hours")
        op.execute(f"DROP FUNCTION dead_letter_hours_{event}()")
    op.drop_table("dead_letter_error_hours")
    op.drop_table("dead_letter_spans")
