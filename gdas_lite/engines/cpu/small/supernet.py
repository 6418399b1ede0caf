"""A small NAS-Bench-201 supernet on the CPU in compiled loops: loss, gradients of weights and of a mixture.

The plain twin is `nasbench201.Supernet` with a cross entropy; values agree up to rounding. Only what a mixture runs is
computed. Batch norm takes the batch's statistics, as in training, and keeps running estimates where the space says so.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from ....genotypes.notation import NASBENCH201_OPS
from ....relaxation import Mixture
from ....spaces.nasbench201 import EDGES, NUM_NODES, NASBench201, SearchCell, Supernet
from ....spaces.operations import ReLUConvBN
from ...parts import Parts
from ..nasbench201 import Plan, Run
from . import loops
from .flat import FlatParameters
from .layers import Conv1, Conv3, Map, Norm, Pool
from .skeleton import Pass


def knows(supernet: nn.Module) -> bool:
    """Returns whether it is made of what this module computes; another class or setting is somebody's own."""
    if type(supernet) is not Supernet:
        return False
    cells = supernet.stages[0]
    with torch.device("meta"):      # no memory, and no number of the caller's random generator
        like = Supernet(NASBench201(2, len(cells), track_running_stats=cells[0].keeps_estimates), classes=2)
    return [*map(_built, supernet.modules())] == [*map(_built, like.modules())]


def _built(module: nn.Module) -> tuple[object, ...]:
    """Its class, all settings but widths, and the names of its parameters."""
    settings = [name for name in getattr(module, "__constants__", ()) if not name.endswith(("channels", "features"))]
    return type(module), [getattr(module, name) for name in settings], [
        name for name, param in module._parameters.items() if param is not None]


class CompiledSupernet:
    """Of square images of `side` pixels, a multiple of 4. The supernet's parameters move into `flat` and stay its own.

    Two supernets may run in two threads; one must not. Raises ValueError in `forward` for a supernet in evaluation
    mode: the loops normalise with the batch's statistics everywhere.
    """

    def __init__(self, supernet: Supernet, side: int) -> None:
        self._supernet, self._side = supernet, side
        self._keeps_estimates = supernet.stages[0][0].keeps_estimates
        self.flat = FlatParameters(supernet)
        self._passes: dict[int, Pass] = {}
        self._parts, self._is_known = Parts(supernet), knows(supernet)
        self._norms = [module for module in supernet.modules() if isinstance(module, nn.BatchNorm2d)]

    def is_as_built(self) -> bool:
        """Returns whether the loops still compute this supernet: nothing was replaced, there are no hooks, and batch
        norm is in training with PyTorch's settings."""
        return (self._is_known and self._parts.are_same() and not self._parts.do_more() and all(
            norm.training and norm.momentum == loops.MOMENTUM and norm.eps == loops.EPSILON
            and norm.track_running_stats == (norm._buffers["running_mean"] is not None) for norm in self._norms))

    def moves_alike(self, sgd: torch.optim.SGD) -> bool:
        """Returns whether PyTorch's SGD moves all weights, and all alike, and no hook sees a step or a gradient."""
        group, params = sgd.param_groups[0], self.flat.params
        if type(sgd) is not torch.optim.SGD or group["maximize"] or group["dampening"] != 0 or (
                sgd._optimizer_step_pre_hooks or sgd._optimizer_step_post_hooks):
            return False
        return len(sgd.param_groups) == 1 and len(group["params"]) == len(params) and all(
            one is other and one.requires_grad and not one._backward_hooks and not one._post_accumulate_grad_hooks
            for one, other in zip(group["params"], params, strict=True))

    def has_classes(self, labels: np.ndarray) -> bool:
        """Returns whether each label is one of the supernet's classes."""
        return labels.min() >= 0 and labels.max() < self._supernet.classifier.out_features

    def forward(self, x: np.ndarray, labels: np.ndarray, mixture: Mixture) -> tuple[float, int]:
        """Returns the sum of the cross entropies and how many were right. x: (channels * side * side, B)."""
        if not self._supernet.training:
            raise ValueError("the compiled loops train: put the supernet in training mode, or evaluate it with "
                             "engine 'plain'")
        self._plan, self._labels = Plan(mixture, self._keeps_estimates), labels
        if len(labels) not in self._passes:
            self._passes[len(labels)] = Pass(self._supernet, self._side, len(labels), self.flat, _cell)
        loss, correct = self._passes[len(labels)].forward(x, labels, self._plan)
        # A compiled ReLU may turn NaN into 0; weights that are not finite must show all the same.
        return (loss if math.isfinite(loops.dot(self.flat.theta, self.flat.theta)) else math.nan), correct

    def learn(self) -> None:
        """The gradients of the mean loss of the last `forward` into `flat`."""
        self.flat.clear()
        self._passes[len(self._labels)].backward(self._labels, self._plan)

    def mixture_gradient(self, learns: bool = False) -> np.ndarray:
        """Returns d mean loss / d mixture.weights of the last `forward`, (edges, candidates). learns: the gradients of
        the weights into `flat` by the same pass. There is one pass back for each `forward`."""
        found = np.zeros((len(EDGES), len(NASBENCH201_OPS)), np.float32)
        if learns:
            self.flat.clear()
        self._passes[len(self._labels)].backward(self._labels, self._plan, found, learns)
        return found


def _cell(source: Map, cell: SearchCell, flat: FlatParameters) -> tuple[_Cell, Map]:
    part = _Cell(source, cell, flat)
    return part, part.nodes[-1]


class _Cell:
    """All candidates of a search cell, made when they first run."""

    is_search_cell = True

    def __init__(self, source: Map, cell: SearchCell, flat: FlatParameters) -> None:
        self._cell, self._flat = cell, flat
        self.nodes = [source, *(Map(source.channels, source.side, source.count) for _ in range(1, NUM_NODES))]
        self._scratch = Map(source.channels, source.side, source.count)
        self._candidates: dict[tuple[int, int], _Conv | _Linear] = {}

    def forward(self, plan: Plan, _is_training: bool) -> None:
        for dst in range(1, NUM_NODES):
            self.nodes[dst].clear()
            for run in plan.runs[dst]:
                self._candidate(run).forward(run.weight)

    def backward(self, plan: Plan, of_mixture: np.ndarray | None, learns: bool, needs_input: bool) -> None:
        for dst in sorted(plan.useful - {0}, reverse=True):
            for run in plan.runs[dst]:
                needed = needs_input or EDGES[run.row][0] > 0
                found = self._candidate(run).backward(run.weight, of_mixture is not None, learns, needed)
                if of_mixture is not None:
                    of_mixture[run.row, run.column] += found
            if of_mixture is not None and plan.unsampled[dst]:
                found = loops.total(self.nodes[dst].gradients)
                for place in plan.unsampled[dst]:
                    of_mixture[place] += found

    def _candidate(self, run: Run) -> _Conv | _Linear:
        place = run.row, run.column
        if place not in self._candidates:
            src, dst = EDGES[run.row]
            module, ends = self._cell.edges[run.row][run.column], (self.nodes[src], self.nodes[dst])
            self._candidates[place] = (
                _Conv(*ends, module, self._flat) if isinstance(module, ReLUConvBN) else
                _Linear(*ends, self._scratch if NASBENCH201_OPS[run.column] == "avg_pool_3x3" else None))
        return self._candidates[place]


class _Conv:
    """ReLU, convolution, batch norm without affine parameters, times the weight, which is batch norm's scale.

    The convolution's bias has no gradient and no effect but on the running mean: batch norm takes the mean off again.
    """

    def __init__(self, source: Map, target: Map, candidate: ReLUConvBN, flat: FlatParameters) -> None:
        conv, channels = candidate.conv, target.channels
        self._between = Map(channels, source.side, source.count)
        ends = source, self._between
        if conv.kernel_size[0] == 3:
            self._conv = Conv3(*ends, *flat.views(conv.weight, channels, channels, 9), rectifies=True, needs_input=True)
        else:
            self._conv = Conv1(*ends, *flat.views(conv.weight, channels, channels), rectifies=True)
        self._scale, zeros, self._to_scale, unused, self._mean, variance = np.zeros((6, channels), np.float32)
        self._keeps_estimates = candidate.norm.track_running_stats
        if self._keeps_estimates:
            self._mean, variance, self._steps = (one.numpy() for one in candidate.norm.buffers())
            self._bias, _ = flat.views(conv.bias, channels)
        self._norm = Norm(self._between, target, self._scale, zeros, self._to_scale, unused, self._mean, variance)
        self._flat, self._params = flat, flat.places(conv.weight, conv.bias)

    def forward(self, weight: np.float32) -> None:
        self._between.clear()
        self._scale.fill(weight)
        self._conv.forward(True)
        self._norm.forward(True)
        if self._keeps_estimates:
            self._mean += np.float32(loops.MOMENTUM) * self._bias
            self._steps += 1

    def backward(self, weight: np.float32, _mixes: bool, learns: bool, needs_input: bool) -> np.float32:
        """Returns the weight's gradient."""
        self._to_scale.fill(0)
        self._norm.backward(learns)
        if needs_input or learns:
            self._conv.backward(learns)
            self._flat.reached[self._params] |= learns
        return self._to_scale.sum()


class _Linear:
    """skip_connect or, with a scratch map for everybody's use, the 3x3 mean."""

    def __init__(self, source: Map, target: Map, scratch: Map | None = None) -> None:
        self._source, self._target, self._scratch = source, target, scratch
        if scratch:
            self._pool, self._back = Pool(loops.pool3, source, scratch), Pool(loops.pool3, scratch, target)

    def forward(self, weight: np.float32) -> None:
        if self._scratch:
            self._scratch.clear()
            self._pool.forward(True)
        loops.add_scaled((self._scratch or self._source).values, weight, self._target.values)

    def backward(self, weight: np.float32, mixes: bool, _learns: bool, needs_input: bool) -> np.float32:
        """Returns the weight's gradient, if the mixture asks for it. The adjoint serves both gradients."""
        if self._scratch:
            self._scratch.clear()
            self._back.backward()
        gradients = (self._scratch or self._target).gradients
        if needs_input:
            loops.add_scaled(gradients, weight, self._source.gradients)
        return loops.dot(gradients, self._source.values) if mixes else np.float32(0)
