"""What a module consists of: so an engine notices what was replaced or set, and hooks, which it does not call."""

from operator import itemgetter
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn.modules import module as of_all

HOOKS = "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"
OF_ALL = [getattr(of_all, f"_global{name}") for name in HOOKS]      # dictionaries, of what is registered for any module


class Parts:
    """The modules in a module as they were at first."""

    def __init__(self, whole: nn.Module) -> None:
        modules = list(whole.modules())         # not kept, since one of them is `whole`
        self._children = [one._modules for one in modules]
        self._geometry = [(itemgetter(*one.__constants__), vars(one)) for one in modules
                          if "stride" in getattr(one, "__constants__", ())]     # convolutions and poolings
        self._at_first = self._now()
        self._hooks = [getattr(one, name) for one in modules for name in HOOKS] + OF_ALL
        self._own = [vars(one) for one in modules]

    def _now(self) -> list[Any]:
        return [part for children in self._children for part in children.values()] + [
            settings(own) for settings, own in self._geometry]

    def are_same(self) -> bool:
        """Returns whether nothing was replaced, added or taken away, and no stride, padding or the like was set."""
        return self._now() == self._at_first

    def have_hooks(self) -> bool:
        """Returns whether a call of one of them does more than its class says: hooks, or a `forward` of its own."""
        return any(self._hooks) or any("forward" in own for own in self._own)

    def do_more(self) -> bool:
        """Returns whether they `have_hooks` or PyTorch `is_following`."""
        return self.have_hooks() or is_following()


def is_following() -> bool:
    """Returns whether PyTorch writes down, counts or transforms what is computed (`torch.jit.trace`, `make_fx`,
    `torch.func`), which takes operations of its own."""
    return not torch.compiler.is_compiling() and bool(torch.jit.is_tracing() or (
        torch._C._are_functorch_transforms_active() or torch._C._len_torch_dispatch_stack()))


_PARTS: WeakKeyDictionary[nn.Module, Parts] = WeakKeyDictionary()
_MADE: list[WeakKeyDictionary[nn.Module, Any]] = []


def made_of_modules() -> WeakKeyDictionary[nn.Module, Any]:
    """Returns a cache of what is made of modules; `parts_of` forgets what was made of a module with other parts."""
    _MADE.append(WeakKeyDictionary())
    return _MADE[-1]


def parts_of(whole: nn.Module) -> Parts:
    """Returns what a module consists of now."""
    found = _PARTS.get(whole)
    if found is None or not found.are_same():
        for module in whole.modules():
            for cache in _MADE:
                cache.pop(module, None)
        found = _PARTS[whole] = Parts(whole)
    return found
