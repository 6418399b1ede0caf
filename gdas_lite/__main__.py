"""`python -m gdas_lite` is `gdas-lite`; torchrun needs it in this form."""

import sys

from .reproduction.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
