"""The two updates: who changes, who does not, and each documented option."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from gdas_lite.runs.schedules import cosine_learning_rate
from gdas_lite.search.algorithms import DARTS, GDAS, RandomSearch, Sampler, algorithm_named
from gdas_lite.search.recipes import SearchRecipe, search_recipe
from gdas_lite.search.updates import Bilevel, classification
from gdas_lite.spaces.nasbench201 import NASBench201

SPACE = NASBench201(2, 1)


def alpha_step(state: Bilevel, mixtures, batch):
    gradients, outcome = state.updates.alpha_gradient(state, mixtures, batch)
    state.updates.apply(state, gradients)
    return outcome


def state_of(recipe: SearchRecipe | None = None, seed: int = 0) -> Bilevel:
    recipe = recipe or SearchRecipe()
    torch.manual_seed(seed)
    supernet = SPACE.supernet(4)
    alphas = {"cell": nn.Parameter(1e-3 * torch.randn(6, 5))}
    sgd = torch.optim.SGD(supernet.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    adam = torch.optim.Adam(alphas.values(), 0.01, betas=(0.5, 0.999), weight_decay=1e-3)
    return Bilevel(supernet, alphas, sgd, adam, recipe, classification)


def batch(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(8, 3, 8, 8, generator=generator), torch.randint(4, (8,), generator=generator)


def weights(state: Bilevel) -> list[torch.Tensor]:
    return [param.detach().clone() for param in state.net_params]


def draw(seed: int = 0, tau: float = 1.0) -> Sampler:
    return Sampler(SPACE, tau, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("algorithm", [GDAS(), DARTS(1)])
def test_a_weight_step_leaves_alpha_bit_identical_and_an_alpha_step_the_weights(algorithm):
    state = state_of()
    alpha = state.alphas["cell"].detach().clone()
    before = weights(state)
    state.updates.weight_step(state, algorithm.mixtures(state.constants(), draw()), batch(0))
    assert torch.equal(state.alphas["cell"], alpha)
    assert any(not torch.equal(a, b) for a, b in zip(before, weights(state), strict=True))
    after = weights(state)
    grads = [None if param.grad is None else param.grad.clone() for param in state.net_params]
    alpha_step(state, algorithm.mixtures(state.alphas, draw()), batch(1))
    assert all(torch.equal(a, b) for a, b in zip(after, weights(state), strict=True))
    assert not torch.equal(state.alphas["cell"], alpha)
    for param, grad in zip(state.net_params, grads, strict=True):       # no weight gradient was computed either
        assert param.requires_grad
        assert (param.grad is None) == (grad is None) and (grad is None or torch.equal(param.grad, grad))


def test_alpha_and_weights_are_disjoint_in_the_optimisers():
    state = state_of()
    lower = {id(param) for group in state.sgd.param_groups for param in group["params"]}
    upper = {id(param) for group in state.adam.param_groups for param in group["params"]}
    assert not lower & upper and len(upper) == 1


def test_the_loss_and_the_right_answers_of_a_batch_are_counted_image_by_image():
    state = state_of()
    mixtures, (x, y) = DARTS().mixtures(state.alphas, draw()), batch(0)
    found, logits = state.objective(state.supernet, mixtures, (x, y)), state.supernet(x, mixtures).tolist()
    assert found.correct.item() == sum(row.index(max(row)) == label for row, label in zip(logits, y.tolist(), strict=True)) > 0
    torch.testing.assert_close(found.loss, -torch.tensor(logits).log_softmax(1)[range(8), y].mean())


@pytest.mark.parametrize("scope, is_same", [("weights", True), ("weights_and_alpha", False)])
def test_alphas_gradient_enters_the_clipped_norm_only_if_asked(scope, is_same):
    """AutoDL-Projects and NASLib clip over all parameters, so a large stale gradient of alpha shrinks the weight step."""
    recipe = SearchRecipe(clip_scope=scope)
    results = []
    for stale in (0.0, 1e6):
        state = state_of(recipe)
        state.alphas["cell"].grad = torch.full((6, 5), stale)
        alphas = state.alphas if scope == "weights_and_alpha" else state.constants()
        state.updates.weight_step(state, GDAS().mixtures(alphas, draw()), batch(0))
        results.append(weights(state))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True)) == is_same


def test_weights_that_were_frozen_before_stay_frozen_after_an_alpha_step():
    state = state_of()
    state.supernet.stem.requires_grad_(False)
    alpha_step(state, DARTS().mixtures(state.alphas, draw()), batch(0))
    asked = {name: param.requires_grad for name, param in state.supernet.named_parameters()}
    assert asked == {name: not name.startswith("stem") for name in asked}


def test_frozen_weights_take_no_part_in_the_virtual_step_either():
    state = state_of(SearchRecipe(update_order="alpha_first"))
    state.supernet.stem.requires_grad_(False)
    before, alpha = weights(state), state.alphas["cell"].detach().clone()
    for _ in range(2):
        DARTS(2).step(state, batch(0), batch(1), draw())
    stays = [torch.equal(a, b) for a, b in zip(before, weights(state), strict=True)]
    names = [name for name, _ in state.supernet.named_parameters()]
    assert [name for name, same in zip(names, stays) if same] == [name for name in names if name.startswith("stem")]
    assert not torch.equal(state.alphas["cell"], alpha)


def test_clipping_bounds_the_gradient_norm_and_none_leaves_it():
    norms = {}
    for clip in (1e-3, None):
        state = state_of(SearchRecipe(grad_clip_norm=clip))
        state.updates.weight_step(state, DARTS().mixtures(state.constants(), draw()), batch(0))
        norms[clip] = torch.stack([p.grad.norm() for p in state.net_params if p.grad is not None]).norm().item()
    assert norms[1e-3] == pytest.approx(1e-3, rel=1e-3) and norms[None] > 0.01


@pytest.mark.parametrize("undrawn, moves", [("decay", True), ("skip", False)])
def test_candidates_that_were_drawn_before_decay_or_are_skipped(undrawn, moves):
    """PyTorch 2's zero_grad changes the training of sampled supernets; the option says which of the two happens."""
    state = state_of(SearchRecipe(undrawn=undrawn))
    conv = {row: state.supernet.stages[0][0].edges[row][3].conv.weight for row in range(6)}
    with_conv = SPACE.mixtures(SPACE.derive({"cell": one_hot([3] * 6)}))
    with_pool = SPACE.mixtures(SPACE.derive({"cell": one_hot([4] * 6)}))
    state.updates.weight_step(state, with_conv, batch(0))
    before = conv[0].detach().clone()
    state.updates.weight_step(state, with_pool, batch(1))
    assert torch.equal(conv[0], before) != moves
    never = state.supernet.stages[0][0].edges[0][2].conv.weight     # nor_conv_1x1: never drawn, left alone in both
    assert torch.equal(never, state_of().supernet.stages[0][0].edges[0][2].conv.weight)


def one_hot(columns: list[int]) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(columns), 5).float()


@pytest.mark.parametrize("order", ["weights_first", "alpha_first"])
def test_order_of_the_updates(order):
    """With weights first, the alpha step sees the new weights; with alpha first, the weight step sees the new alpha."""
    state = state_of(SearchRecipe(update_order=order))
    DARTS(1).step(state, batch(0), batch(1), draw())
    by_hand = state_of(SearchRecipe(update_order=order))
    steps = [lambda: by_hand.updates.weight_step(by_hand, DARTS().mixtures(by_hand.constants(), draw()), batch(0)),
             lambda: alpha_step(by_hand, DARTS().mixtures(by_hand.alphas, draw()), batch(1))]
    for step in steps if order == "weights_first" else reversed(steps):
        step()
    assert torch.equal(state.alphas["cell"], by_hand.alphas["cell"])
    assert all(torch.equal(a, b) for a, b in zip(weights(state), weights(by_hand), strict=True))
    other = state_of(replace(state.recipe, update_order="alpha_first" if order == "weights_first" else "weights_first"))
    DARTS(1).step(other, batch(0), batch(1), draw())
    assert not torch.equal(state.alphas["cell"], other.alphas["cell"])


@pytest.mark.parametrize("redraw", [True, False])
def test_new_draw_or_the_same_for_the_alpha_step(redraw):
    drawn = []

    class Watched(GDAS):
        def mixtures(self, alphas, draw):
            mixtures = super().mixtures(alphas, draw)
            drawn.append(mixtures["cell"].active)
            return mixtures

    state = state_of(SearchRecipe(redraw=redraw))
    source = draw(3)
    for seed in range(4):
        Watched().step(state, batch(seed), batch(seed + 10), source)
    pairs = list(zip(drawn[::2], drawn[1::2], strict=True))
    assert all(a == b for a, b in pairs) != redraw
    assert len(set(drawn)) > 2


def test_second_order_step_uses_the_optimisers_own_settings_and_changes_both_levels():
    state = state_of(SearchRecipe(update_order="alpha_first"))
    trained, validated = DARTS(2).step(state, batch(0), batch(1), draw())
    trained, validated = DARTS(2).step(state, batch(0), batch(1), draw())     # now with a momentum buffer
    assert torch.isfinite(trained.loss) and torch.isfinite(validated.loss)
    assert 0 <= validated.correct.item() <= 8
    first = state_of(SearchRecipe(update_order="alpha_first"))
    for _ in range(2):
        DARTS(1).step(first, batch(0), batch(1), draw())
    assert not torch.equal(first.alphas["cell"], state.alphas["cell"])


@pytest.mark.parametrize("update_order", ["weights_first", "alpha_first"])
def test_second_order_runs_in_both_orders(update_order):
    state = state_of(SearchRecipe(update_order=update_order))
    before = state.alphas["cell"].detach().clone()
    DARTS(2).step(state, batch(0), batch(1), draw())
    assert not torch.equal(before, state.alphas["cell"])


def test_random_search_has_no_alpha_step():
    state = state_of()
    before = state.alphas["cell"].detach().clone()
    trained, validated = RandomSearch().step(state, batch(0), batch(1), draw())
    assert validated is None and torch.isfinite(trained.loss) and torch.equal(before, state.alphas["cell"])


def test_loss_that_does_not_depend_on_alpha_gives_a_zero_gradient():
    """All edges drew `none` in variant P: nothing of alpha reaches the loss."""
    state = state_of()
    with torch.no_grad():
        state.alphas["cell"][:, 0] = 100.0
    before = state.alphas["cell"].detach().clone()
    alpha_step(state, GDAS(variant="P").mixtures(state.alphas, draw()), batch(0))
    assert torch.equal(state.alphas["cell"].grad, torch.zeros(6, 5))
    assert (state.alphas["cell"] - before).abs().max() < 0.02      # Adam's step from weight decay alone


def test_learning_rate_schedule_of_the_published_search():
    values = {epoch: cosine_learning_rate(0.025, 0.001, epoch, 250) for epoch in (0, 1, 125, 249)}
    assert values == pytest.approx({0: 0.025, 1: 0.024999053, 125: 0.013, 249: 0.0010009475}, abs=5e-10)


def test_published_recipes():
    gdas = search_recipe("paper", "nasbench201", "gdas")
    assert (gdas.epochs, gdas.batch_size, gdas.learning_rate, gdas.weight_decay) == (250, 64, 0.025, 5e-4)
    assert (gdas.alpha_learning_rate, gdas.alpha_betas, gdas.alpha_weight_decay) == (3e-4, (0.5, 0.999), 1e-3)
    assert gdas.update_order == "weights_first" and gdas.nesterov and gdas.grad_clip_norm == 5
    second = search_recipe("paper", "nasbench201", "darts-v2")
    assert (second.epochs, second.update_order) == (50, "alpha_first")
    assert search_recipe("paper", "nasbench201", "darts-v1").update_order == "weights_first"
    assert search_recipe("lesson", "nasbench201", "gdas", epochs=3).epochs == 3


@pytest.mark.parametrize("algorithm", ["gdas", "darts-v1", "darts-v2", "random"])
def test_alpha_enters_the_clipped_norm_in_nasbench201s_published_searches_alone(algorithm):
    """Theirs is the code that clips both; lessons stay as the compiled loops take them, other spaces as DARTS' code does."""
    asked = "weights" if algorithm == "random" else "weights_and_alpha"     # random search has no alpha
    assert search_recipe("paper", "nasbench201", algorithm).clip_scope == asked
    others = [("lesson", "nasbench201"), ("smoke", "nasbench201"), ("paper", "nasnet"), ("paper", "recurrent")]
    assert {search_recipe(size, space, algorithm).clip_scope for size, space in others} == {"weights"}


@pytest.mark.parametrize("make, sentence", [
    (lambda: GDAS(tau=(10, 0)), "tau must be a finite number > 0"), (lambda: GDAS(tau=(-1, 1)), "tau must be"),
    (lambda: GDAS(variant="X"), "variant must be"), (lambda: DARTS(3), "order 1 or 2"),
    (lambda: RandomSearch(samples=0), "samples"), (lambda: algorithm_named("gadas"), "unknown algorithm 'gadas'"),
    (lambda: search_recipe("big", "nasbench201", "gdas"), "unknown recipe 'big'"),
    (lambda: search_recipe("paper", "nasbench301", "gdas"), "no search recipe for the space 'nasbench301'; there are nasb"),
    (lambda: SearchRecipe(epochs=0), "epochs must be at least 1"),
    (lambda: SearchRecipe(clip_scope="all"), "clip_scope must be one of"),
    (lambda: SearchRecipe(learning_rate_end=1.0), "learning rate falls"),
    (lambda: SearchRecipe(grad_clip_norm=0), "grad_clip_norm must be > 0"),
])
def test_bad_settings_are_refused_with_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
