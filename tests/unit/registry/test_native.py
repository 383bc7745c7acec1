from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaptive_engine._version import __version__
from adaptive_engine.engine.native import read_native
from adaptive_engine.errors import Conflict, EngineFailed
from adaptive_engine.native import FILE, library
from adaptive_engine.native.weights import Weights
from adaptive_engine.registry import InvalidModel, ModelDirectory, import_model
from adaptive_engine.registry.directory import required_files
from adaptive_engine.registry.family import check_readable, model_config
from adaptive_engine.registry.gguf import GGUF, read_gguf
from adaptive_engine.registry.native import why_not_native, write_native
from adaptive_engine.registry.sources import write_json
from unit.native import ggml
from unit.native.models import Decoder, Part, needs_library
from unit.registry.gguf_builder import (
    HIDDEN,
    Metadata,
    Quantised,
    Tensors,
    byte_level_vocabulary,
    gguf_bytes,
    model_metadata,
    model_tensors,
    tiny_model,
    write_gguf,
)

HEAD_SIZE = 32
FILE_TYPES = {ggml.Q4_0: 2, ggml.Q4_1: 3, ggml.Q8_0: 7}


def quantised(tensors: Tensors, kind: int = ggml.Q8_0) -> Tensors:
    """With random weights in the place of all matrices."""
    random = np.random.default_rng(1)
    return {
        name: ggml.random_matrix(random, kind, *tensor.shape, 0.1) if len(tensor.shape) == 2 else tensor
        for name, tensor in tensors.items()
    }


def model_of(family: str = "llama", kind: int = ggml.Q8_0) -> tuple[Metadata, Tensors]:
    metadata = model_metadata(family, byte_level_vocabulary("smollm" if family == "llama" else "qwen2"))
    metadata["general.file_type"] = FILE_TYPES[kind]
    return metadata, quantised(model_tensors(metadata), kind)


def read(path: Path) -> tuple[GGUF, dict[str, Any]]:
    gguf = read_gguf(path)
    return gguf, model_config(gguf, check_readable(gguf))


def reason(tmp_path: Path, metadata: Metadata, tensors: Tensors) -> str | None:
    return why_not_native(*read(write_gguf(tmp_path / "model.gguf", metadata, tensors)))


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    return tmp_path / "models"


@needs_library
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("kind", [ggml.Q4_0, ggml.Q4_1, ggml.Q8_0])
def test_quantised_models_become_native(tmp_path: Path, models_dir: Path, family: str, kind: int) -> None:
    model = import_model(write_gguf(tmp_path / "model.gguf", *model_of(family, kind)), models_dir)
    assert (model.manifest.format, model.manifest.converter) == ("native", f"adaptive-engine {__version__}")
    assert (model.family, model.manifest.source.kind) == (family, "gguf")
    assert set(model.manifest.files) == required_files([FILE]) | {"tokenizer_config.json", "chat_template.jinja"}
    assert sorted(path.name for path in model.path.iterdir()) == sorted([*model.manifest.files, "adaptive_model.json"])
    model.verify()
    with Decoder(read_native(model.path)) as decoder:
        assert np.isfinite(decoder.step(Part([5, 6, 7], [1]))).all()


@needs_library
def test_the_same_file_gives_the_same_bytes(tmp_path: Path, models_dir: Path) -> None:
    source = write_gguf(tmp_path / "model.gguf", *model_of())
    first, second = (import_model(source, models_dir, key).path / FILE for key in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


@needs_library
@pytest.mark.parametrize("slab", [1, 64 * 70, 64 * 200])
def test_how_much_is_read_at_a_time_changes_nothing(
    tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch, slab: int
) -> None:
    source = write_gguf(tmp_path / "model.gguf", *model_of())
    whole = import_model(source, models_dir)
    monkeypatch.setattr("adaptive_engine.registry.native._SLAB", slab)
    in_slabs = import_model(source, models_dir, "slabs")
    assert (in_slabs.path / FILE).read_bytes() == (whole.path / FILE).read_bytes()


@needs_library
def test_openvino_may_be_asked_for(tmp_path: Path, models_dir: Path) -> None:
    model = import_model(write_gguf(tmp_path / "model.gguf", *model_of()), models_dir, engine="openvino")
    assert model.manifest.format == "openvino-ir"
    assert model.manifest.converter.startswith("openvino-genai ")
    assert "openvino_model.bin" in model.manifest.files
    assert FILE not in model.manifest.files
    model.verify()


@needs_library
def test_an_engine_that_is_asked_for_is_not_ignored_where_the_model_is_there(tmp_path: Path, models_dir: Path) -> None:
    file = write_gguf(tmp_path / "model.gguf", *model_of())
    model = import_model(file, models_dir)
    assert import_model(file, models_dir, engine="native") == import_model(file, models_dir) == model
    with pytest.raises(Conflict, match="for the engine 'native'; choose another key"):
        import_model(file, models_dir, engine="openvino")


@needs_library
def test_weights_of_16_bits_become_openvinos(tmp_path: Path, models_dir: Path) -> None:
    source = tiny_model(tmp_path / "model.gguf")
    assert import_model(source, models_dir).manifest.format == "openvino-ir"
    with pytest.raises(
        InvalidModel, match=r"cannot run 'model.gguf': it does not read the type of 'token_embd.weight'. OpenVINO may"
    ):
        import_model(source, models_dir, "other", engine="native")


def test_a_directory_is_not_for_the_native_engine(tmp_path: Path, models_dir: Path) -> None:
    with pytest.raises(InvalidModel, match="is a directory; the native engine runs GGUF files"):
        import_model(tmp_path, models_dir, "model", engine="native")


@needs_library
def test_the_directory_of_a_native_model_is_no_source(tmp_path: Path, models_dir: Path) -> None:
    model = import_model(write_gguf(tmp_path / "model.gguf", *model_of()), models_dir)
    with pytest.raises(InvalidModel, match=f"holds {FILE}, which an import made of a GGUF file. Import that file"):
        import_model(model.path, models_dir, "other")


def without_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(library, "LIBRARY", tmp_path / "libdecoder.so")
    library.library.cache_clear()


def test_without_the_library_models_become_openvinos(
    tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_gguf(tmp_path / "model.gguf", *model_of())
    native = import_model(source, models_dir, "native") if library.why_not() is None else None
    without_library(monkeypatch, tmp_path)
    model = import_model(source, models_dir)
    assert (model.manifest.format, library.instructions()) == ("openvino-ir", None)
    with pytest.raises(
        InvalidModel, match=r"cannot run 'model.gguf': it was built without a C compiler, .*install one"
    ):
        import_model(source, models_dir, "other", engine="native")
    path = tmp_path / "native" if native is None else native.path
    with pytest.raises(
        EngineFailed,
        match=r"'native' was imported for the native runtime, which is not here: .*install one and then the package "
        r"again. Or delete .* and import the model again, for OpenVINO.",
    ):
        read_native(path)


@needs_library
@pytest.mark.parametrize("missing", [FILE, "tokenizer.json", "config.json"])
def test_a_native_model_without_one_of_its_files_is_not_complete(
    tmp_path: Path, models_dir: Path, missing: str
) -> None:
    model = import_model(write_gguf(tmp_path / "model.gguf", *model_of()), models_dir)
    (model.path / missing).unlink()
    with pytest.raises(InvalidModel, match=f"{missing}' is not the file that was imported"):
        ModelDirectory.load(model.path)


@needs_library
def test_verify_reads_the_weights(tmp_path: Path, models_dir: Path) -> None:
    model = import_model(write_gguf(tmp_path / "model.gguf", *model_of()), models_dir)
    with (model.path / FILE).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(InvalidModel, match=f"{FILE}' is not the file that was imported"):
        ModelDirectory.load(model.path).verify()


class TestWhatIsNotComputed:
    def test_other_sizes(self, tmp_path: Path) -> None:
        metadata, tensors = model_of()
        assert reason(tmp_path, metadata, tensors) is None
        for key, value in {
            "embedding_length": 48,
            "feed_forward_length": 80,
            "attention.key_length": 48,
            "attention.head_count": 512,
            "attention.head_count_kv": 3,
        }.items():
            found = reason(tmp_path, metadata | {f"llama.{key}": value}, tensors)
            assert found is not None
            assert found.startswith("its layers have sizes that it does not compute")

    @pytest.mark.parametrize(("heads", "head_size"), [(-2, -HEAD_SIZE), (2, -HEAD_SIZE), (-2, HEAD_SIZE)])
    def test_sizes_below_zero(self, tmp_path: Path, heads: int, head_size: int) -> None:
        metadata, tensors = model_of("qwen2")
        gguf, config = read(write_gguf(tmp_path / "model.gguf", metadata, tensors))
        config |= {"num_attention_heads": heads, "num_key_value_heads": heads // 2, "head_dim": head_size}
        assert "sizes that it does not compute" in (why_not_native(gguf, config) or "")

    def test_tensors_without_a_use(self, tmp_path: Path) -> None:
        metadata, tensors = model_of()
        odd = {"blk.0.attn_output.bias": np.ones(64, np.float32)}
        assert "no use for the tensor 'blk.0.attn_output.bias'" in (reason(tmp_path, metadata, tensors | odd) or "")
        behind = {"blk.1.attn_norm.weight": np.ones(64, np.float32)}
        assert "no use for the tensor 'blk.1.attn_norm" in (reason(tmp_path, metadata, tensors | behind) or "")

    def test_tensors_of_another_shape(self, tmp_path: Path) -> None:
        metadata, tensors = model_of()
        tensors["blk.0.ffn_norm.weight"] = np.ones(96, np.float32)
        assert "no use for the tensor 'blk.0.ffn_norm.weight' of shape [96]" in (
            reason(tmp_path, metadata, tensors) or ""
        )

    @pytest.mark.parametrize("kind", [ggml.Q4_K, ggml.Q6_K])
    def test_rows_that_are_not_whole_blocks(self, tmp_path: Path, kind: int) -> None:
        metadata, tensors = model_of()
        # As many blocks as the matrix would have in all.
        blocks = np.zeros((64 * 64 // 256, 144 if kind == ggml.Q4_K else 210), np.uint8)
        tensors["blk.0.attn_q.weight"] = Quantised(kind, (64, 64), blocks)
        assert "does not read the type of 'blk.0.attn_q.weight'" in (reason(tmp_path, metadata, tensors) or "")

    def test_vectors_of_16_bits(self, tmp_path: Path) -> None:
        metadata, tensors = model_of()
        tensors["output_norm.weight"] = np.ones(64, np.float16)
        assert "does not read the type of 'output_norm.weight'" in (reason(tmp_path, metadata, tensors) or "")

    def test_halves_of_a_gate_with_different_types(self, tmp_path: Path) -> None:
        metadata, tensors = model_of()
        tensors["blk.0.ffn_up.weight"] = model_of(kind=ggml.Q4_0)[1]["blk.0.ffn_up.weight"]
        assert "are of different types" in (reason(tmp_path, metadata, tensors) or "")

    def test_partial_rotation(self, tmp_path: Path) -> None:
        metadata, tensors = model_of()
        assert reason(tmp_path, metadata | {"llama.rope.dimension_count": HEAD_SIZE}, tensors) is None
        found = reason(tmp_path, metadata | {"llama.rope.dimension_count": HEAD_SIZE // 2}, tensors)
        assert found == "it rotates whole heads only"

    @pytest.mark.parametrize("scaling", ["linear", "yarn", "longrope"])
    def test_scaled_positions(self, tmp_path: Path, models_dir: Path, scaling: str) -> None:
        metadata, tensors = model_of()
        metadata["llama.rope.scaling.type"] = scaling
        assert f"in the way '{scaling}'" in (reason(tmp_path, metadata, tensors) or "")
        # OpenVINO does not scale them either.
        with pytest.raises(InvalidModel, match="scales its rotary positions"):
            import_model(write_gguf(tmp_path / "model.gguf", metadata, tensors), models_dir)

    @pytest.mark.parametrize("key", ["scaling.factor", "scale_linear"])
    def test_a_factor_of_positions_alone(self, tmp_path: Path, models_dir: Path, key: str) -> None:
        metadata, tensors = model_of()
        assert reason(tmp_path, metadata | {f"llama.rope.{key}": 1.0}, tensors) is None
        metadata[f"llama.rope.{key}"] = 4.0
        with pytest.raises(InvalidModel, match="scales its rotary positions"):
            import_model(write_gguf(tmp_path / "model.gguf", metadata, tensors), models_dir)

    def test_positions_that_are_not_scaled(self, tmp_path: Path) -> None:
        metadata, tensors = model_of()
        assert reason(tmp_path, metadata | {"llama.rope.scaling.type": "none"}, tensors) is None


@pytest.mark.parametrize("engine", ["native", "openvino"])
@pytest.mark.parametrize("number", [-10_000.0, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["rope.freq_base", "attention.layer_norm_rms_epsilon"])
def test_numbers_with_which_nothing_can_be_computed(
    tmp_path: Path, models_dir: Path, name: str, number: float, engine: Any
) -> None:
    metadata, tensors = model_of()
    metadata[f"llama.{name}"] = number
    with pytest.raises(InvalidModel, match=f"'llama.{name}' must be a number from 0 on, not {number}"):
        import_model(write_gguf(tmp_path / "model.gguf", metadata, tensors), models_dir, engine=engine)


@pytest.mark.parametrize("engine", ["native", "openvino"])
@pytest.mark.parametrize("norm", ["attn_q_norm", "attn_k_norm"])
class TestNormsOfHeads:
    def test_a_qwen3_lacks_one(self, tmp_path: Path, models_dir: Path, norm: str, engine: Any) -> None:
        metadata, tensors = model_of("qwen3")
        del tensors[f"blk.0.{norm}.weight"]
        with pytest.raises(InvalidModel, match=f"lacks the tensor 'blk.0.{norm}.weight'"):
            import_model(write_gguf(tmp_path / "model.gguf", metadata, tensors), models_dir, engine=engine)

    @pytest.mark.parametrize("family", ["llama", "qwen2"])
    def test_another_family_has_one(
        self, tmp_path: Path, models_dir: Path, norm: str, engine: Any, family: str
    ) -> None:
        metadata, tensors = model_of(family)
        tensors[f"blk.0.{norm}.weight"] = np.ones(HEAD_SIZE, np.float32)
        with pytest.raises(
            InvalidModel, match=f"has the tensor 'blk.0.{norm}.weight', which .* '{family}' do not have"
        ):
            import_model(write_gguf(tmp_path / "model.gguf", metadata, tensors), models_dir, engine=engine)


@needs_library
def test_frequencies_are_divided_by_the_factors_of_the_file(tmp_path: Path, models_dir: Path) -> None:
    metadata, tensors = model_of()
    metadata["llama.rope.freq_base"] = 500.0
    factors = np.linspace(1, 8, HEAD_SIZE // 2, dtype=np.float32)
    plain = import_model(write_gguf(tmp_path / "plain.gguf", metadata, tensors), models_dir)
    path = write_gguf(tmp_path / "scaled.gguf", metadata, tensors | {"rope_freqs.weight": factors})
    scaled = import_model(path, models_dir)
    frequencies = 500.0 ** (-2 * np.arange(HEAD_SIZE // 2) / HEAD_SIZE)
    assert Weights(plain.path / FILE)["frequencies"] == pytest.approx(frequencies, rel=1e-6)
    assert Weights(scaled.path / FILE)["frequencies"] == pytest.approx(frequencies / factors, rel=1e-6)
    with pytest.raises(InvalidModel, match="scales its rotary positions, which the GGUF converter ignores"):
        import_model(path, models_dir, "other", engine="openvino")


@needs_library
@pytest.mark.parametrize(
    ("kind", "at", "factor", "name"),
    [
        (ggml.Q4_K, 0, 60_000.0, "blk.0.ffn_down.weight"),
        (ggml.Q4_K, 2, 60_000.0, "blk.0.ffn_down.weight"),
        (ggml.Q4_K, 2, float("nan"), "blk.0.ffn_down.weight"),
        (ggml.Q6_K, 208, 60_000.0, "blk.0.ffn_down.weight"),
        (ggml.Q4_0, 0, 60_000.0, "blk.0.attn_q.weight"),
        (ggml.Q8_0, 0, float("inf"), "blk.0.ffn_gate.weight' or 'blk.0.ffn_up.weight"),
    ],
)
def test_factors_beyond_16_bits_are_refused_by_name(
    tmp_path: Path, models_dir: Path, kind: int, at: int, factor: float, name: str
) -> None:
    metadata, tensors = model_of()
    metadata["llama.feed_forward_length"] = 256
    shapes = {"ffn_gate": (256, HIDDEN), "ffn_up": (256, HIDDEN), "ffn_down": (HIDDEN, 256)}
    random = np.random.default_rng(2)
    for part, shape in shapes.items():
        tensors[f"blk.0.{part}.weight"] = ggml.random_matrix(random, ggml.Q8_0, *shape, 0.1)
    stored = name.rpartition("'")[2]
    matrix = ggml.random_matrix(random, kind, *tensors[stored].shape, 0.1)
    good = write_gguf(tmp_path / "good.gguf", metadata, tensors | {stored: matrix})
    assert import_model(good, models_dir).manifest.format == "native"
    matrix.blocks[-1, at : at + 2] = np.array([factor], np.float16).view(np.uint8)
    with pytest.raises(InvalidModel, match=f"Tensor '{name}' has weights whose factors are no numbers of 16 bits"):
        import_model(write_gguf(tmp_path / "bad.gguf", metadata, tensors | {stored: matrix}), models_dir)
    assert sorted(path.name for path in models_dir.iterdir()) == [".locks", "good"]


@needs_library
def test_a_disk_that_is_full_leaves_nothing(tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("adaptive_engine.registry.native.write_weights", full)
    with pytest.raises(OSError, match="No space left"):
        import_model(write_gguf(tmp_path / "model.gguf", *model_of()), models_dir)
    assert [path.name for path in models_dir.iterdir()] == [".locks"]


SEEDS = [model_of("llama"), model_of("qwen2", ggml.Q4_1), model_of("qwen3", ggml.Q4_0)]
SIZES = [0, 1, 2, 3, 31, 32, 48, 64, 96, 128, 257, 2**31, 2**32 - 1]
NUMBERS = [0.0, -1.0, 0.5, 1e-30, 1e30, float("inf"), float("nan")]


@st.composite
def mutated_files(draw: st.DrawFn) -> bytes:
    """Files that differ from good ones in a number of their metadata, a tensor, or some bytes."""
    metadata, tensors = (dict(part) for part in draw(st.sampled_from(SEEDS)))
    for key in draw(st.lists(st.sampled_from([key for key in metadata if "tokenizer" not in key]), max_size=2)):
        values = NUMBERS if isinstance(metadata[key], float) else SIZES
        metadata[key] = draw(st.sampled_from(values)) if type(metadata[key]) in (int, float) else metadata[key]
    for name in draw(st.lists(st.sampled_from(list(tensors)), max_size=1)):
        tensor = tensors[name]
        kind = draw(st.sampled_from([0, 1, *ggml.KINDS.values()]))
        shape = draw(st.sampled_from([tensor.shape, tensor.shape[::-1], (tensor.shape[0],), (1, *tensor.shape), ()]))
        tensors[name] = Quantised(kind, shape, np.frombuffer(tensor.tobytes(), np.uint8))
    content = bytearray(gguf_bytes(metadata, tensors))
    for _ in range(draw(st.integers(0, 3))):
        # In three of four the weights.
        begin = draw(st.sampled_from([0, *[len(content) // 2] * 3]))
        at = draw(st.integers(begin, len(content) - 4))
        content[at : at + 2] = draw(st.binary(min_size=2, max_size=2))
    return bytes(content)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=mutated_files())
# A base of frequencies may be none.
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_mutated_files_only_raise_typed_errors(tmp_path: Path, content: bytes) -> None:
    source, target = tmp_path / "model.gguf", tmp_path / FILE
    source.write_bytes(content)
    target.unlink(missing_ok=True)
    try:
        gguf, config = read(source)
    except InvalidModel:
        return
    if why_not_native(gguf, config) is not None:
        return
    try:
        write_native(source, gguf, config, target)
    except InvalidModel:
        return
    write_json(tmp_path / "config.json", config)
    if library.why_not() is not None:
        return
    with Decoder(read_native(tmp_path), blocks=4) as decoder:
        decoder.step(Part([0, config["vocab_size"] - 1] * 20, [1, 2]))
