"""A folder of pictures as people have them: drawn shapes of every size and kind, and files that are no pictures."""

import math
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = ("circle", "cross", "square", "triangle")
FORMS = ("colour.png", "colour.jpg", "grey.png", "alpha.png", "palette.png", "wide.jpg")


def draw_shapes(folder: str | Path, counts: dict[str, int] | None = None, seed: int = 0) -> Path:
    """Write `folder`/circle, .../cross, ... with drawn shapes, a picture whose file is cut off and a text among them.

    counts: pictures of each class; None: 180 circles, 140 squares, 100 triangles and 60 crosses. 16 to 80 pixels wide,
    forms in turn: colour, grey, with transparency, with a palette; PNG and JPEG; some twice as wide as high. The same
    seed gives the same files. Returns the folder.
    Raises ValueError for an unknown class.
    """
    counts = {"circle": 180, "cross": 60, "square": 140, "triangle": 100} if counts is None else counts
    if strangers := set(counts) - set(CLASSES):
        raise ValueError(f"no shape {sorted(strangers)[0]!r}; there are {', '.join(CLASSES)}")
    path, rng = Path(folder), np.random.default_rng(seed)
    for name, count in counts.items():
        (path / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            form = FORMS[number % len(FORMS)]
            _save(draw_shape(name, rng, wide=form.startswith("wide")), form.partition(".")[0],
                  path / name / f"{name}_{number:03}.{form.partition('.')[2]}")
    first = path / next(iter(counts))
    whole = (first / f"{first.name}_000.png").read_bytes()
    (first / "cut_off.png").write_bytes(whole[:len(whole) // 3])
    (first / "notes.txt").write_text("Pictures of shapes, drawn by a program.\n")
    return path


def draw_shape(name: str, rng: np.random.Generator, wide: bool = False) -> Any:
    """One shape, turned, on a noisy ground, as a PIL picture in RGB."""
    from PIL import Image, ImageDraw

    size = int(rng.integers(16, 81))
    width, height = (2 * size if wide else size), size
    dark, light = rng.integers(0, 110, 3), rng.integers(145, 256, 3)
    ground, ink = (dark, light) if rng.random() < 0.5 else (light, dark)
    noise = rng.normal(0, 14, (height, width, 3))
    picture = Image.fromarray(np.clip(ground + noise, 0, 255).astype(np.uint8))
    radius = size * rng.uniform(0.26, 0.4)
    centre = np.array([width / 2, height / 2]) + rng.uniform(-0.08, 0.08, 2) * size
    colour = tuple(int(value) for value in ink)
    draw = ImageDraw.Draw(picture)
    if name == "circle":
        draw.ellipse([*(centre - radius), *(centre + radius)], fill=colour)
    else:
        corners = centre + radius * _corners(name, rng.uniform(0, 2 * math.pi))
        draw.polygon([tuple(point) for point in corners], fill=colour)
    return picture


def _corners(name: str, turn: float) -> np.ndarray:
    """Corners of a polygon around (0, 0), within the unit circle, turned by `turn` radians."""
    if name == "cross":
        a, b = 0.3, 0.95
        points = np.array([(a, a), (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a), (-a, -b), (a, -b), (a, -a),
                           (b, -a), (b, a)])
    else:
        count = {"square": 4, "triangle": 3}[name]
        angles = 2 * math.pi * np.arange(count) / count
        points = np.stack([np.cos(angles), np.sin(angles)], 1)
    cos, sin = math.cos(turn), math.sin(turn)
    return points @ np.array([[cos, sin], [-sin, cos]])


def _save(picture: Any, form: str, file: Path) -> None:
    if form == "grey":
        picture = picture.convert("L")
    elif form == "alpha":
        picture.putalpha(200)
    elif form == "palette":
        picture = picture.quantize(32)
    picture.save(file)
