"""Our server in a thread, with a model of one layer: for tests of what it does between its clients and others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from adaptive_engine.registry import ModelDirectory
from adaptive_engine.server.app import create_app
from adaptive_engine.server.assembly import assembled
from adaptive_engine.server.lifespan import Services
from adaptive_engine.services.engines import Engines
from adaptive_engine.settings import ProviderSettings, Settings, VllmSettings
from integration.server import place_model

MODEL = "tiny"


@dataclass
class Gateway:
    """A running server."""

    url: str
    api_key: str
    data_dir: Path
    services: Services

    @property
    def api(self) -> str:
        return f"{self.url}/api/v1"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}


@contextmanager
def running_gateway(
    data_dir: Path, small: ModelDirectory, providers: ProviderSettings, vllm: VllmSettings | None = None
) -> Iterator[Gateway]:
    data_dir.mkdir(exist_ok=True)
    settings = Settings(data_dir=data_dir, providers=providers, vllm=vllm or VllmSettings())
    model = place_model(small.path, data_dir, MODEL)
    engines = Engines(settings.models_dir, settings.engine)
    with assembled(settings, model, engines) as (services, key):
        assert key is not None
        engines.wait()
        server = uvicorn.Server(
            uvicorn.Config(create_app(services), port=0, loop="uvloop", lifespan="off", log_config=None)
        )
        ready = threading.Event()
        startup = server.startup

        async def begin(*arguments: object, **more: object) -> None:
            await startup(*arguments, **more)  # type: ignore[arg-type]
            ready.set()

        server.startup = begin  # type: ignore[method-assign]
        thread = threading.Thread(target=server.run)
        thread.start()
        assert ready.wait(30)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        services.backends.providers.listens_at(url)
        try:
            yield Gateway(url, key, data_dir, services)
        finally:
            server.should_exit = True
            thread.join(30)
