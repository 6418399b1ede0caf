"""Where work runs: the device by name, one thread for small maps."""

from __future__ import annotations

import pytest
import torch

import gdas_lite as gl
from gdas_lite.device import SMALL_MAPS, pick_device, sensible_threads

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


def test_devices_by_name():
    assert pick_device("cpu") == CPU
    if not torch.cuda.is_available():
        assert pick_device() == CPU
        with pytest.raises(ValueError, match="sees no CUDA GPU"):
            pick_device("cuda")
