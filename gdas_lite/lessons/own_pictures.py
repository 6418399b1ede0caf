"""Exercises of notebook 10: what is kept of a picture, and an accuracy in which each class counts alike."""

import numpy as np

from .exercise import Exercise


def kept_square(width, height):
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def balanced_accuracy(counts):
    return 100 * np.mean(np.diag(counts) / counts.sum(axis=1))


def _half_up(width, height):
    side = min(width, height)
    left, top = (width - side + 1) // 2, (height - side + 1) // 2
    return left, top, left + side, top + side


def _sizes(rng):
    sizes = rng.integers(1, 200, (6, 2)).tolist()
    return [(120, 60), (40, 100), (60, 60), (90, 30), (61, 40), (33, 70), *map(tuple, sizes)]


def _where(found, wanted, width, height):
    left, top, right, bottom = (float(edge) for edge in found)
    what = f"of {width} x {height} pixels"
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        return (f"{what}: the square ({left:g}, {top:g}, {right:g}, {bottom:g}) does not lie inside; is it the shorter "
                "side, and are the last two edges, no size?")
    if right - left != bottom - top:
        return f"{what}: {right - left:g} x {bottom - top:g} is no square, unless you mean a size"
    if right - left != min(width, height):
        return f"{what}: the largest square has the side {min(width, height)}"
    if any(edge % 1 for edge in (left, top, right, bottom)):
        return f"{what}: half pixels cannot be cut; whole numbers, please (`//`)"
    return f"{what}: the square ({left:g}, {top:g}, {right:g}, {bottom:g}) is not in the middle"


def _tables(rng):
    tables = [rng.integers(1, 40, (n, n)) * rng.integers(1, 9, (n, 1)) for n in (2, 3, 5, 7, 4)]
    return [(table,) for table in (np.array([[90, 0], [5, 5]]), *tables, np.array([[90, 0], [10, 0]]))]


EXERCISES = (
    Exercise("10.1", "the square that is kept", 5, kept_square, "the four edges", (
        (lambda w, h: kept_square(h, w), "width and height are exchanged; the order is left, top, right, bottom"),
        (lambda w, h: [kept_square(w, h)[k] for k in (0, 2, 1, 3)], "the order is left, top, right, bottom"),
    ), _sizes, also=(_half_up,), explain=_where),
    Exercise("10.2", "every class counts alike", 5, balanced_accuracy, "the accuracy", (
        (lambda counts: 100 * np.trace(counts) / counts.sum(), "that is the plain accuracy: one large class decides"),
        (lambda counts: balanced_accuracy(counts.T),
         "you divide by columns, the predictions; rows are the true classes"),
        (lambda counts: 100 * np.mean(np.diag(counts) / counts.sum()),
         "divide each class's right ones by the row's own sum"),
        (lambda counts: balanced_accuracy(counts) / 100, "in percent, please: 90, not 0.9"),
        (lambda counts: len(counts) * balanced_accuracy(counts), "a mean over classes, not a sum, of shares of a row"),
        (lambda counts: len(counts) / 2 * balanced_accuracy(counts), "there may be more than two classes"),
        (lambda counts: 100 * np.diag(counts) / counts.sum(axis=1),
         "these are the shares of the classes; asked is their mean"),
    ), _tables, reminder="the mean over classes of the share that is right, rows the true classes"),
)
