"""Started by test_sampled_node.py with TRITON_INTERPRET=1: the sampled node against its plain twin, in Triton's interpreter.

Prints one JSON object a case: relative errors of output and gradients, of a node, of a whole cell; of a supernet's logits.
"""

from __future__ import annotations

import copy
import json
import sys
from dataclasses import replace

import torch

import gdas_lite as gl
from gdas_lite.kernels.gpu.node import largest_error, sampled_node
from gdas_lite.kernels.gpu.plain import plain_node
from gdas_lite.relaxation import DeviceMixture
from gdas_lite.spaces.nasbench201 import SearchCell
from gdas_lite.spaces.nasbench201_sampled import sampled_cell


def relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Largest difference over the largest value."""
    difference = (found.double() - wanted.double()).abs().max().item()
    return difference / max(wanted.double().abs().max().item(), 1e-6) if difference else 0.0


def case(choices: list[int], channels: int, batch: int, height: int, width: int, kind: str) -> dict[str, float]:
    generator = torch.Generator().manual_seed(channels + height)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[kind]

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    edges = len(choices)
    sources = [(noise(batch, channels, height, width) + 1).to(dtype) for _ in choices]
    pointwise = [0.3 * noise(channels, channels, 1, 1) + 0.1 for _ in choices]
    spatial = [0.3 * noise(channels, channels, 3, 3) for _ in choices]
    weights, index = torch.linspace(0.5, 1.5, edges), torch.tensor(choices)
    slope = noise(batch, channels, height, width)
    results = []
    for function, exact in ((sampled_node, False), (plain_node, True)):
        given = [[one.detach().clone() for one in group] for group in (sources, [weights], pointwise, spatial)]
        given = [[(one.double() if exact else one).requires_grad_() for one in group] for group in given]
        out = function(given[0], index, given[1][0], given[2], given[3])
        out.backward(slope.to(out.dtype))
        zero = torch.zeros(())
        results.append([out.detach()] + [torch.stack([zero.expand_as(one) if one.grad is None else one.grad for one in group])
                                         for group in given])
    names = ("output", "sources", "weights", "pointwise", "spatial")
    return {name: relative(a, b) for name, a, b in zip(names, *results, strict=True)}


def cell(ops: list[str], variant: str, channels: int) -> dict[str, float]:
    torch.manual_seed(0)
    plain = SearchCell(channels, track_running_stats=False)
    exact = copy.deepcopy(plain).double()
    mixture = gl.NASBench201(channels, 1).mixtures(gl.NASBench201Genotype(tuple(ops)))["cell"]
    x, slope = torch.randn(3, channels, 4, 5), torch.randn(3, channels, 4, 5)
    found = []
    for one, dtype in ((plain, torch.float32), (exact, torch.float64)):
        weights = mixture.weights.detach().clone().to(dtype).requires_grad_()
        asked = replace(mixture, weights=weights, adds_undrawn=variant == "N")
        given = x.to(dtype).clone().requires_grad_()
        on_device = DeviceMixture(weights, weights.detach().argmax(-1), asked.adds_undrawn)
        out = sampled_cell(one.edges, given, on_device) if one is plain else one(given, asked)
        if out.requires_grad:
            out.backward(slope.to(dtype))
        params = [param for name, param in one.named_parameters() if not name.endswith("conv.bias")]
        flat = torch.cat([torch.zeros(param.numel()) if param.grad is None else param.grad.reshape(-1) for param in params])
        slopes = [torch.zeros_like(one) if one.grad is None else one.grad for one in (weights, given)]
        found.append((out.detach(), *slopes, flat))
    return {name: relative(a, b) for name, a, b in zip(("output", "alpha", "input", "params"), *found, strict=True)}


def supernet(ops: list[str], channels: int) -> dict[str, float]:
    torch.manual_seed(0)
    space = gl.NASBench201(channels, 1)
    net, x = space.supernet(10, 1).train(), torch.randn(3, 1, 4, 4)
    mixtures, exact = space.mixtures(gl.NASBench201Genotype(tuple(ops))), copy.deepcopy(net)
    weights = mixtures["cell"].weights
    drawn = {"cell": DeviceMixture(weights, weights.argmax(-1))}
    return {"logits": relative(net(x, drawn).detach(), exact(x, mixtures).detach())}


def check() -> dict[str, float]:
    return {"check": largest_error(torch.device("cpu"))}


for kind, *arguments in json.loads(sys.argv[1]):
    print(json.dumps({"node": case, "cell": cell, "supernet": supernet, "check": check}[kind](*arguments)), flush=True)
