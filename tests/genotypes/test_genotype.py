"""Genotypes: parsers are strict and never evaluate, texts and JSON go round, errors name the node."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gdas_lite as gl
from gdas_lite import diagrams
from gdas_lite.genotypes.nasbench201 import NASBench201Genotype
from gdas_lite.genotypes.nasnet import NASNetGenotype
from gdas_lite.genotypes.notation import NASBENCH201_OPS, NASNET_GENOTYPE_OPS, RECURRENT_ACTIVATIONS, nearest
from gdas_lite.genotypes.parse import genotype_from_json, parse_genotype
from gdas_lite.genotypes.recurrent import RecurrentGenotype
from tests.genotypes.darts_text import darts_text

ALL_SKIP = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
DARTS_V2_TEXT = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
    "normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
    "('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), "
    "('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)
SKIPS = [[["skip_connect", 0], ["skip_connect", 1]]] * 4      # a valid cell, the background of the bad ones


# --- strategies -----------------------------------------------------------------------------------

nasbench201_cells = st.tuples(*[st.sampled_from(NASBENCH201_OPS)] * 6).map(NASBench201Genotype)


@st.composite
def image_cells(draw: st.DrawFn) -> tuple[list, list[int]]:
    """(nodes, concat) of a valid cell of one to six nodes."""
    count = draw(st.integers(1, 6))
    nodes = [[[draw(st.sampled_from(NASNET_GENOTYPE_OPS)), draw(st.integers(0, node - 1))] for _ in range(2)]
             for node in range(2, 2 + count)]
    concat = draw(st.sets(st.integers(2, count + 1), min_size=1))
    return nodes, sorted(concat)


@st.composite
def nasnet_genotypes(draw: st.DrawFn) -> NASNetGenotype:
    normal, normal_concat = draw(image_cells())
    reduce, reduce_concat = draw(st.one_of(st.just((None, [2, 3, 4, 5])), image_cells()))
    return NASNetGenotype(normal, reduce, normal_concat, reduce_concat)


@st.composite
def recurrent_genotypes(draw: st.DrawFn) -> RecurrentGenotype:
    count = draw(st.integers(1, 12))
    steps = [(draw(st.sampled_from(RECURRENT_ACTIVATIONS)), draw(st.integers(0, i))) for i in range(count)]
    return RecurrentGenotype(steps, sorted(draw(st.sets(st.integers(1, count), min_size=1))))


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 9), st.floats(), st.text(max_size=5),
              st.sampled_from(NASNET_GENOTYPE_OPS + RECURRENT_ACTIVATIONS)),
    lambda inner: st.lists(inner, max_size=4), max_leaves=12)
field_names = st.sampled_from(["space", "arch", "ops", "normal", "reduce", "normal_concat", "reduce_concat",
                               "steps", "concat", "other"])
spaces = st.sampled_from(["nasbench201", "nasnet", "recurrent"])


# --- NAS-Bench-201 --------------------------------------------------------------------------------

def test_the_arch_string_gives_the_operation_of_each_edge_in_the_order_of_the_alpha_rows():
    text = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_3x3~0|none~1|skip_connect~2|"
    cell = NASBench201Genotype.parse(text)
    assert cell.edges == ((0, 1, "avg_pool_3x3"), (0, 2, "nor_conv_1x1"), (1, 2, "skip_connect"),
                          (0, 3, "nor_conv_3x3"), (1, 3, "none"), (2, 3, "skip_connect"))
    assert str(cell) == text


def test_edges_that_are_left_out_are_none():
    sparse = NASBench201Genotype.parse("|nor_conv_3x3~0|+|nor_conv_3x3~1|+|skip_connect~0|skip_connect~2|\n")
    assert str(sparse) == ("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|")


@given(nasbench201_cells)
def test_nasbench201_text_and_json_go_round(cell):
    assert NASBench201Genotype.parse(str(cell)) == cell
    assert parse_genotype(str(cell)) == cell
    assert genotype_from_json(json.loads(json.dumps(cell.to_json()))) == cell
    assert NASBench201Genotype.from_json({"space": "nasbench201", "ops": list(cell.ops)}) == cell


@given(nasbench201_cells, st.sets(st.integers(0, 5)))
def test_leaving_out_none_edges_never_changes_the_cell(cell, left_out):
    groups = [[f"{op}~{src}" for e, (src, dst, op) in enumerate(cell.edges)
               if dst == node and not (op == "none" and e in left_out)] for node in (1, 2, 3)]
    if all(groups):
        assert NASBench201Genotype.parse("+".join("|" + "|".join(group) + "|" for group in groups)) == cell


@pytest.mark.parametrize("text, message", [
    ("|skip_connect~0|+|skip_connect~0|", r"three groups.*got 2"),
    (ALL_SKIP + "+|none~0|", r"three groups.*got 4"),
    ("", r"three groups.*got 1"),
    (ALL_SKIP.replace("|skip_connect~0|skip_connect~1|+", "skip_connect~0|skip_connect~1|+"),
     r"node 2: expected \|op"),
    (ALL_SKIP[:-1], r"node 3: expected \|op~input\|"),
    (ALL_SKIP.replace("|skip_connect~0|+", "||+", 1), r"node 1: it has no edge; write \|none~0\|"),
    (ALL_SKIP.replace("skip_connect~2", "skip_conect~2"),
     r"node 3: unknown operation 'skip_conect', did you mean skip_connect"),
    (ALL_SKIP.replace("skip_connect~2", "zzz~2"),
     r"node 3: unknown operation 'zzz', known are none, skip_connect"),
    (ALL_SKIP.replace("skip_connect~2", "skip_connect~3"),
     r"node 3: input 3 does not come before it; inputs must be 0..2"),
    (ALL_SKIP.replace("skip_connect~2", "skip_connect~1"), r"node 3: input 1 stands twice"),
    ("|none~0|+|none~1|none~0|+|none~0|", r"node 2: inputs must rise, got 0 after 1"),
    (ALL_SKIP.replace("skip_connect~2", "skip_connect"), r"node 3: expected operation~input"),
    (ALL_SKIP.replace("skip_connect~2", "skip_connect~2 "), r"node 3: expected operation~input"),
    (ALL_SKIP.replace("|+|", "| + |"), r"node 1: expected \|op~input\|"),
    (ALL_SKIP.replace("skip_connect~2", "skip_connect~²"), r"node 3: expected operation~input"),
    (ALL_SKIP.replace("skip_connect~2", "skip_connect~-1"), r"node 3: expected operation~input"),
])
def test_a_bad_arch_string_gets_one_sentence_that_names_the_node(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        NASBench201Genotype.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ops, message", [
    (("none",) * 5, "expected six operations.*got 5"),
    (("none",) * 5 + ("conv",), r"node 3, input 2: unknown operation 'conv'"),
    (("none",) * 5 + (None,), r"node 3, input 2: the operation is missing"),
    (("none",) * 5 + (4,), r"node 3, input 2: expected the name of an operation, got 4"),
    ("none", "expected six operations, got 'none'"),
])
def test_bad_operations_are_refused(ops, message):
    with pytest.raises(ValueError, match=message):
        NASBench201Genotype(ops)


def test_all_cells_come_once_in_the_documented_order():
    cells = list(NASBench201Genotype.all())
    assert len(cells) == len(set(cells)) == 15_625
    for position in (0, 1, 7, 4_242, 15_624):
        digits = [int(digit) for digit in np.base_repr(position, 5).zfill(6)]
        assert cells[position].ops == tuple(NASBENCH201_OPS[digit] for digit in digits)


def test_15284_cells_are_connected_by_an_independent_count():
    def has_path(ops):      # the four paths from node 0 to node 3, by edge numbers
        return any(all(ops[e] != "none" for e in path) for path in ((3,), (0, 4), (1, 5), (0, 2, 5)))

    cells = list(NASBench201Genotype.all())
    assert [cell.is_connected for cell in cells] == [has_path(cell.ops) for cell in cells]
    assert sum(cell.is_connected for cell in cells) == 15_284


def test_neighbours_are_the_24_cells_one_edit_away():
    cell = NASBench201Genotype.parse(ALL_SKIP)
    neighbours = cell.neighbours()
    assert len(set(neighbours)) == 24
    assert all(sum(a != b for a, b in zip(cell.ops, other.ops)) == 1 for other in neighbours)
    assert all(cell in other.neighbours() for other in neighbours)


def test_neighbours_and_random_cells_are_the_benchmarks_beside_a_candidate_of_ones_own(monkeypatch):
    monkeypatch.setattr("gdas_lite.genotypes.nasbench201.NASBENCH201_OPS", (*NASBENCH201_OPS, "own"))
    rng, neighbours = np.random.default_rng(0), NASBench201Genotype.parse(ALL_SKIP).neighbours()
    ops = {op for cell in (*neighbours, *(NASBench201Genotype.random(rng) for _ in range(50))) for op in cell.ops}
    assert len(neighbours) == 24 and ops == set(NASBENCH201_OPS)


def test_random_cells_follow_the_generator_and_are_uniform():
    first = [NASBench201Genotype.random(np.random.default_rng(3)) for _ in range(2)]
    assert first[0] == first[1]
    rng = np.random.default_rng(0)
    draws = [NASBench201Genotype.random(rng) for _ in range(2_000)]
    for e in range(6):
        counts = [sum(cell.ops[e] == op for cell in draws) for op in NASBENCH201_OPS]
        assert all(abs(count - 400) < 5 * 18 for count in counts)      # 18 = sqrt(2000 * 0.2 * 0.8)


def test_equal_canonical_functions_make_6466_classes():
    keys = {cell.canonical_function() for cell in NASBench201Genotype.all()}
    assert len(keys) == 6_466


def test_canonical_function_agrees_with_the_classes_of_the_benchmark_table(shared_data):
    path = shared_data / "nasbench201" / "nasbench201.csv.gz"
    with gzip.open(path, "rt", newline="") as file:
        pairs = {(NASBench201Genotype.parse(row["arch"]).canonical_function(), row["iso_class"])
                 for row in csv.DictReader(file)}
    assert len(pairs) == len({key for key, _ in pairs}) == len({iso for _, iso in pairs}) == 6_466


def _slow_function(cell: NASBench201Genotype, x: np.ndarray) -> np.ndarray:
    """The cell with stand-in operations on a vector: distinct, non-linear, zero only for zero input."""
    functions = {"none": lambda v: 0 * v, "skip_connect": lambda v: v, "nor_conv_1x1": np.tanh,
                 "nor_conv_3x3": lambda v: np.tanh(3 * v) * 1.7, "avg_pool_3x3": lambda v: 0.6 * v}
    nodes = [x, 0 * x, 0 * x, 0 * x]
    for src, dst, op in cell.edges:
        nodes[dst] = nodes[dst] + functions[op](nodes[src])
    return nodes[3]


def test_cells_with_the_same_canonical_function_compute_the_same():
    x = np.linspace(-1, 1, 7)
    first: dict[str, np.ndarray] = {}
    for cell in NASBench201Genotype.all():
        value = _slow_function(cell, x)
        np.testing.assert_allclose(value, first.setdefault(cell.canonical_function(), value), atol=1e-12)


# --- NASNet space ---------------------------------------------------------------------------------

@given(nasnet_genotypes())
def test_nasnet_text_json_and_darts_text_go_round(genotype):
    assert parse_genotype(str(genotype)) == genotype
    assert parse_genotype(darts_text(genotype)) == genotype
    assert genotype_from_json(json.loads(json.dumps(genotype.to_json()))) == genotype
    assert hash(parse_genotype(str(genotype))) == hash(genotype)


def test_the_text_that_the_darts_code_prints_is_read():
    genotype = parse_genotype(DARTS_V2_TEXT)
    assert genotype.normal[3] == (("skip_connect", 0), ("dil_conv_3x3", 2))
    assert genotype.reduce[1] == (("skip_connect", 2), ("max_pool_3x3", 1))
    assert genotype.normal_concat == genotype.reduce_concat == (2, 3, 4, 5)


def test_autodl_projects_texts_are_read_names_translated_and_strengths_dropped():
    printed = ("{'normal': [(('dua_sepc_3x3', 0, 0.13), ('dil_sepc_5x5', 1, 0.125)), (('skip_connect', 0), "
               "('dua_sepc_5x5', 2))], 'normal_concat': [2, 3], "
               "'reduce': None, 'reduce_concat': [2, 3, 4, 5]}")
    genotype = parse_genotype(printed)
    assert genotype == NASNetGenotype([[("sep_conv_3x3", 0), ("dil_conv_5x5", 1)],
                                       [("skip_connect", 0), ("sep_conv_5x5", 2)]], None, (2, 3))
    flat = parse_genotype("Genotype(normal=[('dil_sepc_3x3', 0, 0.2), ('skip_connect', 1, -0.1)], "
                          "normal_concat=[2], reduce=None)")
    assert flat.normal == ((("dil_conv_3x3", 0), ("skip_connect", 1)),)


@pytest.mark.parametrize("node, message", [
    ([], "normal cell, node 4: it has no input; a node has exactly two"),
    ([["skip_connect", 0]], "normal cell, node 4: it has one input;"),
    ([["skip_connect", 0]] * 3, "normal cell, node 4: it has three inputs;"),
    ([["skip_connect", 0], ["skip_connect", 4]],
     r"normal cell, node 4: input 4 does not exist yet; inputs must be 0..3"),
    ([["skip_connect", 0], ["skip_connect", -1]],
     "normal cell, node 4: input -1 does not exist; inputs must be 0..3"),
    ([["skip_connect", 0], ["sep_conv_3x4", 1]],
     "node 4: unknown operation 'sep_conv_3x4', did you mean sep_conv_3x3"),
    ([["skip_connect", 0], [None, 1]], "normal cell, node 4: the operation is missing"),
    ([["skip_connect", 0], ["", 1]], "normal cell, node 4: the operation is missing"),
    ([["skip_connect", 0], ["none", 1]], "normal cell, node 4: none is a candidate of the search"),
    ([["skip_connect", 0], [1, "skip_connect"]],
     "normal cell, node 4: expected .operation, input.*swap the two"),
    ([["skip_connect", 0], ["skip_connect"]], r"normal cell, node 4: expected an \(operation, input\) pair"),
    ([["skip_connect", 0], ["skip_connect", 1.5]],
     "normal cell, node 4: the input must be a whole number, got 1.5"),
    ([["skip_connect", 0], ["skip_connect", True]],
     "normal cell, node 4: the input must be a whole number, got True"),
    ("skip_connect", r"normal cell, node 4: expected two \(operation, input\) pairs, got 'skip_connect'"),
])
def test_a_bad_node_gets_one_sentence_that_names_cell_and_node(node, message):
    with pytest.raises(ValueError, match=message) as caught:
        NASNetGenotype([*SKIPS[:2], node, *SKIPS[:1]], SKIPS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fields, message", [
    ({"normal": SKIPS, "reduce": SKIPS, "normal_concat": [2, 3, 6]},
     r"normal cell, concat: node 6 does not exist; it can hold 2..5"),
    ({"normal": SKIPS, "reduce": SKIPS, "reduce_concat": [1, 2]},
     "reduction cell, concat: node 1 does not exist"),
    ({"normal": SKIPS, "reduce": SKIPS, "normal_concat": []},
     "normal cell, concat: expected at least one node"),
    ({"normal": SKIPS, "reduce": SKIPS, "normal_concat": [2, 2]},
     "normal cell, concat: each node stands once and in rising"),
    ({"normal": SKIPS, "reduce": SKIPS, "normal_concat": [3, 2]},
     "normal cell, concat: each node stands once and in rising"),
    ({"normal": SKIPS, "reduce": SKIPS, "normal_concat": 5},
     "normal cell, concat: expected a list of nodes, got 5"),
    ({"normal": SKIPS, "reduce": None, "reduce_concat": [2, 3]},
     "the fixed reduction cell puts out all of its four parts"),
    ({"normal": [], "reduce": SKIPS}, "normal cell: expected at least one node"),
    ({"normal": None, "reduce": SKIPS}, "normal cell: expected a list of nodes, got None"),
    ({"normal": SKIPS[:2], "reduce": SKIPS}, "normal cell, concat: node 4 does not exist"),
])
def test_bad_concats_and_node_counts_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        NASNetGenotype(**fields)


def test_both_inputs_of_a_node_may_be_the_same():
    cell = [[["avg_pool_3x3", 0], ["avg_pool_3x3", 0]]]
    assert NASNetGenotype(cell, cell, (2,), (2,)).normal[0] == (("avg_pool_3x3", 0), ("avg_pool_3x3", 0))


# --- recurrent space ------------------------------------------------------------------------------

@given(recurrent_genotypes())
def test_recurrent_text_json_and_darts_text_go_round(genotype):
    assert parse_genotype(str(genotype)) == genotype
    assert parse_genotype(darts_text(genotype)) == genotype
    assert genotype_from_json(json.loads(json.dumps(genotype.to_json()))) == genotype


def test_the_recurrent_text_that_the_darts_code_prints_is_read():
    genotype = parse_genotype("Genotype(recurrent=[('relu', 0), ('tanh', 1)], concat=range(1, 3))")
    assert genotype == RecurrentGenotype((("relu", 0), ("tanh", 1)), (1, 2))


@pytest.mark.parametrize("steps, concat, message", [
    ([("relu", 0), ("tanh", 2)], (1, 2),
     r"Recurrent cell, step 1: input 2 does not exist yet; inputs must be 0..1"),
    ([("relu", 0), ("tan", 1)], (1, 2), "step 1: unknown operation 'tan', did you mean tanh"),
    ([("none", 0)], (1,), "step 0: none is a candidate of the search"),
    ([("relu", 0)], (0, 1), r"recurrent cell, concat: node 0 does not exist; it can hold 1..1"),
    ([("relu", 0)], (1, 2), "recurrent cell, concat: node 2 does not exist"),
    ([], (1,), "expected at least one"),
    ([("relu",)], (1,), "step 0: expected an"),
])
def test_bad_recurrent_cells_are_refused(steps, concat, message):
    with pytest.raises(ValueError, match=message):
        RecurrentGenotype(steps, concat)


# --- any notation ---------------------------------------------------------------------------------

@pytest.mark.parametrize("data, message", [
    ([], "expected a JSON object"),
    ({}, 'lacks the field "space"'),
    ({"space": "nasbench"}, "unknown space 'nasbench', did you mean nasbench201"),
    ({"space": ["nasnet"]}, "unknown space"),
    ({"space": "nasbench201"}, 'needs "arch"'),
    ({"space": "nasbench201", "arch": 3}, '"arch" is text, got 3'),
    ({"space": "nasbench201", "arch": ALL_SKIP, "ops": ["none"] * 6}, 'needs "arch" .text. or "ops"'),
    ({"space": "nasnet", "normal": SKIPS}, "the field reduce is missing"),
    ({"space": "nasnet", "normal": SKIPS, "reduce": SKIPS, "concat": [2]},
     "unknown field 'concat', did you mean"),
    ({"space": "recurrent", "concat": [1]}, "the field steps is missing"),
])
def test_bad_json_objects_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        genotype_from_json(data)


@pytest.mark.parametrize("text, message", [
    ("GDAS_V1", re.escape("expected |op~0|+..., a JSON object or Genotype(...), got 'GDAS_V1'")),
    ('{"space": "nasnet",', "not JSON, .* at line 1, column"),
    ('{"space": ' + "9" * 5_000 + "}", "too many digits|unknown space"),
    ("{" + '"a":[' * 60_000, "nested too deeply|too many"),
    ("Genotype(normal=[('skip_connect', 0)], reduce=None)",
     r"normal cell: 1 \(operation, input\) pairs do not make"),
    ("Genotype([1])", "value without a name"),
    ("Genotype(**{})", "each field has a name"),
    ("Genotype(normal=open('x'))", "may hold only lists"),
    ("Genotype(normal=[x for x in ()])", "may hold only lists"),
    ("Genotype(normal=[], normal_concat=range(0, 10**9))", "may hold only lists"),
    ("Genotype(normal=[], normal_concat=range(0, 1000000000))", "range.first, last . 1. with numbers 0..64"),
    ("Genotype(normal=3)", "expected a list of .operation, input. pairs, got 3"),
    ("Genotype(", "cannot read"),
    ("Genotype(a=1is 2)", "cannot read|may hold only"),
    ("Genotype(a=" + "(" * 5_000, "cannot read"),
    ("Genotype(a=" + "-" * 50_000 + "1)", "cannot read|may hold only"),
    ("Genotype(recurrent=[('relu', 0)], concat=[1], extra=1)", "unknown field 'extra'"),
    ("x" * 200_000, "200000 characters are too many"),
])
def test_bad_text_is_refused_and_never_evaluated(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_genotype(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_of_many_names_the_first_are_told_and_how_many_more_there_are():
    assert nearest("zzz", [f"name{k}" for k in range(23)]).endswith("name18, name19 and 3 more")
    assert nearest("zzz", ["a", "b"]) == "known are a, b" and nearest("SKIP", ["skip", "b"]) == "did you mean skip?"


def test_text_must_be_text():
    for read in (parse_genotype, NASBench201Genotype.parse):
        with pytest.raises(TypeError, match="expected text, got NoneType"):
            read(None)


ARCH_PARTS = ["|", "+", "~", "0", "1", "2", "none", "skip_connect", " ", "\n", "é"]
DARTS_PARTS = [*list("()[]{},'=-1 "), "'skip_connect'", "range", "Genotype(", "normal=", "reduce=",
               "None", "normal_concat=", "lambda:0", "\x00"]
arch_like = st.lists(st.sampled_from(ARCH_PARTS), max_size=40).map("".join)
darts_like = st.lists(st.sampled_from(DARTS_PARTS), max_size=40).map(
    lambda parts: "Genotype(" + "".join(parts) + ")")


@settings(max_examples=400)
@given(st.one_of(st.text(), arch_like, darts_like, json_values.map(json.dumps)))
def test_arbitrary_text_raises_nothing_but_value_error(text):
    for read in (NASBench201Genotype.parse, parse_genotype):
        try:
            genotype = read(text)
        except ValueError as error:
            assert "\n" not in str(error)
        else:
            assert parse_genotype(str(genotype)) == genotype


@settings(max_examples=400)
@given(st.dictionaries(field_names, json_values, max_size=5), spaces)
def test_arbitrary_json_raises_nothing_but_value_error(data, space):
    for value in (data, data | {"space": space}):
        try:
            genotype = genotype_from_json(value)
        except ValueError as error:
            assert "\n" not in str(error)
        else:
            assert genotype_from_json(genotype.to_json()) == genotype


def test_genotypes_need_no_torch():
    code = ("import sys; sys.modules['torch'] = None\n"
            "from gdas_lite.genotypes.parse import parse_genotype\n"
            f"print(parse_genotype({ALL_SKIP!r}).is_connected)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_every_operation_may_stand_on_every_edge_of_the_small_space():
    for e, op in itertools.product(range(6), NASBENCH201_OPS):
        ops = tuple(op if i == e else "none" for i in range(6))
        assert NASBench201Genotype.parse(str(NASBench201Genotype(ops))).ops == ops


# --- what a notebook and a training make of a genotype -------------------------------------------

@pytest.mark.parametrize("text", [ALL_SKIP, DARTS_V2_TEXT, "Genotype(recurrent=[('relu', 0)], concat=[1])"])
def test_a_notebook_shows_the_drawing_and_plain_viewers_the_canonical_text(text):
    genotype = parse_genotype(text)
    bundle = diagrams.mimebundle(genotype)
    assert bundle["text/plain"] == str(genotype)
    assert "<svg" in bundle["image/svg+xml"]


def test_the_network_has_the_sizes_that_are_asked_for():
    pytest.importorskip("torch", reason="networks need torch")
    skip = NASBench201Genotype.parse(ALL_SKIP)
    assert sum(p.numel() for p in gl.network(skip).parameters()) == 73_306        # published size, 10 classes
    assert sum(p.numel() for p in gl.network(skip, classes=100).parameters()) == 79_156
    small = gl.network(skip, channels=4, cells_per_stage=1, classes=3, image_channels=1)
    assert small.stem[0].weight.shape == (4, 1, 3, 3)
