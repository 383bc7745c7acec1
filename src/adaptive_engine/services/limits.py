"""Limits of keys and projects: who is admitted, what is left, and what a request has taken in the end.

Counted in memory, over the last 60 seconds in slots of one second: no 60 seconds ever have more than the limit. Nothing
here waits or blocks, and all of it belongs to one event loop, so that looking and taking are one step.
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from functools import lru_cache
from math import ceil

from adaptive_engine.errors import AdaptiveError, RateLimited
from adaptive_engine.settings import LimitSettings
from adaptive_engine.types import UNLIMITED, LimitKind, Limits, LimitScope, Principal, Project, Usage
from adaptive_engine.wire import limits as wire
from adaptive_engine.wire.chat import ChatRequest

WINDOW_SECONDS = 60
UNKNOWN_ANSWER_TOKENS = 1024
"""What a choice reserves when its request does not say `max_tokens`."""
BYTES_PER_TOKEN = 3
"""Of a prompt that only its provider can count: fewer than most texts have, so that the estimate is rather too high."""
IMAGE_TOKENS = 1000
"""Of an image in such a prompt."""
MOST_IDLE = 1024
"""Keys and projects that are counted, before those are forgotten that asked nothing for a minute."""


class _Counter:
    """What one key or project has asked in the last minute, and what runs."""

    __slots__ = ("_slots", "requests", "running", "tokens")

    def __init__(self) -> None:
        self._slots: deque[list[int]] = deque()
        """Of each second with requests, oldest first: the second, its requests, their tokens."""
        self.requests = self.tokens = self.running = 0

    def advance(self, now: float) -> None:
        """Forget what is more than a minute old."""
        slots = self._slots
        while slots and now - slots[0][0] >= WINDOW_SECONDS + 1:
            _, requests, tokens = slots.popleft()
            self.requests -= requests
            self.tokens -= tokens

    def take(self, second: int, requests: int, tokens: int) -> None:
        """Count in this second, which is no earlier than the last that was counted in."""
        slots = self._slots
        if not slots or slots[-1][0] < second:
            slots.append([second, 0, 0])
        slots[-1][1] += requests
        slots[-1][2] += tokens
        self.requests += requests
        self.tokens += tokens

    def give_back(self, second: int, requests: int, tokens: int) -> None:
        """What was taken in a second that may be over for long: then it counts no more."""
        slot = next((slot for slot in reversed(self._slots) if slot[0] <= second), None)
        if slot is not None and slot[0] == second:
            slot[1] -= requests
            slot[2] -= tokens
            self.requests -= requests
            self.tokens -= tokens

    def until(self, now: float, *, requests: int = 0, tokens: int = 0) -> float:
        """Seconds until so many requests or tokens of the last minute count no more."""
        for second, had_requests, had_tokens in self._slots:
            requests -= had_requests
            tokens -= had_tokens
            if requests <= 0 and tokens <= 0:
                return max(0.0, second + WINDOW_SECONDS + 1 - now)
        return 0.0

    def until_empty(self, now: float) -> float:
        return max(0.0, self._slots[-1][0] + WINDOW_SECONDS + 1 - now) if self._slots else 0.0

    @property
    def idle(self) -> bool:
        return not self._slots and not self.running


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """A limited key or project, as one request meets it."""

    scope: LimitScope
    name: str
    """As its owner knows it."""
    limits: Limits
    counter: _Counter


class Hold:
    """What one request has taken: a request, a place among those that run, and tokens. `settle` or `release` it; both
    may be called again.
    """

    __slots__ = ("_limiter", "_open", "_places", "_prompt", "_reserved", "_second", "_tokens")

    def __init__(self, limiter: Limiter, places: list[_Place], second: int) -> None:
        self._limiter = limiter
        self._places = places
        self._second = self._reserved = second
        """When it took its request, and its tokens."""
        self._tokens = self._prompt = 0
        self._open = True

    def reserve(self, prompt_tokens: int, answer_tokens: int) -> None:
        """Take tokens for the prompt and all answers. Again, for a fallback, it changes nothing.

        Raises RateLimited, and then holds nothing any more.
        """
        if self._tokens:
            return
        tokens = prompt_tokens + answer_tokens
        now = self._limiter.clock()
        for place in self._places:
            limit = place.limits.tokens_per_minute
            if limit is None:
                continue
            place.counter.advance(now)
            left = limit - place.counter.tokens
            if tokens > left:
                # It takes back its own request, which would count in the headers.
                self.release()
                wait = None if tokens > limit else place.counter.until(now, tokens=tokens - left)
                raise self._limiter.refusal(self, place, "tokens_per_minute", wait, tokens)
        self._tokens, self._prompt, self._reserved = tokens, prompt_tokens, int(now)
        for place in self._places:
            place.counter.take(self._reserved, 0, tokens)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """What was raised refused the request."""
        if error is not None:
            self.release()
            if isinstance(error, AdaptiveError):
                error.headers = self.headers() | error.headers

    def settle(self, usage: Usage | None) -> None:
        """The request has ended: count what it has really used; None where it failed before it had used anything."""
        if usage is None:
            self._end(0, 0)
        else:
            # Providers that fail do not say how long the prompt was.
            self._end(0, (usage.prompt_tokens or self._prompt) + usage.completion_tokens)

    def release(self) -> None:
        """The request was refused before it was begun: it counts for nothing."""
        self._end(1, 0)

    def _end(self, requests: int, tokens: int) -> None:
        """Give back so many requests, and all tokens but these."""
        if not self._open:
            return
        self._open = False
        now = int(self._limiter.clock())
        for place in self._places:
            counter = place.counter
            counter.running -= 1
            if requests:
                counter.give_back(self._second, requests, 0)
            if tokens < self._tokens:
                counter.give_back(self._reserved, 0, self._tokens - tokens)
            elif tokens > self._tokens:
                # What nobody had asked for counts from when it is known.
                counter.take(now, 0, tokens - self._tokens)

    def headers(self) -> dict[str, str]:
        """Of the tightest limits, in OpenAI's names."""
        now = self._limiter.clock()
        found: dict[str, str] = {}
        for place in self._places:
            place.counter.advance(now)
        requests = [(p, most) for p in self._places if (most := p.limits.requests_per_minute) is not None]
        if requests:
            place, most = min(requests, key=lambda limited: limited[1] - limited[0].counter.requests)
            found |= _told("requests", most, place.counter.requests, place.counter.until_empty(now))
        tokens = [(p, most) for p in self._places if (most := p.limits.tokens_per_minute) is not None]
        if tokens:
            place, most = min(tokens, key=lambda limited: limited[1] - limited[0].counter.tokens)
            found |= _told("tokens", most, place.counter.tokens, place.counter.until_empty(now))
        return found


class Limiter:
    """Admits requests of limited keys and projects. One per server process."""

    def __init__(
        self,
        settings: LimitSettings,
        refused: Callable[[LimitScope, LimitKind], None] = lambda scope, kind: None,
        parts: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`refused` hears of each refusal. Of so many `parts` of each limit, this server lets one through; `clock`
        gives seconds.
        """
        self._key = Limits(
            settings.key_requests_per_minute, settings.key_tokens_per_minute, settings.key_concurrent_requests
        )
        self._project = Limits(
            settings.project_requests_per_minute,
            settings.project_tokens_per_minute,
            settings.project_concurrent_requests,
        )
        self._has_defaults = bool(self._key or self._project)
        self._parts = parts
        self._refused = refused
        self.clock = clock
        self._counters: dict[Hashable, _Counter] = {}
        self._forget_at = MOST_IDLE

    def admit(self, principal: Principal, project: Project) -> Hold | None:
        """Take a request and a place among those that run; None where nothing is limited. Raises RateLimited."""
        if not self._has_defaults and principal.limits is UNLIMITED and project.limits is UNLIMITED:
            return None
        now = self.clock()
        if len(self._counters) >= self._forget_at:
            self._forget_idle(now)
        places = list(self._places(principal, project))
        if not places:
            return None
        hold = Hold(self, places, int(now))
        for place in places:
            counter, limits = place.counter, place.limits
            counter.advance(now)
            if limits.concurrent_requests is not None and counter.running >= limits.concurrent_requests:
                raise self.refusal(hold, place, "concurrent_requests", 1)
            if limits.requests_per_minute is not None and counter.requests >= limits.requests_per_minute:
                excess = counter.requests - limits.requests_per_minute + 1
                raise self.refusal(hold, place, "requests_per_minute", counter.until(now, requests=excess))
            if limits.tokens_per_minute is not None and counter.tokens >= limits.tokens_per_minute:
                excess = counter.tokens - limits.tokens_per_minute + 1
                raise self.refusal(hold, place, "tokens_per_minute", counter.until(now, tokens=excess))
        for place in places:
            place.counter.running += 1
            place.counter.take(int(now), 1, 0)
        return hold

    def refusal(self, hold: Hold, place: _Place, kind: LimitKind, wait: float | None, tokens: int = 0) -> RateLimited:
        """`wait` is in seconds, None where waiting is no way out: the request takes more `tokens` than the limit."""
        self._refused(place.scope, kind)
        limit = getattr(place.limits, kind)
        who = f"{'API key' if place.scope == 'key' else 'Project'} '{place.name}'"
        what = kind.replace("_", " ")
        if wait is None:
            message = (
                f"{who} may use {limit} {what}, and this request alone may take {tokens}. "
                "Send a smaller max_tokens, a shorter prompt or fewer choices."
            )
        else:
            seconds = min(max(1, ceil(wait)), 120)
            way_out = "when one has ended" if kind == "concurrent_requests" else f"in {seconds} s"
            message = f"{who} may have {limit} {what}, which are in use. Try again {way_out}, or have the limit raised."
        return RateLimited(message, None if wait is None else seconds, hold.headers())

    def _places(self, principal: Principal, project: Project) -> Iterator[_Place]:
        # The project's first: what it lacks, no other key has either.
        for scope, name, identity, own, default in (
            ("project", project.key, project.id, project.limits, self._project),
            ("key", principal.key_id, principal.key_id, principal.limits, self._key),
        ):
            limits = _part(own, default, self._parts)
            if limits:
                counter = self._counters.get(identity)
                if counter is None:
                    counter = self._counters[identity] = _Counter()
                yield _Place(scope, name, limits, counter)  # type: ignore[arg-type]

    def _forget_idle(self, now: float) -> None:
        for counter in self._counters.values():
            counter.advance(now)
        self._counters = {known: counter for known, counter in self._counters.items() if not counter.idle}
        # Where most are busy, not again with the next one.
        self._forget_at = max(MOST_IDLE, 2 * len(self._counters))


@lru_cache(maxsize=1024)
def _part(own: Limits, default: Limits, parts: int) -> Limits:
    """What one server of so many lets through."""

    def part(limit: int | None, otherwise: int | None) -> int | None:
        limit = otherwise if limit is None else limit
        return None if limit is None else max(1, limit // parts)

    return Limits(
        part(own.requests_per_minute, default.requests_per_minute),
        part(own.tokens_per_minute, default.tokens_per_minute),
        part(own.concurrent_requests, default.concurrent_requests),
    )


def changed(before: Limits, change: wire.Limits | None) -> Limits:
    """What is absent stays as it is, null removes a limit, and no `change` at all removes each."""
    return UNLIMITED if change is None else dataclasses.replace(before, **change.model_dump(exclude_unset=True))


def estimate(request: ChatRequest, prompt_tokens: int, context_length: int) -> tuple[int, int]:
    """The most tokens that its prompt and all its answers are expected to take. `prompt_tokens` is 0 where only the
    provider can count them, `context_length` where nobody knows it.
    """
    if not prompt_tokens:
        texts = sum(len(message.text().encode()) for message in request.messages)
        images = sum(len(message.images) for message in request.messages)
        prompt_tokens = 1 + texts // BYTES_PER_TOKEN + images * IMAGE_TOKENS
    answer = request.token_limit() or UNKNOWN_ANSWER_TOKENS
    if context_length:
        answer = min(answer, max(1, context_length - prompt_tokens))
    return prompt_tokens, answer * (request.n or 1)


def _told(name: str, limit: int, used: int, reset: float) -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{name}": str(limit),
        f"x-ratelimit-remaining-{name}": str(max(0, limit - used)),
        f"x-ratelimit-reset-{name}": _duration(reset),
    }


def _duration(seconds: float) -> str:
    """`0s`, `17s`, `1m1s`."""
    minutes, rest = divmod(ceil(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
