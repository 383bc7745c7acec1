"""What the pictures of the web application show: projects with nothing, a week of traffic, and the worst of names."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import UUID

from adaptive_engine.sdk import Adaptive
from adaptive_engine.store import Database, projects
from adaptive_engine.store import interactions as store
from adaptive_engine.store.statistics import HOUR_MS
from adaptive_engine.types import Interaction, Usage, now_ms, uuid7
from e2e.arms import register_tiny_model
from integration.server import MODEL, Server

EMPTY = "empty"
SHOP = "web-shop"
"""A project with a week behind it."""
CHALLENGER = "challenger"
ELSEWHERE = "gpt-4o"
LONG_NAME = "Kundenservice-für-Bestellungen-Rücksendungen-und-Beschwerden-in-der-Schweiz"
LONG_KEY = LONG_NAME.encode().hex()[:64]
HOSTILE = "mallory"
HOSTILE_NAME = "<img src=x onerror=\"alert('run')\"> [click](javascript:alert(1)) \u202egnp.exe\u202c " + "W" * 120


def furnish(server: Server) -> None:
    """A second model, and a project whose models answered for a week, some of it badly, some of it scored."""
    register_tiny_model(server, CHALLENGER)
    with Adaptive(server.url, server.api_key, SHOP) as client:
        client.projects.create(EMPTY, name="Empty")
        client.projects.create(SHOP, name="Web shop")
        for key in (MODEL, CHALLENGER):
            client.models.attach(key, wait=True, make_default=key == MODEL)
        client.projects.create(LONG_KEY, name=LONG_NAME)
        client.models.add_external(
            *("GPT-4o", "gpt-4o", "sk-of-nobody"),
            key=ELSEWHERE,
            prices={"prompt": 2.5, "completion": 10, "cached": 1.25},
            context_length=128_000,
        )
        client.models.attach(ELSEWHERE)
        client.feedback.register_key("helpful", "bool", name="Helpful", description="Whether the customer was helped.")
        client.ab_tests.create("which-model", "helpful", [MODEL, CHALLENGER], traffic_split=0.5, min_scores=1000)
        client.graders.create("polite", "The answer is polite and names no other shop.", MODEL, enabled=False)
        client.teams.create("support")
        client.users.create("ada@example.com", "Ada Lovelace", [("support", "annotator")])
        _log_scores(client)
        _name_badly(client)
    with closing(Database.open(server.data_dir / "adaptive.db")) as database, database.write() as connection:
        project = projects.get_by_key(connection, SHOP)
        assert project is not None
        store.insert(connection, list(_past(project.id)))


def _log_scores(client: Adaptive) -> None:
    for number in range(60):
        client.interactions.create(
            [{"role": "user", "content": f"Where is my parcel no. {1000 + number}?"}],
            "It left our house yesterday and should be with you tomorrow.",
            model=(MODEL, CHALLENGER)[number % 2],
            ab_campaign="which-model",
            labels={"app": "web-shop", "language": ("en", "de")[number % 3 == 0]},
            feedbacks=[{"metric": "helpful", "value": number % 5 != number % 2}],
            created_at=datetime.now(UTC) - number * timedelta(hours=3),
        )


def _name_badly(client: Adaptive) -> None:
    key = HOSTILE_NAME[:60].strip()
    client.projects.create(HOSTILE, name=HOSTILE_NAME)
    client.feedback.register_key(key, "bool", project=HOSTILE, name=HOSTILE_NAME, description=HOSTILE_NAME)
    for number in range(5):
        client.interactions.create(
            [{"role": "user", "content": HOSTILE_NAME * (number + 1)}],
            HOSTILE_NAME * 3,
            project=HOSTILE,
            user=HOSTILE_NAME[:100],
            labels={HOSTILE_NAME[:100]: HOSTILE_NAME},
            feedbacks=[{"metric": key, "value": True, "details": HOSTILE_NAME}],
        )


def _past(project_id: UUID) -> Iterator[Interaction]:
    """A week of answers: more by day than by night, slower when there are more."""
    chance = random.Random(1)
    begin = now_ms() - 7 * 24 * HOUR_MS
    for hour in range(7 * 24):
        busy = 2 + 10 * max(0.0, math.sin((hour % 24 - 6) / 12 * math.pi))
        for _ in range(int(busy * 2)):
            first = chance.lognormvariate(math.log(90 + 12 * busy), 0.5)
            model = MODEL if chance.random() < 0.7 else CHALLENGER
            prompt, completion = chance.randrange(40, 400), chance.randrange(5, 160)
            yield Interaction(
                *(uuid7(), project_id, uuid7(), [{"role": "user", "content": "What does shipping cost?"}]),
                chance.choices(("complete", "length", "error", "cancelled"), (94, 2, 2, 2))[0],
                "LIVE",
                begin + hour * HOUR_MS + chance.randrange(HOUR_MS),
                model_key=model,
                completion="Nothing within the country.",
                usage=Usage(prompt, completion, prompt // 2),
                timings={"queue_ms": 1.0, "ttft_ms": first, "total_ms": first + completion * 11},
            )
