"""How much memory this process may use, and how much a model takes before it is loaded."""

from __future__ import annotations

import json
import os
from pathlib import Path

from adaptive_engine.engine.files import is_native, language_config, weights_bytes
from adaptive_engine.types import ModelMemory

DEFAULT_SHARE = 0.9
"""Of the machine's memory, or of what its container gets."""

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def default_limit() -> int:
    """Bytes that models may take together where no setting says so."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in _CGROUP_LIMITS:
        # `max` is no limit; so is a number beyond the machine's memory, of the older kind.
        if path.is_file() and (text := path.read_text().strip()).isdigit():
            limits.append(int(text))
    return int(min(limits) * DEFAULT_SHARE)


def estimate(directory: Path, kv_tokens: int, *, deterministic: bool) -> ModelMemory:
    """What the model in `directory` will take with a KV cache of `kv_tokens` tokens.

    Raises OSError, ValueError or KeyError for a directory without a readable `config.json`.
    """
    config = language_config(json.loads((directory / "config.json").read_text("utf-8")))
    heads = int(config["num_attention_heads"])
    size = int(config.get("head_dim") or config["hidden_size"] // heads)
    vectors = 2 * int(config["num_hidden_layers"]) * int(config.get("num_key_value_heads") or heads)
    # A byte for each number, with scale and zero point of each vector as floats; natively values have no zero point.
    per_vector = size + 6 if is_native(directory) else 4 * size if deterministic else size + 8
    return ModelMemory(weights=weights_bytes(directory), kv_cache=kv_tokens * vectors * per_vector)


def describe(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
