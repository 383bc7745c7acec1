from __future__ import annotations

import json

import pytest
from pydantic import BaseModel

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.server.bodies import parse
from adaptive_engine.wire.feedback import MetricCreate
from adaptive_engine.wire.teams import TeamCreate
from adaptive_engine.wire.users import UserCreate


@pytest.mark.parametrize(
    ("kind", "body", "param", "words"),
    [
        (MetricCreate, {"project": "default", "key": "a//b"}, "key", "visible text"),
        (TeamCreate, {"key": "a b"}, "key", "letters, digits"),
        (UserCreate, {"name": "Ada", "email": "ada"}, "email", "no e-mail address"),
    ],
)
def test_nobody_is_told_a_regular_expression(
    kind: type[BaseModel], body: dict[str, str], param: str, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words) as refusal:
        parse(kind, json.dumps(body).encode())
    assert refusal.value.param == param
    assert "pattern" not in refusal.value.message
