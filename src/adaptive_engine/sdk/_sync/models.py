# Generated from _async/models.py by scripts/unasync.py. Edit that file, then run the script.
"""GET /api/v1/models."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import decode
from adaptive_engine.wire.models import ModelCard, ModelList

if TYPE_CHECKING:
    from adaptive_engine.sdk._sync.client import Adaptive

# A name for it, because inside the class `list` is the method.
ModelCards: TypeAlias = list[ModelCard]


class Models:
    """The models that requests can name.

    for card in client.models.list():
        print(card.id, card.context_length)
    """

    def __init__(self, client: Adaptive) -> None:
        self._client = client

    def list(self, project: str | None = None) -> ModelCards:
        """The deployments of `project`, or of all projects that the key may use."""
        response = self._client._send(Call("GET", "/models"))
        cards = decode(ModelList, response).data
        return [card for card in cards if project is None or card.project == project]
