"""Pictures whose content is known: one to four equal shapes of one colour, drawn by a seeded generator.

The tiny vision model of `tests/fixtures/` was trained on them (`scripts/train_vision_model.py`), from other seeds than
tests use.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHAPES = ("circle", "square", "triangle", "cross")
COLOURS = {
    "red": (210, 40, 40),
    "green": (40, 160, 60),
    "blue": (50, 80, 210),
    "yellow": (235, 205, 30),
    "purple": (140, 60, 170),
}
MOST = 4
SIZE = 64


@dataclass(frozen=True, slots=True)
class Picture:
    colour: str
    shape: str
    count: int
    quadrants: tuple[int, ...]
    """Where the shapes are: 0 is the upper left quarter, 3 the lower right one."""
    pixels: NDArray[np.uint8]
    """`[height, width, 3]`"""

    @property
    def text(self) -> str:
        several = "es" if self.shape.endswith("s") else "s"
        return f"{self.count} {self.colour} {self.shape}{several if self.count > 1 else ''}"


def draw(
    rng: np.random.Generator,
    *,
    colour: str | None = None,
    shape: str | None = None,
    count: int | None = None,
    size: int = SIZE,
) -> Picture:
    """A picture of `size` x `size` pixels; what is not given is drawn by lot."""
    colour = colour or str(rng.choice(list(COLOURS)))
    shape = shape or str(rng.choice(SHAPES))
    count = count or int(rng.integers(1, MOST + 1))
    quadrants = tuple(sorted(int(quadrant) for quadrant in rng.permutation(4)[:count]))
    shade = rng.integers(225, 256)
    pixels = np.full((size, size, 3), shade, np.uint8)
    paint = np.clip(np.array(COLOURS[colour]) + rng.integers(-15, 16, 3), 0, 255).astype(np.uint8)
    half = size / 2
    for quadrant in quadrants:
        radius = size * rng.uniform(0.14, 0.19)
        slack = half / 2 - radius - 1
        row = half * (quadrant // 2 + 0.5) + rng.uniform(-slack, slack)
        column = half * (quadrant % 2 + 0.5) + rng.uniform(-slack, slack)
        y, x = (np.mgrid[:size, :size] + 0.5 - np.array([row, column])[:, None, None]) / radius
        pixels[_inside(shape, y, x)] = paint
    return Picture(colour, shape, count, quadrants, pixels)


def _inside(shape: str, y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points belong to the shape around (0, 0) that reaches to 1 in every direction."""
    box = np.maximum(abs(x), abs(y)) <= 1
    if shape == "circle":
        return x * x + y * y <= 1
    if shape == "square":
        return box
    if shape == "triangle":
        return box & (abs(x) <= (y + 1) / 2)
    return box & (np.minimum(abs(x), abs(y)) <= 1 / 3)
