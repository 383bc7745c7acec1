# Generated from _async/models.py by scripts/unasync.py. Edit that file, then run the script.
"""GET /api/v1/models, and /api/v1/admin/models for those who run the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypedDict
from urllib.parse import quote

from adaptive_engine.sdk.errors import NotFoundError
from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import decode, encode
from adaptive_engine.sdk.settings import NOT_GIVEN, choose_project
from adaptive_engine.wire.models import Model, ModelCard, ModelList, RegisteredModelList

if TYPE_CHECKING:
    from adaptive_engine.sdk._sync.client import Adaptive

# Names for them, because inside the class `list` is the method.
ModelCards: TypeAlias = list[ModelCard]
RegisteredModels: TypeAlias = list[Model]


class ComputeConfigInput(TypedDict, total=False):
    """Tokens. What is absent stays as it is, None is the server's setting."""

    kv_cache_len: int | None
    max_seq_len: int | None


class Models:
    """The models that requests can name; with an admin key, the models of the server.

    for card in client.models.list():
        print(card.id, card.context_length)
    client.models.attach("qwen3", wait=True, make_default=True)
    """

    def __init__(self, client: Adaptive) -> None:
        self._client = client

    def list(self, project: str | None = None) -> ModelCards:
        """The deployments of `project`, or of all projects that the key may use."""
        response = self._client._send(Call("GET", "/models"))
        cards = decode(ModelList, response).data
        return [card for card in cards if project is None or card.project == project]

    def list_registered(self) -> RegisteredModels:
        """Every model that was imported on the server, with its state. Needs an admin key, as all that follow do."""
        return decode(RegisteredModelList, self._client._send(Call("GET", "/admin/models"))).data

    def get(self, model: str) -> Model | None:
        """State, memory and settings of the model with this key, or None when there is none."""
        try:
            response = self._client._send(Call("GET", _path(model)))
        except NotFoundError as error:
            if error.code != "model_not_found":
                raise
            return None
        return decode(Model, response)

    def deploy(self, model: str, wait: bool = False, make_default: bool = False, project: str | None = None) -> Model:
        """Add the model to the project, and load it. With `wait`, return when it is online.

        Raises ConflictError when there is no memory for it, and with `wait` ServiceUnavailableError when it cannot be
        loaded.
        """
        chosen = choose_project(project, None, self._client.default_project)
        body = encode({"project": chosen, "wait": wait, "make_default": make_default})
        # Loading takes as long as it takes.
        limit = None if wait else NOT_GIVEN
        call = Call("POST", f"{_path(model)}/deploy", content=body, timeout_secs=limit)
        return decode(Model, self._client._send(call))

    attach = deploy

    def update(
        self,
        model: str,
        is_default: bool | None = None,
        desired_online: bool | None = None,
        project: str | None = None,
    ) -> Model:
        """Make the model the project's default, or switch it off or on in this project only."""
        chosen = choose_project(project, None, self._client.default_project)
        body = encode({"is_default": is_default, "desired_online": desired_online})
        path = f"{_path(model)}/deployments/{quote(chosen, safe='')}"
        return decode(Model, self._client._send(Call("PATCH", path, content=body)))

    def update_compute_config(self, model: str, compute_config: ComputeConfigInput) -> Model:
        """Change how the model is run from its next load on; `reload_needed` of the result says whether it still runs
        as before.
        """
        body = encode({"compute_config": compute_config})
        return decode(Model, self._client._send(Call("PATCH", _path(model), content=body)))

    def terminate(self, model: str, force: bool = False) -> Model:
        """Take the model out of memory for all projects; requests that it answers end with an error.

        Raises ConflictError when several projects want it online, unless `force` is given.
        """
        call = Call("POST", f"{_path(model)}/terminate", content=encode({"force": force}))
        return decode(Model, self._client._send(call))


def _path(model: str) -> str:
    return f"/admin/models/{quote(model, safe='')}"
