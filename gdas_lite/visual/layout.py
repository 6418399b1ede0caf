"""Places the boxes of a drawn cell in layers, for machines without Graphviz.

The method is that of Sugiyama, Tagawa and Toda (1981) in its plainest form: longest-path layers, way points where a
line crosses a layer, order by barycentres, then positions as near to the neighbours' mean as the boxes' sizes allow. A
cell has some twenty boxes, so nothing here needs to be clever. Lengths are points; x is along the flow, y across it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from .cell_graph import Panel

LAYER_GAP, BOX_GAP, SWEEPS = 13.0, 7.0, 24
Point = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """centres: (x, y) by box name. routes: for each arrow, from the edge of its box to that of the other, where it
    enters and leaves each layer it crosses. length, breadth: the size of the whole, along and across the flow.
    """

    centres: dict[str, Point]
    routes: tuple[tuple[Point, ...], ...]
    length: float
    breadth: float


def layout(panel: Panel, boxes: Mapping[str, Point]) -> Layout:
    """Place the boxes of one cell. boxes: size (along, across) of each by its name, in points."""
    layer = layers_of(panel)
    chains, neighbours = _chains(panel, layer)
    members: dict[int, list[str]] = defaultdict(list)
    for name, place in layer.items():
        members[place].append(name)
    for place in members:
        members[place].sort(key=lambda name: panel.inputs.index(name) if name in panel.inputs else len(panel.inputs))
    sizes = {name: boxes.get(name, (0.0, 0.0)) for name in layer}      # a way point has none
    _order(members, neighbours, panel.inputs)
    across = _positions(members, neighbours, {name: size[1] for name, size in sizes.items()})
    along, half, end = {}, {}, 0.0
    for place in sorted(members):
        thick = max(sizes[name][0] for name in members[place])
        along |= dict.fromkeys(members[place], end + thick / 2)
        half |= dict.fromkeys(members[place], thick / 2)
        end += thick + LAYER_GAP
    low = min(across[name] - sizes[name][1] / 2 for name in layer)
    centres = {name: (along[name], across[name] - low) for name in layer}
    high = max(centres[name][1] + sizes[name][1] / 2 for name in layer)

    def beside(name: str, step: float) -> Point:
        return centres[name][0] + step, centres[name][1]

    routes = tuple((beside(arrow.src, sizes[arrow.src][0] / 2),
                    *(beside(way, side * half[way]) for way in chain for side in (-1, 1)),
                    beside(arrow.dst, -sizes[arrow.dst][0] / 2)) for arrow, chain in zip(panel.arrows, chains))
    return Layout({box.name: centres[box.name] for box in panel.boxes}, routes, end - LAYER_GAP, high)


def curves(route: Sequence[Point]) -> list[tuple[Point, Point, Point]]:
    """Returns the cubic pieces (two control points, end) of a smooth line that meets every point along the flow."""
    middles = [(start[0] + end[0]) / 2 for start, end in pairwise(route)]
    return [((middle, start[1]), (middle, end[1]), end) for middle, (start, end) in zip(middles, pairwise(route))]


def layers_of(panel: Panel) -> dict[str, int]:
    """The layer of each box: inputs in layer 0, arrows point to later layers, chips half way along their edge."""
    later = [(arrow.src, arrow.dst) for arrow in panel.arrows] + list(zip(panel.spine, panel.spine[1:]))
    layer = {box.name: 0 for box in panel.boxes}
    for _ in layer:                     # longest paths; no path is longer than there are boxes
        for src, dst in later:
            layer[dst] = max(layer[dst], layer[src] + 1)
    for box in panel.boxes:
        if box.role == "operation":
            before = max(layer[src] for src, dst in later if dst == box.name)
            after = min(layer[dst] for src, dst in later if src == box.name)
            layer[box.name] = (before + after) // 2 if after - before > 1 else layer[box.name]
    return layer


def _chains(panel: Panel, layer: dict[str, int]) -> tuple[list[list[str]], dict[str, list[str]]]:
    """Adds a way point to `layer` wherever an arrow crosses one; returns those of each arrow, and who is joined."""
    chains, neighbours = [], defaultdict(list)
    for number, arrow in enumerate(panel.arrows):
        ways = {f"way {number} {place}": place for place in range(layer[arrow.src] + 1, layer[arrow.dst])}
        layer |= ways
        chains.append(list(ways))
        path = [arrow.src, *ways, arrow.dst]
        for one, other in zip(path, path[1:]):
            neighbours[one].append(other)
            neighbours[other].append(one)
    return chains, neighbours


def _order(members: dict[int, list[str]], neighbours: dict[str, list[str]], inputs: tuple[str, ...]) -> None:
    """Sort each layer by the mean place of its neighbours, sweeping forth and back; the inputs keep their order."""
    for sweep in range(SWEEPS):
        for place in sorted(members, reverse=bool(sweep % 2)):
            spot = {name: (i + 0.5) / len(names) for names in members.values() for i, name in enumerate(names)}
            if not set(inputs) & set(members[place]):
                members[place].sort(key=lambda name: fmean([spot[other] for other in neighbours[name]] or [spot[name]]))


def _positions(members: dict[int, list[str]], neighbours: dict[str, list[str]],
               breadth: dict[str, float]) -> dict[str, float]:
    """Across the flow: every box near the mean of its neighbours, none over another."""
    position = {name: 30.0 * (i - (len(names) - 1) / 2) for names in members.values() for i, name in enumerate(names)}
    for _ in range(SWEEPS):
        for names in members.values():
            wanted = [fmean([position[other] for other in neighbours[name]] or [position[name]]) for name in names]
            position |= dict(zip(names, _apart(wanted, [breadth[name] for name in names])))
    return position


def _apart(wanted: list[float], breadths: list[float]) -> list[float]:
    """Positions in rising order, as far apart as the boxes need, whose mean is that of the wanted ones."""
    placed: list[float] = []
    for i, want in enumerate(wanted):
        free = placed[-1] + (breadths[i - 1] + breadths[i]) / 2 + BOX_GAP if placed else want
        placed.append(max(want, free))
    shift = fmean(wanted) - fmean(placed)
    return [place + shift for place in placed]
