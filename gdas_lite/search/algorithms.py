"""The searches: how alpha becomes a mixture, and which updates a step makes.

To add one, write a frozen dataclass that inherits from `Algorithm`, with `name`, `mixtures` and `step`; every space then runs it,
by recipe name too. `register` it, and a run folder resumes by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from ..relaxation import Mixture, Variant, check_tau, gumbel_mixture, linear_tau, soft_mixture
from ..runs.meters import StepResult
from .second_order import VirtualStep, second_order_gradient
from .updates import Bilevel


@dataclass(frozen=True)
class Draw:
    """What an algorithm may use to make a mixture: the space, this epoch's temperature and a source of chance."""

    space: Any
    tau: float | None
    generator: torch.Generator

    def gumbel(self, alpha: Tensor, variant: Variant) -> Mixture:
        """A hard Gumbel-softmax mixture of alpha."""
        return gumbel_mixture(alpha, self.tau, self.generator, variant).around(excluded_columns(self.space))

    def soft(self, alpha: Tensor) -> Mixture:
        """All candidates, weighted by softmax."""
        return soft_mixture(alpha).around(excluded_columns(self.space))

    def uniform(self) -> dict[str, Mixture]:
        """A uniformly random cell of the space."""
        return self.space.random_mixtures(self.generator)

    def position(self) -> Any:
        """Where chance is; `rewind` goes back there, so that the same draw is made again."""
        return self.generator.get_state()

    def rewind(self, position: Any) -> None:
        self.generator.set_state(position)


def excluded_columns(space: Any) -> tuple[int, ...]:
    """Returns the columns of a mixture that the space's alpha lacks; most spaces have no such option."""
    return getattr(space, "excluded_columns", ())


class Algorithm(Protocol):
    """What `Search` needs of an algorithm. Whoever inherits from it writes a name, `mixtures` and `step`; its options are the
    fields of a frozen dataclass.

    derives_each_epoch: whether a cell is derived after each epoch, or at the end only. has_alpha_steps: whether alpha moves.
    """

    name: str
    derives_each_epoch: bool = True
    has_alpha_steps: bool = True

    def tau_at(self, epoch: int, epochs: int) -> float | None:
        """Temperature of an epoch, None if the algorithm has none."""
        return None

    def mixtures(self, alphas: Mapping[str, Tensor], draw: Draw) -> dict[str, Mixture]:
        """One mixture for each kind of cell."""

    def step(self, state: Bilevel, train_batch: Any, valid_batch: Any, draw: Draw) -> tuple[StepResult, StepResult | None]:
        """One step of the search: outcome of the weight update and of the alpha update (None if there is none)."""

    def choose(self, search: Any) -> Any:
        """The genotype found so far; by default the one that the space's rule reads off alpha."""
        return search.space.derive(search.state.alphas)


@dataclass(frozen=True)
class GDAS(Algorithm):
    """Gradient-based search using a differentiable architecture sampler (Dong & Yang, CVPR 2019).

    tau: temperature of the first and of the last epoch, linear between. 10 to 0.1 (the paper prints 10 to 1; its
        authors' correction and every script say 0.1).
    variant: gradient rule of the edge, "P" or "N" (see relaxation.gumbel_mixture); None: the one AutoDL-Projects uses in
        the space at hand (N in NAS-Bench-201, P in the NASNet space).
    """

    tau: tuple[float, float] = (10.0, 0.1)
    variant: Variant | None = None
    name: ClassVar[str] = "gdas"

    def __post_init__(self) -> None:
        for tau in self.tau:
            check_tau(tau)
        if self.variant not in (None, "P", "N"):
            raise ValueError(f"variant must be 'P', 'N' or None, got {self.variant!r}")

    def tau_at(self, epoch: int, epochs: int) -> float:
        return linear_tau(*self.tau, epoch, epochs)

    def mixtures(self, alphas: Mapping[str, Tensor], draw: Draw) -> dict[str, Mixture]:
        variant = self.variant or draw.space.gdas_variant
        return {kind: draw.gumbel(alpha, variant) for kind, alpha in alphas.items()}

    def step(self, state: Bilevel, train_batch: Any, valid_batch: Any, draw: Draw) -> tuple[StepResult, StepResult]:
        return first_order_step(self, state, train_batch, valid_batch, draw)


@dataclass(frozen=True)
class DARTS(Algorithm):
    """Differentiable architecture search (Liu, Simonyan & Yang, ICLR 2019): all candidates run, softmax-weighted.

    order: 1 takes alpha's gradient at the current weights (DARTS-V1), 2 after one virtual weight step (DARTS-V2).
    """

    order: Literal[1, 2] = 1

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise ValueError(f"DARTS has order 1 or 2, got {self.order!r}")

    @property
    def name(self) -> str:
        return f"darts-v{self.order}"

    def mixtures(self, alphas: Mapping[str, Tensor], draw: Draw) -> dict[str, Mixture]:
        return {kind: draw.soft(alpha) for kind, alpha in alphas.items()}

    def step(self, state: Bilevel, train_batch: Any, valid_batch: Any, draw: Draw) -> tuple[StepResult, StepResult]:
        if self.order == 1:
            return first_order_step(self, state, train_batch, valid_batch, draw)
        if state.recipe.update_order == "alpha_first":
            outcome = self._second_order_alpha_step(state, train_batch, valid_batch, draw)
            return state.updates.weight_step(state, self._for_weights(state, draw), train_batch), outcome
        trained = state.updates.weight_step(state, self._for_weights(state, draw), train_batch)
        return trained, self._second_order_alpha_step(state, train_batch, valid_batch, draw)

    def _for_weights(self, state: Bilevel, draw: Draw) -> dict[str, Mixture]:
        return self.mixtures(alphas_for_weights(state), draw)

    def _second_order_alpha_step(self, state: Bilevel, train_batch: Any, valid_batch: Any, draw: Draw) -> StepResult:
        recipe, group, velocity = state.recipe, state.sgd.param_groups[0], state.sgd.state
        if not recipe.virtual_redraw and hasattr(train_batch, "with_same_noise"):
            train_batch = train_batch.with_same_noise()     # one function, differentiated three times
        params = state.updates.params_in_use(state)
        outcomes = []

        def loss_on(batch: Any) -> Tensor:
            judged = state.objective(state.supernet, self.mixtures(state.alphas, draw), batch)
            outcomes.append(judged.outcome())       # without the graph: its memory is for the next pass
            return judged.loss

        virtual = VirtualStep(
            group["lr"], group["momentum"] if recipe.virtual_momentum else 0.0, group["weight_decay"],
            [velocity.get(param, {}).get("momentum_buffer") for param in params], recipe.virtual_clip_norm)
        gradients, _ = second_order_gradient(
            lambda: loss_on(train_batch), lambda: loss_on(valid_batch), params,
            list(state.alphas.values()), virtual, list(state.supernet.buffers()))
        state.updates.apply(state, gradients)
        return outcomes[1]      # passes: virtual step, valid, two of the finite difference


@dataclass(frozen=True)
class RandomSearch(Algorithm):
    """Random search with weight sharing (Li & Talwalkar 2019; RSPS in NAS-Bench-201): the baseline of every result.

    Each weight step trains a uniformly random cell of the space; there is no alpha step. At the end `samples` random
    cells are scored with the shared weights, each on the next valid batch of `selection_batch` images; the best wins.
    """

    samples: int = 100
    selection_batch: int = 512
    name: ClassVar[str] = "random"
    derives_each_epoch: ClassVar[bool] = False
    has_alpha_steps: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.samples < 1 or self.selection_batch < 1:
            raise ValueError(f"samples and selection_batch must be at least 1, got {self.samples} and "
                             f"{self.selection_batch}")

    def mixtures(self, alphas: Mapping[str, Tensor], draw: Draw) -> dict[str, Mixture]:
        return draw.uniform()

    def step(self, state: Bilevel, train_batch: Any, valid_batch: Any, draw: Draw) -> tuple[StepResult, None]:
        return state.updates.weight_step(state, self.mixtures(state.constants(), draw), train_batch), None

    def choose(self, search: Any) -> Any:
        """The best of the random cells that are scored with the shared weights as they are now."""
        return search.task.select(search.state.supernet, self.samples, self.selection_batch, search.seed)


def first_order_step(
    algorithm: Algorithm, state: Bilevel, train_batch: Any, valid_batch: Any, draw: Draw
) -> tuple[StepResult, StepResult]:
    """Weight update and alpha update in the recipe's order, each with its own draw unless `redraw` is off."""
    start = draw.position()

    def update_weights() -> StepResult:
        return state.updates.weight_step(state, algorithm.mixtures(alphas_for_weights(state), draw), train_batch)

    def update_alpha() -> StepResult:
        gradients, outcome = state.updates.alpha_gradient(state, algorithm.mixtures(state.alphas, draw), valid_batch)
        state.updates.apply(state, gradients)
        return outcome

    first, second = update_weights, update_alpha
    if state.recipe.update_order == "alpha_first":
        first, second = second, first
    outcome = first()
    if not state.recipe.redraw:
        draw.rewind(start)
    other = second()
    return (outcome, other) if state.recipe.update_order == "weights_first" else (other, outcome)


def weights_alone(algorithm: Algorithm, state: Bilevel, train_batch: Any, _valid_batch: Any, draw: Draw
                  ) -> tuple[StepResult, None]:
    """A step before alpha learns (`SearchRecipe.alpha_start`), of any algorithm: the weight update, and no other."""
    return state.updates.weight_step(state, algorithm.mixtures(alphas_for_weights(state), draw), train_batch), None


def alphas_for_weights(state: Bilevel) -> Mapping[str, Tensor]:
    """Alphas as a weight step sees them: constants, unless alpha's gradient is to enter the clipped norm."""
    return state.alphas if state.recipe.clip_scope == "weights_and_alpha" else state.constants()


ALGORITHMS: dict[str, Algorithm] = {}


def register(algorithm: Algorithm) -> Algorithm:
    """Make an algorithm known by its name, with these options as its defaults; a run folder can then be resumed by itself.

    Raises ValueError if it is no instance of a dataclass, or another one has that name.
    """
    check_algorithm(algorithm)
    known = ALGORITHMS.setdefault(algorithm.name, algorithm)
    if type(known) is not type(algorithm):
        raise ValueError(f"there is an algorithm called {algorithm.name!r} already: {known}")
    return algorithm


def check_algorithm(algorithm: Algorithm) -> None:
    """Raise ValueError unless its options can be written down, as a run folder does."""
    if isinstance(algorithm, type) or not is_dataclass(algorithm):
        raise ValueError(f"an algorithm is an instance of a frozen dataclass, such as GDAS(); got {algorithm!r}")


for _algorithm in (GDAS(), DARTS(1), DARTS(2), RandomSearch()):
    register(_algorithm)


def algorithm_named(name: str) -> Algorithm:
    """An algorithm with its default options. Raises ValueError for an unknown name."""
    if name not in ALGORITHMS:
        raise ValueError(f"unknown algorithm {name!r}; there are {', '.join(ALGORITHMS)}")
    return ALGORITHMS[name]
