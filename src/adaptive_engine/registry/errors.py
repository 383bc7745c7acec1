"""What can go wrong with a model on disk.

InvalidModel (InvalidRequest, 400)   the source or the model directory is refused; the message says what to change
├── MalformedGGUF                    a GGUF file that breaks its own format, with the offset in bytes
└── CorruptModel                     a model directory whose files no longer match its manifest
DownloadFailed (Unavailable, 503)    the package index, or pip itself, could not be used

A key that already belongs to another model is `errors.Conflict`, as everywhere.
"""

from __future__ import annotations

from adaptive_engine.errors import InvalidRequest, Unavailable


class InvalidModel(InvalidRequest):
    default_code = "invalid_model"


class MalformedGGUF(InvalidModel):
    """`offset` is where reading stopped, in bytes from the start of the file."""

    default_code = "malformed_gguf"

    def __init__(self, message: str, *, offset: int) -> None:
        super().__init__(f"Malformed GGUF file: {message} (at byte {offset}).")
        self.offset = offset


class CorruptModel(InvalidModel):
    default_code = "corrupt_model"


class DownloadFailed(Unavailable):
    default_code = "download_failed"
