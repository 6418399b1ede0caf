"""Top-1 and top-5 of an evaluation, against counting image by image."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

import gdas_lite as gl
from gdas_lite.training.evaluation import Score, evaluate


class Linear(nn.Module):
    """Logits that depend on the pixels alone: enough for an evaluation."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(64, classes)
        with torch.no_grad():
            self.layer.weight.copy_(torch.randn(classes, 64, generator=torch.Generator().manual_seed(1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.flatten(1))


def only(classes: int) -> gl.ImageData:
    """The digits below `classes`."""
    digits = gl.load_data("digits")

    def kept(images: gl.ImageSet) -> gl.ImageSet:
        return images.subset((images.labels < classes).nonzero().flatten())

    return replace(digits, classes=classes, class_names=digits.class_names[:classes], train=kept(digits.train),
                   train_half=kept(digits.train_half), valid_half=kept(digits.valid_half),
                   evaluation={"test": kept(digits.evaluation["test"])})


@pytest.mark.parametrize("classes", [6, 10])
def test_top_5_is_what_one_counts_image_by_image(classes):
    data, network = only(classes), Linear(classes)
    images = data.evaluation["test"]
    score = evaluate(network, images, data, batch_size=37)
    first = among_five = 0
    for pixels, label in zip(images.images, images.labels.tolist(), strict=True):
        x = (pixels.float() / 255 - data.mean[0]) / data.std[0]
        logits = network(x[None])[0].tolist()
        place = sorted(range(classes), key=lambda k: -logits[k]).index(label)
        first, among_five = first + (place == 0), among_five + (place < 5)
    assert score.accuracy == pytest.approx(100 * first / len(images))
    assert score.top5 == pytest.approx(100 * among_five / len(images))
    assert score.accuracy < score.top5 < 100        # neither count could be mistaken for the other
    assert Score(**score.to_json()) == score


def test_there_is_no_top_5_where_every_answer_would_be_right():
    data = only(5)
    score = evaluate(Linear(5), data.evaluation["test"], data)
    assert score.top5 is None and "top5" not in score.to_json()


def test_it_stands_in_the_record_the_result_and_the_history():
    data = only(6)
    data = replace(data, train=data.train.subset(range(64)))
    run = gl.Training(gl.network(gl.zoo_genotype("all_idnt"), 4, 1, 6, 1), data, recipe="smoke").run()
    assert run.result["test"].top5 == run.history[-1].evaluation["test"]["top5"] == run.history.column("test top5")[-1]
    assert run.result["test"].top5 >= run.derived_accuracy
    del run.history[-1].evaluation["test"]["top5"]      # as in a run folder that is older than this number
    assert run.result["test"].top5 is None
