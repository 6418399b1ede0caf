"""The Triton kernels of a NAS-Bench-201 search cell beside their plain twin in double precision, on the device at
hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from gdas_lite.engines.cuda.nasbench201_kernels.cell import search_cell
from gdas_lite.engines.cuda.nasbench201_kernels.eager import EPSILON, NODES, Moments, plain_cell
from gdas_lite.engines.cuda.selftest import relative
from tests.engines.stored import stored

DRAWS = ([3, 2, 4, 1, 3, 0], None)      # drawn columns; None: all run
SHAPE = (2, 12, 6, 7)                   # two blocks of pixels, the second not full; channels that need padding
NAMES = ("output", "mean", "variance", "input", "weights", "pointwise", "spatial")
Values = Sequence[Tensor]               # the input, the weights of the mixture, twelve kernels


def errors(draw: list[int] | None, shape: tuple[int, int, int, int], device: torch.device,
           dtype: torch.dtype = torch.float32,
           adds_unsampled: bool = True, seed: int = 0, level: float = 0.3) -> dict[str, float]:
    """Relative errors of each result of a cell with random inputs. draw: (6,) columns, None for all candidates. level:
    the mean of the input, whose deviation is 1.

    In bfloat16 the twin rounds where the kernels do, so that what is seen is theirs.
    """
    index, adds_unsampled = _index(draw, device), adds_unsampled and draw is not None
    values, noise = _example(shape, device, dtype, seed, level)
    plain = plain_cell if dtype == torch.float32 else partial(storing_cell, stores=dtype)
    wanted, slope = _exactly(plain, values, noise, index, adds_unsampled)
    found = _results(search_cell, values, slope, index, adds_unsampled)
    return dict(zip(NAMES, map(relative, found, wanted), strict=True))


def beside_autocast(draw: list[int] | None, shape: tuple[int, int, int, int], device: torch.device, seed: int = 0
                    ) -> dict[str, tuple[float, float]]:
    """What bfloat16 costs: relative errors of the kernels, and of the plain cell under autocast, beside double
    precision."""
    index, (values, noise) = _index(draw, device), _example(shape, device, torch.bfloat16, seed, 0.3)
    wanted, slope = _exactly(plain_cell, values, noise, index, False)
    found = _results(search_cell, values, slope, index, False)
    with torch.autocast(device.type, torch.bfloat16):
        usual = _results(plain_cell, values, slope, index, False)
    return {name: (relative(ours, exact), relative(theirs, exact))
            for name, ours, theirs, exact in zip(NAMES, found, usual, wanted, strict=True)}


def _index(draw: list[int] | None, device: torch.device) -> Tensor | None:
    return None if draw is None else torch.tensor(draw, device=device)


def _example(shape: tuple[int, int, int, int], device: torch.device, dtype: torch.dtype, seed: int, level: float
             ) -> tuple[Values, Tensor]:
    """The values, and noise of the output's shape."""
    generator, channels = torch.Generator().manual_seed(shape[1] + 1000 * seed), shape[1]

    def noise(*size: int) -> Tensor:
        value = torch.randn(size, generator=generator).to(device)
        return value.to(memory_format=torch.channels_last) if value.ndim == 4 else value

    values = [(noise(*shape) + level).to(dtype), 1 + 0.3 * noise(6, 5),
              *(noise(channels, channels, 1, 1) for _ in range(6)),
              *(0.3 * noise(channels, channels, 3, 3) for _ in range(6))]
    return values, noise(*shape)


def _exactly(plain: Callable, values: Values, noise: Tensor, index: Tensor | None, adds_unsampled: bool
             ) -> tuple[list[Tensor], Tensor]:
    """The results in double precision, and the gradient of the output that they were asked for."""
    exact = [value.double() for value in values]
    out, _ = plain(exact[0], exact[1], index, exact[2:8], exact[8:], adds_unsampled)
    slope = (noise + out).to(values[0].dtype)           # so that products with the output do not cancel out
    return _results(plain, exact, slope, index, adds_unsampled), slope


def _results(function: Callable, values: Values, slope: Tensor, index: Tensor | None,
             adds_unsampled: bool) -> list[Tensor]:
    """Output, moments and gradients, in the order of NAMES."""
    given = [value.clone().requires_grad_() for value in values]
    out, moments = function(given[0], given[1], index, given[2:8], given[8:], adds_unsampled)
    grads = torch.autograd.grad(out, given, slope.to(out.dtype))
    assert not any(one.requires_grad for one in moments)
    return [out.detach(), *moments, *grads[:2], torch.stack(grads[2:8]), torch.stack(grads[8:])]


def storing_cell(x: Tensor, weights: Tensor, index: Tensor | None, pointwise: Sequence[Tensor],
                 spatial: Sequence[Tensor],
               adds_unsampled: bool = False, stores: torch.dtype | None = None) -> tuple[Tensor, Moments]:
    """As `eager.plain_cell`. Every candidate is computed; of those not drawn a gradient of zeros comes.

    stores: a type to which maps, kernels and gradients are rounded where the Triton kernels round them.
    """
    nodes, means, variances = [stored(x, stores)], [], []
    pointwise, spatial = ([stored(kernel, stores, gradient=False) for kernel in kernels]
                          for kernels in (pointwise, spatial))
    for dst in range(1, NODES):
        total = torch.zeros_like(x)
        for src in range(dst):
            edge = dst * (dst - 1) // 2 + src
            outputs, mean, variance = _candidates(nodes[src], pointwise[edge], spatial[edge], stores)
            runs = slice(1, None) if index is None else index[edge:edge + 1]
            weight = weights[edge][runs] if index is None else weights[edge].gather(0, runs)
            outputs = outputs[runs] if index is None else outputs.index_select(0, runs)
            total = total + (weight[:, None, None, None, None] * outputs).sum(0)
            if adds_unsampled and index is not None:
                unsampled = weights[edge].sum() - weight.sum()
                total = total + (unsampled - unsampled.detach())        # 0 in value: only the gradient differs
            means.append(mean[runs] if index is None else mean.index_select(0, runs))
            variances.append(variance[runs] if index is None else variance.index_select(0, runs))
        nodes.append(stored(total, stores))
    return nodes[-1], Moments(torch.stack(means), torch.stack(variances))


def _candidates(x: Tensor, pointwise: Tensor, spatial: Tensor, stores: torch.dtype | None
                ) -> tuple[Tensor, Tensor, Tensor]:
    """The five outputs (5, B, C, H, W), and mean and variance (5, C) of what batch norm saw."""
    rectified = F.relu(x)
    narrow, wide = (stored(z, stores) for z in (F.conv2d(rectified, pointwise),
                                                F.conv2d(rectified, spatial, padding=1)))
    pooled = stored(F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False), stores, gradient=False)
    outputs = torch.stack([torch.zeros_like(x), x, _normalised(narrow), _normalised(wide), pooled])
    with torch.no_grad():
        found = [torch.var_mean(z.detach(), (0, 2, 3), correction=0) for z in (narrow, wide)]
        (variance1, mean1), (variance3, mean3) = found
        nothing = torch.zeros_like(mean1)
        return (outputs, torch.stack([nothing, nothing, mean1, mean3, nothing]),
                torch.stack([nothing, nothing, variance1, variance3, nothing]))


def _normalised(z: Tensor) -> Tensor:
    return F.batch_norm(z, None, None, training=True, eps=EPSILON)
