"""Whether a server answers as the vLLM that was started, and how full its cache is. Blocks.

Source: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html and .../usage/metrics.html.
"""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass
from http import HTTPStatus

import orjson

from adaptive_engine.vllm.command import HOST

_MAX_BODY_BYTES = 4 << 20
_USAGE = re.compile(rb"^vllm:kv_cache_usage_perc(?:\{[^}\n]*\})? ([\d.eE+-]+)", re.MULTILINE)


class NotServing(Exception):
    """What happens instead, in words."""


@dataclass(frozen=True, slots=True)
class Address:
    port: int
    api_key: str

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/v1"


def max_model_len(address: Address, name: str, seconds: float) -> int:
    """Most tokens of prompt and answer together. Raises NotServing where the model is not served there."""
    status, body = _get(address, "/v1/models", seconds, address.api_key)
    if status != HTTPStatus.OK:
        raise NotServing(f"it answers /v1/models with {status}")
    try:
        served = {model["id"]: model for model in orjson.loads(body)["data"]}
        length = served[name].get("max_model_len") or 0
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise NotServing("what answers at its port is not this vLLM") from exc
    # Whoever answers without a key is another, or answers anybody on this machine.
    if _get(address, "/v1/models", seconds, "")[0] == HTTPStatus.OK:
        raise NotServing("what answers at its port does not ask for its key")
    if type(length) is not int or length < 0:
        raise NotServing("what answers at its port is not this vLLM")
    return length


def is_healthy(address: Address, seconds: float) -> bool:
    try:
        return _get(address, "/health", seconds, "")[0] == HTTPStatus.OK
    except NotServing:
        return False


def cache_usage(address: Address, seconds: float) -> float:
    """The share of the KV cache that running requests hold, from 0 to 1; 0 where it does not say."""
    try:
        found = _USAGE.findall(_get(address, "/metrics", seconds, "")[1])
        return min(1.0, max(0.0, sum(map(float, found)) / len(found))) if found else 0.0
    except (NotServing, ValueError):
        return 0.0


def _get(address: Address, path: str, seconds: float, api_key: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, address.port, timeout=seconds)
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read(_MAX_BODY_BYTES)
    except ConnectionRefusedError as exc:
        raise NotServing("nothing answers at its port") from exc
    except TimeoutError as exc:
        raise NotServing(f"it takes more than {seconds:g} s to answer {path}") from exc
    except (OSError, http.client.HTTPException) as exc:
        raise NotServing("what answers at its port does not speak HTTP") from exc
    finally:
        connection.close()
