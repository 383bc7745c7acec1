"""GET /metrics: who may read it, and that it tells what happened."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from adaptive_engine.server.app import create_app
from adaptive_engine.server.lifespan import Services
from adaptive_engine.telemetry.catalog import FAMILIES
from adaptive_engine.telemetry.meter import MAX_SERIES, Meter

METRICS = "http://server/metrics"
ASKED = {"model": "default", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4, "ignore_eos": True}

Labels = frozenset[tuple[str, str]]


@pytest.fixture(scope="module")
def monitor(services: Services) -> str:
    return services.keys.create("prometheus", "monitor")[1]


@pytest.fixture(scope="module")
def application(services: Services) -> str:
    services.engines.wait()
    return services.keys.create("application", "inference")[1]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def scrape(client: httpx2.AsyncClient, key: str) -> dict[str, dict[Labels, float]]:
    """Each sample by its labels."""
    answer = await client.get(METRICS, headers=bearer(key))
    assert answer.status_code == 200
    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def value(samples: dict[str, dict[Labels, float]], name: str, **labels: str) -> float:
    return samples.get(name, {}).get(frozenset(labels.items()), 0)


async def test_a_key_must_be_permitted_to_read_it(client: httpx2.AsyncClient, monitor: str, application: str) -> None:
    assert (await client.get(METRICS)).status_code == 401
    refused = await client.get(METRICS, headers=bearer(application))
    assert refused.status_code == 403
    assert "--role monitor" in refused.json()["error"]["message"]
    assert (await client.get(METRICS, headers=bearer(monitor))).status_code == 200
    assert (await client.get("projects", headers=bearer(monitor))).json()["data"] == []


async def test_it_can_be_opened(services: Services) -> None:
    telemetry = services.settings.telemetry.model_copy(update={"metrics": "open"})
    settings = services.settings.model_copy(update={"telemetry": telemetry})
    app = create_app(dataclasses.replace(services, settings=settings))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app)) as client:
        assert (await client.get(METRICS)).status_code == 200
        assert (await client.get("http://server/api/v1/projects")).status_code == 401


async def test_what_it_says_is_what_happened(client: httpx2.AsyncClient, monitor: str, application: str) -> None:
    before = await scrape(client, monitor)
    answer = await client.post("chat/completions", json=ASKED, headers=bearer(application))
    usage = answer.json()["usage"]
    await client.post("chat/completions", json={**ASKED, "model": "nobody"}, headers=bearer(application))
    after = await scrape(client, monitor)

    def more(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    assert more("adaptive_prompt_tokens_total", model_name="tiny") == usage["prompt_tokens"]
    assert more("adaptive_generation_tokens_total", model_name="tiny") == usage["completion_tokens"] == 4
    assert more("adaptive_request_success_total", model_name="tiny", finished_reason="length") == 1
    assert more("adaptive_time_to_first_token_seconds_count", model_name="tiny") == 1
    assert more("adaptive_inter_token_latency_seconds_count", model_name="tiny") == 3
    assert more("adaptive_interactions_total", state="length") == 1
    assert more("adaptive_store_commit_seconds_count") == more("adaptive_store_commits_total") >= 1
    assert more("adaptive_rejected_total", reason="project_not_found") == 1
    route = {"route": "/api/v1/chat/completions", "method": "POST"}
    assert more("adaptive_http_requests_total", **route, status="200") == 1
    assert more("adaptive_http_requests_total", **route, status="404") == 1
    assert value(after, "adaptive_model_online", model_name="tiny") == 1
    assert value(after, "adaptive_num_requests_running", model_name="tiny") == 0
    assert value(after, "adaptive_http_requests_in_progress") == 1, "this one"
    parts = [
        more(f"adaptive_request_{part}_time_seconds_sum", model_name="tiny") for part in ("queue", "prefill", "decode")
    ]
    whole = more("adaptive_e2e_request_latency_seconds_sum", model_name="tiny")
    assert 0 < sum(parts) <= whole


async def test_nothing_that_a_client_chose_is_a_label(
    client: httpx2.AsyncClient, monitor: str, application: str
) -> None:
    body = {**ASKED, "model": "default/canary-model", "user": "canary-user", "labels": {"canary": "canary-label"}}
    headers = {**bearer(application), "x-request-id": "canary-id"}
    await client.post("chat/completions", json=body, headers=headers)
    await client.post("chat/completions", json={**body, "model": "default"}, headers=headers)
    await client.get("canary/path", headers=headers)
    await client.get("interactions/canary-id", headers=headers)
    await client.request("CANARY", "projects", headers=headers)
    text = (await client.get(METRICS, headers=bearer(monitor))).text
    assert "canary" not in text.lower()
    assert 'route="/api/v1/interactions/{completion_id}"' in text


async def test_both_formats_name_every_family(client: httpx2.AsyncClient, monitor: str) -> None:
    plain = await client.get(METRICS, headers=bearer(monitor))
    assert plain.headers["content-type"].startswith("text/plain")
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    modern = await client.get(METRICS, headers=bearer(monitor) | accept)
    assert modern.headers["content-type"].startswith("application/openmetrics-text")
    assert modern.text.endswith("# EOF\n")
    for family in FAMILIES:
        assert f"# TYPE {family.full_name} {family.kind}" in plain.text
        assert family.help.endswith("."), family.name
    assert "process_resident_memory_bytes" in plain.text


def test_families_have_a_limit() -> None:
    meter = Meter()
    for number in range(2 * MAX_SERIES):
        meter.rejected(f"reason-{number}")
    counted: dict[Any, Any] = {labels: count for name, labels, count in meter.readings() if name == "rejected"}
    assert len(counted) == MAX_SERIES + 1
    assert counted[("other",)] == MAX_SERIES


def test_names_are_those_of_the_field() -> None:
    """The stems that vLLM's dashboards and alerts know."""
    stems = {
        *("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "prefix_cache_queries_total"),
        *("prefix_cache_hits_total", "prompt_tokens_total", "generation_tokens_total", "request_success_total"),
        *("time_to_first_token_seconds", "inter_token_latency_seconds", "e2e_request_latency_seconds"),
        *("request_queue_time_seconds", "request_prefill_time_seconds", "request_decode_time_seconds"),
        *("num_preemptions_total", "spec_decode_num_draft_tokens_total", "spec_decode_num_accepted_tokens_total"),
    }
    ours = {family.full_name.removeprefix("adaptive_") for family in FAMILIES}
    assert stems <= ours
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in ours)
