"""Several processes do one search as one process would, or each the seeds that are its own."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import gdas_lite as gl
from gdas_lite.engines.cpu.engine import CpuEngine
from gdas_lite.engines.cuda.engine import CudaEngine, against_graphs
from gdas_lite.reproduction.cli.values import seeds_from_text
from gdas_lite.runs.distributed import ProcessGroup, SharedMeter
from gdas_lite.runs.engine import SearchSpec
from gdas_lite.runs.meters import StepResult
from gdas_lite.runs.shards import Shard
from gdas_lite.search.updates import classification

SCRIPT = Path(__file__).with_name("shared_searches.py")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """What two processes saw and printed, and the folder they wrote: started once, most of it to import torch."""
    out, root = tmp_path_factory.mktemp("pair"), Path(__file__).resolve().parents[2]
    given = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(SCRIPT), str(out)],
        env=given | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(root)},
        capture_output=True, text=True, cwd=root)
    assert run.returncode == 0, run.stderr[-3000:]
    return out, [torch.load(out / f"seen-{rank}.pt", weights_only=True) for rank in range(2)], run.stdout


@pytest.fixture(scope="module")
def alone() -> ModuleType:
    """The same searches in one process."""
    spec = importlib.util.spec_from_file_location("shared_searches", SCRIPT)
    module = sys.modules["shared_searches"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_near(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tolerance: float = 2e-5) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=tolerance, atol=tolerance,
                                   msg=lambda text, name=name: f"{name}: {text}")


def assert_same_numbers(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name in ("train_loss", "valid_loss"):
        assert found[name] == (expected[name] and pytest.approx(expected[name], rel=1e-5)), name
    for name in ("train_accuracy", "valid_accuracy", "tau", "learning_rate", "genotype"):
        assert found[name] == expected[name], name


@pytest.mark.parametrize("name", ["gdas", "random"])
def test_two_processes_search_as_one_where_only_gradients_depend_on_the_batch(pair, alone, name):
    """After epochs of six steps on parts of unequal size, the last batch not split, clipped together with alpha:
    weights, alpha, momentum, Adam's moments (both hold the gradients) and the record are those of one process."""
    run = alone.searches()[name]()
    run.run() if name == "random" else run.run_epoch()
    for seen in pair[1]:
        assert_near(seen[name]["tensors"], run.tensors())
        assert_same_numbers(seen[name]["record"], run.history[-1].to_json())
        assert seen[name]["record"]["processes"] == 2 and "processes" not in run.history[-1].to_json()


def by_parts(supernet, mixtures, batch):
    """Both processes' work in one: each part of the batch is normalised by itself, the loss is the mean over images."""
    x, y = batch
    middle = len(y) // 2 if len(y) >= 4 else 0
    parts = [part for part in ((x[:middle], y[:middle]), (x[middle:], y[middle:])) if len(part[1])]
    results = [classification(supernet, mixtures, part) for part in parts]
    loss = sum(result.loss * len(part[1]) for result, part in zip(results, parts)) / len(y)
    return StepResult(loss, sum(result.correct for result in results))


@pytest.mark.parametrize("name", ["darts", "layers"])
def test_with_batch_norm_two_processes_do_what_one_does_that_normalises_both_parts(pair, alone, name):
    run = alone.searches()[name]()
    assert run.engine.name == pair[1][0][name]["engine"] == pair[1][1][name]["engine"]
    run.state.objective = by_parts
    run.run_epoch()
    expected = {key: value for key, value in run.tensors().items() if "running_" not in key and "num_ba" not in key}
    for seen in pair[1]:
        assert_near({key: seen[name]["tensors"][key] for key in expected}, expected)
        assert_same_numbers(seen[name]["record"], run.history[-1].to_json())


def test_all_processes_hold_the_same_state_bit_for_bit(pair):
    for name in pair[1][0].keys() - {"problems", "code"}:
        first, second = (seen[name]["tensors"] for seen in pair[1])
        assert [key for key in first if not torch.equal(first[key], second[key])] == []
        records = [seen[name]["record"] | {"seconds": 0} for seen in pair[1]]
        assert records[0] == records[1]


def test_one_process_writes_and_says_how_many_there_are(pair):
    out, seen, _ = pair
    assert [one["gdas"]["writes"] for one in seen] == [True, False]
    assert all("x 2 processes" in one["gdas"]["text"] for one in seen)
    lines = (out / "run" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["processes"] for line in lines[1:]] == [2]      # the epoch is written once


def test_the_folder_of_two_goes_on_in_one_which_is_told(pair, alone):
    whole = alone.searches()["gdas"]().run()
    with pytest.warns(UserWarning, match="search goes on with 1 process instead of 2; .* about 7 images instead of 3$"):
        resumed = alone.searches(pair[0] / "run")["gdas"]()
    assert resumed.epochs_done == 1
    resumed.run()
    resumed.close()
    assert_near(resumed.tensors(), whole.tensors(), tolerance=1e-4)
    assert gl.History.read(pair[0] / "run").column("processes").tolist() == [2, 1]


def test_what_cannot_be_shared_is_refused_on_all(pair):
    for seen in pair[1]:
        second_order, another, text, small = seen["problems"]
        assert second_order.startswith("this search runs in one process (a step of darts-v2 needs the gradient of a ")
        assert "holds a run with another configuration" in another
        assert text.startswith("this search runs in one process (its words are read in turn") and "started 2" in text
        assert "batch_size 3 is that of the whole search, and 2 processes would have" in small


def test_seeds_are_spread_each_is_searched_once_and_all_stand_in_the_table(pair):
    out, seen, printed = pair
    assert [one["code"] for one in seen] == [0, 0]
    assert "3 searches, one a seed, by 2 processes; here seeds 4, 1\n" in printed
    assert printed.count("run folder: ") == 2       # of the first process alone
    rows = re.findall(r"^ +(\d+) +\d+\.\d\d% +(\d+\.\d\d)% +([\d,]+)   (\S+)$", printed, re.MULTILINE)
    assert [row[0] for row in rows] == ["4", "0", "1"]
    table = gl.tabular("nasbench201")
    for seed, accuracy, rank, cell in rows:
        history = gl.History.read(out / "seeds" / f"seed-{seed}")
        assert len(history) == 1 and history[-1].processes == 1 and history[-1].genotype == cell
        assert float(accuracy) == round(table.accuracy(cell), 2) and rank == f"{table.rank(cell):,}"
        config = json.loads((out / "seeds" / f"seed-{seed}" / "config.json").read_text())
        assert config["seed"] == int(seed)
    assert sorted(path.name for path in (out / "seeds").iterdir()) == ["seed-0", "seed-1", "seed-4"]


@pytest.mark.parametrize("text, seeds", [
    ("0..7", [*range(8)]), ("0,3,5", [0, 3, 5]), (" 4 , 1 .. 2", [4, 1, 2]), ("7", [7]), ("9..9", [9]), ("1,3", [1, 3]),
    ("00..02", [0, 1, 2]), ("0..399,600..1199", [*range(400), *range(600, 1200)])])
def test_seeds_are_read(text, seeds):
    assert seeds_from_text(text) == seeds


@pytest.mark.parametrize("text", ["", "0..", "3..1", "-1", "1;2", "0...4", "0..1000", "0..999999999999", "a", "1,,2",
                                  "7..0", "-1..2", "0..100000000", "..", "1 3", "1,", "1..2..3", "1-3", "1e3", "٣", "²", "1_0",
                                  "0..600,601..1000", "9" * 400, "0..1\n,2;", "\0"])
def test_other_seeds_are_refused_in_one_sentence(text):
    with pytest.raises(ValueError, match=r"^--seeds: expected a range such as 0\.\.7 or .* 0,3,5, at most 1,000, got") as e:
        seeds_from_text(text)
    assert "\n" not in str(e.value) and len(str(e.value)) < 250


def test_a_seed_that_is_named_twice_is_refused():
    with pytest.raises(ValueError, match="'0..3,2' names a seed twice"):
        seeds_from_text("0..3,2")


def test_engines_that_cannot_average_give_way_with_a_reason():
    recipe = gl.search_recipe("smoke", "nasbench201", "gdas", batch_size=64)
    small, large = (SearchSpec(gl.NASBench201(channels, 1), gl.GDAS(), recipe, torch.device("cpu"), 8, processes=2)
                    for channels in (4, 8))
    assert "do not average gradients over processes, here are 2" in (CpuEngine().obstacle(small) or "")
    assert "do not average gradients" not in (CpuEngine().obstacle(large) or "")        # kernels of cells do
    assert "do not average gradients" in against_graphs(large) and CudaEngine().obstacle(large) == against_graphs(large)
    assert large.map_elements == 32 * 8 * 64


class Together(ProcessGroup):
    """A process of two, whose sums are with what the other gives, as if both were here."""

    others: list[torch.Tensor]

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        return values.add_(self.others.pop(0))


def test_the_average_is_weighted_and_leaves_out_what_nobody_has():
    group = Together(Shard(0, 2))
    mine, image = torch.tensor([1.0, 2.0]), torch.arange(8.0).reshape(1, 2, 2, 2)
    channels_last = image.to(memory_format=torch.channels_last)
    object.__setattr__(group, "others", [torch.cat([torch.tensor([5.0, 6.0]), torch.zeros(8), torch.ones(1)]) * 4])
    group.average([mine, None, channels_last], 3)
    torch.testing.assert_close(mine, torch.tensor([(3 + 20) / 7, (6 + 24) / 7]))
    torch.testing.assert_close(channels_last, image * 3 / 7)
    assert channels_last.is_contiguous(memory_format=torch.channels_last)
    group.average([None, None])
    ProcessGroup().average(iter([1 / 0 for _ in ()]))


def test_a_meter_of_several_without_steps_asks_nobody():
    meter = SharedMeter(ProcessGroup(Shard(0, 2)))
    meter.add(None, 7)
    assert np.isnan(meter.mean_loss) and np.isnan(meter.accuracy)
