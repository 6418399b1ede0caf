"""The two updates of a search step: network weights on a train batch, alpha on a valid batch.

Each computes only the gradients it uses: alpha is a constant in a weight step, the network weights are constants in an
alpha step. Source: GDAS paper, algorithm 1; DARTS paper, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..relaxation import Mixture
from ..runs.distributed import SINGLE_PROCESS, ProcessGroup
from ..runs.meters import StepResult
from .recipes import SearchRecipe

Mixtures = Mapping[str, Mixture]
Objective = Callable[[nn.Module, Mixtures, Any], StepResult]


class Updates:
    """The two updates of a step as the papers write them; algorithms ask `state.updates`, where an engine puts its own.

    Of several processes each computes the gradient of its part of the batch; all take the step of their mean.
    """

    def weight_step(self, state: Bilevel, mixtures: Mixtures, batch: Any) -> StepResult:
        """One SGD step on the network weights; alpha stays as it is, bit for bit.

        `undrawn` and `clip_scope` of the recipe say what happens to candidates that did not run and what is clipped.
        """
        recipe = state.recipe
        state.sgd.zero_grad(set_to_none=recipe.undrawn == "skip")
        result = (state.weight_objective or state.objective)(state.supernet, mixtures, batch)
        result.loss.backward()
        also = list(state.alphas.values()) if recipe.clip_scope == "weights_and_alpha" else []
        state.group.average((param.grad for param in [*state.net_params, *also]), result.count)
        if recipe.grad_clip_norm is not None:
            nn.utils.clip_grad_norm_(state.net_params + also, recipe.grad_clip_norm)
        state.sgd.step()
        return result.reported()

    def alpha_gradient(self, state: Bilevel, mixtures: Mixtures, batch: Any) -> tuple[list[Tensor], StepResult]:
        """The gradient of the valid loss, one for each kind of cell; the network weights are constants."""
        with frozen(state.net_params):
            result = state.objective(state.supernet, mixtures, batch)
            gradients = gradients_of(result.loss, list(state.alphas.values()))
        state.group.average(gradients, result.count)
        return gradients, result.reported()

    def loss(self, state: Bilevel, mixtures: Mixtures, batch: Any) -> StepResult:
        """Returns the loss with a graph to `params_in_use` and alpha; of the last call only."""
        return state.objective(state.supernet, mixtures, batch)

    def apply(self, state: Bilevel, gradients: Sequence[Tensor]) -> None:
        """One Adam step on alpha with the given gradients, one for each kind of cell."""
        for alpha, gradient in zip(state.alphas.values(), gradients, strict=True):
            alpha.grad = gradient
        state.adam.step()

    def params_in_use(self, state: Bilevel) -> list[nn.Parameter]:
        """Returns the network weights that a pass may depend on: all that are not frozen."""
        return [param for param in state.net_params if param.requires_grad]

    def momentum(self, state: Bilevel) -> list[Tensor | None]:
        """Returns SGD's momentum buffer of each of `params_in_use`, None before its first step."""
        return [state.sgd.state.get(param, {}).get("momentum_buffer") for param in self.params_in_use(state)]


@dataclass
class Bilevel:
    """Everything a step changes: the lower-level variable (weights of the supernet) and the upper-level one (alphas).

    alphas: one parameter (edges, candidates) for each kind of cell; they are no parameters of the supernet.
    objective: from (supernet, mixtures, batch) to a StepResult. weight_objective: of a weight step, if regularised.
    updates: computes both updates; an attached engine puts its own here. group: the processes that share the batches.
    """

    supernet: nn.Module
    alphas: dict[str, nn.Parameter]
    sgd: torch.optim.SGD
    adam: torch.optim.Adam
    recipe: SearchRecipe
    objective: Objective
    weight_objective: Objective | None = None
    updates: Updates = field(default_factory=Updates)
    group: ProcessGroup = SINGLE_PROCESS

    @cached_property
    def net_params(self) -> list[nn.Parameter]:
        """Of the supernet, in its order; a walk through some thousand modules, so it is made once."""
        return list(self.supernet.parameters())

    def constants(self) -> dict[str, Tensor]:
        """The alphas without gradient, for a weight step."""
        return {kind: alpha.detach() for kind, alpha in self.alphas.items()}


def classification(supernet: nn.Module, mixtures: Mixtures, batch: tuple[Tensor, Tensor]) -> StepResult:
    """Cross entropy of an image batch (x (B, C, H, W), y (B,)), and how many were right."""
    x, y = batch
    logits = supernet(x, mixtures)
    return StepResult(F.cross_entropy(logits, y), (logits.detach().argmax(-1) == y).sum(), count=len(y))


def gradients_of(loss: Tensor, variables: Sequence[Tensor]) -> list[Tensor]:
    """d loss / d variable for each; zeros where the loss does not depend on it (all edges drew `none`)."""
    if not loss.requires_grad:
        return [torch.zeros_like(variable) for variable in variables]
    found = torch.autograd.grad(loss, list(variables), allow_unused=True)
    return [torch.zeros_like(variable) if gradient is None else gradient
            for variable, gradient in zip(variables, found, strict=True)]


@contextmanager
def frozen(params: Sequence[nn.Parameter]) -> Iterator[None]:
    """Inside, no gradient of these is computed, so the backward pass stops where only they would want it."""
    for param in (learning := [param for param in params if param.requires_grad]):
        param.requires_grad_(False)
    try:
        yield
    finally:
        for param in learning:
            param.requires_grad_(True)
