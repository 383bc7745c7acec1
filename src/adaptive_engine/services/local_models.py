"""The models that run on this machine, in our engine or in vLLM: what the server asks of either."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from adaptive_engine.errors import ModelLoading, ModelOffline
from adaptive_engine.types import ComputeConfig, Deployment, Model, ModelMemory, ModelState

if TYPE_CHECKING:
    from adaptive_engine.grammar.masks import Vocabulary

_NOT_TOLD = "it was deployed without telling this server; deploy it again, or restart the server"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What has become of a model on this server."""

    state: ModelState
    reason: str | None = None
    """Why it does not answer."""
    memory: ModelMemory | None = None
    """Of a loaded model; of one that is being loaded, what it will take."""
    active: ComputeConfig | None = None
    """What a loaded model runs with; no number is None."""
    loaded_from: ComputeConfig | None = None
    """The model's own settings when it was loaded."""


Loaded = TypeVar("Loaded")


class LocalModels(ABC, Generic[Loaded]):
    """By key. Thread-safe. `Loaded` is what requests to a model are put to."""

    @abstractmethod
    def load(self, model: Model) -> Future[None]:
        """Load a model, unless it is loaded or about to be; one that has failed is tried again. Does not block.

        The result is done when the model answers, or does not: `status` tells.
        """

    @abstractmethod
    def unload(self, model_key: str) -> Vocabulary | None:
        """Take a model out of memory; requests that it answers end with ModelOffline. Blocks for a step of it.

        Returns its vocabulary, if it was loaded in this process. A load under way is given up at its end.
        """

    @abstractmethod
    def loaded(self, model_key: str) -> Loaded | None:
        """That of a model that is in memory, whoever wants it."""

    @abstractmethod
    def status(self, model_key: str) -> ModelStatus: ...

    @abstractmethod
    def settled(self, model_key: str) -> Future[None] | None:
        """Done when the model is loaded, failed, or was given up; None when nobody wants it."""

    @abstractmethod
    def known(self) -> Iterable[str]:
        """Keys of the models that are, or are to be, in memory."""

    @abstractmethod
    def context_length(self, model: Model) -> int:
        """Most tokens of prompt and answer together, as this server runs the model; 0: nobody said."""

    @abstractmethod
    def close(self) -> None:
        """Stop all; what still runs ends with an error. Blocks until they have ended. May be called again."""

    def get(self, deployment: Deployment) -> Loaded:
        """Raises ModelLoading or ModelOffline."""
        require_online(deployment)
        return self.running(deployment.model.key)

    def running(self, model_key: str) -> Loaded:
        """That of a model that answers. Raises ModelLoading or ModelOffline."""
        loaded, status = self.loaded(model_key), self.status(model_key)
        if status.state == "OFFLINE":
            raise ModelOffline(f"Model '{model_key}' is not loaded: {_NOT_TOLD}.")
        if status.state == "ERROR":
            raise ModelOffline(f"Model '{model_key}' is not online: {status.reason}")
        if status.state == "PENDING" or loaded is None:
            raise ModelLoading(model_key)
        return loaded

    def online(self, model_key: str) -> bool:
        return self.status(model_key).state == "ONLINE"

    def answers(self, deployment: Deployment) -> bool:
        """Whether a request to it would be answered now."""
        return deployment.online and self.online(deployment.model.key)

    def problems(self, wanted: set[str]) -> dict[str, str]:
        """For each model of `wanted` that does not answer, why."""
        states = {key: self.status(key) for key in sorted(wanted)}
        return {key: status.reason or _NOT_TOLD for key, status in states.items() if status.state != "ONLINE"}


def require_online(deployment: Deployment) -> None:
    """Raises ModelOffline where the project lets the model not answer."""
    key, project = deployment.model.key, deployment.project.key
    if not deployment.online:
        raise ModelOffline(
            f"Model '{key}' is offline in project '{project}'. An administrator can bring it back: "
            f"adaptive models deploy {key} --project {project}"
        )
