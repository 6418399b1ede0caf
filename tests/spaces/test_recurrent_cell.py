"""The fast recurrent cell equals its definition, in value and in every gradient, in double precision."""

from __future__ import annotations

import copy
import gc
import importlib.util
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import gdas_lite as gl
from gdas_lite.engines.layers.recurrent import sequence as recurrent_sequence
from gdas_lite.engines.layers.recurrent.gate import Norm, Normaliser
from gdas_lite.engines.layers.recurrent.plan import plan_of_mixture
from gdas_lite.engines.layers.recurrent.sequence import CellWeights, run_sequence
from gdas_lite.genotypes.zoo import zoo
from gdas_lite.relaxation import Mixture, fixed_mixture, gumbel_mixture, soft_mixture, uniform_mixture
from gdas_lite.search import second_order
from gdas_lite.search.second_order import hessian_vector_product
from gdas_lite.spaces.language_model import Dropout, Masks, draw_masks, temporal_activation
from gdas_lite.spaces.recurrent import Recurrent

WORDS, BATCH, HIDDEN, VOCABULARY = 4, 5, 6, 11
TOLERANCE = 1e-10


def load_beside(name: str, *folders: str):
    """A module that lies in a folder of the repository that is no package."""
    path = Path(__file__).resolve().parents[2].joinpath(*folders, f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


slow = load_beside("slow_recurrent", "tests", "spaces")
reference = load_beside("recurrent_reference", "benchmarks")


def numbers(*shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, dtype=torch.float64, generator=generator)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def alpha(seed: int = 1) -> nn.Parameter:
    return nn.Parameter(numbers(36, 5, seed=seed))


def two_of_four(values: torch.Tensor) -> Mixture:
    """What none of our algorithms makes: two candidates on an edge, different ones from edge to edge."""
    return Mixture(values.softmax(-1), tuple(((row + 1) % 5, (row + 2) % 5) for row in range(36)))


def one_soft(values: torch.Tensor) -> Mixture:
    """One candidate an edge whose weight is not 1."""
    return Mixture(values.softmax(-1), tuple((row % 5,) for row in range(36)))


MIXTURES = {
    "darts": soft_mixture,
    "gdas P": lambda values: gumbel_mixture(values, 0.7, generator(3)),
    "gdas N": lambda values: gumbel_mixture(values, 0.7, generator(4), "N"),
    "random": lambda values: uniform_mixture((36, 5), generator(5)),
    "two of four": two_of_four,
    "one, soft weight": one_soft,
    "all none": lambda values: fixed_mixture([0] * 36, 5),
    "last step all none": lambda values: fixed_mixture([1] * 28 + [0] * 8, 5),
}


def supernet(seed: int = 0, **options):
    net = Recurrent(HIDDEN, **options).supernet(VOCABULARY).double()
    with torch.no_grad():
        for index, param in enumerate(net.parameters()):
            param.copy_(numbers(*param.shape, seed=seed + index, scale=0.7))
    return net


def random_masks(net) -> Masks:
    return draw_masks(Dropout(0.4, 0.3, 0.2, 0.1, 0.3), net, BATCH, generator(9))


def words(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.randint(VOCABULARY, (WORDS + 1, BATCH), generator=generator(seed))
    return drawn[:-1], drawn[1:]


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


def fast_loss(net, outputs, targets, masks):
    return net.loss(outputs, targets, masks).loss + 0.3 * temporal_activation(outputs)


@pytest.mark.parametrize("name", MIXTURES)
def test_search_cell_equals_its_definition_in_value_and_every_gradient(name):
    net, values, hidden = supernet(), alpha(), numbers(BATCH, HIDDEN, seed=7).requires_grad_()
    masks, (tokens, targets) = random_masks(net), words()
    variables = [*net.parameters(), hidden, values]
    mixture = MIXTURES[name](values)
    expected = slow_outputs(net, tokens, hidden, masks, mixture)
    loss = slow_loss(net, expected, targets, masks)
    if mixture.adds_undrawn:        # N: the scalars of undrawn candidates, whose value is 0, are added to every state
        expected, loss = with_scalars(net, tokens, hidden, masks, mixture, targets)
    wanted = torch.autograd.grad(loss, variables, allow_unused=True)

    mixture = MIXTURES[name](values)
    found = net.states(tokens, hidden, {"recurrent": mixture}, masks=masks)
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)
    got_loss = fast_loss(net, found, targets, masks)
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
def test_derived_cell_equals_its_definition_in_value_and_every_gradient(name):
    genotype = zoo("recurrent")[name].genotype
    net = gl.network(genotype, HIDDEN, VOCABULARY).double()
    with torch.no_grad():
        for index, param in enumerate(net.parameters()):
            param.copy_(numbers(*param.shape, seed=index, scale=0.7))
    masks, (tokens, targets) = random_masks(net), words()
    hidden = numbers(BATCH, HIDDEN, seed=7).requires_grad_()
    embedded = F.embedding(tokens, net.embedding) * masks.words[tokens] * masks.embedded_input * masks.cell_input
    expected = slow.derived_sequence(embedded, hidden, masks.hidden, net.start, net.steps, genotype.steps, genotype.concat)
    variables = [*net.parameters(), hidden]
    wanted = torch.autograd.grad(slow_loss(net, expected, targets, masks), variables)
    found = net.states(tokens, hidden, masks=masks)
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)
    got = torch.autograd.grad(fast_loss(net, found, targets, masks), variables)
    for want, have in zip(wanted, got, strict=True):
        torch.testing.assert_close(have, want, rtol=0, atol=TOLERANCE)


def test_embedding_of_another_size_than_the_cell():
    genotype = zoo("recurrent")["GDAS"].genotype
    net = gl.network(genotype, HIDDEN, VOCABULARY, embedding=3, tied=False).double()
    tokens, _ = words()
    expected = slow.derived_sequence(F.embedding(tokens, net.embedding), torch.zeros(BATCH, HIDDEN).double(),
                                     torch.ones(BATCH, HIDDEN).double(), net.start, net.steps, genotype.steps,
                                     genotype.concat)
    logits, hidden = net(tokens)
    torch.testing.assert_close(logits, expected @ net.output.T + net.bias, rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(hidden, expected[-1], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["GDAS", "DARTS_V1", "DARTS_V2"])
def test_derived_cell_equals_the_search_cell_with_a_one_hot_mixture(name):
    """Batch norm, which only the search has, is left out of the search cell."""
    genotype = zoo("recurrent")[name].genotype
    net = gl.network(genotype, HIDDEN, VOCABULARY).double()
    tokens, _ = words()
    hidden, mask = numbers(BATCH, HIDDEN, seed=7), numbers(BATCH, HIDDEN, seed=8)
    mixture = Recurrent(HIDDEN).mixtures(genotype)["recurrent"]
    from_words = F.embedding(tokens, net.embedding) @ net.start[:HIDDEN]
    weights = CellWeights(net.start[HIDDEN:], net.steps)
    searched = run_sequence(plan_of_mixture(mixture), from_words, hidden, weights, mask, None, mixture)
    derived = net.states(tokens, hidden, masks=Masks(hidden=mask))
    torch.testing.assert_close(derived, searched, rtol=0, atol=1e-14)


@pytest.mark.parametrize("is_derived", [True, False])
def test_a_carried_hidden_state_equals_one_long_sequence(is_derived):
    net = gl.network(zoo("recurrent")["DARTS_V2"].genotype, HIDDEN, VOCABULARY).double() if is_derived else supernet()
    arguments = () if is_derived else ({"recurrent": soft_mixture(alpha().detach())},)
    tokens, _ = words()
    whole = net.states(tokens, net.start_state(BATCH), *arguments)
    first = net.states(tokens[:1], net.start_state(BATCH), *arguments)
    second = net.states(tokens[1:], first[-1], *arguments)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=0, atol=1e-13)


def test_running_estimates_are_used_in_evaluation_only_if_they_are_kept():
    values = {"recurrent": soft_mixture(alpha().detach())}
    tokens, _ = words()
    for tracked in (True, False):
        net = supernet(track_running_stats=tracked).train()
        trained = net.states(tokens, net.start_state(BATCH), values)
        evaluated = net.eval().states(tokens, net.start_state(BATCH), values)
        assert torch.allclose(trained, evaluated) != tracked
        assert bool(list(net.buffers())) == tracked


def test_running_estimates_follow_pytorchs_batch_norm():
    """All nine states of every word pass through one module, one after the other."""
    net, layer = supernet(track_running_stats=True).train(), nn.BatchNorm1d(HIDDEN, affine=False).double()
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


def test_only_the_gradients_that_are_asked_for_are_computed_and_nothing_is_kept_without_any():
    net, values, (tokens, targets) = supernet(), alpha(), words()
    for param in net.parameters():
        param.requires_grad_(False)
    outputs = net.states(tokens, net.start_state(BATCH), {"recurrent": soft_mixture(values)})
    run = outputs.grad_fn
    net.loss(outputs, targets).loss.backward()
    assert values.grad is not None and all(param.grad is None for param in net.parameters())
    assert run.record.steps[1].slopes[0].terms is not None
    for param in net.parameters():
        param.requires_grad_(True)
    run = net.states(tokens, net.start_state(BATCH), {"recurrent": soft_mixture(values.detach())}).grad_fn
    assert all(step.slopes[0].terms is None for step in run.record.steps)      # what only alpha would want is not kept
    with torch.no_grad():
        assert net.states(tokens, net.start_state(BATCH), {"recurrent": soft_mixture(values)}).grad_fn is None


def test_backward_can_be_called_twice():
    net, values, (tokens, targets) = supernet(), alpha(), words()
    outputs = net.states(tokens, net.start_state(BATCH), {"recurrent": soft_mixture(values)})
    loss = net.loss(outputs, targets).loss
    first = torch.autograd.grad(loss, [values, net.steps], retain_graph=True)
    second = torch.autograd.grad(loss, [values, net.steps])
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("variant", ["P", "N"])
def test_batch_norm_hides_the_weight_of_a_step_with_one_predecessor_from_gdas_but_not_from_darts(variant):
    """State 1 is w s or w s + a number, and batch norm takes factor and number away; what is left comes from its eps."""
    net, values, (tokens, targets) = supernet(), alpha(), words()
    for mixture, is_hidden in ((gumbel_mixture(values, 1.0, generator(4), variant), True), (soft_mixture(values), False)):
        outputs = net.states(tokens, net.start_state(BATCH), {"recurrent": mixture})
        (gradient,) = torch.autograd.grad(net.loss(outputs, targets).loss, values)
        sizes = gradient.abs().sum(1)
        assert mixture.active[0] != (0,) and (sizes[0] < 1e-3 * sizes[1:].median()) == is_hidden


# --- memory of past passes is used again ---


def gradients_of(net, outputs, targets, retain=False):
    return torch.autograd.grad(net.loss(outputs, targets).loss, [net.steps, net.start, net.embedding], retain_graph=retain)


def place_of(outputs) -> int:
    """Where a pass keeps what its backward pass needs."""
    return outputs.grad_fn.record.steps[3].slopes[0].gates.data_ptr()


def spoil(net) -> None:
    """Overwrite all memory that the model thinks is free."""
    for buffer in net._workspace._free.values():
        buffer.fill_(float("nan"))


SHAPES = [("darts", 4, 5), ("gdas P", 4, 5), ("gdas P", 2, 5), ("darts", 3, 2), ("all none", 4, 5), ("one, soft weight", 4, 5)]


def test_two_graphs_alive_at_once_share_nothing_and_a_third_gets_the_memory_of_a_dead_one():
    net, (tokens, targets) = supernet(), words()
    start, mixtures = net.start_state(BATCH), [soft_mixture(alpha(seed)) for seed in (1, 2)]
    alone = [gradients_of(net, net.states(tokens, start, {"recurrent": mixture}), targets) for mixture in mixtures]
    both = [net.states(tokens, start, {"recurrent": mixture}) for mixture in mixtures]
    with torch.no_grad():
        net.states(tokens[:2], start, {"recurrent": mixtures[0]})
    spoil(net)
    for outputs, expected in zip(both, alone, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(gradients_of(net, outputs, targets), expected, strict=True))
    places = [place_of(outputs) for outputs in both]
    assert len(set(places)) == 2
    del both, outputs
    again = net.states(tokens, start, {"recurrent": mixtures[0]})
    assert place_of(again) in places


def test_outputs_and_gradients_of_a_dead_graph_lie_in_memory_of_their_own():
    net, values, (tokens, targets) = supernet(), alpha(), words()
    hidden = numbers(BATCH, HIDDEN, seed=7).requires_grad_()
    outputs = net.states(tokens, hidden, {"recurrent": soft_mixture(values)})
    carried, loss = outputs[-1].detach(), net.loss(outputs, targets).loss
    found = [carried, *torch.autograd.grad(loss, [*net.parameters(), hidden, values])]
    kept = [tensor.clone() for tensor in found]
    del outputs, loss
    gc.collect()
    assert net._workspace._free
    spoil(net)
    assert all(torch.equal(a, b) for a, b in zip(found, kept, strict=True))


def test_passes_of_changing_size_and_mixture_equal_those_in_new_memory():
    """Memory that comes from a larger pass, of other candidates, with and without alpha's gradient, in evaluation."""
    used = supernet()
    for name, length, batch in SHAPES * 2:
        for wants_alpha in (True, False):
            values, (tokens, targets) = alpha(), (part[:length, :batch] for part in words())
            fresh, found = supernet(), []
            spoil(used)
            for net in (fresh, used):
                mixture = MIXTURES[name](values if wants_alpha else values.detach())
                outputs = net.states(tokens, net.start_state(batch), {"recurrent": mixture})
                with torch.no_grad():
                    evaluated = net.states(tokens, net.start_state(batch), {"recurrent": mixture})
                variables = [net.steps, net.start, *([values] if wants_alpha and mixture.weights.requires_grad else [])]
                loss = net.loss(outputs, targets).loss
                found.append([outputs.detach(), evaluated, *torch.autograd.grad(loss, variables)])
            assert all(torch.equal(a, b) for a, b in zip(*found, strict=True)), (name, length, batch, wants_alpha)


def test_a_retained_graph_keeps_its_memory():
    net, (tokens, targets) = supernet(), words()
    outputs = net.states(tokens, net.start_state(BATCH), {"recurrent": soft_mixture(alpha())})
    first = gradients_of(net, outputs, targets, retain=True)
    other = net.states(tokens, net.start_state(BATCH), {"recurrent": soft_mixture(alpha(2))})
    assert place_of(other) != place_of(outputs)
    del other
    spoil(net)
    assert all(torch.equal(a, b) for a, b in zip(gradients_of(net, outputs, targets), first, strict=True))


def test_a_pass_that_fails_gives_its_memory_back_and_the_next_one_is_right(monkeypatch):
    net, (tokens, targets), mixture = supernet(), words(), soft_mixture(alpha().detach())
    run = lambda: net.states(tokens, net.start_state(BATCH), {"recurrent": mixture})    # noqa: E731
    expected = gradients_of(net, run(), targets)
    for broken in ("all_activations", "BackwardPass"):
        with monkeypatch.context() as patch:
            def fail(*_, **__):
                raise KeyboardInterrupt
            patch.setattr(recurrent_sequence, broken, fail)
            with pytest.raises(KeyboardInterrupt):
                gradients_of(net, run(), targets)
        gc.collect()
        spoil(net)
        assert all(torch.equal(a, b) for a, b in zip(gradients_of(net, run(), targets), expected, strict=True))
    outputs = run()     # a graph that nobody differentiates
    place = place_of(outputs)
    del outputs
    assert place_of(run()) == place


def test_models_and_their_copies_share_no_memory():
    net, (tokens, targets), mixture = supernet(), words(), soft_mixture(alpha().detach())
    gradients_of(net, net.states(tokens, net.start_state(BATCH), {"recurrent": mixture}), targets)
    copied = copy.deepcopy(net)
    assert net._workspace._free and not copied._workspace._free
    pair = [model.states(tokens, model.start_state(BATCH), {"recurrent": mixture}) for model in (net, copied)]
    found = [gradients_of(model, outputs, targets) for model, outputs in zip((net, copied), pair, strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert "workspace" not in " ".join(net.state_dict())


@pytest.mark.parametrize("products", ["each", "step"])
def test_the_benchmarks_reference_computes_the_same_step(products):
    net, values = supernet(), alpha()
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


def test_second_order_product_through_the_fast_cell_equals_exact_double_differentiation(monkeypatch):
    """Differences of the fast cell's first derivatives against two derivatives of the slow one."""
    monkeypatch.setattr(second_order, "RADIUS", 1e-5)
    net, values, (tokens, targets) = supernet(), alpha(), words()
    masks, params = random_masks(net), list(net.parameters())
    start = net.start_state(BATCH)

    def exact_loss():
        return slow_loss(net, slow_outputs(net, tokens, start, masks, soft_mixture(values)), targets, masks)

    gradient = torch.autograd.grad(exact_loss(), params, create_graph=True)
    u = [g.detach() for g in gradient]
    (exact,) = torch.autograd.grad(sum((g * d).sum() for g, d in zip(gradient, u, strict=True)), values)
    (found,) = hessian_vector_product(
        lambda: fast_loss(net, net.states(tokens, start, {"recurrent": soft_mixture(values)}, masks=masks), targets, masks),
        params, [values], [param.detach().clone() for param in params], u)
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("mode", ["batch", "batch, tracked", "running"])
def test_batch_norm_equals_pytorchs_in_value_and_gradient(mode):
    raw, g = numbers(BATCH, HIDDEN, scale=3.0).requires_grad_(), numbers(BATCH, HIDDEN, seed=1)
    is_tracked, uses_batch = mode != "batch", mode != "running"
    estimates = [(numbers(HIDDEN, seed=2), numbers(HIDDEN, seed=3).exp()) if is_tracked else (None, None) for _ in range(2)]
    mean, var = (None if part is None else part.clone() for part in estimates[0])
    expected = F.batch_norm(raw, mean, var, training=uses_batch, momentum=0.1, eps=1e-5)
    (gradient,) = torch.autograd.grad(expected, raw, g)
    norm = Norm(*estimates[1], uses_batch)
    made, state, rstd = Normaliser(norm, raw.detach()), torch.empty_like(g), torch.empty_like(g[0])
    made.forward(raw.detach(), state, rstd)
    torch.testing.assert_close(state, expected.detach(), rtol=0, atol=1e-13)
    torch.testing.assert_close(made.backward(g, state, rstd), gradient, rtol=0, atol=1e-13)
    if is_tracked:
        torch.testing.assert_close((norm.mean, norm.var), (mean, var), rtol=0, atol=1e-13)


def test_batch_norm_of_a_single_sequence_gives_zeros():
    """With one sample the batch's variance is 0, so PyTorch's formula makes every normalised state 0."""
    net, tokens = supernet(), words()[0][:, :1]
    outputs = net.states(tokens, net.start_state(1), {"recurrent": soft_mixture(alpha().detach())})
    assert outputs.abs().max() < 1e-12
