"""Token masks of a JSON schema; the only file that knows llguidance.

A `Vocabulary` is one model's tokens. `Grammar.compile` makes a schema into a grammar over them; each generation then
walks it with a `Matcher` of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import llguidance
import numpy as np
import orjson
from numpy.typing import NDArray

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

# Compact JSON: no run of spaces can go on for ever, and more tokens are forced.
_JSON_OPTIONS: JsonCompileOptions = {"whitespace_flexible": False}
# Without the escape `u` no key can be written in a second way ("\u0061" for "a") and so evade what is declared for it.
# Only control characters need that escape, so nothing else is lost.
_NO_ALIASES: JsonCompileOptions = {**_JSON_OPTIONS, "json_allowed_escapes": 'nrbtf\\"'}

# A mask may cost a few milliseconds, which the whole batch waits for: half of what llguidance allows by itself.
# Verbose errors would put the schema and the parser's state into messages.
_LIMITS = llguidance.LLParserLimits(
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=100_000,
    step_max_items=25_000,
    max_items_in_row=2_000,
    max_lexer_states=100_000,
    max_grammar_size=500_000,
    verbose_errors=False,
)

_BRACKETED = re.compile("<.*>", re.DOTALL)

TokenIds = NDArray[np.intp]


class GrammarError(Exception):
    """A schema that llguidance cannot compile, or a limit met while masks are computed. The text is llguidance's."""


class Vocabulary:
    """The tokens of one model, as the masks see them."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.size = int(tokenizer.vocab_size)
        self.end_ids: tuple[int, ...] = tuple(tokenizer.eos_tokens)
        self.token_bytes: list[bytes] = [
            b"" if tokenizer.is_special_token(i) else tokenizer.decode_bytes([i]) for i in range(self.size)
        ]
        """For each id the bytes it stands for; empty for control tokens."""

    @classmethod
    def of(cls, definition: Mapping[str, Any], *, end_ids: Iterable[int], size: int | None = None) -> Vocabulary:
        """Of a parsed `tokenizer.json`. `end_ids` are all tokens that end an answer.

        `size` is the number of logits, which may be more than there are tokens.
        """
        text = orjson.dumps(_with_unwritable_control_tokens(definition)).decode()
        return cls(llguidance.LLTokenizer(text, n_vocab=size, eos_token=sorted(end_ids)))

    @classmethod
    def of_bytes(cls) -> Vocabulary:
        """One token for each byte: for checking a schema where there is no model."""
        return cls(llguidance.LLTokenizer("byte"))

    def encode(self, text: bytes) -> list[int]:
        """The canonical tokens of `text`."""
        ids: list[int] = self.tokenizer.tokenize_bytes(text)
        return ids

    def decode(self, tokens: list[int]) -> bytes:
        text: bytes = self.tokenizer.decode_bytes(tokens)
        return text


class Grammar:
    """A compiled schema. Immutable: any number of matchers start from it."""

    def __init__(self, prototype: Any, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._prototype = prototype

    @classmethod
    def compile(cls, schema: dict[str, Any], vocabulary: Vocabulary) -> Grammar:
        """Takes milliseconds to seconds, without holding the interpreter. Raises GrammarError."""
        options = _NO_ALIASES if _has_open_keys(schema) else _JSON_OPTIONS
        try:
            source = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=options)
        except ValueError as exc:
            raise GrammarError(str(exc)) from exc
        prototype = llguidance.LLMatcher(vocabulary.tokenizer, source, log_level=0, limits=_LIMITS)
        if prototype.is_error():
            raise GrammarError(_reason(prototype))
        return cls(prototype, vocabulary)

    def start(self) -> Matcher:
        return Matcher(self._prototype.deep_copy(), self.vocabulary)


class Matcher:
    """The state of one generation within its grammar. Every method may raise GrammarError."""

    def __init__(self, state: Any, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._state = state
        # Whole words, because that is what llguidance fills.
        self._mask = np.zeros((vocabulary.size + 31) // 32, np.int32)

    @property
    def accepting(self) -> bool:
        """The text so far is a complete answer; it may go on all the same."""
        return bool(self._state.is_accepting())

    @property
    def finished(self) -> bool:
        """The text is complete and nothing can follow."""
        return bool(self._state.is_stopped() and not self._state.is_error())

    def copy(self) -> Matcher:
        return Matcher(self._state.deep_copy(), self.vocabulary)

    def accept(self, token: int) -> None:
        """Go on by one token, which the mask allowed."""
        if not self._state.consume_token(token):
            raise GrammarError(_reason(self._state))

    def take_forced(self, limit: int) -> list[int]:
        """Go on by what the grammar leaves no choice about, at most `limit` tokens, and return it.

        The tokens are those that the masks would have led to one by one: canonical ones.
        """
        if self._state.is_stopped():
            self._check()
            return []
        tokens: list[int] = self._state.compute_ff_tokens()[:limit]
        if tokens and not self._state.consume_tokens(tokens):
            raise GrammarError(_reason(self._state))
        self._check()
        return tokens

    def mask(self) -> bytes:
        """The tokens that may come next, a bit each: for comparing states."""
        self._fill()
        return self._mask.tobytes()

    def allowed(self) -> TokenIds:
        """Ids of the tokens that may come next, ascending; end tokens are among them when the text is complete."""
        self._fill()
        bits = np.unpackbits(self._mask.view(np.uint8), count=self.vocabulary.size, bitorder="little")
        # Searching booleans is ten times as fast as searching the same bytes.
        ids = np.flatnonzero(bits.view(np.bool_))
        if not len(ids):
            raise GrammarError("No token can follow.")
        return ids

    def admits(self, tokens: list[int]) -> int:
        """How many of `tokens`, from the first, may come next. Changes nothing."""
        return int(self._state.validate_tokens(tokens))

    def may_follow(self, tokens: list[int]) -> bool:
        """Whether all of `tokens` may come next. Changes nothing."""
        return self.admits(tokens) == len(tokens)

    def completed_by(self, tokens: list[int]) -> bool:
        """Whether `tokens` may follow and make the text complete. Changes nothing."""
        return self.may_follow([*tokens, self.vocabulary.end_ids[0]])

    def _fill(self) -> None:
        self._state.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)
        self._check()

    def _check(self) -> None:
        if self._state.is_error():
            raise GrammarError(_reason(self._state))


def _with_unwritable_control_tokens(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The same tokenizer, whose control tokens have names that no JSON text contains; ids stay as they are.

    By their own names, text that a schema forces would be tokenised to them where it reads like one, and no mask
    allows them. JSON escapes the character U+0000. For llguidance all added tokens in angle brackets are control
    tokens; others that are not special, such as runs of spaces, are text.
    """
    added = definition.get("added_tokens", [])
    texts = [token["content"] for token in added if token.get("special") or _BRACKETED.fullmatch(token["content"])]
    names = {text: f"<\0{text}>" for text in texts}
    model = dict(definition["model"])
    model["vocab"] = {names.get(text, text): i for text, i in model["vocab"].items()}
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    added = [{**token, "content": names.get(token["content"], token["content"])} for token in added]
    return {**definition, "model": model, "added_tokens": added}


def _has_open_keys(schema: dict[str, Any]) -> bool:
    """Whether an object may have other keys beside those that something is said about."""
    queue: list[Any] = [schema]
    for part in queue:  # Grows meanwhile.
        if isinstance(part, dict):
            named = "properties" in part or "patternProperties" in part
            if named and part.get("additionalProperties") is not False:
                return True
            queue.extend(part.values())
        elif isinstance(part, list):
            queue.extend(part)
    return False


def _reason(state: Any) -> str:
    text: str = state.get_error()
    return text.replace("<non-verbose/>", "").strip() or "The grammar ended in an unknown error."
