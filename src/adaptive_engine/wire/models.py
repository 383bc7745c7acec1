"""Models: what requests can address, in OpenAI's list shape, and how those who run the server see and change them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from adaptive_engine.wire.interactions import Key

ModelState = Literal["ONLINE", "PENDING", "OFFLINE", "ERROR"]


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


class ModelComputeConfig(BaseModel):
    """How a model is run, in tokens; null is the server's setting."""

    model_config = ConfigDict(extra="forbid")

    kv_cache_len: StrictInt | None = Field(None, ge=256, le=2**31 - 1)
    max_seq_len: StrictInt | None = Field(None, ge=16, le=2**31 - 1)


class ModelMemory(BaseModel):
    """Bytes. `kv_cache` is reserved, `kv_cache_used` is what running requests hold of it."""

    weights: int
    kv_cache: int
    kv_cache_used: int


class ModelDeployment(BaseModel):
    project: str
    is_default: bool
    desired_online: bool


class Model(BaseModel):
    """A registered model as its server has it."""

    id: UUID
    object: Literal["registered_model"] = "registered_model"
    key: str
    name: str
    provider: str
    capabilities: list[str]
    context_length: int
    created_at: datetime
    state: ModelState
    reason: str | None = None
    """Why it does not answer."""
    memory: ModelMemory | None = None
    """Of a loaded model; of one that is being loaded, what it will take."""
    compute_config: ModelComputeConfig
    """Its own settings."""
    active_config: ModelComputeConfig | None = None
    """What it runs with now, while it is loaded."""
    reload_needed: bool = False
    """Its settings were changed since it was loaded: terminate and deploy it to let them take effect."""
    deployments: list[ModelDeployment]


class RegisteredModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


class ModelDeploy(BaseModel):
    """POST /api/v1/admin/models/{key}/deploy. `wait` answers when the model is online."""

    model_config = ConfigDict(extra="forbid")

    project: Key
    wait: StrictBool = False
    make_default: StrictBool = False


class DeploymentUpdate(BaseModel):
    """PATCH /api/v1/admin/models/{key}/deployments/{project}. What is absent or null stays as it is."""

    model_config = ConfigDict(extra="forbid")

    is_default: StrictBool | None = None
    desired_online: StrictBool | None = None


class ModelUpdate(BaseModel):
    """PATCH /api/v1/admin/models/{key}. In `compute_config` an absent field stays, null is the server's setting."""

    model_config = ConfigDict(extra="forbid")

    compute_config: ModelComputeConfig


class ModelTerminate(BaseModel):
    """POST /api/v1/admin/models/{key}/terminate."""

    model_config = ConfigDict(extra="forbid")

    force: StrictBool = False
