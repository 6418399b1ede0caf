"""CIFAR-10 as 8 x 8 thumbnails: what is packaged is what is made of the official files."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gdas_lite as gl
from benchmarks.thumbnails import pack
from gdas_lite.data import embedded
from gdas_lite.data.images import channel_statistics


def test_what_comes_with_the_package():
    data = gl.load_data("thumbnails")
    assert (data.image_size, data.image_channels, data.classes) == (8, 3, 10)
    assert [len(part) for part in (data.train, data.train_half, data.valid_half, data.evaluation["test"])] == [
        12_000, 6_000, 6_000, 2_000]
    for part, count in ((data.train_half, 600), (data.valid_half, 600), (data.evaluation["test"], 200)):
        assert part.labels.bincount().tolist() == [count] * 10
    assert len({image.numpy().tobytes() for image in data.train.images}) > 11_950       # the halves are disjoint
    mean, std = channel_statistics(data.train)      # near those of all pictures, so colours were unpacked as they were packed
    assert mean == pytest.approx(data.mean, abs=3e-3) and std == pytest.approx(data.std, abs=3e-3)


def test_it_is_small_and_a_damaged_file_is_named(monkeypatch, tmp_path):
    file = embedded.resources.files("gdas_lite.data").joinpath("thumbnails.xz")
    assert len(file.read_bytes()) <= 2.5e6
    (tmp_path / "thumbnails.json").write_bytes(file.parent.joinpath("thumbnails.json").read_bytes())
    (tmp_path / "thumbnails.xz").write_bytes(file.read_bytes()[:-1] + b"?")
    monkeypatch.setattr(embedded.resources, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match="thumbnails.xz, a part of gdas_lite, is damaged"):
        gl.load_data("thumbnails")


def test_a_thumbnail_is_the_mean_of_four_by_four_pixels():
    pixels = np.random.default_rng(0).integers(256, size=(3, 32, 32, 3), dtype=np.uint8)
    slow = np.zeros((3, 8, 8, 3))
    for row in range(32):
        for column in range(32):
            slow[:, row // 4, column // 4] += pixels[:, row, column] / 16
    assert np.abs(embedded.averaged(pixels) - slow).max() <= 0.5


def test_packing_and_unpacking_lose_nothing():
    chance = np.random.default_rng(1)
    parts = {name: (chance.integers(256, size=(10 * count, 8, 8, 3), dtype=np.uint8),
                    chance.integers(10, size=10 * count))
             for name, count in embedded.PER_CLASS.items()}
    import lzma
    content = lzma.decompress(pack(parts))
    pixels = np.frombuffer(content[:6000 * 192], np.uint8).reshape(6000, 8, 8, 3).copy()
    pixels[..., 1:] += pixels[..., :1]
    assert np.array_equal(pixels, parts["train_half"][0])
    assert np.array_equal(np.frombuffer(content[6000 * 192:6000 * 193], np.uint8), parts["train_half"][1])


def test_of_the_official_files_come_all_pictures_and_the_packaged_ones_among_them(shared_data):
    whole, packaged = gl.load_data("thumbnails", root=shared_data), gl.load_data("thumbnails")
    sizes = [len(part) for part in (whole.train_half, whole.valid_half, whole.evaluation["test"])]
    assert sizes == [25_000, 25_000, 10_000]
    scaled = whole.train.images.double() / 255
    assert torch.allclose(scaled.mean((0, 2, 3)), torch.tensor(whole.mean).double(), atol=5e-5)
    assert torch.allclose(scaled.std((0, 2, 3), unbiased=False), torch.tensor(whole.std).double(), atol=5e-5)
    for name in ("train_half", "valid_half"):
        few, many = getattr(packaged, name), getattr(whole, name)
        for label in range(10):
            assert torch.equal(few.images[few.labels == label], many.images[many.labels == label][:600])
