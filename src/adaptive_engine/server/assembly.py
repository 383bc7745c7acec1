"""Puts a server together on top of its store: the part of the start that needs the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.grammar.schemas import Schemas
from adaptive_engine.registry import ModelDirectory
from adaptive_engine.server.lifespan import Services
from adaptive_engine.services import access, models, teams
from adaptive_engine.services.backends import Backends
from adaptive_engine.services.completions import Completions
from adaptive_engine.services.engines import Engines
from adaptive_engine.services.external_models import ExternalModels
from adaptive_engine.services.grading import GraderQueue, Grading
from adaptive_engine.services.idempotency import Idempotency
from adaptive_engine.services.images import Images
from adaptive_engine.services.imports import Imports
from adaptive_engine.services.internal import EngineBackend
from adaptive_engine.services.keys import KeyRing
from adaptive_engine.services.lifecycle import ModelLifecycle
from adaptive_engine.services.limits import Limiter
from adaptive_engine.services.model_engines import ModelEngine, ModelEngines
from adaptive_engine.services.projects import Projects
from adaptive_engine.services.providers import Providers
from adaptive_engine.services.readiness import Readiness
from adaptive_engine.services.readings import Readings
from adaptive_engine.services.referee import Referee
from adaptive_engine.services.routing import Routing
from adaptive_engine.services.sealing import Sealer
from adaptive_engine.services.secret import load_secret, require_same_secret
from adaptive_engine.services.siblings import Siblings
from adaptive_engine.services.sign_in import SignIns
from adaptive_engine.services.storage import open_database
from adaptive_engine.services.structured import StructuredOutput
from adaptive_engine.services.vllm import CacheSalts
from adaptive_engine.services.vllm_servers import VllmServers
from adaptive_engine.settings import Settings
from adaptive_engine.store import Database, Presence, Recorder, deployments
from adaptive_engine.telemetry import tracing
from adaptive_engine.telemetry.meter import Meter

ENVIRONMENT_KEY = "ADAPTIVE_ADMIN_API_KEY"


@contextmanager
def assembled(
    settings: Settings, default: ModelDirectory, engines: ModelEngines[Any], siblings: Siblings | None = None
) -> Iterator[tuple[Services, str | None]]:
    """The services, and the text of a new admin key when one was made. Loads what else is deployed in background.

    `siblings` are the other workers of the server, if it has several.
    """
    siblings = siblings or Siblings()
    database = open_database(settings)
    presence = Presence(database)
    vllm = VllmServers(settings)
    try:
        secret = load_secret(settings)
        with database.write() as connection:
            require_same_secret(connection, secret)
        presence.start()
        _fill(database, default, engines, vllm)
        keys = KeyRing(database, secret)
        new_key = _admin_key(database, keys, settings)
        routing = Routing(database)
        traces = tracing.start(on=settings.telemetry.otel, content=settings.telemetry.otel_content)
        grader_queue = GraderQueue()
        recorder = Recorder(database, presence.server_id, grader_queue)
        recorder.start()
        schemas = Schemas()
        images = Images(settings.images)
        try:
            structured = StructuredOutput(schemas)
            sealer = Sealer(secret)
            providers = Providers(sealer, settings.providers)
            backends = Backends(engines, vllm, providers, _model_engine(engines, structured))
            meter = Meter()
            limiter = Limiter(settings.limits, meter.rate_limited, settings.limits.servers * settings.server.workers)
            completions = Completions(
                routing, backends, images, structured, recorder, CacheSalts(secret), meter, limiter
            )
            lifecycle = ModelLifecycle(database, routing, backends, schemas, structured, settings.engine)
            externals = ExternalModels(lifecycle, backends.providers, sealer)
            imports = Imports(database, settings.models_dir, settings.import_dir, siblings)
            projects = Projects(database, keys, routing, lifecycle)
            referee = Referee(database, routing)
            grading = Grading(database, routing, completions, referee, grader_queue)
            readiness = Readiness(backends, routing, recorder)
            readings = Readings(meter, readiness, backends, routing, recorder, grading, database)
            services = Services(
                settings,
                database,
                recorder,
                keys,
                SignIns(keys, secret),
                routing,
                backends,
                lifecycle,
                externals,
                imports,
                projects,
                images,
                structured,
                completions,
                referee,
                grading,
                readiness,
                Idempotency(database, presence.server_id),
                meter,
                readings,
                siblings,
                traces,
            )
            referee.start()
            grading.start()
            try:
                siblings.serve({"readings": readings.part, **imports.answers()})
                yield services, new_key
            finally:
                siblings.close()
                imports.close()
                grading.close()
                referee.close()
        finally:
            # The loop that read their streams has ended, and with it every request: nothing is left to record.
            engines.close()
            schemas.close()
            images.close()
            recorder.close()
            if traces is not None:
                traces.close()
    finally:
        vllm.close()
        # Last: until then others must not take what is being recorded for left behind.
        presence.close()
        database.close()


def _model_engine(engines: ModelEngines[Any], structured: StructuredOutput) -> Callable[[Any], ModelEngine]:
    """What makes of one of `engines` what requests are put to. Those of another process are that already."""
    return partial(EngineBackend, structured=structured) if isinstance(engines, Engines) else lambda engine: engine


def _fill(database: Database, default: ModelDirectory, engines: ModelEngines[Any], vllm: VllmServers) -> None:
    """See to what every installation has, and to the default model."""
    with database.write() as connection:
        teams.ensure_first_ones(connection)
        models.provide_default(connection, default)
        deployed = deployments.list_all(connection)
    wanted = {d.model.key: d.model for d in deployed if d.online and d.model.external is None}
    if default.key not in wanted:
        engines.unload(default.key)
    # The one that is being read already comes first.
    for key in sorted(wanted, key=lambda key: (key != default.key, key)):
        (vllm if wanted[key].in_vllm else engines).load(wanted[key])


def _admin_key(database: Database, keys: KeyRing, settings: Settings) -> str | None:
    """Let the operator's key work, or make one when nobody has a key that may do everything."""
    if settings.admin_api_key is not None:
        try:
            key = keys.import_plaintext(ENVIRONMENT_KEY, settings.admin_api_key.get_secret_value(), "admin")
        except InvalidRequest as exc:
            raise InvalidRequest(f"{ENVIRONMENT_KEY}: {exc.message}") from exc
        if key.revoked_at is not None:
            raise InvalidRequest(f"{ENVIRONMENT_KEY}: this key was revoked. Choose another, or unset the variable.")
        return None
    with database.read() as connection:
        if access.has_admin(connection):
            return None
    _, text = keys.create("first admin key", access.ADMIN_ROLE)
    return text
