"""One sequence being generated, and the slice of it that one step computes."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adaptive_engine.engine.detokenizer import TextStream
from adaptive_engine.engine.prefix import BlockName
from adaptive_engine.engine.prompt import Prompt, content
from adaptive_engine.engine.speculation import Drafter
from adaptive_engine.engine.stream import TokenStream
from adaptive_engine.types import TokenLogprob

if TYPE_CHECKING:
    from adaptive_engine.engine.vision.views import View
    from adaptive_engine.grammar.constraint import Constraint


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How tokens are chosen and when generation ends."""

    temperature: float = 1.0
    """0 is greedy."""
    top_p: float = 1.0
    seed: int | None = None
    """None draws a fresh one. The same seed and request give the same text in deterministic mode. In the fast one they
    do when nothing else runs and as much of the prompt is in the cache."""
    max_tokens: int | None = None
    """None generates until the model ends or the context is full."""
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    logprobs: int | None = None
    """How many alternatives to report for each token, with log probabilities; None reports nothing."""


@dataclass(eq=False, slots=True)
class FirstTokenLimit:
    """How long a completion may take to its first token. Its choices share one: a token of any of them meets it."""

    milliseconds: int
    since: float
    """When the time began, by `time.perf_counter`."""
    met: bool = False

    @property
    def deadline(self) -> float:
        return self.since + self.milliseconds / 1000


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """All that the engine hears about a completion."""

    prompt: Prompt
    params: SamplingParams = SamplingParams()
    cache_salt: bytes = b""
    """Requests share cached prefixes only when their salts are equal; at most 64 bytes."""
    session: bytes | None = None
    """The conversation of `cache_salt`'s owner that this is a turn of; its cache is kept longer. None is no session."""
    owner: bytes = b""
    """Whose request this is: owners that have work get equal shares of the engine."""
    constraint: Constraint | None = None
    """The grammar that the answer has to match, at its start and for this generation alone; None is free text."""
    first_token_limit: FirstTokenLimit | None = None
    background: bool = False
    """Gets on with what requests in the foreground leave over, and gives way to them."""


@dataclass(eq=False, slots=True)
class Sequence:
    """The state of one generation.

    Ranges of `tokens`, in order:

        [0, computed)         keys and values are in `blocks`
        [computed, len)       to be computed; while decoding the sampled token and those that its grammar forces
        [0, prompt_length)    the prompt; what follows was generated
        [0, prefill_length)   there before the first was sampled: the prompt, and what its grammar begins with
    """

    request: GenerationRequest
    stream: TokenStream
    text: TextStream
    rng: random.Random
    max_new_tokens: int
    tokens: list[int]
    prompt_length: int
    prompt_names: list[BlockName]
    """Names of the full blocks of the prompt, used to find a cached prefix."""
    computed: int = 0
    blocks: list[int] = field(default_factory=list)
    names: list[BlockName] = field(default_factory=list)
    """Names of the computed full blocks."""
    views: tuple[View, ...] | None = None
    """What the model sees in the place of the tokens of images; there before the sequence waits for its turn."""
    cached_tokens: int = 0
    """Prompt tokens found in the cache at first admission."""
    unsent: str = ""
    """Text that is final and not sent yet."""
    unsent_logprobs: list[TokenLogprob] = field(default_factory=list)
    prefill_length: int = field(init=False)
    drafter: Drafter = field(default_factory=Drafter)
    preemptions: int = 0
    charged: int = 0
    """Its owner's share was charged for the tokens before this one."""
    passed: int = 0
    """How many others were admitted in its turn, because there was not enough room for it."""
    submitted_at: float = field(default_factory=time.perf_counter)
    admitted_at: float | None = None
    first_token_at: float | None = None

    def __post_init__(self) -> None:
        self.prefill_length = len(self.tokens)

    @property
    def unseen(self) -> bool:
        """Its images are not encoded yet."""
        return self.views is None and bool(self.request.prompt.images)

    def content(self, start: int, stop: int) -> list[object]:
        """The tokens `[start, stop)`, and what those of images show."""
        return content(self.tokens, self.request.prompt.images, start, stop)

    @property
    def generated(self) -> int:
        return len(self.tokens) - self.prompt_length

    @property
    def remaining(self) -> int:
        """Tokens whose keys and values are still to be computed."""
        return len(self.tokens) - self.computed

    @property
    def remaining_prefill(self) -> int:
        return max(self.prefill_length - self.computed, 0)

    @property
    def budget(self) -> int:
        """Tokens that may still be generated."""
        return self.max_new_tokens - self.generated


@dataclass(slots=True)
class Slice:
    """Tokens `[start, stop)` of a sequence, to be computed in one step, and drafts of those that may come behind."""

    sequence: Sequence
    start: int
    stop: int
    drafts: list[int] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return self.stop - self.start + len(self.drafts)

    @property
    def samples(self) -> int:
        """Rows whose logits are wanted: the last token of a sequence is followed by a new one, a draft perhaps too."""
        return 1 + len(self.drafts) if self.stop == len(self.sequence.tokens) else 0
