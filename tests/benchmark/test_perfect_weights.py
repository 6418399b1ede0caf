"""The multilinear extension of a table, and searches on it, against slow sums and finite differences."""

from __future__ import annotations

import itertools
import statistics

import numpy as np
import pytest

import gdas_lite as gl
from gdas_lite.benchmark import perfect_weights as pw
from gdas_lite.genotypes.notation import NASBENCH201_OPS
from tests.visual.test_plots import assert_readable


@pytest.fixture(scope="module")
def relaxed():
    return pw.Relaxed("nasbench201", "c10_test_200")


def random_rows(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(5), size=(*shape, 6))


def test_it_equals_the_table_at_every_cell(relaxed):
    table = gl.tabular("nasbench201")
    columns = [[NASBENCH201_OPS.index(op) for op in gl.NASBench201Genotype.parse(cell).ops] for cell in table.cells]
    for part in np.array_split(np.arange(15_625), 5):
        h = np.eye(5)[np.array(columns)[part]]
        assert np.allclose(relaxed.value(h), table.values("c10_test_200")[part], atol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_value_and_gradient_are_the_sum_over_all_cells(relaxed, seed):
    h = random_rows(seed=seed) * np.random.default_rng(seed).uniform(-1, 2, (6, 1))      # multilinear: no simplex needed
    value, gradient = 0.0, np.zeros((6, 5))
    for columns in itertools.product(range(5), repeat=6):
        accuracy, factors = relaxed.at(np.array(columns)), h[range(6), columns]
        value += accuracy * factors.prod()
        for edge in range(6):
            gradient[edge, columns[edge]] += accuracy * np.delete(factors, edge).prod()
    assert relaxed.value(h) == pytest.approx(value, rel=1e-11)
    assert np.allclose(relaxed.gradient(h), gradient, rtol=1e-9, atol=1e-9)


def test_the_gradient_is_that_of_differences_in_every_entry(relaxed):
    h = random_rows(4, seed=5)
    for edge, op in itertools.product(range(6), range(5)):
        step = np.zeros((6, 5))
        step[edge, op] = 0.5        # f is linear along it, so the difference is exact at any length
        slope = relaxed.value(h + step) - relaxed.value(h - step)
        assert np.allclose(slope, relaxed.gradient(h)[:, edge, op], rtol=1e-9)


def test_around_a_cell_are_its_neighbours(relaxed):
    columns = np.random.default_rng(1).integers(5, size=(7, 6))
    assert np.allclose(relaxed.around(columns), relaxed.gradient(np.eye(5)[columns]))


def slow_gradient(rule: str, relaxed: pw.Relaxed, alpha: np.ndarray, noise: np.ndarray, tau: float, level: float) -> np.ndarray:
    """By autograd on a torch version of each rule's loss."""
    torch = pytest.importorskip("torch")
    a = torch.tensor(alpha, requires_grad=True)
    p = a.log_softmax(-1)
    soft = (p if rule in ("darts",) else (p + torch.tensor(noise)) / tau).softmax(-1)
    drawn = soft.argmax(-1).numpy()
    one_hot = torch.tensor(np.eye(5)[drawn])
    if rule in ("darts", "gumbel"):
        h, slopes = soft, torch.tensor(relaxed.gradient(soft.detach().numpy()) / 100)
    elif rule == "straight-through":
        h, slopes = soft, torch.tensor(relaxed.gradient(one_hot.numpy()) / 100)
    else:
        score = float(relaxed.at(drawn)) / 100 - level
        if rule == "reinforce":
            (score * (p * one_hot).sum()).backward()
            return a.grad.numpy()
        h, slopes = soft, one_hot * score
    (h * slopes).sum().backward()
    return a.grad.numpy()


@pytest.mark.parametrize("rule", pw.RULES)
def test_each_rule_is_its_formula_by_autograd(relaxed, rule):
    rng = np.random.default_rng(3)
    alpha, noise = rng.standard_normal((2, 6, 5)), rng.gumbel(size=(2, 6, 5))
    level = 0.8 if rule in ("gdas with a baseline", "reinforce") else 0.0
    found, _ = pw._gradient(rule, relaxed, alpha, noise, 0.7, np.full(2, level) if level else None)
    for run in range(2):
        assert np.allclose(found[run], slow_gradient(rule, relaxed, alpha[run], noise[run], 0.7, level), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rule", pw.RULES)
def test_a_search_is_the_loop_written_by_hand(rule):
    """PyTorch's Adam; tau from its first value to its last; a moving mean, in the first step none, as the baseline."""
    torch = pytest.importorskip("torch")
    relaxed, chance, level = pw.Relaxed(), np.random.default_rng(4), None
    alpha = torch.tensor(1e-3 * chance.standard_normal((6, 5)), requires_grad=True)
    adam, kept = torch.optim.Adam([alpha], lr=0.05, betas=(0.5, 0.999), maximize=True), [alpha.detach().clone()]
    for tau in (2.0, 1.5, 1.0, 0.5):
        now = alpha.detach().numpy()
        noise = np.zeros((6, 5)) if rule == "darts" else chance.gumbel(size=(6, 5))
        subtracted = level or 0.0 if rule in ("gdas with a baseline", "reinforce") else 0.0
        alpha.grad = torch.tensor(slow_gradient(rule, relaxed, now, noise, 1.0 if rule == "darts" else tau, subtracted))
        score = float(relaxed.at((now + noise).argmax(-1))) / 100
        level = score if level is None else 0.9 * level + 0.1 * score
        adam.step()
        kept.append(alpha.detach().clone())
    runs = pw.search(rule, seeds=[4], steps=4, tau=(2.0, 0.5), learning_rate=0.05, every=1)
    assert runs.records.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(runs.alphas[0], np.stack(kept), rtol=1e-7, atol=1e-9)


def test_what_searches_find_with_perfect_weights():
    """DARTS and both Gumbel-softmax find the best cell of all in every seed; the drawn entry's gradient alone does not."""
    regrets = {rule: pw.search(rule, seeds=range(5)).regret() for rule in pw.RULES}
    for rule in ("darts", "gumbel", "straight-through"):
        assert np.all(regrets[rule] == 0.0), rule
    assert regrets["gdas with a baseline"].mean() < 0.5 and regrets["reinforce"].mean() < 0.5
    assert regrets["gdas"].mean() > regrets["gdas with a baseline"].mean()


def test_a_seed_is_a_seed_whoever_runs_beside_it():
    alone, together = pw.search("gdas", seeds=[3], steps=50), pw.search("gdas", seeds=[0, 3, 9], steps=50)
    assert np.array_equal(alone.alphas[0], together.alphas[1])
    assert alone.alphas.shape == (1, len(alone.records), 6, 5) and tuple(alone.records) == (0, 20, 40, 50)
    assert alone.accuracy().shape == (1, 4) and len(alone.genotypes) == 1


@pytest.mark.parametrize("wrong, words", [
    ({"rule": "darts-v1"}, "unknown rule 'darts-v1'"), ({"rule": "gdas", "tau": (1.0, 0.0)}, "must be positive"),
    ({"rule": "gdas", "steps": 0}, "must be positive"), ({"rule": "gdas", "seeds": []}, "seeds one or more")])
def test_bad_arguments_get_a_sentence(wrong, words):
    with pytest.raises(ValueError, match=words):
        pw.search(**wrong)


def test_a_wrong_shape_gets_a_sentence(relaxed):
    with pytest.raises(ValueError, match=r"h must be \(\.\.\., 6, 5\), one row an edge, got \(5, 6\)"):
        relaxed.value(np.zeros((5, 6)))


def test_the_figure_says_what_was_found():
    pytest.importorskip("matplotlib")
    figure = gl.plots.perfect_weights([pw.search(rule, seeds=range(2)) for rule in ("darts", "reinforce")])
    assert_readable(figure)
    assert figure.claim == "with perfect weights darts find the best cell of all in each of 2 seeds"
    labels = [text.get_text().split("\n")[0] for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["darts", "reinforce"]
    assert figure.axes[0].get_ylabel() == "accuracy on CIFAR-10 (%)" and len(figure.axes) == 2


def test_the_figure_of_another_table_has_its_accuracies_and_nothing_of_cifar10():
    runs = pw.search("darts", seeds=range(2), steps=20, table="digits")
    axes, = gl.plots.perfect_weights([runs]).axes
    (low, high), mean = axes.get_ylim(), runs.accuracy().mean(0)
    assert "digits" in axes.get_ylabel() and low <= mean.min() and mean.max() <= high
    assert [text.get_text() for text in axes.texts] == [f"the best cell: {runs.table.values().max():.2f}"]


def test_the_summary_is_of_a_sample_and_one_seed_has_no_spread():
    runs = gl.perfect_weights.search("gdas", seeds=range(4), steps=40)
    regrets = runs.regret().tolist()
    assert runs.summary() == f"{statistics.mean(regrets):.2f} ± {statistics.stdev(regrets):.2f}"
    alone = gl.perfect_weights.search("gdas", seeds=[2], steps=40)
    assert alone.summary() == f"{regrets[2]:.2f}"
