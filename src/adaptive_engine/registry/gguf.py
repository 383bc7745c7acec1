"""A bounded reader of GGUF headers (versions 2 and 3): metadata and the tensor table, never the weights.

Every length in the file is compared with an explicit limit and with what is left of the file before anything is read
or allocated. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from adaptive_engine.registry.errors import InvalidModel, MalformedGGUF

Scalar = int | float | bool | str
Value = Scalar | list[int] | list[float] | list[bool] | list[str]
T = TypeVar("T", int, float, str)

MAX_HEADER_BYTES = 256 << 20
MAX_ENTRIES = 4096
MAX_TENSORS = 65_536
MAX_DIMENSIONS = 4
MAX_KEY_BYTES = 1024
MAX_STRING_BYTES = 1 << 20
# The largest vocabularies in use have 262 144 tokens and about twice as many merges.
MAX_ARRAY_ITEMS = 1 << 20
MAX_TOTAL_ITEMS = 4 << 20
DEFAULT_ALIGNMENT = 32
MAX_ALIGNMENT = 1 << 20

_STRING, _ARRAY, _BOOL = 8, 9, 7
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_SMALLEST_ENTRY = 8 + 4 + 1
_SMALLEST_TENSOR = 8 + 4 + 4 + 8


@dataclass(frozen=True, slots=True)
class Tensor:
    """A row of the tensor table: `type` is the number of a ggml type, `offset` counts from the start of the data."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int


@dataclass(frozen=True, slots=True)
class GGUF:
    version: int
    metadata: dict[str, Value]
    tensors: dict[str, Tensor]
    data_offset: int
    """Where the data of the tensors starts, in bytes from the start of the file."""
    size: int
    """Of the whole file, in bytes."""

    def text(self, key: str) -> str | None:
        return self._typed(key, str)

    def integer(self, key: str) -> int | None:
        return self._typed(key, int)

    def number(self, key: str) -> float | None:
        return self._typed(key, float)

    def flag(self, key: str, default: bool) -> bool:
        value = self.metadata.get(key, default)
        if not isinstance(value, bool):
            raise InvalidModel(f"GGUF metadata '{key}' must be true or false.")
        return value

    def strings(self, key: str) -> list[str]:
        return self._items(key, str)

    def integers(self, key: str) -> list[int]:
        return self._items(key, int)

    def numbers(self, key: str) -> list[float]:
        return self._items(key, float)

    def _typed(self, key: str, kind: type[T]) -> T | None:
        value = self.metadata.get(key)
        if value is None:
            return None
        if type(value) is not kind:
            raise InvalidModel(f"GGUF metadata '{key}' must be {kind.__name__}, not {type(value).__name__}.")
        return value

    def _items(self, key: str, kind: type[T]) -> list[T]:
        value = self.metadata.get(key, [])
        # One look at the first item suffices: the reader makes arrays of one type.
        if not isinstance(value, list) or (value and type(value[0]) is not kind):
            raise InvalidModel(f"GGUF metadata '{key}' must be a list of {kind.__name__}.")
        return value  # type: ignore[return-value]


def read_gguf(path: Path) -> GGUF:
    """Reads the header. Raises `MalformedGGUF`, or OSError when the file cannot be read at all."""
    with path.open("rb") as file:
        return _Reader(file, path.stat().st_size).gguf()


class _Reader:
    """A cursor that refuses to pass the end of the file or of the header limit."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._end = min(size, MAX_HEADER_BYTES)
        self._offset = 0
        self._items = 0

    def gguf(self) -> GGUF:
        if self._take(4, "magic") != b"GGUF":
            raise self._error("it does not start with 'GGUF'", at=0)
        version = self._number("I", "version")
        if version not in (2, 3):
            hint = " (big-endian files are not supported)" if version & 0xFFFF == 0 else ""
            raise self._error(f"version {version} is not 2 or 3{hint}", at=4)
        tensors = self._count("Q", "tensor count", MAX_TENSORS, _SMALLEST_TENSOR)
        entries = self._count("Q", "metadata count", MAX_ENTRIES, _SMALLEST_ENTRY)
        metadata = self._metadata(entries)
        table = self._tensors(tensors)
        return GGUF(version, metadata, table, self._data_offset(metadata), self._size)

    def _data_offset(self, metadata: dict[str, Value]) -> int:
        alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if type(alignment) is not int or not 1 <= alignment <= MAX_ALIGNMENT:
            raise self._error(f"the alignment {alignment!r} is not a number from 1 to {MAX_ALIGNMENT}")
        return -(-self._offset // alignment) * alignment

    def _metadata(self, count: int) -> dict[str, Value]:
        metadata: dict[str, Value] = {}
        for _ in range(count):
            start = self._offset
            key = self._string("metadata key", MAX_KEY_BYTES)
            if key in metadata:
                raise self._error(f"metadata key '{key}' appears twice", at=start)
            metadata[key] = self._value(key)
        return metadata

    def _value(self, key: str) -> Value:
        kind = self._number("I", f"type of '{key}'")
        if kind == _STRING:
            return self._string(f"value of '{key}'", MAX_STRING_BYTES)
        if kind == _ARRAY:
            return self._array(key)
        return self._numbers(kind, 1, key)[0]

    def _array(self, key: str) -> Value:
        kind = self._number("I", f"item type of '{key}'")
        if kind == _ARRAY:
            raise self._error(f"'{key}' is a list of lists", at=self._offset - 4)
        width = 8 if kind == _STRING else struct.calcsize(self._format(kind, key))
        count = self._count("Q", f"length of '{key}'", MAX_ARRAY_ITEMS, width)
        self._items += count
        if self._items > MAX_TOTAL_ITEMS:
            raise self._error(f"the lists hold more than {MAX_TOTAL_ITEMS} items in all")
        if kind == _STRING:
            return [self._string(f"item of '{key}'", MAX_STRING_BYTES) for _ in range(count)]
        return self._numbers(kind, count, key)

    def _tensors(self, count: int) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {}
        for _ in range(count):
            start = self._offset
            name = self._string("tensor name", MAX_KEY_BYTES)
            if name in tensors:
                raise self._error(f"tensor '{name}' appears twice", at=start)
            dimensions = self._count("I", f"dimensions of '{name}'", MAX_DIMENSIONS, 8)
            shape = struct.unpack(f"<{dimensions}Q", self._take(8 * dimensions, f"shape of '{name}'"))
            kind = self._number("I", f"type of '{name}'")
            offset = self._number("Q", f"offset of '{name}'")
            if offset >= self._size:
                raise self._error(f"tensor '{name}' starts after the end of the file", at=self._offset - 8)
            tensors[name] = Tensor(name, shape, kind, offset)
        return tensors

    def _numbers(self, kind: int, count: int, key: str) -> list[int] | list[float] | list[bool]:
        code = self._format(kind, key)
        start = self._offset
        raw = self._take(count * struct.calcsize(code), f"value of '{key}'")
        if kind == _BOOL and raw.strip(b"\0\1"):
            raise self._error(f"'{key}' is neither true nor false", at=start)
        return list(struct.unpack(f"<{count}{code}", raw))

    def _format(self, kind: int, key: str) -> str:
        if kind not in _SCALARS:
            raise self._error(f"'{key}' has the unknown type {kind}", at=self._offset - 4)
        return _SCALARS[kind]

    def _string(self, what: str, limit: int) -> str:
        length = self._count("Q", f"length of the {what}", limit, 1)
        start = self._offset
        try:
            return self._take(length, what).decode()
        except UnicodeDecodeError as exc:
            raise self._error(f"the {what} is not UTF-8", at=start + exc.start) from exc

    def _count(self, code: str, what: str, limit: int, width: int) -> int:
        """A number of things of at least `width` bytes each, which must fit both the limit and the file."""
        start = self._offset
        count = self._number(code, what)
        if count > limit:
            raise self._error(f"the {what} is {count}, the limit is {limit}", at=start)
        if count * width > self._end - self._offset:
            raise self._error(f"the {what} is {count}, more than the rest of the file can hold", at=start)
        return count

    def _number(self, code: str, what: str) -> int:
        number: int = struct.unpack("<" + code, self._take(struct.calcsize("<" + code), what))[0]
        return number

    def _take(self, length: int, what: str) -> bytes:
        if length > self._end - self._offset:
            raise self._error(f"it ends in the middle of the {what}")
        data = self._file.read(length)
        if len(data) != length:
            raise self._error(f"it was cut short while the {what} was read")
        self._offset += length
        return data

    def _error(self, message: str, at: int | None = None) -> MalformedGGUF:
        return MalformedGGUF(message, offset=self._offset if at is None else at)
