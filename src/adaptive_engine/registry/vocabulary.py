"""The tokens that the metadata of a GGUF file lists."""

from __future__ import annotations

from dataclasses import dataclass

from adaptive_engine.registry.errors import InvalidModel
from adaptive_engine.registry.gguf import GGUF

# Kinds of token in `tokenizer.ggml.token_type`.
CONTROL, USER_DEFINED = 3, 4

# Tokens that end an answer, by the name that their families give them.
END_OF_TURN = frozenset(
    {"<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|end|>", "<|eot|>", "</s>"}
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The parts of the metadata that every kind of tokenizer needs, checked against each other."""

    tokens: list[str]
    kinds: list[int]
    ids: dict[str, int]
    bos: int | None
    eos: int | None
    unknown: int | None
    padding: int | None

    @classmethod
    def read(cls, gguf: GGUF) -> Vocabulary:
        tokens = gguf.strings("tokenizer.ggml.tokens")
        if not tokens:
            raise InvalidModel("The GGUF file has no vocabulary (tokenizer.ggml.tokens).")
        kinds = gguf.integers("tokenizer.ggml.token_type") or [1] * len(tokens)
        if len(kinds) != len(tokens):
            raise InvalidModel(f"The GGUF file has {len(tokens)} tokens, but {len(kinds)} token types.")
        ids = {token: index for index, token in enumerate(tokens)}
        if len(ids) != len(tokens):
            twice = next(token for index, token in enumerate(tokens) if ids[token] != index)
            raise InvalidModel(f"The GGUF vocabulary has the token {twice!r} twice.")
        names = ("bos", "eos", "unknown", "padding")
        special = {name: cls._special(gguf, name, len(tokens)) for name in names}
        return cls(tokens, kinds, ids, **special)

    @staticmethod
    def _special(gguf: GGUF, name: str, size: int) -> int | None:
        index = gguf.integer(f"tokenizer.ggml.{name}_token_id")
        if index is not None and not 0 <= index < size:
            raise InvalidModel(f"The GGUF {name} token has the id {index}, but the vocabulary ends at {size - 1}.")
        return index

    def text(self, index: int | None) -> str | None:
        return None if index is None else self.tokens[index]

    def ends(self, gguf: GGUF) -> list[int]:
        """Ids that end an answer: the declared one first, then every other end-of-turn token of the vocabulary."""
        declared = (
            self.eos,
            self._special(gguf, "eot", len(self.tokens)),
            self._special(gguf, "eom", len(self.tokens)),
        )
        named = (i for i, token in enumerate(self.tokens) if self.kinds[i] == CONTROL and token in END_OF_TURN)
        return list(dict.fromkeys([index for index in declared if index is not None] + list(named)))
