"""Epochs that train the weights alone before the first alpha step."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

import gdas_lite as gl
from gdas_lite.engines.cpu.engine import numba_obstacle

ALGORITHMS = (gl.GDAS(), gl.GDAS((1.0, 0.1), "P"), gl.DARTS(1), gl.DARTS(2))
ENGINES = ("plain", pytest.param("cpu", marks=pytest.mark.skipif(numba_obstacle() is not None, reason="needs numba")))


@dataclass(frozen=True)
class WeightsOnly(gl.GDAS):
    """GDAS that never moves alpha, whose gradient is that of the step at hand."""

    def step(self, state, train_batch, valid_batch, sampler):
        state.alphas["cell"].grad = None
        return self.weight_step(state, train_batch, sampler), None


@pytest.fixture(scope="module")
def digits() -> gl.ImageData:
    data = gl.load_data("digits")
    return replace(data, train_half=data.train_half.subset(range(48)), valid_half=data.valid_half.subset(range(48)))


CLIPPED = {"clip_scope": "weights_and_alpha", "grad_clip_norm": 0.05}


def search(data, algorithm, share=0.5, changes=None, **options) -> gl.Search:
    recipe = gl.search_recipe("smoke", "nasbench201", algorithm.name, epochs=5, batch_size=16, alpha_start=share,
                              **changes or {})
    return gl.Search(gl.NASBench201(2, 1), data, algorithm, recipe=recipe, **{"engine": "plain"} | options)


def weights(run: gl.Search) -> torch.Tensor:
    return torch.cat([one.detach().flatten() for one in run.state.supernet.parameters()])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=str)
def test_alpha_rests_while_weights_learn_and_moves_after(algorithm, engine, digits):
    run = search(digits, algorithm, engine=engine)
    begun = run.state.alphas["cell"].detach().numpy().copy(), weights(run)
    for epoch, record in enumerate(run):
        rests = epoch < 2       # half of five epochs, rounded down
        assert np.array_equal(record.alphas["cell"], begun[0]) == rests
        assert math.isnan(record.valid_loss) == rests and record.train_loss > 0
        assert not torch.equal(weights(run), begun[1])
    taus = [record.tau for record in run.history]
    first, last = getattr(algorithm, "tau", (None, None))
    assert taus == ([None] * 5 if first is None else pytest.approx([first, first, first, (first + last) / 2, last]))


@pytest.mark.parametrize("changes", [{}, CLIPPED], ids=["weights", "weights_and_alpha"])
def test_until_then_it_is_a_search_that_never_moves_alpha(digits, changes):
    steady = 1.0, 1.0       # of the temperature, which waits for alpha, depends alpha's gradient, and so the norm
    run, never = search(digits, gl.GDAS(steady), changes=changes), search(digits, WeightsOnly(steady), 0.0, changes)
    for _ in range(2):
        run.run_epoch(), never.run_epoch()
    assert torch.equal(weights(run), weights(never))
    run.run_epoch(), never.run_epoch()
    assert not torch.equal(weights(run), weights(never))


@pytest.mark.parametrize(("done", "changes"), [
    (1, {}), (2, {}), (3, {}), (1, CLIPPED), (2, CLIPPED), (1, CLIPPED | {"update_order": "alpha_first"})])
def test_it_resumes_bit_for_bit_and_stands_in_the_run_folder_where_it_is_set(digits, tmp_path, done, changes):
    whole = search(digits, gl.GDAS(), changes=changes).run()
    begun = search(digits, gl.GDAS(), changes=changes, out=tmp_path / "run")
    for _ in range(done):
        begun.run_epoch()
    begun.close()
    resumed = gl.resume(tmp_path / "run", digits, engine="plain").run()
    assert [name for name, value in whole.tensors().items() if not torch.equal(value, resumed.tensors()[name])] == []
    assert json.loads((tmp_path / "run" / "config.json").read_text())["recipe"]["alpha_start"] == 0.5
    assert "alpha_start" not in search(digits, gl.GDAS(), share=0.0).config["recipe"]


def test_a_text_rests_as_well():
    text, space = gl.load_data("grammar"), gl.Recurrent(4)
    text = replace(text, train=text.train[:800], valid=text.valid[:800])
    recipe = gl.search_recipe("smoke", "recurrent", "gdas", batch_size=8, alpha_start=0.5)
    run = gl.Search(space, text, gl.GDAS(), recipe=recipe)
    begun = run.state.alphas["recurrent"].detach().numpy().copy()
    first, second = run
    assert np.array_equal(first.alphas["recurrent"], begun) and not np.array_equal(second.alphas["recurrent"], begun)
