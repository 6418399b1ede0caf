"""A small NAS-Bench-201 network in compiled loops, for one size of batch: all but its cells."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from torch import nn

from ....spaces.nasbench201 import ResidualBlock, Skeleton
from ..nasbench201 import Plan
from . import loops
from .flat import FlatParameters
from .layers import Add, Conv1, Conv3, Head, Map, Norm, Pool, StridedConv3


class Part(Protocol):
    """A piece of a network with its maps. is_search_cell: whether a plan says what runs in it."""

    is_search_cell: bool

    def forward(self, plan: Plan | None, is_training: bool) -> None: ...

    def backward(self, plan: Plan | None, of_mixture: np.ndarray | None, learns: bool, needs_input: bool) -> None: ...


class Pass:
    """A network for square images of `side` pixels and batches of `count`. cell: makes a cell's part and its output."""

    def __init__(self, network: Skeleton, side: int, count: int, flat: FlatParameters,
                 cell: Callable[[Map, Any, FlatParameters], tuple[Part, Map]]) -> None:
        self._flat, self._images = flat, Map(network.stem[0].in_channels, side, count)
        stem = Layers(flat)
        x = stem.norm(stem.conv(self._images, network.stem[0], rectifies=False, needs_input=False), network.stem[1])
        self._parts: list[Part] = [stem]
        for index, stage in enumerate(network.stages):
            if index:
                self._parts.append(block := Layers(flat))
                x = block.residual(x, network.reductions[index - 1])
            for module in stage:
                part, x = cell(x, module, flat)
                self._parts.append(part)
        self._parts.append(last := Layers(flat))
        x, linear = last.norm(x, network.last_norm), network.classifier
        weight, to_weight = flat.views(linear.weight, *linear.weight.shape)
        bias, to_bias = flat.views(linear.bias, -1)
        self._head = Head(x, weight, bias, to_weight, to_bias)
        self._head_params = flat.places(linear.weight, linear.bias)

    def forward(self, x: np.ndarray, labels: np.ndarray, plan: Plan | None = None, is_training: bool = True
                ) -> tuple[float, int]:
        """Returns the sum of the cross entropies and how many were right. x: (channels * side * side, count)."""
        self._images.values[:] = x.reshape(-1)
        for part in self._parts:
            part.forward(plan, is_training)
        return self._head.forward(labels)

    def backward(self, labels: np.ndarray, plan: Plan | None = None, of_mixture: np.ndarray | None = None,
                 learns: bool = True) -> None:
        """Adds the mean loss' gradients: of the weights to the flat ones if it learns, of a mixture to `of_mixture`."""
        self._head.backward(labels, learns)
        self._flat.reached[self._head_params] |= learns
        for part in reversed(self._parts):
            is_last = part.is_search_cell and (not plan.reaches_input or (part is self._parts[1] and not learns))
            part.backward(plan, of_mixture, learns, not is_last)
            if is_last:
                return


class Layers:
    """Layers that always run, with their maps and parameters."""

    is_search_cell = False

    def __init__(self, flat: FlatParameters) -> None:
        self._flat, self._maps, self._layers = flat, [], []
        self._params: list[np.ndarray] = []
        self._counters: list[np.ndarray] = []

    def forward(self, _plan: Plan | None, is_training: bool) -> None:
        for one in self._maps:
            one.clear()
        for layer in self._layers:
            layer.forward(is_training)
        for counter in self._counters:
            counter += is_training

    def backward(self, _plan: Plan | None, _of_mixture: np.ndarray | None, learns: bool, _needs_input: bool) -> None:
        for layer in reversed(self._layers):
            layer.backward(learns)
        for places in self._params:
            self._flat.reached[places] |= learns

    def map(self, channels: int, side: int, count: int) -> Map:
        """Returns a new map, which a forward pass fills with zeros first."""
        self._maps.append(Map(channels, side, count))
        return self._maps[-1]

    def add(self, layer: Any) -> None:
        """Appends a layer between maps, without parameters."""
        self._layers.append(layer)

    def conv(self, source: Map, conv: nn.Conv2d, rectifies: bool, needs_input: bool = True) -> Map:
        stride, outputs = conv.stride[0], conv.out_channels
        target = self.map(outputs, source.side // stride, source.count)
        if conv.kernel_size[0] == 3:
            weights = self._flat.views(conv.weight, outputs, source.channels, 9)
            self.add(StridedConv3(source, target, *weights) if stride == 2 else
                     Conv3(source, target, *weights, rectifies, needs_input))
        else:
            self.add(Conv1(source, target, *self._flat.views(conv.weight, outputs, source.channels), rectifies))
        self._params.append(self._flat.places(conv.weight))
        return target

    def norm(self, source: Map, norm: nn.BatchNorm2d, target: Map | None = None) -> Map:
        target = self.map(source.channels, source.side, source.count) if target is None else target
        (gamma, to_gamma), (beta, to_beta) = (self._flat.views(param, -1) for param in (norm.weight, norm.bias))
        self.add(Norm(source, target, gamma, beta, to_gamma, to_beta, norm.running_mean.numpy(),
                      norm.running_var.numpy()))
        self._params.append(self._flat.places(norm.weight, norm.bias))
        self._counters.append(norm.num_batches_tracked.numpy())
        return target

    def residual(self, source: Map, block: ResidualBlock) -> Map:
        out = self.norm(self.conv(source, block.conv_a, rectifies=True), block.norm_a)
        out = self.norm(self.conv(out, block.conv_b, rectifies=True), block.norm_b)
        half = self.map(source.channels, source.side // 2, source.count)
        self.add(Pool(loops.pool2, source, half))
        self.add(Add(self.conv(half, block.shortcut, rectifies=False), out))
        return out
