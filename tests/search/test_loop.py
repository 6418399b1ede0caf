"""`Search`: reproducible, interruptible, resumable bit for bit; honest about what went wrong."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

import gdas_lite as gl
from gdas_lite.runs.config import RunError
from gdas_lite.runs.folder import checkpoints, number_of
from gdas_lite.search.history import History
from tests.faults.injections import as_older_version
from tests.search.killed import kill_at

SPACE = gl.NASBench201(2, 1)
ALGORITHMS = [gl.GDAS(), gl.DARTS(1), gl.DARTS(2), gl.RandomSearch(samples=5, selection_batch=32)]


@pytest.fixture(scope="module")
def digits() -> gl.ImageData:
    data = gl.load_data("digits")
    return replace(data, train_half=data.train_half.subset(range(96)), valid_half=data.valid_half.subset(range(96)))


def search(data, algorithm=None, *, epochs: int = 3, **options) -> gl.Search:
    algorithm = algorithm or gl.GDAS()
    recipe = gl.search_recipe("smoke", "nasbench201", algorithm.name, epochs=epochs, batch_size=32)
    return gl.Search(SPACE, data, algorithm, recipe=recipe, **options)


def state_of(run) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in run.tensors().items()}


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def without_seconds(history: History) -> list[dict]:
    return [record.to_json() | {"seconds": 0} for record in history]


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: algorithm.name)
def test_resumed_in_another_object_equals_uninterrupted_bit_for_bit(digits, algorithm, tmp_path):
    whole = search(digits, algorithm).run()
    first = search(digits, algorithm, out=tmp_path)
    first.run_epoch()
    first.close()
    second = search(digits, algorithm, out=tmp_path)
    assert second.epochs_done == 1
    second.run()
    assert_same(state_of(whole), state_of(second))
    assert without_seconds(whole.history) == without_seconds(second.history)
    assert without_seconds(History.read(tmp_path)) == without_seconds(whole.history)
    assert second.genotype == whole.genotype
    second.close()


@pytest.mark.parametrize("options", [
    {"undrawn": "skip"}, {"clip_scope": "weights_and_alpha", "grad_clip_norm": 0.01}, {"redraw": False},
    {"momentum": 0.0, "nesterov": False}])
def test_resume_is_exact_under_every_option(digits, options, tmp_path):
    recipe = gl.search_recipe("smoke", "nasbench201", "gdas", epochs=3, batch_size=32, alpha_init=0.3, **options)
    whole = gl.Search(SPACE, digits, gl.GDAS(), recipe=recipe).run()
    first = gl.Search(SPACE, digits, gl.GDAS(), recipe=recipe, out=tmp_path)
    first.run_epoch()
    first.close()
    second = gl.Search(SPACE, digits, gl.GDAS(), recipe=recipe, out=tmp_path).run()
    assert_same(state_of(whole), state_of(second))


def test_tracked_statistics_are_resumed_too(digits, tmp_path):
    space = gl.NASBench201(2, 1, track_running_stats=True)
    recipe = gl.search_recipe("smoke", "nasbench201", "darts-v2", epochs=2, batch_size=32)
    whole = gl.Search(space, digits, gl.DARTS(2), recipe=recipe).run()
    first = gl.Search(space, digits, gl.DARTS(2), recipe=recipe, out=tmp_path)
    first.run_epoch()
    first.close()
    assert_same(state_of(whole), state_of(gl.Search(space, digits, gl.DARTS(2), recipe=recipe, out=tmp_path).run()))


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL on Windows")
def test_killed_in_the_middle_of_an_epoch_and_resumed_equals_uninterrupted(digits, tmp_path):
    kill_at((2, 2), __name__, "search", 96, tmp_path)
    resumed = gl.resume(tmp_path, data=digits)
    assert resumed.epochs_done == 2
    resumed.run()
    assert_same(state_of(search(digits).run()), state_of(resumed))


def test_an_interrupt_takes_effect_at_the_steps_end_and_iterating_goes_on(digits):
    run, before = search(digits), signal.getsignal(signal.SIGINT)
    seen = []

    def interrupt_once(epoch, step, steps):
        seen.append((epoch, step))
        if (epoch, step) == (1, 2) and seen.count((1, 2)) == 1:
            signal.raise_signal(signal.SIGINT)

    run.on_step = interrupt_once
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert run.epochs_done == 1 and len(run.history) == 1
    run.run()
    assert seen == [(epoch, step) for epoch in range(3) for step in (1, 2, 3)]     # no step twice, none left out
    assert_same(state_of(search(digits).run()), state_of(run))
    assert signal.getsignal(signal.SIGINT) is before       # ignored, where a shell started this behind itself


def test_a_second_interrupt_strikes_at_once_and_the_torn_state_is_refused(digits, tmp_path, monkeypatch):
    run = search(digits, out=tmp_path)
    run.run_epoch()
    step = gl.GDAS.step

    def struck(*arguments):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        return step(*arguments)

    monkeypatch.setattr(gl.GDAS, "step", struck)
    with pytest.raises(KeyboardInterrupt):
        run.run_epoch()
    monkeypatch.undo()
    with pytest.raises(RuntimeError, match="stopped inside a step.*resume from there"):
        run.run_epoch()
    run.close()
    assert gl.resume(tmp_path, data=digits).run().epochs_done == 3


def test_seeds_decide_everything(digits):
    a, b, c = (search(digits, seed=seed).run() for seed in (3, 3, 4))
    assert_same(state_of(a), state_of(b))
    assert not np.array_equal(a.history.alphas["cell"], c.history.alphas["cell"])
    torch.manual_seed(99)
    before = torch.get_rng_state()
    search(digits, seed=3, epochs=1).run()
    assert torch.equal(before, torch.get_rng_state())       # the global generator is not touched


def test_a_loss_that_becomes_nan_stops_the_run_and_keeps_the_checkpoint(digits, tmp_path):
    run = search(digits, out=tmp_path)
    run.run_epoch()
    with torch.no_grad():
        run.state.supernet.classifier.weight[0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match=r"became nan in epoch 2, step 1; the checkpoint after epoch 1 in .* is good"):
        run.run_epoch()
    with pytest.raises(RuntimeError, match="torn"):
        run.run_epoch()
    run.close()
    assert {number_of(checkpoint) for checkpoint in checkpoints(tmp_path)} == {1}       # epochs count from 1 in both
    resumed = gl.resume(tmp_path, data=digits)
    assert resumed.epochs_done == 1
    assert_same(state_of(search(digits).run()), state_of(resumed.run()))


def test_the_step_of_the_first_loss_that_is_no_number_is_named_however_many_there_are(digits):
    losses = [torch.tensor(value) for value in [1.0] * 56 + [float("nan")] + [2.0] * 3]
    with pytest.raises(FloatingPointError, match=r"became nan in epoch 1, step 57; "):
        search(digits).check_finite(losses, 60)


def test_an_exploding_learning_rate_ends_in_the_same_sentence(digits):
    recipe = gl.search_recipe("smoke", "nasbench201", "darts-v1", learning_rate=1e12, grad_clip_norm=None, epochs=5)
    with pytest.raises(FloatingPointError, match="smaller learning rate"):
        gl.Search(SPACE, digits, gl.DARTS(), recipe=recipe).run()


def test_record_of_an_epoch(digits):
    run = search(digits, epochs=4).run()
    history = run.history
    assert history.alphas["cell"].shape == (4, 6, 5)
    assert history.column("tau") == pytest.approx([10, 6.7, 3.4, 0.1])
    assert history.column("learning_rate")[0] == 0.025
    assert np.allclose(history.op_probs["cell"].sum(-1), 1)
    assert np.allclose(history.op_probs["cell"], torch.as_tensor(history.alphas["cell"]).softmax(-1))
    assert ((0 <= history.column("train_accuracy")) & (history.column("train_accuracy") <= 100)).all()
    assert history[-1].genotype == str(run.genotype)
    assert np.array_equal(history.alphas["cell"][-1], run.state.alphas["cell"].detach().numpy())
    with pytest.raises(KeyError, match="no column 'loss'"):
        history.column("loss")


def targets(batch):
    return batch[1] if isinstance(batch, tuple) else batch.window.targets


@pytest.mark.parametrize("space", [SPACE, gl.Recurrent(4)], ids=["images", "text"])
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: algorithm.name)
def test_a_record_has_the_losses_and_answers_of_the_updates_on_each_half(digits, space, algorithm):
    """Of the passes over the train half only the weight step's, here the last: DARTS of second order makes three more."""
    data = replace(digits, train_half=digits.train_half.subset(range(80)))
    if space.data_kind == "text":
        data = gl.load_data("grammar")
        data = replace(data, train=data.train[:160], valid=data.valid[:90])      # the last window of valid is shorter
    sizes = {"batch_size": 8, "bptt": 5} if space.data_kind == "text" else {"batch_size": 32}
    recipe = gl.search_recipe("smoke", space.name, algorithm.name, epochs=1, update_order="alpha_first", **sizes)
    run = gl.Search(space, data, algorithm, recipe=recipe, engine="layers" if space.data_kind == "text" else "plain")
    pairs, now, passes = run.task.pairs, [], {"train": [], "valid": []}

    def watched_pairs(seed, epoch):
        for pair in pairs(seed, epoch):
            now.append(pair)
            yield pair

    def watched(judge):
        def judged(supernet, mixtures, batch):
            result = judge(supernet, mixtures, batch)
            part = "valid" if targets(batch) is targets(now[-1].valid) else "train"
            passes[part].append((len(now), result.reported().loss.item(), result.correct.item(), targets(batch).numel()))
            return result
        return judged

    run.task.pairs, run.state.objective = watched_pairs, watched(run.state.objective)
    if run.state.weight_objective:
        run.state.weight_objective = watched(run.state.weight_objective)
    record = run.run_epoch()
    assert len(now) > 2 and len(passes["train"]) == len(now) * (4 if algorithm.name == "darts-v2" else 1)
    for part, loss, accuracy in (("train", record.train_loss, record.train_accuracy),
                                 ("valid", record.valid_loss, record.valid_accuracy)):
        last = list({step: each for step, *each in passes[part]}.values())
        if not last:
            assert part == "valid" and algorithm.name == "random" and np.isnan([loss, accuracy]).all()
            continue
        losses, right, counts = zip(*last, strict=True)
        assert loss == pytest.approx(np.mean(losses)) and accuracy == pytest.approx(100 * sum(right) / sum(counts))


def test_random_search_selects_at_the_end_and_leaves_the_supernet_alone(digits):
    run = search(digits, ALGORITHMS[3], epochs=2).run()
    assert [record.genotype is None for record in run.history] == [True, False]
    before = state_of(run)
    assert str(run.task.select(run.state.supernet, 5, 32, run.seed)) == run.history[-1].genotype == str(run.genotype)
    assert_same(before, state_of(run))
    assert run.state.supernet.training


def test_a_finished_random_search_has_the_cell_of_its_record(digits, tmp_path):
    """Also where an earlier version drew the batches of its selection otherwise."""
    run = search(digits, ALGORITHMS[3], epochs=2, out=tmp_path).run()
    run.close()
    as_older_version(tmp_path)
    other = next(str(cell) for cell in gl.NASBench201Genotype.all() if str(cell) != run.history[-1].genotype)
    file = tmp_path / "history.jsonl"
    file.write_text(file.read_text().replace(run.history[-1].genotype, other))
    again = gl.resume(tmp_path, data=digits)
    assert again.is_finished and str(again.genotype) == other
    again.close()


def test_the_test_images_cannot_be_reached_from_a_search(digits):
    """The same search comes out when every image outside the two halves is replaced by noise."""
    noise = torch.Generator().manual_seed(0)
    test = digits.evaluation["test"]
    other = replace(test, images=torch.randint(0, 255, test.images.shape, dtype=torch.uint8, generator=noise))
    poisoned = replace(digits, train=other, evaluation={"test": other})
    assert_same(state_of(search(digits, epochs=1).run()), state_of(search(poisoned, epochs=1).run()))


def test_a_run_folder_of_another_search_or_other_data_is_refused(digits, tmp_path):
    search(digits, out=tmp_path, epochs=1).close()
    with pytest.raises(RunError, match="seed: 0 there, 1 asked"):
        search(digits, out=tmp_path, epochs=1, seed=1)
    for half in ("train_half", "valid_half"):       # fewer pictures, other pictures, other labels
        given = getattr(digits, half)
        for other in (given.subset(range(95)), replace(given, images=255 - given.images),
                      replace(given, labels=9 - given.labels)):
            asked = replace(digits, **{half: other})
            with pytest.raises(RunError, match="data.checksum"):
                search(asked, out=tmp_path, epochs=1)
    with pytest.raises(RunError, match="data.checksum"):
        gl.resume(tmp_path, asked)
    with pytest.raises(ValueError, match="needs images, but grammar is a text"):
        gl.resume(tmp_path, gl.load_data("grammar"))


def test_resume_takes_the_checkpoint_before_a_damaged_one(digits, tmp_path):
    whole = search(digits, out=tmp_path).run()
    whole.close()
    newest = checkpoints(tmp_path)[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    with pytest.warns(UserWarning, match="checkpoint refused"):
        again = gl.resume(tmp_path, data=digits)
    assert again.epochs_done == 2
    assert_same(state_of(again.run()), state_of(whole))


def test_what_is_printed_names_every_setting(digits):
    text = repr(search(digits))
    for word in ("GDAS", "digits", "96 train / 96 valid", "smoke", "seed 0", "weights_first", "new draw", "epoch 0 of 3"):
        assert word in text
