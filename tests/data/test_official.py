"""Reading pickles that nobody should trust."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import tarfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gdas_lite.data.images import check_labels
from gdas_lite.data.official import OfficialFile, images_and_labels, read_files, unpickle

BATCH = {"data": np.arange(24, dtype=np.uint8).reshape(2, 12), "labels": [1, 0], "mean": np.ones(3)}


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_arrays_numbers_and_names_come_back(protocol):
    loaded = unpickle(pickle.dumps(BATCH, protocol=protocol), "batch")
    assert np.array_equal(loaded["data"], BATCH["data"]) and loaded["data"].dtype == np.uint8
    assert loaded["labels"] == [1, 0]
    assert np.array_equal(loaded["mean"], np.ones(3))


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "function, arguments, named",
    [
        (os.system, ("echo {}",), "system"),
        (builtins.eval, ("open('{}', 'w')",), "eval"),
        (open, ("{}", "w"), "open"),
        (np.load, ("{}",), "load"),
        (torch.load, ("{}",), "load"),
        (getattr, (np, "load"), "getattr"),
    ],
)
def test_a_pickle_that_calls_something_is_refused_before_it_runs(tmp_path, function, arguments, named):
    mark = tmp_path / "ran"
    arguments = [part.format(mark) if isinstance(part, str) else part for part in arguments if part is not np]
    content = pickle.dumps({"data": Call(function, *arguments)}, protocol=2)
    with pytest.raises(ValueError, match=rf"evil cannot be read as a data file: it asks for .*\.{named}"):
        unpickle(content, "evil")
    assert not mark.exists()


def test_only_plain_empty_arrays_can_be_made_and_then_filled():
    reconstruct = np.arange(1).__reduce__()[0]
    for arguments in ((np.ndarray, (10**9,), b"b"), (np.matrix, (0,), b"b")):
        with pytest.raises(ValueError, match=r"foreign kind|numpy\S*matrix"):
            unpickle(pickle.dumps({"data": Call(reconstruct, *arguments)}, protocol=2), "odd")


@given(length=st.integers(0, len(pickle.dumps(BATCH, protocol=2)) - 1))
def test_a_pickle_cut_anywhere_is_one_clear_error(length):
    with pytest.raises(ValueError, match="cut cannot be read as a data file"):
        unpickle(pickle.dumps(BATCH, protocol=2)[:length], "cut")


def test_something_else_than_a_dict_is_refused():
    with pytest.raises(ValueError, match="x holds a list, expected a dict"):
        unpickle(pickle.dumps([1, 2]), "x")


# files


def test_files_come_in_the_asked_order_from_folder_and_archive(tmp_path, write_official):
    files = [write_official(tmp_path / "set" / name, {"name": name}) for name in ("a", "b", "c")]
    archive = tmp_path / "set.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("c", "a", "b"):
            tar.add(tmp_path / "set" / name, f"set/{name}")
    for where in (tmp_path / "set", archive):
        assert [content["name"] for _, content in read_files(where, [files[1], files[0], files[2]])] == list(
            "bac"
        )


def test_a_truncated_a_changed_and_a_missing_file_are_told_apart(tmp_path, write_official):
    file = write_official(tmp_path / "batch", BATCH)
    content = (tmp_path / "batch").read_bytes()

    def error(kind):
        with pytest.raises(kind) as caught:
            list(read_files(tmp_path, [file]))
        return str(caught.value)

    (tmp_path / "batch").write_bytes(content[:-10])
    assert f"batch is truncated: {len(content) - 10:,} of {len(content):,} bytes; delete it" in error(
        ValueError
    )
    (tmp_path / "batch").write_bytes(content[:-1] + b"x")
    assert "is not the official file: its MD5 is" in error(ValueError)
    (tmp_path / "batch").unlink()
    assert f"{tmp_path} has no file batch" in error(FileNotFoundError)


def test_a_damaged_archive_is_told_from_a_foreign_one(tmp_path, write_official):
    file = write_official(tmp_path / "batch", {"data": np.random.default_rng(0).bytes(20_000)})
    archive = tmp_path / "set.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "batch", "set/batch")
    whole = archive.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"not a gzip file", b""):
        archive.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"set\.tar\.gz cannot be unpacked"):
            list(read_files(archive, [file]))
    archive.write_bytes(whole)
    with pytest.raises(FileNotFoundError, match="has no file other; is it that of another data set"):
        list(read_files(archive, [OfficialFile("other", "")]))


def test_an_archive_member_that_is_no_file_is_ignored(tmp_path):
    archive = tmp_path / "set.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        link = tarfile.TarInfo("set/batch")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link, io.BytesIO())
    with pytest.raises(FileNotFoundError, match="has no file batch"):
        list(read_files(archive, [OfficialFile("batch", "")]))


# content


def test_planes_become_pixels():
    flat = np.arange(2 * 12, dtype=np.uint8).reshape(2, 12)
    pixels, labels = images_and_labels({"data": flat, "labels": [3, 4]}, "x", label_key="labels", size=2)
    assert pixels.shape == (2, 2, 2, 3)
    assert pixels[0, 1, 0].tolist() == [2, 6, 10]  # row 1, column 0: red is value 2, then 4 greens, 4 blues
    assert labels.tolist() == [3, 4]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"data": None}, "'data' must be an array, got a NoneType"),
        ({"data": np.zeros((2, 13), np.uint8)}, r"'data' must be uint8 \(count, 12\), got uint8 \(2, 13\)"),
        ({"data": np.zeros((2, 12))}, r"got float64 \(2, 12\)"),
        ({"data": np.zeros(24, np.uint8)}, r"got uint8 \(24,\)"),
        ({"labels": [1]}, "'labels' must hold a whole number for each of 2 images"),
        ({"labels": [1, 2.5]}, "must hold a whole number"),
        ({"labels": [[1], [2]]}, "must hold a whole number"),
        ({"labels": "ab"}, "must hold a whole number"),
        ({"labels": None}, "must hold a whole number"),
    ],
)
def test_a_batch_of_another_form_is_refused(change, message):
    with pytest.raises(ValueError, match="^x: .*" + message):
        images_and_labels(BATCH | change, "x", label_key="labels", size=2)


def test_a_batch_of_another_data_set_is_refused():
    with pytest.raises(ValueError, match=r"x has no 'fine_labels'; it holds \['data', 'labels', 'mean'\]"):
        images_and_labels(BATCH, "x", label_key="fine_labels", size=2)


def test_labels_outside_the_range_are_counted_and_the_first_is_named():
    check_labels(np.array([1, 5]), 1, 5, "x")
    with pytest.raises(ValueError, match=r"x: 2 of 4 labels lie outside 1\.\.5, the first is 6 at index 1"):
        check_labels(np.array([1, 6, 5, 0]), 1, 5, "x")
