"""The recurrent space: counts, edges, derivation, and how alphas, mixtures and genotypes translate."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import gdas_lite as gl
from gdas_lite.genotypes.zoo import zoo, zoo_genotype
from gdas_lite.relaxation import soft_mixture
from gdas_lite.runs.cost import count_parameters
from gdas_lite.spaces.recurrent import CANDIDATES, EDGES
from gdas_lite.training.plain_rnn import equally_large

SPACE = gl.Recurrent(6)


def test_36_edges_in_the_order_of_the_reference():
    assert len(EDGES) == 36 and CANDIDATES == ("none", "tanh", "relu", "sigmoid", "identity")
    for step in range(8):
        for source in range(step + 1):
            assert EDGES[step * (step + 1) // 2 + source] == (source, step + 1)
    assert SPACE.labels["recurrent"].shape == (36, 5)


@pytest.mark.parametrize("name, hidden, vocabulary, expected", [
    ("GDAS", 850, 10_000, 22_960_000), ("DARTS_V1", 850, 10_000, 22_960_000), ("DARTS_V2", 850, 10_000, 22_960_000),
    ("ENAS", 850, 10_000, 27_295_000), ("GDAS", 700, 33_278, 33_127_878), ("DARTS_V2", 700, 33_278, 33_127_878),
    ("ENAS", 700, 33_278, 36_067_878),
])
def test_published_counts(name, hidden, vocabulary, expected):
    assert count_parameters(gl.network(zoo_genotype(name, "recurrent"), hidden, vocabulary)) == expected


def test_counts_of_search_and_cell():
    net = gl.Recurrent(300).supernet(10_000)
    assert count_parameters(net) == 4_810_000
    assert net.start.numel() + net.steps.numel() == 20 * 300**2 == 1_800_000
    assert sum(np.prod(labels.shape) for labels in gl.Recurrent().labels.values()) == 180


def test_counts_of_the_reference_file(shared_spec):
    for entry in json.loads((shared_spec / "reference-counts.json").read_text())["recurrent_networks"]:
        size, vocabulary = entry["embedding_and_hidden"], entry["vocabulary"]
        name = "ENAS" if entry["cell"].startswith("ENAS") else "GDAS"
        net = gl.Recurrent(size).supernet(vocabulary) if "alphas" in entry \
            else gl.network(zoo_genotype(name, "recurrent"), size, vocabulary)
        assert count_parameters(net) == entry["total"]
        assert net.start.numel() + net.steps.numel() == entry["cell_params"]


def slow_derivation(alpha: np.ndarray, counts_none: bool) -> tuple[tuple[str, int], ...]:
    """The rule once more: all (probability, predecessor, activation) of a step, compared one by one."""
    found, row = [], 0
    for step in range(8):
        best_edge, best = None, -1.0
        for source in range(step + 1):
            weights = [np.exp(value) / np.exp(alpha[row + source]).sum() for value in alpha[row + source]]
            strength = max(weights[k] for k in range(5) if counts_none or CANDIDATES[k] != "none")
            if strength > best:
                best_edge, best = source, strength
        weights = alpha[row + best_edge]
        activation = max((weights[k], -k, CANDIDATES[k]) for k in range(1, 5))[2]
        found.append((activation, best_edge))
        row += step + 1
    return tuple(found)


@pytest.mark.parametrize("none", ["excluded", "counted"])
def test_derivation_by_both_readings_of_none(none):
    space, differing = gl.Recurrent(6, none=none), 0
    for seed in range(20):
        alpha = torch.randn(36, 5, generator=torch.Generator().manual_seed(seed))
        derived = space.derive({"recurrent": alpha})
        assert derived.steps == slow_derivation(alpha.double().numpy(), none == "counted")
        assert derived.concat == (1, 2, 3, 4, 5, 6, 7, 8)
        other = gl.Recurrent(6, none="counted" if none == "excluded" else "excluded").derive({"recurrent": alpha})
        differing += derived != other
    assert differing > 10


def test_predecessors_are_ranked_by_probability_not_by_alpha():
    """Row of step 1 from state 0 has the larger alpha but the smaller softmax probability."""
    alpha = torch.zeros(36, 5)
    alpha[1] = torch.tensor([0.0, 3.0, 2.9, 2.9, 2.9])
    alpha[2] = torch.tensor([0.0, 0.0, 0.0, 0.0, 2.0])
    assert SPACE.derive({"recurrent": alpha}).steps[1] == ("identity", 1)


def test_ties_go_to_the_first():
    assert SPACE.derive({"recurrent": torch.zeros(36, 5)}).steps == (("tanh", 0),) * 8


@pytest.mark.parametrize("name", ["GDAS", "DARTS_V1", "DARTS_V2"])
def test_genotype_to_mixture_and_back(name):
    genotype = zoo("recurrent")[name].genotype
    mixtures = SPACE.mixtures(genotype)
    assert SPACE.genotype_of(mixtures) == genotype
    assert SPACE.derive({"recurrent": 9 * mixtures["recurrent"].weights}) == genotype


def test_random_cells_are_derived_cells_and_reach_every_choice():
    generator, seen = torch.Generator().manual_seed(0), set()
    for _ in range(200):
        seen.update(enumerate(SPACE.genotype_of(SPACE.random_mixtures(generator)).steps))
    assert len(seen) == 36 * 4


@pytest.mark.parametrize("make, sentence", [
    (lambda: gl.Recurrent(0), "hidden must be at least 1"),
    (lambda: gl.Recurrent(6, none="ignored"), "none must be one of counted, excluded, got 'ignored'"),
    (lambda: gl.Recurrent(6, embedding=5).supernet(9), "embedding=5 and hidden=6; make them equal or say tied=False"),
    (lambda: gl.network(zoo_genotype("GDAS", "recurrent"), 6, 9, embedding=7), "embedding=7 and hidden=6"),
    (lambda: SPACE.supernet(1), "vocabulary must be at least 2"),
    (lambda: SPACE.mixtures(zoo_genotype("ENAS", "recurrent")), "has 8 steps.*this one has 11 steps"),
    (lambda: SPACE.genotype_of({"recurrent": soft_mixture(torch.zeros(36, 5))}), "step 1 has 0 running|step 0 has 0"),
    (lambda: gl.RecurrentGenotype((("softplus", 0),), (1,)), "unknown operation 'softplus'"),
    (lambda: equally_large(10, 100), "no RNN with 100 words"),
])
def test_bad_input_gets_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize("parameters, vocabulary", [(22_960_000, 10_000), (49_510, 70), (4_810_000, 10_000)])
def test_plain_rnn_of_equal_size(parameters, vocabulary):
    hidden = equally_large(parameters, vocabulary)
    assert count_parameters(gl.PlainRNN(hidden, vocabulary)) <= parameters
    assert count_parameters(gl.PlainRNN(hidden + 1, vocabulary)) > parameters


def test_plain_rnn_equals_pytorchs():
    torch.manual_seed(0)
    net, layer = gl.PlainRNN(5, 9).double(), torch.nn.RNN(5, 5).double()
    with torch.no_grad():
        net.weight.mul_(20)
        layer.weight_ih_l0.copy_(net.weight[:5].T)
        layer.weight_hh_l0.copy_(net.weight[5:].T)
        layer.bias_ih_l0.zero_()
        layer.bias_hh_l0.zero_()
    tokens = torch.randint(9, (4, 3))
    logits, hidden = net(tokens)
    outputs, last = layer(net.embedding[tokens])
    torch.testing.assert_close(logits, outputs @ net.embedding.T + net.bias)
    torch.testing.assert_close(hidden, last[0])
