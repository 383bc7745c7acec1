"""Writes GGUF files, valid and otherwise, small enough to read in a test."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ALIGNMENT = 32
F16 = 1

HIDDEN, HEADS, HEAD_SIZE, FEED_FORWARD = 64, 2, 32, 96


@dataclass(frozen=True)
class Quantised:
    """A matrix of `shape` in blocks of the ggml type `kind`."""

    kind: int
    shape: tuple[int, ...]
    blocks: np.ndarray[Any, Any]

    @property
    def nbytes(self) -> int:
        return self.blocks.nbytes

    def tobytes(self) -> bytes:
        return self.blocks.tobytes()


Metadata = dict[str, Any]
Tensors = dict[str, np.ndarray[Any, Any] | Quantised]


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def typed(value: Any) -> tuple[int, bytes]:
    """The GGUF type of a Python value and its bytes: int is uint32, a list of int is int32, float is float32."""
    if isinstance(value, bool):
        return 7, struct.pack("<?", value)
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, str):
        return 8, text(value)
    kind = 8 if isinstance(value[0], str) else 5 if isinstance(value[0], int) else 6
    items = b"".join(text(item) if kind == 8 else struct.pack("<i" if kind == 5 else "<f", item) for item in value)
    return 9, struct.pack("<IQ", kind, len(value)) + items


def entry(key: str, value: Any) -> bytes:
    kind, raw = typed(value)
    return text(key) + struct.pack("<I", kind) + raw


def header(tensors: int, entries: int, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, entries)


def tensor_entry(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    """A row of the tensor table; `kind` is the number of a ggml type."""
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def gguf_bytes(metadata: Metadata, tensors: Tensors) -> bytes:
    head = header(len(tensors), len(metadata)) + b"".join(entry(key, value) for key, value in metadata.items())
    data = b""
    for name, array in tensors.items():
        kind = array.kind if isinstance(array, Quantised) else 0 if array.dtype == np.float32 else F16
        head += tensor_entry(name, array.shape[::-1], kind, len(data))
        data += array.tobytes() + b"\0" * (-array.nbytes % ALIGNMENT)
    return head + b"\0" * (-len(head) % ALIGNMENT) + data


def write_gguf(path: Path, metadata: Metadata, tensors: Tensors | None = None) -> Path:
    path.write_bytes(gguf_bytes(metadata, tensors or {}))
    return path


def byte_alphabet() -> list[str]:
    """The 256 characters that stand for bytes in a byte-level vocabulary, in the order of GPT-2."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(rest))]


def byte_level_vocabulary(pre: str = "smollm") -> Metadata:
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *byte_alphabet(), "he", "ll", "hell", "Ġw", "12"]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3, 3, 3] + [1] * (len(tokens) - 3),
        "tokenizer.ggml.merges": ["h e", "l l", "he ll", "Ġ w", "1 2"],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.chat_template": "{% for m in messages %}{{ m.content }}\n{% endfor %}",
    }


def sentencepiece_vocabulary() -> Metadata:
    pieces = ["▁", "h", "e", "l", "o", "he", "ll", "▁he", "hell", "▁hell", "▁hello", "hello"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * len(pieces),
        "tokenizer.ggml.scores": [0.0] * 259 + [-float(index) for index in range(len(pieces))],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.chat_template": "{{ messages }}",
    }


def model_metadata(family: str = "llama", vocabulary: Metadata | None = None) -> Metadata:
    return {
        "general.architecture": family,
        "general.name": "Tiny",
        "general.file_type": 1,
        f"{family}.block_count": 1,
        f"{family}.context_length": 256,
        f"{family}.embedding_length": HIDDEN,
        f"{family}.feed_forward_length": FEED_FORWARD,
        f"{family}.attention.head_count": HEADS,
        f"{family}.attention.head_count_kv": 1,
        f"{family}.attention.key_length": HEAD_SIZE,
        f"{family}.attention.value_length": HEAD_SIZE,
        f"{family}.attention.layer_norm_rms_epsilon": 1e-5,
        f"{family}.rope.freq_base": 10000.0,
        **(vocabulary or byte_level_vocabulary()),
    }


def model_tensors(metadata: Metadata) -> Tensors:
    """One layer of small random weights in the layout of the family."""
    random = np.random.default_rng(0)
    vocabulary = len(metadata["tokenizer.ggml.tokens"])

    def weights(*shape: int) -> np.ndarray[Any, Any]:
        return random.normal(0, 0.1, shape).astype(np.float16)

    def norm(size: int) -> np.ndarray[Any, Any]:
        return np.ones(size, np.float32)

    tensors = {
        "token_embd.weight": weights(vocabulary, HIDDEN),
        "output_norm.weight": norm(HIDDEN),
        "blk.0.attn_norm.weight": norm(HIDDEN),
        "blk.0.ffn_norm.weight": norm(HIDDEN),
        "blk.0.attn_q.weight": weights(HEADS * HEAD_SIZE, HIDDEN),
        "blk.0.attn_k.weight": weights(HEAD_SIZE, HIDDEN),
        "blk.0.attn_v.weight": weights(HEAD_SIZE, HIDDEN),
        "blk.0.attn_output.weight": weights(HIDDEN, HEADS * HEAD_SIZE),
        "blk.0.ffn_gate.weight": weights(FEED_FORWARD, HIDDEN),
        "blk.0.ffn_up.weight": weights(FEED_FORWARD, HIDDEN),
        "blk.0.ffn_down.weight": weights(HIDDEN, FEED_FORWARD),
    }
    family = metadata["general.architecture"]
    if family == "qwen2":
        tensors |= {f"blk.0.attn_{part}.bias": norm(HEAD_SIZE * n) for part, n in (("q", HEADS), ("k", 1), ("v", 1))}
    if family == "qwen3":
        tensors |= {f"blk.0.attn_{part}_norm.weight": norm(HEAD_SIZE) for part in "qk"}
    return tensors


def tiny_model(path: Path, family: str = "llama", vocabulary: Metadata | None = None) -> Path:
    """A complete model of a few kilobytes."""
    metadata = model_metadata(family, vocabulary)
    return write_gguf(path, metadata, model_tensors(metadata))
