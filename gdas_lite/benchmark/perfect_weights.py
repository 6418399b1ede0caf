"""Differentiable search with perfect weights: a table of all cells as a function of relaxed choices.

The multilinear extension of a table, f(h) = sum over all 15,625 cells of accuracy(cell) * product over edges e of h[e,
op_e], equals the table at every cell (h one-hot) and is differentiable between them. On it the searches run as they do
in a supernet, but no weights are shared, none can be wrong, and accuracies are mixed, not outputs as in DARTS: what a
search misses here is the doing of its gradient rule alone.

    runs = gl.perfect_weights.search("darts", seeds=range(100))
    runs.regret().mean(), [str(cell) for cell in runs.genotypes[:3]]

All seeds go side by side: the first axis of every array is the seed. Sources: DARTS paper, equation 2; GDAS paper,
section 3.2; REINFORCE as in NAS-Bench-201's baselines.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..genotypes.nasbench201 import NASBench201Genotype
from ..genotypes.notation import NASBENCH201_OPS
from .baselines import Adam, softmax
from .landscape import NUM_EDGES, NUM_OPS
from .landscape import choices as choices_of
from .table import Table, opened

RULES = ("darts", "gumbel", "straight-through", "gdas", "gdas with a baseline", "reinforce")
SAMPLES = RULES[1:]         # the rules that draw
BASELINE_DECAY = 0.9        # of the moving mean that "with a baseline" and "reinforce" subtract
ADAM_BETAS = (0.5, 0.999)   # alpha's of the searches


class Relaxed:
    """A table's accuracy (percent) as a multilinear function of h (..., 6, 5), one weight for each edge and operation.

    table: a `Table` or its name. column: the accuracy; None for the one that a search should choose by.
    """

    def __init__(self, table: Table | str = "nasbench201", column: str | None = None) -> None:
        table = opened(table)
        self.column = column or table.search_column or table.default_column
        self._cube = np.empty((NUM_OPS,) * NUM_EDGES)
        self._cube[tuple(choices_of(table).T)] = table.values(self.column)

    def at(self, choices: np.ndarray) -> np.ndarray:
        """Returns the accuracies (...) of cells given by their columns, (..., 6) integers."""
        return self._cube[tuple(np.moveaxis(np.asarray(choices), -1, 0))]

    def value(self, h: np.ndarray) -> np.ndarray:
        """Returns f(h), (...), of h (..., 6, 5). Raises ValueError for another shape."""
        return self._and_partials(h)[0]

    def gradient(self, h: np.ndarray) -> np.ndarray:
        """Returns df/dh, (..., 6, 5), of h (..., 6, 5): entry (e, k) is f with operation k, whole, on edge e.

        Raises ValueError for another shape.
        """
        return self._and_partials(h)[1]

    def around(self, choices: np.ndarray) -> np.ndarray:
        """Returns the gradient at cells, (runs, 6, 5), from their columns (runs, 6): all neighbours' accuracies."""
        index = np.repeat(choices[:, None, None, :], NUM_EDGES, 1).repeat(NUM_OPS, 2)      # (runs, 6, 5, 6)
        for edge in range(NUM_EDGES):
            index[:, edge, :, edge] = np.arange(NUM_OPS)
        return self.at(index)

    def _and_partials(self, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        h = np.asarray(h, float)
        if h.shape[-2:] != (NUM_EDGES, NUM_OPS):
            raise ValueError(f"h must be (..., {NUM_EDGES}, {NUM_OPS}), one row an edge, got {h.shape}")
        flat = h.reshape(-1, NUM_EDGES, NUM_OPS)
        gradient = np.empty_like(flat)
        left = np.broadcast_to(self._cube.reshape(1, NUM_OPS, -1), (len(flat), NUM_OPS, self._cube.size // NUM_OPS))
        for edge in range(NUM_EDGES):       # `left`: the edges before this one are contracted, this one is axis 1
            rest = left
            for other in range(NUM_EDGES - 1, edge, -1):
                rest = rest.reshape(len(flat), -1, NUM_OPS) @ flat[:, other, :, None]
            gradient[:, edge] = rest.reshape(len(flat), NUM_OPS)
            if edge < NUM_EDGES - 1:
                left = (flat[:, edge, None] @ left).reshape(len(flat), NUM_OPS, -1)
        value = (gradient[:, -1] * flat[:, -1]).sum(-1)
        return value.reshape(h.shape[:-2]), gradient.reshape(h.shape)


@dataclass(frozen=True)
class PerfectRuns:
    """Searches side by side. alphas: (seeds, records, 6, 5), records[i] the step after which each was taken."""

    rule: str
    seeds: tuple[int, ...]
    records: np.ndarray
    alphas: np.ndarray
    table: Table

    @property
    def choices(self) -> np.ndarray:
        """(seeds, records, 6): the column of the largest alpha on each edge."""
        return self.alphas.argmax(-1)

    @property
    def genotypes(self) -> list[NASBench201Genotype]:
        """The cell of each seed at its end."""
        return [NASBench201Genotype(tuple(NASBENCH201_OPS[k] for k in row)) for row in self.choices[:, -1]]

    def accuracy(self, column: str | None = None) -> np.ndarray:
        """Returns the accuracy of the cell at each record, (seeds, records), percent; None: the default column."""
        return Relaxed(self.table, column or self.table.default_column).at(self.choices)

    def regret(self, column: str | None = None) -> np.ndarray:
        """Returns how far the last cell is below the best one, (seeds,), percentage points."""
        return self.table.values(column).max() - self.accuracy(column)[:, -1]

    def summary(self) -> str:
        """Returns the mean of the regrets, of several seeds with their standard deviation, as text."""
        regret = self.regret()
        return f"{regret.mean():.2f}" + (f" ± {regret.std(ddof=1):.2f}" if len(regret) > 1 else "")


def search(rule: str, *, seeds: Sequence[int] = range(10), steps: int = 2000, tau: tuple[float, float] = (10.0, 0.1),
           learning_rate: float = 0.01, table: Table | str = "nasbench201", column: str | None = None,
           every: int = 20) -> PerfectRuns:
    """Runs a gradient rule on the relaxed table, which it climbs; one Adam step on alpha (6, 5) a step.

    rule: "darts" (h = softmax(alpha)); "gumbel" (a soft Gumbel-softmax sample); "straight-through" (its one-hot with
    the soft sample's gradient, all candidates judged); "gdas" (the same, but only the drawn candidate has a gradient,
    variant P: what runs is what can learn); "gdas with a baseline" (minus a moving mean of the accuracies); "reinforce"
    (score function, baseline). tau: temperature of the first and the last step, linear between; without meaning for
    "darts" and "reinforce". column: the accuracy that is climbed, None for the table's search column (12-epoch
    validation). every: steps between records. Raises ValueError for an unknown rule, fewer than one step, or a
    temperature that is not positive.
    """
    if rule not in RULES:
        raise ValueError(f"unknown rule {rule!r}; there are {', '.join(RULES)}")
    if steps < 1 or every < 1 or min(tau) <= 0 or learning_rate <= 0 or not len(seeds):
        raise ValueError(f"steps, every, tau and learning_rate must be positive, seeds one or more, got {steps}, "
                         f"{every}, {tau}, {learning_rate}, {seeds}")
    table = opened(table)
    relaxed, chances = Relaxed(table, column), [np.random.default_rng(seed) for seed in seeds]
    alpha = np.stack([1e-3 * chance.standard_normal((NUM_EDGES, NUM_OPS)) for chance in chances])
    adam, baseline, kept, records = Adam(alpha.shape, learning_rate, ADAM_BETAS), None, [alpha], [0]
    for step in range(1, steps + 1):
        temperature = tau[0] + (tau[1] - tau[0]) * (step - 1) / max(steps - 1, 1)
        noise = np.stack([chance.gumbel(size=alpha.shape[1:]) for chance in chances]) if rule in SAMPLES else 0.0
        gradient, score = _gradient(rule, relaxed, alpha, noise, temperature, baseline)
        baseline = score if baseline is None else BASELINE_DECAY * baseline + (1 - BASELINE_DECAY) * score
        alpha = alpha + adam.step(gradient)
        if step % every == 0 or step == steps:
            kept.append(alpha)
            records.append(step)
    return PerfectRuns(rule, tuple(seeds), np.array(records), np.stack(kept, 1), table)


def _gradient(rule: str, relaxed: Relaxed, alpha: np.ndarray, noise: np.ndarray | float, tau: float,
              baseline: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Ascent direction of the accuracy (a share, 0..1) along alpha, (runs, 6, 5), and the accuracies met, (runs,)."""
    noise, tau = (0.0, 1.0) if rule == "darts" else (noise, tau)
    soft = softmax((alpha + noise) / tau)       # as of log softmax(alpha): what all of a row share cancels
    if rule in ("darts", "gumbel"):
        value, partials = relaxed._and_partials(soft)
        return _through_softmax(soft, partials / 100, tau), value / 100
    drawn = soft.argmax(-1)
    score = relaxed.at(drawn) / 100
    if rule == "straight-through":
        return _through_softmax(soft, relaxed.around(drawn) / 100, tau), score
    one_hot = np.eye(NUM_OPS)[drawn]
    level = 0.0 if rule == "gdas" or baseline is None else baseline
    advantage = (score - level)[:, None, None]
    if rule == "reinforce":
        return advantage * (one_hot - softmax(alpha)), score
    return _through_softmax(soft, advantage * one_hot, tau), score


def _through_softmax(soft: np.ndarray, slopes: np.ndarray, tau: float) -> np.ndarray:
    """slopes: d/d soft. d/d alpha_m = sum over k of slope_k * soft_k * (delta_km - soft_m) / tau (GDAS paper, 3.2)."""
    return soft * (slopes - (slopes * soft).sum(-1, keepdims=True)) / tau
