"""How sequences of tokens begin: the names of their blocks, and how far two of them agree."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence as Seq

BlockName = bytes


def block_names(salt: bytes, tokens: Seq[int], block_size: int, known: Seq[BlockName] = ()) -> list[BlockName]:
    """Names of all full blocks of `tokens`; `known` are the leading ones, already computed."""
    names = list(known)
    parent = names[-1] if names else salt
    for start in range(len(names) * block_size, len(tokens) - block_size + 1, block_size):
        content = array("q", tokens[start : start + block_size]).tobytes()
        parent = hashlib.blake2b(content, key=parent, digest_size=16).digest()
        names.append(parent)
    return names


def common_length(left: Seq[int], right: Seq[int]) -> int:
    """How many leading items are equal."""
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count
