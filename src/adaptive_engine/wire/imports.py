"""Imports of models by a running server."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from adaptive_engine.wire.interactions import Key

ImportState = Literal["RUNNING", "COMPLETED", "FAILED", "CANCELLED"]


class ModelImportCreate(BaseModel):
    """POST /api/v1/admin/imports: `name`, a model of the catalog, or `path`, below the server's import directory."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    path: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = None
    key: Key | None = None
    """The model's; by default taken from the name."""


class ImportFailure(BaseModel):
    message: str
    code: str


class ModelImport(BaseModel):
    id: UUID
    object: Literal["model_import"] = "model_import"
    name: str | None
    path: str | None
    key: str
    state: ImportState
    stage: str | None
    """What it does: `wait` for another process, `download`, `read`, `copy`, `convert` or `check`; null at first."""
    done: int
    """Bytes of this stage."""
    total: int | None
    """Null where nobody knows it."""
    error: ImportFailure | None
    created_at: datetime
    ended_at: datetime | None


class ModelImportList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelImport]
    """Newest first; those that the server remembers."""


class CatalogModel(BaseModel):
    """`size` is that of the download, in bytes."""

    name: str
    title: str
    license: str
    size: int


class ImportSources(BaseModel):
    object: Literal["import_sources"] = "import_sources"
    catalog: list[CatalogModel]
    files: list[str] | None = Field(description="Paths in the import directory; null where none is configured.")
