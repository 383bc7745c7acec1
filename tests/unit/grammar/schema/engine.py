"""The real masks with a vocabulary of bytes: which texts does a schema's grammar take?"""

from __future__ import annotations

import json
from typing import Any

from adaptive_engine.grammar import masks

BYTES = masks.Vocabulary.of_bytes()


class Grammar:
    def __init__(self, schema: dict[str, Any]) -> None:
        self._grammar = masks.Grammar.compile(schema, BYTES)

    def takes(self, text: str) -> bool:
        return self._grammar.start().completed_by(BYTES.encode(text.encode()))


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
