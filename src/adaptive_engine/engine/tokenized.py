"""How prompts begin, with their tokens, so that of a chat that grows only what is new is tokenised.

Tokenisers never merge across control tokens: what stands in front of one has the same tokens, whatever follows it.
"""

from __future__ import annotations

import hashlib
import re
from array import array

from adaptive_engine.engine.recent import RecentlyUsed
from adaptive_engine.engine.tokenizer import Tokenizer


class TokenizedTexts:
    """Texts up to their last control token, least recently used ones forgotten first. Any thread may use it."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        """`max_tokens` of all texts together are remembered."""
        self._tokenizer = tokenizer
        self._control = re.compile("|".join(map(re.escape, tokenizer.control_texts)) or r"(?!)")
        self._tokens_of: RecentlyUsed[bytes, array[int]] = RecentlyUsed(
            0 if tokenizer.control_tokens_look_back else max_tokens, len
        )

    def encode(self, salt: bytes, text: str) -> list[int]:
        """The tokens of trusted text. What `salt`'s owner had tokenised is remembered for nobody else."""
        cuts = [found.start() for found in self._control.finditer(text)] if self._tokens_of.max_size else []
        if not cuts:
            return self._tokenizer.encode(text)
        digest = hashlib.blake2b(key=salt, digest_size=16)
        names = []
        for start, stop in zip([0, *cuts], cuts, strict=False):
            digest.update(text[start:stop].encode())
            names.append(digest.digest())
        known, count = self._longest(names)
        new = self._tokenizer.encode(text[cuts[count - 1] :] if count else text)
        tokens = [*known, *new]
        controls = [at for at, token in enumerate(new) if token in self._tokenizer.control_ids]
        # Else the tokeniser sees other control tokens than these, and the last one is not where it seems to be.
        if len(controls) == len(cuts) - max(count - 1, 0):
            self._tokens_of.put(names[-1], array("i", tokens[: len(known) + controls[-1]]))
        return tokens

    def _longest(self, names: list[bytes]) -> tuple[array[int], int]:
        """The tokens of the longest text among `names` that is remembered, and how many names that is."""
        for count in range(len(names), 0, -1):
            tokens = self._tokens_of.get(names[count - 1])
            if tokens is not None:
                return tokens, count
        return array("i"), 0
