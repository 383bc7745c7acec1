"""Models on disk: importing them, checking them, finding them.

`import_model` takes a file or directory, `import_by_name` and `ensure_default_model` fetch from the catalog, and
`ModelDirectory.load` opens what they made. Importers are loaded on use, because they bring the tokenizer library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adaptive_engine.registry.directory import ModelDirectory, locate, model_paths
from adaptive_engine.registry.errors import CorruptModel, DownloadFailed, InvalidModel, MalformedGGUF
from adaptive_engine.registry.progress import Progress

if TYPE_CHECKING:
    from adaptive_engine.registry.catalog import ensure_default_model, import_by_name
    from adaptive_engine.registry.importer import import_model

__all__ = [
    "CorruptModel",
    "DownloadFailed",
    "InvalidModel",
    "MalformedGGUF",
    "ModelDirectory",
    "Progress",
    "ensure_default_model",
    "import_by_name",
    "import_model",
    "locate",
    "model_paths",
]

_LAZY = {"ensure_default_model": "catalog", "import_by_name": "catalog", "import_model": "importer"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
