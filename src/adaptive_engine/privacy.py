"""What is kept from others: uses of OpenVINO from its makers, our settings from child processes."""

from __future__ import annotations

import os
import sys


def silence_openvino() -> None:
    """Call it before OpenVINO is imported.

    At import it posts an event to Google Analytics, with a persistent id that it keeps in the user's home, whenever its
    `openvino_telemetry` package is there; consent is assumed. When that package cannot be imported it uses a stub.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]


def child_environment(*kept: str) -> dict[str, str]:
    """This process's, but for our own settings, which contain secrets; of those the `kept` ones only."""
    return {name: text for name, text in os.environ.items() if name in kept or not name.upper().startswith("ADAPTIVE_")}
