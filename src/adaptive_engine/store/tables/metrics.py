"""What is scored, and the scores."""

from __future__ import annotations

import sqlalchemy as sa

from adaptive_engine.store.columns import Text
from adaptive_engine.store.tables.metadata import metadata

metrics = sa.Table(
    "metrics",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("project_id", sa.Uuid, sa.ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    sa.Column("key", Text, nullable=False),
    sa.Column("name", Text, nullable=False),
    sa.Column("kind", Text, nullable=False),
    sa.Column("scoring_type", Text, nullable=False),
    sa.Column("description", Text, nullable=False),
    sa.Column("unit", Text),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("category", Text, nullable=False, server_default="USER"),
    sa.UniqueConstraint("project_id", "key"),
)

scores = sa.Table(
    "scores",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column(
        "interaction_id", sa.Uuid, sa.ForeignKey("interactions.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    sa.Column("metric_id", sa.Uuid, sa.ForeignKey("metrics.id", ondelete="CASCADE"), nullable=False),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("reason", Text),
    sa.Column("details", Text),
    sa.Column("user", Text),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("source", Text, nullable=False, server_default="USER"),
    sa.Index("ix_scores_metric", "metric_id", "value", "interaction_id"),
)

comparisons = sa.Table(
    "comparisons",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("project_id", sa.Uuid, sa.ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    sa.Column("metric_id", sa.Uuid, sa.ForeignKey("metrics.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column(
        "preferred_id", sa.Uuid, sa.ForeignKey("interactions.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    sa.Column("other_id", sa.Uuid, sa.ForeignKey("interactions.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("tied", Text),
    sa.Column("user", Text),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Index("ix_comparisons_oldest", "project_id", "created_at", "id"),
)

outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("project_id", sa.Uuid, sa.ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    sa.Column("metric_id", sa.Uuid, sa.ForeignKey("metrics.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("session_id", sa.Uuid, nullable=False, index=True),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("user", Text),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)
