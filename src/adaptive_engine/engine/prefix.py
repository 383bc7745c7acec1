"""How sequences of tokens begin: the names of their blocks, and how far two of them agree."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence as Seq

from adaptive_engine.engine.prompt import PlacedImage

BlockName = bytes


def block_names(
    salt: bytes,
    tokens: Seq[int],
    block_size: int,
    known: Seq[BlockName] = (),
    images: Seq[PlacedImage] = (),
) -> list[BlockName]:
    """Names of all full blocks of `tokens`; `known` are the leading ones, already computed.

    A block with tokens of `images` is named by what they show, and by which part of it the block has.
    """
    names = list(known)
    parent = names[-1] if names else salt
    for start in range(len(names) * block_size, len(tokens) - block_size + 1, block_size):
        content = array("q", tokens[start : start + block_size]).tobytes()
        for placed in images:
            if placed.start < start + block_size and start < placed.stop:
                content += placed.image.digest + (start - placed.start).to_bytes(8, "big", signed=True)
        parent = hashlib.blake2b(content, key=parent, digest_size=16).digest()
        names.append(parent)
    return names


def common_length(left: Seq[object], right: Seq[object]) -> int:
    """How many leading items are equal."""
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count
