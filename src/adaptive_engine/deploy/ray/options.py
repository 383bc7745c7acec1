"""What an operator chooses for a model on a Ray cluster."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from adaptive_engine.settings import EngineSettings, default_data_dir, models_dir


class ReplicaOptions(BaseModel):
    """The arguments of a Ray Serve application; all but `model` have a default."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: str = Field(description="The model's key, which is the name of its directory in `models_dir`.")
    models_dir: Path = Field(
        default_factory=lambda: models_dir(default_data_dir()), description="The same on every node with a replica."
    )
    min_replicas: int = Field(1, ge=1, description="Replicas that always run.")
    max_replicas: int = Field(1, ge=1, description="Most replicas; Ray Serve starts them as load requires.")
    cpus: float = Field(2, gt=0, description="Processors of a replica: what Ray reserves, and its inference threads.")
    target_requests: float = Field(16, gt=0, description="Requests of a replica at which another one is started.")
    upscale_delay_seconds: float = Field(10, ge=0, description="How long load must ask for more replicas.")
    downscale_delay_seconds: float = Field(300, ge=0, description="How long it must ask for fewer; sessions are lost.")
    engine: EngineSettings = EngineSettings()

    @model_validator(mode="after")
    def _is_a_range(self) -> ReplicaOptions:
        if self.max_replicas < self.min_replicas:
            raise ValueError(f"max_replicas is {self.max_replicas}, less than min_replicas, {self.min_replicas}")
        return self

    @property
    def threads(self) -> int:
        """Inference threads of a replica."""
        return self.engine.threads or max(1, int(self.cpus))
