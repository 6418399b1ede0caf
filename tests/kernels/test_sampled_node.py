"""The Triton kernels of a sampled node, in Triton's interpreter on the CPU, against PyTorch in double precision.

The interpreter is chosen when Triton is loaded, so the cases run in a process of their own, all in one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from gdas_lite.kernels import gpu
from gdas_lite.kernels.gpu import TOLERANCE

if find_spec("triton") is None:
    pytest.skip("Triton is not installed: it comes with PyTorch's builds for NVIDIA GPUs on Linux", allow_module_level=True)

SCRIPT = Path(__file__).with_name("sampled_node_in_interpreter.py")
NONE, SKIP, CONV1, CONV3, POOL = range(5)
NODES = (       # drawn columns of the incoming edges, channels, images, height, width, type
    ([CONV3, CONV1], 20, 1, 5, 7, "fp32"), ([POOL, NONE, CONV3], 2, 3, 6, 5, "fp32"), ([NONE, SKIP, CONV1], 8, 1, 4, 3, "fp32"),
    ([CONV1, CONV3, POOL], 32, 1, 5, 4, "bf16"))
CELLS = (
    (("nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3", "skip_connect", "nor_conv_3x3", "none"), "N", 4),
    (("none", "none", "nor_conv_1x1", "none", "skip_connect", "none"), "P", 2))                 # nothing reaches the output


@pytest.fixture(scope="module")
def errors() -> dict[str, dict[str, float]]:
    """Relative errors by case."""
    cases = [["node", *case] for case in NODES] + [["cell", *case] for case in CELLS]
    cases += [["supernet", ["skip_connect", "none", "none", "none", "skip_connect", "none"], 2], ["check"]]
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.getcwd()}
    done = subprocess.run([sys.executable, SCRIPT, json.dumps(cases)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return dict(zip(map(str, [*NODES, *CELLS, "supernet", "check"]), map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("case", NODES, ids=lambda case: "-".join(map(str, case)))
def test_output_and_every_gradient_of_a_node(errors, case):
    found = errors[str(case)]
    assert set(found) == {"output", "sources", "weights", "pointwise", "spatial"}
    assert max(found.values()) < (1e-5 if case[-1] == "fp32" else 1e-2)


@pytest.mark.parametrize("case", CELLS, ids=lambda case: "-".join(case[0]))
def test_a_cell_of_sampled_nodes_is_the_plain_one(errors, case):
    """Output, gradients of alpha, input and weights."""
    found = errors[str(case)]
    assert set(found) == {"output", "alpha", "input", "params"}
    assert max(found.values()) < 1e-5


def test_a_supernet_takes_them_for_a_draw_on_the_device(errors):
    assert errors["supernet"]["logits"] < 1e-5


def test_the_check_that_a_gpu_must_pass(errors):
    assert 0 < errors["check"]["check"] < TOLERANCE / 10


def test_what_speaks_against_the_kernels_is_said(monkeypatch):
    device = torch.device("cuda")
    for is_there, error, words in ((False, 0.0, "sees no CUDA GPU"), (True, 0.1, "they differ from PyTorch by 0.1"),
                                   (True, RuntimeError("no compiler"), "do not work here.*no compiler"), (True, 1e-7, None)):
        def largest_error(_, error=error):
            if isinstance(error, Exception):
                raise error
            return error

        gpu.obstacle.cache_clear()
        monkeypatch.setattr(torch.cuda, "is_available", lambda is_there=is_there: is_there)
        monkeypatch.setattr("gdas_lite.kernels.gpu.node.largest_error", largest_error)
        found = gpu.obstacle(device)
        assert found is None if words is None else re.search(words, found)
    gpu.obstacle.cache_clear()
