"""The code in the documents: fenced blocks, and what is said about those that do not run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
RUNNABLE = frozenset({"python", "bash", "console"})

_FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n\n?)?(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """`reason` says why it is not run; `line` is where its code begins."""

    document: str
    line: int
    language: str
    code: str
    reason: str | None

    @property
    def place(self) -> str:
        return f"{self.document}:{self.line}"


def documents() -> list[Path]:
    """All that people read, the README first."""
    return [*(ROOT / name for name in DOCUMENTS), *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(document: Path) -> list[Block]:
    text = document.read_text()
    found = []
    for match in _FENCE.finditer(text):
        code = re.sub(f"^{match['indent']}", "", match["code"], flags=re.MULTILINE)
        line = text.count("\n", 0, match.start("code")) + 1
        name = str(document.relative_to(ROOT))
        found.append(Block(name, line, match["language"], code, match["reason"]))
    return found


@dataclass(frozen=True, slots=True)
class Command:
    """What is typed after a `$`, and the lines that the document shows below it."""

    typed: str
    shown: tuple[str, ...]


def commands(block: Block) -> list[Command]:
    """Of a `console` block. A line that ends with a backslash goes on."""
    found: list[Command] = []
    typed: list[str] = []
    shown: list[str] = []

    def end() -> None:
        if typed:
            found.append(Command("\n".join(typed), tuple(shown)))

    goes_on = False
    for line in block.code.splitlines():
        if goes_on:
            typed.append(line)
        elif line.startswith("$ "):
            end()
            typed, shown = [line[2:]], []
        else:
            assert typed, f"{block.place}: output before the first command"
            shown.append(line)
            continue
        quoted = "\n".join(typed).count("'") % 2 == 1
        goes_on = line.endswith("\\") or quoted
    end()
    return found
