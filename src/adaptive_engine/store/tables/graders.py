"""Graders, and what they have to do."""

from __future__ import annotations

import sqlalchemy as sa

from adaptive_engine.store.columns import Json, Text
from adaptive_engine.store.tables.metadata import metadata

graders = sa.Table(
    "graders",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("project_id", sa.Uuid, sa.ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    sa.Column("key", Text, nullable=False),
    sa.Column("name", Text, nullable=False),
    sa.Column("metric_id", sa.Uuid, sa.ForeignKey("metrics.id", ondelete="CASCADE"), nullable=False),
    sa.Column("judge", Json, nullable=False),
    sa.Column("sampling_rate", sa.Double, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("project_id", "key"),
)

# What graders have to do and have done: a queue that survives crashes, and that several servers can share.
judgements = sa.Table(
    "judgements",
    metadata,
    sa.Column("grader_id", sa.Uuid, sa.ForeignKey("graders.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("interaction_id", sa.Uuid, sa.ForeignKey("interactions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("state", Text, nullable=False),
    sa.Column("verdict", Text),
    sa.Column("error", Text),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("due_at", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("finished_at", sa.BigInteger),
    sa.Index("ix_judgements_interaction_id", "interaction_id"),
    sa.Index(
        "ix_judgements_due",
        "due_at",
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    ),
)
