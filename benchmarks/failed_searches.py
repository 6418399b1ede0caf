"""Make the searches of the lesson on failures: DARTS and GDAS with the published rules on CIFAR-10 thumbnails, in the
smallest supernet, and the one-shot scores of a supernet on the digits, for which every cell is known.

    OMP_NUM_THREADS=1 python benchmarks/failed_searches.py FOLDER --commit SHA [--install]

FOLDER keeps the run folders, so an interrupted run goes on; the results are FOLDER/*.json.gz, --install puts them into the
package. Some five minutes of one core. Nothing here looks at NAS-Bench-201's table.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:       # started as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import gdas_lite as gl  # noqa: E402
from benchmarks.digits_table.shards import machine  # noqa: E402
from benchmarks.record_search import record  # noqa: E402
from gdas_lite.data import Batches  # noqa: E402
from gdas_lite.lessons.failures import (  # noqa: E402
    FILE,
    RECORDED,
    OneShot,
    as_published,
    one_shot_accuracy,
    write_one_shot,
)
from gdas_lite.lessons.recorded import FOLDER  # noqa: E402

RUNS = {**{f"DARTS, seed {seed}": (gl.DARTS(1), seed) for seed in (0, 1)},
        **{f"GDAS, seed {seed}": (gl.GDAS(), seed) for seed in range(5)}}
CELLS = 80


def searched(folder: Path, data: str, name: str, algorithm, seed: int, recipe, **options) -> gl.Search:
    """One search, gone on with if its folder is there."""
    started = time.perf_counter()
    search = gl.Search(gl.NASBench201(4, 1, **options), gl.load_data(data), algorithm, recipe=recipe, seed=seed,
                       out=folder / name.replace(", ", "-").replace(" ", ""))
    search.run().close()
    print(f"{name}: {search.genotype} ({time.perf_counter() - started:.0f} s)", flush=True)
    return search


def one_shot_scores(folder: Path) -> OneShot:
    """Random cells in a supernet that was trained on random cells and keeps running estimates everywhere."""
    search = searched(folder, "digits", "random, tracked", gl.RandomSearch(samples=1), 0, "lesson",
                      track_running_stats=True)
    batches = list(Batches(search.data.valid_half, search.data, 256, augmentation=None).epoch(shuffle=False))
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
    one_shot = one_shot_scores(arguments.folder)
    about = {"command": "OMP_NUM_THREADS=1 python benchmarks/failed_searches.py FOLDER --install",
             "machine": machine(), "date": time.strftime("%Y-%m-%d")}
    write_one_shot(arguments.folder / FILE.name, one_shot, about)
    places = {FILE.name: FILE.parent}
    for name, (algorithm, seed) in RUNS.items():
        search = searched(arguments.folder, "thumbnails", name, algorithm, seed, as_published(algorithm))
        file = f"{RECORDED[name]}.json.gz"
        record(arguments.folder / file, search.history, about | {"config": search.config, "commit": arguments.commit})
        places[file] = FOLDER
    for file, place in places.items():
        print(f"{file}: {(arguments.folder / file).stat().st_size:,} bytes")
        if arguments.install:
            shutil.copyfile(arguments.folder / file, place / file)


if __name__ == "__main__":
    main()
