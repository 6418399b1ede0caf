"""Published numbers and hyper-parameters against the specification's own files: value by value, both ways."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

import pytest
import yaml

import gdas_lite as gl
from gdas_lite.data.augment import EIGENVALUES, EIGENVECTORS
from gdas_lite.data.official import DARTS_MEAN, DARTS_STD, OFFICIAL
from gdas_lite.data.photos import MEAN, STD
from gdas_lite.genotypes.zoo import published
from gdas_lite.runs.schedules import learning_rate_at
from gdas_lite.runs.shards import batch_bounds
from gdas_lite.search.recipes import search_recipe
from gdas_lite.training.recipes import language_recipe, training_recipe
from tests.conftest import shared_folder

# What a row of the specification's tables is called in the package, where a row is a published cell or a method we name.
NAMES = {
    "GDAS [C=36,N=6]": "GDAS_V1", "GDAS (FRC) [C=36,N=6]": "GDAS_F1", "GDAS [C=50,N=4]": "GDAS_V1", "ENAS (micro)": "ENASNet",
    "GDAS (FRC) [C=52,N=4]": "GDAS_F1", "Progressive NAS": "PNASNet", "PNAS": "PNASNet", "NASNet-A": "NASNet",
    "AmoebaNet-A": "AmoebaNet", "DARTS (1st)": "DARTS_V1", "DARTS (2nd)": "DARTS_V2", "DARTS (first order)": "DARTS_V1",
    "DARTS (second order)": "DARTS_V2", "DARTS": "DARTS_V2", "DARTS-V1": "DARTS_V1", "DARTS-V2": "DARTS_V2"}
ELSEWHERE = {"darts_paper": {"ENAS": "ENASNet"}, "nas_bench_201_paper": {"ResNet": "resnet"}}     # of one table or source only
METRICS = {"error_cifar10": "test_error", "error_cifar100": "test_error", "error": "test_error", "valid_ppl": "valid_perplexity",
           "test_ppl": "test_perplexity", "test_error": "test_error", "top1_error": "top1_error", "top5_error": "top5_error",
           "params_M": "params_M", "mult_adds_M": "mult_adds_M", "days": "search_gpu_days", "gpu_days": "search_gpu_days",
           **{f"{data}_{part}": f"{part}_accuracy" for data in ("c10", "c100", "in16") for part in ("valid", "test")}}
DATA = {"c10": "cifar10", "c100": "cifar100", "in16": "imagenet16-120", "error_cifar100": "cifar100"}     # of a column
TABLES = {      # of the specification: of each the words by which the package's source begins, and the data
    ("gdas_paper", "table1_cifar"): ("GDAS paper, table 1", "cifar10"),
    ("gdas_paper", "table2_imagenet"): ("GDAS paper, table 2", "imagenet"),
    ("gdas_paper", "table3_ptb"): ("GDAS paper, table 3", "ptb"),
    ("gdas_paper", "table4_wt2"): ("GDAS paper, table 4", "wikitext-2"),
    ("gdas_paper", "table5_cells_cifar10"): ("GDAS paper, table 5", "cifar10"),
    ("darts_paper", "table1_cifar10"): ("DARTS paper, table 1", "cifar10"),
    ("darts_paper", "table2_ptb"): ("DARTS paper, table 2", "ptb"),
    ("darts_paper", "table3_imagenet"): ("DARTS paper, table 3", "imagenet"),
    ("darts_paper", "table4_wt2"): ("DARTS paper, table 4", "wikitext-2"),
    ("nas_bench_201_paper", "block_A"): ("NAS-Bench-201 paper", ""),
    ("nas_bench_201_paper", "block_B"): ("NAS-Bench-201 paper", ""),
    ("nas_bench_201_paper", "without_parameter_sharing"): ("NAS-Bench-201 paper", "")}


def of_specification(results: dict[str, Any], section: str, table: str) -> set[tuple]:
    """(name, data, metric, value, spread) of every number of a table in the columns that the package knows."""
    content, found, names = results[section][table], set(), NAMES
    if table == "table1_cifar10" or section == "nas_bench_201_paper":
        names = NAMES | ELSEWHERE[section]
    columns = content.get("columns", results[section].get("columns"))
    for row in [*content.get("rows", []), *content.get("ours", []), *content.get("others", [])]:
        named = row[columns.index("genotype")] if "genotype" in columns else re.split(r" \+ [Cc]ut|, | \(searched", row[0])[0]
        for column, value in zip(columns, row):
            number, _, spread = str(value).partition(" +- ")
            if column in METRICS and re.fullmatch(r"[\d.]+", number):      # some are None, one "about 5"
                data = DATA.get(column, DATA.get(column.split("_")[0], TABLES[section, table][1]))
                found.add((names.get(named, named), data, METRICS[column], float(number), float(spread) if spread else None))
    return found


@pytest.mark.parametrize("section, table", TABLES)
def test_every_published_number_is_the_specifications(section, table):
    results = yaml.safe_load((shared_folder("spec") / "published-results.yaml").read_text(encoding="utf-8"))
    block = {"block_A": "block A", "block_B": "block B"}.get(table)
    shipped = [result for result in published() if result.source.startswith(TABLES[section, table][0])
               and (block is None or block in result.setting) and result.metric != "search_seconds"
               and (table != "without_parameter_sharing" or "block" not in result.setting)]
    ours = {(result.name, result.data, result.metric, result.value, result.spread) for result in shipped}
    theirs = of_specification(results, section, table)
    assert ours and ours <= theirs
    known = {each[:3] for each in ours}     # of what is shipped no second number is left out
    assert {each for each in theirs if each[:3] in known} == ours


def test_search_seconds_logs_and_reports_are_the_specifications():
    results = yaml.safe_load((shared_folder("spec") / "published-results.yaml").read_text(encoding="utf-8"))
    seconds = {(NAMES.get(name, name), value) for name, *values in results["nas_bench_201_paper"]["search_seconds"]["rows"]
               for value in values if value is not None}
    assert {(result.name, result.value) for result in published(metric="search_seconds")} == seconds
    logs = results["gdas_author_logs"]
    cifar, imagenet = logs["cifar10_GDAS_F1"], logs["imagenet_GDAS_V1"]
    told = {(result.name, result.metric, result.value) for result in published() if result.source.startswith("authors' log")}
    assert told == {("GDAS_F1", "test_error", cifar["last_epoch"]["test_error_top1"]),
                    ("GDAS_F1", "test_error", cifar["best_epoch_test_error"]),
                    *(("GDAS_V1", metric, imagenet[epoch][metric]) for epoch in ("last_epoch", "best_epoch")
                      for metric in ("top1_error", "top5_error"))}
    single, users = results["darts_paper"]["readme_single_models"], results["user_reports"]["cifar10_retraining_issue57"]
    assert [result.value for result in published() if result.source == "quark0/darts, README"] == [
        single["cifar10_test_error"], single["ptb_test_ppl"]]
    assert [f"{result.value:.2f} +- {result.spread:.2f}" for result in published() if "issue 57" in result.source] == [
        error for _, error, *_ in users[:3]]
    assert [result.value for result in published() if "issue 64" in result.source] == [67.56]


# --- recipes, field by field: spec/protocols.yaml ---

ALPHA = {"alpha_learning_rate": 3e-4, "alpha_betas": (0.5, 0.999), "alpha_eps": 1e-8, "alpha_weight_decay": 1e-3,
         "alpha_init": 1e-3, "alpha_start": 0.0}
SGD = {"learning_rate": 0.025, "learning_rate_end": 0.001, "momentum": 0.9, "grad_clip_norm": 5.0}
HERE = {"virtual_clip_norm": None, "virtual_momentum": True, "virtual_redraw": False, "redraw": True, "undrawn": "decay"}
NB201 = {**ALPHA, **SGD, **HERE, "batch_size": 64, "nesterov": True, "weight_decay": 5e-4, "clip_scope": "weights_and_alpha",
         "update_order": "weights_first"}
QUARK = {**ALPHA, **SGD, **HERE, "epochs": 50, "batch_size": 64, "nesterov": False, "weight_decay": 3e-4, "clip_scope": "weights",
         "update_order": "alpha_first"}
TEXT = {"dropout_output": 0.75, "dropout_hidden": 0.25, "dropout_cell_input": 0.75, "dropout_embedded_input": 0.2,
        "temporal_activation": 1e-3, "bptt": 35, "short_window_probability": 0.05, "learning_rate": 20.0, "grad_clip_norm": 0.25}
PTB_SEARCH = {**ALPHA, **HERE, **TEXT, "dropout_word": 0.0, "learning_rate_end": 20.0, "momentum": 0.0, "nesterov": False,
              "weight_decay": 5e-7, "alpha_learning_rate": 3e-3, "alpha_betas": (0.9, 0.999), "update_order": "alpha_first",
              "clip_scope": "weights", "virtual_clip_norm": 0.25, "virtual_momentum": False}
SEARCHES = {
    ("nasbench201", "gdas"): {**NB201, "epochs": 250}, ("nasbench201", "darts-v1"): {**NB201, "epochs": 50},
    ("nasbench201", "darts-v2"): {**NB201, "epochs": 50, "update_order": "alpha_first"},
    ("nasbench201", "random"): {**NB201, "epochs": 250, "clip_scope": "weights"},
    ("nasnet", "gdas"): {**ALPHA, **SGD, **HERE, "epochs": 240, "batch_size": 256, "nesterov": True, "weight_decay": 3e-4,
                         "clip_scope": "weights", "update_order": "weights_first"},
    ("nasnet", "darts-v1"): QUARK, ("nasnet", "darts-v2"): QUARK, ("nasnet", "random"): QUARK,
    ("recurrent", "gdas"): {**PTB_SEARCH, "epochs": 200, "batch_size": 128},
    ("recurrent", "darts-v1"): {**PTB_SEARCH, "epochs": 50, "batch_size": 256},
    ("recurrent", "darts-v2"): {**PTB_SEARCH, "epochs": 50, "batch_size": 256}}

NETWORK = {"momentum": 0.9, "warm_up_epochs": 0, "gamma": 0.97, "cutout": 0, "auxiliary_weight": 0.0, "drop_path": 0.0,
           "label_smoothing": 0.0, "restarts": ()}
BENCHMARK = {**NETWORK, "epochs": 200, "batch_size": 256, "learning_rate": 0.1, "learning_rate_end": 0.0, "schedule": "cosine",
             "nesterov": True, "weight_decay": 5e-4, "grad_clip_norm": None}
CIFAR = {**NETWORK, "epochs": 600, "batch_size": 96, "learning_rate": 0.025, "learning_rate_end": 1e-4, "schedule": "cosine",
         "nesterov": False, "weight_decay": 3e-4, "grad_clip_norm": 5.0, "cutout": 16, "drop_path": 0.2, "auxiliary_weight": 0.4}
IMAGENET = {**NETWORK, "epochs": 250, "batch_size": 128, "learning_rate": 0.1, "learning_rate_end": 0.0,
            "schedule": "exponential", "nesterov": True, "weight_decay": 3e-5, "grad_clip_norm": 5.0, "label_smoothing": 0.1,
            "auxiliary_weight": 0.4}
AUTODL = {"schedule": "autodl_cosine", "warm_up_epochs": 5, "learning_rate_end": 0.0, "nesterov": True, "grad_clip_norm": None}
TRAININGS = {
    ("nasbench201", "paper"): BENCHMARK, ("nasbench201", "paper-12"): {**BENCHMARK, "epochs": 12},
    ("nasnet", "paper"): CIFAR, ("nasnet", "paper-darts"): {**CIFAR, "learning_rate_end": 0.0},
    ("nasnet", "paper-autodl"): {**CIFAR, **AUTODL, "epochs": 300, "weight_decay": 5e-4},
    ("nasnet", "paper-imagenet"): IMAGENET, ("nasnet", "paper-imagenet-darts"): {**IMAGENET, "nesterov": False},
    ("nasnet", "paper-imagenet-autodl"): {**IMAGENET, **AUTODL, "batch_size": 256}}
PTB = {**TEXT, "epochs": 2000, "batch_size": 64, "window_jitter": 5.0, "weight_decay": 8e-7, "init_range": 0.04,
       "averaging_patience": 5, "averaging_trigger": "darts", "dropout_word": 0.1, "valid_batch": 10, "test_batch": 1}
LANGUAGES = {"ptb": PTB, "wikitext-2": {**PTB, "epochs": 3000, "dropout_hidden": 0.15, "weight_decay": 5e-7}}


@pytest.mark.parametrize("space, algorithm", SEARCHES)
def test_every_field_of_a_published_search_is_as_the_specification_has_it(space, algorithm):
    assert asdict(search_recipe("paper", space, algorithm)) == SEARCHES[space, algorithm] | {"name": "paper"}


@pytest.mark.parametrize("space, size", TRAININGS)
def test_every_field_of_a_published_training_is_as_the_specification_has_it(space, size):
    assert asdict(training_recipe(size, space)) == TRAININGS[space, size] | {"name": size}


@pytest.mark.parametrize("data", LANGUAGES)
def test_every_field_of_a_published_language_training_is_as_the_specification_has_it(data):
    assert asdict(language_recipe("paper", data)) == LANGUAGES[data] | {"name": "paper"}


def test_spaces_and_algorithms_are_by_default_the_published_ones():
    assert (gl.NASBench201().channels, gl.NASBench201().cells_per_stage, gl.NASBench201.gdas_variant) == (16, 5, "N")
    assert (gl.NASNet().channels, gl.NASNet().cells, gl.NASNet(layout="autodl").cells, gl.NASNet.gdas_variant) == (16, 8, 6, "P")
    assert (gl.Recurrent().hidden, gl.GDAS().tau, gl.RandomSearch().samples, gl.RandomSearch().selection_batch) == (
        300, (10.0, 0.1), 100, 512)


def test_pixels_are_normalised_by_the_constants_of_each_code():
    constants = {name: (files.mean, files.std, files.padding) for name, files in OFFICIAL.items()}
    assert constants == {
        "cifar10": ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7), 4), "cifar100": ((129.3, 124.1, 112.4), (68.2, 65.4, 70.4), 4),
        "imagenet16-120": ((122.68, 116.66, 104.01), (63.22, 61.26, 65.09), 2)}
    assert (DARTS_MEAN, DARTS_STD) == ((0.49139968, 0.48215827, 0.44653124), (0.24703233, 0.24348505, 0.26158768))
    assert (MEAN, STD) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert EIGENVALUES.tolist() == [0.2175, 0.0188, 0.0045]
    assert EIGENVECTORS.tolist() == [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]


def test_rates_and_steps_of_an_epoch_are_those_printed_there():
    rate = {epoch: learning_rate_at(training_recipe("paper", "nasbench201"), epoch, 0, 98) for epoch in (0, 1, 100, 199)}
    assert rate == pytest.approx({0: 0.1, 1: 0.099993832, 100: 0.05, 199: 6.168376e-6}, rel=1e-6)
    steps = {(images, batch): len(batch_bounds(images, batch, is_training=True)) for images, batch in (
        (25_000, 64), (25_000, 256), (50_000, 64), (50_000, 256), (151_700, 64))}
    assert list(steps.values()) == [391, 98, 782, 196, 2371]
    assert OFFICIAL["imagenet16-120"].counts == (151_700, 6_000) and OFFICIAL["cifar100"].counts == (50_000, 10_000)
