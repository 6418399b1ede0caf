"""The lesson's toy problem and counters, against autograd and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gdas_lite as gl
from gdas_lite.genotypes.labels import CellLabels
from gdas_lite.genotypes.notation import NASBENCH201_OPS
from gdas_lite.lessons.estimators import difference_errors, toy_gradient, toy_path, toy_paths
from gdas_lite.visual.plots import operation_counts


@pytest.mark.parametrize("xi", [0.0, 0.1, 0.5])
@pytest.mark.parametrize(("a", "start"), [(2.0, -2.0), (0.3, 1.7)])
def test_the_toy_gradient_is_that_of_autograd(xi, a, start):
    alpha, w = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (a, start))
    slope, = torch.autograd.grad(w**2 - 2 * alpha * w + alpha**2, w, create_graph=True)
    virtual = w - xi * slope
    wanted, = torch.autograd.grad(alpha * virtual - 2 * alpha + 1, alpha)
    assert toy_gradient(a, start, xi) == pytest.approx(wanted.item(), abs=1e-12)


def test_the_papers_number():
    assert toy_gradient(2, -2, 0.1) == pytest.approx(-2.8)
    assert toy_gradient(2, -2, 0) == pytest.approx(-4)


def test_with_the_whole_inner_step_the_toy_ends_at_the_bilevel_optimum():
    assert toy_path(0.5, 3000)[-1] == pytest.approx((1, 1), abs=1e-3)
    far, near = (np.abs(toy_path(xi, 3000)[-1] - 1).max() for xi in (0, 0.2))
    assert near < far
    assert len(toy_paths((0, 0.5), 50).axes[0].lines) == 5


def test_edges_are_counted_by_epoch():
    class Record:
        def __init__(self, epoch, genotype):
            self.epoch, self.genotype = epoch, genotype

    skip = gl.zoo_genotype("all_idnt")
    conv = gl.NASBench201Genotype(("nor_conv_3x3",) * 5 + ("skip_connect",))
    history = gl.History({"cell": CellLabels(skip.EDGES, NASBENCH201_OPS)}, [Record(0, str(conv)), Record(1, str(skip))])
    figure = operation_counts({"a search": history})
    assert figure.axes[0].lines[0].get_ydata().tolist() == [1, 6]
    assert figure.claim == "Edges with skip_connect at the end: a search: 6"


def test_errors_are_drawn_as_they_are_measured():
    figure = difference_errors(lambda radius, precision: radius**2 + (1e-3 if precision == "float32" else 0), (1, 0.1))
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([1, 0.01])
    assert figure.axes[0].lines[1].get_ydata() == pytest.approx([1.001, 0.011])
