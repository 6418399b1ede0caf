"""Searches on a table against slow ones written for a single run, and against what order statistics say."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
import torch

from gdas_lite.benchmark import baselines
from gdas_lite.benchmark.table import Table, best_of_draws, tabular
from gdas_lite.genotypes.nasbench201 import NASBench201Genotype
from gdas_lite.genotypes.notation import NASBENCH201_OPS
from gdas_lite.genotypes.zoo import published

CELLS = tuple(str(cell) for cell in NASBench201Genotype.all())
ALGORITHMS = (baselines.random_search, baselines.regularised_evolution, baselines.reinforce)


def table_from(seed: int, levels: int = 200, seconds: bool = True) -> Table:
    """Accuracies with many ties that follow the operations and a noise; rows in another order than all()."""
    rng = np.random.default_rng(seed)
    cells = [CELLS[k] for k in rng.permutation(len(CELLS))]
    worth = np.array([10 * cell.count("conv_3x3") + 6 * cell.count("conv_1x1") + cell.count("skip") for cell in cells])
    valid = np.round((worth + rng.normal(0, 5, len(cells)) + 20) / 100 * levels).clip(0, levels) * 100 / levels
    columns = {"toy_test_9": np.clip(valid + rng.normal(0, 2, len(cells)), 0, 100), "toy_valid_9": valid,
               "toy_valid_3": np.clip(valid + rng.normal(0, 8, len(cells)), 0, 100)}
    if seconds:
        columns["toy_train_seconds_9"] = 1.0 + worth / 20
    return Table("toy", tuple(cells), columns)


@pytest.fixture(scope="module")
def toy() -> Table:
    return table_from(0)


def cell_of(choice) -> str:
    return str(NASBench201Genotype(tuple(NASBENCH201_OPS[int(k)] for k in choice)))


# --- each algorithm against a slow one -------------------------------------------------------------------------------

def slow_evolution(table, evaluations, runs, seed, score, population_size, tournament, mutation):
    """The textbook loop with a queue for each run; the draws are made for all runs at once, as the fast one makes them."""
    rng, edges = np.random.default_rng(seed), NASBench201Genotype.EDGES
    chances = {"edge": [1 / 6] * 6, "node": [1 / 3 / dst for _, dst in edges]}[mutation]
    populations, history = [deque() for _ in range(runs)], [[] for _ in range(runs)]
    for step in range(evaluations):
        if step < population_size:
            children = [list(map(int, row)) for row in rng.integers(5, size=(runs, 6))]
        else:
            slots = rng.integers(population_size, size=(runs, tournament))
            edge, shift = rng.choice(6, size=runs, p=chances), rng.integers(1, 5, size=runs)
            children = []
            for run in range(runs):
                oldest = step % population_size         # a slot is a place in a ring; a queue starts at its oldest
                members = [populations[run][(slot - oldest) % population_size] for slot in slots[run]]
                child = list(max(members, key=lambda member: member[1])[0])
                child[edge[run]] = (child[edge[run]] + int(shift[run])) % 5
                children.append(child)
        for run, child in enumerate(children):
            populations[run].append((child, table.accuracy(cell_of(child), score)))
            history[run].append(table.row(cell_of(child)))
            if len(populations[run]) > population_size:
                populations[run].popleft()
    return np.array(history)


@pytest.mark.parametrize("options", [{}, {"mutation": "node"}, {"population": 4, "tournament": 2, "score": "toy_valid_3"}])
def test_evolution_equals_a_slow_one_with_queues(toy, options):
    fast = baselines.regularised_evolution(toy, 60, runs=7, seed=3, **options)
    slow = slow_evolution(toy, 60, 7, 3, options.get("score", "toy_valid_9"), options.get("population", 10),
                          options.get("tournament", 3), options.get("mutation", "edge"))
    np.testing.assert_array_equal(fast.rows, slow)


def slow_reinforce(table, evaluations, runs, seed, learning_rate, momentum):
    """PyTorch's softmax, autograd and Adam, one policy for each run."""
    rng, history = np.random.default_rng(seed), [[] for _ in range(runs)]
    start = 1e-3 * rng.standard_normal((runs, 6, 5))
    policies = [torch.tensor(alpha, requires_grad=True) for alpha in start]
    optimisers = [torch.optim.Adam([policy], lr=learning_rate) for policy in policies]
    averages = [(0.0, 0.0)] * runs
    for _ in range(evaluations):
        uniform = rng.random((runs, 6, 1))
        for run, (policy, optimiser) in enumerate(zip(policies, optimisers)):
            probabilities = policy.softmax(-1)
            choice = [int(np.searchsorted(row.cumsum(), draw)) for row, draw in
                      zip(probabilities.detach().numpy(), uniform[run, :, 0])]
            cell = cell_of(choice)
            reward = table.accuracy(cell, "toy_valid_9")
            averages[run] = tuple(momentum * old + (1 - momentum) * new for old, new in zip(averages[run], (reward, 1.0)))
            baseline = averages[run][0] / averages[run][1]
            log_prob = torch.stack([probabilities[edge, k].log() for edge, k in enumerate(choice)])
            optimiser.zero_grad()
            (-log_prob * (reward - baseline)).sum().backward()
            optimiser.step()
            history[run].append(table.row(cell))
    return np.array(history)


@pytest.mark.parametrize("learning_rate, momentum", [(0.001, 0.9), (0.5, 0.9), (0.1, 0.0)])
def test_reinforce_equals_pytorchs_autograd_and_adam(toy, learning_rate, momentum):
    fast = baselines.reinforce(toy, 80, runs=3, seed=5, learning_rate=learning_rate, momentum=momentum)
    np.testing.assert_array_equal(fast.rows, slow_reinforce(toy, 80, 3, 5, learning_rate, momentum))


def test_random_search_draws_every_cell_alike(toy):
    rows = baselines.random_search(toy, 500, runs=300, seed=1).rows
    counts = np.bincount(rows.ravel(), minlength=15_625)
    expected = rows.size / 15_625                                   # 9.6
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_square - 15_624) < 5 * np.sqrt(2 * 15_624)


class Sweep:
    """Somebody's own algorithm: every operation on edge 0 in turn, the other edges as given."""

    def __init__(self, runs):
        self.runs, self.step, self.heard = runs, 0, []

    def propose(self, rng):
        self.step += 1
        return np.full((self.runs, 6), 3) * (np.arange(6) > 0) + self.step % 5 * (np.arange(6) == 0)

    def learn(self, choices, scores):
        self.heard.append((choices, scores))


def test_an_algorithm_of_ones_own_runs_by_the_same_loop(toy):
    sweep = Sweep(2)
    runs = baselines.run(sweep, toy, 5, runs=2)
    assert runs.algorithm == "Sweep" and runs.rows.shape == (2, 5) and len(sweep.heard) == 5
    for step, (choices, scores) in enumerate(sweep.heard):
        assert toy.cells[runs.rows[1, step]] == cell_of(choices[1])
        assert scores[1] == toy.accuracy(cell_of(choices[1]), "toy_valid_9")


@pytest.mark.parametrize("wrong", [5 * np.eye(2, 6, dtype=int), -np.ones((2, 6), int), np.zeros((2, 6)), np.zeros((3, 6), int),
                                   np.zeros((2, 5), int)], ids=["5", "-1", "float", "runs", "edges"])
def test_proposals_that_are_no_cells_are_not_looked_up(toy, wrong):
    sweep = Sweep(2)
    sweep.propose = lambda rng: wrong
    with pytest.raises(ValueError, match=r"^propose must return \(2, 6\) positions 0..4 of operations, a row a run, got \["):
        baselines.run(sweep, toy, 5, runs=2)


# --- incumbents, regret, time ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_incumbent_is_the_first_of_the_best_so_far(toy, algorithm):
    runs = algorithm(toy, 70, runs=5, seed=2, score="toy_valid_9")
    valid, test = toy.values("toy_valid_9"), toy.values("toy_test_9")
    for rows, incumbents, regret in zip(runs.rows, runs.incumbents, runs.regret()):
        held = rows[0]
        for step, row in enumerate(rows):
            held = row if valid[row] > valid[held] else held
            assert incumbents[step] == held
            assert regret[step] == test.max() - test[held]
    assert [str(cell) for cell in runs.found()] == [toy.cells[row] for row in runs.incumbents[:, -1]]
    np.testing.assert_array_equal(runs.accuracy("toy_valid_3"), toy.values("toy_valid_3")[runs.incumbents])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_seed_gives_the_same_runs(toy, algorithm):
    first, again, other = (algorithm(toy, 30, runs=4, seed=seed).rows for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_budget_in_seconds_ends_each_run_before_it_is_passed(toy, algorithm):
    cost = toy.values("toy_train_seconds_9")
    free, paid = algorithm(toy, 60, runs=6, seed=4), algorithm(toy, seconds=70.0, runs=6, seed=4)
    assert paid.counts.min() < paid.counts.max()
    for run, count in enumerate(paid.counts):
        spent = cost[free.rows[run]].cumsum()
        assert count == (spent <= 70.0).sum()
        np.testing.assert_array_equal(paid.rows[run, :count], free.rows[run, :count])
        np.testing.assert_allclose(paid.seconds[run, :count], spent[:count])
        assert set(paid.rows[run, count:]) <= {paid.rows[run, count - 1]}
        assert paid.incumbents[run, -1] == free.incumbents[run, count - 1]


def test_an_early_score_costs_its_share(toy):
    late, early = (baselines.random_search(toy, 10, runs=2, score=score) for score in ("toy_valid_9", "toy_valid_3"))
    np.testing.assert_allclose(early.seconds, late.seconds / 3)
    columns = {name: toy.values(name) for name in toy.columns} | {"toy_train_seconds_90": np.ones(len(toy))}
    both = Table("toy", toy.cells, columns)      # of the next longer training, whatever else there is
    np.testing.assert_array_equal(baselines.training_seconds(both, "toy_valid_3"), baselines.training_seconds(toy, "toy_valid_3"))


def test_regret_at_a_time_is_that_of_the_last_evaluation_that_ended(toy):
    runs = baselines.regularised_evolution(toy, seconds=40.0, runs=4, seed=1)
    grid = np.array([0.5, 3.0, 20.0, 39.9, 1000.0])
    found = runs.regret_at(grid)
    for run in range(4):
        for place, moment in enumerate(grid):
            done = (runs.seconds[run, :runs.counts[run]] <= moment).sum()
            if done == 0:
                assert np.isnan(found[run, place])
            else:
                assert found[run, place] == runs.regret()[run, done - 1]
    assert np.isnan(found[:, 0]).all() and np.isfinite(found[:, 1:]).all()


# --- chance ----------------------------------------------------------------------------------------------------------

def test_random_searchs_mean_curve_is_that_of_order_statistics(toy):
    for score in ("toy_valid_9", "toy_valid_3"):
        exact = toy.random_search_curve(60, "toy_test_9", score)
        simulated = baselines.random_search(toy, 60, runs=4000, seed=7, score=score).accuracy("toy_test_9")
        error = simulated.std(0) / np.sqrt(4000)
        assert (np.abs(simulated.mean(0) - exact.mean) < 4.5 * error).all()
        assert (np.abs(simulated.std(0) / exact.std - 1) < 0.12).all()
        for bound, quantile in ((exact.low, 0.1), (exact.high, 0.9)):
            share = (simulated <= bound + 1e-9).mean(0)
            assert (share > quantile - 0.03).all()
            assert ((simulated < bound - 1e-9).mean(0) < quantile + 0.03).all()


def test_order_statistics_equal_an_enumeration_of_all_draws():
    """Four cells, two with equal scores, all 4**k sequences of draws."""
    scores, values = np.array([2.0, 5.0, 5.0, 1.0]), np.array([30.0, 10.0, 20.0, 40.0])
    for k in (1, 2, 3, 4):
        held = []
        for number in range(4**k):
            draws = [number // 4**place % 4 for place in range(k)]
            held.append(values[max(draws, key=lambda cell: scores[cell])])      # the first of equal ones
        mean, std, bounds = best_of_draws(scores, values, [k], (0.1, 0.5, 0.9))
        assert mean[0] == pytest.approx(np.mean(held))
        assert std[0] == pytest.approx(np.std(held))
        for bound, quantile in zip(bounds[0], (0.1, 0.5, 0.9)):
            assert bound == np.sort(held)[int(np.ceil(quantile * len(held) - 1e-9)) - 1]


def test_evolution_ends_above_random_search_and_reinforce_learns(toy):
    mean = {algorithm: algorithm(toy, 300, runs=100, seed=0).regret("toy_valid_9")[:, -1].mean() for algorithm in ALGORITHMS}
    assert mean[baselines.regularised_evolution] < mean[baselines.random_search]
    trained = baselines.reinforce(toy, 300, runs=100, seed=0, learning_rate=0.05)
    drawn = toy.values("toy_valid_9")[trained.rows]
    assert drawn[:, -20:].mean() > drawn[:, :20].mean() + 5


def test_on_the_benchmark_the_means_are_near_the_published_ones():
    """The paper's budget is 12,000 s, and the table has no times: 90 evaluations are a guess, so the bound is wide."""
    table = tabular("nasbench201")
    for algorithm, name in ((baselines.random_search, "RS"), (baselines.reinforce, "REINFORCE")):
        known = published(name, data="cifar10", metric="test_accuracy")[0]
        final = algorithm(table, 90, runs=500, score="c10_valid_12").accuracy("c10_test_200")[:, -1]
        assert abs(final.mean() - known.value) < 0.15
        assert abs(final.std() - known.spread) < 0.15


# --- bad questions ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("options, error, message", [
    ({}, ValueError, "give a budget: evaluations, seconds or both"),
    ({"seconds": float("inf")}, ValueError, "give a budget: evaluations, seconds or both"),
    ({"evaluations": 0}, ValueError, "runs, evaluations and seconds must be positive, got 100, 0 and None"),
    ({"evaluations": 5, "runs": 0}, ValueError, "must be positive, got 0, 5"),
    ({"seconds": float("nan")}, ValueError, "must be positive"),
    ({"seconds": 1.01}, ValueError, "seconds=1.01 ends some runs before their first evaluation; one training takes up to"),
    ({"evaluations": 5, "score": "toy_test_9"}, ValueError, "must be a validation accuracy, got toy_test_9; choose one of "
                                                            "toy_valid_9, toy_valid_3"),
    ({"evaluations": 5, "score": "toy_vald_9"}, KeyError, "unknown column 'toy_vald_9', did you mean toy_valid_9"),
])
def test_a_bad_question_gets_one_sentence(toy, algorithm, options, error, message):
    with pytest.raises(error, match=message) as caught:
        algorithm(toy, **options)
    assert "\n" not in str(caught.value)


def test_seconds_need_a_table_with_times():
    table = table_from(1, seconds=False)
    with pytest.raises(ValueError, match="Table toy has no training seconds for toy_valid_9; give the budget in evalu"):
        baselines.random_search(table, seconds=10.0)
    runs = baselines.random_search(table, 5, runs=2)
    assert runs.seconds is None and runs.counts.tolist() == [5, 5]
    with pytest.raises(ValueError, match="no training seconds"):
        runs.regret_at(np.array([1.0]))


def test_a_table_without_validation_accuracy_cannot_be_searched():
    table = Table("toy", CELLS, {"toy_test_3": np.linspace(0, 100, len(CELLS))})
    with pytest.raises(ValueError, match="Table toy has no validation accuracy"):
        baselines.random_search(table, 5)


@pytest.mark.parametrize("ask, message", [
    (lambda table: baselines.regularised_evolution(table, 5, mutation="op"), "mutation must be one of edge, node, got 'op'"),
    (lambda table: baselines.regularised_evolution(table, 5, population=0), "must be at least 1, got 0 and 3"),
    (lambda table: baselines.reinforce(table, 5, learning_rate=0), "learning_rate must be > 0"),
    (lambda table: table.random_search_curve(0), "evaluations must be at least 1, got 0"),
    (lambda table: table.random_search_curve(5, band=(0.9, 0.1)), "band must be two rising quantiles"),
    (lambda table: table.random_search_curve(5, score="toy_train_seconds_9"), "toy_train_seconds_9 is no accuracy"),
])
def test_bad_options_get_one_sentence(toy, ask, message):
    with pytest.raises(ValueError, match=message):
        ask(toy)
