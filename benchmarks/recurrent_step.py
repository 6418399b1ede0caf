"""Seconds of one search step in the recurrent space: this kit beside quark0/darts' formulation, taking turns.

    python benchmarks/recurrent_step.py [--rounds 3] [--hidden 300] [--device cuda]

One step = the update of alpha on a window of the valid text and that of the weights on a window of the train text (batch 64,
35 words, 10,000 words in the vocabulary, all dropouts). The formulation we compare with stands in recurrent_reference.py:
"each" has a matrix product for every predecessor of every step, "step" one product a step for all predecessors, which
quark0/darts' code has. Both leave every gradient to autograd, alpha's in the weight step and the weights' in the alpha
step, as that code does. --memory runs one of them alone and prints the peak of its process.

The two draw their dropout in different ways, so before anything is timed both compute the loss of a window without dropout,
from the same weights and alpha; it must agree.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import gdas_lite as gl
from benchmarks.recurrent_reference import PlainSearchModel
from benchmarks.same_loss import TOLERANCE, check_same_loss
from gdas_lite.data.text import Window
from gdas_lite.engines.cpu.engine import numba_obstacle
from gdas_lite.runs.device import peak_resident
from gdas_lite.search.algorithms import Algorithm, Sampler
from gdas_lite.search.tasks import TextBatch, TextTask
from gdas_lite.search.updates import Bilevel
from gdas_lite.spaces.recurrent import Supernet

VOCABULARY, WORDS, BATCH, RATE, CLIP, DECAY = 10_000, 35, 64, 20.0, 0.25, 5e-7


def windows(device: str) -> tuple[Window, Window]:
    """A train and a valid window of random words."""
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(VOCABULARY, (WORDS + 1, BATCH), generator=generator).to(device) for _ in range(2)]
    return tuple(Window(drawn[:-1], drawn[1:], WORDS) for drawn in rows)


def attach(supernet: Supernet, device: str) -> None:
    """As a search does: by the engine cpu where it can."""
    if device == "cpu" and numba_obstacle() is None:
        from gdas_lite.engines.cpu.recurrent import attach_language_model
    else:
        from gdas_lite.engines.layers.recurrent import attach_language_model
    attach_language_model(supernet)


class OurStep:
    """A step of the kit's own search."""

    def __init__(self, algorithm: Algorithm, hidden: int, device: str) -> None:
        space = gl.Recurrent(hidden)
        recipe = gl.search_recipe("paper", "recurrent", algorithm.name, batch_size=BATCH)
        torch.manual_seed(0)
        supernet = space.supernet(VOCABULARY).to(device)
        attach(supernet, device)
        alphas = {"recurrent": torch.nn.Parameter(1e-3 * torch.randn(36, 5, device=device))}
        sgd = torch.optim.SGD(supernet.parameters(), RATE, weight_decay=DECAY)
        adam = torch.optim.Adam(alphas.values(), 3e-3, weight_decay=1e-3)
        task = TextTask.__new__(TextTask)       # its losses only; it needs no text
        task._recipe = recipe
        self.state = Bilevel(supernet, alphas, sgd, adam, recipe, task.objective, task.weight_objective)
        noise, zeros = torch.Generator().manual_seed(1), torch.zeros(BATCH, hidden, device=device)
        self.batches = [TextBatch(window, zeros, noise) for window in windows(device)]
        self.algorithm, self.draw = algorithm, Sampler(space, 5.0, torch.Generator().manual_seed(2))

    def __call__(self) -> None:
        self.algorithm.step(self.state, *self.batches, self.draw)


class PlainStep:
    """The same step in quark0/darts' formulation, first or second order."""

    def __init__(self, products: str, order: int, hidden: int, device: str) -> None:
        torch.manual_seed(0)
        self.model = PlainSearchModel(VOCABULARY, hidden, products).to(device)
        self.sgd = torch.optim.SGD(self.model.net_params(), RATE, weight_decay=DECAY)
        self.adam = torch.optim.Adam([self.model.alpha], 3e-3, weight_decay=1e-3)
        self.train, self.valid = windows(device)
        self.hidden, self.order = torch.zeros(BATCH, hidden, device=device), order

    def loss(self, model: PlainSearchModel, window: Window) -> tuple[torch.Tensor, torch.Tensor]:
        masks = tuple(mask.to(self.hidden.device) for mask in model.masks(BATCH))
        log_probabilities, raw = model(window.words, self.hidden, masks)
        return F.nll_loss(log_probabilities.flatten(0, 1), window.targets.flatten()), raw

    def __call__(self) -> None:
        self.adam.zero_grad()
        if self.order == 1:
            self.loss(self.model, self.valid)[0].backward()
        else:
            self.model.alpha.grad = self.second_order_gradient()
        self.adam.step()
        self.sgd.zero_grad()
        loss, raw = self.loss(self.model, self.train)
        (loss + 1e-3 * (raw[1:] - raw[:-1]).pow(2).mean()).backward()
        torch.nn.utils.clip_grad_norm_(self.model.net_params(), CLIP)
        self.sgd.step()

    def second_order_gradient(self) -> torch.Tensor:
        model, params = self.model, self.model.net_params()
        gradients = torch.autograd.grad(self.loss(model, self.train)[0], params)
        ratio = clip(gradients)
        virtual = copy.deepcopy(model)
        with torch.no_grad():
            for moved, param, gradient in zip(virtual.net_params(), params, gradients, strict=True):
                moved.copy_(param - RATE * (gradient + DECAY * param))
        direct, *u = torch.autograd.grad(self.loss(virtual, self.valid)[0], [virtual.alpha, *virtual.net_params()])
        clip(u)
        epsilon = 0.01 / torch.cat([part.flatten() for part in u]).norm()
        ends = []
        for factor in (1, -2):
            with torch.no_grad():
                for param, part in zip(params, u, strict=True):
                    param.add_(factor * epsilon * part)
            ends.append(torch.autograd.grad(self.loss(model, self.train)[0], model.alpha)[0])
        with torch.no_grad():
            for param, part in zip(params, u, strict=True):
                param.add_(epsilon * part)
        return direct - RATE * ratio * (ends[0] - ends[1]) / (2 * epsilon)


def clip(gradients: list[torch.Tensor]) -> torch.Tensor:
    """quark0/darts' clipping to 0.25; returns its ratio."""
    ratio = CLIP / (torch.cat([gradient.flatten() for gradient in gradients]).norm() + 1e-6)
    for gradient in gradients:
        gradient.mul_(ratio.clamp(max=1))
    return ratio


def steps(hidden: int, device: str) -> dict[str, Callable[[], Callable[[], None]]]:
    """For each way, a function that makes its step."""
    ways: dict[str, Callable[[], Callable[[], None]]] = {
        "GDAS": lambda: OurStep(gl.GDAS(), hidden, device),
        "DARTS, first order": lambda: OurStep(gl.DARTS(1), hidden, device),
        "DARTS, second order": lambda: OurStep(gl.DARTS(2), hidden, device),
    }
    for order, name in ((1, "first"), (2, "second")):
        for products in ("each", "step"):
            ways[f"reference, {name} order, a product for {'each predecessor' if products == 'each' else 'a step'}"] = \
                lambda products=products, order=order: PlainStep(products, order, hidden, device)
    return ways


@torch.no_grad()
def losses(hidden: int, device: str) -> dict[str, float]:
    """Without dropout, of DARTS' step and of the reference's, from the same weights and alpha; larger ones than at the start of
    a search, whose loss hardly depends on them."""
    ours, (window, _), ones = OurStep(gl.DARTS(1), hidden, device), windows(device), (torch.ones(1, device=device),) * 4
    supernet, alpha, zeros = ours.state.supernet, ours.state.alphas["recurrent"], torch.zeros(BATCH, hidden, device=device)
    for tensor in (*supernet.parameters(), alpha):
        tensor.normal_(0, 0.3)
    outputs = supernet.states(window.words, zeros, ours.algorithm.mixtures(ours.state.alphas, ours.draw))
    found = {"package": supernet.loss(outputs, window.targets).loss.item()}
    for products in ("each", "step"):
        model = PlainStep(products, 1, hidden, device).model
        copies = (model.embedding, supernet.embedding), (model.bias, supernet.bias), \
            (model.start, supernet.start), (model.alpha, alpha)
        for target, source in (*copies, *zip(model.steps, supernet.steps, strict=True)):
            target.copy_(source)
        log_probabilities, _ = model(window.words, zeros, ones)
        found[f"reference, {products}"] = F.nll_loss(log_probabilities.flatten(0, 1), window.targets.flatten()).item()
    return found


def seconds(step: Callable[[], None], device: str) -> tuple[float, float]:
    """By the clock, and of processor time of all threads: on a busy machine the second, with one thread, is the fairer."""
    start, used = time.perf_counter(), time.process_time()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, time.process_time() - used


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way, after one that warms up")
    parser.add_argument("--hidden", type=int, default=300)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--only", default="", help="ways whose name holds this pattern")
    parser.add_argument("--memory", action="store_true", help="print the peak memory of the process (use with --only)")
    arguments = parser.parse_args(argv)
    check_same_loss("recurrent, without dropout", losses(arguments.hidden, arguments.device), TOLERANCE["fp32"])
    made = {name: make() for name, make in steps(arguments.hidden, arguments.device).items() if re.search(arguments.only, name)}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in made}
    for turn in range(arguments.rounds + 1):
        for name, step in made.items():
            found[name].append(seconds(step, arguments.device))
            if turn == 0:
                found[name].clear()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}, "
          f"device {arguments.device}, batch {BATCH}, {WORDS} words, hidden {arguments.hidden}, vocabulary {VOCABULARY}\n")
    print("| one search step | seconds: median (lowest-highest) | processor seconds |\n|---|---:|---:|")
    for name, times in found.items():
        columns = (f"{statistics.median(of):.2f} ({min(of):.2f}-{max(of):.2f})" for of in zip(*times, strict=True))
        print(f"| {name} | {' | '.join(columns)} |", flush=True)
    if arguments.memory:
        print(f"\npeak memory {peak_resident() / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
