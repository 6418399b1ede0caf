"""A NAS-Bench-201 network of a few channels, trained on the CPU by compiled loops (kernels/small/).

On such networks this is many times as fast as PyTorch a layer at a time, whose cost there is the calls: maps stay in the
processor's cache, and every cell runs by itself. Values agree with PyTorch's up to rounding; sums are taken in another order.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from ....genotypes.notation import NASBENCH201_OPS
from ....spaces.nasbench201 import EDGES, NUM_NODES, Cell, Network, ResidualBlock
from ...layers.cells import useful_nodes
from . import loops
from .layers import Add, Conv1, Conv3, Head, Map, Norm, Pool2, Pool3, StridedConv3


class SmallNetwork:
    """The same network and weights as `network`, for square images of `side` pixels.

    theta, velocity, gradient: (parameters,), in the order of network.parameters(). Raises ValueError unless the side is a
    multiple of 4 (two residual blocks halve the image) and the channels are even.
    """

    def __init__(self, network: Network, side: int) -> None:
        if side < 4 or side % 4:
            raise ValueError(f"the side of the images must be a multiple of 4, got {side}")
        self._network, self._side = network, side
        self._names = {module: name for name, module in network.named_modules()}
        named = list(network.named_parameters())
        self.theta = np.concatenate([values.detach().numpy().reshape(-1) for _, values in named])
        self.velocity, self.gradient = np.zeros_like(self.theta), np.zeros_like(self.theta)
        ends = np.cumsum([values.numel() for _, values in named])
        self._places = {name: slice(end - values.numel(), end) for (name, values), end in zip(named, ends, strict=True)}
        self._estimates = {module: (np.zeros(module.num_features, np.float32), np.ones(module.num_features, np.float32))
                           for module in network.modules() if isinstance(module, nn.BatchNorm2d)}
        self._passes: dict[int, Pass] = {}

    def step(self, x: np.ndarray, labels: np.ndarray, rate: float, momentum: float, decay: float) -> float:
        """One step of SGD with Nesterov momentum; the sum of the images' losses before it. x: (channels*side*side, B)."""
        run = self._pass(len(labels))
        loss, _ = run.forward(x, labels, is_training=True)
        self.gradient.fill(0)
        run.backward(labels)
        loops.nesterov(self.theta, self.velocity, self.gradient, np.float32(rate), np.float32(momentum), np.float32(decay))
        return loss

    def correct(self, x: np.ndarray, labels: np.ndarray) -> int:
        """Correct answers, batch norm by its running estimates."""
        return self._pass(len(labels)).forward(x, labels, is_training=False)[1]

    def _pass(self, count: int) -> Pass:
        if count not in self._passes:
            self._passes[count] = Writer(self, count).passes()
        return self._passes[count]

    def weights(self, module: nn.Module, name: str, *shape: int) -> tuple[np.ndarray, np.ndarray]:
        """A parameter and its gradient, views into theta and gradient."""
        place = self._places[f"{self._names[module]}.{name}"]
        return self.theta[place].reshape(shape), self.gradient[place].reshape(shape)


class Pass:
    """All layers of a network for one size of batch. maps: the first takes the images."""

    def __init__(self, maps: list[Map], layers: list, head: Head) -> None:
        self._maps, self._layers, self._head = maps, layers, head

    def forward(self, x: np.ndarray, labels: np.ndarray, is_training: bool) -> tuple[float, int]:
        images, *others = self._maps
        images.values[:] = x.reshape(-1)
        for values in others:
            values.values.fill(0)
        for layer in self._layers:
            layer.forward(is_training)
        return self._head.forward(labels)

    def backward(self, labels: np.ndarray) -> None:
        for values in self._maps:
            values.slopes.fill(0)
        self._head.backward(labels)
        for layer in reversed(self._layers):
            layer.backward()


class Writer:
    """Writes the layers of a network down in the order in which they run."""

    def __init__(self, small: SmallNetwork, count: int) -> None:
        self._small, self._network, self._count = small, small._network, count
        self._maps: list[Map] = []
        self._layers: list = []

    def passes(self) -> Pass:
        network, side = self._network, self._small._side
        stem = network.stem
        image = self._map(stem[0].in_channels, side)
        x = self._norm(self._conv(image, stem[0], rectifies=False, needs_input=False), stem[1])
        for index, stage in enumerate(network.stages):
            x = self._residual(x, network.reductions[index - 1]) if index else x
            for cell in stage:
                x = self._cell(x, cell, network.genotype.ops)
        x = self._norm(x, network.last_norm)
        classifier = network.classifier
        weight, weight_gradient = self._small.weights(classifier, "weight", classifier.out_features, x.channels)
        bias, bias_gradient = self._small.weights(classifier, "bias", classifier.out_features)
        return Pass(self._maps, self._layers, Head(x, weight, bias, weight_gradient, bias_gradient))

    def _map(self, channels: int, side: int) -> Map:
        self._maps.append(Map(channels, side, self._count))
        return self._maps[-1]

    def _conv(self, source: Map, conv: nn.Conv2d, rectifies: bool, needs_input: bool = True) -> Map:
        stride, outputs = conv.stride[0], conv.out_channels
        target = self._map(outputs, source.side // stride)
        if conv.kernel_size[0] == 3:
            weights = self._small.weights(conv, "weight", outputs, source.channels, 9)
            self._layers.append(StridedConv3(source, target, *weights) if stride == 2 else
                                Conv3(source, target, *weights, rectifies, needs_input))
        else:
            weights = self._small.weights(conv, "weight", outputs, source.channels)
            self._layers.append(Conv1(source, target, *weights, rectifies))
        return target

    def _norm(self, source: Map, norm: nn.BatchNorm2d, target: Map | None = None) -> Map:
        target = self._map(source.channels, source.side) if target is None else target
        (gamma, gamma_gradient), (beta, beta_gradient) = (
            self._small.weights(norm, name, source.channels) for name in ("weight", "bias"))
        self._layers.append(Norm(source, target, gamma, beta, gamma_gradient, beta_gradient, *self._small._estimates[norm]))
        return target

    def _cell(self, source: Map, cell: Cell, ops: tuple[str, ...]) -> Map:
        """Edges from which nothing reaches the output are left out: they have no gradient."""
        nodes = [source, *(self._map(source.channels, source.side) for _ in range(NUM_NODES - 1))]
        useful = useful_nodes([(NASBENCH201_OPS.index(op),) for op in ops])
        for row, (src, dst) in enumerate(EDGES):
            if ops[row] == "none" or dst not in useful:
                continue
            if ops[row] in ("skip_connect", "avg_pool_3x3"):
                self._layers.append((Add if ops[row] == "skip_connect" else Pool3)(nodes[src], nodes[dst]))
            else:
                candidate = cell.edges[str(row)]
                self._norm(self._conv(nodes[src], candidate.conv, rectifies=True), candidate.norm, nodes[dst])
        return nodes[-1]

    def _residual(self, source: Map, block: ResidualBlock) -> Map:
        out = self._norm(self._conv(source, block.conv_a, rectifies=True), block.norm_a)
        out = self._norm(self._conv(out, block.conv_b, rectifies=True), block.norm_b)
        half = self._map(source.channels, source.side // 2)
        self._layers.append(Pool2(source, half))
        self._layers.append(Add(self._conv(half, block.shortcut, rectifies=False), out))
        return out
