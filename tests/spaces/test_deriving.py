"""What the spaces' rules are given: alphas of other kinds, shapes and NaN are refused, none gives a cell silently."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import gdas_lite as gl

SPACES = [gl.NASBench201(4, 1), gl.NASBench201(4, 1, exclude=("none",)), gl.NASNet(4, cells=5),
          gl.NASNet(4, cells=6, fixed_reduction=True), gl.Recurrent(8)]


def alphas_of(space, seed: int = 0) -> dict:
    chance = np.random.default_rng(seed)
    return {kind: chance.normal(size=labels.shape) for kind, labels in space.labels.items()}


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_arrays_tensors_and_lists_give_the_same_cell(space):
    alphas = alphas_of(space)
    for read in (torch.as_tensor, np.ndarray.tolist, lambda a: torch.as_tensor(a).requires_grad_(),
                 lambda a: torch.as_tensor(a, dtype=torch.float32)):
        assert space.derive({kind: read(alpha) for kind, alpha in alphas.items()}) == space.derive(alphas)
    assert len({str(space.derive(alphas_of(space, seed))) for seed in range(20)}) > 15


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_alphas_of_another_space_or_with_nan_are_refused(space):
    alphas = alphas_of(space)
    kind = next(iter(alphas))
    for nothing in ({}, None, 3, alphas[kind], {"other": alphas[kind]}):
        with pytest.raises(ValueError, match=f"alphas must hold a matrix '{kind}'"):
            space.derive(nothing)
    for change in (np.transpose, lambda a: a[1:], lambda a: a[:, 1:], lambda a: a[None], np.ravel):
        with pytest.raises(ValueError, match=rf"alphas\['{kind}'\] must be \(\d+, \d+\) \(edges, candidates\)"):
            space.derive({**alphas, kind: change(alphas[kind])})
    for row, column in ((0, 0), (-1, -1)):
        spoilt = alphas[kind].copy()
        spoilt[row, column] = math.nan
        with pytest.raises(ValueError, match="with NaN"):
            space.derive({**alphas, kind: spoilt})
