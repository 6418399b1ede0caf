"""The zoo browser without a browser: each cell's size counted again, its results those of `published`, its scenes its own."""

from __future__ import annotations

import pytest

import gdas_lite as gl
from gdas_lite.genotypes.notation import NASBENCH201_OPS
from gdas_lite.visual.widgets import zoo_browser
from gdas_lite.visual.widgets.cell_builder import _costs
from gdas_lite.visual.widgets.zoo_browser import ZooBrowser
from tests.visual.widgets.made_up_searches import made_up_table


@pytest.fixture(scope="module")
def browser():
    return ZooBrowser()


def on_meta(genotype):
    import torch
    with torch.device("meta"):
        return gl.network(genotype)


def test_every_cell_of_the_zoo_is_there_with_its_own_text_and_drawing(browser):
    assert [cell["name"] for cell in browser.cells] == list(gl.zoo())
    for cell in browser.cells:
        entry = gl.zoo_entry(cell["name"])
        assert cell["text"] == str(entry.genotype) and cell["space"] == entry.space and cell["note"] == entry.note
        assert len(cell["scenes"]) == (2 if entry.space == "nasnet" else 1)


def test_stored_sizes_are_counted_again():
    costs = zoo_browser.costs()
    assert set(costs) == {f"{entry.name}@{entry.space}" for entry in gl.zoo().values()}
    edge = _costs({"channels": 16, "cells_per_stage": 5, "classes": 10, "image_channels": 3}, 32)
    for entry in gl.zoo("nasbench201").values():
        counted = [edge[what]["base"] + sum(edge[what]["edge"][NASBENCH201_OPS.index(op)] for op in entry.genotype.ops)
                   for what in ("parameters", "multiply_adds")]
        assert list(costs[f"{entry.name}@nasbench201"]) == counted, entry.name
    for entry in gl.zoo("recurrent").values():
        assert costs[f"{entry.name}@recurrent"] == (gl.count_parameters(on_meta(entry.genotype)), None), entry.name
    network = on_meta(gl.zoo_genotype("AmoebaNet"))     # one of twelve: counting takes seconds
    assert costs["AmoebaNet@nasnet"] == (gl.count_parameters(network), gl.multiply_adds(network, (3, 32, 32)))


def test_results_are_those_published_under_the_name_or_the_methods(browser):
    shown = {cell["name"]: cell for cell in browser.cells}
    values = [result.number.split()[0] for result in gl.published("GDAS_V1")]
    assert [row["value"].split()[0] for row in shown["GDAS_V1"]["results"]] == values and not shown["GDAS_V1"]["is_of_method"]
    found = shown["GDAS_found_on_cifar10_run0"]
    assert found["is_of_method"] and found["results"][1]["value"] == "93.61 ± 0.09 %"
    assert len(shown["resnet"]["results"]) == len(gl.published("resnet", space="nasbench201")) > 0
    assert shown["GDAS_found_on_cifar100_run0"]["results"] == []        # the method's numbers are of searches on CIFAR-10


def test_a_table_tells_accuracy_and_rank_of_its_own_space():
    table = made_up_table()
    for cell in ZooBrowser("resnet", table, "toy_valid_1").cells:
        if cell["space"] == "nasbench201":
            assert cell["score"] == (f"{table.accuracy(cell['text'], 'toy_valid_1'):.2f} % in toy_valid_1, "
                                     f"rank {table.rank(cell['text'], 'toy_valid_1'):,} of 15,625")
        else:
            assert cell["score"] == ""
    with pytest.raises(KeyError, match="unknown column"):
        ZooBrowser(table=table, column="toy_test_2")


def test_the_cell_chosen_can_be_read_and_set(browser):
    browser.name = "DARTS"              # an alias
    assert browser.name == "DARTS_V2" and browser.entry is gl.zoo_entry("DARTS_V2")
    browser.name = "DARTS@recurrent"
    assert browser.name == "DARTS_V2@recurrent" and browser.genotype == gl.zoo_genotype("DARTS_V2@recurrent")
    assert ">DARTS_V2@recurrent<" in browser.static_twin()["image/svg+xml"]
    with pytest.raises(KeyError, match="did you mean GDAS_V1"):
        browser.name = "GDAS_V2"
    assert gl.ZooBrowser is ZooBrowser
