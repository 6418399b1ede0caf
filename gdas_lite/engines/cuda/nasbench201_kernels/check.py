"""The kernels of a search cell beside their plain twin in double precision, on the device at hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ..proving import relative
from .cell import search_cell
from .eager import plain_cell

DRAWS = ([3, 2, 4, 1, 3, 0], None)      # drawn columns; None: all run
SHAPE = (2, 12, 6, 7)                   # two blocks of pixels, the second not full; channels that need padding
NAMES = ("output", "mean", "variance", "input", "weights", "pointwise", "spatial")
Values = Sequence[Tensor]               # the input, the weights of the mixture, twelve kernels


def largest_error(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """Of output, statistics and gradients of small cells."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        return max(error for draw in DRAWS for error in errors(draw, SHAPE, device, dtype).values())


def errors(draw: list[int] | None, shape: tuple[int, int, int, int], device: torch.device, dtype: torch.dtype = torch.float32,
           adds_unsampled: bool = True, seed: int = 0, level: float = 0.3) -> dict[str, float]:
    """Relative errors of each result of a cell with random inputs. draw: (6,) columns, None for all candidates. level: the mean
    of the input, whose deviation is 1.

    In bfloat16 the twin rounds where the kernels do, so that what is seen is theirs.
    """
    index, adds_unsampled = _index(draw, device), adds_unsampled and draw is not None
    values, noise = _example(shape, device, dtype, seed, level)
    plain = partial(plain_cell, stores=None if dtype == torch.float32 else dtype)
    wanted, slope = _exactly(plain, values, noise, index, adds_unsampled)
    found = _results(search_cell, values, slope, index, adds_unsampled)
    return dict(zip(NAMES, map(relative, found, wanted), strict=True))


def beside_autocast(draw: list[int] | None, shape: tuple[int, int, int, int], device: torch.device, seed: int = 0
                    ) -> dict[str, tuple[float, float]]:
    """What bfloat16 costs: relative errors of the kernels, and of the plain cell under autocast, beside double precision."""
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

    values = [(noise(*shape) + level).to(dtype), 1 + 0.3 * noise(6, 5), *(noise(channels, channels, 1, 1) for _ in range(6)),
              *(0.3 * noise(channels, channels, 3, 3) for _ in range(6))]
    return values, noise(*shape)


def _exactly(plain: Callable, values: Values, noise: Tensor, index: Tensor | None, adds_unsampled: bool
             ) -> tuple[list[Tensor], Tensor]:
    """The results in double precision, and the gradient of the output that they were asked for."""
    exact = [value.double() for value in values]
    out, _ = plain(exact[0], exact[1], index, exact[2:8], exact[8:], adds_unsampled)
    slope = (noise + out).to(values[0].dtype)           # so that products with the output do not cancel out
    return _results(plain, exact, slope, index, adds_unsampled), slope


def _results(function: Callable, values: Values, slope: Tensor, index: Tensor | None, adds_unsampled: bool) -> list[Tensor]:
    """Output, moments and gradients, in the order of NAMES."""
    given = [value.clone().requires_grad_() for value in values]
    out, moments = function(given[0], given[1], index, given[2:8], given[8:], adds_unsampled)
    grads = torch.autograd.grad(out, given, slope.to(out.dtype))
    assert not any(one.requires_grad for one in moments)
    return [out.detach(), *moments, *grads[:2], torch.stack(grads[2:8]), torch.stack(grads[8:])]
