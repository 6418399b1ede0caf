# %% [markdown]
# # Quick start: search a cell, look at it, train it
#
# **Course**: **0 Quick start** · [1 Spaces](01_spaces.ipynb) · [2 Gumbel](02_gumbel.ipynb) · [3 GDAS](03_gdas.ipynb) ·
# [4 DARTS](04_darts.ipynb) · [5 NASNet](05_nasnet.ipynb) · [6 Training](06_training.ipynb) ·
# [7 Recurrent cells](07_recurrent.ipynb) · [8 Landscape](08_landscape.ipynb) · [9 Failures](09_failures.ipynb) ·
# [10 Own pictures](10_own_pictures.ipynb) · [11 ImageNet](11_imagenet.ipynb) · [12 Reproduce](12_reproduce.ipynb) ·
# [Glossary](glossary.md)
#
# **You will see** a network search for its own building block on small pictures of real things. GDAS moves 24
# numbers, you watch them, the cell they describe is drawn, looked up in a table that knows every cell, trained, and
# compared.
#
# - Reading: 14 minutes, one exercise of 5 minutes. Computing: about 2 minutes on two CPU cores. No network, no GPU.
# - You need to know how to train a network with PyTorch, and nothing about architecture search.
# - Method: Dong & Yang, *Searching for a Robust Neural Architecture in Four GPU Hours*, CVPR 2019 (GDAS).

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

# %% [markdown]
# `recipe` is the size of everything below. `"lesson"` is what the text was written with; `"smoke"` runs all of it in
# seconds and finds nothing. Every notebook has this cell.
#
# ## The question
#
# A **cell** of the NAS-Bench-201 space has four nodes. Node 0 is its input, node 3 its output, and each of the six
# edges between them carries one of five operations: a 3×3 convolution, a 1×1 convolution, 3×3 average pooling,
# `skip_connect` (pass it on as it is) or `none` (cut the edge). So there are $5^6 = 15{,}625$ cells. A network stacks
# the same cell several times.
#
# This is the cell that a ResNet stacks: two convolutions in a row, and a way past them. Which other cells are as
# good?

# %%
import numpy as np
import gdas_lite as gl

gl.zoo_genotype("resnet", "nasbench201")

# %% [markdown]
# An edge that is not drawn carries `none`.
#
# ## The judge
#
# What a cell is worth is known here. The authors of NAS-Bench-201 trained a large network of **every** one of the
# 15,625 cells on CIFAR-10 for 200 epochs, and the test accuracies come with this package. No search below sees them.
# They are for the end.
#
# A result says little by itself. So each is shown above the same rows: the **ResNet cell**; **no cell**, a lone skip
# from input to output, so that the network consists of what lies between the cells; **random cells**; and random cells
# without `none`, which the searches below leave out.
#
# *Before you run it: by how many points is the best cell of all better than the ResNet cell, and the ResNet cell than
# no cell?*

# %%
from gdas_lite.lessons.laptop import judged

table = gl.tabular("nasbench201")
judged({"best cell": [table.best()]}, table)

# %% [markdown]
# <details><summary>Answer</summary>
#
# The title of the figure says it: the ResNet cell is close to the best one, and no cell is many times as far below it.
# </details>

# %% [markdown]
# The axis is logarithmic, each circle is one cell. Near the best cell there are many: the difficulty is not to find
# *a* cell that works, but not to end at one that is ten points worse.
#
# ## Two searches of full size
#
# Before you run one yourself, look at two that were run for this course: **GDAS**, and **DARTS**, the method that it
# was meant to improve on, in its simpler form ("first order", notebook 04). Both have the settings of NAS-Bench-201's
# authors: whole CIFAR-10 pictures, a network of 16 channels with three times five cells. A search gives every operation
# on every edge a probability and changes it in small steps; the most probable operation of each edge makes the cell of
# an epoch. Under the cell stands what the judge says of it.
#
# *Before you play them: all probabilities begin at 1/5. Which operation will each search prefer, and will that be so
# from the beginning?*

# %%
recorded = {"GDAS": gl.recorded("gdas-cifar10-0"), "DARTS": gl.recorded("darts-v1-cifar10-0")}
for name, history in recorded.items():
    reached = table.accuracy(history[-1].genotype)
    print(f"{name}: {len(history)} of {history.total_epochs} epochs; its last cell reaches {reached:.2f} %")
gl.AlphaPlayer(recorded, table)

# %% [markdown]
# <details><summary>Answer</summary>
#
# DARTS prefers the skip from the first epoch on, and soon has it on all six edges: a cell that computes nothing. On one
# edge a convolution comes and goes again, then `none` does; in the end all six are skips once more. GDAS falls for
# another operation without weights first, the pooling. Then, one edge after the other, convolutions take over, and its
# cell becomes a good one, a point below the best. Notebook 09 asks why operations without weights win.
# </details>

# %% [markdown]
# A whole one takes hours of two cores. This DARTS ended as all three published runs did, at six skips and 54.30 %. GDAS
# was stopped after 208 of its 250 epochs; the published three ended at 93.61 ± 0.09 % (both from NAS-Bench-201's paper).
# (Its authors' later runs with other settings, and on other pictures, differ far more: notebook 09.)
#
# ## The data
#
# Yours gets the same pictures as the judge, made small: each CIFAR-10 picture averaged down to 8 × 8 pixels,
# 12,000 of them. It needs two disjoint parts. The **train half** moves the network's weights, the **valid half**
# moves the architecture. The test pictures are kept for the very end; the search cannot reach them.

# %%
from gdas_lite.lessons.figures import pictures

data = gl.load_data("thumbnails")
first = [np.flatnonzero(data.train_half.labels == label)[0] for label in range(data.classes)]
print(data)
pictures({"": data.train_half.images[first]}, ", ".join(data.class_names))

# %% [markdown]
# ## The search
#
# The **supernet** holds all operations on all six edges. Each has a number in **alpha**, a matrix with a row for each
# edge and a column for each operation. In every step GDAS
#
# 1. draws one operation for each edge, with probability $\mathrm{softmax}(\alpha)$, and trains the weights of just
#    those on a batch of the train half;
# 2. draws again, and moves alpha by the gradient of the loss on a batch of the valid half.
#
# Only what was drawn is computed, which is what makes GDAS fast.
#
# This is a search for a laptop: the smallest supernet there is, on thumbnails. To work at this size it differs from
# the published one in a few settings. The weights train alone at first, and alpha follows. `none` is left out of the
# choice, so alpha has four columns and 24 numbers. An edge's gradient is the paper's (`variant="P"`), and the
# temperature tau falls from 1 to 0.5 (notebooks 02 and 03 explain both words). What becomes of the search without each
# of these is shown in notebook 09.
#
# *Before you run it: will the probabilities end near 1, or stay close to the uniform 1/4?*

# %%
size = {"lesson": "laptop"}.get(recipe, recipe)
# the paper's space has channels=16, cells_per_stage=5
space = gl.NASBench201(channels=4, cells_per_stage=1, exclude=("none",))
gdas = gl.GDAS(tau=(1.0, 0.5), variant="P")
search = gl.Search(space, data, gdas, recipe=size, seed=0)
print(f"{search.total_epochs} epochs, the first {search.recipe.first_alpha_epoch} for the weights alone")
for record in gl.watch(search):
    pass        # the record of each epoch, if you want it; stop the cell and run it again: it goes on

# %% [markdown]
# The cell drawn above is the one that alpha describes now: on each edge the operation with the largest number. In the
# picture of alpha one panel is one edge, one line one operation; the dotted line is 1/4.

# %% [markdown]
# <details><summary>Answer</summary>
#
# They stay close to 1/4; in the long searches above they moved farther. **Ranking, not height, decides.**
# </details>

# %% [markdown]
# ## How alpha moved
#
# Go through the epochs. Under the cell of each stands what the judge says of it. *In which epoch does it become a
# good one?*

# %%
gl.AlphaPlayer(search.history, table)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Soon after alpha begins to learn. As long as the weights train alone the cell stays what chance made it; the figure
# under *When was it found?* below shows the epochs of all seeds.
# </details>

# %% [markdown]
# ## The result is a value
#
# A **genotype** is plain text. It can be printed, stored, parsed, compared and built.

# %%
print(search.genotype)
network = gl.network(search.genotype, channels=8, cells_per_stage=1, classes=data.classes)
print(gl.cost_of(network, (data.image_channels, data.image_size, data.image_size)))

# %% [markdown]
# ## Was it luck? Ask for the spread, and for a baseline
#
# A search is an experiment with a seed, and one experiment says next to nothing. So here are two more, at once
# (`gl.searches` runs them in one process).
#
# *Before you run it: will the three agree on the cell? Will they agree on how good it is?*

# %%
seeds = {"lesson": (1, 2)}.get(recipe, (1,))
searches = [search, *gl.searches(space, data, gdas, recipe=size, seeds=seeds).run().searches]
for one in searches:
    print(f"seed {one.seed}: {one.genotype}  {table.accuracy(one.genotype):.2f} %, rank {table.rank(one.genotype):,}")

# %%
from gdas_lite.lessons.laptop import laptop_runs

stored = laptop_runs()
trained = (2 * search.total_epochs - search.recipe.first_alpha_epoch) * len(data.train_half)
print(f"trained on: {trained:,} thumbnails by a search, {12 * 25_000:,} whole pictures by one cell in 12 epochs")
judged({"these searches": [one.genotype for one in searches], "the same, run before": stored.cells["main"]}, table)

# %% [markdown]
# <details><summary>Answer</summary>
#
# On the cell they do not: compare the printed strings. On how good it is they agree much better: the circles of the
# first row lie closer together than those of the random cells. (Be strict: the settings of this recipe were chosen with
# this table in view, alpha's rate on the very seeds 0 to 3. The second row has other seeds, and a wider spread.)
# </details>

# %% [markdown]
# Read the picture slowly. Each circle is a cell, the diamond the mean of its row; ± is the standard deviation of a row.
# The accuracies are those of full-size networks on CIFAR-10, which a search on thumbnails, in a tiny supernet, has
# never seen. Three questions decide what you may say:
#
# - Do the searches lie above **most** random cells, or above all of them? And above no cell?
# - Is a difference between two rows larger than the spread within them?
# - Did all *searches* do well, or one?
#
# The words on top say what the same costs by **random search**: train some cells at full size for 12 epochs, keep the
# one with the best validation accuracy. One such training alone sees about as many pictures as a whole search here,
# each of 16 times as many pixels, in a network four times as wide and with five times as many cells. And in the stored
# run the ResNet cell, which people found, is better than every cell that so small a search found.
#
# ## Rank and regret
#
# Two numbers say how good a cell is among all that are known. Its **rank** is 1 plus the number of cells that are
# strictly better. Its **regret** is how many points it lies below the best one.
#
# ## Exercise 0.1: rank and regret
#
# 5 minutes · difficulty ●○○○○ · importance ●●●○○

# %%
def rank_and_regret(accuracies, accuracy):
    """(rank, regret) of a cell. accuracies: of all cells, a list; accuracy: that of the cell, one of them."""
    raise NotImplementedError("exercise 0.1")

# %%
from gdas_lite.lessons import check

print(check("0.1", rank_and_regret))

# %% [markdown]
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def rank_and_regret(accuracies, accuracy):
#     better = [other for other in accuracies if other > accuracy]
#     return 1 + len(better), max(accuracies) - accuracy
# ```
#
# Strictly better: cells that are equally good share a rank, and the cell itself does not count against itself. A rank
# says little about the distance: hundreds of cells are within one point of the best (notebook 08).
# </details>

# %%
from gdas_lite.lessons import use

rank_and_regret = use("0.1", rank_and_regret)
for one in searches:
    rank, regret = rank_and_regret(table.values(table.default_column).tolist(), table.accuracy(one.genotype))
    print(f"seed {one.seed}: rank {rank:,} of {len(table):,}, regret {regret:.2f} points")

# %% [markdown]
# ## When was it found?
#
# The table also knows every cell on a search's way. Below is the regret of the cell that it would have returned after
# each epoch. While the weights train alone, the cell is chance.

# %%
from gdas_lite.visual.tables import regret_over_epochs

paths = np.stack([gl.landscape.regrets(table, [record.genotype for record in one.history]) for one in searches])
chance = table.random_search_curve(1)
regret_over_epochs({"GDAS": paths}, {"a random cell": chance.regret[0]})

# %% [markdown]
# A thin line is a search, the thick one their mean. In the first epochs in which alpha learns the regret may jump up:
# alpha's numbers are still nearly equal, so small steps reorder them, and the cell is still chance. Then it falls.
#
# ## Train what came out
#
# The supernet's weights are thrown away. A network is built from the cell, starts anew, and trains on all training
# pictures. The number that counts is the test accuracy after the **last** epoch.

# %%
training = gl.Training(network, data, recipe=recipe, seed=0)
for record in gl.watch(training):
    pass
print(f"derived accuracy {training.derived_accuracy:.1f} % on {training.result['test'].count} test thumbnails")

# %% [markdown]
# 8 × 8 pixels and a few epochs make a low number (saying always the same class would be right for one picture in
# ten). Is it the cell's work? Trained in the same way, the ResNet cell and no cell:
#
# *Before you run it: how far apart will the three be?*

# %%
from gdas_lite.lessons.laptop import fixed_rows

for name, cell in fixed_rows().items():
    other = gl.network(cell, channels=8, cells_per_stage=1, classes=data.classes)
    trained = gl.Training(other, data, recipe=recipe, seed=0, evaluate_every=100).run()
    print(f"{name:12} {trained.derived_accuracy:.1f} %")
share, count = training.derived_accuracy / 100, training.result["test"].count
print(f"give or take {100 * (share * (1 - share) / count) ** 0.5:.1f} ({count:,} test pictures)")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Hardly: compare their distances with the last line. So small a network, trained so briefly, does not tell a good cell
# from none. Most of its work is done by the layers between the cells.
# </details>

# %% [markdown]
# So judging a cell takes large networks and long trainings, and a table for which someone has done all of them is worth
# much.
#
# ## What is it good for?
#
# Here one could train some cells and keep the best, and in a space as small as this one that is a strong
# rival, also for the published search of full size:

# %%
from gdas_lite.lessons.laptop import cells_for

result = gl.published("GDAS", space="nasbench201", data="cifar10", metric="test_accuracy")[0]
best = table.accuracy(table.best())
print(f"GDAS as published: {result.value} ± {result.spread} %, {cells_for(best - result.value, table)}")

# %% [markdown]
# Differentiable search is for the other case, where *one* evaluation costs a GPU day. There the papers report 2.93 %
# test error for 0.21 GPU days (GDAS, the best of four such searches) beside 3.29 ± 0.15 % for 4 (random search, as the
# DARTS paper ran it). Read the days as an order of magnitude: they were measured on different GPUs. Notebook 08 has the
# curves.
#
# ## What can go wrong
#
# - *The cells I found differ from yours.* The same seed gives the same search on the same machine and library
#   versions; on another processor sums round differently, and a search can end elsewhere. Compare means over seeds,
#   not cells.
# - *The first epoch takes ten seconds.* Where numba is installed its loops are compiled first. Without numba the
#   search runs all the same, about four times as long.
# - *`the loss became nan`*: the learning rate is too large; the message names the step, the last epoch is kept.
# - *The search accuracy is poor, the derived accuracy is better.* They measure different things: shared weights under
#   random draws, and one network trained on its own. Do not compare them.
#
# ## Recap
#
# - A genotype is a discrete choice on each edge; alpha makes it something that a gradient can move.
# - GDAS draws one operation for each edge, trains the weights on one half of the data and alpha on the other.
# - A result is a mean with its spread, beside no cell, a cell that people made, and random cells.
#
# **Next**: `01_spaces` begins at the beginning. Or run the same lines with `gl.DARTS(order=1)`, `gl.DARTS(order=2)` or
# `gl.RandomSearch()` in the place of `gdas`; your own folder of pictures in the place of `"thumbnails"`;
# `recipe="paper"`, a larger space and a GPU for the published protocol.
