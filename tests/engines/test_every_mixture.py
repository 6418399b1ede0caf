"""Every engine under every kind of mixture, in training and in evaluation, with running estimates in the cells and without.

Logits, gradients of weights and alphas, and running estimates, beside double precision. What an engine does not take it
must leave to the plain one, bit for bit, or refuse in words.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from gdas_lite.engines import cpu, cuda, layers
from gdas_lite.engines.cpu import nasbench201 as nasbench201_graph
from gdas_lite.engines.cpu import nasbench201 as nasbench201_plan
from gdas_lite.engines.cpu.cells import CELLS
from gdas_lite.engines.cpu.engine import numba_obstacle
from gdas_lite.engines.cpu.nasbench201 import Plan, search_cell
from gdas_lite.engines.cuda import nasbench201 as nasbench201_sampled
from gdas_lite.engines.layers.recurrent import sequence as recurrent_sequence
from gdas_lite.engines.layers.recurrent.nodes import node_of
from gdas_lite.engines.layers.recurrent.plan import CellPlan, StepPlan
from gdas_lite.engines.layers.recurrent.sequence import gradient_of_mixture
from gdas_lite.relaxation import Mixture
from gdas_lite.spaces import recurrent
from gdas_lite.spaces.nasbench201 import SearchCell
from gdas_lite.spaces.operations import CentredConv2d
from tests.engines import mixtures, recurrent_mixtures
from tests.engines.mixtures import ON_DEVICE, Case, assert_as_good, every_case, example, plain_in_float32, same, truth

needs_numba = pytest.mark.skipif(numba_obstacle() is not None, reason=f"engine cpu: {numba_obstacle()}")
SCRIPT = Path(__file__).with_name("mixtures_in_interpreter.py")
SEARCH_CELLS = 3


def adds_unsampled(case: Case) -> bool:
    return case.kind.startswith("hard N")


@needs_numba
@pytest.mark.parametrize("case", every_case("nasbench201") + every_case("nasnet"), ids=str)
def test_compiled_cells(case, monkeypatch):
    from gdas_lite.engines.cpu import cell as fused
    calls, run_graph = [], fused.run_graph
    monkeypatch.setattr(fused, "run_graph", lambda *given: calls.append(given) or run_graph(*given))
    found = mixtures.cells(case)
    uses_estimates = case.tracked and not case.trains
    if uses_estimates or (case.space == "nasnet" and adds_unsampled(case)):
        assert not calls and same(found, mixtures.by_layers(case))
    else:
        assert len(calls) == SEARCH_CELLS
        assert_as_good(found, truth(case), plain_in_float32(case))


@pytest.mark.parametrize("case", every_case("nasbench201") + every_case("nasnet"), ids=str)
def test_layers(case):
    assert_as_good(mixtures.by_layers(case), truth(case), plain_in_float32(case))


def norms_of(supernet: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in supernet.modules() if isinstance(module, nn.BatchNorm2d)]


def some_norms_in_evaluation(supernet: nn.Module) -> None:
    for norm in norms_of(supernet)[1::2]:
        norm.eval()


def cumulative_estimates(supernet: nn.Module) -> None:
    for norm in norms_of(supernet):
        norm.momentum = None


def estimates_that_are_not_moved(supernet: nn.Module) -> None:
    for norm in norms_of(supernet):
        norm.track_running_stats = False


def parts_of(supernet: nn.Module, *kinds: type[nn.Module]) -> list[tuple[nn.Module, str, nn.Module]]:
    """Of the cells: where it stands, and the layer."""
    cells = supernet.stages if hasattr(supernet, "stages") else supernet.cells
    return [(parent, name, part) for parent in cells.modules() for name, part in parent.named_children()
            if type(part) in kinds]


def hooks_on_norms(supernet: nn.Module) -> None:
    for norm in norms_of(supernet)[1::3]:
        norm.register_forward_hook(lambda module, inputs, out: 1.1 * out)
        norm.register_full_backward_pre_hook(lambda module, slopes: (0.9 * slopes[0],))


def hooks_on_cells(supernet: nn.Module) -> None:
    for module in supernet.modules():
        if type(module).__name__ == "SearchCell":
            module.register_forward_hook(lambda module, inputs, out: 1.1 * out)


def hooks_on_all_modules(supernet: nn.Module) -> None:
    handle = nn.modules.module.register_module_forward_hook(
        lambda module, inputs, out: 1.1 * out if type(module) is nn.Conv2d else None)
    supernet.register_forward_hook(lambda *given: handle.remove())


def own_forward_of_norms(supernet: nn.Module) -> None:
    for norm in norms_of(supernet)[1::3]:
        norm.forward = lambda x, norm=norm: 1.1 * type(norm).forward(norm, x)


def convolutions_of_other_numbers(supernet: nn.Module) -> None:
    for parent, name, conv in parts_of(supernet, nn.Conv2d, CentredConv2d)[::2]:
        conv = copy.deepcopy(conv)
        conv.weight.data *= 1.5
        setattr(parent, name, conv)


def convolutions_of_another_class(supernet: nn.Module) -> None:
    for parent, name, conv in parts_of(supernet, nn.Conv2d, CentredConv2d)[::2]:
        setattr(parent, name, nn.Sequential(conv, nn.Tanh()))


def norms_of_each_image(supernet: nn.Module) -> None:
    for parent, name, norm in parts_of(supernet, nn.BatchNorm2d)[::2]:
        setattr(parent, name, nn.InstanceNorm2d(norm.num_features))


def poolings_of_five_pixels(supernet: nn.Module) -> None:
    for parent, name, pool in parts_of(supernet, nn.MaxPool2d):
        setattr(parent, name, nn.MaxPool2d(5, pool.stride, padding=2))


def weights_of_a_parametrization(supernet: nn.Module) -> None:
    for _, _, conv in parts_of(supernet, nn.Conv2d, CentredConv2d)[::2]:
        parametrize.register_parametrization(conv, "weight", nn.Softsign())


CHANGES = [*product((some_norms_in_evaluation, cumulative_estimates), ("soft", "hard P", "hard without gradient")),
           *product((estimates_that_are_not_moved, hooks_on_norms, hooks_on_cells, hooks_on_all_modules,
                     own_forward_of_norms, convolutions_of_other_numbers, convolutions_of_another_class,
                     norms_of_each_image, poolings_of_five_pixels, weights_of_a_parametrization), ("soft",))]


@pytest.mark.parametrize("space", ["nasbench201", "nasnet"])
@pytest.mark.parametrize("change, kind", CHANGES, ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize("engine", [pytest.param(cpu, marks=needs_numba), layers], ids=["cpu", "layers"])
def test_a_supernet_that_was_changed_after_its_first_pass(engine, change, space, kind):
    def run(supernet, mixtures_of_kinds, run_cell=None):
        supernet.run_cell = run_cell or supernet.run_cell
        before, given = copy.deepcopy(supernet.state_dict()), example(case)
        with torch.no_grad():
            supernet(given.x.to(next(supernet.parameters()).dtype), mixtures_of_kinds)
        supernet.load_state_dict(before)
        change(supernet)
        return mixtures_of_kinds

    case = Case(space, kind, True, True)
    found, plain = (mixtures.by_pytorch(case, torch.float32, partial(run, run_cell=one))
                    for one in (engine.run_cell, None))
    assert_as_good(found, mixtures.by_pytorch(case, torch.float64, run), plain)


@needs_numba
@pytest.mark.parametrize("case", every_case("nasbench201"), ids=str)
def test_compiled_loops(case):
    if not case.trains:
        with pytest.raises(ValueError, match="put the supernet in training mode"):
            mixtures.loops(case)
    else:
        assert_as_good(mixtures.loops(case), truth(case), plain_in_float32(case))


@pytest.mark.parametrize("case", every_case("nasbench201", ON_DEVICE) + every_case("nasnet", ("soft", "soft without gradient",
                         "hard P", "hard N", "hard without gradient", "fixed")), ids=str)
def test_draws_on_the_device(case):
    """What captured steps run, by PyTorch's operations."""
    if case.tracked and (case.space == "nasnet" or not case.trains):
        with pytest.raises(ValueError, match="track_running_stats"):
            mixtures.on_device(case)
    elif case.space == "nasnet" and adds_unsampled(case):
        with pytest.raises(ValueError, match="variant N"):
            mixtures.on_device(case)
    else:
        assert_as_good(mixtures.on_device(case), truth(case), plain_in_float32(case), knows_none=False)


@pytest.mark.parametrize("space", ["nasbench201", "nasnet"])
def test_draws_on_the_device_are_refused_where_hooks_would_not_be_called(space, monkeypatch):
    def hooked(cell, *given, **options):
        next(cell.children()).register_forward_hook(lambda *given: None)
        return run_cell(cell, *given, **options)

    run_cell = cuda.run_cell
    monkeypatch.setattr(cuda, "run_cell", hooked)
    with pytest.raises(ValueError, match="call no hooks"):
        mixtures.on_device(Case(space, "hard P", True, False))


IN_INTERPRETER = [Case("nasbench201", kind, True, tracked) for tracked in (False, True) for kind in
                  ("soft", "soft without gradient", "hard P", "hard N", "hard without gradient")]
IN_INTERPRETER += [Case("nasbench201", "soft without gradient", False, False)]
IN_INTERPRETER += [Case("nasnet", "hard P", True, False)]       # slow; the others in tests/engines/test_nasnet_triton.py


@pytest.fixture(scope="module")
def in_interpreter() -> dict[Case, str]:
    """By case what the comparison said, "" for nothing. The interpreter is chosen when Triton is loaded, so they run in a process
    of their own."""
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.getcwd()}
    done = subprocess.run([sys.executable, SCRIPT, json.dumps(IN_INTERPRETER)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return dict(zip(IN_INTERPRETER, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton comes with PyTorch's builds for NVIDIA GPUs on Linux")
@pytest.mark.parametrize("case", IN_INTERPRETER, ids=str)
def test_draws_on_the_device_by_triton(in_interpreter, case):
    assert in_interpreter[case] == ""


@pytest.mark.parametrize("case", every_case("recurrent"), ids=str)
@pytest.mark.parametrize("path", [recurrent_mixtures.plain, recurrent_mixtures.layers])
def test_the_recurrent_cell(path, case):
    found, wanted = path(case), recurrent_mixtures.truth(case)
    assert_as_good(found, wanted, recurrent_mixtures.plain_in_float32(case), knows_none=False)


@needs_numba
@pytest.mark.parametrize("is_masked", [True, False])
@pytest.mark.parametrize("case", every_case("recurrent"), ids=str)
def test_compiled_nodes_of_the_recurrent_cell(case, is_masked):
    found, wanted = recurrent_mixtures.kernels(case, is_masked=is_masked), recurrent_mixtures.truth(case, is_masked)
    assert_as_good(found, wanted, recurrent_mixtures.plain_in_float32(case, is_masked), knows_none=False)


@pytest.mark.parametrize("is_masked", [True, False])
@pytest.mark.parametrize("case", every_case("recurrent"), ids=str)
@pytest.mark.parametrize("path", [recurrent_mixtures.plain, recurrent_mixtures.layers])
def test_the_recurrent_cell_in_double_precision(path, case, is_masked):
    found, wanted = path(case, torch.float64, is_masked), recurrent_mixtures.truth(case, is_masked)
    for group, there in vars(wanted).items():
        here = getattr(found, group)
        for name, tensor in there.items():
            ours = torch.zeros_like(tensor) if tensor is not None and here[name] is None else here[name]
            torch.testing.assert_close(ours, tensor, rtol=1e-9, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}")


class PlanOfOnes(Plan):
    """Of weights that are all 1."""

    def __init__(self, mixture: Mixture, estimates: bool = False) -> None:
        super().__init__(mixture, estimates)
        self.runs = [[run._replace(weight=np.float32(1)) for run in runs] for runs in self.runs]


class PlanOfP(Plan):
    """Variant N taken for P."""

    def __init__(self, mixture: Mixture, estimates: bool = False) -> None:
        super().__init__(replace(mixture, adds_unsampled=False), estimates)


def nothing(*_given: object) -> None:
    """In place of what keeps running estimates."""


def weighs_with_a_gradient(cell: SearchCell, x: torch.Tensor, mixture: Mixture) -> torch.Tensor:
    """As it once was: a weight whose gradient nobody asks is 1."""
    return search_cell(cell, x, replace(mixture, is_hard=True))


def gradient_of_p(plan: CellPlan, mixture: Mixture, run: object) -> torch.Tensor:
    """Variant N taken for P."""
    return gradient_of_mixture(plan, replace(mixture, adds_unsampled=False), run)


def node_of_ones(step: StepPlan, mixture: Mixture | None, like: torch.Tensor) -> object:
    """In place of a recurrent step's weights."""
    node = node_of(step, mixture, like)
    node.weights.fill_(1.0)
    return node


WRONG_CELLS = "gdas_lite.engines.cpu.cells.CELLS", CELLS | {SearchCell: (CELLS[SearchCell][0], weighs_with_a_gradient)}


SOFT, HARD = (Case("nasbench201", kind, True, True) for kind in ("soft without gradient", "hard N"))
FAULTS = {      # engine, case, what is replaced by what, what the comparison says first
    "weights dropped in a weight step": (
        mixtures.cells, SOFT, WRONG_CELLS, "logits"),
    "the same in NASNet": (
        mixtures.cells, SOFT._replace(space="nasnet"), (Mixture, "weighs", property(lambda one: one.weights.requires_grad)),
        "logits"),
    "another candidate's weight": (
        mixtures.cells, SOFT, (nasbench201_graph, "_place", lambda _, row, column: 5 * row), "logits"),
    "N taken for P": (
        mixtures.cells, HARD, (nasbench201_plan, "Plan", PlanOfP), "alphas"),
    "estimates forgotten": (
        mixtures.cells, HARD, ("gdas_lite.engines.cpu.layers.norm_row", nothing), "estimates"),
    "loops without weights": (
        mixtures.loops, SOFT._replace(tracked=False), ("gdas_lite.engines.cpu.small.supernet.Plan", PlanOfOnes), "logits"),
    "a bias left out of the loops' estimates": (
        mixtures.loops, HARD, ("gdas_lite.engines.cpu.small.loops.MOMENTUM", 0.0), "estimates"),
    "estimates forgotten on the device": (
        mixtures.on_device, HARD, (nasbench201_sampled, "_keep_estimates", nothing), "estimates"),
    "recurrent candidates without weights": (
        recurrent_mixtures.layers, SOFT._replace(space="recurrent"), (recurrent_sequence, "node_of", node_of_ones), "logits"),
    "compiled recurrent candidates without weights": (
        recurrent_mixtures.kernels, SOFT._replace(space="recurrent"), (recurrent_sequence, "node_of", node_of_ones), "logits"),
    "compiled recurrent estimates forgotten": (
        recurrent_mixtures.kernels, HARD._replace(space="recurrent"), (recurrent_sequence, "NORM_MOMENTUM", 0.0), "estimates"),
    "N taken for P in the compiled recurrent cell": (
        recurrent_mixtures.kernels, HARD._replace(space="recurrent", trains=False), (recurrent_sequence, "gradient_of_mixture", gradient_of_p), "alphas"),
    "recurrent candidates without weights in the plain cell": (
        recurrent_mixtures.plain, SOFT._replace(space="recurrent"), (Mixture, "weight", nothing), "logits"),
    "N taken for P in the plain recurrent cell": (
        recurrent_mixtures.plain, HARD._replace(space="recurrent", trains=False), (Mixture, "unsampled", nothing), "alphas"),
    "recurrent estimates forgotten": (
        recurrent_mixtures.plain, HARD._replace(space="recurrent"), (recurrent, "NORM_MOMENTUM", 0.0), "estimates"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_noticed(name, monkeypatch):
    engine, case, planted, words = FAULTS[name]
    if engine in (mixtures.cells, mixtures.loops, recurrent_mixtures.kernels) and numba_obstacle() is not None:
        pytest.skip(numba_obstacle())
    of = recurrent_mixtures if case.space == "recurrent" else mixtures
    wanted, plain = of.truth(case), of.plain_in_float32(case)
    monkeypatch.setattr(*planted)
    with pytest.raises(AssertionError, match=f"differ: {words}"):
        assert_as_good(engine(case), wanted, plain, knows_none=False)
