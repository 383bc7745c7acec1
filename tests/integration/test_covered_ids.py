"""Each behaviour that this version promises is in the name of a test, such as `test_s17_messages_are_validated`."""

from __future__ import annotations

import re
from pathlib import Path

# Not yet: images (S52 to S59), external providers (S65, S100), the web application (S102, S103, S105, S106).
PROMISED = {*range(1, 52), *range(60, 65), *range(66, 100), 101, 104, *range(107, 114)}


def test_every_behaviour_has_a_test() -> None:
    named: set[int] = set()
    for file in Path(__file__).parent.glob("test_*.py"):
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", file.read_text(), re.MULTILINE):
            named.update(int(number) for number in re.findall(r"_s(\d+)(?=_)", name))
            for first, last in re.findall(r"_s(\d+)_to_s(\d+)_", name):
                named.update(range(int(first), int(last) + 1))
    assert sorted(PROMISED - named) == []
