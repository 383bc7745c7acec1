from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import to_json

from adaptive_engine.wire.ab_tests import AbTestCreate
from adaptive_engine.wire.external_models import ExternalModelCreate
from adaptive_engine.wire.feedback import ComparisonCreate, MetricCreate
from adaptive_engine.wire.graders import GraderCreate
from adaptive_engine.wire.interactions import InProject, InteractionCreate, Key, NewKey
from adaptive_engine.wire.models import ModelDeploy

KEYS: TypeAdapter[str] = TypeAdapter(Key)
NEW_KEYS: TypeAdapter[str] = TypeAdapter(NewKey)


@pytest.mark.parametrize("key", ["a", "a b", "a/b", "a/b /c", "Zufriedenheit (1\u20135)", "k" * 128])
def test_a_key_is_one_line_of_visible_text(key: str) -> None:
    assert KEYS.validate_python(key) == key


@pytest.mark.parametrize("key", ["", " a", "a ", "a\n", "a\tb", "\x01", "/", "/a", "a/", "a//b", "k" * 129])
def test_a_key_that_no_path_could_spell_is_refused(key: str) -> None:
    with pytest.raises(ValidationError):
        KEYS.validate_python(key)


@pytest.mark.parametrize("key", ["...", ".a", "a..", "a/.b", "a/..."])
def test_a_new_key_may_have_dots(key: str) -> None:
    assert NEW_KEYS.validate_python(key) == key


@pytest.mark.parametrize("key", [".", "..", "a/..", "../a", "a/./b"])
def test_a_new_key_that_clients_leave_out_of_paths_is_refused(key: str) -> None:
    with pytest.raises(ValidationError, match=r"cannot be '\.' or '\.\.'"):
        NEW_KEYS.validate_python(key)
    assert KEYS.validate_python(key) == key, "older rows are still named"


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (GraderCreate, "key"),
        (GraderCreate, "metric"),
        (MetricCreate, "key"),
        (AbTestCreate, "key"),
        (ExternalModelCreate, "key"),
    ],
)
def test_what_is_made_has_a_key_that_paths_can_spell(kind: type[BaseModel], field: str) -> None:
    with pytest.raises(ValidationError, match=rf"\n{field}\n.*cannot be '\.' or '\.\.'"):
        kind.model_validate({field: ".."})


ID = "01890000-0000-7000-8000-000000000003"
BODIES: dict[type[InProject], dict[str, Any]] = {
    InteractionCreate: {"messages": [{"role": "user", "content": "Hi"}], "completion": "Hello.", "session_id": ID},
    MetricCreate: {"key": "helpful"},
    ComparisonCreate: {"metric": "helpful", "preferred_completion": ID, "other_completion": ID},
    GraderCreate: {"key": "polite", "model": "a", "criteria": "It is polite."},
    AbTestCreate: {"key": "which", "metric": "helpful", "models": ["a", "b"]},
    ModelDeploy: {},
}


@pytest.mark.parametrize("kind", BODIES)
def test_the_older_name_of_project_counts_where_it_is_alone(kind: type[InProject]) -> None:
    def project(**names: str) -> str:
        found: str = getattr(kind.model_validate_json(to_json({**BODIES[kind], **names})), "project")  # noqa: B009
        return found

    assert project(use_case="a") == project(project="a") == project(project="a", use_case="b") == "a"


@pytest.mark.parametrize("kind", BODIES)
def test_an_unknown_field_is_not_left_out_in_silence(kind: type[InProject]) -> None:
    with pytest.raises(ValidationError, match="lables"):
        kind.model_validate_json(to_json({**BODIES[kind], "project": "a", "lables": {}}))
