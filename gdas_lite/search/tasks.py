"""What a search learns from: image halves or two parts of a text. A task makes the supernet, the batches and the
losses; `Search` knows nothing else of its data, so every algorithm runs on both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ..data.images import Batches, ImageData
from ..data.text import Streams, TextData, Window, WindowLengths
from ..runs.checkpoint import digest
from ..runs.meters import StepResult
from ..runs.resumable import generator_for
from ..runs.shards import WHOLE_BATCH, Shard
from ..spaces.language_model import Dropout, LanguageModel, Masks, draw_masks, temporal_activation
from .one_shot import accuracy_on, best_of_random, walk
from .recipes import SearchRecipe, TextSearchRecipe
from .updates import Mixtures, Objective, classification


@dataclass(frozen=True)
class Pair:
    """What one step of a search gets: a train batch and a valid batch, or this process's part of each.

    train_count, valid_count: answers in each whole batch. rate_factor: multiplies this step's learning rate.
    """

    train: Any
    valid: Any
    train_count: int
    valid_count: int
    rate_factor: float = 1.0


def task_for(space: Any, data: ImageData | TextData, recipe: SearchRecipe, device: torch.device,
             shard: Shard = WHOLE_BATCH) -> Task:
    """Returns the task of a space on data. shard: this process's part of batches of images.

    Raises ValueError if they are not of one kind, or the recipe is for the other.
    """
    needs_text, is_text = space.data_kind == "text", isinstance(data, TextData)
    if needs_text != is_text:
        raise ValueError(f"the space {space.name} needs {'a text' if needs_text else 'images'}, but {data.name} is "
                         f"{'a text' if is_text else 'a set of images'}")
    if is_text != isinstance(recipe, TextSearchRecipe):
        wanted = "TextSearchRecipe" if is_text else "SearchRecipe"
        raise ValueError(f"a search in the space {space.name} needs a {wanted}, got a {type(recipe).__name__}; "
                         f"search_recipe(size, {space.name!r}, algorithm) makes one")
    return TextTask(space, data, recipe, device) if is_text else ImageTask(space, data, recipe, device, shard)


class ImageTask:
    """Classification: each train batch is joined with as many uniformly drawn valid images (AutoDL-Projects).

    objective: of alpha and DARTS' virtual step. weight_objective: of the weights, if another. image_size: pixels.
    """

    objective = staticmethod(classification)
    weight_objective: Objective | None = None

    def __init__(self, space: Any, data: ImageData, recipe: SearchRecipe, device: torch.device,
                 shard: Shard = WHOLE_BATCH) -> None:
        if hasattr(space, "check_image_size"):
            space.check_image_size(data.image_size, data.image_size)
        self._space, self._data, self._device = space, data, device
        self.train_batches, self.valid_batches = (
            Batches(half, data, recipe.batch_size, augmentation=data.augmentation, device=device, shard=shard)
            for half in (data.train_half, data.valid_half))
        self.steps_per_epoch = len(self.train_batches)
        self.image_size = data.image_size

    def supernet(self) -> nn.Module:
        """Returns a new one on the CPU, weights drawn from the global generator."""
        return self._space.supernet(self._data.classes, self._data.image_channels)

    @cached_property        # stacked searches share a task
    def checksum(self) -> str:
        """Of all that the search can see."""
        train, valid = self._data.train_half, self._data.valid_half
        return digest({"train": train.images, "train labels": train.labels, "valid": valid.images,
                       "valid labels": valid.labels})

    def pairs(self, seed: int, epoch: int) -> Iterator[Pair]:
        """Yields the steps of an epoch: one pass over the train half."""
        shuffle, pairing = self.chance(seed, epoch)
        for (start, stop), train in zip(self.train_batches.bounds, self.train_batches.epoch(shuffle)):
            count = stop - start
            yield Pair(train, self.valid_batches.draw(count, pairing), count, count)

    @staticmethod
    def chance(seed: int, epoch: int) -> list[torch.Generator]:
        """Returns where the train and the valid batches of an epoch take their chance from."""
        return [generator_for(seed, epoch, purpose) for purpose in ("train half", "valid half")]

    def after_step(self, pair: Pair, trained: StepResult, validated: StepResult | None) -> None:
        """Carries on what the next step needs of this one; of images, nothing."""

    def select(self, supernet: nn.Module, samples: int, batch_size: int, seed: int) -> Any:
        """Returns random search's choice. Each cell is scored by its accuracy on the next batch of `walk`, as in
        AutoDL-Projects' random search with parameter sharing in NAS-Bench-201."""
        plain = Batches(self._data.valid_half, self._data, batch_size, augmentation=None, device=self._device)
        chance = generator_for(seed, 0, "selection")
        batches = walk(plain, chance)
        return best_of_random(self._space, supernet, lambda mixtures: accuracy_on(supernet, mixtures, *next(batches)),
                              samples, chance)

    def describe(self) -> str:
        """Returns the data's sizes, for print."""
        return f"{len(self._data.train_half)} train / {len(self._data.valid_half)} valid images"


@dataclass(frozen=True)
class TextBatch:
    """A window of a text, the hidden state before it, (B, H), and where dropout takes its chance from.

    noise: a generator, or a seed: then every pass over this batch has the same masks.
    """

    window: Window
    hidden: Tensor
    noise: torch.Generator | int

    def with_same_noise(self) -> TextBatch:
        """This batch with masks that stay the same however often it is used; draws a seed."""
        return replace(self, noise=int(torch.randint(2**62, (), generator=self.noise)))

    def masks(self, rates: Dropout, model: LanguageModel) -> Masks:
        noise = self.noise if isinstance(self.noise, torch.Generator) else torch.Generator().manual_seed(self.noise)
        return draw_masks(rates, model, self.hidden.shape[0], noise)


class TextTask:
    """Predicting the next word: windows of the train text for the weights, of the valid one for alpha. See `ImageTask`.

    Each text runs with its own hidden state, carried from window to window and zero at an epoch's start, so an epoch
    depends on nothing but the weights. The valid text starts again when it is used up. Source: quark0/darts, rnn.
    """

    image_size = None

    def __init__(self, space: Any, data: TextData, recipe: TextSearchRecipe, device: torch.device) -> None:
        self._space, self._data, self._recipe, self._device = space, data, recipe, device
        self._train, self._valid = (
            Streams(tokens, recipe.batch_size, recipe.bptt, device, f"the {part} text of {data.name}")
            for part, tokens in (("train", data.train), ("valid", data.valid)))
        self._lengths = WindowLengths(recipe.bptt, recipe.short_window_probability)
        self.steps_per_epoch = -(-(len(self._train) - 1) // recipe.bptt)
        self._hidden: dict[str, Tensor] = {}

    def supernet(self) -> nn.Module:
        return self._space.supernet(self._data.vocabulary)

    @cached_property
    def checksum(self) -> str:
        return digest({"train": self._data.train, "valid": self._data.valid})

    def pairs(self, seed: int, epoch: int) -> Iterator[Pair]:
        lengths, noise = generator_for(seed, epoch, "windows"), generator_for(seed, epoch, "dropout")
        zeros = torch.zeros(self._recipe.batch_size, self._space.hidden, device=self._device)
        self._hidden = {"train": zeros, "valid": zeros}
        positions = self._train.positions(self._lengths, lengths)
        self.steps_per_epoch = len(positions)
        for start, length in positions:
            train = self._train.window(start, length)
            valid = self._valid.window(start % (len(self._valid) - 1), self._recipe.bptt)
            yield Pair(TextBatch(train, self._hidden["train"], noise), TextBatch(valid, self._hidden["valid"], noise),
                       train.targets.numel(), valid.targets.numel(), length / self._recipe.bptt)

    def after_step(self, pair: Pair, trained: StepResult, validated: StepResult | None) -> None:
        self._hidden["train"] = trained.hidden
        if validated is not None:
            self._hidden["valid"] = validated.hidden

    def weight_objective(self, supernet: LanguageModel, mixtures: Mixtures, batch: TextBatch) -> StepResult:
        """Returns `objective` with temporal activation regularisation; what is recorded is the cross entropy alone."""
        return self.objective(supernet, mixtures, batch, self._recipe.temporal_activation)

    def objective(self, supernet: LanguageModel, mixtures: Mixtures, batch: TextBatch, activation_weight: float = 0.0
                  ) -> StepResult:
        """Returns the cross entropy of the next word, with dropout."""
        masks = batch.masks(self._recipe, supernet)
        outputs = supernet.states(batch.window.words, batch.hidden, mixtures, masks=masks)
        loss, correct = supernet.loss(outputs, batch.window.targets, masks)
        total = loss + activation_weight * temporal_activation(outputs) if activation_weight else loss
        return StepResult(total, correct, outputs[-1].detach(), recorded=loss)

    def select(self, supernet: nn.Module, samples: int, batch_size: int, seed: int) -> Any:
        """Returns random search's choice. Each cell is scored by its loss on one window of the valid text, drawn anew
        (there is no reference), from a hidden state of zeros."""
        chance, bptt = generator_for(seed, 0, "selection"), self._recipe.bptt

        def score(mixtures: Mixtures) -> float:
            start = int(torch.randint(len(self._valid) - bptt, (), generator=chance))
            words, targets, _ = self._valid.window(start, bptt)
            outputs = supernet.states(words, supernet.start_state(words.shape[1]), mixtures)
            return -supernet.loss(outputs, targets).loss.item()

        return best_of_random(self._space, supernet, score, samples, chance)

    def describe(self) -> str:
        return (f"{len(self._data.train):,} train / {len(self._data.valid):,} valid tokens, {self._data.vocabulary:,} "
                f"words, windows of {self._recipe.bptt}")


Task = ImageTask | TextTask
