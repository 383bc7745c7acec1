from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from tokenizers import Tokenizer

from adaptive_engine.errors import Conflict, InvalidRequest
from adaptive_engine.registry import InvalidModel, ModelDirectory, import_model, model_paths, sources
from unit.registry.gguf_builder import (
    byte_level_vocabulary,
    model_metadata,
    model_tensors,
    sentencepiece_vocabulary,
    tiny_model,
    write_gguf,
)

BAD_KEYS = [
    "",
    ".",
    "..",
    "a..b",
    "../../x",
    "/etc/passwd",
    "a/b",
    "..%2f",
    "C:\\",
    "a\0b",
    "a\n",
    "-a",
    ".hidden",
    "A",
]
BAD_KEYS += ["a" * 65, "a" * 4096, "\uff4dodel", "\u043codel"]

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "family": ({"general.architecture": "phi3"}, "family 'phi3' is not supported.*llama, qwen2, qwen3"),
    "a part": ({"split.count": 3}, "one part of a split model"),
    "scaled rope": ({"llama.rope.scaling.type": "yarn"}, "scales its rotary positions"),
    "no layers": ({"llama.block_count": 2**31}, "lacks the tensor 'blk.1.attn_norm.weight'"),
    "context": ({"llama.context_length": 2**31}, "its context holds 2147483648 tokens"),
    "no heads": ({"llama.attention.head_count": 0}, "head_count' must not be 0"),
    "tokenizer": ({"tokenizer.ggml.pre": "tekken"}, "pre-tokenizer 'tekken'"),
    "vocabulary": ({"tokenizer.ggml.tokens": ["a", "b"]}, "names 2 tokens, but does not embed as many"),
}


def visible(models_dir: Path) -> list[str]:
    return [path.name for path in model_paths(models_dir)]


def tree(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    return tmp_path / "data" / "models"


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> ModelDirectory:
    """A tiny model, imported once; do not change it."""
    folder = tmp_path_factory.mktemp("imported")
    return import_model(tiny_model(folder / "Tiny.F16.gguf"), folder / "models")


@pytest.fixture
def openvino_dir(imported: ModelDirectory, tmp_path: Path) -> Path:
    """A directory as optimum-intel would write it."""
    copy = tmp_path / "exported"
    shutil.copytree(imported.path, copy)
    (copy / "adaptive_model.json").unlink()
    return copy


def edit_json(path: Path, **changes: Any) -> None:
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), **changes}))


class TestGGUF:
    def test_writes_everything_an_engine_needs(self, imported: ModelDirectory) -> None:
        assert (imported.key, imported.name, imported.family) == ("tiny.f16", "Tiny", "llama")
        assert (imported.context_length, imported.capabilities) == (256, ("TextGeneration",))
        config = orjson.loads((imported.path / "config.json").read_bytes())
        assert config["model_type"] == "llama"
        assert config["architectures"] == ["LlamaForCausalLM"]
        assert (config["hidden_size"], config["num_key_value_heads"], config["vocab_size"]) == (64, 1, 264)
        generation = orjson.loads((imported.path / "generation_config.json").read_bytes())
        assert generation["eos_token_id"] == [2, 0]
        template = (imported.path / "chat_template.jinja").read_text()
        assert template == byte_level_vocabulary()["tokenizer.chat_template"]
        assert imported.manifest.quantization == "F16"
        assert imported.manifest.source.file == "Tiny.F16.gguf"
        imported.verify()

    @pytest.mark.parametrize("family", ["qwen2", "qwen3"])
    def test_imports_the_other_families(self, tmp_path: Path, models_dir: Path, family: str) -> None:
        model = import_model(tiny_model(tmp_path / "model.gguf", family, byte_level_vocabulary("qwen2")), models_dir)
        assert model.family == family
        # Queries with keys and values, and both halves of the gate.
        graph = (model.path / "openvino_model.xml").read_text()
        assert graph.count('type="VariadicSplit"') == 2

    def test_imports_a_sentencepiece_vocabulary(self, tmp_path: Path, models_dir: Path) -> None:
        model = import_model(tiny_model(tmp_path / "model.gguf", "llama", sentencepiece_vocabulary()), models_dir)
        tokenizer = Tokenizer.from_file(str(model.path / "tokenizer.json"))
        assert tokenizer.encode("hello").tokens == ["<s>", "▁hello"]

    def test_reports_progress_in_bytes(self, tmp_path: Path, models_dir: Path) -> None:
        seen: list[tuple[str, int, int | None]] = []
        source = tiny_model(tmp_path / "model.gguf")
        import_model(source, models_dir, progress=lambda *event: seen.append(event))
        size = source.stat().st_size
        assert seen == [("read", size, size), ("convert", 0, None)]

    def test_leaves_no_trace_beside_the_source(self, tmp_path: Path, models_dir: Path) -> None:
        folder = tmp_path / "source"
        folder.mkdir()
        import_model(tiny_model(folder / "model.gguf"), models_dir)
        assert tree(folder) == {"model.gguf"}

    def test_a_link_to_the_file_is_followed(self, tmp_path: Path, models_dir: Path) -> None:
        blob = tiny_model(tmp_path / "blob")
        link = tmp_path / "Linked.gguf"
        link.symlink_to(blob)
        assert import_model(link, models_dir).key == "linked"

    @pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED.keys())
    def test_a_model_that_cannot_run_is_refused(
        self, tmp_path: Path, models_dir: Path, change: dict[str, Any], message: str
    ) -> None:
        metadata = model_metadata()
        path = write_gguf(tmp_path / "model.gguf", metadata | change, model_tensors(metadata))
        with pytest.raises(InvalidModel, match=message):
            import_model(path, models_dir)
        assert visible(models_dir) == []

    def test_a_tensor_type_that_the_converter_cannot_read_is_refused(self, tmp_path: Path, models_dir: Path) -> None:
        path = tiny_model(tmp_path / "model.gguf")
        content = path.read_bytes()
        name = b"token_embd.weight"
        at = content.index(name) + len(name) + 4 + 16
        path.write_bytes(content[:at] + b"\x0a" + content[at + 1 :])
        with pytest.raises(InvalidModel, match=r"'token_embd.weight' has the ggml type 10"):
            import_model(path, models_dir)

    def test_a_download_that_did_not_end_is_refused(self, tmp_path: Path, models_dir: Path) -> None:
        path = tiny_model(tmp_path / "model.gguf")
        path.write_bytes(path.read_bytes()[:-500])
        with pytest.raises(InvalidModel, match="not downloaded to its end"):
            import_model(path, models_dir)

    def test_a_failing_converter_becomes_a_readable_error(self, tmp_path: Path, models_dir: Path) -> None:
        metadata = model_metadata()
        tensors = model_tensors(metadata)
        tensors["blk.0.attn_q.weight"] = tensors["blk.0.attn_q.weight"][:3]
        with pytest.raises(InvalidModel, match="The model could not be read: Invalid input dimensions"):
            import_model(write_gguf(tmp_path / "model.gguf", metadata, tensors), models_dir)
        assert tree(models_dir) == {".locks", ".locks/model.lock"}

    def test_a_crashing_converter_costs_only_the_import(
        self, tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        crasher = tmp_path / "crasher"
        crasher.write_text("#!/bin/sh\nkill -SEGV $$\n")
        crasher.chmod(0o755)
        monkeypatch.setattr(sources.sys, "executable", str(crasher))
        with pytest.raises(InvalidModel, match=f"signal {signal.SIGSEGV.value}"):
            import_model(tiny_model(tmp_path / "model.gguf"), models_dir)
        assert visible(models_dir) == []


class TestOpenVINO:
    def test_copies_the_allowed_files_only(self, openvino_dir: Path, models_dir: Path) -> None:
        (openvino_dir / "README.md").write_text("not ours")
        (openvino_dir / "modeling.py").write_text("raise SystemExit")
        model = import_model(openvino_dir, models_dir, "copied")
        assert model.family == "llama"
        assert model.manifest.source.kind == "openvino"
        assert not {"README.md", "modeling.py"} & tree(model.path)
        model.verify()

    @pytest.mark.parametrize("template", ["{{ 1 }}", [{"name": "tools"}, {"name": "default", "template": "{{ 1 }}"}]])
    def test_takes_the_template_out_of_the_tokenizer_config(
        self, openvino_dir: Path, models_dir: Path, template: object
    ) -> None:
        (openvino_dir / "chat_template.jinja").unlink()
        edit_json(openvino_dir / "tokenizer_config.json", chat_template=template)
        model = import_model(openvino_dir, models_dir)
        assert (model.path / "chat_template.jinja").read_text() == "{{ 1 }}"

    def test_makes_a_generation_config_when_there_is_none(self, openvino_dir: Path, models_dir: Path) -> None:
        (openvino_dir / "generation_config.json").unlink()
        model = import_model(openvino_dir, models_dir)
        assert orjson.loads((model.path / "generation_config.json").read_bytes()) == {"eos_token_id": [2]}

    def test_says_what_to_do_when_tokenizer_json_is_missing(self, openvino_dir: Path, models_dir: Path) -> None:
        (openvino_dir / "tokenizer.json").unlink()
        with pytest.raises(
            InvalidModel, match=r"has openvino_tokenizer.xml but no tokenizer.json.*Copy tokenizer.json"
        ):
            import_model(openvino_dir, models_dir)

    def test_says_how_to_convert_a_checkpoint(self, tmp_path: Path, models_dir: Path) -> None:
        (tmp_path / "model.safetensors").touch()
        with pytest.raises(InvalidModel, match="optimum-cli export openvino"):
            import_model(tmp_path, models_dir, "checkpoint")

    def test_names_the_files_that_are_missing(self, tmp_path: Path, models_dir: Path) -> None:
        (tmp_path / "config.json").write_text("{}")
        with pytest.raises(InvalidModel, match=r"lacks openvino_model.bin, openvino_model.xml, tokenizer.json"):
            import_model(tmp_path, models_dir, "model")

    @pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pt", "state.pkl"])
    def test_a_pickle_is_refused_and_not_loaded(
        self, openvino_dir: Path, models_dir: Path, tmp_path: Path, name: str
    ) -> None:
        canary = tmp_path / "canary"
        (openvino_dir / name).write_bytes(b"cposix\nsystem\n(Stouch " + str(canary).encode() + b"\ntR.")
        with pytest.raises(InvalidModel, match=f"{name}' is a pickle"):
            import_model(openvino_dir, models_dir)
        assert not canary.exists()

    @pytest.mark.parametrize("changes", [{"auto_map": {"AutoModel": "x.Y"}}, {"text": [{"trust_remote_code": True}]}])
    @pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
    def test_code_of_the_model_is_refused(
        self, openvino_dir: Path, models_dir: Path, name: str, changes: dict[str, Any]
    ) -> None:
        edit_json(openvino_dir / name, **changes)
        with pytest.raises(InvalidModel, match="run code"):
            import_model(openvino_dir, models_dir)

    def test_a_deeply_nested_config_is_read(self, openvino_dir: Path, models_dir: Path) -> None:
        deep = b"[" * 1000 + b"]" * 1000
        config = (openvino_dir / "config.json").read_bytes()
        (openvino_dir / "config.json").write_bytes(config.replace(b"{", b'{"deep":' + deep + b",", 1))
        import_model(openvino_dir, models_dir).verify()

    @pytest.mark.parametrize("name", ["config.json", "extra"])
    @pytest.mark.parametrize("make", ["symlink", "hard link", "fifo", "socket"])
    def test_a_source_with_links_or_special_files_is_refused(
        self, openvino_dir: Path, models_dir: Path, tmp_path: Path, name: str, make: str
    ) -> None:
        path = openvino_dir / name
        path.unlink(missing_ok=True)
        secret = tmp_path / "secret"
        secret.write_text("{}")
        makers: dict[str, Callable[[], Any]] = {
            "symlink": lambda: path.symlink_to(secret),
            "hard link": lambda: path.hardlink_to(secret),
            "fifo": lambda: os.mkfifo(path),
            # Like a device it is no regular file, and unlike one it can be made without being root.
            "socket": lambda: os.mknod(path, stat.S_IFSOCK | 0o600),
        }
        makers[make]()
        with pytest.raises(InvalidModel, match="is a link, a FIFO or a device"):
            import_model(openvino_dir, models_dir)

    def test_an_ir_that_is_no_language_model_is_refused(self, openvino_dir: Path, models_dir: Path) -> None:
        shutil.copy(openvino_dir / "openvino_detokenizer.xml", openvino_dir / "openvino_model.xml")
        with pytest.raises(InvalidModel, match="The model could not be read"):
            import_model(openvino_dir, models_dir)

    @pytest.mark.parametrize("content", ["[]", "{", "null", '{"model": "../../etc"}'])
    def test_a_broken_tokenizer_is_refused(self, openvino_dir: Path, models_dir: Path, content: str) -> None:
        (openvino_dir / "tokenizer.json").write_text(content)
        with pytest.raises(InvalidModel, match=r"tokenizer.json' cannot be read"):
            import_model(openvino_dir, models_dir)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"model_type": "../x"}, "no usable model_type"),
            ({"max_position_embeddings": "8192"}, "context holds '8192'"),
            ({"max_position_embeddings": None}, "context holds None"),
        ],
    )
    def test_a_config_that_says_nonsense_is_refused(
        self, openvino_dir: Path, models_dir: Path, changes: dict[str, Any], message: str
    ) -> None:
        edit_json(openvino_dir / "config.json", **changes)
        with pytest.raises(InvalidModel, match=message):
            import_model(openvino_dir, models_dir)


class TestNames:
    @pytest.mark.parametrize(
        "key",
        BAD_KEYS,
    )
    def test_a_bad_key_is_refused_and_nothing_is_written(self, tmp_path: Path, key: str) -> None:
        source = tiny_model(tmp_path / "model.gguf")
        before = tree(tmp_path)
        with pytest.raises(InvalidRequest, match="is not a model key"):
            import_model(source, tmp_path / "models", key)
        assert tree(tmp_path) == before

    def test_a_key_that_is_a_link_is_refused(self, tmp_path: Path, models_dir: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        models_dir.mkdir(parents=True)
        (models_dir / "model").symlink_to(outside)
        with pytest.raises(InvalidRequest, match="symbolic link"):
            import_model(tiny_model(tmp_path / "model.gguf"), models_dir)
        assert tree(outside) == set()

    @pytest.mark.parametrize("name", ["nothing", "a\0b", "x" * 5000])
    def test_a_source_that_is_not_there_is_refused(self, tmp_path: Path, models_dir: Path, name: str) -> None:
        with pytest.raises(InvalidModel, match="cannot be opened"):
            import_model(tmp_path / name, models_dir, "model")

    def test_a_fifo_does_not_hang(self, tmp_path: Path, models_dir: Path) -> None:
        os.mkfifo(tmp_path / "model.gguf")
        with pytest.raises(InvalidModel, match="not a regular file"):
            import_model(tmp_path / "model.gguf", models_dir)

    def test_a_file_of_another_kind_is_refused(self, tmp_path: Path, models_dir: Path) -> None:
        (tmp_path / "model.bin").write_bytes(b"GGUF")
        with pytest.raises(InvalidModel, match="neither a GGUF file nor a directory"):
            import_model(tmp_path / "model.bin", models_dir)

    def test_control_characters_do_not_reach_the_name(self, tmp_path: Path, models_dir: Path) -> None:
        metadata = model_metadata() | {"general.name": "red \x1b[31m\u202ename\n"}
        model = import_model(write_gguf(tmp_path / "m.gguf", metadata, model_tensors(metadata)), models_dir)
        assert model.name == "red [31mname"


class TestRepeating:
    def test_the_same_source_again_changes_nothing(self, tmp_path: Path, models_dir: Path) -> None:
        source = tiny_model(tmp_path / "model.gguf")
        first = import_model(source, models_dir)
        inode = first.path.stat().st_ino
        stages: list[str] = []
        assert import_model(source, models_dir, progress=lambda stage, *_: stages.append(stage)) == first
        assert first.path.stat().st_ino == inode
        assert "convert" not in stages

    def test_another_source_under_the_same_key_is_refused(self, tmp_path: Path, models_dir: Path) -> None:
        first = import_model(tiny_model(tmp_path / "model.gguf"), models_dir)
        with pytest.raises(Conflict, match="belongs to another model"):
            import_model(tiny_model(tmp_path / "other.gguf", "qwen2"), models_dir, "model")
        first.verify()

    def test_what_killed_importers_left_is_removed(self, tmp_path: Path, models_dir: Path) -> None:
        for name in (".importing-model-1", ".importing-other-2"):
            (models_dir / name).mkdir(parents=True)
        import_model(tiny_model(tmp_path / "model.gguf"), models_dir)
        assert not [path for path in models_dir.iterdir() if path.name.startswith(".importing-")]

    def test_two_importers_of_one_model_do_not_fight(self, tmp_path: Path, models_dir: Path) -> None:
        source = tiny_model(tmp_path / "model.gguf")
        stages: list[str] = []
        results: list[ModelDirectory] = []

        def work() -> None:
            results.append(import_model(source, models_dir, progress=lambda stage, *_: stages.append(stage)))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [results[0]] * 3
        assert stages.count("convert") == 1

    def test_a_killed_importer_leaves_nothing_visible(self, tmp_path: Path, models_dir: Path) -> None:
        source = tiny_model(tmp_path / "model.gguf")
        code = "import sys, pathlib, adaptive_engine.registry as r; r.import_model(*map(pathlib.Path, sys.argv[1:]))"
        importer = subprocess.Popen([sys.executable, "-c", code, str(source), str(models_dir)])
        while not list(models_dir.glob(".importing-*/config.json")):
            assert importer.poll() is None, "the import ended before it could be killed"
            time.sleep(0.005)
        importer.kill()
        importer.wait()
        assert visible(models_dir) == []
        import_model(source, models_dir).verify()
        assert visible(models_dir) == ["model"]
