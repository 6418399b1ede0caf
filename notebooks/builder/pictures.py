"""Whether the pictures of a notebook can be read: by everyone, on a light and on a dark page, to their edges.

A figure of gdas_lite keeps notes in its PNG file: "Description", what stands for it where it is not seen, and "Smallest
text".
"""

from __future__ import annotations

import base64
import html
import io
import re

from nbformat import NotebookNode
from PIL import Image

LEAST_PX = 9  # of any text in a picture, at the width of the page
PAGE_PX = 760  # what a notebook has room for in a window of 1000 pixels
POINTS = {"pt": 96 / 72, "px": 1.0, "": 1.0}
NAMED = re.compile(r'<svg\b[^>]*\baria-label="([^"]+)"')


def describe(output: NotebookNode) -> None:
    """Give a stored picture the alternative text that its PNG file has among its notes, where pages look for it."""
    picture = opened(output.get("data", {}).get("image/png", ""))
    if picture and (text := picture.info.get("Description")):
        output.metadata.setdefault("image/png", NotebookNode())["alt"] = text


def text_for(output: NotebookNode) -> str:
    """The alternative text of an output's picture; "" if it has none, or there is no picture."""
    named = NAMED.search("".join(output.get("data", {}).get("image/svg+xml", "")))
    return html.unescape(named[1]) if named else output.get("metadata", {}).get("image/png", {}).get("alt", "")


def faults(output: NotebookNode) -> list[str]:
    """What is wrong with the pictures of one output, one clause each."""
    data = output.get("data", {})
    tags = re.findall(r"<img\b[^>]*>", "".join(data.get("text/html", "")))
    found = [f"an <img> without alternative text: {tag[:60]}" for tag in tags if not re.search(r'\balt="[^"]+"', tag)]
    if "image/svg+xml" in data:  # a page prefers it to the PNG beside it
        return found + _faults_of_svg("".join(data["image/svg+xml"]))
    return found + (_faults_of_png(data["image/png"], output) if "image/png" in data else [])


def opened(png: str) -> Image.Image | None:
    """The picture of an output's base64 text; None if it is none."""
    try:
        return Image.open(io.BytesIO(base64.b64decode(png)))
    except (ValueError, OSError):
        return None


def _faults_of_svg(text: str) -> list[str]:
    found = [] if NAMED.search(text) else ["a drawing without alternative text (aria-label)"]
    width = re.search(r'<svg\b[^>]*?\bwidth="([\d.]+)(pt|px|)"', text)
    box = re.search(r'viewBox="[-\d.]+ [-\d.]+ ([\d.]+) ', text)
    shown = min(float(width[1]) * POINTS[width[2]], PAGE_PX) if width else PAGE_PX
    scale = shown / float(box[1]) if box else 1.0
    sizes = [float(size) * scale for size in re.findall(r'font-size[=:]\s*"?([\d.]+)', text)]
    return found + _too_small(min(sizes, default=LEAST_PX))


def _faults_of_png(png: str, output: NotebookNode) -> list[str]:
    if (picture := opened(png)) is None:
        return ["a picture that cannot be read"]
    found = [] if text_for(output) else ["a picture without alternative text"]
    if "Smallest text" not in picture.info:
        found.append("a picture that does not say how large its text is: draw it with gdas_lite.visual.figure")
    else:
        size = float(picture.info["Smallest text"].split()[0])
        found += _too_small(size * min(1.0, PAGE_PX / picture.width))
    alpha = picture.convert("RGBA").getchannel("A")
    if alpha.getpixel((0, 0)):
        return [*found, "a picture with a ground of its own, a slab on a page of the other colour"]
    inside = alpha.getbbox()
    if inside and (inside[0] == 0 or inside[1] == 0 or inside[2] == alpha.width or inside[3] == alpha.height):
        found.append("a picture that is cut off: something is drawn at its very edge")
    return found


def _too_small(size: float) -> list[str]:
    return [f"text of {size:.1f} pixels, at least {LEAST_PX}"] if size < LEAST_PX else []
