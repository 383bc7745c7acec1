"""The code in the documents runs, from top to bottom of each, on one server.

A fenced block of python, bash or console that cannot run has `<!-- not run: why -->` before it. Lines that a console
block shows below a command are looked for in what the command prints, with all numbers alike.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adaptive_engine.registry import ModelDirectory, import_model
from adaptive_engine.sdk import Adaptive
from adaptive_engine.services import models as service
from adaptive_engine.store import Database
from adaptive_engine.types import uuid7
from blocks import ROOT, RUNNABLE, Block, blocks, commands, documents
from integration.commands import quick_adaptive
from integration.server import MODEL, Server, place_model, start
from pictures import draw
from unit.registry.gguf_builder import model_metadata, model_tensors, write_gguf

DEFAULT_URL = "http://127.0.0.1:9000"
"""What documents say where no variable is read; tests need any free port."""
MOST_THAT_DO_NOT_RUN = 14
TINY = ("smollm2", "qwen3")
# Enough for a judge's prompt; the tiny models go on for as long as they may.
QUICK = {"ADAPTIVE_ENGINE__KV_CACHE_LEN": "8192", "ADAPTIVE_ENGINE__MAX_SEQ_LEN": "640"}
PROVIDERS = ("OPENAI", "ANTHROPIC", "GEMINI", "AZURE")

Names = dict[str, Any]


@dataclass(frozen=True, slots=True)
class World:
    """What a reader has: a server, a client of it, and the variables of a shell."""

    server: Server
    client: Adaptive
    environment: dict[str, str]

    def has(self, project: str, *models: str) -> None:
        """A project with these models."""
        if all(found.key != project for found in self.client.projects.list()):
            self.client.projects.create(project)
        for model in models:
            self.client.models.attach(model, wait=True, project=project)

    def asked(self, project: str) -> Any:
        """An answer that is stored."""
        return self.client.chat.create([{"role": "user", "content": "Hello!"}], project=project, max_tokens=4)


def interactions_of_default(world: World) -> Names:
    world.client.feedback.register_key("helpful", kind="bool", project="default")
    answer = world.asked("default")
    world.environment["ID"] = str(answer.choices[0].completion_id)
    return {"completion_id": answer.choices[0].completion_id}


def support_with_two_models(world: World) -> Names:
    world.has("support", *TINY)
    world.client.feedback.register_key("helpful", kind="bool", project="support")
    return {}


def interactions_to_score(world: World) -> Names:
    world.has("support", MODEL)
    first, second = (world.asked("support") for _ in range(2))
    ids = {"completion_id": first, "better_id": first, "one_id": first, "other_id": second}
    return {"session_id": first.session_id} | {name: of.choices[0].completion_id for name, of in ids.items()}


def support_with_settings(world: World) -> Names:
    world.has("support", "qwen3")
    messages = [{"role": "user", "content": "Hi"}]
    return {"adaptive": world.client, "messages": messages}


def support(world: World) -> Names:
    world.has("support", MODEL)
    return {}


def a_model_that_sees(world: World) -> Names:
    world.has("default", "smolvlm")
    return {}


BEFORE: dict[str, Callable[[World], Names]] = {
    "docs/ab_tests.md": support_with_two_models,
    "docs/access.md": support,
    "docs/graders.md": interactions_of_default,
    "docs/interactions.md": interactions_of_default,
    "docs/metrics.md": interactions_to_score,
    "docs/model_settings.md": support_with_settings,
    "docs/providers.md": support,
    "docs/vision.md": a_model_that_sees,
}
"""What a document takes for granted, and the names that its code has for it."""


@pytest.fixture(scope="module")
def server(
    default_model_dir: ModelDirectory, vision_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    data_dir = tmp_path_factory.mktemp("documents")
    place_model(default_model_dir.path, data_dir)
    metadata = {**model_metadata(), "llama.context_length": 8192}
    tiny = write_gguf(data_dir / "tiny.gguf", metadata, model_tensors(metadata))
    imported = [import_model(tiny, data_dir / "models", TINY[0])]
    imported += [place_model(imported[0].path, data_dir, key) for key in TINY[1:]]
    imported.append(place_model(vision_model_dir.path, data_dir, "smolvlm"))
    with closing(Database.open(data_dir / "adaptive.db")) as database, database.write() as connection:
        service.ensure_default_project(connection)
        for model in imported:
            service.register(connection, model)
    running = start(data_dir, env=QUICK, quick=True)
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="module")
def command_line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quick_adaptive(tmp_path_factory.mktemp("adaptive"))


@pytest.fixture
def world(server: Server, command_line: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    free_all_names(server.data_dir / "adaptive.db")
    put_files(tmp_path, server.data_dir)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/bin").symlink_to(command_line)
    environment = {
        "ADAPTIVE_URL": server.url,
        "ADAPTIVE_API_KEY": server.api_key,
        "ADAPTIVE_DATA_DIR": str(server.data_dir),
        "PATH": f"{command_line}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "NO_COLOR": "1",
        **{f"{provider}_API_KEY": "a-key-of-the-provider" for provider in PROVIDERS},
    }
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with Adaptive() as client:
        # The server looks at all projects anew when one is changed.
        client.models.attach(MODEL, wait=True, make_default=True, project="default")
        yield World(server, client, environment)


def free_all_names(database: Path) -> None:
    """Whatever the last document made is called something else now, so that the next one can make it."""
    suffix = f"-{uuid7().hex}"
    with closing(sqlite3.connect(database, timeout=10)) as raw, raw:
        for table in ("projects", "teams"):
            raw.execute(f"UPDATE {table} SET key = key || ? WHERE key NOT IN ('default', 'admin')", (suffix,))
        for table in ("ab_tests", "graders"):
            raw.execute(f"UPDATE {table} SET key = key || ?", (suffix,))
        raw.execute("UPDATE users SET email = ? || email", (suffix,))
        raw.execute("UPDATE models SET key = key || ? WHERE external IS NOT NULL", (suffix,))
        raw.execute("UPDATE graders SET enabled = false")
        raw.execute("DELETE FROM judgements")
        raw.execute("DELETE FROM deployments")


def put_files(directory: Path, data_dir: Path) -> None:
    """What documents read from the reader's folder."""
    picture = Image.fromarray(draw(np.random.default_rng(7)).pixels)
    picture.save(directory / "photo.jpg")
    picture.save(directory / "other.png")
    (directory / "prompt.txt").write_text("You help {{ name }}.")
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    for name in ("answer", "person"):
        (directory / f"{name}.schema.json").write_text(json.dumps(schema))
    shutil.copy(data_dir / "tiny.gguf", directory / "Qwen3-0.6B-Q8_0.gguf")


def to_run(document: Path) -> list[Block]:
    return [block for block in blocks(document) if block.language in RUNNABLE and block.reason is None]


@pytest.mark.parametrize("document", list(filter(to_run, documents())), ids=lambda path: path.name)
def test_code_runs(document: Path, world: World) -> None:
    name = str(document.relative_to(ROOT))
    names: Names = BEFORE.get(name, lambda _: {})(world)
    for block in to_run(document):
        run(block, world, names)


def test_json_parses() -> None:
    for block in (block for document in documents() for block in blocks(document) if block.language == "json"):
        for text in [block.code] if block.code.startswith("{\n") else block.code.splitlines():
            json.loads(text)


def run(block: Block, world: World, names: Names) -> None:
    if block.language == "python":
        code = block.code.replace(DEFAULT_URL, world.server.url)
        # Blank lines put its first line where the document has it, for tracebacks.
        exec(compile("\n" * (block.line - 1) + code, block.document, "exec", dont_inherit=True), names)
        return
    if block.language == "bash":
        in_shell(block, world, block.code)
        return
    for command in commands(block):
        printed = in_shell(block, world, command.typed)
        for line in command.shown:
            assert alike(line) in alike(printed), f"{block.place}: {command.typed} prints {printed!r}"


def in_shell(block: Block, world: World, script: str) -> str:
    """What it prints. It must succeed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace(DEFAULT_URL, world.server.url)],
        env=world.environment,
        # Yes to whatever is asked.
        input="y\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{block.place}: {script}\n{done.stdout}"
    return done.stdout


def alike(text: str) -> str:
    return re.sub(r"\d+", "0", text)


def test_what_does_not_run_says_why_and_is_little() -> None:
    found = [block for document in documents() for block in blocks(document)]
    assert sum(block.language in RUNNABLE for block in found) > 40
    left = [block for block in found if block.reason]
    assert {block.language for block in left} <= RUNNABLE
    assert len(left) <= MOST_THAT_DO_NOT_RUN, [f"{block.place}: {block.reason}" for block in left]


def test_no_code_is_indented_without_a_fence() -> None:
    """Blocks that no test would see."""
    for document in documents():
        text = re.sub(r"^ *```.*?^ *```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
        assert not re.findall(r"(?:\A|\n)\n {4}(?:adaptive|make|python3?|curl|pip) .*", text), document
