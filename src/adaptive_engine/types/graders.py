"""Graders, and what they have to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

JudgementState = Literal["pending", "running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class JudgeExample:
    """A judgement that people made, shown to the judge."""

    input: str
    output: str
    score: str | int
    reasoning: str | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """A model that scores completions by criteria in words."""

    model: str
    """Key of a model that is attached to the grader's project."""
    criteria: str
    scale: tuple[int, int] | None = None
    """The least and the greatest score; None for PASS, FAIL and NA."""
    template: str | None = None
    """What the judge reads, with `{{ name }}` for what there is to say; None is the usual one."""
    examples: tuple[JudgeExample, ...] = ()


@dataclass(frozen=True, slots=True)
class Grader:
    """A judge at work in a project: what it scores becomes a metric."""

    id: UUID
    project_id: UUID
    key: str
    name: str
    metric_id: UUID
    judge: Judge
    sampling_rate: float
    """The share of new interactions that it judges, 0 to 1."""
    enabled: bool
    created_at: int
