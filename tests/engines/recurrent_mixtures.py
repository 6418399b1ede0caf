"""The recurrent space's pass under every kind of mixture: plain and by two engines, beside its slow definition."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

import gdas_lite as gl
from gdas_lite.engines.layers.recurrent import attach_language_model
from gdas_lite.relaxation import Mixture
from gdas_lite.spaces.language_model import Masks
from gdas_lite.spaces.recurrent import EDGES, STEPS, Supernet
from tests.engines.mixtures import KINDS, Case, Found
from tests.spaces.slow_recurrent import batch_norm, search_sequence

WORDS, BATCH, HIDDEN, VOCABULARY, MOMENTUM = 3, 5, 6, 7, 0.1


Outputs = Callable[[Supernet, Tensor, Tensor, Tensor | None, Mixture], Tensor]


class Example(NamedTuple):
    """In double precision. supernet: never run. slope: (T, B, H), what weighs the outputs in the loss."""

    supernet: Supernet
    alpha: Tensor
    words: Tensor
    hidden: Tensor
    mask: Tensor
    slope: Tensor


@lru_cache(maxsize=8)
def example(trains: bool, tracked: bool) -> Example:
    generator = torch.Generator().manual_seed(1)
    model = gl.Recurrent(HIDDEN, track_running_stats=tracked).supernet(VOCABULARY).double().train(trains)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.copy_(0.7 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64))
        for variance in (model.running_var,) if tracked else ():
            variance.abs_().add_(0.5)
    alpha, hidden, slope = (torch.randn(*shape, generator=generator, dtype=torch.float64)
                            for shape in ((len(EDGES), 5), (BATCH, HIDDEN), (WORDS, BATCH, HIDDEN)))
    words = torch.randint(VOCABULARY, (WORDS, BATCH), generator=generator)
    mask = torch.empty(BATCH, HIDDEN, dtype=torch.float64).bernoulli_(0.75, generator=generator) / 0.75
    return Example(model, alpha.requires_grad_(), words, hidden.requires_grad_(), mask, slope)


def found(case: Case, dtype: torch.dtype, outputs_of: Outputs, is_masked: bool) -> Found:
    given = example(case.trains, case.tracked)
    model, alpha = copy.deepcopy(given.supernet).to(dtype), given.alpha
    mixture = KINDS[case.kind](gl.Recurrent(HIDDEN), {"recurrent": alpha})["recurrent"]
    mixture = replace(mixture, weights=mixture.weights.to(dtype))
    outputs = outputs_of(model, F.embedding(given.words, model.embedding), given.hidden.to(dtype),
                         given.mask.to(dtype) if is_masked else None, mixture)
    variables = {**dict(model.named_parameters()), "hidden": given.hidden, "recurrent": alpha}
    gradients = torch.autograd.grad((outputs * given.slope.to(dtype)).sum(), list(variables.values()), allow_unused=True)
    by_name = dict(zip(variables, gradients, strict=True))
    of_alpha = {"recurrent": by_name.pop("recurrent")}
    return Found({"outputs": outputs.detach()}, by_name, of_alpha, {name: one.clone() for name, one in model.named_buffers()})


def by_definition(model: Supernet, embedded: Tensor, hidden: Tensor, mask: Tensor | None, mixture: Mixture) -> Tensor:
    """Word by word, step by step, predecessor by predecessor."""
    calls = iter(range(WORDS * (STEPS + 1)))

    def normalise(state: Tensor) -> Tensor:
        step = next(calls) % (STEPS + 1) - 1
        rows = [row for row, (_, dst) in enumerate(EDGES) if dst == step + 1 and step >= 0]
        if mixture.adds_unsampled:
            state = state + sum(mixture.weights[row, k] for row in rows for k in range(5) if k not in mixture.active[row])
        if model.running_mean is None:
            return batch_norm(state)
        if not model.training:
            return (state - model.running_mean) / (model.running_var + 1e-5).sqrt()
        with torch.no_grad():
            model.running_mean.lerp_(state.mean(0), MOMENTUM)
            model.running_var.lerp_(state.var(0), MOMENTUM)
        return batch_norm(state)

    mask = torch.ones_like(hidden) if mask is None else mask
    return search_sequence(embedded, hidden, mask, model.start, model.steps, mixture.weights, mixture.active, normalise)


def of_the_model(model: Supernet, embedded: Tensor, hidden: Tensor, mask: Tensor | None, mixture: Mixture) -> Tensor:
    return model.cell(embedded, hidden, Masks(hidden=mask), {"recurrent": mixture})


def of_the_engine(model: Supernet, *given: Tensor | Mixture | None) -> Tensor:
    attach_language_model(model)
    return of_the_model(model, *given)


@lru_cache(maxsize=8)
def truth(case: Case, is_masked: bool = False) -> Found:
    return found(case, torch.float64, by_definition, is_masked)


def plain_in_float32(case: Case, is_masked: bool = False) -> Found:
    return found(case, torch.float32, by_definition, is_masked)


def plain(case: Case, dtype: torch.dtype = torch.float32, is_masked: bool = False) -> Found:
    return found(case, dtype, of_the_model, is_masked)


def layers(case: Case, dtype: torch.dtype = torch.float32, is_masked: bool = False) -> Found:
    return found(case, dtype, of_the_engine, is_masked)


def kernels(case: Case, dtype: torch.dtype = torch.float32, is_masked: bool = False) -> Found:
    """The compiled kernels of a node of a word."""
    from gdas_lite.engines.cpu import recurrent

    def outputs_of(model: Supernet, *given: Tensor | Mixture | None) -> Tensor:
        attach_language_model(model, recurrent.run_sequence)
        return of_the_model(model, *given)
    return found(case, dtype, outputs_of, is_masked)
