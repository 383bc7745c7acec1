"""Record what transformers makes of pictures, for tests/unit/engine/vision: `python scripts/record_image_processors.py`

In an environment of its own, as `scripts/train_vision_model.py` says. Of each result the shape, the mean and some of
the numbers are kept, and of Idefics3 the text that stands for the picture.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from transformers import CLIPImageProcessor, Idefics3ImageProcessor, SiglipImageProcessor
from transformers.models.idefics3.processing_idefics3 import get_image_prompt_string

TARGET = Path(__file__).resolve().parents[1] / "tests/fixtures/image_processors.json"
# Width and height: smaller and larger than a tile, flat, tall, odd, one pixel wide.
SIZES = [(64, 64), (300, 200), (97, 411), (640, 90), (1, 50), (33, 32)]
SAMPLES = 24

IDEFICS3: dict[str, Any] = {"size": {"longest_edge": 192}, "max_image_size": {"longest_edge": 64}}
PROCESSORS: dict[str, Any] = {
    "idefics3": Idefics3ImageProcessor(**IDEFICS3),
    "idefics3 whole": Idefics3ImageProcessor(**IDEFICS3, do_image_splitting=False),
    "clip": CLIPImageProcessor(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}),
    "siglip": SiglipImageProcessor(size={"height": 48, "width": 48}),
}


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), np.uint8)


def record(name: str, width: int, height: int) -> dict[str, Any]:
    processor = PROCESSORS[name]
    options = {"return_row_col_info": True} if name.startswith("idefics3") else {}
    found = processor(noise(width, height), return_tensors="np", **options)
    pixels = found["pixel_values"]
    pixels = pixels.reshape(-1, *pixels.shape[-3:]).astype(np.float64)
    every = np.linspace(0, pixels.size - 1, SAMPLES).astype(int)
    result = {
        "processor": name,
        "size": [width, height],
        "shape": list(pixels.shape),
        "mean": round(float(pixels.mean()), 7),
        "samples": [round(float(value), 6) for value in pixels.reshape(-1)[every]],
    }
    if options:
        rows, columns = found["rows"][0][0], found["cols"][0][0]
        names = ("<fake_token_around_image>", "<image>", "<global-img>")
        result["text"] = get_image_prompt_string(rows, columns, 4, *names).replace("<image>" * 4, "*")
    return result


def main() -> None:
    configs = {name: json.loads(processor.to_json_string()) for name, processor in PROCESSORS.items()}
    results = [record(name, *size) for name in PROCESSORS for size in SIZES]
    TARGET.write_text(json.dumps({"processors": configs, "results": results}) + "\n")


if __name__ == "__main__":
    main()
