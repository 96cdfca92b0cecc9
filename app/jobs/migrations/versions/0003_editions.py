"""Which edition of the analysis made a report, so that the same content need not be run again by the same one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("diagnoses", sa.Column("edition", sa.String(length=32), nullable=True))
    op.add_column("workers", sa.Column("edition", sa.String(length=32), nullable=True))
    op.create_index("diagnoses_by_content", "diagnoses", ["content_hash"])


def downgrade() -> None:
    op.drop_index("diagnoses_by_content", "diagnoses")
    for name in ("diagnoses", "workers"):
        with op.batch_alter_table(name) as table:
            table.drop_column("edition")
