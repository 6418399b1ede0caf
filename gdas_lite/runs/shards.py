"""How a global batch is shared out among the processes of one run, so that they do what one process would.

The batch size of a recipe is that of the whole run. Every process draws the same random numbers and takes its own
part of each batch; the loss of a part is scaled so that the mean gradient over the processes is the gradient of the
mean loss over the batch.
"""

from dataclasses import dataclass
from itertools import pairwise


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
        """Returns the first and one-after-last image of this part of `count`; sizes differ by at most one image."""
        if not self.is_split(count):
            return 0, count
        return count * self.rank // self.world, count * (self.rank + 1) // self.world

    def loss_scale(self, count: int) -> float:
        """Returns the factor for this part's mean loss: averaged over processes, it is the batch's mean loss."""
        start, stop = self.bounds(count)
        return self.world * (stop - start) / count if self.is_split(count) else 1.0

    def counts(self, count: int) -> bool:
        """Returns whether this part's images count: of a batch that everybody does, only process 0 counts them."""
        return self.is_split(count) or self.rank == 0

    def parts(self, batches: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Returns this part of each of the batches of `batch_bounds`, as positions start..stop-1 too."""
        parts = [(start, *self.bounds(stop - start)) for start, stop in batches]
        return [(start + first, start + last) for start, first, last in parts]

    def own_batches(self, count: int, batch_size: int) -> list[tuple[int, int, int]]:
        """Returns (number, start, stop) of the whole batches that are this process's in an evaluation, in turn."""
        batches = enumerate(batch_bounds(count, batch_size, is_training=False))
        return [(number, start, stop) for number, (start, stop) in batches if number % self.world == self.rank]


WHOLE_BATCH = Shard()


def batch_bounds(count: int, batch_size: int, is_training: bool) -> list[tuple[int, int]]:
    """Returns the first and one-after-last position of each batch in an epoch of `count` images; the last may be short.

    In a training no last batch is a single image: batch norm has no statistics of one value, which is what it gets
    where maps are 1 x 1, and the step would fail. The last two batches are halves then: every image is used, the number
    of steps is the same and no batch larger. Only of batches of 2 the single image is left out, another every epoch.
    """
    starts = list(range(0, count, batch_size))
    if is_training and count > batch_size > 1 and count % batch_size == 1:
        if batch_size == 2:
            count = starts.pop()
        else:
            starts[-1] -= batch_size // 2
    return list(pairwise([*starts, count]))
