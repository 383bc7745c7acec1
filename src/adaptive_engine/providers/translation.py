"""What several dialects need to say a request in their own words, and to read an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.types import Notice

# More than any model reads or writes, and few enough to be stored and summed.
_MOST_TOKENS = 2**31 - 1


def left_out(name: str) -> Notice:
    return Notice("not_applied", f"The model does not take {name}.", name)


def stop_sequences(stop: tuple[str, ...], most: int) -> tuple[list[str], list[Notice]]:
    """As many as the model takes."""
    if len(stop) <= most:
        return list(stop), []
    return list(stop[:most]), [Notice("not_applied", f"The model takes {most} stop sequences.", "stop")]


def text_of(content: Any, param: str) -> str:
    """Of a system message. Raises InvalidRequest for images, which stand in the user's messages only."""
    if isinstance(content, str):
        return content
    for at, part in enumerate(content):
        if part["type"] != "text":
            raise InvalidRequest(
                "The model takes images only in messages of the user.",
                code="modality_unsupported",
                param=f"{param}[{at}]",
            )
    return "\n".join(part["text"] for part in content)


def image_of(part: Mapping[str, Any]) -> tuple[str, str]:
    """Media type and base64 of an `image_url` part, which is a data URI."""
    head, _, data = part["image_url"]["url"].partition(",")
    return head.removeprefix("data:").removesuffix(";base64"), data


def details(messages: list[dict[str, Any]]) -> list[Notice]:
    """For vendors that have no levels of detail."""
    parts = [part for message in messages if isinstance(message["content"], list) for part in message["content"]]
    asked = any(part.get("image_url", {}).get("detail") == "low" for part in parts)
    return [left_out("messages[].content[].image_url.detail")] if asked else []


def string(value: Any) -> str:
    """Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError("no string")
    return value


def tokens(value: Any) -> int:
    """A count of them; 0 where the vendor has none. Raises ValueError or TypeError."""
    count = int(value or 0)
    if not 0 <= count <= _MOST_TOKENS:
        raise ValueError("no count of tokens")
    return count


def merged(body: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """`extra` wins; objects that both have are merged, so that one parameter does not cost its neighbours."""
    result = dict(body)
    for name, value in extra.items():
        own = result.get(name)
        result[name] = {**own, **value} if isinstance(own, dict) and isinstance(value, dict) else value
    return result
