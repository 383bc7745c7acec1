"""Prompts and answers, with their images and labels."""

from __future__ import annotations

import sqlalchemy as sa

from adaptive_engine.store.columns import Json, Text
from adaptive_engine.store.tables.metadata import metadata

interactions = sa.Table(
    "interactions",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("project_id", sa.Uuid, sa.ForeignKey("projects.id"), nullable=False),
    sa.Column("session_id", sa.Uuid, nullable=False),
    sa.Column("state", Text, nullable=False),
    sa.Column("source", Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("completed_at", sa.BigInteger),
    sa.Column("model_id", sa.Uuid, sa.ForeignKey("models.id", ondelete="SET NULL")),
    sa.Column("model_key", Text),
    sa.Column("request_id", Text),
    sa.Column("choice_index", sa.Integer, nullable=False),
    sa.Column("user", Text),
    sa.Column("prompt_hash", Text),
    sa.Column("messages", Json, nullable=False),
    sa.Column("completion", Text, nullable=False),
    sa.Column("finish_reason", Text),
    sa.Column("error", Json),
    sa.Column("parameters", Json, nullable=False),
    sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
    sa.Column("completion_tokens", sa.BigInteger, nullable=False),
    sa.Column("cached_tokens", sa.BigInteger, nullable=False),
    sa.Column("timings", Json, nullable=False),
    sa.Column("warnings", Json, nullable=False),
    # Without a foreign key: the log outlives what it names, and each reference would be checked on every insert.
    sa.Column("ab_test_id", sa.Uuid),
    sa.Column("ab_test_unit", sa.BigInteger),
    sa.Column("created_by", sa.Uuid),
    # Which server runs it: when that one is gone, others see to what it left pending.
    sa.Column("server_id", sa.Uuid),
    sa.Column("provider", Text),
    sa.Column("external_model", Text),
    sa.Column("attempts", Json),
    sa.Column("cost", sa.Double),
    sa.Column("currency", Text),
    sa.Column("reasoning", Text),
)
# Each serves one filter in listing order, so that a page costs its own length and not the project's.
sa.Index("ix_interactions_newest", interactions.c.project_id, interactions.c.created_at, interactions.c.id)
sa.Index(
    "ix_interactions_model",
    interactions.c.project_id,
    interactions.c.model_key,
    interactions.c.created_at,
    interactions.c.id,
)
sa.Index(
    "ix_interactions_prompt",
    interactions.c.project_id,
    interactions.c.prompt_hash,
    interactions.c.created_at,
    interactions.c.id,
)
# Indexes of columns that few rows have hold those only.
sa.Index(
    "ix_interactions_user",
    interactions.c.project_id,
    interactions.c.user,
    interactions.c.created_at,
    interactions.c.id,
    sqlite_where=sa.text('"user" IS NOT NULL'),
    postgresql_where=sa.text('"user" IS NOT NULL'),
)
sa.Index(
    "ix_interactions_ab_test",
    interactions.c.ab_test_id,
    interactions.c.model_id,
    sqlite_where=sa.text("ab_test_id IS NOT NULL"),
    postgresql_where=sa.text("ab_test_id IS NOT NULL"),
)
sa.Index("ix_interactions_session", interactions.c.session_id, interactions.c.created_at, interactions.c.id)
# Start-up looks for rows that a crash left; the index holds only the few that are in flight.
sa.Index(
    "ix_interactions_pending",
    interactions.c.id,
    sqlite_where=sa.text("state = 'pending'"),
    postgresql_where=sa.text("state = 'pending'"),
)

# How an interaction ends that somebody may look for among thousands that are complete.
ENDED_BADLY = ("aborted", "cancelled", "error", "length")
sa.Index(
    "ix_interactions_state",
    interactions.c.project_id,
    interactions.c.state,
    interactions.c.created_at,
    interactions.c.id,
    sqlite_where=sa.text(f"state IN {ENDED_BADLY}"),
    postgresql_where=sa.text(f"state IN {ENDED_BADLY}"),
)

images = sa.Table(
    "images",
    metadata,
    sa.Column("project_id", sa.Uuid, sa.ForeignKey("projects.id"), primary_key=True),
    sa.Column("name", Text, primary_key=True),
    sa.Column("media_type", Text, nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

# Which interactions have an image: it goes with the last of them.
interaction_images = sa.Table(
    "interaction_images",
    metadata,
    sa.Column("interaction_id", sa.Uuid, sa.ForeignKey("interactions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("name", Text, primary_key=True),
    sa.Column("project_id", sa.Uuid, nullable=False),
    sa.ForeignKeyConstraint(["project_id", "name"], ["images.project_id", "images.name"]),
    sa.Index("ix_interaction_images_name", "project_id", "name"),
)

labels = sa.Table(
    "labels",
    metadata,
    sa.Column("interaction_id", sa.Uuid, sa.ForeignKey("interactions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("key", Text, primary_key=True),
    sa.Column("value", Text, nullable=False),
    # Of the interaction, and never changed, so that the index has a label's interactions in listing order.
    sa.Column("project_id", sa.Uuid, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Index("ix_labels_lookup", "project_id", "key", "value", "created_at", "interaction_id").ddl_if(dialect="sqlite"),
    # A B-tree of PostgreSQL takes 2704 bytes, which a label may exceed; a hash index takes any.
    sa.Index("ix_labels_key", "project_id", "key", "created_at", "interaction_id").ddl_if(dialect="postgresql"),
    sa.Index("ix_labels_value", "value", postgresql_using="hash").ddl_if(dialect="postgresql"),
)
