"""Which engine a search runs on, what is said about it, and that fused follows plain and resumes bit for bit."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module

import pytest
import torch

import gdas_lite as gl
from gdas_lite.engines import choose as kernel_engine
from gdas_lite.engines import choose as kernels
from gdas_lite.engines.choose import LARGEST, engine_for
from gdas_lite.reproduction.cli.parser import build_parser

SPACE, CPU, GPU = gl.NASBench201(2, 1), torch.device("cpu"), torch.device("cuda")
needs_numba = pytest.mark.skipif(kernels.obstacle() is not None, reason=f"engine fused: {kernels.obstacle()}")


@pytest.fixture(autouse=True)
def engine_as_before(monkeypatch):
    monkeypatch.setattr(kernel_engine, "_wanted", None)
    monkeypatch.delenv("GDAS_LITE_ENGINE", raising=False)


@pytest.fixture(scope="module")
def digits() -> gl.ImageData:
    data = gl.load_data("digits")
    return replace(data, train_half=data.train_half.subset(range(96)), valid_half=data.valid_half.subset(range(96)))


def search(data, algorithm=None, space=SPACE, *, epochs: int = 2, changes=None, **options) -> gl.Search:
    """alpha_eps: Adam divides by the gradient's size, which blows the rounding error of a gradient of zero up to a step."""
    algorithm = algorithm or gl.GDAS()
    recipe = gl.search_recipe("smoke", space.name, algorithm.name, epochs=epochs, batch_size=32,
                              **{"alpha_eps": 0.01, "alpha_learning_rate": 0.05} | (changes or {}))
    return gl.Search(space, data, algorithm, recipe=recipe, **options)


def tensors(run: gl.Search) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in run.tensors().items()}


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def choice(space=SPACE, algorithm=None, image_size=8, device=CPU, asked="auto", stacked=False, precision="fp32", **changes
           ) -> kernels.Engine:
    algorithm = algorithm or gl.GDAS()
    recipe = gl.search_recipe("smoke", space.name, algorithm.name, **changes)
    return engine_for(space, algorithm, recipe, device, image_size, asked, stacked, precision)


@needs_numba
@pytest.mark.parametrize("options, reason", [
    ({"space": gl.NASBench201(2, 1, track_running_stats=True)}, "running estimates"),
    ({"algorithm": gl.DARTS(2)}, "second-order gradient"), ({"clip_scope": "weights_and_alpha"}, "clip_scope"),
    ({"algorithm": gl.DARTS(2)}, "channels must be a multiple of 8 for the kernels, here are 2"),
    ({"image_size": 10}, "a multiple of 4, these have 10 pixels"), ({"device": torch.device("mps")}, "not on mps"),
    ({"momentum": 0.0, "device": GPU}, "need momentum"),
    ({"space": gl.NASBench201(34, 1), "device": GPU}, "at most 128 channels, the last stage has 136"),
    ({"space": gl.Recurrent(), "image_size": None}, "recurrent has one engine only"),
    ({"space": gl.NASNet(8), "device": torch.device("mps")}, "not on mps"),
    ({"space": gl.NASNet(8, track_running_stats=True), "device": GPU}, "running estimates"),
    ({"space": gl.NASNet(8), "algorithm": gl.GDAS(variant="N"), "device": GPU}, "do not add what GDAS' variant N adds"),
    ({"space": gl.NASNet(12), "device": GPU}, "channels must be a multiple of 8 for the kernels, here are 12"),
    ({"space": gl.NASNet(12)}, "channels must be a multiple of 8 for the kernels, here are 12")])
def test_what_rules_fused_out_is_said(options, reason):
    for asked in ("auto", "fused"):
        engine = choice(asked=asked, stacked=True, **options)
        assert engine.name == "plain" and reason in engine.reason
    assert choice(asked="plain", **options).reason == "it was asked for"


@needs_numba
def test_auto_compiles_small_stacked_searches_and_large_cells():
    assert choice(stacked=True).by == "loops"
    single = choice()
    assert single.name == "plain" and "engine='fused' compiles it" in single.reason
    assert choice(asked="fused").name == choice(asked="fused", image_size=32).name == "fused"
    between = choice(gl.NASBench201(12, 5), image_size=32, stacked=True)
    assert 64 * 12 * 32**2 > LARGEST and between.name == "plain" and "too large" in between.reason
    for algorithm in (gl.GDAS(), gl.DARTS(1), gl.DARTS(2), gl.RandomSearch()):
        assert choice(gl.NASBench201(16, 5), algorithm, image_size=32).by == "cells"
    assert choice(gl.NASBench201(8, 1), image_size=12).name == "plain"
    assert choice(gl.NASBench201(8, 1), asked="fused").by == "loops"
    assert choice(gl.NASBench201(8, 1), gl.DARTS(2), asked="fused").by == "cells"
    assert choice(gl.NASNet(16), image_size=32).name == "fused"
    assert "too small" in choice(gl.NASNet(8), image_size=8).reason
    assert choice(gl.NASNet(8), image_size=8, asked="fused").name == "fused"
    kernels.use("plain")
    assert choice(stacked=True).name == "plain" and choice(asked="fused").name == "fused"


@pytest.mark.parametrize("space, kernels_of", [(SPACE, "gpu"), (gl.NASNet(8), "gpu_nasnet")], ids=["nasbench201", "nasnet"])
def test_on_a_gpu_graphs_are_taken_when_asked_for_and_only_if_kernels_and_steps_prove_right(monkeypatch, space, kernels_of):
    from gdas_lite.engines.cuda import selftest as captured_check
    module = import_module(f"gdas_lite.engines.choose.{kernels_of}")
    monkeypatch.setattr(module, "obstacle", lambda device, dtype: None)
    monkeypatch.setattr(captured_check, "obstacle", lambda device, name: None if name == space.name else "another space's")
    for algorithm in (gl.GDAS(), gl.DARTS(1), gl.DARTS(2), gl.RandomSearch()):
        engine = choice(space, algorithm, device=GPU, asked="fused")
        assert (engine.name, engine.by) == ("fused", "graphs")
    monkeypatch.setattr(module, "obstacle", lambda device, dtype: f"the Triton kernels are wrong here in {dtype}")
    automatic = choice(space, device=GPU)              # compiles and checks nothing
    assert automatic.name == "plain" and "have not run on a GPU yet; engine='fused' checks" in automatic.reason
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):      # in what it will compute
        engine = choice(space, device=GPU, asked="fused", precision=precision)
        assert str(engine) == f"plain: the Triton kernels are wrong here in {dtype}"


def test_on_a_gpu_a_nasnet_search_that_cannot_be_captured_has_its_kernels(monkeypatch):
    from gdas_lite.engines.cuda import nasbench201_kernels as gpu
    from gdas_lite.engines.cuda import nasnet_kernels as gpu_nasnet
    from gdas_lite.engines.cuda import selftest as captured_check
    for module in (gpu, gpu_nasnet):
        monkeypatch.setattr(module, "obstacle", lambda device, dtype: None)
    monkeypatch.setattr(captured_check, "obstacle", lambda device, name: "steps cannot be captured here")
    assert str(choice(device=GPU, asked="fused")) == "plain: steps cannot be captured here"
    for changes, words in (({}, "launched one by one: steps cannot be captured here"), ({"momentum": 0.0}, "need momentum")):
        engine = choice(gl.NASNet(8), device=GPU, asked="fused", **changes)
        assert (engine.name, engine.by) == ("fused", "") and words in engine.reason


def test_without_numba_fused_falls_back_with_a_sentence(digits, monkeypatch):
    monkeypatch.setattr(kernel_engine, "_obstacle", lambda: "numba is not installed; pip install it")
    with pytest.warns(UserWarning, match="'fused' is not to be had here, 'plain' runs: numba is not installed"):
        run = search(digits, engine="fused")
    assert run.engine.name == "plain" and "engine plain: numba is not installed" in repr(run)
    with pytest.raises(ValueError, match="engine must be one of auto, plain, fused, got 'quick'"):
        search(digits, engine="quick")


@needs_numba
@pytest.mark.parametrize("algorithm, changes", [
    (gl.GDAS(), {}), (gl.GDAS(variant="P"), {"undrawn": "skip", "redraw": False}), (gl.DARTS(1), {"nesterov": False}),
    (gl.GDAS(), {"grad_clip_norm": 0.1, "update_order": "alpha_first"}), (gl.RandomSearch(), {"grad_clip_norm": None})])
def test_every_fused_step_is_the_plain_one(digits, algorithm, changes):
    """Six steps, each from the state that the plain ones led to: batch norms blow rounding errors up, PyTorch's most of all.
    Gradients and SGD are held to much less in test_nasbench201_compiled.py."""
    from gdas_lite.engines.cpu.small.updates import CompiledUpdates
    plain, fused = (search(digits, algorithm, changes=changes, engine=engine, epochs=4) for engine in ("plain", "fused"))
    start_alpha = plain.state.alphas["cell"].detach().clone()
    for _ in range(2):
        here, there = plain.begin_epoch(), fused.begin_epoch()
        for _ in range(3):
            fused.restore(plain.tensors(), {}, [])
            fused.state.compiled = CompiledUpdates(fused.state, digits.image_size)
            next(here), next(there)
            assert fused._train.losses[-1].item() == pytest.approx(plain._train.losses[-1].item(), rel=1e-5)
            assert torch.equal(fused._train._correct[-1], plain._train._correct[-1])
            wanted, found = tensors(plain), tensors(fused)
            assert wanted.keys() == found.keys()
            for name, value in wanted.items():
                assert torch.allclose(value.float(), found[name].float(), rtol=1e-2, atol=2e-3), name
        plain.end_epoch(0.0), fused.end_epoch(0.0)
        plain.epochs_done = fused.epochs_done = plain.epochs_done + 1
    if algorithm.name != "random":
        assert (plain.state.alphas["cell"] - start_alpha).abs().max() > 5e-3


@needs_numba
@pytest.mark.parametrize("space", [SPACE, gl.NASNet(8, cells=3)], ids=lambda space: space.name)
def test_interrupted_and_resumed_on_the_fused_engine_is_the_uninterrupted_search_bit_for_bit(digits, space, tmp_path):
    if space.name == "nasnet":
        digits = replace(digits, train_half=digits.train_half.subset(range(40)))
    whole = search(digits, space=space, engine="fused").run()
    first = search(digits, space=space, engine="fused", out=tmp_path)

    def interrupt(epoch, step, steps):
        if (epoch, step) == (1, 1):
            raise KeyboardInterrupt

    first.on_step = interrupt
    with pytest.raises(KeyboardInterrupt):
        first.run()
    first.close()
    second = gl.resume(tmp_path, data=digits)               # "auto" goes on with what was there
    assert second.epochs_done == 1 and str(second.engine) == "fused: the epochs so far ran on it"
    assert_same(tensors(whole), tensors(second.run()))
    assert [json.loads(line)["engine"] for line in (tmp_path / "history.jsonl").read_text().splitlines()[1:]] == ["fused"] * 2
    second.close()
    first.on_step = first.folder = None                     # the folder is the other's by now
    assert_same(tensors(whole), tensors(first.run()))       # gone on with in the same object


@needs_numba
def test_resuming_with_another_engine_says_so_in_one_sentence(digits, tmp_path):
    first = search(digits, engine="fused", out=tmp_path)
    first.run_epoch()
    first.close()
    with pytest.warns(UserWarning, match="epochs so far ran on the engine 'fused', this goes on with 'plain'.*not bit for bit"):
        second = gl.resume(tmp_path, data=digits, engine="plain")
    second.run()
    assert [record.engine for record in second.history] == ["fused", "plain"]
    second.close()
    gl.resume(tmp_path, data=digits, engine="fused").close()        # a finished one says nothing: warnings are errors here


def test_records_of_older_run_folders_have_no_engine(digits):
    record = search(digits, epochs=1).run().history[0].to_json()
    assert record.pop("engine") == "plain"
    assert gl.EpochRecord.from_json(record).engine is None


def test_the_command_line_takes_an_engine():
    parse = build_parser().parse_args
    assert parse(["search", "nasbench201"]).engine == "auto"
    assert parse(["search", "nasnet", "--engine", "fused"]).engine == "fused"
    assert parse(["resume", "runs/a", "--engine", "plain"]).engine == "plain"


def test_engine_is_for_searches_only(digits, tmp_path):
    network = gl.network(gl.NASBench201Genotype(("skip_connect",) * 6), 2, 1, 10, 1)
    gl.Training(network, digits, recipe="smoke", out=tmp_path).close()
    with pytest.raises(ValueError, match="engine is an option of searches"):
        gl.resume(tmp_path, data=digits, engine="plain")
