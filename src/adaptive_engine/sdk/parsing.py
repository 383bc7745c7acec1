"""Answers as instances of the class that was asked for."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Generic, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from adaptive_engine.sdk.errors import LengthFinishReasonError, ResponseParseError, StreamInterruptedError
from adaptive_engine.sdk.schemas import type_adapter
from adaptive_engine.wire.chat import ChatChunk, ChatResponse, Choice, ChoiceMessage

T = TypeVar("T")


class ParsedMessage(ChoiceMessage, Generic[T]):
    parsed: T | None = Field(default=None, exclude=True)
    """`content` as what was asked for; None where the model answered nothing. Dumps, like the wire, leave it out."""


class ParsedChoice(Choice, Generic[T]):
    message: ParsedMessage[T]


class ParsedChatResponse(ChatResponse, Generic[T]):
    """A ChatResponse whose messages have `parsed`."""

    # A list of a subclass: safe because nobody appends choices to an answer.
    choices: list[ParsedChoice[T]]  # type: ignore[assignment]


def parsed_response(response: ChatResponse, kind: type[T] | TypeAdapter[T]) -> ParsedChatResponse[T]:
    """Raises ResponseParseError, with the whole response, for the first choice that is not a `kind`."""
    adapter = type_adapter(kind)

    def parsed(choice: Choice) -> ParsedChoice[T]:
        text = choice.message.content
        instance = parse_content(adapter, text, choice.finish_reason, index=choice.index, response=response)
        message = ParsedMessage[Any].model_construct(**{**dict(choice.message), "parsed": instance})
        return ParsedChoice[Any].model_construct(**{**dict(choice), "message": message})

    choices = [parsed(choice) for choice in response.choices]
    return ParsedChatResponse[Any].model_construct(**{**dict(response), "choices": choices})


class Transcript:
    """What a stream has said so far."""

    def __init__(self) -> None:
        self._pieces: defaultdict[int, list[str]] = defaultdict(list)
        self._finish_reasons: dict[int, str] = {}

    def add(self, chunk: ChatChunk) -> None:
        for choice in chunk.choices:
            self._pieces[choice.index].append(choice.delta.content)
            if choice.finish_reason:
                self._finish_reasons[choice.index] = choice.finish_reason

    def parsed(self, kind: type[T] | TypeAdapter[T], index: int, request_id: str | None) -> T | None:
        """Raises StreamInterruptedError for a choice whose end has not been seen, ResponseParseError as above."""
        if index not in self._finish_reasons:
            raise StreamInterruptedError(
                f"Choice {index} did not end in this stream, so there is nothing to parse.", request_id=request_id
            )
        text = "".join(self._pieces[index])
        return parse_content(type_adapter(kind), text, self._finish_reasons[index], index=index)


def parse_content(
    adapter: TypeAdapter[T],
    text: str,
    finish_reason: str | None,
    *,
    index: int = 0,
    response: ChatResponse | None = None,
) -> T | None:
    """None for no text at all.

    An answer that max_tokens ended is as good as any other if its JSON is complete: the last token may have been the
    last brace, or the server closed it in time.
    """
    cut = finish_reason == "length"
    if not text and not cut:
        return None
    # Of all JSON only a number is still JSON when its end is missing.
    if cut and text[-1:].isdigit():
        raise LengthFinishReasonError(_CUT, content=text, index=index, response=response)
    try:
        return adapter.validate_json(text)
    except ValidationError as exc:
        if cut:
            raise LengthFinishReasonError(_CUT, content=text, index=index, response=response) from exc
        message = " ".join([f"Choice {index} cannot be parsed: {_first_error(exc)}.", *_warnings(response)])
        raise ResponseParseError(message, content=text, index=index, response=response) from exc


_CUT = (
    "The answer was cut off by max_tokens before its JSON was complete. Raise max_tokens, or pass complete=True "
    "to have the server close it in time."
)


def _first_error(failure: ValidationError) -> str:
    first = failure.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    more = f" ({failure.error_count()} errors)" if failure.error_count() > 1 else ""
    return f"{f'{where}: ' if where else ''}{first['msg']}{more}"


def _warnings(response: ChatResponse | None) -> list[str]:
    """What the server said about the schema, which may be why the answer does not follow it."""
    warnings = response.warnings if response else []
    return [warning.message for warning in warnings if (warning.param or "").startswith("response_format")]
