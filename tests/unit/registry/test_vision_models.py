"""Importing models that see, as optimum-intel exports them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from adaptive_engine.registry import CorruptModel, InvalidModel, ModelDirectory, import_model
from adaptive_engine.services import memory
from adaptive_engine.types import tags_of

FIXTURE = Path(__file__).parents[2] / "fixtures/vision_model"
WEIGHTS = ("openvino_language_model", "openvino_text_embeddings_model", "openvino_vision_embeddings_model")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURE, tmp_path / "exported"))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_it_is_tagged_and_complete(vision_model_dir: ModelDirectory) -> None:
    assert tags_of(vision_model_dir.capabilities) == ["Text", "Multimodal"]
    assert (vision_model_dir.family, vision_model_dir.context_length) == ("idefics3", 2048)
    needed = {f"{name}.{ending}" for name in WEIGHTS for ending in ("xml", "bin")} | {"preprocessor_config.json"}
    assert needed <= vision_model_dir.manifest.files.keys()
    vision_model_dir.verify()
    assert vision_model_dir.size < 6_000_000


def test_its_memory_is_known_before_it_is_loaded(vision_model_dir: ModelDirectory) -> None:
    path = vision_model_dir.path
    language, text, vision = ((path / f"{name}.bin").stat().st_size for name in WEIGHTS)
    found = memory.estimate(path, 1024, deterministic=True)
    # Three layers of two heads of 32 numbers, each of four bytes; two of the graphs are there twice.
    assert (found.weights, found.kv_cache) == (2 * language + text + 2 * vision, 1024 * 2 * 3 * 2 * 32 * 4)


@pytest.mark.parametrize("name", [f"{WEIGHTS[0]}.xml", f"{WEIGHTS[1]}.bin", f"{WEIGHTS[2]}.xml"])
def test_a_part_that_is_missing_is_named(source: Path, tmp_path: Path, name: str) -> None:
    (source / name).unlink()
    with pytest.raises(InvalidModel, match=f"it lacks {name}"):
        import_model(source, tmp_path / "models")


def test_a_family_that_is_not_known_is_refused_with_those_that_are(source: Path, tmp_path: Path) -> None:
    edit(source / "config.json", model_type="qwen2_vl")
    with pytest.raises(InvalidModel, match="'qwen2_vl' cannot be given images here; idefics3, llava, smolvlm can"):
        import_model(source, tmp_path / "models")


def test_what_does_not_say_how_images_are_prepared_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "preprocessor_config.json").unlink()
    with pytest.raises(InvalidModel, match=r"no preprocessor_config\.json, which says how images are prepared"):
        import_model(source, tmp_path / "models")
    edit(source / "processor_config.json", image_processor={"auto_map": {"AutoImageProcessor": "x.Y"}})
    with pytest.raises(InvalidModel, match="run code"):
        import_model(source, tmp_path / "models")


def test_a_language_model_of_tokens_is_not_one_of_vectors(source: Path, tmp_path: Path) -> None:
    for ending in ("xml", "bin"):
        shutil.copy(source / f"openvino_text_embeddings_model.{ending}", source / f"openvino_language_model.{ending}")
    with pytest.raises(InvalidModel, match=r"language_model\.xml is not a stateful language model that takes vectors"):
        import_model(source, tmp_path / "models")


def test_older_exports_have_their_template_in_a_file_of_another_name(source: Path, tmp_path: Path) -> None:
    (source / "chat_template.jinja").unlink()
    (source / "chat_template.json").write_text('{"chat_template": "{{ 1 }}"}')
    model = import_model(source, tmp_path / "models")
    assert (model.path / "chat_template.jinja").read_text() == "{{ 1 }}"


def test_a_checkpoint_says_how_to_convert_it(tmp_path: Path) -> None:
    for name in ("model.safetensors", "preprocessor_config.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(InvalidModel, match=r"adaptive-engine\[convert\].*--task image-text-to-text"):
        import_model(tmp_path, tmp_path / "models", "checkpoint")


def test_a_model_without_a_part_does_not_load(vision_model_dir: ModelDirectory, tmp_path: Path) -> None:
    path = Path(shutil.copytree(vision_model_dir.path, tmp_path / vision_model_dir.key))
    manifest = json.loads((path / "adaptive_model.json").read_text())
    del manifest["files"]["openvino_text_embeddings_model.xml"]
    edit(path / "adaptive_model.json", files=manifest["files"])
    with pytest.raises(CorruptModel, match=r"lacks openvino_text_embeddings_model\.xml"):
        ModelDirectory.load(path)
