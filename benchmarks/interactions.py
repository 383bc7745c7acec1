"""How fast a project with a million interactions is listed, filtered, counted, grouped and exported.

    python benchmarks/interactions.py [--rows 1000000] [--postgresql | --store DIRECTORY | --store ADDRESS]

On SQLite, on a PostgreSQL server of its own, or in the store that is named. Builds the project `bench` where it is not
there yet (some minutes for a million), through the recorder's own inserts, then runs each query as the services do
and prints milliseconds: the median of five and the slowest by the clock, and the median of computing alone, which other
work on the machine changes less (of this process alone: PostgreSQL computes in its own).
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from adaptive_engine.services import exports
from adaptive_engine.services import interactions as service
from adaptive_engine.store import Database, groups, interactions, labels, metrics, pages, projects, scores
from adaptive_engine.store.pages import PageRequest
from adaptive_engine.store.tables import comparisons
from adaptive_engine.types import Interaction, Metric, Project, Score, Usage, now_ms, uuid7
from adaptive_engine.wire.interactions import InteractionExport, InteractionSearch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from postgres import PostgresServer

MODELS = {"smollm2": 60, "qwen3-0.6b": 25, "llama-3.2-1b": 10, "smollm2-tuned": 4.9, "canary": 0.1}
ENDS = {"complete": 96, "length": 2.5, "error": 1.0, "cancelled": 0.5}
ENVIRONMENTS = {"production": 90, "staging": 9, "test": 1}
FEATURES = [f"feature-{n}" for n in range(50)]
YEAR_MS = 365 * 24 * 3600 * 1000
BATCH = 5000
EXPORTS = (
    ("interactions", "jsonl"),
    ("messages", "jsonl"),
    ("interactions", "csv"),
    ("interactions", "parquet"),
    ("preferences", "jsonl"),
)
COMPARED = 50
"""Of each batch, in pairs."""
RARE_WORD = "xylophonist"
VOCABULARY = 5000


class Generator:
    """Rows that look like a year of traffic, the same for the same seed."""

    def __init__(self, project: Project, rows: int) -> None:
        self._rng = random.Random(7)
        self._project = project
        self._rows = rows
        self._begin = now_ms() - YEAR_MS
        words = [
            "".join(self._rng.choices("abcdefghijklmnopqrstuvwxyz", k=self._rng.randint(2, 9)))
            for _ in range(VOCABULARY)
        ]
        weights = [1 / (rank + 1) for rank in range(VOCABULARY)]
        self._texts = [" ".join(self._rng.choices(words, weights, k=self._rng.randint(20, 160))) for _ in range(20_000)]
        self._prompts = [f"Summarise ticket type {n}: {self._texts[n]}" for n in range(200)]
        self._session = uuid7()

    def row(self, at: int) -> Interaction:
        rng = self._rng
        # A third of all prompts are asked again and again.
        prompt = rng.choice(self._prompts) if rng.random() < 0.3 else f"{at} {rng.choice(self._texts)}"
        completion = rng.choice(self._texts)
        if at % (self._rows // 5) == 3:
            completion += f" {RARE_WORD}"
        if rng.random() < 0.25:
            self._session = uuid7()
        messages = [{"role": "user", "content": prompt}]
        state = _pick(rng, ENDS)
        created_at = self._begin + at * YEAR_MS // self._rows
        return Interaction(
            id=uuid7(),
            project_id=self._project.id,
            session_id=self._session,
            messages=messages,
            state=state,  # type: ignore[arg-type]
            source="OFFLINE" if rng.random() < 0.02 else "LIVE",
            created_at=created_at,
            completion=completion,
            model_key=_pick(rng, MODELS),
            request_id=f"chatcmpl-{at}",
            finish_reason="length" if state == "length" else "stop",
            user=f"user-{int(20_000 * rng.random() ** 3)}" if rng.random() < 0.8 else None,
            labels=self._labels(at),
            parameters={"temperature": 0.7, "top_p": 0.95, "seed": at, "max_tokens": 256},
            usage=Usage(len(prompt) // 4, len(completion) // 4, 0),
            timings={"queue_ms": 1.25, "ttft_ms": 80.5, "total_ms": 912.375},
            prompt_hash=hashlib.sha256(prompt.encode()).hexdigest(),
            completed_at=created_at + 900,
        )

    def _labels(self, at: int) -> dict[str, str]:
        rng = self._rng
        found = {
            "env": _pick(rng, ENVIRONMENTS),
            "feature": FEATURES[int(50 * rng.random() ** 2)],
            "customer": f"customer-{int(5000 * rng.random() ** 2)}",
        }
        share = at / self._rows
        if 0.1 < share < 0.15:
            found["experiment"] = "spring"
        if at % (self._rows // 20) == 11:
            found["incident"] = "yes"
        return found

    def scores(self, row: Interaction, helpful: Metric, quality: Metric) -> Iterator[Score]:
        if self._rng.random() < 0.1:
            yield Score(uuid7(), row.id, helpful.id, "helpful", float(self._rng.random() < 0.8), row.created_at)
        if self._rng.random() < 0.05:
            yield Score(uuid7(), row.id, quality.id, "quality", self._rng.gauss(3, 1), row.created_at)


def _pick(rng: random.Random, shares: dict[str, float]) -> str:
    return rng.choices(list(shares), list(shares.values()))[0]


def build(database: Database, rows: int) -> None:
    project = Project(uuid7(), "bench", "Bench", "", now_ms())
    helpful, quality = (
        Metric(uuid7(), project.id, key, key, kind, "HIGHER_IS_BETTER", "", None, now_ms())
        for key, kind in (("helpful", "BOOL"), ("quality", "SCALAR"))
    )
    with database.write() as connection:
        projects.create(connection, project)
        metrics.create(connection, helpful)
        metrics.create(connection, quality)
    generator = Generator(project, rows)
    begun, inserting = time.perf_counter(), 0.0
    computing = time.process_time()
    for first in range(0, rows, BATCH):
        batch = [generator.row(at) for at in range(first, min(first + BATCH, rows))]
        for at in range(1, min(COMPARED, len(batch)), 2):
            batch[at] = dataclasses.replace(batch[at], messages=batch[at - 1].messages)
        given = [score for row in batch for score in generator.scores(row, helpful, quality)]
        opened = time.perf_counter()
        with database.write() as connection:
            interactions.insert(connection, batch)
            scores.add(connection, given)
            connection.execute(comparisons.insert(), _comparisons(batch[:COMPARED], quality))
        inserting += time.perf_counter() - opened
    total = time.perf_counter() - begun
    computing = time.process_time() - computing
    print(f"built {rows} rows in {total:.0f} s, {computing:.0f} s of them computing")
    print(f"{rows / inserting:.0f} rows inserted per second, with labels and scores")


def _comparisons(batch: list[Interaction], metric: Metric) -> list[dict[str, Any]]:
    pairs = zip(batch[::2], batch[1::2], strict=False)
    return [
        {
            "id": uuid7(),
            "project_id": metric.project_id,
            "metric_id": metric.id,
            "preferred_id": one.id,
            "other_id": other.id,
            "tied": None,
            "user": None,
            "created_at": one.created_at,
        }
        for one, other in pairs
    ]


def queries(database: Database, project: Project) -> Iterator[tuple[str, dict[str, Any]]]:
    """Bodies of searches, named."""
    with database.read() as connection:
        newest = pages.list_page(
            connection, service.select(connection, project, search(project)), PageRequest(1)
        ).items[0]
    row = newest.interaction
    yield "newest", {}
    yield "model, common", {"models": ["smollm2"]}
    yield "model, rare", {"models": ["canary"]}
    yield "model, two", {"models": ["smollm2", "canary"]}
    yield "model, unknown", {"models": ["none"]}
    yield "not the common model", {"filter": {"not": {"model": {"eq": "smollm2"}}}}
    yield "model in no rows but neq", {"filter": {"model": {"neq": "none"}}}
    yield "label, common", label("env", "production")
    yield "label, 1 %", label("env", "test")
    yield "label, rare", label("incident", "yes")
    yield "label, key only, common", label("env")
    yield "label, key only, rare", label("incident")
    yield "label, a month of last year", label("experiment", "spring")
    yield "label, key only, that month", label("experiment")
    yield "label, one customer of 5000", label("customer", "customer-4900")
    yield "label, two of them", {"labels": [*label("env", "test")["labels"], *label("feature", "feature-49")["labels"]]}
    yield "label and model, both rare", {**label("env", "test"), "models": ["canary"]}
    yield "label of that month and rare model", {**label("experiment", "spring"), "models": ["canary"]}
    yield (
        "time range, one day",
        {"timerange": {"from": row.created_at - 40 * 86_400_000, "to": row.created_at - 39 * 86_400_000}},
    )
    yield "time range and label", {"timerange": {"to": row.created_at - 200 * 86_400_000}, **label("env", "test")}
    yield "user, common", {"user": "user-1"}
    yield "user, rare", {"user": "user-19990"}
    yield "user and model", {"user": "user-1", "models": ["canary"]}
    yield "session", {"session_id": row.session_id}
    yield "prompt, common", {"prompt_hash": hashlib.sha256(Generator(project, 1)._prompts[3].encode()).hexdigest()}
    yield "prompt, one", {"prompt_hash": row.prompt_hash}
    yield "completion id", {"completion_id": row.id}
    yield "state complete", {"state": "complete"}
    yield "state error", {"state": "error"}
    yield "source OFFLINE", {"source": "OFFLINE"}
    yield "score, common", score("helpful", {"eq": 1})
    yield "score, rare", score("quality", {"gt": 7.0})
    yield "score, 1 in 1000", score("quality", {"gt": 5.0})
    yield "not scored", {"filter": {"not": {"scores": {"metric": "helpful"}}}}
    yield "compared", {"filter": {"comparisons": {"metric": "quality"}}}
    yield "or of two rare", {"filter": {"or": [{"model": {"eq": "canary"}}, {"label": {"key": "incident"}}]}}
    yield "or of common and rare", {"filter": {"or": [{"model": {"eq": "smollm2"}}, {"label": {"key": "incident"}}]}}
    yield "has warnings (none)", {"filter": {"has_warnings": True}}
    yield "finish reason length", {"filter": {"finish_reason": {"eq": "length"}}}
    yield "completion contains, common", {"filter": {"completion": {"contains": "an"}}}
    yield "completion contains, rare", {"filter": {"completion": {"contains": RARE_WORD}}}
    yield "completion contains, none", {"filter": {"completion": {"contains": "no such words"}}}
    yield "prompt contains, common", {"filter": {"prompt": {"contains": "ticket type"}}}
    yield "prompt contains, none", {"filter": {"prompt": {"contains": "no such words"}}}
    yield "contains in a rare label", {**label("incident", "yes"), "filter": {"completion": {"contains": "an"}}}
    yield (
        "order by tokens, in a rare label",
        {**label("env", "test"), "models": ["canary"], "order": [{"field": "completion_tokens", "order": "DESC"}]},
    )


def label(key: str, value: str | None = None) -> dict[str, Any]:
    return {"labels": [{"key": key, **({"value": value} if value else {})}]}


def score(metric: str, value: dict[str, float]) -> dict[str, Any]:
    return {"filter": {"scores": {"metric": metric, "value": value}}}


def search(project: Project, **fields: Any) -> InteractionSearch:
    return InteractionSearch.model_validate({"project": project.key, **fields})


def timed(work: Callable[[], Any], times: int = 5) -> tuple[str, Any]:
    took, computed = [], []
    result = None
    for _ in range(times):
        begun, computing = time.perf_counter(), time.thread_time()
        result = work()
        computed.append((time.thread_time() - computing) * 1000)
        took.append((time.perf_counter() - begun) * 1000)
    return f"{statistics.median(took):8.1f} {max(took):8.1f} {statistics.median(computed):9.1f}", result


def measure(database: Database, project: Project) -> None:
    print(f"{'a page of 50':38}   median  slowest computing  found  looked to    count   median  slowest computing")
    for name, fields in queries(database, project):
        body = search(project, **fields)
        order = tuple((each.field, each.order) for each in body.order or ()) or pages.NEWEST

        def page(body: InteractionSearch = body, order: Any = order) -> pages.InteractionPage:
            with database.read() as connection:
                wanted = service.select(connection, project, body)
                return pages.list_page(connection, wanted, PageRequest(50, order))

        def count(body: InteractionSearch = body) -> pages.Count:
            with database.read() as connection:
                return pages.count(connection, service.select(connection, project, body))

        took, found = timed(page)
        counting, total = timed(count, 3)
        looked = "" if found.searched_to is None else f"-{(now_ms() - found.searched_to) / 86_400_000:.0f} d"
        many = f"{total.value}{'' if total.exact else '+'}"
        print(f"{name:38} {took} {len(found.items):6} {looked:>10} {many:>8} {counting}", flush=True)


def measure_groups(database: Database, project: Project) -> None:
    for name, by, fields in (
        ("by model", "model", {}),
        ("by prompt", "prompt", {}),
        ("by model, label", "model", label("env", "test")),
        ("by prompt, label", "prompt", label("env", "test")),
        ("by model, common label", "model", label("env", "production")),
    ):

        def work(by: Any = by, fields: dict[str, Any] = fields) -> groups.Groups:
            with database.read() as connection:
                return groups.list_groups(
                    connection, service.select(connection, project, search(project, **fields)), by, limit=20
                )

        took, found = timed(work, 3)
        partial = "" if found.searched_to is None else f", only {(now_ms() - found.searched_to) / 86_400_000:.0f} days"
        print(f"groups {name:31} {took}   {found.total} groups{partial}", flush=True)

    def usage() -> Any:
        with database.read() as connection:
            return labels.usage(connection, project.id, keys=200, values=20)

    took, _ = timed(usage, 3)
    print(f"{'label usage':38} {took}", flush=True)


def measure_exports(database: Database, project: Project) -> None:
    for kind, form in EXPORTS:
        before, begun, computing = _memory(), time.perf_counter(), time.process_time()
        with database.read() as connection:
            asked = InteractionExport.model_validate({"project": project.key, "kind": kind, "format": form})
            export = exports.prepare(connection, project, asked)
        size = most = 0
        for chunk in exports.chunks(database, export):
            size += len(chunk)
            most = max(most, _memory())
        seconds, computing = time.perf_counter() - begun, time.process_time() - computing
        print(
            f"export {kind:13} {form:8} {seconds:6.1f} s, {computing:6.1f} s computing, {size / 2**20:6.0f} MiB, "
            f"memory +{most - before} MiB",
            flush=True,
        )


def _memory() -> int:
    """Resident, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024


@contextmanager
def address(store: str | None, postgresql: bool) -> Iterator[str | Path]:
    if store is not None:
        yield store if "://" in store else Path(store) / "adaptive.db"
    elif postgresql:
        server = PostgresServer()
        # What a server has that nobody configured.
        server.create(shared_buffers="128MB", fsync="on", full_page_writes="on")
        with server.database() as url:
            yield url
        server.destroy()
    else:
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch) / "adaptive.db"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--store", help="a directory or postgresql+psycopg://..., and kept; else it is deleted again")
    where.add_argument("--postgresql", action="store_true", help="on a server that lives as long as this takes")
    parser.add_argument("--only", choices=("queries", "groups", "exports"), help="measure only these")
    options = parser.parse_args()
    with address(options.store, options.postgresql) as store, closing(Database.open(store)) as database:
        with database.read() as connection:
            project = projects.get_by_key(connection, "bench")
        if project is None:
            build(database, options.rows)
            with database.read() as connection:
                project = projects.get_by_key(connection, "bench")
        assert project is not None
        for name, part in (("queries", measure), ("groups", measure_groups), ("exports", measure_exports)):
            if options.only in (None, name):
                part(database, project)
    return 0


if __name__ == "__main__":
    sys.exit(main())
