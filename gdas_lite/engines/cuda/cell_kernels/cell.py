"""A whole search cell as one differentiable function of Triton kernels; on the CPU `engines.cpu.cell` does the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor, nn

from ...first_order import first_order
from ...graph import Conv, Graph
from ...layers.maps import dense
from ...parts import made_of_modules
from .backward_plan import Backward
from .forward_plan import Forward
from .launch_plan import RESULT, view
from .node_plan import convs_of, weights_of

MOST_PLANS = 8          # of a cell, for so many sizes of batches
_PLANNED = made_of_modules()


def runs_on(device: torch.device) -> bool:
    """Returns whether Triton kernels run on tensors of this device: on a GPU, and in Triton's interpreter."""
    return device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"


def planned(cell: nn.Module, key: object, graph: Callable[[], Graph]) -> CellOnGPU:
    """Returns what runs a cell's graph, made once for each key."""
    known = _PLANNED.setdefault(cell, {})
    if key not in known:
        known[key] = CellOnGPU(graph())
    return known[key]


class CellOnGPU:
    """A graph whose passes are planned once and kept: keep it as long as the cell."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.convs = graph, list(convs_of(graph))
        self._plans: dict[tuple, Forward] = {}
        self._backward: dict[tuple, Backward] = {}

    def __call__(self, inputs: Sequence[Tensor], weights: Tensor | None, index: Tensor | None = None,
                 learning: Collection[Conv] | None = None,
                 moments: list[tuple[Tensor, Tensor]] | None = None) -> Tensor:
        """Returns the graph's result (B, sum of C, H, W), channels_last, float32 or bfloat16 as inputs; sums: float32.

        inputs: (B, C, H, W), channels in eights. weights: of the terms, any shape, read flat; float32. index: (edges,)
        int64, the drawn columns, where the graph's terms are `SampledEdge`; it stays on the device. learning: the
        convolutions whose weights get gradients, zeros for what was not drawn; None: all. moments: takes those of all
        batch norms, see `Forward.moments`. Raises ValueError for what the kernels cannot compute.
        """
        if len({x.dtype for x in inputs}) > 1:
            types = [str(x.dtype) for x in inputs]
            raise ValueError(f"the Triton kernels need given maps of one type, these are {types}")
        parameters: list[Tensor | None] = []
        for conv in self.convs:
            asked = (*weights_of(conv), conv.pointwise.bias)
            parameters += asked if learning is None or conv in learning else [None] * len(asked)
        return _Cell.apply(self, index, moments, weights, *inputs, *parameters)

    def forward_plan(self, inputs: Sequence[Tensor], weighs: bool) -> Forward:
        addresses = tuple(0 if weight is None else weight.data_ptr()
                          for conv in self.convs for weight in weights_of(conv))
        key = (*(x.shape for x in inputs), inputs[0].dtype, inputs[0].device, weighs, addresses,
               torch.backends.cudnn.allow_tf32)
        if key not in self._plans:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
                self._backward.clear()
            self._plans[key] = Forward(self.graph, [tuple(x.shape) for x in inputs], inputs[0].dtype, inputs[0].device,
                                       weighs)
        return self._plans[key]

    def backward_plan(self, forward: Forward, mixture: int, needs: Sequence[bool], learns: bool) -> Backward:
        """Returns the plan of a backward pass. mixture: how many weights of it want gradients."""
        key = id(forward), mixture, *needs, learns
        if key not in self._backward:
            self._backward[key] = Backward(forward, mixture, needs, learns)
        return self._backward[key]


class _Cell(torch.autograd.Function):

    @staticmethod
    def forward(ctx, cell: CellOnGPU, index: Tensor | None, moments: list[tuple[Tensor, Tensor]] | None,
                weights: Tensor | None, *tensors: Tensor | None) -> Tensor:
        flat = None if weights is None else weights.detach().reshape(-1).float().contiguous()
        inputs = [dense(x) for x in tensors[:cell.graph.inputs]]
        plan = cell.forward_plan(inputs, flat is not None)
        memory = plan.run(inputs, flat, index)
        if moments is not None:
            moments += plan.moments(memory)
        ctx.cell, ctx.plan, ctx.memory = cell, plan, memory if any(ctx.needs_input_grad) else None
        ctx.weights_like = None if weights is None else (weights.shape, weights.dtype)
        ctx.save_for_backward(index)
        return memory[RESULT].permute(0, 3, 1, 2)

    @staticmethod
    @first_order
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        memory, needs, given = ctx.memory, ctx.needs_input_grad[3:], ctx.cell.graph.inputs
        if memory is None:
            raise RuntimeError("a fused cell's backward pass can run once only; use engine 'plain' for more")
        ctx.memory = None
        shape, dtype = ctx.weights_like or ((), None)
        plan = ctx.cell.backward_plan(ctx.plan, shape.numel() if needs[0] else 0, needs[1:1 + given],
                                      any(needs[1 + given:]))
        gradients, of_inputs = plan.run(memory, dense(grad), *ctx.saved_tensors)
        inputs = [None if place is None else view(of_inputs, place).permute(0, 3, 1, 2) for place in plan.grads[:given]]
        of_mixture = view(gradients, plan.of_mixture).reshape(shape).to(dtype) if needs[0] else None
        found: list[Tensor | None] = []
        for conv, is_asked in zip(ctx.cell.convs, needs[2 + given::3], strict=True):
            places = plan.of_weights.get(conv, (None, None)) if is_asked else (None, None)
            found += [None if place is None else view(gradients, place).permute(0, 3, 1, 2) for place in places]
            bias = conv.pointwise.bias
            found.append(None if bias is None or places[1] is None else torch.zeros_like(bias))
        return None, None, None, of_mixture, *inputs, *found
