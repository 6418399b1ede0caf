# %% [markdown]
# # Your own pictures
#
# **Course**: [0 Quick start](00_quickstart.ipynb) · [1 Spaces](01_spaces.ipynb) · [2 Gumbel](02_gumbel.ipynb) ·
# [3 GDAS](03_gdas.ipynb) · [4 DARTS](04_darts.ipynb) · [5 NASNet](05_nasnet.ipynb) · [6 Training](06_training.ipynb) ·
# [7 Recurrent cells](07_recurrent.ipynb) · [8 Landscape](08_landscape.ipynb) · [9 Failures](09_failures.ipynb) ·
# **10 Own pictures** · [11 ImageNet](11_imagenet.ipynb) · [12 Reproduce](12_reproduce.ipynb) · [Glossary](glossary.md)
#
# **You will see** a folder of pictures of any size and kind become a data set, a searched cell, a trained network, and
# two files that classify a new picture. Write the path of your own folder below and run it again.
#
# - Reading: 15 minutes, exercises 10 minutes. Computing: about 2 minutes on two CPU cores. No network, no GPU.
# - You need `00_quickstart`.

# %% tags=["setup"] jupyter={"source_hidden": true}
# Set-up: looks for gdas_lite.
import importlib.util, os, sys
from IPython import get_ipython
if importlib.util.find_spec("gdas_lite") is None:
    if "google.colab" not in sys.modules and "KAGGLE_KERNEL_RUN_TYPE" not in os.environ:
        raise ModuleNotFoundError("no gdas_lite here: in the checkout run `python3 run.py lab`")
    raise ModuleNotFoundError("upload a zip of gdas-lite and run `%pip install --no-deps gdas-lite.zip`")
import gdas_lite, torch
device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
print("gdas_lite", gdas_lite.__version__, "| torch", torch.__version__, "|", device)

# %% tags=["parameters"]
recipe = "lesson"
folder = ""             # your folder, such as "~/pictures/flowers"; "" draws an example

# %% [markdown]
# ## What a folder looks like
#
# One folder holds one folder of pictures for each class, with the name of the class. If there are
# folders `train` and `val` (or `test`) with the classes inside, that split is kept; otherwise a fifth is taken out for
# the test.
#
# Without a folder of yours, the next cell draws one: four shapes, grey, coloured, half transparent, with a palette, PNG
# and JPEG, from 16 to 160 pixels. As in real folders, one file is damaged and one is no picture.

# %%
import tempfile
from collections import Counter
from pathlib import Path

from PIL import Image

import gdas_lite as gl
from gdas_lite.lessons.shapes import draw_shapes

place = tempfile.TemporaryDirectory()
few = {"circle": 12, "cross": 6, "square": 10, "triangle": 8} if recipe == "smoke" else None
pictures = Path(folder).expanduser() if folder else draw_shapes(Path(place.name) / "shapes", few)
for name in sorted(entry.name for entry in pictures.iterdir() if entry.is_dir()):
    files = [file for file in (pictures / name).rglob("*") if file.is_file()]
    print(f"{name:10} {len(files):5} files:", dict(Counter(file.suffix for file in files)))

# %% [markdown]
# ## Loading it
#
# A picture that cannot be read is an error, and the message names it. Damaged files are often a sign of an interrupted
# download, and you should know about them before you train.

# %%
try:
    data = gl.load_data(pictures, image_size=16)
except ValueError as problem:
    print(str(problem).replace(f"{pictures}/", ""))

# %% [markdown]
# You may leave such pictures out. A warning then says so, which this cell catches to show it as text. Files whose names
# do not end like a picture's (`notes.txt`) are ignored.

# %%
import warnings

with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    data = gl.load_data(pictures, image_size=16, on_error="skip")
for warning in said:
    print(str(warning.message).replace(f"{pictures}/", ""))
print(data)

# %%
from gdas_lite.lessons.figures import picture_grid

picture_grid(data.train.images, data.train.labels, data.class_names)

# %% [markdown]
# This is what the network gets: every picture with its shorter side scaled to 16 pixels, only the middle square, in
# three colours (`grey=True` makes one). Look at yours: can *you* still tell the classes apart? If not, raise
# `image_size`; the time grows with its square.
#
# ## Exercise 10.1: the square that is kept
#
# 5 minutes · difficulty ●○○○○ · importance ●●●○○
#
# A picture of 120 × 60 pixels loses its left and right. Which square of the original is kept?

# %%
def kept_square(width, height):
    """(left, top, right, bottom) of the largest square in the middle, in pixels."""
    raise NotImplementedError("exercise 10.1")

# %%
from gdas_lite.lessons import check

print(check("10.1", kept_square))

# %% [markdown]
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def kept_square(width, height):
#     side = min(width, height)
#     left, top = (width - side) // 2, (height - side) // 2
#     return left, top, left + side, top + side
# ```
#
# The network never sees what is at the edge of a wide picture. If your objects are there, crop the pictures first.
# </details>

# %% [markdown]
# ## Which picture is in which part
#
# Each class is split by a checksum of its files' names. So the parts are the same on every machine, and a new picture
# moves hardly any other. The search sees the two halves of the training pictures.

# %%
import numpy as np

parts = {"train half": data.train_half, "valid half": data.valid_half, "test": data.evaluation["test"]}
counts = {part: np.bincount(images.labels, minlength=data.classes) for part, images in parts.items()}
print(f"{'':12}", *(f"{name:>10}" for name in data.class_names))
for part, numbers in counts.items():
    print(f"{part:12}", *(f"{number:10}" for number in numbers))
test = counts["test"]
share = 100 * test.max() / test.sum()
print(f"always saying '{data.class_names[test.argmax()]}' is right for {share:.0f} % of the test pictures")

# %% [markdown]
# ## What a search has to beat
#
# Two cheap answers first: the most frequent class, and a linear classifier on the raw pixels. *Before you run it: can a
# linear classifier tell a circle from a square, at any place and in any colour?*

# %%
from sklearn.linear_model import LogisticRegression

def pixels(images):
    return images.images.flatten(1).numpy() / 255

linear = LogisticRegression(max_iter=2000, C=0.01).fit(pixels(data.train), data.train.labels)
right = {"most frequent class": 100 * test.max() / test.sum(),
         "linear classifier": 100 * linear.score(pixels(data.evaluation["test"]), data.evaluation["test"].labels)}
for name, accuracy in right.items():
    print(f"{name:20} {accuracy:5.1f} %")

# %% [markdown]
# <details><summary>Answer</summary>
#
# No. It has one weight for each pixel, and a light circle on a dark ground is the negative of a dark circle on a light
# ground. So it is a weak opponent here. The networks of random cells below are stronger ones.
# </details>

# %% [markdown]
# ## The search
#
# With few pictures an epoch has few steps. So we take small batches. The rules are the published ones, with a larger
# step for alpha; notebook 09's recipe is made for more steps than these.

# %%
settings = {"batch_size": 16, "epochs": 30} if recipe == "lesson" else {"batch_size": 16}
search = gl.Search(gl.NASBench201(channels=8, cells_per_stage=1), data, gl.GDAS(),
                   recipe=gl.search_recipe(recipe, "nasbench201", "gdas", **settings), seed=0)
for record in gl.watch(search):
    pass

# %% [markdown]
# ## Training, and other cells beside it
#
# The found cell, two random cells and the ResNet cell, which people designed, are trained in the same way, with two
# seeds each.

# %%
def trained(cell, seed):
    network = gl.network(cell, 8, 1, data.classes, data.image_channels)
    return gl.Training(network, data, recipe=gl.training_recipe(recipe, "nasbench201", **settings), seed=seed,
                       evaluate_every=100).run()

cells, rng = {"found cell": search.genotype}, np.random.default_rng(0)
while len(cells) < {"lesson": 3}.get(recipe, 2):
    cell = gl.NASBench201Genotype.random(rng)
    cells |= {f"random cell {len(cells)}": cell} if cell.is_connected else {}
cells["ResNet cell"] = gl.zoo_genotype("resnet")
seeds = range({"lesson": 2}.get(recipe, 1))
trainings = {name: [trained(cell, seed) for seed in seeds] for name, cell in cells.items()}

# %%
rows = right | {name: [training.derived_accuracy for training in runs] for name, runs in trainings.items()}
gl.plots.bars(list(rows), list(rows.values()))

# %%
count = len(data.evaluation["test"])
for name in rows:
    accuracy = np.mean(rows[name]) / 100
    p = (accuracy * count + 2) / (count + 4)    # two right and two wrong more, so that 100 % is not taken for certain
    print(f"{name:20} {100 * accuracy:5.1f} %, give or take {100 * np.sqrt(p * (1 - p) / (count + 4)):.1f} "
          f"({count} test pictures)")

# %% [markdown]
# The second number is the standard error that comes from the number of test pictures. That of a difference can be 1.4
# times as large, so by notebook 06's rule two networks that differ by less than three times the larger number may be
# equally good, and two random cells with two seeds are a small baseline. So one can say "a network beats the linear
# classifier"; one cannot say "the search found the best cell". For that, run more search seeds and more random cells.
# And if the ResNet cell is ahead of the found one, as in the stored run, take the ResNet cell: it needed no search.
#
# ## Which class is taken for which
#
# Of the networks just trained, the one with the most mistakes shows most.

# %%
from gdas_lite.training.evaluation import confusion

weakest = min((run for runs in trainings.values() for run in runs), key=lambda run: run.derived_accuracy)
gl.plots.confusion_table(confusion(weakest.network, data.evaluation["test"], data), data.class_names)

# %% [markdown]
# ## Exercise 10.2: every class counts alike
#
# 5 minutes · difficulty ●○○○○ · importance ●●●●○
#
# If one class has most of the pictures, accuracy says mostly how that class does. **Balanced accuracy** treats the
# classes alike: it is the mean over classes of the share that is right.

# %%
def balanced_accuracy(counts):
    """Percent. counts: (classes, classes), rows the true class, columns the predicted one, no row empty."""
    raise NotImplementedError("exercise 10.2")

# %%
print(check("10.2", balanced_accuracy))

# %% [markdown]
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def balanced_accuracy(counts):
#     return 100 * np.mean(np.diag(counts) / counts.sum(axis=1))
# ```
#
# Rows are the true classes. Columns would say how often a *prediction* is right, which is another question.
# </details>

# %% [markdown]
# ## Take it away
#
# `export_network` writes weights and a description: genotype, size, normalisation, class names. Loading it runs no
# code from the file, and the loaded network gives the same outputs bit for bit.

# %%
import torch

best = trainings["found cell"][0]
export = gl.export_network(best, Path(place.name) / "network")
print({file.name: f"{file.stat().st_size / 1024:.0f} kB" for file in sorted(export.iterdir())})
network, description = gl.load_exported(export), gl.read_exported(export)
x = description.prepare(data.evaluation["test"].images)
with torch.no_grad():
    print("same outputs:", torch.equal(network(x), best.network.eval()(x)), "|", description.class_names)

# %% [markdown]
# ## One new picture
#
# `gl.predict` reads a file as the training pictures were read. Here is one that the network has never seen, twice as
# wide as high. With your own folder it is one of yours, and if the network was trained on it, the answer proves
# nothing.

# %%
from gdas_lite.lessons.shapes import draw_shape

new = Path(place.name) / "new.png"
if folder:
    new = next(file for file in sorted(pictures.rglob("*")) if file.suffix.lower() in (".png", ".jpg", ".jpeg"))
else:
    draw_shape("triangle", np.random.default_rng(99), wide=True).save(new)
print(Image.open(new).size, "→", gl.predict(export, new))

# %% [markdown]
# The numbers add up to 100 % whatever the picture shows; the network cannot say "none of these". Try it with a
# photograph.
#
# **Features instead of classes**: after `network.classifier = torch.nn.Identity()` the network gives what its
# classifier saw. The maps in between come from a forward hook on a cell, such as
# `network.stages[1][-1].register_forward_hook(...)` (in the NASNet space `network.cells[12]`).
#
# **Other classes, the same weights**: build the network anew, copy all but the classifier, go on with
# `keep_weights=True`:
#
# ```python
# kept = {name: value for name, value in network.state_dict().items() if not name.startswith("classifier.")}
# new = gl.network(description.genotype, **{**description.settings, "classes": other.classes})
# new.load_state_dict(kept, strict=False)
# gl.Training(new, other, recipe="lesson", keep_weights=True).run()
# ```
#
# In a shell the whole way is four commands:
#
# ```
# OPTIONS="--data FOLDER --data-option image_size=16 --data-option on_error=skip"
# gdas-lite search nasbench201 $OPTIONS --out runs/search
# gdas-lite train runs/search $OPTIONS --out runs/trained
# gdas-lite evaluate runs/trained $OPTIONS
# gdas-lite export runs/trained network
# ```
#
# ## What can go wrong
#
# - *"holds pictures but no class folders"*: put the pictures of each class into a folder of their own.
# - *Your labels stand in a table or in the files' names*: they are not read. Move each picture into the folder of its
#   class.
# - *Your pictures are arrays* (NumPy, MNIST): save each with `PIL.Image.fromarray` into the folder of its class. With
#   more than three channels give them as `gl.ImageData`, made of `gl.ImageSet.from_arrays`.
# - *"has too few readable pictures"*: each class needs some in every part. Ten in each class are few, a hundred are a
#   start.
# - *The accuracy is perfect at once.* Look for the same picture in training and test (frames of one video, copies under
#   another name), or for a mark that gives the class away, such as the size or the camera. Then make folders `train`
#   and `test` yourself.
# - *One class is never predicted.* It has too few pictures: look at the balanced accuracy, and collect more.
# - *A mirrored picture is another class* (letters, arrows): training flips pictures. Give
#   `augmentation=gl.Augmentation(padding=2)`.
#
# ## Recap
#
# - A folder of class folders is a data set; a picture that cannot be read is named and not dropped silently.
# - Baselines first, then a search, then random cells beside it, each with the number of test pictures in mind.
# - An export holds all that is needed to classify a new picture.
#
# **Next**: `11_imagenet`, photographs by the million, and several GPUs.

# %%
place.cleanup()
