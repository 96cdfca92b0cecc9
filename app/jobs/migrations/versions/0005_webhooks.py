"""Webhooks: who listens, what is still to be told, and which endings have been looked at for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("settlements", sa.Column("announced", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("settlements_by_announced", "settlements", ["announced", "number"])
    op.create_table(
        "listeners",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("url_hash", sa.String(length=64), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("disabled_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("diagnosis_id", sa.String(length=32), nullable=False),
        sa.Column("listener", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=False),
        sa.Column("attempted_at", sa.Float(), nullable=True),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(["diagnosis_id"], ["diagnoses.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("deliveries_due", "deliveries", ["listener", "state", "next_at"])
    op.create_index(op.f("ix_deliveries_diagnosis_id"), "deliveries", ["diagnosis_id"])


def downgrade() -> None:
    op.drop_table("deliveries")
    op.drop_table("listeners")
    op.drop_index("settlements_by_announced", "settlements")
    with op.batch_alter_table("settlements") as table:
        table.drop_column("announced")
