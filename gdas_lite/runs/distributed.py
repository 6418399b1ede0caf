"""Several processes that do one search or training, started by torchrun: on the GPUs of one machine, or of many.

    torchrun --standalone --nproc-per-node=4 -m gdas_lite train ...
    torchrun --standalone --nproc-per-node=4 -m gdas_lite search ... --seeds 0..7      # each does searches of its own

Each process does its part of every batch (shards.py), their gradients are averaged (in a training by PyTorch's
DistributedDataParallel, in a search before they are clipped), process 0 alone writes the run folder, and a run goes on
with any number of processes: what a recipe says, the batch size above all, is said of the whole run. In a search all
draw the same cell. One and several processes agree up to rounding where nothing but the gradient depends on the batch:
batch norm sees each process's part (on GPUs a training's `sync_batch_norm` shares its sums), and drop path draws each
part's own masks. Without torchrun there is one process and nothing here communicates.
"""

import atexit
import inspect
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .config import RunError, differences, identity
from .device import pick_device
from .meters import AverageMeter, StepResult
from .shards import Shard

T = TypeVar("T")
# The latest sums. A gloo thread drops one a little after its result is there; if nobody else holds it, the thread needs
# Python for that, and a process that ends meanwhile is aborted ("terminate called without an active exception").
_LATEST: deque = deque(maxlen=8)
HOW = "start it with: torchrun --standalone --nproc-per-node=N -m gdas_lite train ..."
PATIENCE = timedelta(days=30)       # of processes that each do runs of their own


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a run: this one's shard of a batch, its device, and what they tell each other."""

    shard: Shard = field(default_factory=Shard)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def world_size(self) -> int:
        """The number of processes; 1 without torchrun."""
        return self.shard.world

    @property
    def is_writer(self) -> bool:
        """Whether this process writes files and prints: one does."""
        return self.shard.rank == 0

    def check_can_share(self, noun: str, batch_size: int, why_alone: str | None = None) -> None:
        """Raises ValueError if a run is not for several processes, or there are more than pairs of images in a batch.
        They need not divide it."""
        if self.world_size > 1 and why_alone:
            raise ValueError(f"this {noun} runs in one process ({why_alone}), but torchrun started {self.world_size}; "
                             f"start it without torchrun, or several seeds of it with `gdas-lite {noun} --seeds`")
        if self.world_size > 1 and batch_size < 2 * self.world_size:
            raise ValueError(f"batch_size {batch_size} is that of the whole {noun}, and {self.world_size} processes "
                             f"would have fewer than 2 images each; start at most {max(1, batch_size // 2)} processes "
                             "or use a recipe with larger batches")

    def sum(self, values: Tensor) -> Tensor:
        """Returns the elementwise sum over the processes, on all of them; the tensor itself is changed. Any shape."""
        if self.world_size > 1:
            _LATEST.append(dist.all_reduce(values, async_op=True))
            _LATEST[-1].wait()
        return values

    def average(self, tensors: Iterable[Tensor | None], weight: float = 1.0) -> None:
        """Replaces tensors by their mean over the processes, in which this one counts `weight` times. Any shapes, the
        same on all; None is left out."""
        if self.world_size == 1 or not (given := [tensor for tensor in tensors if tensor is not None]):
            return
        flat = self.sum(torch.cat([*(tensor.reshape(-1) for tensor in given), given[0].new_ones(1)]) * weight)
        means = (flat[:-1] / flat[-1]).split([tensor.numel() for tensor in given])
        for tensor, mean in zip(given, means, strict=True):
            tensor.copy_(mean.view_as(tensor))

    def share(self, value: T) -> T:
        """Returns process 0's value, on all of them; what the others give is not looked at."""
        if self.world_size == 1:
            return value
        box = [value if self.is_writer else None]
        dist.broadcast_object_list(box, 0, device=self.device)
        return box[0]

    def on_writer(self, action: Callable[[], T]) -> T | None:
        """Returns what `action` gives on process 0, None on the others. Its RunError is raised on all: nobody waits."""
        result, problem = None, None
        try:
            result = action() if self.is_writer else None
        except RunError as error:
            problem = error
        if problem := self.share(problem):
            raise problem
        return result

    def check_alike(self, config: Mapping[str, Any], noun: str) -> None:
        """Raises RunError, on all processes, unless each was given the same run: each its part of one with other data,
        or from another seed, would be a run of nothing."""
        if self.world_size > 1:
            differing = differences(identity(self.share(config)), identity(config))
            if self.sum(torch.tensor(float(len(differing)), device=self.device)):
                raise RunError(f"the processes were not given the same {noun}" + (
                    f" ({'; '.join(differing)}, by process {self.shard.rank})" if differing else "")
                    + "; give each the same settings and data")

    def wrap(self, network: nn.Module) -> nn.Module:
        """Returns the network as training calls it: its backward pass averages the gradients over the processes."""
        if self.world_size == 1:
            return network
        # static_graph: parameters that no output depends on (a cell may have some) are found in the first step only.
        # Batch norm's running estimates are averaged at an epoch's end instead of being overwritten at every step.
        # DDP warns of gradients whose strides differ from the parameter's in axes of length 1, which means nothing.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        ddp = nn.parallel.DistributedDataParallel
        is_renamed = "forward_sync_buffers" in inspect.signature(ddp.__init__).parameters      # PyTorch 2.15
        return ddp(network, static_graph=True, **{"forward_sync_buffers" if is_renamed else "broadcast_buffers": False})

    def meter(self) -> AverageMeter:
        """Returns a meter of what all of them do of each batch."""
        return SharedMeter(self) if self.world_size > 1 else AverageMeter()

    def average_estimates(self, network: nn.Module) -> None:
        """Replaces batch norm's running estimates by their mean over the processes: then all have the same network."""
        self.average(buffer for buffer in network.buffers() if buffer.is_floating_point())

    def synchronise_batch_norm(self, network: nn.Module) -> nn.Module:
        """Returns the network with PyTorch's SyncBatchNorm in every batch norm's place; parameters and names stay.

        Itself in one process. Raises ValueError for several processes on the CPU.
        """
        if self.world_size == 1:
            return network
        if self.device.type != "cuda":
            raise ValueError("sync_batch_norm needs a GPU for each process, as PyTorch's SyncBatchNorm does; leave it "
                             "out, or train in one process")
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)


SINGLE_PROCESS = ProcessGroup()


class SharedMeter(AverageMeter):
    """An `AverageMeter` over the batches of a group: each process adds what it did of them."""

    def __init__(self, group: ProcessGroup) -> None:
        super().__init__()
        self._group = group

    def add(self, result: StepResult | None, count: int) -> None:
        """Counts this process's result on its part of a batch; count: of images in the whole batch."""
        if result:
            shard = self._group.shard
            start, stop = shard.bounds(count)
            counts = shard.counts(count)
            scaled = StepResult(result.loss * shard.loss_scale(count), result.correct * counts)
            super().add(scaled, (stop - start) * counts)

    @property
    def mean_loss(self) -> float:
        if not self.losses:
            return float("nan")
        group, losses = self._group, torch.stack(self.losses).cpu()     # Apple's GPUs know no float64
        mean = losses.double().mean()
        return group.sum(mean if group.world_size == 1 else mean.to(group.device)).item() / group.world_size

    @property
    def accuracy(self) -> float:
        if not self.losses:
            return float("nan")
        right = torch.stack(self._correct).sum()
        right, count = self._group.sum(torch.stack([right, right.new_tensor(self._count)])).tolist()
        return 100 * right / count


def rank_from_environment(environment: Mapping[str, str] = os.environ) -> tuple[Shard, int]:
    """Returns this process's shard, as torchrun's variables tell it, and its number on its machine.

    Raises RunError if they are incomplete or contradict each other.
    """
    if "RANK" not in environment and "WORLD_SIZE" not in environment:
        return Shard(), 0
    needed = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    if missing := [name for name in needed if name not in environment]:
        given = "RANK" if "RANK" in environment else "WORLD_SIZE"
        raise RunError(f"the environment variable {given} says that this is one of several processes, but "
                       f"{missing[0]} is not set; {HOW}, or unset {given}")
    try:
        rank, world, local = (int(environment[name]) for name in needed[:3])
        return Shard(rank, world), local
    except ValueError as problem:
        raise RunError(f"RANK={environment['RANK']}, WORLD_SIZE={environment['WORLD_SIZE']}, LOCAL_RANK="
                       f"{environment['LOCAL_RANK']} are no place among processes ({problem}); {HOW}") from None


def join_process_group(device: str | torch.device | None = None, *, is_loose: bool = False) -> ProcessGroup:
    """Returns the group of this process, as torchrun started it, with its own device; alone without torchrun.

    device: "cpu" or "cuda"; None is the GPU of this process's number where there are GPUs. is_loose: each does runs of
    its own, and they wait for each other, on the CPU, for as long as those take.
    Raises RunError if the group cannot be formed, ValueError if there is no such device.
    """
    shard, local = rank_from_environment()
    device = pick_device(device)
    if shard.world == 1:
        return ProcessGroup(shard, device)
    if device.type == "cuda":
        if local >= (gpus := torch.cuda.device_count()):
            raise RunError(f"process {local} of this machine has no GPU of its own, there are {gpus}; start at "
                           f"most {gpus} with --nproc-per-node={gpus}, or choose the device cpu")
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    if not dist.is_available():
        raise RunError("this PyTorch was built without torch.distributed; run it in one process")
    if not dist.is_initialized():
        _form_group("cpu" if is_loose else device.type, PATIENCE if is_loose else None)
    return ProcessGroup(shard, device)


def _form_group(kind: str, timeout: timedelta | None) -> None:
    if kind not in ("cuda", "cpu"):
        raise RunError(f"several processes can run on cuda or cpu, not on {kind}; choose the device cpu")
    if kind == "cuda" and not dist.is_nccl_available():
        raise RunError("several GPUs need NCCL, which this PyTorch was built without (as on Windows); run it on one "
                       "GPU, or choose the device cpu")
    dist.init_process_group("nccl" if kind == "cuda" else "gloo", timeout=timeout)
    atexit.register(lambda: dist.destroy_process_group() if dist.is_initialized() else None)


def warn_world_size_changed(before: int, now: int, batch_size: int, noun: str = "training") -> None:
    """Warns if a run goes on with another number of processes, whose batch norms see other parts of a batch."""
    if before != now:
        remedy = " (with sync_batch_norm, on GPUs, nothing would change)" if noun == "training" else ""
        warnings.warn(f"this {noun} goes on with {now} process{'es' * (now > 1)} instead of {before}; its batches "
                      f"stay the same, but batch norm now sees about {batch_size // now} images instead of "
                      f"{batch_size // before}{remedy}", stacklevel=3)


def require_single_process(what: str) -> None:
    """Raises RunError if torchrun started several processes for something that one does."""
    if (world := rank_from_environment()[0].world) > 1:
        raise RunError(f"{what} runs in one process, but torchrun started {world}; start it without torchrun "
                       "(several processes are for searches and trainings on images)")
