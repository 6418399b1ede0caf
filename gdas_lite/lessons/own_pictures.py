"""Exercises of notebook 10: what is kept of a picture that is not square, and an accuracy in which each class counts alike."""

from __future__ import annotations

import numpy as np

from .exercise import Exercise, Function, number_of

# --- 10.1: the square that is kept ---

def kept_square(width, height):
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def _from_the_corner(width, height):
    side = min(width, height)
    return 0, 0, side, side


def _longer_side(width, height):
    side = max(width, height)
    return (width - side) // 2, (height - side) // 2, (width + side) // 2, (height + side) // 2


def _everything(width, height):
    return 0, 0, width, height


def _size_for_corner(width, height):
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side, side


def check_kept_square(function: Function) -> None:
    for width, height in ((60, 60), (120, 60), (40, 100), (90, 30)):
        box = function(width, height)
        assert isinstance(box, tuple | list) and len(box) == 4, "return four numbers: left, top, right, bottom"
        left, top, right, bottom = (number_of(value, "an edge of the square") for value in box)
        what = f"of {width} x {height} pixels"
        assert 0 <= left < right <= width and 0 <= top < bottom <= height, \
            f"{what}: the square ({left:g}, {top:g}, {right:g}, {bottom:g}) does not lie inside; is it the shorter side?"
        assert right - left == bottom - top, \
            f"{what}: {right - left:g} x {bottom - top:g} is no square, unless the last two are meant as a size; they are edges"
        assert right - left == min(width, height), f"{what}: the largest square has the side {min(width, height)}"
        assert (left, top) == ((width - right), (height - bottom)), f"{what}: the square is not in the middle"


# --- 10.2: every class counts alike ---

def balanced_accuracy(counts):
    return 100 * np.mean(np.diag(counts) / counts.sum(axis=1))


def _plain(counts):
    return 100 * np.trace(counts) / counts.sum()


def _columns(counts):
    return 100 * np.mean(np.diag(counts) / counts.sum(axis=0))


def _share_of_all(counts):
    return 100 * np.mean(np.diag(counts) / counts.sum())


def check_balanced_accuracy(function: Function) -> None:
    lazy = np.array([[90, 0], [10, 0]])      # says always the first class
    found = number_of(function(np.array([[9, 1], [1, 9]])), "the accuracy")
    assert not np.isclose(found, 0.9), "in percent, please: 90, not 0.9"
    assert np.isclose(found, 90), f"nine of ten right in both classes: expected 90, got {found:.4g}; divide by the row's own sum"
    counts = np.array([[90, 0], [5, 5]])
    found = number_of(function(counts), "the accuracy")
    assert not np.isclose(found, 95), "95 is the plain accuracy: nine tenths of the images are of one class, and it decides alone"
    assert np.isclose(found, 75), f"all of class 0 and half of class 1: expected 75, got {found:.4g}; rows are the true classes"
    found = number_of(function(lazy), "the accuracy")
    assert np.isclose(found, 50), f"who always says class 0 gets 50 here, not {found:.4g}"


EXERCISES = (
    Exercise("10.1", "the square that is kept", 5, check_kept_square, kept_square,
             ((_from_the_corner, "not in the middle"), (_longer_side, "is it the shorter side"), (_everything, "is no square"),
              (_size_for_corner, "they are edges"))),
    Exercise("10.2", "every class counts alike", 5, check_balanced_accuracy, balanced_accuracy,
             ((_plain, "is the plain accuracy"), (_columns, "rows are the true classes"),
              (_share_of_all, "divide by the row's own sum"))),
)
