"""What the searches on a table propose: uniform draws, a population that ages, a policy that REINFORCE moves.

All runs go side by side: the first axis of every array is the run.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from gdas_lite.genotype import NASBench201Genotype
from gdas_lite.wellformed import NASBENCH201_OPS

NUM_OPS, NUM_EDGES = len(NASBENCH201_OPS), len(NASBench201Genotype.EDGES)
# Chance of each edge to be changed. AutoDL-Projects draws a node first, then one of its edges, which favours 0 -> 1.
MUTATED_EDGE = {"edge": np.full(6, 1 / 6), "node": np.array([1 / 3, 1 / 6, 1 / 6, 1 / 9, 1 / 9, 1 / 9])}
ADAM_BETAS, ADAM_EPSILON = (0.9, 0.999), 1e-8       # PyTorch's defaults


class Algorithm(Protocol):
    """`propose` gives one cell for each run, `learn` is told their scores; in turns, until the budget is spent.

    choices: (runs, 6) positions in NASBENCH201_OPS. scores: (runs,) percent. rng: the only source of chance.
    """

    def propose(self, rng: np.random.Generator) -> np.ndarray: ...

    def learn(self, choices: np.ndarray, scores: np.ndarray) -> None: ...


class UniformDraws:
    def __init__(self, runs: int) -> None:
        self.runs = runs

    def propose(self, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(NUM_OPS, size=(self.runs, NUM_EDGES))

    def learn(self, choices: np.ndarray, scores: np.ndarray) -> None:
        """Random search learns nothing."""


class AgingEvolution:
    """The population as a ring: the newest takes the oldest's place."""

    def __init__(self, runs: int, population: int, tournament: int, edge_chances: np.ndarray) -> None:
        self.members = np.zeros((runs, population, NUM_EDGES), dtype=int)
        self.scores = np.zeros((runs, population))
        self.tournament, self.edge_chances, self.born = tournament, edge_chances, 0

    def propose(self, rng: np.random.Generator) -> np.ndarray:
        runs, population = self.scores.shape
        if self.born < population:
            return rng.integers(NUM_OPS, size=(runs, NUM_EDGES))
        every = np.arange(runs)
        drawn = rng.integers(population, size=(runs, self.tournament))
        winner = drawn[every, self.scores[every[:, None], drawn].argmax(1)]        # of equal ones the first drawn
        child = self.members[every, winner].copy()
        edge = rng.choice(NUM_EDGES, size=runs, p=self.edge_chances)
        child[every, edge] = (child[every, edge] + rng.integers(1, NUM_OPS, size=runs)) % NUM_OPS
        return child

    def learn(self, choices: np.ndarray, scores: np.ndarray) -> None:
        oldest = self.born % self.scores.shape[1]
        self.members[:, oldest], self.scores[:, oldest] = choices, scores
        self.born += 1


class SoftmaxPolicy:
    """alpha (runs, 6, 5) with Adam's two moments; the moving average as numerator and denominator."""

    def __init__(self, runs: int, learning_rate: float, momentum: float) -> None:
        self.runs, self.learning_rate, self.momentum, self.steps = runs, learning_rate, momentum, 0
        self.alpha: np.ndarray | None = None
        self.first, self.second = np.zeros((2, runs, NUM_EDGES, NUM_OPS))
        self.sum, self.weight = np.zeros(runs), 0.0

    def propose(self, rng: np.random.Generator) -> np.ndarray:
        if self.alpha is None:
            self.alpha = 1e-3 * rng.standard_normal((self.runs, NUM_EDGES, NUM_OPS))
        below = rng.random((self.runs, NUM_EDGES, 1)) > self._op_probs().cumsum(-1)[:, :, :-1]
        return below.sum(-1)

    def learn(self, choices: np.ndarray, scores: np.ndarray) -> None:
        self.sum = self.momentum * self.sum + (1 - self.momentum) * scores
        self.weight = self.momentum * self.weight + 1 - self.momentum
        advantage = scores - self.sum / self.weight
        gradient = (self._op_probs() - np.eye(NUM_OPS)[choices]) * advantage[:, None, None]     # of -log p * advantage
        self.steps += 1
        self.first += (1 - ADAM_BETAS[0]) * (gradient - self.first)
        self.second += (1 - ADAM_BETAS[1]) * (gradient**2 - self.second)
        mean = self.first / (1 - ADAM_BETAS[0]**self.steps)
        root = np.sqrt(self.second / (1 - ADAM_BETAS[1]**self.steps))
        self.alpha = self.alpha - self.learning_rate * mean / (root + ADAM_EPSILON)

    def _op_probs(self) -> np.ndarray:
        powers = np.exp(self.alpha - self.alpha.max(-1, keepdims=True))
        return powers / powers.sum(-1, keepdims=True)
