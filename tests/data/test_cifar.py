"""CIFAR from real files where they are, and from small files of the same format."""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
import torch

from gdas_lite.data import Augmentation, load_data, official
from gdas_lite.data.images import channel_statistics
from gdas_lite.data.official import OFFICIAL, OfficialFile, load_official, read_official
from gdas_lite.data.splits import nasbench201_split

CIFAR10, CIFAR100 = OFFICIAL["cifar10"], OFFICIAL["cifar100"]

# the real thing


@pytest.fixture(scope="module")
def cifar10(shared_data):
    return load_data("cifar10", shared_data)


def test_the_real_images_are_the_official_ones(cifar10):
    # SHA-256 of the stacked uint8 arrays N x 32 x 32 x 3
    for part, checksum in (
        (cifar10.train, "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a"),
        (cifar10.evaluation["test"], "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04"),
    ):
        pixels = part.images.permute(0, 2, 3, 1).contiguous().numpy()
        assert hashlib.sha256(pixels.tobytes()).hexdigest() == checksum


def test_the_real_labels_are_torchvisions(cifar10, shared_data):
    from torchvision.datasets import CIFAR10 as Reference

    reference = Reference(shared_data, train=False)
    assert cifar10.evaluation["test"].labels.tolist() == reference.targets
    assert cifar10.class_names == tuple(reference.classes)


def test_the_halves_are_nasbench201s(cifar10):
    train, valid = nasbench201_split("cifar10")
    for half, indices in ((cifar10.train_half, train), (cifar10.valid_half, valid)):
        assert len(half) == 25_000
        assert half.labels.tolist() == cifar10.train.labels[indices].tolist()
        assert bool((half.images[::500] == cifar10.train.images[indices[::500]]).all())


def test_the_constants_are_near_those_of_the_real_images(cifar10):
    mean, std = channel_statistics(cifar10.train)
    assert cifar10.mean == pytest.approx(mean, abs=5e-4)
    assert cifar10.std == pytest.approx(std, abs=5e-4)


def test_its_form(cifar10):
    assert (cifar10.name, cifar10.classes, cifar10.image_size, cifar10.image_channels) == (
        "cifar10",
        10,
        32,
        3,
    )
    assert cifar10.augmentation == Augmentation(padding=4, flip=True, cutout=0)
    assert list(cifar10.evaluation) == ["test"]
    assert [len(part) for part in (cifar10.train, cifar10.evaluation["test"])] == [50_000, 10_000]


def test_cifar10_valid_trains_on_the_train_half_only(shared_data):
    data = load_data("cifar10-valid", shared_data / "cifar-10-batches-py")
    assert data.train is data.train_half
    assert data.evaluation["x-valid"] is data.valid_half
    assert {part: len(images) for part, images in data.evaluation.items()} == {
        "x-valid": 25_000,
        "test": 10_000,
    }


def test_cifar10_darts_has_the_halves_and_constants_of_darts_code(shared_data, cifar10):
    data = load_data("cifar10-darts", shared_data / "cifar-10-batches-py")
    assert torch.equal(data.train_half.images, cifar10.train.images[:25_000])
    assert torch.equal(data.valid_half.images, cifar10.train.images[25_000:])
    assert torch.equal(data.valid_half.labels, cifar10.train.labels[25_000:])
    assert data.mean == (0.49139968, 0.48215827, 0.44653124) and data.std == (0.24703233, 0.24348505, 0.26158768)
    assert (data.name, data.augmentation, len(data.train)) == ("cifar10-darts", cifar10.augmentation, 50_000)
    for ours, theirs in zip((*data.mean, *data.std), (*cifar10.mean, *cifar10.std), strict=True):
        assert 0 < abs(ours / theirs - 1) < 5e-4


# small files of the same format


@pytest.fixture
def small(tmp_path, planes, write_official):
    """A CIFAR-10 with 7 + 5 training images in two files and 4 test images, in tmp_path/home/<official folder>."""
    folder = tmp_path / "home" / CIFAR10.folders[0]

    def batch(name, count, labels):
        return write_official(folder / name, {"data": planes(count, 32, seed=count), "labels": labels})

    return replace(
        CIFAR10,
        train=(batch("data_batch_1", 7, [0, 1, 2, 3, 4, 5, 9]), batch("data_batch_2", 5, [8, 7, 6, 5, 4])),
        test=(batch("test_batch", 4, [1, 2, 3, 4]),),
        names_file=write_official(folder / "batches.meta", {"label_names": list("abcdefghij")}),
        counts=(12, 4),
    )


def check(read, planes):
    train, test, names = read
    assert train.labels.tolist() == [0, 1, 2, 3, 4, 5, 9, 8, 7, 6, 5, 4]
    assert test.labels.tolist() == [1, 2, 3, 4]
    assert names == tuple("abcdefghij")
    expected = np.concatenate([planes(7, 32, seed=7), planes(5, 32, seed=5)]).reshape(12, 3, 32, 32)
    assert np.array_equal(train.images.numpy(), expected)


def test_cifar10s_three_forms_have_the_halves_that_their_names_promise(small, tmp_path, monkeypatch):
    """Also where the real files are not at hand."""
    monkeypatch.setitem(OFFICIAL, "cifar10", small)
    monkeypatch.setattr(official, "nasbench201_split", lambda name: (np.array([0, 3, 6, 9, 10, 11]), np.array([1, 2, 4, 5, 7, 8])))
    plain, valid, darts = (load_official(name, tmp_path / "home") for name in ("cifar10", "cifar10-valid", "cifar10-darts"))
    labels = {name: [[part.labels.tolist() for part in (data.train, data.train_half, data.valid_half)], list(data.evaluation)]
              for name, data in (("plain", plain), ("valid", valid), ("darts", darts))}
    every, first, second = [0, 1, 2, 3, 4, 5, 9, 8, 7, 6, 5, 4], [0, 3, 9, 6, 5, 4], [1, 2, 4, 5, 8, 7]
    assert labels == {"plain": [[every, first, second], ["test"]], "valid": [[first, first, second], ["x-valid", "test"]],
                      "darts": [[every, every[:6], every[6:]], ["test"]]}
    assert valid.evaluation["x-valid"].labels.tolist() == second and valid.evaluation["test"].labels.tolist() == [1, 2, 3, 4]


def test_checksums_and_constants_are_torchvisions_and_the_codes():
    from torchvision.datasets import CIFAR10 as Ten
    from torchvision.datasets import CIFAR100 as Hundred
    for ours, theirs in ((CIFAR10, Ten), (CIFAR100, Hundred)):
        for files, listed in ((ours.train, theirs.train_list), (ours.test, theirs.test_list)):
            assert [list(file[:2]) for file in files] == listed
        assert (*ours.names_file[:2], ours.names_key) == (theirs.meta["filename"], theirs.meta["md5"], theirs.meta["key"])
        assert (*ours.archive[:2], ours.url, ours.folders[0]) == (theirs.filename, theirs.tgz_md5, theirs.url, theirs.base_folder)
    constants = {name: (files.mean, files.std) for name, files in OFFICIAL.items()}        # of pixels in 0..255
    assert constants == {"cifar10": ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)), "cifar100": ((129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
                         "imagenet16-120": ((122.68, 116.66, 104.01), (63.22, 61.26, 65.09))}


def archived(files, folder):
    """The archive of files in `folder`, as the official download."""
    archive = folder.parent / files.archive.name
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name)
    return archive


def test_it_is_found_in_the_folder_around_the_folder_and_the_archive(small, tmp_path, planes):
    home = tmp_path / "home"
    check(read_official(small, home), planes)
    check(read_official(small, home / small.folders[0]), planes)
    archive = archived(small, home / small.folders[0])
    shutil.rmtree(home / small.folders[0])
    check(read_official(small, home), planes)
    check(read_official(small, archive), planes)


@pytest.mark.parametrize("place", ["cifar-10-batches-py", "CIFAR 10", "a/b/data", "cifar10/cifar-10-batches-py"])
def test_its_folder_may_lie_deeper_or_have_another_name(small, tmp_path, planes, place):
    home = tmp_path / "home"
    (home / small.folders[0]).rename(tmp_path / "files")
    (tmp_path / "elsewhere" / place).parent.mkdir(parents=True)
    (tmp_path / "files").rename(tmp_path / "elsewhere" / place)
    for k in range(30):
        (tmp_path / "elsewhere" / f"other{k}").mkdir()
    (tmp_path / "elsewhere" / "other0" / "data_batch_1").write_bytes(b"of another data set")
    check(read_official(small, tmp_path / "elsewhere"), planes)


@pytest.mark.parametrize("name", ["cifar-10-python (1).tar.gz", "downloads/cifar.tgz"])
def test_an_archive_under_another_name_is_known_by_its_size(small, tmp_path, planes, name):
    made = archived(small, tmp_path / "home" / small.folders[0])
    archive = tmp_path / "elsewhere" / name
    archive.parent.mkdir(parents=True)
    made.rename(archive)
    small = replace(small, archive=small.archive._replace(size=archive.stat().st_size))
    check(read_official(small, tmp_path / "elsewhere"), planes)
    check(read_official(small, archive), planes)
    other = replace(small, archive=small.archive._replace(size=archive.stat().st_size + 1))
    with pytest.raises(FileNotFoundError, match="CIFAR-10 was not found"):
        read_official(other, tmp_path / "elsewhere")


def test_a_wide_tree_of_folders_is_not_searched(small, tmp_path):
    """A folder of class folders, say: more than a few hundred on one level."""
    home = tmp_path / "home"
    (tmp_path / "wide").mkdir()
    for k in range(201):
        (tmp_path / "wide" / f"{k}").mkdir()
    (home / small.folders[0]).rename(tmp_path / "wide" / "0" / "inside")
    with pytest.raises(FileNotFoundError, match="was not found"):
        read_official(small, tmp_path / "wide")


@pytest.mark.filterwarnings("ignore:.* is read instead")
def test_a_member_or_file_that_is_far_too_large_is_not_read(small, tmp_path, monkeypatch):
    monkeypatch.setattr(official, "_LARGEST_FILE", 20_000)      # data_batch_1 has 32,484 bytes
    archive = archived(small, tmp_path / "home" / small.folders[0])
    for place in (tmp_path / "home", archive):
        with pytest.raises(ValueError, match=r"data_batch_1.* is not the official file: it has 32,484 bytes, none .* 20,000"):
            read_official(small, place)


@pytest.mark.parametrize("mode, name", [("w", "cifar-10-python.tar"), ("w", "cifar-10-python.tar.gz"),
                                        ("w:bz2", "cifar-10-python.tar.gz"), ("w:xz", "cifar-10-python.tar.gz")])
def test_an_archive_that_a_browser_unpacked_or_somebody_packed_again(small, tmp_path, planes, mode, name):
    with tarfile.open(tmp_path / name, mode) as tar:
        tar.add(tmp_path / "home" / small.folders[0], "./x/y")
    check(read_official(small, tmp_path), planes)
    check(read_official(small, tmp_path / name), planes)
    (tmp_path / name).rename(tmp_path / "other.tgz")
    check(read_official(small, tmp_path / "other.tgz"), planes)
    content = (tmp_path / "other.tgz").read_bytes()
    for damaged in (content[:len(content) // 2], b"<html>404</html>", b""):
        (tmp_path / "other.tgz").write_bytes(damaged)
        with pytest.raises(ValueError, match="cannot be unpacked|has no file|is truncated") as told:
            read_official(small, tmp_path / "other.tgz")
        assert "\n" not in str(told.value)


def test_a_whole_archive_goes_before_a_folder_that_is_not_whole(small, tmp_path, planes):
    folder = tmp_path / "home" / small.folders[0]
    archived(small, folder)
    (folder / "data_batch_2").unlink()
    check(read_official(small, tmp_path / "home"), planes)


@pytest.mark.parametrize("mode, name", [("w:gz", CIFAR10.archive.name), ("w", "cifar-10-python.tar"), (None, "")])
@pytest.mark.parametrize("file", ["test_batch", "batches.meta"])
def test_a_damaged_file_before_a_whole_archive(small, tmp_path, planes, file, mode, name):
    folder = tmp_path / "home" / small.folders[0]
    if mode:
        with tarfile.open(folder.parent / name, mode) as tar:
            tar.add(folder, folder.name)
    content = (folder / file).read_bytes()
    for damaged in (content[:-9], content[:-1] + b"x", None):
        (folder / file).unlink()
        if damaged:
            (folder / file).write_bytes(damaged)
        for root in (tmp_path / "home", folder):
            if not mode:
                with pytest.raises((ValueError, FileNotFoundError), match=f"{file}.*; delete it|no file {file}; copy"):
                    read_official(small, root)
            elif damaged or root == folder or file == "batches.meta":
                with pytest.warns(UserWarning, match=f"{file}.*the archive .*{re.escape(name)} is read instead"):
                    check(read_official(small, root), planes)
            else:
                check(read_official(small, root), planes)       # an archive goes before what is not whole


@pytest.mark.parametrize("name", ["CIFAR-10", "cifar_10", "Cifar10", "CIFAR-100", "cifar-10-valid"])
def test_other_spellings_of_the_names(name, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"CIFAR-{100 if '100' in name else 10} was not found"):
        load_data(name, root=tmp_path)


def test_the_places_are_searched_in_order(small, tmp_path, planes, monkeypatch):
    home, empty = tmp_path / "home", tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("TORCH_HOME", str(home))
    check(read_official(small), planes)
    monkeypatch.setenv("GDAS_LITE_DATA", str(empty))
    check(read_official(small, empty), planes)
    # a damaged copy in an earlier place is not passed over in silence
    shutil.copytree(home, tmp_path / "damaged")
    (tmp_path / "damaged" / small.folders[0] / "test_batch").write_bytes(b"")
    monkeypatch.setenv("GDAS_LITE_DATA", str(tmp_path / "damaged"))
    with pytest.raises(ValueError, match="damaged.*test_batch is truncated"):
        read_official(small)
    check(read_official(small, home), planes)


def test_autodl_projects_folder_below_torch_home_is_found(small, tmp_path, planes, monkeypatch):
    (tmp_path / "torch").mkdir()
    (tmp_path / "home").rename(tmp_path / "torch" / "cifar.python")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    check(read_official(small), planes)


def test_a_missing_data_set_says_where_it_was_looked_for_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("GDAS_LITE_DATA", str(tmp_path / "mine"))
    with pytest.raises(FileNotFoundError) as caught:
        load_data("cifar100", tmp_path / "here")
    message = str(caught.value)
    assert message.startswith(
        "CIFAR-100 was not found. Looked for cifar-100-python or cifar-100-python.tar.gz in: "
    )
    assert f"{tmp_path / 'here'} (the argument root); {tmp_path / 'mine'} (GDAS_LITE_DATA); " in message
    assert "(PyTorch's default for TORCH_HOME)" in message
    assert "root=..." in message and "download=True" in message and "169 MB" in message
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(FileNotFoundError, match=r"torch \(TORCH_HOME\).*170 MB"):
        load_data("CIFAR10")


def test_a_missing_batch_a_wrong_count_and_wrong_labels_are_named(small, tmp_path, planes, write_official):
    folder = tmp_path / "home" / small.folders[0]
    with pytest.raises(ValueError, match="12 images of CIFAR-10's 10 classes in data_batch_1, data_batch_2, expected 50,000"):
        read_official(replace(small, counts=(50_000, 10_000)), folder)
    wrong = write_official(folder / "test_batch", {"data": planes(4, 32), "labels": [1, 10, 3, 4]})
    with pytest.raises(
        ValueError, match=r"test_batch: 1 of 4 labels lie outside 0\.\.9, the first is 10 at index 1"
    ):
        read_official(replace(small, test=(wrong,)), folder)
    (folder / "data_batch_2").unlink()
    with pytest.raises(FileNotFoundError, match=r"cifar-10-batches-py has no file data_batch_2"):
        read_official(small, folder)


def test_cifar100s_files_under_the_name_of_cifar10_are_refused(small, tmp_path, planes, write_official):
    folder = tmp_path / "home" / small.folders[0]
    write_official(folder / "test_batch", {"data": planes(4, 32), "fine_labels": [1, 2, 3, 4]})
    with pytest.raises(ValueError, match=r"test_batch is (truncated|not the official file)"):
        read_official(small, folder)


def test_cifar100_validates_on_half_of_the_test_images(tmp_path, planes, write_official, monkeypatch):
    folder = tmp_path / CIFAR100.folders[0]
    labels = [index % 100 for index in range(10_000)]
    pixels = np.zeros((10_000, 3072), dtype=np.uint8)
    pixels[:, :2] = np.arange(10_000)[:, None] // [256, 1] % 256  # an image's first pixels hold its number
    small = replace(
        CIFAR100,
        train=(write_official(folder / "train", {"data": planes(3, 32), "fine_labels": [0, 50, 99]}),),
        test=(write_official(folder / "test", {"data": pixels, "fine_labels": labels}),),
        names_file=write_official(folder / "meta", {"fine_label_names": [f"class {k}" for k in range(100)]}),
        counts=(3, 10_000),
    )
    monkeypatch.setitem(OFFICIAL, "cifar100", small)
    data = load_official("cifar100", tmp_path)
    assert (data.name, data.classes, data.class_names[7]) == ("cifar100", 100, "class 7")
    assert data.train_half is data.train
    assert data.valid_half is data.evaluation["x-valid"]
    for part, indices in zip(("x-valid", "x-test"), nasbench201_split("cifar100")):
        first = data.evaluation[part].images[:, 0, 0].long()
        assert (256 * first[:, 0] + first[:, 1]).tolist() == indices.tolist()
    assert len(data.evaluation["test"]) == 10_000


# download


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def served(small, tmp_path):
    """The small CIFAR-10, its archive served on this machine."""
    archive = archived(small, tmp_path / "home" / small.folders[0])
    content = archive.read_bytes()
    handler = partial(QuietHandler, directory=archive.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield replace(
            small,
            url=f"http://127.0.0.1:{server.server_port}/{archive.name}",
            archive=OfficialFile(archive.name, hashlib.md5(content).hexdigest(), len(content)),
        )
        server.shutdown()
        thread.join()


def test_a_download_is_checked_unpacked_and_found_again(served, tmp_path, planes):
    target = tmp_path / "target"
    check(read_official(served, target, download=True), planes)
    assert (target / served.folders[0] / "test_batch").is_file()
    (target / served.archive.name).unlink()
    check(read_official(served, target), planes)


def test_an_interrupted_download_is_done_again(served, tmp_path, planes):
    target = tmp_path / "target"
    target.mkdir()
    (target / served.archive.name).write_bytes(b"the first half")
    with pytest.raises(ValueError, match="cannot be unpacked .* its download was probably cut off"):
        read_official(served, target)
    check(read_official(served, target, download=True), planes)


def test_a_download_of_something_else_is_refused(served, tmp_path):
    target = tmp_path / "target"
    changed = replace(served, archive=served.archive._replace(md5="0" * 32))
    with pytest.raises(ConnectionError, match="could not be downloaded"):
        read_official(changed, target, download=True)
    assert not (target / served.folders[0]).exists()


def test_a_failed_download_says_what_to_do_by_hand(served, tmp_path):
    gone = replace(served, url=served.url + ".gone")
    with pytest.raises(
        ConnectionError, match=r"CIFAR-10 could not be downloaded from http.*put it into .*target"
    ):
        read_official(gone, tmp_path / "target", download=True)
