"""What every notebook begins with: the map of the course, and the set-up cell.

Both name the repository, which stands in pyproject.toml alone (`project.urls.Repository`); as long as its owner is
called OWNER there is none, and nothing links to it. An author writes `[Open in Colab]()` in the first cell and
`# %% tags=["setup"]` above an empty cell; the build does the rest.
"""

from __future__ import annotations

import re
import textwrap
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETUP = "setup"  # tag of the set-up cell
SETUP_LINE = '# %% tags=["setup"] jupyter={"source_hidden": true}'
NOBODY = "OWNER"  # in the place of the repository's owner
COURSE = {
    "00_quickstart": "Quick start", "01_spaces": "Spaces", "02_gumbel": "Gumbel", "03_gdas": "GDAS",
    "04_darts": "DARTS", "05_nasnet": "NASNet", "06_training": "Training", "07_recurrent": "Recurrent cells",
    "08_landscape": "Landscape",
    "09_failures": "Failures", "10_own_pictures": "Own pictures", "11_imagenet": "ImageNet",
    "12_reproduce": "Reproduce",
}
GLOSSARY = "[Glossary](glossary.md)"
MAP = re.compile(
    r"^# (?:\[Open in Colab\]\([^)\s]*\)|\*\*Course\*\*:(?:.*\n# )*?.*\[Glossary\]\(glossary\.md\).*)$", re.MULTILINE)
SETUP_CELL = re.compile(r'^# %% tags=\["setup"\].*\n(?:(?!# %%).*\n?)*', re.MULTILINE)

SETUP_TEMPLATE = """\
# Set-up: looks for gdas_lite{what}.
import importlib.util, os, sys
from IPython import get_ipython
if importlib.util.find_spec("gdas_lite") is None:
    if "google.colab" not in sys.modules and "KAGGLE_KERNEL_RUN_TYPE" not in os.environ:
        raise ModuleNotFoundError("no gdas_lite here: in the checkout run `python3 run.py lab`")
    {install}
import gdas_lite, torch
device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
print("gdas_lite", gdas_lite.__version__, "| torch", torch.__version__, "|", device)"""
INSTALLS = 'get_ipython().run_line_magic("pip", "install -q --no-deps git+{repository}@v{version}")'
SAYS_HOW = """raise ModuleNotFoundError("upload a zip of gdas-lite and run `%pip install --no-deps gdas-lite.zip`")"""


def project() -> dict:
    """The [project] table of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def repository() -> str | None:
    """The address of the repository, None as long as nobody owns it."""
    address = project()["urls"]["Repository"]
    return None if f"/{NOBODY}/" in address else address


def setup_source() -> str:
    """The set-up cell, the same in every notebook. It may run twice, and costs nothing where all is there."""
    address, version = repository(), project()["version"]
    what = "; on Colab and Kaggle it installs it and leaves torch and numpy alone" if address else ""
    install = INSTALLS.format(repository=address, version=version) if address else SAYS_HOW
    return SETUP_TEMPLATE.format(repository=address, version=version, what=what, install=install)


def course_map(name: str) -> str:
    """The course in one paragraph: a link to each other notebook, to the glossary and, once it has an owner, to Colab.

    Text and no badge, so that opening a notebook fetches nothing.
    """
    places = [f"**{int(key[:2])} {title}**" if key == name else f"[{int(key[:2])} {title}]({key}.ipynb)"
              for key, title in COURSE.items()]
    links = [*places, GLOSSARY]
    if address := repository():
        page = f"{address.removeprefix('https://github.com/')}/blob/main/notebooks/{name}.ipynb"
        links.append(f"[Open in Colab](https://colab.research.google.com/github/{page})")
    text = "**Course**: " + " · ".join(link.replace(" ", "\0") for link in links)
    return "\n".join(textwrap.wrap(text, 118, break_long_words=False, break_on_hyphens=False)).replace("\0", " ")


def fill_in(text: str, name: str) -> str:
    """The text source with its map and its set-up cell as they must be."""
    lines = "\n".join(f"# {line}" for line in course_map(name).splitlines())
    text = MAP.sub(lambda _: lines, text, count=1)
    return SETUP_CELL.sub(lambda _: f"{SETUP_LINE}\n{setup_source()}\n\n", text)
