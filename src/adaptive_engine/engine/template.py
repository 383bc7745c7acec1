"""A model's chat template: Jinja from a model file, so a program we did not write.

It runs in Jinja's immutable sandbox (no attribute access to Python's insides, no loader to include files with) with
limits on what it may repeat, loop and produce. The dialect is Hugging Face's
(https://huggingface.co/docs/transformers/chat_templating).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Seq
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from adaptive_engine.errors import EngineFailed, InvalidRequest
from adaptive_engine.types import ChatMessage, Image

RENDER_SECONDS = 2.0
# Template output beyond the messages: a default system prompt, dates; and for each message its role markers.
_OWN_CHARACTERS = 64 * 1024
_OWN_CHARACTERS_PER_MESSAGE = 256
# Longer than any message can be (the server's body limit), short enough to be harmless.
_MAX_VALUE = 20_000_000
_MULTIPLYING = frozenset({"center", "expandtabs", "format", "format_map", "ljust", "rjust", "zfill"})


class _TemplateLimit(Exception):
    """The template tried to do more than a chat template needs."""


class _Refusal(Exception):
    """The template called `raise_exception`: the messages are not what it supports."""


class _CodeGenerator(CodeGenerator):
    """Compiles `a ~ b` to the same checked call as `a + b`, which Jinja does for real operators only."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.concatenate((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class _Generation(Extension):
    """`{% generation %}` marks what a model is trained to say, which means nothing here (Hugging Face's tag)."""

    tags = {"generation"}  # noqa: RUF012 - Jinja declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Bounds what an expression can build: text doubles by concatenation, and a width or a count multiplies it."""

    code_generator_class = _CodeGenerator
    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        # What nearly all templates do, several times for each message.
        if operator == "+" and type(left) is str and type(right) is str and len(left) + len(right) <= _MAX_VALUE:
            return left + right
        numbers = all(isinstance(side, int | float) for side in (left, right))
        if operator == "**" or (operator != "+" and not numbers):
            raise SecurityError(f"operator {operator} is limited to numbers")
        if operator == "+" and not numbers:
            _check_size(left, right)
        return super().call_binop(context, operator, left, right)

    def concatenate(self, parts: tuple[Any, ...]) -> str:
        texts = [str(part) for part in parts]
        _check_size(*texts)
        return "".join(texts)

    def call(self, context: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        name = getattr(function, "__name__", "")
        if name == "replace" and isinstance(getattr(function, "__self__", None), str):
            return _replace(function.__self__, *args, **kwargs)
        if name in _MULTIPLYING:
            raise SecurityError(f"{name}() is not available")
        return super().call(context, function, *args, **kwargs)


def _check_size(*values: Any) -> None:
    if sum(len(value) for value in values if hasattr(value, "__len__")) > _MAX_VALUE:
        raise SecurityError(f"a value of more than {_MAX_VALUE} characters")


class ChatTemplate:
    """Renders messages into the text the model was trained on."""

    def __init__(self, source: str, *, bos: str = "", eos: str = "", in_parts: bool = False) -> None:
        """`in_parts`: it expects the content of a message as a list of texts and images, as models that see do."""
        environment = _Sandbox(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation], optimized=False
        )
        for name in ("center", "indent", "wordwrap", "format", "xmlattr", "urlize", "batch", "slice"):
            # Widths and counts given by the template multiply text.
            environment.filters.pop(name, None)
        environment.filters["replace"] = _replace
        environment.filters["tojson"] = _tojson
        environment.globals.update(raise_exception=_refuse, strftime_now=_strftime_now, range=self._range)
        environment.globals.pop("lipsum", None)
        try:
            self._template = environment.from_string(source)
        except jinja2.TemplateError as exc:
            raise EngineFailed(f"The model's chat template is not valid Jinja: {exc}", code="invalid_template") from exc
        self._tokens = {"bos_token": bos, "eos_token": eos}
        self._in_parts = in_parts
        # Per thread, so that threads may render at the same time.
        self._clock = threading.local()

    def render(self, messages: Seq[ChatMessage], *, add_generation_prompt: bool = True) -> str:
        """The prompt text. Raises InvalidRequest when the template refuses the messages, e.g. their order."""
        turns = _Turns(self._check_time, [self._turn(message) for message in messages])
        limit = 4 * sum(len(message.text) + _OWN_CHARACTERS_PER_MESSAGE for message in messages) + _OWN_CHARACTERS
        self._clock.deadline = time.monotonic() + RENDER_SECONDS
        pieces: list[str] = []
        size = 0
        try:
            for piece in self._template.generate(
                messages=turns, add_generation_prompt=add_generation_prompt, tools=None, **self._tokens
            ):
                size += len(piece)
                if size > limit:
                    raise _TemplateLimit(f"more than {limit} characters of output")
                self._check_time()
                pieces.append(piece)
        except _Refusal as exc:
            raise InvalidRequest(
                f"The model's chat template refuses these messages: {exc}", code="template_refused", param="messages"
            ) from exc
        except (jinja2.TemplateError, _TemplateLimit, ArithmeticError, LookupError, TypeError, ValueError,
                AttributeError, RecursionError, MemoryError) as exc:  # fmt: skip
            raise InvalidRequest(
                f"The model's chat template cannot render these messages: {type(exc).__name__}: {str(exc)[:200]}",
                code="template_failed",
                param="messages",
            ) from exc
        return "".join(pieces)

    def _turn(self, message: ChatMessage) -> dict[str, Any]:
        turn: dict[str, Any] = {"role": message.role, "content": message.text}
        if self._in_parts:
            turn["content"] = [_part(part) for part in message.parts]
        if message.name is not None:
            turn["name"] = message.name
        return turn

    def _check_time(self) -> None:
        if time.monotonic() > self._clock.deadline:
            raise _TemplateLimit(f"more than {RENDER_SECONDS:g} s")

    def _range(self, *bounds: int) -> Iterator[int]:
        """Jinja's own limit bounds one range; the clock bounds nested ones."""
        numbers = range(*bounds)
        if len(numbers) > 100_000:
            raise _TemplateLimit("a range of more than 100000")
        for number in numbers:
            self._check_time()
            yield number


class _Turns(list[dict[str, Any]]):
    """The messages; who goes through them looks at the clock, so that nested loops end in time."""

    def __init__(self, check_time: Callable[[], None], turns: list[dict[str, Any]]) -> None:
        super().__init__(turns)
        self._check_time = check_time

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for turn in super().__iter__():
            self._check_time()
            yield turn


def _replace(text: Any, old: str, new: str, count: int | None = None) -> str:
    """Jinja's filter and Python's method, bounded: replacing each character of a text by that text squares it."""
    whole = str(text)
    times = whole.count(old) if count is None else min(count, whole.count(old))
    if len(whole) + times * len(new) > _MAX_VALUE:
        raise SecurityError(f"a value of more than {_MAX_VALUE} characters")
    return whole.replace(old, new, -1 if count is None else count)


def _part(part: str | Image) -> dict[str, str]:
    return {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}


def _tojson(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=min(indent, 8) if indent else None)


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(str(pattern)[:64])


def _refuse(message: str) -> NoReturn:
    raise _Refusal(str(message)[:300])
