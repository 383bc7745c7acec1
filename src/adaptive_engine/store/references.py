"""What a filter names by id or by key, as the rows of interactions have it."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store import tables
from adaptive_engine.types import uuid_or_none


def model_keys(connection: Connection) -> dict[str, str]:
    """The key of each model, by its id as text."""
    models = tables.models.c
    return {str(id_): key for id_, key in connection.execute(sa.select(models.id, models.key))}


def ab_tests(connection: Connection, project_id: UUID) -> dict[str, UUID]:
    """The id of each A/B test of the project, by key and by itself as text."""
    of = tables.ab_tests.c
    found = connection.execute(sa.select(of.id, of.key).where(of.project_id == project_id)).all()
    return {**{str(id_): id_ for id_, _ in found}, **{key: id_ for id_, key in found}}


def users(connection: Connection, id_or_email: str) -> list[UUID]:
    """An e-mail address may have been that of users who were deleted, too."""
    of = tables.users.c
    if user_id := uuid_or_none(id_or_email):
        return [user_id]
    return list(connection.scalars(sa.select(of.id).where(of.email == id_or_email.lower())))
