"""The engine bare and behind HTTP, fast and deterministic, in turns on this machine.

    make bench            or            python benchmarks/serving.py [--rounds 3] [--tokens 128] [--peer]

For each round: start nothing new, take turns. Three subjects, the same prompts and lengths (`ignore_eos`):

    bare            the engine in process, default settings
    deterministic   the engine in process, deterministic settings
    http            `adaptive serve` with default settings, key and store on, streamed over HTTP
    genai           OpenVINO GenAI in process with the default settings (--peer)

Prints tokens per second at each concurrency as medians, and ratios within the run, with the machine they hold for.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
from common import KEY, drain, processor, start_server

from adaptive_engine.engine import Engine, EngineOptions, GenerationRequest, SamplingParams
from adaptive_engine.registry import ModelDirectory, ensure_default_model
from adaptive_engine.types import ChatMessage

CONCURRENCY = (1, 4, 16, 32)
Run = Callable[[int, int, int], Awaitable[float]]
"""(concurrency, tokens, tag) -> tokens per second"""


def question(tag: int) -> str:
    return f"Write a long story about number {tag} and the sea."


def in_process(engine: Engine) -> Run:
    async def one(tag: int, tokens: int) -> int:
        prompt = engine.render([ChatMessage("user", question(tag))])
        params = SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True)
        *_, last = [delta async for delta in engine.submit(GenerationRequest(prompt, params))]
        return last.usage.completion_tokens if last.usage else 0

    async def run(concurrency: int, tokens: int, tag: int) -> float:
        start = time.perf_counter()
        counts = await asyncio.gather(*(one(tag + n, tokens) for n in range(concurrency)))
        return sum(counts) / (time.perf_counter() - start)

    return run


def over_http(url: str, client: httpx2.AsyncClient) -> Run:
    async def one(tag: int, tokens: int) -> int:
        body = {
            "model": "default",
            "messages": [{"role": "user", "content": question(tag)}],
            "temperature": 0,
            "max_tokens": tokens,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        usage = b""
        headers = {"Authorization": f"Bearer {KEY}"}
        async with client.stream("POST", f"{url}/api/v1/chat/completions", json=body, headers=headers) as reply:
            reply.raise_for_status()
            async for chunk in reply.aiter_bytes():
                usage = (usage + chunk)[-2000:]
        assert usage.endswith(b"data: [DONE]\n\n"), usage[-200:]
        return int(re.findall(rb'"completion_tokens":(\d+)', usage)[-1])

    async def run(concurrency: int, tokens: int, tag: int) -> float:
        start = time.perf_counter()
        counts = await asyncio.gather(*(one(tag + n, tokens) for n in range(concurrency)))
        return sum(counts) / (time.perf_counter() - start)

    return run


def genai(directory: Path, engine: Engine) -> Run:
    import numpy as np
    import openvino as ov
    import openvino_genai

    scheduler = openvino_genai.SchedulerConfig()
    scheduler.cache_size = 1
    scheduler.enable_prefix_caching = True
    pipeline = openvino_genai.ContinuousBatchingPipeline(
        str(directory), scheduler, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )

    async def run(concurrency: int, tokens: int, tag: int) -> float:
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens, config.ignore_eos, config.do_sample = tokens, True, False
        prompts = [engine.render([ChatMessage("user", question(tag + n))]) for n in range(concurrency)]
        inputs = [ov.Tensor(np.array([prompt], np.int64)) for prompt in prompts]
        start = time.perf_counter()
        results = await asyncio.to_thread(pipeline.generate, inputs, [config] * concurrency)
        return sum(len(r.m_generation_ids[0]) for r in results) / (time.perf_counter() - start)

    return run


async def measure(subjects: dict[str, Run], rounds: int, tokens: int) -> dict[str, dict[int, list[float]]]:
    results: dict[str, dict[int, list[float]]] = {name: {c: [] for c in CONCURRENCY} for name in subjects}
    for run in subjects.values():
        await run(2, 8, 10**6)
    names = list(subjects)
    for round_ in range(rounds):
        for concurrency in CONCURRENCY:
            for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
                speed = await subjects[name](concurrency, tokens, 1000 * (round_ + 1) + 100 * concurrency)
                results[name][concurrency].append(speed)
                print(f"  round {round_ + 1}  {name:14} x{concurrency:<3} {speed:7.1f} tokens/s", flush=True)
    return results


def report(results: dict[str, dict[int, list[float]]], facts: dict[str, Any]) -> None:
    print("\n" + json.dumps(facts, indent=1))
    print(f"\n{'tokens/s':14}" + "".join(f"{f'x{c}':>9}" for c in CONCURRENCY))
    medians = {name: {c: statistics.median(v) for c, v in speeds.items()} for name, speeds in results.items()}
    for name, speeds in medians.items():
        print(f"{name:14}" + "".join(f"{speeds[c]:9.1f}" for c in CONCURRENCY))
    for top, bottom in (("http", "bare"), ("deterministic", "bare"), ("bare", "genai")):
        if top in results and bottom in results:
            ratios = [
                statistics.median(a / b for a, b in zip(results[top][c], results[bottom][c], strict=True))
                for c in CONCURRENCY
            ]
            print(f"{f'{top} / {bottom}':24}" + "".join(f"{ratio:8.2f}" for ratio in ratios))


async def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--tokens", type=int, default=128)
    arguments.add_argument("--peer", action="store_true", help="also measure OpenVINO GenAI")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model: ModelDirectory = ensure_default_model(Path(folder) / "models")
        process, url, first_start = start_server(Path(folder))
        bare = Engine.load(model.path)
        exact = Engine.load(model.path, EngineOptions(precision="deterministic"))
        log = asyncio.create_task(asyncio.to_thread(drain, process))
        try:
            async with httpx2.AsyncClient(timeout=600) as client:
                subjects = {
                    "bare": in_process(bare),
                    "deterministic": in_process(exact),
                    "http": over_http(url, client),
                }
                if options.peer:
                    subjects["genai"] = genai(model.path, bare)
                results = await measure(subjects, options.rounds, options.tokens)
        finally:
            process.terminate()
            process.wait(60)
            await log
            bare.close()
            exact.close()
        process, _, second_start = start_server(Path(folder))
        process.terminate()
        drain(process)
        process.wait(60)
    facts = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "model": f"{model.key} {model.manifest.quantization}",
        "tokens": options.tokens,
        "rounds": options.rounds,
        "start_seconds": [round(first_start, 2), round(second_start, 2)],
    }
    report(results, facts)


if __name__ == "__main__":
    asyncio.run(main())
