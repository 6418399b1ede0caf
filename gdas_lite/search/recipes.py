"""How a search trains: every hyper-parameter as one value with its source.

`search_recipe("paper", "nasbench201", "gdas")` is the published protocol; `lesson` runs in minutes on two cores,
`smoke` in seconds. A user changes one with `dataclasses.replace` or by keyword: `search_recipe(..., epochs=5)`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

SIZES = ("smoke", "lesson", "paper")


@dataclass(frozen=True)
class SearchRecipe:
    """Defaults are those of AutoDL-Projects' GDAS search in NAS-Bench-201 (NAS-Bench-201 paper; its code).

    epochs: passes over the train half. batch_size: images of each half in a step.
    learning_rate, learning_rate_end: of the network weights (SGD), cosine over the epochs, set once an epoch.
    momentum, nesterov, weight_decay: of the same. grad_clip_norm: largest gradient norm of a weight step, None for no
        clipping. DARTS' virtual step has a clipping of its own.
    clip_scope: "weights" clips the norm of the weights' gradients, as the DARTS paper's code does.
        "weights_and_alpha" adds alpha's gradient of the same step and the stale one of the last alpha step to that norm,
        as AutoDL-Projects' code does by an oversight; NAS-Bench-201's published numbers came from that code, so its
        paper recipes have it. Everywhere else it is "weights".
    alpha_learning_rate, alpha_betas, alpha_eps, alpha_weight_decay: Adam on alpha; the decay is L2, not decoupled.
    update_order: which of the two updates comes first in a step. "weights_first": AutoDL-Projects' GDAS and first-order
        DARTS, and the GDAS paper's algorithm 1. "alpha_first": DARTS paper, AutoDL-Projects' second order.
    virtual_clip_norm, virtual_momentum: of DARTS' virtual step; see second_order.VirtualStep. None and True for images.
    virtual_redraw: where there is dropout, whether every pass of the second-order gradient over the train batch draws new
        masks, as quark0/darts does; then the finite difference is one of different functions and mostly noise. False: the
        same masks in all three.
    redraw: GDAS draws anew for the alpha step (reference) or uses the weight step's noise again (False).
    undrawn: what SGD does to candidates that a step did not draw. "decay": momentum and weight decay go on, as with the
        PyTorch of the reference, whose zero_grad filled with zeros. "skip": they are left alone, today's PyTorch default.
        Candidates that no weight step has reached so far are left alone in both. That is a difference from
        AutoDL-Projects, which runs what gets zeros or is cut off by `none` all the same: there a candidate decays from
        the first step that draws it, be it an alpha step. In NAS-Bench-201 55 of 100 are reached as soon as they are
        drawn; the others have lost there up to 7e-3 of their value before, the mean over all is 2e-4 (simulated with
        uniform draws).
    alpha_init: standard deviation of alpha's normal initialisation.
    """

    epochs: int = 250
    batch_size: int = 64
    learning_rate: float = 0.025
    learning_rate_end: float = 0.001
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    grad_clip_norm: float | None = 5.0
    clip_scope: Literal["weights", "weights_and_alpha"] = "weights"
    alpha_learning_rate: float = 3e-4
    alpha_betas: tuple[float, float] = (0.5, 0.999)
    alpha_eps: float = 1e-8
    alpha_weight_decay: float = 1e-3
    alpha_init: float = 1e-3
    update_order: Literal["weights_first", "alpha_first"] = "weights_first"
    virtual_clip_norm: float | None = None
    virtual_momentum: bool = True
    virtual_redraw: bool = False
    redraw: bool = True
    undrawn: Literal["decay", "skip"] = "decay"
    name: str = "paper"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2:
            raise ValueError(f"a search needs epochs >= 1 and batch_size >= 2 (batch norm), got {self.epochs} and "
                             f"{self.batch_size}")
        for field, choices in (("clip_scope", ("weights", "weights_and_alpha")),
                               ("update_order", ("weights_first", "alpha_first")), ("undrawn", ("decay", "skip"))):
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} must be one of {', '.join(choices)}, got {getattr(self, field)!r}")
        if not 0 <= self.learning_rate_end <= self.learning_rate:
            raise ValueError(f"the learning rate falls: 0 <= learning_rate_end <= learning_rate, got "
                             f"{self.learning_rate_end} and {self.learning_rate}")
        for field in ("grad_clip_norm", "virtual_clip_norm"):
            if getattr(self, field) is not None and getattr(self, field) <= 0:
                raise ValueError(f"{field} must be > 0, or None for no clipping, got {getattr(self, field)}")


def cosine_learning_rate(start: float, end: float, epoch: int, epochs: int) -> float:
    """end + (start - end) * (1 + cos(pi * epoch / epochs)) / 2 for the 0-based epoch: `end` itself is never reached.

    Source: AutoDL-Projects and quark0/darts, both set once an epoch.
    """
    return end + (start - end) * (1 + math.cos(math.pi * epoch / epochs)) / 2


def search_recipe(size: str, space: str, algorithm: str, **changes: Any) -> SearchRecipe:
    """The recipe of a size ("smoke", "lesson", "paper") for a space and an algorithm, by their names.

    changes: fields to replace. Raises ValueError for an unknown size, TypeError for an unknown field.
    """
    if size not in SIZES:
        raise ValueError(f"unknown recipe {size!r}; there are {', '.join(SIZES)}")
    if space == "recurrent":
        from .text_recipes import text_search_recipe  # it builds on this module
        return text_search_recipe(size, algorithm, **changes)
    paper = _paper(space, algorithm)
    if size == "paper":
        return replace(paper, **changes)
    epochs, batch = {"lesson": (30, 64), "smoke": (2, 64)}[size]
    # A lesson has some 300 steps where the protocol has 100,000: alpha needs larger ones to get anywhere. With much larger
    # ones (0.05) the first lucky operations win.
    small = replace(paper, name=size, epochs=epochs, batch_size=batch, alpha_learning_rate=0.01, clip_scope="weights")
    return replace(small, **changes)


def _paper(space: str, algorithm: str) -> SearchRecipe:
    """Published protocols, by space and algorithm."""
    if space not in ("nasbench201", "nasnet"):
        raise ValueError(f"no search recipe for the space {space!r}")
    recipes = _paper_nasbench201() if space == "nasbench201" else _paper_nasnet()
    if algorithm not in recipes:
        raise ValueError(f"no search recipe for the algorithm {algorithm!r}; there are {', '.join(recipes)}")
    return recipes[algorithm]


def _paper_nasbench201() -> dict[str, SearchRecipe]:
    """AutoDL-Projects' search scripts, which made the table of the NAS-Bench-201 paper. Random search has no alpha that
    could be clipped."""
    gdas = SearchRecipe(clip_scope="weights_and_alpha")
    return {
        "gdas": gdas,
        "darts-v1": replace(gdas, epochs=50),
        "darts-v2": replace(gdas, epochs=50, update_order="alpha_first"),
        "random": SearchRecipe(),
    }


def _paper_nasnet() -> dict[str, SearchRecipe]:
    """GDAS: its paper's section 4.2 where that gives a value (240 epochs, weight decay 3e-4; AutoDL-Projects has 250 and
    5e-4), else AutoDL-Projects' GDAS-NASNet-CIFAR configuration (batch 256, Nesterov, clip 5). GDAS-FRC is the same.
    DARTS: quark0/darts' train_search.py; its paper lets the learning rate fall to 0 instead of 0.001.
    Random search: DARTS' settings of the weights, as the comparison wants."""
    darts = SearchRecipe(epochs=50, nesterov=False, weight_decay=3e-4, update_order="alpha_first")
    return {
        "gdas": SearchRecipe(epochs=240, batch_size=256, weight_decay=3e-4),
        "darts-v1": darts,
        "darts-v2": darts,
        "random": darts,
    }
