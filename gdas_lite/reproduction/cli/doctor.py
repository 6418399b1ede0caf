"""`gdas-lite doctor`: what is installed, what runs here and how, and how to mend what is missing. Changes nothing."""

import importlib
import os
import platform
import shutil
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from ...runs.config import VERSION
from ...runs.printing import say

# What must be there, at least in this version, as in pyproject.toml; and the module that each is.
NEEDED = {"torch": "2.4", "torchvision": "0.19", "numpy": "1.26", "scikit-learn": "1.3", "safetensors": "0.4",
          "filelock": "3.12", "matplotlib": "3.8", "graphviz": "0.20", "ipywidgets": "7.7", "anywidget": "0.9.13"}
MODULES = {"scikit-learn": "sklearn"}
LITTLE_DISK = 2 * 10**9     # bytes; a published run keeps some 100 MB, PyTorch's wheels need 6 GB
INSTRUCTIONS = {"AVX2": "avx2", "AVX-512": "avx512f", "AMX": "amx_tile", "BF16": "avx512_bf16"}     # Linux' names


class Finding(NamedTuple):
    """What was looked at, what was found in words, and where something is missing how to mend it. is_essential: whether
    nothing runs without it."""

    what: str
    text: str
    cure: str = ""
    is_essential: bool = False


def doctor(_arguments: Namespace) -> int:
    """`gdas-lite doctor`. Returns 1 if something essential is missing, else 0."""
    found = []
    for finding in findings():
        found.append(finding)
        say(f"{finding.what:<13}{finding.text}")
    missing = sorted((finding for finding in found if finding.cure), key=lambda finding: not finding.is_essential)
    say("" if missing else "\nNothing is missing.", end="" if missing else "\n")
    for finding in missing:
        say(f"\n{'MISSING' if finding.is_essential else 'may be mended'}, {finding.what}: {finding.cure}")
    return 1 if any(finding.is_essential for finding in missing) else 0


def findings() -> Iterator[Finding]:
    """Everything that is looked at, one after the other; a look that fails itself is a finding."""
    looks = {"gdas-lite": _python, "packages": _packages, "device": _device, "processor": _processor,
             "drawing": _drawing, "widgets": _widgets, "kernels": _kernels, "data": _data, "disk": _disk}
    for what, look in looks.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield from (Finding(what, *rest) for rest in look())
        except Exception as problem:        # such as a torch that cannot be loaded, which `packages` has said
            yield Finding(what, f"cannot be told ({_in_short(problem)})")


def _python() -> Iterator[tuple]:
    yield (f"{VERSION} in {Path(__file__).parents[2]}; Python {platform.python_version()} on {platform.system()} "
           f"{platform.machine()}, {sys.executable}",)


def _packages() -> Iterator[tuple]:
    fine = []
    for name, least in NEEDED.items():
        version, problem = loaded(MODULES.get(name, name), name)
        if not problem and _numbers(version) < _numbers(least):
            problem = f"is {version}, {least} or newer is needed"
        if problem:
            yield f"{name} {problem}", f"pip install -U '{name}>={least}'", True
        else:
            fine.append(f"{name} {version}")
    yield (", ".join(fine) or "none",)


def loaded(module: str, name: str = "") -> tuple[str, str]:
    """Imports a module. Returns its version, "" where it says none, and why it cannot be used, "" if it can.

    name: of its package, where that is another.
    """
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as problem:
        return "", "is not installed" if problem.name in (None, module) else f"cannot be loaded ({_in_short(problem)})"
    except Exception as problem:        # a shared library that is missing, a version that does not fit to another
        return "", f"is installed, but cannot be loaded ({_in_short(problem)})"
    return version_of(name or module) or str(getattr(found, "__version__", "")), ""


def version_of(name: str) -> str:
    """Returns the version of an installed package, "" if there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _numbers(version: str) -> list[int]:
    """2.10.0+cpu: [2, 10, 0]."""
    parts = version.partition("+")[0].split(".")
    return [int("".join(filter(str.isdigit, part)) or 0) for part in parts]


def _in_short(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {' '.join(str(problem).split())[:160]}"


def _device() -> Iterator[tuple]:
    import torch

    from ...runs.device import processors
    if not torch.cuda.is_available():
        has_gpu, built = shutil.which("nvidia-smi"), torch.version.cuda
        cure = "PyTorch sees no GPU though nvidia-smi is here: " + (
            f"its CUDA {built} may be newer than the driver" if built else "it is a CPU build") + \
            "; install the build that https://pytorch.org/get-started names for your driver" if has_gpu else ""
        yield (f"the CPU, {processors()} processors; PyTorch has {torch.get_num_threads()} threads and sees no "
               "NVIDIA GPU", cure)
        return
    for number in range(torch.cuda.device_count()):
        of = torch.cuda.get_device_properties(number)
        yield (f"cuda:{number}, {of.name}, {of.total_memory / 1e9:.0f} GB, CUDA {torch.version.cuda}",)
    _, problem = loaded("triton")
    yield (f"engine='cuda' can{'not' if problem else ''} be asked for: triton {problem or 'is installed'}",
           "pip install triton" if problem else "")


def _processor() -> Iterator[tuple]:
    from ...runs.device import BF16, processor_flags, processor_name

    flags = processor_flags()
    if flags is None:
        import torch
        words = f"vector instructions that PyTorch uses: {torch.backends.cpu.get_cpu_capability()}"
    else:
        words = ", ".join(f"{'has' if flag in flags else 'no'} {name}" for name, flag in INSTRUCTIONS.items())
    is_slow = flags is not None and not flags & BF16
    yield (f"{processor_name()}: {words}" + ("; --precision bf16 computes, but slower than fp32" if is_slow else ""),)


def _drawing() -> Iterator[tuple]:
    import graphviz

    from ...visual.render import by_dot_program, by_pygraphviz

    dot = graphviz.Source("digraph { a -> b }")
    if by_pygraphviz(dot, "svg"):
        yield ("pygraphviz lays cells out in this process",)
    elif by_dot_program(dot, "svg"):
        yield ("the program dot lays cells out",)
    else:
        yield ("neither pygraphviz nor the program dot works here; matplotlib draws cells, plainer",
               "pip install 'pygraphviz>=2', or install Graphviz (apt install graphviz; brew install graphviz)")


def _widgets() -> Iterator[tuple]:
    works = not any(loaded(name)[1] for name in ("ipywidgets", "anywidget"))
    text = "live in a notebook" if works else "not to be had without ipywidgets and anywidget"
    there = [f"{name} {version}" for name in ("ipython", "jupyterlab", "notebook") if (version := version_of(name))]
    has_page = any(not line.startswith("ipython") for line in there)
    without = "" if has_page else "; no JupyterLab in this environment (a hosted notebook brings its own)"
    yield (f"{text}; {', '.join(there) or 'no IPython'}{without}",
           "" if has_page else "pip install 'gdas-lite[lab]' for JupyterLab here")


def _kernels() -> Iterator[tuple]:
    from ...engines.cpu.engine import numba_obstacle

    if (obstacle := numba_obstacle()) is not None:
        yield (f"not compiled: {obstacle}; searches on the CPU run without them",
               "pip install 'numba>=0.61'" if "not installed" in obstacle else "pip install -U numba numpy")
        return
    from ...engines.cpu.compiled.cache import folder_of
    from ...engines.cpu.compiled.launch import fingerprint
    from ...engines.cpu.small.convolutions import pad

    folders = {folder_of(function) for function in (fingerprint, pad.py_func)}
    yield (f"numba {loaded('numba')[0]} compiles them for the CPU",)
    if None in folders:
        yield ("their cache has no folder that can be written to, so each process compiles anew, half a minute",
               "set NUMBA_CACHE_DIR to a folder that you can write to")
        return
    files = [file for folder in folders for file in folder.glob("*.nbc")]
    size = sum(file.stat().st_size for file in files) / 1e6
    held = f"{len(files)} files are in it, {size:.1f} MB" if files else \
        "it is empty: the first search compiles, half a minute"
    yield (f"their cache is kept in {' and '.join(sorted(map(str, folders)))}, which can be written to; {held}",)


def _data() -> Iterator[tuple]:
    from ...data.places import places

    yield ("digits, thumbnails and the text grammar come with the package",)
    for name in ("cifar10", "cifar100", "imagenet16-120", "imagenet", "ptb", "wikitext-2"):
        yield (f"{name}: {where_is(name) or 'not found'}",)
    looked = "; ".join(f"{folder} ({named_by}{'' if os.path.exists(folder) else ', not there'})"
                       for folder, named_by in places())
    yield (f"looked in {looked}; a copy elsewhere is given by root=..., --data-root or GDAS_LITE_DATA",)


def where_is(name: str) -> Path | None:
    """Returns where a named data set lies in the usual places, None where it is in none. Reads no picture."""
    from ...data.official import OFFICIAL, official_place
    from ...data.photos import imagenet_folder
    from ...data.text import corpus_folder

    if name in OFFICIAL:
        return official_place(OFFICIAL[name])
    return imagenet_folder() if name == "imagenet" else corpus_folder(name)


def _disk() -> Iterator[tuple]:
    here = Path.cwd()
    free, can_write = shutil.disk_usage(here).free, os.access(here, os.W_OK)
    text = f"{free / 1e9:,.1f} GB are free in {here}, where runs/ is made"
    yield (text if can_write else f"{text}; it cannot be written to",
           "" if can_write and free > LITTLE_DISK else "make room, or give a folder with --out" if can_write else
           "give a folder that you can write to with --out")
