"""`python -m tests.smoke`: what a user does first, once through, for an environment whose versions are to be tried."""

from __future__ import annotations

import ast
import os
import pkgutil
import platform
import re
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import gdas_lite as gl
from gdas_lite.engines.cpu.engine import numba_obstacle
from gdas_lite.reproduction.cli.main import main as command


def missing_names(folder: Path) -> list[str]:
    """Names in other packages that the code in a folder asks for and the installed versions do not have."""
    asked = set()
    for tree in (ast.parse(file.read_text(encoding="utf-8")) for file in folder.rglob("*.py")):
        places = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                places |= {name.asname or root(name.name): name.name if name.asname else root(name.name)
                           for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                places |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
        bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        chains = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        asked |= {*places.values(), *(places[root(chain)] + chain.removeprefix(root(chain)) for chain in chains
                                      if root(chain) in places.keys() - bound and re.fullmatch(r"[\w.]+", chain))}
    return sorted(name for name in asked if find_spec(root(name)) and not exists(name))


def root(name: str) -> str:
    return name.partition(".")[0]


def exists(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def few_digits() -> gl.ImageData:
    data = gl.load_data("digits")
    parts = {part: getattr(data, part).subset(range(64)) for part in ("train", "train_half", "valid_half")}
    return replace(data, **parts, evaluation={"test": data.evaluation["test"].subset(range(64))})


def recipe(space: str, epochs: int = 2, batch_size: int = 32) -> gl.SearchRecipe:
    return gl.search_recipe("smoke", space, "gdas", epochs=epochs, batch_size=batch_size)


def searched(data: gl.ImageData, engine: str) -> gl.Search:
    """A search that was stopped and resumed; it must be the one that was not."""
    def make(out: str | None = None) -> gl.Search:
        return gl.Search(gl.NASBench201(4, 1), data, gl.GDAS(), recipe=recipe("nasbench201"), engine=engine, out=out)

    stopped = make(f"search-{engine}")
    stopped.run_epoch()
    stopped.close()
    resumed, whole = gl.resume(f"search-{engine}", data).run(), make().run()
    resumed.close()
    assert {record.engine for record in resumed.history} == {engine}
    assert all(torch.equal(value, resumed.tensors()[name]) for name, value in whole.tensors().items()), engine
    return resumed


def main() -> None:
    print(f"Python {platform.python_version()}, PyTorch {torch.__version__}, NumPy {np.__version__}")
    assert missing_names(Path(gl.__file__).parent) == []
    os.chdir(tempfile.mkdtemp())
    data, text = few_digits(), gl.load_data("grammar")
    text = replace(text, train=text.train[:600], valid=text.valid[:200], test=text.test[:200])
    engines = ["plain", "layers", *(["cpu"] if numba_obstacle() is None else [])]
    print(f"engines: {', '.join(engines)}")
    cell = [searched(data, engine) for engine in engines][-1].genotype
    gl.Search(gl.NASNet(8, cells=3), data, gl.GDAS(), recipe=recipe("nasnet", 1), engine=engines[-1]).run()
    gl.Search(gl.Recurrent(hidden=8), text, gl.GDAS(), recipe=recipe("recurrent", 1, 8), engine=engines[-1]).run()
    network = gl.network(cell, channels=4, cells_per_stage=1, classes=10, image_channels=1)
    gl.Training(network, data, recipe=gl.training_recipe("smoke", "nasbench201", batch_size=32), out="a").run().close()
    gl.resume("a", data, more=1).run().close()
    gl.export_network("a-more1", "network")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("picture.png")
    print(gl.predict("network", "picture.png"))
    model = gl.network(gl.zoo_genotype("GDAS@recurrent"), hidden=4, vocabulary=text.vocabulary)
    short = gl.language_recipe("smoke", "grammar", epochs=1, batch_size=4, valid_batch=2, test_batch=2)
    gl.LanguageTraining(model, text, recipe=short).run()
    gl.diagrams.save(cell, "cell.svg")
    for widget in (gl.TemperatureExplorer, gl.CellBuilder, gl.ZooBrowser):
        widget()
    assert command(["doctor"]) == 0
    print("all fine")


if __name__ == "__main__":
    main()
