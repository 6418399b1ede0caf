"""Data by name or from a folder: images with the parts that searches and trainings see, photographs, texts.

Images are uint8 and are moved to the device once; `Batches` crops, flips and normalises there, whole batches at a time.
"""

import difflib
import os
import re
import warnings
from dataclasses import replace
from pathlib import Path

import torch

from ..runs.config import short_enough
from ..runs.schema import NUMBER, WHOLE, Range, check, python_number, said
from .augment import Augmentation
from .embedded import load_digits, load_thumbnails
from .folders import load_folder
from .images import Batches, ImageData, ImageSet
from .official import load_official
from .photos import StreamedData, load_imagenet, load_streamed
from .pictures import is_picture_name
from .text import TEXT_SETS, TextData, is_text, load_text

__all__ = ["DATA_SETS", "TEXT_SETS", "Augmentation", "Batches", "ImageData", "ImageSet", "StreamedData",
           "TextData", "load_data"]

DATA_SETS = ("digits", "thumbnails", "cifar10", "cifar10-valid", "cifar10-darts", "cifar100", "imagenet16-120",
             "imagenet")
_OPTIONS = {"image_size": Range(high=10_000, whole=True), "grey": bool, "test_fraction": NUMBER, "streamed": bool,
            "lighting_scale": NUMBER, "num_workers": (WHOLE, None), "upright": bool, "held_out": NUMBER,
            "max_words": (WHOLE, None)}


def load_data(name: str | os.PathLike, root: str | os.PathLike | None = None, *, download: bool = False,
              augmentation: Augmentation | None = None, **options) -> ImageData | StreamedData | TextData:
    """Returns an image data set with its fixed search halves, test set and constants, or a text; nothing is random.

    name: "digits" and "thumbnails" (embedded; with `root` the thumbnails of all CIFAR-10 pictures), "cifar10",
        "cifar10-valid", "cifar10-darts", "cifar100", "imagenet16-120" (case and CIFAR's hyphens do not matter), or the
        path of a folder that holds one folder of pictures for each class.
        "imagenet": class folders in root, too big for memory: read from disk as a training goes (`StreamedData`);
        streamed=True does the same with a folder of your own that has train/ and val/.
        Texts: "grammar" (embedded, its entropy known exactly), "ptb", "wikitext-2", the path of a .txt (.md, .raw,
        .tokens) file, or of a folder with train.txt, valid.txt and test.txt.
    root: where to look first for the official files; then come the environment variables GDAS_LITE_DATA and TORCH_HOME.
        For CIFAR: the folder with the data files, the folder around it, or that of the .tar.gz archive.
    download: get CIFAR-10 or CIFAR-100 (170 MB) into the first of these places if it is in none.
    augmentation: replaces the data set's customary training augmentation.
    options: image_size=32, grey=False, test_fraction=0.2, on_error="raise"; see `folders.load_folder`. Streamed:
        image_size=224, lineage="darts", lighting_scale=1, num_workers=None, on_error="raise", upright=True (of ImageNet
        False); see `photos.load_streamed`. For a text file: held_out=0.1, max_words=None; see `text.load_text_file`.
    Raises FileNotFoundError (not there; says where it looked), ValueError (unknown name; damaged or wrong files),
    ConnectionError (download failed), TypeError (an option that this data set does not have).
    Example: `data = load_data("digits")`; `data.train_half`, `data.evaluation["test"]`.
    """
    if not isinstance(name, (str, os.PathLike)):
        raise ValueError(f"there is no data set {said(name)}; give a name such as 'digits', or a path")
    options = {option: python_number(value) for option, value in options.items()}
    check(options, {f"{option}?": shape for option, shape in _OPTIONS.items()}, "")
    short_enough(name, "the name of the data")
    key = _key_of(name) if isinstance(name, str) else None
    with torch.device("cpu"):       # whatever PyTorch's default is
        if key in TEXT_SETS or is_text(name):
            return load_text(name, root, **options)
        if options.pop("streamed", key == "imagenet"):
            data = _load_streamed(name, key, root, download, options)
        else:
            data = (_load_known if key in DATA_SETS else _load_own)(name, key, root, download, options)
    if augmentation is not None and not isinstance(augmentation, kind := type(data.augmentation)):
        raise ValueError(f"augmentation must be {kind.__name__}(...) for these data, got {said(augmentation)}")
    return data if augmentation is None else replace(data, augmentation=augmentation)


def key_of(name: str) -> str:
    """Returns a data set's name as its registry has it, CIFAR-10, cifar_10: cifar10; any other in small letters."""
    return re.sub(r"^cifar[-_ ](?=\d)", "cifar", name.lower())


def _key_of(name: str) -> str:
    """`key_of`. Warns where an own folder of that name stands here: it is not what is loaded."""
    key = key_of(name)
    if key in (*DATA_SETS, *TEXT_SETS) and any(is_picture_name(file.name) for file in Path(name).glob("*/*")):
        warnings.warn(f"{name!r} is the data set of that name, not the folder {name} here; for your own pictures "
                      f"give ./{name}", stacklevel=3)
    return key


def _load_known(name: str, key: str, root: str | os.PathLike | None, download: bool, options: dict) -> ImageData:
    if options:
        raise TypeError(f"{next(iter(options))} is an option for your own folders; {key} has a fixed form")
    if key == "imagenet":
        raise TypeError("imagenet is always streamed, as no memory holds it; leave streamed=False out")
    embedded = {"digits": load_digits, "thumbnails": lambda: load_thumbnails(root)}
    return embedded[key]() if key in embedded else load_official(key, root, download=download)


def _load_streamed(name, key: str | None, root, download: bool, options: dict) -> StreamedData:
    if download:
        raise TypeError("pictures that are streamed from a folder cannot be downloaded from here; ImageNet needs an "
                        "account at image-net.org")
    if key == "imagenet":
        return load_imagenet(root, **options)
    if root is not None or key in DATA_SETS:
        raise TypeError(f"streamed=True is for the path of a folder of your own, or 'imagenet' with root; got {name!r}")
    return load_streamed(name, **options)


def _load_own(name, key: str | None, root, download: bool, options: dict) -> ImageData:
    text = os.fspath(name)
    if isinstance(name, str) and not os.path.exists(os.path.expanduser(text)) and not set("/\\") & set(text):
        near = difflib.get_close_matches(text.lower(), DATA_SETS, n=2, cutoff=0.5)
        near_or_all = f"did you mean {' or '.join(near)}" if near else f"the names are {', '.join(DATA_SETS)}"
        raise ValueError(f"there is no data set and no folder '{text}'; {near_or_all}, or give the path of a folder of "
                         "class folders")
    if root is not None or download:
        raise TypeError(f"root and download are for the named data sets; '{text}' is read as your own folder")
    data = load_folder(name, **options)
    return replace(data, name=f"own-{data.name}") if key_of(data.name) in (*DATA_SETS, *TEXT_SETS) else data
