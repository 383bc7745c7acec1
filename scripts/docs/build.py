"""Build the site of the documents: `python scripts/docs/build.py`, with the Python of `.venvs/docs`.

Writes `site/VERSION/`, `site/versions.json`, from which its pages let choose, and `site/index.html`, which leads to the
newest version. Folders of other versions stay as they are. Fails for a link or anchor that leads nowhere, and for a
page that would ask another host for anything.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "site"
_INDEX = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={0}/"><a href="{0}/">{0}</a>\n'
)

_LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "link": "href",
    "source": "src",
    "video": "src",
    "object": "data",
}
"""What a browser fetches without being asked, by element. A link that somebody has to click may lead anywhere."""


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get(_LOADS.get(tag, ""))
        if address and re.match(r"(https?:)?//", address):
            self.foreign.append(address)


def foreign(site: Path) -> list[str]:
    """What the pages and styles in `site` would ask other hosts for."""
    found = []
    for path in sorted(site.rglob("*.html")):
        page = _Page()
        page.feed(path.read_text())
        found += [f"{path.relative_to(site)}: {address}" for address in page.foreign]
    for path in sorted(site.rglob("*.css")):
        for address in re.findall(r"""(?:url\(|@import )["']?((?:https?:)?//[^"')]+)""", path.read_text()):
            found.append(f"{path.relative_to(site)}: {address}")
    return found


def version() -> str:
    found = re.search(r'"(.+)"', (ROOT / "src/adaptive_engine/_version.py").read_text())
    assert found is not None
    return found[1]


def newest_first(names: list[str]) -> list[str]:
    return sorted(names, key=lambda name: [int(part) for part in re.findall(r"\d+", name)], reverse=True)


def main() -> int:
    target = SITE / version()
    shutil.rmtree(target, ignore_errors=True)
    # Not --quiet: what is not logged does not count as a warning.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    # A warning of the theme about a program that is not used here.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    if status:
        return status
    problems = foreign(target)
    if problems:
        print("The site asks other hosts:", *problems, sep="\n  ")
        return 1
    versions = newest_first([path.parent.name for path in SITE.glob("*/index.html")])
    listed = [
        {"version": name, "title": name, "aliases": ["latest"] if name == versions[0] else []} for name in versions
    ]
    (SITE / "versions.json").write_text(json.dumps(listed, indent=1) + "\n")
    (SITE / "index.html").write_text(_INDEX.format(versions[0]))
    print(f"{target.relative_to(ROOT)}: {len(list(target.rglob('*.html')))} pages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
