from __future__ import annotations

import dataclasses
import sys

import pytest

from adaptive_engine.vllm.command import VllmOptions, command_of, environment_of
from unit.vllm.conftest import model


def test_what_the_server_chooses_wins() -> None:
    wanted = dataclasses.replace(model(), arguments=("--max-model-len", "9", "--structured-outputs-config", "{}"))
    command = command_of(VllmOptions(f"'{sys.executable}' -m vllm.entrypoints.cli.main"), wanted, 4321, 2048)
    assert command[:5] == [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", "org/tiny"]
    last = {name: command[len(command) - command[::-1].index(name)] for name in command if name.startswith("--m")}
    assert last["--max-model-len"] == "2048"
    # But for how schemas are followed.
    place = len(command) - command[::-1].index("--structured-outputs-config")
    assert command[place] == "{}"
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert "9" in command_of(VllmOptions(sys.executable), wanted, 4321, None)


def test_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTIVE_DB__URL", "postgresql://ann:secret@host/db")
    monkeypatch.setenv("adaptive_admin_api_key", "secret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    environment = environment_of("key")
    assert "secret" not in "".join(environment.values())
    assert (environment["CUDA_VISIBLE_DEVICES"], environment["VLLM_API_KEY"]) == ("1", "key")
    assert environment["VLLM_NO_USAGE_STATS"] == "1"
