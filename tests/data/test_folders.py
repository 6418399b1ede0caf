"""Folders of class folders: layouts, pictures of every kind, and everything that can be wrong with them."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import unicodedata
import warnings
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as reference

from gdas_lite.data import DATA_SETS, TEXT_SETS, Augmentation, load_data
from gdas_lite.data.augment import PhotoAugmentation
from gdas_lite.data.images import channel_statistics
from gdas_lite.data.pictures import Reading


def picture(width: int = 12, height: int = 9, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def write_class(folder, count, first=0):
    folder.mkdir(parents=True)
    for index in range(first, first + count):
        picture(seed=index).save(folder / f"{index:03}.png")


@pytest.fixture
def pets(tmp_path):
    write_class(tmp_path / "pets" / "dog", 10, first=0)
    write_class(tmp_path / "pets" / "cat", 15, first=100)
    return tmp_path / "pets"


def read_picture(path, size: int, grey: bool) -> np.ndarray:
    return Reading(size, size, grey).pixels(path)[0]


def members(image_set) -> set[bytes]:
    return {image.numpy().tobytes() for image in image_set.images}


# layouts


def test_class_folders_are_split_by_a_fixed_rule(pets):
    data = load_data(pets, image_size=8)
    assert (data.name, data.class_names, data.image_size, data.image_channels) == (
        "pets",
        ("cat", "dog"),
        8,
        3,
    )
    test = data.evaluation["test"]
    assert torch.bincount(test.labels).tolist() == [3, 2]
    assert torch.bincount(data.train.labels).tolist() == [12, 8]
    assert torch.bincount(data.train_half.labels).tolist() == [6, 4]
    assert torch.bincount(data.valid_half.labels).tolist() == [6, 4]
    assert members(data.train_half) | members(data.valid_half) == members(data.train)
    assert len(members(data.train) | members(test)) == 25
    assert data.augmentation == Augmentation(padding=1, flip=True)


def test_the_split_is_that_of_the_hashed_names(pets):
    """Of class/file, also where it lies deeper. Another rule would be other data for every run folder there is."""
    write_class(pets / "cat" / "kittens", 5, first=150)
    data, test, train = load_data(pets, image_size=8), set(), set()
    for name in ("cat", "dog"):
        files = sorted((pets / name).rglob("*.png"), key=lambda file: hashlib.sha256(
            file.relative_to(pets).as_posix().encode()).digest())
        pixels, kept = [read_picture(file, 8, False).transpose(2, 0, 1).tobytes() for file in files], len(files) * 4 // 5
        test, train = test | set(pixels[kept:]), train | set(pixels[:kept // 2])
    assert members(data.evaluation["test"]) == test and members(data.train_half) == train


def test_the_split_is_the_same_in_another_place_and_when_pictures_are_added_to_another_class(pets, tmp_path):
    before = load_data(pets, image_size=8)
    shutil.copytree(pets, tmp_path / "elsewhere")
    write_class(tmp_path / "elsewhere" / "axolotl", 5, first=200)
    after = load_data(str(tmp_path / "elsewhere"), image_size=8)
    assert after.class_names == ("axolotl", "cat", "dog")
    for part in ("train_half", "valid_half"):
        assert members(getattr(before, part)) < members(getattr(after, part))
    assert members(before.evaluation["test"]) < members(after.evaluation["test"])


@pytest.mark.parametrize("name", ["val", "valid", "test"])
def test_a_folder_with_its_own_test_pictures_keeps_them(pets, name):
    (pets.parent / "tree").mkdir()
    pets.rename(pets.parent / "tree" / "train")
    write_class(pets.parent / "tree" / name / "cat", 2, first=300)
    write_class(pets.parent / "tree" / name / "dog", 1, first=400)
    data = load_data(pets.parent / "tree", image_size=8)
    assert {part: len(images) for part, images in data.evaluation.items()} == {"test": 3}
    assert data.evaluation["test"].labels.tolist() == [0, 0, 1]
    assert torch.bincount(data.train.labels).tolist() == [15, 10]


def test_with_val_and_test_both_are_kept_apart(pets):
    (pets.parent / "tree").mkdir()
    pets.rename(pets.parent / "tree" / "train")
    for name, count in (("val", 2), ("test", 3)):
        write_class(pets.parent / "tree" / name / "cat", count, first=300)
        write_class(pets.parent / "tree" / name / "dog", count, first=400)
    data = load_data(pets.parent / "tree", image_size=8)
    assert {part: len(images) for part, images in data.evaluation.items()} == {"val": 4, "test": 6}


def test_a_lone_train_folder_is_not_a_class(pets):
    (pets.parent / "tree").mkdir()
    pets.rename(pets.parent / "tree" / "train")
    data = load_data(pets.parent / "tree", image_size=8)
    assert data.class_names == ("cat", "dog") and len(data.evaluation["test"]) == 5


def test_hidden_and_other_files_are_passed_over_and_deeper_folders_read(pets):
    (pets / ".cache").mkdir()
    (pets / "__MACOSX").mkdir()
    (pets / "cat" / "notes.txt").write_text("no picture")
    (pets / "cat" / ".hidden.png").write_text("no picture")
    write_class(pets / "cat" / "kittens", 5, first=150)
    data = load_data(pets, image_size=8)
    assert data.class_names == ("cat", "dog")
    assert len(data.train) + len(data.evaluation["test"]) == 30


def test_options_and_the_augmentation_can_be_chosen(pets):
    none = Augmentation()
    data = load_data(pets, image_size=16, grey=True, test_fraction=0.5, augmentation=none)
    assert (data.image_size, data.image_channels, len(data.mean)) == (16, 1, 1)
    assert len(data.train) == 13 and len(data.evaluation["test"]) == 12
    assert data.augmentation is none
    for size, padding in ((16, 2), (12, 2), (11, 1)):       # an eighth
        assert load_data(pets, image_size=size).augmentation == Augmentation(padding=padding, flip=True)


def test_real_photographs(shared_data):
    data = load_data(shared_data / "imagenet-sample-flowers", image_size=64)
    assert data.class_names == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert (
        torch.bincount(data.train_half.labels).tolist()
        == torch.bincount(data.valid_half.labels).tolist()
        == [10] * 5
    )
    assert torch.bincount(data.evaluation["test"].labels).tolist() == [8] * 5
    assert data.augmentation == Augmentation(padding=8, flip=True)


# constants


def test_mean_and_std_are_those_of_the_train_pictures(pets):
    data = load_data(pets, image_size=8)
    pixels = data.train.images.double() / 255
    assert data.mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), abs=1e-12)
    assert data.std == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist(), abs=1e-12)
    assert channel_statistics(data.train) == (data.mean, data.std)


# pictures


@pytest.mark.parametrize("width, height", [(40, 30), (30, 40), (33, 33), (16, 16), (5, 100), (7, 9)])
@pytest.mark.parametrize("grey", [False, True])
def test_a_picture_is_resized_and_cut_as_torchvision_does(tmp_path, width, height, grey):
    picture(width, height).save(tmp_path / "a.png")
    size = 16
    expected = Image.open(tmp_path / "a.png").convert("L" if grey else "RGB")
    expected = reference.center_crop(reference.resize(expected, size), size)
    read = read_picture(tmp_path / "a.png", size, grey)
    assert read.shape == (size, size, 1 if grey else 3)
    assert np.array_equal(read.squeeze(), np.asarray(expected))


def test_pictures_are_turned_as_the_camera_says(tmp_path):
    upright = picture(16, 16)
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 270 degrees anticlockwise to see it upright"
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_picture(tmp_path / "turned.png", 16, False), np.asarray(upright))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_common_kind_of_picture_is_read(tmp_path, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    source = picture(16, 16).convert("L").convert(mode)
    options = {"transparency": b"\x00\x80"} if mode == "P" else {}
    source.save(tmp_path / f"a.{suffix}", **options)
    expected = np.asarray(source.convert("RGBA" if mode == "P" else mode).convert("L"))
    assert np.array_equal(read_picture(tmp_path / f"a.{suffix}", 16, True)[..., 0], expected)


def test_sixteen_bit_pictures_keep_their_contrast(tmp_path):
    values = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)  # black to white in 16 bits
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert read_picture(tmp_path / "deep.png", 16, True).flatten().tolist() == list(range(256))


def test_pictures_of_unknown_range_are_refused(tmp_path):
    Image.fromarray(np.zeros((8, 8), dtype=np.float32)).save(tmp_path / "real.tif")
    with pytest.raises(ValueError, match="its pixels are real numbers of unknown range"):
        read_picture(tmp_path / "real.tif", 8, True)


# what can be wrong


@pytest.fixture
def broken(pets):
    (pets / "cat" / "empty.jpg").write_bytes(b"")
    (pets / "cat" / "text.png").write_text("this is no picture")
    whole = (pets / "dog" / "001.png").read_bytes()
    (pets / "dog" / "001.png").write_bytes(whole[: len(whole) // 2])
    return pets


def test_unreadable_pictures_are_counted_and_named(broken):
    with pytest.raises(ValueError) as caught:
        load_data(broken, image_size=8)
    message = str(caught.value)
    assert message.startswith("3 of 27 pictures cannot be read: ")
    for name in ("empty.jpg", "text.png", "001.png"):
        assert name in message
    assert "text.png (not a picture)" in message
    assert message.endswith("remove or replace them, or load with on_error='skip'")


def test_or_skipped_with_a_warning(broken):
    with pytest.warns(UserWarning, match=r"^3 of 27 pictures cannot be read: .* they are left out$"):
        data = load_data(broken, image_size=8, on_error="skip")
    assert len(data.train) + len(data.evaluation["test"]) == 24


def test_a_long_list_of_unreadable_pictures_is_cut(pets):
    for index in range(8):
        (pets / "cat" / f"bad{index}.png").write_bytes(b"x")
    with pytest.raises(
        ValueError, match=r"^8 of 33 pictures .*bad4\.png \(not a picture\) and 3 more; remove"
    ):
        load_data(pets, image_size=8)


def test_one_class_is_not_enough(pets):
    shutil.rmtree(pets / "cat")
    with pytest.raises(
        ValueError, match="has only one class folder, 'dog'; a classification needs at least two"
    ):
        load_data(pets)


def test_pictures_without_class_folders(tmp_path):
    picture().save(tmp_path / "a.png")
    with pytest.raises(
        ValueError, match="holds pictures but no class folders; put the pictures of each class"
    ):
        load_data(tmp_path)
    (tmp_path / "a.png").unlink()
    with pytest.raises(ValueError, match="holds no class folders"):
        load_data(tmp_path)


@pytest.mark.parametrize("left", [0, 1])
def test_a_class_with_too_few_pictures_is_named(pets, left):
    for path in sorted((pets / "dog").iterdir())[left:]:
        path.unlink()
    with pytest.raises(ValueError, match="class 'dog' has too few readable pictures, none is left for the"):
        load_data(pets, image_size=8)


def test_a_class_that_only_the_test_folder_has(pets):
    (pets.parent / "tree").mkdir()
    pets.rename(pets.parent / "tree" / "train")
    write_class(pets.parent / "tree" / "val" / "cat", 1)
    write_class(pets.parent / "tree" / "val" / "horse", 1)
    with pytest.raises(ValueError, match="has the class 'horse', which is not among the training classes"):
        load_data(pets.parent / "tree")


NFC, NFD = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize("streamed", [{}, {"streamed": True, "num_workers": 0}])
@pytest.mark.parametrize("train, test, warns", [
    ((NFC, "dog"), (NFD, "dog"), False), ((NFD, "dog"), (NFC, "dog"), False), (("Cat", "Dog"), ("cat", "DOG"), True),
    ((NFC.title(), "dog"), (NFD, "dog"), True), (("A", "a"), ("A", "a"), False),
    ((NFC, NFC.title()), (NFD, NFD.title()), False)])
def test_classes_are_the_same_in_another_unicode_form_or_case(tmp_path, train, test, warns, streamed):
    for part, names in (("train", train), ("test", test)):
        for number, name in enumerate(names):
            write_class(tmp_path / part / name, 2 + number, first=10 * number)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        data = load_data(tmp_path, image_size=8, **streamed)
    assert data.class_names == tuple(sorted(train))
    assert torch.bincount(data.evaluation["test"].labels).tolist() == torch.bincount(data.train.labels).tolist()
    assert ["differ in case" in str(each.message) for each in said] == [True] * warns


@pytest.mark.parametrize("streamed", [{}, {"streamed": True, "num_workers": 0}])
def test_names_in_another_unicode_form_change_nothing(tmp_path, streamed):
    """A disk of a Mac may write é as two characters, which sort elsewhere: before z where the one character is behind it."""
    for form in ("NFC", "NFD"):
        for part, number, name in product(("train", "val") if streamed else ("",), range(3), ("\u00e9t\u00e9", "ez", "zoo")):
            folder = tmp_path / form / part / unicodedata.normalize(form, name)
            folder.mkdir(parents=True, exist_ok=True)
            for index, file in enumerate(("a", "ez", "z", f"\u00e9{number}", f"\u00e9z{number}")):
                picture(seed=10 * len(name) + number + 100 * index).save(folder / f"{unicodedata.normalize(form, file)}.png")
    one, other = (load_data(tmp_path / form, image_size=8, **streamed) for form in ("NFC", "NFD"))
    assert [unicodedata.normalize("NFC", name) for name in other.class_names] == list(one.class_names) == [
        "ez", "zoo", "\u00e9t\u00e9"]
    for a, b in ((one.train, other.train), (one.evaluation["test"], other.evaluation["test"])):
        assert torch.equal(a.labels, b.labels)
        assert streamed or torch.equal(a.images, b.images)
    assert streamed or torch.equal(one.train_half.images, other.train_half.images)


@pytest.mark.parametrize("train, test, message", [
    (("Cat", "dog"), ("cat", "CAT", "dog"), "has the class 'cat'|has the class 'CAT'"),
    (("Cat", "cat"), ("CAT", "cat"), "has the class 'CAT', which is not among"),
    ((NFC, NFD), (NFC, NFD), "one name in several Unicode forms, which look the same"),
    ((NFC, "dog"), (NFC, NFD), "test: .* one name in several Unicode forms")])
def test_classes_that_cannot_be_told_apart_are_said(tmp_path, train, test, message):
    for part, names in (("train", train), ("test", test)):
        for name in names:
            write_class(tmp_path / part / name, 2)
    for options in ({}, {"streamed": True, "num_workers": 0}):
        with pytest.raises(ValueError, match=message):
            load_data(tmp_path, image_size=8, **options)


def test_a_test_folder_without_pictures(pets):
    (pets.parent / "tree").mkdir()
    pets.rename(pets.parent / "tree" / "train")
    for name in ("cat", "dog"):
        (pets.parent / "tree" / "val" / name).mkdir(parents=True)
    with pytest.raises(ValueError, match="no picture is left for 'test'"):
        load_data(pets.parent / "tree", image_size=8)


def test_pictures_that_are_all_the_same_grey(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for index in range(4):
            Image.new("L", (8, 8), 77).save(tmp_path / name / f"{index}.png")
    with pytest.raises(ValueError, match="every pixel of channel 0 is 77; there is nothing to learn from it"):
        load_data(tmp_path, image_size=8)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"image_size": 3}, "image_size must be at least 4 pixels, got 3"),
        ({"test_fraction": 0}, "test_fraction must lie between 0 and 1, got 0"),
        ({"test_fraction": 1.0}, r"test_fraction must lie between 0 and 1, got 1\.0"),
        ({"on_error": "ignore"}, "on_error must be 'raise' or 'skip', got 'ignore'"),
    ],
)
def test_impossible_options(pets, options, message):
    with pytest.raises(ValueError, match=message):
        load_data(pets, **options)


# names and paths


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder .*nothing; give the folder that holds"):
        load_data(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load_data(f"{tmp_path}{os.sep}nothing")


def test_a_misspelt_name_is_told_the_nearest():
    with pytest.raises(ValueError, match="no data set and no folder 'cifra10'; did you mean cifar10"):
        load_data("cifra10")
    names = "digits, thumbnails, cifar10, cifar10-valid, cifar10-darts, cifar100, imagenet16-120, imagenet"
    with pytest.raises(ValueError, match=f"the names are {names}, or give"):
        load_data("zebra")


def test_options_that_do_not_belong_together(pets):
    with pytest.raises(
        TypeError, match="image_size is an option for your own folders; digits has a fixed form"
    ):
        load_data("digits", image_size=16)
    with pytest.raises(TypeError, match="root and download are for the named data sets"):
        load_data(pets, download=True)
    with pytest.raises(TypeError, match="size"):
        load_data(pets, size=16)


def test_names_ignore_case_and_a_folder_of_that_name_is_reached_by_its_path(pets, monkeypatch):
    pets.rename(pets.parent / "digits")
    monkeypatch.chdir(pets.parent)
    with pytest.warns(UserWarning, match="not the folder Digits here"):
        os.rename("digits", "Digits")
        assert load_data("Digits").class_names == tuple("0123456789")
    os.rename("Digits", "digits")
    assert load_data("./digits", image_size=8).class_names == ("cat", "dog")


def test_the_augmentation_of_a_named_set_can_be_replaced():
    assert load_data("digits", augmentation=Augmentation(cutout=4)).augmentation == Augmentation(cutout=4)


@pytest.mark.parametrize("augmentation", [3, "flip", {}, PhotoAugmentation(), Augmentation])
def test_an_augmentation_of_another_kind_is_refused(augmentation):
    with pytest.raises(ValueError, match=r"augmentation must be Augmentation\(...\) for these data, got "):
        load_data("digits", augmentation=augmentation)


def test_a_folder_that_may_not_be_read_is_a_sentence(pets, monkeypatch):
    scandir = os.scandir

    def refused(path):
        if os.path.basename(path) == "dog":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)
    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(ValueError, match=r"the folder .*dog cannot be read \(Permission denied\)$"):
        load_data(pets)


def test_parts_by_other_names_are_said_and_classes_with_the_same_folders_inside_are_not(pets, tmp_path):
    for part in ("Trainingsdaten", "Testdaten"):
        shutil.copytree(pets, tmp_path / "other" / part)
    with pytest.warns(UserWarning, match="Testdaten/, Trainingsdaten/ are read as classes, but each holds .*dog/ and no picture"):
        assert load_data(tmp_path / "other").class_names == ("Testdaten", "Trainingsdaten")
    for part in (tmp_path / "other").iterdir():
        shutil.copy(next(pets.rglob("*.png")), part / "own.png")
    load_data(tmp_path / "other")


def test_an_evaluation_folder_that_is_the_training_folder_is_said(pets, tmp_path):
    shutil.copytree(pets, tmp_path / "other" / "train")
    (tmp_path / "other" / "val").symlink_to("train")
    with pytest.warns(UserWarning, match="val/ is the same folder as train/, behind a link"):
        load_data(tmp_path / "other")


def test_a_file_in_the_place_of_a_folder_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("labels.csv", "pictures.zip", "x.npy"):
        (tmp_path / name).write_text("")
        for given in (name, f"./{name}", tmp_path / name):
            with pytest.raises(FileNotFoundError, match="this is a file: unpack an archive, save arrays as pictures"):
                load_data(given)
    (tmp_path / "csv" / "images").mkdir(parents=True)
    with pytest.raises(ValueError, match="a picture's class is the folder that it lies in"):
        load_data(tmp_path / "csv")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name, told", [("a\nb", r"a\nb"), ("\x1b[2J", r"\x1b[2J"), ("\u202egnp", r"\u202egnp"), ("tab\t", r"tab\t")])
def test_a_name_that_moves_a_terminal_is_told_on_one_line(tmp_path, name, told, streamed):
    for part in ("train", "test"):
        for label in ("ant", "bee"):
            for number in range(4):
                picture = tmp_path / part / label / f"{number}.png"
                picture.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(picture)
    (tmp_path / "train" / "ant" / f"{name}.png").write_bytes(b"no picture")
    with pytest.warns(UserWarning, match="cannot be read") as caught:
        load_data(tmp_path, image_size=8, on_error="skip", **({"streamed": True} if streamed else {}))
    assert f"{told}.png (not a picture)" in str(caught[0].message) and str(caught[0].message).isprintable()


def test_more_than_memory_holds_is_refused_before_a_picture_is_opened(tmp_path, monkeypatch):
    for label in ("ant", "bee"):
        (tmp_path / label).mkdir()
        for number in range(4):
            (tmp_path / label / f"{number}.png").write_bytes(b"never opened")
    monkeypatch.setattr("gdas_lite.data.pictures.physical_memory", lambda: 2 * 8 * 3 * 5000**2 - 1)
    with pytest.raises(ValueError, match=r"8 pictures of 5000 pixels need 1 GB of memory, this machine has 1 GB; choose a"):
        load_data(tmp_path, image_size=5000)
    with pytest.raises(ValueError, match="cannot be read"):
        load_data(tmp_path, image_size=4999)


@pytest.mark.parametrize("name", [*DATA_SETS, *TEXT_SETS, "CIFAR10", "cifar_100", "CIFAR-10"])
def test_a_folder_that_is_called_like_a_data_set_is_not_known_as_that(pets, tmp_path, name):
    (tmp_path / "mine").mkdir()
    data = load_data(pets.rename(tmp_path / "mine" / name))
    assert data.name == f"own-{name}" and data.class_names == ("cat", "dog")
