"""What a job needs, where it stands in line, and what workers can do. Jobs of before are placed when they are found."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COLUMNS: tuple[sa.Column[Any], ...] = (
    sa.Column("device", sa.String(length=8), nullable=False, server_default="auto"),
    sa.Column("memory_bytes", sa.BigInteger(), nullable=False, server_default="0"),
    sa.Column("queue", sa.String(length=40), nullable=False, server_default=""),
    sa.Column("priority", sa.Integer(), nullable=False, server_default="5"),
    sa.Column("rank", sa.BigInteger(), nullable=False, server_default="0"),
    sa.Column("held", sa.Boolean(), nullable=False, server_default=sa.false()),
)


def upgrade() -> None:
    for column in COLUMNS:
        op.add_column("diagnoses", column)
    op.create_index("diagnoses_in_line", "diagnoses", ["status", "held", "queue", "rank"])
    op.add_column("workers", sa.Column("capabilities", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_index("diagnoses_in_line", "diagnoses")
    with op.batch_alter_table("workers") as table:
        table.drop_column("capabilities")
    with op.batch_alter_table("diagnoses") as table:
        for column in COLUMNS:
            table.drop_column(column.name)
