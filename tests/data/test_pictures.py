"""One picture, four ways to read it: in memory, streamed, and by predict() for networks of either. All see the same pixels."""

from __future__ import annotations

import io
import os
import struct
import threading
import time
import warnings
import zlib
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as reference

import gdas_lite as gl
from gdas_lite.data import pictures
from gdas_lite.data.batches import batches_of
from gdas_lite.data.photos import unreadable_photos
from gdas_lite.data.pictures import FORMATS, MOST_PIXELS, Reading, open_picture
from gdas_lite.training.export import predict_with
from tests.runs.test_schema import bare

READERS = ("memory", "streamed", "predict, memory", "predict, streamed")
SIZE = 28               # streamed: scaled to 32
ORIENTATION = 0x0112


def colours(width=40, height=30, seed=0) -> Image.Image:
    """Smooth enough that JPEG keeps it, and different in all four corners."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR)


def fillers(folder: Path) -> None:
    for part in ("train", "val"):
        for name in ("a", "b"):
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            for k in range(2):
                colours(seed=10 + k).save(folder / part / name / f"z{k}.png")


class Spy(torch.nn.Module):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x):
        self.seen = x
        return torch.zeros(len(x), 2)


def grey_values(x, mean, std) -> np.ndarray:
    """uint8 (size, size, channels) of one normalised image."""
    return (x.permute(1, 2, 0).double().numpy() * std + mean).__mul__(255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def descriptions(tmp_path_factory):
    """Of an export, by how the pictures it was trained on were read."""
    folder = tmp_path_factory.mktemp("described")
    fillers(folder / "pictures")
    cell = gl.NASBench201Genotype(("skip_connect",) + ("none",) * 4 + ("skip_connect",))
    found = {}
    for name, options in (("memory", {}), ("streamed", {"streamed": True, "num_workers": 0})):
        data = gl.load_data(folder / "pictures", image_size=SIZE, **options)
        found[name] = gl.read_exported(gl.export_network(gl.network(cell, 2, 1, 2), folder / name, data=data))
    return found


@pytest.fixture(params=READERS)
def reader(request, descriptions, tmp_path):
    """A function from the file's writer, (folder) -> path, to uint8 (SIZE, SIZE, 3) as that reader shows it to a network."""
    def read(write) -> np.ndarray:
        fillers(tmp_path / "pictures")
        path = write(tmp_path / "pictures" / "train" / "a")
        if request.param == "memory":
            return gl.load_data(tmp_path / "pictures", image_size=SIZE).train.images[0].permute(1, 2, 0).numpy()
        if request.param == "streamed":
            data = gl.load_data(tmp_path / "pictures", streamed=True, image_size=SIZE, num_workers=0)
            assert data.train.path(0) == path
            _, x, _ = next(batches_of(data.train, data, 1, device=torch.device("cpu")).own_batches())
            return grey_values(x[0], data.mean, data.std)
        spy, description = Spy(), descriptions[request.param.rpartition(" ")[2]]
        predict_with(spy, description, path)
        return grey_values(spy.seen[0], description.mean, description.std)

    read.side = SIZE if request.param.endswith("memory") else 32
    read.way = request.param
    return read


def as_shown(picture: Image.Image, side: int) -> np.ndarray:
    """By torchvision: an independent way to the same pixels."""
    scaled = reference.resize(picture.convert("RGB"), side)
    return np.asarray(reference.center_crop(scaled, SIZE))


def saved(picture, name, **options):
    def write(folder: Path) -> Path:
        picture.save(folder / name, **options)
        return folder / name
    return write


def written(content: bytes, name="0.png"):
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name
    return write


# --- read rightly


SEEN_BY = {1: None, 2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270", 7: "TRANSVERSE",
           8: "ROTATE_90"}


@pytest.mark.parametrize("form", ["png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", sorted(SEEN_BY))
def test_a_picture_is_turned_as_its_camera_says(reader, orientation, form):
    stored, exif = colours(), Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"lossless": True} if form == "webp" else {}
    turned = stored.transpose(Image.Transpose[SEEN_BY[orientation]]) if SEEN_BY[orientation] else stored
    seen = reader(saved(stored, f"0.{form}", exif=exif.tobytes() if form != "tiff" else exif, **options))
    assert np.array_equal(seen, as_shown(turned, reader.side))


@pytest.mark.parametrize("options", [{"form": "png"}, {"form": "tiff"}, {"form": "tiff", "compression": "tiff_lzw"}], ids=str)
@pytest.mark.parametrize("orientation", sorted(SEEN_BY))
def test_a_picture_that_is_not_to_be_turned_is_as_it_lies_in_the_file(tmp_path, orientation, options):
    """Pillow turns TIFFs on its own."""
    stored, exif, path = colours(), Image.Exif(), tmp_path / "0"
    exif[ORIENTATION] = orientation
    stored.save(path, options["form"], exif=exif, **{name: value for name, value in options.items() if name != "form"})
    turned = stored.transpose(Image.Transpose[SEEN_BY[orientation]]) if SEEN_BY[orientation] else stored
    for upright, expected in ((False, stored), (True, turned)):
        assert np.array_equal(np.asarray(open_picture(path, upright=upright)[0]), np.asarray(expected))


def exif_of(entries: list[tuple[int, int, int, bytes]]) -> bytes:
    """An EXIF block of (tag, type, count, four bytes)."""
    body = b"".join(struct.pack(">HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + body + b"\0\0\0\0"


TURNED = (ORIENTATION, 3, 1, struct.pack(">HH", 6, 0))


@pytest.mark.parametrize("block, is_turned", [
    (exif_of([TURNED]), True),
    (exif_of([TURNED, (0x0128, 2, 4, b"ab\0\0")]), True),                       # a unit of resolution written as text
    (exif_of([TURNED, (0x011A, 2, 4, b"ab\0\0")]), True),
    (exif_of([(ORIENTATION, 2, 4, b"six\0")]), False),
    (exif_of([(ORIENTATION, 3, 1, struct.pack(">HH", 99, 0))]), False),
    (exif_of([(ORIENTATION, 3, 2, struct.pack(">HH", 6, 6))]), None),           # two of them: either way
    (b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(range(256)), False),
    (b"Exif\0\0garbage", False), (b"Exif\0\0", False),
])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning")
def test_the_pixels_of_a_malformed_exif_block_are_read(reader, block, is_turned):
    stored = colours()
    plain = io.BytesIO()
    stored.save(plain, "JPEG", quality=95)
    upright = Image.open(io.BytesIO(plain.getvalue())).convert("RGB")
    turned = upright.transpose(Image.Transpose.ROTATE_270)
    seen = reader(saved(stored, "0.jpg", quality=95, exif=block))
    expected = {True: [turned], False: [upright], None: [upright, turned]}[is_turned]
    assert any(np.array_equal(seen, as_shown(picture, reader.side)) for picture in expected)


VALUES = np.arange(30 * 40).reshape(30, 40)


@pytest.mark.parametrize("name, kind, values, shown, is_said", [
    ("0.png", np.uint16, VALUES % 256, VALUES % 256, False),                    # 8 bits in 16
    ("0.tif", np.uint16, VALUES % 256, VALUES % 256, False),
    ("0.tif", np.int32, VALUES % 256, VALUES % 256, False),                     # 8 bits in 32
    ("0.png", np.uint16, VALUES * 0, VALUES * 0, False),
    ("0.png", np.uint16, VALUES * 50, VALUES * 50 // 256, False),               # 16 bits
    ("0.tif", np.int32, VALUES * 50, VALUES * 50 // 256, False),
    ("0.png", np.uint16, VALUES * 3, VALUES * 3 // 256, True),                  # 12 bits in 16: 0..3597
])
def test_grey_of_many_bits(reader, name, kind, values, shown, is_said):
    def read():
        return reader(saved(Image.fromarray(values.astype(kind)), name))
    if is_said:
        with pytest.warns(UserWarning, match="uses less than a sixteenth of their range and is read as nearly black"):
            seen = read()
    else:
        seen = read()
    assert np.array_equal(seen, as_shown(Image.fromarray(shown.astype(np.uint8)), reader.side))


def png_of_16_bits(values: np.ndarray) -> bytes:
    """values: (height, width, channels): grey and alpha, colours, colours and alpha."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    height, width, channels = values.shape
    head = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_colours_of_16_bits_that_use_few_of_them_are_said_to_be_dark(reader, channels, bits):
    levels = np.stack([VALUES % 256] * channels, -1)
    if channels in (2, 4):
        levels[..., -1] = 255
    said = pytest.warns(UserWarning, match="uses less than a sixteenth") if bits < 16 else nullcontext()
    with said:
        seen = reader(written(png_of_16_bits(levels * 2**(bits - 8))))
    assert np.array_equal(seen, as_shown(Image.fromarray((levels[..., 0] * 2**(bits - 8) // 256).astype(np.uint8)), reader.side))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_other_kinds_of_pixels(reader, mode):
    picture = colours().convert(mode)
    options = {"transparency": b"\x00\x80"} if mode == "P" else {}
    seen = reader(saved(picture, "0.tif" if mode == "CMYK" else "0.png", **options))
    assert np.array_equal(seen, as_shown(picture, reader.side))


@pytest.mark.parametrize("name", ["0.JPG", "0.jfif", "0.jpe", "0.png", "0.bmp", "0.gif", "0.webp", "0.tif", "0.ppm", "0.pnm"])
def test_every_format_of_the_list_by_any_of_its_suffixes(reader, name):
    form = {"jpg": "JPEG", "jfif": "JPEG", "jpe": "JPEG", "tif": "TIFF", "pnm": "PPM"}.get(name[2:].lower(), name[2:].upper())
    assert form in FORMATS
    content = io.BytesIO()
    colours().save(content, form)
    with Image.open(content) as expected:
        assert np.array_equal(reader(written(content.getvalue(), name)), as_shown(expected, reader.side))


def test_a_suffix_may_lie_about_the_format(reader):
    content = io.BytesIO()
    colours().save(content, "PNG")
    assert np.array_equal(reader(written(content.getvalue(), "0.jpg")), as_shown(colours(), reader.side))


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_file_whose_name_is_not_utf8(reader):
    def write(folder: Path) -> Path:
        path = folder / os.fsdecode(b"0caf\xe9.png")
        colours().save(path)
        return path
    assert np.array_equal(reader(write), as_shown(colours(), reader.side))


def test_a_phones_picture_of_several_is_its_first(reader):
    write = saved(colours(), "0.jpg", format="MPO", save_all=True, append_images=[colours(seed=1)], quality=95)
    plain = io.BytesIO()
    colours().save(plain, "JPEG", quality=95)
    with Image.open(plain) as expected:
        assert np.array_equal(reader(write), as_shown(expected, reader.side))


# --- or refused in one sentence


def png_of(width: int, height: int) -> bytes:
    """Its head promises that size; no pixel of it is there."""
    content = io.BytesIO()
    Image.new("1", (8, 8)).save(content, "PNG")
    raw = bytearray(content.getvalue())
    raw[16:24] = struct.pack(">II", width, height)
    import zlib
    raw[29:33] = struct.pack(">I", zlib.crc32(bytes(raw[12:29])))
    return bytes(raw)


def saved_bytes(picture: Image.Image, form: str) -> bytes:
    content = io.BytesIO()
    picture.save(content, form)
    return content.getvalue()


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 30 30\n%%EndComments\nshowpage\n%%EOF\n"
REFUSED = {
    "eps": (EPS, "PostScript, a format that is not read"),
    "avif": (b"\0\0\0 ftypavif\0\0\0\0", "AVIF, a format that is not read"),
    "heic": (b"\0\0\0 ftypheic\0\0\0\0", "HEIC, a format that is not read"),
    "169 megapixels": (png_of(13_000, 13_000), "it has 169 megapixels, at most 67 are read"),
    "bomb": (png_of(60_000, 60_000), "it has more than the 67 megapixels that are read"),
    "strip": (png_of(60_000_000, 1), "it has 60000000 x 1 pixels, more than 100 times"),
    "real": (saved_bytes(Image.fromarray(np.zeros((8, 8), np.float32)), "TIFF"), "real numbers of unknown range"),
    "deep": (saved_bytes(Image.fromarray(np.full((8, 8), 70_000, np.int32)), "TIFF"), "do not fit into 16 bits"),
    "cut": (saved_bytes(colours(), "PNG")[:300], ""),
    "text": (b"no picture", "not a picture"), "empty": (b"", "not a picture"),
}


def refusal(way, write, folder, descriptions) -> str:
    """The sentence with which a reader refuses a picture."""
    fillers(folder)
    path = write(folder / "train" / "a")
    with pytest.raises(ValueError) as caught:
        if way == "memory":
            gl.load_data(folder, image_size=SIZE)
        elif way == "streamed":
            data = gl.load_data(folder, streamed=True, image_size=SIZE, num_workers=0)
            next(batches_of(data.train, data, 1, device=torch.device("cpu")).own_batches())
        else:
            predict_with(Spy(), descriptions[way.rpartition(" ")[2]], path)
    return str(caught.value)


@pytest.mark.parametrize("way", READERS)
@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_refused_is_refused_by_all_with_the_same_reason(way, kind, tmp_path, descriptions):
    content, reason = REFUSED[kind]
    message = refusal(way, written(content), tmp_path / "pictures", descriptions)
    assert reason in message and "0.png" in message and "\n" not in message


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.filterwarnings("ignore")       # Pillow's own, of damaged heads
def test_a_damaged_file_of_any_format_is_read_or_refused_with_a_reason(form, tmp_path):
    whole, rng, refused = saved_bytes(colours(), form), np.random.default_rng(0), 0
    for trial in range(120):
        damaged = bytearray(whole[:rng.integers(len(whole))] if trial % 3 == 0 else whole)
        for place in rng.integers(len(damaged), size=4) if len(damaged) else ():
            damaged[place if trial % 2 else place % 64] = rng.integers(256)
        (tmp_path / "0.x").write_bytes(damaged)
        try:
            picture, _ = open_picture(tmp_path / "0.x")
            assert picture.mode == "RGB"
        except ValueError as reason:
            refused += 1
            assert str(reason)
    assert refused > 20


@pytest.mark.skipif(os.name == "nt", reason="pipes and links")
@pytest.mark.parametrize("way", ["memory", "streamed"])
@pytest.mark.parametrize("make", [lambda path: os.mkfifo(path), lambda path: os.symlink("nowhere", path)], ids=["pipe", "link"])
def test_a_name_without_a_file_behind_it(way, make, tmp_path):
    def write(folder):
        make(folder / "0.png")
    assert "there is no file behind this name" in refusal(way, write, tmp_path / "pictures", {})


@pytest.mark.skipif(os.name == "nt", reason="a script stands in for Ghostscript")
@pytest.mark.parametrize("way", READERS)
def test_no_other_program_is_started_on_a_picture(way, tmp_path, descriptions, monkeypatch):
    stand_in, trace = tmp_path / "bin" / "gs", tmp_path / "started"
    stand_in.parent.mkdir()
    stand_in.write_text(f"#!/bin/sh\necho started > {trace}\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}")
    refusal(way, written(EPS), tmp_path / "pictures", descriptions)
    assert not trace.exists()


@pytest.mark.parametrize("kind", ["eps", "cut", "bomb"])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_with_skip_both_readers_leave_the_same_pictures_out(kind, tmp_path):
    fillers(tmp_path)
    written(REFUSED[kind][0], "bad.png")(tmp_path / "train" / "a")
    for options in ({}, {"streamed": True, "num_workers": 0}):
        with pytest.warns(UserWarning, match=r"1 of 9 pictures cannot be read: \S*bad\.png"):
            data = gl.load_data(tmp_path, image_size=SIZE, on_error="skip", **options)
        assert len(data.train) == 4
    assert unreadable_photos(data) == {}


def test_large_pictures_are_decoded_one_at_a_time(monkeypatch, tmp_path):
    monkeypatch.setattr(pictures, "_LARGE", 1)
    running, most, plain = [], [], pictures._eight_bit

    def slow(*given):
        running.append(1)
        most.append(len(running))
        time.sleep(0.002)       # long enough that threads which may run beside each other do
        running.pop()
        return plain(*given)

    monkeypatch.setattr(pictures, "_eight_bit", slow)
    colours().save(tmp_path / "a.png")
    threads = [threading.Thread(target=open_picture, args=(tmp_path / "a.png",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8


def test_the_largest_picture_that_is_read_is_larger_than_imagenets():
    pictures._check_size(9331, 6530)
    pictures._check_size(2**13, 2**13)
    with pytest.raises(ValueError, match="megapixels"):
        pictures._check_size(2**13, MOST_PIXELS // 2**13 + 1)


def test_a_reading_without_a_middle():
    with pytest.raises(ValueError, match="scaled to 20 pixels has no middle of 28 x 28"):
        Reading(28, 20)


# --- an export says how its pictures were read


@pytest.mark.parametrize("options", [{}, {"grey": True}, {"streamed": True, "num_workers": 0},
                                     {"streamed": True, "num_workers": 0, "upright": False}])
@pytest.mark.parametrize("how", ["data", "training", "run folder"])
def test_predict_shows_what_the_evaluation_showed(tmp_path, options, how):
    """Bit for bit, for a plain picture and a turned one; from the network alone, its training, and the run folder."""
    fillers(tmp_path / "pictures")
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    colours(seed=3).save(tmp_path / "pictures" / "val" / "a" / "0.png", exif=exif.tobytes())
    data = gl.load_data(tmp_path / "pictures", image_size=SIZE, **options)
    cell = gl.NASBench201Genotype(("skip_connect",) + ("none",) * 4 + ("skip_connect",))
    network = gl.network(cell, 2, 1, 2, data.image_channels)
    if how == "data":
        out = gl.export_network(network, tmp_path / "net", data=data)
    else:
        recipe = gl.training_recipe("smoke", "nasbench201", epochs=1, batch_size=4)
        training = gl.Training(network, data, recipe=recipe, device="cpu", out=tmp_path / "run").run()
        training.close()
        out = gl.export_network(training if how == "training" else tmp_path / "run", tmp_path / "net")
    test, spy = data.evaluation["test"], Spy()
    _, evaluated, _ = next(batches_of(test, data, 8, device=torch.device("cpu")).own_batches())
    for index, name in enumerate(["a/0", "a/z0", "a/z1", "b/z0", "b/z1"]):
        predict_with(spy, gl.read_exported(out), tmp_path / "pictures" / "val" / f"{name}.png")
        assert torch.equal(spy.seen[0], evaluated[index])


def test_older_exports_are_read_as_they_always_were_and_nonsense_is_refused(tmp_path):
    import json
    fillers(tmp_path / "pictures")
    data = gl.load_data(tmp_path / "pictures", image_size=SIZE)
    cell = gl.NASBench201Genotype(("skip_connect",) * 6)
    out = gl.export_network(gl.network(cell, 2, 1, 2), tmp_path / "net", data=data)
    content = bare(json.loads((out / "network.json").read_text()))
    assert content["data"].pop("reading") == {"shorter_side": SIZE, "upright": True}
    (out / "network.json").write_text(json.dumps(content))
    assert gl.read_exported(out).reading == Reading(SIZE, SIZE)
    for reading in ({"shorter_side": 3}, {"shorter_side": None}, {"upright": "no"}, [], 5):
        content["data"]["reading"] = reading
        (out / "network.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match="network.json does not describe a network"):
            gl.read_exported(out)


def test_real_photographs_are_read_alike(shared_data, tmp_path):
    """The streamed reader's pixels, predict's, and torchvision's own of the published codes."""
    data = gl.load_data("imagenet", root=shared_data / "imagenet-sample-flowers", num_workers=0)
    assert not data.train.upright       # as the published networks saw them
    cell = gl.NASBench201Genotype(("skip_connect",) * 6)
    out = gl.export_network(gl.network(cell, 2, 1, 5), tmp_path / "net", data=data)
    test, spy = data.evaluation["test"], Spy()
    _, x, _ = next(batches_of(test, data, 6, device=torch.device("cpu")).own_batches())
    for index in range(6):
        predict_with(spy, gl.read_exported(out), test.path(index))
        assert torch.equal(spy.seen[0], x[index])
        with Image.open(test.path(index)) as picture:
            expected = reference.center_crop(reference.resize(picture.convert("RGB"), 256), 224)
        assert np.array_equal(grey_values(x[index], data.mean, data.std), np.asarray(expected))


# --- what belongs to a data set


@pytest.fixture(params=["memory", "streamed"])
def loaded(request):
    """A function from a folder to (pictures of train, pictures of each evaluation part, class names)."""
    def load(folder: Path, **options):
        more = {"streamed": True, "num_workers": 0} if request.param == "streamed" else {}
        data = gl.load_data(folder, image_size=8, **more, **options)
        return len(data.train), {part: len(images) for part, images in data.evaluation.items()}, data.class_names
    return load


def tree(folder: Path, count=4, classes=("cat", "dog")) -> Path:
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for k in range(count):
            colours(seed=100 * label + k).save(folder / name / f"{k}.png")
    return folder


@pytest.mark.parametrize("hidden", [".ipynb_checkpoints", ".thumbnails", "@eaDir", "__MACOSX", "#recycle", "$RECYCLE.BIN"])
def test_hidden_folders_are_not_entered_on_any_level(loaded, tmp_path, hidden):
    for part in ("train", "val"):
        tree(tmp_path / part)
        for place in (tmp_path / part, tmp_path / part / "cat", tmp_path / part / "cat" / "more"):
            tree(place / hidden, 1, ("x", "y"))
            colours(seed=7).save(place / hidden / "0-checkpoint.png")
        (tmp_path / part / "cat" / "._0.png").write_bytes(b"a Mac's companion")
    tree(tmp_path / hidden)
    assert loaded(tmp_path) == (8, {"test": 8}, ("cat", "dog"))


def test_copies_of_a_notebook_are_in_neither_half_of_a_split(tmp_path):
    tree(tmp_path / "pets", 8)
    (tmp_path / "pets" / "cat" / ".ipynb_checkpoints").mkdir()
    for k in range(8):
        colours(seed=k).save(tmp_path / "pets" / "cat" / ".ipynb_checkpoints" / f"{k}-checkpoint.png")
    data = gl.load_data(tmp_path / "pets", image_size=8)
    of = [{image.numpy().tobytes() for image in images.images} for images in (data.train, data.evaluation["test"])]
    assert len(data.train) + len(data.evaluation["test"]) == 16 and not of[0] & of[1]


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_links_are_followed_and_no_folder_is_read_twice(loaded, tmp_path):
    for part in ("train", "val"):
        tree(tmp_path / "set" / part)
    tree(tmp_path / "elsewhere", 3, ("cats",))
    cat = tmp_path / "set" / "train" / "cat"
    (cat / "more").symlink_to(tmp_path / "elsewhere" / "cats")
    (cat / "again").symlink_to(tmp_path / "elsewhere" / "cats")
    (cat / "loop").symlink_to(cat)
    (cat / "up").symlink_to(tmp_path / "set")           # from here dogs would become cats
    (tmp_path / "elsewhere" / "cats" / "back").symlink_to(cat)
    assert loaded(tmp_path / "set") == (8 + 3, {"test": 8}, ("cat", "dog"))


@pytest.mark.parametrize("train, test", [
    ("train", "validation"), ("Training", "Testing"), ("Train", "Test"), ("train", "Val"), ("train", "dev"), ("TRAIN", "valid"),
    ("seg_train", "seg_test"), ("training_set", "test_set"), ("trainset", "testset"), ("train2017", "val2017"),
    ("train_data", "eval"), ("asl_alphabet_train", "asl_alphabet_test")])
@pytest.mark.parametrize("is_nested", [False, True])
def test_parts_by_their_usual_names(loaded, tmp_path, train, test, is_nested):
    tree(tmp_path / train / (train if is_nested else ""))
    tree(tmp_path / test / (test if is_nested else ""), 2)
    assert loaded(tmp_path) == (8, {"test": 4}, ("cat", "dog"))


@pytest.mark.parametrize("names, parts", [(("val", "test"), ("val", "test")), (("valid", "test"), ("valid", "test")),
                                          (("validation", "Testing"), ("val", "test"))])
def test_a_validation_part_beside_a_test_part_is_kept_apart(loaded, tmp_path, names, parts):
    tree(tmp_path / "train")
    for count, name in enumerate(names, 1):
        tree(tmp_path / name, count)
    assert loaded(tmp_path) == (8, {parts[0]: 2, parts[1]: 4}, ("cat", "dog"))


def test_test_pictures_without_labels_and_other_folders_are_named_once(loaded, tmp_path):
    for part in ("train", "val"):
        tree(tmp_path / part)
    (tmp_path / "test").mkdir()
    colours().save(tmp_path / "test" / "0.png")
    (tmp_path / "seg_pred").mkdir()
    with pytest.warns(UserWarning, match=r"seg_pred/, test/ are not read") as caught:
        assert loaded(tmp_path) == (8, {"test": 8}, ("cat", "dog"))
    assert len(caught) == 1


@pytest.mark.parametrize("names, error, sentence", [
    (("val", "test"), FileNotFoundError, r"no folder train/: test/, val/ look like parts of a data set and not like classes"),
    (("Testing", "Validation", "cat"), FileNotFoundError, "no folder train/"),
    (("train", "val", "validation"), ValueError, r"has val/, validation/, which are one part of a data set"),
    (("train", "Training", "val"), ValueError, r"has Training/, train/, which are one part"),
])
def test_parts_that_cannot_be_meant(loaded, tmp_path, names, error, sentence):
    for name in names:
        tree(tmp_path / name)
    with pytest.raises(error, match=sentence):
        loaded(tmp_path)


def test_a_class_may_be_called_train_or_test(tmp_path):
    tree(tmp_path / "vehicles", 4, ("bus", "car", "train"))
    assert gl.load_data(tmp_path / "vehicles", image_size=8).class_names == ("bus", "car", "train")


def test_parts_within_classes_are_said(tmp_path):
    for name in ("cat", "dog"):
        tree(tmp_path / "pets" / name, 4, ("train", "test"))
    with pytest.warns(UserWarning, match=r"class folders cat/, dog/ hold parts of a data set, which are read together"):
        data = gl.load_data(tmp_path / "pets", image_size=8)
    assert data.class_names == ("cat", "dog") and len(data.train) + len(data.evaluation["test"]) == 16


def test_unknown_suffixes_are_said_once(loaded, tmp_path):
    for part in ("train", "val"):
        tree(tmp_path / part)
    for name in ("a.heic", "b.avif", "c", "notes.txt", "labels.csv", "README", "Thumbs.db"):
        (tmp_path / "train" / "cat" / name).write_bytes(b"")
    said = r"3 files are left out, since their suffix is none of .*: cat/a\.heic, cat/b\.avif, cat/c$"
    with pytest.warns(UserWarning, match=said) as caught:
        assert loaded(tmp_path)[0] == 8
    assert len(caught) == 1


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_class_whose_name_is_not_utf8_is_named(loaded, tmp_path):
    for part in ("train", "val"):
        tree(tmp_path / part, 4, ("cat", os.fsdecode(b"caf\xe9")))
    with pytest.raises(ValueError, match=r"the name of the class folder caf\\xe9/ is not UTF-8; rename it"):
        loaded(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_bad_picture_with_a_strange_name_can_be_printed(loaded, tmp_path):
    for part in ("train", "val"):
        tree(tmp_path / part)
    (tmp_path / "train" / "cat" / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"caf\\xe9\.png \(not a picture\)") as caught:
        loaded(tmp_path, on_error="skip")
    str(caught[0].message).encode("utf-8")


def test_the_split_of_ordinary_names_is_what_it_was(tmp_path):
    """Keys are hashed as UTF-8; recorded before names that are none were let in."""
    from gdas_lite.data.splits import stratified_parts
    keys = [f"cat/{name}.png" for name in ("a", "b", "ä", "日本", "e", "f", "g", "h")]
    assert [part.tolist() for part in stratified_parts([0] * 8, keys, (0.5, 0.5))] == SPLIT


SPLIT = [[3, 5, 6, 7], [0, 1, 2, 4]]


def test_an_own_folder_called_like_a_data_set_is_pointed_at(tmp_path, monkeypatch):
    tree(tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match=r"'digits' is the data set of that name, .* give \./digits"):
        assert gl.load_data("digits").classes == 10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (tmp_path / "grammar").mkdir()
        gl.load_data("grammar")         # an empty folder confuses nobody
