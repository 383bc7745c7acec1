"""`adaptive schema check`, as a person calls it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from adaptive_engine.cli.schema import check
from adaptive_engine.errors import InvalidRequest, NotFound
from adaptive_engine.registry import ModelDirectory

MIXED = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["dog", "cat"]},
        "ids": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
        "name": {"type": "string", "not": {"const": "root"}},
    },
    "required": ["kind"],
}


def run(tmp_path: Path, content: Any, *options: str, stdin: bool = False) -> Result:
    app = typer.Typer()
    app.command()(check)
    text = content if isinstance(content, str) else json.dumps(content)
    file = tmp_path / "schema.json"
    file.write_text(text)
    arguments = ["-" if stdin else str(file), "--data-dir", str(tmp_path), *options]
    return CliRunner().invoke(app, arguments, input=text if stdin else None)


def test_what_is_enforced(tmp_path: Path) -> None:
    result = run(tmp_path, {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]})
    assert result.exit_code == 0
    assert "Every finished answer matches" in result.stdout
    assert 'Shortest answer found: {"a":1}\n  7 bytes' in result.stdout


def test_what_is_only_checked_afterwards(tmp_path: Path) -> None:
    result = run(tmp_path, MIXED)
    assert result.exit_code == 1
    assert "Checked afterwards:\n  /properties/ids/uniqueItems: " in result.stdout
    assert "Rewritten, with the same meaning:\n  /properties/name/not: " in result.stdout


def test_what_is_refused(tmp_path: Path) -> None:
    result = run(tmp_path, {"properties": {"a": {"type": "text"}}}, stdin=True)
    assert result.exit_code == 2
    assert "/properties/a/type: 'text' is not a type." in result.stdout
    assert "[invalid_schema]" in result.stdout


def test_as_json_and_from_a_response_format(tmp_path: Path) -> None:
    envelope = {"type": "json_schema", "json_schema": {"name": "x", "schema": MIXED}}
    report = json.loads(run(tmp_path, envelope, "--json").stdout)
    assert report["verdict"] == "partly_enforced"
    assert [note["pointer"] for note in report["unenforced"]] == ["/properties/ids/uniqueItems"]


def test_tokens_of_the_only_model_are_counted(tmp_path: Path, default_model_dir: ModelDirectory) -> None:
    target = tmp_path / "models" / default_model_dir.key
    shutil.copytree(default_model_dir.path, target, copy_function=os.link)
    assert f"tokens of {default_model_dir.key}" in run(tmp_path, {"const": "abc"}).stdout


@pytest.mark.parametrize(
    ("content", "message"), [("{bad", "is not JSON"), ("", "is not JSON"), ("[" * 100_000, "nested too deeply")]
)
def test_what_is_no_json(tmp_path: Path, content: str, message: str) -> None:
    failure = run(tmp_path, content).exception
    assert isinstance(failure, InvalidRequest)
    assert message in failure.message


def test_mistakes_are_named(tmp_path: Path) -> None:
    missing = run(tmp_path, {}, "--model", "nope").exception
    assert isinstance(missing, NotFound)
    assert "There is no model 'nope'" in missing.message
