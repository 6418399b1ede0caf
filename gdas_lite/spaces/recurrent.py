"""The recurrent space: eight steps, five activations, 36 x 5 alphas; cells of a word language model.

At every word state 0 is made from the word and the last hidden state, then each step makes a state from earlier ones;
the mean of the steps' states is the output and the next hidden state. Every connection is a highway: with (c, h) = s W,

    s_new = s + sigmoid(c) * (f(h) - s)

and one matrix W (H, 2H) serves all predecessors of a step. In a search a step adds up its predecessors, each through
the mixture of the activations f, and batch norm follows; a derived cell has one predecessor and activation a step.

Source: DARTS paper, section 3.2 and appendix A.1.2; quark0/darts, rnn. The papers count differently: DARTS' "N = 12"
has the two inputs, state 0, eight steps and the output; GDAS' "B = 9" state 0 and the eight steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..genotypes.labels import CellLabels
from ..genotypes.recurrent import RecurrentGenotype
from ..relaxation import Mixture, fixed_mixture
from ..runs.schema import check_fields, check_has, check_sizes
from .language_model import LanguageModel, Masks

STEPS = 8
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "identity": lambda h: h}
CANDIDATES = ("none", *ACTIVATIONS)
NONE = CANDIDATES.index("none")
EDGES = tuple((source, step + 1) for step in range(STEPS) for source in range(step + 1))     # (src, dst) of each row
NORM_EPS, NORM_MOMENTUM = 1e-5, 0.1


def first_row(step: int) -> int:
    """Returns the row of alpha for step i (0-based) and predecessor 0, i(i+1)/2; predecessor p is p rows further."""
    return step * (step + 1) // 2


def highway(state: Tensor, product: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """Returns s + sigmoid(c) * (f(h) - s), (B, H), for a state s (B, H) and its product s W = (c, h), (B, 2H)."""
    gate, h = product.chunk(2, -1)
    return state + gate.sigmoid() * (activation(h) - state)


def masked(states: Tensor, mask: Tensor | None) -> Tensor:
    """Returns states (..., B, H) as a weight matrix meets them: times the mask (B, H) of hidden dropout, if any."""
    return states if mask is None else states * mask


@dataclass(frozen=True)
class StateNorm:
    """The batch norm of a search: without affine part, the same for all nine states. Maps (B, H).

    mean, var: running estimates (H,); None where none are kept. uses_batch: whether the batch's statistics normalise.
    """

    mean: Tensor | None
    var: Tensor | None
    uses_batch: bool

    def __call__(self, state: Tensor) -> Tensor:
        # F.batch_norm refuses a batch of one sequence, whose normalised states are zeros
        return torch.batch_norm(state, None, None, self.mean, self.var, self.uses_batch, NORM_MOMENTUM, NORM_EPS, False)


@dataclass(frozen=True)
class RecurrentCell:
    """A cell word by word. start: W0, (E + H, 2H). steps: (steps, H, 2H)."""

    start: Tensor
    steps: Tensor

    def __call__(self, embedded: Tensor, hidden: Tensor, mask: Tensor | None, mixture: Mixture | None = None) -> Tensor:
        """Returns the outputs (T, B, H) for embedded words (T, B, E), a state and a mask of hidden dropout, (B, H)."""
        size, outputs = hidden.shape[1], []
        for from_word in embedded @ self.start[:-size]:                                 # (B, 2H)
            state = highway(hidden, from_word + masked(hidden, mask) @ self.start[-size:], torch.tanh)
            hidden = self.output(state, mask, mixture)
            outputs.append(hidden)
        return torch.stack(outputs)

    def output(self, state: Tensor, mask: Tensor | None, mixture: Mixture | None) -> Tensor:
        """Returns the cell's output, which is the next hidden state, (B, H). state: a word's state 0, (B, H)."""
        raise NotImplementedError


@dataclass(frozen=True)
class SearchCell(RecurrentCell):
    """The cell with every candidate on every edge; its output is the mean of the eight states that follow state 0."""

    norm: StateNorm

    def output(self, state: Tensor, mask: Tensor | None, mixture: Mixture) -> Tensor:
        states = [self.norm(state)]
        for step in range(STEPS):
            states.append(self.norm(self.step(step, torch.stack(states), mask, mixture)))
        return torch.stack(states[1:]).mean(0)

    def step(self, step: int, states: Tensor, mask: Tensor | None, mixture: Mixture) -> Tensor:
        """Returns the sum over predecessors and candidates, (B, H). states: all predecessors, (step + 1, B, H)."""
        rows, total = range(first_row(step), first_row(step + 1)), torch.zeros_like(states[0])
        products = masked(states, mask) @ self.steps[step]                              # (step + 1, B, 2H)
        for row, state, product in zip(rows, states, products, strict=True):
            for k in mixture.active[row]:
                if k != NONE:
                    term, weight = highway(state, product, ACTIVATIONS[CANDIDATES[k]]), mixture.weight(row, k)
                    total = total + (term if weight is None else weight * term)
        scalar = mixture.unsampled(rows)
        return total if scalar is None else total + scalar


@dataclass(frozen=True)
class DerivedCell(RecurrentCell):
    """The cell of a genotype; its output is the mean of the states that the genotype names."""

    genotype: RecurrentGenotype

    def output(self, state: Tensor, mask: Tensor | None, mixture: Mixture | None = None) -> Tensor:
        states = [state]
        for (name, source), weight in zip(self.genotype.steps, self.steps, strict=True):
            states.append(highway(states[source], masked(states[source], mask) @ weight, ACTIVATIONS[name]))
        return torch.stack([states[index] for index in self.genotype.concat]).mean(0)


class _RecurrentModel(LanguageModel):
    """A language model with one recurrent cell: W0 (embedding + H, 2H), one (H, 2H) matrix a step, no biases."""

    def __init__(self, vocabulary: int, hidden: int, embedding: int | None, steps: int, tied: bool) -> None:
        super().__init__(vocabulary, hidden, embedding, tied)
        self.start = nn.Parameter(torch.empty(self.embedding_size + hidden, 2 * hidden))
        self.steps = nn.Parameter(torch.empty(steps, hidden, 2 * hidden))
        self.reset_parameters()


class Supernet(_RecurrentModel):
    """All cells in one language model; `forward(words, mixtures)` runs the mixture under "recurrent".

    One batch norm without affine part serves all nine states; it is there in the search only. It takes every factor of
    a state away, and so the gradient of a mixture's weight that stands alone: GDAS learns nothing about edge (0, 1),
    the only one into state 1. DARTS does, whose candidates are added there.
    """

    def __init__(self, space: Recurrent, vocabulary: int) -> None:
        super().__init__(vocabulary, space.hidden, space.embedding, STEPS, tied=True)
        self.register_buffer("running_mean", torch.zeros(space.hidden) if space.track_running_stats else None)
        self.register_buffer("running_var", torch.ones(space.hidden) if space.track_running_stats else None)

    def cell(self, embedded: Tensor, hidden: Tensor, masks: Masks, mixtures: Mapping[str, Mixture]) -> Tensor:
        norm = StateNorm(self.running_mean, self.running_var, self.training or self.running_mean is None)
        cell = SearchCell(self.start, self.steps, norm)
        return self.run_cell(cell, embedded, hidden, masks.hidden, mixture=mixtures["recurrent"])


class Network(_RecurrentModel):
    """The language model of a derived cell: `forward(words)`. As published: H = 850 on PTB, 700 on WikiText-2, tied."""

    def __init__(self, genotype: RecurrentGenotype, hidden: int = 850, vocabulary: int = 10_000,
                 embedding: int | None = None, tied: bool = True) -> None:
        super().__init__(vocabulary, hidden, embedding, len(genotype.steps), tied)
        self.genotype = genotype
        self.settings = {"hidden": hidden, "vocabulary": vocabulary, "embedding": embedding, "tied": tied}

    def cell(self, embedded: Tensor, hidden: Tensor, masks: Masks) -> Tensor:
        return self.run_cell(DerivedCell(self.start, self.steps, self.genotype), embedded, hidden, masks.hidden)


@dataclass(frozen=True)
class Recurrent:
    """The space as a value: size of its supernet, and how alphas, mixtures and genotypes translate into each other.

    hidden: H, 300 in the published searches. embedding: size of a word's vector, H or None: the output layer is tied.
    none: how `none` counts when a cell is derived. "excluded": it is left out (DARTS paper and code). "counted": the
        predecessor of a step is the one whose best probability, `none` included, is largest (GDAS' released code, which
        would even write `none` into the cell; here the edge's best activation is taken).
    track_running_stats: keep running estimates in the batch norm and use them in evaluation, as quark0/darts does. One
        pair of estimates stands for nine different states there; False uses batch statistics in evaluation too.
    Raises ValueError for sizes that cannot be built or another reading of `none`.
    """

    hidden: int = 300
    embedding: int | None = None
    none: Literal["excluded", "counted"] = "excluded"
    track_running_stats: bool = False

    name: ClassVar[str] = "recurrent"
    network_class: ClassVar[type[nn.Module]] = Network
    labels: ClassVar[dict[str, CellLabels]] = {"recurrent": CellLabels(EDGES, CANDIDATES)}
    gdas_variant: ClassVar[str] = "P"       # the paper's; no search code was released for this space
    data_kind: ClassVar[str] = "text"
    default_recipe: ClassVar[dict[str, Any]] = {}       # quark0/darts', whose values are TextSearchRecipe's own

    def __post_init__(self) -> None:
        check_sizes(hidden=self.hidden, embedding=self.embedding)
        check_fields(self)

    def supernet(self, vocabulary: int) -> Supernet:
        """Returns the language model with all candidates. vocabulary: number of different words."""
        return Supernet(self, vocabulary)

    def derive(self, alphas: Mapping[str, Tensor | np.ndarray]) -> RecurrentGenotype:
        """Returns for each step the one predecessor whose best probability is largest, with its best activation; ties
        go to the first. Raises ValueError for alphas of another shape or with NaN.

        Source: DARTS paper, section 2.4 with one predecessor; `none` by this space's reading.
        """
        alpha = torch.from_numpy(self.labels["recurrent"].alpha(alphas, "recurrent"))
        probabilities = alpha.softmax(-1).numpy()                           # softmax: rows are compared with each other
        steps = []
        for step in range(STEPS):
            rows = probabilities[first_row(step):first_row(step + 1)]       # (predecessors, 5)
            ranked = rows if self.none == "counted" else np.delete(rows, NONE, axis=1)
            source = int(ranked.max(-1).argmax())
            column = 1 + int(rows[source, 1:].argmax())
            steps.append((CANDIDATES[column], source))
        return RecurrentGenotype(tuple(steps))

    def mixtures(self, genotype: RecurrentGenotype) -> dict[str, Mixture]:
        """Returns a genotype as a mixture of the supernet: its edges run their activation, all others `none`.

        Raises ValueError for a cell that has not eight steps, or whose mean leaves states out.
        """
        check_has(genotype, "steps", "genotype", "a cell of the space recurrent")
        if len(genotype.steps) != STEPS or genotype.concat != tuple(range(1, STEPS + 1)):
            raise ValueError(f"a cell of this space has {STEPS} steps and the mean of all their states as output; this "
                             f"one has {len(genotype.steps)} steps and the mean of {list(genotype.concat)}")
        choices = [NONE] * len(EDGES)
        for step, (name, source) in enumerate(genotype.steps):
            choices[first_row(step) + source] = CANDIDATES.index(name)
        return {"recurrent": fixed_mixture(choices, len(CANDIDATES))}

    def random_mixtures(self, generator: torch.Generator) -> dict[str, Mixture]:
        """Returns a uniformly random derived cell: for each step one predecessor and one activation, uniformly."""
        steps = tuple((CANDIDATES[int(torch.randint(1, len(CANDIDATES), (), generator=generator))],
                       int(torch.randint(step + 1, (), generator=generator))) for step in range(STEPS))
        return self.mixtures(RecurrentGenotype(steps))

    def genotype_of(self, mixtures: Mapping[str, Mixture]) -> RecurrentGenotype:
        """Returns the cell that a hard mixture with one running predecessor a step runs: the inverse of `mixtures`.

        Raises ValueError if a step has none or several.
        """
        active, steps = mixtures["recurrent"].active, []
        for step in range(STEPS):
            rows = active[first_row(step):first_row(step + 1)]
            running = [(CANDIDATES[columns[0]], source) for source, columns in enumerate(rows) if columns[0] != NONE]
            if len(running) != 1:
                raise ValueError(f"step {step} has {len(running)} running predecessors; a derived cell has exactly one")
            steps.append(running[0])
        return RecurrentGenotype(tuple(steps))
