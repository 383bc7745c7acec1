"""What of a request goes to a provider, as `external.notices` makes it ready without asking."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adaptive_engine.grammar.schemas import Schemas
from adaptive_engine.providers import base
from adaptive_engine.services import external
from adaptive_engine.services.structured import StructuredOutput
from adaptive_engine.types import Deployment, ExternalModel, Model, Project, uuid7
from adaptive_engine.wire.chat import ChatRequest


@pytest.fixture
async def structured() -> AsyncIterator[StructuredOutput]:
    schemas = Schemas()
    yield StructuredOutput(schemas)
    schemas.close()


def deployed(project: str) -> Deployment:
    model = Model(uuid7(), "rented", "", "openai", (), 0, 0, external=ExternalModel("gpt-5"))
    return Deployment(uuid7(), Project(uuid7(), project, "", "", 0), model, True, True, 0)


async def test_a_schema_is_reduced_once_for_each_project(
    structured: StructuredOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    reduced: list[Any] = []

    def counted(schema: Any, vendor: str, reduce: Any = base.reduce) -> Any:
        reduced.append(schema)
        return reduce(schema, vendor)

    monkeypatch.setattr(base, "reduce", counted)

    async def ask(deployment: Deployment, name: str, **schema: Any) -> list[str]:
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], **schema}
        wanted = {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}
        body = {"model": "m", "messages": [{"role": "user", "content": "?"}], "n": 3, "response_format": wanted}
        request = ChatRequest.model_validate(body)
        return [notice.message for notice in await external.notices(request, deployment, structured)]

    one, other = deployed("one"), deployed("other")
    told = await ask(one, "a", minProperties=1)
    assert len(told) == 1
    assert "minProperties" in told[0]
    assert await ask(one, "b", minProperties=1) == told
    assert len(reduced) == 1, "neither for each choice nor for each request"
    assert await ask(other, "a", minProperties=1) == told
    assert await ask(one, "a") == []
    assert len(reduced) == 3
