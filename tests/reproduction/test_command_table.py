"""The commands of README.md and benchmarks/README.md: each parses, and those of the original scripts ask for the same."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gdas_lite.reproduction.cli.parser import build_parser
from gdas_lite.reproduction.cli.values import algorithm_of, network_settings, protocol, recipe_changes, space_of
from gdas_lite.reproduction.published import rows
from gdas_lite.search.recipes import search_recipe
from gdas_lite.training.recipes import LanguageRecipe, TrainingRecipe, language_recipe, training_recipe

ROOT = Path(__file__).resolve().parents[2]
README = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "benchmarks/README.md"))
SPAN = re.compile(r"`(gdas-lite [^`]+)`")


def readme_commands() -> list[str]:
    """Commands in backticks, and lines of code blocks that begin with one."""
    spans = [span.replace("\\|", "|") for span in SPAN.findall(README)]
    lines = [line.strip() for line in README.splitlines() if line.startswith("    gdas-lite ")]
    return [command for command in (*spans, *lines) if len(command.split()) > 2]


def parsed(command: str):
    program, *words = shlex.split(command, comments=True)
    assert program == "gdas-lite"
    return build_parser().parse_args(["nasbench201" if word == "SPACE" else word for word in words])


def the_one(*parts: str) -> str:
    """The README's command that has all these parts."""
    found = [command for command in readme_commands() if all(part in command for part in parts)]
    assert len(found) == 1, f"{len(found)} commands in the README with {parts}"
    return found[0]


def test_every_command_of_the_readme_parses():
    commands = readme_commands()
    assert len(commands) >= 15
    for command in commands:
        parsed(command)


@pytest.mark.parametrize("name, epochs, order, tracks", [
    ("gdas", 250, "weights_first", True), ("darts-v1", 50, "weights_first", False),
    ("darts-v2", 50, "alpha_first", False), ("random", 250, "weights_first", False)])
def test_searches_in_nasbench201_are_those_of_the_scripts(name, epochs, order, tracks):
    """scripts-search/NAS-Bench-201-algos/*.sh: C=16, N=5, SGD 0.025 to 0.001, weight decay 5e-4, batch 64, clip 5."""
    arguments = parsed(the_one("search nasbench201", f"--algorithm {name}"))
    space, algorithm = space_of(arguments), algorithm_of(arguments)
    recipe = search_recipe(arguments.recipe, space.name, algorithm.name)
    assert (space.channels, space.cells_per_stage, space.track_running_stats) == (16, 5, tracks)
    assert (recipe.epochs, recipe.update_order, recipe.batch_size) == (epochs, order, 64)
    assert (recipe.learning_rate, recipe.learning_rate_end, recipe.weight_decay) == (0.025, 0.001, 5e-4)
    assert recipe.nesterov and recipe.grad_clip_norm == 5 and arguments.seed == -1 and arguments.data == "cifar10"
    if name == "gdas":
        assert algorithm.tau == (10.0, 0.1) and (algorithm.variant or space.gdas_variant) == "N"


@pytest.mark.parametrize("parts, layout, cells, epochs, decay, fixed", [
    (("--algorithm gdas", "running --with layout=autodl --with deriving=two_best_pairs"), "autodl", 6, 250, 5e-4, False),
    (("--algorithm gdas", "--recipe paper --seed", "cifar10 --recipe"), "paper", 8, 240, 3e-4, False),
    (("--algorithm gdas", "cifar10 --with fixed_reduction"), "paper", 8, 240, 3e-4, True),
    (("--algorithm gdas", "running --with fixed_reduction"), "autodl", 6, 250, 5e-4, True),
    (("darts-v1", "two_best_pairs"), "autodl", 6, 50, 3e-4, False),
    (("darts-v1", "cifar10-darts"), "paper", 8, 50, 3e-4, False)])
def test_searches_in_the_nasnet_space(parts, layout, cells, epochs, decay, fixed):
    arguments = parsed(the_one("search nasnet", *parts))
    space, algorithm = space_of(arguments), algorithm_of(arguments)
    plain = search_recipe(arguments.recipe, space.name, algorithm.name)
    recipe = search_recipe(arguments.recipe, space.name, algorithm.name, **recipe_changes(arguments, type(plain)))
    assert (space.layout, space.cells, space.fixed_reduction) == (layout, cells, fixed)
    assert (recipe.epochs, recipe.weight_decay) == (epochs, decay)
    is_autodl = layout == "autodl"      # its scripts: BN 1, two best pairs; weights first, Nesterov
    assert (space.track_running_stats, space.deriving == "two_best_pairs") == (is_autodl, is_autodl)
    assert (recipe.clip_scope == "weights_and_alpha") == is_autodl      # an oversight of the scripts, in both spaces
    if "darts" in algorithm.name:
        assert (recipe.update_order == "weights_first", recipe.nesterov) == (is_autodl, is_autodl)
        assert arguments.data == ("cifar10" if is_autodl else "cifar10-darts")      # DARTS' own halves and constants


@pytest.mark.parametrize("parts, batch, epochs", [
    (("train '|", "--seed 777"), 256, 200), (("GDAS_V1 --data cifar10 --recipe paper-autodl",), 96, 300),
    (("paper-imagenet-autodl",), 256, 250), (("--recipe paper-imagenet --seed",), 128, 250),
    (("GDAS_V1 --data cifar10 --with pool_norm",), 96, 600), (("paper-darts",), 96, 600),
    (("paper-imagenet-darts",), 128, 250)])
def test_trainings(parts, batch, epochs):
    from gdas_lite.genotypes.lookup import load_cell
    arguments = parsed(the_one("train ", *parts))
    space = load_cell(arguments.cell).space
    recipe = training_recipe(arguments.recipe, space, **recipe_changes(arguments, TrainingRecipe))
    assert (recipe.batch_size, recipe.epochs) == (batch, epochs)
    network_settings(arguments, space, given=("classes", "image_channels"))


def test_imagenet_pictures_are_those_of_the_script():
    """AutoDL-Projects adds PCA lighting; the original GDAS code and DARTS' have none."""
    lineages = {parts: parsed(the_one(*parts)).data_option for parts in (
        ("paper-imagenet-autodl --seed",), ("--recipe paper-imagenet --seed",), ("paper-imagenet-darts",))}
    assert list(lineages.values()) == [["lineage=autodl"], [], []]


def test_the_imagenet_command_of_notebook_11_is_the_one_that_fills_the_published_row():
    """A training of weeks; without one of its options it would be another network's, and `gdas-lite reproduce` says so."""
    source = (ROOT / "notebooks" / "src" / "11_imagenet.py").read_text(encoding="utf-8")
    words = re.search(r'^cell = \(("[^)]*")\)$', source, re.MULTILINE)[1]
    asked = protocol("gdas-lite train " + "".join(re.findall(r'"([^"]*)"', words)))
    filled = {row.published.value for row in rows(source="GDAS-V1-imagenet") if row.protocol == asked}
    assert {26.15, 8.53} <= filled


def test_the_recurrent_search_of_darts():
    """rnn/train_search.py: 300 units, 50 epochs, batch 256, alpha first, SGD at 20, clipped at 0.25."""
    arguments = parsed(the_one("search recurrent"))
    recipe = search_recipe(arguments.recipe, "recurrent", arguments.algorithm)
    assert (space_of(arguments).hidden, arguments.data, recipe.epochs, recipe.batch_size) == (300, "ptb", 50, 256)
    assert (recipe.update_order, recipe.learning_rate, recipe.grad_clip_norm) == ("alpha_first", 20, 0.25)


@pytest.mark.parametrize("cell, epochs, trigger", [("GDAS", 3000, "gdas"), ("DARTS_V2", 8000, "darts")])
def test_language_trainings(cell, epochs, trigger):
    arguments = parsed(the_one(f"train {cell}@recurrent"))
    recipe = language_recipe(arguments.recipe, arguments.data, **recipe_changes(arguments, LanguageRecipe))
    assert (recipe.epochs, recipe.averaging_trigger, recipe.name) == (epochs, trigger, "paper")
