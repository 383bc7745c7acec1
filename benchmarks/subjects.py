"""What is measured: engines in this process and servers behind HTTP, all asked through `chat`."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import openvino_genai
from client import Answer, stream_chat
from common import KEY

from adaptive_engine.engine import Engine, GenerationRequest, SamplingParams
from adaptive_engine.types import ChatMessage

Messages = list[ChatMessage]
OnArrival = Callable[[], None]
TOP_P = 0.9


def as_json(messages: Messages) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


@dataclass(frozen=True)
class Question:
    """What is to be answered with exactly `max_tokens` tokens, with TOP_P where they are not greedy."""

    messages: Messages
    max_tokens: int
    temperature: float = 0
    session: str | None = None
    """The name of the chat that the messages continue."""


class Subject(Protocol):
    async def chat(self, asked: Question, on_arrival: OnArrival | None = None) -> Answer:
        """Calls `on_arrival` with each text that comes."""


class Http:
    """A server that speaks OpenAI's chat completions."""

    def __init__(self, url: str, *, has_sessions: bool = False) -> None:
        self._url = f"{url}/chat/completions"
        self._has_sessions = has_sessions

    async def chat(self, asked: Question, on_arrival: OnArrival | None = None) -> Answer:
        body: dict[str, Any] = {
            "model": "default",
            "messages": as_json(asked.messages),
            "temperature": asked.temperature,
            "top_p": TOP_P,
            "max_tokens": asked.max_tokens,
            "ignore_eos": True,
        }
        if asked.session is not None and self._has_sessions:
            body["session_id"] = str(uuid.uuid5(uuid.NAMESPACE_OID, asked.session))
        return await stream_chat(self._url, KEY, body, on_arrival)


class Bare:
    """Our engine without the server."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def chat(self, asked: Question, on_arrival: OnArrival | None = None) -> Answer:
        started = time.perf_counter()
        prompt = self._engine.render(asked.messages)
        params = SamplingParams(asked.temperature, TOP_P, max_tokens=asked.max_tokens, ignore_eos=True)
        arrivals, text, count = [], "", 0
        async for delta in self._engine.submit(GenerationRequest(prompt, params)):
            if delta.text:
                text += delta.text
                arrivals.append(time.perf_counter())
                if on_arrival is not None:
                    on_arrival()
            if delta.usage is not None:
                count = delta.usage.completion_tokens
        return Answer(started, tuple(arrivals), time.perf_counter(), text, len(prompt), count)


class GenAI:
    """OpenVINO GenAI's pipeline for continuous batching, which has no server of its own.

    A thread runs its steps and hands the tokens to the event loop, as a server would.
    """

    CACHE_GIB = 1

    def __init__(self, directory: Path, threads: int) -> None:
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.cache_size = self.CACHE_GIB
        scheduler.enable_prefix_caching = True
        properties = {"INFERENCE_NUM_THREADS": threads}
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(str(directory), scheduler, "CPU", properties)
        self._tokenizer = self._pipeline.get_tokenizer()
        self._handles: dict[int, tuple[Any, Callable[[list[int], bool, float], None]]] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._count = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing = True
        self._wake.set()
        self._thread.join()

    async def chat(self, asked: Question, on_arrival: OnArrival | None = None) -> Answer:
        self._loop = asyncio.get_running_loop()
        started = time.perf_counter()
        prompt = self._tokenizer.apply_chat_template(as_json(asked.messages), add_generation_prompt=True)
        encoded = self._tokenizer.encode(prompt, add_special_tokens=False)
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens, config.ignore_eos, config.do_sample = asked.max_tokens, True, asked.temperature > 0
        if config.do_sample:
            config.temperature, config.top_p = asked.temperature, TOP_P
        tokens: list[int] = []
        arrivals: list[float] = []
        ended = self._loop.create_future()

        def deliver(ids: list[int], last: bool, when: float) -> None:
            if ids:
                tokens.extend(ids)
                arrivals.append(when)
                if on_arrival is not None:
                    on_arrival()
            if last:
                ended.set_result(None)

        self._count += 1
        with self._lock:
            handle = self._pipeline.add_request(self._count, encoded.input_ids, config)
            self._handles[self._count] = (handle, deliver)
        self._wake.set()
        await ended
        seconds = time.perf_counter()
        text = self._tokenizer.decode(tokens)
        return Answer(started, tuple(arrivals), seconds, text, encoded.input_ids.shape[1], len(tokens))

    def _run(self) -> None:
        while not self._closing:
            if not self._pipeline.has_non_finished_requests():
                self._wake.wait()
                self._wake.clear()
                continue
            self._pipeline.step()
            now = time.perf_counter()
            with self._lock:
                running = list(self._handles.items())
            news = []
            for number, (handle, deliver) in running:
                ids = []
                while handle.can_read():
                    for output in handle.read().values():
                        ids += output.generated_ids
                last = handle.get_status() != openvino_genai.GenerationStatus.RUNNING
                if last:
                    with self._lock:
                        del self._handles[number]
                if ids or last:
                    news.append((deliver, ids, last))
            if news and self._loop is not None:
                self._loop.call_soon_threadsafe(_deliver, news, now)


def _deliver(news: list[tuple[Callable[[list[int], bool, float], None], list[int], bool]], when: float) -> None:
    for deliver, ids, last in news:
        deliver(ids, last, when)
