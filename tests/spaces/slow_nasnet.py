"""The NASNet space's operations and cells from their definitions: slow, tap by tap, batch statistics, no shared work.

Weights are read from the package's modules; nothing else of them is used.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

OPS = ("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3",
       "dil_conv_5x5")
EDGES = ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3), (0, 4), (1, 4), (2, 4), (3, 4), (0, 5), (1, 5), (2, 5), (3, 5), (4, 5))


def slow_conv(x: Tensor, weight: Tensor, stride: tuple[int, int] = (1, 1), dilation: int = 1, groups: int = 1,
              bias: Tensor | None = None) -> Tensor:
    """out[b, o, y, x] = sum over taps and input channels, written out; zeros outside the image."""
    channels_out, per_group, height, width = weight.shape
    rows, columns = dilation * (height - 1) // 2, dilation * (width - 1) // 2
    padded = F.pad(x, (columns, columns, rows, rows))
    total: Tensor | float = 0.0
    for i in range(height):
        for j in range(width):
            shifted = padded[:, :, i * dilation:, j * dilation:][:, :, :x.shape[2]:stride[0], :x.shape[3]:stride[1]]
            parts = shifted.split(per_group, 1)
            outs = weight[:, :, i, j].split(channels_out // groups, 0)
            total = total + torch.cat([torch.einsum("bchw,oc->bohw", part, out) for part, out in zip(parts, outs)], 1)
    return total if bias is None else total + bias[:, None, None]


def slow_norm(x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
    out = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
    return out if scale is None else out * scale[:, None, None] + shift[:, None, None]


def slow_unit(x: Tensor, unit, stride: int, dilation: int) -> Tensor:
    depth = slow_conv(x.clamp_min(0), unit.depthwise.weight, (stride, stride), dilation, groups=x.shape[1])
    point = slow_conv(depth, unit.pointwise.weight, bias=unit.pointwise.bias)
    return slow_norm(point, unit.norm.weight, unit.norm.bias)


def slow_reduction(x: Tensor, module) -> Tensor:
    x = x.clamp_min(0)
    shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
    even = slow_conv(x, module.even.weight, (2, 2), bias=module.even.bias)
    odd = slow_conv(shifted, module.odd.weight, (2, 2), bias=module.odd.bias)
    return slow_norm(torch.cat([even, odd], 1), module.norm.weight, module.norm.bias)


def slow_pool(name: str, x: Tensor, stride: int) -> Tensor:
    """Over the pixels of the 3x3 neighbourhood that lie inside the image."""
    height, width = x.shape[2:]
    def pixel(i: int, j: int) -> Tensor:
        window = x[:, :, max(0, i - 1):i + 2, max(0, j - 1):j + 2]
        return window.amax((2, 3)) if name == "max_pool_3x3" else window.mean((2, 3))

    return torch.stack([torch.stack([pixel(i, j) for j in range(0, width, stride)], -1) for i in range(0, height, stride)], -2)


def slow_rectangular(x: Tensor, module, stride: int) -> Tensor:
    along_row = slow_conv(x.clamp_min(0), module.along_row.weight, (1, stride))
    along_column = slow_conv(along_row, module.along_column.weight, (stride, 1), bias=module.along_column.bias)
    return slow_norm(along_column, module.norm.weight, module.norm.bias)


def slow_operation(name: str, x: Tensor, module, stride: int, pool_norm: bool) -> Tensor:
    if name == "none":
        return x[:, :, ::stride, ::stride] * 0
    if name.endswith("pool_3x3"):
        pooled = slow_pool(name, x, stride)
        return slow_norm(pooled) if pool_norm else pooled
    if name == "skip_connect":
        return x if stride == 1 else slow_reduction(x, module)
    if name in ("conv_7x1_1x7", "conv_3x1_1x3"):
        return slow_rectangular(x, module, stride)
    if name.startswith("dil"):
        return slow_unit(x, module, stride, 2)
    return slow_unit(slow_unit(x, module.first, stride, 1), module.second, 1, 1)


def slow_relu_conv_norm(x: Tensor, module) -> Tensor:
    return slow_norm(slow_conv(x.clamp_min(0), module.conv.weight, bias=module.conv.bias), module.norm.weight,
                     module.norm.bias)


def slow_inputs(older: Tensor, newer: Tensor, inputs) -> list[Tensor]:
    first = slow_reduction(older, inputs.older) if hasattr(inputs.older, "even") else \
        slow_relu_conv_norm(older, inputs.older)
    return [first, slow_relu_conv_norm(newer, inputs.newer)]


def slow_search_cell(cell, older: Tensor, newer: Tensor, mixture, pool_norm: bool) -> Tensor:
    """Every edge with its own operations; variant N adds the scalars that were not drawn."""
    nodes = slow_inputs(older, newer, cell.inputs)
    for node in (2, 3, 4, 5):
        total: Tensor | float = 0.0
        for row, (src, dst) in enumerate(EDGES):
            if dst != node:
                continue
            stride = 2 if cell.is_reduction and src < 2 else 1
            for column, name in enumerate(OPS):
                if column in mixture.active[row]:
                    out = slow_operation(name, nodes[src], cell.edges[row][column], stride, pool_norm)
                    total = total + mixture.weights[row, column] * out
                elif mixture.adds_unsampled:
                    total = total + mixture.weights[row, column]
        nodes.append(total)
    return torch.cat(nodes[2:], 1)
