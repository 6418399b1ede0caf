"""Published tables as work to do: the command that makes each number, its cost here, and the runs that fill it.

    protocols.py    a search or training as a value, and the command for it
    published.py    each published number with the protocol that makes it
    costs.py        how long a protocol takes here, from a few measured steps
    compare.py      the published table beside what the run folders at hand have measured
    resume.py       going on with a run folder
    seeds.py        a search for each of several seeds
    cli/            the command `gdas-lite`

    print(gl.reproduction.fill("runs"))

A name is loaded when it is first used: `gdas-lite --help` needs none of them.
"""

import importlib
from typing import Any

_HOME = {"Estimate": "costs", "estimate": "costs", "PublishedProtocol": "protocols", "protocol": "cli.values",
         "ResultsTable": "compare", "fill": "compare", "Row": "published", "rows": "published"}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
