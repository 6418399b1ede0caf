"""A trained network as two files that anyone can read: export it, load it again, ask it about a picture.

    network.json            genotype, settings, normalisation, class names, checksums of all that and of the other files
    weights.safetensors     every weight and running estimate, float32 as trained
    program.pt2             if asked for: a `torch.export` program, to run without this package

Nothing is pickled in the first two, and loading runs nothing that stands in the files. Exports of versions that wrote
no checksum of network.json or of program.pt2 are read as they are.
"""

import hashlib
import io
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from .. import spaces
from ..data.augment import normalise
from ..data.batches import data_info, reading_of
from ..data.folders import shown
from ..data.photos import StreamedData
from ..data.pictures import Reading
from ..genotypes.parse import Genotype, genotype_from_json
from ..runs.checkpoint import digest
from ..runs.config import EXPORT_FORMAT, path_of, read_export, write_atomically
from ..runs.device import evaluating, usual_defaults
from ..runs.engine import attach_to_network
from ..runs.resumable import seeded
from ..runs.schema import check_has, open_file, said, sealed
from ..spaces.language_model import LanguageModel
from .loading import CPU, load_trained, what_a_folder_misses

FILES = ("network.json", "weights.safetensors", "program.pt2")
PARTIAL = (*(f"{name}.partial" for name in FILES), "program.partial.pt2")       # of a killed export; the last: older
FILE_SUFFIXES = (".onnx", ".pt", ".pt2", ".pth", ".safetensors", ".json", ".zip", ".bin", ".pkl", ".h5")


@dataclass(frozen=True)
class Description:
    """What network.json says.

    genotype, settings: rebuild the network. data: name of the data set it was trained on. mean, std: for each channel,
    of pixels scaled to 0..1. class_names: in the order of the logits. scores: by evaluation set, measured in training.
    reading: how the pictures of its evaluation were read from their files.
    Raises ValueError unless there are as many means and names as the network has channels and classes.
    """

    genotype: Genotype
    settings: dict[str, Any]
    data: str
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]
    scores: dict[str, dict[str, float]]
    reading: Reading

    def __post_init__(self) -> None:
        channels, classes = self.settings.get("image_channels"), self.settings.get("classes")
        if len(self.mean) != channels or len(self.std) != channels:
            raise ValueError(f"the network has {said(channels)} image channels, but mean and std are given for "
                             f"{len(self.mean)} and {len(self.std)}")
        if len(self.class_names) != classes:
            raise ValueError(f"the network has {said(classes)} classes, but {len(self.class_names)} class names are "
                             "given")

    @classmethod
    def of(cls, genotype: Genotype, settings: dict[str, Any], info: Mapping[str, Any], scores: dict[str, Any]
           ) -> Self:
        """Returns the description of a network whose run folder, or network.json, says `info` of its data."""
        mean, std = (tuple(map(float, info[name])) for name in ("mean", "std"))
        return cls(genotype, settings, info["name"], info["image_size"], mean, std,
                   tuple(map(str, info["class_names"])), scores, reading_of(info))

    def prepare(self, images: Tensor) -> Tensor:
        """Returns the network's input, of images uint8 (B, channels, H, W): float32, normalised as in training."""
        return normalise(images, *(torch.tensor(values, dtype=torch.float32, device=images.device)
                                   for values in (self.mean, self.std)))

    def to_json(self) -> dict[str, Any]:
        """Returns the part of network.json that this is."""
        reading = {"shorter_side": self.reading.shorter_side, "upright": self.reading.upright}
        return {"genotype": self.genotype.to_json(), "settings": self.settings,
                "data": {"name": self.data, "image_size": self.image_size, "mean": self.mean, "std": self.std,
                         "class_names": self.class_names, "reading": reading}, "scores": self.scores}


@usual_defaults()
def export_network(source: Any, folder: str | Path, *, data: Any = None, program: bool = False) -> Path:
    """Writes a network into `folder`, which is made, or holds an older export that is replaced; returns the folder.

    source: a Training, the path of a training's run folder, or a network with `genotype` and `settings`.
    data: the ImageData (or StreamedData) whose normalisation and class names belong to it; a Training and its folder
        know them. program: write program.pt2 too, for float images (B, channels, data.image_size, data.image_size).
    The auxiliary head, which serves the training alone, is left out.
    Raises ValueError where data and network do not fit or the folder holds other things; RunError as `load_network`.
    """
    network, info, scores = _parts(source, data)
    if problem := what_a_folder_misses(network):
        raise ValueError(problem)
    settings = {key: False if key == "auxiliary" else value for key, value in network.settings.items()}
    description = Description.of(network.genotype, settings, info, scores)
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
               if not name.startswith("auxiliary.")}
    path = path_of(folder, "folder")
    if not path.is_dir() and (path.exists() or path.suffix.lower() in FILE_SUFFIXES):
        raise ValueError(f"{path} {'is' if path.exists() else 'looks like'} a file; give a folder, which an export is, "
                         f"with {' and '.join(FILES[:2])}")
    path.mkdir(parents=True, exist_ok=True)
    if others := sorted({entry.name for entry in path.iterdir()}.difference(FILES, PARTIAL)):
        raise ValueError(f"{path} holds other files ({others[0]}); give a new or empty folder")
    for name in (*PARTIAL, FILES[2]):       # the program is an older export's
        (path / name).unlink(missing_ok=True)
    write_atomically(path / "weights.safetensors", save(tensors, {"format": EXPORT_FORMAT}))
    written = {"format": EXPORT_FORMAT, **description.to_json(), "weights_sha256": digest(tensors),
               "torch": torch.__version__}
    _write_description(path, written)
    if program:
        _write_program(load_exported(path), description, path / "program.pt2")
        _write_description(path, written | {"program_sha256": _sha256(path / "program.pt2")})
    return path


def _write_description(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path / "network.json", (json.dumps(sealed(content), indent=2) + "\n").encode())


def _sha256(file: Path) -> str:
    with open_file(file) as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def load_exported(folder: str | Path) -> nn.Module:
    """Returns the network of an export, in evaluation mode, on the CPU; its outputs are the exported one's bit for bit.

    `read_exported(folder)` says how its images are normalised and what its classes are called.
    Raises FileNotFoundError or ValueError, in one sentence, for a folder that is no export or is damaged.
    """
    path = path_of(folder, "folder")
    content = read_export(path)
    description = _description(path, content)
    try:
        with torch.device("meta"):      # nothing is allocated before shapes are known to be those of the file
            network = spaces.network(description.genotype, **description.settings)
    except (TypeError, ValueError) as problem:
        raise ValueError(f"{path / 'network.json'}: no network can be built of its settings ({problem})") from None
    tensors = _read_weights(path / "weights.safetensors", network)
    if digest(tensors) != content.get("weights_sha256"):
        raise ValueError(f"{path / 'weights.safetensors'} is damaged or of another export: it does not match the "
                         "checksum in network.json; export the network again")
    program, expected = path / "program.pt2", content.get("program_sha256")     # it may have been taken away
    if expected and program.exists() and _sha256(program) != expected:
        raise ValueError(f"{program} is damaged or of another export: it does not match the checksum in network.json; "
                         "remove it or export the network again")
    with usual_defaults(), seeded(0):   # constants of a network of one's own are no weights
        network = spaces.network(description.genotype, **description.settings)
    network.load_state_dict(tensors, assign=True)
    attach_to_network(network, CPU)
    return network.to(memory_format=torch.channels_last).eval()


def read_exported(folder: str | Path) -> Description:
    """Returns what an export says of its network; reads network.json only. Raises as `load_exported`."""
    path = path_of(folder, "folder")
    return _description(path, read_export(path))


def _parts(source: Any, data: Any) -> tuple[nn.Module, dict[str, Any], dict[str, Any]]:
    """The network, what network.json says of its data, and its scores."""
    if not isinstance(source, (str, Path)):
        check_has(source, "settings" if isinstance(source, nn.Module) else "network", "source",
                  "a Training, its run folder, or a network as gl.network returns it")
    if isinstance(source, (str, Path)):
        network, config, record = load_trained(source)
        info, scores = config["data"], record.get("evaluation", {})
    elif isinstance(source, nn.Module):
        network, info, scores = source, {}, {}
    else:
        source.check_network()
        network, info = source.network, source.config["data"]
        is_scored = len(source.history) and source._steps is None       # within an epoch the weights are others
        scores = source.history[-1].to_json()["evaluation"] if is_scored else {}
    if isinstance(network, LanguageModel):
        raise ValueError("an export is a network of images; of a language model keep the run folder, which "
                         "gl.load_network reads")
    if data is not None:
        info = data_info(data) | ({"streamed": data.options} if isinstance(data, StreamedData) else {})
    if lacking := [key for key in ("name", "image_size", "mean", "std", "class_names") if key not in info]:
        raise ValueError(f"the {lacking[0]} of the network's data is not known; give data=, what it was trained on")
    return network, info, scores


def _write_program(network: nn.Module, description: Description, file: Path) -> None:
    """Raises RuntimeError unless the written program does what the network does, also for another batch size."""
    shape = (len(description.mean), description.image_size, description.image_size)
    example, x = torch.zeros(2, *shape), torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    network = network.to(memory_format=torch.contiguous_format)     # torch.export takes other layouts for slices
    content = io.BytesIO()      # PyTorch ends the process where a disk is full while it writes a file itself
    with torch.no_grad():
        network(example)        # constants that layers keep for a size must be real ones, not those of the tracing
        program = torch.export.export(network, (example,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
        torch.export.save(program, content)
        content.seek(0)
        expected, found = network(x), torch.export.load(content).module()(x)
        if not torch.allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max())):
            raise RuntimeError(f"the program that torch {torch.__version__} made of this network gives other outputs "
                               "than it, so it was not kept; the export without program is good")
    write_atomically(file, content.getvalue())


def _description(path: Path, content: Mapping[str, Any]) -> Description:
    try:
        return Description.of(genotype_from_json(content["genotype"]), dict(content["settings"]), content["data"],
                              content["scores"])
    except (KeyError, TypeError, ValueError) as problem:
        raise ValueError(f"{path / 'network.json'} does not describe a network ({problem}); export it again") from None


def _read_weights(file: Path, network: nn.Module) -> dict[str, Tensor]:
    """The weights of such a network, read when their shapes are known to be its."""
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    try:
        open_file(file).close()
        with safe_open(file, framework="pt") as opened:
            found = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}
            if found == expected:
                return {name: opened.get_tensor(name) for name in found}
    except FileNotFoundError:
        raise FileNotFoundError(f"{file} is missing; export the network again") from None
    except (SafetensorError, OSError, ValueError) as problem:
        raise ValueError(f"{file} is damaged or no safetensors file ({problem}); export the network again") from None
    wrong, shape = min(expected.items() ^ found.items())
    raise ValueError(f"{file} is damaged or of another export: its weights are not those of the network in "
                     f"network.json; only one of both has '{wrong}' of shape {shape}")


@dataclass(frozen=True)
class Prediction:
    """What a network says of a picture. class_names: in the order of the logits; probabilities: their softmax."""

    class_names: tuple[str, ...]
    probabilities: tuple[float, ...]

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """Pairs (class, probability), the most probable first."""
        return sorted(zip(self.class_names, self.probabilities), key=lambda pair: -pair[1])

    @property
    def name(self) -> str:
        """The most probable class."""
        return self.ranked[0][0]

    def __str__(self) -> str:
        return ", ".join(f"{name} {100 * probability:.0f} %" for name, probability in self.ranked[:3])


def predict(exported: str | Path, picture: str | Path) -> Prediction:
    """Returns what an exported network (a folder of `export_network`) says of a picture file of any size.

    The picture is turned, scaled, cut and made grey or coloured as those were on which the network was evaluated.
    A softmax is no certainty: a picture of no class at all gets a class as well.
    Raises FileNotFoundError if there is no such picture, ValueError if it cannot be read; else as `load_exported`.
    Example: print(gl.predict("export", "new.jpg"))
    """
    return predict_with(load_exported(exported), read_exported(exported), picture)


def predict_with(network: nn.Module, description: Description, picture: str | Path) -> Prediction:
    """Returns the same for a network that is loaded already, with its export's description; for many pictures."""
    path, channels = path_of(picture, "the picture"), len(description.mean)
    if channels not in (1, 3):
        raise ValueError(f"the network is for images of {channels} channels, but a picture has 1 or 3")
    if not path.is_file():
        raise FileNotFoundError(f"there is no picture {shown(path)}")
    try:
        pixels, remark = description.reading.pixels(path)
    except ValueError as reason:
        raise ValueError(f"{shown(path)} cannot be read ({reason}); give a picture such as a .png or .jpg") from None
    if remark:
        warnings.warn(f"{shown(path)}: {remark}", stacklevel=2)
    x = description.prepare(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None])     # (1, channels, size, size)
    with evaluating(network):
        probabilities = network(x.to(next(network.parameters()).device)).double().softmax(-1)[0].tolist()
    return Prediction(description.class_names, tuple(probabilities))
