"""Write the description of the API from which the web application's types are made: `python scripts/openapi.py`."""

from __future__ import annotations

from pathlib import Path

import orjson

from adaptive_engine.server.app import create_api

TARGET = Path(__file__).resolve().parents[1] / "ui" / "openapi.json"


def described() -> bytes:
    """The description as the file has it, without the version: a release changes no type."""
    document = create_api().openapi()
    document["info"]["version"] = "0"
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


if __name__ == "__main__":
    TARGET.write_bytes(described())
