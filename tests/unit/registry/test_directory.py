from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from adaptive_engine.errors import InvalidRequest, NotFound
from adaptive_engine.registry import CorruptModel, ModelDirectory, model_paths
from adaptive_engine.registry.directory import MANIFEST, derive_key, file_sha256, required_files

FILES = sorted(required_files(()))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model directory whose files say nothing, which is all that loading looks at."""
    path = tmp_path / "models" / "tiny"
    path.mkdir(parents=True)
    for name in FILES:
        (path / name).write_text(name)
    files = {name: {"sha256": file_sha256(path / name), "size": len(name)} for name in FILES}
    manifest = {
        "version": 1,
        "key": "tiny",
        "name": "Tiny",
        "family": "llama",
        "source": {"kind": "gguf", "file": "tiny.gguf", "sha256": "0", "origin": None},
        "format": "openvino-ir",
        "quantization": "Q4_1",
        "context_length": 8192,
        "capabilities": ["TextGeneration"],
        "files": files,
        "created_at": 1,
        "converter": "test 1",
    }
    (path / MANIFEST).write_bytes(orjson.dumps(manifest))
    return path


def edit(path: Path, **changes: Any) -> None:
    manifest = orjson.loads((path / MANIFEST).read_bytes())
    (path / MANIFEST).write_bytes(orjson.dumps(manifest | changes))


def test_loads_and_verifies(model: Path) -> None:
    loaded = ModelDirectory.load(model)
    assert (loaded.key, loaded.context_length, loaded.capabilities) == ("tiny", 8192, ("TextGeneration",))
    assert loaded.size == sum(map(len, FILES))
    loaded.verify()


def test_a_missing_directory_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="adaptive models import"):
        ModelDirectory.load(tmp_path / "nothing")


def test_a_changed_file_of_the_same_size_fails_verification(model: Path) -> None:
    (model / "openvino_model.bin").write_text("openvino_model.BIN")
    loaded = ModelDirectory.load(model)
    with pytest.raises(CorruptModel, match=r"openvino_model.bin' is not the file that was imported"):
        loaded.verify()


def test_a_file_of_another_size_or_a_link_does_not_load(model: Path) -> None:
    file = model / "config.json"
    file.write_text("longer than before")
    with pytest.raises(CorruptModel, match=r"config.json"):
        ModelDirectory.load(model)
    file.unlink()
    file.symlink_to(model / "tokenizer.json")
    with pytest.raises(CorruptModel, match=r"config.json"):
        ModelDirectory.load(model)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "has version 2"),
        ({"key": "other"}, "belongs to the model 'other'"),
        ({"context_length": "many"}, "context_length"),
        ({"files": {}}, "lacks config.json"),
        ({"files": {"../../etc/passwd": {"sha256": "0", "size": 1}}}, "files that no model has"),
    ],
)
def test_a_manifest_that_cannot_be_true_does_not_load(model: Path, changes: dict[str, Any], message: str) -> None:
    edit(model, **changes)
    with pytest.raises(CorruptModel, match=message):
        ModelDirectory.load(model)


def test_a_directory_without_a_manifest_does_not_load(model: Path) -> None:
    (model / MANIFEST).unlink()
    with pytest.raises(CorruptModel, match="its import did not end"):
        ModelDirectory.load(model)


def test_only_complete_models_are_listed(model: Path) -> None:
    models_dir = model.parent
    for name in (".importing-x-1", ".locks", "foreign"):
        (models_dir / name).mkdir()
    (models_dir / "link").symlink_to(model)
    assert model_paths(models_dir) == [model]
    assert model_paths(models_dir / "nothing") == []


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2-135m-instruct.q4_1"),
        ("My Model (new).GGUF", "my-model-new"),
        ("a..b.gguf", "a.b"),
        ("x" * 100, "x" * 64),
    ],
)
def test_a_key_is_derived_from_a_file_name(name: str, key: str) -> None:
    assert derive_key(name) == key


@pytest.mark.parametrize("name", ["...gguf", "日本", "", "---"])
def test_a_name_without_a_usable_character_needs_a_key(name: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a model key"):
        derive_key(name)
