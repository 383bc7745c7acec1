"""The engine: a thread that runs steps, and the asyncio side that feeds it.

submit, cancel          asyncio loop  ->  inbox
schedule, run, sample   engine thread
deltas                  engine thread ->  one call per loop and step  ->  TokenStream
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from collections.abc import Sequence as Seq
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from adaptive_engine.engine.admission import Backlog, Pace, QueueLimits
from adaptive_engine.engine.answers import AnswerMemory
from adaptive_engine.engine.detokenizer import TextStream
from adaptive_engine.engine.kv_cache import BlockPool, block_names
from adaptive_engine.engine.loading import has_least_graph, load_template, recommended_sampling, weights_bytes
from adaptive_engine.engine.logprobs import forced_logprob, token_logprob
from adaptive_engine.engine.runner import SCRATCH_BLOCKS, Graph, Precision, Runner, read_graph
from adaptive_engine.engine.sampler import Logits, sample
from adaptive_engine.engine.scheduler import Scheduler
from adaptive_engine.engine.sequence import FirstTokenLimit, GenerationRequest, SamplingParams, Sequence, Slice
from adaptive_engine.engine.stats import EngineStats
from adaptive_engine.engine.stream import Delta, Timings, TokenStream
from adaptive_engine.engine.template import ChatTemplate
from adaptive_engine.engine.tokenizer import Disguise, Tokenizer
from adaptive_engine.errors import (
    AdaptiveError,
    ContextLengthExceeded,
    EngineFailed,
    FirstTokenTimeout,
    GrammarLimit,
    InvalidRequest,
)
from adaptive_engine.grammar.masks import GrammarError, TokenIds, Vocabulary
from adaptive_engine.types import ChatMessage, FinishReason, ModelMemory, Usage

log = logging.getLogger(__name__)

# A new engine is left alone for so long, or until its first answer.
_SETTLING_SECONDS = 3
# Averages may be wrong by so much before they end a request that could have met its limit.
_DOUBT = 2


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine is loaded. Sizes are in tokens unless they say otherwise."""

    precision: Precision = "fast"
    kv_cache_len: int = 32_768
    """Tokens whose keys and values fit into the cache, for all sequences together."""
    max_seq_len: int | None = None
    """Prompt and answer together; None is what the model was trained for."""
    max_running: int = 64
    max_waiting: int = 256
    """Requests beyond the running ones, at most half of them of one owner; more are refused with Overloaded."""
    max_waiting_tokens: int = 131_072
    """The same for the tokens of their prompts."""
    prefill_tokens: int = 256
    """Most prompt tokens in a step. Larger chunks gain a few percent and make everybody wait for the step's end."""
    prefill_tokens_busy: int = 64
    """The same while others decode: it bounds the gap that a long prompt causes in their streams."""
    speculation: bool = True
    """Guess tokens from the text so far where that pays. It changes no text in deterministic mode, and no
    distribution in any."""
    session_keep_seconds: float = 600.0
    """How long the cache of a session's last turn is preferred to that of others; 0 never prefers it."""
    threads: int = 0
    """Inference threads; 0 is one for each core."""
    hang_seconds: float = 60.0
    """A single step longer than this makes the engine unhealthy."""


@dataclass(frozen=True, slots=True)
class EngineHealth:
    alive: bool
    reason: str = ""


Mask = TokenIds | GrammarError | None


class Choice(NamedTuple):
    """What a token was drawn from: logits `[vocabulary]`, and the ids that its grammar allows, ascending."""

    logits: Logits
    allowed: TokenIds | None


class Engine:
    """Continuous batching of one model.

    `submit` and `render` belong to the asyncio side; everything else happens in the engine's own thread.
    """

    def __init__(self, name: str, runner: Runner, tokenizer: Tokenizer, vocabulary: Vocabulary, template: ChatTemplate,
                 max_seq_len: int, options: EngineOptions) -> None:  # fmt: skip
        self.name = name
        self.tokenizer = tokenizer
        self.vocabulary = vocabulary
        self.options = options
        self.recommended = SamplingParams()
        """How the model's authors would have it sampled, where a request does not say."""
        self.weights_bytes = 0
        self.fingerprint = ""
        """The same for engines that give the same texts; who loads one says so."""
        pool = BlockPool(
            runner.num_blocks,
            runner.shape.block_size,
            reserved=SCRATCH_BLOCKS,
            session_keep_seconds=options.session_keep_seconds,
        )
        self.max_seq_len = min(max_seq_len, pool.num_blocks * pool.block_size)
        self.stats = EngineStats(kv_blocks_total=pool.num_blocks)
        self._template = template
        self._runner = runner
        self._scheduler = Scheduler(
            pool,
            max_running=options.max_running,
            prefill_tokens=options.prefill_tokens,
            prefill_tokens_busy=options.prefill_tokens_busy,
            row_cost=runner.row_cost if options.speculation else None,
            max_rows=runner.max_rows,
        )
        self._token_bytes = tokenizer.token_bytes + [b""] * (runner.shape.vocab_size - tokenizer.vocab_size)
        self._answers = AnswerMemory(
            self._token_bytes,
            # Tokens that have left the cache gain nothing from being the same. What is still remembered depends on
            # what else ran, and deterministic text must not.
            0 if options.precision == "deterministic" else pool.num_blocks * pool.block_size,
            drop_first_space=tokenizer.drops_first_space,
        )
        self._queue_limits = QueueLimits(options.max_waiting, options.max_waiting_tokens)
        self._pace = Pace()
        self._sequences: dict[TokenStream, Sequence] = {}
        # Those whose first token has to come in time, until it has come.
        self._limited: set[Sequence] = set()
        self._outbox: dict[asyncio.AbstractEventLoop, list[tuple[TokenStream, Delta | BaseException]]] = {}
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
        with ThreadPoolExecutor(1) as elsewhere:
            # Compiling takes seconds outside Python; the rest is ready before it is.
            compiling = elsewhere.submit(
                Runner.load,
                graph,
                kv_tokens=options.kv_cache_len,
                precision=options.precision,
                threads=options.threads,
            )
            if beside_others:
                # What follows holds the interpreter, and for longer while the compiler has the cores.
                wait([compiling])
            config = json.loads((directory / "config.json").read_text("utf-8"))
            tokenizer = Tokenizer.load(directory)
            vocabulary = Vocabulary.load(directory, size=graph.vocab_size, end_ids=tokenizer.special.end_ids)
            template = load_template(directory, tokenizer)
            runner = compiling.result()
        limit = options.max_seq_len or int(config["max_position_embeddings"])
        engine = cls(directory.name, runner, tokenizer, vocabulary, template, limit, options)
        engine.recommended = recommended_sampling(directory)
        engine.weights_bytes = weights_bytes(directory)
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
        except RuntimeError:
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
        late = self._too_late(request, backlog.turns(request.owner))
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

    def _too_late(self, request: GenerationRequest, turns: int) -> FirstTokenTimeout | None:
        """Why a new request should not even wait for its first token.

        Where a place is free, it is tried: nobody knows how much of its prompt is cached.
        """
        limit = request.first_token_limit
        if limit is None:
            return None
        left = limit.deadline - time.perf_counter()
        if left <= 0:
            return FirstTokenTimeout(limit.milliseconds, "the time was over before the request could be queued")
        seconds = turns * self._pace.place_seconds
        if seconds > _DOUBT * left:
            reason = f"its turn comes when {turns} of the requests before it have ended, in about {seconds:.1f} s"
            return FirstTokenTimeout(limit.milliseconds, reason)
        return None

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
        return ModelMemory(self.weights_bytes, self._runner.num_blocks * per_block, used)

    def close(self, error: Callable[[], AdaptiveError] | None = None) -> None:
        """Stop after the current step; streams that still run end with `error`, by default EngineFailed.

        Blocks for that step, and for seconds where the engine was loaded just before.
        """
        if error is not None:
            self._stopped = error
        self._closing = True
        self._wake.set()
        self._answered.set()
        self._thread.join(10)
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
                    self._expire()
                    if not self._scheduler.running and not self._scheduler.waiting:
                        self._rest()
                        continue
                    self._step()
                except Exception as exc:
                    log.exception("a step of the engine of %s failed", self.name)
                    reason = f"The engine failed during this request: {type(exc).__name__}."
                    self._fail_all(partial(EngineFailed, reason))
                self._flush_outbox()
        finally:
            # Whatever ended the loop: nobody waits for a thread that is gone.
            self._closing = True
            self._fail_all(self._stopped)
            self._flush_outbox()

    def _rest(self) -> None:
        """Nothing to do: check that nothing leaked, then sleep until a message comes."""
        self._scheduler.check()
        self._count()
        self._flush_outbox()
        self._wake.wait()
        self._wake.clear()

    def _read_inbox(self) -> None:
        while self._inbox:
            kind, sequence = self._inbox.popleft()
            if sequence.stream.phase == "done":
                continue
            if kind == "add":
                if sequence.request.first_token_limit is not None:
                    self._limited.add(sequence)
                self._begin(sequence)
            else:
                self._remember(sequence)
                self._drop(sequence)
                self.stats.cancelled += 1

    def _begin(self, sequence: Sequence) -> None:
        """Let the sequence wait for its turn, with the tokens that its grammar begins with behind the prompt."""
        if sequence.request.constraint is None:
            self._scheduler.add(sequence)
            return
        try:
            forced = sequence.request.constraint.begin(sequence.budget)
        except GrammarError as exc:
            self._fail(sequence, GrammarLimit(str(exc)))
            return
        self.stats.forced_tokens += len(forced)
        reason = self._extend(sequence, forced)
        if reason is None:
            sequence.prefill_length = len(sequence.tokens)
            self._scheduler.add(sequence)
        else:
            self._finish(sequence, reason, time.perf_counter())

    def _expire(self) -> None:
        """End those whose first token is late, or clearly will be."""
        now = time.perf_counter()
        for sequence in list(self._limited):
            limit = sequence.request.first_token_limit
            if limit is None or limit.met:
                self._limited.discard(sequence)
                continue
            # How fast its prompt is computed is known from its first chunk on.
            begun = sequence.computed > sequence.cached_tokens
            seconds = sequence.remaining / self._pace.prompt_tokens_per_second if begun else 0.0
            if now >= limit.deadline or seconds > _DOUBT * (limit.deadline - now):
                self._fail_late(sequence, limit)

    def _in_time(self, sequence: Sequence, now: float) -> bool:
        """Whether a token sampled `now` may be the first one; the sequence fails where it may not."""
        limit = sequence.request.first_token_limit
        if limit is None or limit.met:
            return True
        limit.met = now <= limit.deadline
        if not limit.met:
            self._fail_late(sequence, limit)
        return limit.met

    def _fail_late(self, sequence: Sequence, limit: FirstTokenLimit) -> None:
        done, whole = min(sequence.computed, sequence.prompt_length), sequence.prompt_length
        waiting = "the request was waiting for its turn"
        reason = waiting if sequence.admitted_at is None else f"{done} of {whole} prompt tokens were computed"
        self._fail(sequence, FirstTokenTimeout(limit.milliseconds, reason))

    def _step(self) -> None:
        self._step_started = start = time.perf_counter()
        slices = self._scheduler.schedule()
        for part in slices:
            if part.sequence.admitted_at is None:
                part.sequence.admitted_at = start
                part.sequence.stream.phase = "prefill"
                part.sequence.stream.cached_tokens = part.sequence.cached_tokens
        sampling = [part for part in slices if part.samples]
        forward = time.perf_counter()
        self._runner.start(slices)
        # While the model computes: it needs the cores, but not the interpreter.
        try:
            masks = [self._mask(part.sequence) for part in sampling]
        finally:
            logits = self._runner.finish()
        now = time.perf_counter()
        self.stats.forward_seconds += now - forward
        for part in slices:
            self._count_prompt(part)
            self._scheduler.advance(part.sequence, part.stop)
        end = 0
        for part, mask in zip(sampling, masks, strict=True):
            begin, end = end, end + part.samples
            if self._in_time(part.sequence, now):
                self._generate(part, logits[begin:end], mask, now)
        self._pace.worked(time.perf_counter() - start, sum(part.rows for part in slices))
        self.stats.steps += 1
        self._count()
        self._step_started = None

    def _mask(self, sequence: Sequence) -> Mask:
        """The tokens that may come next, or why that cannot be said; None where there is no grammar."""
        constraint = sequence.request.constraint
        if constraint is None:
            return None
        start = time.perf_counter()
        try:
            return constraint.allowed()
        except GrammarError as exc:
            return exc
        finally:
            self.stats.mask_seconds += time.perf_counter() - start

    def _generate(self, part: Slice, logits: Logits, mask: Mask, now: float) -> None:
        """Sample behind `part`, and behind its drafts as long as they are what was sampled; send the text.

        `logits` is `[part.samples, vocabulary]`, `mask` what may come first.
        """
        sequence = part.sequence
        if sequence.first_token_at is None:
            sequence.first_token_at = now
            sequence.stream.phase = "decode"
        accepted, reason = 0, None
        while reason is None:
            try:
                if isinstance(mask, GrammarError):
                    raise GrammarLimit(str(mask))
                choice = Choice(logits[accepted], mask)
                tokens = self._next(sequence, choice)
            except AdaptiveError as exc:
                self._emit(sequence)
                self._fail(sequence, exc)
                return
            reason = self._extend(sequence, tokens, choice)
            accepted = _common(sequence.tokens[part.stop :], part.drafts)
            if part.stop + accepted < len(sequence.tokens):
                break  # The last token is not a draft: it is still to be computed.
            mask = self._mask(sequence)
        sequence.drafter.observe(sequence.tokens[part.stop :])
        self._scheduler.advance(sequence, part.stop + accepted)
        self.stats.draft_tokens += len(part.drafts)
        self.stats.accepted_tokens += accepted
        if reason is None:
            self._emit(sequence)
        else:
            self._finish(sequence, reason, now)

    def _next(self, sequence: Sequence, choice: Choice) -> list[int]:
        """A token drawn from `choice`, and those that the grammar forces behind it. Raises AdaptiveError."""
        token = sample(choice.logits, sequence.request.params, sequence.rng, choice.allowed)
        if token is None:
            raise EngineFailed("The model produced numbers that are not finite.")
        constraint = sequence.request.constraint
        if constraint is None:
            return [token]
        try:
            tokens = constraint.take(token, sequence.budget)
        except GrammarError as exc:
            raise GrammarLimit(str(exc)) from exc
        self.stats.forced_tokens += len(tokens) - 1
        return tokens

    def _emit(self, sequence: Sequence) -> None:
        """Send the text and the log probabilities that are final."""
        if sequence.unsent or sequence.unsent_logprobs:
            self._send(sequence.stream, Delta(sequence.unsent, logprobs=tuple(sequence.unsent_logprobs)))
            sequence.unsent, sequence.unsent_logprobs = "", []

    def _extend(self, sequence: Sequence, tokens: list[int], choice: Choice | None = None) -> FinishReason | None:
        """Add `tokens` to the answer, as far as it goes, and say why it ends there if it does.

        The first of them was drawn from `choice`, if that is given; the others were forced.
        """
        constraint, params = sequence.request.constraint, sequence.request.params
        for token in tokens:
            sequence.tokens.append(token)
            sequence.stream.completion_tokens = sequence.generated
            self.stats.generated_tokens += 1
            # Behind complete JSON nothing else can come.
            if token in self.tokenizer.special.end_ids and (constraint or not params.ignore_eos):
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

    def _finish(self, sequence: Sequence, reason: FinishReason, now: float) -> None:
        usage = Usage(sequence.prompt_length, sequence.generated, sequence.cached_tokens)
        since = sequence.submitted_at
        timings = Timings(
            queue_ms=1000 * ((sequence.admitted_at or now) - since),
            ttft_ms=1000 * ((sequence.first_token_at or now) - since),
            total_ms=1000 * (now - since),
        )
        self._drop(sequence)
        self._answered.set()
        self.stats.finished += 1
        sequence.unsent += sequence.text.flush()
        self._send(sequence.stream, Delta(sequence.unsent, reason, usage, timings, tuple(sequence.unsent_logprobs)))
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
        self._send(sequence.stream, error)

    def _fail_all(self, error: Callable[[], AdaptiveError]) -> None:
        """After an error in a step neither the cache nor the bookkeeping can be trusted: begin anew."""
        self._step_started = None
        self._read_inbox()
        self._scheduler.reset()
        # Not the scheduler's lists: a defect may have lost a sequence from them. An error for each: raising one adds
        # to its traceback.
        for sequence in list(self._sequences.values()):
            self._fail(sequence, error())

    def _drop(self, sequence: Sequence) -> None:
        """Free what the sequence holds. Its stream hears nothing from here."""
        sequence.stream.phase = "done"
        self._sequences.pop(sequence.stream, None)
        self._limited.discard(sequence)
        if sequence.admitted_at is not None:
            self._pace.freed_place()
        self._scheduler.remove(sequence)

    def _send(self, stream: TokenStream, message: Delta | BaseException) -> None:
        self._outbox.setdefault(stream.loop, []).append((stream, message))

    def _flush_outbox(self) -> None:
        for loop, messages in self._outbox.items():
            try:
                loop.call_soon_threadsafe(_deliver, messages)
            except RuntimeError:
                # The loop is closed: nobody is left to read.
                for stream, _ in messages:
                    stream.cancel()
        self._outbox = {}

    def _count_prompt(self, part: Slice) -> None:
        sequence = part.sequence
        if sequence.computed < sequence.prompt_length:
            if not sequence.preemptions and sequence.computed == sequence.cached_tokens:
                self.stats.cached_tokens += sequence.cached_tokens
            self.stats.prompt_tokens += min(part.stop, sequence.prompt_length) - part.start

    def _count(self) -> None:
        self.stats.running = len(self._scheduler.running)
        self.stats.waiting = len(self._scheduler.waiting)
        self.stats.kv_blocks_used = self._scheduler.pool.used
        self.stats.preemptions = self._scheduler.preemptions


def _common(tokens: list[int], drafts: list[int]) -> int:
    """How many of `drafts`, from the first, came true."""
    count = 0
    for token, draft in zip(tokens, drafts, strict=False):
        if token != draft:
            break
        count += 1
    return count


def _generator(seed: int | None) -> random.Random:
    # Python takes the absolute value of an integer seed; -1 and 1 shall differ.
    return random.Random(None if seed is None else seed % 2**64)


def _deliver(messages: list[tuple[TokenStream, Delta | BaseException]]) -> None:
    for stream, message in messages:
        if isinstance(message, Delta):
            stream.deliver(message)
        else:
            stream.fail(message)
