"""How pictures become tiles and text, beside what transformers made of the same ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from adaptive_engine.engine.vision.family import FAMILIES, MAX_SIDE, Family, VisionConfig, load_family
from adaptive_engine.engine.vision.idefics3 import Idefics3
from adaptive_engine.engine.vision.llava import Llava
from adaptive_engine.engine.vision.pixels import Box, Picture, Pixels, picture_of
from adaptive_engine.errors import EngineFailed
from adaptive_engine.registry.family import VISION_FAMILIES
from adaptive_engine.types import Image

RECORDED = json.loads((Path(__file__).parents[3] / "fixtures/image_processors.json").read_text())
# Tiles of 4 x 4 patches, 2 x 2 of which are a token.
IDEFICS3 = {"vision_config": {"image_size": 64, "patch_size": 16}, "scale_factor": 2}
LLAVA = {"vision_config": {"model_type": "clip_vision_model", "patch_size": 14}}


def noise(width: int, height: int) -> Image:
    pixels = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), np.uint8)
    return Image.of(width, height, pixels.tobytes())


def family_of(processor: str, **changes: Any) -> Family:
    config = {**RECORDED["processors"][processor], **changes}
    if processor.startswith("idefics3"):
        return Idefics3(VisionConfig(IDEFICS3, config, {}))
    return Llava(VisionConfig(LLAVA, config, {}))


@pytest.mark.parametrize("result", RECORDED["results"], ids=lambda result: f"{result['processor']} {result['size']}")
def test_pictures_become_what_transformers_makes_of_them(result: dict[str, Any]) -> None:
    family = family_of(result["processor"])
    tiles = family.tiles(noise(*result["size"]))
    assert tiles.dtype == np.float32
    assert list(tiles.shape) == result["shape"]
    every = np.linspace(0, tiles.size - 1, len(result["samples"])).astype(int)
    assert np.abs(tiles.reshape(-1)[every] - result["samples"]).max() < 1e-6
    assert abs(tiles.astype(np.float64).mean() - result["mean"]) < 1e-6
    text = family.text(*result["size"])
    if "text" in result:
        assert text.replace("<image>" * 4, "*") == result["text"]
    assert family.tokens(*result["size"]) == text.count("<image>") == len(tiles) * family.tokens_per_tile


def test_llava_has_a_token_for_each_patch_and_what_its_strategy_leaves() -> None:
    def tokens(model: dict[str, Any], processor: dict[str, Any]) -> int:
        config = VisionConfig({**LLAVA, **model}, RECORDED["processors"]["clip"], processor)
        return Llava(config).tokens_per_tile

    assert tokens({}, {}) == 16
    assert tokens({"vision_feature_select_strategy": "full"}, {}) == 17
    assert tokens({}, {"vision_feature_select_strategy": "full", "num_additional_image_tokens": 2}) == 18
    assert tokens({"vision_feature_select_strategy": "full"}, {"patch_size": 28, "num_additional_image_tokens": 0}) == 4


def test_older_processors_name_sizes_as_numbers() -> None:
    image = noise(300, 200)
    old, new = family_of("clip", size=56, crop_size=56), family_of("clip")
    assert np.array_equal(old.tiles(image), new.tiles(image))


def test_a_long_picture_costs_no_more_than_what_is_left_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resized as a whole, one of 2048 x 1 pixels would be of 688128 x 336, with CLIP's usual size."""
    sizes = []
    resize = Pixels.resize

    def noted(pixels: Pixels, picture: Picture, width: int, height: int, box: Box | None = None) -> Picture:
        sizes.append((width, height))
        return resize(pixels, picture, width, height, box)

    monkeypatch.setattr(Pixels, "resize", noted)
    family = family_of("clip", size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336})
    for size in [(2048, 1), (1, 2048), (2047, 150), (4096, 336)]:
        assert family.tiles(noise(*size)).shape == (1, 3, 336, 336)
    assert max(length for size in sizes for length in size) <= MAX_SIDE


@pytest.mark.parametrize("size", [(301, 3), (3, 300), (450, 6), (20, 2047)])
def test_of_a_long_picture_the_middle_is_seen(size: tuple[int, int]) -> None:
    image = noise(*size)
    width, height = (56 * length // min(size) for length in size)
    whole = picture_of(image).resize((width, height), PIL.Image.Resampling.BICUBIC)
    left, top = (whole.width - 56) // 2, (whole.height - 56) // 2
    middle = np.asarray(whole.crop((left, top, left + 56, top + 56))).transpose(2, 0, 1)
    seen = family_of("clip", do_rescale=False, do_normalize=False).tiles(image)[0]
    assert np.abs(seen - middle).max() <= 2


def test_a_processor_may_leave_the_numbers_as_they_are() -> None:
    family = family_of("siglip", do_rescale=False, do_normalize=False)
    tiles = family.tiles(Image.of(1, 1, bytes([7, 8, 9])))
    assert [float(tiles[0, colour].min()) for colour in range(3)] == [7, 8, 9]


def test_each_patch_of_a_tile_has_its_own_position() -> None:
    family = family_of("idefics3")
    inputs = family.inputs(np.zeros((3, 3, 64, 64), np.float32))
    assert inputs["patch_position_ids"].tolist() == [list(range(16))] * 3
    assert inputs["patch_attention_mask"].shape == (3, 4, 4)
    assert inputs["patch_attention_mask"].all()


REFUSED: dict[str, Callable[[], Family]] = {
    "has no longest_edge from 1": lambda: family_of("idefics3", max_image_size={"longest_edge": 0}),
    "was trained for": lambda: family_of("idefics3", max_image_size={"longest_edge": 128}),
    "sizes of their own": lambda: family_of("clip", do_resize=False),
    "crop_size is larger": lambda: family_of("clip", crop_size={"height": 57, "width": 57}),
    "not finite": lambda: family_of("clip", image_std=[0, 1, 1]),
    "prepares images by LlavaNextImageProcessor": lambda: family_of(
        "clip", image_processor_type="LlavaNextImageProcessor"
    ),
}


@pytest.mark.parametrize(("message", "build"), REFUSED.items(), ids=REFUSED.keys())
def test_what_it_cannot_do_is_refused(message: str, build: Callable[[], Family]) -> None:
    with pytest.raises((ValueError, EngineFailed), match=message):
        build()


def write(directory: Path, **files: Any) -> Path:
    for name, content in files.items():
        (directory / f"{name}.json").write_text(json.dumps(content))
    return directory


def test_a_family_is_found_by_the_files_of_the_model(tmp_path: Path) -> None:
    config = {"model_type": "smolvlm", **IDEFICS3}
    write(tmp_path, config=config, processor_config={"image_processor": RECORDED["processors"]["idefics3"]})
    assert isinstance(load_family(tmp_path), Idefics3)
    assert frozenset(FAMILIES) == VISION_FAMILIES


def test_a_directory_that_does_not_say_how_it_sees_is_refused(tmp_path: Path) -> None:
    write(tmp_path, config={"model_type": "idefics3"})
    with pytest.raises(EngineFailed, match=r"no preprocessor_config\.json"):
        load_family(tmp_path)
    write(tmp_path, preprocessor_config=RECORDED["processors"]["idefics3"])
    with pytest.raises(EngineFailed, match="does not say how it sees: KeyError: 'vision_config'"):
        load_family(tmp_path)
    write(tmp_path, config={"model_type": "qwen2_vl", **IDEFICS3})
    with pytest.raises(EngineFailed, match="family 'qwen2_vl' cannot be given images; idefics3, smolvlm, llava can"):
        load_family(tmp_path)
