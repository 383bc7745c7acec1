"""Many at once, and clients that leave: everything ends, is stored, and frees what it held."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import requests

from adaptive_engine.registry import ModelDirectory
from integration.server import Server, place_model, start

SUBJECTS = "cats dogs kings queens stones trees birds fish moons stars rivers books ships wolves bees clouds"


@pytest.fixture(scope="module")
def narrow(shallow_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A deterministic server with 16 places for generations and 1 for waiting."""
    data_dir = tmp_path_factory.mktemp("narrow")
    place_model(shallow_model_dir.path, data_dir)
    env = {"ADAPTIVE_ENGINE__MAX_RUNNING": "16", "ADAPTIVE_ENGINE__MAX_WAITING": "1"}
    running = start(data_dir, "--deterministic", env=env, quick=True)
    yield running
    assert running.stop() == 0, running.log.read_text()


def body(question: str, **more: Any) -> dict[str, Any]:
    return {"model": "default", "messages": [{"role": "user", "content": question}], "temperature": 0, **more}


async def streamed(client: httpx2.AsyncClient, server: Server, question: str) -> str:
    asked = body(question, stream=True, max_tokens=24)
    text = ""
    url = f"{server.api}/chat/completions"
    async with client.stream("POST", url, json=asked, headers=server.headers) as reply:
        # Comments keep a silent stream open on a slow machine.
        lines = [line async for line in reply.aiter_lines() if line and not line.startswith(":")]
    assert lines[-1] == "data: [DONE]"
    for line in lines[:-1]:
        text += "".join(choice["delta"]["content"] for choice in json.loads(line[6:])["choices"])
    return text


async def test_16_concurrent_streams_finish_with_the_texts_they_have_alone(narrow: Server) -> None:
    questions = [f"Write two sentences about {subject} and the sea." for subject in SUBJECTS.split()]
    async with httpx2.AsyncClient(timeout=120) as client:
        together = await asyncio.gather(*(streamed(client, narrow, question) for question in questions))
        alone = [await streamed(client, narrow, question) for question in questions]
    assert together == alone


def send(server: Server, **more: Any) -> socket.socket:
    """Send a request for a very long answer and leave the answer in the socket."""
    where = urlsplit(server.url)
    connection = socket.create_connection((where.hostname, where.port), timeout=30)
    send_on(connection, server, **more)
    return connection


def send_on(connection: socket.socket, server: Server, **more: Any) -> None:
    raw = json.dumps({**body("Count for ever.", ignore_eos=True, max_tokens=3000), **more}).encode()
    head = f"POST /api/v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.api_key}\r\n"
    connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw)


def interaction(server: Server, label: str, wanted: set[str], seconds: float = 10) -> dict[str, Any]:
    """The interaction with this label, once its state is one of `wanted`."""
    deadline = time.monotonic() + seconds
    query = {"project": "default", "label": f"case={label}"}
    while True:
        found = requests.get(f"{server.api}/interactions", params=query, headers=server.headers, timeout=10).json()
        states = [row["state"] for row in found["data"]]
        if states and states[0] in wanted:
            return found["data"][0]
        assert time.monotonic() < deadline, f"{label} is {states}, not {wanted}"


def wait_for(connection: socket.socket, text: bytes) -> None:
    seen = b""
    while text not in seen:
        part = connection.recv(65536)
        assert part, "the server closed the connection"
        seen += part


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
def test_leaving_while_tokens_come_stops_the_generation(narrow: Server, stream: bool) -> None:
    label = f"leave-decode-{stream}"
    connection = send(narrow, stream=stream, labels={"case": label})
    if stream:
        wait_for(connection, b'"content":" ')
    else:
        interaction(narrow, label, {"pending"})
    connection.close()
    row = interaction(narrow, label, {"cancelled"})
    assert row["error"]["phase"] in ({"decode"} if stream else {"queue", "prefill", "decode"})
    assert row["usage"]["completion_tokens"] < 3000
    if stream:
        assert row["completion"]


def test_leaving_in_prefill_stops_it(narrow: Server) -> None:
    label = "leave-prefill"
    words = " ".join(f"number {n}" for n in range(1000))
    connection = send(narrow, stream=True, messages=[{"role": "user", "content": words}], labels={"case": label})
    wait_for(connection, b"finish_reason")
    # A short prompt shares its steps with the long one: when it is answered, the long one is being computed.
    short = requests.post(
        f"{narrow.api}/chat/completions", json=body("Hi", max_tokens=1), headers=narrow.headers, timeout=60
    )
    assert short.status_code == 200
    connection.close()
    row = interaction(narrow, label, {"cancelled"})
    assert row["error"] == {"phase": "prefill"}
    assert row["usage"]["completion_tokens"] == 0


def test_a_full_queue_refuses_soon_and_leaving_it_makes_room(narrow: Server) -> None:
    running = [send(narrow, stream=True, labels={"case": "full"}) for _ in range(16)]
    for connection in running:
        wait_for(connection, b"finish_reason")
    queued = send(narrow, stream=True, labels={"case": "queued"})
    wait_for(queued, b"finish_reason")
    refused = requests.post(f"{narrow.api}/chat/completions", json=body("Hi"), headers=narrow.headers, timeout=10)
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "overloaded"
    assert 0 < int(refused.headers["retry-after"]) <= 120
    queued.close()
    assert interaction(narrow, "queued", {"cancelled"})["error"] == {"phase": "queue"}
    for connection in running:
        connection.close()
    accepted = requests.post(
        f"{narrow.api}/chat/completions", json=body("Hi", max_tokens=2), headers=narrow.headers, timeout=60
    )
    assert accepted.status_code == 200
