"""Structured output against a corpus of schemas: is what the masks promise true?

    make bench-corpus CORPUS=DIR     or     python benchmarks/schema_corpus.py DIR [--server] [--limit N] [--repeat N]

DIR holds three files, a JSON object a line:

    keywords.jsonl       id, schema, valid, invalid; maybe valid_text, invalid_text (raw JSON), compiles (whether the
                         schema has to be usable), known_gap (instances that are invalid and need not be refused)
    realworld.jsonl      id, schema, valid, invalid
    uncompilable.jsonl   id, schema, kind (unsupported, invalid-schema, unresolvable-ref, unsatisfiable, limit)

Always: each instance is walked through the constraint that the engine would generate with, forced tokens included. A
valid one has to be possible; an invalid one has to be impossible, or refused by the validator where a note says that a
keyword is not enforced. Prints how long compiling and masks take.

With --server: starts one, and lets the real model answer within every schema of the first two files at temperature 1.5,
8 at a time, then once more with `complete`. An answer that ended by itself has to parse and to validate, unless a
warning says otherwise; with `complete`, every answer has to. Then the schemas of the third file, one by one.

Exits with 1 when a goal is missed.
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
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
from common import KEY, end_in_order, percentile, processor, running_server

from adaptive_engine.engine.tokenizer import SpecialTokens, read_definition
from adaptive_engine.grammar.checker import Checkers, schema_text
from adaptive_engine.grammar.compiler import CompiledSchema, compile_schema
from adaptive_engine.grammar.constraint import Constraint
from adaptive_engine.grammar.masks import GrammarError, Vocabulary
from adaptive_engine.grammar.schema.report import SchemaRefused
from adaptive_engine.grammar.validator import Validator
from adaptive_engine.registry import ensure_default_model

CONCURRENCY = 8
MAX_TOKENS = 200
TEMPERATURE = 1.5
# Of each kind of defect, so many are shown.
SHOWN = 20
# Kinds that have no answer to be right about.
MUST_BE_REFUSED = {"invalid-schema", "unresolvable-ref", "unsatisfiable"}


def rows(path: Path, limit: int | None) -> list[dict[str, Any]]:
    """All lines, or about `limit` of them from all parts of the file."""
    # Not splitlines: texts hold other line ends than those of the file.
    found = [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
    return found[:: max(len(found) // limit, 1)] if limit else found


def compact(instance: Any) -> str:
    return json.dumps(instance, ensure_ascii=False, separators=(",", ":"))


# --- masks, without a model ------------------------------------------------------------------------------------------


@dataclass
class Masks:
    """What became of the instances."""

    compile_ms: list[float] = field(default_factory=list)
    mask_ms: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    defects: dict[str, list[str]] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)

    def defect(self, kind: str, what: str) -> None:
        self.defects.setdefault(kind, []).append(what)

    def remark(self, kind: str, what: str) -> None:
        self.remarks.setdefault(kind, []).append(what)


def check_masks(directory: Path, model: Path, limit: int | None) -> bool:
    vocabulary = Vocabulary.of(read_definition(model), end_ids=SpecialTokens.read(model).end_ids)
    checkers = Checkers()
    found = Masks()
    try:
        # The first one starts a process.
        compile_schema("{}", vocabulary, checkers)
        for name in ("keywords", "realworld"):
            for row in rows(directory / f"{name}.jsonl", limit):
                check_row(row, vocabulary, checkers, found)
    finally:
        checkers.close()
    print_masks(found)
    return not any(found.defects.values())


def check_row(row: dict[str, Any], vocabulary: Vocabulary, checkers: Checkers, found: Masks) -> None:
    start = time.perf_counter()
    try:
        compiled = compile_schema(schema_text(row["schema"]), vocabulary, checkers)
    except SchemaRefused as exc:
        what = f"{row['id']}: {exc.code} {exc}"
        if row["valid"] and row.get("compiles", True):
            found.defect("usable schema refused", what)
        elif row["valid"]:
            found.remark("schema with valid instances refused", what)
        else:
            found.counts["schema without instances refused"] += 1
        return
    found.compile_ms.append(1000 * (time.perf_counter() - start))
    found.counts[verdict(compiled)] += 1
    for text in [*map(compact, row["valid"]), *row.get("valid_text", ())]:
        check_valid(row, compiled, text, found)
    for text in [*map(compact, row["invalid"]), *row.get("invalid_text", ())]:
        check_invalid(row, compiled, text, found)
    for text in map(compact, row.get("known_gap", ())):
        accepted = possible(compiled, text, found.mask_ms)[0] and violation(compiled, text) is None
        found.counts["known gap accepted" if accepted else "known gap refused"] += 1


def verdict(compiled: CompiledSchema) -> str:
    if compiled.grammar is None:
        return "schema not enforced"
    return "schema enforced" if compiled.normalised.exact else "schema partly enforced"


def check_valid(row: dict[str, Any], compiled: CompiledSchema, text: str, found: Masks) -> None:
    accepted, where = possible(compiled, text, found.mask_ms)
    narrowed = [note.keyword for note in compiled.normalised.notes if note.kind == "narrowed"]
    what = f"{row['id']}: {text[:200]}"
    if not accepted and narrowed and not row.get("compiles", True):
        found.remark("valid instance impossible, as a note says", f"{what} ({', '.join(narrowed)}; {where})")
    elif not accepted:
        found.defect("wrongly refused", f"{what} ({where})")
    elif said := violation(compiled, text):
        # Opinions differ on formats: the corpus was labelled with other validators.
        found.remark("valid instance that the validator calls invalid", f"{what} ({said})")
    else:
        found.counts["valid accepted"] += 1


def check_invalid(row: dict[str, Any], compiled: CompiledSchema, text: str, found: Masks) -> None:
    if not possible(compiled, text, found.mask_ms)[0]:
        found.counts["invalid impossible"] += 1
    elif violation(compiled, text) is not None:
        found.counts["invalid refused by the validator"] += 1
    else:
        found.defect("wrongly accepted", f"{row['id']}: {text[:200]}")


def violation(compiled: CompiledSchema, text: str) -> str | None:
    return Validator(json.loads(compiled.text)).violation(text)


def possible(compiled: CompiledSchema, text: str, mask_ms: list[float]) -> tuple[bool, str]:
    """Whether the engine could generate `text` and end there, and otherwise where not."""
    if compiled.grammar is None:
        return True, ""
    vocabulary = compiled.grammar.vocabulary
    try:
        return walk(compiled.constraint(), vocabulary, text.encode(), mask_ms)
    except GrammarError as exc:
        return False, f"masks failed: {exc}"


def walk(constraint: Constraint, vocabulary: Vocabulary, text: bytes, mask_ms: list[float]) -> tuple[bool, str]:
    rest = text
    tokens = constraint.begin(1 << 20)
    while True:
        for token in tokens:
            piece = vocabulary.token_bytes[token]
            if token in vocabulary.end_ids:
                return not rest, f"ends before {rest[:40]!r}"
            if not rest.startswith(piece):
                return False, f"forces {piece!r} before {rest[:40]!r}"
            rest = rest[len(piece) :]
        if constraint.finished:
            return not rest, f"ends before {rest[:40]!r}"
        start = time.perf_counter()
        allowed = constraint.allowed()
        mask_ms.append(1000 * (time.perf_counter() - start))
        wanted = vocabulary.encode(rest)[0] if rest else vocabulary.end_ids[0]
        place = bisect_left(allowed, wanted)
        if place == len(allowed) or allowed[place] != wanted:
            return False, f"refuses {rest[:40]!r}" if rest else "cannot end"
        if not rest:
            return True, ""
        tokens = constraint.take(wanted, 1 << 20)


def print_masks(found: Masks) -> None:
    print("\nmasks, without a model")
    for kind, count in sorted(found.counts.items()):
        print(f"  {count:6} {kind}")
    print_examples(found.remarks, "")
    for goal in ("wrongly accepted", "wrongly refused", "usable schema refused"):
        found.defects.setdefault(goal, [])
    print_examples(found.defects, " (goal 0)")
    for name, values in (("compile", found.compile_ms), ("mask", found.mask_ms)):
        print(
            f"  {name} ms: median {statistics.median(values):.3f}, p95 {percentile(values, 0.95):.3f}, "
            f"p99 {percentile(values, 0.99):.3f}, max {max(values):.3f} of {len(values)}"
        )


def print_examples(kinds: dict[str, list[str]], suffix: str) -> None:
    for kind, examples in kinds.items():
        print(f"  {len(examples):6} {kind}{suffix}")
        for example in examples[:SHOWN]:
            print(f"           {example[:400]}")
        if len(examples) > SHOWN:
            print(f"           and {len(examples) - SHOWN} more")


# --- answers of a server ---------------------------------------------------------------------------------------------

GOALS = {
    "not JSON": "an answer that ended by itself does not parse",
    "not valid": "nor does it validate, and nothing says so",
    "wrong verdict": "schema_valid says something else than the validator",
    "not complete": "with `complete`, an answer that did not end by itself",
    "server error": "HTTP 5xx, or no HTTP at all",
}


@dataclass
class Answers:
    counts: Counter[str] = field(default_factory=Counter)
    defects: dict[str, list[str]] = field(default_factory=lambda: {goal: [] for goal in GOALS})
    remarks: dict[str, list[str]] = field(default_factory=dict)
    tokens: int = 0


class Client:
    def __init__(self, url: str, http: httpx2.AsyncClient) -> None:
        self.url = url
        self._http = http

    async def ask(self, schema: Any, seed: int, **envelope: bool) -> httpx2.Response:
        body = {
            "model": "default",
            "messages": [{"role": "user", "content": "Invent an example, as JSON."}],
            "temperature": TEMPERATURE,
            "top_p": 1,
            "seed": seed,
            "max_tokens": MAX_TOKENS,
            "response_format": {"type": "json_schema", "json_schema": {"name": "corpus", "schema": schema, **envelope}},
        }
        return await self.post(body)

    async def post(self, body: dict[str, Any]) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {KEY}"}
        return await self._http.post(f"{self.url}/api/v1/chat/completions", json=body, headers=headers)

    async def healthy(self) -> bool:
        """Ready, and able to answer."""
        ready = await self._http.get(f"{self.url}/readyz")
        body = {"model": "default", "messages": [{"role": "user", "content": "Hello."}], "max_tokens": 4}
        return ready.status_code == 200 and (await self.post(body)).status_code == 200


async def check_answers(client: Client, corpus: list[dict[str, Any]], repeat: int, *, complete: bool) -> bool:
    found = Answers()
    waiting = iter([(row, seed) for seed in range(repeat) for row in corpus])
    start = time.perf_counter()

    async def worker() -> None:
        for row, seed in waiting:
            try:
                reply = await client.ask(row["schema"], seed, **({"complete": True} if complete else {}))
            except httpx2.HTTPError as exc:
                found.defects["server error"].append(f"{row['id']} seed {seed}: {exc!r}")
                continue
            judge(row, seed, reply, complete, found)

    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    seconds = time.perf_counter() - start
    print(f"\nanswers of the model at temperature {TEMPERATURE}{', with `complete`' if complete else ''}")
    print(f"  {found.tokens} tokens in {seconds:.0f} s")
    for kind, count in sorted(found.counts.items()):
        print(f"  {count:6} {kind}")
    print_examples(found.remarks, "")
    print_examples(found.defects, " (goal 0)")
    return not any(found.defects.values())


def judge(row: dict[str, Any], seed: int, reply: httpx2.Response, complete: bool, found: Answers) -> None:
    what = f"{row['id']} seed {seed}"
    if reply.status_code != 200:
        error = reply.json()["error"]
        said = f"HTTP {reply.status_code} {error.get('code')}"
        if reply.status_code >= 500:
            found.defects["server error"].append(f"{what}: {said} {error['message']}")
        elif row["valid"]:
            found.remarks.setdefault(f"{said} though there are valid instances", []).append(
                f"{what}: {error['message']}"
            )
        else:
            found.counts[f"{said}, no valid instances"] += 1
        return
    answer = reply.json()
    found.tokens += answer["usage"]["completion_tokens"]
    choice = answer["choices"][0]
    text = choice["message"]["content"]
    warned = {warning["code"] for warning in answer.get("warnings", ())}
    for code in warned:
        found.counts[f"answers with the warning {code}"] += 1
    finish = choice["finish_reason"]
    found.counts[f"answers that ended with {finish}"] += 1
    if finish != "stop":
        if complete:
            found.defects["not complete"].append(f"{what}: {finish} {text[-200:]}")
        return
    free = "schema_not_enforced" in warned
    try:
        instance = json.loads(
            text,
            object_pairs_hook=lambda pairs: object_of(pairs, found),
            parse_float=lambda digits: number_of(digits, found),
        )
    except ValueError as exc:
        if free:
            found.counts["not JSON, and a warning says so"] += 1
        else:
            found.defects["not JSON"].append(f"{what}: {exc} <- {text[:200]}")
        return
    broken = break_of(row["schema"], instance)
    if broken is not None:
        silent = not any(code.startswith("schema_") for code in warned)
        if silent:
            found.defects["not valid"].append(f"{what}: {broken} <- {text[:200]}")
        else:
            found.counts["not valid, and a warning says so"] += 1
    elif not free:
        found.counts["valid answers"] += 1
    if choice.get("schema_valid", broken is None) is not (broken is None):
        found.defects["wrong verdict"].append(f"{what}: {choice['schema_valid']}, {broken} <- {text[:200]}")


def object_of(pairs: list[tuple[str, Any]], found: Answers) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) < len(pairs):
        found.counts["objects with a key twice"] += 1
    return keys


def number_of(digits: str, found: Answers) -> float:
    """Validators take infinity for null, though such a number is within a schema without bounds."""
    number = float(digits)
    if math.isinf(number):
        found.counts["numbers too large for a double"] += 1
        return math.copysign(sys.float_info.max, number)
    return number


def break_of(schema: Any, instance: Any) -> str | None:
    try:
        jsonschema_rs.validator_for(schema, validate_formats=True, offline=True).validate(instance)
    except jsonschema_rs.ValidationError as exc:
        return f"/{'/'.join(map(str, exc.instance_path))}: {exc.message[:200]}"
    except (ValueError, jsonschema_rs.ReferencingError) as exc:
        return f"cannot be checked: {exc}"
    return None


# --- schemas that must not be accepted silently ----------------------------------------------------------------------


async def check_uncompilable(client: Client, directory: Path) -> bool:
    sound = True
    print("\nschemas that must not be accepted silently")
    for row in rows(directory / "uncompilable.jsonl", None):
        for strict in (False, True):
            try:
                reply = await client.ask(row["schema"], 0, strict=strict)
            except httpx2.HTTPError as exc:
                print(f"  {row['id']} {row['kind']}{' strict' if strict else ''}: no answer, {exc!r} (!)")
                sound = False
                continue
            problem = silent_acceptance(row, reply, strict)
            sound &= problem is None
            print(f"  {row['id']} {row['kind']}{' strict' if strict else ''}: {summary(reply)}")
            if problem:
                print(f"    (!) {problem}")
    healthy = await client.healthy()
    print(f"  the server is {'healthy' if healthy else 'not healthy (!)'} afterwards")
    return sound and healthy


def silent_acceptance(row: dict[str, Any], reply: httpx2.Response, strict: bool) -> str | None:
    if 400 <= reply.status_code < 500:
        return None
    if reply.status_code >= 500:
        return None if row["kind"] == "limit" else "a client's mistake became a server error"
    if row["kind"] in MUST_BE_REFUSED:
        return "it had to be refused"
    answer = reply.json()
    choice = answer["choices"][0]
    if answer.get("warnings"):
        return "strict, and a warning instead of an error" if strict else None
    try:
        broken = break_of(row["schema"], json.loads(choice["message"]["content"]))
    except ValueError:
        # Cut off, it may be the beginning of a valid answer.
        broken = "not JSON" if choice["finish_reason"] == "stop" else None
    return broken and f"nothing said, and the answer is wrong: {broken}"


def summary(reply: httpx2.Response) -> str:
    body = reply.json()
    if reply.status_code != 200:
        error = body["error"]
        return f"HTTP {reply.status_code} {error.get('code')}: {error['message']} [{error.get('param')}]"
    choice = body["choices"][0]
    warnings = "; ".join(f"{warning['code']}: {warning['message']}" for warning in body.get("warnings", ()))
    valid = f", schema_valid {choice['schema_valid']}" if "schema_valid" in choice else ""
    text = choice["message"]["content"][:60]
    return f"HTTP 200 {choice['finish_reason']}{valid} {text!r}, {warnings or 'no warnings'}"


# ---------------------------------------------------------------------------------------------------------------------


async def check_server(url: str, directory: Path, limit: int | None, repeat: int) -> bool:
    corpus = [row for name in ("keywords", "realworld") for row in rows(directory / f"{name}.jsonl", limit)]
    async with httpx2.AsyncClient(timeout=600) as http:
        client = Client(url, http)
        # Only a server that has worked already is like those of users.
        results = [
            await client.healthy(),
            await check_answers(client, corpus, repeat, complete=False),
            await check_answers(client, corpus, repeat, complete=True),
            await check_uncompilable(client, directory),
        ]
    return all(results)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("directory", type=Path, help="with keywords.jsonl, realworld.jsonl and uncompilable.jsonl")
    arguments.add_argument("--server", action="store_true", help="also with the real model, over HTTP")
    arguments.add_argument("--server-only", action="store_true", help="leave the masks without a model out")
    arguments.add_argument("--limit", type=int, help="about so many schemas of each file")
    arguments.add_argument("--repeat", type=int, default=1, help="answers to each schema")
    options = arguments.parse_args()
    end_in_order()
    sound = True
    with tempfile.TemporaryDirectory() as folder:
        model = ensure_default_model(Path(folder) / "models")
        print(f"{processor()}, {os.cpu_count()} cores, {model.key} {model.manifest.quantization}")
        if not options.server_only:
            sound &= check_masks(options.directory, model.path, options.limit)
        if options.server or options.server_only:
            with running_server(Path(folder)) as server:
                sound &= asyncio.run(check_server(server.url, options.directory, options.limit, options.repeat))
    print(f"\n{'all goals met' if sound else 'goals missed'}")
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
