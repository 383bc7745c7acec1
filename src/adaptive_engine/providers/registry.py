"""The providers by name. A vendor is a line here and a dialect in a file of its own, imported when it is used."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, get_args, get_origin, get_type_hints

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.providers import anthropic, azure, google, openai
from adaptive_engine.providers.addresses import AddressPolicy
from adaptive_engine.providers.base import Dialect, Profile, Provider
from adaptive_engine.providers.http import HttpClient, Origin, Timeouts
from adaptive_engine.types import ExternalModel


def _plain(_: str) -> Profile:
    return Profile()


@dataclass(frozen=True, slots=True)
class Vendor:
    """`dialect` is `module.Class`; None for a provider without a network."""

    dialect: str | None
    endpoint: str | None = None
    """Where the vendor's API is; None: it has to be given."""
    needs_key: bool = False
    profile: Callable[[str], Profile] = _plain
    """By the name that the model has there."""


VENDORS: dict[str, Vendor] = {
    "openai_compatible": Vendor("openai_compatible.OpenAICompatible"),
    "openai": Vendor("openai_compatible.OpenAICompatible", openai.ENDPOINT, True, openai.profile_of),
    "azure": Vendor("azure.AzureOpenAI", None, True, azure.profile_of),
    "anthropic_compatible": Vendor("anthropic.Anthropic", None, False, anthropic.compatible_profile),
    "anthropic": Vendor("anthropic.Anthropic", anthropic.ENDPOINT, True, anthropic.profile_of),
    "google": Vendor("google.Gemini", google.ENDPOINT, True, google.profile_of),
    "fake": Vendor(None),
}


def vendor(provider: str) -> Vendor:
    """Raises InvalidRequest."""
    if provider not in VENDORS:
        raise InvalidRequest(f"There is no provider '{provider}'. Known: {', '.join(VENDORS)}.", param="provider")
    return VENDORS[provider]


def profile(provider: str, external: ExternalModel) -> Profile:
    """What the model can do. Raises InvalidRequest for what the registration says about it and no profile has."""
    known = vendor(provider).profile(external.external_model_id)
    types = {field.name: type(getattr(known, field.name)) for field in dataclasses.fields(Profile)}
    hints = get_type_hints(Profile).items()
    choices = {name: get_args(hint) for name, hint in hints if get_origin(hint) is Literal}
    for name, value in external.profile.items():
        if name not in types:
            raise InvalidRequest(f"A profile has no '{name}'. It has: {', '.join(types)}.", param=f"profile.{name}")
        if type(value) is not types[name]:
            raise InvalidRequest(f"{name} is of type {types[name].__name__}.", param=f"profile.{name}")
        if isinstance(value, str) and not re.fullmatch(r"[\w.-]{0,64}", value, re.ASCII):
            raise InvalidRequest(f"{name} has letters, digits and - _ . only, 64 at most.", param=f"profile.{name}")
        if isinstance(value, int) and value < 0:
            raise InvalidRequest(f"{name} is not negative.", param=f"profile.{name}")
        if name in choices and value not in choices[name]:
            raise InvalidRequest(f"{name} is one of {', '.join(choices[name])}.", param=f"profile.{name}")
    return dataclasses.replace(known, **external.profile)


def build(
    provider: str, external: ExternalModel, api_key: str | None, addresses: AddressPolicy, timeouts: Timeouts
) -> Provider:
    """The provider of one external model, which was checked when it was registered."""
    own, of_vendor = profile(provider, external), vendor(provider)
    if of_vendor.dialect is None:
        from adaptive_engine.providers.fake import FakeProvider

        return FakeProvider(own)
    from adaptive_engine.providers.http_provider import HttpProvider

    origin = Origin.parse(external.endpoint or of_vendor.endpoint or "")
    return HttpProvider(_dialect(of_vendor.dialect), own, HttpClient(origin, addresses, timeouts), api_key)


def _dialect(name: str) -> Dialect:
    module, _, attribute = name.partition(".")
    dialect: Any = getattr(import_module(f"adaptive_engine.providers.{module}"), attribute)
    made: Dialect = dialect()
    return made
