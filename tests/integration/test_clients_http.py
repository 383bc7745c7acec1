"""Any HTTP client: the documented examples of requests and curl, with the placeholders filled in."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
from urllib.parse import urlsplit

import pytest
import requests

from integration.server import MODEL, Server
from integration.wire import GREEDY, PROMPT, chat, text

SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
PAYLOAD = {"model": f"default/{MODEL}", "messages": [SYSTEM, *PROMPT], **GREEDY}

CURL = """
curl --silent --show-error --fail-with-body "$ADAPTIVE_URL{path}" \\
    -H "Authorization: Bearer $ADAPTIVE_API_KEY" \\
    -H "Content-Type: application/json" {options} \\
    -d '{body}'
"""


def curl(server: Server, path: str = "/api/v1/chat/completions", options: str = "", **fields: object) -> str:
    """What the command prints. It must succeed."""
    found = shutil.which("curl")
    assert found is not None, "curl is not installed"
    done = subprocess.run(
        ["bash", "-c", CURL.format(path=path, options=options, body=json.dumps({**PAYLOAD, **fields}))],
        env={"PATH": str(found.rpartition("/")[0]), "ADAPTIVE_URL": server.url, "ADAPTIVE_API_KEY": server.api_key},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_s1_s4_the_documented_curl_command(server: Server) -> None:
    answer = json.loads(curl(server))
    assert text(answer) == text(chat(server, messages=PAYLOAD["messages"]))


def test_s5_s33_the_documented_requests_code(server: Server) -> None:
    url = f"{server.url}/api/v1/chat/completions"
    headers = {"Authorization": f"Bearer {server.api_key}"}
    response = requests.post(url, headers=headers, json=PAYLOAD, timeout=30)
    assert response.json()["choices"][0]["message"]["content"]


def test_s11_use_case_spelling(server: Server) -> None:
    for model in ("default", f"default/{MODEL}"):
        assert json.loads(curl(server, model=model, max_tokens=1))["choices"][0]["model"] == MODEL


@pytest.mark.parametrize("path", ["//api/v1/chat/completions", "/api/v1/chat/completions/", "/v1/chat/completions"])
def test_s13_spellings_of_the_path(server: Server, path: str) -> None:
    assert json.loads(curl(server, path, max_tokens=1))["choices"]


def test_s21_s49_a_stream(server: Server) -> None:
    lines = [line for line in curl(server, options="--no-buffer", stream=True).splitlines() if line]
    assert lines[-1] == "data: [DONE]"
    deltas = [json.loads(line.removeprefix("data: "))["choices"][0]["delta"] for line in lines[:-1]]
    assert "".join(delta["content"] for delta in deltas) == text(chat(server, messages=PAYLOAD["messages"]))


def test_s4_the_body_must_say_that_it_is_json(server: Server) -> None:
    # What curl sends where the header was forgotten.
    headers = {**server.headers, "Content-Type": "application/x-www-form-urlencoded"}
    response = requests.post(f"{server.api}/chat/completions", data=json.dumps(PAYLOAD), headers=headers, timeout=30)
    assert response.status_code == 415
    assert "Content-Type: application/json" in response.json()["error"]["message"]


@pytest.mark.parametrize("options", ["--http1.0", "-H Transfer-Encoding:chunked", "-H Expect:100-continue"])
def test_s2_s4_ways_of_sending_a_body(server: Server, options: str) -> None:
    assert json.loads(curl(server, options=options, max_tokens=1))["choices"]


def test_s2_one_connection_serves_many_requests(server: Server) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    headers = {**server.headers, "Content-Type": "application/json"}
    for stream in (False, True, False):
        body = json.dumps({**PAYLOAD, "stream": stream, "max_tokens": 1})
        connection.request("POST", "/api/v1/chat/completions", body, headers)
        assert connection.getresponse().read()
    connection.close()
