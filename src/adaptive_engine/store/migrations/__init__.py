"""The schema's history: one chain of files in `versions/` for every database.

Alembic is imported only when there is something to migrate: opening a current store stays fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from adaptive_engine.errors import StorageUnavailable

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0005"
"""The revision this code reads and writes: the newest in `versions/`."""


class StoreTooNew(StorageUnavailable):
    """The store was written by a newer version of Adaptive Engine than this one."""


class StoreOutdated(StorageUnavailable):
    """The store has to be migrated before this version can use it."""

    def __init__(self, revision: str | None) -> None:
        super().__init__(f"The store has schema revision {revision or 'none'}, and this version needs {HEAD}.")
        self.revision = revision
        """None: it is empty."""


def current_revision(connection: sa.Connection) -> str | None:
    """The revision of the store behind `connection`, None when it was never migrated."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return revision


def check_known(revision: str | None) -> None:
    """Raises StoreTooNew for a revision that is not in our chain."""
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision is not None and revision not in known:
        raise StoreTooNew(
            f"The store has schema revision {revision}, this version of Adaptive Engine knows none past {HEAD}. "
            "Start the newer version that wrote the store, or restore a backup from before its upgrade."
        )


def upgrade(connection: sa.Connection) -> None:
    """Bring the schema to HEAD inside the open transaction of `connection`: a crash half-way leaves nothing behind."""
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "adaptive_engine.store:migrations")
    # Alembic's default, kept explicit because without it every use warns.
    config.set_main_option("path_separator", "os")
    return config
