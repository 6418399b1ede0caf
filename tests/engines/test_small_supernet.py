"""The compiled supernet against PyTorch's in double precision: the same weights, images and mixtures."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.nn.utils import parametrize

import gdas_lite as gl
from gdas_lite.relaxation import Mixture, gumbel_mixture, soft_mixture

pytest.importorskip("numba", reason="the compiled loops need numba (extra `fast`)")

from gdas_lite.engines.cpu.small.supernet import CompiledSupernet
from gdas_lite.engines.cpu.small.updates import CompiledUpdates
from gdas_lite.runs.meters import StepResult
from gdas_lite.search.recipes import SearchRecipe
from gdas_lite.search.updates import Bilevel, classification

OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
CELLS = (
    *((op,) * 6 for op in OPS),
    ("nor_conv_1x1", "avg_pool_3x3", "skip_connect", "none", "nor_conv_3x3", "avg_pool_3x3"),
    ("none", "skip_connect", "nor_conv_3x3", "avg_pool_3x3", "skip_connect", "nor_conv_1x1"),     # node 1 is zero
    ("nor_conv_3x3", "none", "none", "skip_connect", "none", "none"),                             # node 1 leads nowhere
    ("none", "none", "nor_conv_1x1", "none", "skip_connect", "none"),                             # nothing but zeros reaches
)
SIZES = ((4, 1, 8, 7), (2, 2, 8, 33), (6, 1, 12, 5))


def hard(ops: tuple[str, ...], variant: str) -> Mixture:
    """As GDAS draws it: the value is one-hot, the gradient is asked for."""
    space = gl.NASBench201(2, 1)
    mixture = space.mixtures(gl.NASBench201Genotype(ops))["cell"]
    return replace(mixture, weights=mixture.weights.requires_grad_(), adds_unsampled=variant == "N")


def soft() -> Mixture:
    return soft_mixture(torch.randn(6, 5, generator=torch.Generator().manual_seed(5)).requires_grad_())


def compare(mixture: Mixture, channels: int, cells_per_stage: int, side: int, count: int, tracked: bool = False
            ) -> None:
    torch.manual_seed(0)
    supernet = gl.NASBench201(channels, cells_per_stage, track_running_stats=tracked).supernet(10, 1).train()
    for module in supernet.modules():       # scales and shifts that are not 1 and 0
        if isinstance(module, torch.nn.BatchNorm2d) and module.affine:
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    exact = copy.deepcopy(supernet).double()
    x, y = torch.randn(count, 1, side, side), torch.randint(10, (count,))
    weights = mixture.weights.detach().double().requires_grad_()
    logits = exact(x.double(), {"cell": replace(mixture, weights=weights)})
    loss = F.cross_entropy(logits, y)
    loss.backward()

    fused = CompiledSupernet(supernet, side)
    flat = np.ascontiguousarray(x.permute(1, 2, 3, 0).reshape(-1, count).numpy())
    total, correct = fused.forward(flat, y.numpy(), mixture)
    assert total / count == pytest.approx(loss.item(), rel=1e-5)
    assert correct == (logits.argmax(-1) == y).sum()
    fused.learn()
    params = list(exact.parameters())
    wanted = np.concatenate([np.zeros(p.numel()) if p.grad is None else p.grad.numpy().reshape(-1) for p in params])
    assert np.abs(fused.flat.gradient - wanted).max() < 2e-4 * np.abs(wanted).max()
    assert fused.flat.reached.tolist() == [p.grad is not None for p in params]

    alone, reached = fused.flat.gradient.copy(), fused.flat.reached.copy()
    fused.flat.gradient.fill(1)
    fused.forward(flat, y.numpy(), mixture)
    of_weights = fused.mixture_gradient(learns=tracked)
    assert not tracked or np.array_equal(fused.flat.gradient, alone)
    assert np.array_equal(fused.flat.reached, reached)
    wanted = np.zeros((6, 5)) if weights.grad is None else weights.grad.numpy()
    assert np.abs(of_weights - wanted).max() <= 2e-4 * max(np.abs(wanted).max(), 0.05)
    twice = copy.deepcopy(exact)
    with torch.no_grad():                   # the second forward pass moved the running estimates once more
        twice(x.double(), {"cell": replace(mixture, weights=weights)})
    for (name, there), here in zip(twice.named_buffers(), supernet.buffers(), strict=True):
        assert torch.allclose(there.to(here.dtype), here, atol=1e-5), name


@pytest.mark.parametrize("ops", CELLS, ids="-".join)
@pytest.mark.parametrize("variant", ["P", "N"])
def test_loss_gradients_and_estimates_are_those_of_pytorch(ops, variant):
    for size in SIZES[:2] if "nor_conv_3x3" in ops else SIZES[2:]:
        compare(hard(ops, variant), *size)


@pytest.mark.parametrize("ops", CELLS[-4:], ids="-".join)
def test_running_estimates_see_what_leads_nowhere_and_zeros(ops):
    compare(hard(ops, "N"), *SIZES[2], tracked=True)


@pytest.mark.parametrize("size", SIZES)
def test_every_candidate_at_once_with_its_weight(size):
    compare(soft(), *size)


def test_every_candidate_at_once_with_running_estimates():
    compare(soft(), *SIZES[2], tracked=True)


def test_the_weights_stay_the_supernets_own():
    supernet = gl.NASBench201(2, 1).supernet(10, 1)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    fused = CompiledSupernet(supernet, 8)
    assert all(torch.equal(before[name], value) for name, value in supernet.state_dict().items())
    fused.flat.theta.fill(0.5)
    assert all((param == 0.5).all() for param in supernet.parameters())


def test_a_draw_is_planned_once_for_all_cells():
    from gdas_lite.engines.cpu.nasbench201 import Plan
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        mixture = gumbel_mixture(torch.zeros(6, 5), 1.0, generator, "N")
        plan = Plan(mixture)
        running = [(run.row, run.column) for runs in plan.runs for run in runs]
        assert all(mixture.active[row] == (column,) and OPS[column] != "none" for row, column in running)
        assert {place[0] for places in plan.unsampled for place in places} == set(range(6))
        assert sum(map(len, plan.unsampled)) == 6 * 4


@pytest.mark.parametrize(("undrawn_decays", "nesterov", "clip"), [(True, True, 0.5), (False, False, 0.5), (True, False, None)])
def test_the_flat_step_is_sgd_with_clipping(undrawn_decays, nesterov, clip):
    """Against torch.optim.SGD, with gradients that come and go: None before the first, zeros or None afterwards."""
    from gdas_lite.engines.cpu.small.flat import FlatParameters
    torch.manual_seed(0)
    plain = torch.nn.ModuleList([torch.nn.Linear(3, 2), torch.nn.Conv2d(2, 4, 3, bias=False), torch.nn.Linear(1, 1)])
    module = copy.deepcopy(plain)
    flat = FlatParameters(module)
    settings = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05, "nesterov": nesterov}
    wanted, found = (torch.optim.SGD(one.parameters(), **settings) for one in (plain, module))
    for reached in ((0, 1), (1, 2), (2,), (0, 1, 2, 3), (1,)):
        wanted.zero_grad(set_to_none=not undrawn_decays)
        flat.clear()
        for index, param in enumerate(plain.parameters()):
            if index in reached:
                param.grad = torch.randn_like(param)
                flat.views(flat.params[index], *param.shape)[1][:] = param.grad.numpy()
                flat.reached[index] = True
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(plain.parameters(), clip)
        wanted.step()
        flat.step(found, clip, undrawn_decays)
        for here, there in zip(module.parameters(), plain.parameters(), strict=True):
            assert torch.allclose(here, there, atol=1e-6)
            there_too = wanted.state.get(there, {}).get("momentum_buffer")
            here_too = found.state.get(here, {}).get("momentum_buffer")
            assert (there_too is None) == (here_too is None)
            assert there_too is None or torch.allclose(there_too, here_too, atol=1e-6)
    found.param_groups[0]["lr"] = 0.0       # another one takes over and has all of it
    again = FlatParameters(module)
    again.load_optimizer_state(found)
    assert np.allclose(again.velocity, flat.velocity) and again.velocity.any()


def converted(state: Bilevel) -> Bilevel:
    state.supernet.double().float()
    return state


def loaded(state: Bilevel) -> Bilevel:
    saved = copy.deepcopy(state.sgd.state_dict())
    for kept in saved["state"].values():
        kept["momentum_buffer"] *= 0.5
    state.sgd.load_state_dict(saved)
    return state


def assigned(state: Bilevel) -> Bilevel:
    for one in (*state.supernet.parameters(), *state.supernet.buffers()):
        one.data = 1.01 * one.data if one.is_floating_point() else one.data.clone()
    return state


def with_frozen_weights(state: Bilevel) -> Bilevel:
    for param in list(state.supernet.parameters())[::2]:
        param.requires_grad_(False)
    return state


def with_hooks(state: Bilevel) -> Bilevel:
    for norm in state.supernet.reductions[0].children():
        norm.register_forward_hook(lambda module, inputs, out: 1.1 * out)
    state.supernet.stages[1][0].register_full_backward_pre_hook(lambda module, slopes: (0.9 * slopes[0],))
    return state


def with_another_module(state: Bilevel) -> Bilevel:
    state.supernet.reductions[0] = copy.deepcopy(state.supernet.reductions[0])
    state.supernet.reductions[0].conv_a.weight.data *= 1.5
    state.net_params        # noqa: B018  both know what is clipped
    return state


def with_parametrized_weights(state: Bilevel) -> Bilevel:
    parametrize.register_parametrization(state.supernet.reductions[0].conv_a, "weight", torch.nn.Softsign())
    return state


def set_on_norms(**settings: object):
    def change(state: Bilevel) -> Bilevel:
        for module in state.supernet.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                vars(module).update(settings)
        return state
    change.__name__ = str(settings)
    return change


def smoothed(supernet, mixtures, batch) -> StepResult:
    logits = supernet(batch[0], mixtures)
    return StepResult(F.cross_entropy(logits, batch[1], label_smoothing=0.5), (logits.argmax(-1) == batch[1]).sum())


def with_another_objective(state: Bilevel) -> Bilevel:
    state.objective = smoothed
    return state


def with_two_rates(state: Bilevel) -> Bilevel:
    params = state.sgd.param_groups[0]["params"]
    state.sgd.param_groups[0]["params"] = params[:9]
    state.sgd.add_param_group({"params": params[9:], "lr": 0.01})
    return state


MOVES = [converted, loaded, assigned, with_frozen_weights, with_hooks, with_another_module, with_another_objective,
         with_two_rates, with_parametrized_weights, set_on_norms(training=False), set_on_norms(momentum=0.5),
         set_on_norms(eps=0.1), set_on_norms(track_running_stats=False)]


@pytest.mark.parametrize("undrawn, move", [("skip", copy.deepcopy),      # a copy has no gradients, of zeros neither
                                           *itertools.product(("skip", "decay"), MOVES)],
                         ids=lambda value: getattr(value, "__name__", value))
def test_what_was_changed_between_two_steps_is_found(move, undrawn):
    torch.manual_seed(0)
    space, alphas = gl.NASBench201(2, 1, track_running_stats=True), {"cell": torch.nn.Parameter(torch.randn(6, 5))}
    recipe, supernet = SearchRecipe(learning_rate=0.1, undrawn=undrawn), space.supernet(10, 1)
    sides = []
    for is_compiled in (True, False):
        net = copy.deepcopy(supernet)
        sgd = torch.optim.SGD(net.parameters(), 0.1, recipe.momentum, 0, recipe.weight_decay, recipe.nesterov)
        sides.append(Bilevel(net, alphas, sgd, torch.optim.Adam(alphas.values()), recipe, classification))
        if is_compiled:
            sides[-1].updates = CompiledUpdates(sides[-1], 8)
    for step in range(3):
        batch, mixture = (torch.randn(5, 1, 8, 8), torch.arange(5)), {"cell": hard(CELLS[5 + step % 2], "P")}
        results = [state.updates.weight_step(state, mixture, batch) for state in sides]
        assert results[0].loss.item() == pytest.approx(results[1].loss.item(), rel=1e-4)
        sides = [move(state) for state in sides] if step == 0 else sides
    found, wanted = (state.supernet.state_dict() for state in sides)
    for name in wanted:
        assert torch.allclose(found[name], wanted[name], rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize("images, label, error", [
    (1, 0, "more than 1 value"), (2, 10, "out of bounds"), (2, -1, "out of bounds")])
def test_batches_that_pytorch_refuses_are_refused(images, label, error):
    """Four pixels a side become one."""
    torch.manual_seed(0)
    alphas, net = {"cell": torch.nn.Parameter(torch.randn(6, 5))}, gl.NASBench201(2, 1).supernet(10, 1)
    sgd = torch.optim.SGD(net.parameters(), 0.1, 0.9)
    state = Bilevel(net, alphas, sgd, torch.optim.Adam(alphas.values()), SearchRecipe(), classification)
    state.updates = CompiledUpdates(state, 4)
    batch = torch.randn(images, 1, 4, 4), torch.full((images,), label)
    with pytest.raises((ValueError, IndexError), match=error):
        state.updates.weight_step(state, {"cell": hard(CELLS[5], "P")}, batch)


def test_second_derivatives_are_refused_and_weights_that_share_memory():
    alphas, net = {"cell": torch.nn.Parameter(torch.randn(6, 5))}, gl.NASBench201(2, 1).supernet(10, 1)
    sgd = torch.optim.SGD(net.parameters(), 0.1, 0.9)
    state = Bilevel(net, alphas, sgd, torch.optim.Adam(alphas.values()), SearchRecipe(), classification)
    state.updates = CompiledUpdates(state, 8)
    batch, mixture = (torch.randn(5, 1, 8, 8), torch.arange(5)), {"cell": soft()}
    with pytest.raises(RuntimeError, match="has no gradient itself"):
        torch.autograd.grad(state.updates.loss(state, mixture, batch).loss, mixture["cell"].weights, create_graph=True)
    edges = net.stages[0][0].edges
    edges[0][3].conv.weight.data = edges[1][3].conv.weight.data
    with pytest.raises(ValueError, match="share their memory"):
        state.updates.weight_step(state, mixture, batch)


def test_weights_that_are_not_finite_show_in_the_loss():
    supernet = gl.NASBench201(2, 1).supernet(10, 1)
    fused = CompiledSupernet(supernet, 8)
    with torch.no_grad():
        supernet.stem[0].weight[0, 0, 0, 0] = float("nan")
    loss, _ = fused.forward(np.ones((64, 4), np.float32), np.zeros(4, np.int64), hard(("nor_conv_1x1",) * 6, "N"))
    assert np.isnan(loss)


@pytest.mark.parametrize("engine", ["plain", "layers", "cpu"])
@pytest.mark.parametrize("space", [gl.NASBench201(2, 1), gl.NASBench201(2, 1, track_running_stats=True)], ids=str)
def test_a_search_takes_no_number_of_the_callers_random_generator(space, engine):
    """What an engine builds to compare with would draw its initial weights there."""
    torch.manual_seed(3)
    before = torch.get_rng_state()
    run = gl.Search(space, gl.load_data("digits"), gl.GDAS(), recipe="smoke", engine=engine)
    run.run_epoch()
    run.close()
    assert torch.equal(torch.get_rng_state(), before)
