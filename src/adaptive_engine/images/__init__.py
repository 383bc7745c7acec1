"""Images of any origin to pixels: `decoder.py` asks a child process, which `worker.py` is, to look and to decode.

`header.py` reads sizes and numbers of frames from a file's first bytes, before anything is decoded.
"""

from __future__ import annotations

from adaptive_engine.images.decoder import Decoded, Decoder, ImageLimits

__all__ = ["Decoded", "Decoder", "ImageLimits"]
