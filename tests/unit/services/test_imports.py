"""Imports of a server: real child processes, and models of one layer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from filelock import FileLock

from adaptive_engine.errors import Conflict, InvalidRequest, NotFound, Unavailable
from adaptive_engine.registry import ModelDirectory
from adaptive_engine.services.imports import Imports
from adaptive_engine.services.siblings import Siblings
from adaptive_engine.store import Database
from adaptive_engine.store import models as store
from adaptive_engine.types import ExternalModel, Model, now_ms, uuid7
from unit.registry.gguf_builder import tiny_model


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    """The directory that models may be imported from."""
    (tmp_path / "allowed").mkdir()
    return tmp_path / "allowed"


@pytest.fixture
def imports(database: Database, tmp_path: Path, allowed: Path) -> Iterator[Imports]:
    imports = Imports(database, tmp_path / "models", allowed)
    yield imports
    imports.close()


def registered(database: Database, key: str) -> Model | None:
    with database.read() as connection:
        return store.get_by_key(connection, key)


def test_a_file_is_imported_and_registered(imports: Imports, database: Database, allowed: Path, tmp_path: Path) -> None:
    tiny_model(allowed / "Tiny.gguf")
    begun = imports.start(path="Tiny.gguf")
    assert (begun.state, begun.key, begun.path) == ("RUNNING", "tiny", "Tiny.gguf")
    imports.join()
    ended = imports.get(begun.id)
    assert (ended.state, ended.error) == ("COMPLETED", None)
    assert ended.stage is not None
    assert ended.ended_at is not None
    assert ModelDirectory.load(tmp_path / "models" / "tiny").family == "llama"
    assert registered(database, "tiny") is not None
    assert imports.list() == [ended]


def test_an_import_whose_process_cannot_be_started_is_none(
    imports: Imports, allowed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_model(allowed / "Tiny.gguf")
    with monkeypatch.context() as full:
        full.setattr(sys, "executable", str(tmp_path / "none"))
        with pytest.raises(Unavailable, match="No such file or directory"):
            imports.start(path="Tiny.gguf")
    assert imports.list() == []
    imports.start(path="Tiny.gguf")


def test_a_failure_says_why(imports: Imports, database: Database, allowed: Path) -> None:
    (allowed / "broken.gguf").write_bytes(b"GGUF but not really")
    failed = imports.start(path="broken.gguf", key="mine")
    imports.join()
    failed = imports.get(failed.id)
    assert failed.state == "FAILED"
    assert failed.error is not None
    assert "Malformed GGUF file" in failed.error[0]
    assert registered(database, "mine") is None


def test_one_is_imported_at_a_time_and_cancelled_without_a_trace(
    imports: Imports, database: Database, allowed: Path, tmp_path: Path
) -> None:
    tiny_model(allowed / "tiny.gguf")
    locks = tmp_path / "models" / ".locks"
    locks.mkdir(parents=True)
    # Another process imports the same: ours has to wait, for as long as this test likes.
    with FileLock(locks / "tiny.lock"):
        begun = imports.start(path="tiny.gguf")
        with pytest.raises(Conflict, match="one model is imported at a time") as refusal:
            imports.start(path="tiny.gguf", key="other")
        assert refusal.value.code == "import_running"
        cancelled = imports.cancel(begun.id)
    assert (cancelled.state, cancelled.error) == ("CANCELLED", None)
    assert imports.cancel(begun.id) == cancelled
    assert [path.name for path in (tmp_path / "models").iterdir()] == [".locks"]
    assert registered(database, "tiny") is None


def test_a_server_that_stops_ends_its_import(database: Database, allowed: Path, tmp_path: Path) -> None:
    tiny_model(allowed / "tiny.gguf")
    (tmp_path / "models" / ".locks").mkdir(parents=True)
    imports = Imports(database, tmp_path / "models", allowed)
    with FileLock(tmp_path / "models" / ".locks" / "tiny.lock"):
        begun = imports.start(path="tiny.gguf")
        imports.close()
    assert imports.get(begun.id).state == "CANCELLED"


def test_workers_know_each_others(database: Database, allowed: Path, tmp_path: Path) -> None:
    """One at a time of all, whoever is asked to follow or to cancel it."""
    tiny_model(allowed / "tiny.gguf")
    locks = tmp_path / "models" / ".locks"
    locks.mkdir(parents=True)
    with ExitStack() as stack:
        # Paths of sockets have at most a hundred characters.
        sockets = Path(stack.enter_context(TemporaryDirectory()))
        siblings = [stack.enter_context(closing(Siblings(sockets, number))) for number in range(2)]
        both = [Imports(database, tmp_path / "models", allowed, each) for each in siblings]
        for imports, each in zip(both, siblings, strict=True):
            stack.enter_context(closing(imports))
            each.serve(imports.answers())
        one, other = both
        with FileLock(locks / "tiny.lock"):
            begun = one.start(path="tiny.gguf")
            assert [each.id for each in other.list()] == [begun.id]
            with pytest.raises(Conflict, match=str(begun.id)):
                other.start(path="tiny.gguf", key="second")
            assert other.cancel(begun.id).state == "CANCELLED"
        second = other.start(path="tiny.gguf", key="second")
        other.join()
        assert one.get(second.id).state == "COMPLETED"
        assert [each.id for each in one.list()] == [each.id for each in other.list()] == [second.id, begun.id]
        with pytest.raises(NotFound):
            one.cancel(uuid7())


def test_a_child_that_dies_is_a_failure(imports: Imports, allowed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_model(allowed / "tiny.gguf")
    monkeypatch.setattr("sys.executable", "/bin/false")
    begun = imports.start(path="tiny.gguf")
    imports.join()
    failed = imports.get(begun.id)
    assert failed.error is not None
    assert "ended with status 1" in failed.error[0]


def test_one_that_is_cut_off_in_the_middle_of_a_word_makes_way_for_the_next(
    imports: Imports, allowed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_model(allowed / "tiny.gguf")
    (tmp_path / "mute").write_text('#!/bin/sh\nprintf \'{"stage": "re\'\n')
    (tmp_path / "mute").chmod(0o700)
    monkeypatch.setattr("sys.executable", str(tmp_path / "mute"))
    for _ in range(2):
        begun = imports.start(path="tiny.gguf")
        imports.join()
        failed = imports.get(begun.id)
        assert (failed.state, failed.error) == (
            "FAILED",
            ("The import failed unexpectedly; the server's log says why.", "import_failed"),
        )


def test_one_that_has_ended_is_not_cancelled_by_waiting_for_another(
    imports: Imports, allowed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_model(allowed / "tiny.gguf")
    with monkeypatch.context() as patch:
        patch.setattr("sys.executable", "/bin/false")
        ended = imports.start(path="tiny.gguf")
        imports.join()
    (tmp_path / "models" / ".locks").mkdir(parents=True)
    with ThreadPoolExecutor(1) as thread, FileLock(tmp_path / "models" / ".locks" / "tiny.lock"):
        running = imports.start(path="tiny.gguf")
        assert thread.submit(imports.cancel, ended.id).result(timeout=5).state == "FAILED"
        assert imports.cancel(running.id).state == "CANCELLED"


@pytest.mark.parametrize(
    "path", ["nothing.gguf", "../secret.gguf", "link.gguf", "/etc/passwd", ".", "a\0b", "x" * 5000]
)
def test_what_lies_elsewhere_is_not_there(imports: Imports, allowed: Path, path: str) -> None:
    tiny_model(allowed.parent / "secret.gguf")
    (allowed / "link.gguf").symlink_to("../secret.gguf")
    with pytest.raises(NotFound, match="in the server's import directory") as refusal:
        imports.start(path=path)
    assert refusal.value.param == "path"
    assert imports.list() == []


def test_what_cannot_be_imported_is_refused_before_it_begins(
    imports: Imports, database: Database, allowed: Path, tmp_path: Path
) -> None:
    tiny_model(allowed / "tiny.gguf")
    with database.write() as connection:
        rented = Model(uuid7(), "rented", "", "openai", (), 0, now_ms(), external=ExternalModel("gpt"))
        store.create(connection, rented)
    with pytest.raises(Conflict, match="external model"):
        imports.start(path="tiny.gguf", key="rented")
    with pytest.raises(InvalidRequest, match="is not a model key"):
        imports.start(path="tiny.gguf", key="../x")
    with pytest.raises(NotFound, match="is not in the catalog"):
        imports.start(name="nothing")
    for both in ({}, {"name": "a", "path": "b"}):
        with pytest.raises(InvalidRequest, match="Send name"):
            imports.start(**both)
    with pytest.raises(InvalidRequest, match="ADAPTIVE_IMPORT_DIR"):
        Imports(database, tmp_path / "models", None).start(path="tiny.gguf")
    with pytest.raises(NotFound, match="no such import"):
        imports.get(uuid7())


def test_sources_are_the_catalog_and_what_looks_like_a_model(
    imports: Imports, database: Database, allowed: Path, tmp_path: Path
) -> None:
    for name in ("b.gguf", "notes.txt", "deep/a.gguf", "ir/openvino_model.xml", "seeing/openvino_language_model.xml"):
        (allowed / name).parent.mkdir(exist_ok=True)
        (allowed / name).touch()
    found = imports.sources()
    assert found.files == ["b.gguf", "deep/a.gguf", "ir", "seeing"]
    assert [entry.key for entry in found.catalog] == ["smollm2-135m-instruct"]
    assert Imports(database, tmp_path, None).sources().files is None
