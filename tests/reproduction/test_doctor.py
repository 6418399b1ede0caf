"""`gdas-lite doctor` with each thing there and missing: what it says, how to mend it, and its exit code."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tomllib
from collections import namedtuple
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from gdas_lite.reproduction.cli import doctor
from gdas_lite.reproduction.cli.main import main
from gdas_lite.runs.config import VERSION

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """A function that runs the command in an empty folder, with no data set in reach: exit code and text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GDAS_LITE_DATA", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def run():
        return main(["doctor"]), capsys.readouterr().out
    return run


def test_what_it_says_where_everything_is_there(said, tmp_path):
    code, text = said()
    assert code == 0 and "MISSING" not in text
    assert text.startswith(f"gdas-lite    {VERSION} in {ROOT / 'gdas_lite'}; Python {sys.version.split()[0]}")
    assert f"torch {__import__('torch').__version__.partition('+')[0]}" in text and "GB are free in" in text
    assert f"looked in {tmp_path / 'torch'} (TORCH_HOME, not there)" in text and "cifar10: not found" in text
    assert {line[:13].strip() for line in text.partition("\n\n")[0].splitlines()} == {
        "gdas-lite", "packages", "device", "processor", "drawing", "widgets", "kernels", "data", "disk"}
    assert "cannot be told" not in text


def test_what_it_needs_is_what_pyproject_says():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {found.name: str(found.specifier) for found in map(Requirement, project["dependencies"])}
    assert asked == {name: f">={least}" for name, least in doctor.NEEDED.items()}
    fast = Requirement(project["optional-dependencies"]["fast"][0])
    assert f"pip install '{fast}'" in Path(doctor.__file__).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", doctor.NEEDED)
def test_each_package_that_is_missing(name, said, monkeypatch):
    monkeypatch.setitem(sys.modules, doctor.MODULES.get(name, name), None)
    code, text = said()
    assert code == 1 and f"packages     {name} is not installed" in text
    assert f"\nMISSING, packages: pip install -U '{name}>={doctor.NEEDED[name]}'" in text


def test_packages_that_are_too_old_or_cannot_be_loaded(said, monkeypatch):
    monkeypatch.setattr(doctor, "version_of", lambda name: "2.3.9+cpu" if name == "torch" else "99")
    code, text = said()
    assert code == 1 and "torch is 2.3.9+cpu, 2.4 or newer is needed" in text
    assert doctor._numbers("2.10.0+cpu") > doctor._numbers("2.4") > doctor._numbers("2.3.1rc1")

    def broken(module):
        raise OSError("libgomp.so.1: cannot open\nshared object file")
    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    assert doctor.loaded("torch") == (
        "", "is installed, but cannot be loaded (OSError: libgomp.so.1: cannot open shared object file)")


@pytest.mark.parametrize("missing", ["torch", "graphviz"])
def test_a_process_that_really_lacks_a_package(missing, tmp_path):
    code = ("import sys\nclass Missing:\n    def find_spec(self, name, path=None, target=None):\n"
            "        if name.partition('.')[0] == sys.argv[1]: raise ModuleNotFoundError(name, name=name)\n"
            "sys.meta_path.insert(0, Missing())\n"
            "from gdas_lite.reproduction.cli.main import main\nsys.exit(main(['doctor']))")
    done = subprocess.run([sys.executable, "-c", code, missing], cwd=tmp_path, capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 1 and not done.stderr, done.stderr
    assert f"{missing} is not installed" in done.stdout and f"pip install -U '{missing}>=" in done.stdout
    assert "GB are free in" in done.stdout      # all else is said


@pytest.mark.parametrize("ways, words, cure", [
    ((b"<svg>", None), "pygraphviz lays cells out", ""), ((None, b"<svg>"), "the program dot", ""),
    ((None, None), "matplotlib draws cells", "install Graphviz")])
def test_ways_to_draw(ways, words, cure, monkeypatch):
    from gdas_lite.visual import render
    monkeypatch.setattr(render, "by_pygraphviz", lambda *_: ways[0])
    monkeypatch.setattr(render, "by_dot_program", lambda *_: ways[1])
    (text, *rest), = doctor._drawing()
    assert words in text and cure in (rest or [""])[0]


def test_without_widgets_or_a_page_for_them(said, monkeypatch):
    monkeypatch.setattr(doctor, "version_of", lambda name: {"ipython": "9", "torch": "9"}.get(name, ""))
    code, text = said()
    assert "live in a notebook; ipython 9; no JupyterLab in this environment" in text and "gdas-lite[lab]" in text
    monkeypatch.setitem(sys.modules, "anywidget", None)
    assert "not to be had without ipywidgets and anywidget" in next(doctor._widgets())[0]


def test_kernels_and_their_cache(tmp_path, monkeypatch):
    numba = pytest.importorskip("numba")
    from gdas_lite.engines.cpu import engine
    from gdas_lite.engines.cpu.compiled import cache
    monkeypatch.setattr(cache, "folder_of", lambda function: tmp_path)
    found = [text for text, *_ in doctor._kernels()]
    assert found[0] == f"numba {numba.__version__} compiles them for the CPU" and f"{tmp_path}, which can" in found[1]
    assert "it is empty" in found[1]
    (tmp_path / "loops.pad-1.py311.1.nbc").write_bytes(bytes(10**6))
    assert "1 files are in it, 1.0 MB" in list(doctor._kernels())[1][0]
    monkeypatch.setattr(cache, "folder_of", lambda function: None)
    assert "set NUMBA_CACHE_DIR" in list(doctor._kernels())[1][1]
    for obstacle, cure in (("numba is not installed; pip", "numba>=0.61"), ("numba does not work here", "-U numba")):
        monkeypatch.setattr(engine, "numba_obstacle", lambda obstacle=obstacle: obstacle)
        (text, mend), = doctor._kernels()
        assert obstacle in text and cure in mend


def test_where_the_cache_is_kept(tmp_path, monkeypatch):
    numba = pytest.importorskip("numba")
    from gdas_lite.engines.cpu.compiled.cache import folder_of
    monkeypatch.setattr(numba.core.config, "CACHE_DIR", str(tmp_path))
    assert tmp_path in folder_of(test_kernels_and_their_cache).parents
    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
    assert folder_of(test_kernels_and_their_cache) is None


@pytest.mark.parametrize("name, folder, file", [
    ("cifar10", "cifar-10-batches-py", "test_batch"), ("cifar100", "", "cifar-100-python.tar.gz"),
    ("imagenet16-120", "ImageNet16", "val_data"), ("imagenet", "ILSVRC2012", "train/n01440764/a.JPEG"),
    ("ptb", "penn", "ptb.train.txt"), ("wikitext-2", "wikitext-2", "wiki.train.tokens")])
def test_data_that_are_there(name, folder, file, said, tmp_path, monkeypatch):
    place = tmp_path / "data" / folder
    (place / file).parent.mkdir(parents=True)
    (place / file).touch()
    monkeypatch.setenv("GDAS_LITE_DATA", str(tmp_path / "data"))
    code, text = said()
    assert code == 0 and f"data         {name}: {place / file if file.endswith('.gz') else place}\n" in text
    assert text.count("not found") == 5 and f"looked in {tmp_path / 'data'} (GDAS_LITE_DATA);" in text


def test_no_room_and_no_rights(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 10**9))
    (text, cure), = doctor._disk()
    assert text.startswith("1.0 GB are free") and "make room" in cure
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    (text, cure), = doctor._disk()
    assert "cannot be written to" in text and "--out" in cure


@pytest.mark.parametrize("built, words", [("13.0", "newer than the driver"), (None, "it is a CPU build")])
def test_a_gpu_that_pytorch_does_not_see(built, words, monkeypatch):
    import torch
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    (_, cure), = doctor._device()
    assert words in cure


def test_a_gpu(monkeypatch):
    import torch
    of = namedtuple("properties", "name total_memory")("H200", 141 * 10**9)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: of)
    monkeypatch.setitem(sys.modules, "triton", None)
    found = list(doctor._device())
    assert found[0][0].startswith("cuda:0, H200, 141 GB") and found[1][1] == "pip install triton"


@pytest.mark.parametrize("flags, words", [
    ("fpu avx2 avx512f amx_tile avx512_bf16", "has AVX2, has AVX-512, has AMX, has BF16"),
    ("fpu avx2", "has AVX2, no AVX-512, no AMX, no BF16; --precision bf16 computes, but slower"),
    (None, "vector instructions that PyTorch uses: ")])
def test_the_processors_instructions(flags, words, monkeypatch):
    lines = io.StringIO(f"model name\t: a\nflags\t: {flags}\n" if flags else "").read()
    monkeypatch.setattr(Path, "read_text", lambda self, **_: lines)
    assert words in next(doctor._processor())[0]


def no_rights(monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)


def little_room(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("usage", "total used free")(1, 1, 10**9))


def a_gpu_unseen(monkeypatch):
    import torch
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/nvidia-smi")


def no_triton(monkeypatch):
    test_a_gpu(monkeypatch)


def nothing_draws(monkeypatch):
    from gdas_lite.visual import render
    for way in ("by_pygraphviz", "by_dot_program"):
        monkeypatch.setattr(render, way, lambda *_: None)


def no_widgets(monkeypatch):
    monkeypatch.setattr(doctor, "version_of", lambda name: "" if "lab" in name or name == "notebook" else "99")
    monkeypatch.setitem(sys.modules, "anywidget", None)


def no_numba(monkeypatch):
    from gdas_lite.engines.cpu import engine
    monkeypatch.setattr(engine, "numba_obstacle", lambda: "numba is not installed")


def no_cache(monkeypatch):
    pytest.importorskip("numba")
    from gdas_lite.engines.cpu.compiled import cache
    monkeypatch.setattr(cache, "folder_of", lambda function: None)


def an_old_processor(monkeypatch):
    read = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda self, *args, **options: "flags : fpu avx2"
                        if str(self) == "/proc/cpuinfo" else read(self, *args, **options))


def a_place_that_is_no_folder(monkeypatch):
    monkeypatch.setenv("GDAS_LITE_DATA", __file__)


def a_folder_with_part_of_it(monkeypatch):
    os.makedirs("data/cifar-10-batches-py")
    monkeypatch.setenv("GDAS_LITE_DATA", "data")


@pytest.mark.parametrize("plant, code, line, mend", [
    (a_gpu_unseen, 0, "device       the CPU, ", "may be mended, device: PyTorch sees no GPU though nvidia-smi is here: it is a"),
    (no_triton, 0, "device       engine='cuda' cannot be asked for: triton is not", "may be mended, device: pip install triton"),
    (an_old_processor, 0, "has AVX2, no AVX-512, no AMX, no BF16; --precision bf16 computes, but slower than fp32", ""),
    (nothing_draws, 0, "drawing      neither pygraphviz nor the program dot", "may be mended, drawing: pip install 'pygraphviz"),
    (no_widgets, 1, "widgets      not to be had without ipywidgets", "may be mended, widgets: pip install 'gdas-lite[lab]'"),
    (no_numba, 0, "kernels      not compiled: numba is not installed", "may be mended, kernels: pip install 'numba>=0.61'"),
    (no_cache, 0, "kernels      their cache has no folder", "may be mended, kernels: set NUMBA_CACHE_DIR to a folder"),
    (a_place_that_is_no_folder, 0, "data         cifar10: not found", ""),
    (a_folder_with_part_of_it, 0, "data         cifar10: not found", ""),
    (little_room, 0, "disk         1.0 GB are free in ", "may be mended, disk: make room, or give a folder with --out"),
    (no_rights, 0, "where runs/ is made; it cannot be written to", "may be mended, disk: give a folder that you can write"),
], ids=lambda value: getattr(value, "__name__", ""))
def test_each_check_fails_once_and_says_how_to_mend_it(plant, code, line, mend, said, monkeypatch):
    plant(monkeypatch)
    found, text = said()
    assert found == code and line in text and f"\n{mend}" in text and "cannot be told" not in text
    assert all(len(each) < 600 for each in text.splitlines())


def test_a_look_that_fails_is_said(said, monkeypatch):
    def fails():
        raise RuntimeError("a driver\nthat is lost")
    monkeypatch.setattr(doctor, "_device", fails)
    code, text = said()
    assert code == 0 and "device       cannot be told (RuntimeError: a driver that is lost)" in text
