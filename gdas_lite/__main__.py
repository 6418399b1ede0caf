"""`python -m gdas_lite` is `gdas-lite`; torchrun needs it in this form."""

from __future__ import annotations

import sys

from .reproduction.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
