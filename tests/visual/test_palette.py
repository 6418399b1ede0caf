"""The colours are told apart by everybody, on paper and on a dark screen: measured, not believed."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from gdas_lite.genotypes.notation import NASBENCH201_OPS, NASNET_GENOTYPE_OPS, RECURRENT_ACTIVATIONS
from gdas_lite.visual.palette import HIGHLIGHT, INK, NODE, SOFT, STRONG, STYLES, style_of, text_on
from gdas_lite.visual.widgets.browser_widget import STYLE

DARK = "#111111"        # JupyterLab's dark notebook
CANDIDATES = {
    "nasbench201": NASBENCH201_OPS,
    "nasnet": ("none", *NASNET_GENOTYPE_OPS[:7]),
    "recurrent": ("none", *RECURRENT_ACTIVATIONS),
}
# Machado, Oliveira and Fernandes (2009), severity 1, linear RGB.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                            [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                              [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                            [0.004733, 0.691367, 0.303900]]),
}


def linear(colour):
    c = np.array([int(colour[i:i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def oklab(rgb):
    """Ottosson's perceptual coordinates (2020) of linear RGB, times 100."""
    cones = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                      [0.0883024619, 0.2817188376, 0.6299787005]]) @ np.clip(rgb, 0, 1)
    return 100 * np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                           [0.0259040371, 0.7827717662, -0.8086757660]]) @ np.cbrt(cones)


def contrast(one, other):
    bright, dim = sorted((linear(c) @ [0.2126, 0.7152, 0.0722] for c in (one, other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("space", CANDIDATES)
def test_candidates_of_a_space_look_different(space, sight):
    for one, other in itertools.combinations(CANDIDATES[space], 2):
        seen = [oklab(SIGHT[sight] @ linear(style_of(name).colour)) for name in (one, other)]
        assert np.linalg.norm(seen[0] - seen[1]) > 9, f"{one} and {other} look alike"    # just noticeable is about 2


def test_the_measure_can_fail():
    assert np.linalg.norm(oklab(linear("#5B5B5B")) - oklab(linear("#636363"))) < 9
    assert contrast("#ffffff", "#000000") == pytest.approx(21)


@pytest.mark.parametrize("space", CANDIDATES)
def test_candidates_of_a_space_differ_without_colour_too(space):
    styles = [style_of(name) for name in CANDIDATES[space]]
    assert len({style.marker for style in styles}) == len(styles)
    assert len({style.label for style in styles}) == len(styles)


@pytest.mark.parametrize("name", [*STYLES, "my_own_op"])
def test_colours_are_seen_on_white_and_on_dark(name):
    style = style_of(name)
    assert contrast(style.colour, "#ffffff") > 2.1
    assert contrast(style.colour, DARK) > 2.4
    assert contrast(style.colour, text_on(style.colour)) > 4.5


def test_lines_and_nodes_of_diagrams_are_seen_on_both():
    assert contrast(INK, "#ffffff") > 4 and contrast(INK, DARK) > 4
    assert all(contrast(colour, ground) > 3 for colour in (STRONG, HIGHLIGHT) for ground in ("#ffffff", DARK))
    assert contrast(SOFT, "#ffffff") > 2.4 and contrast(SOFT, DARK) > 2.4
    assert contrast(NODE, "#ffffff") > 2.4 and contrast(NODE, DARK) > 2.4 and contrast(NODE, text_on(NODE)) > 4.5


def text_contrasts(style):
    """{selector: contrast of the text with the ground that a rule gives it, in the theme where it is least}."""
    found = {}
    style = re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL)
    style = re.sub(r"#([0-9a-f])([0-9a-f])([0-9a-f])\b", r"#\1\1\2\2\3\3", style)
    for selector, rule in re.findall(r"([^{}]+)\{([^{}]*)\}", style):
        grounds = re.search(r"background[^;]*?(#\w{6})(\w\w)?", rule)
        ink = re.search(r"(?<![-\w])color: (#\w{6})", rule)
        if grounds and "progress" not in selector:      # a bar holds no text
            share, least = int(grounds[2] or "ff", 16) / 255, []
            for page, text in (("#ffffff", "#212121"), (DARK, "#ffffff")):      # JupyterLab's two themes
                parts = [share * int(grounds[1][i:i + 2], 16) + (1 - share) * int(page[i:i + 2], 16) for i in (1, 3, 5)]
                least.append(contrast(ink[1] if ink else text, "#" + "".join(f"{round(part):02x}" for part in parts)))
            found[selector.strip()] = min(least)
    return found


def test_text_on_a_ground_of_its_own_is_read_in_both_themes():
    found = text_contrasts(STYLE)
    assert ".gl-error" in found and min(found.values()) >= 4.5, found


@pytest.mark.parametrize("rule", ["a { background: #fff }", "a { color: #fff; background: #3f74e0; }",
                                  "a { background: #11111199; }"])
def test_a_ground_that_hides_text_is_seen(rule):
    assert text_contrasts(rule)["a"] < 4.5


def test_every_primitive_of_every_space_has_a_style():
    assert {*NASBENCH201_OPS, *NASNET_GENOTYPE_OPS, *RECURRENT_ACTIVATIONS} <= set(STYLES)


def test_unknown_primitive_is_shown_by_name():
    assert style_of("my_own_op").label == "my own op"
