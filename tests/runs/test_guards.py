"""Numbers that cannot change by accident: lone last pictures, sides that do not halve, PyTorch's global settings."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import gdas_lite as gl
from gdas_lite.data.batches import StreamedBatches
from gdas_lite.data.images import Batches
from gdas_lite.data.photos import default_workers
from gdas_lite.data.text import Streams
from gdas_lite.engines.cuda.draws import choices_of_steps
from gdas_lite.runs.device import check_defaults, usual_defaults
from gdas_lite.runs.shards import Shard, batch_bounds
from gdas_lite.search.tasks import ImageTask
from gdas_lite.spaces.nasbench201 import ResidualBlock, check_image_size
from gdas_lite.training.evaluation import confusion, evaluate, evaluate_text
from gdas_lite.training.export import predict_with

CPU = torch.device("cpu")
CELL = gl.NASBench201Genotype(("nor_conv_3x3",) * 6)


def images(count: int, size: int, train_half: int | None = None) -> gl.ImageData:
    rng = np.random.default_rng(0)

    def some(count):
        return gl.ImageSet.from_arrays(rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8), np.arange(count) % 2)
    half = train_half or max(2, count // 2)
    return gl.ImageData("d", 2, ("a", "b"), size, 3, (0.5,) * 3, (0.25,) * 3, gl.Augmentation(padding=1, flip=True), some(count),
                        some(half), some(half), {"test": some(6)})


def generator(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- a last batch of one picture


@pytest.mark.parametrize("batch_size", [*range(1, 20), 64, 96, 128, 256])
def test_no_training_batch_is_a_single_image(batch_size):
    for count in range(1, 600, 1 if batch_size < 20 else 5):
        plain = [(start, min(start + batch_size, count)) for start in range(0, count, batch_size)]
        assert batch_bounds(count, batch_size, is_training=False) == plain
        bounds = batch_bounds(count, batch_size, is_training=True)
        sizes = [stop - start for start, stop in bounds]
        if batch_size == 1 or count == 1 or count % batch_size != 1:
            assert bounds == plain
            continue
        assert min(sizes) >= 2 and max(sizes) <= batch_size
        positions = [position for start, stop in bounds for position in range(start, stop)]
        assert positions == list(range(count - (batch_size == 2)))      # of pairs the last image has none
        assert len(bounds) == len(plain) - (batch_size == 2)
        assert bounds[:-2] == plain[:max(0, len(bounds) - 2)]


def nasnet_training(count: int, **options) -> gl.Training:
    """Maps of 1 x 1 in the auxiliary head."""
    recipe = gl.training_recipe("smoke", "nasnet", epochs=2, batch_size=4, auxiliary_weight=0.4, drop_path=0.2)
    network = gl.network(gl.zoo_genotype("GDAS_V1"), channels=2, cells=3, classes=2, auxiliary=True)
    return gl.Training(network, images(count, 32), recipe=recipe, device="cpu", **options)


@pytest.mark.parametrize("count", [8, 9, 10, 11])
def test_an_auxiliary_head_is_trained_whatever_is_left_for_the_last_batch(count, tmp_path):
    steps = []
    whole = nasnet_training(count)
    whole.on_step = lambda epoch, step, of: steps.append((step, of))
    whole.run()
    assert steps == [(step, -(-count // 4)) for step in range(1, -(-count // 4) + 1)] * 2
    first = nasnet_training(count, out=tmp_path / "run")
    first.run_epoch()
    first.close()
    resumed = gl.resume(tmp_path / "run", data=images(count, 32)).run()
    assert all(torch.equal(value, resumed.tensors()[name]) for name, value in whole.tensors().items())


def test_the_sizes_by_which_processes_share_a_batch_are_those_of_the_batches():
    told = []

    class Told(Shard):
        def loss_scale(self, count):
            told.append(count)
            return super().loss_scale(count)

    training = nasnet_training(9)
    training.group = replace(training.group, shard=Told())
    sizes = [len(y) for _, y in training.batches.epoch(generator())]
    training.run_epoch()
    assert told[::2] == told[1::2] == sizes == [4, 2, 3]        # for the gradient, and for the record


@pytest.mark.parametrize("space", [gl.NASBench201(2, 1), gl.NASNet(channels=2, cells=3)], ids=["nasbench201", "nasnet"])
@pytest.mark.parametrize("engine", ["plain", "auto"])
@pytest.mark.parametrize("algorithm", [gl.GDAS(), gl.DARTS()], ids=str)
def test_a_search_on_maps_of_one_pixel(space, engine, algorithm):
    """4 pixels halve twice to one; 9 images in batches of 4 leave a single one."""
    recipe = gl.search_recipe("smoke", space.name, algorithm.name, epochs=1, batch_size=4)
    search = gl.Search(space, images(18, 4, train_half=9), algorithm, recipe=recipe, device="cpu", engine=engine).run()
    assert search.steps_per_epoch == 3 and np.isfinite(search.history[-1].train_loss)


@pytest.mark.parametrize("count, batch_size", [(9, 4), (9, 2), (8, 4), (7, 3), (11, 4)])
def test_what_the_captured_engine_is_told_are_the_same_batches(count, batch_size):
    recipe = gl.search_recipe("smoke", "nasbench201", "gdas", batch_size=batch_size)
    task = ImageTask(gl.NASBench201(2, 1), images(2 * count, 8, train_half=count), recipe, CPU)
    pairs = list(task.pairs(3, 1))
    rows, counts = choices_of_steps(task, 3, 1)
    assert counts == [pair.train_count for pair in pairs] and len(counts) == task.steps_per_epoch and min(counts) > 1
    for row, size, pair in zip(rows, counts, pairs, strict=True):
        assert torch.equal(task.train_batches.batch(row[0, :, :size])[0], pair.train[0])
        assert torch.equal(task.valid_batches.batch(row[1, :, :size])[0], pair.valid[0])


def class_folders(folder, counts: dict[str, int]):
    for part, count in counts.items():
        for name in ("ant", "bee"):
            (folder / part / name).mkdir(parents=True)
        for k in range(count):
            pixels = np.random.default_rng(k).integers(0, 256, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / part / ("ant", "bee")[k % 2] / f"{k}.png")
    return folder


def test_streamed_pictures_come_in_the_same_batches_as_those_in_memory(tmp_path):
    data = gl.load_data(class_folders(tmp_path, {"train": 9, "val": 5}), streamed=True, image_size=8, num_workers=0)
    for rank in range(2):
        shard = Shard(rank, 2)
        streamed = StreamedBatches(data.train, data, 4, augmentation=data.augmentation, shard=shard)
        memory = Batches(images(9, 8).train, images(9, 8), 4, augmentation=gl.Augmentation(), shard=shard)
        sizes = [[len(y) for _, y in batches.epoch(generator())] for batches in (streamed, memory)]
        assert sizes == [[2, 2, 3], [2, 2, 3]] and len(streamed) == len(memory) == 3    # 2 and 3: not split among two
    evaluated = StreamedBatches(data.evaluation["test"], data, 4, augmentation=None).own_batches()
    assert [len(y) for _, _, y in evaluated] == [4, 1]


# --- sides that do not halve twice


@pytest.mark.parametrize("size", range(4, 70))
def test_the_sides_that_fit_are_those_whose_two_paths_meet(size):
    """By the layers themselves: pooling and the convolution of a residual block, twice."""
    pool, conv = torch.nn.AvgPool2d(2, 2), torch.nn.Conv2d(1, 1, 3, stride=2, padding=1)
    fits, x = True, torch.zeros(1, 1, size, size)
    for _ in range(2):
        fits, x = fits and pool(x).shape == conv(x).shape, conv(x)
    if fits:
        check_image_size(size, size)
        assert ResidualBlock(2, 4)(torch.zeros(2, 2, size, size)).shape[-1] == size // 2
    else:
        with pytest.raises(ValueError, match=f"images of {size} x {size} pixels do not halve twice.*multiples of 4, such as "):
            check_image_size(size, size)


@pytest.mark.parametrize("size", [6, 30, 50])
def test_other_sides_are_refused_before_the_first_step(size, tmp_path):
    recipe = gl.training_recipe("smoke", "nasbench201", epochs=1, batch_size=4)
    starts = [
        lambda: gl.Training(gl.network(CELL, 2, 1, 2), images(8, size), recipe=recipe, device="cpu", out=tmp_path / "a"),
        lambda: gl.Search(gl.NASBench201(2, 1), images(8, size), gl.GDAS(), recipe="smoke", device="cpu", out=tmp_path / "b"),
        lambda: gl.network(CELL, 2, 1, 2)(torch.zeros(2, 3, size, size))]
    for start in starts:
        with pytest.raises(ValueError, match=rf"{size} x {size} pixels do not halve twice"):
            start()
    assert not list(tmp_path.iterdir())
    gl.Search(gl.NASNet(channels=2, cells=3), images(8, size), gl.GDAS(), recipe="smoke", device="cpu")      # takes every side


# --- PyTorch's global settings


@contextmanager
def default(setting):
    """Inside, one of PyTorch's global settings is another."""
    try:
        {"float64": lambda: torch.set_default_dtype(torch.float64), "bfloat16": lambda: torch.set_default_dtype(torch.bfloat16),
         "meta": lambda: torch.set_default_device("meta"), "no grad": lambda: torch.set_grad_enabled(False),
         "autocast": lambda: torch.set_autocast_enabled("cpu", True)}[setting]()
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
        torch.set_grad_enabled(True)
        torch.set_autocast_enabled("cpu", False)


SETTINGS = {"float64": "default dtype is torch.float64", "bfloat16": "default dtype is torch.bfloat16",
            "meta": "default device is meta", "no grad": "gradients are switched off",
            "autocast": "torch.autocast is on, which would change a run's numbers"}


def text(tmp_path) -> gl.TextData:
    (tmp_path / "text.txt").write_text("the cat sat on the mat and the dog ran home now\n" * 400)
    return gl.load_data(tmp_path / "text.txt")


def runs(tmp_path):
    """A function that makes a run of each kind, and networks that were built under ordinary settings."""
    words, pictures = text(tmp_path), images(8, 8)
    network, model = gl.network(CELL, 2, 1, 2), gl.network(gl.zoo_genotype("GDAS@recurrent"), 4, words.vocabulary)
    return {
        "image search": lambda: gl.Search(gl.NASBench201(2, 1), pictures, gl.GDAS(), device="cpu", recipe=gl.search_recipe(
            "smoke", "nasbench201", "gdas", epochs=2, batch_size=4)),
        "text search": lambda: gl.Search(gl.Recurrent(hidden=4), words, gl.GDAS(), device="cpu", recipe=gl.search_recipe(
            "smoke", "recurrent", "gdas", epochs=2, batch_size=8)),
        "stacked": lambda: gl.Search(gl.NASBench201(2, 1), pictures, gl.GDAS(), device="cpu", seeds=range(2), recipe="smoke"),
        "training": lambda: gl.Training(network, pictures, device="cpu", recipe=gl.training_recipe(
            "smoke", "nasbench201", epochs=2, batch_size=4)),
        "language training": lambda: gl.LanguageTraining(model, words, device="cpu", recipe="smoke"),
    }


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("kind", ["image search", "text search", "stacked", "training", "language training"])
def test_no_run_begins_under_another_setting(kind, setting, tmp_path):
    make = runs(tmp_path)[kind]
    with default(setting), pytest.raises(ValueError, match=SETTINGS[setting]) as caught:
        make()
    assert "\n" not in str(caught.value) and "call torch.set_" in str(caught.value)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("kind", ["image search", "training"])
def test_nor_goes_on_under_it_and_going_on_afterwards_is_as_if_nothing_was(kind, setting, tmp_path):
    make = runs(tmp_path)[kind]
    whole, run = make().run(), make()
    run.run_epoch()
    with default(setting), pytest.raises(ValueError, match=SETTINGS[setting]):
        run.run_epoch()
    run.run()
    assert all(torch.equal(value, run.tensors()[name]) for name, value in whole.tensors().items())


def test_a_network_of_another_type_is_refused():
    with pytest.raises(ValueError, match=r"the network's stem\.0\.weight is torch\.float64, .* network\.float\(\)"):
        gl.Training(gl.network(CELL, 2, 1, 2).double(), images(8, 8), recipe="smoke", device="cpu")


@pytest.mark.parametrize("setting", SETTINGS)
def test_data_are_the_same_under_any_setting(setting, tmp_path):
    class_folders(tmp_path / "p", {"train": 8, "val": 4})

    def load():
        streamed = gl.load_data(tmp_path / "p", streamed=True, image_size=8, num_workers=0)
        memory = gl.load_data(tmp_path / "p", image_size=8)
        return [memory.train.images, memory.train.labels, memory.train_half.images, memory.evaluation["test"].images,
                streamed.train.labels, text(tmp_path).train, gl.load_data("digits").train_half.images]

    expected = load()
    with default(setting):
        found = load()
    assert all(torch.equal(a, b) and a.dtype == b.dtype and a.device == b.device for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("kind", ["nasbench201", "nasnet"])
def test_a_prediction_is_the_same_under_any_setting(setting, kind, tmp_path):
    data = gl.load_data(class_folders(tmp_path / "p", {"train": 8, "val": 4}), image_size=8)
    network = gl.network(CELL, 2, 1, 2) if kind == "nasbench201" else gl.network(gl.zoo_genotype("GDAS_V1"), 2, 3, 2)
    out = gl.export_network(network, tmp_path / "net", data=data)
    picture = tmp_path / "p" / "val" / "ant" / "0.png"
    expected = gl.predict(out, picture)
    with default(setting):
        assert gl.predict(out, picture) == expected
        assert predict_with(gl.load_exported(out), gl.read_exported(out), picture) == expected


@pytest.fixture(scope="module")
def of_trained(tmp_path_factory):
    """A function of a name: what comes of a trained network, and of a trained model, that are loaded, scored and exported."""
    folder = tmp_path_factory.mktemp("trained")
    data = gl.load_data(class_folders(folder / "p", {"train": 8, "val": 4}), image_size=8)
    streamed = gl.load_data(folder / "p", image_size=8, streamed=True, num_workers=0)
    words, recipe = text(folder), gl.training_recipe("smoke", "nasbench201", epochs=1, batch_size=4)
    gl.Training(gl.network(CELL, 2, 1, 2), data, recipe=recipe, device="cpu", out=folder / "run").run().close()
    model = gl.network(gl.zoo_genotype("GDAS@recurrent"), 4, words.vocabulary)
    recipe = gl.language_recipe("smoke", epochs=1, batch_size=64, valid_batch=2, test_batch=2)
    gl.LanguageTraining(model, words, recipe=recipe, device="cpu", out=folder / "words").run().close()

    def results(name):
        network, model = gl.load_network(folder / "run"), gl.load_network(folder / "words")
        out = gl.export_network(folder / "run", folder / name)
        loaded = gl.load_exported(out)
        scores = [evaluate(network, images, data) for images in data.evaluation.values()]
        scores += [evaluate(loaded, streamed.evaluation["test"], streamed), confusion(network, data.train, data).tolist()]
        scores.append(evaluate_text(model, Streams(words.test, 2, 5)))
        tensors = [value for each in (network, model, loaded) for value in each.state_dict().values()]
        return tensors, scores, (out / "weights.safetensors").read_bytes()

    return results


@pytest.mark.parametrize("setting", SETTINGS)
def test_networks_are_loaded_scored_and_exported_the_same_under_any_setting(setting, of_trained):
    tensors, *expected = of_trained("usual")
    with default(setting):
        found, *rest = of_trained(setting)
    assert rest == expected
    assert all(torch.equal(a, b) and a.dtype == b.dtype and a.device == b.device for a, b in zip(tensors, found, strict=True))


# --- reading processes


@pytest.mark.parametrize("method, reads", [("fork", True), ("spawn", False), ("forkserver", False), (None, None)])
def test_reading_processes_ask_the_start_method(monkeypatch, method, reads):
    asked = []

    def start_method(allow_none=False):
        asked.append(allow_none)
        return method
    monkeypatch.setattr(multiprocessing, "get_start_method", start_method)
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["forkserver", "fork", "spawn"])
    monkeypatch.setattr(sys, "platform", "linux" if method != "fork" else "sunos5")
    assert (default_workers() > 0) == bool(reads) and asked == [True]       # asking must not choose one


@pytest.mark.parametrize("cores, processes, workers", [(1, None, 1), (6, None, 6), (64, None, 8), (16, "4", 4), (2, "8", 1)])
def test_reading_processes_are_one_a_core_at_most_eight_and_shared_out(cores, processes, workers, monkeypatch):
    """LOCAL_WORLD_SIZE: torchrun's, so many processes of one training share this machine."""
    monkeypatch.setattr("gdas_lite.data.photos.processors", lambda: cores)
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: "fork")
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if processes:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert default_workers() == workers


def test_a_script_without_a_guard_trains_where_processes_are_not_forked(tmp_path):
    class_folders(tmp_path / "p", {"train": 4, "val": 4})
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, gdas_lite as gl\n"
        "multiprocessing.set_start_method('forkserver')\n"
        "data = gl.load_data('./p', streamed=True, image_size=32)\n"
        "net = gl.network(gl.zoo_genotype('GDAS_V1'), channels=2, cells=3, classes=2)\n"
        "recipe = gl.training_recipe('smoke', 'nasnet', epochs=1, batch_size=4)\n"
        "gl.Training(net, data, recipe=recipe, device='cpu').run(); print('workers', data.num_workers)\n")
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert (done.returncode, done.stdout) == (0, "workers 0\n"), done.stderr


def test_a_default_device_that_was_taken_back_is_none(monkeypatch):
    def of_pytorch_2_4() -> torch.device:       # after set_default_device(None)
        raise AttributeError("'NoneType' object has no attribute 'device'")

    monkeypatch.setattr(torch, "get_default_device", of_pytorch_2_4)
    check_defaults()
    with usual_defaults():
        assert torch.empty(0).device.type == "cpu"
    with torch.device("meta"):
        with pytest.raises(ValueError, match="PyTorch's default device is meta"):
            check_defaults()
        with usual_defaults():
            assert torch.empty(0).device.type == "cpu"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_run_is_not_copied_in_memory(copied):
    """Half of it would be shared: the folder, chance, what an engine keeps."""
    run = gl.Search(gl.NASBench201(2, 1), gl.load_data("digits"), gl.GDAS(), recipe="smoke")
    with pytest.raises(TypeError, match="a search cannot be copied or pickled; with out="):
        copied(run)
