"""gdas_lite: learn, reproduce and use differentiable architecture search (GDAS and DARTS).

    import gdas_lite as gl
    search = gl.Search(gl.NASBench201(4, 1), gl.load_data("digits"), gl.GDAS(), recipe="lesson", seed=0).run()
    search.genotype

Importing costs little: a name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

from .published import published  # at once: these functions bear their modules' names, and importing a module
from .tabular import tabular  # later would put the module in the function's place
from .zoo import zoo

__version__ = "0.1.0"

_HOME = {
    "NASBench201Genotype": "genotype", "NASNetGenotype": "genotype", "RecurrentGenotype": "genotype",
    "parse_genotype": "genotype", "genotype_from_json": "genotype",
    "NASBench201": "spaces.nasbench201", "NASNet": "spaces.nasnet",
    "Recurrent": "spaces.recurrent", "PlainRNN": "spaces.plain_rnn", "TextData": "data.text",
    "LanguageTraining": "training.language", "LanguageRecipe": "training.language_recipes",
    "language_recipe": "training.language_recipes", "language_report": "training.language_report",
    "TextSearchRecipe": "search.text_recipes",
    "load_data": "data", "ImageData": "data.images", "ImageSet": "data.images", "Augmentation": "data.images",
    "Search": "search.loop", "StackedSearch": "search.stacked", "GDAS": "search.algorithms", "DARTS": "search.algorithms",
    "RandomSearch": "search.algorithms", "SearchRecipe": "search.recipes", "search_recipe": "search.recipes",
    "SkipLimit": "search.stopping", "StableRanking": "search.stopping",
    "History": "search.history", "EpochRecord": "search.history", "recorded": "search.recorded",
    "Training": "training.loop", "TrainingRecipe": "training.recipes", "training_recipe": "training.recipes",
    "StreamedData": "data.streaming", "outlook": "training.outlook",
    "export_network": "export", "load_exported": "export", "read_exported": "export",
    "predict": "predicting", "Prediction": "predicting",
    "resume": "reopen", "load_network": "reopen", "RunError": "runs",
    "cost_of": "cost", "count_parameters": "cost", "multiply_adds": "cost",
    "zoo_entry": "zoo", "zoo_genotype": "zoo",
    "TemperatureExplorer": "widgets.temperature", "AlphaPlayer": "widgets.alpha_player",
    "CellBuilder": "widgets.cell_builder", "Dashboard": "widgets.dashboard", "ZooBrowser": "widgets.zoo_browser",
    "watch": "widgets.live", "Gallery": "drawing.gallery",
    "load_cell": "cells",
}

_MODULES = ("baselines", "diagrams", "landscape", "plots", "reproduction")

__all__ = ["__version__", "published", "tabular", "zoo", *_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name not in _HOME:
        raise AttributeError(f"module 'gdas_lite' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
