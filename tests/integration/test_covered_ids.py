"""Each behaviour that this version promises is in the name of a test, such as `test_s17_messages_are_validated`."""

from __future__ import annotations

import re
from pathlib import Path

# Not yet: images (S52 to S59), external providers (S65, S100).
PROMISED = {*range(1, 52), *range(60, 65), *range(66, 100), *range(101, 114)}
# Facts about the platform: how many there are of each kind.
FACTS = {"AB": 15, "M": 13, "I": 12, "MD": 7, "R": 8, "A": 5, "V": 31}


def test_every_behaviour_has_a_test() -> None:
    named: set[int] = set()
    here = Path(__file__).parent
    for file in [*here.glob("test_*.py"), *here.with_name("e2e").glob("test_*.py")]:
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", file.read_text(), re.MULTILINE):
            named.update(int(number) for number in re.findall(r"_s(\d+)(?=_)", name))
            for first, last in re.findall(r"_s(\d+)_to_s(\d+)_", name):
                named.update(range(int(first), int(last) + 1))
    assert sorted(PROMISED - named) == []


def test_every_fact_is_accounted_for() -> None:
    """Each has a row in docs/compatibility.md, whose tests exist."""
    tests = Path(__file__).parents[1]
    text = (tests.parent / "docs" / "compatibility.md").read_text()
    named: set[str] = set()
    for row in re.findall(r"^\| ((?:[A-Z]+\d+[-, ]*)+) \|(.*)\|$", text, re.MULTILINE):
        for kind, first, last in re.findall(r"([A-Z]+)(\d+)(?:-[A-Z]+(\d+))?", row[0]):
            named.update(f"{kind}{number}" for number in range(int(first), int(last or first) + 1))
        for file in re.findall(r"`([\w/]*test_\w+\.py)`", row[1]):
            assert any(tests.rglob(Path(file).name)), file
    assert sorted({f"{kind}{n}" for kind, count in FACTS.items() for n in range(1, count + 1)} - named) == []
