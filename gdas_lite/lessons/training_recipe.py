"""Exercises of notebook 6: cutout, drop path, a difference with its standard error."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from .exercise import Exercise, Function, array_of, number_of

# --- 6.1: cutout (DeVries & Taylor 2017, as AutoDL-Projects writes it) ---

def cut_squares(pixels: Tensor, centre_y: Tensor, centre_x: Tensor, length: int) -> Tensor:
    height, width = pixels.shape[2:]
    rows = torch.arange(height) - (centre_y[:, None] - length // 2)
    columns = torch.arange(width) - (centre_x[:, None] - length // 2)
    inside = (((rows >= 0) & (rows < length))[:, None, :, None]
              & ((columns >= 0) & (columns < length))[:, None, None, :])
    return pixels.masked_fill(inside, 0)


def _same_place(pixels: Tensor, centre_y: Tensor, centre_x: Tensor, length: int) -> Tensor:
    return cut_squares(pixels, centre_y[:1].expand_as(centre_y), centre_x[:1].expand_as(centre_x), length)


def _kept_inside(pixels: Tensor, centre_y: Tensor, centre_x: Tensor, length: int) -> Tensor:
    height, width = pixels.shape[2:]
    half = length // 2
    return cut_squares(pixels, centre_y.clamp(half, height - length + half), centre_x.clamp(half, width - length + half), length)


def _wraps_around(pixels: Tensor, centre_y: Tensor, centre_x: Tensor, length: int) -> Tensor:
    cut = pixels.clone()
    for image, y, x in zip(cut, centre_y.tolist(), centre_x.tolist(), strict=True):
        image[:, y - length // 2:y - length // 2 + length, x - length // 2:x - length // 2 + length] = 0
    return cut


def _one_channel(pixels: Tensor, centre_y: Tensor, centre_x: Tensor, length: int) -> Tensor:
    cut = pixels.clone()
    cut[:, :1] = cut_squares(pixels[:, :1], centre_y, centre_x, length)
    return cut


def _in_place(pixels: Tensor, centre_y: Tensor, centre_x: Tensor, length: int) -> Tensor:
    return pixels.copy_(cut_squares(pixels, centre_y, centre_x, length))


def check_cut_squares(function: Function) -> None:
    pixels, length = torch.rand(5, 3, 7, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 1, 4
    centre_y, centre_x = torch.tensor([3, 0, 6, 3, 1]), torch.tensor([3, 2, 5, 0, 5])
    given, wanted = pixels.clone(), pixels.clone()
    for image, y, x in zip(wanted, centre_y.tolist(), centre_x.tolist(), strict=True):
        for row in range(7):
            for column in range(6):
                if y - 2 <= row < y + 2 and x - 2 <= column < x + 2:
                    image[:, row, column] = 0
    found = array_of(function(given, centre_y, centre_x, length), tuple(pixels.shape), "the batch")
    assert torch.equal(given, pixels), "the batch that came in has changed: return a new one, the data set needs the old"
    assert not torch.equal(found, pixels), "nothing was erased"
    erased = found == 0
    assert (erased == erased[:, :1]).all(), "some channels of an erased pixel are not 0: the square goes through all channels"
    assert torch.equal(found[0], wanted[0]), "image 0, centre (3, 3), length 4: rows 1..4 and columns 1..4 are to be 0, no others"
    places = {tuple(image[0].nonzero().flatten().tolist()) for image in erased}
    assert len(places) > 1, "all images have their square at the same place: each has its own centre"
    area = int(erased[1, 0].sum())
    assert area != 16, "image 1 has its centre on the edge, and 16 pixels are 0: the square is not moved inside, a part is lost"
    assert area == 8, f"image 1 has its centre in row 0: rows 0 and 1 of 4 columns are to be 0, 8 pixels, not {area}"
    for number in range(5):
        assert torch.equal(found[number], wanted[number]), (
            f"image {number}, centre ({int(centre_y[number])}, {int(centre_x[number])}): {int(erased[number, 0].sum())} pixels "
            f"are 0, expected {int((wanted[number, 0] == 0).sum())}")


# --- 6.2: drop path ---

def drop_paths(outputs: Tensor, kept: Tensor, rate: float) -> Tensor:
    return outputs * kept[:, None, None, None] / (1 - rate)


def _not_divided(outputs: Tensor, kept: Tensor, rate: float) -> Tensor:
    return outputs * kept[:, None, None, None]


def _divided_by_rate(outputs: Tensor, kept: Tensor, rate: float) -> Tensor:
    return outputs * kept[:, None, None, None] / rate


def _mean_of_this_batch(outputs: Tensor, kept: Tensor, rate: float) -> Tensor:
    return outputs * kept[:, None, None, None] / kept.mean()


def _shifted(outputs: Tensor, kept: Tensor, rate: float) -> Tensor:
    return outputs * (1 - kept)[:, None, None, None] / (1 - rate)


def check_drop_paths(function: Function) -> None:
    outputs = torch.arange(1, 49, dtype=torch.float64).view(4, 3, 2, 2)
    kept, rate = torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=torch.float64), 0.2
    found = array_of(function(outputs, kept, rate), (4, 3, 2, 2), "the result")
    assert not (found[1] != 0).any() or (found[0] != 0).any(), "`kept` is 1 where the path stays and 0 where it is dropped"
    assert not (found[1] != 0).any(), "image 1 has kept = 0: its whole output is to be 0"
    ratio = float(found[0, 0, 0, 0] / outputs[0, 0, 0, 0])
    assert not math.isclose(ratio, 1), (
        "what is kept has not been enlarged: on average only 0.8 of the output arrives, and at test time, without drop path, "
        "the next layer would see more than it was trained with")
    assert math.isclose(ratio, 1.25), (
        f"with rate 0.2, what is kept is to be divided by 1 - 0.2, so it grows by 1.25, not by {ratio:.4g}")
    wanted = outputs * torch.tensor([1.25, 0, 1.25, 1.25], dtype=torch.float64).view(4, 1, 1, 1)
    assert torch.allclose(found, wanted), "the first image is right, the others are not: each image has its own `kept`"


# --- 6.3: a difference and its standard error ---

def difference(a, b):
    error = np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))
    return np.mean(a) - np.mean(b), error


def _divides_by_n(a, b):
    return np.mean(a) - np.mean(b), np.sqrt(np.var(a) / len(a) + np.var(b) / len(b))


def _spread_of_one(a, b):
    return np.mean(a) - np.mean(b), np.sqrt(np.var(a, ddof=1) + np.var(b, ddof=1))


def _adds_errors(a, b):
    return np.mean(a) - np.mean(b), np.std(a, ddof=1) / len(a)**0.5 + np.std(b, ddof=1) / len(b)**0.5


def _one_side(a, b):
    return np.mean(a) - np.mean(b), np.std(a, ddof=1) / len(a)**0.5


def check_difference(function: Function) -> None:
    a, b = np.array([90.0, 92.0, 94.0]), np.array([85.0, 89.0, 87.0, 91.0, 88.0])
    result = function(a, b)
    assert isinstance(result, tuple | list) and len(result) == 2, "return two numbers: the difference, and its standard error"
    gap, error = number_of(result[0], "the difference"), number_of(result[1], "its standard error")
    assert math.isclose(gap, 4), f"the means are 92 and 88, so the difference is 4, not {gap:.4f}"
    for wrong, sentence in (
            (_divides_by_n, "the squares are divided by n; three numbers have two degrees of freedom: divide by n - 1 (ddof=1)"),
            (_spread_of_one, "this is the spread of single trainings; a mean of n is steadier: its variance is divided by n"),
            (_adds_errors, "standard errors were added; of independent means the *variances* add up, and a root comes last"),
            (_one_side, "only the first group's error is in it; the second mean is uncertain, too")):
        assert not math.isclose(error, wrong(a, b)[1]), sentence
    wanted = math.sqrt(4 / 3 + 5 / 5)
    assert math.isclose(error, wanted), f"expected the standard error {wanted:.4f}, got {error:.4f}"


EXERCISES = (
    Exercise("6.1", "cutout on a batch", 15, check_cut_squares, cut_squares,
             ((_same_place, "each has its own centre"), (_kept_inside, "not moved inside"),
              (_wraps_around, "8 pixels, not 0"), (_one_channel, "through all channels"), (_in_place, "has changed"))),
    Exercise("6.2", "drop path that keeps the mean", 5, check_drop_paths, drop_paths,
             ((_not_divided, "has not been enlarged"), (_divided_by_rate, "not by 5"), (_mean_of_this_batch, "not by 1.333"),
              (_shifted, "1 where the path stays"))),
    Exercise("6.3", "a difference and its error", 10, check_difference, difference,
             ((_divides_by_n, "n - 1"), (_spread_of_one, "spread of single trainings"), (_adds_errors, "variances"),
              (_one_side, "second mean"))),
)
