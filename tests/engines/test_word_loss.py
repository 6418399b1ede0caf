"""The engine's `word_loss` and the plain one against PyTorch's cross entropy."""

from __future__ import annotations

from functools import partial
from itertools import product
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gdas_lite.engines.cpu.engine import numba_obstacle
from gdas_lite.engines.layers import products
from gdas_lite.engines.layers import word_loss as engine
from gdas_lite.engines.layers.word_loss import dropped_word_loss, whole_word_loss
from gdas_lite.spaces import language_model

PATHS = {"plain": language_model.word_loss, "layers": engine.word_loss}


@pytest.mark.parametrize("dtype, atol", [(torch.float32, 1e-5), (torch.float64, 1e-13)], ids=str)
@pytest.mark.parametrize("shape", [*product((0, 1, 5), (0, 1, 7), (0, 1, 16)), (64, 33, 70)], ids=str)
def test_a_product_by_any_library_is_the_product_also_of_nothing(shape, dtype, atol):
    generator, (rows, count, columns) = torch.Generator().manual_seed(0), shape
    x, weight, bias = (torch.randn(*of, generator=generator, dtype=dtype)
                       for of in ((rows, count), (columns, count), (columns,)))
    expected = torch.einsum("mk,nk->mn", x, weight)
    def apart(tensor):
        return torch.stack([tensor, torch.full_like(tensor, 7)], -1)[..., 0]

    for a in (x, x.t().contiguous().t()):
        for b in (weight, weight.t().contiguous().t(), products.packed(weight, rows)):
            torch.testing.assert_close(products.product(a, b), expected, rtol=0, atol=atol)
            for c in (bias, apart(bias)):
                torch.testing.assert_close(products.product(a, b, c), expected + bias, rtol=0, atol=atol)


@pytest.mark.parametrize("answer", ["another number", "other arguments", "no such function"])
def test_a_pytorch_whose_own_product_has_changed_multiplies_by_mm(answer, monkeypatch):
    """It is no public function, so it may change with any version."""
    def changed(x, weight, *rest):
        if answer == "other arguments":
            raise RuntimeError("expected at most 5 arguments")
        return x @ weight.t() + 1

    ops = SimpleNamespace(_reorder_linear_weight=lambda weight, rows: weight)
    if answer != "no such function":
        ops._linear_pointwise = SimpleNamespace(default=changed)
    monkeypatch.setattr(torch.ops, "mkldnn", ops)
    products._linear.cache_clear()
    x, weight = torch.randn(3, 4), torch.randn(2, 4)
    try:
        assert products._linear() is None and products.packed(weight, 3) is weight
        torch.testing.assert_close(products.product(x, weight), x @ weight.t())
        with torch.autocast("cpu", torch.bfloat16):     # kernels read what it says as float32
            assert products.product(x, weight).dtype == products.product(x, weight, weight[:, 0]).dtype == torch.float32
    finally:
        products._linear.cache_clear()


def test_a_sequence_that_keeps_no_unit_and_a_window_of_one_word_in_float32():
    for words in (1, 5):
        outputs, weight = torch.randn(words, 3, 8).requires_grad_(), torch.randn(7, 8).requires_grad_()
        mask, bias, targets = torch.zeros(3, 8), torch.zeros(7, requires_grad=True), torch.randint(7, (words, 3))
        mask[0, [1, 4]] = 4.0
        found = [path(outputs, mask, weight, bias, targets).loss for path in PATHS.values()]
        torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)
        gradients = [torch.autograd.grad(loss, [outputs, weight, bias]) for loss in found]
        torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kept", [None, 0.25])
@pytest.mark.parametrize("path", ["layers", pytest.param("cpu", marks=pytest.mark.skipif(
    numba_obstacle() is not None, reason=f"engine cpu: {numba_obstacle()}"))])
def test_targets_that_pytorch_refuses_are_refused_and_any_mask_counts_as_in_plain_code(path, kept, monkeypatch):
    """Batch first, a word less or more, a sequence less; numbers of another type. Kernels read beyond such targets."""
    loss_of, generator = engine.word_loss, torch.Generator().manual_seed(0)
    if path == "cpu":
        from gdas_lite.engines.cpu import recurrent
        monkeypatch.setattr(recurrent, "FEWEST_LOGITS", 0)
        loss_of = partial(loss_of, block=recurrent.block_loss, dropped=recurrent.dropped_word_loss)
    outputs, weight, bias = (torch.randn(*shape, generator=generator) for shape in ((6, 3, 8), (40, 8), (40,)))
    targets = torch.randint(40, (6, 3), generator=generator)
    mask = None if kept is None else torch.empty(3, 8).bernoulli_(kept, generator=generator) * 4
    for wrong in (targets.t(), targets[:-1], targets[:1], targets[:, :-1], targets.repeat(2, 1), targets.int()):
        for path_of in (language_model.word_loss, loss_of):
            with pytest.raises((RuntimeError, ValueError)):
                path_of(outputs, mask, weight, bias, wrong)
    for other in () if mask is None else (mask, mask[:1], mask.bool(), mask.double().float()):
        torch.testing.assert_close(loss_of(outputs, other, weight, bias, targets),
                                   language_model.word_loss(outputs, other, weight, bias, targets))


@pytest.mark.parametrize("block", [1, 23, 10**6])
def test_word_loss_equals_cross_entropy_in_value_and_every_gradient(monkeypatch, block):
    monkeypatch.setattr(engine, "BLOCK", block)
    torch.manual_seed(0)
    outputs, weight, bias = (nn.Parameter(torch.randn(*shape, dtype=torch.float64)) for shape in ((9, 4), (7, 4), (7,)))
    targets = torch.randint(7, (9,))
    loss, correct = whole_word_loss(outputs, weight, bias, targets)
    logits = outputs @ weight.T + bias
    expected = F.cross_entropy(logits, targets)
    assert abs((loss - expected).item()) < 1e-12 and correct.item() == (logits.argmax(-1) == targets).sum().item()
    for have, want in zip(torch.autograd.grad(3 * loss, [outputs, weight, bias]),
                          torch.autograd.grad(3 * expected, [outputs, weight, bias]), strict=True):
        torch.testing.assert_close(have, want, rtol=0, atol=1e-12)


def test_leaving_dropped_units_out_changes_nothing_but_the_work():
    torch.manual_seed(0)
    outputs, weight, bias = (nn.Parameter(torch.randn(*shape, dtype=torch.float64))
                             for shape in ((5, 3, 8), (7, 8), (7,)))
    mask, targets = torch.zeros(3, 8, dtype=torch.float64), torch.randint(7, (5, 3))
    mask[0, [1, 4]], mask[1, [0, 1, 7]] = 4.0, 4.0      # the third sequence keeps nothing
    loss, correct = dropped_word_loss(outputs, mask, weight, bias, targets)
    logits = (outputs * mask) @ weight.T + bias
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    assert abs((loss - expected).item()) < 1e-12
    chosen = logits.gather(-1, targets[..., None])[..., 0]
    assert correct.item() == (logits.max(-1).values == chosen).sum().item()
    for have, want in zip(torch.autograd.grad(3 * loss, [outputs, weight, bias]),
                          torch.autograd.grad(3 * expected, [outputs, weight, bias]), strict=True):
        torch.testing.assert_close(have, want, rtol=0, atol=1e-12)


@pytest.mark.skipif(numba_obstacle() is not None, reason=f"engine cpu: {numba_obstacle()}")
@pytest.mark.parametrize("words", [5, 16, 33])
@pytest.mark.parametrize("differentiates", [True, False])
def test_the_compiled_loss_of_a_block_equals_that_of_the_layers(words, differentiates, monkeypatch):
    from gdas_lite.engines.cpu import recurrent
    monkeypatch.setattr(recurrent, "FEWEST_LOGITS", 0)
    generator = torch.Generator().manual_seed(words)
    logits, targets = 9 * torch.randn(7, words, generator=generator), torch.randint(words, (7,), generator=generator)
    targets[0], logits[1] = logits[0].argmax(), 0.0
    slopes = logits.double(), logits.clone()
    (loss, correct), found = engine.block_loss(slopes[0], targets, 13, differentiates), recurrent.block_loss(
        slopes[1], targets, 13, differentiates)
    assert found[0].item() == pytest.approx(loss.item(), rel=1e-6) and found[1] == correct >= 2
    if differentiates:
        torch.testing.assert_close(slopes[1].double(), slopes[0], rtol=0, atol=1e-7)
    logits[2, 0] = float("nan")
    assert recurrent.block_loss(logits, targets, 13, differentiates)[0].isnan()
    for wrong in (-1, words):
        with pytest.raises(IndexError, match=f"targets must be from 0 to {words - 1}, here are"):
            recurrent.block_loss(logits, torch.full_like(targets, wrong), 13, differentiates)
    elsewhere = logits.to("meta"), targets.to("meta")       # as on a GPU, whose memory the kernel cannot read
    assert recurrent.block_loss(*elsewhere, 13, differentiates)[0].device.type == "meta"


@pytest.mark.skipif(numba_obstacle() is not None, reason=f"engine cpu: {numba_obstacle()}")
@pytest.mark.parametrize("wanted", ["all", "outputs", "weights", "none"])
@pytest.mark.parametrize("words, vocabulary, threads", [(5, 5, 1), (1, 96, 1), (8, 2500, 2)])
def test_the_compiled_loss_of_kept_units_equals_that_of_the_layers(words, vocabulary, threads, wanted, monkeypatch):
    """The second sequence keeps nothing, the third everything; more sequences than are made at a time."""
    from gdas_lite.engines.cpu import recurrent
    monkeypatch.setattr(recurrent, "FEWEST_LOGITS", 0)
    monkeypatch.setattr(recurrent, "TOGETHER", 3)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    generator = torch.Generator().manual_seed(words)
    given = [torch.randn(*shape, generator=generator) for shape in ((words, 5, 11), (vocabulary, 11), (vocabulary,))]
    mask = torch.empty(5, 11).bernoulli_(0.3, generator=generator) * 2
    mask[1], mask[2] = 0.0, 1.5
    targets, found = torch.randint(vocabulary, (words, 5), generator=generator), []
    for loss_of, kind in ((dropped_word_loss, torch.float64), (recurrent.dropped_word_loss, torch.float32)):
        outputs, weight, bias = (one.to(kind) for one in given)
        variables = {"all": [outputs, weight, bias], "outputs": [outputs], "weights": [weight, bias], "none": []}[wanted]
        for one in variables:
            one.requires_grad_()
        loss, correct = loss_of(outputs, mask.to(kind), weight, bias, targets)
        gradients = torch.autograd.grad(3 * loss, variables) if variables else ()
        found.append([loss.detach().double(), correct, *(one.double() for one in gradients)])
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)
    with pytest.raises(IndexError, match=f"targets must be from 0 to {vocabulary - 1}, here are"):
        recurrent.dropped_word_loss(outputs, mask, weight, bias, torch.full_like(targets, vocabulary))


@pytest.mark.parametrize("path", PATHS)
def test_word_loss_survives_large_logits_and_computes_only_what_is_asked(path):
    weight, bias = torch.tensor([[1e4], [0.0]]), torch.zeros(2)
    outputs = nn.Parameter(torch.tensor([[1.0], [-1.0]]))
    loss, _ = PATHS[path](outputs[:, None], None, weight, bias, torch.tensor([[0], [0]]))
    assert loss.item() == pytest.approx(5e3)
    loss.backward()
    assert torch.isfinite(outputs.grad).all() and weight.grad is None
    with torch.no_grad():
        assert PATHS[path](outputs[:, None], None, weight, bias, torch.tensor([[0], [0]])).loss.grad_fn is None


@pytest.mark.parametrize("kept", [None, 0.0, 0.25, 0.75])
def test_plain_and_engine_agree_at_every_rate_also_where_all_words_are_equally_probable(kept):
    generator = torch.Generator().manual_seed(0)
    outputs, weight = (torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()
                       for shape in ((5, 3, 8), (7, 8)))
    bias = torch.zeros(7, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(7, (5, 3), generator=generator)
    mask = None if kept is None else torch.empty(3, 8, dtype=torch.float64).bernoulli_(kept, generator=generator) * 3
    found = [path(outputs, mask, weight, bias, targets) for path in PATHS.values()]
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)
    assert kept != 0 or found[0].correct == targets.numel()
    gradients = [torch.autograd.grad(each.loss, [outputs, weight, bias]) for each in found]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)
