"""Registers models that live elsewhere, and changes what is known of them."""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import socket
from collections.abc import Sequence as Seq
from typing import Any

from adaptive_engine.errors import Conflict, InvalidRequest
from adaptive_engine.providers import registry
from adaptive_engine.providers.addresses import AddressPolicy
from adaptive_engine.providers.http import Origin
from adaptive_engine.services import models
from adaptive_engine.services.lifecycle import ModelLifecycle, ModelOverview
from adaptive_engine.services.projects import key_from
from adaptive_engine.services.providers import Providers
from adaptive_engine.services.sealing import Sealer
from adaptive_engine.store import Connection
from adaptive_engine.store import models as store
from adaptive_engine.types import ExternalModel, Model, Prices, now_ms, uuid7
from adaptive_engine.wire import external_models as wire

_SIGHT = "ImageUnderstanding"
CAPABILITIES = ("TextGeneration", _SIGHT, "Reasoning")


class ExternalModels:
    """The same on a running server, for its event loop."""

    def __init__(self, lifecycle: ModelLifecycle, providers: Providers, sealer: Sealer) -> None:
        self._lifecycle = lifecycle
        self._providers = providers
        self._sealer = sealer

    async def add(self, new: wire.ExternalModelCreate) -> ModelOverview:
        """Raises InvalidRequest, or Conflict when the key is taken."""
        await asyncio.to_thread(check_endpoint, new.endpoint, self._providers.addresses)
        made: list[Model] = []

        def change(connection: Connection) -> Seq[Model]:
            made.append(register(connection, self._sealer, new))
            return made

        await self._lifecycle.commit(change)
        return await self._lifecycle.get(made[0].key)

    async def update(self, model_key: str, given: wire.ExternalModelUpdate) -> ModelOverview:
        """Raises NotFound, InvalidRequest, or Conflict for a model that runs here."""
        await asyncio.to_thread(check_endpoint, given.endpoint, self._providers.addresses)
        await self._lifecycle.commit(lambda connection: [update(connection, self._sealer, model_key, given)])
        return await self._lifecycle.get(model_key)


def register(connection: Connection, sealer: Sealer, new: wire.ExternalModelCreate) -> Model:
    """Raises InvalidRequest, or Conflict when the key is taken."""
    if "/" in (new.key or ""):
        raise InvalidRequest(
            "A model's key has no slash: paths of the API end with it, and requests name PROJECT/MODEL.", param="key"
        )
    id_ = uuid7()
    external = _with(ExternalModel(new.external_model_id), sealer, id_, new)
    model = Model(
        id=id_,
        key=new.key or key_from(new.name),
        name=new.name,
        provider=new.provider,
        capabilities=_capabilities(new, new.provider, external),
        context_length=new.context_length or 0,
        created_at=now_ms(),
        external=external,
    )
    _check(model)
    store.create(connection, model)
    return model


def update(connection: Connection, sealer: Sealer, model_key: str, given: wire.ExternalModelUpdate) -> Model:
    """Raises NotFound, InvalidRequest, also for a stored key that would go to another host, or Conflict for a model
    that runs here.
    """
    model = models.find(connection, model_key)
    if model.external is None:
        raise Conflict(f"Model '{model_key}' runs here and has no provider.", code="model_not_external", param="model")
    said = given.model_fields_set
    external = _with(model.external, sealer, model.id, given)
    if given.external_model_id is not None:
        external = dataclasses.replace(external, external_model_id=given.external_model_id)
    if "capabilities" in said:
        capabilities = _capabilities(given, model.provider, external)
    else:
        capabilities = _as_profile_says(model, external)
    changed = dataclasses.replace(
        model,
        name=given.name or model.name,
        capabilities=capabilities,
        context_length=(given.context_length or 0) if "context_length" in said else model.context_length,
        external=external,
    )
    _check(changed)
    if "api_key" not in said and model.external.sealed_key is not None and _host(changed) != _host(model):
        raise InvalidRequest(
            "The stored API key goes to no other host than it was given for. Give `api_key` with the endpoint; null is "
            "none.",
            param="api_key",
        )
    store.set_external(connection, changed)
    return changed


def check_endpoint(endpoint: str | None, addresses: AddressPolicy) -> None:
    """Raises InvalidRequest for what no request may go to. Blocks for a look at the name, which is looked at again
    before each connection; one that stands for nothing now may do so later.
    """
    if endpoint is None:
        return
    try:
        origin = Origin.parse(endpoint)
    except ValueError as exc:
        raise InvalidRequest(f"endpoint: {exc}.", param="endpoint") from exc
    try:
        found = socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    except OSError:
        return
    for info in found:
        address = ipaddress.ip_address(str(info[4][0]).partition("%")[0])
        if (problem := addresses.problem(address, origin.port)) is not None:
            raise InvalidRequest(f"endpoint: {problem}.", code="endpoint_refused", param="endpoint")


def _with(
    known: ExternalModel, sealer: Sealer, id_: Any, given: wire.ExternalModelCreate | wire.ExternalModelUpdate
) -> ExternalModel:
    """What is known, with what is given now."""
    said = given.model_fields_set
    changes: dict[str, Any] = {}
    if "endpoint" in said:
        changes["endpoint"] = given.endpoint
    if "extra_params" in said:
        changes["extra_params"] = given.extra_params or {}
    if "profile" in said:
        changes["profile"] = given.profile or {}
    if "prices" in said:
        changes["prices"] = None if given.prices is None else Prices(**given.prices.model_dump())
    if "api_key" in said:
        key = None if given.api_key is None else given.api_key.get_secret_value()
        changes["sealed_key"] = None if key is None else sealer.seal(key, id_)
    return dataclasses.replace(known, **changes)


def _capabilities(
    given: wire.ExternalModelCreate | wire.ExternalModelUpdate, provider: str, external: ExternalModel
) -> tuple[str, ...]:
    if given.capabilities is None:
        images = registry.profile(provider, external).images
        return ("TextGeneration", _SIGHT) if images else ("TextGeneration",)
    for name in given.capabilities:
        if name not in CAPABILITIES:
            known = ", ".join(CAPABILITIES)
            raise InvalidRequest(f"'{name}' is no capability of external models: {known}.", param="capabilities")
    return tuple(dict.fromkeys(["TextGeneration", *given.capabilities]))


def _as_profile_says(model: Model, changed: ExternalModel) -> tuple[str, ...]:
    """The model's capabilities, less or with images where its profile says something else now."""
    assert model.external is not None
    saw, sees = (registry.profile(model.provider, each).images for each in (model.external, changed))
    if saw == sees:
        return model.capabilities
    others = tuple(name for name in model.capabilities if name != _SIGHT)
    return (*others, _SIGHT) if sees else others


def _host(model: Model) -> tuple[str, str, int] | None:
    """Where its requests go, with the API key; None for a provider without a network."""
    assert model.external is not None
    endpoint = model.external.endpoint or registry.vendor(model.provider).endpoint
    if endpoint is None:
        return None
    origin = Origin.parse(endpoint)
    return origin.scheme, origin.host, origin.port


def _check(model: Model) -> None:
    """What can be known without asking the provider."""
    assert model.external is not None
    vendor = registry.vendor(model.provider)
    registry.profile(model.provider, model.external)
    if vendor.dialect is None:
        return
    if model.external.endpoint is None and vendor.endpoint is None:
        raise InvalidRequest(
            f"Provider '{model.provider}' needs the endpoint, such as http://127.0.0.1:8000/v1.", param="endpoint"
        )
    if vendor.needs_key and model.external.sealed_key is None:
        raise InvalidRequest(f"Provider '{model.provider}' needs an API key.", param="api_key")
