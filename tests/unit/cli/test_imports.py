"""`adaptive models import --url`: the server imports, the command follows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from adaptive_engine.cli.app import build
from unit.sdk.scripted import COMPLETION, Reply, ScriptedServer

SOURCES = Reply({"catalog": [{"name": "small", "title": "Small", "license": "MIT", "size": 7}], "files": ["a.gguf"]})


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.stop()


def found(**fields: Any) -> dict[str, Any]:
    begun = {"id": COMPLETION, "name": "small", "path": None, "key": "small", "state": "RUNNING", "stage": None}
    times = {"created_at": "2026-01-01T00:00:00Z", "ended_at": None}
    return {**begun, **times, "done": 0, "total": None, "error": None, **fields}


def import_(server: ScriptedServer, source: str) -> int:
    with pytest.raises(SystemExit) as caught:
        build()(["models", "import", source, "--url", server.url, "--api-key", "key"], prog_name="adaptive")
    return int(str(caught.value.code))


def test_a_model_of_the_catalog(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    done = found(state="COMPLETED", stage="download", done=7, total=7)
    server.replies(SOURCES, Reply(found(), status=202), Reply(done))
    assert import_(server, "small") == 0
    assert [(each.method, each.body) for each in server.received if each.body] == [("POST", {"name": "small"})]
    out, err = capsys.readouterr()
    assert out == "Model 'small' is on the server. To serve it: adaptive models deploy small\n"
    assert "Downloading: 100 %" in err


def test_a_file_that_cannot_be_imported(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    failure = {"message": "It is damaged.", "code": "invalid_model"}
    server.replies(SOURCES, Reply(found(), status=202), Reply(found(state="FAILED", error=failure)))
    assert import_(server, "a.gguf") == 1
    assert [each.body for each in server.received if each.body] == [{"path": "a.gguf"}]
    assert "Error: 'small' was not imported: It is damaged." in capsys.readouterr().err
