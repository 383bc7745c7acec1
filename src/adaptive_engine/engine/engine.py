"""The engine: a thread that runs steps, and the asyncio side that feeds it.

submit, cancel          asyncio loop  ->  inbox
schedule, run, sample   engine thread
deltas                  engine thread ->  one call per loop and step  ->  TokenStream
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from collections.abc import Sequence as Seq
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal

from adaptive_engine.engine.admission import Backlog, Pace, QueueLimits
from adaptive_engine.engine.answers import AnswerMemory
from adaptive_engine.engine.deadlines import Deadlines, too_late
from adaptive_engine.engine.detokenizer import TextStream
from adaptive_engine.engine.generation import Generation, Mask
from adaptive_engine.engine.kv_cache import BlockPool
from adaptive_engine.engine.loading import LoadedModel, has_least_graph, load_model
from adaptive_engine.engine.options import EngineHealth, EngineOptions
from adaptive_engine.engine.prefix import block_names
from adaptive_engine.engine.runner import SCRATCH_BLOCKS, Graph, read_graph
from adaptive_engine.engine.sampler import Logits
from adaptive_engine.engine.scheduler import Scheduler
from adaptive_engine.engine.sequence import GenerationRequest, Sequence, Slice
from adaptive_engine.engine.stats import EngineStats
from adaptive_engine.engine.stream import Outbox, TokenStream
from adaptive_engine.engine.tokenizer import Disguise
from adaptive_engine.errors import (
    AdaptiveError,
    ContextLengthExceeded,
    EngineFailed,
    FirstTokenTimeout,
    InvalidRequest,
)
from adaptive_engine.types import ChatMessage, Delta, FinishReason, ModelMemory, Timings, Usage

log = logging.getLogger(__name__)

# A new engine is left alone for so long, or until its first answer.
_SETTLING_SECONDS = 3
# A step that takes longer than this to end may never do so.
_CLOSING_SECONDS = 10


class Engine:
    """Continuous batching of one model.

    `submit` and `render` belong to the asyncio side; everything else happens in the engine's own thread.
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
        self._template = model.template
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
        self._answers = AnswerMemory(
            token_bytes,
            # Tokens that have left the cache gain nothing from being the same. What is still remembered depends on
            # what else ran, and deterministic text must not.
            0 if options.precision == "deterministic" else pool.num_blocks * pool.block_size,
            drop_first_space=tokenizer.drops_first_space,
        )
        self._generation = Generation(token_bytes, tokenizer.special.end_ids, self.stats)
        self._queue_limits = QueueLimits(options.max_waiting, options.max_waiting_tokens)
        self._pace = Pace()
        self._sequences: dict[TokenStream, Sequence] = {}
        self._deadlines = Deadlines(self._pace)
        self._outbox = Outbox()
        # deque.append and popleft are atomic; the event only wakes an idle thread.
        self._inbox: deque[tuple[Literal["add", "cancel"], Sequence]] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._stopped: Callable[[], AdaptiveError] = partial(EngineFailed, f"The engine of model '{name}' has stopped.")
        self._step_started: float | None = None
        self._compiler = ThreadPoolExecutor(1, thread_name_prefix="compile-least")
        self._answered = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"engine-{name}", daemon=True)

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
        engine._thread.start()
        if has_least_graph(directory):
            engine._compiler.submit(engine._add_least_graph, graph)
        engine._compiler.shutdown(wait=False)
        return engine

    def _add_least_graph(self, graph: Graph) -> None:
        """In a thread of its own: the engine answers without it meanwhile, and first of all whoever waited for it."""
        self._answered.wait(_SETTLING_SECONDS)
        if self._closing:
            return
        try:
            self._runner.add_least_graph(graph)
        except Exception:
            log.exception("the engine of %s goes on without a graph for its smallest steps", self.name)

    def render(self, messages: list[ChatMessage], salt: bytes = b"") -> tuple[int, ...]:
        """The prompt of `messages` as token ids. Texts of control tokens inside messages stay text.

        Answers that this engine gave to `salt`'s owner, at these places of this conversation, are the tokens that it
        generated. Raises ContextLengthExceeded without tokenising a text that is too long whatever its tokens are.
        """
        size = sum(len(message.content.encode()) for message in messages)
        if size > self.max_seq_len * self.tokenizer.longest_token:
            least = -(-size // self.tokenizer.longest_token)
            raise ContextLengthExceeded(least, self.max_seq_len, self.name, at_least=True)
        texts = [m.content for m in messages] + [m.name for m in messages if m.name]
        disguise = Disguise(self.tokenizer, texts)
        rendered = self._template.render(
            [ChatMessage(m.role, disguise.hide(m.content), disguise.hide(m.name) if m.name else None) for m in messages]
        )
        prompt = disguise.encode(rendered)
        if any(message.role == "assistant" for message in messages):
            prompt = self._answers.restore(salt, prompt)
        return tuple(prompt)

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
        if self._closing or not self._thread.is_alive():
            raise self._stopped()
        most = self._scheduler.max_running + self._queue_limits.of_one_owner().requests
        if len(choices) > most:
            raise InvalidRequest(f"n: this server has room for {most} choices at most.", param="n")
        backlog = Backlog(list(self._sequences.values()), self._scheduler.max_running)
        tokens = len(choices) * len(request.prompt)
        backlog.require_room(request.owner, len(choices), tokens, self._queue_limits, self._pace)
        late = too_late(request, backlog.turns(request.owner), self._pace)
        return [self._enqueue(choice) if late is None else self._refused(late) for choice in choices]

    def _enqueue(self, request: GenerationRequest) -> TokenStream:
        prompt = request.prompt
        stream = TokenStream(self._cancel)
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
        self._sequences[stream] = sequence
        self._post(("add", sequence))
        # Closed since the check above: its thread has failed this sequence already, or will never see it.
        if self._closing and self._sequences.pop(stream, None) is not None:
            raise self._stopped()
        return stream

    def _refused(self, error: FirstTokenTimeout) -> TokenStream:
        stream = TokenStream(self._cancel)
        stream.phase = "done"
        stream.fail(error)
        return stream

    def health(self) -> EngineHealth:
        started = self._step_started
        if not self._thread.is_alive():
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
        if error is not None:
            self._stopped = error
        self._closing = True
        self._wake.set()
        self._answered.set()
        self._thread.join(_CLOSING_SECONDS)
        if self._thread.is_alive():
            outbox = Outbox()
            for stream in list(self._sequences):
                outbox.put(stream, self._stopped())
            outbox.flush()
        self._compiler.shutdown()

    def _cancel(self, stream: TokenStream) -> None:
        # It counts no longer from here on; the engine thread frees the rest before its next step.
        sequence = self._sequences.pop(stream, None)
        if sequence is not None:
            self._post(("cancel", sequence))

    def _post(self, message: tuple[Literal["add", "cancel"], Sequence]) -> None:
        self._inbox.append(message)
        self._wake.set()

    # --- the engine thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closing:
                try:
                    self._read_inbox()
                    for sequence, error in self._deadlines.missed():
                        self._fail(sequence, error)
                    if not self._scheduler.running and not self._scheduler.waiting:
                        self._rest()
                        continue
                    self._step()
                except Exception as exc:
                    log.exception("a step of the engine of %s failed", self.name)
                    reason = f"The engine failed during this request: {type(exc).__name__}."
                    self._fail_all(partial(EngineFailed, reason))
                self._outbox.flush()
        finally:
            # Whatever ended the loop: nobody waits for a thread that is gone.
            self._closing = True
            self._fail_all(self._stopped)
            self._outbox.flush()

    def _rest(self) -> None:
        """Nothing to do: check that nothing leaked, then sleep until a message comes."""
        self._scheduler.check()
        self._count()
        self._outbox.flush()
        self._wake.wait()
        self._wake.clear()

    def _read_inbox(self) -> None:
        while self._inbox:
            kind, sequence = self._inbox.popleft()
            if sequence.stream.phase == "done":
                continue
            if kind == "add":
                self._deadlines.add(sequence)
                self._begin(sequence)
            else:
                self._remember(sequence)
                self._drop(sequence)
                self.stats.cancelled += 1

    def _begin(self, sequence: Sequence) -> None:
        """Let the sequence wait for its turn, with the tokens that its grammar begins with behind the prompt."""
        try:
            reason = self._generation.begin(sequence)
        except AdaptiveError as exc:
            self._fail(sequence, exc)
            return
        if reason is None:
            self._scheduler.add(sequence)
        else:
            self._finish(sequence, reason, time.perf_counter())

    def _step(self) -> None:
        self._step_started = start = time.perf_counter()
        slices = self._scheduler.schedule()
        for part in slices:
            if part.sequence.admitted_at is None:
                part.sequence.admitted_at = start
                part.sequence.stream.phase = "prefill"
                part.sequence.stream.cached_tokens = part.sequence.cached_tokens
                self.stats.cached_tokens += part.sequence.cached_tokens
        sampling = [part for part in slices if part.samples]
        forward = time.perf_counter()
        self._runner.start(slices)
        # While the model computes: it needs the cores, but not the interpreter.
        try:
            masks = [self._generation.mask(part.sequence) for part in sampling]
        finally:
            logits = self._runner.finish()
        now = time.perf_counter()
        self.stats.forward_seconds += now - forward
        for part in slices:
            self.stats.prompt_tokens += max(min(part.stop, part.sequence.prompt_length) - part.start, 0)
            self._scheduler.advance(part.sequence, part.stop)
        end = 0
        for part, mask in zip(sampling, masks, strict=True):
            begin, end = end, end + part.samples
            late = self._deadlines.meet(part.sequence, now)
            if late is None:
                self._generate(part, logits[begin:end], mask, now)
            else:
                self._fail(part.sequence, late)
        self._pace.worked(time.perf_counter() - start, sum(part.rows for part in slices))
        self.stats.steps += 1
        self._count()
        self._step_started = None

    def _generate(self, part: Slice, logits: Logits, mask: Mask, now: float) -> None:
        """Add what was sampled behind `part` to its answer, and send the text."""
        sequence = part.sequence
        if sequence.first_token_at is None:
            sequence.first_token_at = now
            sequence.stream.phase = "decode"
        try:
            accepted, reason = self._generation.go_on(part, logits, mask)
        except AdaptiveError as exc:
            self._emit(sequence)
            self._fail(sequence, exc)
            return
        self._scheduler.advance(sequence, part.stop + accepted)
        if reason is None:
            self._emit(sequence)
        else:
            self._finish(sequence, reason, now)

    def _emit(self, sequence: Sequence) -> None:
        """Send the text and the log probabilities that are final."""
        sequence.stream.completion_tokens = sequence.generated
        if sequence.unsent or sequence.unsent_logprobs:
            self._outbox.put(sequence.stream, Delta(sequence.unsent, logprobs=tuple(sequence.unsent_logprobs)))
            sequence.unsent, sequence.unsent_logprobs = "", []

    def _finish(self, sequence: Sequence, reason: FinishReason, now: float) -> None:
        usage = Usage(sequence.prompt_length, sequence.generated, sequence.cached_tokens)
        since = sequence.submitted_at
        timings = Timings(
            queue_ms=1000 * ((sequence.admitted_at or now) - since),
            ttft_ms=1000 * ((sequence.first_token_at or now) - since),
            total_ms=1000 * (now - since),
        )
        sequence.stream.completion_tokens = sequence.generated
        self._drop(sequence)
        self._answered.set()
        self.stats.finished += 1
        sequence.unsent += sequence.text.flush()
        self._outbox.put(
            sequence.stream, Delta(sequence.unsent, reason, usage, timings, tuple(sequence.unsent_logprobs))
        )
        sequence.unsent = ""
        self._remember(sequence)

    def _remember(self, sequence: Sequence) -> None:
        """The next turn may begin with the text that was sent."""
        request = sequence.request
        answer = sequence.tokens[sequence.prompt_length :]
        self._answers.remember(request.cache_salt, request.prompt, answer, sequence.text.length - len(sequence.unsent))

    def _fail(self, sequence: Sequence, error: AdaptiveError) -> None:
        self._drop(sequence)
        self.stats.failed += 1
        self._outbox.put(sequence.stream, error)

    def _fail_all(self, error: Callable[[], AdaptiveError]) -> None:
        """After an error in a step neither the cache nor the bookkeeping can be trusted: begin anew."""
        self._step_started = None
        self._scheduler.reset()
        # Not the scheduler's lists: a defect may have lost a sequence from them. An error for each: raising one adds
        # to its traceback.
        for sequence in list(self._sequences.values()):
            self._fail(sequence, error())

    def _drop(self, sequence: Sequence) -> None:
        """Free what the sequence holds. Its stream hears nothing from here."""
        sequence.stream.phase = "done"
        self._sequences.pop(sequence.stream, None)
        self._deadlines.discard(sequence)
        if sequence.admitted_at is not None:
            self._pace.freed_place()
        self._scheduler.remove(sequence)

    def _count(self) -> None:
        self.stats.running = len(self._scheduler.running)
        self.stats.waiting = len(self._scheduler.waiting)
        self.stats.kv_blocks_used = self._scheduler.pool.used
        self.stats.preemptions = self._scheduler.preemptions


def _generator(seed: int | None) -> random.Random:
    # Python takes the absolute value of an integer seed; -1 and 1 shall differ.
    return random.Random(None if seed is None else seed % 2**64)
