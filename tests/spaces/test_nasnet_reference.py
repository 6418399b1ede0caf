"""The package's NASNet searches beside an independent formulation, benchmarks/nasnet_reference.py, from the same weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.nasnet_reference import ReferenceSearch
from gdas_lite.search.algorithms import Sampler, algorithm_named
from gdas_lite.search.recipes import SearchRecipe
from gdas_lite.search.updates import Bilevel, classification
from gdas_lite.spaces.nasnet import NASNet


@pytest.mark.parametrize("algorithm", ["gdas", "darts-v1", "darts-v2"])
def test_two_steps_give_the_same_weights_and_alphas(algorithm):
    """In double precision."""
    torch.manual_seed(0)
    reference, space = ReferenceSearch("paper", algorithm, channels=4, cells=3), NASNet(4, cells=3)
    supernet = space.supernet(10).double().train()
    reference.net.double()
    for ours, theirs in zip(supernet.parameters(), reference.net.parameters(), strict=True):
        theirs.data.copy_(ours.data)
    for alpha in reference.alphas.values():
        alpha.data = alpha.data.double()
    alphas = {kind: nn.Parameter(alpha.detach().clone()) for kind, alpha in reference.alphas.items()}
    sgd = torch.optim.SGD(supernet.parameters(), 0.025, 0.9, weight_decay=5e-4, nesterov=True)
    adam = torch.optim.Adam(alphas.values(), 3e-4, (0.5, 0.999), weight_decay=1e-3)
    order = "alpha_first" if algorithm == "darts-v2" else "weights_first"
    state = Bilevel(supernet, alphas, sgd, adam, SearchRecipe(update_order=order, undrawn="skip"), classification)
    draw = Sampler(space, 10.0, torch.Generator().manual_seed(0))
    x, y = torch.randn(2, 4, 3, 8, 8, dtype=torch.double), torch.randint(10, (2, 4))
    for _ in range(2):
        reference.step((x[0], y[0]), (x[1], y[1]))
        algorithm_named(algorithm).step(state, (x[0], y[0]), (x[1], y[1]), draw)
    for ours, theirs in zip(supernet.parameters(), reference.net.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)
    for kind, alpha in alphas.items():
        torch.testing.assert_close(alpha, reference.alphas[kind], rtol=1e-5, atol=1e-8)
