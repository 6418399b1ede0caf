"""What a network costs: weights, and multiply-adds of one image.

Multiply-adds count convolutions and linear layers in evaluation mode, as the GDAS and DARTS papers do: no bias
additions, batch norm, pooling or activations. "x+" and "multiply-adds" in papers are this quantity, not twice it.
"""

import copy
import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from .schema import check, check_has
from .shapes import PIXELS


@dataclass(frozen=True)
class Cost:
    """parameters: weights, frozen ones too, a number. multiply_adds: of one image of the stated size, a number.

    live: the same without the operations that do not reach the cell's output; None where the space has no such cells.
    """

    parameters: int
    multiply_adds: int
    live: Self | None = None

    def __str__(self) -> str:
        whole = f"{self.parameters:,} parameters, {self.multiply_adds:,} multiply-adds"
        is_less = self.live is not None and self.live != Cost(self.parameters, self.multiply_adds)
        return f"{whole}; live: {self.live}" if is_less else whole


def count_parameters(network: nn.Module) -> int:
    """Returns the number of elements of all weights, frozen ones too; running estimates of a batch norm are none."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: nn.Module, input_shape: tuple[int, ...], *arguments: object) -> int:
    """Returns the multiply-adds of one sample, counted by running a copy without memory (the "meta" device).

    input_shape: of one sample, e.g. (3, 32, 32). arguments: what else the network's forward takes.
    Raises what the network does for inputs of another shape than it takes.
    """
    check(input_shape, [PIXELS], "input_shape")
    on_meta = copy.deepcopy(network).to("meta").eval()
    vars(on_meta).pop("run_cell", None)     # an engine's functions would not tell of the layers that they stand for
    counted = [0]

    def count(layer: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        per_output = math.prod(layer.weight.shape[1:])      # channels in (per group) x kernel; linear: features in
        counted[0] += output[0].numel() * per_output

    for layer in on_meta.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
        elif isinstance(layer, nn.BatchNorm2d):     # counts nothing, and is what takes the time on "meta"
            layer.forward = lambda x: x
    with torch.no_grad():
        on_meta(torch.empty(1, *input_shape, device="meta"), *arguments)
    return counted[0]


def cost_of(network: nn.Module, input_shape: tuple[int, ...]) -> Cost:
    """Returns parameters and multiply-adds of a network for one image of shape (channels, height, width).

    Of a NAS-Bench-201 network also those of the operations that reach the output of its cell (`genotype.live`). Raises
    ValueError for what is no network and a shape that no image has, else as `multiply_adds`.
    """
    check(input_shape, [PIXELS, 3], "input_shape")
    check_has(network, "parameters", "network", "what gl.network returns")
    live, genotype = None, getattr(network, "genotype", None)
    if hasattr(genotype, "live"):
        with torch.device("meta"):
            alive = type(network)(genotype.live, **network.settings)
        live = Cost(count_parameters(alive), multiply_adds(alive, input_shape))
    return Cost(count_parameters(network), multiply_adds(network, input_shape), live)
