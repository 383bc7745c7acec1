"""Requests made of the API's own description, right ones and wrong ones: each answer is one that it promises.

`ADAPTIVE_TEST_FUZZ=200` sends so many to each route instead of a few.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi import checks

from adaptive_engine.server.app import create_api
from adaptive_engine.server.lifespan import Services

EXAMPLES = int(os.environ.get("ADAPTIVE_TEST_FUZZ", "5"))
PROMISES = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
load_all_checks()
SCHEMA = schemathesis.openapi.from_dict(create_api().openapi())
# Imports its modules now: while Hypothesis runs, which moves the limit of recursion, pytest may fail to rewrite them.
assert SCHEMA.transport
OPERATIONS = {
    f"{found.method.upper()} {found.path}": found for found in (result.ok() for result in SCHEMA.get_all_operations())
}


class Sender:
    """Sends to the application from one event loop."""

    def __init__(self, app: Any, services: Services) -> None:
        self._runner = asyncio.Runner()
        self._client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
        self.keys = [services.keys.create("fuzz", role)[1] for role in ("admin", "admin", "read-only")]

    def send(self, case: Case, key: str | None) -> httpx2.Response:
        given = case.as_transport_kwargs(base_url="http://server")
        headers = {**given.pop("headers"), **({"Authorization": f"Bearer {key}"} if key else {})}
        headers = {name: value for name, value in headers.items() if name.lower() != "authorization" or value != "None"}
        known = {name: given[name] for name in ("method", "url", "params", "json") if name in given}
        if "data" in given:
            known["content"] = given["data"]
        return self._runner.run(self._client.request(**known, headers=headers))

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()


@pytest.fixture(scope="module")
def sender(app: Any, services: Services) -> Iterator[Sender]:
    sender = Sender(app, services)
    # Until they are loaded, what depends on them is 503 and of less interest.
    services.engines.wait()
    yield sender
    sender.close()


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_answer_is_a_promised_one(sender: Sender, name: str) -> None:
    modes = [OPERATIONS[name].as_strategy(generation_mode=mode) for mode in GenerationMode]

    @seed(20)
    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        derandomize=False,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(modes), key=st.sampled_from([*sender.keys, None]), there=st.booleans())
    def send(case: Case, key: str | None, there: bool) -> None:
        if there:
            _name_what_is_there(case)
        answer = sender.send(case, key)
        assert answer.status_code != 500, answer.text
        case.validate_response(answer, checks=PROMISES)
        if answer.status_code >= 400 and answer.request.method != "HEAD":
            assert answer.json().keys() == {"error"}
            assert answer.json()["error"]["message"]

    send()


def _name_what_is_there(case: Case) -> None:
    """So that more is reached than what looks for a project; and what would take long takes little."""
    named = {"project": "default", "project_id": "default", "model": "tiny"}
    for part in (case.path_parameters, case.query, case.body):
        if isinstance(part, dict):
            part.update({name: value for name, value in named.items() if name in part})
    if case.path.endswith("chat/completions") and isinstance(case.body, dict):
        case.body.update({"model": "default", "max_tokens": 1, "n": 1})


def test_more_than_one_route_in_the_description() -> None:
    assert len(OPERATIONS) > 80
