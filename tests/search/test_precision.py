"""Searches in bfloat16: everything that is updated stays float32, and they are a protocol of their own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import gdas_lite as gl
from gdas_lite.relaxation import soft_mixture
from gdas_lite.reproduction.cli.values import protocol
from gdas_lite.runs.device import computing_in


@pytest.fixture(scope="module")
def digits() -> gl.ImageData:
    data = gl.load_data("digits")
    return replace(data, train_half=data.train_half.subset(range(64)), valid_half=data.valid_half.subset(range(64)))


def search(data, algorithm=None, space=None, **options) -> gl.Search:
    space, algorithm = space or gl.NASBench201(8, 1), algorithm or gl.GDAS()
    recipe = gl.search_recipe("smoke", space.name, algorithm.name, epochs=2, batch_size=32, alpha_learning_rate=0.05,
                              alpha_eps=0.01)
    return gl.Search(space, data, algorithm, recipe=recipe, **options)


def with_kernels(engine: str) -> str:
    """The engine, where it can be had."""
    if engine == "cpu":
        pytest.importorskip("numba", reason="the engine cpu needs numba: the extra `fast`")
    return engine


@pytest.mark.parametrize("engine", ["plain", "cpu"])
@pytest.mark.parametrize("algorithm, space", [
    (gl.GDAS(), gl.NASBench201(8, 1)), (gl.DARTS(1), gl.NASBench201(8, 1)), (gl.DARTS(2), gl.NASBench201(8, 1)),
    (gl.GDAS(), gl.NASNet(8, cells=3))], ids=lambda one: one.name)
def test_a_search_stays_near_the_one_in_float32(digits, algorithm, space, engine):
    runs = [search(digits, algorithm, space, precision=precision, engine=asked)
            for precision, asked in (("fp32", "plain"), ("bf16", engine))]
    assert runs[1].engine.name == with_kernels(engine)
    for run in runs:
        run.run_epoch()
    exact, rough = (run.history[0] for run in runs)
    assert rough.train_loss == pytest.approx(exact.train_loss, abs=0.05) and rough.train_loss != exact.train_loss
    assert {value.dtype for value in runs[1].tensors().values() if value.is_floating_point()} == {torch.float32}
    assert all(abs(alpha).max() > 5e-3 for alpha in rough.alphas.values())       # it moved


@pytest.mark.parametrize("engine", ["plain", "cpu"])
@pytest.mark.parametrize("space", [gl.NASBench201(8, 1), gl.NASNet(8, cells=3)], ids=lambda one: one.name)
def test_the_gradient_of_alpha_points_where_the_one_in_float32_does(digits, space, engine):
    run = search(digits, gl.DARTS(1), space, engine=with_kernels(engine))
    run.attach()
    state = run.state
    x, y = torch.randn(32, 1, 16, 16, generator=torch.Generator().manual_seed(0)), torch.arange(32) % 10
    found = []
    for objective in (state.objective, computing_in("bf16", torch.device("cpu"))(state.objective)):
        mixtures = {kind: soft_mixture(alpha) for kind, alpha in state.alphas.items()}
        slopes = torch.autograd.grad(objective(state.supernet, mixtures, (x, y)).loss, list(state.alphas.values()))
        found.append(torch.cat([slope.flatten() for slope in slopes]))
    assert torch.cosine_similarity(*found, dim=0) > 0.8


def test_the_network_really_computes_in_bfloat16(digits):
    run = search(digits, precision="bf16")
    seen = []
    run.state.supernet.register_forward_hook(lambda module, inputs, logits: seen.append((logits.dtype,
                                                                                         torch.is_autocast_enabled("cpu"))))
    run.run_epoch()
    assert set(seen) == {(torch.bfloat16, True)}
    judged = computing_in("bf16", torch.device("cpu"))(run.task.objective)
    batch = torch.randn(4, 1, 8, 8), torch.arange(4)
    assert judged(run.state.supernet, run.space.random_mixtures(torch.Generator()), batch).loss.dtype == torch.float32


@pytest.mark.parametrize("engine", ["plain", "cpu"])
def test_it_says_so_and_resumes_as_such(digits, tmp_path, engine):
    whole = search(digits, precision="bf16", engine=with_kernels(engine)).run()
    first = search(digits, precision="bf16", out=tmp_path, engine=engine)
    assert f", bf16; engine {engine}: " in repr(first)
    first.run_epoch()
    first.close()
    second = gl.resume(tmp_path, data=digits)
    assert second.precision == "bf16" and second.config["precision"] == "bf16"
    second.run()
    assert all(torch.equal(value, second.tensors()[name]) for name, value in whole.tensors().items())
    second.close()
    with pytest.raises(gl.RunError, match="precision: 'bf16' there, None asked"):
        search(digits, out=tmp_path)
    assert "precision" not in search(digits).config         # older run folders go on


def test_it_fills_no_row_of_a_protocol_in_float32():
    data, space = gl.load_data("digits"), gl.NASBench201(4, 1)
    command = "gdas-lite search nasbench201 --data digits --recipe lesson --channels 4 --cells-per-stage 1"
    configs = {precision: gl.Search(space, data, gl.GDAS(), precision=precision).config for precision in ("fp32", "bf16")}
    for asked, words in (("fp32", ""), ("bf16", " --precision bf16")):
        assert {kind: protocol(command + words).is_of(config) for kind, config in configs.items()} == {
            "fp32": asked == "fp32", "bf16": asked == "bf16"}


def test_what_cannot_be_is_said(digits):
    with pytest.raises(ValueError, match="precision must be 'fp32' or 'bf16', got 'fp16'"):
        search(digits, precision="fp16")
    text = gl.load_data("grammar")
    with pytest.raises(ValueError, match="searches on a text are computed in fp32 only"):
        gl.Search(gl.Recurrent(8, 8), text, gl.GDAS(), recipe="smoke", precision="bf16")
