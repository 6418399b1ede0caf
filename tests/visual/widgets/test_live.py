"""The live view: what is shown when, how often, and that an interrupt loses nothing; at last in a real kernel."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from gdas_lite.genotypes.nasbench201 import NASBench201Genotype
from gdas_lite.genotypes.notation import NASBENCH201_OPS
from gdas_lite.search.history import CellLabels, EpochRecord, History
from gdas_lite.training.history import TrainingHistory, TrainingRecord
from gdas_lite.visual.widgets import live, screens
from gdas_lite.visual.widgets.live import LiveView, watch

ROOT = Path(__file__).resolve().parents[3]
GENOTYPE = NASBench201Genotype(("nor_conv_3x3",) * 6)


class Clock:
    """A clock that goes on only when told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class FakeSearch:
    """Epochs of `steps` steps of `seconds` each by the given clock; `on_step` and an interrupt as in a search."""

    def __init__(self, clock, total_epochs=4, steps=10, seconds=1.0, genotype=str(GENOTYPE)):
        self.clock, self.total_epochs, self.steps, self.seconds = clock, total_epochs, steps, seconds
        self.genotype_text, self.on_step = genotype, None
        self.history = History({"cell": CellLabels(NASBench201Genotype.EDGES, NASBENCH201_OPS)})
        self.interrupt_at = None        # (epoch, step)
        self.step = 0

    def __iter__(self):
        while len(self.history) < self.total_epochs:
            epoch = len(self.history)
            while self.step < self.steps:
                self.step += 1
                self.clock.now += self.seconds
                if self.on_step:
                    self.on_step(epoch, self.step, self.steps)
                if self.interrupt_at == (epoch, self.step):
                    raise KeyboardInterrupt
            self.step = 0
            alpha = np.random.default_rng(epoch).normal(size=(6, 5))
            self.history.append(EpochRecord(epoch, 10.0 - epoch, 0.1, 2.0 - 0.1 * epoch, 50.0 + epoch, 2.1, 40.0,
                                            self.steps * self.seconds, {"cell": alpha}, self.genotype_text))
            yield self.history[-1]


class FakeScreen:
    """Keeps what it was asked to show."""

    how_to_go_on = "run this cell again to go on"

    def __init__(self, clock=None, drawing_s=0.0):
        self.states, self.lines, self.drawn, self.clock, self.drawing_s = [], [], [], clock, drawing_s

    def status(self, status):
        self.states.append(status)

    def epoch_line(self, head, numbers, seconds_left):
        self.lines.append((head, numbers, seconds_left))

    def pictures(self, history, genotype):
        self.drawn.append((len(history), genotype))
        if self.clock:
            self.clock.now += self.drawing_s


def watched(search, clock, drawing_s=0.0):
    screen = FakeScreen(clock, drawing_s)
    return screen, watch(search, LiveView(search.total_epochs, "GDAS search", screen=screen, clock=clock), clock=clock)


# --- what is shown when ----------------------------------------------------------------------------------------------

def test_a_whole_run_shows_every_epoch_and_ends_finished():
    clock = Clock()
    search = FakeSearch(clock)
    screen, epochs = watched(search, clock)
    records = list(epochs)
    assert [record.epoch for record in records] == [0, 1, 2, 3]
    assert [line[0] for line in screen.lines] == ["epoch 1/4", "epoch 2/4", "epoch 3/4", "epoch 4/4"]
    assert screen.states[0].where == "epoch 1 of 4, step 1 of 10" and screen.states[0].part == pytest.approx(1 / 40)
    last = screen.states[-1]
    assert (last.where, last.part, last.left, last.is_last) == ("finished: 4 epochs in 40 s", 1, "", True)
    assert "train loss 1.700, accuracy 53.0%" in last.numbers and "tau 7.00" in last.numbers
    assert screen.drawn[-1] == (4, GENOTYPE)
    assert search.on_step is None


@pytest.mark.parametrize("given", [None, "runs/a", History({})], ids=lambda given: type(given).__name__)
def test_what_is_no_run_is_not_watched(given):
    with pytest.raises(ValueError, match="run must be a search or a training, got "):
        next(watch(given))


def test_parts_never_go_back():
    clock = Clock()
    screen, epochs = watched(FakeSearch(clock, seconds=0.3), clock)
    list(epochs)
    parts = [state.part for state in screen.states]
    assert parts == sorted(parts) and parts[-1] == 1


def test_at_most_five_states_a_second():
    clock = Clock()
    screen, epochs = watched(FakeSearch(clock, total_epochs=1, steps=1000, seconds=0.001), clock)
    list(epochs)
    steps = [state for state in screen.states if "step" in state.where]
    assert len(steps) == 5


def test_pictures_take_at_most_a_tenth_of_the_time():
    clock = Clock()
    screen, epochs = watched(FakeSearch(clock, total_epochs=50, steps=1, seconds=1.0), clock, drawing_s=0.5)
    list(epochs)
    assert [count for count, _ in screen.drawn[:4]] == [1, 6, 11, 16]       # 0.5 s of drawing for 4.5 s without
    assert screen.drawn[-1][0] == 50                                        # the end is always drawn
    clock = Clock()
    screen, epochs = watched(FakeSearch(clock, total_epochs=5, steps=1, seconds=5.0), clock, drawing_s=0.5)
    list(epochs)
    assert [count for count, _ in screen.drawn] == [1, 2, 3, 4, 5, 5]       # slow epochs: after each


def test_seconds_left_are_those_that_it_then_takes():
    clock = Clock()
    screen, epochs = watched(FakeSearch(clock, total_epochs=4, steps=10, seconds=3.0), clock)
    list(epochs)
    assert screen.states[0].left == ""          # the first step says nothing yet: it starts the watch
    assert screen.states[1].left == "1 min 54 s left"       # 38 steps of 3 s
    assert [left for *_, left in screen.lines] == pytest.approx([90, 60, 30, 0])


def test_resumed_searches_are_timed_from_where_they_go_on():
    clock = Clock()
    search = FakeSearch(clock, total_epochs=4, steps=10, seconds=3.0)
    next(iter(search))                          # one epoch without a view
    clock.now += 10_000
    screen, epochs = watched(search, clock)
    list(epochs)
    assert screen.lines[0][2] == pytest.approx(60)


def test_random_search_has_no_cell_until_its_end():
    clock = Clock()
    screen, epochs = watched(FakeSearch(clock, total_epochs=2, genotype=None), clock)
    list(epochs)
    assert {genotype for _, genotype in screen.drawn} == {None}


def test_a_finished_search_shows_its_result_at_once():
    clock = Clock()
    search = FakeSearch(clock)
    list(search)
    screen, epochs = watched(search, clock)
    assert list(epochs) == []
    assert screen.drawn == [(4, GENOTYPE)] and screen.states[-1].where.startswith("finished: 4 epochs")


# --- stopped ---------------------------------------------------------------------------------------------------------

def test_an_interrupt_keeps_the_state_and_the_next_call_goes_on():
    clock = Clock()
    search = FakeSearch(clock)
    search.interrupt_at = (2, 4)
    screen, epochs = watched(search, clock)
    assert len(list(epochs)) == 2               # no error
    last = screen.states[-1]
    assert last.where == "interrupted after epoch 2 of 4, run this cell again to go on"
    assert last.is_last and last.part == 0.5 and "train loss 1.900" in last.numbers
    assert screen.drawn[-1][0] == 2 and search.on_step is None
    search.interrupt_at = None
    screen, epochs = watched(search, clock)
    assert [record.epoch for record in epochs] == [2, 3]
    assert screen.states[0].where == "going on after epoch 2 of 4" and screen.drawn[0] == (2, GENOTYPE)
    assert screen.states[1].where == "epoch 3 of 4, step 5 of 10"
    assert screen.states[-1].where == "finished: 4 epochs in 40 s"


def test_an_interrupt_before_the_first_epoch():
    clock = Clock()
    search = FakeSearch(clock)
    search.interrupt_at = (0, 1)
    screen, epochs = watched(search, clock)
    assert list(epochs) == [] and screen.drawn == []
    assert screen.states[-1].where.startswith("interrupted after epoch 0 of 4")


def test_break_says_that_it_was_stopped():
    clock = Clock()
    search = FakeSearch(clock)
    screen, epochs = watched(search, clock)
    for _ in epochs:
        break
    epochs.close()
    assert screen.states[-1].where.startswith("interrupted after epoch 1 of 4") and search.on_step is None


def test_an_error_is_shown_and_raised():
    clock = Clock()
    search = FakeSearch(clock)

    def fail(epoch, step, steps):
        if (epoch, step) == (1, 3):
            raise FloatingPointError("the loss became NaN")

    search.on_step = fail
    screen, epochs = watched(search, clock)
    with pytest.raises(FloatingPointError, match="became NaN"):
        list(epochs)
    assert screen.states[-1].where == "stopped by FloatingPointError after epoch 1 of 4"
    assert search.on_step is fail               # what was there before is called too, and put back


def test_a_view_left_by_a_failed_loop_is_not_fed_again():
    clock = Clock()
    search = FakeSearch(clock)
    old, stale = watched(search, clock)
    next(stale)                                 # its loop body failed: a traceback keeps it alive, never closed
    count = len(old.states)
    new, epochs = watched(search, clock)
    list(epochs)
    assert len(old.states) == count and new.states[-1].part == 1
    assert search.on_step is None
    stale.close()
    assert search.on_step is None


# --- screens ---------------------------------------------------------------------------------------------------------

class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal_output(stream):
    clock = Clock()
    search = FakeSearch(clock, total_epochs=2, steps=3)
    list(watch(search, LiveView(2, "GDAS search", screen=screens.TerminalDisplay(stream), clock=clock), clock=clock))
    return stream.getvalue()


def test_a_log_file_gets_one_line_an_epoch():
    lines = terminal_output(io.StringIO()).splitlines()
    assert lines == [
        "epoch 1/2 · train loss 2.000, accuracy 50.0% · valid loss 2.100, accuracy 40.0% · tau 10.00 · 3.0 s an epoch"
        " · 3 s left",
        "epoch 2/2 · train loss 1.900, accuracy 51.0% · valid loss 2.100, accuracy 40.0% · tau 9.00 · 3.0 s an epoch"
        " · 0 s left",
        "GDAS search: finished: 2 epochs in 6 s",
    ]


@pytest.mark.parametrize("columns", [100, 80, 40])
def test_no_line_that_is_written_over_wraps(columns, monkeypatch):
    """Of one that does only the last row would be written over, five times a second."""
    monkeypatch.setenv("COLUMNS", str(columns))
    over = [part for line in terminal_output(Terminal()).split("\n") for part in line.split("\r")[:-1]]
    assert max(map(len, over)) < columns and any("epoch 1 of 2, step 2" in part for part in over)
    assert columns < 80 or any(part.rstrip().endswith(" 33%  GDAS search: epoch 1 of 2, step 2 of 3, 4 s left") for part in over)


def test_a_terminal_also_gets_a_line_that_is_written_over(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    text = terminal_output(Terminal())
    assert "\r[########................]  33%  GDAS search: epoch 1 of 2, step 2 of 3, 4 s left" in text
    visible = [line.split("\r")[-1] for line in text.split("\n")]
    assert not any(line.startswith("[") for line in visible)
    assert visible[-2].endswith("finished: 2 epochs in 6 s")


def test_outside_of_jupyter_a_view_prints(capsys, monkeypatch):
    clock = Clock()
    list(watch(FakeSearch(clock, total_epochs=1, steps=1), clock=clock))
    assert capsys.readouterr().out.splitlines()[-1] == "fakesearch: finished: 1 epoch in 1 s"


class Handle:
    def __init__(self, shown):
        self.shown = shown

    def update(self, bundle, raw):
        assert raw
        self.shown.append(bundle)


def test_a_notebook_gets_three_outputs_that_are_updated(monkeypatch):
    outputs = []

    def display(bundle, raw, display_id):
        assert raw and display_id is True
        outputs.append([bundle])
        return Handle(outputs[-1])

    monkeypatch.setattr("IPython.display.display", display)
    clock = Clock()
    view = LiveView(3, "a <b>", screen=screens.NotebookDisplay(), clock=clock)
    list(watch(FakeSearch(clock, total_epochs=3, steps=2), view, clock=clock))
    status, cell, curves = outputs
    assert len(status) > 3 and len(cell) == len(curves) > 1
    assert "a &lt;b&gt;" in status[-1]["text/html"] and "<progress" in status[-1]["text/html"]
    assert "finished: 3 epochs in 6 s" in status[-1]["text/plain"] and "100%" in status[-1]["text/plain"]
    assert cell[-1]["text/plain"] == str(GENOTYPE) and {"image/svg+xml", "image/png"} < set(cell[-1])
    assert "after 3 epochs" in curves[-1]["text/plain"]


def test_a_training_is_watched_too(monkeypatch):
    evaluation = {"test": {"accuracy": 61.5, "loss": 1.0}}
    history = TrainingHistory([TrainingRecord(0, 0.1, 2.0, 50.0, 3.0, 100.0, evaluation)])
    assert live.numbers_of(history[0]) == "train loss 2.000, accuracy 50.0% · test accuracy 61.5% · 3.0 s an epoch"
    assert "test 61.5%" in screens.curves(history).claim


@pytest.mark.parametrize(("tau", "said"), [(10.0, "10.00"), (0.1, "0.10"), (0.004, "0.004"), (0.0123, "0.012")])
def test_no_temperature_is_said_to_be_0(tau, said):
    nan = float("nan")
    assert f" · tau {said} · " in live.numbers_of(EpochRecord(0, tau, 0.1, 2.0, nan, nan, nan, 3.0, {}))


def test_a_language_model_has_no_accuracy():
    record = EpochRecord(0, None, 0.1, 2.0, float("nan"), float("nan"), float("nan"), 3.0, {})
    assert live.numbers_of(record) == "train loss 2.000 · 3.0 s an epoch"


# --- a real kernel ---------------------------------------------------------------------------------------------------

SETUP = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_live
search = test_live.FakeSearch(test_live.Clock(), total_epochs=5, steps=4)
from gdas_lite.visual.widgets.live import watch
"""
LOOP = "for record in watch(search):\n    pass"


def execute(sources):
    from builder.execution import kernel_environment, local_sockets
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_notebook
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    with tempfile.TemporaryDirectory(prefix="gdas-lite-kernel-") as folder:
        NotebookClient(notebook, kernel_name="python3", config=local_sockets(folder), timeout=120,
                       resources={"metadata": {"path": str(ROOT)}}).execute(env=kernel_environment(folder))
    return notebook.cells


def test_the_stored_notebook_holds_the_last_state_once():
    cells = execute([SETUP, LOOP])
    outputs = cells[1].outputs
    assert [output.output_type for output in outputs] == ["display_data"] * 3
    status, cell, curves = (output.data for output in outputs)
    assert "finished: 5 epochs" in status["text/html"] and "finished: 5 epochs" in status["text/plain"]
    assert cell["text/plain"] == str(GENOTYPE) and "after 5 epochs" in curves["text/plain"]
    assert not any("widget" in key for output in outputs for key in output.data)


@pytest.mark.skipif(os.name == "nt", reason="sends the kernel a Unix signal")
def test_a_real_interrupt_ends_the_cell_without_error_and_the_next_run_goes_on():
    stop = """
def stop_once(epoch, step, steps):
    if (epoch, step) == (2, 2):
        search.on_step = None
        os.kill(os.getpid(), signal.SIGINT)     # what the notebook's stop button sends
search.on_step = stop_once
"""
    cells = execute([SETUP, stop, LOOP, "search.on_step = None; print(len(search.history))", LOOP])
    first, last = cells[2].outputs, cells[4].outputs
    assert [output.output_type for output in first] == ["display_data"] * 3
    assert "interrupted after epoch 2 of 5, run this cell again to go on" in first[0].data["text/plain"]
    assert cells[3].outputs[0].text == "2\n"
    assert "finished: 5 epochs" in last[0].data["text/plain"] and len(last) == 3
