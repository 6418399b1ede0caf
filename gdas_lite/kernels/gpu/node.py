"""A node of a NAS-Bench-201 search cell under a hard mixture, as one differentiable function of Triton kernels.

node = sum over incoming edges e of weights[e] * op_index[e](x_e), the candidates' batch norms by the batch's statistics.
The host never learns what was drawn. The plain twin is `plain.plain_node`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
from torch import Tensor

from . import passes
from .plain import EPSILON, plain_node

BLOCK_P = 64            # pixels of a program
SPLITS = 32             # of the pixels, in the sums over them that give a weight's gradient


def sampled_node(sources: Sequence[Tensor], index: Tensor, weights: Tensor, pointwise: Sequence[Tensor],
                 spatial: Sequence[Tensor]) -> Tensor:
    """The node's value (B, C, H, W), channels_last, of the sources' type: float32, or bfloat16 with sums in float32.

    sources: an edge's input each, (B, C, H, W), of one shape, at most 128 channels. index: (edges,) int64, the drawn columns.
    weights: (edges,) what they are multiplied with (1 in value), float32. pointwise, spatial: an edge's kernels each,
    (C, C, 1, 1) and (C, C, 3, 3); those that were not drawn get gradients of zeros.
    Raises ValueError for more channels or sources of different shapes.
    """
    shape = sources[0].shape
    if any(source.shape != shape for source in sources) or shape[1] > 128:
        raise ValueError(f"a node needs inputs of one shape with at most 128 channels, got {[tuple(s.shape) for s in sources]}")
    return _Node.apply(index, weights, *sources, *pointwise, *spatial)


class _Node(torch.autograd.Function):

    @staticmethod
    def forward(ctx, index: Tensor, weights: Tensor, *tensors: Tensor) -> Tensor:
        edges = len(index)
        maps = [_rows(x) for x in tensors[:edges]]
        kernels = [kernel.contiguous() for kernel in tensors[edges:]]
        sizes = _Sizes(maps[0])
        z = maps[0].new_empty((edges, *maps[0].shape))
        moments = torch.zeros(edges, sizes.blocks, 2, sizes.channels, device=z.device)
        for edge, x in enumerate(maps):
            passes.candidate[(sizes.blocks,)](
                x, index[edge:], kernels[edge], kernels[edges + edge], z[edge], moments[edge], sizes.pixels, sizes.height,
                sizes.width, sizes.channels, BLOCK_P=BLOCK_P, BLOCK_C=sizes.block_c)
        mean, inverse_std = _statistics(moments, index, sizes)
        scale = weights.float()[:, None] * inverse_std
        out = torch.empty_like(maps[0])
        passes.combine[(sizes.blocks,)](z, index, scale, -scale * mean, out, sizes.pixels, sizes.channels, EDGES=edges,
                                        BLOCK_P=BLOCK_P, BLOCK_C=sizes.block_c)
        ctx.sizes, ctx.edges = sizes, edges
        ctx.save_for_backward(index, weights, z, mean, inverse_std, *maps, *kernels)
        return out.permute(0, 3, 1, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        sizes, edges = ctx.sizes, ctx.edges
        index, weights, z, mean, inverse_std = ctx.saved_tensors[:5]
        maps, kernels = ctx.saved_tensors[5:5 + edges], ctx.saved_tensors[5 + edges:]
        grad = _rows(grad)
        sums = torch.zeros(edges, sizes.blocks, 2, sizes.channels, device=z.device)
        passes.project[(sizes.blocks, edges)](grad, z, index, mean, inverse_std, sums, sizes.pixels, sizes.channels,
                                              sizes.blocks, BLOCK_P=BLOCK_P, BLOCK_C=sizes.block_c)
        total, along = sums.sum(1).unbind(1)                                            # (edges, C)
        factors = _norm_factors(weights.float()[:, None], mean, inverse_std, total, along, index, sizes)
        needs, to_inputs, to_kernels = ctx.needs_input_grad[2:], [], []
        for edge, x in enumerate(maps):
            ends = grad, z[edge], x, index[edge:], factors[edge]
            to_inputs.append(_to_input(ends, kernels[edge], kernels[edges + edge], sizes) if needs[edge] else None)
            to_kernels.append(_to_kernels(ends, sizes) if needs[edges + edge] or needs[2 * edges + edge] else (None, None))
        return (None, along.sum(1).to(weights.dtype), *to_inputs,
                *(one.to(kernel.dtype) if one is not None else None
                  for one, kernel in zip([first for first, _ in to_kernels] + [second for _, second in to_kernels], kernels,
                                         strict=True)))


class _Sizes:
    def __init__(self, rows: Tensor) -> None:
        self.height, self.width, self.channels = rows.shape[1:]
        self.pixels = rows.numel() // self.channels
        self.blocks = triton.cdiv(self.pixels, BLOCK_P)
        self.block_c = max(16, triton.next_power_of_2(self.channels))


def _rows(x: Tensor) -> Tensor:
    """(B, C, H, W) as (B, H, W, C), contiguous; no copy of a channels_last map."""
    return x.detach().permute(0, 2, 3, 1).contiguous()


def _is_conv(index: Tensor) -> Tensor:
    return ((index == 2) | (index == 3))[:, None]


def _statistics(moments: Tensor, index: Tensor, sizes: _Sizes) -> tuple[Tensor, Tensor]:
    """Mean and 1 / deviation over all pixels from those of the blocks, (edges, C); 0 and 1 for what has no batch norm."""
    members = torch.full((sizes.blocks, 1), float(BLOCK_P), device=moments.device)
    members[-1] = sizes.pixels - (sizes.blocks - 1) * BLOCK_P
    means, squares = moments.unbind(2)                                                  # (edges, blocks, C)
    mean = (means * members).sum(1) / sizes.pixels
    variance = (squares.sum(1) + ((means - mean[:, None]).square() * members).sum(1)) / sizes.pixels
    is_conv = _is_conv(index)
    return torch.where(is_conv, mean, 0.0), torch.where(is_conv, (variance + EPSILON).rsqrt(), 1.0)


def _norm_factors(weight: Tensor, mean: Tensor, inverse_std: Tensor, total: Tensor, along: Tensor, index: Tensor,
                  sizes: _Sizes) -> Tensor:
    """Backward pass of weight * batch norm as factors of the gradient, of z and of 1: (edges, 3, C)."""
    first = weight * inverse_std
    second = torch.where(_is_conv(index), -first * inverse_std * along / sizes.pixels, 0.0)
    third = torch.where(_is_conv(index), -first * total / sizes.pixels - second * mean, 0.0)
    return torch.stack([first, second, third], 1).contiguous()


def _to_input(ends: Sequence[Tensor], pointwise: Tensor, spatial: Tensor, sizes: _Sizes) -> Tensor:
    out = torch.empty_like(ends[2])
    passes.to_input[(sizes.blocks,)](*ends, pointwise, spatial, out, sizes.pixels, sizes.height, sizes.width, sizes.channels,
                                     BLOCK_P=BLOCK_P, BLOCK_C=sizes.block_c)
    return out.permute(0, 3, 1, 2)


def _to_kernels(ends: Sequence[Tensor], sizes: _Sizes) -> tuple[Tensor, Tensor]:
    """Gradients of the 1x1 and of the 3x3 kernel, one of them (or both) zeros."""
    splits, channels = min(SPLITS, sizes.blocks), sizes.channels
    parts = torch.zeros(splits, 9, channels, channels, device=ends[0].device)
    passes.to_weight[(splits, 9)](*ends, parts, sizes.pixels, sizes.height, sizes.width, channels,
                                  triton.cdiv(sizes.blocks, splits), BLOCK_P=BLOCK_P, BLOCK_C=sizes.block_c)
    found = parts.sum(0)                                                                # (9, C_out, C_in)
    choice = ends[3][0]
    pointwise = torch.where(choice == 2, found[4], 0.0)[:, :, None, None]
    spatial = torch.where(choice == 3, found, 0.0).permute(1, 2, 0).reshape(channels, channels, 3, 3)
    return pointwise, spatial


def largest_error(device: torch.device) -> float:
    """Of output and gradients of small nodes with every candidate, beside `plain_node` in float64; relative."""
    generator, worst = torch.Generator().manual_seed(0), 0.0
    for choices in ((3, 2, 4), (1, 0, 3)):
        shapes = [(2, 8, 5, 7)] * 3 + [(8, 8, 1, 1)] * 3 + [(8, 8, 3, 3)] * 3
        values = [torch.randn(shape, generator=generator).to(device) for shape in shapes]
        index, weights = torch.tensor(choices, device=device), torch.linspace(0.5, 1.5, 3, device=device)
        slope, found = torch.randn(shapes[0], generator=generator).to(device), []
        for function, dtype in ((sampled_node, torch.float32), (plain_node, torch.float64)):
            given = [value.to(dtype).clone().requires_grad_() for value in (weights, *values)]
            out = function(given[1:4], index, given[0], given[4:7], given[7:])
            grads = torch.autograd.grad(out, given, slope.to(dtype), allow_unused=True)
            found.append([out.detach(), *(torch.zeros_like(one) if grad is None else grad
                                          for one, grad in zip(given, grads, strict=True))])
        for here, there in zip(*found, strict=True):
            scale = max(there.abs().max().item(), 1e-6)
            worst = max(worst, (here.double() - there).abs().max().item() / scale)
    return worst
