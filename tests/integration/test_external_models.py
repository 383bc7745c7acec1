"""Registering models of providers, and what nobody gets to see."""

from __future__ import annotations

import base64
from typing import Any

import httpx2
import pytest

from faultserver import FaultServer
from image_files import asking, file, part
from integration.gateway import MODEL, Gateway
from integration.upstream import KEY, Models, ask


def test_the_key_is_nowhere(http: httpx2.Client, models: Models, gateway: Gateway) -> None:
    """Not in answers, exports, logs or files, in no spelling."""
    models("good")
    graphql = {"query": "{ models(filter: {}) { key name providerName isExternal } }"}
    shown = [
        http.get("/admin/models").text,
        http.get("/admin/models/x-good").text,
        http.get("/projects/default/models").text,
        http.get("/models").text,
        http.post(f"{gateway.url}/api/graphql", json=graphql).text,
        http.post("/interactions/export", json={"project": "default"}).text,
        http.post("/admin/models/external", json={"api_key": KEY, "name": 7}).text,
    ]
    files = [path.read_bytes() for path in gateway.data_dir.rglob("*") if path.is_file() and path.stat().st_size < 1e7]
    for secret in (KEY.encode(), b"CANARY", base64.b64encode(KEY.encode())[:30]):
        assert not any(secret in text.encode() for text in shown)
        assert not any(secret in content for content in files)
    assert http.get("/admin/models/x-good").json()["external"]["has_api_key"] is True


def test_a_registration_can_be_changed(http: httpx2.Client, models: Models, upstream: FaultServer) -> None:
    model = models("changing")
    ask(http, model)
    assert upstream.requests[-1].headers["authorization"] == f"Bearer {KEY}"
    change = {"api_key": "another-key", "extra_params": {"top_k": 5}, "external_model_id": "changed"}
    changed = http.patch("/admin/models/x-changing/external", json=change).json()
    assert changed["external"]["extra_params"] == {"top_k": 5}
    ask(http, model)
    sent = upstream.requests[-1]
    assert sent.headers["authorization"] == "Bearer another-key"
    assert (sent.model, sent.body["top_k"]) == ("changed", 5)
    http.patch("/admin/models/x-changing/external", json={"api_key": None})
    ask(http, model)
    assert "authorization" not in upstream.requests[-1].headers
    inside = http.patch(f"/admin/models/{MODEL}/external", json={"prices": None})
    assert (inside.status_code, inside.json()["error"]["code"]) == (409, "model_not_external")


def test_a_profile_that_changes_says_whether_it_sees(
    http: httpx2.Client, models: Models, upstream: FaultServer
) -> None:
    model = models("blind")
    picture = part(file(kind="GIF"), "image/gif")
    picture["image_url"]["detail"] = "low"
    asked = {"model": model, "messages": asking(picture)}
    refused = http.post("/chat/completions", json=asked)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "modality_unsupported")
    for profile, status in (({"images": True}, 200), (None, 400)):
        changed = http.patch("/admin/models/x-blind/external", json={"profile": profile}).json()
        assert ("Multimodal" in changed["tags"]) == (status == 200)
        answer = http.post("/chat/completions", json=asked)
        assert (answer.status_code, "warnings" in answer.json()) == (status, False)
    sent = upstream.requests[-1].body["messages"][0]["content"][1]["image_url"]
    assert sent["url"].startswith("data:image/png;base64,")
    assert sent["detail"] == "low"
    named = {"profile": {"images": True}, "capabilities": ["Reasoning"]}
    changed = http.patch("/admin/models/x-blind/external", json=named).json()
    assert changed["capabilities"] == ["TextGeneration", "Reasoning"]


def test_what_is_sent_with_each_request_is_shown_to_those_who_register_models(
    http: httpx2.Client, models: Models, gateway: Gateway
) -> None:
    """It may have keys in it, such as those of Azure's data sources."""
    models("secretive", extra_params={"data_sources": [{"key": "HUSH"}]})
    _, reader = gateway.services.keys.create("reader", "read-only")
    graphql = {"query": "{ models(filter: {}) { key providerName } }"}
    for key, sees in ((reader, False), (gateway.api_key, True)):
        headers = {"Authorization": f"Bearer {key}"}
        shown = [http.get("/projects/default/models", headers=headers), http.get("/models", headers=headers)]
        shown.append(http.post(f"{gateway.url}/api/graphql", json=graphql, headers=headers))
        assert all("x-secretive" in answer.text for answer in shown)
        assert ("HUSH" in "".join(answer.text for answer in shown)) == sees


def test_a_key_goes_to_no_other_host(http: httpx2.Client, models: Models, upstream: FaultServer) -> None:
    """Who may change a model might read the key there."""
    model = models("faithful")
    place = "/admin/models/x-faithful/external"
    elsewhere = upstream.url.replace("127.0.0.1", "localhost")
    refused = http.patch(place, json={"endpoint": elsewhere})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "api_key")
    ask(http, model)
    assert upstream.requests[-1].headers["host"].startswith("127.0.0.1")
    assert http.patch(place, json={"endpoint": f"{upstream.url}/below"}).status_code == 200
    for key, sent in (("another-key", "Bearer another-key"), (None, None)):
        assert http.patch(place, json={"endpoint": elsewhere, "api_key": key}).status_code == 200
        ask(http, model)
        assert upstream.requests[-1].headers["host"].startswith("localhost")
        assert upstream.requests[-1].headers.get("authorization") == sent
    assert http.patch(place, json={"endpoint": upstream.url}).status_code == 200


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"provider": "acme"}, "provider"),
        ({"key": "openai/gpt"}, "key"),
        ({"endpoint": "ftp://x/"}, "endpoint"),
        ({"endpoint": "http://user:pass@127.0.0.1/v1"}, "endpoint"),
        ({"endpoint": "http://169.254.169.254/latest"}, "endpoint"),
        ({"endpoint": "http://[::ffff:169.254.169.254]/"}, "endpoint"),
        ({"endpoint": "http://[fe80::1]/"}, "endpoint"),
        ({"endpoint": None}, "endpoint"),
        ({"provider": "openai", "endpoint": None, "api_key": None}, "api_key"),
        ({"api_key": "two\r\nlines"}, "api_key"),
        ({"profile": {"colour": 1}}, "profile.colour"),
        ({"profile": {"seed": "yes"}}, "profile.seed"),
        ({"capabilities": ["Telepathy"]}, "capabilities"),
        ({"prices": {"prompt": -1, "completion": 1}}, "prices.prompt"),
        ({"context_length": 0}, "context_length"),
    ],
)
def test_registrations_that_are_wrong(http: httpx2.Client, given: dict[str, Any], param: str) -> None:
    body = {"name": "wrong", "provider": "openai_compatible", "external_model_id": "m", "api_key": KEY}
    body |= {"endpoint": "http://127.0.0.1:9/v1", **given}
    refused = http.post("/admin/models/external", json={name: value for name, value in body.items() if value})
    if "context_length" in given:
        refused = http.post("/admin/models/external", json=body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
    assert KEY not in refused.text


def test_its_own_port_is_refused(http: httpx2.Client, gateway: Gateway) -> None:
    body = {"name": "self", "provider": "openai_compatible", "external_model_id": "m", "endpoint": gateway.api}
    refused = http.post("/admin/models/external", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "endpoint_refused")


def test_like_any_other_model(http: httpx2.Client, models: Models) -> None:
    model = models("ordinary")
    shown = http.get("/admin/models/x-ordinary").json()
    assert (shown["state"], shown["provider"], shown["context_length"]) == ("ONLINE", "openai_compatible", None)
    card = http.get(f"/models/{model}").json()
    assert (card["online"], card["owned_by"]) == (True, "openai_compatible")
    taken = http.post(
        "/admin/models/external", json={"name": "x-ordinary", "provider": "fake", "external_model_id": "e"}
    )
    assert taken.status_code == 409
    assert http.post("/admin/models/x-ordinary/terminate", json={}).json()["state"] == "OFFLINE"
    offline = ask(http, model)
    assert (offline.status_code, offline.json()["error"]["code"]) == (503, "model_offline")
    assert http.delete("/projects/default/models/x-ordinary").status_code == 200
    assert http.get(f"{http.base_url}".replace("/api/v1/", "") + "/readyz").json()["status"] == "ok"
