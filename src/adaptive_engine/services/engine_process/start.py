"""An engine process for one server alone."""

from __future__ import annotations

from pathlib import Path

from adaptive_engine.services.engine_process.client import EngineClient
from adaptive_engine.services.engine_process.supervisor import EngineSupervisor
from adaptive_engine.settings import EngineSettings, LogFormat, LogLevel


def start_engine_process(
    models_dir: Path, settings: EngineSettings, log_format: LogFormat, log_level: LogLevel
) -> EngineClient:
    """The models of a server that has an engine process for itself; closing them ends it."""

    def attach() -> None:
        sock = supervisor.connect()
        if sock is not None:
            client.attach(sock)

    client = EngineClient(models_dir, settings, lambda: supervisor.close(), attach)
    supervisor = EngineSupervisor(models_dir, settings, log_format, log_level, attach, client.ended)
    supervisor.start()
    return client
