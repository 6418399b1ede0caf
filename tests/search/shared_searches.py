"""What each process does in the test of searches on several processes: started by torchrun, writes what it saw."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

import gdas_lite as gl
from gdas_lite import engines  # noqa: F401  (registers them)
from gdas_lite.reproduction.cli.main import main as command
from gdas_lite.search.algorithms import algorithm_named

BATCH, IMAGES = 7, 38       # parts of 3 and 4 images; the last batch of 3 is not split
SEEDS = ["search", "nasbench201", "--data", "digits", "--recipe", "smoke", "--channels", "2", "--cells-per-stage", "1",
         "--set", "batch_size=512", "--set", "epochs=1", "--engine", "plain", "--seeds", "4,0..1"]


@dataclass(frozen=True)
class WithoutBatchNorm(gl.NASBench201):
    """NAS-Bench-201 whose norms are of single images, so that no image depends on its batch."""

    def supernet(self, classes: int, image_channels: int = 3) -> nn.Module:
        supernet = super().supernet(classes, image_channels)
        for parent in list(supernet.modules()):
            for name, layer in parent.named_children():
                if isinstance(layer, nn.BatchNorm2d):
                    setattr(parent, name, nn.GroupNorm(1, layer.num_features))
        return supernet


def digits() -> gl.ImageData:
    data = gl.load_data("digits")
    return replace(data, train_half=data.train_half.subset(range(IMAGES)), valid_half=data.valid_half.subset(range(90)),
                   augmentation=gl.Augmentation(padding=1, flip=True))


def search(algorithm: str, kind: type[gl.NASBench201] = WithoutBatchNorm, **options: object) -> gl.Search:
    recipe = gl.search_recipe("smoke", "nasbench201", algorithm, epochs=2, batch_size=BATCH, grad_clip_norm=0.5,
                              clip_scope="weights_and_alpha", alpha_eps=1e-3)
    return gl.Search(kind(2, 1), digits(), algorithm_named(algorithm), recipe=recipe, device="cpu",
                     **{"engine": "plain"} | options)


def searches(out: Path | None = None) -> dict[str, Callable[[], gl.Search]]:
    """In "gdas" and "random" nothing but the gradient depends on the batch; the others have batch norms."""
    return {"gdas": lambda: search("gdas", out=out), "random": lambda: search("random"),
            "darts": lambda: search("darts-v1", gl.NASBench201),
            "layers": lambda: search("gdas", gl.NASBench201, engine="layers")}


def main(out: Path) -> None:
    seen = {}
    for name, begin in searches(out / "run").items():
        run = begin()
        run.run() if name == "random" else run.run_epoch()
        seen[name] = {"tensors": run.tensors(), "record": run.history[-1].to_json(), "text": repr(run),
                      "writes": run.folder is not None, "engine": run.engine.name}
        run.close()
    rank = run.group.shard.rank
    seen["problems"] = problems(out)
    seen["code"] = command([*SEEDS, "--out", str(out / "seeds")])
    torch.save(seen, out / f"seen-{rank}.pt")


def problems(out: Path) -> list[str]:
    """What is refused, on every process alike."""
    found = []
    attempts: list[Callable[[], object]] = [
        lambda: search("darts-v2"), lambda: search("gdas", out=out / "run", seed=9),
        lambda: gl.Search(gl.Recurrent(4, 4), gl.load_data("grammar"), gl.GDAS(), recipe="smoke"),
        lambda: gl.Search(gl.NASBench201(2, 1), digits(), gl.GDAS(),
                          recipe=gl.search_recipe("smoke", "nasbench201", "gdas", batch_size=3))]
    for attempt in attempts:
        try:
            attempt()
        except (gl.RunError, ValueError) as problem:
            found.append(str(problem))
    return found


if __name__ == "__main__":
    warnings.simplefilter("error")
    main(Path(sys.argv[1]))
