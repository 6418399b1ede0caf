"""Where work runs: the device by name, one thread for small maps."""

from __future__ import annotations

import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import gdas_lite as gl
from gdas_lite.runs.device import (
    SMALL_MAPS,
    evaluating,
    peak_resident,
    pick_device,
    precision_name,
    processor_flags,
    sensible_threads,
)

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("elements, threads", [(100, 1), (SMALL_MAPS - 1, 1), (SMALL_MAPS, 2), (None, 2)])
def test_small_maps_run_in_one_thread_and_the_number_comes_back(elements, threads):
    with pytest.raises(RuntimeError), sensible_threads(CPU, elements):
        assert torch.get_num_threads() == threads
        raise RuntimeError
    assert torch.get_num_threads() == 2


def test_a_search_on_the_digits_steps_in_one_thread():
    search = gl.Search(gl.NASBench201(2, 1), gl.load_data("digits"), gl.GDAS(), recipe="smoke")
    seen = set()
    search.on_step = lambda *_: seen.add(torch.get_num_threads())
    search.run_epoch()
    assert seen == {1} and torch.get_num_threads() == 2


def test_after_an_evaluation_each_layer_is_in_its_own_mode():
    """Somebody may have frozen the estimates of a batch norm in a network that learns."""
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(2), torch.nn.Sequential(torch.nn.Dropout()))
    network[0].eval()
    with evaluating(network):
        assert not any(module.training for module in network.modules())
    assert [module.training for module in network.modules()] == [True, False, True, True]


def test_devices_by_name():
    assert pick_device("cpu") == CPU
    if not torch.cuda.is_available():
        assert pick_device() == CPU
        with pytest.raises(ValueError, match="sees no CUDA GPU"):
            pick_device("cuda")


def test_the_peak_of_a_process_is_not_that_of_the_process_that_started_it():
    if peak_resident() == 0:
        pytest.skip("this system does not say how much memory a process held")
    held = np.ones(100_000_000)                                 # 800 MB, all touched
    child = [sys.executable, "-c", "from gdas_lite.runs.device import peak_resident; print(peak_resident())"]
    peak = int(subprocess.run(child, capture_output=True, text=True, check=True).stdout)
    assert 10_000_000 < peak < peak_resident() - held.nbytes / 2


@pytest.mark.parametrize(("flags", "device", "says_so"), [
    ("fpu avx2 avx512f", "cpu", True), ("fpu avx512_bf16", "cpu", False), ("fpu amx_bf16", "cpu", False), (None, "cpu", False),
    ("fpu avx2", "meta", False)])
def test_a_run_says_where_bfloat16_is_the_slower_one(flags, device, says_so, monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda self, **_: "" if flags is None else f"model name\t: a b\nflags\t\t: {flags}\n")
    assert processor_flags() == (None if flags is None else set(flags.split()))
    assert ("slower than fp32 on this processor" in precision_name("bf16", torch.device(device))) == says_so
    assert precision_name("fp32", torch.device(device)) == "fp32"
    if device == "cpu":
        data = gl.load_data("digits")
        search = gl.Search(gl.NASBench201(2, 1), data, gl.GDAS(), recipe="smoke", precision="bf16")
        training = gl.Training(gl.network(gl.zoo_genotype("resnet"), 2, 1, image_channels=1), data, recipe="smoke",
                               precision="bf16")
        assert [("bf16, slower" in repr(run), ", bf16" in repr(run)) for run in (search, training)] == [(says_so, True)] * 2


class AppleGPU(TorchDispatchMode):
    """Takes the CPU for a device without float64: what it refuses comes neither from `.cpu()` nor from float64."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.moved: list[torch.Tensor] = []
        monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: self.copied(tensor))

    def copied(self, tensor: torch.Tensor) -> torch.Tensor:
        self.moved.append(tensor.clone())
        return self.moved[-1]

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        given = [one for one in tree_leaves(args) if isinstance(one, torch.Tensor)]
        for made in (one for one in tree_leaves(out) if isinstance(one, torch.Tensor) and one.dtype == torch.float64):
            if not any(one.dtype == torch.float64 or any(one is moved for moved in self.moved) for one in given):
                raise TypeError(f"{function} would make a {made.dtype} on a device that has none")
        return out


@pytest.mark.parametrize("space, sizes", [(gl.NASBench201(channels=4, cells_per_stage=1), {"cells_per_stage": 1}),
                                          (gl.NASNet(channels=4, cells=3), {"cells": 3})])
def test_no_run_needs_float64_where_it_computes(space, sizes, monkeypatch):
    digits = gl.load_data("digits")
    with AppleGPU(monkeypatch):
        with pytest.raises(TypeError, match="on a device that has none"):
            torch.ones(3).double()
        search = gl.Search(space, digits, gl.GDAS(), recipe="smoke", seed=0, engine="plain", device="cpu").run()
        network = gl.network(search.genotype, channels=4, image_channels=1, classes=10, **sizes)
        training = gl.Training(network, digits, recipe="smoke", device="cpu").run()
    assert math.isfinite(training.history[-1].train_loss) and training.derived_accuracy > 0


def test_weights_are_the_seeds_own_where_threads_draw_at_once():
    """PyTorch's layers draw from one global generator, which every thread moves."""
    data, text = gl.load_data("digits"), gl.load_data("grammar")
    cell = gl.parse_genotype("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    recurrent = gl.zoo_genotype("DARTS_V2", "recurrent")
    makers = (
        lambda seed: gl.Search(gl.NASBench201(2, 1), data, gl.GDAS(), recipe="smoke", seed=seed, engine="plain"),
        lambda seed: gl.Training(gl.network(cell, 2, 1, 10, 1), data, recipe="smoke", seed=seed),
        lambda seed: gl.LanguageTraining(gl.network(recurrent, 4, 70), text, recipe="smoke", seed=seed))

    def weights(seed):
        return {name: value.detach().clone() for name, value in makers[seed % 3](seed).tensors().items()}

    alone = list(map(weights, range(9)))
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(weights, range(9)))
    assert [seed for seed in range(9) if any(not torch.equal(alone[seed][name], together[seed][name])
                                              for name in alone[seed])] == []
