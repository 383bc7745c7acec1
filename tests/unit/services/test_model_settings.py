from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.grammar.schemas import Schemas
from adaptive_engine.services import model_settings
from adaptive_engine.services.structured import StructuredOutput
from adaptive_engine.types import ChatMessage, Deployment, Model, Project, uuid7
from adaptive_engine.wire.chat import ChatRequest
from adaptive_engine.wire.models import ModelSettings

PROJECT = Project(uuid7(), "support", "Support", "", 0)
MODEL = Model(uuid7(), "tiny", "Tiny", "internal", ("TextGeneration",), 256, 0)
ENVELOPE = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "integer"}}}


@pytest.fixture
async def structured() -> AsyncIterator[StructuredOutput]:
    schemas = Schemas()
    yield StructuredOutput(schemas)
    schemas.close()


def deployed(**settings: Any) -> Deployment:
    return Deployment(uuid7(), PROJECT, MODEL, True, True, 0, settings)


def request(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "support", "messages": [{"role": "user", "content": "hi"}], **fields})


def test_settings_fill_what_a_request_leaves_open() -> None:
    everything = deployed(
        temperature=0.1, top_p=0.5, max_tokens=7, stop=["x"], seed=3, max_ttft_ms=500, response_format=ENVELOPE
    )
    applied = model_settings.apply(request(), everything)
    found = applied.request
    assert (found.temperature, found.top_p, found.max_tokens, found.stop, found.seed) == (0.1, 0.5, 7, ["x"], 3)
    assert found.max_ttft_ms == 500
    assert found.response_format is not None
    assert found.response_format.json_schema is not None
    assert found.response_format.json_schema.schema_ == {"type": "integer"}
    assert (applied.system_prompt, applied.notices) == (None, [])


def test_a_request_overrides_each_setting() -> None:
    everything = deployed(temperature=0.1, max_tokens=7, stop="x", response_format=ENVELOPE)
    given = request(temperature=0, max_completion_tokens=9, stop=[], response_format={"type": "text"})
    found = model_settings.apply(given, everything).request
    assert found == given
    # Null is the same as not given, here as everywhere.
    assert model_settings.apply(request(temperature=None), everything).request.temperature == 0.1


def test_the_request_itself_is_not_changed() -> None:
    given = request()
    model_settings.apply(given, deployed(temperature=0.1))
    assert given.temperature is None


def test_the_system_prompt_comes_first_and_is_joined_to_the_conversations_own() -> None:
    prompt = deployed(system_prompt="You are {{ who }}.")
    applied = model_settings.apply(request(system_prompt_args={"who": "Ada", "x": 1}), prompt)
    assert applied.system_prompt == "You are Ada."
    assert [notice.param for notice in applied.notices] == ["system_prompt_args.x"]
    user, own = ChatMessage("user", "hi"), ChatMessage("system", "Be brief.", "app")
    first = ChatMessage("system", "You are Ada.")
    assert model_settings.with_system_prompt([user], "You are Ada.") == [first, user]
    joined = ChatMessage("system", "You are Ada.\n\nBe brief.", "app")
    assert model_settings.with_system_prompt([own, user], "You are Ada.") == [joined, user]
    assert model_settings.with_system_prompt([own, user], None) == [own, user]


def test_arguments_without_a_system_prompt_are_said() -> None:
    for settings in ({}, {"temperature": 1.0}):
        applied = model_settings.apply(request(system_prompt_args={"a": 1}), deployed(**settings))
        assert [notice.code for notice in applied.notices] == ["not_applied"]


@pytest.mark.parametrize(
    ("settings", "param"),
    [
        ({"system_prompt": "{{ a.b }}"}, "settings.system_prompt"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"schema": {"properties": {"a": {"type": "x"}}}},
                }
            },
            "settings.response_format.json_schema.schema#/properties/a/type",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"enum": []}}}},
            "settings.response_format.json_schema.schema#/enum",
        ),
    ],
)
async def test_what_requests_would_be_refused_for_is_refused(
    structured: StructuredOutput, settings: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await model_settings.check(ModelSettings.model_validate(settings), PROJECT, MODEL, structured, None)
    assert caught.value.param == param


async def test_what_will_have_no_effect_is_said(structured: StructuredOutput) -> None:
    schema = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    envelope = {"type": "json_schema", "json_schema": {"schema": schema}}
    settings = ModelSettings.model_validate({"response_format": envelope, "stop": "x"})
    notices = await model_settings.check(settings, PROJECT, MODEL, structured, None)
    assert [notice.param for notice in notices] == [
        "settings.response_format.json_schema.schema#/uniqueItems",
        "settings.stop",
    ]
    assert await model_settings.check(ModelSettings(temperature=1), PROJECT, MODEL, structured, None) == ()


async def test_a_schema_that_its_type_does_not_read_is_said(structured: StructuredOutput) -> None:
    settings = ModelSettings.model_validate({"response_format": {**ENVELOPE, "type": "json_object"}})
    notices = await model_settings.check(settings, PROJECT, MODEL, structured, None)
    assert [notice.param for notice in notices] == ["settings.response_format.json_schema"]
