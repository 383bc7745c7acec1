"""How each model is run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("models", sa.Column("kv_cache_len", sa.BigInteger()))
    op.add_column("models", sa.Column("max_seq_len", sa.BigInteger()))
