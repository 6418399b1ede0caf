"""Training all cells: which there are, interrupting and resuming, and that it is the library's own training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gdas_lite as gl
from gdas_lite.genotypes.functions import computed_function

pytest.importorskip("numba", reason="the ground truth of the digits is computed by numba (extra `fast`)")

from benchmarks.digits_table import shards
from benchmarks.digits_table.protocol import DIGITS
from benchmarks.digits_table.trainer import CellTrainer

SHORT = replace(DIGITS, cells_per_stage=1, seeds=(0, 1), recipe=replace(DIGITS.recipe, epochs=2))
CELL = gl.NASBench201Genotype.parse(
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_3x3~1|none~2|")


def test_every_function_has_one_cell_without_idle_operations():
    chosen = shards.representatives()
    assert len(chosen) == 4930
    assert len({str(cell) for cell in chosen.values()}) == 4930
    rng = np.random.default_rng(0)
    everything = list(gl.NASBench201Genotype.all())
    for index in rng.choice(len(everything), 200, replace=False):
        cell = everything[index]
        stands = chosen[computed_function(cell.edges)]
        assert computed_function(stands.edges) == computed_function(cell.edges)
        assert sum(op != "none" for op in stands.ops) <= sum(op != "none" for op in cell.ops)


def test_cells_of_one_function_give_the_same_logits():
    """skip(a + b) into c is a + b into c: with the same weights the same network."""
    import torch

    one = gl.NASBench201Genotype.parse("|none~0|+|skip_connect~0|none~1|+|avg_pool_3x3~0|none~1|skip_connect~2|")
    other = gl.NASBench201Genotype.parse("|none~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|")
    plain = gl.NASBench201Genotype.parse("|skip_connect~0|+|none~0|none~1|+|avg_pool_3x3~0|skip_connect~1|none~2|")
    networks = [gl.network(cell, 4, 1, 10, 1) for cell in (one, plain, other)]
    for network in networks[1:]:
        network.load_state_dict(networks[0].state_dict())
    x = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    first, same, different = (network(x) for network in networks)
    torch.testing.assert_close(first, same)
    assert computed_function(one.edges) == computed_function(plain.edges) != computed_function(other.edges)
    assert (first - different).abs().max() > 1e-3


def test_a_training_is_that_of_the_library():
    """Same weights, order and augmentation as gl.Training; the paths part by rounding, slowly."""
    data = gl.load_data("digits")
    trainer = CellTrainer(SHORT, data)
    ours = trainer.train(trainer.network(CELL), 1)
    network = gl.network(CELL, SHORT.channels, SHORT.cells_per_stage, image_channels=1)
    theirs = gl.Training(network, data, recipe=SHORT.recipe, seed=1, train_on="train_half").run()
    losses = [record.train_loss for record in theirs.history]
    np.testing.assert_allclose(ours.train_loss, losses, rtol=0.01)
    assert ours.valid[0] == pytest.approx(theirs.history[0].evaluation["valid_half"]["accuracy"], abs=3)


def test_a_seed_is_the_same_training_again_and_another_seed_is_not():
    trainer = CellTrainer(SHORT, gl.load_data("digits"))
    network = trainer.network(CELL)
    first, other, again = (trainer.train(network, seed) for seed in (0, 1, 0))
    np.testing.assert_array_equal(first.train_loss, again.train_loss)
    np.testing.assert_array_equal(first.valid, again.valid)
    assert first.test == again.test
    assert not np.array_equal(first.train_loss, other.train_loss)


@pytest.fixture
def short_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_SIZE", 2)


def finish(folder, cells):
    """What a worker does, in this process."""
    for number, members in shards.shards(cells):
        if not shards.shard_path(folder, number).exists():
            shards.train_shard((folder, number, members, SHORT))


def test_shards_are_resumed_and_collected(tmp_path, short_shards, monkeypatch):
    cells = dict(list(shards.representatives().items())[100:105])
    monkeypatch.setattr(shards, "representatives", lambda: cells)
    finish(tmp_path, list(cells.values()))
    whole = shards.collect(tmp_path)
    assert whole["cells"].tolist() == [str(cell) for cell in cells.values()]
    assert whole["valid"].shape == (5, 2, 2)
    assert whole["test"].shape == whole["seconds"].shape == (5, 2)
    shards.shard_path(tmp_path, 1).unlink()
    with pytest.raises(ValueError, match=r"1 of 3 shards are missing, the first is shard-0001.npz"):
        shards.collect(tmp_path)
    finish(tmp_path, list(cells.values()))
    again = shards.collect(tmp_path)
    for name in ("train_loss", "valid", "test"):
        np.testing.assert_array_equal(again[name], whole[name])


def test_workers_train_what_is_missing(tmp_path, short_shards):
    seen = list(shards.compute(tmp_path, 1, SHORT, limit=3))
    assert [done for done, _ in seen] == list(range(len(seen)))
    assert seen[-1][0] == seen[-1][1]
    assert list(shards.compute(tmp_path, 1, SHORT, limit=3)) == [seen[-1]]


def test_a_folder_of_another_protocol_is_refused(tmp_path):
    shards.check_protocol(tmp_path, SHORT)
    shards.check_protocol(tmp_path, SHORT)
    with pytest.raises(ValueError, match="another protocol"):
        shards.check_protocol(tmp_path, DIGITS)


def test_the_packaged_table_is_what_this_code_computes():
    """Four cells, poor to good, all seeds. On a processor that rounds alike the numbers are equal. Elsewhere only the
    first epochs can be: these trainings amplify rounding (weights changed by 1e-6 move a test accuracy by up to 13 points, as
    another seed would), so there the accuracies are compared as means, against the seeds' noise."""
    table, trainer = gl.tabular("digits"), CellTrainer(DIGITS, gl.load_data("digits"))
    chosen = sorted(shards.representatives().values(), key=table.accuracy)[400::1200]
    curves = [[trainer.train(trainer.network(cell), seed) for seed in DIGITS.seeds] for cell in chosen]
    rows = [table.query(cell) for cell in chosen]
    first = [np.mean([curve.train_loss[0] for curve in of_cell]) for of_cell in curves]
    np.testing.assert_allclose(first, [row["digits_loss_1"] for row in rows], rtol=0.05)
    test = np.array([np.mean([curve.test for curve in of_cell]) for of_cell in curves])
    stored = np.array([row["digits_test_6"] for row in rows])
    assert np.ptp(stored) > 20          # so different that the numbers of other cells would not pass
    assert np.abs(test - stored).mean() < 6
