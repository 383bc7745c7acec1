"""GET /api/v1/models: the deployments a key can address, in OpenAI's list shape."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class ModelCard(BaseModel):
    """`id` is what a request puts into `model`: `project/model`."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    project: str
    name: str
    context_length: int
    capabilities: list[str] = Field(default_factory=list)
    is_default: bool = False
    online: bool = True


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]
