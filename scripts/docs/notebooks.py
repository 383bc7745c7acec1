"""Notebooks as pages: their text and code, without outputs, which notebooks in the repository do not have."""

from __future__ import annotations

import json
from pathlib import Path


def page(notebook: Path) -> str:
    """Markdown of one notebook, with a link to it."""
    parts = []
    for cell in json.loads(notebook.read_text())["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    parts.insert(1, f"[Download this notebook]({notebook.name})")
    return "\n\n".join(parts) + "\n"
