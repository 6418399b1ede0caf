"""How a batch is shared out among processes; it stands in runs/shards.py, which searches and trainings use as well."""

from ..runs.shards import WHOLE_BATCH, Shard, batch_bounds

__all__ = ["WHOLE_BATCH", "Shard", "batch_bounds"]
