"""The recurrent space's pass under every kind of mixture: the cell with its own backward pass beside its slow definition."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

import gdas_lite as gl
from gdas_lite.relaxation import Mixture
from gdas_lite.spaces.recurrent import Supernet
from gdas_lite.spaces.recurrent_plan import EDGES, STEPS
from tests.engines.mixtures import KINDS, Case, Found
from tests.spaces.slow_recurrent import batch_norm, search_sequence

WORDS, BATCH, HIDDEN, VOCABULARY, MOMENTUM = 3, 5, 6, 7, 0.1


@lru_cache(maxsize=8)
def example(case: Case) -> tuple[Supernet, Tensor, Tensor, Tensor, Tensor]:
    """In double precision: model, alpha, a window of words, the hidden state before it, what weighs the outputs in the loss."""
    generator = torch.Generator().manual_seed(1)
    model = gl.Recurrent(HIDDEN, track_running_stats=case.tracked).supernet(VOCABULARY).double().train(case.trains)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.copy_(0.7 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64))
        for variance in (model.running_var,) if case.tracked else ():
            variance.abs_().add_(0.5)
    alpha, hidden, slope = (torch.randn(*shape, generator=generator, dtype=torch.float64)
                            for shape in ((len(EDGES), 5), (BATCH, HIDDEN), (WORDS, BATCH, HIDDEN)))
    return model, alpha.requires_grad_(), torch.randint(VOCABULARY, (WORDS, BATCH), generator=generator), hidden, slope


def found(case: Case, dtype: torch.dtype, outputs_of: Callable[[Supernet, Tensor, Tensor, Mixture], Tensor]) -> Found:
    given, alpha, words, hidden, slope = example(case)
    model = copy.deepcopy(given).to(dtype)
    mixture = KINDS[case.kind](gl.Recurrent(HIDDEN), {"recurrent": alpha})["recurrent"]
    mixture = replace(mixture, weights=mixture.weights.to(dtype))
    outputs = outputs_of(model, F.embedding(words, model.embedding), hidden.to(dtype), mixture)
    variables = {**dict(model.named_parameters()), "recurrent": alpha}
    slopes = dict(zip(variables, torch.autograd.grad((outputs * slope.to(dtype)).sum(), list(variables.values()),
                                                     allow_unused=True), strict=True))
    return Found({"outputs": outputs.detach()}, {name: slopes[name] for name, _ in model.named_parameters()},
                 {"recurrent": slopes["recurrent"]}, {name: one.clone() for name, one in model.named_buffers()})


def by_definition(model: Supernet, embedded: Tensor, hidden: Tensor, mixture: Mixture) -> Tensor:
    """Word by word, step by step, predecessor by predecessor."""
    calls = iter(range(WORDS * (STEPS + 1)))

    def normalise(state: Tensor) -> Tensor:
        step = next(calls) % (STEPS + 1) - 1
        rows = [row for row, (_, dst) in enumerate(EDGES) if dst == step + 1 and step >= 0]
        if mixture.adds_undrawn:
            state = state + sum(mixture.weights[row, k] for row in rows for k in range(5) if k not in mixture.active[row])
        if not model.track_running_stats:
            return batch_norm(state)
        if not model.training:
            return (state - model.running_mean) / (model.running_var + 1e-5).sqrt()
        with torch.no_grad():
            model.running_mean.lerp_(state.mean(0), MOMENTUM)
            model.running_var.lerp_(state.var(0), MOMENTUM)
        return batch_norm(state)

    return search_sequence(embedded, hidden, torch.ones_like(hidden), model.start, model.steps, mixture.weights,
                           mixture.active, normalise)


@lru_cache(maxsize=8)
def truth(case: Case) -> Found:
    return found(case, torch.float64, by_definition)


def plain_in_float32(case: Case) -> Found:
    return found(case, torch.float32, by_definition)


def sequence(case: Case) -> Found:
    """The engine."""
    return found(case, torch.float32, lambda model, embedded, hidden, mixture: model.cell(
        embedded, hidden, None, {"recurrent": mixture}))
