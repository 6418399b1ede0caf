"""The run folder: what a search or a training writes, so that it can be stopped at any moment and gone on with.

    config.json               what was asked for; a run resumes only under the same configuration
    history.jsonl             a head line, then one record an epoch; each with a check of everything up to it
    checkpoint-00012.safetensors   state after 12 epochs and the history's check; the last two are kept
    lock                      held while a process writes here; the system frees it when the process dies

Nothing is pickled. Every file but the history is written beside its name first and moved there when it is whole.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from filelock import FileLock, Timeout
from torch import Tensor

from .checkpoint import read_checkpoint, write_atomically, write_checkpoint
from .config import HistoryFile, RunError, differences, identity, path_of, read_config, read_lines, seal, sync
from .schema import fingerprint, read_json

KEPT = 2

_CHECKPOINT = re.compile(r"checkpoint-(\d{5,})\.safetensors")
_LEFT_OVER = re.compile(r".*\.partial|\.tmp\w{6}")     # of a killed save; the second by older versions
_CURES = {
    errno.ENOSPC: "make room", errno.EDQUOT: "delete files of yours or have your quota raised",
    errno.EFBIG: "allow larger files (ulimit -f)", errno.EMFILE: "allow more open files (ulimit -n)",
    errno.EIO: "have the disk looked after", errno.EROFS: "have the disk mounted for writing",
    errno.EACCES: "get the right to read and write there", errno.EPERM: "get the right to read and write there",
    errno.ENAMETOOLONG: "choose a shorter name"}
_in_use: WeakValueDictionary[str, RunFolder] = WeakValueDictionary()


class RunFolder:
    """A folder that one process at a time writes a run into. `config` is a JSON object that identifies the run.

    at_work: a lock that the run holds while it computes. A run that does not gives its folder up to a new one of the
    same process, such as the same notebook cell makes; without `at_work`, or where `is_kept`, it never does.
    """

    def __init__(self, path: str | Path, config: Mapping[str, Any], history_head: Mapping[str, Any]) -> None:
        self.path = path_of(path)
        self._place = Path(os.path.abspath(self.path))      # the process may go to another folder meanwhile
        self.config = json.loads(json.dumps(config))    # as it will be read back: tuples become lists
        self.at_work: threading.Lock | None = None
        self.is_kept = False
        self._head, self._newest = history_head, 0
        with explained(self.path):
            is_new = not self._check_config()
            if is_new:
                self.path.mkdir(parents=True, exist_ok=True)
                sync(self.path.parent)
            self._lock = FileLock(self._place / "lock", thread_local=False)       # the run may go on in another thread
            self._acquire()
            try:
                is_new = is_new and not self._check_config()        # nobody else was quicker
                self._begin()
                if is_new:
                    write_atomically(self.path / "history.jsonl", bytes(self._history))
                    self._write_config()
            except BaseException:
                self.release()
                raise

    @property
    def head(self) -> dict[str, Any]:
        """The head line of the history, as it was written when the run began."""
        return next(iter(read_lines(self._place / "history.jsonl", most=1).lines), {})

    def claim(self) -> None:
        """Takes the lock again, if it was let go of or deleted. Raises RunError if another run has it or went on."""
        with suppress(OSError):
            if self._lock.is_locked and os.path.samestat(os.stat(self._lock.lock_file), self._locked):
                return
        was_deleted = self._lock.is_locked
        with explained(self.path):
            self._lock.release()
            self._acquire(takes_over=False)
        newest = max(map(number_of, checkpoints(self._place)), default=0)
        if newest > self._newest:
            self.release()
            raise RunError(f"{self.path} was gone on with elsewhere, up to epoch {newest}, since this run let go of it "
                           f"after epoch {self._newest}; resume from there")
        if was_deleted:
            warnings.warn(f"the file lock in {self.path} was deleted while a run was going on there; do not: it keeps "
                          "a second run out", stacklevel=2)

    def _acquire(self, takes_over: bool = True) -> None:
        place = os.path.realpath(self._place)
        other = _in_use.get(place)
        if takes_over and other and other.at_work and not other.is_kept and other.at_work.acquire(blocking=False):
            other.release()
            other.at_work.release()
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RunError(f"{self.path} is in use by another run; wait for it, stop it (close() lets go of its "
                           "folder), or choose another folder") from None
        self._locked = os.stat(self._lock.lock_file)
        _in_use[place] = self

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()
        self.is_kept = False

    def _check_config(self) -> bool:
        """Whether the folder holds this run already. Raises RunError if it holds something else."""
        if not os.path.lexists(self.path / "config.json"):
            if self.path.is_dir() and (checkpoints(self.path) or _count_lines(self.path / "history.jsonl") > 1):
                raise RunError(f"{self.path} holds checkpoints or a history but no config.json; choose another folder")
            return False
        there = read_config(self.path, is_checked=False)    # whatever its fields are, they are compared
        if differing := differences(identity(there), identity(self.config)):
            raise RunError(f"{self.path} holds a run with another configuration ({'; '.join(differing)}); "
                           "choose another folder, or ask for the same settings and data to go on with it")
        self.config = there     # its data may be called otherwise
        return True

    def _write_config(self) -> None:
        write_atomically(self._place / "config.json", (json.dumps(self.config, indent=2) + "\n").encode())

    def _keep_config(self) -> None:
        """Write config.json anew if it is lost, as with a folder that was moved. Raises RunError if it is another's."""
        try:
            there = read_json(self._place / "config.json", dict)
        except (OSError, ValueError):
            warnings.warn(f"config.json in {self._place} was deleted or damaged while the run was going on; it is "
                          "written anew", stacklevel=2)
            return self._write_config()
        if there != self.config:
            raise RunError(f"{self.path} holds another run since this one began there; move it away, then go on")

    def _begin(self) -> None:
        """Start from a history of its head alone: the one that is there, if it is good and of this run."""
        file, own = self.path / "history.jsonl", fingerprint(self.config)
        there = read_lines(file, most=1)
        if there.lines and there.lines[0].get("config", own) == own:
            self._history, self._check = bytearray(file.read_bytes()[:there.ends[0]]), there.checks[0]
        else:
            line, self._check = seal("", {**self._head, "config": own})
            self._history = bytearray(line)

    def save(self, epochs_done: int, record: Mapping[str, Any], tensors: Mapping[str, Tensor],
             state: Mapping[str, Any]) -> None:
        """Add the last epoch's record to the history, then write the checkpoint after `epochs_done` epochs.

        In this order a crash between the two leaves a record too many, which the next `save` or `settle` cuts off.
        Where it fails, the checkpoint before stays good, and the same call may be made again.
        Raises RunError if the disk is full, or another run has taken the folder.
        """
        line, check = seal(self._check, record)
        with explained(self.path):
            self.claim()
            self._keep_config()
            self._append(line)
            write_checkpoint(self._place / f"checkpoint-{epochs_done:05d}.safetensors", tensors,
                             {"epochs_done": epochs_done, "config": fingerprint(self.config), "history": check,
                              **state})
        self._history += line
        self._check, self._newest = check, epochs_done
        self._drop(file for file in checkpoints(self._place) if number_of(file) > epochs_done)
        self._drop(checkpoints(self._place)[:-KEPT])

    @staticmethod
    def _drop(files: Iterable[Path]) -> None:
        for file in files:
            with suppress(OSError):     # the next time then
                file.unlink(missing_ok=True)

    def _append(self, line: bytes) -> None:
        """Write a line behind those that were saved, over what a failed save left there."""
        file, length = self._place / "history.jsonl", len(self._history)
        with open(file, "rb+") if file.is_file() else nullcontext() as opened:
            if opened and opened.read(length) == self._history:
                opened.truncate(length)
                opened.write(line)
                opened.flush()
                os.fsync(opened.fileno())
                return
        warnings.warn(f"{file} was deleted or changed while the run was going on; it is written anew", stacklevel=2)
        write_atomically(file, self._history + line)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any], list[dict[str, Any]]] | None:
        """Tensors, state and history records of the newest good checkpoint, as `load_newest`. Changes no file."""
        try:
            with explained(self.path):
                self._newest = max(map(number_of, checkpoints(self.path)), default=0)
                found = load_newest(self.path, self.config)
                if found is None:
                    self._begin()
                    return None
                history, done = read_lines(self.path / "history.jsonl"), found[1]["epochs_done"]
                content = (self.path / "history.jsonl").read_bytes()[:history.ends[done]]
                self._history = bytearray(content.rstrip(b"\n") + b"\n")      # the last line may lack its end
                self._check = history.checks[done]
                return found
        except BaseException:
            self.release()
            raise

    def settle(self) -> None:
        """Remove what a killed or failed save left behind the state that was loaded."""
        with explained(self.path):
            file = self.path / "history.jsonl"
            if not file.is_file() or file.read_bytes() != self._history:
                write_atomically(file, bytes(self._history))
            self._drop(file for file in self.path.iterdir() if _LEFT_OVER.fullmatch(file.name))
            self._drop(checkpoints(self.path)[:-KEPT])


def load_newest(path: Path, config: Mapping[str, Any]
                ) -> tuple[dict[str, Tensor], dict[str, Any], list[dict[str, Any]]] | None:
    """Returns tensors, state and history records of the newest good checkpoint of a run folder; None without.

    A checkpoint that is damaged, foreign or does not fit the history is passed over with a warning and the one before
    it is used. Raises RunError if there are checkpoints and none is good, or a history without checkpoints.
    """
    found, history = checkpoints(path), read_lines(path / "history.jsonl")
    for file in reversed(found):
        try:
            tensors, state = read_checkpoint(file)
            _check_belongs(file, state, config, history)
        except RunError as problem:
            warnings.warn(f"checkpoint refused: {problem}", stacklevel=3)
            continue
        return tensors, state, history.lines[1:state["epochs_done"] + 1]
    if found:
        raise RunError(f"none of the {len(found)} checkpoints in {path} can be used; start anew in another folder")
    if _count_lines(path / "history.jsonl") > 2:    # one record may stand there before the first checkpoint
        raise RunError(f"{path} has a history but no checkpoint any more; start anew in another folder")
    return None


def _check_belongs(file: Path, state: Mapping[str, Any], config: Mapping[str, Any], history: HistoryFile) -> None:
    done = state.get("epochs_done")
    if done != number_of(file):
        raise RunError(f"{file.name} holds the state after {done} epochs, not after {number_of(file)}")
    if state.get("config") != fingerprint(config):
        raise RunError(f"{file.name} belongs to a run with another configuration")
    if len(history.lines) <= done:
        raise RunError(f"history.jsonl has {max(0, len(history.lines) - 1)} good records, not the {done} that "
                       f"{file.name} needs" + (f": {history.problem}" if history.problem else ""))
    if state.get("history", history.checks[done]) != history.checks[done]:
        raise RunError(f"history.jsonl is not the history that {file.name} was written with")


def _count_lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.is_file() else 0


def checkpoints(path: str | Path) -> list[Path]:
    """Checkpoint files of a run folder, oldest first."""
    return sorted((file for file in Path(path).iterdir() if _CHECKPOINT.fullmatch(file.name)), key=number_of)


def number_of(checkpoint: Path) -> int:
    """Returns after how many epochs a checkpoint was written, by its name."""
    return int(checkpoint.stem.rpartition("-")[2])


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Inside, an OSError becomes a RunError that says which run folder, why, and what of it is still good."""
    try:
        yield
    except Timeout:
        raise
    except OSError as problem:
        reason, cure = problem.strerror or str(problem), _CURES.get(problem.errno, "mend that")
        advice = f"{cure} or choose another folder"
        with suppress(OSError):
            there = next(place for place in (path, *path.absolute().parents) if os.path.exists(place))
            if problem.errno == errno.ENOSPC:
                reason += f"; {shutil.disk_usage(there).free // 2**20} MiB are free there"
            if there == path and checkpoints(path):
                advice = f"the last checkpoint is still good: {cure}, then resume"
        raise RunError(f"cannot write the run folder {path} ({reason}); {advice}") from problem
