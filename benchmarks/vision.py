"""Requests with images: eight at once against one after the other, and what streams of text notice of them.

    make bench-vision     or     python benchmarks/vision.py [--model DIRECTORY] [--rounds 5] [--text 4] [--size 64]

In process, by default with the tiny model of the tests; DIRECTORY is one of `adaptive models import`. Every image is
new, so that nothing is cached. Prints medians of the rounds: the seconds that eight requests take one after the other
and at once, the time to encode an image, and the gaps between the tokens of text streams alone and while eight requests
with images are answered beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
from common import processor

from adaptive_engine.engine import Engine, EngineOptions, GenerationRequest, SamplingParams
from adaptive_engine.registry import import_model
from adaptive_engine.types import ChatMessage, Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from pictures import draw  # noqa: E402

REQUESTS = 8
ANSWER = 16


class Bench:
    def __init__(self, engine: Engine, size: int) -> None:
        self._engine = engine
        self._size = size
        self._pictures = np.random.default_rng(0)

    async def look(self) -> None:
        """A request with a new image."""
        image = Image.of(self._size, self._size, draw(self._pictures, size=self._size).pixels.tobytes())
        await self._answer(ChatMessage("user", (image, "What is in the picture?")), ANSWER, [])

    async def write(self, tokens: int) -> list[float]:
        """When the tokens of a text came."""
        arrivals: list[float] = []
        await self._answer(ChatMessage("user", "Count to twenty."), tokens, arrivals)
        return arrivals

    async def _answer(self, message: ChatMessage, tokens: int, arrivals: list[float]) -> None:
        prompt = await asyncio.to_thread(self._engine.render, [message])
        # Tokens without a text, which the tiny model is full of, would not be told without log probabilities; and what
        # it repeats for ever comes several tokens a step at temperature 0.
        params = SamplingParams(temperature=1, max_tokens=tokens, ignore_eos=True, logprobs=0)
        async for _ in self._engine.submit(GenerationRequest(prompt, params)):
            arrivals.append(time.perf_counter())

    async def eight(self, *, at_once: bool) -> float:
        start = time.perf_counter()
        if at_once:
            await asyncio.gather(*(self.look() for _ in range(REQUESTS)))
        else:
            for _ in range(REQUESTS):
                await self.look()
        return time.perf_counter() - start

    async def gaps(self, streams: int, *, images: bool) -> list[float]:
        """Milliseconds between tokens of text streams, for as long as the images take or would."""
        texts = [asyncio.ensure_future(self.write(400)) for _ in range(streams)]
        await asyncio.sleep(0.2)
        begin = time.perf_counter()
        if images:
            await asyncio.gather(*(self.look() for _ in range(REQUESTS)))
        end = time.perf_counter() if images else None
        arrivals = await asyncio.gather(*texts)
        between = [
            (before, after)
            for times in arrivals
            for before, after in pairwise(times)
            if begin <= after <= (end or after)
        ]
        return [1000 * (after - before) for before, after in between]


async def measure(engine: Engine, options: argparse.Namespace) -> None:
    bench = Bench(engine, options.size)
    await bench.eight(at_once=True)
    alone, together, quiet, busy = [], [], [], []
    before = engine.stats.encode_seconds, engine.stats.encoded_images
    for _ in range(options.rounds):
        alone.append(await bench.eight(at_once=False))
        together.append(await bench.eight(at_once=True))
    encoded = engine.stats.encoded_images - before[1]
    for _ in range(options.rounds):
        quiet += await bench.gaps(options.text, images=False)
        busy += await bench.gaps(options.text, images=True)
    one, many = statistics.median(alone), statistics.median(together)
    print(f"{REQUESTS} requests with an image, answers of {ANSWER} tokens: {one:.3f} s one after the other")
    print(f"                                                  {many:.3f} s at once, {one / many:.2f} times as fast")
    print(f"an image is encoded in {1000 * (engine.stats.encode_seconds - before[0]) / encoded:.1f} ms")
    for name, found in (("alone", quiet), ("beside the images", busy)):
        middle, late = statistics.median(found), statistics.quantiles(found, n=100)[98]
        print(f"{options.text} streams of text {name}: a token each {middle:.1f} ms, 99 % within {late:.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description="Requests with images.")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--text", type=int, default=4, help="streams of text")
    parser.add_argument("--size", type=int, default=64, help="of the images, in pixels")
    options = parser.parse_args()
    print(processor())
    with tempfile.TemporaryDirectory() as folder:
        tiny = ROOT / "tests/fixtures/vision_model"
        path = options.model or import_model(tiny, Path(folder), "vision").path
        with closing(Engine.load(path, EngineOptions(kv_cache_len=16_384, max_seq_len=2048))) as engine:
            asyncio.run(measure(engine, options))


if __name__ == "__main__":
    main()
