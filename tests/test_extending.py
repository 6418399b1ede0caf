"""What the package promises to those who extend it: a new algorithm and a new space are one file each, a new candidate runs on
every engine."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import nn

import gdas_lite as gl
from gdas_lite import spaces
from gdas_lite.engines import cpu, cuda, layers
from gdas_lite.engines.cpu.engine import numba_obstacle
from gdas_lite.engines.cuda.capturing import CapturingEngine
from gdas_lite.engines.cuda.engine import against_graphs
from gdas_lite.genotypes import parse
from gdas_lite.genotypes.zoo import ZOO_SPACES
from gdas_lite.relaxation import soft_mixture
from gdas_lite.reproduction.cli.main import main
from gdas_lite.reproduction.cli.parser import PUBLISHED
from gdas_lite.runs.config import RunError
from gdas_lite.runs.engine import SearchSpec
from gdas_lite.search import algorithms
from gdas_lite.search.algorithms import register
from gdas_lite.visual.alpha import chosen_operations
from gdas_lite.visual.cell_graph import cell_graph
from gdas_lite.visual.widgets.live import LiveView
from gdas_lite.visual.widgets.screens import NotebookDisplay
from tests import own_space
from tests.own_algorithm import Lukewarm
from tests.own_space import Row, RowSpace
from tests.search.killed import kill_at

SPACES = [gl.NASBench201(2, 1), gl.NASNet(2, cells=3), gl.Recurrent(hidden=8)]
every_space = pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)


def images(count: int = 24) -> gl.ImageData:
    data = gl.load_data("digits")
    return replace(data, train_half=data.train_half.subset(range(count)), valid_half=data.valid_half.subset(range(count)))


def data_for(space):
    if space.data_kind == "images":
        return images()
    data = gl.load_data("grammar")
    return replace(data, train=data.train[:256 * 30 + 1], valid=data.valid[:256 * 25])


def killed_search(data, out=None) -> gl.Search:
    """What `kill_at` runs, in a process that has the algorithm's file and no registration."""
    return gl.Search(SPACES[0], data, Lukewarm(3.0), recipe="smoke", out=out)


def same(a: gl.Search, b: gl.Search) -> bool:
    here, there = a.tensors(), b.tensors()
    return here.keys() == there.keys() and all(torch.equal(here[name], there[name]) for name in here)


@pytest.fixture
def registries(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(algorithms, "ALGORITHMS", dict(algorithms.ALGORITHMS))
    monkeypatch.setattr(parse, "SPACES", dict(parse.SPACES))
    monkeypatch.setattr(spaces, "GENOTYPES", parse.SPACES)
    before = dict(spaces.SPACES)
    yield
    spaces.SPACES.clear()
    spaces.SPACES.update(before)


def interrupted_in_epoch_1(space, data, algorithm, out) -> None:
    def interrupt(epoch, step, steps):
        if (epoch, step) == (1, 1):
            raise KeyboardInterrupt

    run = gl.Search(space, data, algorithm, recipe="smoke", out=out)
    run.on_step = interrupt
    with pytest.raises(KeyboardInterrupt):
        run.run()
    run.close()


@every_space
def test_a_new_algorithm_runs_by_recipe_name_saves_and_resumes(space, tmp_path, registries):
    data, algorithm = data_for(space), Lukewarm(3.0)
    whole = gl.Search(space, data, algorithm, recipe="smoke").run()
    assert whole.history.column("tau").tolist() == [3.0, 3.0] and whole.recipe.name == "smoke"
    assert all(record.genotype == str(space.derive(record.alphas)) for record in whole.history)
    interrupted_in_epoch_1(space, data, algorithm, tmp_path)
    with pytest.raises(RunError, match="by the algorithm 'lukewarm', which is not registered; give it: resume"):
        gl.resume(tmp_path, data)
    with pytest.raises(RunError, match="algorithm.tau: 3.0 there, 2.0 asked"):
        gl.resume(tmp_path, data, algorithm=Lukewarm())
    again = gl.resume(tmp_path, data, algorithm=algorithm)
    assert again.epochs_done == 1 and same(again.run(), whole)
    again.close()
    register(Lukewarm())
    by_itself = gl.resume(tmp_path, data)
    assert by_itself.algorithm == algorithm and same(by_itself, whole)
    by_itself.close()


def test_killed_and_resumed_a_new_algorithms_search_is_the_uninterrupted_one(tmp_path):
    kill_at((1, 1), "tests.test_extending", "killed_search", 80, tmp_path)
    again = gl.resume(tmp_path, images(80), algorithm=Lukewarm(3.0))
    assert again.epochs_done == 1 and same(again.run(), killed_search(images(80)).run())
    again.close()


def test_steps_of_a_new_algorithm_are_captured_where_its_chance_can_be_told():
    recipe = gl.search_recipe("smoke", "nasbench201", "lukewarm", batch_size=8, alpha_eps=0.01)
    plain, captured = (gl.Search(SPACES[0], images(), Lukewarm(), recipe=recipe, engine="plain") for _ in range(2))
    captured.engine = CapturingEngine()
    for name in ("train_loss", "valid_loss"):
        assert captured.run().history.column(name) == pytest.approx(plain.run().history.column(name), rel=1e-4)

    @dataclass(frozen=True)
    class OwnNoise(Lukewarm):
        def mixtures(self, alphas, sampler):
            torch.rand(1, generator=sampler.generator)
            return super().mixtures(alphas, sampler)

    for algorithm, reason in ((Lukewarm(), None), (OwnNoise(), "cannot tell what lukewarm needs of it")):
        found = against_graphs(SearchSpec(SPACES[0], algorithm, recipe, torch.device("cuda"), 8))
        assert found is None if reason is None else reason in found


def test_what_cannot_be_an_algorithm_is_said(registries):
    class Loose:
        name = "loose"

    @dataclass(frozen=True)
    class Other(Lukewarm):
        name = "gdas"

    for algorithm in (Loose(), gl.GDAS):
        with pytest.raises(ValueError, match="an algorithm is an instance of a frozen dataclass"):
            gl.Search(SPACES[0], images(), algorithm)
    with pytest.raises(ValueError, match="there is an algorithm called 'gdas' already"):
        register(Other())


@pytest.mark.parametrize("algorithm", [gl.GDAS(), gl.DARTS(2), gl.RandomSearch(5, 12), Lukewarm()], ids=lambda one: one.name)
def test_a_new_space_registered_once_runs_saves_and_resumes(algorithm, tmp_path, registries):
    spaces.register(RowSpace)
    space, data = RowSpace(4), images()
    whole = gl.Search(space, data, algorithm, recipe="smoke").run()
    assert isinstance(whole.genotype, Row) and whole.recipe.learning_rate == 0.05
    assert whole.state.supernet.run_cell is layers.run_cell
    assert gl.network(whole.genotype, 4, 10, 1)(torch.randn(2, 1, 8, 8)).shape == (2, 10)
    interrupted_in_epoch_1(space, data, algorithm, tmp_path)
    again = gl.resume(tmp_path, data, algorithm=algorithm)
    assert again.space == space and same(again.run(), whole) and again.genotype == whole.genotype
    again.close()


class WideNetwork(own_space.Network):
    """It holds a number that is no weight."""

    def __init__(self, genotype, width=8, classes=10, image_channels=3):
        super().__init__(genotype, width, classes, image_channels)
        self.settings = {"width": width, "classes": classes, "image_channels": image_channels}
        self.factor = torch.tensor(2.0)

    def forward(self, x):
        return self.factor * super().forward(x)


@dataclass(frozen=True)
class Wide(Row):
    space = "wide"

    @staticmethod
    def parse(text):
        return Wide(tuple(text.split()))


@dataclass(frozen=True)
class WideSpace:
    """Its size is not called channels."""

    width: int = 8

    name, labels, genotype_class = "wide", RowSpace.labels, Wide
    network_class, gdas_variant, data_kind, default_recipe = WideNetwork, "P", "images", {}
    mixtures, random_mixtures = RowSpace.mixtures, RowSpace.random_mixtures

    def derive(self, alphas):
        return Wide(RowSpace().derive(alphas).ops)

    def supernet(self, classes, image_channels=3):
        return own_space.Supernet(self.width, classes, image_channels, own_space.SearchCell(self.width))


@pytest.mark.parametrize("engine", ["plain", "layers", "cpu", "auto"])
def test_a_new_space_may_call_its_sizes_as_it_likes(engine, registries, tmp_path):
    spaces.register(WideSpace)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)        # that cpu does not know it
        search = gl.Search(WideSpace(4), images(), gl.GDAS(), recipe="smoke", engine=engine).run()
    assert search.engine.name == ("plain" if engine == "plain" else "layers")
    network = gl.network(search.genotype, 4, 10, 1)
    training = gl.Training(network, images(), recipe=gl.training_recipe("smoke", "wide", epochs=1)).run()
    x = torch.randn(2, 1, 8, 8)
    gl.export_network(training, tmp_path / "exported")
    assert torch.equal(gl.load_exported(tmp_path / "exported")(x), training.network.eval()(x))


def test_cells_of_a_new_space_are_drawn_and_counted(registries):
    spaces.register(RowSpace)
    history = gl.Search(RowSpace(4), images(), gl.GDAS(), recipe="smoke").run().history
    cells = [Row.parse(record.genotype) for record in history]
    assert history.counts("conv")["cell"].tolist() == [cell.ops.count("conv") for cell in cells]
    graph = cell_graph(cells[-1], gl.diagrams.edge_probabilities(cells[-1], history))
    assert [box.tooltip.split(",")[0] for box in graph.panels[0].boxes if box.role == "operation"] == list(cells[-1].ops)
    for picture in (gl.plots.search_overview, gl.plots.cell_contents):
        assert picture(history) is not None
    part = gl.AlphaPlayer(history).runs[0]["parts"][0]      # no table: another space may have a kind "cell"
    scene = part["scenes"][0]["scene"]
    assert (len(scene["nodes"]), len(scene["chips"]), part["is_nasbench201"]) == (4, 3, False)
    with pytest.raises(ValueError, match="this search has cell cells; leave the table out"):
        gl.AlphaPlayer(history, gl.tabular("digits"))

    class Silent:
        space = "row"

    with pytest.raises(ValueError, match="got Silent; .* or give a class of your own a method `cells`"):
        cell_graph(Silent())


@dataclass(frozen=True)
class Undrawn(Row):
    """The method `cells` is not asked of a genotype."""

    space = "undrawn"
    cells = property(lambda self: self.nothing)

    @staticmethod
    def parse(text):
        return Undrawn(tuple(text.split()))


@dataclass(frozen=True)
class UndrawnSpace(RowSpace):
    name, genotype_class = "undrawn", Undrawn

    def derive(self, alphas):
        return Undrawn(super().derive(alphas).ops)


def test_a_search_whose_cells_do_not_say_their_edges_is_watched_in_a_notebook(registries, monkeypatch):
    spaces.register(UndrawnSpace)
    search, shown = gl.Search(UndrawnSpace(4), images(), gl.GDAS(), recipe="smoke"), []
    monkeypatch.setattr(NotebookDisplay, "_show", lambda self, name, bundle: shown.append((name, bundle["text/plain"])))
    list(gl.watch(search, LiveView(search.total_epochs, screen=NotebookDisplay())))
    assert search.is_finished and ("cell", str(search.genotype)) in shown
    assert chosen_operations(search.history, "cell") == list(search.genotype.ops)       # the largest alpha of each edge


def test_a_space_that_is_not_registered_is_said(tmp_path, registries):
    with pytest.raises(ValueError, match="no search recipe for the space 'row'; there are nasbench201, nasnet, recurrent"):
        gl.search_recipe("smoke", "row", "gdas")
    gl.Search(RowSpace(4), images(), gl.GDAS(), recipe=gl.SearchRecipe(epochs=1, batch_size=8), out=tmp_path).close()
    with pytest.raises(RunError, match="in the space 'row', which is not registered; import the module"):
        gl.resume(tmp_path, images())
    with pytest.raises(ValueError, match="genotype.space must be one of nasbench201, nasnet, recurrent, got 'row'"):
        gl.network(Row(("conv", "pool", "conv")))


def test_a_notebook_cell_that_registers_may_be_run_again(registries):
    def run_cell():
        @dataclass(frozen=True)
        class Mine(RowSpace):
            name = "mine"

        @dataclass(frozen=True)
        class Cold(Lukewarm):
            name = "cold"

        return spaces.register(Mine), register(Cold())

    first, second = run_cell(), run_cell()
    assert first[0] is not second[0] is spaces.SPACES["mine"] and algorithms.ALGORITHMS["cold"] is second[1]


def test_the_command_knows_what_is_registered(tmp_path, registries, capsys):
    """A registered space and algorithm by name, from the search to the exported network."""
    spaces.register(RowSpace)
    register(Lukewarm())
    run, training, network = (str(tmp_path / name) for name in ("run", "training", "network"))
    small = ["--channels", "4", "--recipe", "smoke"]
    for words in (["search", "row", "--algorithm", "lukewarm", *small, "--set", "batch_size=256", "--out", run],
                  ["resume", run], ["train", run, *small, "--set", "epochs=1", "--out", training], ["evaluate", training],
                  ["export", training, network], ["info", run]):
        assert main(words) == 0, words
    assert "cell: " in capsys.readouterr().out
    assert isinstance(gl.load_exported(network).genotype, Row) and gl.load_cell(run).space == "row"
    assert gl.load_cell("conv pool conv") == Row(("conv", "pool", "conv"))


@pytest.mark.parametrize("command", ["zoo", "reproduce"])
def test_only_spaces_with_published_cells_are_asked_for_those(command, registries, capsys):
    assert set(ZOO_SPACES) == set(PUBLISHED) == set(spaces.SPACES)
    spaces.register(RowSpace)
    with pytest.raises(SystemExit):
        main([command, "--space", "row"])
    assert "--space: invalid choice: 'row'" in capsys.readouterr().err


def test_the_command_reads_settings_without_a_type_by_their_default(registries, capsys):
    spaces.register(WideSpace)
    assert main(["info", "conv pool conv", "--with", "width=4"]) == 0
    assert "network        width 4, classes 10, image_channels 3" in capsys.readouterr().out
    assert main(["info", "conv pool conv", "--channels", "4"]) == 2
    assert "--channels is no setting of the space wide, which has its own, for --with\n" in capsys.readouterr().err
    assert main(["search", "wide", "--bn", "running"]) == 2
    assert "there is no 'track_running_stats' here, known are width" in capsys.readouterr().err


def test_the_command_refuses_what_is_not_registered(capsys):
    with pytest.raises(SystemExit):
        main(["search", "row"])
    assert "invalid choice: 'row' (choose from " in capsys.readouterr().err


class Blur(nn.Module):
    """A candidate that no engine knows."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)

    def forward(self, x):
        return self.conv(x)


def with_blur(supernet: nn.Module) -> nn.Module:
    """NAS-Bench-201's supernet with another candidate in place of each cell's first 3x3 convolution."""
    for stage in supernet.stages:
        for cell in stage:
            cell.edges[0][2] = Blur(cell.edges[0][2].conv.in_channels)
    return supernet


@pytest.mark.parametrize("space, engine", [
    (gl.NASBench201(2, 1), "layers"), (gl.NASBench201(2, 1), "cpu"),
    (gl.NASBench201(8, 1, track_running_stats=True), "cpu")],
    ids=["layers", "cpu-loops", "cpu-cells"])
def test_a_search_with_a_candidate_that_no_engine_knows_runs_on_every_engine(space, engine, monkeypatch):
    """The developer has changed the space's own file."""
    if engine == "cpu" and numba_obstacle() is not None:
        pytest.skip(numba_obstacle())
    make = gl.NASBench201.supernet
    monkeypatch.setattr(gl.NASBench201, "supernet", lambda *arguments: with_blur(make(*arguments)))
    recipe = gl.search_recipe("smoke", space.name, "darts-v1", batch_size=12, learning_rate=0.01)
    plain, run = (gl.Search(space, images(), gl.DARTS(1), recipe=recipe, engine=name).run() for name in ("plain", engine))
    assert run.engine.name == engine and isinstance(run.state.supernet.stages[0][0].edges[0][2], Blur)
    assert run.history.column("train_loss") == pytest.approx(plain.history.column("train_loss"), rel=1e-4)


SQUEEZE = '''
class Squeeze(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.gate = nn.Linear(channels, channels)

    def forward(self, x):
        return x * self.gate(x.mean((2, 3))).sigmoid()[:, :, None, None]


'''
SEARCH_WITH_IT = '''
import gdas_lite as gl
from gdas_lite.reproduction.cli.main import main
from gdas_lite.reproduction.cli.parser import PUBLISHED

small = "search nasbench201 --channels 8 --cells-per-stage 1 --recipe smoke --set epochs=1 --set batch_size=350".split()
for engine in ("plain", "layers"):
    assert main([*small, "--engine", engine, "--out", engine]) == 0
plain, layers = (gl.History.read(engine) for engine in ("plain", "layers"))
assert abs(plain[-1].train_loss - layers[-1].train_loss) < 1e-4 and plain.alphas["cell"].shape == (1, 6, 6)
cell = gl.NASBench201Genotype(("squeeze", "none", "nor_conv_3x3", "skip_connect", "squeeze", "avg_pool_3x3"))
assert gl.load_cell(str(cell)) == cell and main(["info", str(cell)]) == 0
assert gl.tabular().best().ops[0] == "nor_conv_3x3" and gl.CellBuilder() and gl.AlphaPlayer(plain)
try:
    gl.tabular().accuracy(cell)
except ValueError as refused:
    print(refused)
'''


def test_a_new_candidate_is_an_entry_and_a_name_in_a_list(tmp_path):
    """As the README says, in a copy of the package; the benchmark's tables go on knowing their own cells."""
    root = Path(gl.__file__).parent
    shutil.copytree(root, tmp_path / "gdas_lite", ignore=shutil.ignore_patterns("__pycache__"))
    for file, old, new in (
            ("genotypes/notation.py", '"nor_conv_3x3", "avg_pool_3x3")', '"nor_conv_3x3", "avg_pool_3x3", "squeeze")'),
            ("spaces/operations.py", "class Zero(", SQUEEZE.lstrip() + "class Zero("),
            ("spaces/operations.py", '    return {"none": Zero,', '    if name == "squeeze":\n        return Squeeze(channels)\n    return {"none": Zero,')):
        text = (tmp_path / "gdas_lite" / file).read_text()
        assert text.count(old) == 1
        (tmp_path / "gdas_lite" / file).write_text(text.replace(old, new))
    run = subprocess.run([sys.executable, "-c", SEARCH_WITH_IT], cwd=tmp_path, capture_output=True, text=True,
                         env=os.environ | {"PYTHONPATH": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""})
    assert run.returncode == 0, run.stderr
    assert "Table nasbench201: expected a cell of the NAS-Bench-201 space, got NASBench201Genotype" in run.stdout
    assert "cell           |squeeze~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|squeeze~1|avg_pool_3x3~2|" in run.stdout


@pytest.mark.parametrize("run_cell", [layers.run_cell, cuda.run_cell, cpu.run_cell],
                         ids=["layers", "cuda", "cpu"])
def test_a_cell_with_a_candidate_that_no_engine_knows_runs_plainly(run_cell):
    torch.manual_seed(0)
    plain = with_blur(gl.NASBench201(8, 1).supernet(10)).train()
    fast = copy.deepcopy(plain)
    fast.run_cell = run_cell
    x, mixtures = torch.randn(4, 3, 8, 8), {"cell": soft_mixture(torch.zeros(6, 5))}
    torch.testing.assert_close(fast(x, mixtures), plain(x, mixtures), rtol=1e-4, atol=1e-4)
