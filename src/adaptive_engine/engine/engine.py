"""The asyncio side of an engine, which feeds the thread that runs steps.

submit, cancel          asyncio loop  ->  inbox
schedule, run, sample   engine thread (`loop.py`)
deltas                  engine thread ->  one call per loop and step  ->  TokenStream
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from collections.abc import Sequence as Seq
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from adaptive_engine.engine.admission import Backlog, Pace, QueueLimits
from adaptive_engine.engine.deadlines import too_late
from adaptive_engine.engine.detokenizer import TextStream
from adaptive_engine.engine.generation import Generation
from adaptive_engine.engine.kv_cache import BlockPool
from adaptive_engine.engine.loading import LoadedModel, load_model, read_model
from adaptive_engine.engine.loop import EngineLoop
from adaptive_engine.engine.options import EngineHealth, EngineOptions
from adaptive_engine.engine.prefix import block_names
from adaptive_engine.engine.prompt import Prompt
from adaptive_engine.engine.prompts import Prompts
from adaptive_engine.engine.runner import SCRATCH_BLOCKS
from adaptive_engine.engine.scheduler import Scheduler
from adaptive_engine.engine.sequence import GenerationRequest, Sequence
from adaptive_engine.engine.stats import EngineStats
from adaptive_engine.engine.stream import TokenStream
from adaptive_engine.engine.vision.encoder import Encoder
from adaptive_engine.errors import AdaptiveError, ContextLengthExceeded, InvalidRequest
from adaptive_engine.types import ChatMessage, ModelMemory

if TYPE_CHECKING:
    from adaptive_engine.engine.loading import ReadModel

log = logging.getLogger(__name__)

# A new engine is left alone for so long, or until its first answer.
_SETTLING_SECONDS = 3


class Engine:
    """Continuous batching of one model.

    Its methods are called on the asyncio side; steps happen in a thread of its own.
    """

    def __init__(self, name: str, model: LoadedModel, options: EngineOptions) -> None:
        self.name = name
        self.tokenizer = tokenizer = model.tokenizer
        self.vocabulary = model.vocabulary
        self.options = options
        self.recommended = model.recommended
        """Where a request does not say."""
        self.fingerprint = ""
        """The same for engines that give the same texts; who loads one says so."""
        runner = model.runner
        pool = BlockPool(
            runner.num_blocks,
            runner.shape.block_size,
            reserved=SCRATCH_BLOCKS,
            session_keep_seconds=options.session_keep_seconds,
        )
        self.max_seq_len = min(model.max_seq_len, pool.num_blocks * pool.block_size)
        self.stats = EngineStats(kv_blocks_total=pool.num_blocks)
        self._runner = runner
        self._weights_bytes = model.weights_bytes
        self._scheduler = Scheduler(
            pool,
            max_running=options.max_running,
            prefill_tokens=options.prefill_tokens,
            prefill_tokens_busy=options.prefill_tokens_busy,
            costs=runner.costs,
            speculation=options.speculation,
            max_rows=runner.max_rows,
        )
        token_bytes = tokenizer.token_bytes + [b""] * (runner.shape.vocab_size - tokenizer.vocab_size)
        self._prompts = Prompts(
            name,
            tokenizer,
            model.template,
            token_bytes,
            self.max_seq_len,
            model.sight,
            # Tokens that have left the cache gain nothing from being the same. What is still remembered depends on
            # what else ran, and deterministic text must not.
            remembered_tokens=0 if options.precision == "deterministic" else pool.num_blocks * pool.block_size,
            tokenized_tokens=pool.num_blocks * pool.block_size,
        )
        generation = Generation(token_bytes, tokenizer.special.end_ids, self.stats)
        self._queue_limits = QueueLimits(options.max_waiting, options.max_waiting_tokens)
        self._pace = Pace()
        self._encoder = _encoder(name, model, options, self.stats)
        self._loop = EngineLoop(
            name, runner, self._scheduler, generation, self._prompts, self._encoder, self._pace, self.stats
        )
        self._compiler = ThreadPoolExecutor(1, thread_name_prefix="compile-least")

    @classmethod
    def load(
        cls,
        directory: Path,
        options: EngineOptions | None = None,
        read: ReadModel | None = None,
        *,
        beside_others: bool = False,
    ) -> Engine:
        """Load a model directory and start its thread. Takes seconds: not for an event loop.

        `read` is the directory's model, if it was read already. `beside_others` takes longer and holds up less what
        else this process does.
        """
        options = options or EngineOptions()
        model = load_model(directory, options, read or read_model(directory), beside_others=beside_others)
        engine = cls(directory.name, model, options)
        engine._loop.start()
        if model.speed_up is not None:
            engine._compiler.submit(engine._speed_up, model.speed_up)
        engine._compiler.shutdown(wait=False)
        return engine

    def _speed_up(self, speed_up: Callable[[], None]) -> None:
        """In a thread of its own: the engine answers without it meanwhile, and first of all whoever waited for it."""
        self._loop.answered.wait(_SETTLING_SECONDS)
        if self._loop.closing:
            return
        try:
            speed_up()
        except Exception:
            log.exception("the engine of %s goes on without a graph for its smallest steps", self.name)

    def render(self, messages: list[ChatMessage], salt: bytes = b"") -> Prompt:
        """The prompt of `messages`; `salt` is whose answers it may contain. See `Prompts.render`."""
        return self._prompts.render(messages, salt)

    def require_fits(self, prompt: Prompt) -> None:
        """Raises ContextLengthExceeded."""
        if len(prompt) > self.max_seq_len:
            raise ContextLengthExceeded(len(prompt), self.max_seq_len, self.name)

    def room(self, prompt: Prompt) -> int:
        """Most tokens that can be generated behind `prompt`."""
        # The last of them needs no place in the cache.
        return self.max_seq_len - len(prompt) + 1

    def submit(self, request: GenerationRequest) -> TokenStream:
        """Queue a generation and return its stream; must be called on the loop that will read it.

        Raises what `submit_all` raises.
        """
        return self.submit_all([request])[0]

    def submit_all(
        self,
        choices: Seq[GenerationRequest],
        make_stream: Callable[[Callable[[TokenStream], None]], TokenStream] = TokenStream,
    ) -> list[TokenStream]:
        """Queue the choices of one completion, all of them or none. They differ in their sampling only. `make_stream`
        makes each one's stream, given what cancels it.

        A first token that clearly cannot come in time is an error of the streams, not of this call.

        Raises ContextLengthExceeded, InvalidRequest (empty prompt, more choices than can ever wait), Overloaded (queue
        full), EngineFailed, or what the engine was closed with.
        """
        request = choices[0]
        if not request.prompt:
            raise InvalidRequest("The prompt is empty.", param="messages")
        self.require_fits(request.prompt)
        if not self._loop.takes_requests:
            raise self._loop.stopped()
        backlog = self.require_room(request.owner, len(choices), len(request.prompt))
        late = too_late(request, backlog.turns(request.owner), self._pace)
        streams = [make_stream(self._loop.cancel) for _ in choices]
        for choice, stream in zip(choices, streams, strict=True):
            if late is None:
                self._enqueue(choice, stream)
            else:
                stream.phase = "done"
                stream.fail(late)
        return streams

    def require_room(self, owner: bytes, choices: int, prompt_tokens: int = 0) -> Backlog:
        """What waits already. Raises InvalidRequest for more choices than can ever wait, Overloaded for more than may
        now: without `prompt_tokens`, whatever the prompt is, which then need not be rendered.
        """
        places = self._scheduler.max_running
        most = places + self._queue_limits.of_one_owner().requests
        if choices > most:
            raise InvalidRequest(f"n: this server has room for {most} choices at most.", param="n")
        backlog = Backlog(list(self._loop.sequences.values()), places, self._scheduler.extra_places)
        backlog.require_room(owner, choices, choices * prompt_tokens, self._queue_limits, self._pace)
        return backlog

    def _enqueue(self, request: GenerationRequest, stream: TokenStream) -> None:
        prompt = request.prompt
        room = self.room(prompt)
        sequence = Sequence(
            request=request,
            stream=stream,
            text=TextStream(request.params.stop, drop_first_space=self.tokenizer.drops_first_space),
            rng=_generator(request.params.seed),
            max_new_tokens=min(request.params.max_tokens or room, room),
            tokens=list(prompt.tokens),
            prompt_length=len(prompt),
            prompt_names=block_names(
                request.cache_salt, prompt.tokens, self._runner.shape.block_size, images=prompt.images
            ),
            views=self._encoder.known(prompt, request.cache_salt) if prompt.images and self._encoder else None,
        )
        self._loop.add(sequence)

    def health(self) -> EngineHealth:
        started = self._loop.step_started
        if not self._loop.alive:
            return EngineHealth(False, "the engine thread has ended")
        limit = self.options.hang_seconds
        if started is not None and time.perf_counter() - started > limit:
            return EngineHealth(False, f"a step has been running for more than {limit:g} s")
        if self._encoder is not None and self._encoder.busy_seconds() > limit:
            return EngineHealth(False, f"images have been encoded for more than {limit:g} s")
        return EngineHealth(True)

    @property
    def memory(self) -> ModelMemory:
        per_block = self._runner.shape.bytes_per_block
        used = self.stats.kv_blocks_used * per_block
        return ModelMemory(self._weights_bytes, self._runner.num_blocks * per_block, used)

    def close(self, error: Callable[[], AdaptiveError] | None = None) -> None:
        """Stop after the current step; streams that still run end with `error`, by default EngineFailed.

        Blocks for that step, and for seconds where the engine was loaded just before.
        """
        self._loop.stop(error)
        if self._encoder is not None:
            self._encoder.close()
        self._compiler.shutdown()


def _encoder(name: str, model: LoadedModel, options: EngineOptions, stats: EngineStats) -> Encoder | None:
    if model.sight is None or model.vision is None:
        return None
    together = options.precision != "deterministic"
    return Encoder(name, model.sight, model.vision, stats, cache_bytes=options.image_cache_bytes, together=together)


def _generator(seed: int | None) -> random.Random:
    # Python takes the absolute value of an integer seed; -1 and 1 shall differ.
    return random.Random(None if seed is None else seed % 2**64)
