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

from adaptive_engine.engine.admission import Backlog, Pace, QueueLimits
from adaptive_engine.engine.deadlines import too_late
from adaptive_engine.engine.detokenizer import TextStream
from adaptive_engine.engine.generation import Generation
from adaptive_engine.engine.kv_cache import BlockPool
from adaptive_engine.engine.loading import LoadedModel, has_least_graph, load_model
from adaptive_engine.engine.loop import EngineLoop
from adaptive_engine.engine.options import EngineHealth, EngineOptions
from adaptive_engine.engine.prefix import block_names
from adaptive_engine.engine.prompts import Prompts
from adaptive_engine.engine.runner import SCRATCH_BLOCKS, Graph, read_graph
from adaptive_engine.engine.scheduler import Scheduler
from adaptive_engine.engine.sequence import GenerationRequest, Sequence
from adaptive_engine.engine.stats import EngineStats
from adaptive_engine.engine.stream import TokenStream
from adaptive_engine.errors import AdaptiveError, ContextLengthExceeded, FirstTokenTimeout, InvalidRequest
from adaptive_engine.types import ChatMessage, ModelMemory

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
            row_cost=runner.row_cost if options.speculation else None,
            max_rows=runner.max_rows,
        )
        token_bytes = tokenizer.token_bytes + [b""] * (runner.shape.vocab_size - tokenizer.vocab_size)
        self._prompts = Prompts(
            name,
            tokenizer,
            model.template,
            token_bytes,
            self.max_seq_len,
            # Tokens that have left the cache gain nothing from being the same. What is still remembered depends on
            # what else ran, and deterministic text must not.
            remembered_tokens=0 if options.precision == "deterministic" else pool.num_blocks * pool.block_size,
        )
        generation = Generation(token_bytes, tokenizer.special.end_ids, self.stats)
        self._queue_limits = QueueLimits(options.max_waiting, options.max_waiting_tokens)
        self._pace = Pace()
        self._loop = EngineLoop(name, runner, self._scheduler, generation, self._prompts, self._pace, self.stats)
        self._compiler = ThreadPoolExecutor(1, thread_name_prefix="compile-least")

    @classmethod
    def load(
        cls,
        directory: Path,
        options: EngineOptions | None = None,
        graph: Graph | None = None,
        *,
        beside_others: bool = False,
    ) -> Engine:
        """Load a model directory and start its thread. Takes seconds: not for an event loop.

        `graph` is the directory's, if it was read already. `beside_others` takes longer and holds up less what else
        this process does.
        """
        options = options or EngineOptions()
        graph = graph or read_graph(directory)
        engine = cls(directory.name, load_model(directory, options, graph, beside_others=beside_others), options)
        engine._loop.start()
        if has_least_graph(directory):
            engine._compiler.submit(engine._add_least_graph, graph)
        engine._compiler.shutdown(wait=False)
        return engine

    def _add_least_graph(self, graph: Graph) -> None:
        """In a thread of its own: the engine answers without it meanwhile, and first of all whoever waited for it."""
        self._loop.answered.wait(_SETTLING_SECONDS)
        if self._loop.closing:
            return
        try:
            self._runner.add_least_graph(graph)
        except Exception:
            log.exception("the engine of %s goes on without a graph for its smallest steps", self.name)

    def render(self, messages: list[ChatMessage], salt: bytes = b"") -> tuple[int, ...]:
        """The prompt of `messages` as token ids; `salt` is whose answers it may contain. See `Prompts.render`."""
        return self._prompts.render(messages, salt)

    def require_fits(self, prompt: Seq[int]) -> None:
        """Raises ContextLengthExceeded."""
        if len(prompt) > self.max_seq_len:
            raise ContextLengthExceeded(len(prompt), self.max_seq_len, self.name)

    def room(self, prompt: Seq[int]) -> int:
        """Most tokens that can be generated behind `prompt`."""
        # The last of them needs no place in the cache.
        return self.max_seq_len - len(prompt) + 1

    def submit(self, request: GenerationRequest) -> TokenStream:
        """Queue a generation and return its stream; must be called on the loop that will read it.

        Raises what `submit_all` raises.
        """
        return self.submit_all([request])[0]

    def submit_all(self, choices: Seq[GenerationRequest]) -> list[TokenStream]:
        """Queue the choices of one completion, all of them or none. They differ in their sampling only.

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
        most = self._scheduler.max_running + self._queue_limits.of_one_owner().requests
        if len(choices) > most:
            raise InvalidRequest(f"n: this server has room for {most} choices at most.", param="n")
        backlog = Backlog(list(self._loop.sequences.values()), self._scheduler.max_running)
        tokens = len(choices) * len(request.prompt)
        backlog.require_room(request.owner, len(choices), tokens, self._queue_limits, self._pace)
        late = too_late(request, backlog.turns(request.owner), self._pace)
        return [self._enqueue(choice) if late is None else self._refused(late) for choice in choices]

    def _enqueue(self, request: GenerationRequest) -> TokenStream:
        prompt = request.prompt
        stream = TokenStream(self._loop.cancel)
        room = self.room(prompt)
        sequence = Sequence(
            request=request,
            stream=stream,
            text=TextStream(request.params.stop, drop_first_space=self.tokenizer.drops_first_space),
            rng=_generator(request.params.seed),
            max_new_tokens=min(request.params.max_tokens or room, room),
            tokens=list(prompt),
            prompt_length=len(prompt),
            prompt_names=block_names(request.cache_salt, prompt, self._runner.shape.block_size),
        )
        self._loop.add(sequence)
        return stream

    def _refused(self, error: FirstTokenTimeout) -> TokenStream:
        stream = TokenStream(self._loop.cancel)
        stream.phase = "done"
        stream.fail(error)
        return stream

    def health(self) -> EngineHealth:
        started = self._loop.step_started
        if not self._loop.alive:
            return EngineHealth(False, "the engine thread has ended")
        if started is not None and time.perf_counter() - started > self.options.hang_seconds:
            return EngineHealth(False, f"a step has been running for more than {self.options.hang_seconds:g} s")
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
        self._compiler.shutdown()


def _generator(seed: int | None) -> random.Random:
    # Python takes the absolute value of an integer seed; -1 and 1 shall differ.
    return random.Random(None if seed is None else seed % 2**64)
