"""What the logits of a step become: tokens, their text, and why an answer ends."""

from __future__ import annotations

import time
from collections.abc import Collection
from collections.abc import Sequence as Seq
from typing import NamedTuple

from adaptive_engine.engine.logprobs import forced_logprob, token_logprob
from adaptive_engine.engine.prefix import common_length
from adaptive_engine.engine.sampler import Logits, sample
from adaptive_engine.engine.sequence import Sequence, Slice
from adaptive_engine.engine.stats import EngineStats
from adaptive_engine.errors import EngineFailed, GrammarLimit
from adaptive_engine.grammar.masks import GrammarError, TokenIds
from adaptive_engine.types import FinishReason

Mask = TokenIds | GrammarError | None


class Choice(NamedTuple):
    """What a token was drawn from: logits `[vocabulary]`, and the ids that its grammar allows, ascending."""

    logits: Logits
    allowed: TokenIds | None


class Generation:
    """Adds to answers. What it raises ends one of them, and none of the others. Used by the engine's thread."""

    def __init__(self, token_bytes: Seq[bytes], end_ids: Collection[int], stats: EngineStats) -> None:
        """`token_bytes`: what each id stands for; `end_ids` end an answer."""
        self._token_bytes = token_bytes
        self._end_ids = end_ids
        self._stats = stats

    def begin(self, sequence: Sequence) -> FinishReason | None:
        """Put the tokens that the grammar begins with behind the prompt. Raises GrammarLimit."""
        constraint = sequence.request.constraint
        if constraint is None:
            return None
        try:
            forced = constraint.begin(sequence.budget)
        except GrammarError as exc:
            raise GrammarLimit(str(exc)) from exc
        self._stats.forced_tokens += len(forced)
        reason = self._extend(sequence, forced)
        sequence.prefill_length = len(sequence.tokens)
        return reason

    def mask(self, sequence: Sequence) -> Mask:
        """The tokens that may come next, or why that cannot be said; None where there is no grammar."""
        constraint = sequence.request.constraint
        if constraint is None:
            return None
        # The clock on the wall would count the model too, which has the cores meanwhile.
        start = time.thread_time()
        try:
            return constraint.allowed()
        except GrammarError as exc:
            return exc
        finally:
            self._stats.mask_seconds += time.thread_time() - start

    def go_on(self, part: Slice, logits: Logits, mask: Mask) -> tuple[int, FinishReason | None]:
        """Sample behind `part`, and behind its drafts as long as they are what was sampled.

        `logits` is `[part.samples, vocabulary]`, `mask` what may come first. Returns how many drafts came true, and why
        the answer ends if it does. Raises GrammarLimit or EngineFailed.
        """
        sequence = part.sequence
        reason = self._sample(sequence, logits[0], mask)
        while True:
            accepted = common_length(sequence.tokens[part.stop :], part.drafts)
            # The last token has to be a draft for there to be logits behind it.
            if reason is not None or part.stop + accepted < len(sequence.tokens):
                break
            reason = self._sample(sequence, logits[accepted], self.mask(sequence))
        sequence.drafter.observe(sequence.tokens[part.stop :])
        self._stats.draft_tokens += len(part.drafts)
        self._stats.accepted_tokens += accepted
        return accepted, reason

    def _sample(self, sequence: Sequence, logits: Logits, mask: Mask) -> FinishReason | None:
        """Add a token drawn from `logits`, and those that the grammar forces behind it."""
        if isinstance(mask, GrammarError):
            raise GrammarLimit(str(mask))
        token = sample(logits, sequence.request.params, sequence.rng, mask)
        if token is None:
            raise EngineFailed("The model produced numbers that are not finite.")
        tokens, constraint = [token], sequence.request.constraint
        if constraint is not None:
            try:
                tokens = constraint.take(token, sequence.budget)
            except GrammarError as exc:
                raise GrammarLimit(str(exc)) from exc
            self._stats.forced_tokens += len(tokens) - 1
        return self._extend(sequence, tokens, Choice(logits, mask))

    def _extend(self, sequence: Sequence, tokens: list[int], choice: Choice | None = None) -> FinishReason | None:
        """Add `tokens` to the answer, as far as it goes, and say why it ends there if it does.

        The first of them was drawn from `choice`, if that is given; the others were forced.
        """
        constraint, params = sequence.request.constraint, sequence.request.params
        for token in tokens:
            sequence.tokens.append(token)
            self._stats.generated_tokens += 1
            # Behind complete JSON nothing else can come.
            if token in self._end_ids and (constraint or not params.ignore_eos):
                return "stop"
            if params.logprobs is not None:
                sequence.unsent_logprobs.append(
                    token_logprob(choice.logits, choice.allowed, token, params.logprobs, self._token_bytes)
                    if choice is not None
                    else forced_logprob(token, params.logprobs, self._token_bytes)
                )
                choice = None
            sequence.unsent += sequence.text.push(self._token_bytes[token])
            if sequence.text.stopped:
                return "stop"
        if constraint is not None and constraint.finished:
            return "stop"
        if sequence.budget == 0:
            return "stop" if constraint is not None and constraint.closed else "length"
        return None
