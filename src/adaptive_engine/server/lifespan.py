"""From a data directory to a running server and back.

A model takes seconds to compile, mostly outside Python. So this file starts that first and imports the rest of the
server, which takes a second by itself, meanwhile.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import filelock

from adaptive_engine.errors import Conflict
from adaptive_engine.registry import Progress, ensure_default_model
from adaptive_engine.settings import Settings

P = ParamSpec("P")
Result = TypeVar("Result")

if TYPE_CHECKING:
    from adaptive_engine.services.backends import Backends
    from adaptive_engine.services.completions import Completions
    from adaptive_engine.services.external_models import ExternalModels
    from adaptive_engine.services.grading import Grading
    from adaptive_engine.services.idempotency import Idempotency
    from adaptive_engine.services.images import Images
    from adaptive_engine.services.imports import Imports
    from adaptive_engine.services.keys import KeyRing
    from adaptive_engine.services.lifecycle import ModelLifecycle
    from adaptive_engine.services.model_engines import ModelEngines
    from adaptive_engine.services.projects import Projects
    from adaptive_engine.services.readiness import Readiness
    from adaptive_engine.services.readings import Readings
    from adaptive_engine.services.referee import Referee
    from adaptive_engine.services.routing import Routing
    from adaptive_engine.services.siblings import Siblings
    from adaptive_engine.services.sign_in import SignIns
    from adaptive_engine.services.structured import StructuredOutput
    from adaptive_engine.store import Connection, Database, Recorder
    from adaptive_engine.telemetry.meter import Meter
    from adaptive_engine.telemetry.tracing import Tracing
    from adaptive_engine.types import Principal

    _Query = Callable[Concatenate[Connection, P], Result]
    _Change = Callable[Concatenate[Connection, Principal, P], Result]


_NOTE = "server.pid"


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a server is made of."""

    settings: Settings
    database: Database
    recorder: Recorder
    keys: KeyRing
    sign_ins: SignIns
    routing: Routing
    backends: Backends
    lifecycle: ModelLifecycle
    external_models: ExternalModels
    imports: Imports
    projects: Projects
    images: Images
    structured: StructuredOutput
    completions: Completions
    referee: Referee
    grading: Grading
    readiness: Readiness
    idempotency: Idempotency
    meter: Meter
    readings: Readings
    siblings: Siblings
    tracing: Tracing | None

    @property
    def engines(self) -> ModelEngines[Any]:
        return self.backends.engines

    async def read(self, query: _Query[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> Result:
        """What `query` finds, given a transaction and the arguments, in a thread."""
        return await asyncio.to_thread(_within, self.database.read, query, *args, **kwargs)

    async def write(self, change: _Query[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> Result:
        return await asyncio.to_thread(_within, self.database.write, change, *args, **kwargs)

    async def change_access(
        self, principal: Principal, change: _Change[P, Result], /, *args: P.args, **kwargs: P.kwargs
    ) -> Result:
        """A write to what people and keys may do, which counts at once. `change` is given a transaction, and the
        caller as of then: two who take each other's rights do not both succeed.
        """

        def write() -> Result:
            with self.keys.changing_as(principal) as (connection, now):
                return change(connection, now, *args, **kwargs)

        return await asyncio.to_thread(write)

    async def change_routing(self, change: _Query[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> Result:
        """A write to what requests address, which counts at once."""
        result = await self.write(change, *args, **kwargs)
        await asyncio.to_thread(self.routing.refresh)
        return result


def _within(
    transaction: Callable[[], AbstractContextManager[Connection]],
    query: _Query[P, Result],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Result:
    with transaction() as connection:
        return query(connection, *args, **kwargs)


@contextmanager
def only_server(data_dir: Path) -> Iterator[None]:
    """Hold the data directory for this process. The lock is the kernel's: a killed server leaves none behind.

    Raises Conflict naming the process that holds it.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    note = data_dir / _NOTE
    lock = filelock.FileLock(data_dir / "server.lock", mode=0o600)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as exc:
        pid = note.read_text().split()[0] if note.exists() else "unknown"
        raise Conflict(
            f"Another server (pid {pid}) uses the data directory {data_dir}. Stop it, or choose another --data-dir."
        ) from exc
    try:
        note.write_text(f"{os.getpid()}\n")
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def announce(data_dir: Path, url: str) -> None:
    """Let commands on this machine find the server that holds `data_dir`."""
    (data_dir / _NOTE).write_text(f"{os.getpid()}\n{url}\n")


def running_server(data_dir: Path) -> str | None:
    """The URL of the server that holds `data_dir`, None when there is none or it is not ready."""
    note = data_dir / _NOTE
    lines = note.read_text().splitlines() if note.exists() else []
    if len(lines) < 2:
        return None
    try:
        # A server that was killed leaves its note behind, but not the lock.
        with filelock.FileLock(data_dir / "server.lock", timeout=0, mode=0o600):
            return None
    except filelock.Timeout:
        return lines[1]


@contextmanager
def running(settings: Settings, progress: Progress) -> Iterator[tuple[Services, str | None]]:
    """Everything a server needs, and the text of a new admin key when one was made.

    The models may still be loading: `services.engines.wait()` before the first request. Closes it all in the opposite
    order. The data directory must be held with `only_server`.
    """
    default = ensure_default_model(settings.models_dir, progress)
    engines = _engines(settings)
    try:
        engines.read_ahead(default.key)
        from adaptive_engine.server import assembly

        with assembly.assembled(settings, default, engines) as assembled:
            yield assembled
    finally:
        engines.close()


def _engines(settings: Settings) -> ModelEngines[Any]:
    """What will run the internal models."""
    if settings.ray.address is not None:
        from adaptive_engine.deploy.ray.engines import RayEngines

        return RayEngines(settings.models_dir, settings.engine, settings.ray.address)
    if settings.engine.own_process:
        from adaptive_engine.services.engine_process.start import start_engine_process

        return start_engine_process(settings.models_dir, settings.engine, settings.log_format, settings.log_level)
    from adaptive_engine.services.engines import Engines

    return Engines(settings.models_dir, settings.engine)
