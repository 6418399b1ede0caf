"""One picture through an exported network, and which class is taken for which."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import gdas_lite as gl
from gdas_lite.training.evaluation import confusion, evaluate
from gdas_lite.training.export import Prediction, predict_with
from gdas_lite.visual.plots import confusion_table

CELL = gl.NASBench201Genotype(("nor_conv_3x3", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "none", "skip_connect"))


@pytest.fixture(scope="module", params=[False, True], ids=["colour", "grey"])
def trained(request, tmp_path_factory):
    """(data, folder of pictures, network, export folder); the network is not trained, which nothing here depends on."""
    folder = tmp_path_factory.mktemp("pictures") / "pets"
    rng = np.random.default_rng(0)
    for name in ("cat", "dog", "owl"):
        (folder / name).mkdir(parents=True)
        for number in range(8):
            width, height = rng.integers(10, 40, 2)
            Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / name / f"{number}.png")
    data = gl.load_data(folder, image_size=12, grey=request.param)
    torch.manual_seed(0)
    network = gl.network(CELL, 2, 1, data.classes, data.image_channels).eval()
    out = gl.export_network(network, tmp_path_factory.mktemp("export") / "net", data=data)
    return data, folder, network, out


def test_a_picture_gets_what_the_network_says_of_it_in_the_data_set(trained):
    data, folder, network, out = trained
    everything = torch.cat([data.train.images, data.evaluation["test"].images])
    description = gl.read_exported(out)
    with torch.no_grad():
        expected = network(description.prepare(everything)).double().softmax(-1)
    for file in sorted(folder.rglob("*.png"))[::5]:
        found = gl.predict(out, file)
        distances = (expected - torch.tensor(found.probabilities)).abs().amax(1)
        assert distances.min() < 1e-5 and found.class_names == ("cat", "dog", "owl")
        assert sum(found.probabilities) == pytest.approx(1)


def test_the_ranking_and_its_text():
    prediction = Prediction(("a", "b", "c", "d"), (0.1, 0.6, 0.25, 0.05))
    assert prediction.name == "b" and prediction.ranked[1] == ("c", 0.25)
    assert str(prediction) == "b 60 %, c 25 %, a 10 %"


def test_the_networks_mode_is_kept(trained):
    _, folder, network, out = trained
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    predict_with(network, gl.read_exported(out), folder / "cat" / "0.png")
    assert network.training and all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    network.eval()


def test_what_is_no_picture_is_refused(trained, tmp_path):
    out = trained[-1]
    with pytest.raises(FileNotFoundError, match="there is no picture"):
        gl.predict(out, tmp_path / "nothing.png")
    for wrong in (3, None, b"x.png", "", "a\0b"):
        with pytest.raises(ValueError, match="^the picture must be a path, got"):
            gl.predict(out, wrong)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"text.png cannot be read \(not a picture\)"):
        gl.predict(out, tmp_path / "text.png")


# --- which class is taken for which ---

def test_counts_are_those_of_a_slow_loop(trained):
    data, _, network, _ = trained
    found = confusion(network, data.train, data, batch_size=5)
    expected = np.zeros((3, 3), dtype=int)
    mean, std = (np.array(values)[:, None, None] for values in (data.mean, data.std))
    for image, label in zip(data.train.images.numpy(), data.train.labels.tolist()):
        x = torch.tensor((image / 255 - mean) / std, dtype=torch.float32)[None]
        with torch.no_grad():
            expected[label, int(network(x).argmax())] += 1
    assert np.array_equal(found, expected)
    assert 100 * found.trace() / found.sum() == pytest.approx(evaluate(network, data.train, data).accuracy)


def test_the_table_names_the_worst_class_and_the_most_frequent_mistake():
    figure = confusion_table(np.array([[9, 1, 0], [0, 2, 3], [1, 0, 4]]), ("cat", "dog", "owl"))
    assert figure.claim == ("75.0 % of 20 test images right, mean over classes 70.0 %; worst class dog (40 %); "
                            "dog is taken for owl most often (3)")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "90 % of 10" in texts and texts.count("1") == 2 and "0" not in texts
    with pytest.raises(ValueError, match="2 x 2 counts for 2 classes"):
        confusion_table(np.zeros((3, 3)), ("a", "b"))


def test_a_class_without_images_does_not_count():
    figure = confusion_table(np.array([[2, 0], [0, 0]]), ("cat", "dog"))
    assert figure.claim == "100.0 % of 2 test images right, mean over classes 100.0 %"
    assert "no image" in [text.get_text() for text in figure.axes[0].texts]
