"""What is known of providers, here and in the web application."""

from __future__ import annotations

import re
from pathlib import Path

from adaptive_engine.providers.registry import VENDORS

PAGE = Path(__file__).parents[3] / "ui" / "src" / "models" / "providers.ts"


def test_the_web_application_offers_every_provider_and_asks_for_what_it_needs() -> None:
    table = PAGE.read_text().partition("PROVIDERS: Record<string, Provider> = {")[2].partition("\n};")[0]
    offered = dict(re.findall(r"^  (\w+): \{(.*?)\}", table, re.MULTILINE | re.DOTALL))
    assert offered.keys() == VENDORS.keys()
    for name, vendor in VENDORS.items():
        assert ("needsKey: true" in offered[name]) == vendor.needs_key, name
        assert ("needsEndpoint: true" in offered[name]) == (vendor.dialect is not None and vendor.endpoint is None), (
            name
        )
        assert vendor.endpoint is None or f"'{vendor.endpoint}'" in offered[name], name
