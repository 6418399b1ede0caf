"""The registry of engines: other ways to compute the same numbers, faster. Searches and trainings ask here; whoever has
an engine (the room `engines`) registers it. Without any, everything runs as it is written.

An engine puts functions of its own in the place of
    search.state.supernet.run_cell    how a cell is run
    search.state.updates              the two updates of a step
    Engine.steps                      the steps of a whole epoch
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class SearchSpec:
    """What an engine is asked to compute.

    recipe: a `SearchRecipe`. image_size: pixels on a side, None for texts. precision: "fp32" or "bf16". stacked:
    whether it is one of several searches at once. processes: so many share each batch; updates of an engine's own then
    average the gradients (`state.group.average`), or it has an obstacle. steps: of an epoch, 0 if that is not known.
    """

    space: Any
    algorithm: Any
    recipe: Any
    device: torch.device
    image_size: int | None = None
    precision: str = "fp32"
    stacked: bool = False
    processes: int = 1
    steps: int = 0

    @property
    def map_elements(self) -> int | None:
        """Numbers in a batch's largest feature map, or this process's part of it; None for texts, without channels."""
        images, channels = -(-self.recipe.batch_size // self.processes), getattr(self.space, "channels", None)
        return None if None in (self.image_size, channels) else images * channels * self.image_size**2


class Engine:
    """The plain engine: runs compute as they are written. Another one inherits from it what it leaves as it is, and
    never raises for what it does not know: it says so in `obstacle`, or runs that cell plainly.

    device: type of the devices it runs on, such as "cpu"; None: any. asked: a `SearchSpec`.
    """

    name: str = "plain"
    device: str | None = None

    def obstacle(self, asked: Any) -> str | None:
        """Returns why it cannot compute what is asked for, in one sentence, or None."""
        return None

    def pays(self, asked: Any) -> str | None:
        """Returns why "auto" passes it by although it can, in one sentence, or None."""
        return None

    def merit(self, asked: Any) -> str:
        """Returns why "auto" takes it, in one sentence."""
        return f"the fastest for {asked.device.type}"

    def trial(self, asked: Any) -> str | None:
        """Returns what a trial on this machine finds against it, or None. Asked last: it may take a while."""
        return None

    def attach_network(self, network: nn.Module) -> None:
        """Runs the cells of a derived network, which is to be trained, from now on."""

    def optimizer(self, network: nn.Module, sgd: torch.optim.SGD) -> torch.optim.SGD:
        """Returns what moves the weights of such a network in the place of `sgd`: it shares its groups and state. It
        may have a `clip_grad_norm_` of its own."""
        return sgd

    def attach(self, search: Any) -> None:
        """Takes over a search from now on, whose state may be a checkpoint's."""

    def steps(self, search: Any, epoch: int) -> Iterator[int] | None:
        """Returns the steps of an epoch as `Search.begin_epoch` does; None: the search's own."""
        return None

    def workers(self, searches: Sequence[Any], asked: int | None) -> int:
        """Returns how many of several searches run at a time. asked: at most, None: as many as pay."""
        return 1

    def run_together(self, searches: Sequence[Any], workers: int) -> None:
        """Does an epoch of each. An interrupt takes effect at the end of each search's step at hand; what stops one
        search is raised when the others have done the epoch."""
        for search in searches:
            search.run_epoch()


ENGINES: dict[str, Engine] = {}


def register(engine: Engine) -> None:
    """Makes an engine known by its name. "auto" takes the last one that can and pays, so the fastest comes last."""
    ENGINES[engine.name] = engine


register(Engine())


def engine_for(asked: Any, name: str = "auto") -> tuple[Engine, str]:
    """Returns an engine and the reason why it is that one.

    name: of an engine, or "auto". One that cannot compute what is asked for gives way to what "auto" takes, and the
    reason says why. "fused", as compiled engines were called once, reads as "auto" with a warning. Raises ValueError
    for an unknown name.
    """
    if name == "fused":
        warnings.warn("there is no engine 'fused' any more, 'auto' is taken; its successors are 'cpu' and 'cuda'",
                      FutureWarning, stacklevel=4)
        name = "auto"
    if name not in ("auto", *ENGINES):
        raise ValueError(f"engine must be one of auto, {', '.join(ENGINES)}, got {name!r}")
    if name == "auto":
        return _automatic(asked)
    engine = ENGINES[name]
    if engine.device not in (None, asked.device.type):
        against = f"the engine {name!r} runs on {engine.device} only, not on {asked.device.type}"
    else:
        against = engine.obstacle(asked) or engine.trial(asked)
    return (engine, "it was asked for") if against is None else (_automatic(asked)[0], against)


def _automatic(asked: Any) -> tuple[Engine, str]:
    against = []
    for engine in reversed(ENGINES.values()):
        if engine.device in (None, asked.device.type):
            reason = engine.obstacle(asked) or engine.pays(asked) or engine.trial(asked)
            if reason is None:
                return engine, "; ".join(against) or engine.merit(asked)
            against.append(reason)
    raise LookupError("no engine is registered that computes everything")


def going_on(found: tuple[Engine, str], asked: Any, name: str, head: Mapping[str, Any], last: str | None
             ) -> tuple[Engine, str]:
    """Returns the engine of a run and the reason: the one that its folder began with, if no other was asked for.

    found: what `engine_for` gives for asked and name. head: of the folder's history, {} without a folder. last: engine
    of the last epoch, None without one. Warns if the run goes on with another engine, or not with the one asked for.
    """
    engine, reason = found
    before = last or head.get("engine")
    if "engine" not in head:        # an older folder: what engines were called
        before = {"plain": "layers", "fused": "cpu"}.get(before, before)
    if before in ENGINES and before != engine.name and name not in ENGINES:
        kept, _ = engine_for(asked, before)
        if kept.name == before:
            return kept, "the run folder began with it"
    if before not in (None, engine.name):
        warnings.warn(f"the engine was {before!r} so far, this goes on with {engine.name!r} ({reason}): the same "
                      "search up to rounding, not bit for bit", stacklevel=3)
    elif name in ENGINES and name != engine.name:
        warnings.warn(f"the engine {name!r} is not to be had here, {engine.name!r} runs: {reason}", stacklevel=3)
    return engine, reason


def attach_to_network(network: nn.Module, device: torch.device) -> None:
    """Lets the engines of this device run the cells of a derived network from now on, the last one that does so."""
    for engine in ENGINES.values():
        if engine.device == device.type:
            engine.attach_network(network)


def optimizer_for(network: nn.Module, device: torch.device, sgd: torch.optim.SGD) -> torch.optim.SGD:
    """Returns what moves the weights of a network in the place of `sgd`, by the engines of this device."""
    for engine in ENGINES.values():
        if engine.device == device.type:
            sgd = engine.optimizer(network, sgd)
    return sgd
