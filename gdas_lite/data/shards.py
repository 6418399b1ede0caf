"""How a global batch is shared out among the processes of one training, so that they do what one process would.

The batch size of a recipe is that of the whole training. Every process draws the same random numbers and takes its own
part of each batch; the loss of a part is scaled so that the mean gradient over the processes is the gradient of the
mean loss over the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .augment import Augmentation
from .images import Batches


@dataclass(frozen=True)
class Shard:
    """The part of process `rank` (0-based) of `world` processes.

    A batch of fewer than two images a process is not split: every process does the whole of it. So nobody has an empty
    part, nor a batch norm over one image. Raises ValueError unless 0 <= rank < world.
    """

    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world:
            raise ValueError(f"expected a rank in 0..world-1, got rank {self.rank} of world {self.world}")

    def is_split(self, count: int) -> bool:
        """Returns whether a batch of `count` images is shared out."""
        return self.world > 1 and count >= 2 * self.world

    def bounds(self, count: int) -> tuple[int, int]:
        """Returns the first and one-after-last image of this part of a batch of `count`; sizes differ by at most one image."""
        if not self.is_split(count):
            return 0, count
        return count * self.rank // self.world, count * (self.rank + 1) // self.world

    def loss_scale(self, count: int) -> float:
        """Returns the factor for this part's mean loss: averaged over processes, the scaled losses are the batch's mean loss."""
        start, stop = self.bounds(count)
        return self.world * (stop - start) / count if self.is_split(count) else 1.0

    def counts(self, count: int) -> bool:
        """Returns whether this part's images count: of a batch that everybody does, only process 0 counts them."""
        return self.is_split(count) or self.rank == 0

    def owns(self, batch: int) -> bool:
        """Returns whether whole batch number `batch` of an evaluation is this process's: they are taken in turn."""
        return batch % self.world == self.rank


WHOLE_BATCH = Shard()


class ShardedBatches(Batches):
    """`Batches` of which one process makes its part; random numbers are those of the whole, so no image is done twice.

    Shapes: as `Batches`, with the batch dimension of `shard.bounds`.
    """

    def __init__(self, *args, shard: Shard, **options) -> None:
        super().__init__(*args, **options)
        self.shard = shard

    def epoch(self, generator: torch.Generator | None = None, shuffle: bool = True) -> Iterator[tuple[Tensor, Tensor]]:
        """Returns this process's part of each batch that `Batches.epoch` would give for the same generator, bit for bit."""
        count = len(self._labels)
        generator = self._checked(generator, needed=shuffle or self.augmentation != Augmentation())
        order = torch.randperm(count, generator=generator) if shuffle else torch.arange(count)
        draws, order = self._draws(count, generator).to(self.device), order.to(self.device, non_blocking=True)
        parts = (part_of(self.shard, start, min(start + self.batch_size, count))
                 for start in range(0, count, self.batch_size))
        return (self._batch(order[start:stop], draws.part(start, stop)) for start, stop in parts)

    def own_batches(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yields (number, x, y) of the whole batches that are this process's in an evaluation, in order, not augmented."""
        count = len(self._labels)
        draws = self._draws(count, None).to(self.device)
        order = torch.arange(count, device=self.device)
        for number, start in enumerate(range(0, count, self.batch_size)):
            if self.shard.owns(number):
                stop = start + self.batch_size
                yield number, *self._batch(order[start:stop], draws.part(start, stop))


def part_of(shard: Shard, start: int, stop: int) -> tuple[int, int]:
    """Returns the part of the batch of images start..stop-1, as positions in the epoch."""
    first, last = shard.bounds(stop - start)
    return start + first, start + last
