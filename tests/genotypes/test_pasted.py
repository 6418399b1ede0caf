"""What people paste is read as the cell that it is, or refused in a sentence; nothing of it is ever evaluated."""

from __future__ import annotations

import json
import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gdas_lite as gl
from gdas_lite.genotypes.lookup import find_cell, load_cell
from gdas_lite.genotypes.parse import parse_genotype
from gdas_lite.genotypes.pasted import NASLIB_OPS, NNI_OPS, benchmark_ops, fragments, naslib_ops
from tests.genotypes.darts_text import darts_text

ARCH = "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_1x1~2|"
CELL = gl.NASBench201Genotype.parse(ARCH)
OTHER = ARCH.replace("none", "nor_conv_3x3")
DARTS = gl.zoo_genotype("DARTS_V2")
FRC = gl.NASNetGenotype(DARTS.normal, None)
RNN = gl.zoo_genotype("DARTS_V2@recurrent") if "DARTS_V2@recurrent" in gl.zoo() else gl.zoo_genotype("DARTS_V1@recurrent")


def autodl_dictionary(genotype, strength="0.148", name="{!r}", number="{}"):
    """As AutoDL-Projects prints it, three entries a pair."""
    def cell(nodes):
        return "[" + ", ".join("(" + ", ".join(f"({name.format(op)}, {number.format(source)}, {strength})" for op,
        source in node)
                               + ")" for node in nodes) + "]"
    text = f"'normal': {cell(genotype.normal)}, 'normal_concat': [2, 3, 4, 5]"
    if genotype.reduce is not None:
        text += f", 'reduce': {cell(genotype.reduce)}, 'reduce_concat': [2, 3, 4, 5]"
    return "{" + text + "}"


def nni_2(genotype, source=lambda number: number):
    """NNI's hub: `load_searched_model` of its DARTS space."""
    return {f"{kind}/{what}_{node}_{place}": op if what == "op" else source(number)
            for kind in ("normal", "reduce") for node, pairs in enumerate(getattr(genotype, kind), 2)
            for place, (op, number) in enumerate(pairs) for what in ("op", "input")}


def nni_1(genotype, value, with_switch=True):
    """NNI 1.x: every input of a node has a key, two of them an operation."""
    short = {long: name for name, long in NNI_OPS.items()}
    data = {}
    for kind in ("normal", "reduce"):
        for node, pairs in enumerate(getattr(genotype, kind), 2):
            ops = {source: value(short[op]) for op, source in pairs}
            data |= {f"{kind}_n{node}_p{source}": ops.get(source, value(None)) for source in range(node)}
            if with_switch:
                data[f"{kind}_n{node}_switch"] = [f"{kind}_n{node}_p{source}" for source in ops]
    return data


def in_nni_order(genotype):
    """Pairs by rising input, as NNI 1.x has them; nodes with one input twice it cannot write."""
    return gl.NASNetGenotype(*(tuple(tuple(sorted(node, key=lambda pair: pair[1])) for node in cell)
                               for cell in (genotype.normal, genotype.reduce)))


DARTS_TEXT = darts_text(DARTS)
MARKS = {name: [name == each for each in NNI_OPS] for name in [*NNI_OPS, None]}
NNI_201 = {"0_1": "avg_pool_3x3", "0_2": "skip_connect", "0_3": "conv_1x1", "1_2": "none", "1_3": "avg_pool_3x3",
"2_3": "conv_1x1"}

PASTED = [
    # AutoDL-Projects: GDAS-FRC has no reduction cell; NumPy 2 prints the type of a scalar
    (autodl_dictionary(FRC), FRC), (autodl_dictionary(FRC, "np.float32(0.148)"), FRC),
    (autodl_dictionary(DARTS, "np.float64(0.1)", "np.str_({!r})", "np.int64({})"), DARTS),
    (autodl_dictionary(DARTS, "tensor(0.1480, device='cuda:0')"), DARTS),
    (autodl_dictionary(DARTS, "1.4e-01"), DARTS),
    (DARTS_TEXT[:-1] + ", connectN=None, connects=None)", DARTS), (json.dumps(json.loads(autodl_dictionary(
        DARTS).replace("'", '"').replace("(", "[").replace(")", "]"))), DARTS),
    ("[Search the 249-th epoch]\nbest genotype is : " + autodl_dictionary(FRC, "np.float32(0.2)") + "\n", FRC),
    # assignments, positional fields, other modules' names, comments
    (f"DARTS_V2 = {DARTS_TEXT}", DARTS), (f"  genotype = genotypes.{DARTS_TEXT}  # epoch 49", DARTS),
    (f"DARTS_V2={DARTS_TEXT};\n", DARTS),
    (DARTS_TEXT.replace(", normal_concat", ",\n    # it's the normal cell's\n    normal_concat"), DARTS),
    (DARTS_TEXT.replace("normal=", "").replace("normal_concat=", "").replace("reduce=", "").replace("reduce_concat=",
    ""), DARTS),
    (DARTS_TEXT.replace("[2, 3, 4, 5]", "range(2, 6)").replace("(normal", "(\n    normal"), DARTS),
    (f"RNN = {darts_text(RNN)}", RNN),
    (darts_text(RNN).replace("recurrent=", "").replace("concat=", ""), RNN),
    # log lines
    (f"2019-05-01 10:02:11,234 genotype = {DARTS_TEXT}", DARTS),
    (f"11/13 08:32:14 PM genotype = {DARTS_TEXT}\n", DARTS),
    (f"INFO:root:epoch 49 {{'lr': 0.001}} genotype {DARTS_TEXT} valid_acc 88.2", DARTS),
    (f"<<<--->>> The 249-250-th epoch : Structure(4 nodes with {ARCH})", CELL),
    (f"Structure(4 nodes with {ARCH})", CELL),
    (f"_Structure(4 nodes with {ARCH})", CELL),
    (f"[cifar10-valid] REA : best arch is [Structure(4 nodes with {ARCH})], test_acc", CELL),
    (f"[011-250] cell genotype: {ARCH}, acc@1 54.3%", CELL),
    (f"| epoch | arch |\n| 12 | {ARCH} |".replace("| epoch | arch |\n", ""), CELL),
    (f"{{'genotype': {DARTS_TEXT}, 'epoch': 3}}", DARTS), (json.dumps({"epoch": 3, "genotype": ARCH}), CELL),
    (f"{{'arch': '{ARCH}', 'acc': np.float64(94.3)}}", CELL), (f"{ARCH}\n{ARCH}", CELL), (f"log: {DARTS}", DARTS),
    # quotes, several lines, byte order mark
    (f"'{ARCH}'", CELL), (f'"{ARCH}",', CELL), (f"`{ARCH}`", CELL), (f"\ufeff{ARCH}\n", CELL),
    (f"arch = '{ARCH}'", CELL),
    (ARCH.replace("+", "+\n"), CELL), (ARCH.replace("+", "+\r\n    "), CELL), (ARCH.replace("+", " + "), CELL),
    ("('" + ARCH.replace("+", "+'\n '") + "')", CELL), (ARCH[:40] + "\n" + ARCH[40:], CELL),
    (ARCH[:25] + "\n  " + ARCH[25:], CELL),
    ('"' + ARCH[:40] + '" \\\n    "' + ARCH[40:] + '"', CELL), ("\ufeff" + str(DARTS), DARTS),
    (f"'''{DARTS_TEXT}'''", DARTS),
    # NASLib; its own example in NAS-Bench-Suite-Zero
    ("(4, 0, 3, 1, 4, 3)", CELL), ("[4, 0, 3, 1, 4, 3]", CELL), ("403143", CELL), ("[4 0 3 1 4 3]", CELL),
    ("'(4, 0, 3, 1, 4, 3)'", CELL),
    ("op_indices: [4, 0, 3, 1, 4, 3]", CELL),
    ("[np.int64(4), np.int64(0), np.int64(3), np.int64(1), np.int64(4), np.int64(3)]", CELL),
    ("tensor([4, 0, 3, 1, 4, 3])", CELL), ("best arch = (4,0,3,1,4,3)", CELL),
    # numbers in a fence, beside a comment, named in a log line
    ("```python\n(4, 0, 3, 1, 4, 3)\n```", CELL), ("~~~\n403143\n~~~", CELL), ("[4, 0, 3, 1, 4, 3]  # the best of 4", CELL),
    ("# found by GDAS, seed 0\n403143\n", CELL), ("// found\n(4, 0, 3, 1, 4, 3)", CELL),
    ("[2024-05-01 10:00:00] [epoch 049/050] arch=(4, 0, 3, 1, 4, 3) acc=93.2%", CELL),
    ("Found:\n\n```python\ngenotype = [4, 0, 3, 1, 4, 3]  # epoch 49\n```\n\nHow good is it?", CELL),
    ("self.op_indices = (4, 0, 3, 1, 4, 3), 93.2", CELL), ("arch:\n  - 403143\nacc: 93.2\n", CELL),
    ("10:00:01 INFO best: NATS-Bench index 1234 with 93.2 %", load_cell("1234")), ("arch index 1234, acc 93.2", load_cell("1234")),
    ("```\nNATS-Bench index 1234\n```", load_cell("1234")),
    # NNI
    (json.dumps(nni_2(DARTS)), DARTS), (repr(nni_2(DARTS)), DARTS),
    (json.dumps(nni_2(DARTS, lambda number: [number]), indent=2), DARTS),
    (f"exported_arch = {nni_2(DARTS)!r}", DARTS), (json.dumps(nni_2(DARTS) | {"width": 36, "num_cells": 20}), DARTS),
    (json.dumps({f"model/{name}": value for name, value in nni_2(DARTS).items()}), DARTS),
    (json.dumps(nni_1(DARTS, lambda name: name or [])), in_nni_order(DARTS)),
    (json.dumps(nni_1(DARTS, lambda name: [name] if name else [], with_switch=False)), in_nni_order(DARTS)),
    (json.dumps(nni_1(DARTS, lambda name: list(NNI_OPS).index(name) if name else [])), in_nni_order(DARTS)),
    (json.dumps(nni_1(DARTS, MARKS.get)), in_nni_order(DARTS)),
    (repr(nni_1(DARTS, lambda name: name or [])), in_nni_order(DARTS)),
    (repr(NNI_201), CELL), (json.dumps(NNI_201), CELL),
    (json.dumps({f"cell/{edge}": op for edge, op in NNI_201.items()}), CELL),
    # a word processor's quotes and spaces, signs that look alike, signs that nobody sees
    (DARTS_TEXT.replace("'", "\u2019"), DARTS), (DARTS_TEXT.replace("('", "(\u2018").replace("',", "\u2019,"), DARTS),
    (re.sub('"([^"]*)"', "\u201c\\1\u201d", str(DARTS)), DARTS), (re.sub('"([^"]*)"', "\u201e\\1\u201c", str(DARTS)), DARTS),
    (f"\u201c{ARCH}\u201d", CELL), (DARTS_TEXT.replace(" ", "\u00a0"), DARTS), (str(DARTS).replace(" ", "\u202f"), DARTS),
    (ARCH.replace("|", "\uff5c").replace("~", "\uff5e"), CELL), (ARCH.replace("|", "\u2502"), CELL),
    (ARCH[:30] + "\u200b" + ARCH[30:], CELL), (DARTS_TEXT[:40] + "\u00ad" + DARTS_TEXT[40:], DARTS),
    # a terminal's colours, prompts, mail, a diff
    (f"\x1b[32m{DARTS_TEXT}\x1b[0m", DARTS), (f"[32m{ARCH}[0m", CELL), (ARCH.replace("+", "\x1b[0m+\x1b[1m"), CELL),
    (f"\x1b[32m12:00:00\x1b[0m | \x1b[1mINFO\x1b[0m | \x1b[36mmain\x1b[0m:\x1b[36m1\x1b[0m - \x1b[1m{DARTS_TEXT}\x1b[0m", DARTS),
    (">>> g = " + DARTS_TEXT.replace(", normal_concat", ",\n...     normal_concat"), DARTS),
    ("In [3]: g = " + DARTS_TEXT.replace(", normal_concat", ",\n   ...:     normal_concat"), DARTS),
    ("> " + DARTS_TEXT.replace(", normal_concat", ",\n> > normal_concat"), DARTS), (f"> {ARCH[:40]}\n> {ARCH[40:]}", CELL),
    ("+DARTS_V2 = " + DARTS_TEXT.replace("), (", "),\n+    ("), DARTS),
    # Markdown, TeX, HTML; a string literal around it
    (ARCH.replace("|", "\\|").replace("_", "\\_"), CELL), (DARTS_TEXT.replace("_", "\\_"), DARTS), (ARCH.replace("|", " | "), CELL),
    (DARTS_TEXT.replace("'", "&#39;"), DARTS), (str(DARTS).replace('"', "&quot;"), DARTS), (f"```json\n{DARTS}\n```", DARTS),
    # from the source or the PDF of a paper
    ("\\texttt{" + ARCH.replace("_", "\\_").replace("~", "$\\sim$") + "}", CELL),
    (ARCH.replace("_", "\\_").replace("~", "\\textasciitilde{}").replace("|", "\\textbar{}"), CELL),
    (ARCH.replace("~", "\\textasciitilde ").replace("|", "$\\vert$"), CELL),
    ("\\lstinline{" + ARCH + "}", CELL), ("\\verb!" + ARCH + "!", CELL), (ARCH.replace("3x3", "3\u00d73"), CELL),
    (DARTS_TEXT.replace("3x3", "3$\\times$3"), DARTS), (DARTS_TEXT.replace("3x3", "3\u00d73"), DARTS),
    (f"class Genotype(NamedTuple):\n    normal: list\n\nDARTS_V2 = {DARTS_TEXT}", DARTS),
    (DARTS_TEXT.replace("[2, 3, 4, 5]", "list(range(2, 6))"), DARTS),
    (DARTS_TEXT.replace("[2, 3, 4, 5]", "tuple([2, 3, 4, 5])"), DARTS),
    (json.dumps(str(DARTS)), DARTS), (repr(repr(ARCH)), CELL), (repr(DARTS_TEXT.replace("), (", "),\n (")), DARTS),
    # other dictionaries, numbers and commas that Python prints or lets pass
    ("dict(" + DARTS_TEXT.removeprefix("Genotype("), DARTS), ("namespace(" + DARTS_TEXT.removeprefix("Genotype("), DARTS),
    (re.sub(r"(\w+)=((?:\[.*?\]|range\(.*?\)))", r"('\1', \2)", DARTS_TEXT).replace("Genotype(", "OrderedDict([")[:-1] + "])", DARTS),
    (f"OrderedDict({autodl_dictionary(DARTS)})", DARTS), (autodl_dictionary(DARTS, "nan"), DARTS),
    (autodl_dictionary(FRC, "-inf"), FRC), (autodl_dictionary(DARTS, "tensor(0.1, grad_fn=<SelectBackward0>)"), DARTS),
    (autodl_dictionary(DARTS, "tensor(0.1, requires_grad=True)"), DARTS), (str(DARTS)[:-1] + ",\n}", DARTS),
]


@pytest.mark.parametrize("text, genotype", PASTED, ids=[text[:40] for text, _ in PASTED])
def test_what_people_paste_is_read(text, genotype):
    assert parse_genotype(text) == genotype
    assert load_cell(text) == genotype


def test_candidates_of_nni_1_are_those_of_its_darts_example_in_its_order():
    """Its numbers and marks mean places in it. The texts above are made of the same table, so they cannot tell."""
    assert list(NNI_OPS.items()) == [
        ("maxpool", "max_pool_3x3"), ("avgpool", "avg_pool_3x3"), ("skipconnect", "skip_connect"), ("sepconv3x3", "sep_conv_3x3"),
        ("sepconv5x5", "sep_conv_5x5"), ("dilconv3x3", "dil_conv_3x3"), ("dilconv5x5", "dil_conv_5x5")]


@pytest.mark.parametrize("text, sentence", [
    (f"{ARCH}\n{OTHER}", "the text holds 2 different cells; give one of them"),
    (f"epoch 1 {DARTS_TEXT}\nepoch 2 {ARCH}", "2 different cells"),
    (f"{DARTS_TEXT} {autodl_dictionary(FRC)}", "2 different cells"),
    ("Structure(5 nodes with |none~0|+|none~0|none~1|+|none~0|none~1|none~2|+|none~0|none~1|none~2|none~3|)", "three groups"),
    (f'{{"space": "nasbench201", "arch": "{OTHER}", "arch": "{ARCH}"}}', "has the field 'arch' twice"),
    (ARCH.replace("~0", "~\u0660"), "expected operation~input"), ("\u0664\u0660\u0663\u0661\u0664\u0663", "expected .op~0"),
    (DARTS_TEXT.replace(", 0)", ", nan)"), "the input must be a whole number, got nan"),
    ("OrderedDict([('normal', 3), 4])", "fields? reduce is missing|expected a list"), ("dict(normal=print())", "it may hold only"),
    (f"{ARCH}garbage", "expected .op~input"), (f"x{ARCH}", "between bars"),
    (f"{ARCH}|none~0|", "expected operation~input"),
    (f"Structure(4 nodes with {ARCH.replace('none', 'sep_conv')})", "unknown operation 'sep_conv'"),
    ("(4, 0, 3, 1, 4, 5)", "NASLib's operation indices, each 0..4"), ("403147", "each 0..4"),
    ("arch=(4, 0, 3, 1, 4, 3)\narch=(4, 0, 3, 1, 4, 4)", "2 different cells"), ("best arch=403147, 93.2", "each 0..4"),
    ("epoch 12, index 1234, batch 403143", "expected .op~0"), ("seed 403143\nlr (1, 2, 3, 4, 0, 1)", "expected .op~0"),
    ("[4, 0, 3, 1, 4]", "expected .op~0"), ("learning rates [4, 0, 3, 1, 4, 3]", "expected .op~0"),
    (json.dumps(dict(list(NNI_201.items())[:5])), "lacks the edge 2_3"),
    (json.dumps({name: value for name, value in nni_2(DARTS).items() if "_5_" not in name}), "with the nodes 2, 3, 4, 5"),
    (json.dumps({name: value for name, value in nni_2(DARTS).items() if name != "reduce/op_3_0"}), "operation is missing"),
    (json.dumps({name: value for name, value in nni_2(DARTS).items() if name.startswith("n")}), "the reduce cell has"),
    (json.dumps(nni_1(DARTS, lambda name: "sepconv3x3", with_switch=False)), "three inputs"),
    (json.dumps(nni_1(DARTS, lambda name: name and "conv7x7")), "unknown operation 'conv7x7'"),
    (autodl_dictionary(FRC).replace(", 'normal_concat': [2, 3, 4, 5]", ""), "the field reduce is missing"),
    (DARTS_TEXT.replace("Genotype(normal=", "Genotype("), "value without a name"),
    ("{'normal': np.load('x'), 'normal_concat': []}", "may hold only lists"),
    ("Genotype(normal=os.system('x'))", "may hold only lists"),
    ("Genotype(normal=np.int64(*[1]))", "may hold only lists"),
    ("Genotype(normal=np.int64(open('x')))", "may hold only lists"),
    ("Genotype(normal=np.random.int64(1))", "may hold only lists"),
    ("NATS-Bench index 15625", "is 0..15624, got 15625"),
    ("{" * 50_000, "cannot read|nested too deeply|not JSON"), ('{"a": ' * 9_000, "nested too deeply|not JSON"),
    ("Genotype(" * 10_000, "cannot read"), ("'" * 50_000 + "|~", "NAS-Bench-201 cell"),
    ("|a~0" * 20_000, "NAS-Bench-201 cell"),
])
def test_what_is_no_cell_or_two_is_refused_in_one_sentence(text, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        parse_genotype(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_naslib_indices_of_all_cells_are_all_cells():
    """An independent way round: NASLib's edges (1, 2), (1, 3), (1, 4), (2, 3), (2, 4),
    (3, 4), sorted by their end."""
    for cell in random.Random(0).sample(list(gl.NASBench201Genotype.all()), 300):
        by_edge = {(src + 1, dst + 1): op for src, dst, op in cell.edges}
        digits = [NASLIB_OPS.index(by_edge[edge]) for edge in sorted(by_edge)]
        assert naslib_ops(str(tuple(digits))) == naslib_ops("".join(map(str, digits))) == cell.ops


def test_an_index_means_the_benchmarks_order():
    cells = gl.tabular("nasbench201").cells
    assert [str(gl.NASBench201Genotype(benchmark_ops(index))) for index in range(0, 15_625, 25)] == list(cells[::25])
    for text in ("1234", "index 1234", "NATS-Bench index 1234", "index=1234", "arch-index: 1234", "nats 1234"):
        assert str(load_cell(text)) == cells[1234]
    assert "index 1234 of NATS-Bench, in the order of the benchmark's files" in find_cell("1234").origin
    assert "NASLib" in find_cell("403143").origin
    for text in ("15625", "99999"):
        with pytest.raises(ValueError, match="an index of NATS-Bench is 0..15624"):
            load_cell(text)
    with pytest.raises(ValueError, match="expected .op~0"):
        parse_genotype("1234")      # a bare number is an index only where its meaning is said
    for text in ("-1", "- 1", "-1234", "_5", "--7", "-0"):        # no sign belongs to an index
        for read in (parse_genotype, find_cell):
            with pytest.raises((ValueError, KeyError)):
                read(text)


def test_a_number_that_is_also_a_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("1234", "403143"):
        (tmp_path / name).write_text(ARCH)
        with pytest.raises(ValueError, match=f"and a file or folder here; write ./{name} for that"):
            load_cell(name)
        assert load_cell(f"./{name}") == CELL


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_files_with_a_byte_order_mark(tmp_path, encoding):
    for genotype in (CELL, DARTS, RNN):
        (tmp_path / "cell.json").write_text(str(genotype), encoding=encoding)
        assert load_cell(tmp_path / "cell.json") == genotype


def test_a_file_may_be_a_log(tmp_path):
    (tmp_path / "log.txt").write_text(f"03/01 param size = 3.3MB\n03/01 genotype = {DARTS_TEXT}\n03/01 epoch 0 lr 2.5e-02\n")
    assert load_cell(tmp_path / "log.txt") == DARTS


PIECES = [*list("()[]{}|+~,:'\"=# \n\\"), "Genotype(", "{'normal': ", '{"space": ', "np.int64(1)", "np.str_('none')", "none~0",
          "normal",
          "Structure(4 nodes with ", ARCH, "0_1", "normal/op_2_0", "normal_n2_p0", "index 3", "403143", "[1, 2]",
          "True", "\x00", "\ufeff",
          "recurrent", "'reduce': ", "tensor(", "range(", "1", "__import__('os')", "é", "|none~0|"]
pasted_like = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
keys = st.sampled_from(["0_1", "1_2", "normal/op_2_0", "normal/input_2_0", "reduce/op_5_1", "normal_n2_p0",
"normal_n3_switch", "normal",
                        "normal_concat", "reduce", "recurrent", "space", "arch", "genotype", "a/0_1"])
values = st.recursive(st.none() | st.booleans() | st.integers(-9,
9) | st.text(max_size=4) | st.sampled_from([*NNI_OPS, "none"]),
                      lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12)


@settings(max_examples=500, deadline=None)
@given(st.one_of(pasted_like, st.dictionaries(keys, values).map(json.dumps), st.dictionaries(keys, values).map(repr)))
def test_any_text_is_a_cell_or_a_sentence(text):
    for read in (parse_genotype, load_cell):
        try:
            genotype = read(text)
        except (ValueError, KeyError, gl.RunError) as problem:      # RunError: "~" and "." are folders
            assert "\n" not in str(problem.args[0])
        else:
            assert parse_genotype(str(genotype)) == genotype


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PASTED), st.integers(0, 10**6), st.sampled_from(PIECES))
def test_a_damaged_paste_is_the_same_cell_or_a_sentence(example, place, piece):
    """One piece put in anywhere: what is read must be a cell; a changed one only where the piece changed its words."""
    text, genotype = example
    place %= len(text) + 1
    try:
        found = parse_genotype(text[:place] + piece + text[place:])
    except ValueError as problem:
        assert "\n" not in str(problem)
    else:
        assert found.space == genotype.space or re.search(r"\w", piece)


def test_cutting_is_linear_in_the_text():
    """A quadratic matcher would take minutes for these; the runner's patience is the limit."""
    for text in ("|" + "a" * 99_000, "| " * 49_000 + "~", "|none~0|" + " " * 99_000, "Genotype" + " " * 99_000,
    "'\\" * 49_000 + "{'",
                 "{'" + "\\'" * 49_000, "a " * 49_000, "[" * 99_000, "1 " * 49_000, "index" + " " * 90_000):
        assert fragments(text)
        with pytest.raises(ValueError):
            parse_genotype(text)


def test_numpy_prints_are_those_of_this_numpy():
    pairs = [(np.str_("sep_conv_3x3"), np.int64(0)), (np.str_("skip_connect"), np.int64(1))]
    text = f"Genotype(normal={pairs!r}, normal_concat=range(2, 3), reduce={pairs!r}, reduce_concat={[np.int64(2)]!r})"
    assert parse_genotype(text).normal == ((("sep_conv_3x3", 0), ("skip_connect", 1)),)
