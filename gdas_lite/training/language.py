"""`LanguageTraining`: a derived recurrent cell on its text, epoch by epoch; SGD, then the average of its weights."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..data.text import Streams, TextData
from ..runs.checkpoint import digest, restore
from ..runs.config import settings_of
from ..runs.device import check_is_float32, device_name, pick_device
from ..runs.distributed import require_single_process
from ..runs.engine import attach_to_network
from ..runs.meters import AverageMeter, StepResult
from ..runs.resumable import ResumableRun, generator_for, seeded
from ..runs.schema import check_has
from ..spaces.language_model import LanguageModel, draw_masks, temporal_activation
from .evaluation import TextScore, evaluate_text
from .history import TrainingHistory, TrainingRecord
from .recipes import LanguageRecipe, language_recipe

MOST_RETURNS = 10       # to the best epoch, in one training


@dataclass
class LanguageRecord(TrainingRecord):
    """One epoch. images_per_second counts words here. evaluation: "valid" every epoch, "test" after the last one.

    is_averaged: the evaluation is that of averaged weights. is_best: no epoch before had a lower validation loss.
    returns: how often this epoch was begun again from the best one's weights, because a loss was no number.
    """

    is_averaged: bool = False
    is_best: bool = False
    returns: int = 0


class LanguageTraining(ResumableRun):
    """One training of a language model. Iterate it epoch by epoch or call `run`.

        training = gl.LanguageTraining(gl.network(gl.zoo_genotype("GDAS@recurrent"), 64, data.vocabulary), data).run()
        training.result["test"].perplexity

    model: its weights are drawn anew from `seed`. The validation text decides when averaging begins and which epoch's
    weights are tested; the test text is read once, at the end. `network` has the last step's weights, `best` those that
    are tested, one tensor for each of its parameters; `gl.load_network` returns the network with them.
    recipe: "smoke", "lesson", "paper" or a LanguageRecipe. out: run folder, gone on with if it holds the same training.
    Where a loss becomes NaN or infinite, training warns, goes back to the weights and the average of the best epoch so
    far, and does the epoch at hand again with other windows and masks; FloatingPointError before there is one, or after
    `MOST_RETURNS` returns. (The references go back without a limit, and set the epoch's number back as well.)
    Source: quark0/darts, rnn/train.py; averaging after Merity et al. (2018), NT-ASGD.
    Raises ValueError where model and text do not fit, RunError if the folder is another run's or in use, or where
    torchrun started several processes.
    """

    noun = "training"

    def __init__(self, model: LanguageModel, data: TextData, *, recipe: str | LanguageRecipe = "lesson", seed: int = 0,
                 out: str | Path | None = None, device: str | torch.device | None = None) -> None:
        require_single_process("the training of a language model")
        check_vocabulary(model, data)
        check_is_float32(model)
        self.recipe = language_recipe(recipe, data.name) if isinstance(recipe, str) else recipe
        check_has(self.recipe, "bptt", "recipe", "a name such as 'lesson', or what gl.language_recipe returns")
        self.seed, self.device = seed, pick_device(device)
        self.total_epochs = self.recipe.epochs
        self.history, self.data = TrainingHistory(), data
        self._train, self._valid, self._test = (
            Streams(tokens, batch, self.recipe.bptt, self.device, f"the {part} text of {data.name}")
            for part, tokens, batch in (("train", data.train, self.recipe.batch_size),
                                        ("valid", data.valid, self.recipe.valid_batch),
                                        ("test", data.test, self.recipe.test_batch)))
        self.steps_per_epoch = -(-(len(self._train) - 1) // self.recipe.bptt)
        self.take(model)
        with seeded(generator_for(seed, 0, "weights").initial_seed()):
            model.cpu().reset_parameters(self.recipe.init_range)        # a GPU draws other numbers
        self.network = model.to(self.device).train()
        attach_to_network(model, self.device)
        self.sgd = torch.optim.SGD(model.parameters(), self.recipe.learning_rate, weight_decay=self.recipe.weight_decay)
        self.average = Average(list(model.parameters()))
        self.best, self._best_steps = [param.detach().clone() for param in model.parameters()], -1
        super().__init__(out, {"training": self._cell})

    @property
    def _cell(self) -> dict[str, Any]:
        genotype = self.network.genotype
        return {"space": "tanh"} if genotype is None else genotype.to_json()

    @property
    def config(self) -> dict[str, Any]:
        """What identifies this training: everything its result depends on but the versions of the libraries."""
        return {"kind": "language training", "genotype": self._cell, "network": self.network.settings,
                "recipe": settings_of(self.recipe), "seed": self.seed,
                "data": {"name": self.data.name, "checksum": checksum_of(self.data)}}

    def begin_epoch(self) -> Iterator[int]:
        self._returns = 0
        return self._epoch_steps()

    def _epoch_steps(self) -> Iterator[int]:
        """The steps of an epoch, from the best epoch's weights again as often as a loss is no number."""
        while True:
            try:
                yield from self._attempted_steps()
                return
            except FloatingPointError as problem:
                self._go_back(problem)

    def _go_back(self, problem: FloatingPointError) -> None:
        before = sum(record.returns for record in self.history) + self._returns
        if not self.history:
            raise problem
        if before >= MOST_RETURNS:
            raise FloatingPointError(f"{problem} It went back to the best epoch {before} times.") from problem
        self._returns += 1
        _copy(self.best, list(self.network.parameters()))
        self.average.start(self._best_steps)
        best = max(record.epoch + 1 for record in self.history if record.is_best)
        warnings.warn(f"{str(problem).partition(';')[0]}; back to the weights of epoch {best}, the best so far, and "
                      f"epoch {self.epochs_done + 1} again with other windows and masks (return {before + 1} of at "
                      f"most {MOST_RETURNS})", RuntimeWarning, stacklevel=2)

    def _validated(self) -> TextScore:
        """The score on the validation text; where its loss is no number, after the epoch was done again."""
        while True:
            with self.average.in_place():
                valid = evaluate_text(self.network, self._valid, self.recipe.bptt)
            if math.isfinite(valid.loss):
                return valid
            self._go_back(FloatingPointError(
                f"the validation loss became {valid.loss} after epoch {self.epochs_done + 1}; {self._how_to_go_on()} "
                "A smaller learning rate is the usual cure."))
            for _ in self._epoch_steps():
                pass

    def _attempted_steps(self) -> Iterator[int]:
        self._tally = AverageMeter()
        again = f", return {self._returns}" if self._returns else ""
        lengths, noise = (generator_for(self.seed, self.epochs_done, purpose + again)
                          for purpose in ("windows", "dropout"))
        positions = self._train.positions(self.recipe.window_lengths, lengths)
        self.steps_per_epoch = len(positions)
        hidden = self.network.start_state(self.recipe.batch_size).detach()
        for step, (start, length) in enumerate(positions, 1):
            hidden = self._step(self._train.window(start, length), hidden, noise)
            self.check_finite(self._tally.losses, step)
            yield step

    def _step(self, window: Any, hidden: Tensor, noise: torch.Generator) -> Tensor:
        recipe, model = self.recipe, self.network
        masks = draw_masks(recipe, model, recipe.batch_size, noise)
        self.sgd.zero_grad()
        outputs = model.states(window.words, hidden, masks=masks)
        loss, correct = model.loss(outputs, window.targets, masks)
        (loss + recipe.temporal_activation * temporal_activation(outputs)).backward()
        if recipe.grad_clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), recipe.grad_clip_norm)
        for group in self.sgd.param_groups:
            group["lr"] = recipe.learning_rate * window.length / recipe.bptt
        self.sgd.step()
        self.average.add()
        self._tally.add(StepResult(loss.detach(), correct), window.targets.numel())
        return outputs[-1].detach()

    def end_epoch(self, seconds: float) -> LanguageRecord:
        valid = self._validated()
        is_averaged, losses = self.average.is_running, [record.evaluation["valid"]["loss"] for record in self.history]
        if is_best := valid.loss < min(losses, default=math.inf):
            with self.average.in_place():
                _copy(list(self.network.parameters()), self.best)
            self._best_steps = self.average.steps
        evaluation = {"valid": valid.to_json()}
        if self.epochs_done + 1 == self.total_epochs:
            with swapped(list(self.network.parameters()), self.best):
                evaluation["test"] = evaluate_text(self.network, self._test, self.recipe.bptt).to_json()
        if not is_averaged and starts_averaging(losses, valid.loss, self.recipe.averaging_patience,
                                                self.recipe.averaging_trigger):
            self.average.start()
        record = LanguageRecord(
            self.epochs_done, self.recipe.learning_rate, self._tally.mean_loss, self._tally.accuracy, seconds,
            (len(self._train) - 1) * self.recipe.batch_size / seconds, evaluation,
            is_averaged=is_averaged, is_best=is_best, returns=self._returns)
        self.history.append(record)
        return record

    @property
    def result(self) -> dict[str, TextScore]:
        """The best epoch's scores on "valid" and "test". Raises RuntimeError before the last epoch is done."""
        if self.epochs_done < self.total_epochs:
            raise RuntimeError(f"the training is at epoch {self.epochs_done} of {self.total_epochs}; its result is "
                               "there after the last one")
        valid = min((record.evaluation["valid"] for record in self.history), key=lambda score: score["loss"])
        return {"valid": TextScore.from_json(valid), "test": TextScore.from_json(self.history[-1].evaluation["test"])}

    def _weights(self) -> dict[str, Tensor]:
        """All weights by name: the model's, the best epoch's, their average where it has begun."""
        kinds = {"network": list(self.network.parameters()), "best": self.best, "average": self.average.means}
        names = [name for name, _ in self.network.named_parameters()]
        return {f"{kind}/{name}": value for kind, values in kinds.items() for name, value in zip(names, values)}

    def tensors(self) -> dict[str, Tensor]:
        return self._weights() | {"averaged_steps": torch.tensor(self.average.steps),
                                  "best_averaged_steps": torch.tensor(self._best_steps)}

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any], records: list[dict[str, Any]]) -> None:
        if (steps := int(tensors["averaged_steps"])) >= 0:
            self.average.start(steps)
        restore(self._weights(), tensors)
        self._best_steps = int(tensors.get("best_averaged_steps", -1))      # not in older checkpoints
        self.history = TrainingHistory(map(LanguageRecord.from_json, records))

    def __repr__(self) -> str:
        return (f"Training of {self.network.genotype or 'a tanh RNN'} ({self.network.settings}) on {self.data}, recipe "
                f"{self.recipe.name}, seed {self.seed}, {device_name(self.device)}; epoch {self.epochs_done} of "
                f"{self.total_epochs}")


class Average:
    """The mean of the weights after every step since `start`: the averaging of ASGD (lambda 0, t0 0).

    steps: since `start`; -1 before it. The mean is that of PyTorch's ASGD, which forgets the weights after the first
    step. That optimiser is not used: it takes a changed learning rate one step late, and here every window changes it.
    """

    def __init__(self, params: Sequence[nn.Parameter]) -> None:
        self._params = list(params)
        self.means: list[Tensor] = []
        self.steps = -1

    @property
    def is_running(self) -> bool:
        """Whether averaging has begun."""
        return self.steps >= 0

    def start(self, steps: int = 0) -> None:
        """Begins with the weights at hand as the mean of `steps` steps, 0: the first replaces it; -1: not begun."""
        self.means, self.steps = [param.detach().clone() for param in self._params] if steps >= 0 else [], steps

    def add(self) -> None:
        """Counts the weights after a step; nothing before `start`."""
        self.steps += self.is_running
        with torch.no_grad():
            for mean, param in zip(self.means, self._params):       # no means before `start`
                mean.add_(param - mean, alpha=1 / max(1, self.steps - 1))

    def in_place(self) -> AbstractContextManager[None]:
        """Inside, the model has the averaged weights; outside, its own. Before `start` nothing changes."""
        return swapped(self._params, self.means) if self.is_running else nullcontext()


@contextmanager
def swapped(params: Sequence[nn.Parameter], values: Sequence[Tensor]) -> Iterator[None]:
    """Inside, the parameters have other values; afterwards their own again, bit for bit."""
    own = [param.detach().clone() for param in params]
    _copy(values, params)
    try:
        yield
    finally:
        _copy(own, params)


def starts_averaging(losses: Sequence[float], latest: float, patience: int, trigger: str = "darts") -> bool:
    """Returns whether averaging begins: more than `patience` validation losses are recorded, and the latest is above
    the lowest of all but the last `patience` of them ("darts", NT-ASGD) or of all of them ("gdas"), which is sooner.

    losses: of the epochs before, in order. Source: quark0/darts, rnn/train.py; the GDAS authors' code of 2019.
    """
    return len(losses) > patience and latest > min(losses[:-patience] if trigger == "darts" else losses)


def checksum_of(data: TextData) -> str:
    return digest({part: getattr(data, part) for part in ("train", "valid", "test")})


def check_vocabulary(model: LanguageModel, data: TextData) -> None:
    """Raises ValueError unless the model's embedding has one row for each word of the text."""
    check_has(model, "vocabulary", "model", "what gl.network returns for a recurrent cell")
    check_has(data, "vocabulary", "data", "a text that gl.load_data returns")
    if model.vocabulary != data.vocabulary:
        raise ValueError(f"the model's embedding has {model.vocabulary:,} words, but {data.name} has "
                         f"{data.vocabulary:,}; build it with vocabulary={data.vocabulary}")


def _copy(values: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for value, target in zip(values, targets, strict=True):
            target.copy_(value)
