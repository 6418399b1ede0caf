"""What a trained network says of one picture file, read as the pictures it was trained on were read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from .data.pictures import read_picture
from .evaluating import evaluating
from .export import Description, load_exported, read_exported

_SHOWN = 3


@dataclass(frozen=True)
class Prediction:
    """class_names, in the order of the logits; probabilities: softmax of the logits, one for each, adding up to 1."""

    class_names: tuple[str, ...]
    probabilities: tuple[float, ...]

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """(class, probability), the most probable first."""
        return sorted(zip(self.class_names, self.probabilities), key=lambda pair: -pair[1])

    @property
    def name(self) -> str:
        """The most probable class."""
        return self.ranked[0][0]

    def __str__(self) -> str:
        return ", ".join(f"{name} {100 * probability:.0f} %" for name, probability in self.ranked[:_SHOWN])


def predict(exported: str | Path, picture: str | Path) -> Prediction:
    """What an exported network (a folder of `export_network`) says of a picture file of any size.

    The picture is scaled, cut and made grey or coloured as `load_data` did with the folder that it was trained on.
    A softmax is no certainty: a picture of no class at all gets a class as well.
    Raises FileNotFoundError if there is no such picture, ValueError if it cannot be read; as `load_exported` for the folder.
    Example: print(gl.predict("export", "new.jpg"))
    """
    return predict_with(load_exported(exported), read_exported(exported), picture)


def predict_with(network: nn.Module, description: Description, picture: str | Path) -> Prediction:
    """The same for a network that is loaded already, with the description of its export; for many pictures."""
    path = Path(picture).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"there is no picture {path}")
    try:
        pixels = read_picture(path, description.image_size, grey=len(description.mean) == 1)
    except ValueError as reason:
        raise ValueError(f"{path} cannot be read ({reason}); give a picture such as a .png or .jpg") from None
    x = description.prepare(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None])     # (1, channels, size, size)
    with evaluating(network):
        probabilities = network(x.to(next(network.parameters()).device)).double().softmax(-1)[0].tolist()
    return Prediction(description.class_names, tuple(probabilities))
