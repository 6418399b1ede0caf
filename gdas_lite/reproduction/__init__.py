"""Published tables as work to do: the command that makes each number, its cost here, and the runs that fill it.

    protocols.py    a search or training as a value, and the command for it
    rows.py         each published number with the protocol that makes it
    estimate.py     how long one takes here, from a few measured steps
    compare.py      the published table beside what the run folders at hand have measured
    resume.py       going on with a run folder
    cli/            the command `gdas-lite`

    print(gl.reproduction.fill("runs"))
"""

from __future__ import annotations

from .cli.values import protocol
from .compare import ResultsTable, fill
from .estimate import Estimate, estimate
from .protocols import PublishedProtocol
from .rows import Row, rows

__all__ = ["Estimate", "PublishedProtocol", "ResultsTable", "Row", "estimate", "fill", "protocol", "rows"]
