"""What answers a deployment's requests: an engine of this server, vLLM, or a provider. Who asks need not know which."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from adaptive_engine.services.local_models import LocalModels, ModelStatus
from adaptive_engine.services.model_engines import ModelEngine, ModelEngines
from adaptive_engine.services.vllm_servers import VllmServers
from adaptive_engine.types import Delta, Deployment, Model, Notice
from adaptive_engine.wire.chat import ChatRequest

if TYPE_CHECKING:
    from adaptive_engine.providers.stream import Attempt
    from adaptive_engine.services.images import DecodedImages
    from adaptive_engine.services.providers import Providers
    from adaptive_engine.services.structured import AnswerFormat


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to one deployment, as the deployment's settings complete it."""

    deployment: Deployment
    request: ChatRequest
    """Without the files of its images."""
    images: DecodedImages
    system_prompt: str | None
    """The deployment's own, as it was rendered for this request."""
    notices: tuple[Notice, ...]
    session_id: UUID
    arrived: float
    """By `time.perf_counter`."""
    background: bool = False
    """It gives way to all others."""


class AnswerStream(Protocol):
    """One generation as it comes. Iterating ends after the delta with a finish reason, or raises what went wrong."""

    completion_tokens: int
    """Generated so far, as far as that is known."""
    cached_tokens: int
    phase: str
    """`queue`, `prefill`, `decode` or `done`."""

    @property
    def attempts(self) -> Seq[Attempt]:
        """Requests to a provider, the last one included; an engine is asked once and has none."""

    @property
    def waited(self) -> float | None:
        """Seconds in which only the provider worked; None for an engine."""

    async def __anext__(self) -> Delta: ...

    def cancel(self) -> None:
        """Free everything the generation holds. Safe to call at any time, also after the end."""

    def take_waiting(self) -> str:
        """Text that arrived and was not read."""


class Job(Protocol):
    """A request that is ready to run."""

    @property
    def fingerprint(self) -> str | None:
        """Of all that the text depends on and no parameter says."""

    @property
    def prompt_tokens(self) -> int:
        """0 where only the provider can count them."""

    @property
    def format(self) -> AnswerFormat: ...

    @property
    def notices(self) -> Seq[Notice]:
        """What of the request the answer will not reflect."""

    @property
    def parameters(self) -> Seq[dict[str, Any]]:
        """Of each choice, as they are applied and stored."""

    def start(self) -> Seq[AnswerStream]:
        """A stream for each choice: all or none. Raises what the queue has against it."""

    def discard(self) -> None:
        """Free what it holds, instead of starting it."""


class Backend(Protocol):
    async def prepare(self, asked: Asked) -> Job:
        """Raises InvalidRequest for what can be known to be wrong before anything runs."""


class Backends:
    """The engines, the vLLM processes and the providers of one server."""

    def __init__(
        self,
        engines: ModelEngines[Any],
        vllm: VllmServers,
        providers: Providers,
        model_engine: Callable[[Any], ModelEngine],
    ) -> None:
        """`model_engine` makes of one of `engines` what requests are put to."""
        self.engines = engines
        self.vllm = vllm
        self.providers = providers
        self._model_engine = model_engine

    def engine(self, deployment: Deployment) -> ModelEngine:
        """That of an internal model. Raises ModelLoading or ModelOffline."""
        return self._model_engine(self.engines.get(deployment))

    def loaded(self, model_key: str) -> ModelEngine | None:
        """The engine of a model that is in memory, whoever wants it."""
        engine = self.engines.loaded(model_key)
        return None if engine is None else self._model_engine(engine)

    def local(self, model: Model) -> LocalModels[Any]:
        """What runs a model of this server."""
        return self.vllm if model.in_vllm else self.engines

    def answers(self, deployment: Deployment) -> bool:
        """Whether a request to it would be answered now, as far as can be known without asking."""
        if deployment.model.external is None:
            return self.local(deployment.model).answers(deployment)
        return deployment.online and self.providers.problem(deployment.model) is None

    def online(self, model: Model) -> bool:
        if model.external is None:
            return self.local(model).online(model.key)
        return self.providers.problem(model) is None

    def status(self, model: Model, *, wanted: bool) -> ModelStatus:
        """`wanted`: some project wants it to answer. An engine knows that itself."""
        if model.external is None:
            return self.local(model).status(model.key)
        problem = self.providers.problem(model)
        if problem is not None:
            return ModelStatus("ERROR", problem)
        return ModelStatus("ONLINE", self.providers.trouble(model)) if wanted else ModelStatus("OFFLINE")

    def context_length(self, model: Model) -> int:
        """Most tokens of prompt and answer together; 0: nobody said."""
        return model.context_length if model.external else self.local(model).context_length(model)

    def problems(self, wanted: set[str]) -> dict[str, str]:
        """For each model of `wanted` that is to run here and does not answer, why."""
        of_vllm = wanted & self.vllm.known()
        return {**self.engines.problems(wanted - of_vllm), **self.vllm.problems(of_vllm)}
