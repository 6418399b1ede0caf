"""The reference figures in this folder: each check that compares them notices one figure that is another."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gdas_lite.genotypes.notation import AUTODL_NAMES, NASNET_GENOTYPE_OPS
from tests.conftest import shared_folder
from tests.genotypes import test_zoo
from tests.spaces import (
    test_nasbench201,
    test_nasnet,
    test_nasnet_network,
    test_nasnet_operations,
    test_recurrent,
)

FOLDER = Path(__file__).parent
COUNTS, CELLS = "reference-counts.json", "genotypes.json"
# Fields that say which network a figure is of, and those that nothing here computes.
WORDS = {"flops_autodl", "flops_autodl_all_operations_on", "stem_multiplier", "C", "N", "cells", "classes", "max_nodes",
         "enas_controller", "vocabulary", "embedding_and_hidden", "none"}
CHECKS = {
    "nb201_networks": test_nasbench201.test_every_network_and_supernet_of_the_reference_to_the_unit,
    "nb201_supernet": test_nasbench201.test_every_network_and_supernet_of_the_reference_to_the_unit,
    "nb201_parts": test_nasbench201.test_every_network_and_supernet_of_the_reference_to_the_unit,
    "nasnet_cifar_networks": test_nasnet_network.test_every_cifar_network_of_the_reference_to_the_unit,
    "nasnet_imagenet_networks": test_nasnet_network.test_every_imagenet_network_of_the_reference_to_the_unit,
    "autodl_retrain_networks": test_nasnet_network.test_every_network_that_autodl_retrains_to_the_unit,
    "nasnet_supernets": test_nasnet.test_every_supernet_of_the_reference_to_the_unit,
    "operation_params_C16": test_nasnet_operations.test_weights_of_both_code_bases_to_the_unit,
    "recurrent_networks": test_recurrent.test_counts_of_the_reference_file,
}


@pytest.mark.parametrize("name", [COUNTS, CELLS])
def test_the_copies_are_the_files_of_the_specification(name):
    assert json.loads((FOLDER / name).read_text()) == json.loads((shared_folder("spec") / name).read_text())


def test_every_part_of_the_counts_is_compared():
    assert json.loads((FOLDER / COUNTS).read_text()).keys() - CHECKS.keys() == {"convention"}


def figures(value: Any, at: tuple = ()) -> Iterator[tuple]:
    """The places of numbers that are compared, of lists in their first rows: a check stops at the first difference."""
    if isinstance(value, int) and not isinstance(value, bool):
        yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, each in inner:
        if key not in WORDS:
            yield from figures(each, (*at, key))


def with_changed(value: Any, at: tuple) -> Any:
    changed = inner = copy.deepcopy(value)
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = inner[at[-1]] + 1 if isinstance(inner[at[-1]], int) else f"{inner[at[-1]]}x"
    return changed


@pytest.mark.parametrize("part", CHECKS)
def test_a_count_that_is_off_by_one_is_noticed(part, tmp_path):
    reference = json.loads((FOLDER / COUNTS).read_text())
    compared = [at for at in figures(reference[part], (part,))
                if part != "operation_params_C16" or {*at} & {*NASNET_GENOTYPE_OPS, *AUTODL_NAMES}]      # others are of another space
    if part in ("nb201_supernet", "nb201_parts"):       # compared behind the networks, which take longer
        reference["nb201_networks"] = []
    (tmp_path / COUNTS).write_text(json.dumps(with_changed(reference, random.Random(part).choice(compared))))
    with pytest.raises(AssertionError):
        CHECKS[part](tmp_path)


@pytest.mark.parametrize("name, at", [
    ("GDAS_V1", ("normal", 1, 0, 1)), ("GDAS_V1", ("reduce", 2, 1, 0)), ("GDAS_V1", ("normal_concat", 0)),
    ("GDAS", ("recurrent", 3, 1)), ("DARTS_V2", ("reduce", 0, 0, 1)), ("resnet", ("arch",))])
def test_a_cell_with_another_choice_is_noticed(name, at, tmp_path):
    reference = json.loads((FOLDER / CELLS).read_text())
    number = next(number for number, cell in enumerate(reference["genotypes"]) if cell["name"] == name)
    if name == "resnet":
        reference["genotypes"][number]["arch"] = "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    else:
        reference = with_changed(reference, ("genotypes", number, *at))
    (tmp_path / CELLS).write_text(json.dumps(reference))
    with pytest.raises(AssertionError):
        test_zoo.test_every_published_cell_is_there_unchanged(tmp_path)


def test_another_formula_than_that_of_the_test_vector_is_noticed(monkeypatch):
    from tests import test_relaxation
    check, right = test_relaxation.test_gradient_of_both_variants_equals_the_test_vector, test_relaxation.hard_gumbel
    printed = [0.23637048, 0.09610107, 0.21387686, 0.35262332, 0.10102827]
    check(1, printed, "P", 1.0)
    with pytest.raises(AssertionError):
        check(1, [*printed[:4], 0.10102829], "P", 1.0)
    monkeypatch.setattr(test_relaxation, "hard_gumbel", lambda alpha, tau, noise: right(alpha, tau * 1.000001, noise))
    with pytest.raises(AssertionError):
        check(1, printed, "P", 1.0)
