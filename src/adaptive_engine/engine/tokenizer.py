"""Text to tokens and back, where nothing a user writes becomes a control token."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from tokenizers import Tokenizer as HFTokenizer

from adaptive_engine.errors import EngineFailed


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Ids and texts that have a meaning beyond their characters."""

    bos: str
    eos: str
    end_ids: frozenset[int]
    """Any of these ends a generation."""

    @classmethod
    def read(cls, directory: Path) -> SpecialTokens:
        """From `tokenizer_config.json` and `generation_config.json` of a model directory."""
        config = _read_json(directory / "tokenizer_config.json")
        ends = _read_json(directory / "generation_config.json").get("eos_token_id")
        if ends is None:
            ends = _read_json(directory / "config.json").get("eos_token_id", [])
        return cls(
            bos=_text_of(config.get("bos_token")),
            eos=_text_of(config.get("eos_token")),
            end_ids=frozenset([ends] if isinstance(ends, int) else ends),
        )


def read_definition(directory: Path) -> dict[str, Any]:
    """`tokenizer.json` of a model directory: megabytes, so that who needs it twice reads it once."""
    definition: dict[str, Any] = orjson.loads((directory / "tokenizer.json").read_bytes())
    return definition


class Tokenizer:
    """A Hugging Face tokenizer with two ways in: template text, where control tokens count, and untrusted text."""

    def __init__(self, definition: Mapping[str, Any], special: SpecialTokens) -> None:
        """`definition` is the parsed `tokenizer.json`."""
        if definition["model"]["type"] != "BPE":
            raise EngineFailed(
                f"Tokenizers of type {definition['model']['type']} are not supported; BPE is.", code="tokenizer_type"
            )
        definition = _with_literal_control_tokens(definition)
        added = {token["content"]: int(token["id"]) for token in definition.get("added_tokens", [])}
        self.special = special
        self.control_texts = tuple(sorted(added, key=len, reverse=True))
        self.control_ids = frozenset(added.values())
        self.control_tokens_look_back = any(
            token.get("lstrip") or token.get("single_word") for token in definition.get("added_tokens", [])
        )
        """Whether what stands in front of a control token is another text with it than without."""
        self._template = HFTokenizer.from_buffer(orjson.dumps(definition))
        self._untrusted = HFTokenizer.from_buffer(orjson.dumps(_without_control_tokens(definition, added)))
        for tokenizer in (self._template, self._untrusted):
            tokenizer.no_truncation()
            tokenizer.no_padding()
        self.vocab_size = self._template.get_vocab_size(with_added_tokens=True)
        self.token_bytes = _token_bytes(definition, self._template, self.vocab_size)
        """For each id the bytes it stands for; empty for control tokens, which are never shown."""
        self.longest_token = max(map(len, self.token_bytes))
        """Bytes of the longest token, so that a text of n bytes has at least n / longest_token tokens."""
        self.drops_first_space = not _is_byte_level(definition)
        self._check_untrusted()

    @classmethod
    def load(cls, directory: Path) -> Tokenizer:
        """Of a model directory."""
        return cls(read_definition(directory), SpecialTokens.read(directory))

    def encode(self, text: str) -> list[int]:
        """Trusted text: control tokens in it count."""
        return _encode(self._template, text)

    def encode_untrusted(self, text: str) -> list[int]:
        """Text in which `<|im_end|>` is ten characters like any others."""
        return _encode(self._untrusted, text)

    def _check_untrusted(self) -> None:
        """Refuse a tokenizer that could turn somebody's text into a control token after all."""
        for text in self.control_texts:
            if not self.control_ids.isdisjoint(self.encode_untrusted(text)):
                raise EngineFailed(
                    f"This tokenizer makes a control token of the text {text!r}, whoever writes it.",
                    code="tokenizer_unsafe",
                )

    def decode(self, ids: Seq[int]) -> str:
        return b"".join(self.token_bytes[i] for i in ids).decode("utf-8", "replace")


def _encode(tokenizer: HFTokenizer, text: str) -> list[int]:
    # Unlike `encode`, a batch of one lets other threads run meanwhile, and computes no offsets.
    (encoding,) = tokenizer.encode_batch_fast([text], add_special_tokens=False)
    ids: list[int] = encoding.ids
    return ids


class Disguise:
    """Hides control-token texts in user text while a template is rendered around it.

    A chat template is a program over strings and its output is tokenised as a whole, so that the text around a message
    tokenises as it did in training. Before rendering, each control-token text inside a *message* is replaced by one
    placeholder character that occurs in no message; afterwards the placeholders are the only places that are
    tokenised apart, as untrusted text. What then still reads as a control token was written by the template.
    """

    def __init__(self, tokenizer: Tokenizer, texts: Seq[str]) -> None:
        self._tokenizer = tokenizer
        self._texts: dict[str, str] = {}
        # Apart from each other, so that the end of one and the begin of the next are no control token.
        together = "\0".join(texts)
        found = [control for control in tokenizer.control_texts if control in together]
        if found:
            free = _unused_characters(together, len(found))
            self._texts = dict(zip(free, found, strict=True))

    def hide(self, text: str) -> str:
        for placeholder, control in self._texts.items():
            text = text.replace(control, placeholder)
        return text

    @property
    def needed(self) -> bool:
        """Whether there is anything to hide."""
        return bool(self._texts)

    def encode(self, rendered: str) -> list[int]:
        """Token ids of the template's output."""
        ids: list[int] = []
        start = 0
        for at, char in enumerate(rendered):
            if char in self._texts:
                ids += self._tokenizer.encode(rendered[start:at])
                ids += self._tokenizer.encode_untrusted(self._texts[char])
                start = at + 1
        return ids + self._tokenizer.encode(rendered[start:])


def _unused_characters(text: str, count: int) -> Iterator[str]:
    """`count` characters from the supplementary private-use planes (U+F0000 and on) that are not in `text`."""
    used = set(text)
    code = 0xF0000
    while count:
        if (char := chr(code)) not in used:
            count -= 1
            yield char
        code += 1


def _with_literal_control_tokens(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same tokenizer, whose control tokens match their exact characters only, not what normalises to them."""
    return {**definition, "added_tokens": [{**t, "normalized": False} for t in definition.get("added_tokens", [])]}


def _without_control_tokens(definition: Mapping[str, Any], added: Mapping[str, int]) -> dict[str, Any]:
    """The same tokenizer without control tokens, neither as added tokens nor as entries of the vocabulary."""
    model = dict(definition["model"])
    # Entries keep their ids; the gaps are legal. What stands for unknown characters has to stay.
    unknown = model.get("unk_token")
    model["vocab"] = {text: i for text, i in model["vocab"].items() if text not in added or text == unknown}
    return {**definition, "model": model, "added_tokens": []}


def _token_bytes(definition: Mapping[str, Any], tokenizer: HFTokenizer, vocab_size: int) -> list[bytes]:
    special = {int(t["id"]) for t in definition.get("added_tokens", []) if t.get("special")}
    plain = {int(t["id"]) for t in definition.get("added_tokens", []) if not t.get("special")}
    to_bytes = _byte_level_bytes if _is_byte_level(definition) else _sentencepiece_bytes
    table = []
    for i in range(vocab_size):
        text = tokenizer.id_to_token(i)
        if text is None or i in special:
            table.append(b"")
        elif i in plain:
            table.append(text.encode())
        else:
            table.append(to_bytes(text))
    return table


def _is_byte_level(definition: Mapping[str, Any]) -> bool:
    return "ByteLevel" in json.dumps(definition.get("decoder") or {})


def _byte_level_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-ins for the 256 bytes (openai/gpt-2, encoder.py, bytes_to_unicode)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = {chr(b): b for b in printable}
    others = [b for b in range(256) if b not in printable]
    alphabet.update({chr(256 + n): b for n, b in enumerate(others)})
    return alphabet


_BYTE_OF = _byte_level_alphabet()


def _byte_level_bytes(token: str) -> bytes:
    try:
        return bytes(map(_BYTE_OF.__getitem__, token))
    except KeyError:
        return token.encode()


def _sentencepiece_bytes(token: str) -> bytes:
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes([int(token[3:5], 16)])
    return token.replace("\u2581", " ").encode()


def _text_of(token: Any) -> str:
    """Special tokens are a string, or an object with `content`, or null."""
    if isinstance(token, dict):
        return str(token.get("content", ""))
    return token or ""


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content
