"""The searches: how alpha becomes a mixture, and which updates a step makes.

To add one, write a frozen dataclass that inherits from `Algorithm`, with `name` and `mixtures`; every space then runs
it, by recipe name too. `register` it, and commands know it by name and a run folder resumes by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor

from ..relaxation import Mixture, Variant, check_tau, gumbel_mixture, linear_tau, soft_mixture
from ..runs.meters import StepResult
from ..runs.schema import Range, check_fields, python_number, said
from ..spaces import is_same_class
from .second_order import VirtualStep, second_order_gradient
from .updates import Bilevel


@dataclass(frozen=True)
class Sampler:
    """What an algorithm may use to make a mixture: the space, this epoch's temperature and a source of chance."""

    space: Any
    tau: float | None
    generator: torch.Generator

    def gumbel(self, alpha: Tensor, variant: Variant) -> Mixture:
        """Returns a hard Gumbel-softmax mixture of alpha, (edges, candidates)."""
        return gumbel_mixture(alpha, self.tau, self.generator, variant).around(excluded_columns(self.space))

    def soft(self, alpha: Tensor) -> Mixture:
        """Returns all candidates, weighted by softmax(alpha)."""
        return soft_mixture(alpha).around(excluded_columns(self.space))

    def uniform(self) -> dict[str, Mixture]:
        """Returns a uniformly random cell of the space."""
        return self.space.random_mixtures(self.generator)

    def position(self) -> Any:
        """Returns where chance is; `rewind` goes back there, so that the same draw is made again."""
        return self.generator.get_state()

    def rewind(self, position: Any) -> None:
        self.generator.set_state(position)


def excluded_columns(space: Any) -> tuple[int, ...]:
    """Returns the columns of a mixture that the space's alpha lacks; most spaces have no such option."""
    return getattr(space, "excluded_columns", ())


class Algorithm:
    """What `Search` needs of an algorithm; its options are the fields of a frozen dataclass.

    derives_each_epoch: whether a cell is derived after each epoch, or at the end only. has_alpha_steps: whether alpha
    moves. can_be_split: whether several processes can share a step, because `state.updates` makes all its gradients.
    """

    name: str
    derives_each_epoch: ClassVar[bool] = True
    has_alpha_steps: ClassVar[bool] = True
    can_be_split: ClassVar[bool] = True

    def tau_at(self, epoch: int, epochs: int) -> float | None:
        """Returns the temperature of an epoch; None if the algorithm has none."""
        return None

    def mixtures(self, alphas: Mapping[str, Tensor], sampler: Sampler) -> dict[str, Mixture]:
        """Returns one mixture for each kind of cell. alphas: (edges, candidates) each."""
        raise NotImplementedError

    def step(self, state: Bilevel, train_batch: Any, valid_batch: Any, sampler: Sampler
             ) -> tuple[StepResult, StepResult | None]:
        """Updates weights and alpha in the recipe's order, each with its own draw unless `redraw` is off. Returns what
        both report; None where alpha is not updated."""
        start, alpha_first = sampler.position(), state.recipe.update_order == "alpha_first"
        if alpha_first:
            validated = self.alpha_step(state, train_batch, valid_batch, sampler)
        else:
            trained = self.weight_step(state, train_batch, sampler)
        if not state.recipe.redraw:
            sampler.rewind(start)
        if alpha_first:
            trained = self.weight_step(state, train_batch, sampler)
        else:
            validated = self.alpha_step(state, train_batch, valid_batch, sampler)
        return trained, validated

    def weight_step(self, state: Bilevel, train_batch: Any, sampler: Sampler) -> StepResult:
        """Updates the weights. Alphas are constants in it, unless their gradient is to enter the clipped norm."""
        alphas = state.alphas if state.recipe.clip_scope == "weights_and_alpha" else state.constants()
        return state.updates.weight_step(state, self.mixtures(alphas, sampler), train_batch)

    def alpha_step(self, state: Bilevel, train_batch: Any, valid_batch: Any, sampler: Sampler) -> StepResult:
        """Updates alpha by its gradient at the current weights."""
        gradients, result = state.updates.alpha_gradient(state, self.mixtures(state.alphas, sampler), valid_batch)
        state.updates.apply(state, gradients)
        return result

    def choose(self, search: Any) -> Any:
        """Returns the genotype found so far; by default the one that the space's rule reads off alpha."""
        return search.space.derive(search.state.alphas)


@dataclass(frozen=True)
class GDAS(Algorithm):
    """Gradient-based search using a differentiable architecture sampler (Dong & Yang, CVPR 2019).

    tau: temperature of the first and of the last epoch, linear between. 10 to 0.1 (the paper prints 10 to 1; its
        authors' correction and every script say 0.1).
    variant: gradient rule of the edge, "P" or "N" (see relaxation.gumbel_mixture); None: the one that AutoDL-Projects
        uses in the space at hand (N in NAS-Bench-201, P in the NASNet space).
    Raises ValueError for a temperature that is not positive or another variant.
    """

    tau: tuple[float, float] = (10.0, 0.1)
    variant: Variant | None = None
    name: ClassVar[str] = "gdas"

    def __post_init__(self) -> None:
        check_fields(self)
        for tau in self.tau:
            check_tau(tau)

    def tau_at(self, epoch: int, epochs: int) -> float:
        return linear_tau(*self.tau, epoch, epochs)

    def mixtures(self, alphas: Mapping[str, Tensor], sampler: Sampler) -> dict[str, Mixture]:
        variant = self.variant or sampler.space.gdas_variant
        return {kind: sampler.gumbel(alpha, variant) for kind, alpha in alphas.items()}


@dataclass(frozen=True)
class DARTS(Algorithm):
    """Differentiable architecture search (Liu, Simonyan & Yang, ICLR 2019): all candidates run, softmax-weighted.

    order: 1 takes alpha's gradient at the current weights (DARTS-V1), 2 after one virtual weight step (DARTS-V2).
    Raises ValueError for another order.
    """

    order: Literal[1, 2] = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", python_number(self.order))
        if type(self.order) is not int or self.order not in (1, 2):     # True is 1
            raise ValueError(f"DARTS has order 1 or 2, got {self.order!r}")

    @property
    def name(self) -> str:
        return f"darts-v{self.order}"

    @property
    def can_be_split(self) -> bool:
        return self.order == 1      # the virtual step takes the gradient of a whole batch

    def mixtures(self, alphas: Mapping[str, Tensor], sampler: Sampler) -> dict[str, Mixture]:
        return {kind: sampler.soft(alpha) for kind, alpha in alphas.items()}

    def alpha_step(self, state: Bilevel, train_batch: Any, valid_batch: Any, sampler: Sampler) -> StepResult:
        """Updates alpha by its gradient at the current weights, or after one virtual step of them."""
        if self.order == 1:
            return super().alpha_step(state, train_batch, valid_batch, sampler)
        recipe, group = state.recipe, state.sgd.param_groups[0]
        if not recipe.virtual_redraw and hasattr(train_batch, "with_same_noise"):
            train_batch = train_batch.with_same_noise()     # one function, differentiated three times
        reports = []

        def loss_on(batch: Any) -> Tensor:
            result = state.updates.loss(state, self.mixtures(state.alphas, sampler), batch)
            reports.append(result.reported())
            return result.loss

        virtual = VirtualStep(
            group["lr"], group["momentum"] if recipe.virtual_momentum else 0.0, group["weight_decay"],
            state.updates.momentum(state), recipe.virtual_clip_norm)
        gradients, _ = second_order_gradient(
            lambda: loss_on(train_batch), lambda: loss_on(valid_batch), state.updates.params_in_use(state),
            list(state.alphas.values()), virtual, list(state.supernet.buffers()))
        state.updates.apply(state, gradients)
        return reports[1]       # passes: virtual step, valid, two of the finite difference


@dataclass(frozen=True)
class RandomSearch(Algorithm):
    """Random search with weight sharing (Li & Talwalkar 2019; RSPS in NAS-Bench-201): the baseline of every result.

    Each weight step trains a uniformly random cell of the space; there is no alpha step. At the end `samples` random
    cells are scored with the shared weights, each on the next valid batch of `selection_batch` images; the best wins.
    Raises ValueError for fewer than one.
    """

    samples: Annotated[int, Range(1, whole=True)] = 100
    selection_batch: Annotated[int, Range(1, whole=True)] = 512
    name: ClassVar[str] = "random"
    derives_each_epoch: ClassVar[bool] = False
    has_alpha_steps: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_fields(self)

    def mixtures(self, alphas: Mapping[str, Tensor], sampler: Sampler) -> dict[str, Mixture]:
        return sampler.uniform()

    def step(self, state: Bilevel, train_batch: Any, valid_batch: Any, sampler: Sampler) -> tuple[StepResult, None]:
        return self.weight_step(state, train_batch, sampler), None

    def choose(self, search: Any) -> Any:
        return search.task.select(search.state.supernet, self.samples, self.selection_batch, search.seed)


ALGORITHMS: dict[str, Algorithm] = {}


def register(algorithm: Algorithm) -> Algorithm:
    """Makes an algorithm known by its name, with these options as its defaults.

    Raises ValueError if it is no instance of a dataclass, or another one has that name.
    """
    check_algorithm(algorithm)
    known = ALGORITHMS.get(algorithm.name, algorithm)
    if not is_same_class(type(known), type(algorithm)):
        raise ValueError(f"there is an algorithm called {algorithm.name!r} already: {known}")
    ALGORITHMS[algorithm.name] = algorithm
    return algorithm


def check_algorithm(algorithm: Algorithm) -> None:
    """Raises ValueError unless it is one that a run folder can write down: its name and its options."""
    if not (isinstance(algorithm, Algorithm) and is_dataclass(algorithm) and hasattr(algorithm, "name")):
        raise ValueError("an algorithm is an instance of a frozen dataclass, such as GDAS(), and has a name; got "
                         f"{said(algorithm)}")


for _algorithm in (GDAS(), DARTS(1), DARTS(2), RandomSearch()):
    register(_algorithm)


def algorithm_named(name: str) -> Algorithm:
    """Returns an algorithm with its default options. Raises ValueError for an unknown name."""
    if name not in ALGORITHMS:
        raise ValueError(f"unknown algorithm {name!r}; there are {', '.join(ALGORITHMS)}")
    return ALGORITHMS[name]
