"""structlog without rich, which it imports where that is installed: for tracebacks with the values of variables, which
no log of ours shows, and half of its time.
"""

from __future__ import annotations

import sys

_absent = "rich" not in sys.modules
if _absent:
    # Whoever imports it now is told that it is not installed.
    sys.modules["rich"] = None  # type: ignore[assignment]
try:
    import structlog
finally:
    if _absent:
        del sys.modules["rich"]

__all__ = ["structlog"]
