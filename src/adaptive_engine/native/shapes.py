"""What a layer consists of, by the names in the model's file, with the sizes that its `config.json` says."""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]


def vector_sizes(config: Config) -> dict[str, int]:
    """All that a layer may have. The norms of attention and MLP each has."""
    hidden, head_dim = config["hidden_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * head_dim, config["num_key_value_heads"] * head_dim
    return {
        "attention_norm": hidden,
        "mlp_norm": hidden,
        "query_bias": queries,
        "key_bias": keys,
        "value_bias": keys,
        "query_norm": head_dim,
        "key_norm": head_dim,
    }


def matrix_shapes(config: Config) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of each."""
    hidden, mlp, head_dim = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * head_dim, config["num_key_value_heads"] * head_dim
    return {
        "queries": (hidden, queries),
        "keys": (hidden, keys),
        "values": (hidden, keys),
        "attention_out": (queries, hidden),
        "gate_up": (hidden, 2 * mlp),
        "down": (mlp, hidden),
    }
