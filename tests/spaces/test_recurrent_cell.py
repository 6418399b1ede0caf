"""The recurrent cells, plain and by the engine layers, equal their definition in value and every gradient, in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import gdas_lite as gl
from benchmarks import recurrent_reference as reference
from gdas_lite.engines.layers.recurrent.plan import plan_of_mixture
from gdas_lite.engines.layers.recurrent.sequence import CellWeights, run_sequence
from gdas_lite.genotypes.zoo import zoo
from gdas_lite.relaxation import gumbel_mixture, soft_mixture
from gdas_lite.search import second_order
from gdas_lite.search.second_order import hessian_vector_product
from gdas_lite.spaces.language_model import Masks, temporal_activation
from gdas_lite.spaces.recurrent import Recurrent, SearchCell
from tests.spaces import slow_recurrent as slow
from tests.spaces.recurrent_examples import (
    BATCH,
    HIDDEN,
    MIXTURES,
    PATHS,
    TOLERANCE,
    VOCABULARY,
    alpha,
    generator,
    numbers,
    prepared,
    random_masks,
    supernet,
    words,
)


def slow_outputs(net, tokens, hidden, masks, mixture, normalise=None):
    embedded = F.embedding(tokens, net.embedding)
    if masks.words is not None:
        embedded = embedded * masks.words[tokens]
    embedded = embedded * masks.embedded_input * masks.cell_input
    return slow.search_sequence(embedded, hidden, masks.hidden, net.start, net.steps, mixture.weights.double(),
                                mixture.active, normalise or slow.batch_norm)


def slow_loss(net, outputs, targets, masks):
    logits = (outputs * masks.output) @ net.embedding.T + net.bias
    picked = logits.log_softmax(-1).gather(-1, targets[..., None])
    return -picked.mean() + 0.3 * (outputs[1:] - outputs[:-1]).pow(2).mean()


def total_loss(net, outputs, targets, masks):
    return net.loss(outputs, targets, masks).loss + 0.3 * temporal_activation(outputs)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", MIXTURES)
def test_search_cell_equals_its_definition_in_value_and_every_gradient(name, path):
    net, values, hidden = supernet(path), alpha(), numbers(BATCH, HIDDEN, seed=7).requires_grad_()
    masks, (tokens, targets) = random_masks(net), words()
    variables = [*net.parameters(), hidden, values]
    mixture = MIXTURES[name](values)
    expected = slow_outputs(net, tokens, hidden, masks, mixture)
    loss = slow_loss(net, expected, targets, masks)
    if mixture.adds_unsampled:        # N: the scalars of undrawn candidates, whose value is 0, are added to every state
        expected, loss = with_scalars(net, tokens, hidden, masks, mixture, targets)
    wanted = torch.autograd.grad(loss, variables, allow_unused=True)

    mixture = MIXTURES[name](values)
    found = net.states(tokens, hidden, {"recurrent": mixture}, masks=masks)
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)
    got_loss = total_loss(net, found, targets, masks)
    assert abs((got_loss - loss).item()) < TOLERANCE
    got = torch.autograd.grad(got_loss, variables, allow_unused=True)
    for want, have, variable in zip(wanted, got, variables, strict=True):
        want, have = (torch.zeros_like(variable) if g is None else g for g in (want, have))
        torch.testing.assert_close(have, want, rtol=0, atol=TOLERANCE)
    if mixture.weights.requires_grad:
        assert got[-1].abs().max() > 0


def with_scalars(net, tokens, hidden, masks, mixture, targets):
    """The definition of variant N: each new state has the undrawn candidates' scalars of all its edges added."""
    weights, index = mixture.weights, {"at": -1}
    scalars = []
    for step in range(8):
        rows = range(step * (step + 1) // 2, (step + 1) * (step + 2) // 2)
        scalars.append(sum(weights[row, k] for row in rows for k in range(5) if k not in mixture.active[row]))

    def normalise(state):
        index["at"] = (index["at"] + 1) % 9
        return slow.batch_norm(state if index["at"] == 0 else state + scalars[index["at"] - 1])

    outputs = slow_outputs(net, tokens, hidden, masks, mixture, normalise)
    return outputs, slow_loss(net, outputs, targets, masks)


@pytest.mark.parametrize("name", sorted(zoo("recurrent")))
@pytest.mark.parametrize("path", PATHS)
def test_derived_cell_equals_its_definition_in_value_and_every_gradient(name, path):
    genotype = zoo("recurrent")[name].genotype
    net = prepared(gl.network(genotype, HIDDEN, VOCABULARY), path)
    masks, (tokens, targets) = random_masks(net), words()
    hidden = numbers(BATCH, HIDDEN, seed=7).requires_grad_()
    embedded = F.embedding(tokens, net.embedding) * masks.words[tokens] * masks.embedded_input * masks.cell_input
    expected = slow.derived_sequence(embedded, hidden, masks.hidden, net.start, net.steps, genotype.steps, genotype.concat)
    variables = [*net.parameters(), hidden]
    wanted = torch.autograd.grad(slow_loss(net, expected, targets, masks), variables)
    found = net.states(tokens, hidden, masks=masks)
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)
    got = torch.autograd.grad(total_loss(net, found, targets, masks), variables)
    for want, have in zip(wanted, got, strict=True):
        torch.testing.assert_close(have, want, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("path", PATHS)
def test_embedding_of_another_size_than_the_cell(path):
    genotype = zoo("recurrent")["GDAS"].genotype
    net = prepared(gl.network(genotype, HIDDEN, VOCABULARY, embedding=3, tied=False), path)
    tokens, _ = words()
    expected = slow.derived_sequence(F.embedding(tokens, net.embedding), torch.zeros(BATCH, HIDDEN).double(),
                                     torch.ones(BATCH, HIDDEN).double(), net.start, net.steps, genotype.steps,
                                     genotype.concat)
    logits, hidden = net(tokens)
    torch.testing.assert_close(logits, expected @ net.output.T + net.bias, rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(hidden, expected[-1], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["GDAS", "DARTS_V1", "DARTS_V2"])
def test_derived_cell_equals_the_search_cell_with_a_one_hot_mixture(name, path):
    """Batch norm, which only the search has, is left out of the search cell."""
    genotype = zoo("recurrent")[name].genotype
    net = prepared(gl.network(genotype, HIDDEN, VOCABULARY), path)
    tokens, _ = words()
    hidden, mask = numbers(BATCH, HIDDEN, seed=7), numbers(BATCH, HIDDEN, seed=8)
    mixture = Recurrent(HIDDEN).mixtures(genotype)["recurrent"]
    embedded = F.embedding(tokens, net.embedding)
    if path == "plain":
        searched = SearchCell(net.start, net.steps, norm=lambda state: state)(embedded, hidden, mask, mixture)
    else:
        weights = CellWeights(net.start, net.steps)
        searched = run_sequence(plan_of_mixture(mixture), embedded, hidden, weights, mask, None, mixture)
    derived = net.states(tokens, hidden, masks=Masks(hidden=mask))
    torch.testing.assert_close(derived, searched, rtol=0, atol=1e-14)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("is_derived", [True, False])
def test_a_carried_hidden_state_equals_one_long_sequence(is_derived, path):
    net = prepared(gl.network(zoo("recurrent")["DARTS_V2"].genotype, HIDDEN, VOCABULARY), path) if is_derived \
        else supernet(path)
    arguments = () if is_derived else ({"recurrent": soft_mixture(alpha().detach())},)
    tokens, _ = words()
    whole = net.states(tokens, net.start_state(BATCH), *arguments)
    first = net.states(tokens[:1], net.start_state(BATCH), *arguments)
    second = net.states(tokens[1:], first[-1], *arguments)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=0, atol=1e-13)


@pytest.mark.parametrize("path", PATHS)
def test_running_estimates_are_used_in_evaluation_only_if_they_are_kept(path):
    values = {"recurrent": soft_mixture(alpha().detach())}
    tokens, _ = words()
    for tracked in (True, False):
        net = supernet(path, track_running_stats=tracked).train()
        trained = net.states(tokens, net.start_state(BATCH), values)
        evaluated = net.eval().states(tokens, net.start_state(BATCH), values)
        assert torch.allclose(trained, evaluated) != tracked
        assert bool(list(net.buffers())) == tracked


@pytest.mark.parametrize("path", PATHS)
def test_running_estimates_follow_pytorchs_batch_norm(path):
    """All nine states of every word pass through one module, one after the other."""
    net, layer = supernet(path, track_running_stats=True).train(), nn.BatchNorm1d(HIDDEN, affine=False).double()
    mixture, (tokens, _) = soft_mixture(alpha().detach()), words()
    ones = torch.ones(BATCH, HIDDEN).double()
    net.states(tokens, net.start_state(BATCH), {"recurrent": mixture})
    masks = Masks(None, ones, ones, ones, ones)
    slow_outputs(net, tokens, net.start_state(BATCH), masks, mixture, layer)
    torch.testing.assert_close(net.running_mean, layer.running_mean)
    torch.testing.assert_close(net.running_var, layer.running_var)
    for module in (net, layer):
        module.eval()
    found = net.states(tokens, net.start_state(BATCH), {"recurrent": mixture})
    expected = slow_outputs(net, tokens, net.start_state(BATCH), masks, mixture, layer)
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)
    gradient, wanted = (torch.autograd.grad(out.pow(2).sum(), net.steps)[0] for out in (found, expected))
    torch.testing.assert_close(gradient, wanted, rtol=1e-9, atol=TOLERANCE)


@pytest.mark.parametrize("path", PATHS)
def test_backward_can_be_called_twice(path):
    net, values, (tokens, targets) = supernet(path), alpha(), words()
    outputs = net.states(tokens, net.start_state(BATCH), {"recurrent": soft_mixture(values)})
    loss = net.loss(outputs, targets).loss
    first = torch.autograd.grad(loss, [values, net.steps], retain_graph=True)
    second = torch.autograd.grad(loss, [values, net.steps])
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("variant", ["P", "N"])
def test_batch_norm_hides_the_weight_of_a_step_with_one_predecessor_from_gdas_but_not_from_darts(variant, path):
    """State 1 is w s or w s + a number, and batch norm takes factor and number away; what is left comes from its eps."""
    net, values, (tokens, targets) = supernet(path), alpha(), words()
    for mixture, is_hidden in ((gumbel_mixture(values, 1.0, generator(4), variant), True), (soft_mixture(values), False)):
        outputs = net.states(tokens, net.start_state(BATCH), {"recurrent": mixture})
        (gradient,) = torch.autograd.grad(net.loss(outputs, targets).loss, values)
        sizes = gradient.abs().sum(1)
        assert mixture.active[0] != (0,) and (sizes[0] < 1e-3 * sizes[1:].median()) == is_hidden


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("products", ["each", "step"])
def test_the_benchmarks_reference_computes_the_same_step(products, path):
    net, values = supernet(path), alpha()
    plain = reference.PlainSearchModel(VOCABULARY, HIDDEN, products).double()
    with torch.no_grad():
        for name in ("embedding", "bias", "start"):
            getattr(plain, name).copy_(getattr(net, name))
        for target, weight in zip(plain.steps, net.steps, strict=True):
            target.copy_(weight)
        plain.alpha.copy_(values)
    masks, (tokens, targets) = random_masks(net), words()
    masks = Masks(None, masks.embedded_input, masks.cell_input, masks.hidden, masks.output)
    log_probabilities, outputs = plain(tokens, numbers(BATCH, HIDDEN), (masks.embedded_input, masks.cell_input,
                                                                        masks.hidden, masks.output))
    loss = F.nll_loss(log_probabilities.flatten(0, 1), targets.flatten())
    (expected,) = torch.autograd.grad(loss, plain.alpha)
    found = net.states(tokens, numbers(BATCH, HIDDEN), {"recurrent": soft_mixture(values)}, masks=masks)
    torch.testing.assert_close(found, outputs, rtol=0, atol=TOLERANCE)
    (gradient,) = torch.autograd.grad(net.loss(found, targets, masks).loss, values)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("path", PATHS)
def test_second_order_product_equals_exact_double_differentiation(path, monkeypatch):
    """Differences of the cell's first derivatives against two derivatives of the slow one."""
    monkeypatch.setattr(second_order, "RADIUS", 1e-5)
    net, values, (tokens, targets) = supernet(path), alpha(), words()
    masks, params = random_masks(net), list(net.parameters())
    start = net.start_state(BATCH)

    def exact_loss():
        return slow_loss(net, slow_outputs(net, tokens, start, masks, soft_mixture(values)), targets, masks)

    gradient = torch.autograd.grad(exact_loss(), params, create_graph=True)
    u = [g.detach() for g in gradient]
    (exact,) = torch.autograd.grad(sum((g * d).sum() for g, d in zip(gradient, u, strict=True)), values)
    (found,) = hessian_vector_product(
        lambda: total_loss(net, net.states(tokens, start, {"recurrent": soft_mixture(values)}, masks=masks), targets, masks),
        params, [values], [param.detach().clone() for param in params], u)
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("path", PATHS)
def test_batch_norm_of_a_single_sequence_gives_zeros(path):
    """With one sample the batch's variance is 0, so PyTorch's formula makes every normalised state 0."""
    net, tokens = supernet(path), words()[0][:, :1]
    outputs = net.states(tokens, net.start_state(1), {"recurrent": soft_mixture(alpha().detach())})
    assert outputs.abs().max() < 1e-12
