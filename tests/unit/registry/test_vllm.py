from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adaptive_engine.errors import Conflict, InvalidRequest
from adaptive_engine.registry import CorruptModel, InvalidModel, import_model
from adaptive_engine.registry.vllm import VllmModel, import_for_vllm, vllm_models
from unit.registry.gguf_builder import tiny_model


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_model(tmp_path / "My Model", {"max_position_embeddings": 4096})


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    return tmp_path / "models"


def write_model(path: Path, config: Any) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    (path / "model-00001-of-00001.safetensors").write_bytes(b"x" * 100)
    return path


def test_a_directory_stays_where_it_is(source: Path, models_dir: Path) -> None:
    made = import_for_vllm(str(source), models_dir, None, ["--dtype", "half"])
    assert (made.key, made.name, made.source) == ("my-model", "My Model", str(source))
    assert (made.context_length, made.capabilities) == (4096, ("TextGeneration",))
    assert VllmModel.load(models_dir / "my-model") == made
    assert vllm_models(models_dir) == [models_dir / "my-model"]
    assert [file.name for file in (models_dir / "my-model").iterdir()] == ["adaptive_vllm.json"]


def test_models_that_see(tmp_path: Path, models_dir: Path) -> None:
    config = {"vision_config": {}, "text_config": {"max_position_embeddings": 128}}
    sees = write_model(tmp_path / "sees", config)
    made = import_for_vllm(str(sees), models_dir, None, [])
    assert (made.context_length, made.capabilities) == (128, ("TextGeneration", "ImageUnderstanding"))
    assert import_for_vllm("org/sees", models_dir, "a", [], images=True).capabilities == made.capabilities
    assert import_for_vllm(str(sees), models_dir, "b", [], images=False).capabilities == ("TextGeneration",)


def test_a_name_of_the_hub(models_dir: Path) -> None:
    made = import_for_vllm("Qwen/Qwen3-0.6B", models_dir, None, [])
    assert (made.key, made.source, made.context_length) == ("qwen3-0.6b", "Qwen/Qwen3-0.6B", 0)


def test_imported_again_it_has_the_new_arguments(source: Path, models_dir: Path) -> None:
    import_for_vllm(str(source), models_dir, "mine", ["--dtype", "half"])
    assert import_for_vllm(str(source), models_dir, "mine", []).arguments == ()
    with pytest.raises(Conflict, match="choose another key"):
        import_for_vllm("Qwen/Qwen3-0.6B", models_dir, "mine", [])
    assert VllmModel.load(models_dir / "mine").source == str(source)


def test_a_key_that_a_model_of_the_other_engine_has(tmp_path: Path, source: Path, models_dir: Path) -> None:
    gguf = tiny_model(tmp_path / "tiny.gguf")
    import_model(gguf, models_dir, "taken")
    with pytest.raises(Conflict, match="choose another key"):
        import_for_vllm(str(source), models_dir, "taken", [])
    import_for_vllm(str(source), models_dir, "mine", [])
    with pytest.raises(Conflict, match="choose another key"):
        import_model(gguf, models_dir, "mine")


@pytest.mark.parametrize("name", ["nothing-here", "a/b/c", "../a", "/nowhere", "-x/y z", "a/..b"])
def test_what_is_neither_a_directory_nor_a_name(name: str, models_dir: Path) -> None:
    with pytest.raises(InvalidModel, match="There is no directory") as caught:
        import_for_vllm(name, models_dir, "key", [])
    assert caught.value.param == "source"


def test_directories_that_are_no_models(tmp_path: Path, source: Path, models_dir: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidModel, match=r"no config\.json"):
        import_for_vllm(str(tmp_path / "empty"), models_dir, None, [])
    for config, reason in (("[]", "no JSON object"), ("{", "is no JSON")):
        (source / "config.json").write_text(config)
        with pytest.raises(InvalidModel, match=reason):
            import_for_vllm(str(source), models_dir, None, [])
    (source / "model-00001-of-00001.safetensors").rename(source / "pytorch_model.bin")
    with pytest.raises(InvalidModel, match="no others are loaded"):
        import_for_vllm(str(source), models_dir, None, [])
    assert not models_dir.exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--port", "80"], "--port is the server's to choose"),
        (["--api_key=x"], "--api-key is the server's to choose"),
        (["--dtype", "half", "--served-model-name=x"], "--served-model-name"),
        (["half"], "write them behind `--`"),
        (["--x\x1b[2J"], "is no argument"),
        (["--x", "y" * 20_000], "is no argument"),
        (["--x"] * 300, "at most"),
    ],
)
def test_arguments_that_cannot_be(arguments: list[str], reason: str, models_dir: Path) -> None:
    with pytest.raises(InvalidRequest, match=reason) as caught:
        import_for_vllm("org/model", models_dir, "key", arguments)
    assert caught.value.param == "arguments"
    assert not models_dir.exists()


def test_a_manifest_that_was_changed(models_dir: Path) -> None:
    import_for_vllm("org/model", models_dir, "mine", [])
    file = models_dir / "mine" / "adaptive_vllm.json"
    for text in ("{", "{}", file.read_text().replace('"mine"', '"other"')):
        file.write_text(text)
        with pytest.raises(CorruptModel, match=r"[Ii]mport the model again"):
            VllmModel.load(models_dir / "mine")
