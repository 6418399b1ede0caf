"""The graph that is drawn for a genotype, as plain values: one panel a cell, nodes, operations and arrows.

An operation stands as a coloured chip in the middle of its edge, so an edge is two arrows with a chip between them.
`diagrams.py` turns this graph into DOT, `render.py` draws it without Graphviz. Nothing here draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

from ..genotypes.contents import operation_edges
from ..genotypes.functions import live_edges
from .palette import INK, NODE, style_of

Role = Literal["input", "node", "output", "operation"]
Flow = Literal["right", "down"]      # where the output of a cell lies
Probabilities = Mapping[str, Sequence[float]]       # cell kind -> one probability for each edge of the genotype


@dataclass(frozen=True)
class Box:
    """A node of the cell, or an operation on an edge.

    name: unique in the whole graph. tooltip: shown on hover.
    """

    name: str
    label: str
    role: Role
    colour: str = NODE
    tooltip: str = ""
    is_faint: bool = False      # drawn as an outline: it takes no part in the cell's result


@dataclass(frozen=True)
class Arrow:
    """A line from box `src` to box `dst`. width: points. `has_head` is false on the way to an operation's chip."""

    src: str
    dst: str
    colour: str = INK
    width: float = 1.4
    has_head: bool = True
    is_dotted: bool = False


@dataclass(frozen=True)
class Panel:
    """One cell. `inputs` stand first, in this order; each box of `spine` stands after the one before it."""

    kind: str
    title: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    inputs: tuple[str, ...]
    spine: tuple[str, ...] = ()


@dataclass(frozen=True)
class CellGraph:
    """The panels stand side by side, in order, under the title if there is one."""

    panels: tuple[Panel, ...]
    title: str = ""

    @property
    def words(self) -> str:
        """The drawing in words, for whom cannot see it: each cell with its operations, in the order of the edges."""
        texts = [self.title] if self.title else []
        for panel in self.panels:
            operations = "; ".join(box.tooltip for box in panel.boxes if box.role == "operation")
            texts.append(f"{panel.title or panel.kind}: {operations}")
        return ". ".join(texts)


def cell_graph(genotype: Any, probabilities: Probabilities | None = None, show_none: bool = False,
               title: str = "") -> CellGraph:
    """The graph of a genotype of any space.

    probabilities: for each cell kind ("cell", "normal", "reduce", "recurrent") one number in 0..1 for each edge of the
    genotype, in its order; written on the chips and drawn as the width of the edges. See `edge_probabilities`.
    show_none: draw the edges of a NAS-Bench-201 cell whose operation is none, dotted; otherwise they are left out.
    Raises ValueError for an unknown space, an unknown cell kind or a wrong number of probabilities.
    """
    edges = operation_edges(genotype)
    given = _checked(probabilities or {}, edges)
    if genotype.space == "recurrent":
        return CellGraph((_recurrent_panel(genotype, edges["recurrent"], given.get("recurrent")),), title)
    if genotype.space != "nasnet":
        return CellGraph(tuple(plain_panel(edges[kind], given.get(kind), show_none, kind) for kind in edges), title)
    normal = nasnet_panel("normal", "normal cell", edges["normal"], genotype.normal_concat, given.get("normal"))
    if "reduce" not in edges:
        return CellGraph((normal, fixed_reduction_panel()), title)
    reduce = nasnet_panel("reduce", "reduction cell", edges["reduce"], genotype.reduce_concat, given.get("reduce"))
    return CellGraph((normal, reduce), title)


def edge_probabilities(genotype: Any, history: Any, epoch: int = -1) -> dict[str, tuple[float, ...]]:
    """softmax(alpha) of each operation that the genotype chose, at one epoch of a search history, by cell kind.

    epoch: position in the history; -1 is the last. Raises ValueError if the history is of another space.
    """
    result = {}
    for kind, edges in operation_edges(genotype).items():
        if kind not in history.labels:
            raise ValueError(f"the history has the cells {', '.join(history.labels)}, but the genotype has a {kind} "
                             f"cell; take genotype and history from the same search")
        labels, op_probs = history.labels[kind], history.op_probs[kind]
        try:
            places = [(labels.edges.index((src, dst)), labels.candidates.index(op)) for src, dst, op in edges]
        except ValueError:
            raise ValueError(f"the {kind} cell of the genotype has an edge or an operation that the history does not "
                             f"know; take genotype and history from the same search") from None
        result[kind] = tuple(float(op_probs[epoch, row, column]) for row, column in places)
    return result


def _checked(probabilities: Probabilities, edges: Mapping[str, Sequence[Any]]) -> Probabilities:
    for kind, values in probabilities.items():
        if kind not in edges:
            raise ValueError(f"probabilities for an unknown cell {kind!r}; this genotype has {', '.join(edges)}")
        if len(values) != len(edges[kind]):
            raise ValueError(f"the {kind} cell has {len(edges[kind])} edges but {len(values)} probabilities came; "
                             f"give one for each edge, in the genotype's order")
        if not all(0 <= value <= 1 for value in values):
            raise ValueError(f"probabilities of the {kind} cell must be in 0..1; take softmax(alpha), not alpha")
    return probabilities


def _operations(kind: str, edges: Sequence[tuple[int, int, str]], probabilities: Sequence[float] | None,
                dead: Sequence[int] = ()) -> tuple[list[Box], list[Arrow]]:
    """The chip of each edge and the two arrows through it; dead: positions of edges that do not reach the output."""
    chips, arrows = [], []
    for number, (src, dst, op) in enumerate(edges):
        style, name, label = style_of(op), f"{kind}_edge{number}", style_of(op).label
        tooltip, width = f"{op}, node {src} to node {dst}", 1.4
        if probabilities is not None:
            probability = probabilities[number]
            label, tooltip = f"{label}\n{probability:.3f}", f"{tooltip}, softmax(alpha) = {probability:.4f}"
            width = 0.8 + 5 * probability
        if number in dead and op != "none":
            tooltip += ": reaches no output"
        dotted = op == "none" or number in dead
        chips.append(Box(name, label, "operation", style.colour, tooltip, is_faint=dotted))
        arrows += [Arrow(f"{kind}_{src}", name, style.colour, width, has_head=False, is_dotted=dotted),
                   Arrow(name, f"{kind}_{dst}", style.colour, width, is_dotted=dotted)]
    return chips, arrows


def plain_panel(edges: Sequence[tuple[int, int, str]], probabilities: Sequence[float] | None, show_none: bool,
                kind: str = "cell") -> Panel:
    """Returns the panel of a cell from its node 0 to its last node, as in NAS-Bench-201 and in spaces of one's own."""
    kept = [number for number, (_, _, op) in enumerate(edges) if show_none or op != "none"]
    live = live_edges(edges)
    used = {node for (src, dst, _), is_live in zip(edges, live) if is_live for node in (src, dst)}
    last = max(dst for _, dst, _ in edges)
    roles: dict[int, Role] = {0: "input", last: "output"}
    nodes = [Box(f"{kind}_{i}", f"{i}\n{roles[i]}" if i in roles else str(i), roles.get(i, "node"),
                 is_faint=i not in used | {0, last},
                 tooltip="" if i in used else f"node {i} is on no path from input to output") for i in range(last + 1)]
    given = None if probabilities is None else [probabilities[k] for k in kept]
    dead = [number for number, k in enumerate(kept) if not live[k]]
    chips, arrows = _operations(kind, [edges[k] for k in kept], given, dead)
    title = "" if kind == "cell" else f"{kind} cell"
    return Panel(kind, title, (*nodes, *chips), tuple(arrows), (f"{kind}_0",), spine=tuple(box.name for box in nodes))


def nasnet_panel(kind: str, title: str, edges: Sequence[tuple[int, int, str]], concat: Sequence[int],
                 probabilities: Sequence[float] | None) -> Panel:
    """Returns the panel of a normal or reduction cell; the inputs are the nodes 0 and 1."""
    steps = sorted({dst for _, dst, _ in edges})
    nodes = [*_cell_inputs(kind),
             *(Box(f"{kind}_{node}", str(node - 2), "node", tooltip=f"node {node - 2}: the sum of its two inputs")
               for node in steps),
             Box(f"{kind}_out", "concat", "output", tooltip="channels of the nodes side by side: the output c_k")]
    chips, arrows = _operations(kind, edges, probabilities)
    arrows += [Arrow(f"{kind}_{node}", f"{kind}_out", width=1.0) for node in concat]
    return Panel(kind, title, (*nodes, *chips), tuple(arrows), (f"{kind}_0", f"{kind}_1"))


def _cell_inputs(kind: str) -> list[Box]:
    return [Box(f"{kind}_0", "c_{k-2}", "input", tooltip="output of the cell before the last, brought to C channels"),
            Box(f"{kind}_1", "c_{k-1}", "input", tooltip="output of the last cell, brought to C channels")]


def fixed_reduction_panel() -> Panel:
    """The fixed reduction cell of GDAS-FRC: two branches of factorised convolutions and two max pools, concatenated.

    Source: GDAS paper (fixed reduction cell, FRC); groups as in AutoDL-Projects' code (the paper's figure shows none).
    """
    branches = (("1×3, 3×1\n1×1", style_of("conv_7x1_1x7").colour,      # the colour for factorised convolutions
                 "ReLU, 1×3 and 3×1 convolution (stride 2, 8 groups), BN, ReLU, 1×1 convolution, BN"),
                ("max 3×3", style_of("max_pool_3x3").colour, "3×3 max pooling, stride 2, BN"))
    boxes, arrows = _cell_inputs("reduce"), []
    for number, ((label, colour, tooltip), src) in enumerate(product(branches, (0, 1))):
        chip, part = f"reduce_edge{number}", f"reduce_{number + 2}"
        boxes += [Box(part, str(number), "node"), Box(chip, label, "operation", colour, tooltip)]
        arrows += [Arrow(f"reduce_{src}", chip, colour, has_head=False), Arrow(chip, part, colour),
                   Arrow(part, "reduce_out", width=1.0)]
    boxes.append(Box("reduce_out", "concat", "output", tooltip="channels of the four parts: the output c_k"))
    return Panel("reduce", "fixed reduction cell (stride 2)", tuple(boxes), tuple(arrows), ("reduce_0", "reduce_1"))


def _recurrent_panel(genotype: Any, edges: Sequence[tuple[int, int, str]],
                     probabilities: Sequence[float] | None) -> Panel:
    boxes = [Box("recurrent_x", "x_{t}", "input", tooltip="the word at time t"),
             Box("recurrent_h", "h_{t-1}", "input", tooltip="the hidden state before"),
             *(Box(f"recurrent_{state}", str(state), "node", tooltip=f"state {state}")
               for state in range(len(edges) + 1)),
             Box("recurrent_out", "mean", "output", tooltip="mean of the states: the new hidden state h_t")]
    chips, arrows = _operations("recurrent", edges, probabilities)
    arrows += [Arrow("recurrent_x", "recurrent_0"), Arrow("recurrent_h", "recurrent_0")]
    arrows += [Arrow(f"recurrent_{state}", "recurrent_out", width=1.0) for state in genotype.concat]
    return Panel("recurrent", "", (*boxes, *chips), tuple(arrows), ("recurrent_x", "recurrent_h"))
