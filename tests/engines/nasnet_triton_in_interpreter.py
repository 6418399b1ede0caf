"""Started by test_nasnet_triton.py with TRITON_INTERPRET=1: NASNet cells by the Triton kernels, in Triton's interpreter.

Prints one JSON object a case, relative errors beside double precision by PyTorch's operations.
"""

from __future__ import annotations

import copy
import json
import sys
from contextlib import nullcontext
from dataclasses import replace

import torch
from triton_interpreter import set_up

import gdas_lite as gl
from gdas_lite.engines import cuda
from gdas_lite.engines.cpu.nasnet import graph_of
from gdas_lite.engines.cuda import nasnet as nasnet_on_device
from gdas_lite.engines.cuda.cell_kernels.cell import CellOnGPU
from gdas_lite.engines.cuda.nasnet import cell_on_gpu, sampled_cell
from gdas_lite.engines.cuda.selftest import kernel_error, relative
from gdas_lite.engines.cuda.steps import CapturedSteps
from gdas_lite.engines.graph import Chain, Graph, Identity
from gdas_lite.relaxation import fixed_mixture
from gdas_lite.spaces.nasnet_cells import SearchCell
from tests.engines.nasnet_kernel_errors import (
    beside_autocast,
    candidates_of,
    conv_of,
    errors,
    example,
    layer_of,
)
from tests.engines.test_captured import AsksNothing


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape) + shape[-1]))


def every_candidate(stride: int, images: int, height: int, width: int, kind: str) -> dict[str, float]:
    graph, weights, index = example(16, stride, torch.device("cpu"))
    x = noise(images, 8, height, width)
    if kind == "fp32":
        return errors(graph, [x], weights, index)
    return errors(graph, [x.to(torch.bfloat16)], weights, index)


def bfloat16() -> dict[str, tuple[float, float]]:
    graph, weights, index = example(16, 2, torch.device("cpu"))
    return beside_autocast(graph, [noise(1, 8, 5, 7).to(torch.bfloat16)], weights, index)


def flat() -> dict[str, float]:
    """Batch norm of a map that hardly varies and lies far from zero: of largest values."""
    graph = Graph(1, ((replace(candidates_of(0, 8, 1)[1], weight=0),),), (1,))
    return errors(graph, [torch.randn(1, 8, 3, 3, generator=torch.Generator().manual_seed(1)) + 10], torch.ones(1))


def wide() -> dict[str, float]:
    """More channels than a tile, several blocks of pixels, several given nodes, one of them put out, one node put out twice;
    maps of one pixel."""
    torch.manual_seed(1)
    graph = Graph(2, ((Chain(0, (layer_of(conv_of(72, 40, 3, 2)),), 0), Chain(1, (layer_of(conv_of(40, 40, 0)),), 1)),
                      (Identity(1, 2), Identity(2, 3))), (1, 2, 2, 3))
    return errors(graph, [noise(70, 72, 2, 1), noise(70, 40, 1, 1)], torch.linspace(0.5, 1.5, 4))


def cells(sampled: bool, is_reduction: bool, columns: list[int]) -> dict[str, float]:
    """A search cell of the space against its own forward pass."""
    torch.manual_seed(0)
    space = gl.NASNet(8)
    plain = SearchCell((8, 16), 16 if is_reduction else 8, is_reduction, False, space.style)
    exact, mixture, found = copy.deepcopy(plain).double(), fixed_mixture(columns, 8), []
    for cell in (plain, exact):
        real = next(cell.parameters()).dtype
        given = [noise(1, 8, 5, 6).to(real).requires_grad_(), noise(1, 16, 5, 6).to(real).requires_grad_()]
        weights = mixture.weights.detach().clone().to(real).requires_grad_()
        if cell is exact:
            out = cell(*given, replace(mixture, weights=weights))
        elif sampled:       # the passes are planned by another draw on other maps, which must leave no trace
            sampled_cell(cell, *(x.detach() + 1 for x in given), torch.zeros(14).long(), torch.ones(14))
            out = sampled_cell(cell, *given, torch.tensor(columns), weights[range(14), columns])
        else:
            asked = replace(mixture, weights=weights)
            out = cell_on_gpu(cell, *given, asked, graph_of(cell, asked))
        out.backward(noise(*out.shape).to(real))
        params = torch.cat([(torch.zeros_like(param) if param.grad is None else param.grad).reshape(-1)
                            for param in cell.parameters()])
        reached = torch.tensor([float(sampled or param.grad is not None) for param in cell.parameters()])
        found.append((out.detach(), *(x.grad for x in given), weights.grad, params, reached))
    names = ("output", "older", "newer", "alpha", "params", "reached")
    return {name: relative(a, b) for name, a, b in zip(names, *found, strict=True)}


def captured() -> dict[str, float]:
    """Two steps of a search without the host, with one searched cell, against PyTorch's operations in its place; the second asks
    the device nothing."""
    data, found = gl.load_data("digits"), []
    data = replace(data, train_half=data.train_half.subset(range(2)), valid_half=data.valid_half.subset(range(2)))
    recipe = gl.search_recipe("smoke", "nasnet", "gdas", batch_size=2, alpha_eps=0.01, undrawn="skip")
    space = gl.NASNet(8, cells=3, fixed_reduction=True)
    for on_kernels in (True, False):
        nasnet_on_device.runs_on = lambda _device, on_kernels=on_kernels: on_kernels
        run = gl.Search(space, data, gl.GDAS(), recipe=recipe, engine="plain")
        run.state.supernet.run_cell = cuda.run_cell
        steps = run.state.updates = CapturedSteps(run.state, run.task, run.algorithm, run.space)
        for epoch in range(2):
            steps.begin(0, epoch, 0.025, 1.0)
            with AsksNothing() if epoch else nullcontext():
                steps.step()
            steps.end()
        found.append(run.tensors())
    kernels, plain = found
    different = {name for name in kernels.keys() | plain.keys() if name not in kernels or name not in plain}
    return {"different": len(different)} | {
        kind: max((one := plain[name].double()).sub(kernels[name]).norm().div(one.norm().clamp_min(1e-3)).item()
                  for name in plain if name.startswith(kind)) for kind in ("supernet", "alpha", "sgd", "adam")}


def check() -> dict[str, float]:
    return {dtype: kernel_error(torch.device("cpu"), "nasnet", getattr(torch, dtype)) for dtype in ("float32", "bfloat16")}


def refusals() -> dict[str, str]:
    """What the kernels say to what they cannot do."""
    def message(action: object) -> str:
        try:
            action()
        except (ValueError, RuntimeError) as error:
            return str(error)
        return "nothing was raised"

    def graph(channels: int = 8) -> Graph:
        return Graph(1, ((Chain(0, (layer_of(conv_of(8, channels, 0)),)),),), (1,))

    out = CellOnGPU(graph())([noise(1, 8, 2, 2).requires_grad_()], None)
    out.sum().backward(retain_graph=True)
    tracking = SearchCell((8, 8), 8, False, False, gl.NASNet(8, track_running_stats=True).style)
    return {"channels": message(lambda: CellOnGPU(graph(12))([noise(1, 8, 2, 2)], None)),
            "type": message(lambda: CellOnGPU(graph())([noise(1, 8, 2, 2).half()], None)),
            "twice": message(lambda: out.sum().backward()),
            "estimates": message(lambda: sampled_cell(tracking, *[noise(1, 8, 2, 2)] * 2, torch.zeros(14).long(), None))}


set_up()
CASES = {"every candidate": every_candidate, "bfloat16": bfloat16, "flat": flat, "wide": wide, "cell": cells,
         "captured": captured, "check": check, "refusals": refusals}
for name, *arguments in json.loads(sys.argv[1]):
    print(json.dumps(CASES[name](*arguments)), flush=True)
