"""Without a server; `tests/integration/test_projects.py` has the same commands with one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from adaptive_engine.errors import Conflict, InvalidRequest, NotFound
from unit.cli.test_models import adaptive

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


@pytest.fixture(autouse=True)
def _data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTIVE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("ADAPTIVE_URL", raising=False)


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert adaptive(*arguments) == 0
    return capsys.readouterr().out


def test_from_creation_to_the_archive(capsys: pytest.CaptureFixture[str]) -> None:
    assert "adaptive models deploy MODEL --project support" in shown(capsys, "projects", "create", "support")
    shown(capsys, "projects", "update", "support", "--name", "Support", "--description", "Of Ada")
    assert shown(capsys, "projects", "list") == "default  Default\nsupport  Support\n"
    assert "description     Of Ada" in shown(capsys, "projects", "show", "support")
    shown(capsys, "projects", "archive", "support")
    assert "support: Support (archived)" in shown(capsys, "projects", "show", "support")
    assert shown(capsys, "projects", "list") == "default  Default\n"
    assert [p["key"] for p in json.loads(shown(capsys, "projects", "list", "--archived", "--json"))] == ["support"]
    with pytest.raises(Conflict, match="unarchive it"):
        adaptive("projects", "create", "support")
    shown(capsys, "projects", "unarchive", "support")
    assert json.loads(shown(capsys, "projects", "show", "support", "--json"))["archived"] is False


def test_a_team_is_let_in_and_out(capsys: pytest.CaptureFixture[str]) -> None:
    adaptive("projects", "create", "support")
    adaptive("teams", "create", "research")
    share = ("projects", "share", "support", "research")
    own = "Project 'support' is shared with default=admin (owner)"
    assert shown(capsys, *share, "annotator") == f"{own}, research=annotator.\n"
    assert shown(capsys, *share, "power_user", "--owner") == f"{own}, research=power_user (owner).\n"
    assert shown(capsys, *share, "inference") == f"{own}, research=inference (owner).\n"
    assert shown(capsys, "projects", "unshare", "support", "research") == f"{own}.\n"
    with pytest.raises(InvalidRequest, match="belongs to a team"):
        adaptive("projects", "unshare", "support", "default")
    with pytest.raises(NotFound, match="Team 'nobody'"):
        adaptive("projects", "share", "support", "nobody", "inference")


def test_mistakes_are_said() -> None:
    with pytest.raises(InvalidRequest, match="is not a project key"):
        adaptive("projects", "create", "a/b")
    with pytest.raises(InvalidRequest, match="name: "):
        adaptive("projects", "create", "a", "--name", " ")
    with pytest.raises(NotFound, match="'nobody' does not exist"):
        adaptive("projects", "archive", "nobody")
    adaptive("projects", "create", "a")
    with pytest.raises(InvalidRequest, match="nothing to change"):
        adaptive("projects", "update", "a")
    with pytest.raises(NotFound, match="not registered"):
        adaptive("projects", "update", "a", "--default-metric", "ok")


def test_settings_of_a_model(
    tmp_path: Path, deploy_tiny: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    deploy_tiny()
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    settings = ("models", "settings", "tiny")
    assert shown(capsys, *settings) == ""
    changes = ("temperature=0.5", "stop=END", "system_prompt=You are {{ who }}.", "seed=1", "max_ttft_ms=900")
    assert "temperature     0.5\n" in shown(capsys, *settings, *changes)
    found = json.loads(shown(capsys, *settings, "seed=", f"response_format=@{tmp_path}/schema.json", "--json"))
    assert (found["temperature"], found["stop"], found["system_prompt"]) == (0.5, "END", "You are {{ who }}.")
    assert found["response_format"]["json_schema"]["schema"] == SCHEMA
    assert "seed" not in found
    assert json.loads(shown(capsys, *settings, "--json")) == found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("colour=1", "is not NAME=VALUE with one of these names: system_prompt"),
        ("temperature", "is not NAME=VALUE"),
        ("temperature=warm", "temperature is 'warm', which is not JSON"),
        ("temperature=3", "temperature: .* less than or equal to 2"),
        ("system_prompt={{ a.b }}", "where no placeholder begins"),
        ("system_prompt=@/nowhere/x", "cannot be read"),
        ('response_format={"items": {"type": "x"}}', "/items/type"),
    ],
)
def test_settings_that_cannot_be(deploy_tiny: Callable[..., None], change: str, message: str) -> None:
    deploy_tiny()
    with pytest.raises(InvalidRequest, match=message):
        adaptive("models", "settings", "tiny", change)


def test_detach(deploy_tiny: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    deploy_tiny()
    deploy_tiny("other")
    with pytest.raises(Conflict, match=r"default first \(other\)"):
        adaptive("models", "detach", "tiny")
    assert "is detached from project 'default'" in shown(capsys, "models", "detach", "other")
    assert "detached" in shown(capsys, "models", "detach", "tiny", "--force")
    with pytest.raises(NotFound, match="adaptive models deploy tiny"):
        adaptive("models", "detach", "tiny")
