"""Requests that carry an Idempotency-Key, and what they were answered."""

from __future__ import annotations

import sqlalchemy as sa

from adaptive_engine.store.columns import Text
from adaptive_engine.store.tables.metadata import metadata

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    # The id of an API key, which may be deleted meanwhile.
    sa.Column("owner", Text, primary_key=True),
    sa.Column("key", Text, primary_key=True),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    sa.Column("claimed_at", sa.BigInteger, nullable=False, index=True),
    # Who works on it; null once it is answered.
    sa.Column("server_id", sa.Uuid),
    sa.Column("content", Text),
    sa.Column("interaction_id", sa.Uuid, sa.ForeignKey("interactions.id", ondelete="CASCADE"), index=True),
)
