"""The kernels of a search cell beside their plain twin in double precision, on the device at hand."""

from __future__ import annotations

import torch
from torch import Tensor

from .cell import search_cell
from .plain import plain_cell

DRAWS = ([3, 2, 4, 1, 3, 0], None)      # drawn columns; None: all run
SHAPE = (2, 12, 6, 7)                   # two blocks of pixels, the second not full; channels that need padding


def largest_error(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """Of output, statistics and gradients of small cells; relative to the largest value of each."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        return max(error for draw in DRAWS for error in errors(draw, SHAPE, device, dtype).values())


def errors(draw: list[int] | None, shape: tuple[int, int, int, int], device: torch.device, dtype: torch.dtype = torch.float32,
           adds_undrawn: bool = True) -> dict[str, float]:
    """Relative errors of each result of a cell with random inputs. draw: (6,) columns, None for all candidates."""
    generator, channels = torch.Generator().manual_seed(shape[1]), shape[1]

    def noise(*size: int) -> Tensor:
        value = torch.randn(size, generator=generator).to(device)
        return value.to(memory_format=torch.channels_last) if value.ndim == 4 else value

    values = [(noise(*shape) + 0.3).to(dtype), 1 + 0.3 * noise(6, 5), *(noise(channels, channels, 1, 1) for _ in range(6)),
              *(0.3 * noise(channels, channels, 3, 3) for _ in range(6))]
    index = None if draw is None else torch.tensor(draw, device=device)
    slope, results = noise(*shape), []
    for function, exact in ((plain_cell, True), (search_cell, False)):
        given = [(value.double() if exact else value).clone().requires_grad_() for value in values]
        out, moments = function(given[0], given[1], index, given[2:8], given[8:], adds_undrawn and draw is not None)
        if exact:
            slope = (slope + out.detach()).to(dtype)        # so that products with the output do not cancel out
        grads = torch.autograd.grad(out, given, slope.to(out.dtype))
        assert not any(one.requires_grad for one in moments)
        results.append([out, *moments, *grads[:2], torch.stack(grads[2:8]), torch.stack(grads[8:])])
    names = ("output", "mean", "variance", "input", "weights", "pointwise", "spatial")
    return {name: relative(found, wanted) for name, wanted, found in zip(names, *results, strict=True)}


def relative(found: Tensor, wanted: Tensor) -> float:
    """Largest difference over the largest value."""
    difference = (found.double() - wanted.double()).abs().max().item()
    return difference / max(wanted.double().abs().max().item(), 1e-6) if difference else 0.0
