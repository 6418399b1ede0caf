"""Make the searches of the lesson on failures: DARTS and GDAS on the embedded digits, and a supernet's one-shot scores.

    OMP_NUM_THREADS=1 python benchmarks/failed_searches.py FOLDER --commit SHA [--install]

FOLDER keeps the run folders, so an interrupted run goes on; the results are FOLDER/*.json.gz, --install puts them into the
package. Some ten minutes of one core.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

import numpy as np

import gdas_lite as gl
from benchmarks.digits_table.shards import machine
from benchmarks.record_search import record
from gdas_lite.data import Batches
from gdas_lite.lessons.failures import FILE, RECORDED, OneShot, one_shot_accuracy, write_one_shot
from gdas_lite.lessons.recorded import FOLDER

SIZE = {"channels": 4, "cells_per_stage": 1}
RUNS = {**{f"DARTS, seed {seed}": (gl.DARTS(1), seed, 80) for seed in (0, 1)},
        **{f"GDAS, seed {seed}": (gl.GDAS(), seed, 30) for seed in range(5)}}
CELLS = 80


def searched(folder: Path, data: gl.ImageData, name: str, algorithm, seed: int, epochs: int, **options) -> gl.Search:
    """One search, gone on with if its folder is there; lesson recipe but for the number of epochs."""
    started = time.perf_counter()
    recipe = gl.search_recipe("lesson", "nasbench201", algorithm.name, epochs=epochs)
    space = gl.NASBench201(**SIZE, **options)
    search = gl.Search(space, data, algorithm, recipe=recipe, seed=seed, out=folder / name.replace(", ", "-").replace(" ", ""))
    search.run().close()
    print(f"{name}: {search.genotype} ({time.perf_counter() - started:.0f} s)", flush=True)
    return search


def one_shot_scores(folder: Path, data: gl.ImageData) -> OneShot:
    """Random cells in a supernet that was trained on random cells and keeps running estimates everywhere."""
    search = searched(folder, data, "random, tracked", gl.RandomSearch(samples=1), 0, 30, track_running_stats=True)
    batches = list(Batches(data.valid_half, data, 256, augmentation=None).epoch(shuffle=False))
    rng, cells = np.random.default_rng(0), []
    while len(cells) < CELLS:
        cell = gl.NASBench201Genotype.random(rng)
        cells += [cell] if cell.is_connected else []
    scores = {statistics: [one_shot_accuracy(search.state.supernet, search.space.mixtures(cell), batches, statistics)
                           for cell in cells] for statistics in ("batch", "running")}
    return OneShot(tuple(map(str, cells)), np.array(scores["batch"]), np.array(scores["running"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--commit", required=True, help="of this package's code that runs")
    parser.add_argument("--install", action="store_true", help="put the results into the package")
    arguments = parser.parse_args()
    data = gl.load_data("digits")
    one_shot = one_shot_scores(arguments.folder, data)
    about = {"command": "OMP_NUM_THREADS=1 python benchmarks/failed_searches.py FOLDER --install",
             "machine": machine(), "date": time.strftime("%Y-%m-%d")}
    write_one_shot(arguments.folder / FILE.name, one_shot, about)
    places = {FILE.name: FILE.parent}
    for name, (algorithm, seed, epochs) in RUNS.items():
        search = searched(arguments.folder, data, name, algorithm, seed, epochs)
        file = f"{RECORDED[name]}.json.gz"
        record(arguments.folder / file, search.history, about | {"config": search.config, "commit": arguments.commit})
        places[file] = FOLDER
    for file, place in places.items():
        print(f"{file}: {(arguments.folder / file).stat().st_size:,} bytes")
        if arguments.install:
            shutil.copyfile(arguments.folder / file, place / file)


if __name__ == "__main__":
    main()
