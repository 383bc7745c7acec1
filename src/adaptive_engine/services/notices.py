"""What a chat request asks for that its answer will not reflect, apart from its schema."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.types import Notice
from adaptive_engine.wire.chat import ChatRequest, ImagePart, Message, ResponseFormat

# Names of unknown fields in the warnings of one answer.
_MAX_UNKNOWN = 20

# What our answers' messages have, which clients send back as they are.
_OF_ANSWERS = {"id", "reasoning", "reasoning_content"}

# Accepted for compatibility, not acted on yet: named in `warnings` when set to something that would have an effect.
_NOT_ENFORCED = {
    "tags": "Tags are not stored by this version; use labels.",
    "use_tools": "Tools are not available in this version.",
    "tools": "Tools are not available in this version.",
    "constrained_decoding": "Use response_format; constrained_decoding has no effect.",
}


def request_notices(request: ChatRequest) -> list[Notice]:
    """Parameters without effect, fields that nobody knows, and labels that contradict each other."""
    given = request.model_fields_set
    found = [
        Notice("not_enforced", message, name)
        for name, message in _NOT_ENFORCED.items()
        if name in given and _would_matter(getattr(request, name))
    ]
    unknown = sorted(_unknown_fields(request))
    for path in unknown[:_MAX_UNKNOWN]:
        found.append(Notice("unknown_parameter", f"'{path}' is not supported and had no effect.", path))
    if len(unknown) > _MAX_UNKNOWN:
        more = f"{len(unknown) - _MAX_UNKNOWN} more fields are not supported and had no effect."
        found.append(Notice("unknown_parameter", more, ""))
    found += format_notices(request.response_format)
    both = (request.metadata or {}).keys() & (request.labels or {}).keys()
    for key in sorted(both):
        if request.metadata and request.labels and request.metadata[key] != request.labels[key]:
            found.append(Notice("label_conflict", f"labels and metadata differ on '{key}'; labels won.", "metadata"))
    return found


def format_notices(wanted: ResponseFormat | None) -> list[Notice]:
    """A schema beside a type that reads none."""
    if wanted is None or not wanted.ignores_schema():
        return []
    message = f'Type "{wanted.type}" reads no schema, so it had no effect. Send type "json_schema".'
    return [Notice("unknown_parameter", message, "response_format.json_schema")]


def detail_notices(messages: Iterable[Message]) -> list[Notice]:
    """For models that see images in one level of detail."""
    if not any(part.detail == "low" for message in messages for part in message.images):
        return []
    return [Notice("not_enforced", "Images are seen in one level of detail.", "messages[].content[].image_url.detail")]


def require_known_images(messages: Iterable[Message]) -> None:
    """For routes without warnings, which store images alone. Raises InvalidRequest naming a field beside them."""
    for at, message in enumerate(messages):
        for part_at, part in enumerate(message.parts):
            if not isinstance(part, ImagePart):
                continue
            place = f"messages[{at}].content[{part_at}]."
            inner = None if isinstance(part.image_url, str) else part.image_url.model_extra
            for where, extra in ((place, part.model_extra), (f"{place}image_url.", inner)):
                for name, value in (extra or {}).items():
                    if _would_matter(value):
                        path = f"{where}{name[:64]}"
                        raise InvalidRequest(
                            f"{path}: an image has no such field, and it would not be stored; leave it out. A text is "
                            'a part of its own: {"type": "text", "text": ...}.',
                            param=path,
                        )


def _unknown_fields(request: ChatRequest) -> set[str]:
    """Paths of fields that nobody reads; those of messages once for all messages, as `messages[].name`."""
    places: list[tuple[str, dict[str, Any] | None]] = [("", request.model_extra)]
    places += [("messages[].", _foreign_fields(message)) for message in request.messages]
    for part in (part for message in request.messages for part in message.parts):
        places.append(("messages[].content[].", part.model_extra))
        if isinstance(part, ImagePart) and not isinstance(part.image_url, str):
            places.append(("messages[].content[].image_url.", part.image_url.model_extra))
    if request.stream_options is not None:
        places.append(("stream_options.", request.stream_options.model_extra))
    if request.response_format is not None:
        places.append(("response_format.", request.response_format.model_extra))
        if request.response_format.json_schema is not None:
            places.append(("response_format.json_schema.", request.response_format.json_schema.model_extra))
    return {
        f"{place}{name[:64]}"
        for place, extra in places
        if extra
        for name, value in extra.items()
        if _would_matter(value)
    }


def _foreign_fields(message: Message) -> dict[str, Any] | None:
    """Those that nobody reads, and that our own answers do not have."""
    extra = message.model_extra
    if not extra or message.role != "assistant":
        return extra
    return {name: value for name, value in extra.items() if name not in _OF_ANSWERS}


def _would_matter(value: Any) -> bool:
    """Whether a parameter asks for something: libraries send nulls, false and empty values for what was not set."""
    return value is not None and value is not False and value not in ("", [], {})
