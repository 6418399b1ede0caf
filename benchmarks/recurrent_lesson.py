"""A published recurrent cell and a tanh RNN of the same size on the Penn Treebank, in the same time: validation perplexity.

    python benchmarks/recurrent_lesson.py --root FOLDER_WITH_PTB [--minutes 10] [--cell GDAS] [--hidden 200]

Both train by the recipe `lesson`, one after the other, each until its minutes are over; the text is scored several times
an epoch. With the cell's learning rate the tanh RNN's loss explodes, so it has the one that was best for it of those tried
(--rnn-learning-rate). `--data grammar` needs no files.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
from dataclasses import replace

import torch

import gdas_lite as gl
from gdas_lite.runs.cost import count_parameters
from gdas_lite.training.evaluation import evaluate_text
from gdas_lite.training.plain_rnn import equally_large


def curve(model, data: gl.TextData, recipe: gl.LanguageRecipe, minutes: float, every: int, counts_processor_time: bool
          ) -> list[tuple[float, float]]:
    """(minutes, validation perplexity) after every `every` steps, until the time is over; scoring is not counted."""
    run = gl.LanguageTraining(model, data, recipe=recipe)
    clock = time.process_time if counts_processor_time else time.perf_counter
    points, spent, steps = [], 0.0, 0
    while spent < 60 * minutes:
        epoch = run.begin_epoch()
        while True:
            start = clock()
            step = next(epoch, None)
            spent += clock() - start
            steps += step is not None
            is_over = spent >= 60 * minutes
            if is_over or (step is not None and steps % every == 0):
                loss = evaluate_text(run.network, run._valid, run.recipe.bptt).loss
                points.append((spent / 60, math.exp(loss)))
                print(f"  {spent / 60:6.2f} min, step {steps:5d}: {points[-1][1]:8.2f}", flush=True)
            if step is None or is_over:
                break
        run.epochs_done += 1
    return points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="ptb")
    parser.add_argument("--root", default=None)
    parser.add_argument("--cell", default="GDAS")
    parser.add_argument("--hidden", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rnn-learning-rate", type=float, default=5.0)
    parser.add_argument("--every", type=int, default=100, help="steps between two scores")
    parser.add_argument("--only", choices=("cell", "rnn"), help="train one of the two")
    parser.add_argument("--processor-time", action="store_true", help="count processor time: for a busy machine, one thread")
    arguments = parser.parse_args()
    data = gl.load_data(arguments.data, root=arguments.root)
    cell = gl.network(gl.zoo_genotype(arguments.cell, "recurrent"), arguments.hidden, data.vocabulary)
    rnn = gl.PlainRNN(equally_large(count_parameters(cell), data.vocabulary), data.vocabulary)
    print(f"{data}\n{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for name, model in (("cell", cell), ("rnn", rnn)):
        if arguments.only in (None, name):
            print(f"{arguments.cell if name == 'cell' else 'tanh RNN'}, {count_parameters(model):,} weights: "
                  "validation perplexity")
            recipe = gl.language_recipe("lesson", data.name, epochs=1000)
            if name == "rnn":
                recipe = replace(recipe, learning_rate=arguments.rnn_learning_rate)
            curve(model, data, recipe, arguments.minutes, arguments.every, arguments.processor_time)


if __name__ == "__main__":
    main()
