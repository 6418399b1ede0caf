"""gdas_lite: learn, reproduce and use differentiable architecture search (GDAS and DARTS).

    import gdas_lite as gl
    search = gl.Search(gl.NASBench201(4, 1), gl.load_data("digits"), gl.GDAS(), recipe="lesson", seed=0).run()
    search.genotype

Importing costs little: a name is loaded when it is first used.
"""

import importlib
import os
import sys
from typing import Any

from .benchmark.table import tabular
from .genotypes.zoo import published, zoo
from .runs.config import VERSION as __version__

if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
    # Threads that wait for each other spin for milliseconds by default: of two programs on the same cores each would be
    # fifty times slower than alone. After a thousand turns, less than a tenth of a millisecond, a thread sleeps now.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

_HOME = {
    "NASBench201Genotype": "genotypes.nasbench201", "NASNetGenotype": "genotypes.nasnet",
    "RecurrentGenotype": "genotypes.recurrent",
    "parse_genotype": "genotypes.parse", "genotype_from_json": "genotypes.parse",
    "NASBench201": "spaces.nasbench201", "NASNet": "spaces.nasnet",
    "Recurrent": "spaces.recurrent", "PlainRNN": "training.plain_rnn", "TextData": "data.text",
    "LanguageTraining": "training.language", "LanguageRecipe": "training.recipes",
    "language_recipe": "training.recipes", "language_report": "training.report",
    "TextSearchRecipe": "search.recipes",
    "load_data": "data", "ImageData": "data.images", "ImageSet": "data.images", "Augmentation": "data.images",
    "Search": "search.loop", "StackedSearch": "reproduction.seeds", "searches": "reproduction.seeds",
    "GDAS": "search.algorithms", "DARTS": "search.algorithms",
    "RandomSearch": "search.algorithms", "SearchRecipe": "search.recipes", "search_recipe": "search.recipes",
    "SkipLimit": "search.stopping", "StableRanking": "search.stopping",
    "History": "search.history", "EpochRecord": "search.history", "recorded": "lessons.recorded",
    "Training": "training.loop", "TrainingRecipe": "training.recipes", "training_recipe": "training.recipes",
    "StreamedData": "data.photos", "progress": "training.report",
    "export_network": "training.export", "load_exported": "training.export", "read_exported": "training.export",
    "predict": "training.export", "Prediction": "training.export",
    "resume": "reproduction.resume", "load_network": "training.loading", "RunError": "runs.config",
    "network": "spaces", "cost_of": "runs.cost", "count_parameters": "runs.cost", "multiply_adds": "runs.cost",
    "zoo_entry": "genotypes.zoo", "zoo_genotype": "genotypes.zoo",
    "TemperatureExplorer": "visual.widgets.temperature", "AlphaPlayer": "visual.widgets.alpha_player",
    "CellBuilder": "visual.widgets.cell_builder", "Dashboard": "visual.widgets.dashboard",
    "PerfectWeightsExplorer": "visual.widgets.perfect_weights", "ZooBrowser": "visual.widgets.zoo_browser",
    "watch": "visual.widgets.live", "Gallery": "visual.diagrams",
    "load_cell": "genotypes.lookup",
}

_MODULES = {"baselines": "benchmark.baselines", "diagrams": "visual.diagrams", "landscape": "benchmark.landscape",
            "perfect_weights": "benchmark.perfect_weights", "plots": "visual.plots",
            "relaxation": "relaxation", "reproduction": "reproduction"}

# Rooms that register what makes these names' runs faster. Who imports search.loop itself gets the plain search.
_WITH = dict.fromkeys(("Search", "StackedSearch", "searches", "Training", "LanguageTraining", "resume", "load_network",
                       "load_exported", "predict"), "engines")

__all__ = ["__version__", "published", "tabular", "zoo", *_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f".{_MODULES[name]}", __name__)
    if name not in _HOME:
        raise AttributeError(f"module 'gdas_lite' has no attribute {name!r}")
    if name in _WITH:
        importlib.import_module(f".{_WITH[name]}", __name__)
    value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _draw_genotypes_in_notebooks() -> None:
    """In a notebook, a genotype that is a cell's last value shows its drawing; by type name, so genotypes know nothing
    of it."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return

    def drawing(genotype: Any) -> Any:
        from .visual.diagrams import mimebundle
        return mimebundle(genotype)

    for name in ("NASBench201Genotype", "NASNetGenotype", "RecurrentGenotype"):
        shell.display_formatter.mimebundle_formatter.for_type_by_name(f"{__name__}.{_HOME[name]}", name, drawing)


_draw_genotypes_in_notebooks()
