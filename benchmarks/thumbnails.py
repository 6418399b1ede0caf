"""Make gdas_lite/data/thumbnails.xz and .json from CIFAR-10's official files: python benchmarks/thumbnails.py ROOT"""

from __future__ import annotations

import hashlib
import json
import lzma
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:       # started as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

from gdas_lite.data import embedded  # noqa: E402
from gdas_lite.runs.schema import sealed  # noqa: E402


def first_of_each_class(pixels: np.ndarray, labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first `count` pictures of each class, in their order."""
    rows = np.sort(np.concatenate([np.flatnonzero(labels == label)[:count] for label in range(10)]))
    return pixels[rows], labels[rows]


def pack(parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> bytes:
    """Returns the file's content: green and blue as differences to red, then labels, part by part, xz."""
    content = b""
    for name in embedded.PER_CLASS:
        pixels, labels = parts[name]
        content += np.concatenate([pixels[..., :1], pixels[..., 1:] - pixels[..., :1]], -1).tobytes()
        content += labels.astype(np.uint8).tobytes()
    return lzma.compress(content, preset=9)


def main(root: str, folder: Path) -> None:
    """Writes both files into `folder`."""
    whole = embedded._made(root)
    packed = pack({name: first_of_each_class(*whole[name], count) for name, count in embedded.PER_CLASS.items()})
    (folder / "thumbnails.xz").write_bytes(packed)
    about = {"what": "CIFAR-10 pictures averaged down to 8 x 8 pixels (means of 4 x 4, rounded), uint8",
             "pictures": {name: 10 * count for name, count in embedded.PER_CLASS.items()},
             "chosen": "the first of each class in NAS-Bench-201's halves of the train images, and of the test images",
             "source": "CIFAR-10; cite A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
             "made_by": "python benchmarks/thumbnails.py ROOT", "sha256": hashlib.sha256(packed).hexdigest()}
    (folder / "thumbnails.json").write_text(json.dumps(sealed(about), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "gdas_lite" / "data")
