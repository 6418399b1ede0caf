"""A derived NAS-Bench-201 network of a few channels, trained on the CPU by the compiled loops of the engine "cpu".

On such networks this is many times as fast as PyTorch a layer at a time, whose cost there is the calls: maps stay in
the processor's cache, and every cell runs by itself. Values agree with PyTorch's up to rounding; sums are taken in
another order.
"""

from __future__ import annotations

import copy

import numpy as np

from gdas_lite.engines.cpu.small import loops
from gdas_lite.engines.cpu.small.flat import FlatParameters
from gdas_lite.engines.cpu.small.layers import Add, Map, Pool
from gdas_lite.engines.cpu.small.skeleton import Layers, Pass
from gdas_lite.engines.layers.cells import useful_nodes
from gdas_lite.genotypes.notation import NASBENCH201_OPS
from gdas_lite.spaces.nasbench201 import EDGES, NUM_NODES, Cell, Network


class SmallNetwork:
    """The same network as `network` with a copy of its weights, for square images of `side` pixels.

    theta, velocity, gradient: (parameters,), in the order of network.parameters(). Raises ValueError unless the side is
    a multiple of 4 (two residual blocks halve the image) and the channels are even.
    """

    def __init__(self, network: Network, side: int) -> None:
        if side < 4 or side % 4:
            raise ValueError(f"the side of the images must be a multiple of 4, got {side}")
        self._network, self._side = copy.deepcopy(network), side
        self._flat = FlatParameters(self._network)
        self.theta, self.velocity, self.gradient = self._flat.theta, self._flat.velocity, self._flat.gradient
        self._every = np.ones(len(self._flat.reached), np.bool_)
        self._passes: dict[int, Pass] = {}

    def step(self, x: np.ndarray, labels: np.ndarray, rate: float, momentum: float, decay: float) -> float:
        """One step of SGD with Nesterov momentum. Returns the images' summed loss before it. x: (C*side*side, B)."""
        run = self._pass(len(labels))
        loss, _ = run.forward(x, labels)
        self._flat.clear()
        run.backward(labels)
        loops.sgd(self.theta, self.velocity, self.gradient, self._flat.starts, self._every, np.float32(rate),
                  np.float32(momentum), np.float32(decay), True)
        return loss

    def correct(self, x: np.ndarray, labels: np.ndarray) -> int:
        """Correct answers, batch norm by its running estimates."""
        return self._pass(len(labels)).forward(x, labels, is_training=False)[1]

    def _pass(self, count: int) -> Pass:
        if count not in self._passes:
            self._passes[count] = Pass(self._network, self._side, count, self._flat, self._cell)
        return self._passes[count]

    def _cell(self, source: Map, cell: Cell, flat: FlatParameters) -> tuple[Layers, Map]:
        """Edges from which nothing reaches the output are left out: they have no gradient."""
        ops, layers = self._network.genotype.ops, Layers(flat)
        nodes = [source, *(layers.map(source.channels, source.side, source.count) for _ in range(NUM_NODES - 1))]
        useful = useful_nodes([(NASBENCH201_OPS.index(op),) for op in ops])
        for row, (src, dst) in enumerate(EDGES):
            if ops[row] == "none" or dst not in useful:
                continue
            if ops[row] in ("skip_connect", "avg_pool_3x3"):
                ends = nodes[src], nodes[dst]
                layers.add(Add(*ends) if ops[row] == "skip_connect" else Pool(loops.pool3, *ends))
            else:
                candidate = cell.edges[str(row)]
                layers.norm(layers.conv(nodes[src], candidate.conv, rectifies=True), candidate.norm, nodes[dst])
        return layers, nodes[-1]
