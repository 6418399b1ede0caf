"""The Triton kernels of a NASNet search cell, in Triton's interpreter on the CPU, against PyTorch in double precision.

The interpreter is chosen when Triton is loaded, so the cases run in a process of their own, all in one. What the interpreter
cannot see, whether Triton's compiler takes the kernels, is seen by compiling them; that needs no GPU either.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from operator import call as run_plain
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import gdas_lite as gl
from gdas_lite.engines import cuda
from gdas_lite.engines.cuda import nasnet as nasnet_on_device
from gdas_lite.engines.cuda.cells import takes
from gdas_lite.engines.cuda.draws import DeviceMixture
from gdas_lite.engines.cuda.selftest import TOLERANCE
from gdas_lite.engines.graph import Graph, Identity
from gdas_lite.relaxation import Mixture, fixed_mixture, soft_mixture

if find_spec("triton") is None:
    pytest.skip("Triton is not installed: it comes with PyTorch's builds for NVIDIA GPUs on Linux", allow_module_level=True)

import triton

SCRIPT = Path(__file__).with_name("nasnet_triton_in_interpreter.py")
CASES = {
    "every candidate": ["every candidate", 1, 1, 5, 7, "fp32"],
    "every candidate with stride 2 in bfloat16": ["every candidate", 2, 1, 5, 7, "bf16"],
    "bfloat16": ["bfloat16"],
    "flat": ["flat"],
    "wide": ["wide"],
    "a sampled reduction cell": ["cell", True, True, [3, 6, 0, 1, 4, 0, 2, 0, 3, 0, 1, 2, 3, 0]],    # drawn columns of the edges
    "a normal cell of known candidates": ["cell", False, False, [3, 6, 0, 1, 4, 0, 0, 0, 0, 0, 0, 0, 3, 2]],
    "steps without the host": ["captured"],
    "check": ["check"],
    "refusals": ["refusals"]}


@pytest.fixture(scope="module")
def found() -> dict[str, dict]:
    """What each case gave: relative errors."""
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.getcwd()}
    done = subprocess.run([sys.executable, SCRIPT, json.dumps(list(CASES.values()))], capture_output=True, text=True,
                          env=environment)
    assert done.returncode == 0, done.stderr
    return dict(zip(CASES, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("case", ["every candidate", "wide", "flat"])
def test_result_and_every_gradient_in_float32(found, case):
    assert set(found[case]) == {"output", "inputs", "mixture", "weights"}
    assert max(found[case].values()) < 1e-5


def test_result_and_every_gradient_in_bfloat16(found):
    assert max(found["every candidate with stride 2 in bfloat16"].values()) < 1e-2


def test_bfloat16_costs_no_more_than_under_autocast(found):
    ratios = [ours / theirs for ours, theirs in found["bfloat16"].values()]
    assert len(ratios) == 4 and math.prod(ratios) < 1, ratios


@pytest.mark.parametrize("case", ["a sampled reduction cell", "a normal cell of known candidates"])
def test_a_search_cell_is_the_plain_one(found, case):
    assert found[case].pop("reached") == 0 and set(found[case]) == {"output", "older", "newer", "alpha", "params"}
    assert max(found[case].values()) < 1e-5


def test_steps_without_the_host_are_those_of_pytorchs_operations(found):
    assert found["steps without the host"].pop("different") == 0
    assert set(found["steps without the host"]) == {"supernet", "alpha", "sgd", "adam"}
    assert max(found["steps without the host"].values()) < 1e-4


def test_the_check_that_a_gpu_must_pass(found):
    assert all(0 < error < TOLERANCE[getattr(torch, dtype)] for dtype, error in found["check"].items())


def test_all_candidates_on_the_device_are_a_graph_of_known_terms(monkeypatch):
    monkeypatch.setattr(nasnet_on_device, "runs_on", lambda _device: True)
    monkeypatch.setattr("gdas_lite.engines.cuda.nasnet.cell_on_gpu", lambda *given: given)
    cell, weights, x = gl.NASNet(8, cells=3).supernet(10).cells[0], torch.rand(14, 8), torch.rand(2, 24, 4, 4)
    *_, mixture, graph = nasnet_on_device.cell_on_device(cell, x, x, DeviceMixture(weights, None))
    assert mixture.weights is weights and mixture.active == ((0, 1, 2, 3, 4, 5, 6, 7),) * 14
    assert sorted(term.weight for terms in graph.sums[2:] for term in terms) == [place for place in range(14 * 8) if place % 8]


def test_a_single_candidate_is_found_by_its_column_not_by_its_weight(monkeypatch):
    """Its weight need not be the largest of the row."""
    from gdas_lite.engines.cuda.nasnet import cell_on_gpu
    monkeypatch.setattr("gdas_lite.engines.cuda.nasnet.sampled_cell", lambda *given: given)
    columns, weights = torch.arange(14) % 8, torch.linspace(0.1, 0.8, 8).repeat(14, 1)
    mixture = Mixture(weights, tuple((column,) for column in columns.tolist()))
    *_, index, drawn, _ = cell_on_gpu(None, torch.zeros(1, 8, 2, 2), None, mixture, Graph(1, ((Identity(0),),), (1,)))
    assert torch.equal(index, columns) and torch.equal(drawn, weights[0, columns])


@pytest.mark.parametrize("what, words", [
    ("channels", "channels in eights, here are .*12.*use engine 'plain'"), ("type", "float32 or bfloat16 maps"),
    ("twice", "can run once only"), ("estimates", "track_running_stats=False")])
def test_what_the_kernels_cannot_do_is_said(found, what, words):
    assert re.search(words, found["refusals"][what])


COMPILES = """
import sys
import triton, triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from gdas_lite.engines.cuda.cell_kernels import gradient_kernels as gradients, launch_plan as book
from gdas_lite.engines.cuda.cell_kernels import layer_kernels as layers, node_kernels as sums

CONSTANTS = {"BLOCK_P": 64, "BLOCK_C": 16, "BLOCK_S": 256, "BLOCK": 256, "WIDTH": 64}
TARGETS = (80, tl.float32, "ieee"), (90, tl.bfloat16, "tf32")
TYPES = dict.fromkeys(("jobs", "table", "firsts", "edges", "index"), "*i64")
TYPES |= dict.fromkeys("abcdefghij", "i64") | {"eps": "fp32"}
for kernel in (book.put_in_place, layers.make_maps, layers.statistics, sums.weighted_sum, sums.project, sums.through_norm,
               gradients.to_depth, gradients.to_source, gradients.to_taps, gradients.to_pointwise, gradients.add_parts):
    for capability, real, precision in TARGETS:
        known = CONSTANTS | {"REAL": real, "PRECISION": precision}
        constants = {name: known[name] for name in kernel.arg_names if name in known}
        types = {name: "constexpr" if name in constants else TYPES.get(name, "i32") for name in kernel.arg_names}
        made = triton.compile(ASTSource(fn=kernel, signature=types, constexprs=constants),
                              target=GPUTarget("cuda", capability, 32), options={"num_stages": 1})
        print(kernel.__name__, made.metadata.shared)
"""


@pytest.mark.skipif(sys.platform != "linux" or tuple(map(int, triton.__version__.split(".")[:2])) < (3, 3),
                    reason="compiling without a GPU is asked for in the words of Triton 3.3 and later, on Linux")
def test_tritons_compiler_takes_every_kernel(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", COMPILES], capture_output=True, text=True,
                          env=environment | {"PYTHONPATH": os.getcwd(), "TRITON_CACHE_DIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    shared = [int(line.split()[1]) for line in done.stdout.splitlines()]
    assert len(shared) == 22 and max(shared) < 48 * 1024        # bytes; what every GPU has


def test_kernels_take_cells_on_a_gpu_that_they_can_compute():
    cell, mixture = gl.NASNet(8, cells=3).supernet(10).cells[0], soft_mixture(torch.zeros(14, 8))
    for dtype, on_gpu, is_taken in ((torch.float32, True, True), (torch.bfloat16, True, True), (torch.float16, True, False),
                                    (torch.float32, False, False)):
        assert takes(cell, (SimpleNamespace(is_cuda=on_gpu, dtype=dtype),) * 2, mixture) is is_taken
    maps = (SimpleNamespace(is_cuda=True, dtype=torch.float32),) * 2
    tracking = gl.NASNet(8, cells=3, track_running_stats=True).supernet(10).train().cells[0]
    assert not takes(tracking, maps, mixture) and not takes(cell, maps, replace(mixture, adds_unsampled=True))
    assert not takes(gl.NASNet(4, cells=3).supernet(10).cells[0], maps, mixture)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("channels", [16, 64])
@pytest.mark.parametrize("stride", [1, 2])
def test_on_a_gpu_at_real_sizes(channels, stride):
    from tests.engines.nasnet_kernel_errors import errors, example
    device = torch.device("cuda")
    graph, weights, index = example(channels, stride, device)
    maps = [torch.randn(8, 8, 15, 17, generator=torch.Generator().manual_seed(seed)).to(device) for seed in range(3)]
    found = [max(errors(graph, [x], weights, index).values()) for x in maps]
    assert min(found) < 1e-5, found         # not with every seed a number lies so near to 0 that it is on the other side of ReLU
    assert max(errors(graph, [maps[0].bfloat16()], weights, index).values()) < 1e-2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("columns", [None, [4, 6, 3, 5, 1, 7, 2, 4, 6, 3, 0, 5, 7, 1]])
def test_on_a_gpu_a_supernet_follows_the_plain_one(columns):
    """columns: drawn; None: all candidates. Double precision is the plain engine's."""
    torch.manual_seed(0)
    space = gl.NASNet(8, cells=3)
    net, x = space.supernet(10).cuda().train(), torch.randn(16, 3, 16, 16).cuda()
    mixture = soft_mixture(torch.zeros(14, 8)) if columns is None else fixed_mixture(columns, 8)
    found = []
    for run_cell, real in ((cuda.run_cell, torch.float32), (run_plain, torch.float64)):
        net, net.run_cell = net.to(real), run_cell
        weights = mixture.weights.to("cuda", real).requires_grad_()
        loss = net(x.to(real), dict.fromkeys(space.labels, replace(mixture, weights=weights))).square().mean()
        found.append((loss.detach().double(), torch.autograd.grad(loss, weights)[0].double()))
    (loss, grad), (exact, wanted) = found
    assert abs(loss - exact) < 1e-4 * exact and (grad - wanted).norm() < 1e-2 * wanted.norm()      # some ReLUs fall otherwise
