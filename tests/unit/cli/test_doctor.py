"""`adaptive doctor` finds what is broken."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from adaptive_engine.cli.doctor import doctor
from adaptive_engine.native.library import instructions
from adaptive_engine.registry import ModelDirectory
from adaptive_engine.registry.vllm import import_for_vllm
from adaptive_engine.server.lifespan import announce, only_server
from adaptive_engine.store import Database
from stores import place_store


def examine(data_dir: Path, *options: str) -> tuple[int, dict[str, Any]]:
    app = typer.Typer()
    app.command()(doctor)
    result = CliRunner().invoke(app, ["--data-dir", str(data_dir), "--port", "0", "--json", *options])
    return result.exit_code, {finding["subject"]: finding for finding in json.loads(result.stdout)}


def test_an_empty_machine_is_fine(tmp_path: Path) -> None:
    status, findings = examine(tmp_path / "none-yet")
    assert status == 0
    assert {"Python", "Native runtime", "OpenVINO", "Data directory", "Database", "Models", "Port"} <= findings.keys()
    assert not (tmp_path / "none-yet").exists(), "looking changes nothing"


def test_a_damaged_model_is_found(tmp_path: Path, default_model_dir: ModelDirectory) -> None:
    target = tmp_path / "models" / default_model_dir.key
    shutil.copytree(default_model_dir.path, target, copy_function=os.link)
    assert examine(tmp_path)[0] == 0
    config = target / "config.json"
    text = config.read_text()
    config.unlink()
    config.write_text(text.replace("8192", "9999"))
    status, findings = examine(tmp_path)
    assert status == 1
    assert "import it again" in findings[f"Model {default_model_dir.key}"]["remedy"]


def test_a_model_that_could_run_natively_is_told(tmp_path: Path, shallow_openvino_dir: ModelDirectory) -> None:
    shutil.copytree(shallow_openvino_dir.path, tmp_path / "models" / shallow_openvino_dir.key, copy_function=os.link)
    status, findings = examine(tmp_path)
    remedy = findings[f"Model {shallow_openvino_dir.key}"]["remedy"]
    assert status == 0
    assert ("it would run natively" in remedy) == (instructions() is not None)


def test_a_database_that_is_none_is_found(tmp_path: Path) -> None:
    (tmp_path / "adaptive.db").write_bytes(b"this is not a database file, it only has the name of one" * 20)
    status, findings = examine(tmp_path)
    assert status == 1
    assert findings["Database"]["level"] == "problem"


def test_a_missing_admin_key_is_a_warning(tmp_path: Path) -> None:
    Database.open(tmp_path / "adaptive.db").close()
    status, findings = examine(tmp_path)
    assert status == 0
    assert "adaptive keys create" in findings["Keys"]["remedy"]


@pytest.mark.parametrize("host", ["127.0.0.1"])
def test_a_taken_port_is_found(tmp_path: Path, host: str) -> None:
    with socket.create_server((host, 0)) as taken:
        status, findings = examine(tmp_path, "--port", str(taken.getsockname()[1]))
    assert status == 1
    assert "--port" in findings["Port"]["remedy"]


def test_what_a_killed_server_left_does_not_excuse_a_taken_port(tmp_path: Path) -> None:
    (tmp_path / "server.pid").write_text("7\nhttp://127.0.0.1:1\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, findings = examine(tmp_path, "--port", str(taken.getsockname()[1]))
    assert (status, findings["Port"]["level"]) == (1, "problem")
    assert "server of this data directory" not in findings["Port"]["message"]


def test_vllm_is_looked_for_where_a_model_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "vLLM" not in examine(tmp_path)[1]
    import_for_vllm("org/model", tmp_path / "models", "mine", [])
    monkeypatch.setenv("ADAPTIVE_VLLM__COMMAND", "/nowhere/vllm")
    status, findings = examine(tmp_path)
    assert status == 1
    assert "ADAPTIVE_VLLM__COMMAND" in findings["vLLM"]["message"]
    monkeypatch.setenv("ADAPTIVE_VLLM__COMMAND", f"{sys.executable} -m vllm.entrypoints.cli.main")
    assert examine(tmp_path)[1]["vLLM"]["level"] == "ok"


def test_a_store_of_a_newer_version_is_told(tmp_path: Path) -> None:
    place_store(tmp_path / "adaptive.db")
    with closing(sqlite3.connect(tmp_path / "adaptive.db")) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    status, findings = examine(tmp_path)
    assert status == 1
    assert "revision 9999" in findings["Database"]["message"]
    assert "Start the newer version" in findings["Database"]["message"]


def test_a_store_of_an_older_version_is_told_and_left_alone(tmp_path: Path) -> None:
    place_store(tmp_path / "adaptive.db")
    with closing(sqlite3.connect(tmp_path / "adaptive.db")) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = '0001'")
    status, findings = examine(tmp_path)
    assert (status, findings["Database"]["level"]) == (0, "warning")
    assert "revision 0001" in findings["Database"]["message"]
    assert "Stop servers of the older version" in findings["Database"]["remedy"]
    with closing(sqlite3.connect(tmp_path / "adaptive.db")) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
    assert not list(tmp_path.glob("*.backup-*"))


def test_an_empty_database_stays_empty(tmp_path: Path) -> None:
    (tmp_path / "adaptive.db").touch()
    status, findings = examine(tmp_path)
    assert (status, findings["Database"]["level"]) == (0, "ok")
    with closing(sqlite3.connect(tmp_path / "adaptive.db")) as raw:
        assert raw.execute("SELECT name FROM sqlite_schema").fetchall() == []


@contextmanager
def server_that_says(data_dir: Path, http_status: int, status: str, *problems: str) -> Iterator[None]:
    """Something at the address that a server of this data directory has announced."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/readyz"
            self.send_response(http_status)
            self.end_headers()
            self.wfile.write(json.dumps({"status": status, "problems": problems}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with only_server(data_dir), HTTPServer(("127.0.0.1", 0), Handler) as server:
        announce(data_dir, f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield
        server.shutdown()
        thread.join()


def test_a_running_server_is_asked(tmp_path: Path) -> None:
    with server_that_says(tmp_path, 200, "ok"):
        status, findings = examine(tmp_path)
    assert (status, findings["Server"]["level"]) == (0, "ok")
    with server_that_says(tmp_path, 200, "degraded", "model 'qwen3': It is being loaded."):
        status, findings = examine(tmp_path)
    assert (status, findings["Server"]["level"]) == (0, "warning")
    with server_that_says(tmp_path, 503, "unavailable", "store: The disk is full."):
        status, findings = examine(tmp_path)
    assert (status, findings["Server"]["level"]) == (1, "problem")
    assert findings["Server"]["message"] == "store: The disk is full."


def test_a_server_that_does_not_answer_is_found(tmp_path: Path) -> None:
    with only_server(tmp_path):
        announce(tmp_path, "http://127.0.0.1:1")
        status, findings = examine(tmp_path)
    assert (status, findings["Server"]["level"]) == (1, "problem")
    assert "does not answer" in findings["Server"]["message"]
