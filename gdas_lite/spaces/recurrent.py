"""The recurrent space: eight steps, five activations, 36 x 5 alphas; cells of a word language model.

Source: DARTS paper, section 3.2 and appendix A.1.2; quark0/darts, rnn. The papers count differently: DARTS' "N = 12"
has the two inputs, state 0, eight steps and the output; GDAS' "B = 9" state 0 and the eight steps.

The yardstick of every recurrent cell: h_t = tanh([x_t, h_{t-1}] W), nothing else (Elman, 1990).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..engines.layers.recurrent.buffers import Workspace
from ..engines.layers.recurrent.gate import Norm
from ..engines.layers.recurrent.plan import (
    CANDIDATES,
    EDGES,
    NONE,
    STEPS,
    first_row,
    plan_of_genotype,
    plan_of_mixture,
)
from ..engines.layers.recurrent.sequence import CellWeights, run_sequence
from ..genotypes.labels import CellLabels
from ..genotypes.recurrent import RecurrentGenotype
from ..relaxation import Mixture, fixed_mixture
from ..runs.schema import check_sizes
from .language_model import LanguageModel, Masks

ReadingOfNone = Literal["excluded", "counted"]


class _RecurrentModel(LanguageModel):
    """A language model with one recurrent cell: W0 (embedding + H, 2H), one (H, 2H) matrix a step, no biases."""

    def __init__(self, vocabulary: int, hidden: int, embedding: int | None, steps: int, tied: bool) -> None:
        super().__init__(vocabulary, hidden, embedding, tied)
        self.start = nn.Parameter(torch.empty(self.embedding_size + hidden, 2 * hidden))
        self.steps = nn.Parameter(torch.empty(steps, hidden, 2 * hidden))
        self._workspace = Workspace()
        self.reset_parameters()

    def _run(self, plan, embedded: Tensor, hidden: Tensor, masks: Masks | None, norm: Norm | None = None,
             mixture: Mixture | None = None) -> Tensor:
        """embedded (T, B, E), hidden (B, H): outputs (T, B, H)."""
        size = self.embedding_size
        from_words = embedded @ self.start[:size]                           # all words at once, (T, B, 2H)
        weights = CellWeights(self.start[size:], self.steps)
        return run_sequence(plan, from_words, hidden, weights, masks.hidden if masks else None, norm, mixture,
                            self._workspace)


class Supernet(_RecurrentModel):
    """All cells in one language model; `forward(words, mixtures)` runs the mixture under "recurrent".

    One batch norm without affine part serves all nine states; it is there in the search only. It takes every factor of a
    state away, and so the gradient of a mixture's weight that stands alone: GDAS learns nothing about edge (0, 1), the only
    one into state 1. DARTS does, whose candidates are added there.
    """

    def __init__(self, space: Recurrent, vocabulary: int) -> None:
        super().__init__(vocabulary, space.hidden, space.embedding, STEPS, tied=True)
        self.track_running_stats = space.track_running_stats
        if self.track_running_stats:
            self.register_buffer("running_mean", torch.zeros(space.hidden))
            self.register_buffer("running_var", torch.ones(space.hidden))

    def cell(self, embedded: Tensor, hidden: Tensor, masks: Masks | None, mixtures: Mapping[str, Mixture]) -> Tensor:
        mixture = mixtures["recurrent"]
        return self._run(plan_of_mixture(mixture), embedded, hidden, masks, self._norm(), mixture)

    def _norm(self) -> Norm:
        if not self.track_running_stats:
            return Norm(None, None, uses_batch=True)
        return Norm(self.running_mean, self.running_var, uses_batch=self.training)


class Network(_RecurrentModel):
    """The language model of a derived cell: `forward(words)`. As published: H = 850 on PTB, 700 on WikiText-2, tied."""

    def __init__(self, genotype: RecurrentGenotype, hidden: int = 850, vocabulary: int = 10_000,
                 embedding: int | None = None, tied: bool = True) -> None:
        super().__init__(vocabulary, hidden, embedding, len(genotype.steps), tied)
        self.genotype = genotype
        self.settings = {"hidden": hidden, "vocabulary": vocabulary, "embedding": embedding, "tied": tied}
        self._plan = plan_of_genotype(genotype)

    def cell(self, embedded: Tensor, hidden: Tensor, masks: Masks | None) -> Tensor:
        return self._run(self._plan, embedded, hidden, masks)


@dataclass(frozen=True)
class Recurrent:
    """The space as a value: size of its supernet, and how alphas, mixtures and genotypes translate into each other.

    hidden: H, 300 in the published searches. embedding: size of a word's vector, None for H (they must agree, since the
        output layer is tied to the embedding).
    none: how `none` counts when a cell is derived. "excluded": it is left out (DARTS paper and code). "counted": the
        predecessor of a step is the one whose best probability, `none` included, is largest (GDAS' released code). That
        code would even write `none` into the cell, which neither code base can run; here the edge's best activation is
        taken.
    track_running_stats: keep running estimates in the batch norm and use them in evaluation, as quark0/darts does. One
        pair of estimates stands for nine different states there; False uses batch statistics in evaluation too.
    """

    hidden: int = 300
    embedding: int | None = None
    none: ReadingOfNone = "excluded"
    track_running_stats: bool = False

    name: ClassVar[str] = "recurrent"
    network_class: ClassVar[type[nn.Module]] = Network
    labels: ClassVar[dict[str, CellLabels]] = {"recurrent": CellLabels(EDGES, CANDIDATES)}
    gdas_variant: ClassVar[str] = "P"       # the paper's; no search code was released for this space

    def __post_init__(self) -> None:
        check_sizes(hidden=self.hidden, embedding=self.embedding)
        if self.hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {self.hidden}")
        if self.none not in ("excluded", "counted"):
            raise ValueError(f"none must be 'excluded' or 'counted', got {self.none!r}")

    def supernet(self, vocabulary: int) -> Supernet:
        """The language model with all candidates. vocabulary: number of different words."""
        return Supernet(self, vocabulary)

    def network(self, genotype: RecurrentGenotype, vocabulary: int = 10_000) -> Network:
        """The derived language model of this space's size."""
        return Network(genotype, self.hidden, vocabulary, self.embedding)

    def derive(self, alphas: Mapping[str, Tensor | np.ndarray]) -> RecurrentGenotype:
        """For each step the one predecessor whose best probability is largest, with its best activation; ties go to the
        first. Source: DARTS paper, section 2.4 with one predecessor; `none` by this space's reading."""
        alpha = torch.as_tensor(alphas["recurrent"]).detach().cpu().double()
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
        """A genotype as a mixture of the supernet: its edges run their activation, all others `none`.

        Raises ValueError for a cell that has not eight steps, or whose mean leaves states out.
        """
        if len(genotype.steps) != STEPS or genotype.concat != tuple(range(1, STEPS + 1)):
            raise ValueError(f"a cell of this space has {STEPS} steps and the mean of all their states as output; this one "
                             f"has {len(genotype.steps)} steps and the mean of {list(genotype.concat)}")
        choices = [NONE] * len(EDGES)
        for step, (name, source) in enumerate(genotype.steps):
            choices[first_row(step) + source] = CANDIDATES.index(name)
        return {"recurrent": fixed_mixture(choices, len(CANDIDATES))}

    def random_mixtures(self, generator: torch.Generator) -> dict[str, Mixture]:
        """A uniformly random derived cell: for each step one predecessor and one activation, all equally likely."""
        steps = tuple((CANDIDATES[int(torch.randint(1, len(CANDIDATES), (), generator=generator))],
                       int(torch.randint(step + 1, (), generator=generator))) for step in range(STEPS))
        return self.mixtures(RecurrentGenotype(steps))

    def genotype_of(self, mixtures: Mapping[str, Mixture]) -> RecurrentGenotype:
        """The cell that a hard mixture with one running predecessor a step runs: the inverse of `mixtures`.

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


class PlainRNN(LanguageModel):
    """A language model with a tanh cell; dropouts and output layer as those of the searched cells.

    hidden, vocabulary, embedding, tied: see LanguageModel. Weights of the cell: (embedding + H) * H.
    """

    genotype = None

    def __init__(self, hidden: int = 850, vocabulary: int = 10_000, embedding: int | None = None, tied: bool = True
                 ) -> None:
        super().__init__(vocabulary, hidden, embedding, tied)
        self.weight = nn.Parameter(torch.empty(self.embedding_size + hidden, hidden))
        self.settings = {"hidden": hidden, "vocabulary": vocabulary, "embedding": embedding, "tied": tied}
        self.reset_parameters()

    def cell(self, embedded: Tensor, hidden: Tensor, masks: Masks | None) -> Tensor:
        from_words = embedded @ self.weight[:self.embedding_size]           # (T, B, H)
        recurrent, mask = self.weight[self.embedding_size:], None if masks is None else masks.hidden
        outputs = []
        for from_word in from_words:
            hidden = torch.addmm(from_word, hidden if mask is None else hidden * mask, recurrent).tanh()
            outputs.append(hidden)
        return torch.stack(outputs)


def equally_large(parameters: int, vocabulary: int) -> int:
    """The hidden size with which a tied PlainRNN has at most `parameters` weights: 2 H^2 + V H + V.

    Raises ValueError if not even H = 1 is small enough.
    """
    hidden = int((math.sqrt(vocabulary**2 + 8 * max(0, parameters - vocabulary)) - vocabulary) / 4)
    if hidden < 1:
        raise ValueError(f"no RNN with {vocabulary} words has as few as {parameters} weights")
    return hidden
