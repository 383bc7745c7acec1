"""External models: where a model lives that does not live here, what it may be asked, and what that costs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StrictInt, StringConstraints, field_validator

from adaptive_engine.wire.interactions import NewKey

MAX_EXTRA_PARAMS = 64

Price = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[!-~]+( [!-~]+)*$")]
Endpoint = Annotated[str, StringConstraints(max_length=2048)]
"""An http:// or https:// address, which is checked where it is used: what is wrong is told in words."""


class Prices(BaseModel):
    """Of a million tokens. `cached`: of prompt tokens that the provider had in its cache; null: as the others."""

    model_config = ConfigDict(extra="forbid")

    prompt: Price
    completion: Price
    cached: Price | None = None
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "USD"


class _Given(BaseModel):
    """What can be said at once and changed later."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    api_key: SecretStr | None = None
    """Encrypted at once, and never shown again."""
    endpoint: Endpoint | None = None
    """Where the API is, as far as `/chat/completions` is not part of it; null is the provider's own."""
    extra_params: Annotated[dict[str, Any], Field(max_length=MAX_EXTRA_PARAMS)] | None = None
    """Sent with each request as they are."""
    prices: Prices | None = None
    profile: dict[str, Any] | None = None
    """What is known better about the model than its provider's usual profile says, such as `{"structured": "none"}`."""
    capabilities: Annotated[list[str], Field(max_length=16)] | None = None
    context_length: Annotated[StrictInt, Field(ge=1, le=2**31 - 1)] | None = None

    @field_validator("api_key")
    @classmethod
    def _fits_a_header(cls, key: SecretStr | None) -> SecretStr | None:
        text = "x" if key is None else key.get_secret_value()
        if not (0 < len(text) <= 4096 and all("!" <= character <= "~" for character in text)):
            raise ValueError("an API key has 1 to 4096 visible ASCII characters and no spaces")
        return key


class ExternalModelCreate(_Given):
    """POST /api/v1/admin/models/external."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    key: NewKey | None = None
    """By default made from the name."""
    provider: Annotated[str, StringConstraints(max_length=64)]
    external_model_id: ModelName
    """As the provider calls it."""


class ExternalModelUpdate(_Given):
    """PATCH /api/v1/admin/models/{key}/external. What is absent stays, null removes; a model keeps some name."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    external_model_id: ModelName | None = None


class ExternalModel(BaseModel):
    """Where a registered model lives. Its key is nowhere."""

    model_config = ConfigDict(protected_namespaces=())

    external_model_id: str
    endpoint: str | None
    """Null is the provider's own."""
    has_api_key: bool
    extra_params: dict[str, Any]
    prices: Prices | None
    profile: dict[str, Any]
    """All that is assumed about the model."""
