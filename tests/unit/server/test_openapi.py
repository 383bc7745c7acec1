"""The description of the API, from which the web application's types are made."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

from adaptive_engine.server.app import create_api

ROOT = Path(__file__).parents[3]


def references(value: Any) -> set[str]:
    if isinstance(value, list):
        return {found for item in value for found in references(item)}
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own | {found for item in value.values() for found in references(item)}
    return set()


def test_every_reference_leads_somewhere() -> None:
    document = create_api().openapi()
    components = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    found = references(document)
    assert found <= components
    assert "#/components/schemas/ChatRequest" in found


def test_a_body_that_reads_differently_as_an_answer_has_both_schemas() -> None:
    schemas = create_api().openapi()["components"]["schemas"]
    assert "additionalProperties" in schemas["ModelSettingsInput"]
    assert references(schemas["DeploymentUpdate"]) == {"#/components/schemas/ModelSettingsInput"}


def test_the_file_that_types_are_made_of_is_current() -> None:
    described = runpy.run_path(str(ROOT / "scripts" / "openapi.py"))["described"]()
    written = (ROOT / "ui" / "openapi.json").read_bytes()
    assert json.loads(written) == json.loads(described), "run: python scripts/openapi.py"
