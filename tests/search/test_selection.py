"""Random search's choice: which images score which cell, against the reference's loop over a loader written out."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import gdas_lite as gl
from gdas_lite.data.images import Batches, ImageSet
from gdas_lite.runs.resumable import generator_for
from gdas_lite.search.one_shot import accuracy_on, best_of_random, walk
from gdas_lite.search.tasks import task_for

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


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["images", "text"])
def test_a_task_chooses_the_cell_that_is_best_on_its_valid_part(digits, kind, seed):
    """One batch is the whole half, without augmentation, and one window the whole text, so that all cells see the same."""
    torch.manual_seed(seed)
    if kind == "images":
        space = SPACE
        data = replace(digits, train_half=digits.train_half.subset(range(50)), valid_half=digits.valid_half.subset(range(60)),
                       augmentation=gl.Augmentation(padding=3, flip=True))
    else:
        space, data = gl.Recurrent(5), gl.load_data("grammar")
        data = replace(data, train=data.train[:400], valid=data.valid[:8 * 21])
    recipe = gl.search_recipe("smoke", space.name, "random", batch_size=8)
    task = task_for(space, data, recipe, torch.device("cpu"))
    supernet = task.supernet()
    with torch.no_grad():
        for param in supernet.parameters():
            param.mul_(3)
    supernet(torch.randn(30, 1, 8, 8), space.random_mixtures(torch.Generator())) if kind == "images" else None     # estimates
    chance, cells, worth = generator_for(seed, 0, "selection"), [], []
    supernet.eval()
    for _ in range(12):
        mixtures = space.random_mixtures(chance)
        cells.append(space.genotype_of(mixtures))
        if kind == "images":
            torch.randperm(60, generator=chance)        # the order of the next pass
            x = (data.valid_half.images / 255 - data.mean[0]) / data.std[0]
            worth.append((supernet(x, mixtures).argmax(1) == data.valid_half.labels).sum().item())
        else:
            torch.randint(1, (), generator=chance)      # where the window begins
            rows = data.valid.view(8, 21).t()
            logits, _ = supernet(rows[:-1], mixtures)
            worth.append(-F.cross_entropy(logits.flatten(0, 1), rows[1:].flatten()).item())
    assert len(set(worth)) > 3
    assert task.select(supernet.train(), 12, 60, seed) == cells[worth.index(max(worth))]
