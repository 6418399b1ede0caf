"""The NASNet space: normal and reduction cells of four nodes, fourteen edges, eight candidates; about 1e18 pairs.

From alpha to a cell there are two rules; `none` is never chosen, the better pair of a node stands first, and ties keep
the order of edges, then of candidates:

* two_best_edges: the importance of an edge is its largest op_prob; a node keeps its two best edges, each with its best
  operation. The papers' rule (GDAS paper, section 3.1 with T = 2; DARTS paper, section 2.4; their codes).
* two_best_pairs: a node's two most probable (operation, edge) pairs, which may lie on one edge (AutoDL-Projects).

Sources: DARTS paper, sections 2.1 and 3.1; GDAS paper, sections 3.1 and 4.1; quark0/darts and AutoDL-Projects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from ..genotypes.labels import CellLabels
from ..genotypes.nasnet import NASNetGenotype
from ..genotypes.notation import Cell
from ..relaxation import Mixture
from ..runs.schema import check_fields, check_has, check_sizes
from .nasnet_cells import EDGES, INCOMING, NODES, NONE, check_groups
from .nasnet_networks import Network, Supernet, check_image_size
from .operations import NASNET_CANDIDATES, LayerStyle

Rule = Literal["two_best_edges", "two_best_pairs"]
RULES = get_args(Rule)
Pairs = tuple[tuple[str, int], ...]     # of a node: (operation, input)
LABELS = CellLabels(EDGES, NASNET_CANDIDATES)
CELLS = {"paper": 8, "autodl": 6}


@dataclass(frozen=True)
class NASNet:
    """The space as a value: sizes of its supernet, and how alphas, mixtures and genotypes translate into each other.

    channels: C of the first cells (16 as published), at least 2.
    layout: "paper" (GDAS and DARTS papers; quark0/darts): 8 cells, no bias, batch norm after pooling, nothing before
        the classifier's average. "autodl" (AutoDL-Projects, an undocumented difference): 6 cells, biases before batch
        norm, no batch norm after pooling, batch norm and ReLU before the average.
    cells: None for the layout's number; reduction cells stand at cells // 3 and 2 * cells // 3. At least 3.
    fixed_reduction: GDAS-FRC: reduction cells are fixed, only the normal cell is searched; channels divisible by 4.
    deriving: "two_best_edges" (the papers) or "two_best_pairs" (AutoDL-Projects).
    track_running_stats: whether batch norm in the cells keeps running estimates. False: batch statistics in evaluation
        too, as the DARTS paper says; both codes track by default, which matters in evaluation mode alone.
    Raises ValueError for another layout or rule, or sizes that cannot be built.
    """

    channels: int = 16
    layout: Literal["paper", "autodl"] = "paper"
    cells: int | None = None
    fixed_reduction: bool = False
    deriving: Rule = "two_best_edges"
    track_running_stats: bool = False

    check_image_size = staticmethod(check_image_size)

    name: ClassVar[str] = "nasnet"
    network_class: ClassVar[type[nn.Module]] = Network
    gdas_variant: ClassVar[str] = "P"       # the paper's; AutoDL-Projects uses it too in this space
    data_kind: ClassVar[str] = "images"
    default_recipe: ClassVar[dict[str, Any]] = {        # the weights' settings of quark0/darts
        "epochs": 50, "nesterov": False, "weight_decay": 3e-4, "update_order": "alpha_first"}

    def __post_init__(self) -> None:
        check_fields(self)
        if self.cells is None:
            object.__setattr__(self, "cells", CELLS[self.layout])
        check_sizes(channels=self.channels, cells=self.cells)
        if self.fixed_reduction:
            check_groups(2 * self.channels)

    @property
    def labels(self) -> dict[str, CellLabels]:
        """The rows and columns of each alpha matrix: "normal" and, unless it is fixed, "reduce"; 14 x 8 each."""
        return {"normal": LABELS} if self.fixed_reduction else {"normal": LABELS, "reduce": LABELS}

    @property
    def style(self) -> LayerStyle:
        """How the layers of the cells normalise in the search: never affine."""
        is_autodl = self.layout == "autodl"
        return LayerStyle(affine=False, bias=is_autodl, track_running_stats=self.track_running_stats,
                          pool_norm=not is_autodl)

    def supernet(self, classes: int, image_channels: int = 3) -> Supernet:
        """Returns the network with all candidates. Raises ValueError for fewer than two classes."""
        check_sizes(classes=classes, image_channels=image_channels)
        return Supernet(self, classes, image_channels)

    def derive(self, alphas: Mapping[str, Tensor | np.ndarray]) -> NASNetGenotype:
        """Returns the cells of the alphas by the space's rule; `none` takes part in the softmax and is never chosen.
        Raises ValueError for alphas of another shape or with NaN."""
        cells = {kind: derive_cell(torch.from_numpy(labels.alpha(alphas, kind)).softmax(-1).numpy(), EDGES,
                                   NASNET_CANDIDATES, self.deriving) for kind, labels in self.labels.items()}
        return NASNetGenotype(cells["normal"], cells.get("reduce"))

    def mixtures(self, genotype: NASNetGenotype) -> dict[str, Mixture]:
        """Returns a genotype as mixtures of the supernet (one-shot evaluation): two edges a node, `none` on all others.

        Raises ValueError if the genotype lies outside this space.
        """
        check_has(genotype, "reduce", "genotype", "a pair of cells of the space nasnet")
        if (genotype.reduce is None) != self.fixed_reduction:
            raise ValueError("a genotype without reduction cell belongs to a space with fixed_reduction=True, one with "
                             f"it to fixed_reduction=False; this space has fixed_reduction={self.fixed_reduction}")
        cells = {"normal": (genotype.normal, genotype.normal_concat),
                 "reduce": (genotype.reduce, genotype.reduce_concat)}
        for kind in self.labels:
            if len(cells[kind][0]) != len(NODES) or cells[kind][1] != tuple(NODES):
                raise ValueError(f"the {kind} cell has {len(cells[kind][0])} nodes and puts out {cells[kind][1]}; the "
                                 f"cells of this supernet have {len(NODES)} and put out {tuple(NODES)}")
        return {kind: mixture_of_cell(cells[kind][0]) for kind in self.labels}

    def random_mixtures(self, generator: torch.Generator) -> dict[str, Mixture]:
        """Returns a random cell of each kind: two different inputs a node, each with one of seven operations."""
        return {kind: mixture_of_cell(_random_cell(generator)) for kind in self.labels}

    def genotype_of(self, mixtures: Mapping[str, Mixture]) -> NASNetGenotype:
        """Returns the cells that hard mixtures run: the inverse of `mixtures`, up to the order of a node's two pairs.

        Raises ValueError if a node runs another number of operations than two.
        """
        cells = {kind: tuple(_node_of(mixtures[kind], node) for node in NODES) for kind in self.labels}
        return NASNetGenotype(cells["normal"], cells.get("reduce"))


def mixture_of_cell(cell: Cell) -> Mixture:
    """Returns weight 1 for each (operation, input) pair of a cell, 2 where it stands twice on an edge.

    Raises ValueError for operations that are no candidates of the search.
    """
    weights = torch.zeros(LABELS.shape)
    for node, pairs in zip(NODES, cell, strict=True):
        for operation, src in pairs:
            if operation not in NASNET_CANDIDATES:
                raise ValueError(f"node {node}: {operation} is no candidate of the search; candidates are "
                                 f"{', '.join(NASNET_CANDIDATES)}")
            weights[EDGES.index((src, node)), NASNET_CANDIDATES.index(operation)] += 1
    active = tuple(tuple(row.nonzero().flatten().tolist()) or (NONE,) for row in weights)
    return Mixture(weights, active, is_hard=bool((weights <= 1).all()))


def _random_cell(generator: torch.Generator) -> Cell:
    def node(index: int) -> Pairs:
        inputs = sorted(torch.randperm(index, generator=generator)[:2].tolist())
        columns = torch.randint(1, len(NASNET_CANDIDATES), (2,), generator=generator).tolist()      # 0 is none
        return tuple((NASNET_CANDIDATES[column], src) for column, src in zip(columns, inputs, strict=True))

    return tuple(node(index) for index in NODES)


def _node_of(mixture: Mixture, node: int) -> Pairs:
    pairs = [(NASNET_CANDIDATES[column], EDGES[row][0]) for row in INCOMING[node] for column in mixture.active[row]
             if column != NONE for _ in range(round(mixture.weights[row, column].item()))]
    if len(pairs) != 2:
        raise ValueError(f"node {node} runs {len(pairs)} operations in this mixture, a node of a cell has two; "
                         "random_mixtures draws such cells")
    return tuple(pairs)


def derive_cell(op_probs: np.ndarray, edges: Sequence[tuple[int, int]], candidates: Sequence[str], rule: Rule) -> Cell:
    """Returns the cell of one alpha matrix.

    op_probs: softmax of alpha over the candidates, (num_edges, num_candidates). edges: (src, dst) of each row.
    Raises ValueError for an unknown rule.
    """
    if rule not in RULES:
        raise ValueError(f"unknown deriving rule {rule!r}; there are {', '.join(RULES)}")
    nodes = []
    for node in sorted({dst for _, dst in edges}):
        pairs = [(op_probs[row, column], candidates[column], src)
                 for row, (src, dst) in enumerate(edges) if dst == node
                 for column in range(len(candidates)) if candidates[column] != "none"]
        chosen = sorted(pairs, key=lambda pair: -pair[0])       # stable
        if rule == "two_best_edges":                            # the best pair of each edge, still in order
            chosen = [pair for index, pair in enumerate(chosen) if pair[2] not in {src for *_, src in chosen[:index]}]
        nodes.append(tuple((operation, src) for _, operation, src in chosen[:2]))
    return tuple(nodes)
