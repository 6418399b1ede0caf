"""The temperature explorer: what tau changes in a Gumbel-softmax sample, and what it does not.

Everything is computed in the browser (temperature.js); the functions here compute the same in NumPy, for the picture
that stands where no JavaScript runs. Source: GDAS paper, section 3.2.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets

from ...benchmark.baselines import softmax
from ...genotypes.notation import NASBENCH201_OPS
from .browser_values import style_entry
from .browser_widget import BrowserWidget, figure, module

ALPHA = (0.0, 0.3, -0.4, 1.2, 0.6)


class TemperatureExplorer(BrowserWidget):
    """Sliders for tau and alpha of one edge, and a button that draws new noise.

    alpha: one number for each operation, in any kind of sequence or array. ops: names of primitives, 2 to 8; they give
    names and colours. tau: > 0, no unit; the slider reaches from 0.1 to 10. seed: of the noise; 0 or more. draws: how
    many samples are counted, 50 to 5,000.
    `tau`, `alpha` and `seed` can be read and set; they follow the sliders where a kernel runs.
    Raises ValueError if alpha and ops differ in length or a number is out of range.
    Example: gl.TemperatureExplorer([1.0, 0.0, -1.0], ["skip_connect", "nor_conv_3x3", "none"], tau=5.0)
    """

    _esm = module("base.js", "chart.js", "temperature.js")
    title = "Temperature explorer"
    tau = traitlets.Float(1.0).tag(sync=True)
    alpha = traitlets.List(traitlets.Float()).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    draws = traitlets.Int(1000).tag(sync=True)
    styles = traitlets.List().tag(sync=True)

    def __init__(self, alpha: Sequence[float] = ALPHA, ops: Sequence[str] = NASBENCH201_OPS, tau: float = 1.0,
                 seed: int = 0, draws: int = 1000) -> None:
        alpha = np.asarray(alpha.detach() if hasattr(alpha, "detach") else alpha, float)
        if not 2 <= len(ops) <= 8 or len(alpha) != len(ops):
            raise ValueError(f"the explorer needs 2 to 8 operations and one alpha for each, got {len(ops)} operations "
                             f"and {len(alpha)} alphas")
        if not 50 <= draws <= 5000:
            raise ValueError(f"draws must be 50 to 5,000, got {draws}")
        super().__init__(alpha=alpha.tolist(), styles=[style_entry(op) for op in ops], tau=tau, seed=seed, draws=draws)

    @traitlets.validate("tau")
    def _positive(self, proposal: Any) -> float:
        if not 0 < proposal["value"] < float("inf"):
            raise ValueError(f"tau must be a finite number > 0, got {proposal['value']}: the logits are divided by it")
        return proposal["value"]

    @traitlets.validate("seed")
    def _whole(self, proposal: Any) -> int:
        if not 0 <= proposal["value"] < 2**31:
            raise ValueError(f"the seed must be 0 to 2,147,483,647, got {proposal['value']}")
        return proposal["value"]

    @traitlets.validate("alpha")
    def _of_the_right_length(self, proposal: Any) -> list[float]:
        alpha = proposal["value"]
        if (self.styles and len(alpha) != len(self.styles)) or not np.isfinite(alpha).all():
            raise ValueError(f"alpha must be {len(self.styles)} finite numbers, one for each operation, got {alpha}")
        return alpha

    def __repr__(self) -> str:
        names = ", ".join(f"{style['name']} {p:.3f}" for style, p in zip(self.styles, softmax(np.array(self.alpha))))
        return f"TemperatureExplorer at tau {self.tau:g}; softmax(alpha): {names}"

    def static_twin(self) -> dict[str, str]:
        """The histogram of the hard samples, the first soft samples and the size of the gradient, as PNG."""
        from ..figure import styled
        return figure(styled(_figure)(self))


def uniforms(seed: int, count: int) -> np.ndarray:
    """`count` numbers in (0, 1) by mulberry32, the generator of temperature.js (public domain, Tommy Ettinger)."""
    state = (np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x6D2B79F5)).astype(np.uint32)
    t = (state ^ (state >> np.uint32(15))) * (state | np.uint32(1))
    t ^= t + (t ^ (t >> np.uint32(7))) * (t | np.uint32(61))
    return ((t ^ (t >> np.uint32(14))).astype(float) + 0.5) / 2**32


def noisy_logits(alpha: np.ndarray, seed: int, draws: int) -> np.ndarray:
    """log softmax(alpha) + Gumbel noise, (draws, candidates); the hard sample is the argmax of each row."""
    noise = uniforms(seed, draws * len(alpha)).reshape(draws, len(alpha))
    return np.log(softmax(alpha)) - np.log(-np.log(noise))


def gradient_sizes(noisy: np.ndarray, tau: float) -> np.ndarray:
    """Returns the Frobenius norm of d soft / d alpha of each draw: the Jacobian is (diag p - p p') / tau."""
    p = softmax(noisy / tau)
    square = (p**2).sum(-1, keepdims=True)
    return np.sqrt(np.maximum(0, (p**2 * (1 - 2 * p + square)).sum(-1))) / tau


def _figure(explorer: TemperatureExplorer) -> Any:
    from ..figure import subplots
    from ..palette import HIGHLIGHT, STRONG
    alpha, styles = np.array(explorer.alpha), explorer.styles
    noisy = noisy_logits(alpha, explorer.seed, explorer.draws)
    shares = np.bincount(noisy.argmax(-1), minlength=len(alpha)) / len(noisy)
    drawn, (left, middle, right) = subplots(2.6, columns=3)
    places, colours = np.arange(len(alpha)), [style["colour"] for style in styles]
    left.bar(places, shares, color=colours)
    left.plot(places, softmax(alpha), "_", color=HIGHLIGHT, ms=22, mew=2)
    left.set(title=f"{explorer.draws:,} hard samples (bars),\nsoftmax(alpha) (marks)")
    left.set_xticks(places, [style["label"].replace(" ", "\n") for style in styles])
    soft, below = softmax(noisy[:40] / explorer.tau), 0
    for k, colour in enumerate(colours):
        middle.bar(np.arange(len(soft)), soft[:, k], bottom=below, color=colour, width=0.9)
        below = below + soft[:, k]
    middle.set(title=f"the first {len(soft)} soft samples\nat tau {explorer.tau:g}", xlabel="draw")
    taus = 10 ** np.linspace(-1, 1, 31)
    sizes = np.array([gradient_sizes(noisy, tau) for tau in taus])
    for name, line, values in (("largest", ":", sizes.max(1)), ("mean", "-", sizes.mean(1)),
                               ("median", "--", np.median(sizes, 1))):
        right.loglog(taus, values, line, color=STRONG, label=name)
    right.axvline(explorer.tau, color="#3f74e0")
    right.set(title="size of the gradient\n|dp/dalpha| of all draws", xlabel="tau", ylim=(1e-3, 10))
    right.legend(frameon=False, loc="lower center")
    return drawn.state("Temperature explorer: tau sharpens the soft samples; who is drawn does not depend on it")
