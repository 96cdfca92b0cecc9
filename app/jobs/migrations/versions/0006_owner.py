"""Who submitted a diagnosis. Those of before belong to nobody."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("diagnoses", sa.Column("owner", sa.String(length=64), nullable=False, server_default=""))
    op.create_index("diagnoses_of_owner", "diagnoses", ["owner", "created_at", "id"])


def downgrade() -> None:
    op.drop_index("diagnoses_of_owner", "diagnoses")
    with op.batch_alter_table("diagnoses") as table:
        table.drop_column("owner")
