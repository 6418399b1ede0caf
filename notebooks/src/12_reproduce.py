# %% [markdown]
# # Reproduce the paper
#
# **Course**: [0 Quick start](00_quickstart.ipynb) · [1 Spaces](01_spaces.ipynb) · [2 Gumbel](02_gumbel.ipynb) ·
# [3 GDAS](03_gdas.ipynb) · [4 DARTS](04_darts.ipynb) · [5 NASNet](05_nasnet.ipynb) · [6 Training](06_training.ipynb) ·
# [7 Recurrent cells](07_recurrent.ipynb) · [8 Landscape](08_landscape.ipynb) · [9 Failures](09_failures.ipynb) ·
# [10 Own pictures](10_own_pictures.ipynb) · [11 ImageNet](11_imagenet.ipynb) · **12 Reproduce** ·
# [Glossary](glossary.md)
#
# **You will see** every published number beside the command that makes it, what that command would cost on *this*
# machine, and a table that fills itself from whatever runs you have.
#
# - Reading: 25 minutes, one exercise of 5 minutes, and a closing project of an afternoon. Computing: 2 minutes on two
#   CPU cores. No network, no GPU.
# - You need the notebooks on searching and training (00 to 06), and `08_landscape` for the closing project. The commands
#   themselves need CIFAR-10, and most of them a GPU.
# - Papers: Dong & Yang, *GDAS*, CVPR 2019; Liu et al., *DARTS*, ICLR 2019; Dong & Yang, *NAS-Bench-201*, ICLR 2020.

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
runs = "runs"           # where your run folders are: `gdas-lite search` and `gdas-lite train` write them there

# %% [markdown]
# ## What a reproduction is
#
# *"I get 97.3 %, the paper says 97.07 %. Did I reproduce it?"* Three questions come first:
#
# - **Which number?** Test error after the *last* epoch, of the *best* epoch, or the mean of several trainings? The best
#   epoch on the test set is lower by luck alone.
# - **Which protocol?** Another batch size, no cutout, fewer epochs: another experiment.
# - **Which spread?** Two trainings with other seeds differ by some 0.1 points on CIFAR-10, two *searches* by more.
#
# So for every published number that it knows, this kit keeps the source, the setting in which it was measured, and the
# command that does the same here.

# %%
import gdas_lite as gl

rows = gl.reproduction.rows()
sources = {}
for row in rows:
    sources.setdefault(row.published.source.split(",")[0], []).append(row.command is not None)
for source, has_command in sources.items():
    print(f"{source:50} {len(has_command):3} numbers, {sum(has_command):3} with a command")

# %% [markdown]
# Numbers without a command belong to searches that this kit does not have, to something that is not one cell, or to
# trainings of which the sources do not say enough. A row says why:

# %%
for row in (next(row for row in rows if row.command is None), next(row for row in rows if row.command)):
    print(row.published, "\n  ", row.command or row.reason, "\n")

# %% [markdown]
# ## Published beside measured
#
# `fill` reads run folders and puts their results beside the published numbers. A run counts only if **everything** is
# as in the command: network, recipe, data. (Of the data it knows the name and how pictures are augmented: do not train on
# a part of CIFAR-10 and call it `cifar10`.) The seed is free, and several seeds become a mean with its spread. *What do
# you expect in the column "measured" on a machine that has never trained anything?*

# %%
sizes = ("params_M", "mult_adds_M")
table_1 = [row for row in rows if row.published.source == "GDAS paper, table 1" and row.published.status == "primary"]
if recipe == "smoke":
    table_1 = table_1[:4]
gl.reproduction.fill(runs, table_1)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Not all of it is empty: parameters (and multiply-adds, in ImageNet's table) can be *counted* without training.
# </details>

# %% [markdown]
# Sizes are the first thing to check in a reproduction, since a network of another size is another network.

# %%
imagenet = [row for row in rows if row.published.data == "imagenet" and row.published.metric in sizes and row.command]
print(gl.reproduction.fill(runs, imagenet[:2] if recipe == "smoke" else imagenet))

# %% [markdown]
# Three rows of DARTS_V2 do not fit: the multiply-adds of the DARTS paper, and both numbers of its earlier version, as
# GDAS quotes them, cannot be obtained from the network that its authors released. This happens, and finding it takes a
# minute. The other rows agree to the last printed digit.
#
# ## What it costs, measured
#
# A search of "four GPU hours" takes four hours on *their* GPU. And on this machine? One need not guess: run a few steps
# on random images of the right shape, count the images per second, and multiply.
#
# *Before you run it: how many times longer than the search does the training of the cell that it found take?*

# %%
own = [row for row in rows if row.published.source.startswith("GDAS paper") and row.published.status == "primary"]
own += [row for row in rows if row.published.source.startswith("NAS-Bench-201") and row.published.name == "GDAS"]
wanted = ("search nasbench201", "search nasnet --algorithm gdas --data", "train GDAS_V1 --data cifar10",
          "search recurrent", "train GDAS_V1 --data imagenet", "train GDAS@recurrent --data ptb")
protocols = [next(row.protocol for row in own if words in row.command) for words in wanted]
batch, count = {"lesson": (None, 6)}.get(recipe, (2, 1))
costs = [gl.reproduction.estimate(protocol, batch=batch, steps=1) for protocol in protocols[:count]]
for cost in costs:
    print(cost.command, "\n  ", cost, "\n")

# %% [markdown]
# Without a GPU the batches are small, so that they fit into a laptop's memory. Loading images from disk and evaluating
# are not counted; notebook 11 counts the loading, with a smaller batch, and finds more days. The published
# cost of the NASNet-space search is 0.21 GPU days, on one V100.

# %%
from gdas_lite.visual.plots import bars

days = [cost.seconds / 86400 for cost in costs]
names = [" ".join(cost.command.split()[1:3]) + " on " + cost.command.split("--data ")[1].split()[0] for cost in costs]
figure = bars(names, [[value] for value in days], quantity="days")
figure.axes[0].set(xscale="log", xlabel=f"days on {costs[0].device}, each mark ten times the one before")
figure.state(f"{names[days.index(max(days))]} takes longest: {max(days):,.0f} days here")
figure

# %% [markdown]
# <details><summary>Answer</summary>
#
# Many times: compare the second and the third row. That is why papers state both.
# </details>

# %% [markdown]
# It is also why the course uses small data, and tables like that of NAS-Bench-201, in which a cell can be looked up
# instead of trained.
#
# ## A run of another protocol fills nothing
#
# Here are two small runs on the digits, in a folder of their own:

# %%
import tempfile
from pathlib import Path

folder = Path(tempfile.mkdtemp())
data = gl.load_data("digits")
search = gl.Search(gl.NASBench201(4, 1), data, gl.GDAS(), recipe="smoke", seed=0, out=folder / "search").run()
network = gl.network(search.genotype, 4, 1, data.classes, data.image_channels)
gl.Training(network, data, recipe="smoke", seed=0, out=folder / "training").run()
search.close()
filled = gl.reproduction.fill(folder, [row for row in table_1 if row.published.metric not in sizes])
print(sum(map(len, filled.values)), "published numbers filled;", len(filled.others), "runs of another protocol:")
for run in filled.others:
    print("  ", run.config["kind"], "on", run.config["data"]["name"], "with the recipe", run.config["recipe"]["name"])

# %% [markdown]
# ## Doing it
#
# Each line is one run; Ctrl-C stops it, `gdas-lite resume RUN` goes on. The trainings below need a GPU. Searches in the
# NAS-Bench-201 space do not: at the published size one takes a night on two processor cores.

# %%
for command in dict.fromkeys(row.command for row in table_1 if row.command):
    print(command, "--seed 0")

# %% [markdown]
# ```
# gdas-lite reproduce runs                        # this table, from the shell
# gdas-lite reproduce --cost --space nasbench201  # the commands of one space with their cost here
# ```
#
# ## Searches that were run for you
#
# Searches in the NAS-Bench-201 space need no training afterwards: `fill` looks the found cells up in the benchmark's
# table. Searches come with this package, as histories with seed and machine. One that followed the published protocol
# to its end fills its row without any run folder; of one that did not get there, the row says how far it came. The
# others, on smaller data or in smaller networks, do not count here. Hours are of all epochs at the pace of the median
# one, since some were paused, and on as many cores as were free (two at most):

# %%
names = ("GDAS", "DARTS_V1", "RSPS")
searches = [row for row in rows if row.published.space == "nasbench201" and row.published.name in names
            and (row.published.data, row.published.metric) == ("cifar10", "test_accuracy")]
gl.reproduction.fill(runs, searches)

# %% [markdown]
# A recorded search opens as a history like one of your own: every plot and the alpha player take it, and
# `gl.landscape.trajectory` says what the cell of each epoch *really* reaches on CIFAR-10. (The ones named `digits`
# and `thumbnails` searched small networks on small pictures, for the lessons; their cells can be looked up all the
# same.)

# %%
import numpy as np
from gdas_lite.lessons.recorded import names as recorded_names
from gdas_lite.runs.printing import duration

histories = [gl.recorded(name) for name in recorded_names()]
for name, history in zip(recorded_names(), histories):
    accuracy, seconds = gl.landscape.trajectory(history), np.median(history.column("seconds")) * len(history)
    epochs, machine = history.about["config"]["recipe"]["epochs"], history.about["machine"]["processor"]
    print(f"{name:28} {len(history):3} of {epochs:3} epochs, {duration(seconds):>11} on {machine}; "
          f"its cell on CIFAR-10: {accuracy[-1]:.2f} %")

# %% [markdown]
# Is a search worth its price? The figure shows how far each ends below CIFAR-10's best cell, against the images that it
# trained (notebook 08 says how they are counted): published searches as filled marks, recorded ones of full size, as
# far as they have run, as open marks, and as lines the searches that look up single cells after 12 epochs.

# %%
gl.plots.equal_cost(recorded=histories)

# %% [markdown]
# GDAS is close to the upright line: one search costs about as much as training one cell to its end.
#
# ## Exercise 12.1: what a protocol costs
#
# 5 minutes · difficulty ●○○○○ · importance ●●●○○
#
# You measured one step, in seconds. How many **days** does a protocol take that goes through `images` images in batches
# of `batch_size` for `epochs` epochs? The last batch of an epoch may be short, and it is a step like the others.

# %%
def protocol_days(step_seconds, images, batch_size, epochs):
    """Days of 24 hours."""
    raise NotImplementedError("exercise 12.1")

# %%
from gdas_lite.lessons import check

print(check("12.1", protocol_days))

# %% [markdown]
# <details><summary>Hint</summary>
#
# `-(-a // b)` rounds a quotient up.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def protocol_days(step_seconds, images, batch_size, epochs):
#     steps = -(-images // batch_size)
#     return epochs * steps * step_seconds / 86400
# ```
#
# 25,000 images in batches of 64 are 391 steps, not 390. A step of a short batch costs nearly as much as a whole one on
# a GPU.
# </details>

# %% [markdown]
# ## Make your own
#
# A reproduction is where an idea of your own begins. Below are a new algorithm, a new candidate and a new space, each
# in a few lines. What they inherit does the rest: recipes by name, both updates of a step, run folders and `gl.resume`.
#
# **An algorithm** is a name and how alpha becomes a mixture. This one is DARTS with a temperature: all candidates run,
# weighted by $\mathrm{softmax}(\alpha / \tau)$, which grows sharper from epoch to epoch.

# %%
from dataclasses import dataclass
from typing import ClassVar

from gdas_lite.relaxation import linear_tau
from gdas_lite.search.algorithms import Algorithm, register

@dataclass(frozen=True)
class Sharpening(Algorithm):
    last_tau: float = 0.1
    name: ClassVar[str] = "sharpening"

    def tau_at(self, epoch, epochs):
        return linear_tau(1.0, self.last_tau, epoch, epochs)

    def mixtures(self, alphas, sampler):
        return {kind: sampler.soft(alpha / sampler.tau) for kind, alpha in alphas.items()}

register(Sharpening())          # now `gl.resume` and the command know its name
# %%
import tempfile

digits = gl.load_data("digits")
with tempfile.TemporaryDirectory() as folder:
    search = gl.Search(gl.NASBench201(4, 1), digits, Sharpening(), recipe="smoke", seed=0, out=folder)
    search.run_epoch()
    search.close()              # as if it had been stopped here
    search = gl.resume(folder)
    print(f"goes on after epoch {search.epochs_done} of {search.total_epochs}")
    print(f"tau {search.run().history.column('tau')}: {search.genotype}")
    search.close()

# %% [markdown]
# **A candidate** is a module from $(B, C, H, W)$ to the same shape. To keep one, two files change:
# `spaces/operations.py` gets the module and makes it by its name, `genotypes/notation.py` gets the name. To try one,
# put it in another's place: here averaging gives way to a blur. An engine that does not know a module runs that cell as
# it is written.

# %%
import torch.nn.functional as F

class Blur(torch.nn.Module):
    def forward(self, x):
        weights = x.new_tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
        return F.conv2d(x, weights.expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])

class WithBlur(gl.NASBench201):
    def supernet(self, classes, image_channels=3):
        supernet = super().supernet(classes, image_channels)
        column = self.labels["cell"].candidates.index("avg_pool_3x3")
        for edge in (edge for stage in supernet.stages for cell in stage for edge in cell.edges):
            edge[column] = Blur()
        return supernet

for engine in ("plain", "auto"):
    search = gl.Search(WithBlur(4, 1), digits, gl.GDAS(), recipe="smoke", seed=0, engine=engine).run()
    print(f"{search.engine.name:6}  train loss {search.history.column('train_loss').round(2)}")

# %% [markdown]
# **A space** says which edges and candidates there are, makes the supernet, and reads a cell off alpha. This one is a
# row of three operations, none of them `none`. Its cells are some of NAS-Bench-201's, so networks and ground truth are
# there already; a space with genotypes of its own brings a `genotype_class`, and for random search `genotype_of`.

# %%
from gdas_lite import spaces
from gdas_lite.genotypes.labels import CellLabels
from gdas_lite.spaces.nasbench201 import Skeleton
from gdas_lite.spaces.operations import LayerStyle, nasbench201_operation

OPS = ("skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

class RowCell(torch.nn.Module):
    def __init__(self, channels):
        super().__init__()
        style = LayerStyle(affine=False, track_running_stats=False)
        self.edges = torch.nn.ModuleList(
            torch.nn.ModuleList(nasbench201_operation(op, channels, style) for op in OPS) for _ in range(3))

    def forward(self, x, mixture):
        for row, candidates in enumerate(self.edges):
            x = sum(mixture.weights[row, k] * candidates[k](x) for k in mixture.active[row])
        return x

class RowSupernet(Skeleton):
    def forward(self, x, mixtures):
        return self.features(x, mixture=mixtures["cell"])

# %%
@spaces.register
@dataclass(frozen=True)
class Row(gl.NASBench201):
    name: ClassVar[str] = "row"
    labels: ClassVar[dict] = {"cell": CellLabels(((0, 1), (1, 2), (2, 3)), OPS)}
    gdas_variant: ClassVar[str] = "P"

    def supernet(self, classes, image_channels=3):
        return RowSupernet(RowCell, self.channels, self.cells_per_stage, classes, image_channels)

    def derive(self, alphas):
        first, second, third = (OPS[column] for column in alphas["cell"].argmax(-1))
        return gl.NASBench201Genotype((first, "none", second, "none", "none", third))

# %%
table = gl.tabular("digits")
for algorithm in (gl.GDAS(), gl.DARTS(2), Sharpening()):
    search = gl.Search(Row(4, 1), digits, algorithm, recipe="smoke", seed=0).run()
    print(f"{algorithm.name:10} {search.genotype}  {table.accuracy(search.genotype, 'digits_test_6'):.1f} %")

# %% [markdown]
# Two epochs say nothing of their worth; they show that the parts fit. In a file `mine.py` that ends with `from
# gdas_lite.reproduction.cli.main import main; main()` the command takes the same names: `python mine.py search row
# --algorithm sharpening --channels 4 --cells-per-stage 1`.

# %% [markdown]
# ## The closing project: a variant of your own
#
# An afternoon · difficulty ●●●●● · importance ●●●●●
#
# Propose **one** change to GDAS, and find out whether it helps. It may be small: another temperature, a baseline, a
# warm-up of the weights, the order of the two steps, a mask on `none`, a rule that stops. In four steps:
#
# 1. Write down what you expect, and why, *before* you run anything.
# 2. Try it with perfect weights (notebook 08), over at least 20 seeds: there only the rule can fail.
# 3. Try it in a live search on the quick start's thumbnails, over at least 4 seeds: there shared weights can fail, too.
# 4. Write three sentences: what you changed, what came out with its spread beside which baseline, and what you may
#    conclude.
#
# The cells below do it for one example, a temperature that begins at 1. Replace it by your variant; for another *rule*
# write a loop like that of exercise 8.5, or a new algorithm like `Sharpening` above.

# %%
from gdas_lite.lessons import use

compare, seeds = use("6.3"), range({"lesson": 20}.get(recipe, 3))
published = gl.perfect_weights.search("gdas", seeds=seeds)
variant = gl.perfect_weights.search("gdas", seeds=seeds, tau=(1, 0.1))
gap, error = compare(variant.regret(), published.regret())
for name, result in {"published": published, "variant": variant}.items():
    print(f"{name:10} regret {result.regret().mean():.2f} ± {result.regret().std(ddof=1):.2f} over {len(seeds)} seeds")
print(f"variant - published: {gap:+.2f} ± {error:.2f} (standard error): "
      f"{'a difference' if abs(gap) > 2 * error else 'cannot be told from chance'}")

# %%
miniature, cifar10 = gl.load_data("thumbnails"), gl.tabular("nasbench201")
few, settings = {"lesson": (range(4), {"epochs": 6})}.get(recipe, (range(2), {"epochs": 1}))
laptop = gl.search_recipe({"lesson": "laptop"}.get(recipe, recipe), "nasbench201", "gdas", **settings)
small, regrets = gl.NASBench201(channels=4, cells_per_stage=1, exclude=("none",)), {}
for name, algorithm in {"published": gl.GDAS(variant="P"), "variant": gl.GDAS(variant="P", tau=(1, 0.1))}.items():
    found = gl.searches(small, miniature, algorithm, recipe=laptop, seeds=few).run().searches
    regrets[name] = [cifar10.regret(one.genotype) for one in found]
    print(f"{name:10} real CIFAR-10 regret", *(f"{regret:5.2f}" for regret in regrets[name]))
print(f"random cells, exactly: {cifar10.random_search_curve(1).regret[0]:.2f} on average")

# %% [markdown]
# (Six epochs are for this page; the recipe's own number is in
# `gl.search_recipe("laptop", "nasbench201", "gdas").epochs`. Take that for a result, and seeds from 4 on: the recipe's
# rate of alpha was chosen on the seeds 0 to 3.)
#
# There is no check for this exercise. Judge your three sentences, or those of somebody else, by this table:
#
# | | not yet | good | very good |
# |---|---|---|---|
# | expectation | written after the result | written before, with a reason | and it says which result would refute it |
# | change | several at once | one | one, and its neutral setting gives the published search bit for bit |
# | spread | one seed | mean and spread over seeds | and the standard error of the *difference* |
# | baseline | none | the published rule at equal cost | and random cells, the ResNet cell, no cell |
# | truth | the search's own accuracy | the table's, or a training of its own | on data on which nothing was chosen |
# | choice | the best of many tries | the number of tries is stated | settings chosen on other seeds than those shown |
# | conclusion | more than was measured | no more than was measured | and what would have to be measured next |
#
# A result of "no difference" that fills the right column is worth more than a difference that fills the left one.

# %% [markdown]
# ## What can go wrong
#
# - *My run does not appear in its row.* Something differs from the command; the run is then listed under "other runs".
#   `config.json` in the run folder says what it had.
# - *My error is 0.3 points lower than published.* Look at `setting` first: with cutout or without, last epoch or best.
#   Then at your seeds.
# - *The estimate is far from what I see.* Other programs ran while it was measured. `gl.reproduction.estimate(protocol,
#   steps=20)` measures more steps.
# - *No row of ImageNet is filled.* Its results are published from the best epoch on the validation set, which is also
#   its test set. Here the last epoch counts, and the row says so.
#
# ## Recap
#
# - A published number is a value, a setting and a source; a reproduction repeats the setting, with several seeds.
# - Sizes can be checked at once, costs can be measured in seconds and scaled; only accuracies take long.
# - A run with another protocol may be better, but it is not the published one.
#
# **Next**: `benchmarks/README.md` lists the original repositories' commands and what they are called here.
