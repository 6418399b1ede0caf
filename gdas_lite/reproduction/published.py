"""Published numbers, each with the search or training that makes it here."""

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..genotypes.zoo import PublishedResult, published, zoo
from ..training.recipes import language_recipe, training_recipe
from .protocols import PublishedProtocol, published_search

SEARCHES = {"GDAS": "gdas", "DARTS_V1": "darts-v1", "DARTS_V2": "darts-v2", "RSPS": "random"}
UNCONFIRMED = ("that this block of the paper's table has these batch-norm statistics is not confirmed: searches with "
               "either count")
DAYS = {"GDAS_V1": ("gdas", {}), "GDAS_F1": ("gdas", {"fixed_reduction": True}), "DARTS_V1": ("darts-v1", {}),
        "DARTS_V2": ("darts-v2", {})}
# What each network of ImageNet's tables is built with: channels and cells as published.
IMAGENET = {name: {"channels": c, "cells": 14} for name, c in (("GDAS_V1", 50), ("GDAS_F1", 52), ("DARTS_V2", 48))}
POOL = {"pool_norm": True}     # the original GDAS code has a batch norm behind a derived network's poolings
SIZES = ("params_M", "mult_adds_M")
# The protocol, and why there is none or what is not certain about it.
Reproduction = tuple[PublishedProtocol | None, str]


@dataclass(frozen=True)
class Row:
    """A published number and how to get it here.

    protocol: what to run; None where this kit cannot. For the sizes params_M and mult_adds_M it trains the network
    whose size it is. reason: why there is none, or what is not certain about it. also: another protocol whose runs
    count as well.
    """

    published: PublishedResult
    protocol: PublishedProtocol | None
    reason: str = ""
    also: PublishedProtocol | None = None

    @cached_property
    def command(self) -> str | None:
        """The protocol's line of the shell."""
        return None if self.protocol is None else self.protocol.command


def rows(*, space: str | None = None, data: str | None = None, source: str | None = None) -> tuple[Row, ...]:
    """Returns a row for each published number, in the order of the sources.

    space, data: as in `published`. source: text that the source contains, "GDAS paper, table 1". Raises KeyError for an
    unknown space or data set, or a source that no number has.
    """
    results = published(space=space, data=data)
    chosen = tuple(row_of(result) for result in results if source is None or source in result.source)
    if not chosen and source is not None:
        sources = dict.fromkeys(result.source for result in results)
        raise KeyError(f"no published number from {source!r}; there are {'; '.join(sources)}")
    return chosen


def row_of(result: PublishedResult) -> Row:
    """Returns the row of one published number."""
    protocol, reason = {"nasnet": _nasnet, "recurrent": _recurrent, "nasbench201": _nasbench201}[result.space](result)
    other = None
    if protocol and reason == UNCONFIRMED:
        space = protocol.space
        other = replace(protocol, space=replace(space, track_running_stats=not space.track_running_stats))
    elif protocol and not reason and result.metric not in SIZES:
        if "best epoch" in result.setting:
            reason = "published of the best epoch; here the last one counts"
        elif "four searches" in result.setting:
            reason = "published of four searches together; here each counts alone"
        elif result.metric == "test_error" and _by_gdas(result) and "last of" not in result.setting:
            reason = "the authors' code reports the best epoch on the test set; here the last one counts"
        elif result.space != "nasbench201" and (result.status == "secondary" or "ENAS authors'" in result.setting):
            reason = "quoted there from " + ("the DARTS authors" if _is_darts(result) else
                                             "other authors, whose recipe was another")
    return Row(result, protocol, reason, other)


def _nasnet(result: PublishedResult) -> Reproduction:
    if result.metric == "search_gpu_days":
        if result.name not in DAYS:
            return None, "a search that this kit does not have"
        (algorithm, settings), data = DAYS[result.name], "cifar10-darts" if _is_darts(result) else "cifar10"
        return published_search("nasnet", algorithm, data, **settings), ""
    if f"{result.name}@nasnet" not in {f"{entry.name}@{entry.space}" for entry in zoo("nasnet").values()}:
        return None, "not one published cell"
    if "search rerun" in result.setting:
        return None, "the cell of a search that was run again, which is not published"
    if result.data == "imagenet":
        return _imagenet(result)
    if "issue" in result.source:
        return None, "a user's report; the setting is not known in full"
    if _is_darts(result):
        return PublishedProtocol("cifar10-darts", training_recipe("paper-darts", "nasnet"), cell=result.name), ""
    is_without = result.setting.startswith("without cutout")
    changes = {"cutout": 0, "drop_path": 0.3} if is_without else {}     # the original GDAS code changes both
    recipe = training_recipe("paper", "nasnet", **changes)
    return PublishedProtocol(result.data, recipe, cell=result.name, options=POOL if _by_gdas(result) else {}), ""


def _imagenet(result: PublishedResult) -> Reproduction:
    if result.name not in IMAGENET:
        return None, "the size of the network is not given in the source"
    # Neither the original GDAS code nor DARTS' has the auxiliary head's second batch norm on ImageNet.
    recipe = training_recipe("paper-imagenet-darts" if _is_darts(result) else "paper-imagenet", "nasnet")
    options = {**IMAGENET[result.name], **(POOL if _by_gdas(result) else {}), "auxiliary_last_norm": False}
    return PublishedProtocol("imagenet", recipe, cell=result.name, options=options), ""


def _is_darts(result: PublishedResult) -> bool:
    """Whether DARTS' authors trained or searched it: their cells wherever quoted, others' in their paper."""
    if "trained by the GDAS authors" in result.setting:
        return False
    is_theirs = result.status == "primary" and result.source.startswith("DARTS paper")
    return result.name.startswith("DARTS") or (is_theirs and "authors' code" not in result.setting)


def _by_gdas(result: PublishedResult) -> bool:
    """Whether GDAS' authors measured it, by their original code."""
    return result.status == "primary" and result.source.startswith(("GDAS paper", "authors' log"))


def _recurrent(result: PublishedResult) -> Reproduction:
    if result.metric == "search_gpu_days":
        return published_search("recurrent", "gdas", "ptb"), ""
    if result.name not in {entry.name for entry in zoo("recurrent").values()}:
        return None, "not one published cell"
    own = {"epochs": 3000, "averaging_trigger": "gdas"} if _by_gdas(result) else {}
    changes: dict[str, Any] = {"epochs": 8000} if _is_darts(result) else own
    size = {"hidden": 700} if result.data == "wikitext-2" else {}
    recipe = language_recipe("paper", result.data, **changes)
    return PublishedProtocol(result.data, recipe, cell=f"{result.name}@recurrent", options=size), ""


def _nasbench201(result: PublishedResult) -> Reproduction:
    if result.metric.endswith("accuracy") and result.name in ("resnet", "optimal"):
        return None, "one cell, looked up in the benchmark's table"
    if result.name in ("REINFORCE", "RS", "REA"):
        return None, "a search in the benchmark's table: gl.baselines"
    if result.name not in SEARCHES or result.source.startswith("AutoDL-Projects issue"):
        return None, "a search that this kit does not have" if result.name not in SEARCHES else "a user's report"
    # The paper's blocks: batch norm's statistics are running estimates (A; AutoDL-Projects' BN), or those of the batch.
    # Its authors' commands give GDAS the first, DARTS and random search the second.
    block = re.search(r"block ([AB])", result.setting)
    tracks = result.name == "GDAS" if block is None else block[1] == "A"
    protocol = published_search("nasbench201", SEARCHES[result.name], "cifar10", track_running_stats=tracks)
    return protocol, "" if block is None else UNCONFIRMED
