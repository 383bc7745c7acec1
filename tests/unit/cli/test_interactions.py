"""The commands against a server that answers by script."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adaptive_engine.cli.interactions import app
from adaptive_engine.errors import InvalidRequest
from unit.sdk.scripted import COMPLETION, Reply, ScriptedServer, error_body
from unit.sdk.test_interactions import interaction, line, page


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.stop()


def run(server: ScriptedServer, *arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(app, [*arguments, "--url", server.url, "--api-key", "test-key"], **options)


def test_list_sends_its_filters(server: ScriptedServer) -> None:
    server.replies(page(1, 2, after="more"))
    result = run(
        server,
        *("list", "--model", "m", "--label", "env=production", "--label", "seen", "--state", "error", "--limit", "2"),
        *("--from", "2026-01-01", "--contains", "sorry", "--filter", '{"has_warnings": true}'),
    )
    assert result.exit_code == 0, result.output
    assert server.last.body == {
        "project": "default",
        "models": ["m"],
        "labels": [{"key": "env", "value": "production"}, {"key": "seen"}],
        "state": "error",
        "timerange": {"from": "2026-01-01"},
        "filter": {"and": [{"has_warnings": True}, {"completion": {"contains": "sorry"}}]},
        "limit": 2,
    }
    assert result.stdout.count("smollm2  complete  Hello.") == 2
    assert "There are more" in result.stderr


def test_show(server: ScriptedServer) -> None:
    server.replies(Reply(interaction(1)))
    result = run(server, "show", COMPLETION)
    assert result.exit_code == 0, result.output
    assert "user: Hello!\n\nassistant: Hello.\n\nlabels  lang=de" in result.stdout
    shown = json.loads(run(server, "show", COMPLETION, "--json").stdout)
    assert shown["labels"] == {"lang": "de"}


def test_show_names_pictures(server: ScriptedServer) -> None:
    parts = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": "/images/p/a.png"}}]
    server.replies(Reply({**interaction(1), "messages": [{"role": "user", "content": parts}]}))
    assert "user: What?[/images/p/a.png]\n" in run(server, "show", COMPLETION).stdout


def test_label(server: ScriptedServer) -> None:
    server.replies(Reply(interaction(1)))
    assert run(server, "label", COMPLETION, "a=b=c", "--remove", "old").stdout == "lang=de\n"
    assert server.last.body == {"add": {"a": "b=c"}, "remove": ["old"]}
    for wrong in (["label", COMPLETION], ["label", COMPLETION, "novalue"]):
        assert run(server, *wrong).exit_code == 1


def test_deleting_a_selection_asks_first(server: ScriptedServer) -> None:
    counted = Reply({**page(1).body, "total_count": 7, "total_count_is_exact": True})
    server.replies(counted, Reply({"deleted": 7}))
    result = run(server, "delete", "--label", "env=test", input="y\n")
    assert "Delete 7 interactions of project 'default'?" in result.stdout
    assert "Deleted 7 interactions." in result.stdout
    server.replies(counted)
    before = len(server.received)
    assert run(server, "delete", "--label", "env=test", input="n\n").exit_code == 1
    assert [received.path for received in server.received[before:]] == ["/api/v1/interactions/search"]
    assert run(server, "delete").exit_code == 1
    assert run(server, "delete", COMPLETION, "--label", "env=test").exit_code == 1


@pytest.mark.parametrize("option", ["--state", "--user"])
def test_an_empty_filter_is_not_left_out(server: ScriptedServer, option: str) -> None:
    server.replies(Reply(error_body(f"{option[2:]}: too short"), status=400))
    assert run(server, "delete", "--label", "env=test", option, "", "--yes").exit_code == 1
    assert server.last.body[option[2:]] == ""
    result = run(server, "delete", "--label", "env=test", "--filter", "null", "--yes")
    assert isinstance(result.exception, InvalidRequest)


def test_an_empty_list_says_so(server: ScriptedServer) -> None:
    server.replies(page(), page())
    assert "no interactions yet" in run(server, "list").stderr
    assert "no interactions like these" in run(server, "list", "--user", "ada").stderr


def test_export_writes_resumes_and_protects_a_file(server: ScriptedServer, tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl"
    server.replies(Reply(frames=[line(1), line(2)]))
    result = run(server, "export", str(file), "--kind", "messages")
    assert result.exit_code == 0, result.output
    assert file.read_bytes() == line(1) + line(2)
    assert (server.last.body["format"], server.last.body["kind"]) == ("jsonl", "messages")
    assert "Exporting" in result.stderr
    assert run(server, "export", str(file)).exit_code == 1
    server.replies(Reply(frames=[line(3)]))
    assert run(server, "export", str(file), "--resume").exit_code == 0
    assert server.last.body["after"] == "id-2"
    assert file.read_bytes() == line(1) + line(2) + line(3)
    assert run(server, "export", str(tmp_path / "all.txt")).exit_code == 1


def test_an_export_that_is_refused_leaves_files_alone(server: ScriptedServer, tmp_path: Path) -> None:
    server.replies(Reply(error_body("EntityNotFound: no such project", code="project_not_found"), status=404))
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    old.write_bytes(line(1))
    assert run(server, "export", str(old), "--force").exit_code == 1
    assert run(server, "export", str(new)).exit_code == 1
    assert old.read_bytes() == line(1)
    assert not new.exists()


def test_an_export_that_cannot_be_written_says_why(server: ScriptedServer, tmp_path: Path) -> None:
    server.replies(Reply(content=line(1)))
    nowhere = tmp_path / "nowhere" / "all.jsonl"
    failed = run(server, "export", str(nowhere)).exception
    assert isinstance(failed, InvalidRequest)
    assert failed.message == f"{nowhere} cannot be written: No such file or directory."


def test_without_a_server_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADAPTIVE_URL", raising=False)
    result = CliRunner().invoke(app, ["list", "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "adaptive serve" in result.stderr


def test_a_wrong_argument_is_not_taken_for_a_missing_server(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTIVE_URL", server.url)
    result = CliRunner().invoke(app, ["show", "nonsense", "--api-key", "k", "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: completion_id is 'nonsense'")
    assert "running server" not in result.stderr


def test_a_server_that_cannot_be_asked_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTIVE_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("ADAPTIVE_API_KEY", raising=False)
    arguments = ["list", "--data-dir", str(tmp_path)]
    assert CliRunner().invoke(app, arguments).stderr.startswith("Error: No API key")
    result = CliRunner().invoke(app, [*arguments, "--api-key", "k"])
    assert result.stderr.startswith("Error: Cannot connect to http://127.0.0.1:9 ")
