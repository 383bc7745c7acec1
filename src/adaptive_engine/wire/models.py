"""Models: what requests can address, in OpenAI's list shape, and how those who run the server see and change them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    field_validator,
)

from adaptive_engine.wire.chat import MaxTokens, ResponseFormat, Seed, Stop, Temperature, TopP
from adaptive_engine.wire.chat import Warning as WireWarning
from adaptive_engine.wire.external_models import ExternalModel
from adaptive_engine.wire.interactions import InProject, Key

ModelState = Literal["ONLINE", "PENDING", "OFFLINE", "ERROR"]
MAX_SYSTEM_PROMPT = 100_000


class ModelCard(BaseModel):
    """`id` is what a request puts into `model`: `project/model`."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    project: str
    name: str
    context_length: int | None
    capabilities: list[str] = Field(default_factory=list)
    tags: list[str] = Field(default_factory=list)
    """The capabilities as people read them: `Text`, `Multimodal`, `Embedding`, `Reasoning`."""
    is_default: bool = False
    online: bool = True
    settings: list[str] = Field(default_factory=list)
    """Names of the settings that requests take from the deployment when they do not say."""


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


class ModelSettings(BaseModel):
    """What the requests to a deployment get where they do not say; the fields mean what they mean in a request.

    In a change, an absent field stays as it is and null removes it.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    system_prompt: Annotated[str, StringConstraints(min_length=1, max_length=MAX_SYSTEM_PROMPT)] | None = None
    """Its placeholders `{{ name }}` are filled from a request's `system_prompt_args`."""
    temperature: Temperature | None = None
    top_p: TopP | None = None
    max_tokens: MaxTokens | None = None
    stop: Stop | None = None
    seed: Seed | None = None
    max_ttft_ms: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    response_format: ResponseFormat | None = None
    fallbacks: Annotated[list[Key], Field(max_length=8)] | None = None
    """Models of the project that answer, in this order, when this one fails before it has said anything."""

    @field_validator("response_format")
    @classmethod
    def _only_known_fields(cls, wanted: ResponseFormat | None) -> ResponseFormat | None:
        if wanted is not None and (unknown := wanted.unknown()):
            raise ValueError(f"{unknown[0][:64]} is not a field of a response_format")
        return wanted


class ModelDeployment(BaseModel):
    """A registered model in one project."""

    id: UUID
    project: str
    is_default: bool
    desired_online: bool
    settings: ModelSettings | None = None
    """Null where this key may not see them."""
    created_at: datetime


class Model(BaseModel):
    """A registered model as its server has it."""

    id: UUID
    object: Literal["registered_model"] = "registered_model"
    key: str
    name: str
    provider: str
    capabilities: list[str]
    tags: list[str] = Field(default_factory=list)
    context_length: int | None
    """Null for an external model of which nobody said it."""
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
    external: ExternalModel | None = None
    """Where it lives, unless it runs here; null for those who may not manage models."""
    deployments: list[ModelDeployment]
    """In the projects that the key may see."""
    warnings: list[WireWarning] = Field(default_factory=list)
    """What of the settings that were just saved has no effect."""

    def deployment(self, project: str) -> ModelDeployment | None:
        """The one in the project with this key."""
        return next((deployment for deployment in self.deployments if deployment.project == project), None)


class RegisteredModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


class ModelDeploy(InProject):
    """POST /api/v1/admin/models/{key}/deploy. `wait` answers when the model is online."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    project: Key = Field(validation_alias=AliasChoices("project", "use_case"))
    wait: StrictBool = False
    make_default: StrictBool = False


class ModelAttach(BaseModel):
    """POST /api/v1/projects/{project}/models. `wait` answers when the model is online."""

    model_config = ConfigDict(extra="forbid")

    model: Key
    wait: StrictBool = False
    make_default: StrictBool = False
    desired_online: StrictBool = True
    settings: ModelSettings | None = None


class DeploymentUpdate(BaseModel):
    """PATCH /api/v1/projects/{project}/models/{model}, which is also
    /api/v1/admin/models/{model}/deployments/{project}. What is absent or null stays as it is.
    """

    model_config = ConfigDict(extra="forbid")

    is_default: StrictBool | None = None
    desired_online: StrictBool | None = None
    settings: ModelSettings | None = None


class ModelDetached(BaseModel):
    object: Literal["deployment"] = "deployment"
    project: str
    model: str
    deleted: bool = True


class ModelUpdate(BaseModel):
    """PATCH /api/v1/admin/models/{key}. In `compute_config` an absent field stays, null is the server's setting."""

    model_config = ConfigDict(extra="forbid")

    compute_config: ModelComputeConfig


class ModelTerminate(BaseModel):
    """POST /api/v1/admin/models/{key}/terminate."""

    model_config = ConfigDict(extra="forbid")

    force: StrictBool = False
