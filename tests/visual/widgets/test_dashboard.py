"""The dashboard without a browser: what it sends and when, buttons, errors, and that the numbers are those of the run."""

from __future__ import annotations

import re
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

import gdas_lite as gl
from gdas_lite.visual.widgets.browser_widget import WIDGET_VIEW
from gdas_lite.visual.widgets.dashboard import Dashboard
from tests.visual.widgets.made_up_searches import FakeRun, made_up_table

LONG = 60       # seconds that a wait may take before the test has failed


@pytest.fixture(scope="module")
def digits() -> gl.ImageData:
    data = gl.load_data("digits")
    return replace(data, train_half=data.train_half.subset(range(96)), valid_half=data.valid_half.subset(range(96)))


@pytest.fixture(scope="module")
def table():
    return made_up_table()


def search(data, algorithm=None, epochs=2, **options) -> gl.Search:
    algorithm = algorithm or gl.GDAS()
    recipe = gl.search_recipe("smoke", "nasbench201", algorithm.name, epochs=epochs, batch_size=32)
    return gl.Search(gl.NASBench201(2, 1), data, algorithm, recipe=recipe, **options)


def press(board, what, number=1):
    """What arrives when a button is pressed in the browser."""
    board._handle_custom_msg({"do": what, "id": number}, [])


def test_the_buttons_drive_a_search_to_the_uninterrupted_result(digits):
    whole, run = search(digits).run(), search(digits)
    board = gl.Dashboard(run)
    assert board.status["where"] == "not started" and board.state == "ready" and board.genotype is None
    asked = []

    def pause_once(epoch, step, steps):
        if (epoch, step) == (1, 1) and not asked:
            asked.append(True)
            press(board, "pause", 2)

    run.on_step = pause_once
    press(board, "start")
    assert board.wait(timeout=LONG)
    assert board.state == board.status["state"] == "paused" and board.status["answered"] == 2
    assert board.status["where"] == "paused, epoch 2 of 2, step 1 of 3" and board.status["part"] == pytest.approx(4 / 6, abs=1e-4)
    assert str(board.genotype) == whole.history[0].genotype == board.cell["text"]
    press(board, "start", 3)
    assert board.wait(timeout=LONG) and board.state == "finished"
    assert board.status["where"].startswith("finished, 2 epochs in ") and board.status["part"] == 1 and not board.error
    assert run.genotype == whole.genotype and str(board.genotype) == str(whole.genotype)
    assert [name for name, tensor in run.tensors().items() if not torch.equal(tensor, whole.tensors()[name])] == []
    assert len(board.history) == 2 and board.history is not run.history


@pytest.mark.parametrize("space", [gl.NASBench201(), gl.NASNet(), gl.Recurrent()], ids=lambda space: space.name)
def test_what_is_sent_are_the_runs_numbers(space, table):
    run = FakeRun(space)
    truth = table if space.name == "nasbench201" else None
    board = Dashboard(run, truth)
    board.start()
    assert board.wait(timeout=LONG) and board.state == "finished" and run.closed == 1
    history = run.whole
    assert board.cell["text"] == history[-1].genotype and board.cell["epoch"] == 3
    for part in board.parts:
        labels = history.labels[part["kind"]]
        sent = np.frombuffer(part["probabilities"], "<f4").reshape(3, *labels.shape)
        np.testing.assert_array_equal(sent, history.op_probs[part["kind"]])
        assert len(part["kept"]) == 1 and sum(map(len, part["kept"][0])) in (6, 8)
    panels = {panel["title"]: {line["name"]: line["values"] for line in panel["lines"]} for panel in board.panels}
    np.testing.assert_allclose(panels["loss (nats)"]["valid"], history.column("valid_loss"), atol=5.1e-5)
    np.testing.assert_allclose(panels["search accuracy (%)"]["train"], history.column("train_accuracy"), atol=5.1e-5)
    if truth:
        known = [table.accuracy(record.genotype) for record in history]
        np.testing.assert_allclose(panels["the derived cell in the table (%)"]["accuracy"], known, atol=5.1e-5)
        assert f"rank {table.rank(history[-1].genotype):,} of 15,625" in board.cell["score"]
    else:
        assert len(panels) == 2 and board.cell["score"] == ""


def test_time_left_is_that_of_the_steps_since_it_was_started():
    run, seen, now = FakeRun(gl.NASBench201()), [], [0.0]

    def pass_time(epoch, step, steps):
        now[0] += 7.0
        seen.append((epoch, step, board.status["left"], board.status["where"]))
        if (epoch, step) == (0, 2):
            board.pause()

    board = Dashboard(run, clock=lambda: now[0])
    run.on_step = pass_time
    board.start()
    board.wait(timeout=LONG)
    assert board.state == "paused" and board.status["left"] == "" and "step 2 of 2" in board.status["where"]
    now[0] += 10_000                    # the pause does not count
    board.start()
    assert board.wait(timeout=LONG)
    assert [left for _, _, left, _ in seen] == ["", "28 s left", "", "14 s left", "7 s left", "0 s left"]
    assert seen[3][3] == "epoch 2 of 3, step 2 of 2"


def test_steps_are_sent_five_times_a_second_at_most():
    run, sent = FakeRun(gl.NASBench201(), 20), []
    board = Dashboard(run, clock=lambda: 1.0)          # all within one moment
    board.observe(lambda change: sent.append(change["new"]), "status")
    board.start()
    assert board.wait(timeout=LONG)
    steps = [status for status in sent if "step" in status["where"]]
    assert len(steps) == 1 and sent[-1]["state"] == "finished" and len(board.panels[0]["lines"][0]["values"]) == 20


def test_an_observers_error_stands_in_the_widget_and_the_run_goes_on():
    run = FakeRun(gl.NASBench201())
    board = Dashboard(run)

    def fails_once(change):
        if change["new"]["state"] == "running" and run.epochs_done == 1:
            raise RuntimeError("epoch two is not for me")

    board.observe(fails_once, "status")
    board.start()
    assert board.wait(timeout=LONG) and board.state == "finished"
    assert board.error == "RuntimeError: epoch two is not for me"


def test_an_error_of_the_run_stands_in_the_widget_until_it_is_started_again():
    run, failed = FakeRun(gl.NASBench201()), []

    def fails_once(epoch, step, steps):
        if (epoch, step) == (1, 1) and not failed:
            failed.append(True)
            raise FloatingPointError("the loss became nan")

    run.on_step = fails_once
    board = Dashboard(run)
    board.start()
    assert board.wait(timeout=LONG) and board.state == "failed"
    assert board.error == "FloatingPointError: the loss became nan" and isinstance(board.exception, FloatingPointError)
    assert board.status["where"] == "failed in epoch 2 of 3, step 1 of 2"
    press(board, "start")
    assert board.wait(timeout=LONG) and board.state == "finished" and board.error == "" and board.exception is None


def test_a_dashboard_that_can_make_its_run_starts_anew(digits):
    """After a stop another run begins: its numbers are those of a run by itself, and the old pictures are gone."""
    whole, made = search(digits).run(), []

    def make():
        made.append(search(digits))
        if len(made) == 1:
            made[0].on_step = lambda epoch, step, steps: board.stop() if (epoch, step) == (1, 1) else None
        return made[-1]

    board = Dashboard(make)
    assert board.about["begins_anew"] and not Dashboard(FakeRun(gl.NASBench201())).about["begins_anew"]
    board.start()
    assert board.wait(timeout=LONG) and board.state == "stopped" and len(board.panels[0]["lines"][0]["values"]) == 1
    emptied = []
    board.observe(lambda change: emptied.append((board.panels, board.parts)) if change["new"] == {} else None, "cell")
    press(board, "begin_anew")
    assert board.wait(timeout=LONG) and board.state == "finished" and not board.error
    assert emptied == [([], [])] and len(board.panels[0]["lines"][0]["values"]) == 2
    assert len(made) == 2 and board.run is made[1] and str(board.genotype) == str(whole.genotype)
    assert [name for name, tensor in board.run.tensors().items() if not torch.equal(tensor, whole.tensors()[name])] == []


def test_what_begins_anew_may_be_another_search(table):
    runs = [FakeRun(gl.NASBench201()), FakeRun(gl.NASNet(), 7), FakeRun(gl.NASBench201()), FakeRun(gl.NASNet())]
    runs[1].algorithm, told = gl.DARTS(), []
    board = Dashboard(lambda: runs.pop(0))
    board.observe(lambda change: told.append((board.panels, board.parts)), "about")
    board.start()
    assert board.wait(timeout=LONG) and board.about["title"] == "fakerun" and board.table
    press(board, "begin_anew")
    assert board.wait(timeout=LONG) and board.state == "finished" and not board.error and told == [([], [])]
    assert board.about == {"title": "DARTS search", "epochs": 7, "kinds": ["normal", "reduce"], "begins_anew": True}
    assert board.table is None and [part["kind"] for part in board.parts] == ["normal", "reduce"]
    board = Dashboard(lambda: runs.pop(0), table)
    first = board.run
    press(board, "begin_anew")
    assert "leave the table out" in board.error and board.run is first and board.state == "stopped"


def test_a_cell_that_cannot_be_drawn_stops_no_run(monkeypatch):
    def broken(*_):
        raise ValueError("no picture of this one")

    monkeypatch.setattr("gdas_lite.visual.widgets.dashboard.part", broken)
    board = Dashboard(FakeRun(gl.NASBench201()))
    board.start()
    assert board.wait(timeout=LONG) and board.state == "finished" and board.exception is None
    assert board.error == "ValueError: no picture of this one"


def test_starting_anew_is_refused_with_a_sentence():
    board = Dashboard(FakeRun(gl.NASBench201()))
    press(board, "begin_anew")
    assert board.error.startswith("RuntimeError: this dashboard was given a run") and "lambda" in board.error
    gate, there = threading.Event(), threading.Event()

    def make():
        run = FakeRun(gl.NASBench201())
        run.on_step = lambda epoch, step, steps: (there.set(), gate.wait(LONG))
        return run

    board = Dashboard(make)
    board.start()
    assert there.wait(LONG)
    with pytest.raises(RuntimeError, match="is running; stop it first"):
        board.begin_anew()
    gate.set()
    assert board.wait(timeout=LONG) and board.state == "finished"
    with pytest.raises(TypeError, match="one search or training, got int"):
        Dashboard(lambda: 3)


def test_axes_of_shares_are_fixed():
    board = Dashboard(FakeRun(gl.NASBench201()))
    board.start()
    assert board.wait(timeout=LONG)
    assert [panel["top"] for panel in board.panels] == [None, 100, 100]


def test_a_message_that_no_button_sends_is_an_error_in_the_widget():
    board = Dashboard(FakeRun(gl.NASBench201()))
    press(board, "format the disk")
    assert board.error == "KeyError: 'format the disk'" and board.state == "ready"


def test_the_kernel_reads_while_the_run_writes():
    run, gate, there = FakeRun(gl.NASBench201()), threading.Event(), threading.Event()
    run.on_step = lambda epoch, step, steps: epoch == 2 and (there.set(), gate.wait(LONG))
    board = Dashboard(run)
    board.start()
    assert there.wait(LONG) and board.state == "running"
    history = board.history
    assert len(history) == 2 and str(board.genotype) == run.whole[1].genotype and "<svg" in board.static_twin()["image/svg+xml"]
    gate.set()
    assert board.wait(timeout=LONG) and len(history) == 2 and len(board.history) == 3


def test_what_stands_without_javascript(tmp_path):
    board = Dashboard(FakeRun(gl.NASBench201()))
    assert "fakerun: not started" in board.static_twin()["image/svg+xml"]
    board.start()
    board.wait(timeout=LONG)
    bundle = board._repr_mimebundle_()
    assert bundle[WIDGET_VIEW] and bundle["text/plain"].startswith("Dashboard: fakerun, finished, 3 epochs in")
    assert "finished, 3 epochs" in bundle["image/svg+xml"] and "conv" in bundle["image/svg+xml"]
    page = board.to_html(tmp_path / "board.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page and not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", page)
    late = Dashboard(FakeRun(gl.Recurrent(), derives=False))
    late.start()
    late.wait(timeout=LONG)
    assert "image/png" in late.static_twin() and late.cell["text"] == ""


def test_a_training_has_curves_and_no_cell(digits):
    data = replace(digits, train=digits.train.subset(range(64)), evaluation={"test": digits.valid_half.subset(range(32))})
    network = gl.network(gl.zoo_genotype("resnet", "nasbench201"), 2, 1, image_channels=1)
    run = gl.Training(network, data, recipe=gl.training_recipe("smoke", "nasbench201", epochs=2, batch_size=32))
    board = Dashboard(run)
    board.start()
    assert board.wait(timeout=LONG) and board.state == "finished" and board.genotype is None and board.parts == []
    assert [(panel["title"], [line["name"] for line in panel["lines"]]) for panel in board.panels] == [
        ("loss (nats)", ["train", "test"]), ("accuracy (%)", ["train", "test"])]
    assert len(board.history) == 2 and "image/png" in board.static_twin()


def test_a_run_that_is_over_says_so(digits):
    run = search(digits, epochs=1).run()
    board = Dashboard(run)
    board.start()
    assert board.state == "finished" and board.wait(timeout=0) and board.cell["text"] == str(run.genotype)


def test_a_dashboard_looks_cells_up_on_cifar10_by_itself(monkeypatch):
    monkeypatch.delenv("GDAS_LITE_DATA", raising=False)
    monkeypatch.delenv("TORCH_HOME", raising=False)
    assert Dashboard(FakeRun(gl.NASBench201())).table is gl.tabular("nasbench201")
    assert Dashboard(FakeRun(gl.NASBench201()), None).table is None and Dashboard(FakeRun(gl.NASNet())).table is None


def test_the_dashboard_refuses_what_a_table_does_not_know(table):
    with pytest.raises(ValueError, match="leave the table out"):
        Dashboard(FakeRun(gl.NASNet()), table)
    with pytest.raises(KeyError, match="unknown column"):
        Dashboard(FakeRun(gl.NASBench201()), table, "toy_test_2")
    with pytest.raises(TypeError, match="one search or training, got list"):
        Dashboard([FakeRun(gl.NASBench201())])
