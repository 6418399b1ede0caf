"""What a search leaves behind: one record an epoch, as arrays to plot and lines of JSON to keep. NumPy only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..genotypes.contents import count
from ..genotypes.labels import CellLabels
from ..genotypes.notation import ALL_OPS
from ..genotypes.parse import parse_genotype
from ..runs.config import path_of, read_history
from ..runs.schema import check, said
from ..runs.shapes import EPOCH


@dataclass
class EpochRecord:
    """One epoch of a search.

    tau: temperature (None where the algorithm has none). learning_rate: of the network weights. Losses are means over
    the epoch's steps in nats; accuracies are percent and *search accuracies*: of sampled or mixed networks with shared
    weights, in training mode, not of a trained derived network. valid_*: of the alpha steps on the valid half (NaN
    without any). seconds: time spent in the epoch. alphas: after it, by kind of cell, (edges, candidates).
    genotype: the cell derived from them, as text (None if the algorithm derives only at the end). stopped: why the
    search ended early with this epoch, or None. engine: what computed it, None in old run folders. processes: how many.
    """

    epoch: int
    tau: float | None
    learning_rate: float
    train_loss: float
    train_accuracy: float
    valid_loss: float
    valid_accuracy: float
    seconds: float
    alphas: dict[str, np.ndarray]
    genotype: str | None = None
    stopped: str | None = None
    engine: str | None = None
    processes: int = 1

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and lists; NaN becomes null."""
        plain = {name: None if isinstance(value, float) and not np.isfinite(value) else value
                 for name, value in asdict(self).items()
                 if (name, value) not in (("stopped", None), ("processes", 1)) and name != "alphas"}
        return plain | {"alphas": {kind: np.asarray(alpha).tolist() for kind, alpha in self.alphas.items()}}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> EpochRecord:
        """The inverse of `to_json`. Raises ValueError, naming the field, if one is missing or holds something else."""
        check(data, dict, "history record")
        where = f"history, epoch {said(data.get('epoch'))}"
        check(data, EPOCH, where)
        values = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        for name in ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy"):
            values[name] = float("nan") if values[name] is None else values[name]
        values["alphas"] = {kind: _matrix(alpha, f"{where}, alphas.{kind}") for kind, alpha in data["alphas"].items()}
        return cls(**values)


class History(Sequence[EpochRecord]):
    """The records of a search in order, and the same as arrays over epochs.

    about: where a history that comes with the package is from (`gl.recorded`); empty for others.
    """

    def __init__(self, labels: dict[str, CellLabels], records: Iterable[EpochRecord] = (),
                 about: dict[str, Any] | None = None) -> None:
        self.labels, self.about = dict(labels), dict(about or {})
        self._records = list(records)

    def __getitem__(self, index: int | slice) -> EpochRecord | History:
        if isinstance(index, slice):
            return History(self.labels, self._records[index], self.about)
        return self._records[index]

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        of = f" of {self.total_epochs}" if self.total_epochs > len(self) else ""
        return f"History of {len(self)}{of} epochs, cells: {', '.join(self.labels)}"

    @property
    def total_epochs(self) -> int:
        """The epochs that the search shall have: more than are here in a recording that is unfinished."""
        done = self[-1].epoch + 1 if len(self) else 0      # of every n-th epoch, too
        return self.about["config"]["recipe"]["epochs"] if "unfinished" in self.about else done

    def append(self, record: EpochRecord) -> None:
        """Add the record of the next epoch."""
        self._records.append(record)

    @property
    def alphas(self) -> dict[str, np.ndarray]:
        """By kind of cell: alpha after each epoch, (epochs, edges, candidates)."""
        return {kind: np.stack([record.alphas[kind] for record in self]) if len(self) else np.empty((0, *labels.shape))
                for kind, labels in self.labels.items()}

    @property
    def op_probs(self) -> dict[str, np.ndarray]:
        """By kind of cell: softmax(alpha) over the candidates, (epochs, edges, candidates)."""
        return {kind: _softmax(alpha) for kind, alpha in self.alphas.items()}

    def counts(self, operations: str | Iterable[str]) -> dict[str, np.ndarray]:
        """By kind of cell: how many edges of the cell derived after each epoch carry `operations`, (epochs,).

        operations: one name, or several counted together, such as `contents.PARAMETER_FREE`. Raises KeyError for a name
        that is no candidate (of several: in no space), ValueError for an epoch without a cell, as in random search.
        """
        names = (operations,) if isinstance(operations, str) else tuple(operations)
        known = {name for labels in self.labels.values() for name in labels.candidates}
        elsewhere = () if isinstance(operations, str) else ALL_OPS
        if unknown := [name for name in names if name not in known and name not in elsewhere]:
            raise KeyError(f"no candidate {unknown[0]!r} in this history; there are {', '.join(sorted(known))}")
        if any(record.genotype is None for record in self):
            raise ValueError("this search derives a cell at its end only, so there is nothing to count epoch by epoch")
        found = [count(parse_genotype(record.genotype), names) for record in self]
        return {kind: np.array([counts[kind] for counts in found], dtype=int) for kind in self.labels}

    def column(self, name: str) -> np.ndarray:
        """One number an epoch, (epochs,); None becomes NaN. Raises KeyError for an unknown name."""
        known = [one.name for one in fields(EpochRecord) if one.name not in ("alphas", "genotype", "stopped", "engine")]
        if name not in known:
            raise KeyError(f"no column {name!r} in a history; there are {', '.join(known)}")
        return np.array([getattr(record, name) for record in self], dtype=float)        # None becomes NaN

    def to_json(self) -> dict[str, Any]:
        """{"labels": ..., "records": [...]}, plain values."""
        return {"labels": {kind: labels.to_json() for kind, labels in self.labels.items()},
                "records": [record.to_json() for record in self]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> History:
        """The inverse of `to_json`. Raises ValueError, naming the field, for anything else."""
        check(data, {"labels": {str: dict}, "records": [dict]}, "history")
        labels = {kind: CellLabels.from_json(value) for kind, value in data["labels"].items()}
        history = cls(labels, map(EpochRecord.from_json, data["records"]))
        shapes = {kind: each.shape for kind, each in labels.items()}
        for record in history:
            if {kind: alpha.shape for kind, alpha in record.alphas.items()} != shapes:
                raise ValueError(f"history, epoch {record.epoch}: alphas must be (edges, candidates) finite numbers, "
                                 f"{shapes}")
        return history

    @classmethod
    def read(cls, path: str | Path) -> History:
        """The history of a run folder (or of its history.jsonl). Raises FileNotFoundError or ValueError."""
        path = path_of(path, "path")
        file = path / "history.jsonl" if path.is_dir() else path
        if not file.exists():
            raise FileNotFoundError(f"no history.jsonl in {path}: not the run folder of a search")
        head, records = read_history(file)
        if "labels" not in head:
            raise ValueError(f"{file} is the history of a training, not of a search")
        return cls.from_json({"labels": head["labels"], "records": records})


def _matrix(alpha: Any, where: str) -> np.ndarray:
    """(edges, candidates) float32 of lists of numbers. Raises ValueError for anything else."""
    try:
        values = np.asarray(alpha)
    except ValueError:      # rows of different lengths
        values = np.asarray(None)
    if values.ndim != 2 or values.dtype.kind not in "fi":
        raise ValueError(f"{where} must be rows of numbers, all of one length")
    return values.astype(np.float32)


def _softmax(alpha: np.ndarray) -> np.ndarray:
    powers = np.exp(alpha - alpha.max(-1, keepdims=True, initial=-np.inf))
    return powers / powers.sum(-1, keepdims=True)
