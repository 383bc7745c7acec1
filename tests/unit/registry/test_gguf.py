from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaptive_engine.registry import InvalidModel, MalformedGGUF
from adaptive_engine.registry.family import check_convertible, check_readable, generation_config, model_config
from adaptive_engine.registry.gguf import MAX_ARRAY_ITEMS, MAX_ENTRIES, MAX_STRING_BYTES, read_gguf
from adaptive_engine.registry.native import why_not_native
from adaptive_engine.registry.tokenizer import build_tokenizer
from unit.registry.gguf_builder import (
    entry,
    gguf_bytes,
    header,
    model_metadata,
    model_tensors,
    sentencepiece_vocabulary,
    text,
    write_gguf,
)

HUGE = 1 << 40

Write = Callable[[bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: bytes) -> Path:
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        return path

    return write


def test_reads_every_kind_of_value(tmp_path: Path) -> None:
    metadata = {"a": "text é", "b": 7, "c": 0.5, "d": True, "e": ["x", "y"], "f": [1, -2], "g": [0.25]}
    gguf = read_gguf(write_gguf(tmp_path / "model.gguf", metadata))
    assert gguf.metadata == metadata
    assert (gguf.text("a"), gguf.integer("b"), gguf.number("c"), gguf.flag("d", False)) == ("text é", 7, 0.5, True)
    assert (gguf.strings("e"), gguf.integers("f"), gguf.numbers("g")) == (["x", "y"], [1, -2], [0.25])


def test_reads_the_tensor_table(tmp_path: Path) -> None:
    metadata = model_metadata()
    gguf = read_gguf(write_gguf(tmp_path / "model.gguf", metadata, model_tensors(metadata)))
    assert gguf.tensors["blk.0.ffn_up.weight"].shape == (64, 96)
    assert gguf.data_offset % 32 == 0


def test_a_value_of_another_type_is_named(tmp_path: Path) -> None:
    gguf = read_gguf(write_gguf(tmp_path / "model.gguf", {"name": 7, "items": [1]}))
    with pytest.raises(InvalidModel, match="'name' must be str"):
        gguf.text("name")
    with pytest.raises(InvalidModel, match="'items' must be a list of str"):
        gguf.strings("items")


def test_version_2_is_read(write: Write) -> None:
    assert read_gguf(write(header(0, 1, version=2) + entry("a", 1))).metadata == {"a": 1}


ARRAY = text("a") + struct.pack("<I", 9)
TENSOR = header(1, 0) + text("t")
MALFORMED = {
    "empty": (b"", "ends in the middle of the magic", 0),
    "other file": (b"PK\3\4" + bytes(40), "does not start with 'GGUF'", 0),
    "version 1": (header(0, 0, version=1), "version 1 is not 2 or 3", 4),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian", 4),
    "tensor count": (header(HUGE, 0), "tensor count is 1099511627776, the limit", 8),
    "metadata count": (header(0, MAX_ENTRIES + 1), "metadata count is 4097, the limit", 16),
    "entries that do not fit": (header(0, 100), "more than the rest of the file", 16),
    "key length": (header(0, 1) + struct.pack("<Q", HUGE) + bytes(20), "length of the metadata key", 24),
    "string length": (
        header(0, 1) + text("a") + struct.pack("<IQ", 8, MAX_STRING_BYTES + 1),
        "length of the value of 'a'",
        37,
    ),
    "list length": (header(0, 1) + ARRAY + struct.pack("<IQ", 4, MAX_ARRAY_ITEMS + 1), "length of 'a' is", 41),
    "list of strings longer than the file": (
        header(0, 1) + ARRAY + struct.pack("<IQ", 8, MAX_ARRAY_ITEMS),
        "more than the rest of the file",
        41,
    ),
    "list of lists": (header(0, 1) + ARRAY + struct.pack("<IQ", 9, 1) + bytes(12), "list of lists", 37),
    "unknown type": (header(0, 1) + text("a") + struct.pack("<I", 77), "unknown type 77", 33),
    "half a bool": (header(0, 1) + text("a") + struct.pack("<IB", 7, 2), "neither true nor false", 37),
    "not UTF-8": (header(0, 1) + text(b"ab\xff") + bytes(9), "not UTF-8", 34),
    "a key twice": (header(0, 2) + entry("a", 1) * 2, "'a' appears twice", 41),
    "alignment": (header(0, 1) + entry("general.alignment", 0), "alignment 0", 57),
    "dimensions": (TENSOR + struct.pack("<I", 5) + bytes(60), "dimensions of 't' is 5", 33),
    "a tensor twice": (header(2, 0) + (text("t") + struct.pack("<IQIQ", 1, 1, 0, 0)) * 2, "'t' appears twice", 57),
    "tensor offset": (TENSOR + struct.pack("<IQIQ", 1, 1, 0, HUGE), "starts after the end", 49),
}


@pytest.mark.parametrize(("content", "message", "offset"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_file_is_refused_with_reason_and_offset(
    write: Write, content: bytes, message: str, offset: int
) -> None:
    with pytest.raises(MalformedGGUF, match=message) as caught:
        read_gguf(write(content))
    assert caught.value.offset == offset
    assert f"at byte {offset}" in caught.value.message


def test_a_file_cut_anywhere_in_its_header_is_refused(write: Write) -> None:
    content = header(1, 3) + entry("a", "text") + entry("b", [1, 2]) + entry("c", ["x", "y"])
    content += text("t") + struct.pack("<IQIQ", 1, 1, 0, 0)
    read_gguf(write(content))
    for length in range(len(content)):
        with pytest.raises(MalformedGGUF):
            read_gguf(write(content[:length]))


def test_lengths_in_the_file_allocate_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sparse.gguf"
    with path.open("wb") as file:
        file.write(header(0, 1) + ARRAY + struct.pack("<IQ", 10, HUGE))
        file.truncate(HUGE)
    tracemalloc.start()
    with pytest.raises(MalformedGGUF, match="the limit is"):
        read_gguf(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def _seeds() -> list[bytes]:
    heads = []
    for metadata in (model_metadata(), model_metadata("qwen2", sentencepiece_vocabulary())):
        heads.append(gguf_bytes(metadata, model_tensors(metadata)))
    return heads


SEEDS = _seeds()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_files_only_raise_typed_errors(write: Write, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 8))):
        # Nine positions in ten lie in the header; the weights are not read.
        position = data.draw(st.integers(0, min(len(content) - 1, 12_000)))
        content[position : position + 1] = data.draw(st.binary(min_size=0, max_size=9))
    with suppress(InvalidModel):
        gguf = read_gguf(write(bytes(content)))
        family = check_readable(gguf)
        why_not_native(gguf, model_config(gguf, family))
        check_convertible(gguf, family)
        generation_config(gguf)
        build_tokenizer(gguf).encode("hello wörld 12 <|im_end|>")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tail=st.binary(max_size=200), tensors=st.integers(0, 3), entries=st.integers(0, 3))
def test_random_headers_only_raise_typed_errors(write: Write, tail: bytes, tensors: int, entries: int) -> None:
    with suppress(MalformedGGUF):
        read_gguf(write(header(tensors, entries) + tail))
