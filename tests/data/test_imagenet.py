"""Photographs streamed from class folders: the same images for a seed, the codes' transforms, damaged files."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import gdas_lite as gl
from gdas_lite.data.augment import EIGENVALUES, EIGENVECTORS, PhotoAugmentation, lighting, seeded
from gdas_lite.data.batches import StreamedBatches
from gdas_lite.data.photos import MEAN, STD, load_imagenet, load_streamed, unreadable_photos
from gdas_lite.data.pictures import open_picture
from gdas_lite.runs.config import how_loaded
from gdas_lite.runs.shards import Shard
from gdas_lite.training import loop

# Python 3.12 warns whenever a process with threads is forked, as every reading process is on Linux.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
PER_CLASS = {"train": 5, "val": 3}


@pytest.fixture
def photos(tmp_path):
    """Two classes of random photographs of different sizes."""
    generator = np.random.default_rng(0)
    for part, count in PER_CLASS.items():
        for name in ("ant", "bee"):
            (tmp_path / part / name).mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 256, (40 + index, 52 - index, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / name / f"{name}_{index}.JPEG", quality=95)
    return tmp_path


def load(folder, **options):
    return load_streamed(folder, **{"image_size": 24, "num_workers": 0} | options)


def batches(data, size=4, augmentation="own", **options):
    chosen = data.augmentation if augmentation == "own" else augmentation
    return StreamedBatches(data.train, data, size, augmentation=chosen, **options)


def epoch(source, seed=0):
    xs, ys = zip(*source.epoch(torch.Generator().manual_seed(seed)))
    return torch.cat(xs), torch.cat(ys)


def test_the_data_object_is_that_of_any_image_data_set(photos):
    data = gl.load_data(photos, streamed=True, image_size=24)
    assert (data.classes, data.class_names, data.image_size, data.image_channels) == (2, ("ant", "bee"), 24, 3)
    assert len(data.train) == 10 and len(data.evaluation["test"]) == 6
    assert data.train.labels.tolist() == [0] * 5 + [1] * 5 and data.train.path(6).name == "bee_1.JPEG"
    assert (data.mean, data.std) == (MEAN, STD) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))       # torchvision's
    with pytest.raises(ValueError, match="has no search halves"):
        data.train_half  # noqa: B018


@pytest.mark.parametrize("augmentation", [PhotoAugmentation("darts"), PhotoAugmentation("autodl", 255.0, cutout=8)])
def test_a_seed_means_the_same_images_whatever_workers_and_batch_size(photos, augmentation):
    data = load(photos)
    reference = epoch(batches(data, augmentation=augmentation))
    assert reference[0].shape == (10, 3, 24, 24) and reference[0].is_contiguous(memory_format=torch.channels_last)
    for changes, size in (({"num_workers": 2}, 4), ({"num_workers": 1}, 3), ({}, 10)):
        again = epoch(batches(replace(data, **changes), size, augmentation))
        assert torch.equal(reference[0], again[0]) and torch.equal(reference[1], again[1])
    other = epoch(batches(data, augmentation=augmentation), seed=1)
    assert not torch.equal(reference[0], other[0]) and sorted(other[1].tolist()) == sorted(reference[1].tolist())


def test_one_square_of_a_picture_is_erased_anywhere_in_it_and_nothing_else(photos):
    """Its row says nothing of its column."""
    cut, whole = (batches(load(photos, image_size=8), 10, PhotoAugmentation(cutout=side)) for side in (1, 0))
    places = set()
    for seed in range(12):
        changed = (epoch(cut, seed)[0] != epoch(whole, seed)[0]).any(1)
        assert changed.sum((1, 2)).tolist() == [1] * 10
        places |= {(row, column) for _, row, column in changed.nonzero().tolist()}
    assert len(places) > 40         # of 64, by 120 draws: 54 on average


def test_the_global_generator_is_neither_used_nor_changed(photos):
    source = batches(load(photos))
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = epoch(source)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(6)
    assert torch.equal(first[0], epoch(source)[0])


def test_parts_of_two_processes_are_the_batches_of_one(photos):
    data = load(photos)
    whole = list(batches(data, 7).epoch(torch.Generator().manual_seed(3)))
    parts = [list(batches(data, 7, shard=Shard(rank, 2)).epoch(torch.Generator().manual_seed(3))) for rank in range(2)]
    assert [[len(y) for _, y in part] for part in parts] == [[3, 3], [4, 3]]    # 3 < 2 * 2: both do the last batch
    assert torch.equal(whole[0][0], torch.cat([parts[0][0][0], parts[1][0][0]]))
    assert torch.equal(whole[1][0], parts[0][1][0]) and torch.equal(whole[1][0], parts[1][1][0])


def test_evaluation_is_the_codes_transform_bit_for_bit(photos):
    from torchvision import transforms
    data = load(photos, image_size=28)
    stock = transforms.Compose([transforms.Resize(32), transforms.CenterCrop(28), transforms.ToTensor(),
                                transforms.Normalize(MEAN, STD)])
    expected = torch.stack([stock(open_picture(data.train.path(index))[0]) for index in range(10)])
    x = torch.cat([x for x, _ in batches(data, augmentation=None).epoch(shuffle=False)])
    assert torch.equal(x, expected)
    owned = [number for rank in range(3) for number, _, _ in batches(data, 2, None, shard=Shard(rank, 3)).own_batches()]
    assert owned == [0, 3, 1, 4, 2]


@pytest.mark.parametrize("options", [{}, {"upright": False}, {"image_size": 20, "lineage": "autodl", "lighting_scale": 255.0}], ids=str)
def test_what_a_run_folder_keeps_of_photographs_loads_them_again(photos, options):
    data = load(photos, **options)
    kept = how_loaded(json.loads(json.dumps({"name": data.name, "streamed": data.options})))
    again = gl.load_data(photos, **kept, num_workers=0)
    assert (again.augmentation, again.reading, again.options) == (data.augmentation, data.reading, data.options)
    assert again.train.upright is data.train.upright is options.get("upright", True)
    assert how_loaded({"streamed": {"image_size": 24}}) == {"streamed": True, "upright": False, "image_size": 24}     # older


@pytest.mark.parametrize("lineage", ["darts", "autodl"])
def test_training_is_the_codes_transform_under_each_images_seed(photos, lineage):
    from torchvision import transforms
    data = load(photos, lineage=lineage, lighting_scale=255.0)
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(10, generator=generator)
    seeds = torch.randint(2**62, (10,), generator=generator)
    flip, jitter = transforms.RandomHorizontalFlip(), transforms.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.2)
    lit = transforms.Lambda(lambda picture: lighting(picture, 0.1 * torch.randn(3).numpy(), 255.0))
    stock = transforms.Compose([transforms.RandomResizedCrop(24), *((flip, jitter) if lineage == "darts" else (jitter, lit, flip)),
                                transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    x, y = epoch(batches(data))
    for place in range(10):
        with seeded(int(seeds[place])):
            assert torch.equal(x[place], stock(open_picture(data.train.path(int(order[place])))[0]))
        assert y[place] == data.train.labels[order[place]]


def test_flips_and_crops_are_spread_as_they_should_be(photos):
    """400 draws of one picture: the mirrored share is a half within four standard deviations, crops differ in area."""
    picture = Image.fromarray(np.arange(200, dtype=np.uint8)[None, :, None].repeat(200, 0).repeat(3, 2))
    transform = PhotoAugmentation("darts").transform(8)
    rising, ranges = 0, []
    for seed in range(400):
        with seeded(seed):
            row = np.asarray(transform(picture)).astype(int)[4, :, 1]
        rising += row[-1] > row[0]
        ranges.append(abs(row[-1] - row[0]))
    assert 160 < rising < 240
    assert min(ranges) < 80 < 120 < max(ranges)


def test_lighting_is_the_sum_over_components_and_as_small_as_the_code_makes_it():
    picture = Image.fromarray(np.full((2, 2, 3), 100, np.uint8))
    strengths = np.array([0.3, -0.2, 0.1])
    for scale in (1.0, 255.0):
        expected = [int(100 + scale * sum(EIGENVECTORS[c][k] * strengths[k] * EIGENVALUES[k] for k in range(3)))
                    for c in range(3)]
        assert np.asarray(lighting(picture, strengths, scale))[1, 0].tolist() == expected
    assert set(np.unique(np.asarray(lighting(picture, 10 * strengths, 1.0)))) <= {99, 100}
    assert np.asarray(lighting(picture, 10 * strengths, 255.0)).min() < 90
    for grey, strength in ((0, 0.1), (255, -0.1)):      # beyond black and white there is nothing
        assert np.unique(lighting(Image.fromarray(np.full((2, 2, 3), grey, np.uint8)), np.array([strength, 0, 0]), 255.0)).tolist() == [grey]
    assert PhotoAugmentation() == PhotoAugmentation("darts", lighting_scale=1.0, cutout=0)
    np.testing.assert_allclose(EIGENVECTORS.T @ EIGENVECTORS, np.eye(3), atol=1e-3)      # directions, as printed
    assert EIGENVALUES.tolist() == [0.2175, 0.0188, 0.0045] and EIGENVECTORS.tolist() == [
        [-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]


def test_lineages_differ_in_lighting_alone_where_nothing_is_drawn(photos):
    data = load(photos)
    darts = epoch(batches(data))[0]
    autodl = epoch(batches(data, augmentation=PhotoAugmentation("autodl")))[0]
    assert not torch.equal(darts, autodl)
    with pytest.raises(ValueError, match="lineage must be one of autodl, darts, got 'gdas'"):
        load(photos, lineage="gdas")


@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
def test_a_picture_that_cannot_be_read_is_named_and_refused(photos, damage):
    bad = photos / "train" / "bee" / "bee_2.JPEG"
    bad.write_bytes({"cut": bad.read_bytes()[:300], "text": b"no picture", "empty": b""}[damage])
    for workers in (0, 1):
        with pytest.raises(ValueError, match=r"bee_2\.JPEG cannot be read \(.+\); remove or replace it"):
            epoch(batches(load(photos, num_workers=workers)))
    found = unreadable_photos(load(photos))
    assert list(found) == [str(bad)] and found[str(bad)]


@pytest.mark.parametrize("workers", [0, 1])
def test_or_left_out_before_the_epoch_and_named_in_one_warning(photos, workers):
    whole = load(photos)
    (photos / "train" / "bee" / "bee_4.JPEG").write_bytes(b"no picture")
    (photos / "val" / "ant" / "ant_1.JPEG").write_bytes(b"no picture")
    with pytest.warns(UserWarning, match=r"^2 of 16 pictures cannot be read: \S*bee_4\.JPEG \(not a picture\), \S*ant_1"
                                         r"\.JPEG \(not a picture\); they are left out$") as caught:
        data = load(photos, on_error="skip", num_workers=workers)
    assert len(caught) == 1 and [path.rpartition(os.sep)[2] for path in data.unreadable] == ["bee_4.JPEG", "ant_1.JPEG"]
    assert data.train.names.tolist() == [name for name in whole.train.names if b"bee_4" not in name]
    for seed in (0, 1):
        assert sorted(epoch(batches(data), seed)[1].tolist()) == [0] * 5 + [1] * 4
    evaluation = StreamedBatches(data.evaluation["test"], data, 2, augmentation=None)
    assert [y.tolist() for _, _, y in evaluation.own_batches()] == [[0, 0], [1, 1], [1]]
    assert unreadable_photos(data) == {}
    with pytest.warns(UserWarning):         # who makes the data again from a run folder leaves out the same files
        again = load_streamed(photos, num_workers=0, **data.options)
    assert again.train.checksum() == data.train.checksum() and "on_error" not in whole.options


def test_a_class_without_a_readable_picture_is_named_even_when_skipping(photos):
    for file in (photos / "train" / "bee").rglob("*.JPEG"):
        file.write_bytes(b"")
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="class 'bee' has no pictures that can be read"):
        load(photos, on_error="skip")


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_an_interrupt_that_reaches_a_reading_process_does_not_stop_it(photos):
    steps = batches(load(photos, num_workers=1), size=1).epoch(torch.Generator().manual_seed(0))
    next(steps)
    workers = multiprocessing.active_children()
    assert len(workers) == 1
    os.kill(workers[0].pid, signal.SIGINT)
    assert len(list(steps)) == 9


@pytest.mark.parametrize("change, error, sentence", [
    (lambda root: shutil.rmtree(root / "val"), FileNotFoundError, "has no folder val/"),
    (lambda root: shutil.rmtree(root / "train"), FileNotFoundError, "has no folder train/"),
    (lambda root: shutil.rmtree(root / "train" / "ant"), ValueError, "only one class folder"),
    (lambda root: (root / "val" / "wasp").mkdir(), ValueError, "class 'wasp', which is not among the training classes: ant, bee"),
    (lambda root: [shutil.rmtree(root / "train" / "bee"), (root / "train" / "bee").mkdir()], ValueError,
     "class 'bee' has no pictures"),
])
def test_folders_that_are_no_data_set(photos, change, error, sentence):
    change(photos)
    with pytest.raises(error, match=sentence):
        load(photos)


def test_validation_pictures_that_are_not_sorted_yet(photos):
    for file in list((photos / "val").rglob("*.JPEG")):
        file.rename(photos / "val" / file.name)
    for folder in ("ant", "bee"):
        (photos / "val" / folder).rmdir()
    with pytest.raises(ValueError, match="holds pictures but no class folders; .* valprep"):
        load(photos)


@pytest.mark.parametrize("options, sentence", [
    ({"num_workers": -1}, "num_workers must be at least 0"), ({"image_size": 2}, "image_size must be at least 4"),
    ({"on_error": "hide"}, "on_error must be 'raise' or 'skip'"), ({"lighting_scale": -1.0}, "must be at least 0"),
])
def test_bad_options(photos, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        load(photos, **options)


def test_load_data_by_name(photos, monkeypatch, tmp_path):
    data = gl.load_data("imagenet", root=photos, num_workers=0)
    assert data.name == photos.name and data.image_size == 224      # two classes are not ImageNet
    with pytest.raises(FileNotFoundError, match="ImageNet was not found.*argument root.*train/n01440764"):
        gl.load_data("ImageNet", root=tmp_path / "nowhere")
    with pytest.raises(TypeError, match="streamed=True is for the path of a folder"):
        gl.load_data("digits", streamed=True)
    with pytest.raises(TypeError, match="imagenet is always streamed"):
        gl.load_data("imagenet", root=photos, streamed=False)
    with pytest.raises(TypeError, match="cannot be downloaded"):
        gl.load_data("imagenet", root=photos, download=True)


def test_a_thousand_classes_are_imagenet(tmp_path):
    picture = tmp_path / "one.jpeg"
    Image.new("RGB", (30, 30), (1, 2, 3)).save(picture)
    for part in ("train", "val"):
        for label in range(1000):
            (tmp_path / "ILSVRC2012" / part / f"n{label:08d}").mkdir(parents=True)
            os.link(picture, tmp_path / "ILSVRC2012" / part / f"n{label:08d}" / "one.JPEG")
    data = load_imagenet(tmp_path)
    assert data.name == "imagenet" and data.classes == 1000 and len(data.train) == 1000
    assert data.train.names.nbytes < 30_000         # as bytes, not as text
    checksum = data.train.checksum()
    os.rename(data.train.path(999), data.train.path(999).with_name("two.JPEG"))
    assert load_imagenet(tmp_path).train.checksum() != checksum


def test_a_run_knows_its_pictures_by_their_sizes_too(photos, tmp_path_factory, monkeypatch):
    """Under the same names others are refused; a run folder from before sizes were kept goes on."""
    folder = tmp_path_factory.mktemp("run")
    recipe = gl.training_recipe("smoke", "nasbench201", epochs=2, batch_size=4)

    def begin(name):
        network = gl.network(gl.NASBench201Genotype(("skip_connect",) * 6), 2, 1, 2)
        run = gl.Training(network, load(photos), recipe=recipe, device="cpu", out=folder / name)
        run.run_epoch()
        run.close()

    begin("new")
    plain = loop.identity_of
    monkeypatch.setattr(loop, "identity_of", lambda *arguments: {
        field: value for field, value in plain(*arguments).items() if field != "sizes"})
    begin("old")
    monkeypatch.undo()
    shutil.copytree(photos, folder / "copied")
    gl.resume(folder / "new", load(folder / "copied")).close()
    picture = photos / "train" / "bee" / "bee_3.JPEG"
    picture.write_bytes(picture.read_bytes() + b"0")
    with pytest.raises(gl.RunError, match=r"another configuration \(data\.sizes: "):
        gl.resume(folder / "new", load(photos))
    assert gl.resume(folder / "old", load(photos)).run().epochs_done == 2


def test_real_photographs(shared_data):
    data = gl.load_data("imagenet", root=shared_data / "imagenet-sample-flowers", num_workers=2)
    assert data.class_names == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert len(data.train) == 100 and len(data.evaluation["test"]) == 40
    source = StreamedBatches(data.evaluation["test"], data, 16, augmentation=None)
    shapes, means = zip(*((x.shape, x.mean((0, 2, 3))) for x, _ in source.epoch(shuffle=False)))
    assert shapes == ((16, 3, 224, 224), (16, 3, 224, 224), (8, 3, 224, 224))
    assert torch.stack(means).abs().max() < 1.5      # normalised by about the right numbers
    x, y = next(batches(data, 4).epoch(torch.Generator().manual_seed(0)))
    assert x.shape == (4, 3, 224, 224) and x.std() > 0.5 and len(y) == 4
    assert unreadable_photos(data) == {}
