"""`LanguageTraining`: losses, masks, averaging, exact resume."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import gdas_lite as gl
from gdas_lite.data.text import Streams
from gdas_lite.engines.layers.recurrent import attach_language_model
from gdas_lite.relaxation import uniform_mixture
from gdas_lite.runs.config import RunError
from gdas_lite.runs.resumable import generator_for
from gdas_lite.spaces.language_model import Dropout, Masks, draw_masks, temporal_activation
from gdas_lite.training import language
from gdas_lite.training.evaluation import TextScore, evaluate_text
from gdas_lite.training.language import Average, starts_averaging, swapped
from gdas_lite.training.loading import load_trained
from gdas_lite.training.report import language_report

CELL = gl.zoo_genotype("GDAS", "recurrent")
QUIET = {"dropout_output": 0.0, "dropout_hidden": 0.0, "dropout_cell_input": 0.0, "dropout_embedded_input": 0.0,
         "dropout_word": 0.0}


@pytest.fixture(scope="module")
def text() -> gl.TextData:
    data = gl.load_data("grammar")
    return replace(data, train=data.train[:1300], valid=data.valid[:420], test=data.test[:420])


def training(data, *, epochs: int = 3, cell=CELL, seed: int = 0, out=None, **changes) -> gl.LanguageTraining:
    options = {"epochs": epochs, "batch_size": 8, "bptt": 12, "window_jitter": 2.0, "learning_rate": 2.0} | changes
    model = gl.network(cell, 6, data.vocabulary) if cell is not None else gl.PlainRNN(8, data.vocabulary)
    return gl.LanguageTraining(model, data, recipe=gl.language_recipe("smoke", **options), seed=seed, out=out)


def tensors(run) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in run.tensors().items()}


def assert_same(a, b) -> None:
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


@pytest.mark.parametrize("is_plain", [True, False])
@pytest.mark.parametrize("rate", [0.2, 0.75])
def test_the_models_loss_is_the_same_at_every_rate_of_output_dropout(rate, is_plain):
    model = gl.network(CELL, 6, 9).double()
    if not is_plain:
        attach_language_model(model)
    masks = draw_masks(Dropout(rate, 0, 0, 0, 0), model, 4, torch.Generator().manual_seed(0))
    outputs, targets = torch.randn(3, 4, 6).double(), torch.randint(9, (3, 4))
    logits = (outputs * masks.output) @ model.embedding.T + model.bias
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    assert model.loss(outputs, targets, masks).loss.item() == pytest.approx(expected.item(), abs=1e-12)


def test_masks_have_the_rates_keep_the_mean_and_come_from_the_generator_alone():
    model, rates = gl.network(CELL, 40, 500), Dropout(0.75, 0.25, 0.75, 0.2, 0.1)
    before = torch.get_rng_state()
    masks, again = (draw_masks(rates, model, 200, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    for field, rate, shape in (("words", 0.1, (500, 1)), ("embedded_input", 0.2, (200, 40)), ("output", 0.75, (200, 40)),
                               ("cell_input", 0.75, (200, 40)), ("hidden", 0.25, (200, 40))):
        mask = getattr(masks, field)
        assert mask.shape == shape and torch.equal(mask, getattr(again, field))
        assert set(mask.unique().tolist()) == {0.0, torch.tensor(1 / (1 - rate)).item()}
        assert mask.mean().item() == pytest.approx(1, abs=0.06)
    assert draw_masks(Dropout(0, 0, 0, 0, 0), model, 2, torch.Generator()) == Masks()


def test_masks_are_the_same_at_every_word():
    """A column of the input that is dropped is dropped for the whole sequence: its weights get no gradient."""
    model = gl.network(CELL, 6, 9).double()
    masks = Masks(cell_input=torch.tensor([[0.0, 2, 2, 0, 2, 2]] * 3).double(),
                  hidden=torch.tensor([[2.0, 2, 0, 2, 2, 2]] * 3).double())
    outputs = model.states(torch.randint(9, (7, 3), generator=torch.Generator().manual_seed(0)),
                           torch.ones(3, 6).double(), masks=masks)
    outputs.pow(2).sum().backward()
    from_words, from_hidden = model.start.grad[:6].abs().sum(1), model.start.grad[6:].abs().sum(1)
    assert [i for i in range(6) if from_words[i] == 0] == [0, 3] and [i for i in range(6) if from_hidden[i] == 0] == [2]
    assert [i for i in range(6) if model.steps.grad[:, i].abs().sum() == 0] == [2]


def test_a_dropped_word_is_dropped_wherever_it_stands():
    model = gl.network(CELL, 6, 4).double()
    kept = torch.tensor([[1.0], [0.0], [1.0], [1.0]]).double()
    words = torch.tensor([[1, 2], [3, 1], [1, 1]])
    blank = model.embedding.detach().clone()
    found = model.states(words, model.start_state(2), masks=Masks(words=kept))
    with torch.no_grad():
        model.embedding.copy_(blank * kept)
    assert torch.equal(found, model.states(words, model.start_state(2)))


def test_temporal_activation_by_hand():
    outputs = torch.tensor([[[1.0, 2.0]], [[2.0, 4.0]], [[2.0, 1.0]]])
    assert temporal_activation(outputs).item() == pytest.approx((1 + 4 + 0 + 9) / 4)
    assert temporal_activation(outputs[:1]).item() == 0


def test_evaluation_has_no_dropout_carries_the_state_and_counts_predicted_words(text):
    model = gl.network(CELL, 6, text.vocabulary).train()
    streams = Streams(text.test, 3, 12)
    short, whole = evaluate_text(model, streams, bptt=12), evaluate_text(model, streams, bptt=1000)
    assert model.training and short.count == whole.count == 3 * (len(text.test) // 3 - 1)
    assert short.loss == pytest.approx(whole.loss, rel=1e-6) and short.accuracy == whole.accuracy
    logits, _ = model(streams.rows[:-1])
    expected = F.cross_entropy(logits.flatten(0, 1), streams.rows[1:].flatten())
    assert whole.loss == pytest.approx(expected.item(), rel=1e-6)
    assert whole.perplexity == pytest.approx(math.exp(expected.item()), rel=1e-5)
    assert TextScore(1e5, 0, 1).perplexity == math.inf


def by_hand(run, optimiser) -> tuple[nn.Module, torch.optim.Optimizer, list[tuple[float, float]]]:
    """The epochs of a training written out with PyTorch's own parts; the model is run's twin. And of each epoch loss and
    accuracy."""
    model = gl.network(CELL, 6, run.network.vocabulary)
    model.load_state_dict(run.network.state_dict())
    opt, recipe = optimiser(model.parameters()), run.recipe
    streams, told = Streams(run.data.train, recipe.batch_size, recipe.bptt), []
    for epoch in range(recipe.epochs):
        lengths, noise = (generator_for(0, epoch, purpose) for purpose in ("windows", "dropout"))
        hidden, start, losses, right = torch.zeros(recipe.batch_size, 6), 0, [], []
        while start < len(streams.rows) - 2:
            length = recipe.window_lengths.draw(lengths)
            end = min(start + length, len(streams.rows) - 1)
            masks = draw_masks(recipe, model, recipe.batch_size, noise)
            outputs = model.states(streams.rows[start:end], hidden.detach(), masks=masks)
            logits = F.linear(outputs * masks.output, model.embedding, model.bias).flatten(0, 1)
            targets = streams.rows[start + 1:end + 1].flatten()
            loss = F.cross_entropy(logits, targets)
            losses.append(loss.item())
            right += (logits.argmax(1) == targets).tolist()
            loss = loss + recipe.temporal_activation * (outputs[1:] - outputs[:-1]).pow(2).mean()
            opt.zero_grad()
            loss.backward()
            norm = torch.stack([param.grad.norm() for param in model.parameters()]).norm()
            for param in model.parameters():
                param.grad *= min(1.0, (recipe.grad_clip_norm / (norm + 1e-6)).item())
            opt.param_groups[0]["lr"] = recipe.learning_rate * length / recipe.bptt
            opt.step()
            hidden, start = outputs[-1], start + length
        told.append((sum(losses) / len(losses), 100 * sum(right) / len(right)))
    return model, opt, told


@pytest.mark.parametrize("epochs", [1, 2])
def test_the_epochs_and_their_records_equal_the_loop_written_by_hand(text, epochs):
    run = training(text, epochs=epochs, weight_decay=0.01, temporal_activation=0.1, dropout_word=0.1)
    expected, _, told = by_hand(run, lambda params: torch.optim.SGD(params, 1.0, weight_decay=0.01))
    for record, wanted in zip(run, told, strict=True):
        assert (record.learning_rate, record.train_loss, record.train_accuracy) == (2.0, *(pytest.approx(one, rel=1e-3) for one in wanted))
        assert record.images_per_second * record.seconds == pytest.approx(8 * (len(text.train) // 8 - 1))
    for have, want in zip(run.network.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(have, want, rtol=1e-3, atol=1e-5)


def test_the_average_is_that_of_pytorchs_asgd(text):
    run = training(text, epochs=1, short_window_probability=0.0, window_jitter=0.0)    # a constant rate, as ASGD wants it
    run.average.start()
    expected, opt, _ = by_hand(run, lambda params: torch.optim.ASGD(params, 2.0, lambd=0.0, t0=0, weight_decay=8e-7))
    run.run()
    assert run.average.steps == run.steps_per_epoch > 3
    for have, want, param in zip(run.average.means, expected.parameters(), run.network.parameters(), strict=True):
        torch.testing.assert_close(have, opt.state[want]["ax"], rtol=1e-3, atol=1e-5)
        assert not torch.equal(have, param)


def test_average_by_hand():
    param = nn.Parameter(torch.tensor([5.0]))
    average = Average([param])
    average.add()       # not begun yet
    assert not average.is_running
    average.start()
    for value in (7.0, 1.0, 3.0, 5.0):
        param.data.fill_(value)
        average.add()
    assert average.means[0].item() == 3.0       # of 1, 3, 5: the weights after the first step are forgotten
    with average.in_place():
        assert param.item() == 3.0
    assert param.item() == 5.0
    with pytest.raises(ZeroDivisionError), swapped([param], [torch.tensor([9.0])]):
        _ = 1 / 0
    assert param.item() == 5.0


@pytest.mark.parametrize("losses, latest, starts", [
    ([5, 4, 3, 2, 1], 9, False),                # not more than five recorded
    ([5, 4, 3, 2, 1, 0.5], 4.9, False),         # the minimum of all but the last five is 5
    ([5, 4, 3, 2, 1, 0.5], 5.1, True),
    ([2, 4, 3, 2.5, 2.4, 2.3, 2.2], 2.1, True), ([2, 4, 3, 2.5, 2.4, 2.3, 2.2], 1.9, False),
])
def test_trigger_of_the_averaging(losses, latest, starts):
    assert starts_averaging(losses, latest, 5) == starts


@pytest.mark.parametrize("losses, latest, starts", [
    ([5, 4, 3, 2, 1], 9, False), ([5, 4, 3, 2, 1, 0.5], 0.6, True), ([5, 4, 3, 2, 1, 0.5], 0.4, False)])
def test_trigger_of_the_gdas_authors_compares_with_all_epochs(losses, latest, starts):
    assert starts_averaging(losses, latest, 5, "gdas") == starts
    assert not starts_averaging(losses, 0.6, 5)


def test_a_training_takes_its_recipes_trigger(text, monkeypatch):
    asked = []
    monkeypatch.setattr(language, "starts_averaging", lambda *arguments: asked.append(arguments[3]) or False)
    for trigger in ("gdas", "darts"):
        training(text, epochs=1, averaging_trigger=trigger).run()
    assert asked == ["gdas", "darts"]


# --- a loss that is no number ---

def breaks_in(run, *attempts: tuple[int, int]) -> list[torch.Tensor]:
    """Let the embedding become NaN in step 2 of these (epoch, attempt)s; returns the weights that each attempt begins with."""
    begun, step = [], run._step

    def breaking(window, hidden, noise):
        number = len(run._tally.losses)
        if number == 0:
            begun.append(run.network.start.detach().clone())
        if number == 1 and (run.epochs_done, run._returns) in attempts:
            with torch.no_grad():
                run.network.embedding.fill_(float("nan"))
        return step(window, hidden, noise)

    run._step = breaking
    return begun


def test_a_loss_that_is_no_number_goes_back_to_the_best_epoch_and_says_so(text):
    run = training(text, epochs=3)
    begun = breaks_in(run, (1, 0), (1, 1))
    with pytest.warns(RuntimeWarning, match=r"became nan in epoch 2, step 2; back to the weights of epoch 1, the best so far, "
                      r"and epoch 2 again with other windows and masks \(return [12] of at most 10\)") as said:
        run.run()
    assert len(said) == 2 and [record.returns for record in run.history] == [0, 2, 0]
    twin = training(text, epochs=3)
    twin.run_epoch()
    assert all(torch.equal(twin.network.start, weights) for weights in begun[1:4])
    twin.run_epoch()
    assert not torch.equal(begun[4], twin.network.start)        # other windows and masks: else it would end the same way
    assert math.isfinite(run.result["test"].loss)


def test_it_is_the_best_epoch_and_its_average_that_it_goes_back_to(text, monkeypatch):
    """Not the last one, where that was worse; what is tested then was averaged, so averaging goes on from there."""
    monkeypatch.setattr(language, "starts_averaging", lambda losses, *others: not losses)
    scores = iter([5.0, 4.0, 4.5, 3.0])
    monkeypatch.setattr(language, "evaluate_text", lambda *a: TextScore(next(scores, 3.0), 10.0, 5))
    run = training(text, epochs=4)
    begun = breaks_in(run, (3, 0))
    for _ in range(2):
        run.run_epoch()
    means, steps = run.average.means[0].clone(), run.average.steps
    best = dict(zip([name for name, _ in run.network.named_parameters()], run.average.means))["start"].clone()
    run.run_epoch()
    with pytest.warns(RuntimeWarning, match="weights of epoch 2, the best so far, and epoch 4 again"):
        run.run()
    assert torch.equal(begun[-1], best) and not torch.equal(begun[-2], best) and means.shape == run.average.means[0].shape
    assert run.average.steps == steps + run.steps_per_epoch and run.history[3].is_averaged


def test_the_record_beside_the_best_weights_is_that_of_their_epoch(text, tmp_path, monkeypatch):
    scores = iter([5.0, 4.0, 4.5])
    monkeypatch.setattr(language, "evaluate_text", lambda *a: TextScore(next(scores, 4.0), 10.0, 5))
    run = training(text, epochs=3, out=tmp_path).run()
    network, _, record = load_trained(tmp_path)
    assert record["epoch"] == 1 and record["evaluation"]["valid"]["loss"] == run.result["valid"].loss == 4.0
    assert all(torch.equal(value, best) for value, best in zip(network.parameters(), run.best, strict=True))


def test_a_training_that_went_back_is_resumed_bit_for_bit(text, tmp_path):
    whole = training(text, epochs=4)
    breaks_in(whole, (2, 0))
    with pytest.warns(RuntimeWarning):
        whole.run()
    for stop in (1, 2, 3):
        first = training(text, epochs=4, out=tmp_path / str(stop))
        breaks_in(first, (2, 0))
        for _ in range(stop - 1):
            first.run_epoch()
        first.close()
        second = gl.resume(tmp_path / str(stop), data=text)
        breaks_in(second, (2, 0))
        with pytest.warns(RuntimeWarning):
            second.run()
        assert_same(tensors(whole), tensors(second))
        second.close()


def test_it_goes_back_a_bounded_number_of_times(text, monkeypatch):
    monkeypatch.setattr(language, "MOST_RETURNS", 3)
    run = training(text, epochs=4)
    breaks_in(run, (1, 0), (1, 1), (2, 0), (2, 1))
    with pytest.warns(RuntimeWarning), pytest.raises(FloatingPointError, match="in epoch 3, step 2.*best epoch 3 times"):
        run.run()
    assert [record.returns for record in run.history] == [0, 2]


def test_a_validation_loss_that_is_no_number_does_the_epoch_again(text, monkeypatch):
    real, called = language.evaluate_text, []

    def spoiled(*arguments):
        called.append(arguments)
        return TextScore(math.nan, 0.0, 1) if len(called) == 2 else real(*arguments)

    run = training(text, epochs=2)
    monkeypatch.setattr(language, "evaluate_text", spoiled)
    with pytest.warns(RuntimeWarning, match="the validation loss became nan after epoch 2; back to the weights of epoch 1"):
        run.run()
    assert [record.returns for record in run.history] == [0, 1] and math.isfinite(run.result["test"].loss)


def test_run_folders_from_before_there_was_a_trigger_are_gone_on_with(text, tmp_path):
    run = training(text, epochs=2, out=tmp_path)
    assert "averaging_trigger" not in run.config["recipe"]
    run.run_epoch()
    run.close()
    second = gl.resume(tmp_path, data=text)
    assert (second.epochs_done, second.recipe.averaging_trigger) == (1, "darts")
    second.close()
    named = training(text, epochs=1, out=tmp_path / "gdas", averaging_trigger="gdas")
    named.close()
    again = gl.resume(tmp_path / "gdas", data=text)
    assert again.recipe == named.recipe
    again.close()


def test_a_training_that_goes_over_to_averaging_is_resumed_bit_for_bit(text, tmp_path, monkeypatch):
    asked = []

    def after_the_second_epoch(losses, latest, patience, trigger):
        asked.append(([*losses], latest, patience))
        return len(losses) == 1

    monkeypatch.setattr(language, "starts_averaging", after_the_second_epoch)
    options = {"epochs": 4, "averaging_patience": 3}
    whole = training(text, **options).run()
    losses = [record.evaluation["valid"]["loss"] for record in whole.history]
    assert asked == [([], losses[0], 3), (losses[:1], losses[1], 3)]        # and never again once it has begun
    assert [record.is_averaged for record in whole.history] == [False, False, True, True]
    for stop in range(1, 4):
        folder = tmp_path / str(stop)
        first = training(text, out=folder, **options)
        for _ in range(stop):
            first.run_epoch()
        first.close()
        second = gl.resume(folder, data=text)
        assert second.epochs_done == stop
        assert_same(tensors(whole), tensors(second.run()))
        assert [r.to_json() | {"seconds": 0, "images_per_second": 0} for r in whole.history] == \
            [r.to_json() | {"seconds": 0, "images_per_second": 0} for r in second.history]
        assert second.result == whole.result
        second.close()


def test_the_test_text_is_scored_with_the_weights_of_the_best_epoch(text, tmp_path):
    run = training(text, epochs=3, learning_rate=8.0, out=tmp_path).run()
    losses = [record.evaluation["valid"]["loss"] for record in run.history]
    best = losses.index(min(losses))
    assert [i for i, record in enumerate(run.history) if record.is_best][-1] == best
    assert ["test" in record.evaluation for record in run.history] == [False, False, True]
    assert run.result["valid"].loss == min(losses)
    twin = training(text, epochs=3, learning_rate=8.0)
    for _ in range(best + 1):
        twin.run_epoch()
    streams = Streams(text.test, run.recipe.test_batch, run.recipe.bptt)
    with twin.average.in_place():
        assert evaluate_text(twin.network, streams, run.recipe.bptt) == run.result["test"]
    run.close()
    loaded = gl.load_network(tmp_path)
    assert not loaded.training and evaluate_text(loaded, streams, run.recipe.bptt) == run.result["test"]


def test_a_validation_loss_that_is_no_number_ends_in_a_sentence(text):
    run = training(text, epochs=1)
    for _ in run.begin_epoch():
        pass
    with torch.no_grad():
        run.network.bias[3] = float("nan")
    with pytest.raises(FloatingPointError, match="the validation loss became nan after epoch 1; start it again"):
        run.end_epoch(1.0)


def test_the_result_is_there_after_the_last_epoch_only(text):
    with pytest.raises(RuntimeError, match="epoch 0 of 3"):
        _ = training(text).result


@pytest.mark.parametrize("cell", [CELL, gl.zoo_genotype("ENAS", "recurrent"), None], ids=["GDAS", "ENAS", "tanh RNN"])
def test_training_learns_more_than_how_often_words_occur(cell):
    data = gl.load_data("grammar")
    data = replace(data, train=data.train[:20_000], valid=data.valid[:4000], test=data.test[:4000])
    model = gl.network(cell, 32, data.vocabulary) if cell else gl.PlainRNN(48, data.vocabulary)
    recipe = gl.language_recipe("smoke", data.name, epochs=6, batch_size=32, bptt=20, **QUIET)
    run = gl.LanguageTraining(model, data, recipe=recipe).run()
    counts = torch.bincount(data.train, minlength=data.vocabulary).double()
    unigram = -(counts / counts.sum()).log()[data.test].mean().item()
    assert data.entropy_rate < run.result["test"].loss < unigram - 0.8


def test_the_plain_rnn_is_resumed_too(text, tmp_path):
    whole = training(text, cell=None).run()
    first = training(text, cell=None, out=tmp_path)
    first.run_epoch()
    first.close()
    second = gl.resume(tmp_path, data=text).run()
    assert_same(tensors(whole), tensors(second))
    second.close()
    assert gl.load_network(tmp_path).hidden_size == 8
    with pytest.raises(RunError, match="holds a run without a cell"):
        gl.load_cell(tmp_path)


def test_a_seed_decides_everything(text):
    a, b, c = (training(text, epochs=1, seed=seed).run() for seed in (1, 1, 2))
    assert_same(tensors(a), tensors(b))
    assert not torch.equal(a.network.embedding, c.network.embedding)


def test_another_text_or_recipe_in_the_folder_is_refused(text, tmp_path):
    training(text, out=tmp_path).close()
    with pytest.raises(RunError, match="recipe.learning_rate: 2.0 there, 3.0 asked"):
        training(text, out=tmp_path, learning_rate=3.0)
    for other in ({"train": text.train[:1200]}, *({part: getattr(text, part).flip(0)} for part in ("train", "valid", "test"))):
        with pytest.raises(RunError, match="data.checksum"):
            training(replace(text, **other), out=tmp_path)


def test_an_exploding_loss_ends_in_a_sentence(text):
    with pytest.raises(FloatingPointError, match=r"the loss of this training became (nan|inf) in epoch \d.*learning rate"):
        training(text, learning_rate=1e30, grad_clip_norm=None).run()


@pytest.mark.parametrize("make", [
    lambda words: gl.network(CELL, 6, 60)(words), lambda words: gl.PlainRNN(6, 60)(words),
    lambda words: evaluate_text(gl.network(CELL, 6, 60), Streams(words.flatten(), 2, 4)),
    lambda words: gl.Recurrent(6).supernet(60)(words, {"recurrent": uniform_mixture((36, 5), torch.Generator())}),
], ids=["derived", "tanh RNN", "evaluation", "supernet"])
def test_words_that_the_embedding_does_not_have_get_a_sentence(make):
    words = torch.arange(51, 71).view(10, 2)
    with pytest.raises(ValueError, match=r"embedding has 60 words, numbers 0\.\.59, but the text holds 5\d\.\.[67]\d"):
        make(words)
    make(words - 20)


@pytest.mark.parametrize("make, sentence", [
    (lambda text: gl.LanguageTraining(gl.network(CELL, 6, 60), text),
     "the model's embedding has 60 words, but grammar has 70; build it with vocabulary=70"),
    (lambda text: training(text, batch_size=200), "the train text of grammar has 1300 tokens, that is 6 for each of 200"),
    (lambda text: training(text, valid_batch=600), "for each of 600 .* or less batch_size, valid_batch or bptt"),
    (lambda text: training(text, dropout_hidden=1.0), "dropout_hidden must be at least 0 and < 1, a finite number, got 1.0"),
    (lambda text: training(text, epochs=0), "epochs must be at least 1"),
    (lambda text: training(text, averaging_trigger="asgd"), "averaging_trigger must be one of darts, gdas, got 'asgd'"),
    (lambda text: training(text, init_range=0.0), "init_range must be > 0"),
    (lambda text: training(text, learning_rate=0.0), "learning_rate must be > 0"),
    (lambda text: training(text, grad_clip_norm=-1.0), "grad_clip_norm must be > 0"),
    (lambda text: training(text, bptt=0), "at least 1"), (lambda text: gl.language_recipe("big"), "unknown recipe 'big'"),
])
def test_bad_settings_get_a_sentence(text, make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(text)


def test_published_recipes():
    ptb, wikitext = gl.language_recipe("paper"), gl.language_recipe("paper", "wikitext-2")
    assert (ptb.learning_rate, ptb.weight_decay, ptb.grad_clip_norm, ptb.batch_size, ptb.bptt) == (20, 8e-7, 0.25, 64, 35)
    assert [getattr(ptb, rate.name) for rate in fields(Dropout)] == [0.75, 0.25, 0.75, 0.2, 0.1] and ptb.temporal_activation == 1e-3
    assert (ptb.valid_batch, ptb.test_batch, ptb.init_range, ptb.averaging_patience) == (10, 1, 0.04, 5)
    assert (wikitext.weight_decay, wikitext.dropout_hidden, wikitext.epochs) == (5e-7, 0.15, 3000)
    for size, name in (("paper", "WikiText-2"), ("lesson", "PTB")):     # as load_data reads a name
        assert gl.language_recipe(size, name) == gl.language_recipe(size, name.lower()) != gl.language_recipe(size, "another")
    with pytest.raises(ValueError, match="data must be text, got TextData"):
        gl.language_recipe("paper", gl.load_data("grammar"))
    assert repr(ptb.window_lengths) == repr(replace(ptb).window_lengths) and ptb.window_lengths.jitter == 5


def test_report_beside_the_floor_and_the_published_numbers(text):
    run = training(text, epochs=1).run()
    lines = language_report(run, "GDAS").split("\n")
    assert len(lines) == 2 and f"test perplexity {run.result['test'].perplexity:.2f}; measured" in lines[0]
    assert "below 7.27" in lines[1]
    with pytest.raises(KeyError, match="unknown name 'GDOS'"):
        language_report(run, "GDOS")
    run.data = replace(text, name="ptb", entropy_rate=None)
    lines = language_report(run, "GDAS").split("\n")
    assert [("59.8" in line, "57.5" in line) for line in lines[1:]] == [(True, False), (False, True)]
    assert all("published" in line for line in lines[1:])
    with pytest.raises(KeyError, match="unknown name 'GDOS'"):
        language_report(run, "GDOS")
    with pytest.raises(RuntimeError, match="epoch 0"):
        language_report(training(text))


def test_what_is_printed(text):
    words = repr(training(text))
    assert all(part in words for part in ("relu", "grammar", "perplexity at least", "smoke", "epoch 0 of 3"))


def test_a_model_that_another_training_took_is_not_trained_on(text):
    first = training(text)
    gl.LanguageTraining(first.network, text, recipe=first.recipe, seed=1)
    with pytest.raises(RuntimeError, match="another training has taken this one's network"):
        first.run_epoch()
