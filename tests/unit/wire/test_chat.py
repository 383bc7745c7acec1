from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import to_json

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.server.bodies import parse
from adaptive_engine.wire.chat import ChatRequest
from adaptive_engine.wire.feedback import ComparisonCreate
from adaptive_engine.wire.graders import GraderUpdate
from adaptive_engine.wire.interactions import InteractionCreate

ASKED = [{"role": "user", "content": "Hi"}]
CHAT = {"model": "default", "messages": ASKED}
LOGGED = {"project": "default", "messages": ASKED, "completion": "Hello."}
SIDE = {"text": "Hello.", "model": "a"}
COMPARED = {"metric": "m", "preferred_completion": SIDE, "other_completion": SIDE}


def labels(start: int, end: int) -> dict[str, str]:
    return {f"l{number}": "x" for number in range(start, end)}


@pytest.mark.parametrize(("kind", "body"), [(ChatRequest, CHAT), (InteractionCreate, LOGGED)])
def test_labels_and_metadata_together_have_the_limit_of_labels(kind: type[BaseModel], body: dict[str, Any]) -> None:
    parse(kind, to_json({**body, "labels": labels(0, 64), "metadata": labels(0, 64)}))
    with pytest.raises(InvalidRequest, match="65 labels") as refusal:
        parse(kind, to_json({**body, "labels": labels(0, 64), "metadata": labels(64, 65)}))
    assert refusal.value.param == "metadata"


@pytest.mark.parametrize(
    ("kind", "body", "param"),
    [
        (ChatRequest, {**CHAT, "top_logprobs": 2}, "top_logprobs"),
        (InteractionCreate, {**LOGGED, "model": "a", "model_service": "a"}, "model"),
        (InteractionCreate, {**LOGGED, "labels": {"a": "1", "b": "x"}, "metadata": {"b": "y"}}, "metadata"),
        (ComparisonCreate, {**COMPARED, "messages": ASKED, "prompt": "Hi"}, "prompt"),
        (GraderUpdate, {"judge_model": None}, "judge_model"),
        (GraderUpdate, {"template": None, "criteria": None}, "criteria"),
    ],
)
def test_what_does_not_go_with_another_field_is_named(kind: type[BaseModel], body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse(kind, to_json(body))
    assert refusal.value.param == param
    assert refusal.value.message.startswith(f"{param}: ")
    parse(kind, to_json({name: value for name, value in body.items() if name != param}))
