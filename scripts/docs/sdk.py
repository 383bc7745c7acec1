"""Pages about the Python SDK, for mkdocstrings to fill from its docstrings: the client, one for each noun, errors."""

from __future__ import annotations

import ast
from pathlib import Path

_PACKAGE = "adaptive_engine.sdk"


def pages(source: Path) -> dict[str, str]:
    """Markdown by the name of the page. `source` is the folder of the blocking client."""
    found = {"client": f"# Client\n\n::: {_PACKAGE}._sync.client.Adaptive\n\n{_ASYNC}"}
    for noun in _nouns(source / "client.py"):
        classes = _public_classes(source / f"{noun}.py")
        parts = "\n\n".join(f"::: {_PACKAGE}._sync.{noun}.{name}" for name in classes)
        found[noun] = f"# {noun}\n\n`client.{noun}`\n\n{parts}\n"
    found["stream"] = f"# Streams\n\n::: {_PACKAGE}._sync.stream.ChatStream\n"
    found["images"] = f"# Images\n\n::: {_PACKAGE}.images.image\n"
    found["errors"] = f"# Errors\n\n::: {_PACKAGE}.errors\n    options:\n      show_root_heading: false\n"
    return found


_ASYNC = """\
`AsyncAdaptive` has the same resources and methods, to be awaited; its streams and pages are read with `async for`.
"""


def _nouns(client: Path) -> list[str]:
    """The resources of the client: its cached properties."""
    (made,) = (node for node in ast.parse(client.read_text()).body if isinstance(node, ast.ClassDef))
    return [
        node.name
        for node in made.body
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(mark, ast.Name) and mark.id == "cached_property" for mark in node.decorator_list)
    ]


def _public_classes(module: Path) -> list[str]:
    """The resource first, which is the last class of its module, then what it gives and takes."""
    names = [
        node.name
        for node in ast.parse(module.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    return [names[-1], *names[:-1]]
