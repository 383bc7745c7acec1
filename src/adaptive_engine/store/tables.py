"""The tables. Times are epoch milliseconds, ids are UUIDs, JSON is text that we write and read ourselves.

A change here needs a new file in `migrations/versions/`; `tests/unit/store/test_database.py` fails until both agree.
"""

from __future__ import annotations

import sqlalchemy as sa

from adaptive_engine.store.columns import Json, Text

metadata = sa.MetaData(
    # Named constraints can be dropped by a later migration on every database.
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

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

teams = sa.Table(
    "teams",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("key", Text, nullable=False, unique=True),
    sa.Column("name", Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

# The roles that come with the server are rows too, written at every start, so that everything can refer to them.
roles = sa.Table(
    "roles",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("key", Text, nullable=False, unique=True),
    sa.Column("name", Text, nullable=False),
    sa.Column("permissions", Json, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("email", Text, nullable=False),
    sa.Column("name", Text, nullable=False),
    sa.Column("user_type", Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("deleted_at", sa.BigInteger),
)
# The address of a deleted user may be given to another.
sa.Index(
    "uq_users_email",
    users.c.email,
    unique=True,
    sqlite_where=sa.text("deleted_at IS NULL"),
    postgresql_where=sa.text("deleted_at IS NULL"),
)

team_members = sa.Table(
    "team_members",
    metadata,
    sa.Column("user_id", sa.Uuid, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("team_id", sa.Uuid, sa.ForeignKey("teams.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("role_id", sa.Uuid, sa.ForeignKey("roles.id"), nullable=False),
)

project_shares = sa.Table(
    "project_shares",
    metadata,
    sa.Column("project_id", sa.Uuid, sa.ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("team_id", sa.Uuid, sa.ForeignKey("teams.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("role_id", sa.Uuid, sa.ForeignKey("roles.id"), nullable=False),
    sa.Column("is_owner", sa.Boolean, nullable=False),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", Text, primary_key=True),
    sa.Column("name", Text, nullable=False),
    sa.Column("role", Text, nullable=False),
    sa.Column("project_id", sa.Uuid, sa.ForeignKey("projects.id", ondelete="CASCADE")),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("revoked_at", sa.BigInteger),
    sa.Column("user_id", sa.Uuid, sa.ForeignKey("users.id")),
)

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

# Facts about the whole installation, whichever servers it has.
installation = sa.Table(
    "installation",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("value", Text, nullable=False),
)
