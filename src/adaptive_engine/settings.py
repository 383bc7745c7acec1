"""Settings: read once at start from `ADAPTIVE_...` variables; command-line options win over them.

A nested field is spelled with two underscores, e.g. `ADAPTIVE_ENGINE__KV_CACHE_LEN=65536`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

LogFormat = Literal["auto", "console", "json"]
LogLevel = Literal["debug", "info", "warning"]


def default_data_dir() -> Path:
    """`$XDG_DATA_HOME/adaptive-engine`, by default under `~/.local/share`."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "adaptive-engine"


def database_path(data_dir: Path) -> Path:
    return data_dir / "adaptive.db"


def models_dir(data_dir: Path) -> Path:
    return data_dir / "models"


class ServerSettings(BaseModel):
    """The HTTP side."""

    host: str = "127.0.0.1"
    port: int = Field(9000, ge=0, le=65535)
    workers: int = Field(1, ge=1, le=256, description="Processes that serve; the models run beside them, once.")
    allowed_hosts: str | None = Field(
        None, description="Names, with commas between, under which browsers may open the web application; `*`: any."
    )
    max_body_bytes: int = Field(10 * 2**20, ge=1024, description="A larger request body is refused with 413.")
    body_timeout_seconds: float = Field(30, gt=0, description="Headers and a body that take longer to arrive get 408.")
    send_timeout_seconds: float = Field(60, gt=0, description="A reader that takes nothing for so long is dropped.")
    ping_seconds: float = Field(10, gt=0, description="Silence after which a stream sends a comment to stay open.")
    unready_seconds: float = Field(
        0, ge=0, description="How long requests are still taken after SIGTERM, while /readyz says that it is draining."
    )
    drain_seconds: int = Field(30, ge=0, description="How long running requests may finish after Ctrl-C or SIGTERM.")


class EngineSettings(BaseModel):
    """How internal models are run."""

    deterministic: bool = Field(False, description="Greedy text does not depend on other requests; slower.")
    speculation: bool = Field(True, description="Guess tokens from the text so far where that is faster.")
    kv_cache_len: int = Field(32_768, ge=256, description="Tokens that fit into a model's KV cache.")
    max_seq_len: int | None = Field(None, ge=16, description="Prompt and answer; unset: the model's own limit.")
    max_running: int = Field(
        64, ge=1, le=1024, description="Requests that generate at the same time, beside extra places."
    )
    max_waiting: int = Field(256, ge=0, description="Requests that may wait, half of them of one project; else 503.")
    max_waiting_tokens: int = Field(131_072, ge=1, description="The same for the tokens of their prompts.")
    session_keep_seconds: float = Field(
        600, ge=0, description="How long a session's last turn is preferred in the KV cache; 0: never."
    )
    threads: int = Field(0, ge=0, description="Inference threads; 0: one for each core.")
    memory_limit_bytes: int | None = Field(
        None, ge=2**20, description="Weights and KV caches together; unset: 90 % of the memory there is."
    )
    own_process: bool = Field(True, description="Models run in a process of their own, whose end the server survives.")
    hang_seconds: float = Field(60, gt=0, description="A step that takes longer is taken for one that never ends.")
    heartbeat_seconds: float = Field(
        15, gt=0, description="The engine process is restarted when it shows no sign of life for so long."
    )


class AppSettings(BaseModel):
    """What all servers of an installation have in common."""

    secret: SecretStr | None = Field(None, description="Keys the hashes of API keys; unset: `secret.key` is made.")

    @field_validator("secret")
    @classmethod
    def _is_long(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value()) < 32:
            raise ValueError("a secret has 32 characters or more; `openssl rand -hex 32` makes one")
        return secret


class DatabaseSettings(BaseModel):
    """Where the store is. All but `url` and `lock_timeout_seconds` count for PostgreSQL only."""

    url: SecretStr | None = Field(None, description="postgresql://...; unset: a SQLite file in the data directory.")
    pool_size: int = Field(16, ge=1, le=1000, description="Most connections of one server; two more have other uses.")
    connect_timeout_seconds: int = Field(5, ge=2, le=300, description="How long a new connection may take.")
    lock_timeout_seconds: float = Field(5, ge=0.1, le=300, description="How long a change waits for another to end.")
    statement_timeout_seconds: float = Field(30, ge=1, le=3600, description="How long one statement may run.")


class ImageSettings(BaseModel):
    """Images in requests."""

    max_bytes: int = Field(10 * 2**20, ge=1024, description="A larger file is refused.")
    max_images: int = Field(8, ge=1, le=256, description="Images of one request.")
    max_request_bytes: int = Field(40 * 2**20, ge=1024, description="The files of one request together.")
    max_pixels: int = Field(25_000_000, ge=1024, le=100_000_000, description="An image with more is refused.")
    max_edge: int = Field(2048, ge=64, le=16_384, description="Wider and higher images are scaled down.")
    memory_bytes: int = Field(512 * 2**20, ge=2**20, description="Images of all requests that run or wait; else 503.")


class ProviderSettings(BaseModel):
    """Requests to external providers. What takes too long ends with 504."""

    connect_timeout_seconds: float = Field(5, gt=0, description="For a connection.")
    first_byte_timeout_seconds: float = Field(60, gt=0, description="Until a stream begins.")
    answer_timeout_seconds: float = Field(300, gt=0, description="The same without `stream`: until all is generated.")
    idle_timeout_seconds: float = Field(30, gt=0, description="Between two pieces of a stream.")
    total_timeout_seconds: float = Field(600, gt=0, description="For an answer, second tries included.")
    retries: int = Field(2, ge=0, le=10, description="Second tries of a request, before the first byte only.")
    breaker_failures: int = Field(5, ge=0, description="So many failures in a row suspend a model; 0: never.")
    breaker_slow_seconds: float = Field(30, ge=0, description="A stream that begins later is a failure too; 0: none.")
    breaker_open_seconds: float = Field(15, gt=0, description="Then one request tries whether the model answers.")
    allow_private_endpoints: bool = Field(True, description="Endpoints may be on this machine or in its networks.")


class LimitSettings(BaseModel):
    """What keys and projects may ask that have no limits of their own; unset: as much as they like."""

    key_requests_per_minute: int | None = Field(None, ge=1, description="Requests of one API key in a minute.")
    key_tokens_per_minute: int | None = Field(None, ge=1, description="Tokens of its prompts and answers.")
    key_concurrent_requests: int | None = Field(None, ge=1, description="Its requests at the same time.")
    project_requests_per_minute: int | None = Field(None, ge=1, description="Requests in one project in a minute.")
    project_tokens_per_minute: int | None = Field(None, ge=1, description="Tokens of its prompts and answers.")
    project_concurrent_requests: int | None = Field(None, ge=1, description="Its requests at the same time.")
    servers: int = Field(
        1, ge=1, le=10_000, description="Servers on one store: each lets through its part of every limit."
    )


class VllmSettings(BaseModel):
    """How models are run with vLLM."""

    command: str = Field("vllm", min_length=1, description="The command of vLLM, with arguments as in a shell.")
    start_timeout_seconds: float = Field(1800, gt=0, description="Until a model answers; downloads included.")
    health_timeout_seconds: float = Field(60, gt=0, description="One that does not answer for so long is restarted.")
    stop_seconds: float = Field(10, ge=0, description="How long a model may take to end by itself.")


class RaySettings(BaseModel):
    """Where internal models run when they do not run here."""

    address: str | None = Field(
        None, description="The Ray cluster whose replicas run the internal models: `auto`, or HOST:PORT; unset: none."
    )


class StoreSettings(BaseModel):
    """What the store promises."""

    durability: Literal["normal", "full"] = Field(
        "normal", description="What an acknowledged answer survives: `normal` kill -9, `full` also a power failure."
    )
    min_free_bytes: int = Field(
        64 * 2**20, ge=0, description="With less on the data volume, requests that would be stored are refused."
    )


class TelemetrySettings(BaseModel):
    """What operators see beside the log."""

    metrics: Literal["key", "open"] = Field("key", description="/metrics needs a key that may read it; `open`: none.")
    otel: bool = Field(False, description="Traces and metrics go to an OpenTelemetry collector; `OTEL_...` say where.")
    otel_content: bool = Field(False, description="With `otel`, prompts and answers are in the traces.")
    slow_request_seconds: float = Field(30, ge=0, description="A request that takes longer is logged as slow; 0: none.")


class Settings(BaseSettings):
    """Everything that can be configured."""

    model_config = SettingsConfigDict(env_prefix="ADAPTIVE_", env_nested_delimiter="__", extra="ignore")

    data_dir: Path = Field(default_factory=default_data_dir, description="Database, models and keys live here.")
    admin_api_key: SecretStr | None = Field(None, description="The admin key, instead of one made at the first start.")
    import_dir: Path | None = Field(None, description="Model files in it can be imported over the API.")
    log_format: LogFormat = Field("auto", description="auto: console on a terminal.")
    log_level: LogLevel = Field("info", description="What is logged, from this level on.")
    app: AppSettings = AppSettings()
    db: DatabaseSettings = DatabaseSettings()
    server: ServerSettings = ServerSettings()
    engine: EngineSettings = EngineSettings()
    images: ImageSettings = ImageSettings()
    limits: LimitSettings = LimitSettings()
    providers: ProviderSettings = ProviderSettings()
    vllm: VllmSettings = VllmSettings()
    ray: RaySettings = RaySettings()
    store: StoreSettings = StoreSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    @field_validator("admin_api_key")
    @classmethod
    def _looks_like_a_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not re.fullmatch(r"[!-~]{16,512}", key.get_secret_value()):
            raise ValueError("an API key has 16 to 512 visible ASCII characters and no spaces")
        return key

    def secrets(self) -> list[str]:
        """The values that no log may show."""
        found = [secret.get_secret_value() for secret in (self.admin_api_key, self.app.secret, self.db.url) if secret]
        password = urlsplit(self.db.url.get_secret_value()).password if self.db.url else None
        return [*found, unquote(password)] if password else found

    @property
    def database_path(self) -> Path:
        return database_path(self.data_dir)

    @property
    def models_dir(self) -> Path:
        return models_dir(self.data_dir)
