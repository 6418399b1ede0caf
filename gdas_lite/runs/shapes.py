"""What each kind of file holds, as shapes of schema.py: every field that is indexed somewhere, and no more.

Files of older versions lack some fields (with "?" here); those of newer ones may have others.
"""

from typing import Any

from .schema import EPOCHS, WHOLE, Range

SCALAR = (bool, float, str, None)
COUNT, SECONDS, PIXELS = Range(0, whole=True), Range(0), Range(1, 100_000, whole=True)
NAMED = {"name": str}
SCORES = {str: {str: (float, None)}}
NUMBER_OR_NONE = (float, None)      # NaN is written as null

_OF_PICTURES = {"image_size": PIXELS, "mean": [float], "std": [Range(above=0)], "class_names": [str]}
_DATA = {"name": str, "checksum?": str, "grey?": bool, "streamed?": ({str: (*SCALAR, [SCALAR])}, None),
         "augmentation?": dict, **{f"{field}?": shape for field, shape in _OF_PICTURES.items()}}
_RUN = {"recipe": {"epochs": EPOCHS, "name?": str}, "seed": WHOLE, "data": _DATA}
_TRAINED = _RUN | {"genotype": {"space": str}, "network": {str: SCALAR}}
CONFIGS: dict[str, Any] = {     # config.json of a run folder, by its field "kind"
    "search": _RUN | {"space": NAMED, "algorithm": NAMED, "stop_when?": (NAMED, None), "precision?": str,
                      "engine?": SCALAR},
    "training": _TRAINED | {"train_on?": str, "evaluate_every?": WHOLE, "keep_weights?": bool, "precision?": str,
                            "sync_batch_norm?": bool, "frozen?": [str]},
    "language training": _TRAINED | {
        "recipe": _RUN["recipe"] | {"valid_batch": COUNT, "test_batch": COUNT, "bptt": COUNT}},
}
EXPORT = {"genotype": {"space": str}, "settings": {str: SCALAR}, "data": {"name": str, **_OF_PICTURES},
          "scores": SCORES, "weights_sha256": str, "program_sha256?": str}
LABELS = {"edges": [[COUNT, 2]], "candidates": [str]}
EPOCH = {
    "epoch": COUNT, "tau": NUMBER_OR_NONE, "learning_rate": float, "train_loss": NUMBER_OR_NONE,
    "train_accuracy": NUMBER_OR_NONE, "valid_loss": NUMBER_OR_NONE, "valid_accuracy": NUMBER_OR_NONE,
    "seconds": SECONDS, "alphas": {str: list}, "genotype": (str, None), "stopped?": (str, None),
    "engine?": (str, None), "processes?": Range(1, whole=True)}
TRAINING_EPOCH = {
    "epoch": COUNT, "learning_rate": float, "train_loss": NUMBER_OR_NONE, "train_accuracy": NUMBER_OR_NONE,
    "seconds": SECONDS, "images_per_second": NUMBER_OR_NONE, "evaluation?": SCORES, "processes?": Range(1, whole=True)}
RECORDED = {"unfinished?": bool, "history": {"labels": {str: LABELS}, "records": [dict]}, "machine": {"processor": str},
            "config": {"recipe": {"epochs": EPOCHS}, "space": NAMED, "algorithm": NAMED, "seed": WHOLE, "data": NAMED}}
PACKED_TABLE = {"sha256": str, "parts": {str: Range(1, 10_000, whole=True)}, "costs": {str: {str: COUNT}}}
ZOO = {"entries": [{"name": str, "space": str, "genotype": dict, "note": str, "paper": str, "source": [str],
                    "aliases?": [str], "strengths?": {str: [[float]]}}]}
PUBLISHED = {"results": [{"name": str, "space": str, "data": str, "metric": str, "value": float, "unit": str,
                          "spread": NUMBER_OR_NONE, "setting": str, "source": str, "status": str}]}
