"""A run in a thread: where it pauses, stops and fails, and that its result is bit for bit the uninterrupted one's."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace

import pytest
import torch

import gdas_lite as gl
from gdas_lite.runs.config import RunError
from gdas_lite.visual.widgets.background import BackgroundRun

LONG = 60       # seconds that a wait may take before the test has failed


@pytest.fixture(scope="module")
def digits() -> gl.ImageData:
    data = gl.load_data("digits")
    return replace(data, train_half=data.train_half.subset(range(96)), valid_half=data.valid_half.subset(range(96)))


def search(data, algorithm=None, space=None, epochs=2, **options) -> gl.Search:
    algorithm, space = algorithm or gl.GDAS(), space or gl.NASBench201(2, 1)
    recipe = gl.search_recipe("smoke", space.name, algorithm.name, epochs=epochs, batch_size=32)
    return gl.Search(space, data, algorithm, recipe=recipe, **options)


def assert_same(one, other) -> None:
    a, b = one.tensors(), other.tensors()
    assert a.keys() == b.keys() and [name for name in a if not torch.equal(a[name], b[name])] == []
    records = [[record.to_json() | {"seconds": 0, "images_per_second": 0} for record in run.history] for run in (one, other)]
    assert records[0] == records[1]


def at(place, do):
    """An on_step that does something once, after step place = (epoch, step)."""
    done = []

    def on_step(epoch, step, steps):
        if (epoch, step) == place and not done:
            done.append(True)
            do()
    return on_step


@pytest.mark.parametrize(("space", "algorithm"), [
    (gl.NASBench201(2, 1), gl.DARTS(2)), (gl.NASBench201(2, 1), gl.RandomSearch(samples=5, selection_batch=32)),
    (gl.NASNet(channels=4, layout="autodl"), gl.GDAS())], ids=["nasbench201", "random", "nasnet"])
def test_paused_and_stopped_in_the_middle_of_epochs_equals_uninterrupted_bit_for_bit(digits, space, algorithm):
    epochs = 1 if space.name == "nasnet" else 2       # its steps are ten times as long
    whole = search(digits, algorithm, space, epochs).run()
    run = search(digits, algorithm, space, epochs)
    driver, places = BackgroundRun(run), []
    for place, ask, state in (((0, 1), driver.pause, "paused"), ((epochs - 1, 2), driver.stop, "stopped")):
        run.on_step = own = at(place, ask)
        driver.start()
        assert driver.wait(timeout=LONG) and driver.state == state
        assert run.on_step is own and run.interrupt_when is None
        places.append(run.epochs_done)
        torch.rand(3)           # what the user does in between, and with the global generator, does not matter
    assert places == [0, epochs - 1]
    driver.start()
    assert driver.wait(timeout=LONG) and driver.state == "finished" and driver.error is None
    assert_same(whole, run)


def test_a_training_too(digits):
    cell = gl.zoo_genotype("resnet", "nasbench201")
    data = replace(digits, train=digits.train.subset(range(96)), evaluation={})

    def training():
        recipe = gl.training_recipe("smoke", "nasbench201", epochs=2, batch_size=32)
        return gl.Training(gl.network(cell, 2, 1, image_channels=1), data, recipe=recipe)
    whole, run = training().run(), training()
    driver = BackgroundRun(run)
    run.on_step = at((0, 2), driver.pause)
    driver.start()
    assert driver.wait(timeout=LONG) and driver.state == "paused"
    driver.start()
    assert driver.wait(timeout=LONG) and driver.state == "finished"
    assert_same(whole, run)


def test_a_request_that_is_taken_back_before_the_steps_end_leaves_no_trace(digits):
    run, states = search(digits), []
    driver = BackgroundRun(run)

    def pause_and_think_again():
        driver.pause()
        states.append(driver.state)
        driver.stop()
        states.append(driver.state)
        driver.start()
        states.append(driver.state)

    run.on_step = at((1, 2), pause_and_think_again)
    driver.start()
    assert driver.wait(timeout=LONG) and driver.state == "finished"
    assert states == ["pausing", "stopping", "running"]
    assert_same(search(digits).run(), run)


def test_waiting_for_an_epoch(digits):
    run = search(digits)
    gate = threading.Event()
    run.on_step = at((1, 1), lambda: gate.wait(LONG))
    driver = BackgroundRun(run)
    driver.start()
    assert driver.wait(epochs=1, timeout=LONG) and driver.state == "running" and len(run.history) == 1
    assert not driver.wait(epochs=2, timeout=0.01)
    gate.set()
    assert driver.wait(timeout=LONG) and run.is_finished


def test_a_stopped_run_lets_go_of_its_folder_and_a_paused_one_does_not(digits, tmp_path):
    run = search(digits, out=tmp_path)
    driver = BackgroundRun(run)
    run.on_step = at((1, 1), driver.pause)
    driver.start()
    assert driver.wait(timeout=LONG) and driver.state == "paused"
    with pytest.raises(RunError, match="in use"):
        gl.resume(tmp_path, data=digits)
    driver.stop()
    assert driver.state == "stopped"
    other = gl.resume(tmp_path, data=digits)        # as if from another process: from the last whole epoch
    assert other.epochs_done == 1
    with pytest.raises(RunError, match="in use"):
        driver.run.run_epoch()
    other.close()
    driver.start()                                  # and from memory, from the step at hand
    assert driver.wait(timeout=LONG) and driver.state == "finished"
    again = gl.resume(tmp_path, data=digits)        # a finished run is let go of
    assert_same(search(digits).run(), again)
    again.close()


def test_a_folder_that_another_process_went_on_with_is_not_written_to(digits, tmp_path):
    run = search(digits, out=tmp_path)
    driver = BackgroundRun(run)
    run.on_step = at((1, 1), driver.stop)
    driver.start()
    assert driver.wait(timeout=LONG) and driver.state == "stopped"
    other = gl.resume(tmp_path, data=digits).run()
    other.close()
    for _ in range(2):
        driver.start()
        assert driver.wait(timeout=LONG) and driver.state == "failed"
        assert isinstance(driver.error, RunError) and "gone on with elsewhere, up to epoch 2" in str(driver.error)
    again = gl.resume(tmp_path, data=digits)        # it was let go of, and is what the other made it
    assert_same(search(digits).run(), again)
    again.close()


def test_a_run_has_its_own_callbacks_again_when_the_thread_is_at_rest(digits):
    run = search(digits)
    run.on_step, run.interrupt_when = at((1, 1), lambda: driver.pause()), lambda: False
    own, driver = (run.on_step, run.interrupt_when), BackgroundRun(run)
    driver.start()
    assert driver.wait(timeout=LONG) and driver.state == "paused"
    assert (run.on_step, run.interrupt_when) == own


def test_an_error_of_a_callback_is_kept_and_the_run_goes_on_where_it_was(digits):
    run = search(digits)
    run.on_step = at((1, 2), lambda: 1 / 0)
    driver = BackgroundRun(run)
    driver.start()
    assert driver.wait(timeout=LONG) and driver.state == "failed"
    assert isinstance(driver.error, ZeroDivisionError) and run.epochs_done == 1
    driver.start()
    assert driver.error is None
    assert driver.wait(timeout=LONG) and driver.state == "finished"
    assert_same(search(digits).run(), run)


def test_a_loss_that_becomes_nan_ends_it_with_the_runs_own_sentence(digits):
    run = search(digits)
    with torch.no_grad():
        run.state.supernet.classifier.weight[0, 0] = float("nan")
    driver = BackgroundRun(run)
    for sentence in ("became nan in epoch 1", "torn"):
        driver.start()
        assert driver.wait(timeout=LONG) and driver.state == "failed" and sentence in str(driver.error)


def test_two_threads_never_step_the_same_run(digits):
    run, gate, there = search(digits), threading.Event(), threading.Event()
    run.on_step = at((0, 1), lambda: (there.set(), gate.wait(LONG)))
    driver = BackgroundRun(run)
    driver.start()
    assert there.wait(LONG)
    with pytest.raises(RuntimeError, match="this search runs in another thread already"):
        run.run_epoch()
    gate.set()
    assert driver.wait(timeout=LONG) and driver.state == "finished"
    assert_same(search(digits).run(), run)


def test_the_thread_counts_with_the_threads_of_its_maker(digits):
    run, seen = search(digits, epochs=1), []
    run.map_elements = 2**30        # else small maps are computed with one thread anyway
    run.on_step = lambda *_: seen.append(torch.get_num_threads())
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        driver = BackgroundRun(run)
        torch.set_num_threads(1)
        driver.start()
        assert driver.wait(timeout=LONG) and set(seen) == {2}
    finally:
        torch.set_num_threads(before)


LEFT = """
import sys, threading
sys.path.insert(0, {root!r})
import torch
from gdas_lite.visual.widgets.background import BackgroundRun

class Endless:
    noun, total_epochs, epochs_done, is_finished, on_step, interrupt_when = "search", 10**9, 0, False, None, None
    def run_epoch(self):
        for step in range(10**9):
            torch.randn(200, 200) @ torch.randn(200, 200)
            self.on_step(0, step, 10**9)
            started.set()
            if self.interrupt_when():
                raise KeyboardInterrupt
    def close(self):
        print("closed", flush=True)

started = threading.Event()
BackgroundRun(Endless()).start()
started.wait()
print("leaving", flush=True)
"""


def test_python_can_be_left_while_it_runs(pytestconfig):
    code = LEFT.format(root=str(pytestconfig.rootpath))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\nclosed\n", "")
