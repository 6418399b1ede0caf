"""Several processes that train one network, started by torchrun: on the GPUs of one machine, or of many.

    torchrun --standalone --nproc-per-node=4 -m gdas_lite train ...

Each process does its part of every batch (data/sharding.py), DistributedDataParallel averages the gradients, process 0
alone writes the run folder, and a run goes on with any number of processes: what a recipe says, the batch size above
all, is said of the whole training. Without torchrun there is one process and nothing here communicates.
"""

from __future__ import annotations

import atexit
import inspect
import json
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..data.shards import Shard
from ..runs.config import RunError
from ..runs.device import pick_device
from ..runs.meters import AverageMeter
from ..spaces.operations import DropPath
from .collectives import all_reduce, broadcast

T = TypeVar("T")
Checkpoint = tuple[dict[str, Tensor], dict[str, Any], list[dict[str, Any]]]     # tensors, state, records of the history
HOW = "start it with: torchrun --standalone --nproc-per-node=N -m gdas_lite train ..."


@dataclass(frozen=True)
class Team:
    """The processes of a training: this one's place among them, and what they tell each other. Alone, `world` is 1."""

    shard: Shard = field(default_factory=Shard)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def world(self) -> int:
        """Number of processes."""
        return self.shard.world

    @property
    def is_writer(self) -> bool:
        """Whether this process writes files and prints: one does."""
        return self.shard.rank == 0

    def check_batch_size(self, batch_size: int) -> None:
        """Raise ValueError if there are more processes than pairs of images in a batch. They need not divide it."""
        if self.world > 1 and batch_size < 2 * self.world:
            raise ValueError(f"batch_size {batch_size} is that of the whole training, and {self.world} processes would "
                             f"have fewer than 2 images each; start at most {max(1, batch_size // 2)} processes or use "
                             "a recipe with larger batches")

    def sum(self, values: Tensor) -> Tensor:
        """Elementwise sum over the processes, on all of them; the tensor itself is changed."""
        if self.world > 1:
            all_reduce(values)
        return values

    def share_text(self, text: str | None) -> str:
        """Process 0's text, on all of them; the others give None."""
        if self.world == 1:
            return text or ""
        content = torch.tensor(list((text or "").encode()), dtype=torch.uint8, device=self.device)
        size = torch.tensor(len(content), device=self.device)
        broadcast(size)
        if not self.is_writer:
            content = torch.empty(int(size), dtype=torch.uint8, device=self.device)
        broadcast(content)
        return bytes(content.tolist()).decode()

    def share_tensors(self, tensors: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        """Process 0's tensors by name, on all of them; the others give None."""
        if self.world == 1:
            return dict(tensors or {})
        heads = [[name, str(value.dtype).removeprefix("torch."), list(value.shape)]
                 for name, value in (tensors or {}).items()]
        shared = {}
        for name, dtype, shape in json.loads(self.share_text(json.dumps(heads) if self.is_writer else None)):
            value = torch.empty(shape, dtype=getattr(torch, dtype), device=self.device)
            if self.is_writer:
                value.copy_(tensors[name])
            broadcast(value)
            shared[name] = value
        return shared

    def on_writer(self, action: Callable[[], T]) -> T | None:
        """What `action` gives on process 0, None on the others. Its RunError is raised on all, so that nobody waits."""
        result, problem = None, ""
        if self.is_writer:
            try:
                result = action()
            except RunError as error:
                if self.world == 1:
                    raise
                problem = str(error)
        if problem := self.share_text(problem if self.is_writer else None):
            raise RunError(problem)
        return result

    def share_checkpoint(self, found: Checkpoint | None) -> Checkpoint | None:
        """What process 0 read from a run folder, on all: no other process, or machine, needs to see the folder."""
        text = self.share_text(json.dumps(found and found[1:]) if self.is_writer else None)
        if (rest := json.loads(text)) is None:
            return None
        return self.share_tensors(found[0] if found else None), *rest

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network as it is called in training: its backward pass averages the gradients over the processes."""
        if self.world == 1:
            return network
        # static_graph: parameters that no output depends on (a cell may have some) are found in the first step only.
        # Batch norm's running estimates are averaged at an epoch's end instead of being overwritten at every step.
        # Autograd sees to it that a gradient lies in memory as its parameter does, but for axes of length 1, whose
        # stride means nothing; DDP compares those too, and warns.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        ddp = nn.parallel.DistributedDataParallel
        is_renamed = "forward_sync_buffers" in inspect.signature(ddp.__init__).parameters
        own_buffers = {"forward_sync_buffers" if is_renamed else "broadcast_buffers": False}
        return ddp(network, static_graph=True, **own_buffers)

    def average_estimates(self, network: nn.Module) -> None:
        """Replace batch norm's running estimates by their mean over the processes: then all have the same network."""
        buffers = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
        if self.world == 1 or not buffers:
            return
        flat = self.sum(torch.cat([buffer.reshape(-1) for buffer in buffers])) / self.world
        for buffer, mean in zip(buffers, flat.split([buffer.numel() for buffer in buffers]), strict=True):
            buffer.copy_(mean.view_as(buffer))


ALONE = Team()


class SharedMeter(AverageMeter):
    """A `AverageMeter` over the whole batches of a team: each process adds what it did of them, with the loss scaled."""

    def __init__(self, team: Team) -> None:
        super().__init__()
        self._team = team

    @property
    def mean_loss(self) -> float:
        mean = torch.stack(self.losses).double().mean()
        return self._team.sum(mean).item() / self._team.world

    @property
    def accuracy(self) -> float:
        right = torch.stack(self._correct).sum()
        right, count = self._team.sum(torch.stack([right, right.new_tensor(self._count)])).tolist()
        return 100 * right / count


@dataclass(frozen=True)
class DropPathPart(DropPath):
    """Drop path of a part of a batch: the masks of the whole batch are drawn, so that the parts fit together.

    batch: images of the whole batch. part: this one's first and one-after-last image.
    """

    batch: int
    part: tuple[int, int]

    def masks(self, count: int, like: Tensor) -> Tensor:
        whole = super().masks(count, like.new_empty(()).expand(self.batch))
        return whole[:, self.part[0]:self.part[1]]


def place(environment: Mapping[str, str] = os.environ) -> tuple[Shard, int]:
    """This process's place in the team that torchrun's variables tell of, and its number on its machine.

    Raises RuntimeError if they are incomplete or contradict each other.
    """
    if "RANK" not in environment and "WORLD_SIZE" not in environment:
        return Shard(), 0
    needed = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    if missing := [name for name in needed if name not in environment]:
        there = "RANK" if "RANK" in environment else "WORLD_SIZE"
        raise RuntimeError(f"the environment variable {there} says that this is one of several processes, but "
                           f"{missing[0]} is not set; {HOW}, or unset {there}")
    try:
        rank, world, local = (int(environment[name]) for name in needed[:3])
        return Shard(rank, world), local
    except ValueError as problem:
        raise RuntimeError(f"RANK={environment['RANK']}, WORLD_SIZE={environment['WORLD_SIZE']}, LOCAL_RANK="
                           f"{environment['LOCAL_RANK']} are no place among processes ({problem}); {HOW}") from None


def join_team(device: str | torch.device | None = None) -> Team:
    """The team of this process, as torchrun started it, and the device that is its own; alone without torchrun.

    device: "cpu" or "cuda"; None is the GPU of this process's number where there are GPUs.
    Raises RuntimeError if the team cannot be formed, ValueError if there is no such device.
    """
    shard, local = place()
    device = pick_device(device)
    if shard.world == 1:
        return Team(shard, device)
    if device.type == "cuda":
        gpus = torch.cuda.device_count()
        if local >= gpus:
            raise RuntimeError(f"process {local} of this machine has no GPU of its own, there are {gpus}; start at "
                               f"most {gpus} with --nproc-per-node={gpus}, or choose the device cpu")
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    _form_group(device)
    return Team(shard, device)


def _form_group(device: torch.device) -> None:
    if not dist.is_available():
        raise RuntimeError("this PyTorch was built without torch.distributed; train in one process")
    if dist.is_initialized():
        return
    backend = {"cuda": "nccl", "cpu": "gloo"}.get(device.type)
    if backend is None:
        raise RuntimeError(f"several processes can train on cuda or cpu, not on {device.type}; choose the device cpu")
    if backend == "nccl" and not dist.is_nccl_available():
        raise RuntimeError("several GPUs need NCCL, which this PyTorch was built without (as on Windows); train on one "
                           "GPU, or choose the device cpu")
    dist.init_process_group(backend)
    atexit.register(_leave_group)


def _leave_group() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def tell_of_another_team(before: int, now: int, batch_size: int) -> None:
    """Warn if a training goes on with another number of processes, whose batch norms see other parts of a batch."""
    if before != now:
        warnings.warn(f"this training goes on with {now} process{'es' * (now > 1)} instead of {before}; its batches "
                      f"stay the same, but batch norm now sees about {batch_size // now} images instead of "
                      f"{batch_size // before} (with sync_batch_norm nothing would change)", stacklevel=4)


def is_writer() -> bool:
    """Whether this process is the one that prints and writes: true without torchrun."""
    return place()[0].rank == 0


def refuse_team(what: str) -> None:
    """Raise RuntimeError if torchrun started several processes for something that one does. what: "a search"."""
    world = place()[0].world
    if world > 1:
        raise RuntimeError(f"{what} runs in one process, but torchrun started {world}; start it without torchrun "
                           "(several processes are for `gdas-lite train`)")
