"""The Triton kernels of a search cell, in Triton's interpreter on the CPU, against PyTorch in double precision.

The interpreter is chosen when Triton is loaded, so the cases run in a process of their own, all in one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from gdas_lite.kernels.proving import TOLERANCE

if find_spec("triton") is None:
    pytest.skip("Triton is not installed: it comes with PyTorch's builds for NVIDIA GPUs on Linux", allow_module_level=True)

SCRIPT = Path(__file__).with_name("gpu_cell_in_interpreter.py")
NONE, SKIP, CONV1, CONV3, POOL = range(5)
CELLS = (       # drawn columns (None: all run), shape of the maps, type, variant N
    ([NONE, NONE, CONV1, NONE, SKIP, NONE], (3, 2, 4, 3), "fp32", False),       # nothing reaches the output
    ([CONV1, CONV3, SKIP, POOL, CONV1, CONV3], (1, 32, 3, 5), "fp32", True),
    *(([NONE, NONE, NONE, column, NONE, NONE], (2, 16, 4, 3), "bf16", True) for column in (CONV3, POOL)))
SUPERNETS = ([CONV3, NONE, CONV1, POOL, SKIP, CONV3],)


@pytest.fixture(scope="module")
def errors() -> dict[str, dict[str, float]]:
    """Relative errors by case."""
    cases = [["cell", *case] for case in CELLS] + [["supernet", draw] for draw in SUPERNETS] + [["check"]]
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.getcwd()}
    done = subprocess.run([sys.executable, SCRIPT, json.dumps(cases)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return dict(zip(map(str, [*CELLS, *SUPERNETS, "check"]), map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("case", CELLS, ids=lambda case: "-".join(map(str, (*(case[0] or ["all"]), *case[1:]))))
def test_output_statistics_and_every_gradient_of_a_cell(errors, case):
    found = errors[str(case)]
    assert set(found) == {"output", "mean", "variance", "input", "weights", "pointwise", "spatial"}
    assert max(found.values()) < (1e-5 if case[2] == "fp32" else 1e-2), found


@pytest.mark.parametrize("draw", SUPERNETS, ids=str)
def test_a_supernet_runs_them_for_a_mixture_on_the_device(errors, draw):
    """Against `SearchCell`: logits, gradients, and the running estimates of what ran."""
    found = errors[str(draw)]
    assert set(found) == {"logits", "mixture", "params", "buffers"}
    assert max(found.values()) < 1e-4, found


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("channels", [8, 16, 20, 32, 64, 128])
@pytest.mark.parametrize("draw", [SUPERNETS[0], None], ids=str)
def test_on_a_gpu_at_real_sizes(draw, channels):
    from gdas_lite.kernels.gpu import check
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        found = check.errors(draw, (8, channels, 15, 17), torch.device("cuda"))
    assert max(found.values()) < 1e-5, found


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("column", [SKIP, CONV1, CONV3, POOL])
def test_on_a_gpu_in_bfloat16(column):
    from gdas_lite.kernels.gpu import check
    found = check.errors([NONE, NONE, NONE, column, NONE, NONE], (8, 32, 15, 17), torch.device("cuda"), torch.bfloat16)
    assert max(found.values()) < 1e-2, found


def test_the_check_that_a_gpu_must_pass(errors):
    assert 0 < errors["check"]["check"] < TOLERANCE / 10
