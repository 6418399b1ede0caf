"""Odd folder trees of pictures, each judged by comparison with the plain tree that it means: by all three readers.

In memory, streamed, and as `predict` reads a single file. A tree is to be read as the plain one or, where nobody can
know what is meant, refused by both loaders in a sentence.
"""

from __future__ import annotations

import io
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image

import gdas_lite as gl
from gdas_lite.data.batches import reading_of
from tests.faults.injections import EQUAL, REFUSED, TRACEBACK, WRONG, is_sentence

SIZE, CLASSES = 16, ("ant", "bee")
HIDDEN = (".ipynb_checkpoints", ".thumbnails", "@eaDir", "__MACOSX", "#recycle", ".git")
TRAIN = ("train", "Train", "Training", "training_set", "seg_train", "TRAIN", "train_images")
TEST = ("test", "Testing", "val", "validation", "valid", "dev", "seg_test", "Test", "eval", "val_images")


def plain(folder: Path) -> Path:
    """train/ and test/ of two classes; every picture is another one."""
    number = 0
    for part, count in (("train", 4), ("test", 2)):
        for name in CLASSES:
            for _ in range(count):
                pixels = np.random.default_rng(number).integers(0, 256, (18, 22, 3), dtype=np.uint8)
                path = folder / part / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
                number += 1
    return folder


def _any_picture(root: Path, draw: Random) -> Path:
    found = [path for path in root.rglob("*.png") if not any(name in HIDDEN for name in path.parts)]
    return draw.choice(sorted(found, key=os.fsencode))


def hidden(root: Path, draw: Random) -> None:
    """Copies of pictures in a folder that some program made, on some level."""
    for _ in range(3):
        folder = _any_picture(root, draw).parent
        place = draw.choice([folder, folder.parent]) / draw.choice(HIDDEN)
        place.mkdir(exist_ok=True)
        shutil.copy(_any_picture(root, draw), place / f"copy{draw.random()}.png")


def renamed_parts(root: Path, draw: Random) -> None:
    for part, names in (("train", TRAIN), ("test", TEST)):
        if (root / part).is_dir():
            (root / part).rename(root / "aside")
            (root / "aside").rename(root / draw.choice(names))


def deeper(root: Path, draw: Random) -> None:
    """Some pictures of a class lie in folders inside it."""
    picture = _any_picture(root, draw)
    place = picture.parent / "2024" / "may"
    place.mkdir(parents=True, exist_ok=True)
    picture.rename(place / picture.name)


def behind_a_link(root: Path, draw: Random) -> None:
    folder = _any_picture(root, draw).parent
    elsewhere = root.parent / f"elsewhere{draw.random()}"
    folder.rename(elsewhere)
    os.symlink(elsewhere, folder)


def linked_twice(root: Path, draw: Random) -> None:
    """A link inside a class to the class itself."""
    folder = _any_picture(root, draw).parent
    if not (folder / "again").exists():
        os.symlink(folder, folder / "again")


def strange_name(root: Path, draw: Random) -> None:
    picture = _any_picture(root, draw)
    name = draw.choice([b"caf\xe9", "größe ж".encode(), b"a b", b"$x^2$", b"%s", b"new\nline"])
    picture.rename(picture.parent / os.fsdecode(os.fsencode(picture.stem) + b" " + name + b".png"))


def other_suffix(root: Path, draw: Random) -> None:
    """Whatever a picture is called, its content says what it is."""
    picture = _any_picture(root, draw)
    picture.rename(picture.with_suffix(draw.choice([".PNG", ".jpg", ".JPEG", ".jfif", ".tif", ".bmp"])))


def other_files(root: Path, draw: Random) -> None:
    folder = _any_picture(root, draw).parent
    names = ["notes.txt", "labels.csv", "Thumbs.db", "model.avif", "scan.raw", ".DS_Store", "README"]
    for name in draw.sample(names, 3):
        (folder / name).write_bytes(b"other")


def malformed_exif(root: Path, draw: Random) -> None:
    picture = _any_picture(root, draw)
    block = b"MM\0*\0\0\0\x08" + draw.randbytes(draw.randint(0, 30))
    with Image.open(picture) as opened:
        opened.load()
    out = io.BytesIO()
    opened.save(out, "PNG", exif=b"Exif\0\0" + block)
    picture.write_bytes(out.getvalue())


def other_case(root: Path, draw: Random) -> None:
    """A class of the test part is written otherwise than in the training part."""
    name = draw.choice(CLASSES)
    if (root / "test" / name).is_dir():
        (root / "test" / name).rename(root / "test" / draw.choice([name.upper(), name.title()]))


def empty_folder(root: Path, draw: Random) -> None:
    (_any_picture(root, draw).parent / "nothing").mkdir(exist_ok=True)


# --- what cannot be meant: nobody knows how to read it, so both loaders say so

def postscript(root: Path, draw: Random) -> None:
    _any_picture(root, draw).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")


def cut_off(root: Path, draw: Random) -> None:
    picture = _any_picture(root, draw)
    picture.write_bytes(picture.read_bytes()[:draw.randint(1, 200)])


def huge(root: Path, draw: Random) -> None:
    Image.new("1", (13_000, 13_000)).save(_any_picture(root, draw))


def long_and_thin(root: Path, draw: Random) -> None:
    Image.new("1", (60_000, 1)).save(_any_picture(root, draw))


def link_to_itself(root: Path, draw: Random) -> None:
    picture = _any_picture(root, draw)
    picture.unlink()
    picture.symlink_to(picture.name)


def two_train_folders(root: Path, _draw: Random) -> None:
    shutil.copytree(root / "train", root / "Training")


def no_train_folder(root: Path, draw: Random) -> None:
    (root / "train").rename(root / draw.choice(["validation", "dev"]))


def empty_class(root: Path, draw: Random) -> None:
    for picture in (root / "train" / draw.choice(CLASSES)).iterdir():
        picture.unlink()


def foreign_test_class(root: Path, _draw: Random) -> None:
    (root / "test" / "ant").rename(root / "test" / "wasp")


READ: tuple[Callable[[Path, Random], None], ...] = (
    hidden, deeper, behind_a_link, linked_twice, strange_name, other_suffix, other_files, malformed_exif, empty_folder,
    other_case, renamed_parts)
REFUSED_TREES = (link_to_itself, postscript, cut_off, huge, long_and_thin, two_train_folders, no_train_folder, empty_class,
                 foreign_test_class)


def ways_of(draw: Random) -> list[Callable[[Path, Random], None]]:
    if draw.random() < 0.3:
        return [draw.choice(REFUSED_TREES)]
    # Parts get their names last, the others look for train/ and test/.
    return sorted(draw.sample(READ, draw.randint(1, 3)), key=READ.index)


def tree(folder: Path, draw: Random, *given: Callable[[Path, Random], None]) -> tuple[str, str]:
    """What was done to a tree, in the ways given or in any, and what came of it by a reader."""
    root, ways = plain(folder / "pictures"), given or ways_of(draw)
    for way in ways:
        way(root, draw)
    streamed = draw.random() < 0.5
    what = f"{' and '.join(way.__name__ for way in ways)}, {'streamed' if streamed else 'in memory'}"
    options = {"streamed": True, "num_workers": 0} if streamed else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            data = gl.load_data(root, image_size=SIZE, **options)
            found = seen(data)
        except Exception as problem:
            if not is_sentence(problem):
                return f"{what}: {problem!r:.200}", TRACEBACK
            return what, REFUSED if ways[0] in REFUSED_TREES else WRONG
        right = seen(gl.load_data(plain(folder / "plain"), image_size=SIZE, **options))
        is_right = ways[0] not in REFUSED_TREES and data.class_names == CLASSES and found == right
        return what, EQUAL if is_right and predicted(data, root) == sorted(found[1][0] + found[1][1]) else WRONG


def seen(data: Any) -> list[list[list[bytes]]]:
    """The pixels that an evaluation of train and of test sees, by part and class, in an order of their own."""
    from gdas_lite.data.batches import batches_of

    parts = []
    for images in (data.train, data.evaluation["test"]):
        by_class: list[list[bytes]] = [[], []]
        for _, x, y in batches_of(images, data, 4, device=torch.device("cpu")).own_batches():
            for pixels, label in zip(x, y.tolist(), strict=True):
                grey = (pixels * torch.tensor(data.std)[:, None, None] + torch.tensor(data.mean)[:, None, None]) * 255
                by_class[label].append(grey.round().to(torch.uint8).numpy().tobytes())
        parts.append([sorted(each) for each in by_class])
    return parts


def predicted(data: Any, root: Path) -> list[bytes]:
    """The pixels that `predict` would show of every test picture."""
    from gdas_lite.data.batches import data_info
    from gdas_lite.data.folders import classes_of, parts_of, picture_files

    info = data_info(data) | ({"streamed": data.options} if hasattr(data, "options") else {})
    train, evaluation = parts_of(root)
    reading, (test, ) = reading_of(info), evaluation.values()
    files = [file for file, _ in picture_files(test, classes_of(train))]
    return sorted(reading.pixels(file)[0].transpose(2, 0, 1).tobytes() for file in files)
