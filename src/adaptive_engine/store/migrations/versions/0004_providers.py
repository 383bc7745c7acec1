"""Models that live elsewhere, and what their answers cost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("models", sa.Column("external", sa.Text()))
    op.add_column("models", sa.Column("sealed_key", sa.LargeBinary()))
    for name in ("provider", "external_model", "attempts", "currency", "reasoning"):
        op.add_column("interactions", sa.Column(name, sa.Text()))
    op.add_column("interactions", sa.Column("cost", sa.Double()))
