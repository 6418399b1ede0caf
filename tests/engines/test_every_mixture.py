"""Every engine under every kind of mixture, in training and in evaluation, with running estimates in the cells and without.

Logits, gradients of weights and alphas, and running estimates, beside double precision. What an engine does not take it
must leave to the plain one, bit for bit, or refuse in words.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from gdas_lite import kernels
from gdas_lite.relaxation import Mixture
from gdas_lite.spaces import nasbench201_graph, nasbench201_plan, nasbench201_sampled, recurrent_record
from gdas_lite.spaces.nasbench201 import SearchCell
from gdas_lite.spaces.nasbench201_graph import fused_cell
from gdas_lite.spaces.nasbench201_plan import Plan
from gdas_lite.spaces.recurrent_gate import GateWeights, weights_of_all
from tests.engines import mixtures, recurrent_mixtures
from tests.engines.mixtures import ON_DEVICE, Case, assert_as_good, every_case, plain_in_float32, same, truth

needs_numba = pytest.mark.skipif(kernels.obstacle() is not None, reason=f"engine fused: {kernels.obstacle()}")
SCRIPT = Path(__file__).with_name("mixtures_in_interpreter.py")
SEARCH_CELLS = 3


def adds_undrawn(case: Case) -> bool:
    return case.kind.startswith("hard N")


@needs_numba
@pytest.mark.parametrize("case", every_case("nasbench201") + every_case("nasnet"), ids=str)
def test_compiled_cells(case, monkeypatch):
    from gdas_lite.kernels import fused
    calls, run_graph = [], fused.run_graph
    monkeypatch.setattr(fused, "run_graph", lambda *given: calls.append(given) or run_graph(*given))
    found = mixtures.cells(case)
    uses_estimates = case.tracked and not case.trains
    if uses_estimates or (case.space == "nasnet" and adds_undrawn(case)):
        assert not calls and same(found, plain_in_float32(case))
    else:
        assert len(calls) == SEARCH_CELLS
        assert_as_good(found, truth(case), plain_in_float32(case))


@needs_numba
@pytest.mark.parametrize("case", every_case("nasbench201"), ids=str)
def test_compiled_loops(case):
    if case.tracked or not case.trains:
        with pytest.raises(ValueError, match="track_running_stats" if case.tracked else "put the supernet in training mode"):
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
    elif case.space == "nasnet" and adds_undrawn(case):
        with pytest.raises(ValueError, match="variant N"):
            mixtures.on_device(case)
    else:
        assert_as_good(mixtures.on_device(case), truth(case), plain_in_float32(case), knows_none=False)


IN_INTERPRETER = [Case("nasbench201", kind, True, tracked) for tracked in (False, True) for kind in
                  ("soft", "soft without gradient", "hard P", "hard N", "hard without gradient")]
IN_INTERPRETER += [Case("nasbench201", "soft without gradient", False, False)]
IN_INTERPRETER += [Case("nasnet", "hard P", True, False)]       # slow; the others in tests/kernels/test_nasnet_triton.py


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
def test_the_recurrent_cell(case):
    found, wanted = recurrent_mixtures.sequence(case), recurrent_mixtures.truth(case)
    assert_as_good(found, wanted, recurrent_mixtures.plain_in_float32(case), knows_none=False)


class PlanOfOnes(Plan):
    """Of weights that are all 1."""

    def __init__(self, mixture: Mixture) -> None:
        super().__init__(mixture)
        self.runs = [[run._replace(weight=np.float32(1)) for run in runs] for runs in self.runs]


class PlanOfP(Plan):
    """Variant N taken for P."""

    def __init__(self, mixture: Mixture) -> None:
        super().__init__(replace(mixture, adds_undrawn=False))


def nothing(*_given: object) -> None:
    """In place of what keeps running estimates."""


def of_ones(weights: torch.Tensor, *sizes: int) -> GateWeights:
    """In place of a recurrent step's weights."""
    return weights_of_all(torch.ones_like(weights), *sizes)


def weighs_with_a_gradient(cell: SearchCell, x: torch.Tensor, mixture: Mixture, plan: Plan) -> torch.Tensor:
    """As it once was: a weight whose gradient nobody asks is 1."""
    return fused_cell(cell, x, replace(mixture, is_hard=True), plan)


SOFT, HARD = (Case("nasbench201", kind, True, True) for kind in ("soft without gradient", "hard N"))
FAULTS = {      # engine, case, what is replaced by what, what the comparison says first
    "weights dropped in a weight step": (
        mixtures.cells, SOFT, (nasbench201_graph, "fused_cell", weighs_with_a_gradient), "logits"),
    "the same in NASNet": (
        mixtures.cells, SOFT._replace(space="nasnet"), (Mixture, "weighs", property(lambda one: one.weights.requires_grad)),
        "logits"),
    "another candidate's weight": (
        mixtures.cells, SOFT, (nasbench201_graph, "_place", lambda _, row, column: 5 * row), "logits"),
    "N taken for P": (
        mixtures.cells, HARD, (nasbench201_plan, "Plan", PlanOfP), "alphas"),
    "estimates forgotten": (
        mixtures.cells, HARD, ("gdas_lite.kernels.convolving.update_estimates", nothing), "estimates"),
    "loops without weights": (
        mixtures.loops, SOFT._replace(tracked=False), ("gdas_lite.spaces.nasbench201_compiled.Plan", PlanOfOnes), "logits"),
    "estimates forgotten on the device": (
        mixtures.on_device, HARD, (nasbench201_sampled, "_keep_estimates", nothing), "estimates"),
    "recurrent candidates without weights": (
        recurrent_mixtures.sequence, SOFT._replace(space="recurrent"), (recurrent_record, "weights_of_all", of_ones), "logits"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_noticed(name, monkeypatch):
    engine, case, planted, words = FAULTS[name]
    if engine in (mixtures.cells, mixtures.loops) and kernels.obstacle() is not None:
        pytest.skip(kernels.obstacle())
    of = recurrent_mixtures if case.space == "recurrent" else mixtures
    wanted, plain = of.truth(case), of.plain_in_float32(case)
    monkeypatch.setattr(*planted)
    with pytest.raises(AssertionError, match=f"differ: {words}"):
        assert_as_good(engine(case), wanted, plain, knows_none=False)
