"""The shipped searches of the lesson on failures: what stands in the file, and that damage is seen. And its figures."""

from __future__ import annotations

import gzip
import json
import re

import numpy as np
import pytest

import gdas_lite as gl
from gdas_lite.benchmark.landscape import rank_correlation
from gdas_lite.lessons.failures import FILE, load_failures, write_one_shot
from gdas_lite.lessons.figures import belief_and_truth, scores_against_truth
from tests.runs.test_schema import bare


@pytest.fixture(scope="module")
def failures():
    return load_failures()


def content() -> dict:
    return bare(json.loads(gzip.decompress(FILE.read_bytes())))


def test_what_is_shipped(failures):
    algorithms = {name: history.about["config"]["algorithm"]["name"] for name, history in failures.histories.items()}
    assert sorted(set(algorithms.values())) == ["darts-v1", "gdas"]
    assert sum(name == "gdas" for name in algorithms.values()) >= 4
    for name, history in failures.histories.items():
        config = history.about["config"]
        assert len(history) == config["recipe"]["epochs"] and config["data"]["name"] == "thumbnails"
        assert name.endswith(f"seed {config['seed']}")
        assert str(gl.NASBench201().derive(history[-1].alphas)) == history[-1].genotype
    assert set(failures.about) == {"command", "machine", "date"}
    assert "benchmarks/failed_searches.py" in failures.about["command"]
    text = gzip.decompress(FILE.read_bytes()).decode()
    assert not re.search(r"/(home|root|work|tmp)\b", text)


def test_the_shipped_searches_show_what_the_lesson_says(failures):
    table = gl.tabular("nasbench201")
    for history in failures.histories.values():
        assert history[-1].valid_accuracy > history[0].valid_accuracy + 10      # the search believes in it
        assert table.rank(history[-1].genotype) > len(table) / 2                # and is wrong
    ends = [table.accuracy(history[-1].genotype) for history in failures.histories.values()]
    assert np.mean(ends) < table.values(table.default_column).mean()            # than random cells on average
    truth = [gl.tabular("digits").accuracy(cell) for cell in failures.one_shot.cells]
    agreement = {name: rank_correlation(getattr(failures.one_shot, name), truth) for name in ("batch", "running")}
    assert agreement["batch"] > agreement["running"] + 0.2


def test_written_and_read_again_it_is_the_same(failures, tmp_path):
    write_one_shot(tmp_path / "again.json.gz", failures.one_shot, failures.about)
    again = load_failures(tmp_path / "again.json.gz")
    assert again.about == failures.about and again.one_shot.cells == failures.one_shot.cells
    assert np.array_equal(again.one_shot.running, failures.one_shot.running)
    assert np.array_equal(again.one_shot.batch, failures.one_shot.batch)


def spoil(data: dict, how: str) -> None:
    if how == "format":
        data["format"] = "something else"
    elif how == "a percentage":
        data["running"][0] = 101.0
    elif how == "a score too few":
        data["batch"].pop()
    else:
        data["cells"] = 3


@pytest.mark.parametrize(("how", "says"), [
    ("format", "its format is 'something else'"), ("a percentage", "percentages of each kind"),
    ("a score too few", "percentages of each kind"), ("no cells", "not iterable")])
def test_damaged_scores_are_refused_in_one_sentence(how, says, tmp_path):
    data = content()
    spoil(data, how)
    file = tmp_path / "spoilt.json.gz"
    file.write_bytes(gzip.compress(json.dumps(data).encode()))
    with pytest.raises(ValueError, match="does not hold one-shot scores") as refused:
        load_failures(file)
    assert says in str(refused.value)


def test_a_file_that_is_cut_or_missing_is_refused(tmp_path):
    cut = tmp_path / "cut.json.gz"
    cut.write_bytes(FILE.read_bytes()[:500])
    with pytest.raises(ValueError, match="install gdas_lite again"):
        load_failures(cut)
    with pytest.raises(FileNotFoundError, match="a part of gdas_lite"):
        load_failures(tmp_path / "nothing")


# --- figures ---

def test_belief_and_truth_are_drawn_as_given(failures):
    history = failures.histories["DARTS, seed 0"]
    truth = np.linspace(80, 60, len(history))
    figure = belief_and_truth({"a": history}, {"a": truth}, best=97)
    belief, cells, best = figure.axes[0].lines
    assert np.array_equal(belief.get_ydata(), history.column("valid_accuracy"))
    assert np.array_equal(cells.get_ydata(), truth) and set(best.get_ydata()) == {97}
    assert figure.claim.endswith("its cell 80 → 60 %")
    with pytest.raises(ValueError, match="give one for each epoch"):
        belief_and_truth({"a": history}, {"a": truth[:-1]})


def test_belief_begins_where_the_alpha_steps_do():
    history = gl.recorded("gdas-laptop-thumbnails-8")       # 20 epochs of it train the weights alone
    belief = history.column("valid_accuracy")
    figure = belief_and_truth({"a": history}, {"a": np.full(len(history), 90.0)})
    assert np.isnan(belief[19]) and figure.claim.startswith(f"a: search accuracy {belief[20]:.0f} → {belief[-1]:.0f} %, its")


def test_the_chosen_cell_is_the_one_with_the_highest_score():
    truth, score = np.array([50.0, 70.0, 60.0]), np.array([1.0, 2.0, 3.0])
    figure = scores_against_truth(truth, {"good": truth, "bad": score})
    assert [axes.lines[1].get_ydata()[0] for axes in figure.axes] == [70, 60]
    assert figure.claim == "rank correlation with the truth over 3 cells: good +1.00, bad +0.50"
    with pytest.raises(ValueError, match="2 scores for 3 cells"):
        scores_against_truth(truth, {"short": score[:2]})
