"""Where a request goes: paths, keys, projects and models."""

from __future__ import annotations

import pytest
import requests

from integration.server import MODEL, Server
from integration.wire import GREEDY, PROMPT, ask, chat, interaction, listed, unique

BODY = {"model": "default", "messages": PROMPT, **GREEDY, "max_tokens": 2}


def test_s2_chat_completions_path(server: Server) -> None:
    response = requests.post(f"{server.url}/api/v1/chat/completions", json=BODY, headers=server.headers, timeout=30)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json()["choices"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong-key-of-nobody"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": "Bearer käse".encode()},
    ],
    ids=["none", "wrong", "empty", "basic", "not-ascii"],
)
def test_s3_without_a_valid_key_nothing_happens(server: Server, headers: dict[str, str | bytes]) -> None:
    run = unique()
    response = requests.post(
        f"{server.api}/chat/completions", json={**BODY, "labels": {"run": run}}, headers=headers, timeout=30
    )
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authentication_error"
    assert response.headers["www-authenticate"] == "Bearer"
    assert listed(server, f"run={run}") == []


def test_s3_with_a_key_it_is_answered_and_logged(server: Server) -> None:
    run = unique()
    chat(server, labels={"run": run}, max_tokens=2)
    assert len(listed(server, f"run={run}")) == 1


def test_s7_project_and_model(server: Server) -> None:
    answer = chat(server, model=f"default/{MODEL}", max_tokens=2)
    assert answer["choices"][0]["model"] == MODEL
    assert interaction(server, answer)["project"] == "default"


def test_s9_s16_without_a_model_the_default_model_answers(server: Server) -> None:
    cards = requests.get(f"{server.api}/models", headers=server.headers, timeout=30).json()["data"]
    (default,) = [card for card in cards if card["is_default"]]
    answers = [chat(server, max_tokens=1) for _ in range(3)]
    assert {f"default/{answer['choices'][0]['model']}" for answer in answers} == {default["id"]}


@pytest.mark.parametrize("model", ["default", "default/", f"default/{MODEL}"], ids=["s10", "s12", "s11"])
def test_s10_s11_s12_spellings_of_project_and_model(server: Server, model: str) -> None:
    answer = chat(server, model=model, max_tokens=2)
    assert answer["choices"][0]["model"] == MODEL
    assert interaction(server, answer)["model"] == MODEL


@pytest.mark.parametrize(
    "path",
    [
        "//api/v1/chat/completions",
        "/api/v1/chat/completions/",
        "/api//v1/chat//completions//",
        "/v1/chat/completions",
        "//v1/chat/completions/",
    ],
)
def test_s13_spellings_of_the_path(server: Server, path: str) -> None:
    response = requests.post(f"{server.url}{path}", json=BODY, headers=server.headers, timeout=30)
    assert response.status_code == 200
    # The clients of the vendor do not follow redirects.
    assert not response.history


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("nowhere", "project_not_found"),
        ("nowhere/x", "project_not_found"),
        ("default/nothing", "model_not_found"),
        ("default/a/b/c", "model_not_found"),
        ("/", "project_not_found"),
        (MODEL, "project_not_found"),
    ],
)
def test_s7_an_unknown_model_is_named_and_nothing_is_logged(server: Server, model: str, code: str) -> None:
    run = unique()
    response = ask(server, model=model, labels={"run": run})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (404, code, "model")
    # What the vendor's clients look for.
    assert error["message"].startswith("EntityNotFound:")
    assert listed(server, f"run={run}") == []


def test_s16_a_model_is_required_on_the_wire(server: Server) -> None:
    response = ask(server, model=None)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "model")
