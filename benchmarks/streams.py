"""Streams of our own server, so many at a time, and what they cost on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter

import machine
from client import Answer, stream_chat
from common import KEY, Server


@dataclass(frozen=True)
class Streams:
    answers: Sequence[Answer]
    tokens_per_second: float
    cpu_ms_per_token: float
    """Milliseconds of a processor, in the processes that were looked at."""


async def run_streams(
    server: Server, questions: Iterable[str], concurrency: int, tokens: int, pids: Sequence[int]
) -> Streams:
    """Ask for answers of exactly so many tokens; `pids` are the processes that work for them."""
    waiting = iter(questions)
    answers: list[Answer] = []

    async def client() -> None:
        for question in waiting:
            body = {
                "model": "default",
                "messages": [{"role": "user", "content": question}],
                "temperature": 0,
                "max_tokens": tokens,
                "ignore_eos": True,
            }
            answers.append(await stream_chat(f"{server.url}/api/v1/chat/completions", KEY, body))

    used, started = machine.cpu_seconds(pids), perf_counter()
    await asyncio.gather(*(client() for _ in range(concurrency)))
    seconds = perf_counter() - started
    count = len(answers) * tokens
    return Streams(answers, count / seconds, 1000 * (machine.cpu_seconds(pids) - used) / count)
