"""The client of the days when projects were called use cases, adaptive-sdk 0.1.5, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import openai
import pytest

from integration.server import MODEL, Server
from integration.wire import PROMPT, chat, listed, post, stored, text, unique

PYTHON = Path(__file__).parents[2] / ".venvs" / "use-case-client" / "bin" / "python"
MESSAGES = [{"role": "system", "content": "You are a helpful assistant."}, *PROMPT]


@pytest.fixture(scope="module")
def config(server: Server) -> dict[str, Any]:
    metric = f"scalar-{uuid4().hex[:8]}"
    assert post(server, "/metrics", {"use_case": "default", "key": metric}).status_code == 201
    labels = {"customer": "Ada Lovelace", "run": unique()}
    return {"use_case": "default", "model": MODEL, "messages": MESSAGES, "metric": metric, "labels": labels}


@pytest.fixture(scope="module")
def seen(server: Server, config: dict[str, Any]) -> dict[str, Any]:
    """What the script saw, from one run for all tests."""
    assert PYTHON.exists(), f"{PYTHON} is missing: run `make .venvs/use-case-client/.installed`"
    done = subprocess.run(
        [str(PYTHON), str(Path(__file__).with_name("use_case_client.py")), json.dumps(config)],
        env={"ADAPTIVE_URL": server.url, "ADAPTIVE_API_KEY": server.api_key},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["version"] == "0.1.5"
    return found


def test_s14_s110_the_documented_call(seen: dict[str, Any]) -> None:
    (choice,) = seen["documented"]["choices"]
    assert choice["model"] == MODEL
    assert choice["message"]["content"]


def test_s20_s40_s110_labels_and_messages_are_stored(
    server: Server, seen: dict[str, Any], config: dict[str, Any]
) -> None:
    (row,) = listed(server, f"run={config['labels']['run']}", "customer=Ada Lovelace")
    assert row["completion_id"] == seen["documented"]["choices"][0]["completion_id"]
    assert (row["labels"], row["messages"], row["project"]) == (config["labels"], MESSAGES, "default")


def test_s112_the_same_messages_work_in_openais_library(server: Server, seen: dict[str, Any]) -> None:
    with openai.OpenAI(base_url=server.api, api_key=server.api_key) as client:
        answer = client.chat.completions.create(model="default", messages=MESSAGES, max_tokens=6, temperature=0)
    assert answer.choices[0].message.content == seen["documented"]["choices"][0]["message"]["content"]


def test_s1_s33_the_text_is_that_of_plain_http(server: Server, seen: dict[str, Any]) -> None:
    assert seen["documented"]["choices"][0]["message"]["content"] == text(chat(server, messages=MESSAGES))


@pytest.mark.parametrize("call", ["default_model", "slash"])
def test_s9_s11_s12_without_a_model(server: Server, seen: dict[str, Any], call: str) -> None:
    assert seen[call]["choices"][0]["model"] == MODEL


def test_s15_a_client_needs_a_key(seen: dict[str, Any]) -> None:
    assert "API key not found" in seen["no_key"]


def test_s36_two_choices_are_two_completions(server: Server, seen: dict[str, Any]) -> None:
    first, second = (stored(server, choice["completion_id"]) for choice in seen["two"]["choices"])
    assert first is not None
    assert second is not None
    assert first["id"] != second["id"]
    assert first["prompt_hash"] == second["prompt_hash"]


def test_s35_s42_a_metric_is_logged(server: Server, seen: dict[str, Any], config: dict[str, Any]) -> None:
    row = stored(server, seen["documented"]["choices"][0]["completion_id"])
    assert row is not None
    (score,) = row["scores"]
    assert (score["metric"], score["value"], score["details"]) == (config["metric"], 0.75, "from v0.5")
    assert score["id"] == seen["feedback"]["feedback_id"]


def test_s43_to_s49_a_stream(seen: dict[str, Any]) -> None:
    streamed = seen["streamed"]
    assert streamed["text"] == seen["documented"]["choices"][0]["message"]["content"]
    assert streamed["last"]["choices"] == []
    assert streamed["last"]["usage"] == seen["documented"]["usage"]
    assert streamed["first"]["choices"][0]["delta"]["role"] == "assistant"


def test_s1_s49_asynchronously(seen: dict[str, Any]) -> None:
    assert set(seen["async"]) == {seen["documented"]["choices"][0]["message"]["content"]}


def test_s7_errors_reach_the_caller(seen: dict[str, Any]) -> None:
    assert "EntityNotFound: Project 'nowhere' does not exist" in seen["error"]
