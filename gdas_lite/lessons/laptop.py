"""Searches of the laptop recipe that were run before, and the picture that judges cells beside fixed rows.

benchmarks/laptop_search.py ran them and wrote laptop_search.json: the cell that each search found, by variant and seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..benchmark.equal_cost import NO_CELL
from ..benchmark.table import Table
from ..genotypes.nasbench201 import NASBench201Genotype
from ..genotypes.zoo import zoo_genotype
from ..visual.figure import NotebookFigure, styled, subplots
from ..visual.palette import GRID, HIGHLIGHT, STRONG
from .recorded import shipped

FORMAT = "gdas-lite laptop searches 1"
FILE = Path(__file__).with_name("laptop_search.json")
CLOSEST = 0.05          # points below the best where a cell is drawn that is the best itself: the axis is logarithmic
TICKS = (0.1, 0.3, 1, 3, 10, 30, 80)
MOST_CELLS = 200        # of random search that a mean is compared with


@dataclass(frozen=True)
class LaptopRuns:
    """cells: by variant of the recipe, what its searches found, in the order of their seeds.

    about: where they are from."""

    cells: dict[str, tuple[NASBench201Genotype, ...]]
    about: dict[str, Any]


def laptop_runs(file: str | Path = FILE) -> LaptopRuns:
    """Opens the stored searches.

    Raises FileNotFoundError, or ValueError in one sentence for a file that does not hold them.
    """
    def runs(content: dict[str, Any]) -> LaptopRuns:
        cells = {variant: tuple(NASBench201Genotype.parse(found[seed]) for seed in sorted(found, key=int))
                 for variant, found in content["cells"].items()}
        return LaptopRuns(cells, dict(content["about"]))
    return shipped(file, "laptop searches", FORMAT, runs)


def fixed_rows() -> dict[str, NASBench201Genotype]:
    """Returns the cells that stand beside every result: the ResNet cell, and a lone skip, which is no cell at all."""
    return {"ResNet cell": zoo_genotype("resnet", "nasbench201"), "no cell": NASBench201Genotype.parse(NO_CELL)}


@styled
def judged(found: Mapping[str, Sequence[Any]], table: Table, random_cells: int = 40) -> NotebookFigure:
    """Draws how far below the table's best cell others lie, in percentage points: a row for each name, a circle a cell.

    found: {name: cells}, such as those of several seeds. Below them stand `fixed_rows` and random cells, and such
    without `none`, for searches that exclude it. A diamond is the mean. Raises ValueError for a row without a cell.
    """
    rng = np.random.default_rng(0)
    rows = {name: list(cells) for name, cells in found.items()} | {name: [cell] for name, cell in fixed_rows().items()}
    drawn = [NASBench201Genotype.random(rng) for _ in range(20 * random_cells)]
    rows["random cells"] = drawn[:random_cells]
    rows["random, without none"] = [cell for cell in drawn if "none" not in cell.ops][:random_cells]
    if empty := [name for name, cells in rows.items() if not cells]:
        raise ValueError(f"judged: {empty[0]!r} has no cell")
    figure, axes = subplots(0.9 + 0.34 * len(rows), 7.5)
    for row, cells in enumerate(rows.values()):
        _draw_row(axes, row, *(np.array([of(cell) for cell in cells]) for of in (table.regret, table.accuracy)))
    axes.axhline(len(found) - 0.5, color=STRONG, lw=0.8)
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xscale="log", ylim=(len(rows) - 0.5, -0.5), xlim=(CLOSEST / 1.3, 100),
             xlabel="points below the best cell (0.05: the best itself)")
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.minorticks_off()
    axes.grid(axis="x", color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    return figure.state("\n".join(_claim(name, cells, table) for name, cells in list(found.items())[:2]))


def _draw_row(axes: Any, row: int, regret: np.ndarray, accuracy: np.ndarray) -> None:
    spread = f" ± {accuracy.std(ddof=1):.2f} (n={len(accuracy)})" if len(accuracy) > 1 else ""
    if len(regret) > 1:
        heights = row + np.linspace(-0.2, 0.2, len(regret))
        axes.plot(regret.clip(CLOSEST), heights, "o", ms=4, mfc="none", mec=HIGHLIGHT, zorder=3)
    axes.plot(max(regret.mean(), CLOSEST), row, "D", ms=6, color=STRONG, zorder=4)
    axes.annotate(f"{accuracy.mean():.2f} %{spread}", (1.01, row), xycoords=("axes fraction", "data"), va="center",
                  fontsize=9)


def _claim(name: str, cells: Sequence[Any], table: Table) -> str:
    regret = float(np.mean([table.regret(cell) for cell in cells]))
    if not regret:
        others = [f"{other} {table.regret(cell):.2f} points below it" for other, cell in fixed_rows().items()]
        return f"{name}: {'; '.join(others)}"
    return f"{name}: {regret:.2f} points below the best, {cells_for(regret, table)}"


def cells_for(regret: float, table: Table) -> str:
    """Returns, in words, what random search needs to come as near to the best cell: it trains cells and keeps the one
    with the highest validation accuracy after 12 epochs, as the table has it."""
    curve = table.random_search_curve(MOST_CELLS, score=table.search_column).regret
    if regret > curve[0] + 1e-9:
        return "farther than a random cell on average"
    if regret < curve[-1]:
        return f"nearer than random search with {MOST_CELLS} cells comes"
    needed = int(np.argmax(curve <= regret)) + 1
    return f"as far as random search with {needed} cell" + ("s" if needed > 1 else "")
