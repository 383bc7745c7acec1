"""System prompts with placeholders: `You help customers of {{ shop }}.` Text is put in, nothing is evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.types import Notice

MAX_RENDERED = 200_000
"""Characters of a system prompt with its arguments put in."""
# Names of unused arguments in the warnings of one answer, and characters shown of each.
_MAX_UNUSED = 20
_MAX_SHOWN = 64
_PARAM = "system_prompt_args"
_MARKUP = re.compile(r"\\(?P<literal>\{\{|\{%)|\{\{\s*(?P<name>[A-Za-z_][A-Za-z0-9_]{0,63})\s*\}\}|\{\{|\{%")


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """`literals[0]`, the argument `names[0]`, `literals[1]`, and so on to the last literal."""

    literals: tuple[str, ...]
    names: tuple[str, ...]

    def render(self, arguments: Mapping[str, Any]) -> tuple[str, list[Notice]]:
        """The prompt, and what was given in vain. Arguments are text, numbers or booleans.

        Raises InvalidRequest for an argument that is missing or of another kind, or a prompt that gets too long.
        """
        values = {name: _text(name, arguments) for name in self.names}
        length = sum(map(len, self.literals)) + sum(len(values[name]) for name in self.names)
        if length > MAX_RENDERED:
            raise InvalidRequest(
                f"With these arguments the system prompt has {length} characters; at most {MAX_RENDERED} are taken.",
                param=_PARAM,
            )
        pieces = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            pieces += (values[name], literal)
        return "".join(pieces), _unused([name for name in arguments if name not in values])


@lru_cache(maxsize=128)
def parse(text: str) -> PromptTemplate:
    """Raises InvalidRequest for `{{` or `{%` that begins no placeholder."""
    literals, names, literal, end = [], [], "", 0
    for found in _MARKUP.finditer(text):
        literal += text[end : found.start()]
        end = found.end()
        if found["literal"]:
            literal += found["literal"]
        elif found["name"]:
            literals.append(literal)
            names.append(found["name"])
            literal = ""
        else:
            line = text.count("\n", 0, found.start()) + 1
            raise InvalidRequest(
                f"Line {line} of the system prompt has {found[0]!r} where no placeholder begins. A placeholder is "
                "{{ name }}, of letters, digits and underscores; there are no conditions, loops or filters. For the "
                f"characters themselves write \\{found[0]}.",
                param="system_prompt",
            )
    return PromptTemplate((*literals, literal + text[end:]), tuple(names))


def without_template(arguments: Mapping[str, Any]) -> list[Notice]:
    """What is said about arguments where there is no system prompt to put them into."""
    message = "This model has no system prompt in this project; the arguments were not used."
    return [Notice("not_applied", message, _PARAM)] if arguments else []


def _text(name: str, arguments: Mapping[str, Any]) -> str:
    value = arguments.get(name)
    if value is None:
        raise InvalidRequest(
            f"The system prompt of this model needs the argument '{name}': send "
            f'"system_prompt_args": {{"{name}": ...}}.',
            code="missing_system_prompt_arg",
            param=f"{_PARAM}.{name}",
        )
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise InvalidRequest(f"{_PARAM}.{name}: send text, a number or a boolean.", param=f"{_PARAM}.{name}")


def _unused(names: list[str]) -> list[Notice]:
    notices = []
    for name in names[:_MAX_UNUSED]:
        path = f"{_PARAM}.{name[:_MAX_SHOWN]}"
        notices.append(Notice("not_applied", f"The system prompt has no placeholder for '{path}'.", path))
    if len(names) > _MAX_UNUSED:
        more = f"{len(names) - _MAX_UNUSED} more arguments have no placeholder in the system prompt."
        notices.append(Notice("not_applied", more, _PARAM))
    return notices
