"""What became of an answer, for all who tell operators of it: counters, traces and the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adaptive_engine.types import Interaction

Structured = Literal["enforced", "valid", "invalid", "not_checked", "cut"]
"""Whether an answer with a response format matches it: by its masks, by a validator, by neither; or it was cut off."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One choice of a completion that has ended. Moments are of `time.perf_counter`."""

    row: Interaction
    """As it is stored, or would be with `store`. Of its text nothing is told unless somebody asked for that."""
    arrived: float
    routed: float
    """It was known who answers."""
    begun: float
    """An engine or a provider had taken it."""
    generated: float
    """The last of it was there."""
    ended: float
    """It was stored."""
    waited: float | None
    """Seconds in which there was only a provider to wait for; None when an engine answered."""
    structured: Structured | None = None

    @property
    def model(self) -> str:
        return self.row.model_key or ""

    def first_token(self) -> float | None:
        """When it came; None for what ended before."""
        timings = self.row.timings
        if "total_ms" not in timings:
            return None
        # Timings are rounded.
        return max(self.generated - (timings["total_ms"] - timings["ttft_ms"]) / 1000, self.arrived)

    def phases(self) -> dict[str, tuple[float, float]]:
        """From when until when: what is known of `route`, `prepare`, `queue`, `prefill`, `decode`, `store`."""
        found = {"route": (self.arrived, self.routed), "prepare": (self.routed, self.begun)}
        first = self.first_token()
        if first is not None:
            admitted = first - (self.row.timings["ttft_ms"] - self.row.timings["queue_ms"]) / 1000
            submitted = first - self.row.timings["ttft_ms"] / 1000
            # An engine may run before whoever asked it does again.
            found["prepare"] = (self.routed, max(self.routed, min(self.begun, submitted)))
            found["queue"] = (submitted, admitted)
            found["prefill"] = (admitted, first)
            found["decode"] = (first, self.generated)
        found["store"] = (self.generated, self.ended)
        return found

    def breakdown(self) -> dict[str, float]:
        """Milliseconds of each phase, and of waiting for a provider."""
        found = {f"{name}_ms": round(1000 * (end - start), 1) for name, (start, end) in self.phases().items()}
        if self.waited is not None:
            found["provider_ms"] = round(1000 * self.waited, 1)
        return found
