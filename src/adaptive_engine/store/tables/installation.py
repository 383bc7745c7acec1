"""What holds for the whole installation."""

from __future__ import annotations

import sqlalchemy as sa

from adaptive_engine.store.columns import Text
from adaptive_engine.store.tables.metadata import metadata

# Facts about the whole installation, whichever servers it has.
installation = sa.Table(
    "installation",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("value", Text, nullable=False),
)
