"""Started by test_sampled_node.py with TRITON_INTERPRET=1: the sampled node against its plain twin, in Triton's interpreter.

Prints one JSON object a case: relative errors of output, of the gradients of sources, weights and kernels; and for "supernet"
those of a whole small supernet: its logits, alpha's gradient, the weights' gradients and the running estimates.
"""

from __future__ import annotations

import copy
import json
import sys
from dataclasses import replace

import torch
import torch.nn.functional as F

import gdas_lite as gl
from gdas_lite.kernels.gpu.node import largest_error, plain_node, sampled_node


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


def supernet(ops: list[str], variant: str, channels: int) -> dict[str, float]:
    torch.manual_seed(0)
    space = gl.NASBench201(channels, 1)
    net = space.supernet(10, 1).train()
    exact = copy.deepcopy(net).double()
    net.samples_on_device = True
    mixture = space.mixtures(gl.NASBench201Genotype(tuple(ops)))["cell"]
    x, y = torch.randn(3, 1, 4, 4), torch.randint(10, (3,))
    found = []
    for one in (net, exact):
        dtype = next(one.parameters()).dtype
        weights = mixture.weights.detach().clone().to(dtype).requires_grad_()
        logits = one(x.to(dtype), {"cell": replace(mixture, weights=weights, adds_undrawn=variant == "N")})
        F.cross_entropy(logits, y).backward()
        params = torch.cat([torch.zeros(param.numel()) if param.grad is None else param.grad.reshape(-1)
                            for name, param in one.named_parameters() if not name.endswith("conv.bias")])
        reached = torch.tensor([float(param.grad is not None) for name, param in one.named_parameters()
                                if not name.endswith("conv.bias")])
        estimates = torch.cat([buffer.reshape(-1).to(dtype) for buffer in one.buffers()])
        slope = torch.zeros_like(weights) if weights.grad is None else weights.grad
        found.append((logits.detach(), slope, params, reached, estimates))
    names = ("logits", "alpha", "params", "reached", "estimates")
    return {name: relative(a, b) for name, a, b in zip(names, *found, strict=True)}


def check() -> dict[str, float]:
    return {"check": largest_error(torch.device("cpu"))}


for kind, *arguments in json.loads(sys.argv[1]):
    print(json.dumps({"node": case, "supernet": supernet, "check": check}[kind](*arguments)), flush=True)
