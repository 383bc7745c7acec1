"""Who may do what: teams, roles, users, their places, and keys."""

from __future__ import annotations

import sqlalchemy as sa

from adaptive_engine.store.columns import Json, Text
from adaptive_engine.store.tables.metadata import metadata

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
    sa.Column("limits", Json),
)
