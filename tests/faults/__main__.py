"""`python -m tests.faults --kills N --damages N --seed S`: faults drawn at random, and one line of what came of them.

--kills: processes that die while they write, as many writes that fail or are interrupted twice, gone on with in the
same process or another. --damages: folders that were changed at rest. --mutations: JSON files with another value.
--trees: odd folder trees of pictures. --encodings: commands under a code page. The last three are as many as half the
damages if they are not given. Every fault that ended wrong or in a traceback is named.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"     # a process with more threads cannot be forked

from tests.faults import files, outputs, trees
from tests.faults import injections as faults


def outcomes(asked: argparse.Namespace, folder: Path) -> Iterator[tuple[str, str]]:
    """(what was done, outcome) of each fault."""
    folders = (folder / str(number) for number in range(10**9))
    yield from run_folders(asked.kills, asked.damages, random.Random(asked.seed), folders, folder)
    resting = lru_cache(lambda case: at_rest(case, 0, 2, folder / "mutated"))
    draw = random.Random(asked.seed)
    for _ in range(asked.mutations):
        yield files.mutated(next(folders), resting, draw)
    for _ in range(asked.trees):
        yield trees.tree(next(folders), draw)
    if asked.encodings:
        place = outputs.prepare(folder / "outputs")
        yield from (outputs.outputs(place, draw) for _ in range(asked.encodings))


def run_folders(kills: int, damages: int, draw: random.Random, folders: Iterator[Path], folder: Path
                ) -> Iterator[tuple[str, str]]:
    """Faults while a run writes, and at rest."""
    points = {case: faults.points(case, folder / case) for case in faults.CASES} if kills else {}
    for _ in range(kills):
        case, halved = draw.choice(faults.CASES), draw.random() < 0.5
        at = draw.randint(1, points[case] + 1)
        yield f"{case}, killed at {at}, {halved=}", faults.killed(case, next(folders), at, halved=halved)
        case, at = draw.choice(faults.CASES), draw.randint(1, points[case])
        if draw.random() < 0.25:
            yield f"{case}, interrupted at {at}", faults.interrupted(case, next(folders), at)
            continue
        options = {"times": draw.randint(1, 4), "error": draw.choice(faults.ERRORS), "halved": halved,
                   "same_process": draw.random() < 0.7}
        yield f"{case}, failing at {at}, {options}", faults.failing(case, next(folders), at, **options)
    resting = {(case, seed, epochs): at_rest(case, seed, epochs, folder)
               for case in faults.CASES for seed in (0, 1) for epochs in (2, 3)} if damages else {}
    for _ in range(damages):
        case, epochs = draw.choice(faults.CASES), draw.choice((2, 3))
        what, outcome = faults.damaged(case, resting[case, 0, epochs], resting[case, 1, epochs], next(folders), draw)
        yield f"{case} after {epochs} epochs, {what}", outcome


def at_rest(case: str, seed: int, epochs: int, folder: Path) -> Path:
    """The folder of a run after so many epochs."""
    path = folder / f"{case}-{seed}-{epochs}"
    run = faults.make(case, path, seed)
    for _ in range(epochs):
        run.run_epoch()
    run.close()
    return path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.partition("\n")[0])
    for name, default in (("kills", 60), ("damages", 60), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    others = ("mutations", "trees", "encodings")
    for name in others:
        parser.add_argument(f"--{name}", type=int)
    arguments = parser.parse_args()
    for name in others:
        if getattr(arguments, name) is None:
            setattr(arguments, name, arguments.damages // 2)
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for what, outcome in outcomes(arguments, Path(folder)):
            found[outcome] += 1
            if outcome in (faults.TRACEBACK, faults.WRONG):
                print(f"{outcome}: {what}", file=sys.stderr)
    print(", ".join([f"injected {found.total()}", *(f"{outcome} {found[outcome]}" for outcome in
                                                    (faults.EQUAL, faults.REFUSED, faults.TRACEBACK, faults.WRONG))]))
    return 1 if found[faults.TRACEBACK] or found[faults.WRONG] else 0


if __name__ == "__main__":
    sys.exit(main())
