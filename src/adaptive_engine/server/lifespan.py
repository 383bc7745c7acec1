"""From a data directory to a running server and back.

Imports no web framework: while that is imported, the models that this file started to load are being compiled.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock
import structlog

from adaptive_engine.engine import EngineOptions
from adaptive_engine.errors import Conflict, InvalidRequest
from adaptive_engine.registry import Progress, ensure_default_model
from adaptive_engine.services import models as model_service
from adaptive_engine.services.completions import Completions
from adaptive_engine.services.engines import Engines
from adaptive_engine.services.keys import KeyRing, load_pepper
from adaptive_engine.services.routing import Routing
from adaptive_engine.settings import EngineSettings, Settings
from adaptive_engine.store import deployments, interactions
from adaptive_engine.store.database import Database
from adaptive_engine.store.recorder import Recorder

log = structlog.get_logger(__name__)

ENVIRONMENT_KEY = "ADAPTIVE_ADMIN_API_KEY"


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a server is made of."""

    settings: Settings
    database: Database
    recorder: Recorder
    keys: KeyRing
    routing: Routing
    engines: Engines
    completions: Completions


@contextmanager
def only_server(data_dir: Path) -> Iterator[None]:
    """Hold the data directory for this process. The lock is the kernel's: a killed server leaves none behind.

    Raises Conflict naming the process that holds it.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    note = data_dir / "server.pid"
    lock = filelock.FileLock(data_dir / "server.lock", mode=0o600)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as exc:
        pid = note.read_text().strip() if note.exists() else "unknown"
        raise Conflict(
            f"Another server (pid {pid}) uses the data directory {data_dir}. Stop it, or choose another --data-dir."
        ) from exc
    try:
        note.write_text(f"{os.getpid()}\n")
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


@contextmanager
def running(settings: Settings, progress: Progress) -> Iterator[tuple[Services, str | None]]:
    """Everything a server needs, and the text of a new admin key when one was made.

    The models may still be loading: `services.engines.wait()` before the first request. Closes it all in the opposite
    order. The data directory must be held with `only_server`.
    """
    database = Database.open(settings.database_path, durability=settings.store.durability)
    try:
        default = ensure_default_model(settings.models_dir, progress)
        with database.write() as connection:
            aborted = interactions.abort_pending(connection)
            project = model_service.ensure_default_project(connection)
            model = model_service.register(connection, default)
            model_service.deploy(connection, project.key, model.key)
            wanted = {d.model.key for d in deployments.list_all(connection) if d.online}
        if aborted:
            log.warning("interactions were running when the server last stopped; marked aborted", count=aborted)
        engines = Engines(settings.models_dir, engine_options(settings.engine))
        engines.load_in_background(sorted(wanted))
        keys = KeyRing(database, load_pepper(settings.data_dir))
        new_key = _admin_key(keys, settings)
        recorder = Recorder(database)
        routing = Routing(database)
        recorder.start()
        try:
            completions = Completions(routing, engines, recorder)
            yield Services(settings, database, recorder, keys, routing, engines, completions), new_key
        finally:
            engines.close()
            recorder.close()
    finally:
        database.close()


def engine_options(settings: EngineSettings) -> EngineOptions:
    return EngineOptions(
        precision="deterministic" if settings.deterministic else "fast",
        kv_cache_len=settings.kv_cache_len,
        max_seq_len=settings.max_seq_len,
        max_running=settings.max_running,
        max_waiting=settings.max_waiting,
        threads=settings.threads,
    )


def _admin_key(keys: KeyRing, settings: Settings) -> str | None:
    """Let the operator's key work, or make one when there is no admin key at all."""
    if settings.admin_api_key is not None:
        try:
            keys.import_plaintext(ENVIRONMENT_KEY, settings.admin_api_key.get_secret_value(), "admin")
        except InvalidRequest as exc:
            raise InvalidRequest(f"{ENVIRONMENT_KEY}: {exc.message}") from exc
        return None
    if any(key.role == "admin" and key.revoked_at is None for key in keys.list()):
        return None
    _, text = keys.create("first admin key", "admin")
    return text
