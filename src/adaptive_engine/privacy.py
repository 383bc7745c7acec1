"""Keeps OpenVINO from reporting to anybody.

At import it posts an event to Google Analytics, with a persistent id that it keeps in the user's home, whenever its
`openvino_telemetry` package is there; consent is assumed. When that package cannot be imported it uses a stub.
"""

from __future__ import annotations

import sys


def silence_openvino() -> None:
    """Call it before OpenVINO is imported."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
