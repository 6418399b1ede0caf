"""The recurrent cell once more, as slowly as its definition reads: word by word, step by step, predecessor by predecessor.

Everything is left to autograd, twice differentiable. The tests compare the fast cell with this.
"""

from __future__ import annotations

import torch
from torch import Tensor

FUNCTIONS = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "identity": lambda h: h}
NAMES = ("none", "tanh", "relu", "sigmoid", "identity")


def batch_norm(state: Tensor) -> Tensor:
    centred = state - state.mean(0)
    return centred / (centred.pow(2).mean(0) + 1e-5).sqrt()


def highway(state: Tensor, mask: Tensor, weight: Tensor, name: str) -> Tensor:
    size = state.shape[1]
    product = (state * mask) @ weight
    gate = torch.sigmoid(product[:, :size])
    return state + gate * (FUNCTIONS[name](product[:, size:]) - state)


def first_state(x: Tensor, hidden: Tensor, mask: Tensor, start: Tensor) -> Tensor:
    size = hidden.shape[1]
    product = torch.cat([x, hidden * mask], 1) @ start
    return hidden + torch.sigmoid(product[:, :size]) * (torch.tanh(product[:, size:]) - hidden)


def search_sequence(words: Tensor, hidden: Tensor, mask: Tensor, start: Tensor, steps: Tensor, mix: Tensor,
                    active: list[tuple[int, ...]], normalise=batch_norm) -> Tensor:
    """Outputs (T, B, H) of the search cell. words: (T, B, E), masked already. start: (E + H, 2H). mix: (36, 5)."""
    outputs = []
    for x in words:
        states = [normalise(first_state(x, hidden, mask, start))]
        row = 0
        for step in range(8):
            total = torch.zeros_like(hidden)
            for source in range(step + 1):
                for k in active[row]:
                    if NAMES[k] != "none":
                        total = total + mix[row, k] * highway(states[source], mask, steps[step], NAMES[k])
                row += 1
            states.append(normalise(total))
        hidden = sum(states[1:]) / 8
        outputs.append(hidden)
    return torch.stack(outputs)


def derived_sequence(words: Tensor, hidden: Tensor, mask: Tensor, start: Tensor, steps: Tensor, cell, concat) -> Tensor:
    """Outputs (T, B, H) of a derived cell. cell: (activation, predecessor) of each step."""
    outputs = []
    for x in words:
        states = [first_state(x, hidden, mask, start)]
        for step, (name, source) in enumerate(cell):
            states.append(highway(states[source], mask, steps[step], name))
        hidden = sum(states[index] for index in concat) / len(concat)
        outputs.append(hidden)
    return torch.stack(outputs)
