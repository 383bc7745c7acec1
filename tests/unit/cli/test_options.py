"""What the environment says is used or refused with the variable's name, and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from adaptive_engine.cli.options import load_settings
from adaptive_engine.errors import InvalidRequest
from adaptive_engine.settings import Settings


def variables() -> list[str]:
    found = []
    for name, field in Settings.model_fields.items():
        found.append(f"ADAPTIVE_{name}".upper())
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += [f"ADAPTIVE_{name}__{inner}".upper() for inner in field.annotation.model_fields]
    return found


# What an environment can hold.
_TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
_ODD = st.sampled_from(["{", "[1]", "{}", "null", '{"port": "x"}', "-1", "1e400", "NaN", "9" * 30, " ", "true", "é"])


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(variables()), value=_TEXTS | _ODD)
@example("ADAPTIVE_SERVER", "{")
def test_any_value_is_used_or_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    problem = None
    with monkeypatch.context() as environment:
        environment.setenv(name, value)
        try:
            load_settings(tmp_path)
        except InvalidRequest as refused:
            problem = refused.message
    assert problem is None or problem.startswith(name.split("__")[0])


def test_a_group_that_is_no_object_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADAPTIVE_SERVER", '{"port": secret')
    with pytest.raises(InvalidRequest, match="ADAPTIVE_SERVER__FIELD=VALUE") as refused:
        load_settings(tmp_path)
    assert "secret" not in refused.value.message
    assert refused.value.__suppress_context__
