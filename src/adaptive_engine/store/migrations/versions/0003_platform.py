"""People and what they may do, A/B tests, comparisons, outcomes, graders; more to filter interactions by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("projects", sa.Column("settings", sa.Text()))
    _people()
    _ab_tests()
    _interactions()
    _images()
    _labels()
    _feedback()
    _servers()


def _people() -> None:
    op.create_table(
        "teams",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_teams"),
        sa.UniqueConstraint("key", name="uq_teams_key"),
    )
    op.create_table(
        "roles",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("permissions", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_roles"),
        sa.UniqueConstraint("key", name="uq_roles_key"),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("user_type", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
    )
    op.create_index(
        "uq_users_email",
        "users",
        ["email"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "team_members",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("role_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_team_members_user_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name="fk_team_members_team_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["role_id"], ["roles.id"], name="fk_team_members_role_id"),
        sa.PrimaryKeyConstraint("user_id", "team_id", name="pk_team_members"),
    )
    op.create_table(
        "project_shares",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("role_id", sa.Uuid(), nullable=False),
        sa.Column("is_owner", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_project_shares_project_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name="fk_project_shares_team_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["role_id"], ["roles.id"], name="fk_project_shares_role_id"),
        sa.PrimaryKeyConstraint("project_id", "team_id", name="pk_project_shares"),
    )
    # SQLite cannot add a named constraint: there Alembic makes the table anew.
    with op.batch_alter_table("api_keys") as batch:
        batch.add_column(sa.Column("user_id", sa.Uuid()))
        batch.create_foreign_key("fk_api_keys_user_id", "users", ["user_id"], ["id"])


def _ab_tests() -> None:
    op.create_table(
        "ab_tests",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("metric_id", sa.Uuid()),
        sa.Column("score_type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("traffic_split", sa.Double(), nullable=False),
        sa.Column("auto_deploy", sa.Boolean(), nullable=False),
        sa.Column("alpha", sa.Double(), nullable=False),
        sa.Column("min_scores", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.Text()),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_ab_tests_project_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["metric_id"], ["metrics.id"], name="fk_ab_tests_metric_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_ab_tests"),
        sa.UniqueConstraint("project_id", "key", name="uq_ab_tests_project_id_key"),
    )
    op.create_table(
        "ab_test_arms",
        sa.Column("ab_test_id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["ab_test_id"], ["ab_tests.id"], name="fk_ab_test_arms_ab_test_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_ab_test_arms_model_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("ab_test_id", "model_id", name="pk_ab_test_arms"),
    )


def _interactions() -> None:
    op.add_column("interactions", sa.Column("ab_test_id", sa.Uuid()))
    op.add_column("interactions", sa.Column("ab_test_unit", sa.BigInteger()))
    op.add_column("interactions", sa.Column("created_by", sa.Uuid()))
    op.create_index("ix_interactions_prompt", "interactions", ["project_id", "prompt_hash", "created_at", "id"])
    op.create_index(
        "ix_interactions_user",
        "interactions",
        ["project_id", "user", "created_at", "id"],
        sqlite_where=sa.text('"user" IS NOT NULL'),
        postgresql_where=sa.text('"user" IS NOT NULL'),
    )
    op.create_index(
        "ix_interactions_ab_test",
        "interactions",
        ["ab_test_id", "model_id"],
        sqlite_where=sa.text("ab_test_id IS NOT NULL"),
        postgresql_where=sa.text("ab_test_id IS NOT NULL"),
    )
    ended_badly = "state IN ('aborted', 'cancelled', 'error', 'length')"
    op.create_index(
        "ix_interactions_state",
        "interactions",
        ["project_id", "state", "created_at", "id"],
        sqlite_where=sa.text(ended_badly),
        postgresql_where=sa.text(ended_badly),
    )


def _images() -> None:
    op.create_table(
        "images",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_images_project_id"),
        sa.PrimaryKeyConstraint("project_id", "name", name="pk_images"),
    )
    op.create_table(
        "interaction_images",
        sa.Column("interaction_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["interaction_id"],
            ["interactions.id"],
            name="fk_interaction_images_interaction_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "name"], ["images.project_id", "images.name"], name="fk_interaction_images_project_id"
        ),
        sa.PrimaryKeyConstraint("interaction_id", "name", name="pk_interaction_images"),
    )
    op.create_index("ix_interaction_images_name", "interaction_images", ["project_id", "name"])


def _labels() -> None:
    """Each label gets its interaction's project and time. Written anew: SQLite cannot add a column that must be set."""
    op.execute(
        "CREATE TABLE labels_before AS SELECT labels.*, interactions.project_id, interactions.created_at "
        "FROM labels JOIN interactions ON interactions.id = labels.interaction_id"
    )
    op.drop_table("labels")
    op.create_table(
        "labels",
        sa.Column("interaction_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["interaction_id"], ["interactions.id"], name="fk_labels_interaction_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("interaction_id", "key", name="pk_labels"),
    )
    op.execute(
        "INSERT INTO labels (interaction_id, key, value, project_id, created_at) "
        "SELECT interaction_id, key, value, project_id, created_at FROM labels_before"
    )
    op.drop_table("labels_before")
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("ix_labels_key", "labels", ["project_id", "key", "created_at", "interaction_id"])
        op.create_index("ix_labels_value", "labels", ["value"], postgresql_using="hash")
    else:
        op.create_index("ix_labels_lookup", "labels", ["project_id", "key", "value", "created_at", "interaction_id"])


def _feedback() -> None:
    op.add_column("metrics", sa.Column("category", sa.Text(), nullable=False, server_default="USER"))
    op.add_column("scores", sa.Column("source", sa.Text(), nullable=False, server_default="USER"))
    op.create_index("ix_scores_metric", "scores", ["metric_id", "value", "interaction_id"])
    op.create_table(
        "comparisons",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("metric_id", sa.Uuid(), nullable=False),
        sa.Column("preferred_id", sa.Uuid(), nullable=False),
        sa.Column("other_id", sa.Uuid(), nullable=False),
        sa.Column("tied", sa.Text()),
        sa.Column("user", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_comparisons_project_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["metric_id"], ["metrics.id"], name="fk_comparisons_metric_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["preferred_id"], ["interactions.id"], name="fk_comparisons_preferred_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["other_id"], ["interactions.id"], name="fk_comparisons_other_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_comparisons"),
    )
    for column in ("metric_id", "preferred_id", "other_id"):
        op.create_index(f"ix_comparisons_{column}", "comparisons", [column])
    op.create_index("ix_comparisons_oldest", "comparisons", ["project_id", "created_at", "id"])
    op.create_table(
        "outcomes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("metric_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("user", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_outcomes_project_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["metric_id"], ["metrics.id"], name="fk_outcomes_metric_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_outcomes"),
    )
    for column in ("metric_id", "session_id"):
        op.create_index(f"ix_outcomes_{column}", "outcomes", [column])
    op.create_table(
        "graders",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("metric_id", sa.Uuid(), nullable=False),
        sa.Column("judge", sa.Text(), nullable=False),
        sa.Column("sampling_rate", sa.Double(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_graders_project_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["metric_id"], ["metrics.id"], name="fk_graders_metric_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_graders"),
        sa.UniqueConstraint("project_id", "key", name="uq_graders_project_id_key"),
    )
    op.create_table(
        "judgements",
        sa.Column("grader_id", sa.Uuid(), nullable=False),
        sa.Column("interaction_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["grader_id"], ["graders.id"], name="fk_judgements_grader_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["interaction_id"], ["interactions.id"], name="fk_judgements_interaction_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("grader_id", "interaction_id", name="pk_judgements"),
    )
    op.create_index("ix_judgements_interaction_id", "judgements", ["interaction_id"])
    op.create_index(
        "ix_judgements_due",
        "judgements",
        ["due_at"],
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )


def _servers() -> None:
    op.add_column("interactions", sa.Column("server_id", sa.Uuid()))
    op.create_table(
        "installation",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_installation"),
    )
