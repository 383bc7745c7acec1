"""The thread of an engine: it reads what is new or cancelled, runs steps, and sends what they gave."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Literal

from adaptive_engine.engine.admission import Pace
from adaptive_engine.engine.deadlines import Deadlines
from adaptive_engine.engine.generation import Generation, Mask
from adaptive_engine.engine.prompts import Prompts
from adaptive_engine.engine.runner import Runner
from adaptive_engine.engine.sampler import Logits
from adaptive_engine.engine.scheduler import Scheduler
from adaptive_engine.engine.sequence import Sequence, Slice
from adaptive_engine.engine.stats import EngineStats
from adaptive_engine.engine.stream import Outbox, TokenStream
from adaptive_engine.engine.vision.encoder import Encoder
from adaptive_engine.errors import AdaptiveError, EngineFailed
from adaptive_engine.types import Delta, FinishReason, Timings, Usage

log = logging.getLogger(__name__)

_Message = Literal["add", "cancel", "seen"] | AdaptiveError
"""What has become of a sequence. An error is why its images cannot be seen."""

# A step that takes longer than this to end may never do so.
_CLOSING_SECONDS = 10


class EngineLoop:
    """Steps of one model, in the only thread that touches its scheduler, its block pool and its runner.

    `add`, `cancel` and `stop` may be called from other threads.
    """

    def __init__(
        self,
        name: str,
        runner: Runner,
        scheduler: Scheduler,
        generation: Generation,
        prompts: Prompts,
        encoder: Encoder | None,
        pace: Pace,
        stats: EngineStats,
    ) -> None:
        """`encoder` is there where the model sees."""
        self.sequences: dict[TokenStream, Sequence] = {}
        """All that were added and have not ended."""
        self.closing = False
        self.stopped: Callable[[], AdaptiveError] = partial(EngineFailed, f"The engine of model '{name}' has stopped.")
        """Makes the error that requests meet after `stop`."""
        self.step_started: float | None = None
        """When the step began that is being run, by the performance counter."""
        self.answered = threading.Event()
        """Set by the first answer that ends, or by `stop`."""
        self._name = name
        self._runner = runner
        self._scheduler = scheduler
        self._generation = generation
        self._prompts = prompts
        self._encoder = encoder
        self._pace = pace
        self._stats = stats
        self._deadlines = Deadlines(pace)
        self._outbox = Outbox()
        # Those whose images are being encoded: the scheduler does not know them yet.
        self._unseen: set[Sequence] = set()
        # deque.append and popleft are atomic; the event only wakes an idle thread.
        self._inbox: deque[tuple[_Message, Sequence]] = deque()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"engine-{name}", daemon=True)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def takes_requests(self) -> bool:
        return not self.closing and self.alive

    def start(self) -> None:
        self._thread.start()
        if self._encoder is not None:
            self._encoder.start(self._seen)

    def add(self, sequence: Sequence) -> None:
        """Run the sequence when its turn comes. Raises `stopped`."""
        self.sequences[sequence.stream] = sequence
        self._post(("add", sequence))
        # Stopped in this moment: the thread has failed this sequence already, or will never see it.
        if self.closing and self.sequences.pop(sequence.stream, None) is not None:
            raise self.stopped()

    def cancel(self, stream: TokenStream) -> None:
        # It counts no longer from here on; the thread frees the rest before its next step.
        sequence = self.sequences.pop(stream, None)
        if sequence is not None:
            self._post(("cancel", sequence))

    def stop(self, error: Callable[[], AdaptiveError] | None) -> None:
        """End after the current step; streams that still run end with `error`, by default EngineFailed. Blocks."""
        if error is not None:
            self.stopped = error
        self.closing = True
        self._wake.set()
        self.answered.set()
        self._thread.join(_CLOSING_SECONDS)
        if self.alive:
            outbox = Outbox()
            for stream in list(self.sequences):
                outbox.put(stream, self.stopped())
            outbox.flush()

    def _seen(self, sequence: Sequence, error: AdaptiveError | None) -> None:
        self._post((error or "seen", sequence))

    def _post(self, message: tuple[_Message, Sequence]) -> None:
        self._inbox.append(message)
        self._wake.set()

    def _run(self) -> None:
        try:
            while not self.closing:
                try:
                    self._read_inbox()
                    for sequence, error in self._deadlines.missed():
                        self._fail(sequence, error)
                    if not self._scheduler.running and not self._scheduler.waiting:
                        self._rest()
                        continue
                    self._step()
                except Exception as exc:
                    log.exception("a step of the engine of %s failed", self._name)
                    reason = f"The engine failed during this request: {type(exc).__name__}."
                    self._fail_all(partial(EngineFailed, reason))
                self._outbox.flush()
        finally:
            # Whatever ended the loop: nobody waits for a thread that is gone.
            self.closing = True
            self._fail_all(self.stopped)
            self._outbox.flush()

    def _rest(self) -> None:
        """Nothing to do: check that nothing leaked, then sleep until a message comes."""
        self._scheduler.check()
        self._count()
        self._outbox.flush()
        # Images may be encoded meanwhile, for those who set a limit.
        self._wake.wait(self._deadlines.seconds_left())
        self._wake.clear()

    def _read_inbox(self) -> None:
        while self._inbox:
            message, sequence = self._inbox.popleft()
            if sequence.stream.phase == "done":
                continue
            if message == "add":
                self._deadlines.add(sequence)
                self._look(sequence)
            elif message == "seen":
                self._unseen.discard(sequence)
                self._begin(sequence)
            elif message == "cancel":
                self._remember(sequence)
                self._drop(sequence)
                self._stats.cancelled += 1
            else:
                self._fail(sequence, message)

    def _look(self, sequence: Sequence) -> None:
        """Have the images of the sequence encoded before anything else, if there are any."""
        if sequence.unseen and self._encoder is not None:
            self._unseen.add(sequence)
            self._encoder.add(sequence)
        else:
            self._begin(sequence)

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
        self.step_started = start = time.perf_counter()
        slices = self._scheduler.schedule()
        for part in slices:
            if part.sequence.admitted_at is None:
                part.sequence.admitted_at = start
                part.sequence.stream.cached_tokens = part.sequence.cached_tokens
                part.sequence.stream.phase = "prefill"
                self._stats.cached_tokens += part.sequence.cached_tokens
        sampling = [part for part in slices if part.samples]
        forward = time.perf_counter()
        self._runner.start(slices)
        # While the model computes: it needs the cores, but not the interpreter.
        try:
            masks = [self._generation.mask(part.sequence) for part in sampling]
        finally:
            logits = self._runner.finish()
        now = time.perf_counter()
        self._stats.forward_seconds += now - forward
        for part in slices:
            self._stats.prompt_tokens += max(min(part.stop, part.sequence.prompt_length) - part.start, 0)
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
        self._stats.steps += 1
        self._count()
        self.step_started = None

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
        self.answered.set()
        self._stats.finished += 1
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
        self._prompts.remember(request.cache_salt, request.prompt, answer, sequence.text.length - len(sequence.unsent))

    def _fail(self, sequence: Sequence, error: AdaptiveError) -> None:
        self._drop(sequence)
        self._stats.failed += 1
        self._outbox.put(sequence.stream, error)

    def _fail_all(self, error: Callable[[], AdaptiveError]) -> None:
        """After an error in a step neither the cache nor the bookkeeping can be trusted: begin anew."""
        self.step_started = None
        self._scheduler.reset()
        # Not the scheduler's lists: a defect may have lost a sequence from them. An error for each: raising one adds
        # to its traceback.
        for sequence in list(self.sequences.values()):
            self._fail(sequence, error())

    def _drop(self, sequence: Sequence) -> None:
        """Free what the sequence holds. Its stream hears nothing from here."""
        sequence.stream.phase = "done"
        self.sequences.pop(sequence.stream, None)
        self._deadlines.discard(sequence)
        self._unseen.discard(sequence)
        if sequence.admitted_at is not None:
            self._pace.freed_place()
        self._scheduler.remove(sequence)

    def _count(self) -> None:
        self._stats.running = len(self._scheduler.running)
        self._stats.waiting = len(self._scheduler.waiting) + len(self._unseen)
        self._stats.kv_blocks_used = self._scheduler.pool.used
        self._stats.preemptions = self._scheduler.preemptions
