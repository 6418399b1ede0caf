"""Commands that compute: search, train, resume, evaluate, export. They wire up what the package has."""

import os
import random
import shlex
import subprocess
import sys
import warnings
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from math import isclose
from pathlib import Path
from typing import Any

import torch

from ... import engines, spaces  # noqa: F401  (engines are registered)
from ...data import DATA_SETS
from ...data.batches import identity_of
from ...data.folders import is_without_parts
from ...data.images import ImageData, ImageSet
from ...data.text import Streams
from ...genotypes.lookup import CellSource, find_cell
from ...runs.config import RunError, path_of, read_config
from ...runs.device import pick_device
from ...runs.distributed import ProcessGroup, join_process_group, require_single_process
from ...runs.printing import say
from ...runs.schema import said
from ...search.loop import Search
from ...training.evaluation import evaluate as evaluate_images
from ...training.evaluation import evaluate_text
from ...training.export import export_network, load_exported, read_exported
from ...training.language import LanguageTraining, check_vocabulary, checksum_of
from ...training.loading import load_trained
from ...training.loop import Training, check_fit
from ...training.report import progress
from ...visual.widgets.live import LiveView, genotype_of, title_of, watch
from ...visual.widgets.screens import TerminalDisplay
from ..protocols import SIZE_OPTIONS, image_settings
from ..resume import resume as reopen
from .parser import INTERRUPTED, build_parser
from .show import found_cells, ground_truth, live_part
from .values import load, load_for_run, rule_from_text, search_of, seeds_from_text, training_of


def search(arguments: Namespace) -> int:
    """`gdas-lite search SPACE`."""
    space, algorithm, recipe = search_of(arguments)
    seeds = [_seed(arguments)] if arguments.seeds is None else seeds_from_text(arguments.seeds)
    data = load(arguments, space.name)
    usual = f"runs/search-{space.name}-{algorithm.name}-{_short(data)}-{arguments.recipe}-seed"
    options = {"recipe": recipe, **{name: getattr(arguments, name) for name in ("device", "engine", "precision")},
               "stop_when": rule_from_text(arguments.stop_when) if arguments.stop_when else None}
    if arguments.seeds is None:
        return _follow(Search(space, data, algorithm, seed=seeds[0], out=arguments.out or f"{usual}{seeds[0]}",
                              **options))
    folders = {seed: f"{arguments.out}/seed-{seed}" if arguments.out else f"{usual}{seed}" for seed in seeds}
    return _search_each(folders, arguments.device, lambda seed, group: Search(
        space, data, algorithm, seed=seed, out=folders[seed], group=group, **options))


def _search_each(folders: dict[int, str], device: str | None, begin: Callable[[int, Any], Any]) -> int:
    """One search after the other, each process its own, then a table of all. folders: by seed. What stops
    one stops no other."""
    group = join_process_group(device, is_loose=True)
    own = list(folders)[group.shard.rank::group.world_size]
    failed = torch.zeros(len(folders))
    by = f", by {group.world_size} processes; here seeds {', '.join(map(str, own))}" if group.world_size > 1 else ""
    _say(f"{len(folders)} searches, one a seed{by}")
    for seed in own:
        try:
            if _follow(begin(seed, ProcessGroup(device=group.device))) == INTERRUPTED:
                return INTERRUPTED
        except (FloatingPointError, RunError) as problem:
            say(f"gdas-lite search (seed {seed}): {problem}", sys.stderr)
            failed[list(folders).index(seed)] = 1
    group.sum(failed)       # when all are done
    if group.is_writer:
        for line in found_cells(folders, {seed for seed, number in zip(folders, failed) if number}):
            say(line)
    return 2 if failed.any() else 0


def train(arguments: Namespace) -> int:
    """`gdas-lite train CELL`."""
    if arguments.more is not None:
        return _train_longer(arguments)
    cell = find_cell(arguments.cell)
    _say(f"cell: {cell.genotype} ({cell.origin})")
    return _follow(_training(cell, arguments))


def _train_longer(arguments: Namespace) -> int:
    """`gdas-lite train RUN --more EPOCHS`: a new run that begins where a finished one ended."""
    usual = build_parser().parse_args(["train", arguments.cell])
    taken = {"cell", "command", "more", "out", "data", "data_root", "data_option", "download", "device"}
    for name, value in vars(arguments).items():
        if name not in taken and value != getattr(usual, name):
            option = {"changes": "set", "options": "with"}.get(name, name.replace("_", "-"))
            raise ValueError(f"--more goes on with the recipe and the network of {arguments.cell}; --{option} is for a "
                             "new training")
    arguments.run = arguments.cell
    data = load_for_run(arguments, read_config(arguments.cell))
    run = reopen(arguments.cell, data, arguments.device, more=arguments.more, out=arguments.out)
    _say(f"goes on from {arguments.cell}, which stays as it is")
    return _follow(run)


def _training(cell: CellSource, arguments: Namespace) -> Any:
    space = cell.genotype.space
    is_text = spaces.SPACES[space].data_kind == "text"
    options = {name: getattr(arguments, name) for name in ("train_on", "evaluate_every", "precision", "sync_batch_norm")
               if getattr(arguments, name) is not None}
    for name in options if is_text else ():
        raise ValueError(f"--{name.replace('_', '-')} is for networks of images, not for a recurrent cell")
    recipe, settings = training_of(arguments, space)
    data, seed = load(arguments, space), _seed(arguments)
    settings = settings | {"vocabulary": data.vocabulary} if is_text else image_settings(settings, space, recipe, data)
    sizes = {"wikitext-2": "--hidden 700", "imagenet": "--cells 14 --channels 50 (GDAS_F1 52, DARTS_V2 48)"}
    place = data.name if is_text else settings.get("stem")
    if place in sizes and not settings.keys() & set(SIZE_OPTIONS):
        _say(f"note: this is {'PTB' if is_text else 'CIFAR'}'s size; published on {place}: {sizes[place]}")
    make = LanguageTraining if is_text else Training
    return make(spaces.network(cell.genotype, **settings), data, recipe=recipe, seed=seed, device=arguments.device,
                out=arguments.out or f"runs/train-{cell.name}-{_short(data)}-{arguments.recipe}-seed{seed}", **options)


def _short(data: Any) -> str:
    """The name of a data set without the path that a text of one's own has in it."""
    return os.path.basename(os.path.abspath(data.name))


def resume(arguments: Namespace) -> int:
    """`gdas-lite resume RUN`."""
    data = load_for_run(arguments, read_config(arguments.run))
    return _follow(reopen(arguments.run, data, arguments.device, arguments.engine))


def evaluate(arguments: Namespace) -> int:
    """`gdas-lite evaluate RUN`: scores on every set that training did not see."""
    path = path_of(arguments.run, "the run folder")
    if os.path.exists(path / "network.json") and not os.path.exists(path / "config.json"):
        network, told, state = load_exported(path), read_exported(path), "exported network"
        size, how = told.image_size, told.reading
        streamed = {"image_size": size, "upright": how.upright} if how.shorter_side > size else None
        config = {"kind": "training", "data": told.to_json()["data"] | {"streamed": streamed}}
    else:
        network, config, record = load_trained(path)
        whose, epochs = "best weights, " * ("is_best" in record), config["recipe"]["epochs"]
        state = f"{whose}after epoch {record['epoch'] + 1} of {epochs}"
    network = network.to(pick_device(arguments.device))
    data = load_for_run(arguments, config)
    say(f"{path}, {state}, on {data.name}:")
    scores = _text_scores if config["kind"] == "language training" else _image_scores
    for name, score in scores(network, data, config, arguments.data).items():
        say(f"  {name:<10} {_score(score)}")
    return 0


def _image_scores(network: Any, data: Any, config: dict[str, Any], given: str | None) -> dict[str, Any]:
    check_fit(network, data)
    told = {name: tuple(config["data"].get(name, getattr(data, name))) for name in ("class_names", "mean", "std")}
    if told["class_names"] != data.class_names:
        warnings.warn(f"the classes of {data.name}, {said(data.class_names)}, were called otherwise in the training, "
                      f"{said(told['class_names'])}; they are taken in this order", stacklevel=2)
    sets = data.evaluation | ({"valid_half": data.valid_half} if config.get("train_on") == "train_half" else {})
    if given and isinstance(data, ImageData) and data.name not in DATA_SETS and is_without_parts(given):
        every = ImageSet(*(torch.cat([getattr(part, name) for part in (data.train, data.evaluation["test"])])
                           for name in ("images", "labels")))
        trained, own = config["data"].get("checksum"), getattr(data, config.get("train_on", "train"))
        is_own = (identity_of(own, data)["checksum"] == trained if trained else     # an export knows of their mean only
                  all(map(isclose, told["mean"], data.mean)))
        sets = sets if is_own else {"all": every}
        why = ("all are scored; were some of them trained on, give the --data-option of the training" if
               data.name == config["data"]["name"] else "all are scored, for none was trained on")
        say(f"  {data.name} has no part for tests: of its {len(every)} pictures "
            f"{'those are scored that no training sees' if is_own else why}")
    data = replace(data, mean=told["mean"], std=told["std"])
    return {name: evaluate_images(network, images, data) for name, images in sets.items()}


def _text_scores(model: Any, data: Any, config: dict[str, Any], _: str | None) -> dict[str, Any]:
    check_vocabulary(model, data)
    if config["data"].get("checksum") != checksum_of(data):
        warnings.warn(f"{data.name} is not the text of the training, whose words have other numbers", stacklevel=2)
    recipe, device = config["recipe"], next(model.parameters()).device
    streams = {name: Streams(getattr(data, name), recipe[f"{name}_batch"], recipe["bptt"], device, f"the {name} text")
               for name in ("valid", "test")}
    return {name: evaluate_text(model, stream, recipe["bptt"]) for name, stream in streams.items()}


def export(arguments: Namespace) -> int:
    """`gdas-lite export RUN FOLDER`."""
    require_single_process("an export")     # several would write the same files
    say(f"written: {export_network(arguments.run, arguments.folder, program=arguments.program)}")
    return 0


def _follow(run: Any) -> int:
    """Do a run with a line an epoch; say where it is, what came out, or how to go on."""
    if os.environ.get("RANK", "0") != "0":
        run.run()
        run.close()
        return 0
    path = run.folder.path
    _say(f"{run}\nrun folder: {path}")
    display = TerminalDisplay()
    display.how_to_go_on = f"go on with: gdas-lite resume {_word(path)}"
    try:
        for number, _ in enumerate(watch(run, LiveView(run.total_epochs, title_of(run), screen=display))):
            if hasattr(run, "images_per_epoch") and (number == 0 or run.epochs_done == run.total_epochs):
                _say(f"  {progress(run)}")       # speed, time left, published error beside the measured one
    finally:
        run.close()
    if not run.is_finished:
        return INTERRUPTED      # the display has said how to go on
    _report(run, path)
    return 0


def _report(run: Any, path: Path) -> None:
    if run.noun == "search":
        cell = genotype_of(run.history[-1])
        _say(f"cell: {cell}")
        if cell.space == "nasbench201":
            _say(f"reaches its output: {live_part(cell)}")
        for line in ground_truth(cell):
            _say(line)
        _say(f"train it: gdas-lite train {_word(path)}")
    else:
        _say("the best weights:" if isinstance(run, LanguageTraining) else "after the last epoch:")
        for name, score in run.result.items():
            _say(f"  {name:<10} {_score(score)}")


def _word(path: Path) -> str:
    """A path as a shell and the command read it: quoted (Windows' shell knows no single quotes), and no option."""
    text = f"./{path}" if str(path).startswith("-") else str(path)
    return subprocess.list2cmdline([text]) if os.name == "nt" else shlex.quote(text)


def _score(score: Any) -> str:
    perplexity = f"perplexity {score.perplexity:.2f}, " if hasattr(score, "perplexity") else ""
    top5 = f"top-5 {score.top5:.2f}%, " if getattr(score, "top5", None) is not None else ""
    return f"{perplexity}accuracy {score.accuracy:.2f}%, {top5}loss {score.loss:.4f} ({score.count:,})"


def _seed(arguments: Namespace) -> int:
    if arguments.seed < -1:
        raise ValueError(f"--seed must be 0 or more, or -1 to draw one, got {arguments.seed}")
    if arguments.seed == -1 and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError("--seed -1 would give each process another seed; with torchrun say one")
    return random.SystemRandom().randint(1, 100_000) if arguments.seed == -1 else arguments.seed


def _say(text: str) -> None:
    """Print at once; of several processes the first one speaks."""
    if os.environ.get("RANK", "0") == "0":
        say(text)
