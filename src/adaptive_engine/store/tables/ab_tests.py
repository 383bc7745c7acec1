"""A/B tests and their arms."""

from __future__ import annotations

import sqlalchemy as sa

from adaptive_engine.store.columns import Json, Text
from adaptive_engine.store.tables.metadata import metadata

ab_tests = sa.Table(
    "ab_tests",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("project_id", sa.Uuid, sa.ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    sa.Column("key", Text, nullable=False),
    sa.Column("name", Text, nullable=False),
    sa.Column("metric_id", sa.Uuid, sa.ForeignKey("metrics.id", ondelete="SET NULL")),
    sa.Column("score_type", Text, nullable=False),
    sa.Column("status", Text, nullable=False),
    sa.Column("traffic_split", sa.Double, nullable=False),
    sa.Column("auto_deploy", sa.Boolean, nullable=False),
    sa.Column("alpha", sa.Double, nullable=False),
    sa.Column("min_scores", sa.BigInteger, nullable=False),
    sa.Column("verdict", Json),
    sa.Column("begun_at", sa.BigInteger, nullable=False),
    sa.Column("ended_at", sa.BigInteger),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("project_id", "key"),
)

ab_test_arms = sa.Table(
    "ab_test_arms",
    metadata,
    sa.Column("ab_test_id", sa.Uuid, sa.ForeignKey("ab_tests.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("model_id", sa.Uuid, sa.ForeignKey("models.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
)
