"""Drawn cells: what is in the picture, how it is drawn where programs are missing, what is saved."""

from __future__ import annotations

import base64
import io
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import graphviz
import numpy as np
import pytest

import gdas_lite as gl
from gdas_lite.genotypes.labels import CellLabels
from gdas_lite.genotypes.nasbench201 import NASBench201Genotype
from gdas_lite.genotypes.nasnet import NASNetGenotype
from gdas_lite.genotypes.recurrent import RecurrentGenotype
from gdas_lite.visual import diagrams
from gdas_lite.visual import render as rendering
from gdas_lite.visual.cell_graph import cell_graph, edge_probabilities, fixed_reduction_panel, operation_edges
from gdas_lite.visual.diagrams import Gallery, places
from gdas_lite.visual.layout import layers_of, layout
from gdas_lite.visual.palette import STYLES

SMALL = NASBench201Genotype(("nor_conv_3x3", "nor_conv_1x1", "none", "avg_pool_3x3", "skip_connect", "nor_conv_3x3"))
NODES = ((("skip_connect", 0), ("skip_connect", 1)), (("skip_connect", 0), ("sep_conv_5x5", 2)),
         (("sep_conv_3x3", 3), ("skip_connect", 0)), (("sep_conv_5x5", 4), ("dil_conv_3x3", 3)))
DOUBLE = ((("avg_pool_3x3", 0), ("avg_pool_3x3", 0)), *NODES[1:])       # one input twice, as in NASNet's cell
BOTH = NASNetGenotype(NODES, DOUBLE)
FIXED = NASNetGenotype(NODES, None)
RECURRENT = RecurrentGenotype((("relu", 0), ("relu", 0), ("identity", 1), ("relu", 1),
                               ("tanh", 0), ("relu", 2), ("identity", 4), ("sigmoid", 2)))
GENOTYPES = {"small": SMALL, "both": BOTH, "fixed": FIXED, "recurrent": RECURRENT}
RENDERERS = ("by_pygraphviz", "by_dot_program", "by_matplotlib")


@pytest.fixture(params=RENDERERS)
def renderer(request, monkeypatch):
    """Each way to draw, with the ways before it missing from the machine."""
    if request.param != "by_pygraphviz":
        monkeypatch.setitem(sys.modules, "pygraphviz", None)           # `import pygraphviz` raises ImportError
    if request.param == "by_matplotlib":
        monkeypatch.setenv("PATH", "")                                  # no `dot` program
    if request.param == "by_pygraphviz":
        pytest.importorskip("pygraphviz", exc_type=ImportError)
        monkeypatch.setenv("PATH", "")
    if request.param == "by_dot_program" and not _has_dot():
        pytest.skip("the `dot` program is not installed")
    return request.param


def _has_dot():
    try:
        graphviz.version()
    except graphviz.ExecutableNotFound:
        return False
    return True


def operations(svg):
    """Labels of the operations in an SVG whose text is text, sorted."""
    known = {style.label for style in STYLES.values()}
    return sorted(text for text in re.findall(r"<text[^>]*>([^<]+)</text>", svg) if text in known)


# --- the plain graph -------------------------------------------------------------------------------------------------

def test_nasbench201_edges_without_operation_are_left_out_or_dotted():
    dropped, = cell_graph(SMALL).panels
    shown, = cell_graph(SMALL, show_none=True).panels
    chips = [box.label for box in dropped.boxes if box.role == "operation"]
    assert chips == ["conv 3×3", "conv 1×1", "avg 3×3", "skip", "conv 3×3"]
    faint = [box for box in shown.boxes if box.role == "operation" and box.is_faint]
    assert [box.label for box in faint] == ["none"]
    assert all(arrow.is_dotted == (faint[0].name in (arrow.src, arrow.dst)) for arrow in shown.arrows)


def test_each_operation_stands_between_its_two_nodes():
    for kind, edges in operation_edges(BOTH).items():
        panel = next(panel for panel in cell_graph(BOTH).panels if panel.kind == kind)
        chips = [box for box in panel.boxes if box.role == "operation"]
        assert len(chips) == len(edges) == 8
        for chip, (src, dst, op) in zip(chips, edges):
            assert chip.label == STYLES[op].label
            assert [arrow.src for arrow in panel.arrows if arrow.dst == chip.name] == [f"{kind}_{src}"]
            assert [arrow.dst for arrow in panel.arrows if arrow.src == chip.name] == [f"{kind}_{dst}"]


def test_nodes_on_no_path_are_faint():
    dead_end = NASBench201Genotype.parse("|skip_connect~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    faint = {box.label for box in cell_graph(dead_end).panels[0].boxes if box.is_faint and box.role == "node"}
    assert faint == {"1", "2"}
    assert not [box for box in cell_graph(SMALL).panels[0].boxes if box.is_faint]
    nothing = cell_graph(NASBench201Genotype(("none",) * 6)).panels[0]
    assert nothing.arrows == ()
    assert {box.label for box in nothing.boxes if not box.is_faint} == {"0\ninput", "3\noutput"}


def test_dead_operations_are_drawn_apart_and_said_to_be_dead():
    cell = NASBench201Genotype.parse("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|")
    graph = cell_graph(cell)
    faint = {box.tooltip for box in graph.panels[0].boxes if box.is_faint and box.role == "operation"}
    assert faint == {f"nor_conv_3x3, node {edge}: reaches no output" for edge in ("0 to node 1", "2 to node 3")}
    assert {arrow.is_dotted for arrow in graph.panels[0].arrows if "_edge1" not in arrow.src + arrow.dst} == {True}
    assert graph.words == ("cell: nor_conv_3x3, node 0 to node 1: reaches no output; skip_connect, node 0 to node 3; "
                           "nor_conv_3x3, node 2 to node 3: reaches no output")


@pytest.mark.parametrize("name", GENOTYPES)
def test_every_drawing_says_what_it_shows(name, renderer):
    dot = diagrams.cell_dot(GENOTYPES[name], title="A & B")
    named = ElementTree.fromstring(diagrams.render_svg(dot)).get("aria-label")
    assert named == dot.cell.words and named.startswith("A & B. ")
    assert all(f"{op}, node {src} to node {dst}" in named for edges in operation_edges(GENOTYPES[name]).values()
               for src, dst, op in edges if op != "none")
    from PIL import Image
    with Image.open(io.BytesIO(diagrams.render_png(dot))) as picture:
        assert picture.info["Description"] == named


def test_fixed_reduction_cell_is_drawn_as_what_it_is():
    _, reduce = cell_graph(FIXED).panels
    assert reduce == fixed_reduction_panel() and "fixed" in reduce.title
    chips = {box.name: box.label.replace("\n", " ") for box in reduce.boxes if box.role == "operation"}
    from_input = {src: sorted(chips[arrow.dst] for arrow in reduce.arrows if arrow.src == src) for src in reduce.inputs}
    assert from_input == {"reduce_0": ["1×3, 3×1 1×1", "max 3×3"], "reduce_1": ["1×3, 3×1 1×1", "max 3×3"]}
    assert len([arrow for arrow in reduce.arrows if arrow.dst == "reduce_out"]) == 4


def test_only_concatenated_nodes_lead_to_the_output():
    part = NASNetGenotype(NODES, NODES, normal_concat=(4, 5), reduce_concat=(3, 5))
    joined = {panel.kind: {arrow.src for arrow in panel.arrows if arrow.dst.endswith("_out")}
              for panel in cell_graph(part).panels}
    assert joined == {"normal": {"normal_4", "normal_5"}, "reduce": {"reduce_3", "reduce_5"}}


def test_probabilities_are_written_and_widen_the_edge():
    low, high = 0.2, 0.9
    panel, = cell_graph(SMALL, {"cell": (low, high, low, low, low, low)}).panels
    chips = [box for box in panel.boxes if box.role == "operation"]
    assert [box.label.split("\n")[1] for box in chips] == ["0.200", "0.900", "0.200", "0.200", "0.200"]
    widths = [next(arrow.width for arrow in panel.arrows if arrow.dst == chip.name) for chip in chips]
    assert widths[1] > widths[0] == widths[2]


class OneEpoch:
    """A history of one epoch with given probabilities, as far as drawings look at it."""

    def __init__(self, **cells):
        self.labels = {kind: labels for kind, (labels, _) in cells.items()}
        self.op_probs = {kind: np.asarray(probabilities)[None] for kind, (_, probabilities) in cells.items()}


def test_edge_probabilities_finds_row_and_column():
    candidates = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    table = np.arange(30).reshape(6, 5) / 100
    found = edge_probabilities(SMALL, OneEpoch(cell=(CellLabels(SMALL.EDGES, candidates), table)))
    assert found == {"cell": (0.03, 0.07, 0.10, 0.19, 0.21, 0.28)}
    edges = tuple((src, dst) for dst in range(2, 6) for src in range(dst))
    ops = ("none", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3")
    table = np.arange(70).reshape(14, 5) / 100
    found = edge_probabilities(FIXED, OneEpoch(normal=(CellLabels(edges, ops), table)))
    assert found["normal"] == pytest.approx((0.01, 0.06, 0.11, 0.23, 0.42, 0.26, 0.68, 0.64))


def test_edge_probabilities_refuses_a_history_of_another_space():
    with pytest.raises(ValueError, match="history has the cells cell, but the genotype has a normal cell"):
        edge_probabilities(BOTH, OneEpoch(cell=(CellLabels(SMALL.EDGES, ("none",)), np.zeros((6, 1)))))
    with pytest.raises(ValueError, match="edge or an operation that the history does not know"):
        edge_probabilities(SMALL, OneEpoch(cell=(CellLabels(SMALL.EDGES, ("none",)), np.zeros((6, 1)))))


@pytest.mark.parametrize(("given", "message"), [
    ({"normal": (0.5,) * 6}, "unknown cell 'normal'; this genotype has cell"),
    ({"cell": (0.5,) * 5}, "has 6 edges but 5 probabilities"),
    ({"cell": (1.5,) * 6}, "in 0..1; take softmax"),
    ({"cell": (float("nan"),) * 6}, "in 0..1"),
])
def test_probabilities_that_do_not_fit_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        cell_graph(SMALL, given)


def test_what_is_no_genotype_is_refused():
    with pytest.raises(ValueError, match=r"expected a genotype .* got str; read text with parse_genotype"):
        diagrams.mimebundle(str(SMALL))
    with pytest.raises(ValueError, match="flow must be 'right' or 'down', got 'up'"):
        diagrams.cell_dot(SMALL, flow="up")


# --- our own layout --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", GENOTYPES)
def test_layout_runs_forward_and_nothing_overlaps(name):
    for panel in cell_graph(GENOTYPES[name]).panels:
        layer, sizes = layers_of(panel), {box.name: (10.0 + len(box.label), 12.0) for box in panel.boxes}
        assert all(layer[arrow.src] < layer[arrow.dst] for arrow in panel.arrows)
        plan = layout(panel, sizes)
        names = list(plan.centres)
        for i, one in enumerate(names):
            (x, y), (width, height) = plan.centres[one], sizes[one]
            assert width / 2 - 1e-6 <= x <= plan.length - width / 2 + 1e-6
            assert height / 2 - 1e-6 <= y <= plan.breadth - height / 2 + 1e-6
            for other in names[:i]:
                dx, dy = abs(x - plan.centres[other][0]), abs(y - plan.centres[other][1])
                assert dx >= (width + sizes[other][0]) / 2 or dy >= (height + sizes[other][1]) / 2, (one, other)
        for arrow, ways in zip(panel.arrows, plan.routes):
            xs = [plan.centres[arrow.src][0], *(x for x, _ in ways), plan.centres[arrow.dst][0]]
            assert xs == sorted(xs)


# --- rendering -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", GENOTYPES)
def test_every_way_to_draw_gives_a_picture(renderer, name):
    bundle = diagrams.mimebundle(GENOTYPES[name])
    assert set(bundle) == {"image/svg+xml", "image/png", "text/plain"}
    assert bundle["text/plain"] == str(GENOTYPES[name])
    svg = ElementTree.fromstring(bundle["image/svg+xml"])
    assert bundle["image/svg+xml"].startswith("<svg ") and svg.tag.endswith("svg")
    assert float(svg.get("width").removesuffix("pt")) > 200
    assert len(bundle["image/svg+xml"]) < 100_000 and len(bundle["image/png"]) < 60_000
    pixels = png_pixels(base64.b64decode(bundle["image/png"]))
    assert pixels[0, 0, 3] == 0, "the ground must be transparent"


@pytest.mark.parametrize("name", GENOTYPES)
def test_colours_of_all_operations_are_in_the_picture(renderer, name):
    pixels = png_pixels(diagrams.render_png(diagrams.cell_dot(GENOTYPES[name])))
    opaque = pixels[pixels[..., 3] > 250][:, :3].astype(int)
    for op in {op for edges in operation_edges(GENOTYPES[name]).values() for _, _, op in edges if op != "none"}:
        wanted = [int(STYLES[op].colour[i:i + 2], 16) for i in (1, 3, 5)]
        close = np.abs(opaque - wanted).max(axis=1) <= 6        # the PNG has a palette
        assert close.sum() > 60, f"{op} is not to be seen"


def png_pixels(png):
    from PIL import Image
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGBA"))


def test_graphviz_svg_names_the_operations():
    pytest.importorskip("pygraphviz", exc_type=ImportError)
    assert operations(diagrams.render_svg(diagrams.cell_dot(SMALL))) == sorted(
        ["conv 3×3", "conv 1×1", "avg 3×3", "skip", "conv 3×3"])
    assert "c_{k-2}" not in diagrams.render_svg(diagrams.cell_dot(BOTH))


@pytest.mark.parametrize(("name", "flow", "least"), [
    ("small", "right", 10), ("recurrent", "right", 10), ("both", "down", 9), ("fixed", "right", 8),
    ("fixed", "down", 9)])
def test_text_can_be_read_at_600_pixels(renderer, name, flow, least):
    svg = ElementTree.fromstring(diagrams.render_svg(diagrams.cell_dot(GENOTYPES[name], flow=flow)))
    natural = float(svg.get("viewBox").split()[2]) * 96 / 72
    assert 11 * 96 / 72 * min(1, 600 / natural) >= least, "height of the letters in pixels"


def test_two_cells_side_by_side_can_be_read_at_notebook_width(renderer):
    svg = ElementTree.fromstring(diagrams.render_svg(diagrams.cell_dot(BOTH)))
    shown, height = (float(svg.get(side).removesuffix("pt")) for side in ("width", "height"))
    assert 2.5 * height < shown <= 630      # points: 840 pixels
    drawn = float(svg.get("viewBox").split()[2])
    assert 11 * 96 / 72 * shown / drawn >= 8, "height of the letters in pixels"


@pytest.mark.parametrize("name", [name for name in GENOTYPES if name != "small"])
def test_first_input_stands_above_the_second(name):
    pygraphviz = pytest.importorskip("pygraphviz", exc_type=ImportError)
    dot = diagrams.cell_dot(GENOTYPES[name])
    graph = pygraphviz.AGraph(string=dot.source)
    graph.layout(prog="dot")
    for panel in dot.cell.panels:
        heights = [float(graph.get_node(box).attr["pos"].split(",")[1]) for box in panel.inputs]
        assert heights == sorted(heights, reverse=True)


def test_a_broken_pygraphviz_is_passed_over(monkeypatch):
    class Broken:
        class AGraph:
            def __init__(self, string):
                raise ValueError("Program dot not found in path.")       # pygraphviz 1 without the program

    monkeypatch.setitem(sys.modules, "pygraphviz", Broken)
    monkeypatch.setenv("PATH", "")
    assert rendering.by_pygraphviz(diagrams.cell_dot(SMALL), "svg") is None
    assert diagrams.render_svg(diagrams.cell_dot(SMALL)).startswith("<svg ")


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for `dot` is a shell script")
def test_the_dot_program_is_used_when_pygraphviz_is_missing(monkeypatch, tmp_path):
    program = tmp_path / "dot"
    answer = '<?xml version="1.0"?><!DOCTYPE svg><!-- x --><svg width="1pt"><title>y</title></svg>'
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o755)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    svg = diagrams.render_svg(diagrams.cell_dot(SMALL))
    words = cell_graph(SMALL).words
    assert svg == f'<svg role="img" aria-label="{words}" style="max-width:100%;height:auto" width="1pt"></svg>'
    program.write_text("#!/bin/sh\nexit 3\n")           # a program that fails is passed over too
    assert "conv" in diagrams.cell_dot(SMALL).source and len(diagrams.render_svg(diagrams.cell_dot(SMALL))) > 1000


def test_font_warnings_are_kept_from_stderr_and_nothing_else():
    code = ("import os, gdas_lite.visual.render as r\n"
            "with r._without_font_warnings():\n"
            "    os.write(2, b'Fontconfig warning: x\\nError: y\\n')\n"
            "os.write(2, b'after\\n')\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "Error: y\nafter\n"


def test_drawing_writes_nothing_to_stderr():
    code = ("from gdas_lite.genotypes.parse import NASBench201Genotype as G\n"
            "from gdas_lite.visual.diagrams import mimebundle\n"
            "print(len(mimebundle(G(('skip_connect',) * 6))))\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("3\n", "")


# --- in notebooks and files ------------------------------------------------------------------------------------------

def test_genotype_drawing_and_dot_show_themselves(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert diagrams.mimebundle(SMALL)["image/svg+xml"].startswith("<svg")
    drawing = diagrams.CellDrawing(SMALL, show_none=True)._repr_mimebundle_()
    assert drawing["text/plain"] == str(SMALL)
    assert drawing["image/svg+xml"] != diagrams.mimebundle(SMALL)["image/svg+xml"]
    dot = diagrams.cell_dot(SMALL)
    assert isinstance(dot, graphviz.Digraph) and dot._repr_mimebundle_()["text/plain"] == dot.source


@pytest.mark.parametrize(("suffix", "start"), [
    ("svg", b"<svg "), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("dot", b"digraph"), ("PNG", b"\x89PNG")])
def test_save_by_suffix(renderer, tmp_path, suffix, start):
    path = diagrams.save(BOTH, tmp_path / f"cell.{suffix}")
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("name, write", {
    "cell.svg": lambda path: diagrams.save(SMALL, path), "cell.dot": lambda path: diagrams.save(SMALL, path),
    "page.html": lambda path: gl.TemperatureExplorer().to_html(path),
    "table.csv": lambda path: gl.tabular("nasbench201").write_csv(path)}.items())
def test_a_full_disk_leaves_what_was_there(tmp_path, name, write):
    resource = pytest.importorskip("resource")      # not on Windows
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    write(tmp_path / name)
    before = (tmp_path / name).read_bytes()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
        with pytest.raises(OSError, match="File too large"):
            write(tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {name: before}


def test_save_says_what_is_wrong(tmp_path):
    with pytest.raises(ValueError, match=r"'cell.gif': the name must end in one of .svg, .png, .pdf, .dot"):
        diagrams.save(SMALL, tmp_path / "cell.gif")
    with pytest.raises(FileNotFoundError, match="the folder .* does not exist"):
        diagrams.save(SMALL, tmp_path / "nowhere" / "cell.svg")
    assert list(tmp_path.iterdir()) == []


def test_title_stands_in_the_picture_and_is_not_markup():
    pytest.importorskip("pygraphviz", exc_type=ImportError)
    assert "A &lt;&amp; B" in diagrams.render_svg(diagrams.cell_dot(SMALL, title="A <& B"))


def test_gallery_places_do_not_overlap():
    corners, whole = places([(10, 5), (20, 8), (30, 4)], columns=2)
    assert corners == [(10, 0), (44, 0), (0, 22)] and whole == (64, 26)


def test_gallery_holds_every_cell_once(renderer):
    gallery = Gallery(GENOTYPES, columns=2)
    svg = ElementTree.fromstring(gallery.svg())
    assert len([child for child in svg if child.tag.endswith("svg")]) == len(GENOTYPES)
    ids = re.findall(r'\bid="([^"]+)"', gallery.svg())
    assert len(ids) == len(set(ids)) > 0
    assert png_pixels(gallery.png()).shape[1] > 600
    assert "both: " in gallery._repr_mimebundle_()["text/plain"]


def test_gallery_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one genotype"):
        Gallery({})
    with pytest.raises(ValueError, match="read text with parse_genotype"):
        Gallery({"a": str(SMALL)}).svg()
