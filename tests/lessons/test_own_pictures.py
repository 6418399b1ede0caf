"""The example folder of the lesson on own pictures, and the figure of what the network gets."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest
from PIL import Image

import gdas_lite as gl
from gdas_lite.data.pictures import Reading
from gdas_lite.lessons.figures import picture_grid
from gdas_lite.lessons.own_pictures import kept_square
from gdas_lite.lessons.shapes import draw_shapes

COUNTS = {"circle": 12, "cross": 6, "square": 6, "triangle": 6}


def contents(folder) -> dict[str, str]:
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(folder.rglob("*")) if file.is_file()}


def test_the_folder_holds_what_people_have(tmp_path):
    folder = draw_shapes(tmp_path / "a", COUNTS)
    found = []
    for file in sorted(folder.rglob("*_0*.*")):
        with Image.open(file) as picture:
            found.append((picture.mode, picture.format, picture.size))
    modes, formats, sizes = zip(*found)
    assert set(modes) == {"RGB", "L", "RGBA", "P"} and set(formats) == {"PNG", "JPEG"}
    assert len(set(sizes)) > 10 and any(width == 2 * height for width, height in sizes)
    assert Counter(file.parent.name for file in folder.rglob("*_0*.*")) == COUNTS
    with pytest.raises(ValueError, match="1 of 31 pictures cannot be read: .*cut_off.png"):
        gl.load_data(folder, image_size=12)
    with pytest.warns(UserWarning, match="they are left out"):
        data = gl.load_data(folder, image_size=12, on_error="skip")
    assert data.class_names == tuple(COUNTS) and len(data.train) + len(data.evaluation["test"]) == 30


def test_a_seed_gives_the_same_files(tmp_path):
    a, b, c = (contents(draw_shapes(tmp_path / name, {"circle": 3}, seed)) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert a == b and a != c
    with pytest.raises(ValueError, match="no shape 'heart'"):
        draw_shapes(tmp_path / "d", {"heart": 1})


@pytest.mark.parametrize(("width", "height"), [(120, 60), (40, 100), (64, 64)])
def test_the_exercises_square_is_the_one_that_is_read(width, height, tmp_path):
    box = kept_square(width, height)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).crop(box).save(tmp_path / "b.png")
    side = min(width, height)
    whole, square = (Reading(side, side).pixels(tmp_path / f"{name}.png")[0] for name in "ab")
    assert np.array_equal(whole, square)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_grid_shows_the_pictures_as_they_are(channels):
    images = np.random.default_rng(0).integers(0, 256, (5, channels, 6, 6), dtype=np.uint8)
    figure = picture_grid(images, [1, 0, 1, 1, 0], ("cat", "dog"), each=2)
    drawn = [axes.images[0].get_array() for axes in figure.axes]
    expected = [images[index].transpose(1, 2, 0) for index in (1, 4, 0, 2)]
    assert all(np.array_equal(a, b if channels == 3 else b[..., 0]) for a, b in zip(drawn, expected, strict=True))
    assert figure.claim == f"5 {'grey' if channels == 1 else 'colour'} pictures of 6 × 6 pixels, 2 classes"
    assert figure.axes[2].get_ylabel() == "dog\n3"
    with pytest.raises(ValueError, match="one label for each"):
        picture_grid(images, [1, 0], ("cat", "dog"))
