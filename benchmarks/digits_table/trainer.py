"""Trains NAS-Bench-201 networks of a few channels fast, one after another: what `gl.Training` does, up to rounding."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from gdas_lite import spaces
from gdas_lite.data.images import Batches, ImageData, ImageSet
from gdas_lite.genotypes.nasbench201 import NASBench201Genotype
from gdas_lite.runs.resumable import generator_for
from gdas_lite.runs.schedules import learning_rate_at
from gdas_lite.spaces.nasbench201 import Network
from gdas_lite.training.loop import draw_weights

from .protocol import Protocol
from .small_network import SmallNetwork

SCORED_AT_ONCE = 88         # images


@dataclass(frozen=True)
class Curves:
    """What one training leaves behind. train_loss, valid: an entry an epoch, (epochs,); mean loss over the images, before each
    step, and accuracy, percent, with the weights after the epoch. test: accuracy after the last epoch. seconds: of processor
    time, scoring included."""

    train_loss: np.ndarray
    valid: np.ndarray
    test: float
    seconds: float


class CellTrainer:
    """Trains cells by a protocol. Batches are made once for all cells: a seed's order and augmentation are the same for
    every cell, as they are with `gl.Training`."""

    def __init__(self, protocol: Protocol, data: ImageData) -> None:
        self.protocol, self._data = protocol, data
        recipe = protocol.recipe
        batches = Batches(data.train_half, data, recipe.batch_size, augmentation=data.augmentation)
        self._train = {seed: [[_images_last(*batch) for batch in batches.epoch(generator_for(seed, epoch, "train"))]
                              for epoch in range(recipe.epochs)] for seed in protocol.seeds}
        self._valid, self._test = (_scoring_batches(images, data, SCORED_AT_ONCE)
                                   for images in (data.valid_half, data.evaluation["test"]))

    def network(self, genotype: NASBench201Genotype) -> Network:
        """The network of a cell at the protocol's size."""
        return spaces.network(genotype, self.protocol.channels, self.protocol.cells_per_stage, self._data.classes,
                                self._data.image_channels)

    def train(self, network: Network, seed: int) -> Curves:
        """The training of one cell's network with one of the protocol's seeds, which gives it its weights."""
        started, recipe = time.thread_time(), self.protocol.recipe
        draw_weights(network, generator_for(seed, 0, "weights").initial_seed())
        small, curves = SmallNetwork(network, self._data.image_size), np.zeros((2, recipe.epochs))
        for epoch, batches in enumerate(self._train[seed]):
            rate = learning_rate_at(recipe, epoch, 0, len(batches))
            loss = sum(small.step(x, y, rate, recipe.momentum, recipe.weight_decay) for x, y in batches)
            curves[:, epoch] = loss / len(self._data.train_half), _accuracy(small, self._valid)
        return Curves(*curves, _accuracy(small, self._test), time.thread_time() - started)


def _accuracy(small: SmallNetwork, batches: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Percent."""
    return 100 * sum(small.correct(x, y) for x, y in batches) / sum(len(y) for _, y in batches)


def _images_last(x: Tensor, y: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(B, C, H, W) to (C*H*W, B)."""
    return np.ascontiguousarray(x.permute(1, 2, 3, 0).reshape(-1, len(y)).numpy()), y.numpy()


def _scoring_batches(images: ImageSet, data: ImageData, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [_images_last(*batch) for batch in Batches(images, data, size, augmentation=None).epoch(shuffle=False)]
