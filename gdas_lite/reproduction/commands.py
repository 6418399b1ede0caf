"""From a published number to the command that reproduces it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..published import PublishedResult, published
from ..zoo import zoo

CIFAR, TEXTS = ("cifar10", "cifar100"), ("ptb", "wikitext-2")
SEARCHES = {"GDAS": "gdas", "DARTS_V1": "darts-v1", "DARTS_V2": "darts-v2", "RSPS": "random"}
# NAS-Bench-201's two blocks: batch norm's statistics are those of the batch, or running estimates (AutoDL-Projects' BN).
# Its authors' commands give GDAS the second, DARTS and random search the first.
STATISTICS = {"GDAS": "running", "DARTS_V1": "batch", "DARTS_V2": "batch", "RSPS": "batch"}
UNCONFIRMED = "that this block of the paper's table has these batch-norm statistics is not confirmed: searches with either count"
DAYS = {"GDAS_V1": "gdas", "GDAS_F1": "gdas --with fixed_reduction=true", "DARTS_V1": "darts-v1", "DARTS_V2": "darts-v2"}
# What each network of ImageNet's tables is built with: channels and cells as published.
IMAGENET = {"GDAS_V1": (50, 14), "GDAS_F1": (52, 14), "DARTS_V2": (48, 14)}
SIZES = ("params_M", "mult_adds_M")


@dataclass(frozen=True)
class Row:
    """A published number and how to get it here.

    command: of the shell, without a seed; None where this kit has none. For the sizes params_M and mult_adds_M it trains the
    network whose size it is. reason: why there is none, or what is not certain about it. also: another command whose runs
    count as well.
    """

    published: PublishedResult
    command: str | None
    reason: str = ""
    also: str | None = None


def rows(*, space: str | None = None, data: str | None = None, source: str | None = None) -> tuple[Row, ...]:
    """A row for each published number, in the order of the sources.

    space, data: as in `published`. source: text that the source contains, "GDAS paper, table 1". Raises KeyError for an
    unknown space or data set, or a source that no number has.
    """
    found = tuple(row_of(result) for result in published(space=space, data=data) if source is None or source in result.source)
    if not found and source is not None:
        sources = dict.fromkeys(result.source for result in published(space=space, data=data))
        raise KeyError(f"no published number from {source!r}; there are {'; '.join(sources)}")
    return found


def row_of(result: PublishedResult) -> Row:
    """The row of one published number."""
    command, reason = {"nasnet": _nasnet, "recurrent": _recurrent, "nasbench201": _nasbench201}[result.space](result)
    if command and not reason and "best epoch" in result.setting and result.metric not in SIZES:
        reason = "published of the best epoch; here the last one counts"
    if command and not reason and result.status == "secondary" and result.metric not in SIZES:
        reason = "quoted there from the DARTS authors" if _is_darts(result) else \
            "quoted there from other authors, whose recipe was another"
    return Row(result, command, reason, _other_statistics(command) if reason == UNCONFIRMED else None)


def _other_statistics(command: str) -> str:
    one, other = ("batch", "running") if "--bn batch" in command else ("running", "batch")
    return command.replace(f"--bn {one}", f"--bn {other}")


def _nasnet(result: PublishedResult) -> tuple[str | None, str]:
    if result.metric == "search_gpu_days":
        if result.name not in DAYS:
            return None, "a search that this kit does not have"
        data = "cifar10-darts" if _is_darts(result) else "cifar10"
        return f"gdas-lite search nasnet --algorithm {DAYS[result.name]} --data {data} --recipe paper", ""
    if f"{result.name}@nasnet" not in {f"{entry.name}@{entry.space}" for entry in zoo("nasnet").values()}:
        return None, "not one published cell"
    if result.data == "imagenet":
        return _imagenet(result)
    if "issue" in result.source:
        return None, "a user's report; the setting is not known in full"
    if _is_darts(result):
        return f"gdas-lite train {result.name} --data cifar10-darts --recipe paper-darts", ""
    is_without = result.setting.startswith("without cutout")
    cutout = " --set cutout=0 --set drop_path=0.3" if is_without else ""        # the original GDAS code changes both
    return f"gdas-lite train {result.name} --data {result.data}{_pools(result)} --recipe paper{cutout}", ""


def _imagenet(result: PublishedResult) -> tuple[str | None, str]:
    if result.name not in IMAGENET:
        return None, "the size of the network is not given in the source"
    channels, cells = IMAGENET[result.name]
    sized = f"gdas-lite train {result.name} --data imagenet --channels {channels} --cells {cells}"
    # Neither the original GDAS code nor DARTS' has the auxiliary head's second batch norm on ImageNet.
    recipe = "paper-imagenet-darts" if _is_darts(result) else "paper-imagenet"
    return f"{sized}{_pools(result)} --with auxiliary_last_norm=false --recipe {recipe}", ""


def _is_darts(result: PublishedResult) -> bool:
    """Whether DARTS' authors trained or searched it: their cells wherever the number is quoted, others' in their paper."""
    if "trained by the GDAS authors" in result.setting:
        return False
    is_theirs = result.status == "primary" and result.source.startswith("DARTS paper")
    return result.name.startswith("DARTS") or (is_theirs and "authors' code" not in result.setting)


def _pools(result: PublishedResult) -> str:
    """The original GDAS code has a batch norm behind each pooling of a derived network, DARTS' has none."""
    is_theirs = result.status == "primary" and result.source.startswith(("GDAS paper", "authors' log"))
    return " --with pool_norm=true" if is_theirs else ""


def _recurrent(result: PublishedResult) -> tuple[str | None, str]:
    if result.metric == "search_gpu_days":
        return "gdas-lite search recurrent --algorithm gdas --data ptb --recipe paper", ""
    if result.name not in {entry.name for entry in zoo("recurrent").values()}:
        return None, "not one published cell"
    changes = ""
    if _is_darts(result):
        changes = " --set epochs=8000"
    elif result.status == "primary" and result.source.startswith("GDAS"):
        changes = " --set epochs=3000 --set averaging_trigger=gdas"
    return f"gdas-lite train {result.name}@recurrent --data {result.data} --recipe paper{changes}", ""


def _nasbench201(result: PublishedResult) -> tuple[str | None, str]:
    if result.metric.endswith("accuracy") and result.name in ("resnet", "optimal"):
        return None, "one cell, looked up in the benchmark's table"
    if result.name in ("REINFORCE", "RS", "REA"):
        return None, "a search in the benchmark's table: gl.baselines"
    if result.name not in SEARCHES or result.source.startswith("AutoDL-Projects issue"):
        return None, "a search that this kit does not have" if result.name not in SEARCHES else "a user's report"
    block = re.search(r"block ([AB])", result.setting)
    statistics = STATISTICS[result.name] if block is None else {"A": "running", "B": "batch"}[block[1]]
    return (f"gdas-lite search nasbench201 --algorithm {SEARCHES[result.name]} --data cifar10 --bn {statistics} "
            f"--recipe paper"), "" if block is None else UNCONFIRMED
