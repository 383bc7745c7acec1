"""Every metric that /metrics has: its name, its labels, and what it says.

The names are vLLM's where it has them, which dashboards and alerts know, with a prefix of ours. Labels have few values:
a model's key, a route's template, a code of ours. Nothing that a client may choose is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

PREFIX: Final = "adaptive_"

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Bounds for requests and their parts."""
_GAPS = (0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5)
_OVERHEAD = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with all its series. The name lacks the prefix, and that of a counter `_total`."""

    kind: Kind
    name: str
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """Of a histogram that requests fill."""
    shared: bool = False
    """All workers of a server say the same."""

    @property
    def full_name(self) -> str:
        return f"{PREFIX}{self.name}{'_total' if self.kind == 'counter' else ''}"


_MODEL = ("model_name",)


def _of_engine(kind: Kind, name: str, help_text: str, *labels: str) -> Family:
    return Family(kind, name, help_text, (*_MODEL, *labels), shared=True)


FAMILIES: Final[tuple[Family, ...]] = (
    # The server.
    Family("gauge", "build_info", "Always 1; the label says what runs.", ("version",), shared=True),
    Family("gauge", "ready", "1 while /readyz answers 200."),
    Family("counter", "http_requests", "Requests that ended.", ("route", "method", "status")),
    Family("histogram", "http_request_duration_seconds", "From a request's arrival to its end.", ("route",), SECONDS),
    Family("gauge", "http_requests_in_progress", "Requests that have not ended."),
    # Answers, of engines and providers. One of several choices is an answer of its own.
    Family("counter", "request_success", "Answers that ended by themselves.", (*_MODEL, "finished_reason")),
    Family("counter", "request_errors", "Answers that failed after they were begun.", (*_MODEL, "code")),
    Family("counter", "rejected", "Chat completions that were refused before they were begun.", ("reason",)),
    Family("counter", "rate_limited", "Of these those that a limit refused, and whose.", ("scope", "limit")),
    Family("counter", "cancelled", "Answers whose client left.", ("phase",)),
    Family("histogram", "e2e_request_latency_seconds", "From arrival until the answer is stored.", _MODEL, SECONDS),
    Family("histogram", "time_to_first_token_seconds", "From arrival to the first token.", _MODEL, SECONDS),
    Family(
        "histogram",
        "inter_token_latency_seconds",
        "Time between tokens: each answer's mean, counted once for each of its gaps.",
        _MODEL,
        _GAPS,
    ),
    Family("histogram", "request_queue_time_seconds", "Waiting for a place, or for another try.", _MODEL, SECONDS),
    Family("histogram", "request_prefill_time_seconds", "From a place to the first token.", _MODEL, SECONDS),
    Family("histogram", "request_decode_time_seconds", "From the first token to the last.", _MODEL, SECONDS),
    Family("counter", "prompt_tokens", "Tokens of prompts.", _MODEL),
    Family("counter", "generation_tokens", "Tokens of answers, also of those that failed.", _MODEL),
    Family("counter", "prefix_cache_queries", "Prompt tokens that were looked for in the cache.", _MODEL),
    Family("counter", "prefix_cache_hits", "Of these those that were there: cached tokens.", _MODEL),
    Family("counter", "structured_output", "Finished answers with a response format.", (*_MODEL, "outcome")),
    # Engines.
    _of_engine("gauge", "model_online", "1 while a model answers, 0 while it is wanted and does not."),
    _of_engine("gauge", "num_requests_running", "Answers that are being generated."),
    _of_engine("gauge", "num_requests_waiting", "Answers that wait for a place."),
    _of_engine("gauge", "kv_cache_usage_perc", "Part of the KV cache in use; 1 is all."),
    _of_engine("gauge", "kv_cache_blocks", "Blocks of the KV cache, in use or not."),
    _of_engine("gauge", "model_memory_bytes", "What a loaded model takes.", "part"),
    _of_engine("counter", "num_preemptions", "Answers that gave up their place for a while."),
    _of_engine("counter", "engine_steps", "Steps: grows while there is work."),
    _of_engine("counter", "engine_forward_seconds", "Time inside the model."),
    _of_engine("counter", "engine_computed_prompt_tokens", "Prompt tokens that were not in the cache."),
    _of_engine("counter", "engine_mask_seconds", "Processor time for token masks, while the model computes."),
    _of_engine("counter", "engine_forced_tokens", "Tokens that a schema left no choice about."),
    _of_engine("counter", "spec_decode_num_draft_tokens", "Tokens that were guessed and computed."),
    _of_engine("counter", "spec_decode_num_accepted_tokens", "Of these those that were right."),
    _of_engine("counter", "encoded_images", "Images that a vision encoder computed."),
    _of_engine("counter", "encode_seconds", "Time for it."),
    # Providers.
    Family("counter", "upstream_requests", "Requests to providers, by their end.", (*_MODEL, "provider", "outcome")),
    Family("counter", "upstream_retries", "Second tries among them.", _MODEL),
    Family("gauge", "upstream_breaker_open", "1 while a model's circuit breaker is open.", (*_MODEL, "provider")),
    Family("gauge", "upstream_retry_budget", "Second tries that may still be made at once.", _MODEL),
    Family(
        "histogram",
        "gateway_overhead_seconds",
        "What this server adds to a provider's answer.",
        _MODEL,
        _OVERHEAD,
    ),
    # The store.
    Family("gauge", "store_writable", "1 while interactions can be stored."),
    Family("counter", "interactions", "Interactions that ended and are stored.", ("state",)),
    Family("counter", "store_commits", "Transactions of interactions."),
    Family("histogram", "store_commit_seconds", "How long these transactions took."),
    Family("gauge", "store_pending", "Interactions that wait for a transaction."),
    Family("counter", "store_failed", "Interactions that ended and whose client was told that they are not stored."),
    Family("gauge", "store_unsaved", "Of these those that are kept in memory until the store works again."),
    Family("counter", "store_lost", "Of these those that will never be stored."),
    # Graders.
    Family("counter", "judgements", "Judgements of graders, by how they ended.", ("outcome",)),
    Family("gauge", "judgements_due", "Judgements that wait to be made.", shared=True),
)
