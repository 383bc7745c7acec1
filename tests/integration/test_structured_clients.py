"""Structured output through the libraries that people use for it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Literal

import adaptive_sdk
import openai
import pytest
from pydantic import BaseModel, Field

from adaptive_engine.sdk import Adaptive, AsyncAdaptive, LengthFinishReasonError
from integration.recorder import recording
from integration.server import Server
from integration.wire import PROMPT

INSTRUCTOR = Path(__file__).parents[2] / ".venvs" / "instructor" / "bin" / "python"


class Address(BaseModel):
    street: str = Field(max_length=20)
    city: str | None = None


class Person(BaseModel):
    """Somebody."""

    name: str = Field(max_length=20)
    age: int = Field(ge=0, le=150)
    mood: Literal["good", "bad"]
    home: Address


class Node(BaseModel):
    value: int = Field(ge=0, le=9)
    children: list[Node] = Field(default=[], max_length=2)


WILD = {"temperature": 1.5, "seed": 5, "max_tokens": 60}


@pytest.fixture(scope="module")
def client(server: Server) -> Adaptive:
    return Adaptive(server.url, server.api_key, default_project="default", max_retries=0)


def test_s60_s61_our_sdk_parses(client: Adaptive) -> None:
    answer = client.chat.parse(PROMPT, response_format=Person, complete=True, n=4, **WILD)
    for choice in answer.choices:
        assert isinstance(choice.message.parsed, Person)
        assert Person.model_validate_json(choice.message.content) == choice.message.parsed


def test_s97_our_sdk_sends_recursive_models(client: Adaptive) -> None:
    answer = client.chat.parse(PROMPT, response_format=Node, complete=True, n=4, **WILD)
    assert all(isinstance(choice.message.parsed, Node) for choice in answer.choices)


def test_s99_our_sdk_says_that_the_answer_was_cut(client: Adaptive) -> None:
    with pytest.raises(LengthFinishReasonError) as cut:
        client.chat.parse(PROMPT, response_format=Person, max_tokens=3)
    assert cut.value.content == '{"name":"'[: len(cut.value.content)]


def test_s51_our_sdk_streams_partial_json(client: Adaptive) -> None:
    stream = client.chat.create(
        PROMPT, response_format=Person, complete=True, temperature=1.5, seed=3, max_tokens=60, stream=True
    )
    assert isinstance(stream.parse(Person), Person)


async def test_our_async_sdk_parses(server: Server) -> None:
    async with AsyncAdaptive(server.url, server.api_key, default_project="default") as client:
        answer = await client.chat.parse(PROMPT, response_format=list[Person], complete=True, **WILD)
    assert isinstance(answer.choices[0].message.parsed, list)


def test_s63_the_vendors_client_sends_its_conversion(server: Server) -> None:
    class Flat(BaseModel):
        city: str = Field(max_length=20)
        note: str | None = Field(default=None, max_length=10)

    with recording() as recorder:
        recorded = adaptive_sdk.Adaptive(recorder.url, "key")
        recorded.chat.create(PROMPT, project="p", response_format=Flat)
        recorded.close()
    envelope = recorder.bodies[0]["response_format"]["json_schema"]
    assert envelope["name"] == "Flat"
    assert envelope["schema"]["additionalProperties"] is False
    vendors = adaptive_sdk.Adaptive(server.url, server.api_key)
    vendors.set_default_project("default")
    answer = vendors.chat.create(PROMPT, response_format=Flat, temperature=0, max_tokens=60)
    vendors.close()
    assert answer.choices[0].finish_reason == "stop"
    Flat.model_validate_json(answer.choices[0].message.content)


def test_s63_our_sdk_sends_the_same_schema_as_the_vendors(server: Server) -> None:
    class Flat(BaseModel):
        city: str = Field(max_length=20)
        home: Address
        note: str | None = None

    with recording() as recorder:
        vendors = adaptive_sdk.Adaptive(recorder.url, "key")
        vendors.chat.create(PROMPT, project="p", response_format=Flat)
        vendors.close()
        with Adaptive(recorder.url, "key") as ours:
            ours.chat.create(PROMPT, project="p", response_format=Flat)
    theirs, our = (body["response_format"]["json_schema"] for body in recorder.bodies)
    assert (our["name"], our["schema"]) == (theirs["name"], theirs["schema"])


def test_s60_s79_openais_library_parses(server: Server) -> None:
    with openai.OpenAI(base_url=f"{server.url}/api/v1", api_key=server.api_key, max_retries=0) as client:
        for parse in (client.chat.completions.parse, client.beta.chat.completions.parse):
            answer = parse(model="default", messages=PROMPT, response_format=Person, temperature=0, max_tokens=120)
            assert isinstance(answer.choices[0].message.parsed, Person)
        with client.chat.completions.stream(
            model="default", messages=PROMPT, response_format=Person, temperature=0, max_tokens=120
        ) as stream:
            assert isinstance(stream.get_final_completion().choices[0].message.parsed, Person)


def test_s99_openais_library_raises_when_the_answer_is_cut(server: Server) -> None:
    client = openai.OpenAI(base_url=f"{server.url}/api/v1", api_key=server.api_key)
    with client, pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(model="default", messages=PROMPT, response_format=Person, max_tokens=3)


def test_instructor_extracts(server: Server) -> None:
    assert INSTRUCTOR.exists(), f"{INSTRUCTOR} is missing: run `make .venvs/instructor/.installed`"
    done = subprocess.run(
        [str(INSTRUCTOR), str(Path(__file__).with_name("instructor_client.py"))],
        env={"ADAPTIVE_URL": server.url, "ADAPTIVE_API_KEY": server.api_key},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["person"]["mood"] in ("good", "bad")
    assert seen["person"]["address"]["city"]
