"""Random expressions mean the same in SQL, by whichever index, as when the rows are looked at in Python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaptive_engine.store import Database, groups, interactions, metrics, pages, projects, scans, scores
from adaptive_engine.store.filters import (
    And,
    Between,
    Compared,
    Equals,
    Expression,
    HasLabel,
    HasScore,
    HasText,
    HasWarnings,
    InteractionFilter,
    Missing,
    Not,
    Or,
)
from adaptive_engine.store.pages import PageRequest
from adaptive_engine.store.tables import comparisons
from adaptive_engine.types import Interaction, Metric, Project, Score, Usage, uuid7

MODELS = ("a", "b", "c", None)
STATES = ("complete", "length", "error", "cancelled", "aborted", "pending")
USERS = ("ann", "bob", None)
LABELS = {"env": ("prod", "dev", ""), "a=b": ("x", "y"), "Größe": ("klein",)}
TEXTS = ("", "Hello World", "hello", "100% sure_", "Straße ÄÖÜ", 'say "no"\n\\not', "größe", "new\nline")
REASONS = ("Style", "Toxicity", None)
SIDES = [UUID(int=n) for n in range(1, 4)]


@dataclass
class World:
    """Stored rows, and what else is stored about them."""

    database: Database
    project: Project
    metrics: list[Metric]
    rows: list[Interaction] = field(default_factory=list)
    scores: dict[UUID, list[Score]] = field(default_factory=dict)
    compared: dict[UUID, set[UUID]] = field(default_factory=dict)

    def matches(self, wanted: Expression, row: Interaction) -> bool:
        match wanted:
            case Equals(name, values):
                return self._field(name, row) in values
            case Missing(name):
                return self._field(name, row) is None
            case Between(start, end):
                return (start is None or row.created_at >= start) and (end is None or row.created_at < end)
            case HasLabel(key, values):
                return key in row.labels and (values is None or row.labels[key] in values)
            case HasScore(metric_id, bounds, reasons):
                own = [score for score in self.scores.get(row.id, ()) if score.metric_id == metric_id]
                within = [score for score in own if all(holds(bound, score.value, value) for bound, value in bounds)]
                return any(not reasons or score.reason in reasons for score in within)
            case Compared(metric_id):
                return row.id in self.compared.get(metric_id, ())
            case HasText(where, text, whole):
                texts = [row.completion] if where == "completion" else [text_of(m["content"]) for m in row.messages]
                return any(each == text if whole else contains(each, text) for each in texts)
            case HasWarnings():
                return bool(row.warnings)
            case And(parts):
                return all(self.matches(part, row) for part in parts)
            case Or(parts):
                return any(self.matches(part, row) for part in parts)
            case Not(part):
                return not self.matches(part, row)

    def _field(self, name: str, row: Interaction) -> Any:
        return getattr(row, {"model": "model_key", "completion_id": "id", "ab_test": "ab_test_id"}.get(name, name))


def text_of(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def holds(bound: str, value: float, limit: float) -> bool:
    return {
        "gt": value > limit,
        "gte": value >= limit,
        "eq": value == limit,
        "neq": value != limit,
        "lt": value < limit,
        "lte": value <= limit,
    }[bound]


def contains(text: str, part: str) -> bool:
    """ASCII letters in any case; others as typed, in small, in capitals, or as names are."""

    def ascii_lower(some: str) -> str:
        return "".join(c.lower() if c.isascii() else c for c in some)

    return any(ascii_lower(each) in ascii_lower(text) for each in (part, part.lower(), part.upper(), part.title()))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    path: Path = tmp_path_factory.mktemp("filters") / "store.db"
    database = Database.open(path)
    project, other = (Project(uuid7(), key, key, "", 0) for key in ("one", "two"))
    world = World(
        database,
        project,
        [Metric(uuid7(), project.id, key, key, "SCALAR", "HIGHER_IS_BETTER", "", None, 0) for key in ("m1", "m2")],
    )
    with database.write() as connection:
        for each in (project, other):
            projects.create(connection, each)
        for metric in world.metrics:
            metrics.create(connection, metric)
        _fill(world, connection, other)
    yield world
    database.close()


def _fill(world: World, connection: Any, other: Project) -> None:
    for at in range(120):
        parts = [{"type": "text", "text": TEXTS[at % 8]}, {"type": "text", "text": "second part"}]
        row = Interaction(
            id=uuid7(),
            project_id=world.project.id,
            session_id=SIDES[at % 3],
            messages=[
                {"role": "system", "content": TEXTS[at % 5]},
                {"role": "user", "content": parts if at % 4 == 0 else TEXTS[at % 7]},
            ],
            state=STATES[at * 7 % 6],  # type: ignore[arg-type]
            source="OFFLINE" if at % 5 == 0 else "LIVE",
            created_at=1000 + at // 3 * (1 if at % 2 else -1),
            completion=TEXTS[at * 3 % 8],
            model_key=MODELS[at * 5 % 4],
            finish_reason=("stop", "length", None)[at % 3],
            user=USERS[at % 3],
            prompt_hash=("h1", "h2", None)[at // 2 % 3],
            labels={key: some[at % len(some)] for n, (key, some) in enumerate(LABELS.items()) if at % (n + 2)},
            warnings=[{"code": "c"}] if at % 6 == 0 else [],
            usage=Usage(at % 11, at % 13),
            completed_at=None if at % 9 == 0 else 2000 + at % 10,
            ab_test_id=SIDES[0] if at % 4 == 1 else None,
            created_by=SIDES[1] if at % 3 == 1 else None,
        )
        world.rows.append(row)
        given = [
            Score(uuid7(), row.id, metric.id, metric.key, float(at % 5), 0, REASONS[at % 3])
            for n, metric in enumerate(world.metrics)
            if at % (n + 2) == 0
        ]
        world.scores[row.id] = given
    foreign = Interaction(uuid7(), other.id, SIDES[0], [{"role": "user", "content": "hello"}], "error", "LIVE", 1000)
    interactions.insert(connection, [*world.rows, foreign])
    scores.add(connection, [score for given in world.scores.values() for score in given])
    for one, two in zip(world.rows[::9], world.rows[1::9], strict=False):
        world.compared.setdefault(world.metrics[0].id, set()).update((one.id, two.id))
        connection.execute(
            comparisons.insert().values(
                id=uuid7(),
                project_id=world.project.id,
                metric_id=world.metrics[0].id,
                preferred_id=one.id,
                other_id=two.id,
                created_at=0,
            )
        )


def expressions(world: World) -> st.SearchStrategy[Expression]:
    def some(*values: Any) -> st.SearchStrategy[tuple[Any, ...]]:
        return st.lists(st.sampled_from([v for v in values if v is not None]), min_size=1, max_size=3).map(tuple)

    metric_ids = st.sampled_from([metric.id for metric in world.metrics])
    ids = some(*(row.id for row in world.rows[:10]), uuid7())
    times = st.one_of(st.none(), st.integers(950, 1050))
    bounds = st.lists(
        st.tuples(st.sampled_from(["gt", "gte", "eq", "neq", "lt", "lte"]), st.integers(-1, 5).map(float)), max_size=2
    )
    needles = st.sampled_from(
        ["hello", "WORLD", "%", "_", "ß", "ÄÖ", "äö", "GRÖSSE", '"', "\n", "\\n", "not", "part", "Worldsecond"]
    )
    where = st.sampled_from(["completion", "prompt"])
    leaves = st.one_of(
        st.builds(Equals, st.just("model"), some(*MODELS, "z")),
        st.builds(Equals, st.just("state"), some(*STATES)),
        st.builds(Equals, st.just("source"), some("LIVE", "OFFLINE")),
        st.builds(Equals, st.just("user"), some(*USERS)),
        st.builds(Equals, st.just("prompt_hash"), some("h1", "h2", "h3")),
        st.builds(Equals, st.just("finish_reason"), some("stop", "length")),
        st.builds(Equals, st.sampled_from(["session_id", "ab_test", "created_by"]), some(*SIDES)),
        st.builds(Equals, st.just("completion_id"), ids),
        st.builds(Missing, st.sampled_from(["model", "user", "prompt_hash"])),
        st.builds(Between, times, times),
        *(st.builds(HasLabel, st.just(key), st.one_of(st.none(), some(*each, "?"))) for key, each in LABELS.items()),
        st.builds(HasScore, metric_ids, bounds.map(tuple), st.one_of(st.just(()), some(*REASONS))),
        st.builds(Compared, metric_ids),
        st.builds(HasText, where, needles, st.just(False)),
        st.builds(HasText, where, st.sampled_from([*TEXTS, "hellosecond part"]), st.just(True)),
        st.just(HasWarnings()),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(And, st.lists(inner, max_size=3).map(tuple)),
            st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
            st.builds(Not, inner),
        ),
        max_leaves=6,
    )


@pytest.mark.parametrize("rare", [1000, 3, 0], ids=["looked up", "mixed", "walked"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_filter_means_the_same_in_sql(
    world: World, monkeypatch: pytest.MonkeyPatch, rare: int, data: st.DataObject
) -> None:
    monkeypatch.setattr(scans, "RARE", rare)
    monkeypatch.setattr(scans, "FIRST_WINDOW", 7)
    for module, budget in ((pages, "PAGE"), (pages, "COUNT"), (scans, "STRETCH"), (groups, "GROUP")):
        monkeypatch.setattr(module, f"{budget}_SECONDS", 60)
    where = data.draw(expressions(world))
    wanted = InteractionFilter(world.project.id, where)
    ascending = sorted((r.created_at, r.id) for r in world.rows if world.matches(where, r))
    expected = [id_ for _, id_ in reversed(ascending)]
    with world.database.read() as connection:
        page = pages.list_page(connection, wanted, PageRequest(1000))
        assert [item.interaction.id for item in page.items] == expected
        assert pages.count(connection, wanted) == pages.Count(len(expected), True)
        found, place = scans.positions(connection, wanted, limit=1000)
        assert ([position.id for position in found], place) == ([id_ for _, id_ in ascending], None)
        by_model = groups.list_groups(connection, wanted, "model", limit=100)
        assert sum(group.count for group in by_model.items) == len(expected)
        assert by_model.searched_to is None


def test_foreign_rows_match_nothing(world: World) -> None:
    with world.database.read() as connection:
        everything = pages.list_page(connection, InteractionFilter(world.project.id), PageRequest(1000))
        assert len(everything.items) == len(world.rows)
        for where in (Equals("session_id", (SIDES[0],)), Not(HasWarnings()), Or((Equals("state", ("error",)),))):
            of_two = InteractionFilter(uuid7(), where)
            assert pages.list_page(connection, of_two, PageRequest(10)).items == ()


def test_a_text_of_several_parts_is_one_text(database: Database) -> None:
    project = Project(uuid7(), "one", "one", "", 0)
    image = {"type": "image_url", "image_url": {"url": "/images/Qux there"}}
    parts = [{"type": "text", "text": "Qux", "note": {"text": "elsewhere"}}, image, {"type": "text", "text": " there"}]
    messages = [{"role": "user", "content": parts, "about": {"content": "elsewhere", "text": "elsewhere"}}]
    row = Interaction(uuid7(), project.id, uuid7(), messages, "complete", "LIVE", 1000)
    silent = Interaction(uuid7(), project.id, uuid7(), [{"role": "user", "content": [image]}], "complete", "LIVE", 1000)

    def found(text: str, *, whole: bool) -> list[UUID]:
        wanted = InteractionFilter(project.id, HasText("prompt", text, whole))
        return [item.interaction.id for item in pages.list_page(connection, wanted, PageRequest(10)).items]

    with database.write() as connection:
        projects.create(connection, project)
        interactions.insert(connection, [row, silent])
    with database.read() as connection:
        assert found("qux THERE", whole=False) == found("Qux there", whole=True) == [row.id]
        assert found("Qux", whole=True) == found("elsewhere", whole=False) == []
