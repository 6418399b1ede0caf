"""Where data sets are looked for, and the sentence that says so when one is missing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Place(NamedTuple):
    """A folder that is searched, and the words for who named it."""

    folder: Path
    named_by: str


def places(root: str | os.PathLike | None = None) -> list[Place]:
    """Returns the folders in which data sets are searched, first to last.

    The argument `root`, the environment variable GDAS_LITE_DATA, then TORCH_HOME as AutoDL-Projects does it (where it
    is not set: PyTorch's own default, ~/.cache/torch).
    """
    found = []
    if root is not None:
        found.append(Place(Path(root).expanduser(), "the argument root"))
    if os.environ.get("GDAS_LITE_DATA"):
        found.append(Place(Path(os.environ["GDAS_LITE_DATA"]).expanduser(), "GDAS_LITE_DATA"))
    if os.environ.get("TORCH_HOME"):
        found.append(Place(Path(os.environ["TORCH_HOME"]).expanduser(), "TORCH_HOME"))
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        found.append(Place(cache / "torch", "PyTorch's default for TORCH_HOME"))
    return found


def find(root: str | os.PathLike | None, subfolders: Sequence[str], members: Sequence[str], archive: str | None
         ) -> Path | None:
    """Returns the first folder that holds any of the `members`, or the first archive of that name, or None.

    In each place, each of `subfolders` and the place itself is tried; a folder goes before an archive.
    """
    for place in places(root):
        if place.folder.name == archive and place.folder.is_file():
            return place.folder
        tried = [*(place.folder / name for name in subfolders), place.folder]
        for folder in tried:
            if any((folder / member).is_file() for member in members):
                return folder
        for folder in tried:
            if archive is not None and (folder / archive).is_file():
                return folder / archive
    return None


def missing(title: str, root: str | os.PathLike | None, folder_name: str, how: str) -> FileNotFoundError:
    """Returns the error for a data set that is in none of the places. `how`: what to do to get it, a clause."""
    tried = "; ".join(f"{place.folder} ({place.named_by})" for place in places(root))
    return FileNotFoundError(
        f"{title} was not found. Looked for {folder_name} in: {tried}. To use a copy that you have, give the folder "
        f"that contains it as root=... or in the environment variable GDAS_LITE_DATA; {how}.")
