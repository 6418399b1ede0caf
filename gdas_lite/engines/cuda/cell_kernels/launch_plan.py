"""A pass written down once and started many times: jobs, launches, and where everything will stand.

Memory changes its place from step to step, so rows name slots: a buffer and bytes from its start. At the start of a
pass one small kernel puts addresses in and picks, of each edge, the row of the drawn candidate. The host neither reads
the draw nor sends anything to the device.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Self

import torch
import triton
import triton.language as tl
from torch import Tensor

from .job_table import FIELDS, JOB, PLACES, Choice, Row, tile

BUFFER = tl.constexpr(56)        # an address is the number of a buffer and 56 bits of bytes; buffer 0: it is an address
# Buffers: memory of the forward pass, its result, the mixture's weights, the result's gradient, memory of the backward
# pass, gradients of mixture and weights, gradients of the given maps, the given maps.
MEMORY, RESULT, WEIGHTS, GRAD, BACK_MEMORY, OF_WEIGHTS, OF_INPUTS, INPUTS = range(1, 9)
MOST_INPUTS = 3


@dataclass(frozen=True)
class Slot:
    """Where a map (B, H, W, C), or another tensor, will stand. step: numbers between pixels."""

    address: int
    shape: tuple[int, ...]
    step: int
    real: torch.dtype

    @property
    def pixels(self) -> int:
        return self.shape[0] * self.shape[1] * self.shape[2]

    def part(self, first: int, channels: int) -> Self:
        """Returns some of its channels."""
        return replace(self, address=self.address + first * self.real.itemsize, shape=(*self.shape[:-1], channels))


@dataclass
class Arena:
    """A buffer that is given out from its start. size: bytes so far."""

    buffer: int
    size: int = 0

    def take(self, *shape: int, real: torch.dtype = torch.float32) -> Slot:
        slot = Slot((self.buffer << BUFFER.value) + self.size, shape, shape[-1], real)
        self.size += -(-torch.Size(shape).numel() * real.itemsize // 256) * 256
        return slot

    def make(self, device: torch.device) -> Tensor:
        return torch.empty(self.size, dtype=torch.uint8, device=device)


def view(memory: Tensor, slot: Slot) -> Tensor:
    """Returns what stands at a slot of a buffer, dense."""
    start = slot.address & ((1 << BUFFER.value) - 1)
    size = torch.Size(slot.shape).numel() * slot.real.itemsize
    return memory[start:start + size].view(slot.real).view(slot.shape)


@dataclass
class LaunchPlan:
    """A launch's grid is (programs, jobs, tiles); a job's program gets `together` choices' rows."""

    device: torch.device
    rows: list[Row] = field(default_factory=list)
    firsts: list[int] = field(default_factory=list)         # of each job, its first candidate's row
    edges: list[int] = field(default_factory=list)          # of each job, the edge whose draw decides, or -1
    launches: list[tuple] = field(default_factory=list)
    _sent: tuple[Tensor, Tensor, Tensor] | None = None

    def launch(self, kernel: object, jobs: Sequence[Choice], programs: int, tiles: int = 1, together: int = 1,
               **constants: object) -> None:
        """Write down a launch; none if no job has anything to do."""
        if not any(row for one in jobs for row in one.rows):
            return
        place = len(self.firsts)
        for one in jobs:
            self.firsts.append(len(self.rows))
            self.edges.append(-1 if one.edge is None else one.edge)
            self.rows += one.rows
        wide = tile(max(row.get("channels_out", 0) for one in jobs for row in one.rows))
        # channels, and parts of a sum, that are read at once
        blocks = {"BLOCK_C": wide, "BLOCK_S": 4096 // wide}
        constants = {name: size for name, size in blocks.items() if name in kernel.arg_names} | constants
        # with four, wide programs spill registers
        constants["num_warps"] = 8 if constants.get("BLOCK_C") == 64 else 4
        self.launches.append((kernel, (programs, len(jobs) // together, tiles), place, constants))

    def run(self, memory: dict[int, Tensor | None], index: Tensor | None) -> None:
        """memory: the buffer of each number. index: (edges,) int64 on the device, the drawn columns."""
        if not self.launches:
            return
        if self._sent is None:
            self._sent = self._send()
        table, firsts, edges = self._sent
        bases = [0 if memory.get(number) is None else memory[number].data_ptr()
                 for number in range(1, INPUTS + MOST_INPUTS)]
        jobs = table.new_empty(len(firsts), len(FIELDS))
        with torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext():
            put_in_place[(len(firsts),)](table, firsts, edges, firsts if index is None else index, jobs, *bases,
                                         WIDTH=64)
            for kernel, grid, place, constants in self.launches:
                kernel[grid](jobs[place:], **constants, num_stages=1)   # more would not fit a small GPU's shared memory

    def _send(self) -> tuple[Tensor, Tensor, Tensor]:
        table = torch.zeros(len(self.rows), len(FIELDS), dtype=torch.int64)
        for values, row in zip(table.numpy(), self.rows, strict=True):
            values[[PLACES[name] for name in row]] = list(row.values())
        self.rows = []
        return tuple(part.to(self.device) for part in (table, torch.tensor(self.firsts), torch.tensor(self.edges)))


@triton.jit
def put_in_place(table, firsts, edges, index, jobs, a, b, c, d, e, f, g, h, i, j, WIDTH: tl.constexpr):
    """jobs = each job's row (its drawn candidate's) with addresses. a .. j: where buffers 1 to 10 stand."""
    job, field = tl.program_id(0), tl.arange(0, WIDTH)
    row, edge = tl.load(firsts + job), tl.load(edges + job)
    if edge >= 0:
        row += tl.load(index + edge)
    number = tl.load(table + row * JOB + field, mask=field < JOB, other=0)
    buffer = number >> BUFFER
    start = tl.where(buffer == 1, a, 0) + tl.where(buffer == 2, b, 0) + tl.where(buffer == 3, c, 0)
    start += tl.where(buffer == 4, d, 0) + tl.where(buffer == 5, e, 0) + tl.where(buffer == 6, f, 0)
    start += tl.where(buffer == 7, g, 0) + tl.where(buffer == 8, h, 0) + tl.where(buffer == 9, i, 0)
    start += tl.where(buffer == 10, j, 0)
    tl.store(jobs + job * JOB + field, number - (buffer << BUFFER) + start, mask=field < JOB)
