"""Generated answers by their text, so that a conversation that comes back is tokenised as it was generated.

A model may spell a word with other tokens than the tokeniser would. When a client sends the answer back as text, its
tokens would differ from there on, and with them the names of the cached blocks. So the token ids of an answer are
remembered under exactly what came before it, and put in their place.

Prompts are looked at in *segments*: what stands between two control tokens. Tokenisers never merge across those, so one
segment can be replaced without a change to its neighbours. The last segment of a prompt is what the template writes to
let the model speak; with the answer behind it, it is a whole segment of the next turn's prompt.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence as Seq

from adaptive_engine.engine.detokenizer import TextStream
from adaptive_engine.engine.prompt import PlacedImage
from adaptive_engine.engine.recent import RecentlyUsed


class AnswerMemory:
    """The segments that answers became, least recently used ones forgotten first. Any thread may use it."""

    def __init__(self, token_bytes: Seq[bytes], max_tokens: int, *, drop_first_space: bool = False) -> None:
        """`token_bytes`: what each id stands for, nothing for control tokens. `max_tokens` 0 remembers nothing."""
        self._token_bytes = token_bytes
        self._drop_first_space = drop_first_space
        self._segments: RecentlyUsed[bytes, array[int]] = RecentlyUsed(max_tokens, len)

    def remember(
        self, salt: bytes, prompt: Seq[int], answer: Seq[int], shown: int, images: Seq[PlacedImage] = ()
    ) -> None:
        """Keep the tokens of `answer` that make its first `shown` characters: those that a client can have seen.

        `images` are those of the prompt. Does nothing where those characters end inside a token, or a control token is
        among the answer's that the text does not show.
        """
        if not self._segments.max_size:
            return
        text = TextStream(drop_first_space=self._drop_first_space)
        pieces: list[str] = []
        left, count = shown, 0
        while left > 0 or text.unfinished:
            if count == len(answer) or not self._token_bytes[answer[count]]:
                return
            pieces.append(text.push(self._token_bytes[answer[count]]))
            left -= len(pieces[-1])
            count += 1
        if left < 0 or count == 0:
            return
        start = len(prompt)
        while start and self._token_bytes[prompt[start - 1]]:
            start -= 1
        before = hashlib.blake2b(array("i", prompt[:start]).tobytes(), key=salt)
        name = _name(_seen(before, images, start), self._spelled(prompt[start:]) + "".join(pieces).encode())
        self._segments.put(name, array("i", [*prompt[start:], *answer[:count]]))

    def restore(self, salt: bytes, prompt: Seq[int], images: Seq[PlacedImage] = ()) -> list[int]:
        """`prompt` with the answers that are remembered as they were generated. `images` are where they stand in it."""
        if not self._segments:
            return list(prompt)
        restored: list[int] = []
        digest = hashlib.blake2b(key=salt)
        start = 0
        for end, token in enumerate(prompt):
            if self._token_bytes[token]:
                continue
            segment: Seq[int] = prompt[start:end]
            if segment:
                before = _seen(digest, images, start)
                segment = self._segments.get(_name(before, self._spelled(segment))) or segment
            whole = array("i", [*segment, token])
            digest.update(whole.tobytes())
            restored += whole
            start = end + 1
        return [*restored, *prompt[start:]]

    def _spelled(self, segment: Seq[int]) -> bytes:
        spelled = b"".join(self._token_bytes[token] for token in segment)
        # The tokeniser's own, whatever the text is.
        return spelled.removeprefix(b" ") if self._drop_first_space else spelled


def _seen(tokens: hashlib.blake2b, images: Seq[PlacedImage], stop: int) -> bytes:
    """The digest of the tokens before `stop`, and of the images among them."""
    digest = tokens.copy()
    for placed in images:
        if placed.start < stop:
            digest.update(placed.image.digest)
    return digest.digest()


def _name(before: bytes, spelled: bytes) -> bytes:
    """Of a segment: `before` is the digest of what stands in front of it, `spelled` its text."""
    return hashlib.blake2b(spelled, key=before, digest_size=16).digest()
