"""POST /api/v1/structured/validate: what would become of a schema."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from adaptive_engine.wire.chat import ResponseFormat


class SchemaCheck(BaseModel):
    """Give `schema`, or a whole `response_format`. `model` is spelled as in a chat request; its tokens are counted."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    schema_: dict[str, Any] | bool | None = Field(None, alias="schema")
    response_format: ResponseFormat | None = None
    model: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> SchemaCheck:
        if (self.schema_ is None) == (self.response_format is None):
            raise ValueError("give either `schema` or `response_format`")
        return self

    @property
    def wanted(self) -> dict[str, Any] | bool:
        if self.response_format is None:
            return True if self.schema_ is None else self.schema_
        envelope = self.response_format.json_schema
        return envelope.schema_ if envelope else {"type": "object"}


class KeywordNote(BaseModel):
    """What became of one keyword; `pointer` is its JSON pointer in the schema."""

    pointer: str
    keyword: str
    reason: str


class Refusal(BaseModel):
    code: str
    pointer: str
    reason: str


class ShortestAnswer(BaseModel):
    text: str
    tokens: int
    forced_share: float
    """How much of it the schema leaves no choice about, 0 to 1: these tokens take no step of the model."""


class SchemaReport(BaseModel):
    """`verdict`: `enforced` answers always match. `partly_enforced` ones are validated when they are finished.
    `not_enforced` ones are free text, with a warning. `refused` schemas are a 400.
    """

    verdict: Literal["enforced", "partly_enforced", "not_enforced", "refused"]
    enforced: list[str]
    rewritten: list[KeywordNote]
    narrowed: list[KeywordNote]
    unenforced: list[KeywordNote]
    refused: Refusal | None = None
    not_enforced: str | None = None
    compile_ms: float
    shortest_answer: ShortestAnswer | None = None
