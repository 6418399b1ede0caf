"""The recurrent cell of the engine layers: what its passes keep, what it computes, what it leaves to the plain cell."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
import torch.nn.functional as F

import gdas_lite as gl
from gdas_lite.engines.layers.recurrent import attach_language_model, run
from gdas_lite.engines.layers.recurrent import sequence as recurrent_sequence
from gdas_lite.engines.layers.recurrent.nodes import Nodes
from gdas_lite.engines.layers.recurrent.plan import CellPlan
from gdas_lite.engines.layers.recurrent.sequence import Pass
from gdas_lite.relaxation import soft_mixture
from gdas_lite.runs.engine import ENGINES
from gdas_lite.spaces.language_model import Masks
from gdas_lite.spaces.recurrent import StateNorm
from tests.spaces.recurrent_examples import BATCH, HIDDEN, MIXTURES, WORDS, alpha, numbers, supernet, words


def test_only_the_gradients_that_are_asked_for_are_computed_and_nothing_is_kept_without_any(monkeypatch):
    net, values, (tokens, targets), asked = supernet(), alpha(), words(), []
    add_steps, new_terms = Pass._add_steps, Nodes.new_terms
    monkeypatch.setattr(Pass, "_add_steps", lambda *given: asked.append("weights") or add_steps(*given))
    monkeypatch.setattr(Nodes, "new_terms", lambda *given: asked.append("alpha") or new_terms(*given))
    for param in net.parameters():
        param.requires_grad_(False)
    outputs = net.states(tokens, net.start_state(BATCH), {"recurrent": soft_mixture(values)})
    net.loss(outputs, targets).loss.backward()
    assert values.grad is not None and all(param.grad is None for param in net.parameters())
    assert set(asked) == {"alpha"}
    asked.clear()
    for param in net.parameters():
        param.requires_grad_(True)
    outputs = net.states(tokens, net.start_state(BATCH), {"recurrent": soft_mixture(values.detach())})
    net.loss(outputs, targets).loss.backward()
    assert set(asked) == {"weights"} and net.steps.grad is not None
    with torch.no_grad():
        assert net.states(tokens, net.start_state(BATCH), {"recurrent": soft_mixture(values)}).grad_fn is None


def gradients_of(net, outputs, targets, retain=False):
    variables = [net.steps, net.start, net.embedding]
    return torch.autograd.grad(net.loss(outputs, targets).loss, variables, retain_graph=retain)


def spoil() -> None:
    """Overwrite memory of the sizes of a pass that nobody holds any more."""
    for size in range(1, BATCH * WORDS * 9 * HIDDEN, 29):
        torch.full((size,), float("nan"), dtype=torch.float64)


SHAPES = [("darts", 4, 5), ("gdas P", 4, 5), ("gdas P", 2, 5), ("darts", 3, 2), ("all none", 4, 5),
          ("one, soft weight", 4, 5)]


def test_two_graphs_alive_at_once_share_nothing():
    net, (tokens, targets) = supernet(), words()
    start, mixtures = net.start_state(BATCH), [soft_mixture(alpha(seed)) for seed in (1, 2)]
    alone = [gradients_of(net, net.states(tokens, start, {"recurrent": mixture}), targets) for mixture in mixtures]
    both = [net.states(tokens, start, {"recurrent": mixture}) for mixture in mixtures]
    with torch.no_grad():
        net.states(tokens[:2], start, {"recurrent": mixtures[0]})
    spoil()
    for outputs, expected in zip(both, alone, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(gradients_of(net, outputs, targets), expected, strict=True))


def test_a_dead_graph_is_not_kept():
    net, (tokens, _) = supernet(), words()
    outputs = net.states(tokens, net.start_state(BATCH), {"recurrent": soft_mixture(alpha())})
    kept = weakref.ref(outputs.grad_fn.run)
    del outputs
    gc.collect()
    assert kept() is None


def test_outputs_and_gradients_of_a_dead_graph_lie_in_memory_of_their_own():
    net, values, (tokens, targets) = supernet(), alpha(), words()
    hidden = numbers(BATCH, HIDDEN, seed=7).requires_grad_()
    outputs = net.states(tokens, hidden, {"recurrent": soft_mixture(values)})
    carried, loss = outputs[-1].detach(), net.loss(outputs, targets).loss
    found = [carried, *torch.autograd.grad(loss, [*net.parameters(), hidden, values])]
    kept = [tensor.clone() for tensor in found]
    del outputs, loss
    gc.collect()
    spoil()
    assert all(torch.equal(a, b) for a, b in zip(found, kept, strict=True))


def test_passes_of_changing_size_and_mixture_equal_those_of_a_new_model():
    """After a larger pass, of other candidates, with and without alpha's gradient, in evaluation."""
    used = supernet()
    for name, length, batch in SHAPES * 2:
        for wants_alpha in (True, False):
            values, (tokens, targets) = alpha(), (part[:length, :batch] for part in words())
            fresh, found = supernet(), []
            for net in (fresh, used):
                mixture = MIXTURES[name](values if wants_alpha else values.detach())
                outputs = net.states(tokens, net.start_state(batch), {"recurrent": mixture})
                with torch.no_grad():
                    evaluated = net.states(tokens, net.start_state(batch), {"recurrent": mixture})
                variables = [net.steps, net.start, *([values] if wants_alpha and mixture.weights.requires_grad else [])]
                loss = net.loss(outputs, targets).loss
                found.append([outputs.detach(), evaluated, *torch.autograd.grad(loss, variables)])
            assert all(torch.equal(a, b) for a, b in zip(*found, strict=True)), (name, length, batch, wants_alpha)


def test_a_retained_graph_gives_the_same_gradients_again_and_changed_weights_are_noticed():
    net, (tokens, targets) = supernet(), words()
    outputs = net.states(tokens, net.start_state(BATCH), {"recurrent": soft_mixture(alpha())})
    first = gradients_of(net, outputs, targets, retain=True)
    net.states(tokens, net.start_state(BATCH), {"recurrent": soft_mixture(alpha(2))})
    spoil()
    again = gradients_of(net, outputs, targets, retain=True)
    assert all(torch.equal(a, b) for a, b in zip(again, first, strict=True))
    with torch.no_grad():
        net.steps.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        gradients_of(net, outputs, targets)


def test_second_derivatives_are_refused_where_autograd_would_leave_them_out():
    net, (tokens, targets) = supernet(), words()
    outputs = net.states(tokens, net.start_state(BATCH), {"recurrent": soft_mixture(alpha())})
    for result, variable in ((outputs.sum(), net.steps), (net.loss(outputs.detach(), targets).loss, net.embedding)):
        with pytest.raises(RuntimeError, match="has no gradient itself"):
            torch.autograd.grad(result, variable, create_graph=True)


@pytest.mark.parametrize("chunk", [1, 3])
def test_the_gradient_of_a_long_window_does_not_depend_on_how_many_words_wait_for_a_product(monkeypatch, chunk):
    net, (tokens, targets), mixture = supernet(), words(), soft_mixture(alpha())
    run = lambda: net.states(tokens, net.start_state(BATCH), {"recurrent": mixture})    # noqa: E731
    expected = gradients_of(net, run(), targets)
    monkeypatch.setattr(recurrent_sequence, "CHUNK", chunk)
    torch.testing.assert_close(gradients_of(net, run(), targets), expected, rtol=0, atol=1e-13)


def test_a_pass_that_fails_leaves_nothing_behind_that_the_next_one_meets(monkeypatch):
    net, (tokens, targets), mixture = supernet(), words(), soft_mixture(alpha().detach())
    run = lambda: net.states(tokens, net.start_state(BATCH), {"recurrent": mixture})    # noqa: E731
    expected = gradients_of(net, run(), targets)
    for broken in ("forward", "backward"):
        with monkeypatch.context() as patch:
            def fail(*_, **__):
                raise KeyboardInterrupt
            patch.setattr(Nodes, broken, fail)
            with pytest.raises(KeyboardInterrupt):
                gradients_of(net, run(), targets)
        assert all(torch.equal(a, b) for a, b in zip(gradients_of(net, run(), targets), expected, strict=True))


def test_models_and_their_copies_share_no_memory():
    net, (tokens, targets), mixture = supernet(), words(), soft_mixture(alpha().detach())
    gradients_of(net, net.states(tokens, net.start_state(BATCH), {"recurrent": mixture}), targets)
    copied = copy.deepcopy(net)
    pair = [model.states(tokens, model.start_state(BATCH), {"recurrent": mixture}) for model in (net, copied)]
    found = [gradients_of(model, outputs, targets) for model, outputs in zip((net, copied), pair, strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("mode", ["batch", "batch, tracked", "running"])
def test_batch_norm_equals_pytorchs_in_value_and_gradient(mode):
    raw, g = numbers(BATCH, HIDDEN, scale=3.0).requires_grad_(), numbers(BATCH, HIDDEN, seed=1)
    is_tracked, uses_batch = mode != "batch", mode != "running"
    estimates = [(numbers(HIDDEN, seed=2), numbers(HIDDEN, seed=3).exp()) if is_tracked else (None, None)
                 for _ in range(2)]
    mean, var = (None if part is None else part.clone() for part in estimates[0])
    expected = F.batch_norm(raw, mean, var, training=uses_batch, momentum=0.1, eps=1e-5)
    (gradient,) = torch.autograd.grad(expected, raw, g)
    norm = StateNorm(*estimates[1], uses_batch)
    plan, weights = CellPlan((), (0,)), (torch.zeros(HIDDEN, 2 * HIDDEN).double(), torch.zeros(0, HIDDEN, 2 * HIDDEN).double())
    made = Pass(plan, norm, None, Nodes, None, raw.detach(), *weights, 1, True)
    state, moments, found = made.states[0, 0], made.moments[0, 0], g.clone()
    state.copy_(raw.detach())
    made.compute._normalise(state, moments)
    if is_tracked and uses_batch:
        made._keep_estimates(moments)
    torch.testing.assert_close(state, expected.detach(), rtol=0, atol=1e-13)
    made.compute._before_norm(found, state, moments)
    torch.testing.assert_close(found, gradient, rtol=0, atol=1e-13)
    if is_tracked:
        torch.testing.assert_close((norm.mean, norm.var), (mean, var), rtol=0, atol=1e-13)


@pytest.mark.parametrize("engine", ["layers", "cpu"])
def test_a_mask_of_all_sequences_or_of_another_type_counts_as_in_plain_code(engine):
    """Kernels read as many float32 as there are states, whatever the mask holds."""
    if engine == "cpu":
        pytest.importorskip("numba", reason="engine cpu")
    torch.manual_seed(0)
    made = gl.network(gl.RecurrentGenotype((("tanh", 0), ("relu", 1)), (1, 2)), 16, 11)
    plain, hidden = copy.deepcopy(made), torch.randn(5, 16)
    ENGINES[engine].attach_network(made)
    if engine == "cpu":
        from gdas_lite.engines.cpu import recurrent
        recurrent.attach_language_model(made)
    tokens, kept = torch.randint(11, (4, 5)), torch.empty(5, 16).bernoulli_(0.5)
    for mask in (2 * kept, 2 * kept[:1], kept.bool(), kept.long(), 2 * kept.t().contiguous().t()):
        found, wanted = (model.states(tokens, hidden, masks=Masks(hidden=mask)) for model in (made, plain))
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def plainly(cell, *inputs, **options):
    return cell(*inputs, **options)


def test_a_cell_with_an_activation_that_the_engine_does_not_know_runs_plainly(monkeypatch):
    from gdas_lite.genotypes import recurrent as genotypes
    from gdas_lite.spaces import recurrent as space

    monkeypatch.setattr(genotypes, "RECURRENT_ACTIVATIONS", (*genotypes.RECURRENT_ACTIVATIONS, "softplus"))
    monkeypatch.setattr(space, "ACTIVATIONS", {**space.ACTIVATIONS, "softplus": F.softplus})
    monkeypatch.setattr(space, "CANDIDATES", (*space.CANDIDATES, "softplus"))
    net, (tokens, _) = supernet(), words()
    derived = gl.network(gl.RecurrentGenotype((("softplus", 0), ("tanh", 1)), (1, 2)), HIDDEN, 11).double()
    attach_language_model(derived)
    for model, mixtures in ((net, ({"recurrent": soft_mixture(numbers(36, 6))},)), (derived, ())):
        found = model.states(tokens, model.start_state(BATCH), *mixtures)
        model.run_cell = plainly
        assert torch.equal(found, model.states(tokens, model.start_state(BATCH), *mixtures))


def test_a_cell_of_an_unknown_class_runs_plainly():
    assert run(lambda embedded, hidden, mask, factor: factor * embedded, 2, None, None, factor=3) == 6
