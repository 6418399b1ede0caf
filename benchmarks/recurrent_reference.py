"""The recurrent search cell written out step by step, as quark0/darts formulates it; for comparison only.

`products="each"`: a matrix product for every predecessor of every step, and every activation on its own.
`products="step"`: one product a step for all predecessors, which quark0/darts' code does.
All gradients are left to autograd.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEPS = 8
ACTIVATIONS = (None, torch.tanh, F.relu, torch.sigmoid, lambda h: h)     # none, tanh, relu, sigmoid, identity


class PlainSearchModel(nn.Module):
    """Embedding, cell and tied output layer; alphas (36, 5) are a parameter of the model."""

    def __init__(self, vocabulary: int, hidden: int, products: str = "each") -> None:
        super().__init__()
        self.hidden, self.products = hidden, products
        self.embedding = nn.Parameter(torch.empty(vocabulary, hidden).uniform_(-0.04, 0.04))
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.start = nn.Parameter(torch.empty(2 * hidden, 2 * hidden).uniform_(-0.04, 0.04))
        self.steps = nn.ParameterList(nn.Parameter(torch.empty(hidden, 2 * hidden).uniform_(-0.04, 0.04))
                                      for _ in range(STEPS))
        self.norm = nn.BatchNorm1d(hidden, affine=False, track_running_stats=False)
        self.alpha = nn.Parameter(1e-3 * torch.randn(36, 5))

    def net_params(self) -> list[nn.Parameter]:
        return [param for name, param in self.named_parameters() if name != "alpha"]

    def masks(self, batch: int) -> tuple[Tensor, ...]:
        def mask(rate: float) -> Tensor:
            return torch.empty(batch, self.hidden).bernoulli_(1 - rate) / (1 - rate)

        return mask(0.2), mask(0.75), mask(0.25), mask(0.75)      # embedded input, cell input, hidden, output

    def forward(self, words: Tensor, hidden: Tensor, masks: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Log-probabilities (T, B, V) and raw outputs (T, B, H)."""
        embedded = F.embedding(words, self.embedding) * masks[0]
        probabilities = self.alpha.softmax(-1)
        outputs = []
        for x in embedded:
            hidden = self.cell(x * masks[1], hidden, masks[2], probabilities)
            outputs.append(hidden)
        raw = torch.stack(outputs)
        return F.log_softmax(F.linear(raw * masks[3], self.embedding, self.bias), -1), raw

    def cell(self, x: Tensor, hidden: Tensor, mask: Tensor, probabilities: Tensor) -> Tensor:
        c, h = (torch.cat([x, hidden * mask], -1) @ self.start).split(self.hidden, -1)
        states = [self.norm(hidden + c.sigmoid() * (h.tanh() - hidden))]
        step = self.step_with_each_product if self.products == "each" else self.step_with_one_product
        for index in range(STEPS):
            rows = probabilities[index * (index + 1) // 2:(index + 1) * (index + 2) // 2]
            states.append(self.norm(step(index, states, mask, rows)))
        return torch.stack(states[1:]).mean(0)

    def step_with_each_product(self, index: int, states: list[Tensor], mask: Tensor, rows: Tensor) -> Tensor:
        total = torch.zeros_like(states[0])
        for source, state in enumerate(states):
            c, h = ((state * mask) @ self.steps[index]).split(self.hidden, -1)
            c = c.sigmoid()
            for k, activation in enumerate(ACTIVATIONS):
                if activation is not None:
                    total = total + rows[source, k] * (state + c * (activation(h) - state))
        return total

    def step_with_one_product(self, index: int, states: list[Tensor], mask: Tensor, rows: Tensor) -> Tensor:
        stacked = torch.stack(states)
        c, h = ((stacked * mask).flatten(0, 1) @ self.steps[index]).view(*stacked.shape[:2], -1).split(self.hidden, -1)
        c = c.sigmoid()
        total = torch.zeros_like(states[0])
        for k, activation in enumerate(ACTIVATIONS):
            if activation is not None:
                total = total + (rows[:, k, None, None] * (stacked + c * (activation(h) - stacked))).sum(0)
        return total
