"""`Search`: the bilevel loop over epochs. What one step does stands in algorithms.py and updates.py."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..data.batches import own_options
from ..data.images import ImageData
from ..data.text import TextData
from ..genotypes.parse import parse_genotype
from ..runs.checkpoint import optimizer_state, restore, restore_optimizer
from ..runs.config import described, settings_of
from ..runs.device import Precision, check_precision, computing_in, device_name, precision_name, sensible_threads
from ..runs.distributed import ProcessGroup, join_process_group, warn_world_size_changed
from ..runs.engine import ENGINES, Engine, SearchSpec, engine_for, going_on
from ..runs.resumable import ResumableRun, generator_for, seeded
from ..runs.schedules import cosine_learning_rate
from ..runs.schema import check_has
from .algorithms import Algorithm, Sampler, check_algorithm
from .history import EpochRecord, History
from .recipes import SearchRecipe, search_recipe
from .stopping import StoppingRule, check_rule
from .tasks import Task, task_for
from .updates import Bilevel


class Search(ResumableRun):
    """One search: a space, data, an algorithm, a recipe and a seed. Iterate it epoch by epoch or call `run`.

        search = gl.Search(gl.NASBench201(4, 1), gl.load_data("digits"), gl.GDAS(), recipe="lesson", seed=0)
        for record in search:
            print(record.epoch, record.genotype)
        search.genotype

    data: images, or for the space `Recurrent` a text. The search sees its two search halves only, never a test.
    recipe: "smoke", "lesson", "laptop", "paper" or a SearchRecipe. out: run folder; if it holds the same search, that
        goes on. device: "cpu", "cuda", ... (None: a GPU if there is one).
    stop_when: a rule that may end the search early, such as SkipLimit(2), see stopping.py; `stopped` says then why.
    engine: what computes it, "plain" (the code of this room and of `spaces`), another one that is registered, or
        "auto"; the attributes `engine` and `engine_reason` say which one runs and why. With "auto" a run folder goes on
        with the engine that it began with: bit for bit the same search comes out of the same engine only.
    precision: "bf16" computes the losses of both updates in bfloat16 where autocast holds that safe; weights, alpha and
        random search's choice stay float32. Alpha's gradient is then off by 3 to 40 % of its length (measured), and
        processors without instructions for it are slower. For images only.
    group: the processes that do this search, each its part of every batch; None: those that torchrun started, or this
        one. For several seeds at once see `searches`.
    Raises ValueError for unknown names, data of the wrong kind, or what several processes cannot share (texts, DARTS of
    second order), RunError if the folder is another run's or in use.
    """

    noun = "search"
    is_stacked = False      # whether it is one of several searches at once

    def __init__(self, space: Any, data: ImageData | TextData, algorithm: Algorithm, *,
                 recipe: str | SearchRecipe = "lesson", seed: int = 0, out: str | Path | None = None,
                 device: str | torch.device | None = None, stop_when: StoppingRule | None = None, engine: str = "auto",
                 precision: Precision = "fp32", seeds: None = None, group: ProcessGroup | None = None) -> None:
        if seeds is not None:
            raise ValueError("a Search has one seed; gl.searches(space, data, algorithm, seeds=...) makes one for each")
        check_has(space, "labels", "space", "a search space such as gl.NASBench201()")
        check_has(data, "train", "data", "what gl.load_data returns")
        check_algorithm(algorithm)
        if stop_when is not None:
            check_rule(stop_when, space.labels, algorithm)
        check_precision(precision)
        if precision == "bf16" and space.data_kind == "text":
            raise ValueError("searches on a text are computed in fp32 only, got precision 'bf16'")
        self.space, self.algorithm, self.seed = space, algorithm, seed
        self.stop_when, self.precision = stop_when, precision
        self.recipe = search_recipe(recipe, space.name, algorithm) if isinstance(recipe, str) else recipe
        check_has(self.recipe, "alpha_init", "recipe", "a name such as 'lesson', or what gl.search_recipe returns")
        self.group = group or join_process_group(device)
        self.group.check_can_share("search", self.recipe.batch_size, why_alone(space, algorithm))
        self.device, self.total_epochs = self.group.device, self.recipe.epochs
        self.history = History(space.labels)
        self._data = {"name": data.name, **own_options(data)}
        self.task = self._task(data)
        self.spec = SearchSpec(space, algorithm, self.recipe, self.device, self.task.image_size, precision,
                               self.is_stacked, processes=self.group.world_size, steps=self.task.steps_per_epoch)
        self.map_elements = self.spec.map_elements
        self.engine, self.engine_reason = engine_for(self.spec, engine)
        self.state = self._initial_state()
        self._attached: Engine | None = None
        head = {"labels": {kind: labels.to_json() for kind, labels in space.labels.items()}, "engine": self.engine.name}
        super().__init__(out, head)
        if self.group.is_writer and self.history and not self.is_finished:
            warn_world_size_changed(self.history[-1].processes, self.group.world_size, self.recipe.batch_size, "search")
        if self.group.is_writer and not self.is_finished:
            self.engine, self.engine_reason = going_on(
                (self.engine, self.engine_reason), self.spec, engine, self.folder.head if self.folder else {},
                self.history[-1].engine if self.history else None)
        name, self.engine_reason = self.group.share((self.engine.name, self.engine_reason))
        self.engine = ENGINES.get(name, self.engine)

    def _task(self, data: ImageData | TextData) -> Task:
        return task_for(self.space, data, self.recipe, self.device, self.group.shard)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of the epoch at hand (of a text, whose windows vary in length, an estimate before the first)."""
        return self.task.steps_per_epoch

    def _initial_state(self) -> Bilevel:
        recipe = self.recipe
        with seeded(generator_for(self.seed, 0, "weights").initial_seed()):
            supernet = self.task.supernet()
        supernet = supernet.to(self.device, memory_format=torch.channels_last).train()
        noise = generator_for(self.seed, 0, "alphas")
        alphas = {kind: nn.Parameter((recipe.alpha_init * torch.randn(labels.shape, generator=noise)).to(self.device))
                  for kind, labels in self.space.labels.items()}
        sgd = torch.optim.SGD(supernet.parameters(), recipe.learning_rate, momentum=recipe.momentum,
                              weight_decay=recipe.weight_decay, nesterov=recipe.nesterov)
        adam = torch.optim.Adam(list(alphas.values()), recipe.alpha_learning_rate, betas=recipe.alpha_betas,
                                eps=recipe.alpha_eps, weight_decay=recipe.alpha_weight_decay)
        objective = self.task.objective
        if self.precision == "bf16":
            objective = computing_in("bf16", self.device)(objective)
        return Bilevel(supernet, alphas, sgd, adam, recipe, objective, self.task.weight_objective, group=self.group)

    @property
    def config(self) -> dict[str, Any]:
        """What identifies this search: everything its result depends on but the versions of the libraries."""
        config = {"kind": "search", "space": described(self.space), "algorithm": described(self.algorithm),
                  "recipe": settings_of(self.recipe), "seed": self.seed,
                  "data": {**self._data, "checksum": self.task.checksum}}
        if self.stop_when is not None:
            config["stop_when"] = described(self.stop_when)
        return config if self.precision == "fp32" else config | {"precision": self.precision}

    @property
    def stopped(self) -> str | None:
        """Why the search ended early; None if it did not."""
        return self.history[-1].stopped if self.history else None

    @property
    def is_finished(self) -> bool:
        return super().is_finished or (self.stopped is not None and self._unsaved is None)

    def begin_epoch(self) -> Iterator[int]:
        epoch, recipe = self.epochs_done, self.recipe
        first = recipe.first_alpha_epoch
        self.tau = self.algorithm.tau_at(max(0, epoch - first), self.total_epochs - first)
        self.learning_rate = cosine_learning_rate(recipe.learning_rate, recipe.learning_rate_end, epoch,
                                                  self.total_epochs)
        self.trained, self.validated = self.group.meter(), self.group.meter()
        self.attach()
        return self.engine.steps(self, epoch) or self._epoch_steps(epoch)

    def attach(self) -> None:
        """Let the engine compute this search from now on; an epoch's beginning sees to it."""
        if self._attached is not self.engine:
            self.engine.attach(self)
            self._attached = self.engine

    def _epoch_steps(self, epoch: int) -> Iterator[int]:
        sampler = Sampler(self.space, self.tau, generator_for(self.seed, epoch, "sampling"))
        moves_alpha = epoch >= self.recipe.first_alpha_epoch
        for step, pair in enumerate(self.task.pairs(self.seed, epoch), 1):
            for group in self.state.sgd.param_groups:
                group["lr"] = self.learning_rate * pair.rate_factor
            if moves_alpha:
                trained, validated = self.algorithm.step(self.state, pair.train, pair.valid, sampler)
            else:
                trained, validated = self.algorithm.weight_step(self.state, pair.train, sampler), None
                self.state.adam.zero_grad()     # else alpha's gradients add up, step by step, in the clipped norm
            self.task.after_step(pair, trained, validated)
            self.trained.add(trained, pair.train_count)
            self.validated.add(validated, pair.valid_count)
            for meter in (self.trained, self.validated) if validated else (self.trained,):
                self.check_finite(meter.losses, step)
            yield step

    def end_epoch(self, seconds: float) -> EpochRecord:
        is_last = self.epochs_done + 1 == self.total_epochs
        self.group.average_estimates(self.state.supernet)
        record = EpochRecord(
            epoch=self.epochs_done, tau=self.tau, learning_rate=self.learning_rate,
            train_loss=self.trained.mean_loss, train_accuracy=self.trained.accuracy,
            valid_loss=self.validated.mean_loss, valid_accuracy=self.validated.accuracy, seconds=seconds,
            alphas={kind: alpha.detach().cpu().numpy().copy() for kind, alpha in self.state.alphas.items()},
            genotype=str(self.genotype) if self.algorithm.derives_each_epoch or is_last else None,
            engine=self.engine.name, processes=self.group.world_size)
        self.history.append(record)
        if self.stop_when is not None and not is_last:
            record.stopped = self.stop_when.reason(self.history[self.recipe.first_alpha_epoch:])
        return record

    @property
    def genotype(self) -> Any:
        """The cell that the algorithm chooses now; where it does at the end only, the last record's once finished."""
        if self.is_finished and not self.algorithm.derives_each_epoch:
            own = getattr(self.space, "genotype_class", None)
            return (own.parse if own else parse_genotype)(self.history[-1].genotype)
        with sensible_threads(self.device, self.map_elements):
            return self.algorithm.choose(self)

    def tensors(self) -> dict[str, Tensor]:
        state, weights = self.state, dict(self.state.supernet.named_parameters())
        stale = {f"stale/{kind}": alpha.grad for kind, alpha in self._stale_alphas() if alpha.grad is not None}
        # without momentum SGD keeps nothing, but what had a gradient once goes on to decay (recipe.undrawn)
        reached = {f"sgd/{name}/momentum_buffer": torch.zeros(()) for name, weight in weights.items()
                   if self.recipe.momentum == 0 and weight.grad is not None}
        return self._values() | reached | optimizer_state(state.sgd, weights, "sgd") | optimizer_state(
            state.adam, state.alphas, "adam") | stale

    def _values(self) -> dict[str, Tensor]:
        return {f"supernet/{name}": value for name, value in self.state.supernet.state_dict().items()} | {
            f"alpha/{kind}": alpha for kind, alpha in self.state.alphas.items()}

    def _stale_alphas(self) -> list[tuple[str, Tensor]]:
        """Alphas whose last gradient enters the next weight step's norm; a step with alpha first renews it before."""
        enters = self.recipe.clip_scope == "weights_and_alpha" and self.recipe.update_order == "weights_first"
        return list(self.state.alphas.items()) if enters else []

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any], records: list[dict[str, Any]]) -> None:
        self._attached = None       # an engine may keep what is replaced here
        restore(self._values(), tensors)
        restore_optimizer(self.state.sgd, dict(self.state.supernet.named_parameters()), "sgd", tensors)
        restore_optimizer(self.state.adam, self.state.alphas, "adam", tensors)
        for kind, alpha in self._stale_alphas():
            if f"stale/{kind}" in tensors:      # not in older checkpoints
                alpha.grad = tensors[f"stale/{kind}"].to(alpha)
        self.history = History(self.space.labels, map(EpochRecord.from_json, records))

    def __repr__(self) -> str:
        recipe, draws = self.recipe, "new draw" if self.recipe.redraw else "same draw"
        processes = f" x {self.group.world_size} processes" if self.group.world_size > 1 else ""
        return (f"{self.algorithm} in {self.space} on {self._data['name']} ({self.task.describe()}), recipe "
                f"{recipe.name}, seed {self.seed}, {device_name(self.device)}{processes}; {recipe.update_order}, "
                f"{draws} for alpha, clip {recipe.clip_scope}, undrawn candidates {recipe.undrawn}"
                + (f", stops at {self.stop_when}" if self.stop_when else "")
                + (f", {precision_name(self.precision, self.device)}" if self.precision != "fp32" else "")
                + f"; engine {self.engine.name}: {self.engine_reason}; epoch {self.epochs_done} of {self.total_epochs}"
                + (f", stopped early: {self.stopped}" if self.stopped else ""))


def why_alone(space: Any, algorithm: Algorithm) -> str | None:
    """Returns why one process does such a search, or None."""
    if space.data_kind == "text":
        return "its words are read in turn, from one hidden state to the next"
    return None if algorithm.can_be_split else f"a step of {algorithm.name} needs the gradient of a whole batch"
