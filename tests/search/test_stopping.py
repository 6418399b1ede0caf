"""Stopping rules: they fire when a slow count says so, a stopped search is finished, and killing it changes nothing."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch

import gdas_lite as gl
from gdas_lite.genotypes.contents import PARAMETER_FREE, count, operations_of
from gdas_lite.reproduction.cli.values import rule_from_text
from gdas_lite.reproduction.resume import rule_from_json
from gdas_lite.runs.config import RunError, described
from gdas_lite.search import stopping
from gdas_lite.search.history import EpochRecord, History
from gdas_lite.search.stopping import StoppingRule
from gdas_lite.visual.plots import cell_contents, operation_counts
from tests.search.killed import kill_at

SPACE = gl.NASBench201(2, 1)
EPOCHS = 6


@pytest.fixture(scope="module")
def digits() -> gl.ImageData:
    data = gl.load_data("digits")
    return replace(data, train_half=data.train_half.subset(range(64)), valid_half=data.valid_half.subset(range(64)))


def search(data, rule=None, alpha_start=0.0, **options) -> gl.Search:
    """Large alpha steps, so that the ranking changes within a few epochs."""
    recipe = gl.search_recipe("smoke", "nasbench201", "darts-v1", epochs=EPOCHS, batch_size=32, alpha_learning_rate=0.05,
                              alpha_start=alpha_start)
    return gl.Search(SPACE, data, gl.DARTS(1), recipe=recipe, stop_when=rule, **options)


def slow_skips(text: str) -> int:
    return sum(part.split("~")[0] == "skip_connect" for part in text.replace("+", "").split("|") if part)


def slow_first(history, rule) -> int | None:
    """Epochs done when the rule should fire, by loops over texts and sorted lists; None: never before the last epoch."""
    for done in range(1, len(history)):
        if isinstance(rule, gl.SkipLimit):
            fires = done > rule.after and slow_skips(history[done - 1].genotype) >= rule.limit
        else:
            orders = []
            for record in list(history)[max(0, done - 1 - rule.epochs):done]:
                orders.append([sorted(("nor_conv_1x1", "nor_conv_3x3"), key=lambda op: row[OPS.index(op)])
                               for row in record.alphas["cell"].tolist()])
            fires = len(orders) == rule.epochs + 1 and all(order == orders[0] for order in orders)
        if fires:
            return done
    return None


OPS = list(SPACE.labels["cell"].candidates)
RULES = [gl.SkipLimit(1), gl.SkipLimit(2), gl.SkipLimit(2, after=2), gl.SkipLimit(3, after=1), gl.SkipLimit(6),
         gl.StableRanking(1), gl.StableRanking(2), gl.StableRanking(4)]


@pytest.fixture(scope="module")
def whole(digits) -> gl.Search:
    return search(digits).run()


@pytest.mark.parametrize("rule", [gl.SkipLimit(2), gl.SkipLimit(6), gl.StableRanking(2)], ids=str)
def test_it_fires_exactly_when_a_slow_count_says_so(digits, whole, rule):
    expected = slow_first(whole.history, rule)
    run = search(digits, rule).run()
    assert run.epochs_done == len(run.history) == (expected or EPOCHS)
    assert (run.stopped is not None) == (expected is not None)
    assert np.array_equal(run.history.alphas["cell"], whole.history.alphas["cell"][:len(run.history)])
    assert run.is_finished and run.total_epochs == EPOCHS


@pytest.mark.parametrize("rule", [gl.SkipLimit(1), gl.SkipLimit(1, after=1), gl.StableRanking(1)], ids=str)
def test_it_looks_at_the_epochs_in_which_alpha_moves(digits, rule):
    """Before, the cell is that of alpha's initialisation, and its ranking stays."""
    rests = EPOCHS // 2
    expected = slow_first(search(digits, alpha_start=0.5).run().history[rests:], rule)
    run = search(digits, rule, alpha_start=0.5).run()
    assert run.epochs_done == (EPOCHS if expected is None else rests + expected)


def test_these_rules_do_fire_at_different_epochs_and_some_never(whole):
    fired = {slow_first(whole.history, rule) for rule in RULES}
    assert None in fired and len(fired) >= 3


def made_up(rng, epochs: int) -> History:
    """A history of random alphas, without a search."""
    records = []
    for epoch in range(epochs):
        alphas = {"cell": rng.normal(size=(6, 5)).round(1)}
        records.append(EpochRecord(epoch, None, 0.1, 1.0, 50.0, 1.0, 50.0, 1.0, alphas, str(SPACE.derive(alphas))))
    return History(SPACE.labels, records)


@pytest.mark.parametrize("rule", [gl.SkipLimit(2), gl.SkipLimit(4, after=3), gl.StableRanking(1)], ids=str)
def test_the_rules_on_a_hundred_made_up_histories(rule):
    rng = np.random.default_rng(0)
    for _ in range(100):
        history = made_up(rng, 8)
        if isinstance(rule, gl.StableRanking):      # random rankings never stay: repeat an epoch of some
            for place in rng.choice(np.arange(1, 8), 2):
                history[int(place)].alphas["cell"] = history[int(place) - 1].alphas["cell"]
        fired = next((done for done in range(1, 8) if rule.reason(history[:done])), None)
        assert fired == slow_first(history, rule)


def test_counts_are_those_of_the_texts(whole):
    assert whole.history.counts("skip_connect")["cell"].tolist() == [slow_skips(r.genotype) for r in whole.history]
    each = [whole.history.counts(op)["cell"] for op in OPS]
    assert np.sum(each, 0).tolist() == [6] * EPOCHS
    free = whole.history.counts(PARAMETER_FREE)["cell"]
    assert np.array_equal(free, 6 - each[OPS.index("nor_conv_1x1")] - each[OPS.index("nor_conv_3x3")])
    with pytest.raises(KeyError, match="no candidate 'skip' in this history; there are avg_pool"):
        whole.history.counts("skip")
    for names in (("skip_conect",), ("none", "skip_conect")):       # nought of it, epoch by epoch, would be believed
        with pytest.raises(KeyError, match="no candidate 'skip_conect' in this history"):
            whole.history.counts(names)
    with pytest.raises(KeyError, match="no candidate 'skip_conect' in this history"):
        operation_counts({"a": whole.history}, "skip_conect")
    assert whole.history.counts(("sep_conv_3x3", "skip_connect"))["cell"].tolist() == each[1].tolist()     # of two spaces


def test_operations_of_every_kind_of_cell():
    darts, frc = gl.zoo_genotype("DARTS_V2"), gl.zoo_genotype("GDAS_F1")
    kinds = operations_of(darts)
    assert list(kinds) == ["normal", "reduce"] and all(len(names) == 8 for names in kinds.values())
    text = str(darts)
    assert sum(count(darts, "skip_connect").values()) == text.count('"skip_connect"')
    assert count(darts, PARAMETER_FREE) == {"normal": 2, "reduce": 8}      # two skips; three, and five max pools
    assert list(operations_of(frc)) == (["normal"] if frc.reduce is None else ["normal", "reduce"])
    recurrent = gl.RecurrentGenotype((("tanh", 0), ("relu", 1)), (1, 2))
    assert operations_of(recurrent) == {"recurrent": ("tanh", "relu")}


def test_only_the_normal_cell_is_watched():
    labels = gl.NASNet(4).labels
    skips = tuple((("skip_connect", 0), ("skip_connect", 1)) for _ in range(4))
    convs = tuple((("sep_conv_3x3", 0), ("sep_conv_3x3", 1)) for _ in range(4))
    alphas = {kind: np.zeros((14, 8)) for kind in labels}

    def history(normal, reduce):
        record = EpochRecord(0, None, 0.1, 1, 1, 1, 1, 1, alphas, str(gl.NASNetGenotype(normal, reduce)))
        return History(labels, [record])

    assert gl.SkipLimit(2).reason(history(convs, skips)) is None
    assert gl.SkipLimit(2).reason(history(skips, convs)) == "8 skip_connect in the normal cell, limit 2"
    assert history(convs, skips).counts("skip_connect") == {"normal": [0], "reduce": [8]}
    assert history(convs, skips).counts(PARAMETER_FREE)["reduce"].tolist() == [8]


# --- a stopped search is finished ---

def early(data, **options) -> gl.Search:
    return search(data, gl.StableRanking(2), **options)


def test_a_stopped_search_is_finished_and_says_so(digits, tmp_path):
    run = early(digits, out=tmp_path).run()
    assert run.stopped == "ranking of alpha unchanged for 2 epochs" and run.epochs_done < EPOCHS
    assert [record.stopped for record in run.history[:-1]] == [None] * (run.epochs_done - 1)
    assert "stops at StableRanking(epochs=2)" in repr(run) and f"stopped early: {run.stopped}" in repr(run)
    assert list(run) == []
    with pytest.raises(RuntimeError, match="this search is finished: it stopped after epoch"):
        run.run_epoch()
    run.close()
    again = gl.resume(tmp_path, data=digits)
    assert again.stop_when == gl.StableRanking(2) and again.stopped == run.stopped and again.is_finished
    assert list(again) == [] and again.epochs_done == run.epochs_done
    assert f"stopped early: {run.stopped}" in repr(again)
    assert History.read(tmp_path)[-1].stopped == run.stopped
    again.close()


def same(a: gl.Search, b: gl.Search) -> bool:
    first, second = a.tensors(), b.tensors()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL on Windows")
def test_killed_and_resumed_it_stops_where_the_uninterrupted_one_does(digits, tmp_path):
    kill_at((2, 1), __name__, "early", 64, tmp_path)
    resumed, uninterrupted = gl.resume(tmp_path, data=digits), early(digits).run()
    assert resumed.epochs_done == 2 and not resumed.is_finished
    resumed.run()
    assert resumed.stopped == uninterrupted.stopped and same(resumed, uninterrupted)
    assert [r.to_json() | {"seconds": 0} for r in resumed.history] == [
        r.to_json() | {"seconds": 0} for r in uninterrupted.history]
    resumed.close()


def test_another_rule_is_another_search(digits, tmp_path):
    search(digits, out=tmp_path).close()
    with pytest.raises(RunError, match="stop_when"):
        early(digits, out=tmp_path)


def test_without_a_rule_nothing_of_it_stands_in_the_folder(digits, tmp_path):
    run = search(digits, out=tmp_path)
    run.run_epoch()
    run.close()
    assert "stop" not in (tmp_path / "config.json").read_text() + (tmp_path / "history.jsonl").read_text()


# --- words ---

@pytest.mark.parametrize("rule", [gl.SkipLimit(3, 4), gl.StableRanking(7)], ids=str)
def test_a_rule_survives_json(rule):
    assert rule_from_json(described(rule)) == rule
    assert rule_from_json(None) is None


@pytest.mark.parametrize(("text", "rule"), [("skips=2", gl.SkipLimit(2)), ("skips=3, after=5", gl.SkipLimit(3, 5)),
                                            ("ranking=10", gl.StableRanking(10))])
def test_rules_of_the_shell(text, rule):
    assert rule_from_text(text) == rule


@pytest.mark.parametrize("text", ["skips", "skip=2", "skips=two", "after=2", "ranking=3,after=1", "", "skips=-1"])
def test_a_rule_that_is_none_is_refused_with_the_forms(text):
    with pytest.raises(ValueError, match="Expected skips=2, skips=2,after=5 or ranking=10"):
        rule_from_text(text)


def test_what_makes_no_sense_is_refused(digits):
    with pytest.raises(ValueError, match="limit must be at least 1"):
        gl.SkipLimit(0)
    with pytest.raises(ValueError, match="epochs must be at least 1"):
        gl.StableRanking(0)
    with pytest.raises(ValueError, match="which is no candidate in this space"):
        gl.SkipLimit().check(gl.Recurrent.labels)
    with pytest.raises(ValueError, match="random search moves no alpha"):
        gl.Search(SPACE, digits, gl.RandomSearch(), recipe="smoke", stop_when=gl.SkipLimit())
    with pytest.raises(ValueError, match="stop_when.name must be one of ranking, skips, got 'never'"):
        rule_from_json({"name": "never"})


@dataclass(frozen=True)
class Enough(StoppingRule):
    """A rule as somebody would write it."""

    epochs: int = 1
    name: ClassVar[str] = "enough"

    def reason(self, history):
        return "enough" if len(history) >= self.epochs else None


def test_a_rule_of_ones_own_stops_a_search_that_resumes(digits, tmp_path, monkeypatch):
    first = search(digits, Enough(2), out=tmp_path)
    first.run_epoch()
    first.close()
    with pytest.raises(RunError, match=r"\(one of your own is put into search.stopping.RULES before\).* got 'enough'"):
        gl.resume(tmp_path, digits)
    monkeypatch.setitem(stopping.RULES, "enough", Enough)
    again = gl.resume(tmp_path, digits).run()
    again.close()
    assert again.stop_when == Enough(2) and (again.stopped, again.epochs_done) == ("enough", 2)


def test_what_cannot_be_a_rule_is_said(digits):
    class Loose(StoppingRule):
        name = "loose"

        def __post_init__(self):
            pass

    class Nameless(Enough):
        name = property()

    class Foreign:
        reason = print

    for rule in (Loose(), Nameless(), Foreign(), gl.SkipLimit):
        with pytest.raises(ValueError, match="stop_when must be a rule such as gl.SkipLimit.2., an instance of a frozen"):
            search(digits, rule)


def test_in_a_third_of_all_cells_two_skips_are_chance():
    """What the docstring of SkipLimit says of `after`."""
    cells = itertools.product(range(5), repeat=6)
    assert round(100 * np.mean([sum(op == 1 for op in cell) >= 2 for cell in cells])) == 34


# --- figures ---

def test_the_counters_are_drawn(whole):
    figure = operation_counts({"a": whole.history, "b": whole.history[:2]}, limit=2)
    skips = whole.history.counts("skip_connect")["cell"]
    assert figure.axes[0].lines[0].get_ydata().tolist() == skips.tolist()
    assert figure.claim == f"Edges with skip_connect at the end: a: {skips[-1]}; b: {skips[1]}"
    free = operation_counts({"a": whole.history}, PARAMETER_FREE)
    assert free.axes[0].lines[0].get_ydata().tolist() == whole.history.counts(PARAMETER_FREE)["cell"].tolist()
    assert "operations without weights at the end" in free.claim


def test_the_contents_of_the_cell_add_up_to_its_edges(whole):
    figure = cell_contents(whole.history)
    heights = np.zeros(EPOCHS)
    for bars in figure.axes[0].containers:
        heights += [bar.get_height() for bar in bars]
    assert heights.tolist() == [6] * EPOCHS
    free = whole.history.counts(PARAMETER_FREE)["cell"][-1]
    assert figure.claim.startswith(f"{free} of 6 operations without weights after {EPOCHS} epochs")
