"""A training in words: how fast it is, how long it still takes, what it reached, beside what others published."""

from dataclasses import dataclass
from typing import Any

from ..genotypes.parse import Genotype
from ..genotypes.zoo import PublishedResult, published, zoo
from ..runs.printing import duration
from ..runs.schema import check_has
from .language import LanguageTraining

LATEST = 3      # epochs that the speed is the mean of
_METRICS = {"imagenet": "top1_error"}       # of the other data sets: test_error
_PERPLEXITIES = ("valid_perplexity", "test_perplexity")


@dataclass(frozen=True)
class Progress:
    """What is known of a training between two epochs, or inside one; printed, it is a line to plan by.

    images_per_second, seconds_left: None before anything was measured; evaluations are not in them. measured_error:
    percent on the test set after the last evaluated epoch, None without one. published: what the sources say of this
    cell on this data set, percent; for the network and training that each one's `setting` names.
    """

    epochs_done: int
    epochs: int
    images_per_second: float | None
    seconds_left: float | None
    measured_error: float | None
    published: tuple[PublishedResult, ...]

    def __str__(self) -> str:
        parts = [f"epoch {self.epochs_done} of {self.epochs}"]
        if self.images_per_second is not None:
            parts += [f"{self.images_per_second:,.0f} images/s", f"{duration(self.seconds_left)} left"]
        if self.measured_error is not None:
            parts.append(f"test error {self.measured_error:.2f} %")
        if self.published:
            parts.append("published " + " or ".join(
                f"{each.number} % ({'; '.join(filter(None, (each.setting, each.source)))})" for each in self.published))
        return ", ".join(parts)


def progress(training: Any, name: str | None = None, steps_done: int = 0, seconds: float = 0.0) -> Progress:
    """Returns how far a Training is.

    name: the zoo name of its cell, None for the one whose cell it is, if any. steps_done, seconds: steps of the epoch
    at hand and the time they took, where the line is wanted inside an epoch (`on_step`).
    Raises KeyError for a name without published results, ValueError for a training on a text.
    Example: `print(gl.progress(training))` after each epoch.
    """
    check_has(training, "batches", "training", "a Training, which is of images")
    records, bounds = training.history[-LATEST:], training.batches.bounds
    images, begun = bounds[-1][1], bounds[min(steps_done, len(bounds)) - 1][1] if steps_done else 0
    took, did = seconds + sum(record.seconds for record in records), begun + len(records) * images
    speed = did / took if took > 0 and did else None
    left = (training.total_epochs - training.epochs_done) * images - begun
    scores = [record.evaluation["test"] for record in training.history if "test" in record.evaluation]
    measured = scores[-1] if scores else None
    return Progress(
        training.epochs_done, training.total_epochs, speed, None if speed is None else left / speed,
        None if measured is None else 100 - measured["accuracy"], expected_errors(training, name))


def expected_errors(training: Any, name: str | None = None) -> tuple[PublishedResult, ...]:
    """Returns the published test errors of the training's cell on its data set, percent: those with cutout for a recipe
    with cutout, those without it for one without. Empty where none is known.

    Raises KeyError for a name that has no published result at all.
    """
    genotype = training.network.genotype
    data = training.config["data"]["name"].removesuffix("-darts")       # the same images, only otherwise normalised
    if not isinstance(genotype, Genotype):      # of a space of one's own
        return ()
    own = {entry.name for entry in zoo(genotype.space).values() if entry.genotype == genotype}
    metric, other = _METRICS.get(data, "test_error"), "without cutout" if training.recipe.cutout else "with cutout"
    return tuple(result for result in published(name, space=genotype.space)
                 if (name or result.name in own) and result.data == data and result.metric == metric
                 and other not in result.setting)


def language_report(training: LanguageTraining, name: str | None = None) -> str:
    """Returns lines with the measured perplexities, the lowest possible one where it is known, and published ones of
    the cell called `name` on the same text, each with its source.

    Raises RuntimeError before the last epoch, KeyError for a name that the zoo's published results do not have.
    """
    scores, data = training.result, training.data
    epoch = max(record.epoch + 1 for record in training.history if record.is_best)
    lines = [f"{data.name}: validation perplexity {scores['valid'].perplexity:.2f} (epoch {epoch}, the lowest), test "
             f"perplexity {scores['test'].perplexity:.2f}; measured, recipe {training.recipe.name}, seed "
             f"{training.seed}"]
    if data.perplexity_floor is not None:
        lines.append(f"{data.name}: no model has a perplexity below {data.perplexity_floor:.2f} on long texts; exact, "
                     "from the grammar")
    if name is not None:
        lines += [str(result) for result in published(name, space="recurrent")
                  if result.data == data.name and result.metric in _PERPLEXITIES]
    return "\n".join(lines)
