"""The registry of engines: other ways to compute the same numbers, faster. Searches and trainings ask here; whoever has an
engine (the room `engines`) registers it. Without any, everything runs as it is written.
"""

from __future__ import annotations

import warnings
from typing import Any, Protocol

import torch
from torch import nn


class Registered(Protocol):
    """What the registry needs of an engine; what a search needs stands in search/engine.py."""

    name: str
    device: str | None      # type of the devices it runs on, such as "cpu"; None: any

    def obstacle(self, asked: Any) -> str | None:
        """Why it cannot compute what is asked for, in one sentence, or None."""

    def pays(self, asked: Any) -> str | None:
        """Why "auto" passes it by although it can, in one sentence, or None."""

    def trial(self, asked: Any) -> str | None:
        """What a trial on this machine finds against it, in one sentence, or None. Asked last: it may take a while."""

    def attach_network(self, network: nn.Module) -> None:
        """Run the cells of a derived network from now on, if it can do so."""


ENGINES: dict[str, Registered] = {}


def register(engine: Registered) -> None:
    """Make an engine known by its name. "auto" takes the last one that can and pays, so the fastest comes last."""
    ENGINES[engine.name] = engine


def obstacle_of(engine: Registered, asked: Any) -> str | None:
    """Returns why an engine cannot compute what is asked for (it has a `device`), or None."""
    if engine.device not in (None, asked.device.type):
        return f"the engine {engine.name!r} runs on {engine.device} only, not on {asked.device.type}"
    return engine.obstacle(asked) or engine.trial(asked)


def engine_for(asked: Any, name: str = "auto") -> tuple[Any, str]:
    """Returns an engine and the reason why it is that one.

    name: of an engine, or "auto". One that cannot compute what is asked for gives way to what "auto" takes, and the reason says
    why. "fused", as compiled engines were called once, reads as "auto" with a warning. Raises ValueError for an unknown name.
    """
    if name == "fused":
        warnings.warn("there is no engine 'fused' any more, 'auto' is taken; its successors are 'cpu' and 'cuda'", FutureWarning,
                      stacklevel=4)
        name = "auto"
    if name not in ("auto", *ENGINES):
        raise ValueError(f"engine must be one of auto, {', '.join(ENGINES)}, got {name!r}")
    if name == "auto":
        return _automatic(asked)
    against = obstacle_of(ENGINES[name], asked)
    return (ENGINES[name], "it was asked for") if against is None else (_automatic(asked)[0], against)


def _automatic(asked: Any) -> tuple[Any, str]:
    against = []
    for engine in reversed(ENGINES.values()):
        if engine.device in (None, asked.device.type):
            reason = engine.obstacle(asked) or engine.pays(asked) or engine.trial(asked)
            if reason is None:
                return engine, "; ".join(against) or f"the fastest for {asked.device.type}"
            against.append(reason)
    raise LookupError("no engine is registered that computes everything")


def name_now(name: str | None) -> str | None:
    """Returns what an engine is called now that a run folder calls `name` whose head says nothing of engines."""
    return {"plain": "layers", "fused": "cpu"}.get(name, name)


def attach_to_network(network: nn.Module, device: torch.device) -> None:
    """Let the engines of this device run the cells of a derived network from now on, the last one that does so."""
    for engine in ENGINES.values():
        if engine.device == device.type:
            engine.attach_network(network)
