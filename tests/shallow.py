"""GGUF files for tests that are made of others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from adaptive_engine.registry.gguf import read_gguf
from unit.registry.gguf_builder import ALIGNMENT, entry, header, tensor_entry, text


def write_shallow(source: Path, target: Path, layers: Sequence[int]) -> Path:
    """A GGUF file with some layers of another: its vocabulary, its sizes and kernels, and a fraction of its time.

    What it answers is nonsense.
    """
    whole = read_gguf(source)
    names = {f"blk.{layer}.": f"blk.{number}." for number, layer in enumerate(layers)}
    starts = sorted(tensor.offset for tensor in whole.tensors.values())
    sizes = {start: end - start for start, end in pairwise([*starts, whole.size - whole.data_offset])}
    with source.open("rb") as file:
        head = file.read(whole.data_offset)
        entries = head[len(header(0, 0)) : head.index(text(next(iter(whole.tensors))))]
        depth = f"{whole.text('general.architecture')}.block_count"
        entries = entries.replace(entry(depth, whole.integer(depth)), entry(depth, len(layers)))
        table, data, count = b"", b"", 0
        for tensor in whole.tensors.values():
            layer = re.match(r"blk\.\d+\.", tensor.name)
            if layer and layer[0] not in names:
                continue
            count += 1
            name = tensor.name.replace(layer[0], names[layer[0]]) if layer else tensor.name
            table += tensor_entry(name, tensor.shape, tensor.type, len(data))
            file.seek(whole.data_offset + tensor.offset)
            data += file.read(sizes[tensor.offset])
            data += b"\0" * (-len(data) % ALIGNMENT)
    written = header(count, len(whole.metadata)) + entries + table
    target.write_bytes(written + b"\0" * (-len(written) % ALIGNMENT) + data)
    return target
