"""Image sets, data sets, batches."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from gdas_lite.data import Augmentation, Batches, ImageData, ImageSet
from gdas_lite.data.batches import data_info

MEAN, STD = (0.2, 0.4, 0.6), (0.5, 0.25, 0.125)


def image_set(count: int = 10, size: int = 6, channels: int = 3, classes: int = 3) -> ImageSet:
    pixels = np.random.default_rng(count).integers(0, 256, (count, size, size, channels), dtype=np.uint8)
    return ImageSet.from_arrays(pixels, np.arange(count) % classes)


def image_data(**changes) -> ImageData:
    halves = image_set(10), image_set(7)
    values = {
        "name": "toy",
        "classes": 3,
        "class_names": ("a", "b", "c"),
        "image_size": 6,
        "image_channels": 3,
        "mean": MEAN,
        "std": STD,
        "augmentation": Augmentation(padding=1, flip=True),
        "train": image_set(17),
        "train_half": halves[0],
        "valid_half": halves[1],
        "evaluation": {"test": image_set(5)},
    }
    return ImageData(**(values | changes))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def all_of(batches, **options):
    xs, ys = zip(*batches.epoch(**options))
    return torch.cat(xs), torch.cat(ys)


# image sets


def test_an_image_set_keeps_pixels_in_place_and_knows_its_length():
    pixels = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    images = ImageSet.from_arrays(pixels, [1, 0])
    assert len(images) == 2
    assert images.images[1, 2, 0, 3] == pixels[1, 0, 3, 2]  # (count, channels, height, width)
    assert images.images.is_contiguous(memory_format=torch.channels_last)
    assert repr(images) == "ImageSet(2 images, 3x3x4, on cpu)"


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_a_subset_has_the_named_images_in_the_named_order(kind):
    images = image_set(10)
    part = images.subset(kind([7, 2, 2]))
    assert torch.equal(part.images, images.images[[7, 2, 2]])
    assert part.labels.tolist() == [1, 2, 2]
    assert part.images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("changes, most", [({"padding": 6}, 5), ({"padding": 7}, 5), ({"cutout": 12}, 11)], ids=str)
def test_an_augmentation_that_can_leave_nothing_of_a_picture_is_refused(changes, most):
    with pytest.raises(ValueError, match=rf"^toy: .*=\d+ can leave nothing of a picture of 6 pixels; at most {most} leaves"):
        image_data(augmentation=Augmentation(**changes))
    data = image_data(augmentation=Augmentation(padding=5, flip=True, cutout=11))
    x, _ = all_of(Batches(data.train, data, 4, augmentation=data.augmentation), generator=generator())
    assert len(x) == len(data.train)


def test_wrong_types_and_shapes_are_refused():
    images, labels = torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(TypeError, match="images must be uint8 and labels int64, got torch.float32"):
        ImageSet(images.float(), labels)
    with pytest.raises(TypeError, match=r"torch\.int32"):
        ImageSet(images, labels.int())
    with pytest.raises(ValueError, match=r"got \(2, 3, 4, 4\) and \(1,\)"):
        ImageSet(images, labels[:1])
    with pytest.raises(ValueError, match=r"got \(3, 4, 4\)"):
        ImageSet(images[0], labels)


# data sets


def test_labels_outside_the_range_are_named():
    bad = ImageSet(image_set(5).images, torch.tensor([0, 1, 3, 2, -1]))
    message = r"toy, test: 2 of 5 labels lie outside 0\.\.2, the first is 3 at index 2"
    with pytest.raises(ValueError, match=message):
        image_data(evaluation={"test": bad})


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"valid_half": image_set(4, size=7)},
            r"toy, valid_half: images are \(3, 7, 7\), expected \(3, 6, 6\)",
        ),
        ({"train": image_set(4, channels=1)}, r"toy, train: images are \(1, 6, 6\)"),
        ({"class_names": ("a", "b")}, "3 classes but 2 class names"),
        ({"mean": (0.5,)}, "mean and std need one number for each of 3 channels"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        image_data(**change)


@pytest.mark.parametrize("number", [np.int64, np.uint8, torch.tensor])
def test_whole_numbers_of_other_libraries_are_python_s(number):
    """A training takes them along into JSON files, and an export wrote half of one over an older."""
    data = image_data(classes=number(3), image_size=number(6), image_channels=number(3), mean=[np.float32(0.5)] * 3)
    assert {type(each) for each in (data.classes, data.image_size, data.image_channels, *data.mean)} == {int, float}
    assert json.dumps(data_info(data))


def test_what_is_no_augmentation_is_said():
    with pytest.raises(ValueError, match="augmentation must be Augmentation.*, got None"):
        image_data(augmentation=None)


def test_the_printed_form_lists_the_parts():
    lines = repr(image_data()).splitlines()
    assert lines[0] == "ImageData toy: 3 classes, colour images of 6 pixels"
    assert [line.split()[:2] for line in lines[1:]] == [
        ["train", "17"],
        ["train_half", "10"],
        ["valid_half", "7"],
        ["test", "5"],
    ]


# batches


def test_plain_batches_are_the_normalised_images_in_order():
    data = image_data()
    x, y = all_of(Batches(data.train, data, 5, augmentation=None), shuffle=False)
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    assert torch.equal(x, (data.train.images / 255 - mean) / std)
    assert torch.equal(y, data.train.labels)


def test_an_epoch_has_every_image_once_and_keeps_the_short_batch():
    data = image_data()
    batches = Batches(data.train, data, 5, augmentation=None)
    sizes = [len(y) for _, y in batches.epoch(generator())]
    assert sizes == [5, 5, 5, 2]
    assert len(batches) == 4
    plain, _ = all_of(batches, shuffle=False)
    shuffled, _ = all_of(batches, generator=generator())
    order = [int((plain == image).flatten(1).all(1).nonzero()) for image in shuffled]
    assert sorted(order) == list(range(17))
    assert order != list(range(17))


def test_every_augmented_image_is_one_of_its_own_possible_crops_with_its_own_label():
    data = image_data()
    x, y = all_of(Batches(data.train, data, 17, augmentation=Augmentation(1, True)), generator=generator())
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    seen = set()
    for image, label in zip(x, y):
        found = None
        for index, original in enumerate(data.train.images):
            for flipped in (False, True):
                source = original.flip(2) if flipped else original
                padded = torch.nn.functional.pad(source, (1, 1, 1, 1))
                for top in range(3):
                    for left in range(3):
                        crop = (padded[:, top : top + 6, left : left + 6] / 255 - mean) / std
                        if torch.equal(crop, image):
                            found = index, (flipped, top, left)
        assert found is not None
        assert label == data.train.labels[found[0]]
        seen.add(found[1])
    assert len(seen) > 8  # the images have draws of their own


def test_cutout_is_applied_after_normalisation():
    data = image_data()
    x, _ = all_of(Batches(data.train, data, 4, augmentation=Augmentation(cutout=12)), generator=generator())
    # a square of 12 around any pixel of a 6-pixel image covers it all
    assert torch.equal(x, torch.zeros_like(x))


def test_a_seed_fixes_the_batches_whatever_their_size():
    data = image_data(augmentation=Augmentation(1, True, 2))
    first, second, other = (
        all_of(Batches(data.train, data, size, augmentation=data.augmentation), generator=generator(seed))
        for size, seed in [(4, 3), (7, 3), (4, 4)]
    )
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])


def test_nothing_but_the_given_generator_is_used():
    data = image_data()
    torch.manual_seed(0)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    batches = Batches(data.train, data, 4, augmentation=Augmentation(1, True, 2))
    all_of(batches, generator=generator())
    batches.draw(3, generator())
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


def test_draw_takes_images_with_replacement_uniformly():
    data = image_data()
    batches = Batches(data.valid_half, data, 4, augmentation=None)
    x, y = batches.draw(7000, generator())
    plain, labels = all_of(batches, shuffle=False)
    which = torch.stack([(plain == image).flatten(1).all(1) for image in x]).int().argmax(1)
    assert torch.equal(y, labels[which])
    counts = torch.bincount(which, minlength=7)
    assert float(((counts - 1000) ** 2 / 1000).sum()) < 22.5  # 99.9% point of 6 degrees of freedom
    # with replacement: each of the 49 pairs of neighbours is as frequent as any other
    pairs = torch.bincount(7 * which[0::2] + which[1::2], minlength=49)
    assert float(((pairs - 3500 / 49) ** 2 / (3500 / 49)).sum()) < 84  # 99.9% point of 48 degrees of freedom


def test_draw_augments_each_image_by_itself():
    data = image_data()
    one = data.train.subset([0])
    x, _ = Batches(one, data, 1, augmentation=Augmentation(1, True)).draw(200, generator())
    assert len(torch.unique(x.flatten(1), dim=0)) == 18  # 9 crops, mirrored or not


@pytest.mark.parametrize("augmentation", [None, Augmentation(1, True), Augmentation(0, False, 2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_batches_have_the_promised_form(augmentation, channels):
    data = image_data()
    images = image_set(9, channels=channels)
    grey = image_data(
        image_channels=channels,
        mean=MEAN[:channels],
        std=STD[:channels],
        train=images,
        train_half=images,
        valid_half=images,
        evaluation={},
    )
    data = grey if channels == 1 else data
    batches = Batches(images, data, 4, augmentation=augmentation)
    for x, y in [*batches.epoch(generator()), batches.draw(3, generator())]:
        assert x.shape == (len(y), channels, 6, 6)
        assert x.dtype == torch.float32 and y.dtype == torch.int64
        assert x.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_seed_gives_the_same_batches_on_cuda():
    data = image_data(augmentation=Augmentation(1, True, 2))
    results = [
        all_of(
            Batches(data.train, data, 4, augmentation=data.augmentation, device=device), generator=generator()
        )
        for device in ("cpu", "cuda")
    ]
    assert torch.equal(results[0][1], results[1][1].cpu())
    torch.testing.assert_close(results[0][0], results[1][0].cpu(), rtol=0, atol=1e-6)


def test_the_sentences_for_wrong_calls():
    data = image_data()
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        Batches(data.train, data, 0, augmentation=None)
    with pytest.raises(ValueError, match="no images"):
        Batches(data.train.subset([]), data, 4, augmentation=None)
    with pytest.raises(ValueError, match="these images have 1 channels, but toy has 3"):
        Batches(image_set(4, channels=1), data, 4, augmentation=None)
    plain = Batches(data.train, data, 4, augmentation=None)
    augmented = Batches(data.train, data, 4, augmentation=data.augmentation)
    for call in (plain.epoch, lambda: augmented.epoch(shuffle=False), lambda: plain.draw(3, None)):
        with pytest.raises(ValueError, match=r"give a CPU torch\.Generator"):
            call()
    for mask in (data.train.labels == 1, (data.train.labels == 1).numpy(), (data.train.labels == 1).tolist()):
        with pytest.raises(TypeError, match=r"given by indices, not by a mask; mask.nonzero\(\) has those"):
            data.train.subset(mask)
    with pytest.raises(ValueError, match="draw at least 1 image, got count=0"):
        plain.draw(0, generator())


@pytest.mark.parametrize("labels", [["cat", "dog"], [0.0, 1.5], [0.0, float("nan")], [b"0", b"1"]], ids=str)
def test_labels_that_are_no_whole_numbers_are_refused(labels):
    with pytest.raises(ValueError, match="labels must be whole numbers, places in class_names, got"):
        ImageSet.from_arrays(np.zeros((2, 4, 4, 3), np.uint8), labels)


@pytest.mark.parametrize("labels", [[0, 1], (0.0, 1.0), np.array([0, 1], np.uint8), np.array([0, 1], object),
                                    torch.tensor([0, 1]), [False, True]], ids=str)
def test_whole_numbers_of_any_type_are_labels(labels):
    assert ImageSet.from_arrays(np.zeros((2, 4, 4, 3), np.uint8), labels).labels.tolist() == [0, 1]
    assert len(ImageSet.from_arrays(np.zeros((0, 4, 4, 3), np.uint8), [])) == 0


@pytest.mark.parametrize("changes", [{"mean": (125.3, 123.0, 113.9)}, {"std": (63.0, 62.1, 66.7)}, {"mean": (-1.0, 0, 0)},
                                     {"std": (float("nan"), 0.2, 0.2)}, {"std": (0.2, 0.0, 0.2)}], ids=str)
def test_constants_of_another_scale_are_refused(changes):
    with pytest.raises(ValueError, match=f"toy: of pixels scaled to 0..1, {next(iter(changes))}.[01]. must be"):
        image_data(**changes)
