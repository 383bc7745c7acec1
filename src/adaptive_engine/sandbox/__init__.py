"""Child processes with limits of time and memory, for input nobody vouches for. `pool.py` asks, `child.py` answers.

A question and its answer are a line each, of the payload's length and JSON, and then the payload. What exceeds the
limits costs its child the life and the server nothing. `parent.py` is for children that go without limits, too.
"""

from __future__ import annotations

from adaptive_engine.sandbox.pool import Limit, LimitExceeded, Limits, Pool, SandboxBusy

__all__ = ["Limit", "LimitExceeded", "Limits", "Pool", "SandboxBusy"]
