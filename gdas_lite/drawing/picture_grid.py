"""Pictures of a data set side by side, as the network gets them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gdas_lite.drawing.notebook_figure import NotebookFigure, new_figure, styled


@styled
def picture_grid(images: Any, labels: Sequence[int], class_names: Sequence[str], each: int = 8) -> NotebookFigure:
    """The first `each` pictures of every class, a row a class. images: uint8 (count, channels, size, size).

    Raises ValueError unless there is one label for each image.
    """
    pixels, labels = np.asarray(images), np.asarray(labels)
    if pixels.ndim != 4 or len(pixels) != len(labels):
        raise ValueError(f"expected images (count, channels, size, size) and one label for each, got {pixels.shape} and "
                         f"{len(labels)} labels")
    figure = new_figure(0.5 + 0.62 * len(class_names), 1.2 + 0.62 * each)
    grid = figure.subplots(len(class_names), each, squeeze=False)
    for row, name in enumerate(class_names):
        draw_row(grid[row], f"{name}\n{(labels == row).sum()}", pixels[labels == row][:each], vmax=255)
    size, what = pixels.shape[2], "grey" if pixels.shape[1] == 1 else "colour"
    figure.state(f"{len(labels)} {what} pictures of {size} × {size} pixels, {len(class_names)} classes")
    return figure


def draw_row(line: Sequence[Any], name: str, pictures: np.ndarray, vmax: float, **options: Any) -> None:
    """A named row of pictures (count, 1 or 3 channels, height, width) from 0 to vmax; axes that are left over stay empty.

    options: of imshow.
    """
    for axes in line:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for axes, picture in zip(line, pictures, strict=False):
        pixels = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=vmax, **options)
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
