"""How each primitive looks: one colour, line style, marker and short label, the same in every plot, diagram and widget.

Families share a hue: convolutions and separable convolutions blue, dilated convolutions green, pooling orange to red,
skip_connect violet, none grey. Within a family the other kernel size has the other line style. The candidates of one
search space stay apart under simulated protanopia, deuteranopia and tritanopia (Machado, Oliveira and Fernandes 2009,
severity 1), and each colour can be seen on white and on the near-black of a dark notebook; the tests measure both.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PrimitiveStyle:
    """colour: "#rrggbb". linestyle, marker: matplotlib's codes. label: what fits on an edge of a drawn cell."""

    colour: str
    linestyle: str
    marker: str
    label: str


INK = "#6F7782"         # lines, frames and titles of diagrams: seen on white and on near-black
NODE = "#59626E"        # nodes of drawn cells, under white text
STRONG, SOFT, GRID, HIGHLIGHT = INK, "#8B95A1", INK + "40", "#C2185B"      # of figures: what stands for no primitive

OTHERS = ("#00956A", "#9B5FAC", "#B8280D", "#9A6B3F")       # of what has no colour of its own
SEARCH_COLOURS, SEARCH_LINES = ("#184DDB", "#F28E1C", *OTHERS), ("-", "--", "-.", ":")     # of searches, by their order

STYLES: dict[str, PrimitiveStyle] = {
    "none": PrimitiveStyle("#636363", ":", "x", "none"),
    "skip_connect": PrimitiveStyle("#9B5FAC", "-.", "o", "skip"),
    "avg_pool_3x3": PrimitiveStyle("#F28E1C", "-", "v", "avg 3×3"),
    "max_pool_3x3": PrimitiveStyle("#B8280D", "--", "^", "max 3×3"),
    "nor_conv_1x1": PrimitiveStyle("#57A3F1", "--", "D", "conv 1×1"),
    "nor_conv_3x3": PrimitiveStyle("#184DDB", "-", "s", "conv 3×3"),
    "sep_conv_3x3": PrimitiveStyle("#184DDB", "-", "s", "sep 3×3"),
    "sep_conv_5x5": PrimitiveStyle("#57A3F1", "--", "D", "sep 5×5"),
    "sep_conv_7x7": PrimitiveStyle("#7A6FDC", "-.", "P", "sep 7×7"),
    "dil_conv_3x3": PrimitiveStyle("#00956A", "-", "h", "dil 3×3"),
    "dil_conv_5x5": PrimitiveStyle("#9BB788", "--", "X", "dil 5×5"),
    "conv_7x1_1x7": PrimitiveStyle("#9A6B3F", "-", "<", "7×1, 1×7"),
    "conv_3x1_1x3": PrimitiveStyle("#C2A05E", "--", ">", "3×1, 1×3"),
    "tanh": PrimitiveStyle("#184DDB", "-", "s", "tanh"),
    "relu": PrimitiveStyle("#F28E1C", "-", "^", "relu"),
    "sigmoid": PrimitiveStyle("#00956A", "--", "D", "sigmoid"),
    "identity": PrimitiveStyle("#9B5FAC", "-.", "o", "identity"),
}


def style_of(primitive: str) -> PrimitiveStyle:
    """The style of a primitive; one of your own that has none here gets a neutral one with its name as label."""
    return STYLES.get(primitive) or PrimitiveStyle("#8A7F6A", "-", ".", primitive.replace("_", " "))


def text_on(colour: str) -> str:
    """"#ffffff" or "#111111", whichever has the higher contrast (WCAG 2) on `colour` ("#rrggbb")."""
    ground, ink = relative_luminance(colour) + 0.05, relative_luminance("#111111") + 0.05
    return "#ffffff" if 1.05 / ground >= ground / ink else "#111111"


def relative_luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb" as WCAG 2 defines it, 0 (black) to 1 (white)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
              for c in (int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
