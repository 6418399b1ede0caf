"""What each process of a team does in the test of several processes: started by torchrun, writes what it saw."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

import gdas_lite as gl
from gdas_lite.runs.config import RunError
from gdas_lite.runs.distributed import require_single_process
from gdas_lite.training.evaluation import evaluate

NASBENCH = gl.NASBench201Genotype.parse(       # nothing depends on the edge 0 -> 1: its weights have no gradient
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|")
NASNET = gl.zoo_genotype("GDAS_V1")
BATCH, IMAGES = 7, 38       # parts of 3 and 4 images; the last batch of 3 is not split


def digits() -> gl.ImageData:
    data = gl.load_data("digits")
    test = data.evaluation["test"].subset(range(300))      # two batches of an evaluation
    return replace(data, train=data.train.subset(range(IMAGES)), evaluation={"test": test})


def without_batch_norm(network: nn.Module) -> nn.Module:
    """Every batch norm becomes a layer norm of single images, so that no image depends on its batch."""
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.BatchNorm2d):
                setattr(parent, name, OneImageNorm(1, layer.num_features))
    return network


class OneImageNorm(nn.GroupNorm):

    def forward(self, x: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
        return super().forward(x) if weight is None else super().forward(x) * weight


def trainings(out: Path | None = None) -> dict[str, gl.Training]:
    """"plain": a training in which nothing but the gradient depends on the batch. The others have batch norms."""
    nasbench = gl.training_recipe("smoke", "nasbench201", epochs=2, batch_size=BATCH, grad_clip_norm=0.5)
    nasnet = gl.training_recipe("smoke", "nasnet", epochs=2, batch_size=BATCH, drop_path=0.5, learning_rate_end=0.025)
    data = digits()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the network's last_norm.* is not as its genotype")
        plain = gl.Training(without_batch_norm(gl.network(NASBENCH, 4, 1, 10, 1)), data, recipe=nasbench, out=out)
    return {
        "plain": plain,
        "drop path": gl.Training(gl.network(NASNET, channels=4, cells=3, image_channels=1), data, recipe=nasnet),
    }


def main(out: Path) -> None:
    seen = {}
    for name, run in trainings(out / "run").items():
        run.run() if name == "drop path" else run.run_epoch()       # its first epoch has rate 0
        seen[name] = {
            "tensors": run.tensors(), "record": run.history[-1].to_json(),
            "none": sorted(key for key, value in run.network.named_parameters() if value.grad is None)}
        if name == "plain":
            assert (run.folder is not None) == run.group.is_writer
            seen["score"] = evaluate(run.network, digits().evaluation["test"], digits(), 64).to_json()
            seen["shared score"] = evaluate(run.network, digits().evaluation["test"], digits(), 64, run.group).to_json()
            run.close()
        else:
            seen["masks"] = run._drop_path().masks(2, torch.zeros(3, 1, 1, 1))
    ordinary = gl.Training(gl.network(NASBENCH, 4, 1, 10, 1), digits(), out=out / "ordinary",
                           recipe=gl.training_recipe("smoke", "nasbench201", epochs=2, batch_size=16))
    ordinary.run_epoch()
    ordinary.close()
    seen["ordinary"] = {"tensors": ordinary.tensors()}
    seen["problems"] = problems(out)
    torch.save(seen, out / f"seen-{ordinary.group.shard.rank}.pt")
    if ordinary.group.is_writer:
        print(json.dumps({"world": ordinary.group.world_size}))


def problems(out: Path) -> list[str]:
    """What is refused, on every process alike."""
    found = []
    attempts = (
        lambda: gl.Training(gl.network(NASBENCH, 4, 1, 10, 1), digits(), recipe="smoke", out=out / "run", seed=9),
        lambda: gl.Training(gl.network(NASBENCH, 4, 1, 10, 1), digits(),
                            recipe=gl.training_recipe("smoke", "nasbench201", batch_size=3)),
        lambda: gl.Training(gl.network(NASBENCH, 4, 1, 10, 1), digits(), recipe="smoke", sync_batch_norm=True),
        lambda: require_single_process("a search"),
    )
    for attempt in attempts:
        try:
            attempt()
        except (RunError, ValueError, RuntimeError) as problem:
            found.append(str(problem))
    return found


if __name__ == "__main__":
    warnings.simplefilter("error")
    main(Path(sys.argv[1]))
