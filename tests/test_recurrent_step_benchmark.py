"""benchmarks/recurrent_step.py runs, and times nothing where the two formulations compute different losses."""

from __future__ import annotations

import pytest
import torch

from benchmarks import recurrent_step
from gdas_lite.relaxation import Mixture
from gdas_lite.search import algorithms


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, value in (("VOCABULARY", 12), ("WORDS", 3), ("BATCH", 4)):
        monkeypatch.setattr(recurrent_step, name, value)


def test_a_small_run_prints_a_table(capsys):
    recurrent_step.main(["--rounds", "1", "--hidden", "8", "--only", "first"])
    assert len([line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]) == 1 + 3


def test_a_wrong_loss_is_not_timed(monkeypatch):
    every = ((0, 1, 2, 3, 4),) * 36
    monkeypatch.setattr(algorithms, "soft_mixture", lambda alpha: Mixture(torch.ones_like(alpha).cumsum(-1), every))
    with pytest.raises(SystemExit, match="recurrent, without dropout: the losses .* nothing is timed"):
        recurrent_step.main(["--hidden", "8"])
