"""Which engine a search runs on, what is said about it, and that compiled loops follow plain and resume bit for bit."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import replace
from operator import call as run_plain
from pathlib import Path

import pytest
import torch

import gdas_lite as gl
from gdas_lite.engines import layers
from gdas_lite.engines.cpu import engine as cpu_engine
from gdas_lite.engines.cpu.engine import COMPILE_S, LARGEST, SAVED_A_WORD_S, SAVED_S, NetworkCells, numba_obstacle, way
from gdas_lite.engines.cuda import selftest
from gdas_lite.engines.cuda.capturing import CapturingEngine
from gdas_lite.relaxation import soft_mixture
from gdas_lite.reproduction.cli import doctor
from gdas_lite.reproduction.cli.parser import build_parser
from gdas_lite.runs.checkpoint import read_checkpoint, write_checkpoint
from gdas_lite.runs.distributed import ProcessGroup
from gdas_lite.runs.engine import ENGINES, Engine, SearchSpec, engine_for, register
from gdas_lite.runs.shards import Shard
from gdas_lite.search.algorithms import Sampler

SPACE, CPU, GPU, MPS = gl.NASBench201(2, 1), torch.device("cpu"), torch.device("cuda"), torch.device("mps")
needs_numba = pytest.mark.skipif(numba_obstacle() is not None, reason=f"engine cpu: {numba_obstacle()}")


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


def spec(space=SPACE, algorithm=None, image_size=8, device=CPU, stacked=False, precision="fp32", steps=0, **changes
         ) -> SearchSpec:
    algorithm = algorithm or gl.GDAS()
    recipe = gl.search_recipe("smoke", space.name, algorithm.name, **changes)
    return SearchSpec(space, algorithm, recipe, device, image_size, precision, stacked, steps=steps)


def choice(asked="auto", **options) -> tuple[str, str]:
    engine, reason = engine_for(spec(**options), asked)
    return engine.name, reason


@needs_numba
@pytest.mark.parametrize("asked, falls_to, options, reason", [
    ("cpu", "layers", {"precision": "bf16"}, "the compiled loops compute in float32 only"),
    ("cpu", "layers", {"image_size": 10}, "channels must be a multiple of 8 for the kernels, here are 2"),
    ("cpu", "layers", {"image_size": 10}, "a multiple of 4, these have 10 pixels"),
    ("cuda", "plain", {"momentum": 0.0, "device": GPU}, "need momentum"),
    ("cuda", "plain", {"alpha_start": 0.5, "device": GPU}, "the recipe says alpha_start"),
    ("cuda", "plain", {"space": gl.Recurrent(), "image_size": None, "device": GPU}, "no cell of the space recurrent"),
    ("cuda", "plain", {"space": gl.NASNet(8, track_running_stats=True), "device": GPU}, "running estimates"),
    ("cuda", "plain", {"space": gl.NASNet(8), "algorithm": gl.GDAS(variant="N"), "device": GPU},
     "do not add what GDAS' variant N adds"),
    ("cuda", "plain", {"space": gl.NASNet(12), "device": GPU}, "channels must be a multiple of 8 for the kernels, here are 12"),
    ("cpu", "layers", {"space": gl.NASNet(12)}, "channels must be a multiple of 8 for the kernels, here are 12")])
def test_what_rules_an_engine_out_is_said(asked, falls_to, options, reason):
    for name in ("auto", asked):
        engine, found = choice(name, stacked=True, **options)
        assert engine == falls_to and reason in found
    assert choice("plain", **options) == ("plain", "it was asked for")


@pytest.mark.parametrize("asked", ["layers", "cpu", "cuda"])
def test_an_engine_runs_on_its_devices_only(asked):
    engine, reason = choice(asked, space=gl.NASNet(8), device=MPS)
    assert engine == "plain" and f"the engine {asked!r} runs on" in reason and "only, not on mps" in reason
    assert choice(space=gl.NASNet(8), device=MPS) == ("plain", "the fastest for mps")


@needs_numba
def test_auto_compiles_small_stacked_searches_and_large_cells():
    assert choice(stacked=True)[0] == "cpu" and way(spec(stacked=True)) == "loops"
    name, reason = choice()
    assert name == "layers" and "engine='cpu' compiles it" in reason
    assert choice("cpu")[0] == choice("cpu", image_size=32)[0] == "cpu"
    between = {"space": gl.NASBench201(12, 5), "image_size": 32, "stacked": True}
    assert 64 * 12 * 32**2 > LARGEST and choice(**between)[0] == "layers" and "too large" in choice(**between)[1]
    for algorithm in (gl.GDAS(), gl.DARTS(1), gl.DARTS(2), gl.RandomSearch()):
        large = {"space": gl.NASBench201(16, 5), "algorithm": algorithm, "image_size": 32}
        assert choice(**large)[0] == "cpu" and way(spec(**large)) == "cells"
    assert choice(space=gl.NASBench201(8, 1), image_size=12)[0] == "layers"
    assert way(spec(space=gl.NASBench201(8, 1))) == "loops"
    assert way(spec(space=gl.NASBench201(8, 1), algorithm=gl.DARTS(2))) == "loops"
    assert way(spec(space=gl.NASBench201(8, 1), algorithm=gl.DARTS(2), image_size=32)) == "cells"
    assert choice(space=gl.NASNet(16), image_size=32)[0] == "cpu"
    assert "too small" in choice(space=gl.NASNet(8), image_size=8)[1]
    assert choice("cpu", space=gl.NASNet(8), image_size=8)[0] == "cpu"


@needs_numba
def test_auto_compiles_a_small_search_that_is_long_enough():
    """By its length alone: the same search takes the same engine, whatever has been compiled before."""
    for space, algorithm, changes, passes in (
            (SPACE, gl.GDAS(), {}, 20), (SPACE, gl.DARTS(2), {"clip_scope": "weights_and_alpha"}, 20),
            (SPACE, gl.RandomSearch(), {}, 10), (SPACE, gl.GDAS(), {"alpha_start": 0.8}, 12),
            (gl.NASBench201(2, 5, track_running_stats=True), gl.GDAS(), {}, 20)):
        asked = {"space": space, "algorithm": algorithm, "epochs": 10, **changes}
        enough = math.ceil(COMPILE_S / (passes * (SAVED_S[0] + SAVED_S[1] * space.cells_per_stage)))
        for steps, engine in ((enough - 1, "layers"), (enough, "cpu"), (10 * enough, "cpu")):
            name, reason = choice(steps=steps, **asked)
            assert name == engine and f" s in {passes * steps:,} passes, and compiling takes some 10 s, once" in reason
            assert ("too short" in reason) == (name == "layers")
    published = {"space": gl.NASBench201(4, 1), "image_size": 32, "epochs": 250, "steps": 391}
    assert choice(**published)[0] == "cpu" and choice(**published | {"steps": 0})[0] == "layers"
    assert choice(**published | {"space": gl.NASBench201(6, 1)})[0] == "layers"


@needs_numba
def test_auto_compiles_a_search_on_a_text_that_is_long_enough():
    asked = {"space": gl.Recurrent(32), "image_size": None, "epochs": 10, "batch_size": 16, "bptt": 20}
    enough = math.ceil(COMPILE_S / (20 * 20 * (SAVED_A_WORD_S[0] + SAVED_A_WORD_S[1] * 16 * 32)))
    for steps, engine in ((enough - 1, "layers"), (enough, "cpu")):
        name, reason = choice(steps=steps, **asked)
        assert name == engine and f" s in {20 * steps:,} passes, and compiling takes some 10 s, once" in reason
        assert ("too short" in reason) == (name == "layers")
    assert choice("cpu", **asked) == ("cpu", "it was asked for") and way(spec(**asked)) == "words"


@needs_numba
def test_lessons_on_the_digits_are_too_short_to_compile_and_the_laptops_search_is_not():
    for name, recipe, taken in (
            ("digits", "lesson", "layers"), ("digits", "smoke", "layers"), ("thumbnails", "laptop", "cpu")):
        run = gl.Search(gl.NASBench201(4, 1), gl.load_data(name), gl.GDAS(), recipe=recipe)
        assert run.engine.name == taken and run.spec.steps == run.steps_per_epoch > 1


@pytest.mark.parametrize("space", [SPACE, gl.NASNet(8)], ids=lambda space: space.name)
def test_on_a_gpu_graphs_are_taken_when_asked_for_and_only_if_kernels_and_steps_prove_right(monkeypatch, space):
    def kernels(against):
        monkeypatch.setattr(selftest, "kernels_obstacle", lambda device, name, dtype: (
            against(dtype) if name == space.name else "another space's"))

    kernels(lambda dtype: None)
    monkeypatch.setattr(selftest, "steps_obstacle", lambda device, name: None if name == space.name else "another space's")
    for algorithm in (gl.GDAS(), gl.DARTS(1), gl.DARTS(2), gl.RandomSearch()):
        options = {"space": space, "algorithm": algorithm, "device": GPU}
        assert choice("cuda", **options)[0] == "cuda" and ENGINES["cuda"].uncaptured(spec(**options)) is None
    kernels(lambda dtype: f"the Triton kernels are wrong here in {dtype}")
    name, reason = choice(space=space, device=GPU)             # compiles and checks nothing
    assert name == "plain" and "have not run on a GPU yet; engine='cuda' checks" in reason
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):      # in what it will compute
        assert choice("cuda", space=space, device=GPU, precision=precision) == (
            "plain", f"the Triton kernels are wrong here in {dtype}")


def test_on_a_gpu_a_nasnet_search_that_cannot_be_captured_has_its_kernels(monkeypatch):
    monkeypatch.setattr(selftest, "kernels_obstacle", lambda device, name, dtype: None)
    monkeypatch.setattr(selftest, "steps_obstacle", lambda device, name: "steps cannot be captured here")
    assert choice("cuda", device=GPU) == ("plain", "steps cannot be captured here")
    for changes, words in (({}, "steps cannot be captured here"), ({"momentum": 0.0}, "need momentum")):
        options = {"space": gl.NASNet(8), "device": GPU} | changes
        assert choice("cuda", **options)[0] == "cuda" and words in ENGINES["cuda"].uncaptured(spec(**options))


def test_a_numba_older_than_the_declared_one_is_refused_before_it_compiles(monkeypatch):
    numba = pytest.importorskip("numba")
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    declared, = project["optional-dependencies"]["fast"]
    assert declared in Path(doctor.__file__).read_text()        # as the mend
    oldest = int(declared.removeprefix("numba>=0."))
    for minor, refusal in ((oldest, None), (oldest - 1, f"numba {numba.__version__} is older than 0.{oldest}")):
        monkeypatch.setattr(numba, "version_info", numba.version_info._replace(short=(0, minor)))
        assert numba_obstacle.__wrapped__() == refusal


def test_without_numba_another_engine_runs_and_a_sentence_says_so(digits, monkeypatch):
    monkeypatch.setattr(cpu_engine, "numba_obstacle", lambda: "numba is not installed; pip install it")
    with pytest.warns(UserWarning, match="'cpu' is not to be had here, 'layers' runs: numba is not installed"):
        run = search(digits, engine="cpu")
    assert run.engine.name == "layers" and "engine layers: numba is not installed" in repr(run)
    with pytest.raises(ValueError, match="engine must be one of auto, plain, layers, cpu, cuda, got 'quick'"):
        search(digits, engine="quick")


def test_fused_is_an_old_name(digits):
    with pytest.warns(FutureWarning, match="there is no engine 'fused' any more, 'auto' is taken"):
        old = search(digits, engine="fused")
    assert old.engine is search(digits).engine


class Odd(Engine):
    """Counts the epochs that it is asked for, and computes none."""

    name = "odd"

    def __init__(self) -> None:
        self.attached, self.epochs = 0, []

    def attach(self, search: gl.Search) -> None:
        self.attached += 1

    def steps(self, search: gl.Search, epoch: int) -> None:
        self.epochs.append(epoch)


def test_a_registered_engine_is_asked_for_like_any_other_and_auto_prefers_the_last(digits, monkeypatch):
    monkeypatch.setattr("gdas_lite.runs.engine.ENGINES", dict(ENGINES))
    odd = Odd()
    register(odd)
    run = search(digits)
    assert run.engine is odd and run.engine_reason == "the fastest for cpu"
    assert tensors(run.run()) and (odd.attached, odd.epochs) == (1, [0, 1])
    monkeypatch.setattr(Odd, "pays", lambda self, asked: "it computes nothing")
    assert search(digits).engine.name == "layers" and "it computes nothing" in search(digits).engine_reason
    assert search(digits, engine="odd").engine is odd


@needs_numba
@pytest.mark.parametrize("algorithm, changes", [
    (gl.GDAS(), {}), (gl.GDAS(variant="P"), {"undrawn": "skip", "redraw": False}), (gl.DARTS(1), {"nesterov": False}),
    (gl.GDAS(), {"grad_clip_norm": 0.1, "update_order": "alpha_first"}), (gl.RandomSearch(), {"grad_clip_norm": None}),
    (gl.GDAS(), {"grad_clip_norm": 0.1, "clip_scope": "weights_and_alpha"}),
    (gl.RandomSearch(), {"clip_scope": "weights_and_alpha"}), (gl.DARTS(2), {}),
    (gl.DARTS(2), {"virtual_momentum": False, "virtual_clip_norm": 0.1})])
def test_every_step_of_the_loops_is_the_plain_one(digits, algorithm, changes):
    """Six steps, each from the state that the plain ones led to: batch norms blow rounding errors up, PyTorch's most of all.
    Gradients and SGD are held to much less in test_small_supernet.py."""
    from gdas_lite.engines.cpu.small.updates import CompiledUpdates
    plain, fused = (search(digits, algorithm, changes=changes, engine=engine, epochs=4) for engine in ("plain", "cpu"))
    start_alpha = plain.state.alphas["cell"].detach().clone()
    for _ in range(2):
        here, there = plain.begin_epoch(), fused.begin_epoch()
        for _ in range(3):
            fused.restore(plain.tensors(), {}, [])
            fused.state.updates = CompiledUpdates(fused.state, digits.image_size)
            alpha = plain.state.alphas["cell"].detach().clone()
            next(here), next(there)
            assert fused.trained.losses[-1].item() == pytest.approx(plain.trained.losses[-1].item(), rel=1e-5)
            assert torch.equal(fused.trained._correct[-1], plain.trained._correct[-1])
            wanted, found = tensors(plain), tensors(fused)
            assert wanted.keys() == found.keys()
            # Adam makes a step of a small gradient's rounding error, so alpha is held to a share of its step
            assert (wanted.pop("alpha/cell") - found["alpha/cell"]).norm() <= 0.4 * (plain.state.alphas["cell"] - alpha).norm()
            for name, value in wanted.items():
                assert torch.allclose(value.float(), found[name].float(), rtol=1e-2, atol=2e-3), name
        plain.end_epoch(0.0), fused.end_epoch(0.0)
        plain.epochs_done = fused.epochs_done = plain.epochs_done + 1
    if algorithm.name != "random":
        assert (plain.state.alphas["cell"] - start_alpha).abs().max() > 5e-3


@needs_numba
@pytest.mark.parametrize("algorithm", [gl.GDAS(), gl.DARTS(1), gl.RandomSearch()], ids=lambda algorithm: algorithm.name)
def test_a_large_gradient_of_alpha_enters_the_clipped_norm_of_the_loops(digits, algorithm):
    """Its stale part alone is eight times what the norm may be, so it decides how far the weights go."""
    runs, moves = [search(digits, algorithm, changes={"clip_scope": "weights_and_alpha", "grad_clip_norm": 2.0},
                          engine=engine) for engine in ("plain", "cpu")], []
    for run in runs:
        run.attach()
        alpha, before = run.state.alphas["cell"], run.state.supernet.classifier.weight.detach().clone()
        alpha.grad = torch.full_like(alpha, 3.0)
        batch = next(iter(run.task.pairs(0, 0))).train
        algorithm.weight_step(run.state, batch, Sampler(SPACE, 1.0, torch.Generator().manual_seed(0)))
        moves.append((run.state.supernet.classifier.weight.detach() - before, alpha.grad))
    for wanted, found in zip(*moves, strict=True):
        assert (found - wanted).norm() <= 1e-4 * wanted.norm()


@needs_numba
@pytest.mark.parametrize("engine", ["plain", "cpu"])
def test_a_mixture_that_does_not_depend_on_alpha_has_a_gradient_of_zeros(digits, engine):
    run = search(digits, engine=engine)
    run.attach()
    batch = next(iter(run.task.pairs(0, 0))).valid
    (found,), _ = run.state.updates.alpha_gradient(run.state, {"cell": soft_mixture(torch.zeros(6, 5))}, batch)
    assert torch.equal(found, torch.zeros(6, 5))


@needs_numba
@pytest.mark.parametrize("space", [SPACE, gl.NASNet(8, cells=3)], ids=lambda space: space.name)
def test_interrupted_and_resumed_on_the_cpu_engine_is_the_uninterrupted_search_bit_for_bit(digits, space, tmp_path):
    if space.name == "nasnet":
        digits = replace(digits, train_half=digits.train_half.subset(range(40)))
    whole = search(digits, space=space, engine="cpu").run()
    first = search(digits, space=space, engine="cpu", out=tmp_path)

    def interrupt(epoch, step, steps):
        if (epoch, step) == (1, 1):
            raise KeyboardInterrupt

    first.on_step = interrupt
    with pytest.raises(KeyboardInterrupt):
        first.run()
    first.close()
    second = gl.resume(tmp_path, data=digits)               # "auto" goes on with what was there
    assert second.epochs_done == 1 and second.engine.name == "cpu" and second.engine_reason == "the run folder began with it"
    assert_same(tensors(whole), tensors(second.run()))
    assert [json.loads(line)["engine"] for line in (tmp_path / "history.jsonl").read_text().splitlines()[1:]] == ["cpu"] * 2
    second.close()
    first.on_step = first.folder = None                     # the folder is the other's by now
    assert_same(tensors(whole), tensors(first.run()))       # gone on with in the same object


@needs_numba
@pytest.mark.parametrize("space, engine", [(SPACE, ENGINES["cpu"]), (gl.NASNet(8, cells=3), ENGINES["cpu"]),
                                           (SPACE, CapturingEngine())], ids=["loops", "cells", "captured"])
def test_a_checkpoint_may_be_restored_before_an_engine_is_attached_or_after(digits, space, engine):
    digits = replace(digits, train_half=digits.train_half.subset(range(40)))
    runs = [search(digits, space=space) for _ in range(3)]
    for run in runs:
        run.engine = engine
    whole, before, after = runs
    whole.run_epoch()
    kept, records = tensors(whole), [whole.history[0].to_json()]
    after.run_epoch()                               # attached, and with a state of its own
    for run in (before, after):
        run.restore({name: value.clone() for name, value in kept.items()}, {}, records)
        run.epochs_done = 1
        assert_same(kept, tensors(run))
    for run in runs:
        run.run_epoch()
    assert_same(tensors(whole), tensors(before))
    assert_same(tensors(whole), tensors(after))


def test_the_cells_of_a_training_run_on_the_last_engine_that_runs_such_cells(digits, monkeypatch):
    monkeypatch.setattr("gdas_lite.runs.engine.ENGINES", dict(ENGINES))
    network = gl.network(gl.NASBench201Genotype(("skip_connect",) * 6), 2, 1, 10, 1)
    taken = gl.Training(network, digits, recipe="smoke").network.run_cell
    assert isinstance(taken, NetworkCells) if numba_obstacle() is None else taken is layers.run_cell
    odd = Odd()
    odd.device, odd.attach_network = "cpu", lambda network: setattr(network, "run_cell", run_plain)
    register(odd)
    assert gl.Training(network, digits, recipe="smoke").network.run_cell is run_plain
    text = gl.load_data("grammar")
    model = gl.network(gl.zoo_genotype("GDAS@recurrent"), 8, text.vocabulary)
    assert gl.LanguageTraining(model, text, recipe="smoke").network.run_cell is run_plain


@needs_numba
def test_resuming_with_another_engine_says_so_in_one_sentence(digits, tmp_path):
    first = search(digits, engine="cpu", out=tmp_path)
    first.run_epoch()
    first.close()
    with pytest.warns(UserWarning, match="the engine was 'cpu' so far, this goes on with 'plain'.*not bit for bit"):
        second = gl.resume(tmp_path, data=digits, engine="plain")
    second.run()
    assert [record.engine for record in second.history] == ["cpu", "plain"]
    second.close()
    gl.resume(tmp_path, data=digits, engine="cpu").close()        # a finished one says nothing: warnings are errors here


@needs_numba
@pytest.mark.parametrize("engine", ["plain", "layers", "cpu"])
def test_a_search_killed_in_its_first_epoch_goes_on_with_its_engine(digits, tmp_path, engine):
    search(digits, engine=engine, out=tmp_path).close()
    assert not (tmp_path / "history.jsonl").read_text().splitlines()[1:]
    again = gl.resume(tmp_path, data=digits)
    assert (again.engine.name, again.epochs_done) == (engine, 0)
    again.close()


@needs_numba
@pytest.mark.parametrize("written, engine", [("plain", "layers"), ("fused", "cpu"), (None, "layers")])
def test_an_old_folder_goes_on_with_what_its_engine_is_called_now(digits, tmp_path, written, engine):
    """Its head has no engine; its records say plain or fused, or nothing."""
    first = search(digits, engine=engine, out=tmp_path)
    first.run_epoch()
    first.close()
    head, record = map(json.loads, (tmp_path / "history.jsonl").read_text().splitlines())
    for there in (head, record):
        del there["engine"], there["check"]
    del head["config"]
    file = tmp_path / "checkpoint-00001.safetensors"
    stored, state = read_checkpoint(file)
    del state["history"]
    write_checkpoint(file, stored, state)
    record |= {} if written is None else {"engine": written}
    (tmp_path / "history.jsonl").write_text(f"{json.dumps(head)}\n{json.dumps(record)}\n")
    again = gl.resume(tmp_path, data=digits)
    assert again.engine.name == engine
    assert_same(tensors(search(digits, engine=engine).run()), tensors(again.run()))
    again.close()


def test_records_of_older_run_folders_have_no_engine(digits):
    record = search(digits, epochs=1).run().history[0].to_json()
    assert record.pop("engine") == "layers"
    assert gl.EpochRecord.from_json(record).engine is None


def test_the_command_line_takes_an_engine():
    parse = build_parser().parse_args
    assert parse(["search", "nasbench201"]).engine == "auto"
    assert parse(["search", "nasnet", "--engine", "cpu"]).engine == "cpu"
    assert parse(["resume", "runs/a", "--engine", "plain"]).engine == "plain"


def test_engine_is_for_searches_only(digits, tmp_path):
    network = gl.network(gl.NASBench201Genotype(("skip_connect",) * 6), 2, 1, 10, 1)
    gl.Training(network, digits, recipe="smoke", out=tmp_path).close()
    with pytest.raises(ValueError, match="engine is an option of searches"):
        gl.resume(tmp_path, data=digits, engine="plain")


class Halved(ProcessGroup):
    """The first of two processes, of which the other finds gradients of zero; nobody is asked."""

    def average(self, tensors, weight=1.0):
        for tensor in tensors:
            if tensor is not None:
                tensor.mul_(0.5)

    def sum(self, values):
        return values

    def share(self, value):
        return value


@needs_numba
def test_gradients_of_kernels_are_averaged_over_processes_like_any(digits):
    group = Halved(Shard(0, 2))
    kernels, plain = (search(digits, space=gl.NASBench201(8, 1), engine=engine, epochs=1, group=group)
                      for engine in ("cpu", "plain"))
    assert kernels.engine.name == "cpu" and way(kernels.spec) == "cells"
    found, expected = kernels.run().tensors(), plain.run().tensors()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4,
                                   msg=lambda text, name=name: f"{name}: {text}")
