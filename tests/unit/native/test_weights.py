from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptive_engine.engine.native import read_native
from adaptive_engine.errors import EngineFailed
from adaptive_engine.native import FILE
from adaptive_engine.native.weights import Tensor, Weights, write_weights
from unit.native.models import Decoder, Part, Sizes, needs_library, random_tensors, read_model

FLOATS = np.arange(6, dtype=np.float32)
BYTES = np.arange(10, dtype=np.uint8).reshape(2, 5)
HUGE = 1 << 40


def test_what_is_written_is_read(tmp_path: Path) -> None:
    parts = [BYTES[:1], BYTES[1:]]
    write_weights(
        tmp_path / FILE, [Tensor("floats", "F32", (6,), [FLOATS]), Tensor("bytes", "U8", (2, 5), iter(parts))]
    )
    weights = Weights(tmp_path / FILE)
    assert len(weights) == 2
    assert "bytes" in weights
    assert "other" not in weights
    assert np.array_equal(weights["floats"], FLOATS)
    assert np.array_equal(weights["bytes"], BYTES)
    assert weights["floats"].ctypes.data % 64 == 0
    with pytest.raises(ValueError, match="it has no tensor other"):
        weights["other"]


@pytest.mark.parametrize("shape", [(5,), (7,)])
def test_parts_have_to_be_what_the_shape_says(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="floats has 24 bytes instead of"):
        write_weights(tmp_path / FILE, [Tensor("floats", "F32", shape, [FLOATS])])


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    with pytest.raises(FileExistsError):
        write_weights(tmp_path / FILE, [])


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    read_model(tmp_path / "model", Sizes("qwen2"), random_tensors(Sizes("qwen2")))
    return tmp_path / "model"


def edit_header(directory: Path, edit: Callable[[Any], Any]) -> None:
    """Replace the header by what `edit` makes of it."""
    content = (directory / FILE).read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    text = json.dumps(edit(header) or header).encode()
    text += b" " * (-(len(text) + 8) % 64)
    (directory / FILE).write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def rewrite(content: bytes) -> Callable[[Path], None]:
    return lambda directory: (directory / FILE).write_bytes(content) and None


def cut(size: int) -> Callable[[Path], None]:
    return lambda directory: (directory / FILE).write_bytes((directory / FILE).read_bytes()[:size]) and None


def header(edit: Callable[[Any], Any]) -> Callable[[Path], None]:
    return lambda directory: edit_header(directory, edit)


def entry(name: str, **changes: Any) -> Callable[[Path], None]:
    return header(lambda header: header[name].update(changes))


def config(**changes: Any) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        path = directory / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


DAMAGED: dict[str, tuple[Callable[[Path], None], str]] = {
    "no file": (lambda directory: (directory / FILE).unlink(), f"No such file.*{FILE}"),
    "empty": (rewrite(b""), "empty"),
    "seven bytes": (cut(7), "shorter than its header says"),
    "half a header": (cut(500), "shorter than its header says"),
    "no weights": (cut(4000), "it ends before .* does"),
    "a byte less": (cut(-1), "it ends before .* does"),
    "a huge header": (rewrite(struct.pack("<Q", HUGE) + bytes(100)), "shorter than its header says"),
    "no JSON": (rewrite(struct.pack("<Q", 8) + b"{'a': 1}"), "Expecting property name"),
    "no UTF-8": (rewrite(struct.pack("<Q", 4) + b'{"\xff"'), "utf-8"),
    "a deep header": (rewrite(struct.pack("<Q", 200_000) + b"[" * 200_000), "its header is damaged"),
    "a list": (header(lambda header: [header]), "its header is damaged"),
    "an entry that is a list": (header(lambda header: {**header, "head": []}), "its header is damaged"),
    "metadata that are a list": (header(lambda header: {"__metadata__": ["x"]}), "its header is damaged"),
    "no format": (header(lambda header: header.pop("__metadata__") and None), "its format is not adaptive-native-1"),
    "another format": (
        header(lambda header: {**header, "__metadata__": {"format": "adaptive-native-2"}}),
        "its format is not adaptive-native-1",
    ),
    "no offsets": (header(lambda header: header["embeddings"].pop("data_offsets") and None), "its header is damaged"),
    "one offset": (entry("embeddings", data_offsets=[0]), "not enough values"),
    "offsets of text": (entry("embeddings", data_offsets=["0", "9"]), "its header is damaged"),
    "offsets behind the end": (entry("embeddings", data_offsets=[HUGE, HUGE + 1]), "it ends before embeddings does"),
    "offsets before the beginning": (entry("embeddings", data_offsets=[-64, 0]), "it ends before embeddings does"),
    "offsets backwards": (entry("embeddings", data_offsets=[64, 0]), "it ends before embeddings does"),
    "a shape that is larger": (entry("embeddings", shape=[1 << 20, 1 << 20]), "cannot reshape"),
    "a shape that is text": (entry("embeddings", shape="16"), "its header is damaged"),
    "numbers that are bytes": (entry("final_norm", dtype="U8"), "cannot reshape"),
    "a matrix of numbers": (entry("embeddings", dtype="F32"), "cannot reshape"),
    "a matrix without rows": (entry("embeddings", shape=[0, 64], data_offsets=[0, 0]), "embeddings is not of 250"),
    "tiles of another size": (
        entry("embeddings", shape=[16, 1087], data_offsets=[0, 16 * 1087]),
        "tiles of 1087 bytes are not of 64 inputs",
    ),
    "twice as many tiles of half the size": (entry("embeddings", shape=[32, 544]), "embeddings is not of 250 columns"),
    "a tensor that is missing": (header(lambda h: h.pop("layers.1.down") and None), "it has no tensor layers.1.down"),
    "a layer too few": (config(num_hidden_layers=3), "it has no tensor layers.2.attention_norm"),
    "many layers too few": (config(num_hidden_layers=1 << 24), "it does not have 16777216 layers"),
    "another vocabulary": (config(vocab_size=272), "embeddings is not of 272 columns"),
    "another width": (config(hidden_size=128), "attention_norm is not of 128 numbers"),
    "another width of the layer's inside": (config(intermediate_size=128), "gate_up is not of 256 columns"),
    "more heads": (config(num_attention_heads=3), "query_bias is not of 96 numbers"),
    "more heads of keys": (config(num_key_value_heads=2), "key_bias is not of 64 numbers"),
    "larger heads": (config(head_dim=64, num_attention_heads=1), "key_bias is not of 64 numbers"),
}


@needs_library
@pytest.mark.parametrize(("damage", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_refused_by_name(directory: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(directory)
    with pytest.raises(EngineFailed, match=f"^{FILE} of model 'model' cannot be read: .*{message}"):
        read_native(directory)


NOT_COMPUTED = "the native runtime does not compute layers of its sizes"
CONFIGS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no file": (lambda directory: (directory / "config.json").unlink(), "No such file"),
    "no JSON": (lambda directory: (directory / "config.json").write_text("{"), "Expecting property name"),
    "a list": (lambda directory: (directory / "config.json").write_text("[]"), "it is not an object"),
    "deep": (lambda directory: (directory / "config.json").write_text("[" * 200_000), "nested too deeply"),
    "no size": (config(hidden_size=None), "its hidden_size is not a size"),
    "a fraction": (config(hidden_size=64.0), "its hidden_size is not a size"),
    "less than nothing": (config(head_dim=-32, num_attention_heads=-2), "its num_attention_heads is not a size"),
    "more than anything": (config(vocab_size=HUGE), "its vocab_size is not a size"),
    "no tokens": (config(vocab_size=0), NOT_COMPUTED),
    "no heads": (config(num_attention_heads=0), NOT_COMPUTED),
    "no heads of keys": (config(num_key_value_heads=0), NOT_COMPUTED),
    "heads that cannot share": (config(num_attention_heads=3, num_key_value_heads=2), NOT_COMPUTED),
    "too many heads that share": (config(num_attention_heads=257), NOT_COMPUTED),
    "too large heads": (config(head_dim=288), NOT_COMPUTED),
    "an odd width": (config(hidden_size=48), NOT_COMPUTED),
    "no epsilon": (config(rms_norm_eps=None), "its rms_norm_eps is not a number"),
}


@needs_library
@pytest.mark.parametrize(("damage", "message"), CONFIGS.values(), ids=CONFIGS.keys())
def test_a_config_that_cannot_be_is_refused_by_name(
    directory: Path, damage: Callable[[Path], Any], message: str
) -> None:
    damage(directory)
    with pytest.raises(EngineFailed, match=f"^config.json of model 'model' cannot be read: .*{message}"):
        read_native(directory)


@needs_library
def test_numbers_that_do_not_lie_on_words_are_refused(directory: Path) -> None:
    def shift(header: Any) -> None:
        begin, end = header["final_norm"]["data_offsets"]
        header["final_norm"]["data_offsets"] = [begin + 1, end + 1]

    edit_header(directory, shift)
    with pytest.raises(EngineFailed, match=f"^{FILE} of model 'model' cannot be read: final_norm"):
        read_native(directory)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, bytes]:
    """A model that may be changed, and what its files were."""
    directory = tmp_path_factory.mktemp("original") / "model"
    read_model(directory, Sizes("qwen2", layers=1), random_tensors(Sizes("qwen2", layers=1)))
    return directory, (directory / FILE).read_bytes(), (directory / "config.json").read_bytes()


@needs_library
@settings(max_examples=150)
@given(data=st.data())
def test_what_is_read_of_mutated_files_computes(original: tuple[Path, bytes, bytes], data: st.DataObject) -> None:
    directory, *contents = original
    for name, content in zip((FILE, "config.json"), contents, strict=True):
        changed = bytearray(content)
        for _ in range(data.draw(st.integers(0, 4))):
            # Mostly the header: any weights can be computed with.
            at = data.draw(st.integers(0, min(len(content) - 1, 2500)))
            changed[at : at + 1] = data.draw(st.binary(max_size=2) | st.sampled_from([b"0", b"1", b"9", b"-"]))
        # Not in place: an earlier model may still be mapped.
        (directory / name).unlink()
        (directory / name).write_bytes(changed)
    try:
        model = read_native(directory)
    except EngineFailed:
        return
    with Decoder(model, blocks=4) as decoder:
        decoder.step(Part([0, model.vocab_size - 1] * 20, [1, 2]))
