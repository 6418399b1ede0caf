"""What the plain twins of kernels lose where those store maps in bfloat16."""

from __future__ import annotations

import pytest
import torch

from tests.engines.stored import stored


@pytest.mark.parametrize("value", [False, True])
@pytest.mark.parametrize("gradient", [False, True])
def test_value_and_gradient_are_rounded_as_asked(value, gradient):
    x, slope = (torch.linspace(1, 2, 50, dtype=torch.float64) * factor for factor in (1, 3))
    rounded = [one.bfloat16().double() for one in (x, slope)]
    out = stored(x.requires_grad_(), torch.bfloat16, value, gradient)
    out.backward(slope)
    for found, exact, wanted, is_asked in zip((out, x.grad), (x, slope), rounded, (value, gradient), strict=True):
        assert not torch.equal(wanted, exact) and torch.equal(found, wanted if is_asked else exact)


def test_without_a_type_nothing_happens():
    x = torch.ones(2)
    assert stored(x, None) is x
