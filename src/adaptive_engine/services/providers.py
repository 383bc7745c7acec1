"""The external models that this server has asked: their connections, circuit breakers and opened keys."""

from __future__ import annotations

from adaptive_engine.errors import ModelOffline
from adaptive_engine.providers import registry
from adaptive_engine.providers.addresses import AddressPolicy
from adaptive_engine.providers.breaker import Breaker, BreakerLimits, RetryBudget
from adaptive_engine.providers.http import Origin, Timeouts
from adaptive_engine.providers.stream import Upstream
from adaptive_engine.services.local_models import require_online
from adaptive_engine.services.sealing import Sealer
from adaptive_engine.settings import ProviderSettings
from adaptive_engine.types import Deployment, ExternalModel, Model


def timeouts_of(settings: ProviderSettings) -> Timeouts:
    return Timeouts(
        settings.connect_timeout_seconds,
        settings.first_byte_timeout_seconds,
        settings.answer_timeout_seconds,
        settings.idle_timeout_seconds,
        settings.total_timeout_seconds,
    )


class Providers:
    """One `Upstream` per model, made when it is first asked and again when its registration has changed.

    That is all a server has to know: another one of the same store may register a model, and this one finds it in the
    next routing snapshot.
    """

    def __init__(self, sealer: Sealer, settings: ProviderSettings) -> None:
        self._sealer = sealer
        self._settings = settings
        self._timeouts = timeouts_of(settings)
        self.addresses = AddressPolicy(private=settings.allow_private_endpoints)
        self._upstreams: dict[str, tuple[ExternalModel, Upstream]] = {}

    def listens_at(self, url: str) -> None:
        """The address of this server itself: no request goes there from now on."""
        own = Origin.parse(url)
        self.addresses = AddressPolicy(self.addresses.private, self.addresses.own | {(own.host, own.port)})
        self._upstreams.clear()

    def get(self, deployment: Deployment) -> Upstream:
        """Raises ModelOffline where the project, or a lost secret, lets it not answer."""
        model = deployment.model
        require_online(deployment)
        assert model.external is not None
        known = self._upstreams.get(model.key)
        if known is None or known[0] != model.external:
            upstream = self._build(model, model.external)
            if known is not None:
                known[1].provider.close()
                upstream.outcomes = known[1].outcomes
            known = self._upstreams[model.key] = model.external, upstream
        return known[1]

    def asked(self) -> list[Upstream]:
        """The models that were asked since the start, one for each."""
        return [upstream for _, upstream in list(self._upstreams.values())]

    def problem(self, model: Model) -> str | None:
        """Why nothing can be asked of it; None is no promise that it answers."""
        assert model.external is not None
        known = self._upstreams.get(model.key)
        if known is not None and known[0] == model.external:
            return None
        try:
            self._open(model, model.external)
        except ModelOffline as exc:
            return exc.message
        return None

    def trouble(self, model: Model) -> str | None:
        """What its requests meet now."""
        known = self._upstreams.get(model.key)
        if known is None or not known[1].breaker.is_open:
            return None
        return "Its provider has failed several times in a row; it is tried again from time to time."

    def _build(self, model: Model, external: ExternalModel) -> Upstream:
        settings = self._settings
        key = self._open(model, external)
        provider = registry.build(model.provider, external, key, self.addresses, self._timeouts)
        limits = BreakerLimits(settings.breaker_failures, settings.breaker_slow_seconds, settings.breaker_open_seconds)
        return Upstream(
            provider,
            Breaker(limits),
            RetryBudget(),
            settings.retries,
            settings.total_timeout_seconds,
            model.key,
            model.provider,
        )

    def _open(self, model: Model, external: ExternalModel) -> str | None:
        if external.sealed_key is None:
            return None
        try:
            return self._sealer.open(external.sealed_key, model.id)
        except ValueError as exc:
            raise ModelOffline(
                f"The API key of model '{model.key}' cannot be read: {exc}. Give the server its old "
                f"ADAPTIVE_APP__SECRET, or store the key again: adaptive models update-external {model.key}"
            ) from exc
