"""Puts a server together on top of its store: the part of the start that needs the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.grammar.schemas import Schemas
from adaptive_engine.registry import ModelDirectory
from adaptive_engine.server.lifespan import Services
from adaptive_engine.services import models
from adaptive_engine.services.completions import Completions
from adaptive_engine.services.engines import Engines
from adaptive_engine.services.keys import KeyRing, load_pepper
from adaptive_engine.services.lifecycle import ModelLifecycle
from adaptive_engine.services.referee import Referee
from adaptive_engine.services.routing import Routing
from adaptive_engine.services.structured import StructuredOutput
from adaptive_engine.settings import Settings
from adaptive_engine.store import Database, Recorder, deployments, interactions

log = structlog.get_logger(__name__)

ENVIRONMENT_KEY = "ADAPTIVE_ADMIN_API_KEY"


@contextmanager
def assembled(settings: Settings, default: ModelDirectory, engines: Engines) -> Iterator[tuple[Services, str | None]]:
    """The services, and the text of a new admin key when one was made. Loads what else is deployed in background."""
    database = Database.open(settings.database_path, durability=settings.store.durability)
    try:
        _heal_and_fill(database, default, engines)
        keys = KeyRing(database, load_pepper(settings.data_dir))
        new_key = _admin_key(keys, settings)
        routing = Routing(database)
        recorder = Recorder(database)
        recorder.start()
        schemas = Schemas()
        try:
            structured = StructuredOutput(schemas)
            completions = Completions(routing, engines, structured, recorder)
            lifecycle = ModelLifecycle(database, routing, engines, schemas, settings.engine)
            referee = Referee(database, routing, lifecycle)
            services = Services(
                settings, database, recorder, keys, routing, engines, lifecycle, structured, completions, referee
            )
            referee.start()
            try:
                yield services, new_key
            finally:
                referee.close()
        finally:
            # The loop that read their streams has ended, and with it every request: nothing is left to record.
            engines.close()
            schemas.close()
            recorder.close()
    finally:
        database.close()


def _heal_and_fill(database: Database, default: ModelDirectory, engines: Engines) -> None:
    """Close what a crash left open; see to the default project and its model."""
    with database.write() as connection:
        aborted = interactions.abort_pending(connection)
        project = models.ensure_default_project(connection)
        model = models.register(connection, default)
        models.attach(connection, project.key, model.key)
        deployed = deployments.list_all(connection)
    if aborted:
        log.warning("interactions were running when the server last stopped; marked aborted", count=aborted)
    wanted = {deployment.model.key: deployment.model for deployment in deployed if deployment.online}
    if default.key not in wanted:
        engines.unload(default.key)
    # The one that is being read already comes first.
    for key in sorted(wanted, key=lambda key: (key != default.key, key)):
        engines.load(wanted[key])


def _admin_key(keys: KeyRing, settings: Settings) -> str | None:
    """Let the operator's key work, or make one when there is no admin key at all."""
    if settings.admin_api_key is not None:
        try:
            key = keys.import_plaintext(ENVIRONMENT_KEY, settings.admin_api_key.get_secret_value(), "admin")
        except InvalidRequest as exc:
            raise InvalidRequest(f"{ENVIRONMENT_KEY}: {exc.message}") from exc
        if key.revoked_at is not None:
            raise InvalidRequest(f"{ENVIRONMENT_KEY}: this key was revoked. Choose another, or unset the variable.")
        return None
    if any(key.role == "admin" and key.revoked_at is None for key in keys.list()):
        return None
    _, text = keys.create("first admin key", "admin")
    return text
