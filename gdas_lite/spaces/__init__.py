"""The search spaces: each holds its edges, search cell, supernet, deriving rule and final network.

`SPACES` is the only registry: recipes, commands and run folders ask it. A new space is one module that `register`s it.
"""

from typing import Any

from torch import nn

from ..genotypes.parse import SPACES as GENOTYPES
from ..runs import resumable
from ..runs.schema import check, check_has, python_number
from .nasbench201 import NASBench201
from .nasnet import NASNet
from .recurrent import Recurrent

SPACES: dict[str, type] = {}


def register(space: type) -> type:
    """Makes a space known by its `name`; usable as a decorator.

    A space is a frozen dataclass whose fields are its settings, with the class variables and methods of `NASBench201`
    (`excluded_columns` only where alpha lacks candidates). Its networks have the attributes `genotype` and `settings`,
    all that rebuilds them. If its genotypes are of a class of its own, that is its `genotype_class`: a frozen dataclass
    with the class variable `space`, `to_json`, `from_json` and the static method `parse`, which takes its text and
    raises ValueError for any other; a method `cells` (see contents.operation_edges) makes it drawn and counted.
    Raises ValueError if another space has that name.
    """
    known = SPACES.setdefault(space.name, space)
    if not is_same_class(known, space):
        raise ValueError(f"there is a space called {space.name!r} already: {known.__name__}")
    SPACES[space.name] = space
    if hasattr(space, "genotype_class"):
        GENOTYPES[space.name] = space.genotype_class
    return space


def is_same_class(known: type, new: type) -> bool:
    """Whether a class is the known one, or what the same notebook cell defines when it is run again."""
    return (known.__module__, known.__qualname__) == (new.__module__, new.__qualname__)


for _space in (NASBench201, NASNet, Recurrent):
    register(_space)


def network(genotype: Any, *sizes: Any, **settings: Any) -> nn.Module:
    """Returns the network of a cell, by default of its published size.

    sizes, settings: as the `Network` of the space takes them, such as channels, cells, classes, hidden, vocabulary.
    Raises ValueError for what is no cell and for sizes that cannot be built, TypeError for a setting there is not.
    """
    check_has(genotype, "space", "genotype", "a cell, such as gl.load_cell('GDAS_V1')")
    check(genotype.space, set(SPACES), "genotype.space")
    plain = {name: python_number(value) for name, value in settings.items()}    # a uint8 would overflow in products
    with resumable.DRAWING:  # another thread may be drawing weights from a seed
        return SPACES[genotype.space].network_class(genotype, *python_number(sizes), **plain)
