"""Published tables as work to do: the command that makes each number, its cost here, and the runs that fill it.

    commands.py     from a published number to the command that reproduces it
    protocols.py    what such a command asks for, as a run folder would record it
    costs.py        how long it takes here, from a measured step
    filling.py      the published table with what the run folders at hand have measured

    print(gl.reproduction.fill("runs"))
"""

from __future__ import annotations

from .compare import ResultsTable, fill
from .estimate import Estimate, estimate
from .protocols import Protocol, Row, protocol, rows

__all__ = ["Estimate", "ResultsTable", "Protocol", "Row", "estimate", "fill", "protocol", "rows"]
