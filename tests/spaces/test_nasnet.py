"""The NASNet space: counts, the search cell against its definition, deriving, mixtures, searches, bad input."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from operator import call as run_plain

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

import gdas_lite as gl
from gdas_lite.engines import layers
from gdas_lite.genotypes.nasnet import NASNetGenotype
from gdas_lite.relaxation import Mixture, gumbel_mixture, soft_mixture, uniform_mixture
from gdas_lite.reproduction.resume import resume
from gdas_lite.runs.cost import count_parameters, multiply_adds
from gdas_lite.spaces.nasnet import NASNet, derive_cell, mixture_of_cell
from gdas_lite.spaces.nasnet_cells import EDGES, Cell, SearchCell
from gdas_lite.spaces.nasnet_networks import reductions_at
from gdas_lite.spaces.operations import NASNET_CANDIDATES, LayerStyle, ReluFirst
from tests.spaces.slow_nasnet import EDGES as EDGES_WRITTEN_OUT
from tests.spaces.slow_nasnet import OPS, slow_search_cell

RUNS = {"plain": run_plain, "layers": layers.run_cell}
ALL_ON = Mixture(torch.ones(14, 8), (tuple(range(8)),) * 14, is_hard=True)


def candidates_of(*columns: int) -> Mixture:
    return mixture_of_cell(tuple(tuple((OPS[column], src) for src in (0, 1)) for column in columns))


def test_edges_and_columns_have_the_published_order():
    assert EDGES == EDGES_WRITTEN_OUT
    assert NASNET_CANDIDATES == OPS
    assert reductions_at(8) == (2, 5) and reductions_at(6) == (2, 4) and reductions_at(20) == (6, 13)
    assert reductions_at(14) == (4, 9) and reductions_at(5) == (1, 3)


@pytest.mark.parametrize("space, weights, per_cell, macs", [
    (NASNet(), 1_930_618, [45888, 46144, 144000, 137856, 139904, 484608, 460032, 468224], 300_255_744),
    (NASNet(layout="autodl"), 1_343_034, [47264, 47520, 147008, 140608, 490624, 465536], 234_473_984),
    (NASNet(fixed_reduction=True), 1_340_410, [45888, 46144, 7680, 137856, 139904, 30720, 460032, 468224], None),
    (NASNet(layout="autodl", fixed_reduction=True), 744_570, [47264, 47520, 7936, 140608, 31232, 465536], None),
])
def test_published_counts_of_the_supernets(space, weights, per_cell, macs):
    with torch.device("meta"):      # without memory
        supernet = space.supernet(10)
    assert count_parameters(supernet) == weights
    assert [count_parameters(cell) for cell in supernet.cells] == per_cell
    if macs is not None:
        assert multiply_adds(supernet, (3, 32, 32), {"normal": ALL_ON, "reduce": ALL_ON}) == macs


def test_every_supernet_of_the_reference_to_the_unit(shared_spec):
    rows = json.loads((shared_spec / "reference-counts.json").read_text())["nasnet_supernets"]
    assert len(rows) == 5
    for row in rows:
        space = NASNet(row["C"], "autodl" if row["cells"] == 6 else "paper", fixed_reduction="FRC" in row["algorithm"])
        with torch.device("meta"):
            supernet = space.supernet(10)
        assert space.cells == row["cells"] and list(reductions_at(space.cells)) == row["reductions_at"]
        assert count_parameters(supernet) == row["weights"]
        assert [count_parameters(cell) for cell in supernet.cells] == row["params_per_cell"]
        assert sum(rows * columns for rows, columns in (labels.shape for labels in space.labels.values())) == row["alphas"]
        if macs := row.get("macs_all_operations_on"):
            assert multiply_adds(supernet, (3, 32, 32), {"normal": ALL_ON, "reduce": ALL_ON}) == macs


def search_cell(is_reduction: bool, follows_reduction: bool, style: LayerStyle) -> SearchCell:
    return SearchCell((6, 5), 4, is_reduction, follows_reduction, style).double()


def cell_inputs(follows_reduction: bool, side: int = 6) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    older = torch.randn(3, 6, *(2 * (side * 2,) if follows_reduction else 2 * (side,)), dtype=torch.float64, generator=generator)
    newer = torch.randn(3, 5, side, side, dtype=torch.float64, generator=generator)
    return [x.contiguous(memory_format=torch.channels_last).requires_grad_() for x in (older, newer)]


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("is_reduction, follows_reduction", [(False, False), (False, True), (True, False)])
@pytest.mark.parametrize("layout", ["paper", "autodl"])
@pytest.mark.parametrize("variant, seed", [("soft", 0), ("P", 1), ("P", 2), ("N", 3), ("N", 4)])
def test_cell_equals_the_slow_cell_in_value_and_every_gradient(is_reduction, follows_reduction, layout, variant, seed, run):
    torch.manual_seed(seed)
    style = NASNet(4, layout).style
    cell, inputs = search_cell(is_reduction, follows_reduction, style), cell_inputs(follows_reduction)
    alpha = torch.randn(14, 8, dtype=torch.float64)
    if seed in (2, 4):
        alpha[:, 0] += 3        # many `none`: whole nodes that nothing reaches
    alpha.requires_grad_()
    mixture = soft_mixture(alpha) if variant == "soft" else \
        gumbel_mixture(alpha, 0.8, torch.Generator().manual_seed(seed), variant)
    ours = run(cell, *inputs, mixture=mixture)
    slow = slow_search_cell(cell, *inputs, mixture, style.pool_norm)
    torch.testing.assert_close(ours, slow)
    variables = [alpha, *inputs, *cell.parameters()]
    direction = torch.randn_like(slow)
    found, expected = (
        torch.autograd.grad((out * direction).sum(), variables, allow_unused=True, retain_graph=True)
        for out in (ours, slow))
    for a, b in zip(found, expected, strict=True):
        b = torch.zeros(()) if b is None else b
        torch.testing.assert_close(torch.zeros_like(b) if a is None else a, b, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_cell_of_none_alone_is_zero_and_alpha_learns_nothing_from_it_in_variant_p(run):
    cell = search_cell(True, False, NASNet(4).style)
    columns = torch.zeros(14, 8, dtype=torch.float64)
    columns[:, 0] = 1
    out = run(cell, *cell_inputs(False), mixture=Mixture(columns, ((0,),) * 14, is_hard=True))
    assert out.shape == (3, 16, 3, 3) and out.abs().max() == 0


class Calls:
    """What is called of `torch.nn.functional`, while the test runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.inputs: list[tuple] = []
        function = getattr(F, name)

        def noted(*inputs: object, **options: object) -> torch.Tensor:
            self.inputs.append(inputs)
            return function(*inputs, **options)

        monkeypatch.setattr(F, name, noted)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_only_what_was_drawn_runs(monkeypatch, run):
    cell, convolutions = search_cell(False, False, NASNet(4).style), Calls(monkeypatch, "conv2d")
    places = {layer.weight: (row, column) for row, candidates in enumerate(cell.edges)
              for column, candidate in enumerate(candidates) if isinstance(candidate, ReluFirst)
              for layer in candidate.modules() if isinstance(layer, torch.nn.Conv2d)}
    run(cell, *cell_inputs(False), mixture=candidates_of(4, 6, 3, 1))
    called = {places[weight] for _, weight, *_ in convolutions.inputs if weight in places}
    assert called == {(0, 4), (1, 4), (2, 6), (3, 6)}


@pytest.mark.parametrize("run, relus", [(run_plain, 7 + 28), (layers.run_cell, 7)], ids=["plain", "layers"])
def test_edges_from_one_node_share_its_relu_and_its_pooled_maps(monkeypatch, run, relus):
    """Two inputs and nodes 0..4; plain separable convolutions have a second ReLU inside."""
    cell, rectified = search_cell(False, False, NASNet(4).style), Calls(monkeypatch, "relu")
    pooled = Calls(monkeypatch, "max_pool2d"), Calls(monkeypatch, "avg_pool2d")
    run(cell, *cell_inputs(False), mixture=soft_mixture(torch.zeros(14, 8, dtype=torch.float64)))
    assert len(rectified.inputs) == relus
    if run is run_plain:            # those of layers are no functions of torch.nn.functional
        assert [len(calls.inputs) for calls in pooled] == [5, 5]


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_running_estimates_are_kept_when_asked_for(run):
    tracked, batch = NASNet(4, cells=3, track_running_stats=True).supernet(10), NASNet(4, cells=3).supernet(10)
    assert not any(name.startswith("cells") for name, _ in batch.named_buffers())
    mixtures = {"normal": candidates_of(4, 6, 3, 1), "reduce": candidates_of(1, 3, 4, 7)}
    tracked.run_cell = run
    tracked(torch.randn(4, 3, 8, 8), mixtures)
    normal, reduction = tracked.cells[0], tracked.cells[1]
    assert normal.edges[0][4].second.norm.num_batches_tracked == 1
    assert normal.edges[0][5].second.norm.num_batches_tracked == 0
    assert reduction.pooling[0]["max_pool_3x3"].norm.num_batches_tracked == 1
    tracked.eval()
    before = {name: value.clone() for name, value in tracked.named_buffers()}
    tracked(torch.randn(4, 3, 8, 8), mixtures)
    assert all(torch.equal(before[name], value) for name, value in tracked.named_buffers())


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("is_reduction", [False, True])
def test_derived_cell_equals_the_search_cell_with_one_hot_mixture(is_reduction, run):
    """Same weights, neutral affine, no batch norm after pooling (AutoDL-Projects' search, bias left out): one function."""
    pairs = ((("max_pool_3x3", 1), ("sep_conv_3x3", 0)), (("dil_conv_5x5", 2), ("skip_connect", 0)),
             (("avg_pool_3x3", 0), ("skip_connect", 3)), (("sep_conv_5x5", 4), ("dil_conv_3x3", 1)))
    genotype = NASNetGenotype(pairs, pairs)
    style = LayerStyle(affine=False, track_running_stats=False)
    search = search_cell(is_reduction, False, style)
    derived = Cell(genotype, is_reduction, (6, 5), 4, False, LayerStyle()).double()
    derived.inputs.load_state_dict(search.inputs.state_dict(), strict=False)
    for index, ((operation, src), name) in enumerate(
            zip([pair for node in pairs for pair in node], derived.operations, strict=True)):
        candidate = search.edges[EDGES.index((src, 2 + index // 2))][OPS.index(operation)]
        derived.operations[name].load_state_dict(candidate.state_dict(), strict=False)
    mixture = NASNet(4).mixtures(genotype)["reduce" if is_reduction else "normal"]
    inputs = cell_inputs(False)
    torch.testing.assert_close(run(derived, *inputs), run_plain(search, *inputs, mixture=mixture))


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("layout", ["paper", "autodl"])
@pytest.mark.parametrize("fixed_reduction", [False, True])
def test_every_weight_of_the_supernet_learns_under_a_soft_mixture(layout, fixed_reduction, run):
    torch.manual_seed(0)
    space = NASNet(4, layout, cells=5, fixed_reduction=fixed_reduction)
    supernet = space.supernet(10).to(memory_format=torch.channels_last)
    supernet.run_cell = run
    alphas = {kind: torch.zeros(14, 8, requires_grad=True) for kind in space.labels}
    x, y = torch.randn(8, 3, 16, 16), torch.arange(8)
    loss = F.cross_entropy(supernet(x, {kind: soft_mixture(alpha) for kind, alpha in alphas.items()}), y)
    loss.backward()
    for name, parameter in supernet.named_parameters():
        assert parameter.grad is not None, name
        if not name.endswith("bias"):       # a bias before batch statistics has gradient zero, up to rounding
            assert parameter.grad.abs().max() > 0, name
    for alpha in alphas.values():
        assert (alpha.grad.abs().sum(-1) > 0).all()


# Deriving

def op_probs_of(entries: dict[tuple[int, str], float]) -> np.ndarray:
    """Rows of probability: the named entries, the rest of each row on `none`."""
    probs = np.zeros((14, 8))
    for (row, operation), probability in entries.items():
        probs[row, OPS.index(operation)] = probability
    probs[:, 0] = 1 - probs.sum(1)
    return probs


def test_the_two_rules_differ_where_one_edge_has_two_good_operations():
    probs = op_probs_of({(0, "sep_conv_3x3"): 0.4, (0, "skip_connect"): 0.3, (1, "max_pool_3x3"): 0.2})
    papers = derive_cell(probs, EDGES, OPS, "two_best_edges")
    autodl = derive_cell(probs, EDGES, OPS, "two_best_pairs")
    assert papers[0] == (("sep_conv_3x3", 0), ("max_pool_3x3", 1))
    assert autodl[0] == (("sep_conv_3x3", 0), ("skip_connect", 0))


def test_none_is_never_chosen_and_the_better_edge_stands_first():
    probs = op_probs_of({(2, "dil_conv_3x3"): 0.01, (3, "sep_conv_5x5"): 0.02, (4, "skip_connect"): 0.03})
    assert derive_cell(probs, EDGES, OPS, "two_best_edges")[1] == (("skip_connect", 2), ("sep_conv_5x5", 1))
    uniform = np.full((14, 8), 1 / 8)
    first = ("max_pool_3x3", 0)
    assert all(node == (first, ("max_pool_3x3", 1)) for node in derive_cell(uniform, EDGES, OPS, "two_best_edges"))
    assert all(node == (first, ("avg_pool_3x3", 0)) for node in derive_cell(uniform, EDGES, OPS, "two_best_pairs"))


def test_edges_are_ranked_on_probabilities_not_on_alpha():
    """The edge with the larger alpha can have the smaller probability: all of its candidates are large."""
    alpha = np.zeros((14, 8))
    alpha[2] = 5.0
    alpha[2, 4] = 5.1
    alpha[3, 5] = alpha[4, 6] = 2.0
    genotype = NASNet().derive({"normal": alpha, "reduce": torch.zeros(14, 8)})
    assert {src for _, src in genotype.normal[1]} == {1, 2}


def slow_two_best_edges(probs: np.ndarray, node: int) -> set[tuple[str, int]]:
    rows = {src: probs[EDGES.index((src, node)), 1:] for src in range(node)}
    best = sorted(rows, key=lambda src: -rows[src].max())[:2]
    return {(OPS[1 + int(rows[src].argmax())], src) for src in best}


@given(st.integers(0, 2**32 - 1))
def test_derived_cells_are_well_formed_and_follow_the_rule(seed):
    alphas = {kind: np.random.default_rng(seed).normal(size=(14, 8)) for kind in ("normal", "reduce")}
    genotype = NASNet().derive(alphas)
    probs = np.exp(alphas["normal"]) / np.exp(alphas["normal"]).sum(1, keepdims=True)
    for node, pairs in zip((2, 3, 4, 5), genotype.normal, strict=True):
        assert pairs[0][1] != pairs[1][1]
        assert set(pairs) == slow_two_best_edges(probs, node)
    pairs_rule = NASNet(deriving="two_best_pairs").derive(alphas)
    for node, pairs in zip((2, 3, 4, 5), pairs_rule.normal, strict=True):
        rows = [EDGES.index((src, node)) for src in range(node)]
        chosen = [probs[EDGES.index((src, node)), OPS.index(operation)] for operation, src in pairs]
        assert chosen == sorted(probs[rows, 1:].flatten().tolist(), reverse=True)[:2]
    shifted = {kind: alpha + np.arange(14)[:, None] for kind, alpha in alphas.items()}     # a constant per row cancels
    assert NASNet().derive(shifted) == genotype


def test_without_a_searched_reduction_the_genotype_has_none():
    space = NASNet(8, fixed_reduction=True)
    assert list(space.labels) == ["normal"]
    assert space.derive({"normal": torch.zeros(14, 8)}).reduce is None


# Mixtures

@given(st.integers(0, 2**32 - 1))
def test_mixtures_and_genotype_of_are_inverse_up_to_order(seed):
    space, generator = NASNet(), torch.Generator().manual_seed(seed)
    mixtures = space.random_mixtures(generator)
    genotype = space.genotype_of(mixtures)
    for node, pairs in zip((2, 3, 4, 5), genotype.normal, strict=True):
        assert len({src for _, src in pairs}) == 2 and all(0 <= src < node for _, src in pairs)
    assert space.mixtures(genotype)["reduce"].active == mixtures["reduce"].active
    swapped = replace(genotype, normal=tuple(node[::-1] for node in genotype.normal))
    assert space.genotype_of(space.mixtures(swapped)) == genotype


def test_random_cells_use_every_operation_and_input_equally_often():
    space, generator = NASNet(fixed_reduction=True), torch.Generator().manual_seed(0)
    pairs = [pair for _ in range(700) for pair in space.genotype_of(space.random_mixtures(generator)).normal[3]]
    operations = np.unique([operation for operation, _ in pairs], return_counts=True)[1]
    inputs = np.unique([src for _, src in pairs], return_counts=True)[1]
    assert len(operations) == 7 and abs(operations - 200).max() < 50        # 3.8 standard deviations
    assert len(inputs) == 5 and abs(inputs - 280).max() < 50


def test_two_operations_on_one_edge_both_run_and_the_same_one_twice_counts_twice():
    node = (("skip_connect", 0), ("sep_conv_3x3", 0))
    mixture = mixture_of_cell((node, (("skip_connect", 1), ("skip_connect", 1)), node, node))
    assert mixture.active[0] == (3, 4) and mixture.active[1] == (0,)
    assert mixture.weights[3, 3] == 2 and not mixture.is_hard
    genotype = NASNetGenotype((node, (("skip_connect", 1), ("skip_connect", 1)), node, node), None)
    space = NASNet(fixed_reduction=True)
    assert space.genotype_of(space.mixtures(genotype)) == genotype


def test_a_draw_on_every_edge_is_no_cell():
    space = NASNet()
    drawn = {kind: uniform_mixture((14, 8), torch.Generator().manual_seed(1)) for kind in space.labels}
    with pytest.raises(ValueError, match="node 4 runs 4 operations in this mixture, a node of a cell has two"):
        space.genotype_of(drawn)


# Searches

def tiny(data: gl.ImageData) -> gl.ImageData:
    return replace(data, train_half=data.train_half.subset(range(48)), valid_half=data.valid_half.subset(range(48)))


@pytest.mark.parametrize("algorithm", [gl.GDAS(), gl.GDAS(variant="N"), gl.DARTS(1), gl.DARTS(2),
                                       gl.RandomSearch(samples=2, selection_batch=16)], ids=lambda a: str(a))
def test_every_algorithm_searches(algorithm):
    space, data = NASNet(2, cells=3), tiny(gl.load_data("digits"))
    recipe = gl.search_recipe("smoke", "nasnet", algorithm.name, batch_size=24)
    search = gl.Search(space, data, algorithm, recipe=recipe, seed=0).run()
    assert isinstance(search.genotype, NASNetGenotype)
    assert [record.alphas["reduce"].shape for record in search.history] == [(14, 8)] * 2
    if algorithm.name != "random":
        assert not np.allclose(search.history[0].alphas["normal"], search.history[1].alphas["normal"])


def test_frc_searches_one_matrix_and_a_killed_search_goes_on_bit_for_bit(tmp_path):
    space, data = NASNet(4, cells=3, fixed_reduction=True), tiny(gl.load_data("digits"))
    recipe = gl.search_recipe("smoke", "nasnet", "gdas", batch_size=24)
    whole = gl.Search(space, data, gl.GDAS(), recipe=recipe, seed=1).run()
    first = gl.Search(space, data, gl.GDAS(), recipe=recipe, seed=1, out=tmp_path / "run")
    first.run_epoch()
    first.close()
    again = resume(tmp_path / "run", data)
    assert again.space == space and again.epochs_done == 1
    again.run()
    assert list(again.history[1].alphas) == ["normal"]
    np.testing.assert_array_equal(again.history[1].alphas["normal"], whole.history[1].alphas["normal"])
    for name, value in whole.tensors().items():
        assert torch.equal(again.tensors()[name], value), name
    assert again.genotype == whole.genotype and again.genotype.reduce is None


def test_paper_recipes_have_the_published_values():
    gdas, darts = (gl.search_recipe("paper", "nasnet", name) for name in ("gdas", "darts-v2"))
    assert (gdas.epochs, gdas.batch_size, gdas.weight_decay, gdas.nesterov) == (240, 256, 3e-4, True)
    assert (gdas.learning_rate, gdas.learning_rate_end, gdas.update_order) == (0.025, 0.001, "weights_first")
    assert (darts.epochs, darts.batch_size, darts.nesterov, darts.update_order) == (50, 64, False, "alpha_first")


# Bad input

@pytest.mark.parametrize("settings, sentence", [
    ({"channels": 1}, "channels must be at least 2, a whole number, got 1"),
    ({"cells": 2}, "cells must be at least 3, a whole number, got 2"),
    ({"layout": "nasnet"}, "layout must be one of autodl, paper, got 'nasnet'"),
    ({"deriving": "argmax"}, "deriving must be one of two_best_edges, two_best_pairs, got 'argmax'"),
    ({"channels": 50, "fixed_reduction": True}, "8 groups, but a reduction cell here has 100; take .* divisible by 4"),
])
def test_impossible_spaces_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        NASNet(**settings)


def test_too_small_images_too_few_classes_and_unknown_rules_are_refused():
    supernet = NASNet(4, cells=3).supernet(10)
    mixtures = {"normal": ALL_ON, "reduce": ALL_ON}
    with pytest.raises(ValueError, match="images of 3 x 8 pixels are too small for two reduction cells; .* 4 pixels"):
        supernet(torch.zeros(2, 3, 3, 8), mixtures)
    assert supernet(torch.randn(2, 3, 5, 7), mixtures).shape == (2, 10)
    with pytest.raises(ValueError, match="classes must be at least 2, a whole number, got 1"):
        NASNet(4).supernet(1)
    with pytest.raises(ValueError, match="unknown deriving rule 'best'"):
        derive_cell(np.zeros((14, 8)), EDGES, OPS, "best")


def test_genotypes_outside_the_space_have_no_mixtures():
    node = (("skip_connect", 0), ("skip_connect", 1))
    large = NASNetGenotype(((("sep_conv_7x7", 0), ("skip_connect", 1)), node, node, node), (node,) * 4)
    with pytest.raises(ValueError, match="node 2: sep_conv_7x7 is no candidate of the search"):
        NASNet().mixtures(large)
    with pytest.raises(ValueError, match="this space has fixed_reduction=False"):
        NASNet().mixtures(NASNetGenotype((node,) * 4, None))
    with pytest.raises(ValueError, match="the normal cell has 5 nodes"):
        NASNet().mixtures(NASNetGenotype((node,) * 5, (node,) * 4, (2, 3, 4, 5, 6)))


def test_a_space_is_rebuilt_from_its_record():
    space = NASNet(8, "autodl", fixed_reduction=True, deriving="two_best_pairs")
    assert space.cells == 6
    assert NASNet(**asdict(space)) == space
