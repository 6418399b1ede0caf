"""Where and in what precision a run computes: device, threads, float32 or bfloat16, evaluation mode, memory held.

Networks may compute in bfloat16; what is updated (weights, alpha) is float32 always.
"""

import os
import platform
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from .schema import said

Precision = Literal["fp32", "bf16"]
BF16 = {"avx512_bf16", "amx_bf16"}
SMALL_MAPS = 2**18      # elements of a batch's largest feature map below which one CPU thread is quicker than several


def pick_device(name: str | torch.device | None = None) -> torch.device:
    """Returns the device of that name; without a name the first CUDA GPU, else the CPU.

    Raises ValueError for a name that is none, or if a GPU is asked for and none is there.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type != "cuda":
            torch.empty(1, device=device).item()
    except (RuntimeError, TypeError, NotImplementedError, AssertionError):
        raise ValueError(f"there is no device {said(name)} to compute on here; leave it out, or say 'cpu', 'cuda' or "
                         "'cuda:1'") from None
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ValueError(f"device {name!r} was asked for, but torch {torch.__version__} sees {count or 'no'} CUDA GPU"
                         f"{'s' * (count > 1)}; leave it out or say 'cpu'")
    return device


def check_defaults() -> None:
    """Raises ValueError if one of PyTorch's global settings would change a run's numbers."""
    if (dtype := torch.get_default_dtype()) != torch.float32:
        raise ValueError(f"PyTorch's default dtype is {dtype}, but runs are computed and kept in float32; call "
                         "torch.set_default_dtype(torch.float32) first")
    if (device := torch.empty(0).device).type != "cpu":
        raise ValueError(f"PyTorch's default device is {device}, which would move random numbers there; call "
                         "torch.set_default_device('cpu') first and give the run its device with device=...")
    if not torch.is_grad_enabled():
        raise ValueError("gradients are switched off in PyTorch (set_grad_enabled(False), no_grad or inference_mode); "
                         "call torch.set_grad_enabled(True) first, or leave that block")
    if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
        raise ValueError("torch.autocast is on, which would change a run's numbers (its own precision=... does not); "
                         "call torch.set_autocast_enabled(device, False) first, or leave that block")


@contextmanager
def usual_defaults() -> Iterator[None]:
    """Inside, or in what it decorates, tensors are float32 on the CPU where nothing else is said, whatever PyTorch's
    global settings are."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with nullcontext() if torch.empty(0).device.type == "cpu" else torch.device("cpu"):
            yield
    finally:
        torch.set_default_dtype(before)


def processors() -> int:
    """Returns how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_is_float32(network: nn.Module) -> None:
    """Raises ValueError if a weight of the network has another type than float32."""
    for name, weight in network.named_parameters():
        if weight.dtype != torch.float32:
            raise ValueError(f"the network's {name} is {weight.dtype}, but what is trained is kept in float32; build "
                             "it anew or call network.float()")


def device_name(device: torch.device) -> str:
    """Returns what to print for a device: the GPU's own name, or "CPU, n threads"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {(n := torch.get_num_threads())} thread{'s' * (n > 1)}" if device.type == "cpu" else str(device)


@contextmanager
def sensible_threads(device: torch.device, map_elements: int | None) -> Iterator[None]:
    """Inside, work on small feature maps runs in one CPU thread: sharing it out costs more than it saves, ten times as
    much where other programs compete for the cores.

    map_elements: of a batch's largest map, None: no change. Only sizes decide: a resumed run adds up in the same order.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or map_elements is None or map_elements >= SMALL_MAPS or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Inside, the network is in evaluation mode, all in float32, without gradients; then each layer in its old mode."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        device = next((one.device for one in network.parameters()), torch.device("cpu"))
        with torch.no_grad(), usual_defaults(), computing_in("fp32", device):
            yield
    finally:
        for module, was_training in modes:
            module.training = was_training


def check_precision(precision: str) -> None:
    """Raises ValueError unless it is "fp32" or "bf16"."""
    if precision not in ("fp32", "bf16"):
        raise ValueError(f"precision must be 'fp32' or 'bf16', got {precision!r}")


def computing_in(precision: Precision, device: torch.device) -> torch.autocast:
    """Inside, or in what it decorates, networks compute in bfloat16 where PyTorch holds it safe, or in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def precision_name(precision: Precision, device: torch.device) -> str:
    """Returns what to print for a precision on a device: it says so where bfloat16 is the slower one."""
    if precision == "bf16" and device.type == "cpu" and (flags := processor_flags()) is not None and not flags & BF16:
        return "bf16, slower than fp32 on this processor, which has no bfloat16 instructions"
    return precision


def processor_name() -> str:
    """Returns the processor's name as Linux tells it, else what Python knows."""
    return processor_fact("model name") or platform.processor() or platform.machine()


def processor_flags() -> set[str] | None:
    """Returns the processor's instruction sets by the names of Linux on x86; None where the system does not say."""
    flags = processor_fact("flags")
    return None if flags is None else set(flags.split())


def processor_fact(name: str) -> str | None:
    """Returns a line of Linux' /proc/cpuinfo, the first one of that name; None where there is none."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8", errors="replace").splitlines() if facts.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), None)


def peak_resident() -> int:
    """Returns the largest resident size of this process so far, bytes; 0 where the system does not say (Windows).

    Linux is asked for its own figure: getrusage counts what the process that started this one held.
    """
    status = Path("/proc/self/status")
    if status.exists() and (peaks := re.findall(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)):
        return int(peaks[0]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024     # bytes there, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
