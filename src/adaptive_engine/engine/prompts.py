"""Conversations to token ids."""

from __future__ import annotations

from collections.abc import Sequence as Seq

from adaptive_engine.engine.answers import AnswerMemory
from adaptive_engine.engine.prompt import PlacedImage, Prompt
from adaptive_engine.engine.template import ChatTemplate
from adaptive_engine.engine.tokenized import TokenizedTexts
from adaptive_engine.engine.tokenizer import Disguise, Tokenizer
from adaptive_engine.engine.vision.sight import Sight
from adaptive_engine.errors import ContextLengthExceeded
from adaptive_engine.types import ChatMessage, Image


class Prompts:
    """The chat template, the tokenizer, and the answers that come back in later turns. Any thread may use it."""

    def __init__(
        self,
        model: str,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        token_bytes: Seq[bytes],
        max_seq_len: int,
        sight: Sight | None = None,
        *,
        remembered_tokens: int,
        tokenized_tokens: int,
    ) -> None:
        """`token_bytes`: what each id stands for; `remembered_tokens`: most tokens of answers that are kept;
        `tokenized_tokens`: most of the beginnings of prompts.

        `sight` says what stands for images, in a model that sees.
        """
        self._model = model
        self._tokenizer = tokenizer
        self._template = template
        self._max_seq_len = max_seq_len
        self._sight = sight
        self._tokenized = TokenizedTexts(tokenizer, tokenized_tokens)
        self._answers = AnswerMemory(token_bytes, remembered_tokens, drop_first_space=tokenizer.drops_first_space)

    def render(self, messages: list[ChatMessage], salt: bytes) -> Prompt:
        """The prompt of `messages`. Texts of control tokens inside messages stay text.

        Answers that were remembered for `salt`'s owner, at these places of this conversation, are the tokens that were
        generated. Images are left out where the model cannot see. Raises ContextLengthExceeded without tokenising a
        text that is too long whatever its tokens are, and InvalidRequest where the template does not take the messages.
        """
        size = sum(len(message.text.encode()) for message in messages)
        longest = self._tokenizer.longest_token
        if size > self._max_seq_len * longest:
            raise ContextLengthExceeded(-(-size // longest), self._max_seq_len, self._model, at_least=True)
        texts = [message.text for message in messages] + [message.name for message in messages if message.name]
        disguise = Disguise(self._tokenizer, texts)
        rendered = self._template.render([_disguised(message, disguise) for message in messages])
        images = [image for message in messages for image in message.images] if self._sight else []
        if self._sight is not None and images:
            rendered = self._sight.expand(rendered, images)
        tokens = disguise.encode(rendered) if disguise.needed else self._tokenized.encode(salt, rendered)
        placed = self._place(tokens, images)
        if any(message.role == "assistant" for message in messages):
            tokens = self._answers.restore(salt, tokens, placed)
            placed = self._place(tokens, images)
        return Prompt(tuple(tokens), placed)

    def remember(self, salt: bytes, prompt: Prompt, answer: Seq[int], shown: int) -> None:
        """Keep the tokens of an answer, of which a client saw the first `shown` characters, for the next turn."""
        self._answers.remember(salt, prompt.tokens, answer, shown, prompt.images)

    def _place(self, tokens: list[int], images: list[Image]) -> tuple[PlacedImage, ...]:
        return self._sight.place(tokens, images) if self._sight is not None and images else ()


def _disguised(message: ChatMessage, disguise: Disguise) -> ChatMessage:
    """Texts that the template will put side by side are one, so that together they are no control token either."""
    parts: list[str | Image] = []
    for part in message.parts:
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] += part
        else:
            parts.append(part)
    parts = [disguise.hide(part) if isinstance(part, str) else part for part in parts]
    return ChatMessage(message.role, tuple(parts), disguise.hide(message.name) if message.name else None)
