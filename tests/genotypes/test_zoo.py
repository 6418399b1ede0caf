"""The zoo holds the published cells unchanged; published results carry their source and status."""

from __future__ import annotations

import json

import pytest

from gdas_lite.genotypes.parse import genotype_from_json, parse_genotype
from gdas_lite.genotypes.zoo import published, zoo, zoo_entry, zoo_genotype
from tests.genotypes.darts_text import darts_text

SPACE_OF_KIND = {"cnn": "nasnet", "rnn": "recurrent", "nb201": "nasbench201"}
IMAGE_CELLS = ["GDAS_V1", "GDAS_F1", "GDAS_GF", "GDAS_FG", "DARTS_V1", "DARTS_V2", "SETN", "NASNet", "PNASNet",
               "ENASNet", "AmoebaNet", "PDARTS"]


def test_every_published_cell_is_there_unchanged(shared_spec):
    reference = json.loads((shared_spec / "genotypes.json").read_text())["genotypes"]
    assert len(reference) == len(zoo())
    for given in reference:
        entry = zoo_entry(given["name"], SPACE_OF_KIND[given["kind"]])
        if given["kind"] == "nb201":
            assert entry.genotype == parse_genotype(given["arch"])
            nodes = [[[op, src] for src, dst, op in entry.genotype.edges if dst == node] for node in (1, 2, 3)]
            listed = [[pair for pair in node if pair in given["nodes"][i] or pair[0] != "none"]
                      for i, node in enumerate(nodes)]
            assert listed == given["nodes"]
        elif given["kind"] == "rnn":
            assert entry.genotype.to_json()["steps"] == given["recurrent"]
            assert list(entry.genotype.concat) == given["concat"]
        else:
            for field in ("normal", "reduce", "normal_concat", "reduce_concat"):
                assert entry.genotype.to_json()[field] == given[field]
            for kind in ("normal", "reduce"):
                strengths = [list(node) for node in entry.strengths.get(kind, ())]
                assert strengths == given.get(f"{kind}_strength", [])
        assert entry.note and entry.paper and entry.source


def test_twelve_image_cells_four_recurrent_cells_and_the_small_space():
    assert sorted(zoo("nasnet")) == sorted(IMAGE_CELLS)
    assert sorted(zoo("recurrent")) == ["DARTS_V1", "DARTS_V2", "ENAS", "GDAS"]
    assert {"resnet", "all_c3x3", "all_idnt", "GDAS_found_on_cifar10_run0"} < set(zoo("nasbench201"))


def test_the_frc_cells_have_no_reduction_cell_and_combinations_share_cells():
    assert zoo_genotype("GDAS_F1").reduce is None and zoo_genotype("GDAS_GF").reduce is None
    assert zoo_genotype("GDAS_GF").normal == zoo_genotype("GDAS_V1").normal
    assert zoo_genotype("GDAS_FG").normal == zoo_genotype("GDAS_F1").normal
    assert zoo_genotype("GDAS_FG").reduce == zoo_genotype("GDAS_V1").reduce


def test_a_plain_name_is_the_image_cell_and_the_recurrent_one_is_named():
    assert zoo_genotype("DARTS_V1").space == "nasnet"
    assert zoo_genotype("DARTS_V1@recurrent") == zoo_genotype("DARTS_V1", space="recurrent")
    assert zoo_genotype("DARTS_V1@recurrent").space == "recurrent"
    assert zoo_genotype("GDAS").space == "recurrent"
    assert zoo_genotype("DARTS") == zoo_genotype("DARTS_V2") == zoo_genotype("DARTS_V2@nasnet")
    assert zoo_genotype("DARTS", "recurrent") == zoo_genotype("DARTS_V2@recurrent")


def test_every_key_of_the_zoo_leads_to_its_own_entry():
    for key, entry in zoo().items():
        assert zoo_entry(key) == entry
    for space in ("nasnet", "nasbench201", "recurrent"):
        assert all(zoo_entry(key, space) == entry for key, entry in zoo(space).items())


def test_changing_the_returned_dictionary_changes_nothing():
    zoo().clear()
    zoo("nasnet").clear()
    assert len(zoo("nasnet")) == 12


@pytest.mark.parametrize("name, space, error, message", [
    ("GDAS_V2", None, KeyError, "no cell is called 'GDAS_V2', did you mean GDAS_V1"),
    ("gdas_v1", None, KeyError, "did you mean GDAS_V1"),
    ("GDAS_V1", "recurrent", KeyError, "no cell is called 'GDAS_V1' in the recurrent space, did you mean .*GDAS"),
    ("__import__('os')", None, KeyError, "no cell is called"),
    ("GDAS_V1@rnn", None, ValueError, "unknown space 'rnn'"),
    ("GDAS_V1@nasnet", "recurrent", ValueError, "contradict"),
    (3, None, TypeError, "a name is text, got int"),
])
def test_an_unknown_name_gets_the_nearest_ones(name, space, error, message):
    with pytest.raises(error, match=message):
        zoo_genotype(name, space)


def test_genotypes_of_the_zoo_go_round():
    for entry in zoo().values():
        assert genotype_from_json(json.loads(json.dumps(entry.genotype.to_json()))) == entry.genotype
        assert parse_genotype(str(entry.genotype)) == entry.genotype
        if entry.space != "nasbench201":
            assert parse_genotype(darts_text(entry.genotype)) == entry.genotype


# --- published results -------------------------------------------------------------------------------------

def values(*args, **kwargs) -> list[tuple[float, float | None]]:
    return [(result.value, result.spread) for result in published(*args, **kwargs)]


def test_published_errors_of_the_gdas_cells():
    table = [r for r in published("GDAS_V1", metric="test_error") if r.source == "GDAS paper, table 1"]
    assert {(r.data, r.setting.split(",")[0]): r.value for r in table} == {
        ("cifar10", "without cutout"): 3.87, ("cifar10", "with cutout"): 2.93,
        ("cifar100", "without cutout"): 19.68, ("cifar100", "with cutout"): 18.38}
    assert 2.82 in [r.value for r in published("GDAS_F1", data="cifar10", metric="test_error")]
    assert values("GDAS_GF", metric="test_error") == [(2.87, None)]
    assert values("GDAS_FG", metric="test_error") == [(2.84, None)]
    assert (26.15, None) in values("GDAS_V1", data="imagenet", metric="top1_error")


def test_published_results_of_darts_have_their_spread():
    assert (3.0, 0.14) in values("DARTS_V1", data="cifar10", metric="test_error")
    assert (2.76, 0.09) in values("DARTS_V2", space="nasnet", data="cifar10", metric="test_error")
    assert (55.7, None) in values("DARTS_V2@recurrent", data="ptb", metric="test_perplexity")
    assert values("GDAS", data="wikitext-2", metric="test_perplexity") == [(69.4, None)]


@pytest.mark.parametrize(("name", "options", "printed"), [
    ("DARTS_V1", {"data": "cifar10", "metric": "test_error", "space": "nasnet"}, {"3.00", "3.00 ± 0.14"}),
    ("GDAS_V1", {"data": "imagenet", "metric": "top1_error"}, {"26.0", "26.15", "26.00"}),
    ("AmoebaNet", {"data": "imagenet", "metric": "top5_error"}, {"8.0"}),
    ("GDAS", {"data": "wikitext-2", "metric": "valid_perplexity"}, {"71.0"}),
    ("GDAS", {"data": "wikitext-2", "metric": "params_M"}, {"33"}),
    ("GDAS", {"space": "nasbench201", "metric": "search_seconds"}, {"28925.91", "31609.8"})])
def test_published_numbers_are_printed_with_the_digits_of_their_sources(name, options, printed):
    assert printed <= {result.number for result in published(name, **options)}


def test_no_published_number_is_rounded():
    assert [result for result in published() if float(result.number.split()[0]) != result.value] == []


def test_published_searches_on_nas_bench_201():
    gdas = published("GDAS", space="nasbench201", data="cifar10", metric="test_accuracy")
    assert [(r.value, r.spread, r.status) for r in gdas] == [(93.61, 0.09, "secondary")]
    assert set(values("DARTS_V1@nasbench201", data="cifar10", metric="test_accuracy")) == {(54.3, 0.0)}
    assert (94.37, None) in values("optimal", data="cifar10", metric="test_accuracy")


def test_no_unconfirmed_number_is_shipped():
    assert {result.status for result in published()} == {"primary", "secondary"}
    shipped = {(result.value, result.spread) for result in published(space="nasbench201")}
    assert not shipped & {(90.00, 0.21), (93.51, 0.13), (82.25, 5.17), (91.19, 0.31), (90.82, 0.53)}


def test_each_result_says_where_it_comes_from():
    for result in published():
        assert result.source and result.data
        assert (result.unit == "%") == result.metric.endswith(("error", "accuracy"))
        assert str(result).endswith(f"; published, {result.source}")
    first = published("GDAS_V1", data="cifar10", metric="test_error")[0]
    search, = (result for result in published("GDAS_V1", metric="search_gpu_days") if "with cutout" in result.setting)
    assert str(search).startswith("GDAS_V1, cifar10, search: 0.21 GPU days (with cutout")      # the unit but once
    assert str(first) == ("GDAS_V1, cifar10, test error: 3.87 % (without cutout, C=36, N=6); published, GDAS paper, "
                          "table 1")


def test_names_of_published_results_are_cells_of_the_zoo_or_methods():
    for result in published():
        if result.space != "nasbench201" and result.name != "Random search":
            assert zoo_entry(result.name, result.space)


def test_the_optimum_agrees_with_the_benchmark_table():
    from gdas_lite.benchmark.table import tabular
    table = tabular("nasbench201")
    for data, short in (("cifar10", "c10"), ("cifar100", "c100"), ("imagenet16-120", "in16")):
        column = f"{short}_test_200"
        result, = published("optimal", data=data, metric="test_accuracy")
        assert result.value == round(table.accuracy(table.best(column), column), 2)
        for darts in published("DARTS_V1", space="nasbench201", data=data, metric="test_accuracy"):
            assert darts.value == round(table.accuracy(zoo_genotype("all_idnt"), column), 2)


@pytest.mark.parametrize("arguments, message", [
    ({"name": "GDAS_V2"}, "unknown name 'GDAS_V2', did you mean GDAS_V1"),
    ({"name": "GDAS_V1", "data": "cifar"}, "unknown data 'cifar', did you mean cifar10"),
    ({"metric": "error"}, "unknown metric 'error', did you mean"),
    ({"name": "GDAS@rnn"}, "unknown space 'rnn'"),
])
def test_unknown_words_get_the_nearest_ones(arguments, message):
    with pytest.raises(KeyError, match=message):
        published(**arguments)


def test_what_nobody_published_is_empty():
    assert published("GDAS_V1", data="ptb") == ()
