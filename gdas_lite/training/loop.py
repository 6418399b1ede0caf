"""`Training`: a derived network on its data, epoch by epoch."""

import warnings
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.batches import data_info, identity_of, training_batches
from ..data.images import ImageData
from ..data.photos import StreamedData
from ..runs.checkpoint import optimizer_state, restore, restore_optimizer
from ..runs.config import settings_of
from ..runs.device import Precision, check_is_float32, check_precision, computing_in, device_name, precision_name
from ..runs.distributed import SharedMeter, join_process_group, warn_world_size_changed
from ..runs.engine import attach_to_network, optimizer_for
from ..runs.meters import StepResult
from ..runs.resumable import ResumableRun, generator_for, seeded
from ..runs.schedules import drop_path_at, learning_rate_at, part_of
from ..runs.schema import Range, check, check_has
from ..spaces.operations import DropPath
from .evaluation import Score, evaluate
from .history import TrainingHistory, TrainingRecord
from .loading import what_a_folder_misses
from .recipes import TrainingRecipe, training_recipe


class Training(ResumableRun):
    """One training of a derived network. Iterate it epoch by epoch or call `run`.

        training = gl.Training(gl.network(genotype, 8, 1, image_channels=1), data, recipe="lesson", seed=0).run()
        training.result["test"].accuracy

    network: its weights are drawn anew from `seed`, so that a seed means the same training, unless keep_weights.
    train_on: "train", all training images, or "train_half" (NAS-Bench-201's validation runs: the valid half is then
        evaluated too). Evaluated on data.evaluation after every `evaluate_every` epochs and after the last; what counts
        is the last epoch, never the best on a test set.
    recipe: "smoke", "lesson", "paper", another name of `training_recipe`, or a TrainingRecipe. out: run folder, gone on
        with if it holds the same training already.
    precision: "bf16" computes the network in bfloat16 where autocast holds that safe; all else stays in float32.
    sync_batch_norm: where several GPUs train (see runs/distributed.py), batch norm's statistics are those of the whole
        batch, as with one process, instead of each process's part of it, as in the published code for several GPUs.
    Raises ValueError where network and data do not fit, RunError if the folder is another run's or in use.
    """

    noun = "training"

    def __init__(self, network: nn.Module, data: ImageData | StreamedData, *, recipe: str | TrainingRecipe = "lesson",
                 seed: int = 0, out: str | Path | None = None, device: str | torch.device | None = None,
                 train_on: Literal["train", "train_half"] = "train", evaluate_every: int = 1,
                 keep_weights: bool = False, precision: Precision = "fp32", sync_batch_norm: bool = False) -> None:
        check_fit(network, data)
        check_is_float32(network)
        check_precision(precision)
        self.recipe = training_recipe(recipe, network.genotype.space) if isinstance(recipe, str) else recipe
        check_has(self.recipe, "cutout", "recipe", "a name such as 'lesson', or what gl.training_recipe returns")
        check_extras(network, self.recipe, data)
        self.group = join_process_group(device)
        self.group.check_can_share("training", self.recipe.batch_size)
        self.seed, self.device, self.train_on = seed, self.group.device, train_on
        self.precision, self.sync_batch_norm = precision, sync_batch_norm
        check(evaluate_every, Range(1, whole=True), "evaluate_every")
        self.evaluate_every, self.total_epochs = evaluate_every, self.recipe.epochs
        self.history = TrainingHistory()
        self._data = data
        if train_on not in ("train", "train_half"):
            raise ValueError(f"train_on must be 'train' or 'train_half', got {train_on!r}")
        self._images = getattr(data, train_on)
        self._evaluation = dict(data.evaluation) | ({"valid_half": data.valid_half} if train_on == "train_half" else {})
        self.batches = training_batches(self._images, data, self.recipe.batch_size, cutout=self.recipe.cutout,
                                        device=self.device, shard=self.group.shard)
        self.steps_per_epoch = len(self.batches)
        channels = network.settings.get("channels")     # a space of one's own may call it otherwise
        self.map_elements = channels and self.recipe.batch_size * channels * data.image_size**2
        if out is not None and self.group.is_writer and (problem := what_a_folder_misses(network)):
            warnings.warn(f"{problem}; this same call can go on with its run", stacklevel=2)
        self._frozen = [name for name, weight in network.named_parameters() if not weight.requires_grad]
        if self._frozen and not keep_weights:
            raise ValueError(f"the network's {self._frozen[0]} is frozen, but a training draws all weights anew; say "
                             "keep_weights=True, or unfreeze it")
        self.take(network)
        if not keep_weights:
            network.cpu().to(memory_format=torch.contiguous_format)     # PyTorch 2.11 fills others in another order
            draw_weights(network, generator_for(seed, 0, "weights").initial_seed())
        self.network = network.to(self.device, memory_format=torch.channels_last).train()
        attach_to_network(self.network, self.device)
        if sync_batch_norm:
            self.network = self.group.synchronise_batch_norm(self.network)
        self._params = list(self.network.parameters())
        self.sgd = torch.optim.SGD(self._params, self.recipe.learning_rate, momentum=self.recipe.momentum,
                                   weight_decay=self.recipe.weight_decay, nesterov=self.recipe.nesterov)
        if self.group.world_size == 1:      # processes must take the same step, bit for bit
            self.sgd = optimizer_for(self.network, self.device, self.sgd)
        self._keeps_weights = keep_weights
        super().__init__(out, {"training": network.genotype.to_json()})
        if len(self.history) and not self.sync_batch_norm and self.group.is_writer:
            warn_world_size_changed(self.history[-1].processes, self.group.world_size, self.recipe.batch_size)
        self._forward = self.group.wrap(self.network)

    @property
    def images_per_epoch(self) -> int:
        """The number of images that an epoch shows."""
        return self.batches.bounds[-1][1]

    @cached_property        # a checksum of all pictures
    def config(self) -> dict[str, Any]:
        """What identifies this training: everything its result depends on but the versions of the libraries."""
        return {
            "kind": "training", "genotype": self.network.genotype.to_json(), "network": self.network.settings,
            "recipe": settings_of(self.recipe), "seed": self.seed, "train_on": self.train_on,
            "keep_weights": self._keeps_weights, "evaluate_every": self.evaluate_every,
            "precision": self.precision, "sync_batch_norm": self.sync_batch_norm,
            "data": {**data_info(self._data), **identity_of(self._images, self._data)},
        } | ({"frozen": self._frozen} if self._frozen else {})

    def begin_epoch(self) -> Iterator[int]:
        self._tally = SharedMeter(self.group)
        shuffle, drop_path = generator_for(self.seed, self.epochs_done, "train"), self._drop_path()
        for step, (x, y) in enumerate(self.batches.epoch(shuffle), 1):
            self._rate = learning_rate_at(self.recipe, self.epochs_done, step - 1, self.steps_per_epoch)
            for group in self.sgd.param_groups:
                group["lr"] = self._rate
            start, stop = self.batches.bounds[step - 1]
            count = stop - start        # images of the whole batch; y has this process's part
            self.sgd.zero_grad()
            objective, loss, logits = self._losses(x, y, drop_path)
            (objective * self.group.shard.loss_scale(count)).backward()
            if self.recipe.grad_clip_norm is not None:
                clip = getattr(self.sgd, "clip_grad_norm_", nn.utils.clip_grad_norm_)
                clip(self._params, self.recipe.grad_clip_norm)
            self.sgd.step()
            self._tally.add(StepResult(loss.detach(), (logits.detach().argmax(-1) == y).sum()), count)
            self.check_finite(self._tally.losses, step)
            yield step

    def _drop_path(self) -> DropPath | None:
        rate = drop_path_at(self.recipe.drop_path, *part_of(self.recipe, self.epochs_done))
        part = f", process {self.group.shard.rank}" if self.group.shard.rank else ""    # each draws its own masks
        return DropPath(rate, generator_for(self.seed, self.epochs_done, f"drop path{part}")) if rate else None

    def _losses(self, x: Tensor, y: Tensor, drop_path: DropPath | None) -> tuple[Tensor, Tensor, Tensor]:
        """What is minimised, its part at the network's output, and the logits there."""
        smoothing, weight = self.recipe.label_smoothing, self.recipe.auxiliary_weight
        options = ({} if drop_path is None else {"drop_path": drop_path}) | ({"with_auxiliary": True} if weight else {})
        with computing_in(self.precision, self.device):
            outputs = self._forward(x, **options)
        logits, *auxiliary = (output.float() for output in (outputs if weight else [outputs]))
        objective = loss = F.cross_entropy(logits, y, label_smoothing=smoothing)
        for head in auxiliary:
            objective = loss + weight * F.cross_entropy(head, y, label_smoothing=smoothing)
        return objective, loss, logits

    def end_epoch(self, seconds: float) -> TrainingRecord:
        done = self.epochs_done + 1
        is_evaluated = done % self.evaluate_every == 0 or done == self.total_epochs
        self.group.average_estimates(self.network)
        scores = {name: evaluate(self.network, images, self._data, group=self.group)
                  for name, images in self._evaluation.items()} if is_evaluated else {}
        record = TrainingRecord(
            self.epochs_done, self._rate, self._tally.mean_loss, self._tally.accuracy, seconds,
            self.images_per_epoch / seconds, {name: score.to_json() for name, score in scores.items()},
            self.group.world_size)
        self.history.append(record)
        return record

    @property
    def result(self) -> dict[str, Score]:
        """The scores by name of the evaluation set, after the last epoch. Raises RuntimeError before that."""
        if self.epochs_done < self.total_epochs:
            raise RuntimeError(f"the training is at epoch {self.epochs_done} of {self.total_epochs}; its result is the "
                               "score after the last one")
        return {name: Score.from_json(score) for name, score in self.history[-1].evaluation.items()}

    @property
    def derived_accuracy(self) -> float:
        """The test accuracy after the last epoch, percent. Of a cell searched on cifar100 or imagenet16-120 report
        `result["x-test"]`: that search has seen half of test. Raises ValueError for data without a set called test."""
        if "test" not in (scores := self.result):
            raise ValueError(f"{self._data.name} has no evaluation set called test, only {', '.join(scores) or 'none'}")
        return scores["test"].accuracy

    def tensors(self) -> dict[str, Tensor]:
        names = [name for name, _ in self.network.named_parameters()]
        return ({f"network/{name}": value for name, value in self.network.state_dict().items()}
                | optimizer_state(self.sgd, names, "sgd"))

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any], records: list[dict[str, Any]]) -> None:
        restore({f"network/{name}": value for name, value in self.network.state_dict().items()}, tensors)
        restore_optimizer(self.sgd, [name for name, _ in self.network.named_parameters()], "sgd", tensors)
        self.history = TrainingHistory(map(TrainingRecord.from_json, records))

    def __repr__(self) -> str:
        processes = f" x {self.group.world_size} processes" if self.group.world_size > 1 else ""
        return (f"Training of {self.network.genotype} ({self.network.settings}) on {self._data.name} "
                f"({len(self._images)} images), recipe {self.recipe.name}, seed {self.seed}, "
                f"{precision_name(self.precision, self.device)}, {device_name(self.device)}{processes}; "
                + "".join(f"schedule begun anew after epoch {restart}; " for restart in self.recipe.restarts)
                + f"epoch {self.epochs_done} of {self.total_epochs}")


def check_fit(network: nn.Module, data: ImageData) -> None:
    """Raises ValueError if the network was built for other images or classes than the data have."""
    check_has(network, "settings", "network", "what gl.network returns")
    check_has(data, "image_channels", "data", "images that gl.load_data returns")
    for name, needed in (("classes", data.classes), ("image_channels", data.image_channels)):
        if (built := network.settings.get(name)) != needed:
            raise ValueError(f"the network was built with {name}={built}, but {data.name} has {needed}; build it with "
                             f"{name}={needed}" if built else f"network must be one of images: settings lack {name}")


def check_extras(network: nn.Module, recipe: TrainingRecipe, data: ImageData) -> None:
    """Raises ValueError if the recipe asks for what the network cannot have here, for a cutout of whole pictures, or
    for another one than the data's augmentation."""
    is_nasnet = network.genotype.space == "nasnet"
    if hasattr(network, "check_image_size"):        # a space of one's own need not have it
        head = {"with_auxiliary": recipe.auxiliary_weight > 0} if is_nasnet else {}
        network.check_image_size(data.image_size, data.image_size, **head)
    if not is_nasnet and (recipe.drop_path or recipe.auxiliary_weight):
        raise ValueError(f"networks of the space {network.genotype.space} have neither drop path nor an auxiliary "
                         f"head, but the recipe has drop_path={recipe.drop_path} and auxiliary_weight="
                         f"{recipe.auxiliary_weight}; set both to 0")
    if recipe.cutout >= 2 * data.image_size:
        raise ValueError(f"cutout={recipe.cutout} erases the whole of every picture of {data.image_size} pixels; set "
                         "it to half their side, or to 0")
    if (given := data.augmentation.cutout) not in (0, recipe.cutout):
        raise ValueError(f"the augmentation of {data.name} has cutout={given}, but in a training the recipe's counts, "
                         f"which is {recipe.cutout}; say cutout={given} there")


def draw_weights(network: nn.Module, seed: int) -> None:
    """Gives every layer new initial weights, PyTorch's defaults, from `seed` alone if they lie on the CPU."""
    with seeded(seed):
        for layer in network.modules():
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
