"""/api/v1/admin/imports: models brought to this server, for those who run it."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request

from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.context import AdminDep, ServicesDep
from adaptive_engine.server.times import from_ms
from adaptive_engine.services.imports import ModelImport
from adaptive_engine.types import uuid_or_none
from adaptive_engine.wire import imports as wire

router = APIRouter(prefix="/admin/imports")


@router.get("")
async def list_imports(services: ServicesDep, _: AdminDep) -> wire.ModelImportList:
    """The newest imports of this server since its start, with how far they are."""
    return wire.ModelImportList(data=[_to_wire(each) for each in await asyncio.to_thread(services.imports.list)])


@router.post("", status_code=202, openapi_extra=body_of(wire.ModelImportCreate))
async def start_import(request: Request, services: ServicesDep, _: AdminDep) -> wire.ModelImport:
    """Begin to import a model of the catalog, or a file of the import directory. One is imported at a time."""
    body = await read_body(request, wire.ModelImportCreate)
    return _to_wire(await asyncio.to_thread(services.imports.start, name=body.name, path=body.path, key=body.key))


@router.get("/sources")
async def list_import_sources(services: ServicesDep, _: AdminDep) -> wire.ImportSources:
    """What can be imported: the catalog, and what is in the server's import directory."""
    found = await asyncio.to_thread(services.imports.sources)
    catalog = [
        wire.CatalogModel(name=entry.key, title=entry.name, license=entry.license, size=entry.wheel_size)
        for entry in found.catalog
    ]
    return wire.ImportSources(catalog=catalog, files=found.files)


@router.get("/{import_id}")
async def get_import(services: ServicesDep, _: AdminDep, import_id: str) -> wire.ModelImport:
    """How far an import is, and why it failed."""
    return _to_wire(await asyncio.to_thread(services.imports.get, uuid_or_none(import_id)))


@router.post("/{import_id}/cancel")
async def cancel_import(services: ServicesDep, _: AdminDep, import_id: str) -> wire.ModelImport:
    """End an import and remove what it wrote. One that has ended stays as it is."""
    return _to_wire(await asyncio.to_thread(services.imports.cancel, uuid_or_none(import_id)))


def _to_wire(found: ModelImport) -> wire.ModelImport:
    return wire.ModelImport(
        id=found.id,
        name=found.name,
        path=found.path,
        key=found.key,
        state=found.state,
        stage=found.stage,
        done=found.done,
        total=found.total,
        error=wire.ImportFailure(message=found.error[0], code=found.error[1]) if found.error else None,
        created_at=from_ms(found.created_at),
        ended_at=None if found.ended_at is None else from_ms(found.ended_at),
    )
