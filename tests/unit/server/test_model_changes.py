"""Changes to what is deployed that come from two servers of one store at once."""

from __future__ import annotations

import pytest

from adaptive_engine.server.lifespan import Services
from adaptive_engine.services import models


async def test_one_that_another_server_deploys_while_it_is_unloaded_comes_back(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = services.backends.engines
    await services.lifecycle.until_online("tiny")
    unload = engines.unload

    def unload_late(model_key: str) -> object:
        with services.database.write() as connection:
            models.update(connection, models.find_deployment(connection, "default", model_key), online=True)
        return unload(model_key)

    monkeypatch.setattr(engines, "unload", unload_late)
    await services.lifecycle.terminate("tiny")
    await services.lifecycle.until_online("tiny")
    monkeypatch.undo()
    await services.lifecycle.terminate("tiny")
    assert engines.status("tiny").state == "OFFLINE"
