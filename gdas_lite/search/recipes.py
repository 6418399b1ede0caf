"""How a search trains: every hyper-parameter as one value with its source.

`search_recipe("paper", "nasbench201", "gdas")` is the published protocol. A user changes one with `dataclasses.replace`
or by keyword: `search_recipe(..., epochs=5)`.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from ..runs.schema import MOST_BPTT, Epochs, Images, Positive, Range, Rate, Share, check, check_fields
from ..spaces import SPACES
from ..spaces.language_model import Dropout

SIZES = ("smoke", "lesson", "laptop", "paper")


@dataclass(frozen=True)
class SearchRecipe:
    """How a search on images trains. Defaults: AutoDL-Projects' GDAS in NAS-Bench-201 (NAS-Bench-201 paper; its code).

    epochs: passes over the train half. batch_size: images of each half in a step.
    learning_rate, learning_rate_end: of the network weights (SGD), cosine over the epochs, set once an epoch.
    momentum, nesterov, weight_decay: of the same. grad_clip_norm: largest gradient norm of a weight step, None for no
        clipping. DARTS' virtual step has a clipping of its own.
    clip_scope: "weights" clips the norm of the weights' gradients, as the DARTS paper's code does. "weights_and_alpha"
        adds alpha's gradient of the same step and the stale one of the last alpha step to that norm, as AutoDL-Projects
        does by an oversight; NAS-Bench-201's published numbers came from that code, so its paper recipes have it.
    alpha_learning_rate, alpha_betas, alpha_eps, alpha_weight_decay: Adam on alpha; the decay is L2, not decoupled.
    update_order: which of the two updates comes first in a step. "weights_first": AutoDL-Projects' GDAS and first-order
        DARTS, and the GDAS paper's algorithm 1. "alpha_first": DARTS paper, AutoDL-Projects' second order.
    virtual_clip_norm, virtual_momentum: of DARTS' virtual step; see second_order.VirtualStep.
    virtual_redraw: whether every pass of the second-order gradient over the train batch draws new dropout masks, as
        quark0/darts does; then the finite difference is one of different functions and mostly noise.
    redraw: GDAS draws anew for the alpha step (reference) or uses the weight step's noise again (False).
    undrawn: what SGD does to candidates that a step did not draw. "decay": momentum and weight decay go on, as with the
        PyTorch of the reference, whose zero_grad filled with zeros. "skip": they are left alone, today's PyTorch
        default. Candidates that no weight step has reached so far are left alone in both. In AutoDL-Projects they decay
        from the first step that draws them, an alpha step too or behind a `none`: by 2e-4 of their value on average.
    alpha_init: standard deviation of alpha's normal initialisation.
    alpha_start: share of the epochs that goes by before the first alpha step. Until then the weights alone are trained,
        on draws from alpha as it was initialised; the temperature falls over the epochs after.
    Raises ValueError for a value that no search can have.
    """

    epochs: Epochs = 250
    batch_size: Images = 64
    learning_rate: Rate = 0.025
    learning_rate_end: Rate = 0.001
    momentum: Share = 0.9
    nesterov: bool = True
    weight_decay: Rate = 5e-4
    grad_clip_norm: Positive | None = 5.0
    clip_scope: Literal["weights", "weights_and_alpha"] = "weights"
    alpha_learning_rate: Rate = 3e-4
    alpha_betas: tuple[Share, Share] = (0.5, 0.999)
    alpha_eps: Rate = 1e-8
    alpha_weight_decay: Rate = 1e-3
    alpha_init: Rate = 1e-3
    update_order: Literal["weights_first", "alpha_first"] = "weights_first"
    virtual_clip_norm: Positive | None = None
    virtual_momentum: bool = True
    virtual_redraw: bool = False
    redraw: bool = True
    undrawn: Literal["decay", "skip"] = "decay"
    name: str = "paper"
    alpha_start: Share = field(default=0.0, metadata={"kept": "if set"})

    def __post_init__(self) -> None:
        check_fields(self)
        if self.learning_rate_end > self.learning_rate:
            raise ValueError(f"the learning rate falls: 0 <= learning_rate_end <= learning_rate, got "
                             f"{self.learning_rate_end} and {self.learning_rate}")

    @property
    def first_alpha_epoch(self) -> int:
        """The first epoch (0-based) with alpha steps."""
        return int(round(self.alpha_start * self.epochs, 9))      # 0.29 * 100 is 28.999999999999996


@dataclass(frozen=True)
class TextSearchRecipe(Dropout, SearchRecipe):
    """How a search on text trains: fields of `SearchRecipe` with its values, those of `Dropout`, and some more.

    Source: quark0/darts, rnn/train_search.py, and DARTS paper, appendix A.1.2. The GDAS paper (section 4.3) follows it
    but for 200 epochs, batches of 128 and its own sampling; no search code for this space was released, and no
    temperature schedule is given: that of its image searches is used. Its "Adam" with a rate of 20 is surely SGD.

    batch_size: parallel streams of each text. learning_rate: for a window of `bptt` words; a shorter window's is
        proportionally smaller. Constant over the epochs.
    bptt: words of a window. short_window_probability: chance that a train window has half of them.
    temporal_activation: weight of the mean squared change of the hidden state (TAR) in the weight step's loss.
    Raises ValueError for a value that no search can have.
    """

    epochs: Epochs = 50
    batch_size: Images = 256
    learning_rate: Rate = 20.0
    learning_rate_end: Rate = 20.0
    momentum: Share = 0.0
    nesterov: bool = False
    weight_decay: Rate = 5e-7
    grad_clip_norm: Positive | None = 0.25
    alpha_learning_rate: Rate = 3e-3
    alpha_betas: tuple[Share, Share] = (0.9, 0.999)
    update_order: Literal["weights_first", "alpha_first"] = "alpha_first"
    virtual_clip_norm: Positive | None = 0.25
    virtual_momentum: bool = False
    bptt: Annotated[int, Range(2, MOST_BPTT, whole=True)] = 35
    short_window_probability: Annotated[float, Range(0, 1)] = 0.05
    temporal_activation: Rate = 1e-3


# NAS-Bench-201: AutoDL-Projects' scripts, which made the paper's table; random search has no alpha that could be
# clipped. NASNet: GDAS by its paper's section 4.2 where that gives a value (240 epochs, weight decay 3e-4;
# AutoDL-Projects has 250 and 5e-4), else by AutoDL-Projects' GDAS-NASNet-CIFAR (batch 256, Nesterov, clip 5); GDAS-FRC
# is the same. DARTS by quark0/darts' train_search.py, the space's default; its paper lets the learning rate fall to 0
# instead of 0.001. Random search has DARTS' settings of the weights, as the comparison wants.
PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {
    "nasbench201": {
        "gdas": {"clip_scope": "weights_and_alpha"},
        "darts-v1": {"clip_scope": "weights_and_alpha", "epochs": 50},
        "darts-v2": {"clip_scope": "weights_and_alpha", "epochs": 50, "update_order": "alpha_first"}},
    "nasnet": {"gdas": {"epochs": 240, "batch_size": 256, "weight_decay": 3e-4}},
    "recurrent": {"gdas": {"epochs": 200, "batch_size": 128}},
}

# A lesson has some 300 steps (on a text 1,000) where the protocol has 100,000: alpha needs larger ones to get anywhere.
# With much larger ones (0.05) the first lucky operations win. Small texts and small cells need little dropout.
_SMALL_IMAGES = {"batch_size": 64, "alpha_learning_rate": 0.01, "clip_scope": "weights"}
_SMALL_TEXT = {"bptt": 20, "alpha_learning_rate": 0.01, "dropout_output": 0.1, "dropout_hidden": 0.1,
               "dropout_cell_input": 0.1, "dropout_embedded_input": 0.0}
# Real pictures on one core in seconds: CIFAR-10 thumbnails, in a supernet of C=4, N=1. Weights and alpha learn as
# published (SGD at 0.025, cosine; Adam at 3e-4), in batches of 32: a step draws one cell, and the more draws alpha
# sees the less it is moved by chance. Alpha begins when the weights have learnt something, at half of the epochs:
# before, it would only learn that operations without weights have a head start. Only the weights' gradient is clipped.
# A search with it is GDAS((1.0, 0.5), "P") in NASBench201(4, 1, exclude=("none",)): the paper's gradient, for with
# variant N operations without weights win here; temperatures at which the soft sample says what was drawn; and no
# `none`, which in variant P gets no gradient where it is drawn. What each does: benchmarks/results/laptop_search.md.
LAPTOP: dict[str, Any] = {"epochs": 40, "batch_size": 32, "alpha_start": 0.5, "clip_scope": "weights"}
SMALLER: dict[str, dict[str, dict[str, Any]]] = {
    "images": {"paper": {}, "laptop": LAPTOP, "lesson": _SMALL_IMAGES | {"epochs": 30},
               "smoke": _SMALL_IMAGES | {"epochs": 2}},
    "text": {"paper": {}, "lesson": _SMALL_TEXT | {"epochs": 12, "batch_size": 64},
             "smoke": _SMALL_TEXT | {"epochs": 2, "batch_size": 256}},
}


def recipe_class(space: str) -> type[SearchRecipe]:
    """Returns `SearchRecipe`, or `TextSearchRecipe` for a space of texts. Raises ValueError for an unknown space."""
    if space not in SPACES:
        raise ValueError(f"no search recipe for the space {space!r}; there are {', '.join(SPACES)}")
    return TextSearchRecipe if SPACES[space].data_kind == "text" else SearchRecipe


def search_recipe(size: str, space: str, algorithm: Any, **changes: Any) -> SearchRecipe:
    """Returns the recipe of a size for a space, by its name, and an algorithm or the name of one.

    size: "paper", the published protocol; "laptop", CIFAR-10 thumbnails within a minute of one core, with
    GDAS((1.0, 0.5), "P") in NASBench201(4, 1, exclude=("none",)), see `LAPTOP`; "lesson" and "smoke", some hundred
    steps and a few. An algorithm without a published protocol in the space has the space's default. changes: of fields.
    Raises ValueError for an unknown size or space, or a name that leaves the order out, TypeError for an unknown field.
    """
    if size not in SIZES:
        raise ValueError(f"unknown recipe {size!r}; there are {', '.join(SIZES)}")
    made, kind = recipe_class(space), SPACES[space]
    if size not in SMALLER[kind.data_kind]:
        raise ValueError(f"the recipe {size!r} is for images; there is none for {kind.data_kind}s")
    published, name = PUBLISHED.get(space, {}), getattr(algorithm, "name", algorithm)
    check(name, str, "algorithm")
    if name is algorithm and (meant := [known for known in published if known.startswith(f"{name.lower()}-v")]):
        raise ValueError(f"algorithm {name!r} has no recipe, {' and '.join(meant)} have; for one of your own of that "
                         "name give the algorithm itself")
    protocol = published.get(name.lower(), kind.default_recipe)
    return made(**{"name": size} | protocol | SMALLER[kind.data_kind][size] | changes)
