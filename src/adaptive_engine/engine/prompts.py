"""Conversations to token ids."""

from __future__ import annotations

from collections.abc import Sequence as Seq

from adaptive_engine.engine.answers import AnswerMemory
from adaptive_engine.engine.template import ChatTemplate
from adaptive_engine.engine.tokenizer import Disguise, Tokenizer
from adaptive_engine.errors import ContextLengthExceeded
from adaptive_engine.types import ChatMessage


class Prompts:
    """The chat template, the tokenizer, and the answers that come back in later turns. Any thread may use it."""

    def __init__(
        self,
        model: str,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        token_bytes: Seq[bytes],
        max_seq_len: int,
        *,
        remembered_tokens: int,
    ) -> None:
        """`token_bytes`: what each id stands for; `remembered_tokens`: most tokens of answers that are kept."""
        self._model = model
        self._tokenizer = tokenizer
        self._template = template
        self._max_seq_len = max_seq_len
        self._answers = AnswerMemory(token_bytes, remembered_tokens, drop_first_space=tokenizer.drops_first_space)

    def render(self, messages: list[ChatMessage], salt: bytes) -> tuple[int, ...]:
        """The prompt of `messages` as token ids. Texts of control tokens inside messages stay text.

        Answers that were remembered for `salt`'s owner, at these places of this conversation, are the tokens that were
        generated. Raises ContextLengthExceeded without tokenising a text that is too long whatever its tokens are.
        """
        size = sum(len(message.content.encode()) for message in messages)
        longest = self._tokenizer.longest_token
        if size > self._max_seq_len * longest:
            raise ContextLengthExceeded(-(-size // longest), self._max_seq_len, self._model, at_least=True)
        texts = [m.content for m in messages] + [m.name for m in messages if m.name]
        disguise = Disguise(self._tokenizer, texts)
        rendered = self._template.render(
            [ChatMessage(m.role, disguise.hide(m.content), disguise.hide(m.name) if m.name else None) for m in messages]
        )
        prompt = disguise.encode(rendered)
        if any(message.role == "assistant" for message in messages):
            prompt = self._answers.restore(salt, prompt)
        return tuple(prompt)

    def remember(self, salt: bytes, prompt: Seq[int], answer: Seq[int], shown: int) -> None:
        """Keep the tokens of an answer, of which a client saw the first `shown` characters, for the next turn."""
        self._answers.remember(salt, prompt, answer, shown)
