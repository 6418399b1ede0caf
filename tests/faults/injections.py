"""Faults for run folders, each judged by comparison with the run that nothing happened to.

Writes are caught where Python asks the system for them (audit events) and at every fsync: there a write can fail, be left
half done, be interrupted, or the process can die. Damages are made on a folder at rest.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import save_file

import gdas_lite as gl
from gdas_lite.runs.checkpoint import OLD_FORMAT, digest, read_checkpoint
from gdas_lite.runs.config import RunError, fingerprint, read_lines
from gdas_lite.runs.folder import checkpoints
from gdas_lite.training.loading import load_trained

EPOCHS = 3
CASES = ("search", "training", "text")
ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EINTR, errno.EMFILE, errno.ESTALE,
          errno.EXDEV, errno.ENOENT, errno.EPERM, errno.EAGAIN, errno.EBUSY)
EQUAL, REFUSED, TRACEBACK, WRONG = "resumed equal", "refused in a sentence", "traceback", "wrong"


# --- the runs -------------------------------------------------------------------------------------------------------

@lru_cache
def data_of(case: str) -> Any:
    if case == "text":
        return gl.load_data("grammar")
    data = gl.load_data("digits")
    few = {part: getattr(data, part).subset(range(64)) for part in ("train", "train_half", "valid_half")}
    return replace(data, **few, evaluation={"test": data.evaluation["test"].subset(range(64))})


def make(case: str, out: Path | None, seed: int = 0) -> Any:
    """A run of three short epochs."""
    if case == "search":
        recipe = gl.search_recipe("smoke", "nasbench201", "gdas", epochs=EPOCHS, batch_size=32)
        return gl.Search(gl.NASBench201(2, 1), data_of(case), gl.GDAS(), recipe=recipe, seed=seed, out=out)
    if case == "training":
        network = gl.network(gl.zoo_genotype("all_c1x1"), channels=2, cells_per_stage=1, classes=10, image_channels=1)
        recipe = gl.training_recipe("smoke", "nasbench201", epochs=EPOCHS, batch_size=32)
        return gl.Training(network, data_of(case), recipe=recipe, seed=seed, out=out)
    text = data_of(case)
    part = replace(text, train=text.train[:600], valid=text.valid[:200], test=text.test[:200])
    recipe = replace(gl.language_recipe("smoke", "grammar"), epochs=EPOCHS, batch_size=4, valid_batch=2, test_batch=2)
    model = gl.network(gl.zoo_genotype("GDAS@recurrent"), hidden=4, vocabulary=text.vocabulary)
    return gl.LanguageTraining(model, part, recipe=recipe, seed=seed, out=out)


def resume(case: str, path: Path) -> Any:
    return gl.resume(path, make(case, None).data) if case == "text" else gl.resume(path, data_of(case))


def state_of(run: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in run.tensors().items()}


def records_of(run: Any) -> list[dict[str, Any]]:
    return [without_times(record.to_json()) for record in run.history]


def without_times(record: dict[str, Any]) -> dict[str, Any]:
    plain = json.loads(json.dumps(record))
    return {key: value for key, value in plain.items() if key not in ("seconds", "images_per_second")}


@lru_cache
def uninterrupted(case: str) -> tuple[list[dict[str, torch.Tensor]], list[dict[str, Any]]]:
    """State after each epoch, and the records."""
    run, states = make(case, None), []
    for _ in run:
        states.append(state_of(run))
    return states, records_of(run)


def is_equal(case: str, run: Any) -> bool:
    """Whether a run, in memory, is what the uninterrupted one was after as many epochs."""
    states, records = uninterrupted(case)
    done = run.epochs_done
    if done == 0:
        return len(run.history) == 0
    state = state_of(run)
    return (records_of(run) == records[:done] and state.keys() == states[done - 1].keys()
            and all(torch.equal(state[name], value) for name, value in states[done - 1].items()))


def is_on_disk(case: str, path: Path) -> bool:
    """Whether a folder holds the finished run and nothing else: history line by line, checkpoints, no temporary files."""
    lines, names = read_lines(path / "history.jsonl"), {file.name for file in path.iterdir() if file.is_file()}
    kept = {file.name for file in checkpoints(path) if file.is_file()}      # a folder of that name is not ours to delete
    return (lines.problem is None and lines.ends[-1] == (path / "history.jsonl").stat().st_size
            and names | kept == {"config.json", "history.jsonl", "lock"} | kept and len(kept) <= 2
            and f"checkpoint-{EPOCHS:05d}.safetensors" in kept
            and [without_times(record) for record in lines.lines[1:]] == uninterrupted(case)[1])


def is_sentence(problem: BaseException) -> bool:
    """Whether an exception is one that we mean people to read."""
    meant = type(problem) in (RunError, ValueError, FileNotFoundError, RuntimeError)
    return meant and "\n" not in str(problem) and len(str(problem)) > 20


def judged(case: str, path: Path, go_on: Callable[[], Any]) -> str:
    """The outcome of going on to the end, in this object and then from the folder."""
    before, run = contents(path), None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = go_on()
            if not is_equal(case, run):
                return WRONG
            run.run()
            run.close()
            again = resume(case, path)
            again.close()
            return EQUAL if is_equal(case, run) and is_equal(case, again) and is_on_disk(case, path) else WRONG
    except Exception as problem:
        if run is None and contents(path) != before:
            return WRONG        # a refusal changes nothing
        return REFUSED if is_sentence(problem) else TRACEBACK


def contents(path: Path) -> dict[str, bytes | None]:
    """What lies in a folder; the lock may come and go."""
    return {str(file): file.read_bytes() if file.is_file() else None for file in path.rglob("*") if file.name != "lock"} \
        if path.is_dir() else {}


# --- while it writes ------------------------------------------------------------------------------------------------

class Writes:
    """Counts the points at which a run touches its folder, and calls `act(point)` at each."""

    def __init__(self, folder: Path, act: Callable[[int], None] = lambda _point: None) -> None:
        self.folder, self.act, self.count = os.path.realpath(folder), act, 0

    def at(self, path: Any) -> None:
        if isinstance(path, (str, os.PathLike)) and os.path.realpath(path).startswith(self.folder):
            self.count += 1
            self.act(self.count)


_watching: Writes | None = None
_fsync = os.fsync


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching is None:
        return
    writes = event == "open" and ((isinstance(arguments[1], str) and set(arguments[1]) & set("wa+"))
                                  or (arguments[1] is None and arguments[2] & (os.O_WRONLY | os.O_RDWR)))
    if writes or event in ("os.rename", "os.remove", "os.mkdir"):
        _watching.at(arguments[0])


sys.addaudithook(_audit)


@contextmanager
def watched(writes: Writes) -> Iterator[Writes]:
    """Inside, `writes` sees every write; fsync stands for the end of what was written."""
    global _watching

    def fsync(descriptor: int) -> None:
        writes.at(os.readlink(f"/proc/self/fd/{descriptor}"))
        _fsync(descriptor)

    _watching, os.fsync = writes, fsync
    try:
        yield writes
    finally:
        _watching, os.fsync = None, _fsync


def points(case: str, folder: Path) -> int:
    """How many there are in a whole run."""
    with watched(Writes(folder / "counted")) as writes:
        make(case, folder / "counted").run().close()
    return writes.count


def halve_newest(folder: Path) -> None:
    """Leave only half of what was written last: of the file being written, or the last line of the history."""
    files = sorted((file for file in folder.glob("*") if file.is_file() and file.name != "lock"),
                   key=lambda file: file.stat().st_mtime_ns)
    if files and (files[-1].suffix == ".partial" or files[-1].name == "history.jsonl"):
        content = files[-1].read_bytes()
        start = content.rfind(b"\n", 0, -1) + 1 if files[-1].name == "history.jsonl" else 0
        os.truncate(files[-1], start + (len(content) - start) // 2)


def failing(case: str, folder: Path, at: int, *, times: int = 1, error: int = errno.ENOSPC, halved: bool = False,
            same_process: bool = True) -> str:
    """Writes fail at `times` points from `at` on; gone on with in the same object, or in a new one."""
    def act(point: int) -> None:
        if at <= point < at + times:
            if halved:
                halve_newest(folder)
            raise OSError(error, os.strerror(error), str(folder))

    run = None
    with watched(Writes(folder, act)):
        for _ in range(times + 1):
            try:
                run = run or make(case, folder)
                run.run()
                break
            except Exception as problem:
                if not is_sentence(problem):
                    return TRACEBACK
                if not same_process and run is not None:
                    run.close()
                    run = None
    return judged(case, folder, lambda: run or resume(case, folder))


def interrupted(case: str, folder: Path, at: int) -> str:
    """Ctrl-C twice at a point, then on in the same object."""
    def act(point: int) -> None:
        if point == at:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    run = None
    with watched(Writes(folder, act)):
        for _ in range(2):
            try:
                run = run or make(case, folder)
                run.run()
                break
            except KeyboardInterrupt:
                continue
    return judged(case, folder, lambda: run or make(case, folder))


def killed(case: str, folder: Path, at: int, *, halved: bool = False) -> str:
    """The process dies at a point; gone on with in another one."""
    def act(point: int) -> None:
        if point == at:
            if halved:
                halve_newest(folder)
            os._exit(9)

    if (child := os.fork()) == 0:
        try:
            with watched(Writes(folder, act)):
                (resume(case, folder) if (folder / "config.json").exists() else make(case, folder)).run()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, 9):
        return TRACEBACK
    is_begun = (folder / "config.json").exists()
    return judged(case, folder, lambda: resume(case, folder) if is_begun else make(case, folder))


# --- at rest --------------------------------------------------------------------------------------------------------

def _changed_bytes(content: bytes, random: Random, start: int = 0, end: int | None = None) -> bytes:
    place = random.randrange(start, max(start + 1, end or len(content)))
    return content[:place] + bytes([content[place] ^ 1 << random.randrange(8)]) + content[place + 1:]


def _changed_digit(content: bytes, random: Random) -> bytes:
    places = [place for place, byte in enumerate(content[:20_000]) if 48 <= byte <= 57]
    place = random.choice(places)
    other = random.choice([digit for digit in b"0123456789" if digit != content[place]])
    return content[:place] + bytes([other]) + content[place + 1:]


def _lines(change: Callable[[list[bytes], Random], list[bytes]]) -> Callable[[bytes, Random], bytes]:
    return lambda content, random: b"".join(change(content.splitlines(keepends=True), random))


def _swapped(lines: list[bytes], random: Random) -> list[bytes]:
    i, j = random.sample(range(len(lines)), 2)
    lines[i], lines[j] = lines[j], lines[i]
    return lines


def _doubled(lines: list[bytes], random: Random) -> list[bytes]:
    place = random.randrange(len(lines))
    return [*lines[:place], lines[place], *lines[place:]]


def _dropped(lines: list[bytes], random: Random) -> list[bytes]:
    place = random.randrange(len(lines))
    return lines[:place] + lines[place + 1:]


CONTENT: dict[str, Callable[[bytes, Random], bytes]] = {
    "bit": _changed_bytes,
    "bit at the beginning": lambda content, random: _changed_bytes(content, random, 0, min(3000, len(content))),
    "digit": _changed_digit,
    "cut": lambda content, random: content[:random.randrange(len(content))],
    "emptied": lambda content, random: b"",
    "zeros": lambda content, random: bytes(len(content)),
    "line doubled": _lines(_doubled), "lines swapped": _lines(_swapped), "line dropped": _lines(_dropped),
    "more behind": lambda content, random: content + random.randbytes(40) + b"\n",
    "a list": lambda content, random: b"[]\n", "a number": lambda content, random: b"3\n",
    "nested": lambda content, random: b"[" * 100_000,
    "line ends of Windows": lambda content, random: content.replace(b"\n", b"\r\n"),
    "a byte order mark": lambda content, random: b"\xef\xbb\xbf" + content,
    "in UTF-16": lambda content, random: content.decode("latin-1").encode("utf-16"),
    "blank lines": lambda content, random: content.replace(b"\n", b"\n\n"),
    "zeros behind": lambda content, random: content + bytes(4096),
    "zeros in place of the end": lambda content, random: content[:len(content) // 2] + bytes(len(content) - len(content) // 2),
    "null in a record": lambda content, random: content.replace(b": {", b": null, \"x\": {", 1),
}
FILES = ("config.json", "history.jsonl", "history.jsonl", "newest", "oldest", "both")
WHOLE = ("deleted", "a folder", "a link to itself", "a link to nothing", "of another seed", "renumbered", "names swapped", "history of another seed", "lock deleted")


def damage(path: Path, other: Path, random: Random) -> str:
    """Damages a run folder in one way; `other` is the same run of another seed. Returns what was done."""
    found = checkpoints(path)
    if random.random() < 0.25:
        way = random.choice(WHOLE)
        file = random.choice([path / "config.json", path / "history.jsonl", *found])
        if way == "deleted":
            file.unlink()
        elif way == "a folder":
            file.unlink()
            file.mkdir()
        elif way.startswith("a link"):
            file.unlink()
            file.symlink_to(file.name if way == "a link to itself" else "nothing")
        elif way in ("of another seed", "history of another seed"):
            file = path / "history.jsonl" if way.startswith("history") else file
            shutil.copy(other / file.name, file)
        elif way == "renumbered":
            file = random.choice(found)
            file.rename(file.with_name(f"checkpoint-{random.choice((0, 1, 3, 99, 123456)):05d}.safetensors"))
        elif way == "names swapped":
            aside = path / "aside"
            found[0].rename(aside)
            found[-1].rename(found[0])
            aside.rename(found[-1])
        else:
            file = path / "lock"
            file.unlink()
        return f"{file.name}: {way}"
    name, way = random.choice(FILES), random.choice(list(CONTENT))
    files = {"newest": found[-1:], "oldest": found[:1], "both": found}.get(name, [path / name])
    for file in files:
        file.write_bytes(CONTENT[way](file.read_bytes(), random))
    return f"{name}: {way}"


def damaged(case: str, whole: Path, other: Path, folder: Path, random: Random) -> tuple[str, str]:
    """What was done to a copy of a folder, and what came of it: by `resume`, and of a training by `load_trained` before."""
    shutil.copytree(whole, folder)
    what = damage(folder, other, random)
    if case != "search" and (outcome := loaded(case, folder)) in (TRACEBACK, WRONG):
        return f"{what}, loaded", outcome
    return what, judged(case, folder, lambda: resume(case, folder))


def loaded(case: str, path: Path) -> str:
    """Whether the network of a training's folder, and the record beside it, are those of one of its epochs."""
    states, records = uninterrupted(case)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network, _, record = load_trained(path)
    except Exception as problem:
        return REFUSED if is_sentence(problem) else TRACEBACK
    state, prefix = states[record["epoch"]], "best" if case == "text" else "network"
    parts = dict(network.named_parameters() if case == "text" else network.state_dict())
    is_same = all(torch.equal(value, state[f"{prefix}/{name}"]) for name, value in parts.items())
    return EQUAL if is_same and without_times(record) == records[record["epoch"]] else WRONG


def as_older_version(path: Path) -> None:
    """Make a folder what versions before the checks wrote: no check but of the tensors."""
    lines = read_lines(path / "history.jsonl").lines
    lines[0].pop("config")
    (path / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = json.loads((path / "config.json").read_text())
    for file in checkpoints(path):
        tensors, state = read_checkpoint(file)
        state.pop("history")
        save_file(tensors, file, {"format": OLD_FORMAT, "state": json.dumps(state | {"config": fingerprint(config)}),
                                  "sha256": digest(tensors)})
