"""Projects, models, and models in projects."""

from __future__ import annotations

import sqlalchemy as sa

from adaptive_engine.store.columns import Json, Text
from adaptive_engine.store.tables.metadata import metadata

projects = sa.Table(
    "projects",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("key", Text, nullable=False, unique=True),
    sa.Column("name", Text, nullable=False),
    sa.Column("description", Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("archived_at", sa.BigInteger),
    sa.Column("settings", Json),
)

models = sa.Table(
    "models",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("key", Text, nullable=False, unique=True),
    sa.Column("name", Text, nullable=False),
    sa.Column("provider", Text, nullable=False),
    sa.Column("capabilities", Json, nullable=False),
    sa.Column("context_length", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("kv_cache_len", sa.BigInteger),
    sa.Column("max_seq_len", sa.BigInteger),
    sa.Column("external", Json),
    sa.Column("sealed_key", sa.LargeBinary),
)

deployments = sa.Table(
    "deployments",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("project_id", sa.Uuid, sa.ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    sa.Column("model_id", sa.Uuid, sa.ForeignKey("models.id", ondelete="CASCADE"), nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("online", sa.Boolean, nullable=False),
    sa.Column("settings", Json, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("project_id", "model_id"),
)
sa.Index(
    "uq_deployments_default",
    deployments.c.project_id,
    unique=True,
    sqlite_where=sa.text("is_default"),
    postgresql_where=sa.text("is_default"),
)
