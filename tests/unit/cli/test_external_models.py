"""Without a server; `tests/integration/test_external_models.py` has the same over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adaptive_engine.errors import Conflict, InvalidRequest
from unit.cli.test_models import adaptive

KEY = "sk-canary-0123456789"
LOCAL = ("--provider", "openai_compatible", "--endpoint", "http://127.0.0.1:9/v1")


@pytest.fixture(autouse=True)
def _data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTIVE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("UPSTREAM_KEY", KEY)
    monkeypatch.delenv("ADAPTIVE_URL", raising=False)


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert adaptive(*arguments) == 0
    return capsys.readouterr().out


def test_from_registration_to_deployment(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    add = ("models", "add-external", "My Llama", "--model", "llama", "--provider-key", "$UPSTREAM_KEY", *LOCAL)
    assert "Model 'my-llama' is registered" in shown(
        capsys, *add, "--price", "1,2", "--extra", "top_k=5", "--profile", "structured=none"
    )
    assert shown(capsys, "models", "list") == "my-llama  llama of openai_compatible, Text\n"
    stored = json.loads(shown(capsys, "models", "show", "my-llama"))
    assert (stored["external_model_id"], stored["provider"]) == ("llama", "openai_compatible")
    shown(capsys, "models", "update-external", "my-llama", "--model", "llama-2", "--context-length", "4096")
    assert json.loads(shown(capsys, "models", "list", "--json"))[0]["context_length"] == 4096
    shown(capsys, "models", "deploy", "my-llama")
    with pytest.raises(InvalidRequest, match="no other model"):
        adaptive("models", "settings", "my-llama", "fallbacks=my-llama")
    with pytest.raises(Conflict, match="runs at its provider"):
        adaptive("models", "configure", "my-llama", "--kv-cache-len", "1024")
    with pytest.raises(Conflict, match="exists already"):
        adaptive(*add)
    files = [path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert not any(KEY.encode() in content for content in files)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--provider", "acme"), "no provider 'acme'"),
        ((), "needs an API key"),
        (("--provider", "openai_compatible"), "needs the endpoint"),
        (("--provider", "openai_compatible", "--endpoint", "http://169.254.169.254/v1"), "link-local"),
        ((*LOCAL, "--price", "1"), "--price"),
        ((*LOCAL, "--extra", "top_k"), "NAME=VALUE"),
        ((*LOCAL, "--profile", "structured=maybe"), "structured is"),
        ((*LOCAL, "--provider-key", "$NOT_THERE"), "is not set"),
        ((*LOCAL, "--provider-key", "@/not/there"), "/not/there cannot be read"),
        ((*LOCAL, "--currency", "EUR"), "--currency"),
        ((*LOCAL, "--currency", "euro", "--price", "1,2"), "currency"),
    ],
)
def test_mistakes_are_said(options: tuple[str, ...], problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        adaptive("models", "add-external", "wrong", "--model", "m", *options)
