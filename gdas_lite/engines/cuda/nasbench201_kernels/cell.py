"""A NAS-Bench-201 search cell as one differentiable function of Triton kernels: some ten launches forward, a dozen
backward.

node = sum over incoming edges and what runs on them of weight * candidate(source), batch norms by the batch's
statistics. One candidate an edge, drawn on the device, or all four. The host never learns what was drawn. The plain
twin is `eager.plain_cell`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
import triton
from torch import Tensor

from . import backward, forward
from .eager import EPSILON, Moments

BLOCK_N = 64            # blocks at a time, in sums over blocks
SPLITS = 32             # of the pixels at most, in the sums over them that give a weight's gradient
LARGEST = 128           # channels
EDGES, OUTPUT = 6, 3
FUSES = {"enable_fp_fusion": True}      # a * b + c may be rounded once


def search_cell(x: Tensor, weights: Tensor, index: Tensor | None, pointwise: Sequence[Tensor],
                spatial: Sequence[Tensor], adds_unsampled: bool = False) -> tuple[Tensor, Moments]:
    """Returns the cell's output (B, C, H, W), channels_last, of x's type: float32, or bfloat16 with sums in float32;
    and what its batch norms found.

    x: (B, C, H, W), at most 128 channels. weights: (6, 5), of the candidates. index: (6,) int64, the drawn columns;
    None: all run. pointwise, spatial: each edge's kernels, (C, C, 1, 1) and (C, C, 3, 3); those not drawn get gradients
    of zeros. adds_unsampled: gradient variant N (see relaxation.gumbel_mixture). Products are in TF32 where PyTorch's
    convolutions are (torch.backends.cudnn.allow_tf32). Raises ValueError for more channels.
    """
    if x.shape[1] > LARGEST:
        raise ValueError(f"a search cell of Triton kernels has at most {LARGEST} channels, here are {x.shape[1]}")
    out, mean, variance = _Cell.apply(x, weights, index, adds_unsampled, *pointwise, *spatial)
    return out, Moments(mean, variance)


class Sizes(NamedTuple):
    """Of a cell's maps, and of what a program works on: block_p pixels, block_c channels."""

    pixels: int
    height: int
    width: int
    channels: int
    blocks: int
    slots: int
    block_p: int
    block_c: int

    @classmethod
    def of(cls, rows: Tensor, slots: int) -> Sizes:
        _, height, width, channels = rows.shape
        pixels, block_c = rows.numel() // channels, max(16, triton.next_power_of_2(channels))
        block_p = 64 if block_c <= 64 else 32
        return cls(pixels, height, width, channels, triton.cdiv(pixels, block_p), slots, block_p, block_c)

    @property
    def image(self) -> tuple[int, int, int, int]:
        return self.pixels, self.height, self.width, self.channels

    @property
    def blocking(self) -> dict[str, int]:
        """With these warps and stages nothing spills on sm_90 in TF32, and 82 KB of shared memory are enough."""
        return {"BLOCK_P": self.block_p, "BLOCK_C": self.block_c, **FUSES,
                **({"num_warps": 4, "num_stages": 2} if self.block_c <= 32 else {"num_warps": 8, "num_stages": 1})}


class _Cell(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x: Tensor, weights: Tensor, index: Tensor | None, adds_unsampled: bool, *kernels: Tensor
                ) -> tuple[Tensor, Tensor, Tensor]:
        slots = 4 if index is None else 1
        choice = _all_candidates(x.device) if index is None else index
        scales = (weights[:, 1:] if index is None else weights.gather(1, index[:, None])).float().reshape(-1)
        source, sizes = _rows(x), Sizes.of(_rows(x), slots)
        stacks = _stacked(kernels[:EDGES], x.dtype), _stacked(kernels[EDGES:], x.dtype)
        nodes = [source, *(torch.empty_like(source) for _ in range(OUTPUT))]
        z, mean, variance = _run_forward(nodes, choice, scales, stacks, sizes)
        ctx.sizes, ctx.adds_unsampled, ctx.precision = sizes, adds_unsampled, _precision(source)
        ctx.draws, ctx.layouts = index is not None, [(kernel.stride(), kernel.dtype) for kernel in kernels]
        ctx.save_for_backward(choice, weights, scales, z, mean, variance, *stacks, *nodes[:OUTPUT])
        found = mean.view(EDGES, slots, -1), variance.view(EDGES, slots, -1)
        ctx.mark_non_differentiable(*found)
        return nodes[OUTPUT].permute(0, 3, 1, 2), *found

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        choice, weights, scales, z, mean, variance, narrow, wide, *nodes = ctx.saved_tensors
        sizes, learns = ctx.sizes, any(ctx.needs_input_grad[4:])
        grads = torch.empty(OUTPUT, *nodes[0].shape, dtype=z.dtype, device=z.device)
        grads[-1].copy_(grad.permute(0, 2, 3, 1))
        run = _Backward(sizes, ctx.precision, choice, scales, z, mean, variance, narrow, wide, grads, nodes)
        of_input, of_weights = run.to_nodes(needs_input=ctx.needs_input_grad[0])
        of_kernels = _as_given(*run.to_kernels(), ctx.layouts) if learns else [None] * 2 * EDGES
        of_mixture = None
        if ctx.needs_input_grad[1]:
            of_mixture = _of_mixture(of_weights, weights, choice if ctx.draws else None, ctx.adds_unsampled)
        return (None if of_input is None else of_input.permute(0, 3, 1, 2), of_mixture, None, None, *of_kernels)


def _run_forward(nodes: list[Tensor], choice: Tensor, scales: Tensor, stacks: tuple[Tensor, Tensor], sizes: Sizes
                 ) -> tuple[Tensor, Tensor, Tensor]:
    """Fills the nodes behind the first. Returns z (terms, pixels, C), mean and variance (terms, C)."""
    terms, slots, precision = EDGES * sizes.slots, sizes.slots, _precision(nodes[0])
    z = nodes[0].new_empty(terms, sizes.pixels, sizes.channels)
    moments = scales.new_empty(terms, sizes.blocks, 2, sizes.channels)
    mean, variance, scale = (scales.new_empty(terms, sizes.channels) for _ in range(3))
    for src in range(OUTPUT):
        edges = OUTPUT - src
        if slots == 1:
            forward.drawn_terms[(sizes.blocks, edges)](
                nodes[src], z, scale, mean, choice, *stacks, moments, *sizes.image, sizes.blocks, src=src,
                IS_STORED=src == 0, PRECISION=precision, **sizes.blocking)
        else:
            forward.all_terms[(sizes.blocks, edges)](nodes[src], z, *stacks, moments, *sizes.image, sizes.blocks,
                                                     src=src, PRECISION=precision, **sizes.blocking)
        forward.statistics[(edges * slots,)](
            moments, choice, scales, mean, variance, scale, sizes.pixels, sizes.channels, sizes.blocks, EPSILON,
            src=src, SLOTS=slots, BLOCK_P=sizes.block_p, BLOCK_N=BLOCK_N, BLOCK_C=sizes.block_c, **FUSES)
        if slots > 1 or src + 1 == OUTPUT:          # else the next launch sums the node up on the way
            forward.combine[(sizes.blocks,)](z, scale, mean, choice, nodes[src + 1], sizes.pixels, sizes.channels,
                                             dst=src + 1, SLOTS=slots, **sizes.blocking)
    return z, mean, variance


class _Backward:
    """The backward pass of a cell. grads: (3, pixels, C), the output's filled in. nodes: the others' values."""

    def __init__(self, sizes: Sizes, precision: str, choice: Tensor, scales: Tensor, z: Tensor, mean: Tensor,
                 variance: Tensor, narrow: Tensor, wide: Tensor, grads: Tensor, nodes: Sequence[Tensor]) -> None:
        self._sizes, self._choice, self._scales = sizes, choice, scales
        self._z, self._grads, self._nodes = z, grads, nodes
        self._norms, self._stacks = (mean, variance), (narrow, wide)
        self._sums = scales.new_empty(len(scales), sizes.blocks, 2, sizes.channels)
        self._factors = scales.new_empty(len(scales), 4, sizes.channels)
        self._of_weights = scales.new_empty(len(scales), 2)
        self._options = {"SLOTS": sizes.slots, "PRECISION": precision, **sizes.blocking}

    def to_nodes(self, needs_input: bool) -> tuple[Tensor | None, Tensor]:
        """Returns the gradient of the input, and what `norm_factors` says of the weights. Fills all nodes'
        gradients."""
        sizes, ends, of_input = self._sizes, (self._sizes.blocks, EPSILON), None
        slots, blocking = sizes.slots, sizes.blocking
        backward.project[(sizes.blocks, OUTPUT * slots)](
            self._grads[-1], self._z, self._choice, *self._norms, self._sums, sizes.pixels, sizes.channels, *ends,
            dst=OUTPUT, SLOTS=slots, **blocking)
        for dst in range(OUTPUT, 0, -1):
            backward.norm_factors[(dst * slots,)](
                self._sums, self._choice, self._scales, *self._norms, self._factors, self._of_weights, sizes.pixels,
                sizes.channels, *ends, dst=dst, SLOTS=slots, BLOCK_N=BLOCK_N, BLOCK_C=sizes.block_c, **FUSES)
            src = dst - 1
            if src or needs_input:
                out = self._grads[src - 1] if src else torch.empty_like(self._nodes[0])
                backward.to_node[(sizes.blocks,)](
                    self._nodes[src], self._grads, self._z, self._choice, self._factors, *self._stacks, *self._norms,
                    out, self._sums, *sizes.image, *ends, src=src, **self._options)
                of_input = out
        return of_input if needs_input else None, self._of_weights

    def to_kernels(self) -> tuple[Tensor, Tensor]:
        """Returns gradients of the stacks: (6, C_out, 1, C_in) and (6, C_out, 9, C_in). After `to_nodes`."""
        sizes, channels = self._sizes, self._sizes.channels
        splits = min(SPLITS, sizes.blocks)
        narrow, wide = (self._scales.new_empty(EDGES, splits, channels, taps, channels) for taps in (1, 9))
        for src, node in enumerate(self._nodes):
            backward.to_weight[(splits, 10, OUTPUT - src)](
                node, self._grads, self._z, self._choice, self._factors, narrow, wide, *sizes.image, splits,
                triton.cdiv(sizes.blocks, splits), src=src, **self._options)
        return narrow.sum(1), wide.sum(1)


def _rows(x: Tensor) -> Tensor:
    """(B, C, H, W) as (B, H, W, C), contiguous; no copy of a channels_last map."""
    return x.detach().permute(0, 2, 3, 1).contiguous()


def _stacked(kernels: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Kernels (C_out, C_in, k, k) as one (6, C_out, k * k, C_in)."""
    return torch.stack([kernel.detach().permute(0, 2, 3, 1) for kernel in kernels]).flatten(2, 3).to(dtype)


def _as_given(narrow: Tensor, wide: Tensor, layouts: Sequence[tuple[tuple[int, ...], torch.dtype]]) -> list[Tensor]:
    """The stacks' gradients as each kernel's, without a copy where kernels are channels_last."""
    channels = narrow.shape[1]
    found = [one.unflatten(1, (3, 3)).permute(0, 3, 1, 2) for one in wide]
    found = [one.reshape(channels, channels, 1, 1) for one in narrow] + found
    return [(one.as_strided(one.shape, strides) if one.shape[2] == 1 else one).to(dtype)
            for one, (strides, dtype) in zip(found, layouts, strict=True)]


def _of_mixture(of_weights: Tensor, weights: Tensor, index: Tensor | None, adds_unsampled: bool) -> Tensor:
    """The gradient of the weights (6, 5) from (terms, 2): a node's gradient summed, and its product with the output."""
    total, along = of_weights.view(EDGES, -1, 2).unbind(-1)                     # (edges, slots)
    found = along.new_zeros(weights.shape)
    if index is None:
        found[:, 1:] = along
    else:
        found += total if adds_unsampled else 0
        found.scatter_(1, index[:, None], along)
    return found.to(weights.dtype)


def _precision(maps: Tensor) -> str:
    if not maps.is_cuda:        # Triton's interpreter cannot multiply bfloat16
        return "ieee"
    if maps.dtype == torch.bfloat16:
        return "bf16"
    return "tf32" if torch.backends.cudnn.allow_tf32 else "ieee"


@lru_cache(maxsize=8)
def _all_candidates(device: torch.device) -> Tensor:
    return torch.arange(1, 5, device=device).repeat(EDGES)
