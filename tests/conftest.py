"""What all tests share: the reference data, and settings that make every run the same run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# Before torch is loaded: threads that wait for each other sleep instead of spinning. Where other programs want the cores
# too, spinning makes a step on small maps a hundred times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Test files beside each other (pytest -n): a thread for each process is enough.
if os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Figures without a display. Notebook kernels started by tests are given their own backend (notebooks/builder).
os.environ.setdefault("MPLBACKEND", "Agg")

# The same examples in every run, and no time limit: a busy machine is no defect of the code.
settings.register_profile("fixed", derandomize=True, deadline=None, database=None, print_blob=True)
# HYPOTHESIS_PROFILE=search: new examples each time, many of them.
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


CORE = ("test_relaxation.py", "runs", "genotypes", "spaces", "search", "training")
# Of the core, what takes more than a few seconds a file, or a test.
SLOW = {"test_distributed.py", "test_processes.py", "test_recurrent.py", "test_reference_formulation.py",
        "test_nasnet_reference.py", "test_cells_of_engines.py", "test_printing.py", "test_options.py",
        "test_training_learns_more_than_how_often_words_occur", "test_no_run_needs_float64_where_it_computes"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test the markers of its folder; `cuda` to those that are skipped without a GPU."""
    for item in items:
        place = item.path.relative_to(ROOT / "tests").parts
        if place[0] in CORE and not {place[-1], getattr(item, "originalname", "")} & SLOW:
            item.add_marker("core")
        if place[0] in ("engines", "notebooks", "browser"):
            item.add_marker(place[0])
        if any("CUDA" in str(mark.kwargs.get("reason", "")) for mark in item.iter_markers("skipif")):
            item.add_marker("cuda")


def shared_folder(name: str) -> Path:
    """`name` in the folder of reference data that is not part of the repository; skips the test without it."""
    place = os.environ.get("GDAS_LITE_SHARED")
    folder = (Path(place) if place else ROOT.parent / "shared") / name
    if not folder.is_dir():
        pytest.skip(f"no reference data in {folder} (environment variable GDAS_LITE_SHARED)")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Reference data sets and tables: CIFAR-10, NAS-Bench-201 and so on."""
    return shared_folder("data")


@pytest.fixture(scope="session")
def shared_spec() -> Path:
    """Reference figures: counts of the reference code, published cells. They are small, so the repository has a copy."""
    return ROOT / "tests" / "spec"


@pytest.fixture
def threads_as_before():
    """For tests of programs that set PyTorch's number of threads."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
