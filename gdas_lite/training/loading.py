"""The network that a training left in its run folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import spaces
from ..genotypes.parse import genotype_from_json
from ..runs.checkpoint import restore
from ..runs.config import RunError, path_of, read_config
from ..runs.cost import count_parameters
from ..runs.device import usual_defaults
from ..runs.engine import attach_to_network
from ..runs.folder import load_newest
from ..runs.resumable import seeded
from .plain_rnn import PlainRNN

MOST_PARAMETERS = 2_000_000_000     # 8 GB; published networks have some millions
CPU = torch.device("cpu")


def load_network(path: str | Path) -> nn.Module:
    """Returns the network of a training's run folder, weights of the newest good checkpoint, evaluation mode, CPU.

    Of a language model the weights are those of the best epoch so far, which are tested. Warns where a newer checkpoint
    is damaged. Raises RunError if the folder holds no training, or no good checkpoint.
    """
    return load_trained(path)[0]


def load_trained(path: str | Path) -> tuple[nn.Module, dict[str, Any], dict[str, Any]]:
    """Returns what `load_network` does, the training's configuration and the record of the weights' epoch."""
    config = read_config(path)
    if config.get("kind") not in ("training", "language training"):
        raise RunError(f"{path} holds a {config.get('kind')}, not a training; train its genotype first")
    network = network_of(config)
    attach_to_network(network, CPU)
    if (found := load_newest(path_of(path), config)) is None:
        raise RunError(f"{path} has no checkpoint yet: no epoch of the training was finished")
    tensors, _, records = found
    if config["kind"] == "language training":       # the weights with the lowest validation loss so far
        restore({f"best/{name}": value for name, value in network.named_parameters()}, tensors)
        return network.eval(), config, max(records, key=lambda each: (each.get("is_best", False), each["epoch"]))
    restore({f"network/{name}": value for name, value in network.state_dict().items()}, tensors)
    return network.to(memory_format=torch.channels_last).eval(), config, records[-1]


@usual_defaults()
@seeded(0)
def network_of(config: Mapping[str, Any]) -> nn.Module:
    """Returns the network that a config.json describes, with new weights. Raises RunError if there can be none."""
    try:
        with torch.device("meta"):      # its size is known before anything is allocated
            if (parameters := count_parameters(_built(config))) > MOST_PARAMETERS:
                raise ValueError(f"it would have {parameters:,} parameters")
        return _built(config)
    except (KeyError, TypeError, ValueError) as problem:
        raise RunError(f"config.json: no network can be built of its genotype and network settings ({problem})"
                       ) from None


def what_a_folder_misses(network: nn.Module) -> str | None:
    """Returns why a folder, which keeps a network by genotype and settings, cannot be read again; None if it can."""
    if (space := spaces.SPACES.get(network.genotype.space)) is None:     # of one's own, not registered yet
        return None
    with torch.device("meta"):
        again = space.network_class(network.genotype, **network.settings)
    given, made = ({(name, tuple(value.shape)) for name, value in each.state_dict().items()}
                   for each in (network, again))
    return None if given == made else (
        f"the network's {min(given ^ made)[0]} is not as its genotype and settings make it, by which a folder keeps a "
        "network, so it could not be loaded again; save its state_dict() yourself")


def _built(config: Mapping[str, Any]) -> nn.Module:
    if config["genotype"] == {"space": "tanh"}:
        return PlainRNN(**config["network"])
    return spaces.network(genotype_from_json(config["genotype"]), **config["network"])
