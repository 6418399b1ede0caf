"""Small recurrent models in double precision, windows of words and mixtures of every kind, for the tests of the cell."""

from __future__ import annotations

import torch
from torch import nn

import gdas_lite as gl
from gdas_lite.engines.layers.recurrent import attach_language_model
from gdas_lite.relaxation import Mixture, fixed_mixture, gumbel_mixture, soft_mixture, uniform_mixture
from gdas_lite.spaces.language_model import Dropout, LanguageModel, Masks, draw_masks

WORDS, BATCH, HIDDEN, VOCABULARY = 4, 5, 6, 11
TOLERANCE = 1e-10
PATHS = ("plain", "layers")


def numbers(*shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, dtype=torch.float64, generator=generator)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def alpha(seed: int = 1) -> nn.Parameter:
    return nn.Parameter(numbers(36, 5, seed=seed))


def two_of_four(values: torch.Tensor) -> Mixture:
    """What none of our algorithms makes: two candidates on an edge, different ones from edge to edge."""
    return Mixture(values.softmax(-1), tuple(((row + 1) % 5, (row + 2) % 5) for row in range(36)))


def one_soft(values: torch.Tensor) -> Mixture:
    """One candidate an edge whose weight is not 1."""
    return Mixture(values.softmax(-1), tuple((row % 5,) for row in range(36)))


MIXTURES = {
    "darts": soft_mixture,
    "gdas P": lambda values: gumbel_mixture(values, 0.7, generator(3)),
    "gdas N": lambda values: gumbel_mixture(values, 0.7, generator(4), "N"),
    "random": lambda values: uniform_mixture((36, 5), generator(5)),
    "two of four": two_of_four,
    "one, soft weight": one_soft,
    "all none": lambda values: fixed_mixture([0] * 36, 5),
    "last step all none": lambda values: fixed_mixture([1] * 28 + [0] * 8, 5),
}


def prepared(model: LanguageModel, path: str, seed: int = 0) -> LanguageModel:
    """In double precision, with large weights. path: "plain", or "layers" for the engine."""
    with torch.no_grad():
        for index, param in enumerate(model.double().parameters()):
            param.copy_(numbers(*param.shape, seed=seed + index, scale=0.7))
    if path == "layers":
        attach_language_model(model)
    return model


def supernet(path: str = "layers", **options) -> LanguageModel:
    return prepared(gl.Recurrent(HIDDEN, **options).supernet(VOCABULARY), path)


def random_masks(net) -> Masks:
    return draw_masks(Dropout(0.4, 0.3, 0.2, 0.1, 0.3), net, BATCH, generator(9))


def words(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.randint(VOCABULARY, (WORDS + 1, BATCH), generator=generator(seed))
    return drawn[:-1], drawn[1:]
