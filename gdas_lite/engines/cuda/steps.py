"""Whole search steps without the host, for a GPU: a step is one captured CUDA graph, replayed.

Launching some thousand small kernels and asking which candidate was drawn costs the host more than the arithmetic costs
the GPU. So everything that a step needs from the host (images, augmentation, noise, schedules) is drawn for a whole
epoch and copied at once; a counter on the device says which row is a step's. What a step finds (losses, correct
answers) lies on the device until the host looks, now and then. So a step's kernels and arguments are always the same.

The draws are those of the plain loop, so the search is the same up to rounding. On the CPU it runs eagerly, for tests.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ...runs.meters import AverageMeter
from ...runs.resumable import CHECK_EVERY, generator_for
from ...search.loop import Search
from ...search.tasks import ImageTask
from ...search.updates import Bilevel
from .draws import DeviceSampler, chance_of_step, choices_of_steps, draws_of_steps
from .updates import DeviceUpdates, adam_numbers

WARM_UPS = 3            # steps before a capture: kernels are compiled, algorithms chosen, workspaces allocated


class CapturedSteps(DeviceUpdates):
    """Steps of a search on images, in a space of `GRADIENT_MASKS`, with updates: `epoch`, or `begin`, `step`, `end`.

    On a GPU they run on a stream of their own, behind the host: read weights and alpha after `results` or `end`.
    """

    def __init__(self, state: Bilevel, task: ImageTask, algorithm: Any, space: Any) -> None:
        super().__init__(state)
        self._state, self._task, self._algorithm, self._space = state, task, algorithm, space
        alpha = next(iter(state.alphas.values()))
        self._device, self._dtype = alpha.device, alpha.dtype
        self._chance = chance_of_step(algorithm, space, state.recipe)
        steps = task.steps_per_epoch
        self._row = torch.zeros(1, dtype=torch.int64, device=self._device)
        self._losses = torch.zeros(2, steps, device=self._device, dtype=self._dtype)
        self._correct = torch.zeros(2, steps, dtype=torch.int64, device=self._device)
        self._rows: list[Tensor] = []
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self._stream = self._pool = None
        if self._device.type == "cuda":
            self._stream, self._pool = torch.cuda.Stream(self._device), torch.cuda.graph_pool_handle()

    def epoch(self, search: Search, epoch: int) -> Iterator[int]:
        """Returns the steps of an epoch, asking the device only at its end and where losses are looked at."""
        steps, updates = self._task.steps_per_epoch, 2 if self._algorithm.has_alpha_steps else 1
        self.begin(search.seed, epoch, search.learning_rate, search.tau)
        for step in range(1, steps + 1):
            self.step()
            is_last = step == steps
            if step % CHECK_EVERY == 0 or is_last:
                losses, correct, count = self.results()
                for one in losses[:updates]:
                    search.check_finite(list(one), step)
            if is_last:
                search.trained, search.validated = (
                    AverageMeter(losses[row], correct[row], count)
                    if row < updates else AverageMeter() for row in (0, 1))
                self.end()
            yield step

    def begin(self, seed: int, epoch: int, learning_rate: float, tau: float | None) -> None:
        """Draw the epoch's chance and take over the optimisers' state."""
        self._epoch_rate, self._done = learning_rate, 0
        self._alpha_steps = self.load_optimizer_state()
        choices, self._counts = choices_of_steps(self._task, seed, epoch)
        steps = len(self._counts)
        draws = draws_of_steps(self._chance, self._space, generator_for(seed, epoch, "sampling"), steps, self._dtype)
        numbers = torch.tensor([(learning_rate, tau or 1.0, *adam_numbers(self._state.adam, self._alpha_steps + step))
                                for step in range(1, steps + 1)], dtype=self._dtype)
        given = [choices, numbers, *draws]
        if not self._rows:
            self._rows = [rows.to(self._device) for rows in given]
        # a graph reads at the addresses it was captured with
        for place, rows in zip(self._rows, given, strict=True):
            place.copy_(rows)
        self._row.zero_()
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(self._device))

    def step(self) -> None:
        """Do the next step; on a GPU only launch it."""
        count = self._counts[self._done]
        if self._stream is None:
            self._one_step(count)
        else:
            if count not in self._graphs:
                self._graphs[count] = self._capture(count)
            with torch.cuda.stream(self._stream):
                self._graphs[count].replay()
        self._done += 1

    def results(self) -> tuple[Tensor, Tensor, int]:
        """Waits; returns losses and correct answers (2, steps done) of train and valid batches, on the CPU; images."""
        self._wait()
        return self._losses[:, :self._done].cpu(), self._correct[:, :self._done].cpu(), sum(self._counts[:self._done])

    def end(self) -> None:
        """At an epoch's end: leave the optimisers as a checkpoint wants them. Waits."""
        self._wait()
        self.store_optimizer_state(self._alpha_steps + self._done if self._algorithm.has_alpha_steps else 0)

    def _wait(self) -> None:
        if self._stream is not None:
            self._stream.synchronize()

    def _one_step(self, count: int) -> None:
        """Both updates on batches of `count` images, results written down: nothing in here may ask the device."""
        choices, numbers, *draws = (rows.index_select(0, self._row)[0] for rows in self._rows)
        learning_rate, tau, alpha_size, alpha_root = numbers.unbind()
        self.set_rates(learning_rate, alpha_size, alpha_root)
        setting = self._state.sgd.param_groups[0]
        setting["lr"] = learning_rate                   # the second order of DARTS looks there
        train = self._task.train_batches.batch(choices[0, :, :count])
        valid = self._task.valid_batches.batch(choices[1, :, :count]) if self._algorithm.has_alpha_steps else None
        outcomes = self._algorithm.step(self._state, train, valid, DeviceSampler(self._space, tau, draws))
        setting["lr"] = self._epoch_rate
        for outcome, losses, correct in zip(outcomes, self._losses, self._correct, strict=True):
            if outcome is not None:
                losses.index_copy_(0, self._row, outcome.loss.reshape(1))
                correct.index_copy_(0, self._row, outcome.correct.reshape(1))
        self._row.add_(1)

    def changing(self) -> list[Tensor]:
        """Returns all tensors that a step changes and that outlive it."""
        return [*super().changing(), *self._state.supernet.buffers(), self._row, self._losses, self._correct]

    def warm_up(self, count: int) -> None:
        """Do steps and undo them: afterwards everything is as it was, bit for bit."""
        changing = self.changing()
        kept = [tensor.clone() for tensor in changing]
        for _ in range(WARM_UPS):
            self._one_step(count)
            for tensor, value in zip(changing, kept, strict=True):
                tensor.copy_(value)

    def _capture(self, count: int) -> torch.cuda.CUDAGraph:
        with torch.cuda.stream(self._stream):
            self.warm_up(count)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, self._pool, self._stream):     # one pool: the graphs never run at the same time
            self._one_step(count)
        return graph
