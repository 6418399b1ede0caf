"""Random search's choice: which images score which cell, against the reference's loop over a loader written out."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from torch import nn

import gdas_lite as gl
from gdas_lite.data.images import Batches, ImageSet
from gdas_lite.search.one_shot import accuracy_on, best_of_random, walk

SPACE = gl.NASBench201(4, 1)


def numbered(data, count: int, batch_size: int) -> Batches:
    """Images whose label is their number, so that a batch says which it has."""
    images = data.train.images[torch.arange(count) % len(data.train)]
    return Batches(ImageSet(images, torch.arange(count)), data, batch_size, augmentation=None)


@pytest.fixture(scope="module")
def digits():
    return gl.load_data("digits")


@pytest.mark.parametrize("count, batch_size, sizes", [
    (100, 32, [32, 32, 32]), (110, 32, [32, 32, 32]), (112, 32, [32, 32, 32, 16]), (20, 32, [20]),
    (5, 32, [5]), (64, 32, [32, 32])])
def test_passes_are_shuffled_without_replacement_and_a_small_rest_is_left_out(digits, count, batch_size, sizes):
    batches = walk(numbered(digits, count, batch_size), torch.Generator().manual_seed(0))
    passes = [[y for _, y in islice(batches, len(sizes))] for _ in range(3)]
    for one in passes:
        assert [len(y) for y in one] == sizes
        assert len(set(torch.cat(one).tolist())) == sum(sizes)         # no image twice in a pass
    assert len({tuple(torch.cat(one).tolist()) for one in passes}) == 3 or count < 6


def test_the_published_valid_half_keeps_its_rest_of_424(digits):
    sizes = [len(y) for _, y in islice(walk(numbered(digits, 25_000, 512), torch.Generator().manual_seed(0)), 50)]
    assert sizes == [512] * 48 + [424] + [512]


class Guesses(nn.Module):
    """In place of a supernet: right on the images in `known` of the cell at hand; says which batches it was shown."""

    def __init__(self, known: list[set[int]], batches: list[list[int]]) -> None:
        super().__init__()
        self.known, self.batches, self.shown = known, batches, []

    def forward(self, x, mixtures):
        number = len(self.shown)
        y = torch.tensor(self.batches[number])
        self.shown.append(len(x))
        right = torch.tensor([image in self.known[number] for image in self.batches[number]])
        return nn.functional.one_hot(torch.where(right, y, (y + 1) % 50), 50).float()


def test_the_best_of_the_random_cells_as_the_references_loop_finds_it(digits):
    """One cell after another, each on the loader's next batch; the loader is begun again when it is at its end."""
    batches, samples = numbered(digits, 50, 16), 8          # three batches and a rest of two, which is left out
    chance, cells, shown, loader = torch.Generator().manual_seed(3), [], [], iter(())
    for _ in range(samples):
        cells.append(SPACE.genotype_of(SPACE.random_mixtures(chance)))
        try:
            _, y = next(loader)
        except StopIteration:
            loader = islice(batches.epoch(chance), 3)
            _, y = next(loader)
        shown.append(y.tolist())
    known = [set(numbers[:5 + index % 4]) for index, numbers in enumerate(shown)]       # the best is the fourth: 8 of 16
    net = Guesses(known, shown)
    chance = torch.Generator().manual_seed(3)
    shuffled = walk(batches, chance)
    found = best_of_random(SPACE, net, lambda mixtures: accuracy_on(net, mixtures, *next(shuffled)), samples, chance)
    assert found == cells[3] and net.shown == [16] * samples
