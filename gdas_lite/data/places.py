"""Where data sets are looked for, and the sentence that says so when one is missing."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..runs.config import path_of

_LEVELS, _MOST_FOLDERS = 4, 200
_TAR = (".tar.gz", ".tgz", ".tar")


def places(root: str | os.PathLike | None = None) -> list[tuple[Path, str]]:
    """Returns the folders in which data sets are searched, first to last, each with the words for who named it.

    The argument `root`, the environment variable GDAS_LITE_DATA, then TORCH_HOME as AutoDL-Projects does it (where it
    is not set: PyTorch's own default, ~/.cache/torch).
    """
    own, torch_home = (os.environ.get(name) or None for name in ("GDAS_LITE_DATA", "TORCH_HOME"))
    named = [(root, "the argument root"), (own, "GDAS_LITE_DATA"), (torch_home, "TORCH_HOME")]
    if torch_home is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
        named.append((cache / "torch", "PyTorch's default for TORCH_HOME"))
    return [(path_of(folder, named_by) if folder is root else Path(os.path.expanduser(folder)), named_by)
            for folder, named_by in named if folder is not None]


def find(root: str | os.PathLike | None, subfolders: Sequence[str], members: Sequence[str], archive: str | None,
         archive_size: int | None = None) -> Path | None:
    """Returns the first folder that holds all of the `members`, or the first archive of that name (.tar.gz, also
    unpacked to .tar), or the first folder that holds any member, or None.

    In each place, each of `subfolders` and the place itself is tried; a place that is a tar file is the archive. Where
    nothing is found so, a folder with all members, or an archive of that size, is looked for deeper (see `_deeper`),
    whatever its name. No members: an archive alone is looked for.
    """
    archives = [archive, archive.removesuffix(".gz")] if archive else []
    for place, _ in places(root):
        if archive and os.path.isfile(place) and (place.name.endswith(_TAR) or place.stat().st_size == archive_size):
            return place
        tried = [*(place / name for name in subfolders), place]
        there = {folder: sum(os.path.isfile(folder / member) for member in members) for folder in tried}
        found = [*(folder for folder in tried if there[folder] == len(members) > 0),
                 *(folder / name for folder in tried for name in archives if os.path.isfile(folder / name)),
                 *(folder for folder in tried if there[folder])]
        if found:
            return found[0]
    for place, _ in places(root):
        for folder, files in _deeper(place):
            if members and set(members) <= files.keys():
                return folder
            if found := [name for name, entry in files.items() if entry.stat().st_size == archive_size]:
                return folder / found[0]
    return None


def _deeper(folder: Path) -> Iterator[tuple[Path, dict[str, os.DirEntry]]]:
    """The folder and those up to three levels below it, nearest first, each with its files; hidden ones and all of a
    level with more than 200 folders are left out, so that a folder of pictures costs little."""
    level = [folder] if os.path.isdir(folder) else []
    for _ in range(_LEVELS):
        below = []
        for place in level:
            try:
                entries = sorted(os.scandir(place), key=lambda entry: entry.name)
            except OSError:     # not ours to read
                continue
            yield place, {entry.name: entry for entry in entries if entry.is_file()}
            below += [Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
        level = below if len(below) <= _MOST_FOLDERS else []


def missing(title: str, root: str | os.PathLike | None, folder_name: str, how: str) -> FileNotFoundError:
    """Returns the error for a data set that is in none of the places. `how`: what to do to get it, a clause."""
    tried = "; ".join(f"{folder} ({named_by})" for folder, named_by in places(root))
    return FileNotFoundError(
        f"{title} was not found. Looked for {folder_name} in: {tried}. To use a copy that you have, give the folder "
        f"that contains it as root=... (--data-root) or in the variable GDAS_LITE_DATA; {how}.")
