# Generated from _async/models.py by scripts/unasync.py. Edit that file, then run the script.
"""GET /api/v1/models, /api/v1/projects/{project}/models, and /api/v1/admin/models for those who run the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Required, TypeAlias, TypedDict

from pydantic_core import to_json

from adaptive_engine.sdk.errors import NotFoundError
from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import decode, encode, path_part
from adaptive_engine.sdk.schemas import ResponseFormatInput, response_format_body
from adaptive_engine.sdk.settings import NOT_GIVEN, Timeout, choose_project
from adaptive_engine.wire.models import Model, ModelCard, ModelDetached, ModelList, RegisteredModelList

if TYPE_CHECKING:
    from adaptive_engine.sdk._sync.client import Adaptive

# Names for them, because inside the class `list` is the method.
ModelCards: TypeAlias = list[ModelCard]
RegisteredModels: TypeAlias = list[Model]


class ModelSettingsInput(TypedDict, total=False):
    """What requests to the model get, in one project, where they do not say. See `wire.models.ModelSettings`."""

    system_prompt: str | None
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    stop: str | Sequence[str] | None
    seed: int | None
    max_ttft_ms: int | None
    fallbacks: Sequence[str] | None
    response_format: ResponseFormatInput | None


class ComputeConfigInput(TypedDict, total=False):
    """Tokens. What is absent stays as it is, None is the server's setting."""

    kv_cache_len: int | None
    max_seq_len: int | None


class PricesInput(TypedDict, total=False):
    """Of a million tokens. `cached`: of prompt tokens that the provider had in its cache."""

    prompt: Required[float]
    completion: Required[float]
    cached: float | None
    currency: str


class ExternalModelInput(TypedDict, total=False):
    """What can be changed of an external model."""

    name: str
    external_model_id: str
    api_key: str | None
    endpoint: str | None
    extra_params: Mapping[str, Any] | None
    prices: PricesInput | None
    profile: Mapping[str, Any] | None
    capabilities: Sequence[str]
    context_length: int | None


class Models:
    """The models that requests can name, and those of a project; with an admin key, the models of the server.

    ```python
    for card in client.models.list():
        print(card.id, card.context_length)
    client.models.attach("qwen3", wait=True, make_default=True)
    ```
    """

    def __init__(self, client: Adaptive) -> None:
        self._client = client

    def list(self, project: str | None = None) -> ModelCards:
        """The deployments of `project`, or of all projects that the key may use. Raises NotFoundError."""
        query = [] if project is None else [("project", project)]
        return decode(ModelList, self._client._send(Call("GET", "/models", query=query))).data

    def list_registered(self) -> RegisteredModels:
        """Every model that was imported on the server, with its state. Needs an admin key."""
        return decode(RegisteredModelList, self._client._send(Call("GET", "/admin/models"))).data

    def get(self, model: str, project: str | None = None) -> Model | None:
        """State, memory and settings of the model with this key, or None when there is none.

        With `project`, one of that project; else any model of the server, for which an admin key is needed.
        """
        path = _admin_path(model) if project is None else _path(project, model)
        try:
            response = self._client._send(Call("GET", path))
        except NotFoundError as error:
            if error.code != "model_not_found":
                raise
            return None
        return decode(Model, response)

    def deploy(
        self,
        model: str,
        wait: bool = False,
        make_default: bool = False,
        project: str | None = None,
        *,
        settings: ModelSettingsInput | None = None,
    ) -> Model:
        """Add the model to the project, and load it. With `wait`, return when it is online.

        Raises ConflictError when there is no memory for it, and with `wait` ServiceUnavailableError when it cannot be
        loaded.
        """
        body = {"model": model, "wait": wait, "make_default": make_default, "settings": _settings_body(settings)}
        # Loading takes as long as it takes.
        return self._attach(body, project, None if wait else NOT_GIVEN)

    attach = deploy

    def add_to_project(self, model: str, project: str | None = None) -> Model:
        """Add the model to the project without loading it; `deploy` does that. One that is there stays as it is."""
        return self._attach({"model": model, "desired_online": False}, project, NOT_GIVEN)

    def detach(self, model: str, project: str | None = None, *, force: bool = False) -> bool:
        """Take the model out of the project; its files stay on the server. True.

        Raises ConflictError for the default of a project that has other models, unless `force` is given, and
        NotFoundError when the project does not have it.
        """
        chosen = choose_project(project, None, self._client.default_project)
        query = [("force", "true")] if force else []
        response = self._client._send(Call("DELETE", _path(chosen, model), query=query))
        return decode(ModelDetached, response).deleted

    def update(
        self,
        model: str,
        is_default: bool | None = None,
        desired_online: bool | None = None,
        project: str | None = None,
        *,
        settings: ModelSettingsInput | None = None,
    ) -> Model:
        """Make the model the project's default, switch it off or on, or change its settings, in this project only.

        `settings` that are absent stay as they are, None removes one. What of them will have no effect is in the
        result's `warnings`.
        """
        chosen = choose_project(project, None, self._client.default_project)
        fields = {"is_default": is_default, "desired_online": desired_online, "settings": _settings_body(settings)}
        call = Call("PATCH", _path(chosen, model), content=encode(fields))
        return decode(Model, self._client._send(call))

    def update_compute_config(self, model: str, compute_config: ComputeConfigInput) -> Model:
        """Change how the model is run from its next load on; `reload_needed` of the result says whether it still runs
        as before.
        """
        body = encode({"compute_config": compute_config})
        return decode(Model, self._client._send(Call("PATCH", _admin_path(model), content=body)))

    def add_external(
        self,
        name: str,
        external_model_id: str,
        api_key: str | None = None,
        provider: str = "openai",
        endpoint: str | None = None,
        extra_params: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        prices: PricesInput | None = None,
        profile: Mapping[str, Any] | None = None,
        capabilities: Sequence[str] | None = None,
        context_length: int | None = None,
    ) -> Model:
        """Register a model of a provider; `deploy` lets it answer in a project. docs/providers.md explains the fields.

        `external_model_id` is what the provider calls it. `key` is made from the name when it is not given. The API key
        is encrypted at once and never shown again. Needs an admin key. Raises ConflictError when the key is taken.
        """
        fields = {
            "name": name,
            "external_model_id": external_model_id,
            "api_key": api_key,
            "provider": provider,
            "endpoint": endpoint,
            "extra_params": extra_params,
            "key": key,
            "prices": prices,
            "profile": profile,
            "capabilities": capabilities,
            "context_length": context_length,
        }
        return decode(Model, self._client._send(Call("POST", "/admin/models/external", content=encode(fields))))

    def update_external(self, model: str, changes: ExternalModelInput) -> Model:
        """Change what is known of an external model, at once. What is absent stays as it is, None removes it."""
        call = Call("PATCH", f"{_admin_path(model)}/external", content=to_json(changes))
        return decode(Model, self._client._send(call))

    def terminate(self, model: str, force: bool = False) -> Model:
        """Take the model out of memory for all projects; requests that it answers end with an error.

        Raises ConflictError when several projects want it online, unless `force` is given.
        """
        call = Call("POST", f"{_admin_path(model)}/terminate", content=encode({"force": force}))
        return decode(Model, self._client._send(call))

    def _attach(self, body: Mapping[str, Any], project: str | None, limit: Timeout) -> Model:
        chosen = choose_project(project, None, self._client.default_project)
        path = f"/projects/{path_part('project', chosen)}/models"
        call = Call("POST", path, content=encode(body), timeout_secs=limit)
        return decode(Model, self._client._send(call))


def _admin_path(model: str) -> str:
    return f"/admin/models/{path_part('model', model)}"


def _path(project: str, model: str) -> str:
    return f"/projects/{path_part('project', project)}/models/{path_part('model', model)}"


def _settings_body(settings: ModelSettingsInput | None) -> Mapping[str, Any] | None:
    if settings is None or "response_format" not in settings:
        return settings
    return {**settings, "response_format": response_format_body(settings["response_format"])}
