"""Exercises of notebook 11: top-5 accuracy, and what the part of a batch weighs that one process does."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .exercise import Exercise, Function, number_of

# --- 11.1: top-5 accuracy ---

def top_five(logits: Tensor, labels: Tensor) -> float:
    among = logits.topk(5, dim=-1).indices == labels[:, None]
    return 100 * among.any(-1).float().mean().item()


def _top_one(logits: Tensor, labels: Tensor) -> float:
    return 100 * (logits.argmax(-1) == labels).float().mean().item()


def _smallest_five(logits: Tensor, labels: Tensor) -> float:
    return 100 * (logits.argsort(-1)[:, :5] == labels[:, None]).any(-1).float().mean().item()


def _fraction(logits: Tensor, labels: Tensor) -> float:
    return top_five(logits, labels) / 100


def _mean_of_five(logits: Tensor, labels: Tensor) -> float:
    return 100 * (logits.topk(5, dim=-1).indices == labels[:, None]).float().mean().item()


def _of_the_batch(logits: Tensor, labels: Tensor) -> float:
    return 100 * (logits.topk(5, dim=0).indices[0] == labels[:1]).float().mean().item()


def check_top_five(function: Function) -> None:
    logits = torch.randn(200, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(200) % 12
    logits[torch.arange(200), labels] += 1
    counts = [0] * 12       # images by the place that their class takes
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        counts[sum(value > row[label] for value in row)] += 1
    wanted, found = 100 * sum(counts[:5]) / 200, number_of(function(logits, labels), "the accuracy")
    for other, sentence in (
            (100 * counts[0] / 200, "that is top-1: an image counts, too, if its class is second to fifth"),
            (100 * sum(counts[-5:]) / 200, "these are the five *smallest* logits of each image"),
            (wanted / 100, "that is a share; the accuracy is in percent"),
            (wanted / 5, "each image has five guesses, of which at most one is right: count images, not guesses"),
            (100 - wanted, "that is the top-5 *error*; return the accuracy, 100 minus it")):
        assert not math.isclose(found, other, rel_tol=1e-4), sentence
    assert math.isclose(found, wanted, rel_tol=1e-4), (
        f"200 images, 12 classes: expected {wanted:.1f} %, got {found:.4g}; the five largest logits *of each image* are "
        f"asked for, and how often its label is among them")


# --- 11.2: what a part weighs ---

def loss_scales(sizes: list[int]) -> list[float]:
    return [len(sizes) * size / sum(sizes) for size in sizes]


def _all_one(sizes: list[int]) -> list[float]:
    return [1.0 for _ in sizes]


def _shares(sizes: list[int]) -> list[float]:
    return [size / sum(sizes) for size in sizes]


def _upside_down(sizes: list[int]) -> list[float]:
    return [sum(sizes) / (len(sizes) * size) for size in sizes]


def check_loss_scales(function: Function) -> None:
    sizes = [3, 4, 2]
    losses = [torch.tensor(values, dtype=torch.float64) for values in ([1.0, 5, 6], [0.0, 2, 2, 4], [9.0, 7])]
    found = function(list(sizes))
    assert isinstance(found, list | tuple) and len(found) == 3, "return a list with one factor for each part"
    factors = [number_of(factor, "a factor") for factor in found]
    whole = float(torch.cat(losses).mean())
    reached = sum(factor * float(part.mean()) for factor, part in zip(factors, losses, strict=True)) / 3
    assert not all(math.isclose(factor, 1) for factor in factors), (
        f"with factors of 1 the mean over processes is {reached:.2f}, the mean over images {whole:.2f}: a part of 4 has to "
        "weigh twice as much as one of 2 images")
    assert not math.isclose(3 * reached, whole), (
        f"the gradients would come out {len(sizes)} times too small: they are *averaged* over the processes, not added up")
    assert math.isclose(reached, whole), (
        f"with your factors the mean over processes is {reached:.2f}; the mean loss over all nine images is {whole:.2f}")


EXERCISES = (
    Exercise("11.1", "top-5 accuracy", 10, check_top_five, top_five,
             ((_top_one, "that is top-1"), (_smallest_five, "*smallest*"), (_fraction, "in percent"),
              (_mean_of_five, "count images, not guesses"), (_of_the_batch, "*of each image*"))),
    Exercise("11.2", "what a part weighs", 10, check_loss_scales, loss_scales,
             ((_all_one, "weigh twice as much"), (_shares, "*averaged* over the processes"),
              (_upside_down, "mean over processes is"))),
)
