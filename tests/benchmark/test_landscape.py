"""The landscape's numbers against slow ones and scipy's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

import gdas_lite as gl
from gdas_lite.benchmark import landscape
from gdas_lite.benchmark.table import Table
from gdas_lite.genotypes.nasbench201 import NASBench201Genotype
from gdas_lite.genotypes.notation import NASBENCH201_OPS
from tests.benchmark.test_baselines import table_from


@pytest.fixture(scope="module")
def toy() -> Table:
    return table_from(2)


def test_choices_and_neighbours_are_those_of_the_genotype(toy):
    chosen, around = landscape.choices(toy), landscape.neighbours(toy)
    for row in (0, 1, 4_000, 15_624):
        cell = NASBench201Genotype.parse(toy.cells[row])
        assert tuple(NASBENCH201_OPS[k] for k in chosen[row]) == cell.ops
        assert [toy.cells[other] for other in around[row]] == [str(other) for other in cell.neighbours()]


def test_main_effects_are_differences_of_means_and_fit_best(toy):
    effects, values = landscape.main_effects(toy), toy.values("toy_test_9")
    cells = [NASBench201Genotype.parse(cell) for cell in toy.cells]
    for edge, op in ((0, 0), (3, 3), (5, 4)):
        having = [value for cell, value in zip(cells, values) if cell.ops[edge] == NASBENCH201_OPS[op]]
        assert effects[edge, op] == pytest.approx(sum(having) / len(having) - values.mean())
    np.testing.assert_allclose(effects.sum(1), 0, atol=1e-9)
    design = np.eye(5)[landscape.choices(toy)].reshape(len(toy), 30)
    design = np.column_stack([np.ones(len(toy)), design])
    fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    share = 1 - ((values - fitted) ** 2).sum() / ((values - values.mean()) ** 2).sum()
    assert landscape.additive_share(toy) == pytest.approx(share)


def test_an_additive_table_is_explained_in_full(toy):
    worth = np.array([4 * cell.count("conv_3x3") + 3.0 * cell.startswith("|skip") for cell in toy.cells])
    table = Table("additive", toy.cells, {"toy_test_1": 50 + worth})
    assert landscape.additive_share(table) == pytest.approx(1)
    climb = landscape.climb(table)
    assert len(climb.optima) == 1 and climb.basins.tolist() == [15_625]
    assert toy.cells[climb.optima[0]].count("conv_3x3") == 6


def test_climbs_end_where_slow_ones_end(toy):
    climb, rng = landscape.climb(toy), np.random.default_rng(0)
    for start in rng.integers(15_625, size=40):
        cell, steps = NASBench201Genotype.parse(toy.cells[start]), 0
        while True:
            best = max(cell.neighbours(), key=toy.accuracy)
            if toy.accuracy(best) <= toy.accuracy(cell):
                break
            cell, steps = best, steps + 1
        assert (toy.cells[climb.ends[start]], climb.steps[start]) == (str(cell), steps)
    assert set(climb.optima) == set(climb.ends) and climb.basins.sum() == 15_625
    values = toy.values("toy_test_9")
    assert (np.diff(values[climb.optima]) <= 0).all()
    for optimum, size in zip(climb.optima, climb.basins):
        cell = NASBench201Genotype.parse(toy.cells[optimum])
        assert all(toy.accuracy(other) <= toy.accuracy(cell) for other in cell.neighbours())
        assert size == (climb.ends == optimum).sum()


def test_rank_correlation_is_scipys_with_ties():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 30, 500), rng.normal(size=500)
    second = second + first / 10
    assert landscape.rank_correlation(first, second) == pytest.approx(spearmanr(first, second).statistic)
    assert landscape.rank_correlation(first, -first) == pytest.approx(-1)
    assert landscape.ranks(np.array([3.0, 1.0, 3.0, 9.0])).tolist() == [2.5, 1.0, 2.5, 4.0]
    with pytest.raises(ValueError, match="all values of one of the two are equal"):
        landscape.rank_correlation(np.ones(4), np.arange(4))
    with pytest.raises(ValueError, match="all values of one of the two are equal"):
        landscape.rank_correlation(np.arange(4), np.ones(4))


def test_what_is_no_number_has_no_rank():
    """It would be the best of all: 20 epochs without alpha steps, say, of a search by the recipe laptop."""
    history = gl.recorded("gdas-laptop-thumbnails-8")
    valid, real = history.column("valid_accuracy"), landscape.trajectory(history)
    for pair in ((valid, real), (real, valid)):
        with pytest.raises(ValueError, match="NaN has no rank; leave these places out of both"):
            landscape.rank_correlation(*pair)
    assert np.isnan(valid[:20]).all() and -1 <= landscape.rank_correlation(valid[20:], real[20:]) <= 1


def test_rank_correlation_on_the_benchmark_is_the_known_one():
    from gdas_lite.benchmark.table import tabular
    table = tabular("nasbench201")
    assert round(landscape.rank_correlation(table.values("c10_valid_12"), table.values("c10_test_200")), 2) == 0.77
    assert round(landscape.rank_correlation(table.values("c10_test_200"), table.values("c100_test_200")), 2) == 0.98


def test_pareto_front_equals_a_comparison_of_all_pairs():
    rng = np.random.default_rng(3)
    cost, values = rng.integers(0, 12, 200), rng.integers(0, 40, 200).astype(float)
    front = landscape.pareto(cost, values)
    beaten = [any((cost[b] <= cost[a] and values[b] > values[a]) or (cost[b] < cost[a] and values[b] >= values[a])
                  for b in range(200)) for a in range(200)]
    assert {(cost[k], values[k]) for k in front} == {(cost[k], values[k]) for k in range(200) if not beaten[k]}
    assert (np.diff(cost[front]) > 0).all() and (np.diff(values[front]) > 0).all()


def test_columns_of_two_tables_are_aligned_by_cell(toy):
    other = table_from(5)
    values = landscape.aligned(toy, other, "toy_test_9")
    for row in (0, 77, 15_624):
        assert values[row] == other.accuracy(toy.cells[row], "toy_test_9")


def test_regrets_of_several_cells_are_those_of_the_table(toy):
    cells = [toy.best(), toy.cells[5], NASBench201Genotype.parse(toy.cells[9])]
    for column in (None, "toy_valid_3"):
        assert landscape.regrets(toy, cells, column).tolist() == [toy.regret(cell, column) for cell in cells]


def test_the_readme_says_of_luck_what_the_tables_say():
    """How far seeds are apart, where all cells are meant and where good ones are; and what a search reaches that is judged
    by trainings it did not choose by, where the table's own columns would judge it by its luck."""
    text = " ".join((Path(__file__).resolve().parents[2] / "benchmarks" / "README.md").read_text(encoding="utf-8").split())
    table = gl.tabular("digits")
    valid, test = (np.stack([table.values(f"digits_{half}_6_seed{seed}") for seed in range(3)]) for half in ("valid", "test"))
    best_100 = test[1:, np.argsort(-test[0])[:100]]
    everywhere, good = (each.var(0, ddof=1).mean() ** 0.5 for each in (test, best_100))
    assert (f"of one cell over seeds {everywhere:.1f} (of the mean of three: {everywhere / 3**0.5:.1f}), of the 100 best by one "
            f"seed over the others {good:.1f} ({good / 3**0.5:.1f})") in text

    def judged_by_others(cells: int) -> float:
        of_pairs = [table.random_search_curve(cells, f"digits_test_6_seed{judge}", f"digits_valid_6_seed{chooser}").mean[-1]
                    for chooser in range(3) for judge in range(3) if judge != chooser]
        return table.values().max() - np.mean(of_pairs)

    flattered = table.random_search_curve(10, score="digits_valid_6").regret[-1]
    assert f"judged by the others: {judged_by_others(300):.1f})" in text
    assert f"as many images at {judged_by_others(10):.1f}, chosen by one training and judged by the others" in text
    assert judged_by_others(10) - flattered > 1
    twice = gl.tabular("nasbench201").random_search_curve(20, score="c10_valid_12").regret[-1]
    assert f"with both, the same images buy 20 cells, and random search lies at {twice:.2f}" in text
    assert gl.tabular("nasbench201").about["columns"]["c10_valid_12"]["seeds"].startswith("mean of two trainings")
