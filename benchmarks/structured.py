"""JSON within a schema: our server against llama.cpp's, and against our own free text, in turns on this machine.

    make bench-structured     or     python benchmarks/structured.py [--rounds 3] [--no-peer] [--schema NAME]

For each round, schema and concurrency the subjects take turns, at temperature 0, with the same prompts, schemas and
token limit, the same GGUF and the same number of threads:

    ours    `adaptive serve` with key and store on, `response_format` json_schema
    llama   llama-server from the xllamacpp wheel, the same request
    free    `adaptive serve` without a schema, as many tokens as each of our objects had (`ignore_eos`)

Prompts are new in each round, so that no subject finds them cached. Prints medians per finished object, ratios within
the run, and from the engine in process the time for masks and the share of forced tokens. Exits with 1 when one of our
finished objects is not valid.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx2
import jsonschema_rs
from common import KEY, end_in_order, processor, running_server
from peers import PEER_PYTHON, llama_server

from adaptive_engine.engine import Engine, EngineOptions, GenerationRequest, SamplingParams
from adaptive_engine.grammar.checker import Checkers, schema_text
from adaptive_engine.grammar.compiler import CompiledSchema, compile_schema
from adaptive_engine.registry import ensure_default_model
from adaptive_engine.registry.catalog import DEFAULT_MODEL, fetch
from adaptive_engine.types import ChatMessage

CONCURRENCY = (1, 8)
# Requests of a round at concurrency 1, one after the other.
ALONE = 3
MAX_TOKENS = 300
SLOTS = 8
# More than the largest prompt and answer need.
SLOT_TOKENS = 2048
# Goals: llama-server's time over ours, and masks over the model's time.
FASTER, MASK_SHARE = 3.0, 0.02


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@dataclass(frozen=True)
class Task:
    schema: dict[str, Any]
    ask: str
    inputs: tuple[str, ...]

    def prompt(self, tag: int) -> str:
        """Different tags, different prompts of the same kind."""
        return f"Message {tag}. " + self.ask.format(self.inputs[tag % len(self.inputs)])


TASKS = {
    "classify": Task(
        closed(
            label={"type": "string", "enum": ["positive", "negative", "neutral"]},
            confidence={"type": "number", "minimum": 0, "maximum": 1},
            evidence_sentence_from_the_review={"type": "string", "maxLength": 60},
        ),
        "Classify this review: '{}' Answer as JSON.",
        (
            "great product, fast shipping",
            "it broke after two days",
            "the box was fine, nothing special",
            "I love the colour and the price",
            "support never answered my mail",
            "works as described",
            "too loud and far too heavy",
            "my son plays with it every day",
        ),
    ),
    "entity": Task(
        closed(
            customer_name={"type": "string", "maxLength": 20},
            order_number={"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
            shipping_address=closed(
                street_address={"type": "string", "maxLength": 20},
                postal_code={"type": "string", "pattern": "^[0-9]{5}$"},
                country={"enum": ["United States of America", "United Kingdom", "Germany"]},
            ),
            is_priority_customer={"type": "boolean"},
            requested_resolution={"enum": ["full_refund", "replacement", "store_credit"]},
        ),
        "Extract the customer, the order and the address as JSON: '{}'",
        (
            "Ada Stone, order QWE-1234, 5 Mill Lane, 90210 United States of America, wants a full refund.",
            "Jon Hill, order ABC-9911, 12 High Street, 10115 Germany, wants a replacement.",
            "Mia Wolf, order XYZ-4242, 7 Park Road, 20095 Germany, wants store credit.",
            "Tom Reed, order KLM-0007, 3 Lake View, 30301 United States of America, wants a full refund.",
            "Eve Lang, order RST-5150, 9 Bridge Street, 50667 Germany, wants a replacement.",
            "Sam Cole, order DEF-8080, 1 Sea Walk, 60601 United States of America, wants store credit.",
            "Liz Moor, order GHI-3131, 22 Station Road, 80331 Germany, wants a full refund.",
            "Ben Fry, order JKL-6006, 4 Castle Hill, 70173 Germany, wants a replacement.",
        ),
    ),
    "function": Task(
        closed(
            name={"type": "string", "enum": ["create_calendar_event", "cancel_calendar_event"]},
            arguments=closed(
                event_title={"type": "string", "maxLength": 30},
                start_date={"type": "string", "format": "date"},
                start_time={"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"},
                duration_minutes={"type": "integer", "minimum": 15, "maximum": 240},
                attendees={"type": "array", "items": {"type": "string", "maxLength": 15}, "maxItems": 3},
                priority={"type": "string", "enum": ["low", "normal", "high"]},
                send_invitations={"type": "boolean"},
            ),
        ),
        "Call the calendar function, as JSON with its name and arguments: '{}'",
        (
            "plan a review with Ada and Jon on 2026-03-02 at 10:00 for an hour",
            "cancel the dentist on 2026-04-17 at 08:30, half an hour",
            "lunch with Mia on 2026-05-20 at 12:15, 45 minutes, invite her",
            "urgent budget meeting with Tom on 2026-01-09 at 16:00, 90 minutes",
            "cancel the standup with Eve and Sam on 2026-02-11 at 09:15",
            "choir practice on 2026-06-30 at 19:00, two hours, no invitations",
            "call the bank on 2026-07-01 at 11:30, 20 minutes, low priority",
            "project start with Liz, Ben and Ada on 2026-09-14 at 13:00",
        ),
    ),
}


@dataclass(frozen=True)
class Answer:
    seconds: float
    tokens: int
    finish: str
    text: str
    problem: str | None
    """Why a finished object is not valid."""


@dataclass(frozen=True)
class Turn:
    """What one subject did in one round."""

    seconds: float
    answers: list[Answer]

    @property
    def finished(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.finish == "stop"]

    @property
    def per_object(self) -> float:
        """Milliseconds, as the client waits for them."""
        return 1000 * median(answer.seconds for answer in self.finished)

    @property
    def tokens_per_object(self) -> float:
        return sum(answer.tokens for answer in self.finished) / max(len(self.finished), 1)

    @property
    def objects_per_second(self) -> float:
        return len(self.finished) / self.seconds


class Ask(Protocol):
    async def __call__(self, tag: int, free: int | None, max_tokens: int = MAX_TOKENS) -> Answer:
        """The object for the prompt `tag`, or `free` tokens of free text."""


def asker(client: httpx2.AsyncClient, url: str, model: str, name: str) -> Ask:
    task = TASKS[name]
    validator = jsonschema_rs.validator_for(task.schema, validate_formats=True)

    async def ask(tag: int, free: int | None, max_tokens: int = MAX_TOKENS) -> Answer:
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": task.prompt(tag)}],
            "temperature": 0,
            "max_tokens": max_tokens if free is None else free,
        }
        if free is None:
            wanted = {"name": name, "schema": task.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": wanted}
        else:
            body["ignore_eos"] = True
        start = time.perf_counter()
        reply = await client.post(url, json=body, headers={"Authorization": f"Bearer {KEY}"})
        seconds = time.perf_counter() - start
        if reply.status_code != 200:
            raise RuntimeError(f"{url} answered {reply.status_code}: {reply.text[:500]}")
        answer = reply.json()
        if free is None and answer.get("warnings"):
            raise RuntimeError(f"{url} warned: {answer['warnings']}")
        choice = answer["choices"][0]
        text, finish = choice["message"]["content"], choice["finish_reason"]
        tokens = answer["usage"]["completion_tokens"]
        if free is not None:
            # It ends at its length, and is as finished as it should be.
            return Answer(seconds, tokens, "stop" if tokens == free else finish, text, None)
        return Answer(seconds, tokens, finish, text, problem(validator, text))

    return ask


def problem(validator: Any, text: str) -> str | None:
    try:
        validator.validate(json.loads(text))
    except (ValueError, jsonschema_rs.ValidationError) as exc:
        return f"{str(exc).splitlines()[0][:120]} <- {text[:160]}"
    return None


async def first_token(ask: Ask) -> int:
    """Milliseconds, with a schema that the server has not seen."""
    # Whatever else is slow the first time is not the schema's.
    await ask(90, 8)
    return round(1000 * (await ask(91, None, 1)).seconds)


async def take_turn(ask: Ask, concurrency: int, first_tag: int, free: list[int] | None = None) -> Turn:
    start = time.perf_counter()
    if concurrency == 1:
        lengths = free or [None] * ALONE
        answers = [await ask(first_tag + i, length) for i, length in enumerate(lengths)]
    else:
        lengths = free or [None] * concurrency
        answers = await asyncio.gather(*(ask(first_tag + i, length) for i, length in enumerate(lengths)))
    return Turn(time.perf_counter() - start, answers)


async def race(
    names: list[str], rounds: int, ours: str, peer: str | None
) -> tuple[dict[tuple[str, int, str], list[Turn]], dict[str, dict[str, float]]]:
    """Turns by schema, concurrency and subject; `first_token` of each schema and subject."""
    turns: dict[tuple[str, int, str], list[Turn]] = {}
    first_use: dict[str, dict[str, float]] = {}
    async with httpx2.AsyncClient(timeout=600) as client:
        for name in names:
            subjects = {"ours": asker(client, f"{ours}/api/v1/chat/completions", "default", name)}
            if peer:
                subjects["llama"] = asker(client, f"{peer}/v1/chat/completions", "default", name)
            first_use[name] = {who: await first_token(ask) for who, ask in subjects.items()}
            for round_ in range(rounds):
                for concurrency in CONCURRENCY:
                    tag = 1000 * (round_ + 1) + 100 * concurrency
                    for subject in list(subjects)[:: 1 if round_ % 2 == 0 else -1]:
                        done = {subject: await take_turn(subjects[subject], concurrency, tag)}
                        if subject == "ours":
                            lengths = [answer.tokens for answer in done["ours"].answers]
                            # Other tags than the objects had, or their prompts would be cached.
                            done["free"] = await take_turn(subjects["ours"], concurrency, tag + 48, lengths)
                        for who, turn in done.items():
                            turns.setdefault((name, concurrency, who), []).append(turn)
                            print(
                                f"  round {round_ + 1}  {name:9} x{concurrency}  {who:6}{turn.per_object:7.0f} ms "
                                f"{len(turn.finished)}/{len(turn.answers)} finished",
                                flush=True,
                            )
    return turns, first_use


async def inside(engine: Engine, names: list[str], rounds: int) -> dict[tuple[str, int], dict[str, float]]:
    """The same objects from the engine in process, for what it counts."""
    checkers = Checkers()
    found = {}
    try:
        for name in names:
            task = TASKS[name]
            compiled = compile_schema(schema_text(task.schema), engine.vocabulary, checkers)

            async def one(tag: int, task: Task = task, compiled: CompiledSchema = compiled) -> None:
                prompt = engine.render([ChatMessage("user", task.prompt(tag))])
                params = SamplingParams(temperature=0, max_tokens=MAX_TOKENS)
                async for _ in engine.submit(GenerationRequest(prompt, params, constraint=compiled.constraint())):
                    pass

            await one(99)
            for concurrency in CONCURRENCY:
                before, start = counters(engine), time.perf_counter()
                for round_ in range(rounds):
                    tags = range(1000 * (round_ + 1) + 100 * concurrency, 10**9)[: max(concurrency, ALONE)]
                    if concurrency == 1:
                        for tag in tags:
                            await one(tag)
                    else:
                        await asyncio.gather(*map(one, tags))
                wall = time.perf_counter() - start
                spent = {key: value - before[key] for key, value in counters(engine).items()}
                found[name, concurrency] = {
                    "mask_share": spent["mask_seconds"] / spent["forward_seconds"],
                    "outside_share": 1 - spent["forward_seconds"] / wall,
                    "forced_share": spent["forced_tokens"] / spent["generated_tokens"],
                    "mask_us": 1e6 * spent["mask_seconds"] / max(spent["generated_tokens"] - spent["forced_tokens"], 1),
                    "step_ms": 1e3 * spent["forward_seconds"] / spent["steps"],
                    "tokens_per_step": spent["generated_tokens"] / spent["steps"],
                }
    finally:
        checkers.close()
    return found


def counters(engine: Engine) -> dict[str, float]:
    names = ("mask_seconds", "forward_seconds", "forced_tokens", "generated_tokens", "steps")
    return {name: getattr(engine.stats, name) for name in names}


def median(values: Iterable[float]) -> float:
    """Of no values, NaN."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else math.nan


def report_race(turns: dict[tuple[str, int, str], list[Turn]]) -> bool:
    """Whether every finished object of ours was valid."""
    print(f"\n{'':13}{'':7}{'ms/object':>10}{'tokens':>8}{'objects/s':>11}{'valid':>8}{'at length':>11}")
    sound = True
    for (name, concurrency, who), all_ in turns.items():
        answers = [answer for turn in all_ for answer in turn.answers]
        finished = [answer for answer in answers if answer.finish == "stop"]
        bad = [answer.problem for answer in finished if answer.problem]
        rate = "" if who == "free" else f"{1 - len(bad) / max(len(finished), 1):.0%}"
        print(
            f"{name:10}x{concurrency:<3}{who:6}"
            f"{1000 * median(a.seconds for a in finished):10.0f}{median(t.tokens_per_object for t in all_):8.1f}"
            f"{median(t.objects_per_second for t in all_):11.2f}{rate:>8}{len(answers) - len(finished):11}"
        )
        for text in bad[:3]:
            print(f"    not valid: {text}")
        sound &= who != "ours" or not bad
    return sound


def report_ratios(turns: dict[tuple[str, int, str], list[Turn]]) -> None:
    print(f"\n{'':14}{'llama / ours':>14}{'objects/s':>11}{'free / ours':>13}{'objects/s':>11}")
    for name, concurrency in dict.fromkeys((name, c) for name, c, _ in turns):
        ours = turns[name, concurrency, "ours"]
        cells = ""
        for who, width in (("llama", 14), ("free", 13)):
            other = turns.get((name, concurrency, who))
            if other is None:
                cells += " " * (width + 11)
                continue
            pairs = list(zip(other, ours, strict=True))
            time_ratio = median(a.per_object / b.per_object for a, b in pairs)
            rates = [b.objects_per_second / a.objects_per_second for a, b in pairs if a.finished]
            cells += f"{time_ratio:{width}.2f}{median(rates):11.2f}"
            if who == "llama":
                cells += " ok " if time_ratio >= FASTER else " (!)"
        print(f"{name:10}x{concurrency:<3}{cells}")
    print(f"(!) below the goal of {FASTER:g}")


def report_inside(found: dict[tuple[str, int], dict[str, float]]) -> None:
    columns = f"{'masks/model':>12}{'us/mask':>9}{'ms/step':>9}{'tokens/step':>13}{'forced':>8}{'outside':>9}"
    print(f"\n{'in process':14}{columns}")
    for (name, concurrency), f in found.items():
        mark = "ok" if f["mask_share"] < MASK_SHARE else f"(!) above the goal of {MASK_SHARE:.0%}"
        print(
            f"{name:10}x{concurrency:<3}{f['mask_share']:12.2%}{f['mask_us']:9.0f}{f['step_ms']:9.2f}"
            f"{f['tokens_per_step']:13.2f}{f['forced_share']:8.1%}{f['outside_share']:9.1%}  {mark}"
        )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of each subject")
    arguments.add_argument("--schema", choices=TASKS, action="append", help="only this one; may be repeated")
    arguments.add_argument("--no-peer", action="store_true", help="leave llama-server out")
    arguments.add_argument("--peer-python", type=Path, default=PEER_PYTHON, help="of an environment with xllamacpp")
    options = arguments.parse_args()
    end_in_order()
    if not options.no_peer and not options.peer_python.exists():
        sys.exit(f"{options.peer_python} is missing: `make bench-structured` installs it, --no-peer goes without.")
    names = options.schema or list(TASKS)
    with tempfile.TemporaryDirectory() as folder:
        model = ensure_default_model(Path(folder) / "models")
        with ExitStack() as stack:
            env = {"ADAPTIVE_ENGINE__THREADS": str(options.threads)}
            ours = stack.enter_context(running_server(Path(folder), env)).url
            peer = None
            if not options.no_peer:
                server = llama_server(options.peer_python, fetch(DEFAULT_MODEL), options.threads, SLOTS, SLOT_TOKENS)
                peer = stack.enter_context(server).url
            turns, first_use = asyncio.run(race(names, options.rounds, ours, peer))
        engine = Engine.load(model.path, EngineOptions(threads=options.threads))
        try:
            counted = asyncio.run(inside(engine, names, options.rounds))
        finally:
            engine.close()
    facts = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": options.threads,
        "model": f"{model.key} {model.manifest.quantization}",
        "max_tokens": MAX_TOKENS,
        "rounds": options.rounds,
        "first_token_with_new_schema_ms": first_use,
    }
    print("\n" + json.dumps(facts, indent=1))
    sound = report_race(turns)
    report_ratios(turns)
    report_inside(counted)
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
