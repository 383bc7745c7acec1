"""External models through the front door of a real server, with an upstream that behaves."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from openai import APIError, OpenAI

from adaptive_engine.registry import ModelDirectory
from adaptive_engine.sdk import Adaptive
from adaptive_engine.settings import ProviderSettings
from faultserver import FaultServer, answer
from integration.gateway import MODEL, Gateway, running_gateway
from integration.upstream import ANSWER, ASKED, KEY, Models, ask, events, row, running_upstream
from vendorservers import AnthropicServer, AzureServer, GeminiServer


def test_an_answer_in_one_piece(http: httpx2.Client, models: Models) -> None:
    prices = {"prompt": 2.0, "completion": 10.0, "cached": 0.5, "currency": "EUR"}
    model = models("priced", prices=prices)
    answer = ask(http, model, temperature=0.5, stop=["x"], seed=4, top_p=0.5, max_completion_tokens=7)
    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert body["choices"][0]["message"]["content"] == ANSWER
    assert body["choices"][0]["model"] == "x-priced"
    assert body["usage"]["total_tokens"] == 16
    assert body["usage"]["prompt_tokens_details"] == {"cached_tokens": 4}
    assert 0 <= float(answer.headers["x-adaptive-overhead-ms"]) < 1000
    stored = row(http, model)
    assert stored["completion"] == ANSWER
    assert stored["state"] == "complete"
    assert (stored["provider"], stored["external_model"]) == ("openai_compatible", "priced")
    assert [set(attempt) for attempt in stored["attempts"]] == [{"model", "ms"}]
    assert stored["cost"] == pytest.approx((7 * 2.0 + 4 * 0.5 + 5 * 10.0) / 1e6)
    assert stored["currency"] == "EUR"
    assert stored["parameters"] == {"temperature": 0.5, "top_p": 0.5, "seed": 4, "max_tokens": 7, "stop": ["x"]}
    assert stored["timings"].keys() == {"queue_ms", "ttft_ms", "total_ms"}


def test_a_stream(http: httpx2.Client, models: Models) -> None:
    model = models("good")
    response = ask(http, model, stream=True, stream_options={"include_usage": True})
    *chunks, usage, done = events(response)
    assert response.headers["x-adaptive-model"] == model
    assert done == "[DONE]"
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 5
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == ANSWER
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert row(http, model)["completion"] == ANSWER


def test_with_the_openai_client(gateway: Gateway, models: Models) -> None:
    with OpenAI(base_url=gateway.api, api_key=gateway.api_key, max_retries=0) as client:
        chunks = client.chat.completions.create(model=models("good"), messages=ASKED, stream=True, n=2)
        texts = {0: "", 1: ""}
        for chunk in chunks:
            texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
        assert texts == {0: ANSWER, 1: ANSWER}
        with pytest.raises(APIError, match="in the middle"):
            for _ in client.chat.completions.create(model=models("hang-up-after-2"), messages=ASKED, stream=True):
                pass


def test_reasoning_is_kept_apart(http: httpx2.Client, models: Models, upstream: FaultServer) -> None:
    model = models("thinks")
    for stream in (False, True):
        upstream.behaviours["thinks"] = [lambda connection: answer(connection, reasoning_content="Let me see.")]
        response = ask(http, model, stream=stream)
        if stream:
            deltas = [chunk["choices"][0]["delta"] for chunk in events(response)[:-1]]
            assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "Let me see."
            assert "".join(delta["content"] for delta in deltas) == ANSWER
        else:
            message = response.json()["choices"][0]["message"]
            assert (message["content"], message["reasoning"]) == (ANSWER, "Let me see.")
        assert row(http, model)["reasoning"] == "Let me see."


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def formatted(**envelope: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, **envelope}}


def test_s65_a_schema_goes_to_the_provider_and_the_answer_is_checked(
    http: httpx2.Client, models: Models, upstream: FaultServer
) -> None:
    model = models("structured")
    upstream.answers["structured"] = '{"n": 7}'
    good = ask(http, model, response_format=formatted(strict=True)).json()
    sent = upstream.requests[-1].body["response_format"]
    assert sent == {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}
    assert good["choices"][0]["schema_valid"] is True
    assert "warnings" not in good
    upstream.answers["structured"] = '{"n": "seven"}'
    bad = ask(http, model, response_format=formatted()).json()
    assert bad["choices"][0]["schema_valid"] is False
    assert bad["warnings"][0]["code"] == "schema_violated"
    assert row(http, model)["warnings"][0]["code"] == "schema_violated"
    upstream.answers["structured"] = "no JSON at all"
    assert ask(http, model, response_format={"type": "json_object"}).json()["choices"][0]["schema_valid"] is False
    assert upstream.requests[-1].body["response_format"] == {"type": "json_object"}


def test_s100_a_model_without_schemas_says_so(http: httpx2.Client, models: Models, upstream: FaultServer) -> None:
    model = models("unstructured", profile={"structured": "none", "seed": False})
    answer = ask(http, model, response_format=formatted(), seed=3, tags=["a"], frequency_penalty=1.0).json()
    sent = upstream.requests[-1].body
    assert "response_format" not in sent
    assert "seed" not in sent
    params = {warning["param"] for warning in answer["warnings"]}
    assert {"response_format", "seed", "tags", "frequency_penalty"} <= params
    assert answer["choices"][0]["schema_valid"] is False
    refused = ask(http, model, response_format=formatted(strict=True))
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unsupported_response_format")


def test_a_schema_is_reduced_and_the_answer_checked_against_all_of_it(
    http: httpx2.Client, models: Models, upstream: FaultServer
) -> None:
    model = models("gpt-4o", provider="openai")
    schema = {**SCHEMA, "properties": {"n": {"type": "string", "minLength": 2}}}
    upstream.answers["gpt-4o"] = '{"n": "7"}'
    answer = ask(http, model, response_format=formatted(schema=schema)).json()
    sent = upstream.requests[-1].body["response_format"]["json_schema"]
    assert sent["schema"] == {**SCHEMA, "properties": {"n": {"type": "string"}}}
    assert sent["strict"] is True
    assert answer["choices"][0]["schema_valid"] is False
    place = "response_format.json_schema.schema#/properties/n/minLength"
    assert [(each["code"], each["param"]) for each in answer["warnings"]] == [
        ("schema_keyword_not_enforced", place),
        ("schema_violated", "choices[0].message.content"),
    ]
    asked = upstream.asked("gpt-4o")
    refused = ask(http, model, response_format=formatted(schema=schema, strict=True))
    assert refused.status_code == 400
    assert (refused.json()["error"]["code"], refused.json()["error"]["param"]) == ("invalid_schema", place)
    assert upstream.asked("gpt-4o") == asked


@pytest.mark.parametrize("provider", ["openai", "openai_compatible"])
def test_what_is_misspelled_is_said_as_for_a_model_that_runs_here(
    http: httpx2.Client, models: Models, upstream: FaultServer, provider: str
) -> None:
    external = models("gpt-4.1", key=f"x-misspelled-{provider}", provider=provider)
    upstream.answers["gpt-4.1"] = '{"n": 7}'
    schema = {**SCHEMA, "properties": {"n": {"type": "integer", "minimun": 1}}}
    messages = [{"role": "user", "content": "What is the answer?", "nmae": "a"}]
    more = {"messages": messages, "temprature": 0.5, "max_tokens": 20, "response_format": formatted(schema=schema)}
    ours, theirs = (ask(http, model, **more).json() for model in (f"default/{MODEL}", external))
    assert theirs["warnings"] == ours["warnings"]
    assert [warning["param"] for warning in theirs["warnings"]] == [
        "response_format.json_schema.schema#/properties/n/minimun",
        "messages[].nmae",
        "temprature",
    ]
    sent = upstream.requests[-1].body
    assert "temprature" not in sent
    taken = sent["response_format"]["json_schema"]["schema"]["properties"]["n"]
    assert ("minimun" in taken) is (provider == "openai_compatible"), "a server may know other keywords"
    # The provider refuses what it does not take; a keyword that says nothing is none of that.
    strict = ask(http, external, response_format=formatted(schema=schema, strict=True))
    assert (strict.status_code, len(strict.json()["warnings"])) == (200, 1)


@pytest.mark.parametrize("strict", [False, True])
def test_nullable_has_no_effect_and_that_is_said(
    http: httpx2.Client, models: Models, upstream: FaultServer, strict: bool
) -> None:
    external = models("nullable")
    upstream.answers["nullable"] = '{"n": 7}'
    schema = {**SCHEMA, "properties": {"n": {"type": "integer", "nullable": True}}}
    for model in (f"default/{MODEL}", external):
        answer = ask(http, model, max_tokens=20, response_format=formatted(schema=schema, strict=strict)).json()
        [warning] = answer["warnings"]
        assert warning["code"] == "not_applied"
        assert warning["param"] == "response_format.json_schema.schema#/properties/n/nullable"
        assert '"null"' in warning["message"]


def test_settings_that_every_request_would_be_refused_for_are_refused(http: httpx2.Client, models: Models) -> None:
    models("o3", provider="openai")
    settings = "/projects/default/models/x-o3"
    schema = {**SCHEMA, "properties": {"n": {"type": "string", "minLength": 2}}}
    wrong = {"response_format": formatted(schema=schema, strict=True)}
    refused = http.patch(settings, json={"settings": wrong})
    place = "settings.response_format.json_schema.schema#/properties/n/minLength"
    assert refused.status_code == 400, refused.text
    assert (refused.json()["error"]["code"], refused.json()["error"]["param"]) == ("invalid_schema", place)
    weak = {"response_format": formatted(schema=schema), "temperature": 0.5, "system_prompt": "Be {{ how }}."}
    weak["max_ttft_ms"] = 1
    saved = http.patch(settings, json={"settings": weak}).json()
    assert {warning["param"] for warning in saved["warnings"]} == {place, "settings.temperature"}


@pytest.mark.parametrize(
    ("provider", "other", "usage"),
    [
        ("anthropic", AnthropicServer, (11, 5)),
        ("google", GeminiServer, (11, 7)),
        ("azure", AzureServer, (11, 5)),
    ],
)
def test_other_vendors(
    http: httpx2.Client, models: Models, provider: str, other: type[FaultServer], usage: tuple[int, int]
) -> None:
    with running_upstream(other()) as vendor:
        model = models(provider, provider=provider, endpoint=vendor.url)
        whole = ask(http, model, seed=1).json()
        assert whole["choices"][0]["message"]["content"] == ANSWER
        assert (whole["usage"]["prompt_tokens"], whole["usage"]["completion_tokens"]) == usage
        *chunks, done = events(ask(http, model, stream=True))
        assert done == "[DONE]"
        assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == ANSWER
        stored = row(http, model)
        assert (stored["provider"], stored["completion"]) == (provider, ANSWER)
        assert ("warnings" in whole) == (provider == "anthropic")


def test_what_a_project_has_used(http: httpx2.Client, models: Models) -> None:
    prices = {"prompt": 1.0, "completion": 2.0, "currency": "CHF"}
    model = models("billed", prices=prices)
    for stream in (False, True, True):
        ask(http, model, stream=stream, n=2 if stream else 1)
    usage = http.get("/projects/default/usage", params={"group_by": "model"}).json()
    billed = next(group for group in usage["data"] if group["group"] == "x-billed")
    assert (billed["interactions"], billed["prompt_tokens"], billed["completion_tokens"]) == (5, 55, 25)
    assert billed["costs"] == {"CHF": pytest.approx(5 * (11 * 1.0 + 5 * 2.0) / 1e6)}
    ask(http, f"default/{MODEL}", max_tokens=3)
    inside = http.get("/projects/default/usage", params={"group_by": "model"}).json()
    assert next(group for group in inside["data"] if group["group"] == MODEL)["costs"] == {}
    total = http.get("/projects/default/usage").json()["total"]
    assert total["interactions"] == sum(group["interactions"] for group in inside["data"])
    exported = http.post("/interactions/export", json={"project": "default", "models": ["x-billed"]}).text.splitlines()
    assert [json.loads(line)["currency"] for line in exported] == ["CHF"] * 5
    refused = http.get("/projects/default/usage", params={"group_by": "user"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "group_by")


def test_with_our_own_client(gateway: Gateway, upstream: FaultServer) -> None:
    with Adaptive(gateway.url, gateway.api_key, default_project="default") as client:
        made = client.models.add_external(
            "Ours", "good", KEY, "openai_compatible", upstream.url, {"top_k": 3}, prices={"prompt": 1, "completion": 1}
        )
        assert (made.key, made.state) == ("ours", "OFFLINE")
        assert made.external is not None
        assert made.external.profile["structured"] == "json_schema"
        client.models.deploy("ours", wait=True, settings={"fallbacks": [MODEL]})
        answer = client.chat.create(model="ours", messages=ASKED)
        assert answer.choices[0].message.content == ANSWER
        changed = client.models.update_external("ours", {"prices": None})
        assert changed.external is not None
        assert changed.external.prices is None
        usage = client.projects.usage(group_by="model")
        assert "ours" in [group.group for group in usage.data]


def test_with_graphql(gateway: Gateway, http: httpx2.Client, upstream: FaultServer) -> None:
    """As the vendor's client registers a model."""
    query = (
        "mutation AddExternalModel($input: AddExternalModelInput!) { addExternalModel(input: $input) "
        "{ key isExternal providerName online computeConfig { tp } } }"
    )
    data = {"apiKey": KEY, "externalModelId": "good", "extraParams": None, "endpoint": upstream.url}
    wanted = {"name": "From GraphQL", "provider": "OPEN_AI", "providerData": {"openAI": data}}
    answer = http.post(f"{gateway.url}/api/graphql", json={"query": query, "variables": {"input": wanted}}).json()
    assert answer["data"]["addExternalModel"] == {
        "key": "from-graphql",
        "isExternal": True,
        "providerName": "OPEN_AI",
        "online": "OFFLINE",
        "computeConfig": None,
    }
    wanted["providerData"] = {}
    refused = http.post(f"{gateway.url}/api/graphql", json={"query": query, "variables": {"input": wanted}})
    assert "needs its data" in refused.text
    assert KEY not in refused.text


def test_an_ab_test_of_an_internal_and_an_external_model_ends_by_itself(
    gateway: Gateway, http: httpx2.Client, models: Models
) -> None:
    models("good")
    http.post("/metrics", json={"project": "default", "key": "liked", "kind": "bool"})
    test = {"project": "default", "key": "in-or-out", "metric": "liked", "models": [MODEL, "x-good"], "min_scores": 20}
    made = http.post("/ab_tests", json=test)
    assert made.status_code == 201, made.text
    for _ in range(400):
        answer = ask(http, "default", max_tokens=2)
        if "x-adaptive-ab-campaign" not in answer.headers:
            break
        choice = answer.json()["choices"][0]
        assert answer.headers["x-adaptive-ab-campaign"] == "in-or-out"
        score = {"metric": "liked", "value": choice["model"] == "x-good", "completion_id": choice["completion_id"]}
        http.post("/feedback", json=score)
    # It may end at any time, and only then stops to choose who answers.
    assert http.get("/ab_tests/in-or-out", params={"project": "default"}).json()["status"] == "DONE"


def test_our_own_server_as_an_upstream(
    http: httpx2.Client, gateway: Gateway, models: Models, small_model_dir: ModelDirectory
) -> None:
    """Of another server: to itself nobody may send anything."""
    with running_gateway(gateway.data_dir / "upstream", small_model_dir, ProviderSettings()) as behind:
        given = {"endpoint": behind.api, "api_key": behind.api_key}
        model = models("default/tiny", key="behind", **given)
        body = {"max_tokens": 5, "temperature": 0, "logprobs": True, "top_logprobs": 2}
        seven = {**SCHEMA, "properties": {"n": {"const": 7}}}
        strict = {"response_format": formatted(strict=True, schema=seven), "max_tokens": 60}
        with httpx2.Client(base_url=behind.api, headers=behind.headers, timeout=30) as direct:
            straight = ask(direct, "default/tiny", **body).json()
            # A first use of a schema may take longer than this gateway waits.
            ask(direct, "default/tiny", **strict)
        answer = ask(http, model, **body)
        assert answer.status_code == 200, answer.text
        through = answer.json()
        for name in ("message", "logprobs", "finish_reason"):
            ours, theirs = through["choices"][0][name], straight["choices"][0][name]
            assert {**ours, "id": 0} == {**theirs, "id": 0} if name == "message" else ours == theirs
        assert through["usage"] == straight["usage"]
        chunks = events(ask(http, model, stream=True, **body))[1:-1]
        text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)
        assert text == straight["choices"][0]["message"]["content"]
        wanted = ask(http, model, **strict)
        assert wanted.status_code == 200, wanted.text
        choice = wanted.json()["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"]) == ('{"n":7}', "stop")
        assert choice["schema_valid"] is True
