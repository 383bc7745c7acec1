"""/api/v1/admin/models/external, and what of it others see."""

from __future__ import annotations

import httpx2
import pytest

from adaptive_engine.server.lifespan import Services


async def test_where_a_model_lives_is_told_to_those_who_may_manage_models(
    services: Services, client: httpx2.AsyncClient
) -> None:
    admin, reader = (
        {"Authorization": f"Bearer {services.keys.create('test', role)[1]}"} for role in ("admin", "read-only")
    )
    model = {"name": "rented", "provider": "fake", "external_model_id": "of-our-account", "extra_params": {"top_k": 5}}
    made = await client.post("/admin/models/external", json=model, headers=admin)
    assert made.json()["external"]["external_model_id"] == "of-our-account"
    await client.post("/projects/default/models", json={"model": "rented"}, headers=admin)
    place = "/projects/default/models/rented"
    assert (await client.get(place, headers=admin)).json()["external"]["extra_params"] == {"top_k": 5}
    shown = await client.get(place, headers=reader)
    assert (shown.status_code, shown.json()["external"]) == (200, None)
    listed = await client.get("/projects/default/models", headers=reader)
    assert listed.status_code == 200
    assert "of-our-account" not in shown.text + listed.text


@pytest.mark.parametrize("endpoint", ["", "ftp://x", "x"])
async def test_who_gives_another_address_is_told_what_an_endpoint_is(
    services: Services, client: httpx2.AsyncClient, endpoint: str
) -> None:
    headers = {"Authorization": f"Bearer {services.keys.create('test', 'admin')[1]}"}
    model = {"name": "far", "provider": "fake", "external_model_id": "a", "endpoint": endpoint}
    refused = await client.post("/admin/models/external", json=model, headers=headers)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "endpoint")
    assert "begins with https:// or http://" in refused.json()["error"]["message"]
