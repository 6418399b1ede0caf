"""A whole NASNet search cell as one differentiable function of Triton kernels; the twin of `kernels.fused` on a GPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..graph import Graph
from .backward import Backward
from .forward import Forward
from .terms import convs_of


def run_graph_on_gpu(graph: Graph, inputs: Sequence[Tensor], weights: Tensor | None, index: Tensor | None = None) -> Tensor:
    """The graph's result (B, sum of C, H, W), channels_last, of the inputs' type: float32, or bfloat16 with sums in float32.

    inputs: (B, C, H, W), channels in eights. weights: of the terms, any shape, read flat; float32. index: (edges,) int64, the
    drawn columns, where the graph's terms are `Drawn`; it stays on the device.
    Parameters that were not drawn get gradients of zeros. Raises ValueError for what the kernels cannot compute.
    """
    parameters = [part for conv in convs_of(graph) for part in (
        None if conv.depthwise is None else conv.depthwise.weight, conv.pointwise.weight, conv.pointwise.bias)]
    return _Cell.apply(graph, index, weights, *inputs, *parameters)


def dense(x: Tensor) -> Tensor:
    """(B, C, H, W) as (B, H, W, C); no copy of a channels_last map. Of a map of one pixel the steps are put right too."""
    rows = x.detach().permute(0, 2, 3, 1).contiguous()
    return rows.reshape(-1, rows.shape[3]).view(rows.shape)


class _Cell(torch.autograd.Function):

    @staticmethod
    def forward(ctx, graph: Graph, index: Tensor | None, weights: Tensor | None, *tensors: Tensor | None) -> Tensor:
        flat = None if weights is None else weights.detach().reshape(-1).float().contiguous()
        forward = Forward(graph, [dense(x) for x in tensors[:graph.inputs]], flat)
        result = forward.run(index)
        ctx.graph, ctx.index = graph, index
        ctx.forward_pass = forward if any(ctx.needs_input_grad) else None
        ctx.weights_like = None if weights is None else (weights.shape, weights.dtype)
        return result.permute(0, 3, 1, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        forward, graph, needs = ctx.forward_pass, ctx.graph, ctx.needs_input_grad[2:]
        if forward is None:
            raise RuntimeError("a fused cell's backward pass can run once only; use engine 'plain' for more")
        ctx.forward_pass = None
        backward = Backward(forward, dense(grad), needs[0], needs[1:1 + graph.inputs], any(needs[1 + graph.inputs:]))
        backward.run(ctx.index)
        inputs = [None if grad is None else grad.permute(0, 3, 1, 2) for grad in backward.grads[:graph.inputs]]
        of_mixture = None
        if backward.of_mixture is not None:
            shape, dtype = ctx.weights_like
            of_mixture = backward.of_mixture.reshape(shape).to(dtype)
        found = []
        for conv in convs_of(graph):
            taps, pointwise = backward.of_weights.get(conv, (None, None))
            bias = conv.pointwise.bias
            found += [taps, pointwise, None if bias is None or pointwise is None else torch.zeros_like(bias)]
        return None, None, of_mixture, *inputs, *found
