from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from adaptive_engine.errors import Conflict, InvalidRequest
from adaptive_engine.store import Database
from adaptive_engine.store import models as store
from unit.cli.test_models import adaptive, data_dir

__all__ = ["data_dir"]

IMPORT = ("models", "import", "--engine", "vllm", "Qwen/Qwen3-8B", "--key", "qwen")


def test_imports_a_name_with_arguments(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert adaptive(*IMPORT, "--", "--gpu-memory-utilization", "0.8", "--enforce-eager") == 0
    assert capsys.readouterr().out == "Model 'qwen' is Qwen/Qwen3-8B in vLLM, Text\n"
    with closing(Database.open(data_dir / "adaptive.db")) as database, database.read() as connection:
        registered = store.get_by_key(connection, "qwen")
    assert registered is not None
    assert (registered.provider, registered.external, registered.context_length) == ("vllm", None, 0)
    assert adaptive("models", "list") == 0
    assert capsys.readouterr().out == "qwen  Qwen/Qwen3-8B in vLLM, Text\n"
    assert adaptive("models", "list", "--json") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["arguments"] == ["--gpu-memory-utilization", "0.8", "--enforce-eager"]
    # Once more, with other arguments.
    assert adaptive(*IMPORT, "--images", "--", "--enforce-eager") == 0
    with closing(Database.open(data_dir / "adaptive.db")) as database, database.read() as connection:
        registered = store.get_by_key(connection, "qwen")
    assert registered is not None
    assert registered.capabilities == ("TextGeneration", "ImageUnderstanding")
    assert adaptive("models", "configure", "qwen", "--max-seq-len", "4096") == 0
    assert adaptive("models", "deploy", "qwen") == 0
    capsys.readouterr()
    assert adaptive("models", "show", "qwen") == 0
    shown = capsys.readouterr().out
    assert "--enforce-eager" in shown
    assert "utilization" not in shown
    assert "4096" in shown


def test_settings_of_one_are_checked_without_a_server(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adaptive(*IMPORT)
    adaptive("models", "deploy", "qwen")
    schema = '{"type": "json_schema", "json_schema": {"schema": {"type": "object"}, "complete": true}}'
    assert adaptive("models", "settings", "qwen", f"response_format={schema}") == 0
    assert "close their JSON" in capsys.readouterr().err
    with pytest.raises(InvalidRequest, match="vLLM chooses the KV cache"):
        adaptive("models", "configure", "qwen", "--kv-cache-len", "4096")


def test_mistakes(data_dir: Path) -> None:
    with pytest.raises(InvalidRequest, match="need --engine vllm"):
        adaptive("models", "import", "smollm2-135m-instruct", "--", "--dtype", "half")
    with pytest.raises(InvalidRequest, match="need --engine vllm"):
        adaptive("models", "import", "smollm2-135m-instruct", "--images")
    assert adaptive("models", "import", "--engine", "triton", "x") == 2
    fake = ("models", "add-external", "qwen", "--provider", "fake", "--model", "x")
    adaptive(*fake)
    with pytest.raises(Conflict, match="of provider 'fake'; choose another key"):
        adaptive(*IMPORT)
    assert not (data_dir / "models" / "qwen").exists()
