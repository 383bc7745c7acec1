"""POST /api/v1/chat/completions, as far as it needs no connection."""

from __future__ import annotations

import httpx2
import pytest

from adaptive_engine.server.lifespan import Services


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("key", ["one of ours", "modèle-模型"])
async def test_any_key_of_a_model_fits_the_headers(
    services: Services, client: httpx2.AsyncClient, key: str, stream: bool
) -> None:
    client.headers["Authorization"] = f"Bearer {services.keys.create('test', 'admin')[1]}"
    key = f"{key} {stream}"
    model = {"name": "Echo", "key": key, "provider": "fake", "external_model_id": "e"}
    made = await client.post("/admin/models/external", json=model)
    assert made.status_code == 201, made.text
    await client.post("/projects/default/models", json={"model": key})
    body = {"model": f"default/{key}", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    answer = await client.post("/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    named = key if key.isascii() else made.json()["id"]
    assert answer.headers["x-adaptive-model"] == f"default/{named}"
