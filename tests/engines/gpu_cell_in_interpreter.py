"""Started by test_gpu_cell.py with TRITON_INTERPRET=1: a search cell of Triton kernels against PyTorch's operations, in Triton's
interpreter. Prints one JSON object a case: relative errors of what came out, of a cell and of a whole supernet, and of a cell in
bfloat16 beside PyTorch's autocast."""

from __future__ import annotations

import copy
import json
import sys

import torch
from triton_interpreter import set_up

import gdas_lite as gl
from gdas_lite.engines import cuda
from gdas_lite.engines.cuda.draws import DeviceMixture
from gdas_lite.engines.cuda.selftest import kernel_error, relative
from gdas_lite.relaxation import Mixture
from tests.engines.nasbench201_kernel_errors import beside_autocast, errors

CPU = torch.device("cpu")


def cell(draw: list[int] | None, shape: list[int], kind: str, adds_unsampled: bool, level: float) -> dict[str, float]:
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[kind]
    return errors(draw, tuple(shape), CPU, dtype, adds_unsampled, level=level)


def bfloat16(draw: list[int] | None) -> dict[str, tuple[float, float]]:
    return beside_autocast(draw, (2, 8, 5, 4), CPU)


def supernet(draw: list[int] | None) -> dict[str, float]:
    """Three cells with running estimates, and what is around them; gradients of weights and mixture."""
    torch.manual_seed(0)
    net, x = gl.NASBench201(8, 1, track_running_stats=True).supernet(10, 1).train(), torch.randn(4, 1, 8, 8)
    exact, found = copy.deepcopy(net).double(), []
    columns = [[column] for column in draw] if draw else [range(5)] * 6
    value = torch.nn.functional.one_hot(torch.tensor(draw), 5).float() if draw else torch.rand(6, 5)
    for one, dtype in ((net, torch.float32), (exact, torch.float64)):
        weights = value.to(dtype).clone().requires_grad_()
        mixture = Mixture(weights, tuple(map(tuple, columns)), is_hard=bool(draw), adds_unsampled=bool(draw))
        if one is net:
            one.run_cell = cuda.run_cell
            mixture = DeviceMixture(weights, torch.tensor(draw) if draw else None, adds_unsampled=bool(draw))
        logits = one(x.to(dtype), {"cell": mixture})
        logits[:, 3].sum().backward()
        params = [torch.zeros_like(param) if param.grad is None else param.grad for name, param in one.named_parameters()
                  if not name.endswith("conv.bias")]
        found.append((logits.detach(), weights.grad, torch.cat([grad.flatten() for grad in params]),
                      torch.cat([buffer.double().flatten() for buffer in one.buffers()])))
    return {name: relative(a, b) for name, a, b in zip(("logits", "mixture", "params", "buffers"), *found, strict=True)}


def check() -> dict[str, float]:
    return {dtype: kernel_error(CPU, "nasbench201", getattr(torch, dtype)) for dtype in ("float32", "bfloat16")}


set_up()
CASES = {"cell": cell, "bfloat16": bfloat16, "supernet": supernet, "check": check}
for kind, *arguments in json.loads(sys.argv[1]):
    print(json.dumps(CASES[kind](*arguments)), flush=True)
