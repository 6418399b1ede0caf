"""The whole supernet and every update against an independent formulation of the same search.

Both get the same weights, images and noise; logits, gradients, and all state after several complete steps must agree.
The other formulation is benchmarks/reference_nb201.py.
"""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.reference_nb201 import ReferenceSearch, copy_weights, layers
from benchmarks.reference_nb201 import SearchCell as ReferenceCell
from benchmarks.reference_nb201 import Supernet as ReferenceSupernet
from gdas_lite.relaxation import gumbel_mixture, soft_mixture
from gdas_lite.search.algorithms import Sampler, algorithm_named
from gdas_lite.search.recipes import search_recipe
from gdas_lite.search.second_order import VirtualStep, second_order_gradient
from gdas_lite.search.updates import Bilevel, classification
from gdas_lite.spaces.nasbench201 import NASBench201

CHANNELS, CELLS, CLASSES, BATCH, SIZE = 4, 1, 5, 6, 8
TRACKED = pytest.mark.parametrize("track", [False, True], ids=["batch statistics", "running estimates"])
EXACT = {"rtol": 1e-9, "atol": 1e-12}       # double precision; sums are taken in another order


def pairs(ours: nn.Module, reference: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    found = list(zip(layers(ours), layers(reference), strict=True))
    assert all(type(b).__module__.startswith("torch.nn.") and isinstance(a, type(b)) for a, b in found)
    return found


def states(ours: nn.Module, reference: nn.Module) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Weights and running estimates of both, in pairs."""
    found = []
    for a, b in pairs(ours, reference):
        assert a.state_dict().keys() == b.state_dict().keys()
        found += [(value, b.state_dict()[name]) for name, value in a.state_dict().items()]
    return found


def gradients(ours: nn.Module, reference: nn.Module) -> list[tuple[torch.Tensor, torch.Tensor]]:
    def of(layer):
        return [torch.zeros_like(param) if param.grad is None else param.grad for param in layer.parameters()]

    return [pair for a, b in pairs(ours, reference) for pair in zip(of(a), of(b), strict=True)]


class Twins:
    """Our state and the reference's of one search, equal at the start: random weights, momentum and estimates too."""

    def __init__(self, algorithm: str, track: bool, dtype: torch.dtype = torch.float64) -> None:
        torch.manual_seed(0)
        self.space, self.algorithm = NASBench201(CHANNELS, CELLS, track), algorithm_named(algorithm)
        memory_format = torch.channels_last if dtype == torch.float32 else torch.contiguous_format
        supernet = self.space.supernet(CLASSES).to(dtype=dtype, memory_format=memory_format).train()
        for layer in layers(supernet):
            if isinstance(layer, nn.BatchNorm2d) and layer.affine:
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.normal_(layer.bias)
        net = ReferenceSupernet(CHANNELS, CELLS, CLASSES, track=track).to(dtype).train()
        copy_weights(supernet, net)
        self.reference = ReferenceSearch(net, algorithm, torch.Generator().manual_seed(7))
        with torch.no_grad():
            self.reference.alpha.copy_(torch.randn(6, 5))       # far from uniform, so that a transposition shows
        alpha = nn.Parameter(self.reference.alpha.detach().clone())
        self.generator = torch.Generator()
        self.generator.set_state(self.reference.generator.get_state())
        recipe = search_recipe("paper", "nasbench201", algorithm)
        self.state = Bilevel(
            supernet, {"cell": alpha},
            torch.optim.SGD(supernet.parameters(), 0.025, 0.9, weight_decay=5e-4, nesterov=True),
            torch.optim.Adam([alpha], 3e-4, (0.5, 0.999), weight_decay=1e-3), recipe, classification)
        for param in (*supernet.parameters(), *net.parameters()):
            param.grad = torch.zeros_like(param)                # as if each candidate had been drawn before
        self.batches = [(torch.randn(BATCH, 3, SIZE, SIZE, dtype=dtype), torch.randint(CLASSES, (BATCH,)))
                        for _ in range(8)]

    def draw(self) -> Sampler:
        return Sampler(self.space, self.reference.tau, self.generator)

    def mixture(self):
        alpha = self.state.alphas["cell"]
        if self.reference.algorithm == "gdas":
            return gumbel_mixture(alpha, self.reference.tau, self.generator, "N")
        return soft_mixture(alpha)

    def step(self, index: int) -> None:
        train, valid = self.batches[index], self.batches[-1 - index]
        self.algorithm.step(self.state, train, valid, self.draw())
        self.reference.step(train, valid)

    def assert_equal_state(self, **tolerance) -> None:
        close = tolerance or EXACT
        torch.testing.assert_close(self.state.alphas["cell"], self.reference.alpha, **close)
        for a, b in states(self.state.supernet, self.reference.net):
            torch.testing.assert_close(a, b, **close)


def forward_and_backward(twins: Twins) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of both, and the gradients of all variables in their `.grad`."""
    (x, y), supernet, reference = twins.batches[0], twins.state.supernet, twins.reference
    ours = supernet(x, {"cell": twins.mixture()})
    theirs = reference.net(x, *reference.mixture(reference.alpha))
    for logits in (ours, theirs):
        F.cross_entropy(logits, y).backward()
    return ours, theirs


def assert_equal_passes(twins: Twins) -> float:
    """Everything that one pass computes; returns alpha's largest gradient, so that tests see there was something."""
    ours, theirs = forward_and_backward(twins)
    torch.testing.assert_close(ours, theirs, **EXACT)
    torch.testing.assert_close(twins.state.alphas["cell"].grad, twins.reference.alpha.grad, **EXACT)
    for a, b in gradients(twins.state.supernet, twins.reference.net):
        torch.testing.assert_close(a, b, **EXACT)
    for a, b in states(twins.state.supernet, twins.reference.net):
        torch.testing.assert_close(a, b, **EXACT)
    return twins.reference.alpha.grad.abs().max().item()


@TRACKED
def test_soft_mixture_logits_and_all_gradients(track):
    assert assert_equal_passes(Twins("darts-v1", track)) > 1e-3


@TRACKED
@pytest.mark.parametrize("seed", range(8))
def test_hard_sample_variant_n_logits_and_all_gradients(track, seed):
    twins = Twins("gdas", track)
    for generator in (twins.generator, twins.reference.generator):
        generator.manual_seed(seed)
    assert assert_equal_passes(twins) > 1e-4


@TRACKED
@pytest.mark.parametrize(
    "none_rows", [(0,), (3,), (5,), (4, 5), (1, 2), (0, 1), (3, 4, 5), (0, 1, 3), range(6)], ids=str)
def test_hard_samples_in_which_nodes_are_cut_off(track, none_rows):
    """Rows of `none` that leave node 1, node 2 or the output without input, or without way to the output."""
    twins = Twins("gdas", track)
    for alpha in (twins.state.alphas["cell"], twins.reference.alpha):
        with torch.no_grad():
            alpha[list(none_rows), 0] += 12     # sure to be drawn, but at tau = 10 the gradient does not vanish
    drawn = twins.reference.mixture(twins.reference.alpha)[1]
    twins.generator.set_state(twins.reference.generator.get_state())
    assert all(drawn[row] == 0 for row in none_rows)
    largest = assert_equal_passes(twins)
    # With a constant output every image looks alike: the batch norms behind it let no gradient through.
    is_cut = {3, 4, 5} <= set(none_rows) or {0, 1, 3} <= set(none_rows)
    assert (largest < 1e-12) if is_cut else (largest > 1e-4)


@pytest.mark.parametrize("drawn, cut_off", [
    ((3, 3, 2, 3, 3, 0), {1, 2}),       # `none` from node 2 to 3: nothing on the edges into node 2 reaches the loss
    ((0, 3, 2, 3, 3, 3), {2, 4})])      # `none` from node 0 to 1: what runs on the edges out of node 1 gets zeros
def test_candidates_drawn_but_not_reached_decay_in_the_reference_and_are_left_alone_here(drawn, cut_off):
    """A difference on purpose, until the first step that reaches them. The reference runs them all the same and gets gradients
    of zero, which SGD takes for a reason to decay these weights."""
    twins = Twins("gdas", track=False)
    supernet, net = twins.state.supernet, twins.reference.net
    for alpha in (twins.state.alphas["cell"], twins.reference.alpha):
        with torch.no_grad():
            alpha[range(6), drawn] += 100
    for param in (*supernet.parameters(), *net.parameters()):
        param.grad = None               # no candidate was drawn before
    before = copy.deepcopy(net)
    twins.step(0)
    factor = 1 - 0.025 * 5e-4 * 1.9     # Nesterov's first step: the gradient, and 0.9 times the velocity, which is the gradient

    def weights(cell, row):
        return next(layer.weight for layer in cell.edges[row][drawn[row]].modules() if isinstance(layer, nn.Conv2d))

    ours = [cell for stage in supernet.stages for cell in stage]
    theirs, old = ([cell for cell in each.body if isinstance(cell, ReferenceCell)] for each in (net, before))
    for mine, reference, start in zip(ours, theirs, old, strict=True):
        for row in (row for row in range(6) if drawn[row]):
            a, b, c = (weights(cell, row) for cell in (mine, reference, start))
            if row in cut_off:
                torch.testing.assert_close(b, c * factor, **EXACT)
                assert torch.equal(a, c) and not torch.equal(b, c)
            else:
                torch.testing.assert_close(a, b, **EXACT)
                assert not torch.equal(a, c)


def test_variant_p_would_be_noticed():
    """The comparison distinguishes the two published gradient rules, whose values are equal."""
    twins = Twins("gdas", track=False)
    twins.mixture = lambda: gumbel_mixture(twins.state.alphas["cell"], twins.reference.tau, twins.generator, "P")
    ours, theirs = forward_and_backward(twins)
    torch.testing.assert_close(ours, theirs, **EXACT)
    assert not torch.allclose(twins.state.alphas["cell"].grad, twins.reference.alpha.grad, rtol=1e-3)


@TRACKED
@pytest.mark.parametrize("has_momentum", [False, True])
def test_second_order_gradient(track, has_momentum):
    twins = Twins("darts-v2", track)
    if has_momentum:
        twins.step(0)
    sgd, supernet, alpha = twins.state.sgd, twins.state.supernet, twins.state.alphas["cell"]
    params = list(supernet.parameters())
    velocity = [sgd.state.get(param, {}).get("momentum_buffer") for param in params]
    assert all((part is not None) == has_momentum for part in velocity)
    train, valid = twins.batches[2], twins.batches[3]
    (ours,), _ = second_order_gradient(
        lambda: classification(supernet, {"cell": soft_mixture(alpha)}, train).loss,
        lambda: classification(supernet, {"cell": soft_mixture(alpha)}, valid).loss,
        params, [alpha], VirtualStep(0.025, 0.9, 5e-4, velocity), list(supernet.buffers()))
    theirs = twins.reference.second_order_gradient(train, valid)
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)      # of nearly equal numbers, over 2 epsilon
    twins.assert_equal_state()                                          # weights back in place, estimates as there
    direct = torch.autograd.grad(classification(supernet, {"cell": soft_mixture(alpha)}, valid).loss, alpha)[0]
    assert not torch.allclose(ours, direct, rtol=1e-2)                  # not the first-order gradient


@TRACKED
@pytest.mark.parametrize("algorithm", ["gdas", "darts-v1", "darts-v2"])
def test_complete_steps_give_the_same_search(algorithm, track):
    """Weights, alpha and running estimates after four steps: both optimisers, clipping, draws, order of the updates."""
    twins = Twins(algorithm, track)
    before = twins.state.alphas["cell"].detach().clone()
    for index in range(4):
        twins.step(index)
    assert (twins.state.alphas["cell"] - before).abs().max() > 1e-4
    twins.assert_equal_state(rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("algorithm", ["gdas", "darts-v1", "darts-v2"])
def test_complete_steps_in_single_precision_and_channels_last(algorithm):
    """The arithmetic that searches really use: other convolution code, other memory layout.

    Without `none`: behind a dead node the reference normalises its own rounding errors, which nobody can follow in single
    precision (in double the tests above do; spaces/test_nasbench201.py tests that ours stay quiet there).
    """
    twins = Twins(algorithm, track=False, dtype=torch.float32)
    with torch.no_grad():
        for alpha in (twins.state.alphas["cell"], twins.reference.alpha):
            alpha[:, 0] = -20
    twins.batches = [(x.contiguous(memory_format=torch.channels_last), y) for x, y in twins.batches]
    for index in range(2):
        twins.step(index)
    twins.assert_equal_state(rtol=1e-3, atol=1e-4)
