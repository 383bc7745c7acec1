"""How large a schema may be. Each number keeps one cost of compiling or of masks bounded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SchemaLimits:
    """Limits on one client's schema; all of them are counted before anything is compiled."""

    # Compact JSON. The largest schemas seen in public collections are near 1 MB, 99 % of them below 100 KB.
    size: int = 256 * 1024
    # Nested JSON containers. The engine's JSON reader stops at 128 and rewriting adds some.
    depth: int = 64
    # Containers and values together; time to check and compile grows with it.
    nodes: int = 20_000
    # Values of one enum and of all of them.
    enum_values: int = 10_000
    # UTF-8 bytes of one pattern: what a regular expression costs is bounded by the engine's fuel, parsing it is not.
    pattern: int = 2 * 1024
    # UTF-8 bytes of one string in const or enum: the mask at each of its tokens costs time in proportion to the rest.
    literal: int = 4 * 1024
    # Characters of one string. No answer is that long: a larger `maxLength` bounds nothing and a larger `minLength` is
    # refused. The engine cannot repeat a pattern 2^32 times.
    length: int = 9_999_999
    # The engine keeps 4 parser items per optional key and 2,000 in all; beyond it masks fail in mid-answer.
    optional_properties: int = 400
    # Properties of one object; compiling is quadratic in those that are optional, linear in the others.
    properties: int = 2_000
    # Members of one anyOf, oneOf or allOf; the engine's parser takes 1,999.
    branches: int = 500
    # Each pair has to be proven disjoint, here and in the engine, where 300 take 3 s.
    pattern_properties: int = 32


DEFAULT = SchemaLimits()
