"""The file that says what the directory of a model is: written last by its import, read at each start."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from adaptive_engine.registry.errors import CorruptModel

_MAX_BYTES = 1 << 20

Manifest = TypeVar("Manifest")


def read_manifest(file: Path, kind: type[Manifest]) -> Manifest:
    """`kind` is the dataclass that it is JSON of. Raises CorruptModel."""
    from pydantic import ValidationError

    if file.is_symlink() or not file.is_file() or file.stat().st_size > _MAX_BYTES:
        raise CorruptModel(
            f"'{file.parent}' has no {file.name}: it is not a model directory, or its import did not end."
        )
    try:
        # mypy does not know that classes can be hashed.
        found: Manifest = _adapter(kind).validate_json(file.read_bytes())  # type: ignore[arg-type]
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise CorruptModel(f"'{file}' cannot be read: {where}: {first['msg']}. Import the model again.") from exc
    return found


@cache
def _adapter(kind: type[Any]) -> Any:
    # Kept out of the import: pydantic needs a while to build it.
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
