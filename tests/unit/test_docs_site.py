"""What the site of the documents is made from."""

from __future__ import annotations

import json
from pathlib import Path

import build
import pytest
import rest
import sdk

from adaptive_engine.sdk import Adaptive

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<script src="https://cdn.example/x.js"></script>'),
        ("a.html", '<link rel="stylesheet" href="//fonts.example/css">'),
        ("a.html", '<img src="http://pictures.example/x.png">'),
        ("a.css", "@font-face { src: url(https://fonts.example/x.woff2) }"),
        ("a.css", '@import "https://fonts.example/css";'),
    ],
)
def test_a_page_that_asks_another_host_is_found(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert len(build.foreign(tmp_path)) == 1


def test_links_to_elsewhere_are_none_of_that(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="https://example.com">x</a><script src="local.js"></script>')
    assert build.foreign(tmp_path) == []


def test_versions_are_listed_newest_first() -> None:
    assert build.newest_first(["0.9.0", "0.10.0", "0.2.1"]) == ["0.10.0", "0.9.0", "0.2.1"]


def test_the_reference_has_every_operation_and_every_type_that_it_names() -> None:
    description = json.loads((ROOT / "ui/openapi.json").read_text())
    pages = rest.pages(description)
    operations = {f"## {method.upper()} {path}" for path, methods in description["paths"].items() for method in methods}
    assert operations <= set("\n".join(pages.values()).splitlines())


def test_the_reference_has_every_noun_of_the_client() -> None:
    pages = sdk.pages(ROOT / "src/adaptive_engine/sdk/_sync")
    with Adaptive("http://127.0.0.1:1", "a-key") as client:
        for noun in ("chat", "interactions", "feedback", "ab_tests", "models", "projects", "users", "keys"):
            assert f"::: {type(getattr(client, noun)).__module__}." in pages[noun]
