# %% [markdown]
# # Quick start: search a cell, look at it, train it
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/gdas-lite/blob/main/notebooks/00_quickstart.ipynb)
#
# **You will see** a network search for its own building block: GDAS moves 30 numbers, you watch them, the cell they
# describe is drawn, and the network built from it is trained and compared with others.
#
# - Reading: 10 minutes. Computing: about 3 minutes on two CPU cores. No network, no GPU.
# - You need to have trained a network with PyTorch before. Nothing about architecture search.
# - Method: Dong & Yang, *Searching for a Robust Neural Architecture in Four GPU Hours*, CVPR 2019 (GDAS).

# %% tags=["setup"]
# Set-up: on Colab and Kaggle this installs gdas_lite and leaves torch and numpy alone; elsewhere it looks.
import importlib.util, os, sys
from IPython import get_ipython
if importlib.util.find_spec("gdas_lite") is None:
    if "google.colab" not in sys.modules and "KAGGLE_KERNEL_RUN_TYPE" not in os.environ:
        raise ModuleNotFoundError("no gdas_lite here: in the checkout run `python3 run.py lab`")
    get_ipython().run_line_magic("pip", "install -q --no-deps git+https://github.com/OWNER/gdas-lite@v0.1.0")
import torch, gdas_lite
device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
print("gdas_lite", gdas_lite.__version__, "| torch", torch.__version__, "|", device)

# %% tags=["parameters"]
recipe = "lesson"

# %% [markdown]
# ## The data
#
# scikit-learn's handwritten digits come with the installation: grey images of 8 × 8 pixels. A search needs two disjoint
# parts of the training images. The **train half** moves the network's weights, the **valid half** moves the architecture.
# The test images are kept for the very end; the search cannot reach them.

# %%
import gdas_lite as gl

data = gl.load_data("digits")
data

# %% [markdown]
# ## The question
#
# A **cell** of the NAS-Bench-201 space has four nodes. Node 0 is its input, node 3 its output, and each of the six edges
# between them carries one of five operations. So there are $5^6 = 15{,}625$ cells. A network stacks the same cell several
# times. Which cell is a good one?
#
# Here is one cell, picked by hand. An edge without an arrow in the drawing carries the operation `none`.

# %%
gl.NASBench201Genotype.parse(
    "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|")

# %% [markdown]
# ## The search
#
# The **supernet** holds all five operations on all six edges. Each has a number in **alpha**, a matrix of 6 rows (edges)
# and 5 columns (operations). In every step GDAS
#
# 1. draws one operation for each edge, with probability $\mathrm{softmax}(\alpha)$, and trains the weights of just those
#    on a train batch;
# 2. draws again, and moves alpha by the gradient of the loss on a valid batch.
#
# Only what was drawn is computed, which is what makes GDAS fast. The **temperature** tau falls from 10 to 0.1 meanwhile.
#
# *Before you run it: will the probabilities end near 1, or stay close to the uniform 1/5?*

# %%
space = gl.NASBench201(channels=4, cells_per_stage=2)      # the paper's supernet has channels=16, cells_per_stage=5
search = gl.Search(space, data, gl.GDAS(), recipe=recipe, seed=0)
for record in gl.watch(search):
    pass        # the record of each epoch, if you want it; stop the cell and run it again: it goes on

# %% [markdown]
# The cell drawn above is the one that alpha describes now: on each edge the operation with the largest number. What is drawn
# dotted does not lead to the output, so it does nothing: in this space a cell may well be simpler than its six operations.
#
# ## How alpha moved
#
# One panel is one edge, one line one operation; the grey line is 1/5. **Ranking, not height, decides**: the probabilities
# of a search stay much closer to uniform than one expects, in the published searches too.

# %%
gl.plots.search_overview(search.history)

# %% [markdown]
# ## The result is a value
#
# A **genotype** is plain text. It can be printed, stored, parsed, compared and built.

# %%
print(search.genotype)
network = gl.network(search.genotype, channels=4, cells_per_stage=2, classes=data.classes, image_channels=data.image_channels)
print(gl.cost_of(network, (data.image_channels, data.image_size, data.image_size)))

# %% [markdown]
# ## Train what came out
#
# The supernet's weights are thrown away; the derived network starts anew and trains on all training images. The number
# that counts is the test accuracy after the **last** epoch.

# %%
training = gl.Training(network, data, recipe=recipe, seed=0)
for record in gl.watch(training):
    pass
print(f"derived accuracy {training.derived_accuracy:.1f} % on {training.result['test'].count} test images")

# %% [markdown]
# ## Is that good? Ask for the spread, and for a baseline
#
# One accuracy of one run says next to nothing. Below, seven more searches with other seeds run at once (`gl.searches` stacks them in
# one process; where numba is installed their loops are compiled first, once some 30 seconds). Then the cells of three searches,
# five cells picked at random and the cell that has `skip_connect` on every edge are trained in the same way, each with three seeds.
#
# *Before you run it: how far apart will three seeds of the same cell lie?*

# %%
import numpy as np

more, seeds, count = {"lesson": (range(1, 8), range(3), 5)}.get(recipe, (range(1, 3), range(1), 1))
searches = [search, *gl.searches(space, data, gl.GDAS(), recipe=recipe, seeds=more).run().searches]
cells = {f"GDAS, search seed {one.seed}": one.genotype for one in searches[:len(seeds)]}
rng = np.random.default_rng(0)
for number in range(1, count + 1):
    cells[f"random cell {number}"] = gl.NASBench201Genotype.random(rng)
cells["all skip_connect"] = gl.zoo_genotype("all_idnt")
for name, cell in cells.items():
    print(f"{name:20} {cell}")

# %%
def derived_accuracy(cell, seed):
    network = gl.network(cell, 4, 2, data.classes, data.image_channels)
    return gl.Training(network, data, recipe=recipe, seed=seed, evaluate_every=100).run().derived_accuracy

accuracies = {}
for name, cell in cells.items():
    accuracies[name] = [derived_accuracy(cell, seed) for seed in seeds]
    print(f"{name:20} {np.mean(accuracies[name]):5.1f} %, seeds", np.round(accuracies[name], 1))

# %%
from gdas_lite.visual.plots import bars

bars(list(accuracies), list(accuracies.values()), quantity="test accuracy (%)")

# %% [markdown]
# Read the picture slowly. Each circle is one training; circles of a row differ by nothing but the seed. A diamond is their
# mean, the bar one standard deviation. Three questions decide what you may say:
#
# - Do the rows of GDAS lie above **most** of the random cells, or above all of them?
# - Is a difference between two rows larger than the bars on them?
# - Did all three *searches* do well, or one? A search is an experiment with a seed, too.
#
# The all-skip cell is the one that DARTS collapses to in this space (54.3 % on CIFAR-10, published). Here its networks
# learn slowly: without an operation on its edges a cell only adds its input up, four times over.
#
# **Mind what this small world rewards.** On 8 × 8 digits and in a few epochs a cell of hardly any operations trains fastest: a single
# skip from input to output, *no cell at all*, does better here than nine cells in ten, and on CIFAR-10 it is among the worst. A
# search that ends with skips and `none` is doing what this data asks for. `gl.tabular("nasbench201")` says what a cell is worth on
# real pictures, and notebook 08 compares the two.
#
# ## How good could it have been?
#
# On the digits this has an answer. **Every** cell of this space was trained on them beforehand (half of the training images, six
# epochs, three seeds) and the accuracies came with the package. So a cell has a **rank** among 15,625 and a **regret**: how many
# points it lies below the best cell there is.

# %%
table = gl.tabular("digits")
cells |= {f"GDAS, search seed {one.seed}": one.genotype for one in searches}
for name, cell in cells.items():
    print(f"{name:20} rank {table.rank(cell):6,} of {len(table):,}, regret {table.regret(cell):4.1f} points; three trainings:",
          *(f"{accuracy:.1f}" for accuracy in table.over_seeds(cell)))

# %% [markdown]
# The table also knows each cell that a search *passed*. Below, the regret of the cell that it would have returned after each epoch.
# The dotted line is random search, which trains some cells and keeps the best by validation accuracy; it gets as many of them as make
# the same number of training images.

# %%
from gdas_lite.visual.tables import regret_over_epochs

paths = np.stack([gl.landscape.regrets(table, [record.genotype for record in one.history]) for one in searches])
passes = 2 * len(search.history)                            # over half of the images: weights, then alpha
rivals = max(1, round(passes / table.about["protocol"]["recipe"]["epochs"]))
chance = table.random_search_curve(rivals, score=table.search_column)
regret_over_epochs({"GDAS": paths}, {f"random search, best of {rivals}": chance.regret[-1]})

# %% [markdown]
# Read it like the picture before: the thin lines are searches, and they differ. How low does the thick one come, and does it get below
# the dotted line? Eight seeds are still few: over sixteen, GDAS ended 15.8 points below the best cell, give or take 7.9. On images this
# small, where training a cell takes a second, simply training a few is the better buy. Differentiable search is for the other case: where *one*
# evaluation costs a GPU day. There the papers report 2.93 % test error for 0.21 GPU days (GDAS) beside 3.29 ± 0.15 % for 4 (random search,
# as the DARTS paper ran it). Notebook 08 shows the whole landscape, what evolution and REINFORCE reach in it, and where GDAS stands at
# equal cost.
#
# ## What can go wrong
#
# - *The cells I found differ from yours.* The same seed gives the same search on the same machine and library versions; on
#   another processor sums round differently and a search can end elsewhere. Compare means over seeds, not cells.
# - *`the loss became nan`*: the learning rate is too large; the message names the step, the last epoch is kept.
# - *The search accuracy is poor, the derived accuracy is good.* They measure different things: shared weights under random
#   draws, and one network trained for itself. Never read one for the other.
#
# ## Recap
#
# - A genotype is a discrete choice on each edge; alpha makes it something that a gradient can move.
# - GDAS draws one operation an edge, trains the weights on one half of the data and alpha on the other.
# - A result is a mean with its spread, beside a baseline. Then, and only then, one may speak of a good cell.
#
# **Next**: the same three lines with `gl.DARTS(order=1)`, `gl.DARTS(order=2)` or `gl.RandomSearch()` in the place of
# `gl.GDAS()`; your own folder of pictures in the place of `"digits"`; `recipe="paper"` and a GPU for the published protocol.
