"""What `adaptive serve` makes of the environment."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from adaptive_engine.cli.serve import announce_stop, settings_of
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


def test_failpoints_without_leave_to_test_have_no_effect_and_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ADAPTIVE_FAILPOINTS", "store.before_commit=exit")
    settings_of(None, None, tmp_path, deterministic=False)
    assert "ADAPTIVE_FAILPOINTS is no setting and has no effect." in capsys.readouterr().err
    monkeypatch.setenv("ADAPTIVE_TESTING", "1")
    settings_of(None, None, tmp_path, deterministic=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["ADAPTIVE_VLLM__COMMAND", "ADAPTIVE_IMAGES__MAX_EDGE", "ADAPTIVE_LOG_FORMAT"])
def test_a_variable_that_there_is_needs_no_word(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, {"ADAPTIVE_IMAGES__MAX_EDGE": "512"}.get(name, "auto"))
    settings_of(None, None, tmp_path, deterministic=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "value"), [("ADAPTIVE_IMAGES__MAX_BYTES", "2048"), ("ADAPTIVE_TELEMETRY__METRICS", "open")]
)
def test_settings_of_every_area_are_known(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    settings_of(None, None, tmp_path, deterministic=False)
    assert name not in capsys.readouterr().err


def test_what_logs_must_not_show_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTIVE_DB__URL", "postgresql://ann:very%2Fsecret@host/db")
    monkeypatch.setenv("ADAPTIVE_ADMIN_API_KEY", "a-key-of-the-operator")
    secrets = settings_of(None, None, tmp_path, deterministic=False).secrets()
    assert secrets == ["a-key-of-the-operator", "postgresql://ann:very%2Fsecret@host/db", "very/secret"]


def test_a_wrong_value_is_told_without_showing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTIVE_APP__SECRET", "too-short-secret")
    with pytest.raises(InvalidRequest, match=r"ADAPTIVE_APP__SECRET: a secret has 32 characters") as caught:
        settings_of(None, None, tmp_path, deterministic=False)
    assert "too-short-secret" not in caught.value.message


def test_secrets_are_not_shown_with_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTIVE_DB__URL", "postgresql://ann:very-secret@host/db")
    monkeypatch.setenv("ADAPTIVE_APP__SECRET", "very-secret" * 3)
    assert "very-secret" not in repr(settings_of(None, None, tmp_path, deterministic=False))


def test_a_stop_goes_on_when_nobody_reads_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Gone())
    announce_stop(3)
