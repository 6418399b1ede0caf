"""The Triton kernels of a search cell, in Triton's interpreter on the CPU, against PyTorch in double precision.

The interpreter is chosen when Triton is loaded, so the cases run in a process of their own, all in one.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from gdas_lite.engines.cuda.selftest import TOLERANCE

if find_spec("triton") is None:
    pytest.skip("Triton is not installed: it comes with PyTorch's builds for NVIDIA GPUs on Linux", allow_module_level=True)

SCRIPT = Path(__file__).with_name("gpu_cell_in_interpreter.py")
NONE, SKIP, CONV1, CONV3, POOL = range(5)
CELLS = (       # drawn columns (None: all run), shape of the maps, type, variant N, mean of the input
    ([NONE, NONE, CONV1, NONE, SKIP, NONE], (3, 8, 4, 3), "fp32", False, 0.3),      # nothing reaches the output
    ([CONV1, CONV3, SKIP, POOL, CONV1, CONV3], (1, 72, 4, 9), "fp32", True, 0.3),
    ([CONV1, NONE, CONV3, CONV1, CONV1, CONV3], (2, 24, 6, 7), "fp32", True, 7.0),
    ([CONV3, CONV3, CONV1, POOL, CONV1, CONV3], (2, 16, 4, 3), "bf16", True, 0.3))
BFLOAT16 = ([CONV3, CONV3, CONV1, POOL, SKIP, CONV3], None)
SUPERNETS = ([CONV3, NONE, CONV1, POOL, SKIP, CONV3],)


@pytest.fixture(scope="module")
def errors() -> dict[str, dict[str, float]]:
    """Relative errors by case."""
    names = [*map(str, CELLS), *(f"bfloat16 {draw}" for draw in BFLOAT16), *map(str, SUPERNETS), "check"]
    cases = [*(["cell", *case] for case in CELLS), *(["bfloat16", draw] for draw in BFLOAT16),
             *(["supernet", draw] for draw in SUPERNETS), ["check"]]
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.getcwd()}
    done = subprocess.run([sys.executable, SCRIPT, json.dumps(cases)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return dict(zip(names, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("case", CELLS, ids=lambda case: "-".join(map(str, (*(case[0] or ["all"]), *case[1:]))))
def test_output_statistics_and_every_gradient_of_a_cell(errors, case):
    found = errors[str(case)]
    assert set(found) == {"output", "mean", "variance", "inputs", "mixture", "weights"}
    assert max(found.values()) < (1e-5 if case[2] == "fp32" else 1e-2), found


def test_bfloat16_costs_no_more_than_under_autocast(errors):
    """Beside double precision. Single results go either way, with the ReLUs that rounding switches."""
    ratios = [ours / theirs for draw in BFLOAT16 for ours, theirs in errors[f"bfloat16 {draw}"].values() if theirs]
    assert len(ratios) >= 8 and math.prod(ratios) < 1, ratios


@pytest.mark.parametrize("draw", SUPERNETS, ids=str)
def test_a_supernet_runs_them_for_a_mixture_on_the_device(errors, draw):
    """Against `SearchCell`: logits, gradients, and the running estimates of what ran."""
    found = errors[str(draw)]
    assert set(found) == {"logits", "mixture", "params", "buffers"}
    assert max(found.values()) < 1e-5, found


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("channels", [8, 16, 24, 32, 64, 128])
@pytest.mark.parametrize("draw", [SUPERNETS[0], None], ids=str)
def test_on_a_gpu_at_real_sizes(draw, channels):
    from tests.engines import nasbench201_kernel_errors as check
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        found = [max(check.errors(draw, (8, channels, 15, 17), torch.device("cuda"), seed=seed).values()) for seed in range(3)]
    assert min(found) < 1e-5, found         # not with every seed a number lies so near to 0 that it is on the other side of ReLU


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("draw", [SUPERNETS[0], [CONV3] * 6, None], ids=str)
def test_on_a_gpu_in_bfloat16(draw):
    from tests.engines import nasbench201_kernel_errors as check
    found = check.errors(draw, (8, 32, 15, 17), torch.device("cuda"), torch.bfloat16)
    assert max(found.values()) < 1e-2, found


def test_the_check_that_a_gpu_must_pass(errors):
    assert all(0 < error < TOLERANCE[getattr(torch, dtype)] / 5 for dtype, error in errors["check"].items())
