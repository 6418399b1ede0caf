"""Many drawn cells in one picture, each under its name: the zoo at a glance."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .diagrams import CellDot, cell_dot, render_png, render_svg
from .render import compact_png, fitted, named

GAP = 14        # points between two drawings; the PNG uses pixels of 1/96 inch


class Gallery:
    """Drawings in rows, as a cell's last value in a notebook: one SVG, and the same as PNG.

    genotypes: by the name that stands above. columns: drawings in a row. With one, NASNet cells run from left to right;
    with more, from top to bottom, which is narrower.
    Raises ValueError if there is no genotype or no column.
    Example: Gallery({"GDAS_V1": zoo_genotype("GDAS_V1"), "DARTS_V2": zoo_genotype("DARTS_V2")})
    """

    def __init__(self, genotypes: Mapping[str, Any], columns: int = 1) -> None:
        if not genotypes or columns < 1:
            raise ValueError(f"a gallery needs at least one genotype and one column, "
                             f"got {len(genotypes)} and {columns}")
        self.genotypes, self.columns = dict(genotypes), columns

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> dict[str, str]:
        return {"image/svg+xml": self.svg(), "image/png": base64.b64encode(self.png()).decode(),
                "text/plain": "\n".join(f"{name}: {genotype}" for name, genotype in self.genotypes.items())}

    def _dots(self) -> list[CellDot]:
        nasnet_flow = "down" if self.columns > 1 else "right"
        return [cell_dot(genotype, flow=nasnet_flow if genotype.space == "nasnet" else "right", title=name)
                for name, genotype in self.genotypes.items()]

    def svg(self) -> str:
        """The drawings as one SVG text without XML prolog."""
        return composed([render_svg(dot) for dot in self._dots()], self.columns,
                        "Drawn cells: " + ", ".join(self.genotypes))

    def png(self) -> bytes:
        """The drawings as one PNG with transparent ground."""
        from PIL import Image
        pictures = [Image.open(io.BytesIO(render_png(dot))).convert("RGBA") for dot in self._dots()]
        corners, (width, height) = places([picture.size for picture in pictures], self.columns)
        whole = Image.new("RGBA", (round(width), round(height)))
        for picture, corner in zip(pictures, corners):
            whole.paste(picture, (round(corner[0]), round(corner[1])))
        out = io.BytesIO()
        whole.save(out, "png")
        return compact_png(out.getvalue(), colours=200)


def composed(svgs: Sequence[str], columns: int, words: str) -> str:
    """Returns drawings as one, in rows of so many; words: what they show."""
    sizes = [tuple(float(number) for number in re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', svg).groups())
             for svg in svgs]
    corners, (width, height) = places(sizes, columns)
    tiles = [_nested(svg, corner, f"t{number}-") for number, (svg, corner) in enumerate(zip(svgs, corners))]
    size = f'width="{width:.0f}pt" height="{height:.0f}pt" viewBox="0 0 {width:.1f} {height:.1f}"'
    return fitted(f'<svg {named(words)} {size} xmlns="http://www.w3.org/2000/svg" '
                  f'xmlns:xlink="http://www.w3.org/1999/xlink">{"".join(tiles)}</svg>')


def places(sizes: list[tuple[float, float]], columns: int) -> tuple[list[tuple[float, float]], tuple[float, float]]:
    """Upper left corners of pictures of these (width, height), row by row, centred in their column; the size of all."""
    rows = [sizes[start:start + columns] for start in range(0, len(sizes), columns)]
    wide = [max(row[column][0] for row in rows if column < len(row)) for column in range(len(rows[0]))]
    corners, top = [], 0.0
    for row in rows:
        corners += [(sum(wide[:column]) + GAP * column + (wide[column] - width) / 2, top)
                    for column, (width, _) in enumerate(row)]
        top += max(height for _, height in row) + GAP
    return corners, (sum(wide) + GAP * (len(wide) - 1), top - GAP)


def _nested(svg: str, corner: tuple[float, float], prefix: str) -> str:
    """An <svg> to stand inside another: placed, its size in the outer one's units, its ids made unique."""
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", svg)
    svg = re.sub(r'width="([\d.]+)pt" height="([\d.]+)pt"', r'width="\1" height="\2"', svg, count=1)
    return svg.replace("<svg ", f'<svg x="{corner[0]:.1f}" y="{corner[1]:.1f}" ', 1)
