"""Images in the messages of interactions: each once for a project, named by its content, and gone with the last
interaction that has it.

In the database, so that all servers of one have them, an interaction is stored with its images or not at all, and
one backup has both. Writing and deleting need the turn of `Database.write`: only then nothing comes between the look
whether somebody has an image and what follows from it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.tables import images, interaction_images
from adaptive_engine.types import Interaction, StoredImage, now_ms

_COLUMNS = (images.c.name, images.c.media_type, images.c.width, images.c.height, images.c.data)


def insert(connection: Connection, rows: Sequence[Interaction]) -> None:
    """Store the images that new interactions bring, and that these have them."""
    uses = [
        {"interaction_id": row.id, "project_id": row.project_id, "name": image.name}
        for row in rows
        for image in row.images
    ]
    if not uses:
        return
    brought = {(row.project_id, image.name): image for row in rows for image in row.images}
    for (project_id, name), image in brought.items():
        if _is_stored(connection, project_id, name):
            continue
        values = {"width": image.width, "height": image.height, "data": image.data, "media_type": image.media_type}
        connection.execute(images.insert().values(project_id=project_id, name=name, created_at=now_ms(), **values))
    connection.execute(interaction_images.insert(), uses)


def get(connection: Connection, project_id: UUID, name: str) -> StoredImage | None:
    query = sa.select(*_COLUMNS).where(images.c.project_id == project_id, images.c.name == name)
    found = connection.execute(query).one_or_none()
    return None if found is None else StoredImage(*found)


def used_by(connection: Connection, interaction_ids: Collection[UUID]) -> list[tuple[UUID, str]]:
    """Project and name of the images that these interactions have."""
    uses = interaction_images.c
    query = sa.select(uses.project_id, uses.name).where(uses.interaction_id.in_(interaction_ids)).distinct()
    return [(project_id, name) for project_id, name in connection.execute(query)]


def delete_unused(connection: Connection, candidates: Collection[tuple[UUID, str]]) -> None:
    """Delete those of these images that no interaction has any more."""
    uses = interaction_images.c
    used = sa.select(uses.name).where(uses.project_id == images.c.project_id, uses.name == images.c.name)
    for project_id, name in candidates:
        mine = sa.and_(images.c.project_id == project_id, images.c.name == name)
        connection.execute(images.delete().where(mine, ~used.exists()))


def _is_stored(connection: Connection, project_id: UUID, name: str) -> bool:
    query = sa.select(sa.literal(1)).where(images.c.project_id == project_id, images.c.name == name)
    return connection.scalar(query) is not None
