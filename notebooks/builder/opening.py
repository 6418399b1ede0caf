"""What every notebook begins with: the link that opens it in Colab, and the set-up cell.

Both name the repository, which stands in pyproject.toml alone (`project.urls.Repository`). An author writes
`[Open in Colab]()` in the first cell and `# %% tags=["setup"]` above an empty cell; the build does the rest.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETUP = "setup"  # tag of the set-up cell
LINK = re.compile(r"\[Open in Colab\]\([^)\s]*\)")
SETUP_CELL = re.compile(r'^# %% tags=\["setup"\]\n(?:(?!# %%).*\n?)*', re.MULTILINE)

SETUP_TEMPLATE = """\
# Set-up: on Colab and Kaggle this installs gdas_lite and leaves torch and numpy alone; elsewhere it looks.
import importlib.util, os, sys
from IPython import get_ipython
if importlib.util.find_spec("gdas_lite") is None:
    if "google.colab" not in sys.modules and "KAGGLE_KERNEL_RUN_TYPE" not in os.environ:
        raise ModuleNotFoundError("no gdas_lite here: in the checkout run `python3 run.py lab`")
    get_ipython().run_line_magic("pip", "install -q --no-deps git+{repository}@v{version}")
import torch, gdas_lite
device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
print("gdas_lite", gdas_lite.__version__, "| torch", torch.__version__, "|", device)"""


def project() -> dict:
    """The [project] table of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def setup_source() -> str:
    """The set-up cell, the same in every notebook. It may run twice, and costs nothing where all is there."""
    return SETUP_TEMPLATE.format(repository=project()["urls"]["Repository"], version=project()["version"])


def colab_link(name: str) -> str:
    """The link of notebook `name`. Text and not a badge, so that opening a notebook fetches nothing."""
    repository = project()["urls"]["Repository"].removeprefix("https://github.com/")
    return f"[Open in Colab](https://colab.research.google.com/github/{repository}/blob/main/notebooks/{name}.ipynb)"


def fill_in(text: str, name: str) -> str:
    """The text source with its link and its set-up cell as they must be."""
    text = LINK.sub(lambda _: colab_link(name), text)
    return SETUP_CELL.sub(lambda _: f'# %% tags=["setup"]\n{setup_source()}\n\n', text)
