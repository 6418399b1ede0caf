"""Several processes do what one would: parts of batches, gradients, evaluation, one writer, resume on other numbers."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import gdas_lite as gl
from gdas_lite.data.images import Batches
from gdas_lite.reproduction.cli.main import main
from gdas_lite.runs.config import RunError
from gdas_lite.runs.distributed import ProcessGroup, join_process_group, rank_from_environment
from gdas_lite.runs.shards import Shard

SCRIPT = Path(__file__).with_name("two_processes.py")
TORCHRUN = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [1, 3, 16, 17, 96])
def test_parts_make_up_the_batch_and_their_scaled_losses_its_mean(world, count):
    losses = torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    shards = [Shard(rank, world) for rank in range(world)]
    parts = [losses[slice(*shard.bounds(count))] for shard in shards]
    mean = sum(shard.loss_scale(count) * part.mean() for shard, part in zip(shards, parts)) / world
    torch.testing.assert_close(mean, losses.mean(), rtol=1e-12, atol=0)
    assert min(len(part) for part in parts) >= min(2, count)
    counted = [part for shard, part in zip(shards, parts) if shard.counts(count)]
    assert torch.equal(torch.cat(counted), losses)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_rank_outside_the_world_is_refused():
    with pytest.raises(ValueError, match="rank 2 of world 2"):
        Shard(2, 2)


def test_parts_of_device_resident_batches_are_those_of_one_process():
    data = gl.load_data("digits")
    augmentation = gl.Augmentation(padding=1, flip=True, cutout=2)
    whole = list(Batches(data.train, data, 50, augmentation=augmentation).epoch(torch.Generator().manual_seed(4)))
    parts = [list(Batches(data.train, data, 50, augmentation=augmentation, shard=Shard(rank, 3))
                  .epoch(torch.Generator().manual_seed(4))) for rank in range(3)]
    for number, (x, y) in enumerate(whole):
        split = Shard(0, 3).is_split(len(y))
        xs, ys = zip(*(part[number] for part in (parts if split else parts[:1])))
        assert torch.equal(torch.cat(xs), x) and torch.equal(torch.cat(ys), y)
    evaluated = [number for rank in range(3) for number, _, _ in Batches(
        data.train, data, 300, augmentation=None, shard=Shard(rank, 3)).own_batches()]
    assert sorted(evaluated) == list(range(len(evaluated))) == list(range(-(-len(data.train) // 300)))


class FirstOfTwo(ProcessGroup):
    """As process 1 sees process 0, of which `others` has the configuration."""

    others: ClassVar[dict] = {}

    def share(self, value):
        return self.others if isinstance(value, dict) and self.others else value

    def sum(self, values):
        return values


@pytest.mark.parametrize("change, said", [
    (lambda data: {"data": replace(data, train_half=data.train_half.subset(range(1, 64)))},
     "data.checksum: .* by process 1"),
    (lambda data: {"seed": 5}, "seed: 0 there, 5 asked, by process 1")])
def test_processes_that_were_given_different_runs_are_refused(change, said):
    data, space = gl.load_data("digits"), gl.NASBench201(2, 1)
    group = FirstOfTwo(Shard(1, 2))
    options = {"recipe": "smoke", "group": group, "data": replace(data, train_half=data.train_half.subset(range(64)))}
    first = gl.Search(space, algorithm=gl.GDAS(), **options | {"group": None})
    group.others.update(json.loads(json.dumps(first.config)))
    gl.Search(space, algorithm=gl.GDAS(), **options)
    with pytest.raises(RunError, match=rf"the processes were not given the same search \({said}\); give each"):
        gl.Search(space, algorithm=gl.GDAS(), **options | change(data))
    group.others.clear()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """What two processes saw, and the folder they wrote. Ten seconds, most of it for importing torch three times."""
    out = tmp_path_factory.mktemp("pair")
    root = Path(__file__).resolve().parents[2]
    environment = {name: value for name, value in os.environ.items() if name not in TORCHRUN}
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(SCRIPT), str(out)],
        env=environment | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(root)},
        capture_output=True, text=True, cwd=root)
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout == json.dumps({"world": 2}) + "\n"       # only one prints
    return out, [torch.load(out / f"seen-{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture(scope="module")
def alone():
    """The same trainings in one process."""
    spec = importlib.util.spec_from_file_location("two_processes", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_near(found, expected, tolerance=2e-5):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=tolerance, atol=tolerance,
                                   msg=lambda text, name=name: f"{name}: {text}")


def test_two_processes_train_as_one_where_only_gradients_depend_on_the_batch(pair, alone):
    """After six steps on parts of unequal size, the last batch not split: weights, momentum (which holds the gradients)
    and the record are those of one process, up to rounding."""
    run = alone.trainings()["plain"]
    run.run_epoch()
    for seen in pair[1]:
        assert_near(seen["plain"]["tensors"], run.tensors())
        record, expected = seen["plain"]["record"], run.history[-1].to_json()
        assert record["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-5)
        assert record["train_accuracy"] == expected["train_accuracy"]
        assert record["evaluation"]["test"]["count"] == 300 and record["processes"] == 2
        assert seen["plain"]["none"] == sorted(key for key, value in run.network.named_parameters() if value.grad is None)
        assert seen["plain"]["none"] and not seen["drop path"]["none"]      # the other cell has no weights to spare
    assert pair[1][0]["plain"]["record"]["evaluation"] == pair[1][1]["plain"]["record"]["evaluation"]


def test_all_processes_hold_the_same_state_bit_for_bit(pair):
    for name in ("plain", "drop path", "ordinary"):
        first, second = (seen[name]["tensors"] for seen in pair[1])
        assert [key for key in first if not torch.equal(first[key], second[key])] == []


def test_each_process_drops_paths_of_its_own(pair, alone):
    masks = [seen["masks"] for seen in pair[1]]
    assert not torch.equal(*masks)
    run = alone.trainings()["drop path"]
    run.epochs_done = 2
    assert torch.equal(run._drop_path().masks(2, torch.zeros(3, 1, 1, 1)), masks[0])      # one process draws as the first


def test_evaluation_by_two_is_that_by_one_bit_for_bit(pair):
    for seen in pair[1]:
        assert seen["shared score"] == seen["score"] and seen["score"]["count"] == 300


def test_the_folder_of_two_goes_on_in_one_as_if_nothing_had_happened(pair, alone):
    out, _ = pair
    whole = alone.trainings()["plain"].run()
    with pytest.warns(UserWarning, match="goes on with 1 process instead of 2; .* sees about 7 images instead of 3"):
        resumed = alone.trainings(out / "run")["plain"]
    assert resumed.epochs_done == 1
    resumed.run()
    assert_near(resumed.tensors(), whole.tensors(), tolerance=1e-4)
    assert resumed.history.column("processes").tolist() == [2, 1]
    lines = (out / "run" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["processes"] for line in lines[1:]] == [2, 1]      # each epoch written once
    resumed.close()


def test_another_number_of_processes_is_told_where_it_matters(pair, alone):
    out, _ = pair
    with pytest.warns(UserWarning, match="goes on with 1 process instead of 2; .* sees about 16 images instead of 8"):
        run = gl.resume(out / "ordinary", data=alone.digits())
    assert run.epochs_done == 1
    run.close()


def test_what_is_refused_is_refused_on_all(pair):
    for seen in pair[1]:
        another, small, sync, search = seen["problems"]
        assert "holds a run with another configuration" in another
        assert "batch_size 3 is that of the whole training, and 2 processes would have fewer than 2 images" in small
        assert sync.startswith("sync_batch_norm needs a GPU for each process")
        assert "a search runs in one process, but torchrun started 2" in search


def test_sync_batch_norm_is_torchs_own_on_gpus_and_keeps_names_and_state(alone):
    network = gl.network(alone.NASBENCH, 4, 1, 10, 1)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    assert ProcessGroup().synchronise_batch_norm(network) is network
    shared = ProcessGroup(Shard(0, 2), torch.device("cuda", 0)).synchronise_batch_norm(network)
    norms = [layer for layer in shared.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    assert norms and all(type(layer) is nn.SyncBatchNorm for layer in norms)
    assert shared.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in shared.state_dict().items())
    with pytest.raises(ValueError, match="sync_batch_norm needs a GPU for each process"):
        ProcessGroup(Shard(0, 2)).synchronise_batch_norm(network)


def test_without_torchrun_there_is_one_process(monkeypatch):
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    group = join_process_group("cpu")
    assert (group.world_size, group.is_writer, group.shard) == (1, True, Shard())
    values = torch.arange(3.0)
    assert group.sum(values) is values and group.share("é") == "é"
    network = nn.Linear(2, 2)
    assert group.wrap(network) is network
    group.check_can_share("training", 1)


@pytest.mark.parametrize("changes, sentence", [
    ({"RANK": None}, "WORLD_SIZE says .* but RANK is not set; start it with: torchrun"),
    ({"WORLD_SIZE": None}, "RANK says .* but WORLD_SIZE is not set"),
    ({"MASTER_ADDR": None}, "RANK says .* but MASTER_ADDR is not set"),
    ({"RANK": "4"}, "RANK=4, WORLD_SIZE=4, LOCAL_RANK=1 are no place"),
    ({"WORLD_SIZE": "many"}, "WORLD_SIZE=many"),
])
def test_an_environment_that_is_not_torchruns(changes, sentence):
    assert rank_from_environment(TORCHRUN) == (Shard(1, 4), 1)
    environment = {name: value for name, value in (TORCHRUN | changes).items() if value is not None}
    with pytest.raises(RuntimeError, match=sentence):
        rank_from_environment(environment)


def test_devices_that_a_group_cannot_have(monkeypatch):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(RuntimeError, match="process 1 of this machine has no GPU of its own, there are 1"):
        join_process_group("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: False)
    with pytest.raises(RuntimeError, match="several GPUs need NCCL"):
        join_process_group("cuda")
    monkeypatch.setattr(torch.distributed, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="built without torch.distributed"):
        join_process_group("cpu")


def test_a_batch_for_too_many_processes():
    group = ProcessGroup(Shard(0, 5))
    group.check_can_share("training", 10)
    with pytest.raises(ValueError, match="5 processes would have fewer than 2 images each; start at most 4 processes"):
        group.check_can_share("training", 9)


def test_no_gloo_thread_is_the_last_to_hold_a_sum(monkeypatch, tmp_path):
    """One that is needs Python to drop it, and aborts a process that ends meanwhile: a complete training looked failed."""
    works, all_reduce = [], torch.distributed.all_reduce

    def watched(values, async_op):
        work = all_reduce(values, async_op=async_op)
        works.append(weakref.ref(work))
        return work

    monkeypatch.setattr(torch.distributed, "all_reduce", watched)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        for _ in range(100):
            values = torch.arange(3.0)
            assert ProcessGroup(Shard(0, 2)).sum(values) is values and values.tolist() == [0, 1, 2]
            assert works[-1]() is not None
    finally:
        torch.distributed.destroy_process_group()
    assert works[-1]() is not None and works[0]() is None       # the latest are held, not all


def test_a_process_whose_partner_has_gone_says_so_in_a_sentence(monkeypatch, capsys):
    store = torch.distributed.HashStore()
    with ThreadPoolExecutor(2) as pool:
        groups = list(pool.map(lambda rank: torch.distributed.ProcessGroupGloo(store, rank, 2), range(2)))
    del groups[1]       # closes its connections, as the end of its process does
    monkeypatch.setattr("gdas_lite.reproduction.cli.show.find_cell",
                        lambda _: groups[0].allreduce([torch.zeros(3)]).wait())
    assert main(["info", "GDAS_V1"]) == 2
    assert capsys.readouterr().err == ("gdas-lite info: another process of this run has ended, and said why; "
                                       "the same command again goes on from the last save\n")


class NotTheWriter(ProcessGroup):
    """The second of two processes, the first of which does nothing."""

    is_writer = property(lambda self: False)


def test_a_process_that_does_not_write_knows_the_run_folder(tmp_path):
    """What it said was the only sentence where the loss of its part alone became NaN: that nothing was kept."""
    run = gl.Search(gl.NASBench201(2, 1), gl.load_data("digits"), gl.GDAS(), recipe="smoke", out=tmp_path / "a",
                    group=NotTheWriter())
    assert run.folder is None
    with pytest.raises(FloatingPointError, match=f"no epoch was finished yet; start it again in {tmp_path / 'a'}"):
        run.check_finite([torch.tensor(float("nan"))], 1)


def test_mixed_precision_is_near_full_precision_and_recorded(alone):
    data = gl.load_data("digits")
    small = replace(data, train=data.train.subset(range(64)), evaluation={"test": data.evaluation["test"]})
    recipe = gl.training_recipe("smoke", "nasbench201", epochs=1, batch_size=32, learning_rate=0.01)
    full, mixed = (gl.Training(gl.network(alone.NASBENCH, 4, 1, 10, 1), small, recipe=recipe, precision=precision).run()
                   for precision in ("fp32", "bf16"))
    assert mixed.config["precision"] == "bf16"
    for a, b in zip(full.network.parameters(), mixed.network.parameters()):
        assert b.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=0.05, atol=0.02)
    assert not torch.equal(full.network.classifier.weight, mixed.network.classifier.weight)
    assert mixed.history[0].train_loss == pytest.approx(full.history[0].train_loss, rel=0.03)
    with pytest.raises(ValueError, match="precision must be 'fp32' or 'bf16', got 'fp16'"):
        gl.Training(gl.network(alone.NASBENCH, 4, 1, 10, 1), small, precision="fp16")


def test_mixed_precision_of_a_nasnet_with_auxiliary_head_and_drop_path(alone):
    colours = gl.load_data("digits")
    images = colours.train.images[:8].repeat(1, 3, 4, 4)       # 32 pixels, for the auxiliary head
    part = gl.ImageSet(images, colours.train.labels[:8])
    data = replace(colours, image_size=32, image_channels=3, mean=(0.3,) * 3, std=(0.3,) * 3, train=part,
                   train_half=part, valid_half=part, evaluation={"test": part})
    recipe = gl.training_recipe("paper", "nasnet", epochs=2, batch_size=8)
    network = gl.network(alone.NASNET, channels=4, cells=3, auxiliary=True)
    run = gl.Training(network, data, recipe=recipe, precision="bf16").run()
    assert all(torch.isfinite(value).all() for value in run.network.parameters())
    assert F.cross_entropy(run.network.eval()(torch.zeros(2, 3, 32, 32)), torch.zeros(2, dtype=torch.int64)).isfinite()


def test_a_streamed_training_resumes_bit_for_bit_and_exports(tmp_path):
    from PIL import Image
    from torch import Generator, randint
    generator = Generator().manual_seed(0)
    for part, count in (("train", 4), ("val", 2)):
        for name in ("ant", "bee"):
            (tmp_path / "pets" / part / name).mkdir(parents=True)
            for index in range(count):
                pixels = randint(256, (20, 24, 3), generator=generator, dtype=torch.uint8).numpy()
                Image.fromarray(pixels).save(tmp_path / "pets" / part / name / f"{index}.png")
    options = {"streamed": True, "image_size": 16, "num_workers": 0, "lineage": "autodl"}
    data = gl.load_data(tmp_path / "pets", **options)
    genotype = gl.NASBench201Genotype(("nor_conv_1x1", *["skip_connect"] * 5))
    recipe = gl.training_recipe("smoke", "nasbench201", batch_size=4)

    def training(**more):
        return gl.Training(gl.network(genotype, 4, 1, 2, 3), data, recipe=recipe, **more)

    whole = training().run()
    first = training(out=tmp_path / "run")
    first.run_epoch()
    first.close()
    with pytest.raises(gl.RunError, match="pictures of a folder called pets; say where it is now"):
        gl.resume(tmp_path / "run")
    resumed = gl.resume(tmp_path / "run", data=replace(data, num_workers=0)).run()
    resumed.close()
    assert all(torch.equal(value, resumed.tensors()[name]) for name, value in whole.tensors().items())
    assert whole.result == resumed.result and resumed.result["test"].count == 4
    again = gl.resume(tmp_path / "run", data=tmp_path / "pets")
    assert again.config == whole.config
    again.close()

    from gdas_lite.training.export import export_network, load_exported, read_exported
    folder = export_network(tmp_path / "run", tmp_path / "net")        # the folder knows its data's constants
    assert read_exported(folder).class_names == ("ant", "bee") and load_exported(folder).genotype == genotype
