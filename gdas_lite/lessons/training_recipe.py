"""Exercises of notebook 6: cutout, drop path, a difference with its standard error."""

import numpy as np
import torch
from torch import Tensor

from .exercise import Exercise, numbers, same, shown


def cut_squares(pixels: Tensor, centre_y: Tensor, centre_x: Tensor, length: int) -> Tensor:
    """Cutout (DeVries & Taylor 2017), as AutoDL-Projects writes it."""
    height, width = pixels.shape[2:]
    rows = torch.arange(height) - (centre_y[:, None] - length // 2)
    columns = torch.arange(width) - (centre_x[:, None] - length // 2)
    inside = (((rows >= 0) & (rows < length))[:, None, :, None]
              & ((columns >= 0) & (columns < length))[:, None, None, :])
    return pixels.masked_fill(inside, 0)


def drop_paths(outputs: Tensor, kept: Tensor, rate: float) -> Tensor:
    return outputs * kept[:, None, None, None] / (1 - rate)


def difference(a, b):
    error = np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))
    return np.mean(a) - np.mean(b), error


def _batches(rng):
    for batch, channels, height, width, length in ((5, 3, 7, 6, 4), (4, 3, 5, 9, 3), (1, 1, 4, 4, 1), (6, 2, 6, 6, 5)):
        centres = [torch.from_numpy(rng.integers(0, size, batch)) for size in (height, width)]
        for centre, size in zip(centres, (height, width)):      # the first images have their centre on an edge
            centre[:2] = torch.tensor([0, size - 1])[:batch]
        yield torch.from_numpy(rng.normal(size=(batch, channels, height, width))), *centres, length


def _kept_inside(pixels: Tensor, y: Tensor, x: Tensor, length: int) -> Tensor:
    half, (height, width) = length // 2, pixels.shape[2:]
    return cut_squares(pixels, y.clamp(half, height - length + half), x.clamp(half, width - length + half), length)


def _which_pixels(found, wanted, pixels, centre_y, centre_x, length):
    found, wanted, pixels = (numbers(value) for value in (found, wanted, pixels))
    if np.allclose(found, pixels):
        return "nothing was erased"
    erased = found == 0
    differs = (erased != erased[:, :1]).any()                   # from channel to channel
    if differs and not erased[wanted == 0].all():
        return "some channels of an erased pixel are not 0: the square goes through all channels"
    if differs or (erased == (wanted == 0)).all():
        return "the right pixels are 0, but others have changed: all else stays as it is"
    number, row, column = np.argwhere(erased[:, 0] != (wanted[:, 0] == 0))[0]
    return (f"image {number}, centre ({int(centre_y[number])}, {int(centre_x[number])}), length {length}: "
            f"{int(erased[number, 0].sum())} pixels are 0, expected {int((wanted[number, 0] == 0).sum())}; row {row}, "
            f"column {column} should{' not' if erased[number, 0, row, column] else ''} be 0; "
            f"the square starts length // 2 = {length // 2} before the centre, all else stays as it is")


def _paths(rng):
    for *shape, rate in ((3, 3, 3, 3, 0.2), (4, 3, 2, 2, 0.5), (1, 2, 3, 5, 0.3), (5, 1, 4, 2, 0.1), (2, 2, 1, 3, 0.0)):
        kept = torch.from_numpy(rng.permutation((np.arange(shape[0]) % 3 != 1) | (rate == 0)).astype(float))
        yield torch.from_numpy(rng.normal(size=shape)), kept, rate


def _error(kind):
    """The difference with another error than the right one. kind: (std of a, std of b, n, m) -> error."""
    return lambda a, b: (np.mean(a) - np.mean(b), kind(np.std(a, ddof=1), np.std(b, ddof=1), len(a), len(b)))


def _how_enlarged(found, wanted, outputs, kept, rate):
    sizes = [np.abs(numbers(part)).sum((1, 2, 3)) for part in (found, wanted, outputs)]
    remark = ", but their entries have other signs or places" * same(*sizes[:2])
    return (f"with rate {rate} and kept = {shown(kept)}, images with kept = 1 grow by {1 / (1 - rate):.4g}, the others "
            f"are 0; yours grow by {shown(sizes[0] / sizes[2])}{remark}")


EXERCISES = (
    Exercise("6.1", "cutout on a batch", 15, cut_squares, "the batch", (
        (lambda pixels, y, x, n: cut_squares(pixels, y[:1].expand_as(y), x[:1].expand_as(x), n),
         "each image has its own centre"),
        (_kept_inside, "where the centre is on the edge, the square is not moved inside: a part of it is lost"),
        (lambda pixels, y, x, n: cut_squares(pixels, x, y, n),
         "rows and columns are exchanged: centre_y belongs to the rows"),
        (lambda pixels, y, x, n: cut_squares(pixels, y + n // 2, x + n // 2, n),
         "the square starts length // 2 before the centre"),
        (lambda pixels, y, x, n: cut_squares(pixels, y, x, n // 2 * 2 + 1),
         "the square is `length` pixels long, also if it is even"),
        (lambda pixels, y, x, n: pixels - cut_squares(pixels, y, x, n),
         "the square is erased, and all around it is kept"),
    ), _batches, explain=_which_pixels),
    Exercise("6.2", "drop path that keeps the mean", 5, drop_paths, "what the node gets", (
        (lambda o, kept, rate: drop_paths(o, kept, 0),
         "what is kept has not been enlarged: at test time the next layer would see more than it was trained with"),
        (lambda o, kept, rate: drop_paths(o, kept, 1 - rate) if rate else o,
         "divide by 1 - rate, the chance to stay, not by the rate"),
        (lambda o, kept, rate: drop_paths(o, kept, 1 - kept.mean()),
         "divide by 1 - rate, not by what this batch happens to keep"),
        (lambda o, kept, rate: drop_paths(o, 1 - kept, rate),
         "`kept` is 1 where the path stays and 0 where it is dropped"),
        (lambda o, kept, rate: o * kept / (1 - rate) if o.shape[-1] in (1, len(kept)) else o[:0],
         "`kept` has one number for each *image*, not for each column: it is `kept[:, None, None, None]`"),
        (lambda o, kept, rate: drop_paths(o, kept, 0.2), "divide by 1 - rate, whatever the rate is"),
    ), _paths, explain=_how_enlarged),
    Exercise("6.3", "a difference and its error", 10, difference, "the pair, difference and standard error,", (
        (lambda a, b: (np.mean(a) - np.mean(b), np.sqrt(np.var(a) / len(a) + np.var(b) / len(b))),
         "the squares are divided by n; three numbers have two degrees of freedom: divide by n - 1 (ddof=1)"),
        (_error(lambda s, t, n, m: np.hypot(s, t)),
         "this is the spread of single trainings; a mean of n is steadier: divide by n"),
        (_error(lambda s, t, n, m: s / n**0.5 + t / m**0.5),
         "of independent means the *variances* add up; the root comes last"),
        (_error(lambda s, t, n, m: s / n**0.5),
         "only the first group's error is in it; the second mean is uncertain, too"),
        (_error(lambda s, t, n, m: s**2 / n + t**2 / m), "that is the variance of the difference: the root is missing"),
        (_error(lambda s, t, n, m: np.sqrt((s**2 + t**2) / n)), "each group is divided by its own n"),
        (lambda a, b: (np.mean(b) - np.mean(a), difference(a, b)[1]),
         "the difference is the mean of a minus the mean of b"),
        (lambda a, b: (abs(np.mean(a) - np.mean(b)), difference(a, b)[1]),
         "the difference may be negative: who is better?"),
    ), lambda rng: [(rng.normal(mean, 2, n), rng.normal(87, 4, m))
                    for mean, n, m in ((92, 3, 5), (85, 4, 2), (70, 2, 8))],
        reminder="error = sqrt(s_a^2 / n_a + s_b^2 / n_b)"),
)
