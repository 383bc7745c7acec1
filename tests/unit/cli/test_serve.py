"""What `adaptive serve` makes of the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from adaptive_engine.cli.serve import settings_of
from adaptive_engine.errors import InvalidRequest


@pytest.mark.parametrize("name", ["ADAPTIVE_DB_URL", "ADAPTIVE_DB__URI", "adaptive_db__urll", "ADAPTIVE_DATABASE_URL"])
def test_a_misspelled_variable_is_told(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "postgresql://ann:very-secret@host/db")
    settings_of(None, None, tmp_path, deterministic=False)
    said = capsys.readouterr().err
    assert f"{name} is no setting and has no effect. Did you mean ADAPTIVE_DB__URL?" in said
    assert "very-secret" not in said


@pytest.mark.parametrize("name", ["ADAPTIVE_VLLM__COMMAND", "ADAPTIVE_IMAGES__MAX_EDGE", "ADAPTIVE_LOG_FORMAT"])
def test_a_variable_that_there_is_needs_no_word(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, {"ADAPTIVE_IMAGES__MAX_EDGE": "512"}.get(name, "auto"))
    settings_of(None, None, tmp_path, deterministic=False)
    assert capsys.readouterr().err == ""


def test_a_wrong_value_is_told_without_showing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTIVE_APP__SECRET", "too-short-secret")
    with pytest.raises(InvalidRequest, match=r"ADAPTIVE_APP__SECRET: a secret has 32 characters") as caught:
        settings_of(None, None, tmp_path, deterministic=False)
    assert "too-short-secret" not in caught.value.message


def test_secrets_are_not_shown_with_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTIVE_DB__URL", "postgresql://ann:very-secret@host/db")
    monkeypatch.setenv("ADAPTIVE_APP__SECRET", "very-secret" * 3)
    assert "very-secret" not in repr(settings_of(None, None, tmp_path, deterministic=False))
