"""The library as Python sees it. The structures are those of `decoder.h`."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_float, c_int, c_int32, c_size_t, c_void_p
from functools import cache
from pathlib import Path

LIBRARY = Path(__file__).with_name("libdecoder.so")
BLOCK_SIZE = 32
"""Tokens in a block of the cache."""
MAX_HEAD_DIM = 256
MAX_SHARING = 256
_GROUP = 32
# No layer comes near, and products of two fit into 64 bits.
_MAX_SIZE = 1 << 24


class MatrixStruct(ctypes.Structure):
    _fields_ = (("tiles", c_void_p), ("bits", c_int32), ("inputs", c_int32), ("outputs", c_int32))


class LayerStruct(ctypes.Structure):
    VECTORS = ("attention_norm", "mlp_norm", "query_bias", "key_bias", "value_bias", "query_norm", "key_norm")
    MATRICES = ("queries", "keys", "values", "attention_out", "gate_up", "down")
    _fields_ = (*((name, c_void_p) for name in VECTORS), *((name, MatrixStruct) for name in MATRICES))


class ModelStruct(ctypes.Structure):
    SIZES = ("layers", "hidden", "heads", "kv_heads", "head_dim", "mlp")
    _fields_ = (
        *((name, c_int32) for name in SIZES),
        ("epsilon", c_float),
        ("frequencies", c_void_p),
        ("final_norm", c_void_p),
        ("embeddings", MatrixStruct),
        ("head", MatrixStruct),
        ("layer", POINTER(LayerStruct)),
    )


class StepStruct(ctypes.Structure):
    COUNTS = ("rows", "sequences", "wanted")
    ARRAYS = ("tokens", "past", "begins", "blocks", "block_begins", "wanted_rows", "logits")
    _fields_ = (*((name, c_int32) for name in COUNTS), *((name, c_void_p) for name in ARRAYS))


def computes(*, hidden: int, mlp: int, heads: int, kv_heads: int, head_dim: int) -> bool:
    """Whether the library can compute layers of these sizes, whatever numbers they are."""
    sizes = (hidden, mlp, heads, kv_heads, head_dim)
    if min(sizes) < 1 or max(*sizes, heads * head_dim) > _MAX_SIZE:
        return False
    if any(size % _GROUP for size in (hidden, mlp, head_dim)) or head_dim > MAX_HEAD_DIM:
        return False
    return heads % kv_heads == 0 and heads // kv_heads <= MAX_SHARING


@cache
def library() -> ctypes.CDLL:
    """Raises OSError where this package was built without it, or with one of another version."""
    loaded = ctypes.CDLL(str(LIBRARY))
    try:
        _declare(loaded)
    except AttributeError as exc:
        raise OSError(f"it is of another version: {exc}") from exc
    return loaded


def _declare(loaded: ctypes.CDLL) -> None:
    loaded.decoder_instructions.restype = c_char_p
    loaded.decoder_block_bytes.argtypes = [POINTER(ModelStruct)]
    loaded.decoder_block_bytes.restype = c_size_t
    loaded.decoder_new.argtypes = [POINTER(ModelStruct), c_void_p, c_int32, c_int32, c_char_p]
    loaded.decoder_new.restype = c_void_p
    loaded.decoder_start.argtypes = [c_void_p, POINTER(StepStruct)]
    loaded.decoder_start.restype = c_int
    for name in ("decoder_finish", "decoder_free"):
        getattr(loaded, name).argtypes = [c_void_p]
        getattr(loaded, name).restype = None


def instructions() -> str | None:
    """The instructions that this CPU would be used with; None where models cannot run natively."""
    return None if why_not() else str(library().decoder_instructions().decode())


def why_not() -> str | None:
    """Why models cannot run natively here, and what helps."""
    if not LIBRARY.exists():
        return "it was built without a C compiler, or not for Linux on x86-64: install one and then the package again"
    try:
        name = library().decoder_instructions()
    except OSError as exc:
        return f"it cannot be loaded, build it again: {exc}"
    return None if name else "this CPU has no AVX2"
