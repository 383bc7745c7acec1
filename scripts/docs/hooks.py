"""Adds to the site what is not in a file of `docs/`: references, notebooks as pages, the documents at the root, and the
text for language models.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))

import notebooks  # noqa: E402
import rest  # noqa: E402
import sdk  # noqa: E402

_AT_THE_ROOT = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
_FENCE_REASON = re.compile(r"^<!-- not run: .+? -->\n", re.MULTILINE)

_NO_PROSE = ("#", "|", "<", ":::", "- ", "!", "[Download")

_texts: dict[str, tuple[str, str]] = {}
"""Title and Markdown of each page, by its file."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The references in the navigation: which pages they have is known from their sources."""
    found = {"REST_PAGES": list(_rest()), "SDK_PAGES": list(_sdk())}
    config.nav = _filled(config.nav, found)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    added = {**_rest(), **_sdk()}
    for name in _AT_THE_ROOT:
        # Their links start at the root.
        added[name] = (ROOT / name).read_text().replace("](docs/", "](")
    for notebook in sorted((ROOT / "docs/notebooks").glob("*.ipynb")):
        added[f"notebooks/{notebook.stem}.md"] = notebooks.page(notebook)
    for path, text in added.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    text = _FENCE_REASON.sub("", markdown)
    if "/" not in page.file.src_uri:
        # Above `docs/` is the repository, of which the site has a few documents only.
        text = re.sub(r"\]\(\.\./(CHANGELOG|CONTRIBUTING|SECURITY)\.md", r"](\1.md", text)
        text = re.sub(r"\[([^]]+)\]\(\.\./[\w./-]+\)", r"\1", text)
    _texts[page.file.src_uri] = (page.title or page.file.src_uri, text)
    return text


def on_post_build(config: MkDocsConfig) -> None:
    """`llms.txt` lists the pages, `llms-full.txt` has their text: https://llmstxt.org."""
    site = Path(config.site_dir)
    lines = [f"# {config.site_name}", "", f"> {config.site_description}", "", "## Pages", ""]
    whole = [f"# {config.site_name}", ""]
    for path, (title, text) in _texts.items():
        lines.append(f"- [{title}]({path.removesuffix('.md')}.html): {_first_sentence(text)}")
        if not path.startswith("reference/sdk/"):
            whole += [f"<!-- {path} -->", text.strip(), ""]
    (site / "llms.txt").write_text("\n".join(lines) + "\n")
    (site / "llms-full.txt").write_text("\n".join(whole) + "\n")


def _rest() -> dict[str, str]:
    description = json.loads((ROOT / "ui/openapi.json").read_text())
    return {f"reference/rest/{name}.md": text for name, text in rest.pages(description).items()}


def _sdk() -> dict[str, str]:
    found = sdk.pages(ROOT / "src/adaptive_engine/sdk/_sync")
    return {f"reference/sdk/{name}.md": text for name, text in found.items()}


def _filled(nav: Any, found: dict[str, list[str]]) -> Any:
    if isinstance(nav, list):
        return [_filled(item, found) for item in nav]
    if isinstance(nav, dict):
        return {title: _filled(item, found) for title, item in nav.items()}
    return found.get(nav, nav)


def _first_sentence(text: str) -> str:
    without_code = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    paragraphs = (" ".join(part.split()) for part in without_code.split("\n\n"))
    prose = next((part for part in paragraphs if part and not part.startswith(_NO_PROSE)), "")
    return re.split(r"(?<=\.)\s", re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", prose), maxsplit=1)[0]
