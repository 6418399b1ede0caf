"""Your own pictures: a folder that holds one folder of pictures for each class.

    flowers/daisy/*.jpg        flowers/rose/*.jpg ...         test pictures are taken out by a fixed rule
    flowers/train/daisy/*.jpg  flowers/val/daisy/*.jpg ...    the test pictures are those in val/ (or test/)

What belongs to a data set, and to which part and class, is decided here for pictures in memory and streamed ones alike.
"""

import os
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from .augment import Augmentation
from .images import ImageData, ImageSet, channel_statistics
from .pictures import PICTURE_SUFFIXES, Reading, is_picture_name, read_each
from .splits import stratified_parts

OnError = Literal["raise", "skip"]
_NAMED_IN_A_MESSAGE = 5  # files
_PART_NAMES = {"train": ("train", "training"), "test": ("test", "testing"),
               "val": ("val", "valid", "validation", "validate", "dev", "eval", "evaluation")}
_PART_SUFFIXES = ("set", "data", "dataset", "images", "imgs", "pictures", "split")
# Folders of thumbnails, recycle bins and copies that programs put beside pictures.
_HIDDEN_FOLDERS = (".", "__", "@eaDir", "#recycle", "$RECYCLE")
# What may lie beside pictures without a word.
_COMPANIONS = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".rst", ".html", ".db",
               ".ini", ".log", ".mat", ".py", ".ipynb", ".zip", ".gz", ".tar", ".md5", ".sha256")
_COMPANION_NAMES = ("readme", "license", "licence", "copying")


def load_folder(path: str | os.PathLike, *, image_size: int = 32, grey: bool = False, test_fraction: float = 0.2,
                on_error: OnError = "raise") -> ImageData:
    """Returns an image data set made of a folder of class folders.

    Classes: the names of the class folders, in alphabetical order; pictures may lie deeper inside, and behind links.
        Hidden folders and files are passed over.
    Parts: by their names (train, Training, seg_train ... ; val, valid, validation, test, Testing ...), see `parts_of`.
    image_size: each picture's shorter side is scaled to this many pixels, then the centre is cut out.
    grey: one channel instead of three.
    test_fraction: share of each class that is kept for "test" where there is no folder val/ or test/.
    on_error: "raise" names the pictures that cannot be read and stops; "skip" names them in a warning and goes on
        without them.

    Split: within each class by the SHA-256 of class/file name, so it is the same on every machine, also on one that
    writes names in another Unicode form; the training pictures are halved for the search in the same way. mean and std
    are those of the training pictures. Augmentation: flip, and a shift by up to an eighth of the size, as CIFAR's 4
    pixels in 32.
    Raises FileNotFoundError or ValueError, in one sentence, if this cannot be made into a data set.
    """
    folder = checked_folder(path, "your class folders", image_size, on_error)
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction must lie between 0 and 1, got {test_fraction}")
    train_folder, test_folders = parts_of(folder)
    class_names = classes_of(train_folder)
    files = {name: sorted(((label, Path(file)) for file, label in picture_files(where, class_names)),
                          key=lambda found: (found[0], Path(_form(str(found[1])))))
             for name, where in {"train": train_folder, **test_folders}.items()}
    evaluation, paths = _read_all(files, Reading(image_size, image_size, grey), on_error)

    train = evaluation.pop("train")
    keys = [_form(file.relative_to(train_folder).as_posix()) for file in paths]
    if not evaluation:
        kept, test = stratified_parts(train.labels.numpy(), keys, (1 - test_fraction, test_fraction))
        evaluation = {"test": train.subset(test)}
        train, keys = train.subset(kept), [keys[index] for index in kept]
    halves = [train.subset(part) for part in stratified_parts(train.labels.numpy(), keys, (0.5, 0.5))]
    for part, images in zip(("train half", "valid half"), halves):
        if lacking := set(range(len(class_names))) - set(images.labels.tolist()):
            raise ValueError(f"{folder}: class '{class_names[min(lacking)]}' has too few readable pictures, none is "
                             f"left for the {part}; give each class at least 2 pictures for training and 1 for testing")
    if empty := [part for part, images in evaluation.items() if not len(images)]:
        raise ValueError(f"{folder}: no picture is left for '{empty[0]}'; add pictures or raise test_fraction")
    mean, std = channel_statistics(train)
    return ImageData(shown(folder.resolve().name), len(class_names), class_names, image_size, 1 if grey else 3, mean,
                     std, Augmentation(padding=round(image_size / 8), flip=True), train, *halves, evaluation)


def checked_folder(path: str | os.PathLike, holds: str, image_size: int, on_error: str) -> Path:
    """Returns the folder of a path. Raises FileNotFoundError without one, ValueError for an option there is not."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; give the folder that holds {holds}" +
                                "; this is a file: unpack an archive, save arrays as pictures" * folder.exists())
    if image_size < 4:
        raise ValueError(f"image_size must be at least 4 pixels, got {image_size}")
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}")
    return folder


def parts_of(folder: Path) -> tuple[Path, dict[str, Path]]:
    """Returns the folder of the training classes, and the named folders of evaluation classes: none where the classes
    stand directly in `folder`.

    A single evaluation folder is "test", whatever it is called; else the names are "val" (or "valid") and "test".
    Raises FileNotFoundError for evaluation parts without a train part, ValueError for two folders of one part.
    Warns of folders that are no part and so are not read, and of parts within classes, which are not kept apart.
    """
    folders = _visible_folders(folder)
    by_part = {part: [name for name in folders if _part_of(name) == part] for part in ("", *_PART_NAMES)}
    others, train = by_part.pop(""), by_part.pop("train")
    given = [name for names in (train, *by_part.values()) for name in names]
    if not given or (others and not any(_visible_folders(folder / name) for name in given)):
        below = {name: set(_visible_folders(folder / name)) for name in folders}
        inside = {name: set(map(_part_of, names)) for name, names in below.items()}
        if mixed := [name for name, parts in inside.items() if "train" in parts and parts & {"val", "test"}]:
            warnings.warn(f"{folder}: the class folders {_listed(mixed)} hold parts of a data set, which are read "
                          "together; to keep them apart put classes into parts: train/CLASS, test/CLASS", stacklevel=4)
        elif folders[1:] and len(common := set.intersection(*below.values())) > 1 and not any(
                is_picture_name(entry.name) for name in folders for entry in _entries(folder / name)):
            warnings.warn(f"{folder}: {_listed(folders)} are read as classes, but each holds {_listed(sorted(common))} "
                          "and no picture; if they are the parts of a data set, call them train and test", stacklevel=4)
        return folder, {}       # classes, one of which may be called train
    if not train:
        raise FileNotFoundError(f"{folder} has no folder train/: {_listed(sorted(given))} look like parts of a data "
                                "set and not like classes; call the folder of the training classes train")
    for names in (train, *by_part.values()):
        if len(names) > 1:
            raise ValueError(f"{folder} has {_listed(names)}, which are one part of a data set by their names; keep "
                             "one")
    evaluation = {"valid" if names[0] == "valid" else part: _inside(folder / names[0])
                  for part, names in by_part.items() if names}
    if len(evaluation) > 1 and "test" in evaluation and not _visible_folders(evaluation["test"]):
        others.append(evaluation.pop("test").name)      # pictures without labels, as ImageNet's
    if same := [where.name for where in evaluation.values() if os.path.samefile(where, folder / train[0])]:
        warnings.warn(f"{folder}: {_listed(same)} is the same folder as {train[0]}/, behind a link: an evaluation on "
                      "it says nothing of other pictures", stacklevel=4)
    if others:
        warnings.warn(f"{folder}: {_listed(others)} are not read, as by name or content they are no part of a data set "
                      f"beside {train[0]}/", stacklevel=4)
    if len(evaluation) == 1:
        evaluation = {"test": next(iter(evaluation.values()))}
    return _inside(folder / train[0]), evaluation


def is_without_parts(path: str) -> bool:
    """Returns whether a folder holds classes only, so that its test pictures are taken out by the fixed rule."""
    with warnings.catch_warnings(action="ignore"):      # said when it was loaded
        return not parts_of(Path(path).expanduser())[1]


def _part_of(name: str) -> str:
    """Which part of a data set a folder is by its name, "" for none: seg_train, Testing, validation_set, val2017."""
    words = [word for word in re.split(r"[^a-z]+", name.lower()) if word and word not in _PART_SUFFIXES]
    ends = {word.removesuffix("set") for word in (words[:1] + words[-1:])}
    return next((part for part, names in _PART_NAMES.items() if ends & set(names)), "")


def _inside(folder: Path) -> Path:
    """seg_train/seg_train/...: the inner folder, as some archives are packed."""
    while len(inner := _visible_folders(folder)) == 1 and _part_of(inner[0]) == _part_of(folder.name):
        folder /= inner[0]
    return folder


def _visible_folders(folder: Path) -> list[str]:
    return sorted((entry.name for entry in _entries(folder)
                   if _is_folder(entry) and not entry.name.startswith(_HIDDEN_FOLDERS)), key=_form)


def _entries(folder: str | Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as problem:
        raise ValueError(f"the folder {shown(folder)} cannot be read ({problem.strerror})") from None


def _is_folder(entry: os.DirEntry) -> bool:
    """Also one behind a link, which may lead nowhere or to itself."""
    return entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and os.path.isdir(entry.path))


def _listed(names: Sequence[str], end: str = "/") -> str:
    more = len(names) - _NAMED_IN_A_MESSAGE
    return ", ".join(shown(name) + end for name in names[:_NAMED_IN_A_MESSAGE]) + f" and {more} more" * (more > 0)


def shown(path: str | os.PathLike) -> str:
    """Returns a path as text that any output can take: bytes that are no UTF-8, and what moves a terminal, as \\xe9."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def classes_of(folder: Path, fewest: int = 2) -> tuple[str, ...]:
    """Returns the names of the class folders in alphabetical order. Raises ValueError for fewer than `fewest`."""
    names = _visible_folders(folder)
    if not_text := [name for name in names if name.encode(errors="replace").decode() != name]:
        raise ValueError(f"{folder}: the name of the class folder {_listed(not_text)} is not UTF-8; rename it")
    forms = Counter(map(_form, names))
    if twice := [name for name in names if forms[_form(name)] > 1]:
        raise ValueError(f"{folder}: {_listed(twice)} are one name in several Unicode forms, which look the same; put "
                         "the pictures into one class folder")
    if not names:
        loose = any(is_picture_name(entry.name) for entry in folder.iterdir())
        raise ValueError(f"{folder} holds {'pictures but ' if loose else ''}no class folders; put the pictures of each "
                         "class into a folder of their own (for ImageNet's validation pictures: valprep.sh)")
    if len(names) < fewest:
        raise ValueError(f"{folder} has only one class folder, '{names[0]}'; a classification needs at least two, as "
                         "a picture's class is the folder that it lies in (or is the data set inside it?)")
    return tuple(names)


def picture_files(folder: Path, class_names: tuple[str, ...]) -> list[tuple[str, int]]:
    """Returns the picture files below each class folder with their labels (`_by_class`, which raises).

    Hidden files and all that is in hidden folders is passed over; a folder behind a link is read, every folder once.
    Warns of files that have not the suffix of a picture or of a usual companion.
    """
    found, left_out = [], []
    for name, label in _by_class(folder, class_names).items():
        top = str(folder / name)
        seen = set(map(str, Path(os.path.realpath(top)).parents))
        for path in _files_below(top, seen):
            base, suffix = os.path.splitext(os.path.basename(path).lower())
            if is_picture_name(path):
                found.append((path, label))
            elif suffix not in _COMPANIONS and base not in _COMPANION_NAMES:
                left_out.append(os.path.relpath(path, folder))
    if left_out:
        warnings.warn(f"{folder}: {len(left_out)} files are left out, since their suffix is none of "
                      f"{' '.join(PICTURE_SUFFIXES)}: {_listed(left_out, '')}", stacklevel=4)
    return found


def _by_class(folder: Path, class_names: tuple[str, ...]) -> dict[str, int]:
    """The label of each class folder: of the class of its name in any Unicode form or, with a warning, of the only one
    left whose name differs in case. Raises ValueError for a folder of no class."""
    labels, names = {_form(name): label for label, name in enumerate(class_names)}, classes_of(folder, fewest=1)
    found = {name: labels[_form(name)] for name in names if _form(name) in labels}
    for name in (others := [name for name in names if name not in found]):
        alike = [label for each, label in labels.items() if _form(each, str.casefold) == _form(name, str.casefold)]
        if len(alike) != 1 or alike[0] in found.values():
            raise ValueError(f"{folder} has the class '{name}', which is not among the training classes: "
                             f"{_listed(class_names, '')}")
        found[name] = alike[0]
    if others:
        warnings.warn(f"{folder}: {_listed(others)} are read as the training classes that differ in case", stacklevel=4)
    return found


def _form(name: str, change: Callable[[str], str] = str) -> str:
    """A name, changed, in the Unicode form that does not depend on who wrote it."""
    return unicodedata.normalize("NFC", change(unicodedata.normalize("NFC", name)))


def _files_below(folder: str, seen: set[str]) -> Iterator[str]:
    """Every visible file below a folder, links after real folders. seen: real paths that are not entered; grows."""
    if (real := os.path.realpath(folder)) in seen:
        return
    seen.add(real)
    for entry in sorted(_entries(folder), key=lambda entry: (entry.is_symlink(), entry.name)):
        if _is_folder(entry):
            if not entry.name.startswith(_HIDDEN_FOLDERS):
                yield from _files_below(entry.path, seen)
        elif not entry.name.startswith("."):
            yield entry.path


def _read_all(files: dict[str, list[tuple[int, Path]]], reading: Reading, on_error: OnError
              ) -> tuple[dict[str, ImageSet], list[Path]]:
    """For each named list of (label, file): the ImageSet of the readable files; and the paths of those of "train"."""
    reading.check_memory(sum(map(len, files.values())))
    sets, train, unreadable, remarks = {}, [], {}, []
    for part, listed in files.items():
        good: list[tuple[np.ndarray, int]] = []
        for (label, path), found in zip(listed, read_each(reading.pixels, [path for _, path in listed])):
            if isinstance(found, ValueError):
                unreadable[shown(path)] = str(found)
                continue
            good.append((found[0], label))
            remarks += [found[1]] if found[1] else []
            train += [path] if part == "train" else []
        pixels = np.array([picture for picture, _ in good], dtype=np.uint8)
        pixels = pixels.reshape(-1, reading.size, reading.size, 1 if reading.grey else 3)  # also where there is none
        sets[part] = ImageSet.from_arrays(pixels, [label for _, label in good])
    report_unreadable(unreadable, sum(map(len, files.values())), on_error)
    if remarks:
        warnings.warn(f"{len(remarks)} pictures: {remarks[0]}", stacklevel=4)
    return sets, train


def report_unreadable(unreadable: Mapping[str, str], count: int, on_error: OnError) -> None:
    """Raises ValueError, or warns with "skip", if some of `count` pictures cannot be read. unreadable: file, reason."""
    if not unreadable:
        return
    named = _listed([f"{path} ({reason})" for path, reason in unreadable.items()], end="")
    summary = f"{len(unreadable)} of {count} pictures cannot be read: {named}"
    if on_error == "raise":
        raise ValueError(f"{summary}; remove or replace them, or load with on_error='skip'")
    warnings.warn(f"{summary}; they are left out", stacklevel=4)
