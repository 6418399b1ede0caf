# %% [markdown]
# # The landscape: every cell is known
#
# **Course**: [0 Quick start](00_quickstart.ipynb) · [1 Spaces](01_spaces.ipynb) · [2 Gumbel](02_gumbel.ipynb) ·
# [3 GDAS](03_gdas.ipynb) · [4 DARTS](04_darts.ipynb) · [5 NASNet](05_nasnet.ipynb) · [6 Training](06_training.ipynb) ·
# [7 Recurrent cells](07_recurrent.ipynb) · **8 Landscape** · [9 Failures](09_failures.ipynb) ·
# [10 Own pictures](10_own_pictures.ipynb) · [11 ImageNet](11_imagenet.ipynb) · [12 Reproduce](12_reproduce.ipynb) ·
# [Glossary](glossary.md)
#
# **You will see** all 15,625 cells of the NAS-Bench-201 space at once: how good they are, what makes them good, how
# soon one can tell, and how far below the best cell random search, evolution and REINFORCE end.
#
# - Reading: 30 minutes, exercises 60 minutes. Computing: half a minute on two CPU cores. No network, no GPU: nothing is
#   trained here.
# - You need the quick start (`00_quickstart`): cell, genotype, derived accuracy.
# - Papers: Dong & Yang, *NAS-Bench-201*, ICLR 2020; Real et al., *Regularized Evolution for Image Classifier
#   Architecture Search*, AAAI 2019.

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
# ## The question
#
# A search returns a cell. Is it a good one? One can train it and a few random ones, and still not know what would have
# been possible. Here all the work has been done: **every** cell of the space was trained on the embedded digits, with
# several seeds, and the accuracies are a table in this package. This is how it was computed:

# %%
import numpy as np
import gdas_lite as gl

digits = gl.tabular("digits")
protocol = digits.about["protocol"]
for what, value in (protocol | protocol.get("recipe", {})).items():
    if what != "recipe" and value:
        print(f"{what:18} {value}")

# %% [markdown]
# Many cells compute the same function: an operation behind a `none` has no effect, and the order of a sum does not
# matter. One cell of each function was trained and represents the others.

# %%
from gdas_lite.genotypes.functions import computed_function

functions = {computed_function(cell.edges) for cell in gl.NASBench201Genotype.all()}
print(f"{len(digits):,} cells, {len(functions):,} functions")

# %% [markdown]
# The authors of NAS-Bench-201 did the same on CIFAR-10, with far larger networks and 200 epochs. Their accuracies come
# with this package, too, and are shown first from here on. (A table of your own, in the folder that the environment
# variable `GDAS_LITE_DATA` names, takes their place.)

# %%
tables = {"CIFAR-10": gl.tabular("nasbench201"), "digits": digits}
print("\n".join(tables["CIFAR-10"].about.get("citations", [])))
for name, table in tables.items():
    print(f"{name}: ranks by {table.default_column}, searches choose by {table.search_column}")

# %% [markdown]
# A column's name says data set, part and epochs: `digits_valid_1` is the accuracy on validation images after the first
# epoch. A search may look at **valid** columns only. **Test** columns are for the end: they say how good the choice
# was.
#
# ## One cell by hand
#
# The **rank** of a cell is one more than the number of cells that are strictly better; its **regret** is how far it
# lies below the best one, in percentage points. Take the cell with `skip_connect` on every edge, to which DARTS
# collapses in this space on CIFAR-10.

# %%
skips = gl.NASBench201Genotype(("skip_connect",) * 6)
accuracies = digits.values(digits.default_column)              # (15625,)
rank = 1 + sum(value > digits.accuracy(skips) for value in accuracies)
regret = max(accuracies) - digits.accuracy(skips)
assert (rank, regret) == (digits.rank(skips), digits.regret(skips))
print(f"all skip: {digits.accuracy(skips):.2f} %, rank {rank:,} of {len(digits):,}, regret {regret:.2f} points")
print(f"best:     {max(accuracies):.2f} %")
digits.best()

# %% [markdown]
# ## How the accuracies are distributed
#
# *Before you run it: what share of the 15,625 cells is within one point of the best? One in a hundred, in ten, in two?*
#
# Mind the vertical axis: each step up is ten times as many cells.

# %%
from gdas_lite.visual.tables import distribution

scores = {name: table.values(table.default_column) for name, table in tables.items()}
for name, values in scores.items():
    print(f"{name}: {100 * np.mean(values > values.max() - 1):.1f} % of the cells are within one point of the best")
distribution(scores, {name: {"all skip": table.accuracy(skips)} for name, table in tables.items()})

# %% [markdown]
# <details><summary>Answer</summary>
#
# The printed lines say it: on CIFAR-10 a few in a hundred, on the digits next to none.
# </details>

# %% [markdown]
# What the figure shows:
#
# - Cells at chance level are those whose output does not depend on the image: `none` cuts every way through them.
# - Three cells of the digits stand alone, their nearest rivals are a point behind. On CIFAR-10, where every network was
#   trained for 200 epochs, the top is crowded: many cells are nearly as good as the best, and random search is a strong
#   opponent.
# - The tail is long. A search that goes wrong can go very wrong.
#
# ## What the seeds say
#
# A number in the table is a mean over seeds, and chance is still in it. How much? Compare the spread of one cell over
# seeds with the spread of the cells.

# %%
seeds = [name for name in digits.columns if name.startswith(f"{digits.default_column}_seed")]
by_seed = np.stack([digits.values(name) for name in seeds])                         # (seeds, cells)
top = np.argsort(-by_seed[0])[:100]             # chosen by the first seed: their luck with it is not in the others
for what, values in {"all cells": by_seed, "the first seed's 100 best, by the others": by_seed[1:, top]}.items():
    within = np.sqrt(values.var(axis=0, ddof=1).mean())
    print(f"standard deviation of one cell over seeds, {what}: {within:.2f} points "
          f"(of the mean of {len(seeds)}: {within / len(seeds)**0.5:.2f})")
print(f"standard deviation between cells: {accuracies.std():.2f} points")
print(f"rank correlation of two seeds: {gl.landscape.rank_correlation(by_seed[0], by_seed[1]):.3f}")
both = np.isin(top, np.argsort(-by_seed[1])[:100]).sum()
print(f"of the 100 best cells by the first seed, {both} are so by the second")
twice = 2 * within * (2 / len(seeds))**0.5      # two standard errors of a difference of two good cells
print(f"{np.sum(accuracies > accuracies.max() - twice)} cells lie less than {twice:.1f} points below the best")

# %% [markdown]
# So one seed tells *good from bad*, and three seeds do not tell *best from tenth best*. Bad cells vary more than good
# ones, so near the top the second line counts. Its number in brackets is the standard error of *one* cell. That of a
# difference of two cells is 1.4 times as large, and by the rule of notebook 06 only twice that counts: a distance
# within which hundreds of cells lie (the last line). So a rank near the top of the digits says no more than "a good
# cell". And the best of 15,625 noisy numbers owes part of its height to luck. (CIFAR-10's table has the means of one to
# three trainings and not the single ones. Its noise cannot be computed here, and is not zero.)
#
# ## Accuracy and what it costs
#
# Only convolutions have weights, so a cell's parameters and multiply-adds depend on how many of its six edges are 3×3
# or 1×1 convolutions. *Before you run it: is the best cell the largest one?*

# %%
from IPython.display import display
from gdas_lite.visual.tables import against_cost

COSTS = {"parameters": ("params", "params_c10"), "multiply-adds": ("multiply_adds", "conv_linear_macs_c10")}
for name, table in tables.items():
    costs = {f"{what}, {name}": table.values(column) for what, columns in COSTS.items()
             for column in columns if column in table.columns}
    if costs:
        display(against_cost(scores[name], costs))

# %%
from gdas_lite.lessons.laptop import fixed_rows

largest = gl.NASBench201Genotype(("nor_conv_3x3",) * 6)
for what, cell in {"best": digits.best(), **fixed_rows(), "six 3×3 convolutions": largest}.items():
    row = digits.query(cell)
    print(f"{what:21} {digits.accuracy(cell):.2f} %, rank {digits.rank(cell):,}, {row['params']:,} parameters, "
          f"{row['multiply_adds']:,} multiply-adds")

# %% [markdown]
# <details><summary>Answer</summary>
#
# It is not, in either table. On CIFAR-10 cost explains much of the *order*, so "count the parameters" is a baseline
# that any clever predictor has to beat. On the digits it explains nothing: six epochs on 701 images are few, and what
# counts is whether a network learns *soon*. Six convolutions without a skip do not, and **no cell at all, a lone skip,
# does as well there as the ResNet cell** (their distance is less than chance makes, see above). So the digits' table
# judges how fast a network starts, and CIFAR-10's how far it gets. In both tables the cells of one cost spread widely:
# the same operations in other places are another network.
# </details>

# %% [markdown]
# ## What each operation on each edge is worth
#
# The **main effect** of operation $k$ on edge $e$ is the mean accuracy of all cells that have it there, minus the mean
# of all cells:
#
# $$m_{e,k} = \operatorname{mean}\{\,a(c) : c_e = k\,\} - \operatorname{mean}\{\,a(c)\,\}$$
#
# By hand, for `none` on the edge 0 → 3:

# %%
from gdas_lite.genotypes.notation import BENCHMARK_OPS

cells = [gl.NASBench201Genotype.parse(text) for text in digits.cells]
edge = gl.NASBench201Genotype.EDGES.index((0, 3))
without = [value for cell, value in zip(cells, accuracies) if cell.ops[edge] == "none"]
effects = gl.landscape.main_effects(digits)                 # (6 edges, 5 operations)
assert np.isclose(np.mean(without) - np.mean(accuracies), effects[edge, BENCHMARK_OPS.index("none")])
print(f"{len(without):,} cells have none on 0→3; "
      f"their mean is {np.mean(without) - np.mean(accuracies):+.2f} points off")

# %% [markdown]
# Here are all thirty. *Before you look: on which edge does a convolution help most, and on which does `none` hurt
# most?*

# %%
from gdas_lite.visual.tables import effects as draw_effects

draw_effects({name: gl.landscape.main_effects(table) for name, table in tables.items()})

# %% [markdown]
# <details><summary>Answer</summary>
#
# In both tables `none` hurts most on the edge from the input to the output. There a convolution helps most on CIFAR-10,
# too. On the digits convolutions help little anywhere, and a skip on that edge helps most.
# </details>

# %% [markdown]
# One could predict a cell by the sum of its six effects. The share of the variance that this prediction explains:

# %%
for name, table in tables.items():
    print(f"{name}: {100 * gl.landscape.additive_share(table):.0f} % of the variance is additive")

# %% [markdown]
# The rest is how edges act *together*: an operation on 1 → 3 is worth nothing if nothing arrives at node 1. Compare
# this with alpha: DARTS and GDAS keep **one number for each of these thirty squares** and derive the cell edge by edge.
# In an additive landscape these numbers would be enough.
#
# On the digits the square that is worth most is a skip from the cell's input to its output. Alone, with `none`
# elsewhere, it makes the cell *absent*: six epochs on small images reward fewer operations. On CIFAR-10, after 200
# epochs, a convolution there is worth most.
#
# ## Neighbours, one edit away
#
# Change the operation on one edge, and you have one of a cell's 24 **neighbours**. Go to the best of them, again and
# again, until none is better: this is a **climb**. A cell without a better neighbour is a **local optimum**. *Before
# you run it: from how many of the 15,625 starts does a climb reach the best cell?*

# %%
from gdas_lite.visual.tables import climbs

ascents = {name: gl.landscape.climb(table) for name, table in tables.items()}
for name, ascent in ascents.items():
    print(f"{name}: {ascent.steps.mean():.1f} steps on average; with the last look around, which finds no better cell, "
          f"{24 * (ascent.steps.mean() + 1):.0f} neighbours")
climbs({name: (scores[name], ascent) for name, ascent in ascents.items()})

# %% [markdown]
# <details><summary>Answer</summary>
#
# On CIFAR-10 from most of them, on the digits from a minority: the title of the figure has the shares.
# </details>

# %% [markdown]
# A landscape in which climbs end high is easy for a search that makes small changes, such as evolution below. But some
# of the digits' optima are there only because their three seeds were lucky. (Where two cells are marked as the best,
# they are two strings of one function.)
#
# ## How soon can one tell?
#
# A search cannot train every candidate to its end. It stops early and hopes that the order is already there. The **rank
# correlation** says whether it is: 1 if the orders are equal, 0 if one says nothing about the other.

# %%
from gdas_lite.visual.tables import early_prediction

valid, loss = digits.over_epochs("digits_valid"), digits.over_epochs("digits_loss")
correlation = gl.landscape.rank_correlation
curves = {"valid accuracy": {e: correlation(digits.values(c), accuracies) for e, c in valid.items()},
          "train loss, low is good": {e: correlation(-digits.values(c), accuracies) for e, c in loss.items()}}
early_prediction(curves, f"test accuracy after epoch {max(valid)}")

# %%
good = accuracies >= np.quantile(accuracies, 0.9)                # the best tenth of all cells
for what, chosen in {"all cells": np.ones(len(good), bool), "the best tenth": good}.items():
    values = [correlation(digits.values(column)[chosen], accuracies[chosen]) for column in valid.values()]
    print(f"{what:15}", *(f"epoch {epoch} {value:5.2f} " for epoch, value in zip(valid, values)))
early = tables["CIFAR-10"].values("c10_valid_12")
top = scores["CIFAR-10"] >= np.quantile(scores["CIFAR-10"], 0.9)
print(f"CIFAR-10, 12 epochs against 200: all cells {gl.landscape.rank_correlation(early, scores['CIFAR-10']):.2f}, "
      f"the best tenth {gl.landscape.rank_correlation(early[top], scores['CIFAR-10'][top]):.2f}")

# %% [markdown]
# The second line matters most to a search. To tell bad cells from good ones is easy. Among the good ones early accuracy
# says little on the digits, where the fastest start is not the highest end, and on CIFAR-10 less than among all. (Part
# of this is selection: the best tenth was chosen by the accuracy that is to be predicted, and a narrower range lowers
# any correlation.) Even after the last epoch the digits' *validation* accuracy says little there about the order by
# *test* accuracy: most of what is left between those cells is noise. The high values for all cells after the last epoch
# compare two accuracies of the *same* trainings; two seeds agree less, as printed above.
#
# The train loss sorts sooner than the validation accuracy: it is a finer measure than a few hundred right-or-wrong
# answers.
#
# ## What random search reaches, exactly
#
# Draw $k$ cells, keep the one with the highest accuracy. If $F(a)$ is the share of cells with an accuracy of at most
# $a$, the best of $k$ independent draws is at most $a$ with probability $F(a)^k$. So its mean can be computed without
# an experiment:
#
# $$\mathbb{E}[\text{best of } k] = \sum_{a} a\,\bigl(F(a)^k - F(a^-)^k\bigr)$$
#
# with $F(a^-)$ the share of cells strictly below $a$. In code, and against 2,000 real runs:

# %%
levels, counts = np.unique(accuracies, return_counts=True)
F = np.cumsum(counts) / len(accuracies)
k = 10
by_hand = (levels * np.diff(F**k, prepend=0)).sum()
rng = np.random.default_rng(0)
simulated = rng.choice(accuracies, size=(2000, k)).max(1)
assert np.isclose(by_hand, digits.random_search_curve(k).mean[-1])
print(f"best of {k}: {by_hand:.3f} %; 2,000 runs: {simulated.mean():.3f} ± {simulated.std() / 2000**0.5:.3f} %")

# %% [markdown]
# This random search saw the test accuracy. A fair one chooses by validation accuracy and is judged by test accuracy:

# %%
for evaluations in (1, 10, 100):
    curve = digits.random_search_curve(evaluations, score=digits.search_column)
    print(f"{evaluations:4} cells: {curve.mean[-1]:.2f} % on average, one run in ten below {curve.low[-1]:.2f} %, "
          f"regret {curve.regret[-1]:.2f} points")
for what, seed in (("the training that was chosen", 0), ("another training of its cell", 1)):
    curve = digits.random_search_curve(100, f"{digits.default_column}_seed{seed}", score=f"{digits.search_column}_seed0")
    print(f" 100 cells by one training each: {what} has {curve.mean[-1]:.2f} % on average")

# %% [markdown]
# Every found cell should be shown beside this number, with as many evaluations as the search has cost.
#
# Is it fair? In this table valid and test accuracy are of the *same* trainings. A training that was lucky is chosen for
# its luck and judged with it; another training of the cell is points lower (the last two lines). So **what searches
# reach on the digits is flattered**, here and below, and one look-up is the mean of three trainings, for the price of
# one. (The best cell, from which regret is counted, owes something to the same luck.) On CIFAR-10 the accuracies after
# 12 epochs and after 200 are of different trainings.
#
# ## Exercise 8.1: the expected best of k
#
# 15 minutes · difficulty ●●●○○ · importance ●●●●○
#
# A search sees only *validation* accuracy. Draw $k$ cells uniformly with replacement and keep the one with the highest
# validation accuracy (equal ones are equally likely). What is the mean of its **test** accuracy?

# %%
def chosen_test(valid, test, k):
    """valid, test: arrays (cells,). Returns the mean test accuracy of the cell that is kept."""
    raise NotImplementedError("exercise 8.1")

# %%
from gdas_lite.lessons import check

print(check("8.1", chosen_test))

# %% [markdown]
# <details><summary>Hint</summary>
#
# Let $F(v)$ be the share of cells with validation accuracy at most $v$: the best of $k$ draws is at most $v$ with
# probability $F(v)^k$, and a level has what $F^k$ gains there. Then
# `np.unique(valid, return_inverse=True, return_counts=True)` gives the levels, the level of each cell and how many
# cells a level has. `np.bincount(level, test)` sums test accuracy by level.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def chosen_test(valid, test, k):
#     _, level, counts = np.unique(valid, return_inverse=True, return_counts=True)
#     F = np.cumsum(counts) / len(valid)
#     return (np.diff(F**k, prepend=0) * np.bincount(level, test) / counts).sum()
# ```
#
# The level of the winner is an order statistic of the *validation* accuracies. Given the level, each of its cells is
# equally likely to be the winner, so the test accuracy is the level's mean.
# </details>

# %%
from gdas_lite.lessons import use

chosen_test = use("8.1", chosen_test)
for k in (1, 10, 100):
    theirs = digits.random_search_curve(k, score=digits.search_column).mean[-1]
    yours = chosen_test(digits.values(digits.search_column), accuracies, k)
    print(f"the best of {k:3} by validation: yours {yours:.3f} %, the library's {theirs:.3f} %")

# %% [markdown]
# ## Evolution and REINFORCE
#
# - **Regularised evolution** (REA) begins with ten random cells. Then three are drawn from the population, the best of
#   them gets a child, which is the parent with one edge switched to another operation, and the *oldest* member is
#   removed, not the worst.
# - **REINFORCE** has an alpha like GDAS, draws a cell from $\mathrm{softmax}(\alpha)$ and raises the probability of
#   what it drew if the score is above its moving average. It knows nothing about gradients *through* the network: a
#   score is all it gets.
#
# Each evaluation here is a look-up, so many runs take a second. *Before you run it: after how many evaluations will
# evolution be ahead of random search?*

# %%
import time
from gdas_lite.visual.tables import regret_curves

evaluations, runs = {"lesson": (300, 500)}.get(recipe, (40, 20))
algorithms = (gl.baselines.random_search, gl.baselines.regularised_evolution, gl.baselines.reinforce)
start = time.perf_counter()
found = {name: [search(table, evaluations, runs=runs) for search in algorithms] for name, table in tables.items()}
print(f"{len(found) * len(algorithms) * runs:,} searches of {evaluations} evaluations "
      f"in {time.perf_counter() - start:.1f} s")
exact = {name: table.random_search_curve(evaluations, score=table.search_column) for name, table in tables.items()}
regret_curves(found, exact=exact)

# %% [markdown]
# A line is the mean over the runs, a band the middle half of them; the dotted line is the formula above.
#
# <details><summary>Answer</summary>
#
# - Random search falls along the formula.
# - Evolution does what random search does for its first ten evaluations, since they are random, and needs some dozens
#   more until its population has moved.
# - REINFORCE depends on its learning rate. The published script names 0.001, the published description 0.5. The figure
#   has the first.
# </details>

# %% [markdown]
# Try other rates:

# %%
for rate in (0.001, 0.01, 0.05, 0.1, 0.5):
    policy = {name: gl.baselines.reinforce(table, evaluations, runs=runs, learning_rate=rate).regret()[:, -1]
              for name, table in tables.items()}
    print(f"learning rate {rate:<5}",
          *(f" {name}: regret {last.mean():.2f} ± {last.std(ddof=1):.2f}" for name, last in policy.items()))

# %% [markdown]
# With too small a rate nothing is learned in so few evaluations; with too large a rate the policy settles on one of the
# first good cells. But a learning rate chosen with this table in view has used what a search is supposed to find out.
#
# ## Exercise 8.2: a child with exactly one change
#
# 10 minutes · difficulty ●●○○○ · importance ●●●○○
#
# Write the mutation of regularised evolution. It has two traps that are easily overlooked.

# %%
def mutate(parent, rng):
    """parent: a list of six operations. Returns a new list: one edge, each as likely, has *another* operation, each of
    the four others as likely."""
    raise NotImplementedError("exercise 8.2")

# %%
print(check("8.2", mutate))

# %% [markdown]
# <details><summary>Hint</summary>
#
# Draw the edge with `rng.integers(6)`. Make the list of the four operations that are not there, and draw one of them.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def mutate(parent, rng):
#     child, edge = list(parent), rng.integers(6)
#     others = [op for op in BENCHMARK_OPS if op != parent[edge]]
#     child[edge] = others[rng.integers(4)]
#     return child
# ```
#
# Without `list(parent)` the child *is* the parent, and the whole population changes while its stored scores stay. If
# the old operation can be drawn again, a fifth of the evaluations are spent on cells already known. (AutoDL-Projects
# draws the *node* first and then one of its edges, so that 0 → 1 is changed three times as often as 0 → 3:
# `regularised_evolution(table, ..., mutation="node")`.)
# </details>

# %% [markdown]
# ## The same seconds
#
# Evaluations do not all cost the same. A search that trains each candidate for one epoch only can look at several times
# as many. Does this pay? Give each the same time, in the seconds that the trainings of the table took.

# %%
budget = 100 * digits.values(f"digits_train_seconds_{max(valid)}").mean()       # s, about 100 full trainings
for search in algorithms[:2]:
    for epoch, column in valid.items():
        result = search(digits, seconds=budget, runs=runs, score=column)
        last = result.regret()[:, -1]
        print(f"{result.algorithm:22} score after epoch {epoch}: {result.counts.mean():5.0f} cells, "
              f"regret {last.mean():.2f} ± {last.std() / runs**0.5:.2f}")

# %% [markdown]
# (Here ± is the standard error of the mean, not the spread of the runs. Each score is a mean of three trainings and is
# charged as one, after whatever epoch.) Six times as many cells do not make up for a score that sorts them badly: whole
# trainings come first for both algorithms, and the figure of early prediction shows why. But the judge favours them: it
# tests the very networks that the last epoch's score has seen (above, that was worth points). So this table cannot say
# how much of their lead over epochs 3 to 5 is real, or whether there is one over epoch 3. Not every later epoch is
# better than the one before it; we have not looked into that.
#
# ## The same images: where GDAS stands
#
# GDAS, DARTS and random search with shared weights train *one* network that holds all cells, instead of many cells for
# a few epochs. What is this worth at equal cost? Count the images that go through a network, forward and backward:
#
# - Looking up one cell costs a training of 12 epochs on half of CIFAR-10's training images; the search sees its
#   validation accuracy. (In this table that is the mean of two trainings, a steadier score than the one that is charged
#   would give. The last line printed charges both.)
# - A GDAS or DARTS search costs its published epochs on *both* halves, one for the weights, one for alpha. Random
#   search with shared weights trains on one half only.
# - The found cell's own training, 200 epochs on all images, is added for every search alike. It is the dotted line.
#
# *Before you run it: how many cells could be trained to their end for the price of one GDAS search? Hundreds, ten,
# one?*

# %%
from gdas_lite.benchmark.equal_cost import equal_cost

evaluations, runs = {"lesson": (300, 500)}.get(recipe, (60, 20))
comparison = equal_cost("nasbench201", evaluations, runs=runs)
gdas = comparison.point("GDAS")
print(f"one look-up: {comparison.images[0]:,} images; one GDAS search: {gdas.images:,}; "
      f"one cell to its end: {comparison.one_cell:,}")
for what, images in (("one training a look-up", gdas.images), ("two", gdas.images / 2)):
    print(f"{what}:", {name: f"{regret:.2f}" for name, regret in comparison.regret_at(images).items()})
gl.plots.equal_cost(comparison)

# %% [markdown]
# <details><summary>Answer</summary>
#
# One GDAS search costs about as much as training one cell to its end. Random search with the few dozen look-ups that
# the same images buy is close behind, with half as many less so. Evolution, given many more, goes on to the best cells,
# while one search with shared weights has ended. DARTS costs less and ends at a cell that is worse than *no cell at
# all*, a single skip from input to output. And the ResNet cell, which needed no search, is better than what the
# published GDAS found. (Random search with shared weights was published twice, with two ways to take batch norm's
# statistics; the figure has the better result.)
# </details>

# %% [markdown]
# Images are not equal: DARTS runs every operation for each image, GDAS one on each edge. In seconds DARTS would be
# further to the right.
#
# ## Perfect weights: is it the relaxation that fails?
#
# A differentiable search does several things at once. It *relaxes* the choice of an operation to numbers that a
# gradient can move. It lets all cells *share weights*, so that one training serves them all. And DARTS *mixes outputs*:
# it trains a network that is none of the cells. When such a search ends at a poor cell, what is the cause? With a table
# of all cells the first can be tried alone. Take the accuracy as a function of relaxed choices,
#
# $$f(h) = \sum_{\text{cells } c} \text{accuracy}(c) \prod_{e} h_{e, c_e},$$
#
# which equals the table wherever $h$ is one-hot, and is differentiable in between: there it is the mean accuracy of the
# cells whose operations are drawn with the probabilities $h$. It shares no weights, so none can be wrong, and it mixes
# the accuracies of whole cells, not outputs within a network. On this function we run
#
# - **darts**: $h = \mathrm{softmax}(\alpha)$;
# - **gumbel**: a soft Gumbel-softmax sample; **straight-through**: its one-hot, with the gradient of every candidate;
# - **gdas**: the same one-hot, but only the drawn candidate has a gradient, since only it was computed (variant P);
#   once more with a moving mean of the accuracies subtracted (**with a baseline**);
# - **reinforce**: the score function, with that baseline.
#
# Each climbs the validation accuracy after 12 epochs and is judged by the test accuracy after 200. *Before you run it:
# which of them will find the best cell?*

# %%
seeds = range(5 if recipe == "smoke" else 20)
perfect = [gl.perfect_weights.search(rule, seeds=seeds) for rule in gl.perfect_weights.RULES]
gl.plots.perfect_weights(perfect)

# %%
for runs in perfect:
    print(f"{runs.rule:20s} regret {runs.summary()}   seed 0: {runs.genotypes[0]}")
print(f"DARTS-V1 with shared weights, as published: {tables['CIFAR-10'].accuracy(skips):.2f} %, every edge a skip")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Every rule that sees the slopes of all candidates, with every seed; REINFORCE and GDAS with a baseline come close.
# </details>

# %% [markdown]
# So it is not the relaxation to probabilities that fails. The published DARTS, with the same softmax, ends at the cell
# of skips: with shared weights *and* mixed outputs. Both are gone here, so this does not say which of them it was.
#
# GDAS' own rule is cheap and pays for it: the slope of a drawn candidate is the whole accuracy of the drawn cell, so
# whatever is drawn is reinforced, and more so the more often it is drawn. A baseline removes most of this. (In a
# network the slope is another number, $\langle G, o(x)\rangle$; the published GDAS, with shared weights, ends nearer to
# the best cell, as the figure of equal cost shows.)
#
# Which temperature suits which rule? Each change below is ten new searches. Another step size is
# `gl.perfect_weights.search("gdas", tau=(1, 0.1), learning_rate=0.05)`.

# %%
gl.PerfectWeightsExplorer("gdas")

# %% [markdown]
# ## Your own search with perfect weights
#
# Three short functions make DARTS on such a table, and then yours runs on all of CIFAR-10's 15,625 cells. The formula
# above holds for every table and every $h$, also where a row of $h$ does not sum to 1.
#
# ## Exercise 8.3: a table as a function
#
# 15 minutes · difficulty ●●●○○ · importance ●●●●○

# %%
def relaxed_accuracy(table, h):
    """f(h), a number. table: an array with an axis for each edge, (K, K, ...); h (edges, K): row e is of axis e."""
    raise NotImplementedError("exercise 8.3")

# %%
print(check("8.3", relaxed_accuracy))

# %% [markdown]
# <details><summary>Hint</summary>
#
# Sum over one edge at a time: after the first edge is summed out, what is left is a table with one axis less.
# `np.tensordot(row, table, 1)` does one.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def relaxed_accuracy(table, h):
#     for row in h:
#         table = np.tensordot(row, table, 1)         # the first edge of those that are left
#     return table
# ```
#
# One loop over six edges in the place of one over 15,625 cells: the product under the sum can be taken apart.
# </details>

# %% [markdown]
# ## Exercise 8.4: the slope at a relaxed cell
#
# 10 minutes · difficulty ●●●○○ · importance ●●●○○
#
# In each entry of $h$ alone, with the other entries of its row at 0, $f$ is a straight line through 0. So its
# derivative needs no calculus: it is the value of $f$ at a certain place.

# %%
def slopes(table, h):
    """df/dh, an array like h: entry (e, k) is the derivative of f towards h[e, k]."""
    raise NotImplementedError("exercise 8.4")

# %%
print(check("8.4", slopes))

# %% [markdown]
# <details><summary>Hint</summary>
#
# $f$ is a sum over $k$ of $h_{e,k}$ times something that does not hold row $e$. Which row $e$ makes $f$ equal to that
# something?
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def slopes(table, h):
#     gradient = np.zeros_like(h)
#     for edge, k in np.ndindex(h.shape):
#         chosen = h.copy()
#         chosen[edge] = np.eye(h.shape[1])[k]        # operation k, whole, on this edge
#         gradient[edge, k] = relaxed_accuracy(table, chosen)
#     return gradient
# ```
#
# Where $h$ is one-hot, these are the accuracies of the cell's 24 neighbours and, six times, its own.
# </details>

# %% [markdown]
# ## Exercise 8.5: DARTS with perfect weights
#
# 10 minutes · difficulty ●●○○○ · importance ●●●●○

# %%
def alpha_slopes(table, alpha):
    """The gradient of f(softmax of each row of alpha) towards alpha, an array like alpha (edges, K)."""
    raise NotImplementedError("exercise 8.5")

# %%
print(check("8.5", alpha_slopes))

# %% [markdown]
# <details><summary>Hint</summary>
#
# You had the derivative of a softmax in exercise 2.2. Here there are six of them, and no tau.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def alpha_slopes(table, alpha):
#     p = np.exp(alpha) / np.exp(alpha).sum(1, keepdims=True)
#     g = slopes(table, p)
#     return p * (g - (p * g).sum(1, keepdims=True))
# ```
#
# It would be the gradient of DARTS, first order, if every cell had weights of its own, and a mixture were as good as
# its cells are on average.
# </details>

# %% [markdown]
# Now climb: from alphas near zero, in steps of fixed length along the gradient, on the validation accuracy after 12
# epochs. *Where will it end?*

# %%
relaxed_accuracy, slopes, alpha_slopes = use("8.3", relaxed_accuracy), use("8.4", slopes), use("8.5", alpha_slopes)
cifar10 = tables["CIFAR-10"]
cube = np.empty((5,) * 6)
for text, value in zip(cifar10.cells, cifar10.values(cifar10.search_column)):
    cube[tuple(BENCHMARK_OPS.index(op) for op in gl.NASBench201Genotype.parse(text).ops)] = value
exact = gl.perfect_weights.Relaxed("nasbench201").value(p := np.full((6, 5), 0.2))
print(f"f at uniform choices: yours {relaxed_accuracy(cube, p):.6f}, the library's {exact:.6f}")

alpha = 1e-3 * np.random.default_rng(0).normal(size=(6, 5))
for step in range({"lesson": 300}.get(recipe, 20) + 1):
    if step % 60 == 0:
        cell = gl.NASBench201Genotype(tuple(BENCHMARK_OPS[k] for k in alpha.argmax(1)))
        print(f"step {step:3}: {cifar10.accuracy(cell):.2f} %, rank {cifar10.rank(cell):6,}  {cell}")
    gradient = alpha_slopes(cube, alpha)
    alpha += 0.1 * gradient / np.abs(gradient).max()

# %% [markdown]
# <details><summary>Answer</summary>
#
# At the best cell of all 15,625. The validation accuracy after 12 epochs leads there: no shared weights are in the
# way, and no mixed outputs.
# </details>

# %% [markdown]
# ## Does a small world say anything about a large one?

# %%
cifar = gl.landscape.aligned(digits, tables["CIFAR-10"], tables["CIFAR-10"].default_column)
print(f"rank correlation of digits and CIFAR-10: {gl.landscape.rank_correlation(accuracies, cifar):.2f}")
best_cell = tables["CIFAR-10"].best()
print(f"CIFAR-10's best cell has rank {digits.rank(best_cell):,} on the digits,",
      f"the digits' best cell rank {tables['CIFAR-10'].rank(digits.best()):,} on CIFAR-10")
for what, chosen in {"all cells": cifar > 0, "the digits' best tenth": good}.items():
    print(f"{what:23} mean {cifar[chosen].mean():.1f} % on CIFAR-10, lowest {cifar[chosen].min():.1f} %")

# %% [markdown]
# Little. The cells that cannot learn are bad in both tables, and CIFAR-10's best cell is a very good one here; the
# reverse does not hold. A cheap stand-in (fewer epochs, smaller networks, easier data) is a **proxy**, and the first
# question about a proxy is its rank correlation with the real thing. What this course finds on the digits is true of
# the digits and this protocol.
#
# ## What can go wrong
#
# - *`Table digits: expected a cell of the NAS-Bench-201 space`*: NASNet cells have no table; $10^{18}$ pairs are too
#   many.
# - *My GDAS cell has rank 900, evolution's has rank 40.* Evolution has trained hundreds of networks for that, GDAS one
#   supernet. Compare at equal seconds, and mind that neither rank is certain.
# - *My own training of a cell gives another accuracy than the table.* Other seeds, or another protocol: size, split and
#   epochs are those printed at the top.
# - *Two different strings have exactly the same numbers.* They compute the same function, and were trained once.
#
# ## Recap
#
# - A table of all cells turns "found a good cell" into a rank and a regret, measured against the noise of the seeds.
# - The best of $k$ random cells is known exactly, $\sum_a a\,(F(a)^k - F(a^-)^k)$; a search has to beat that at equal
#   cost.
# - Operations have main effects, $m_{e,k}$, but a cell is more than their sum; early accuracy finds the bad cells, and
#   helps less among the good ones.
# - With perfect weights every search that sees all slopes finds the best cell. Published DARTS fails by what is absent
#   there: shared weights, or the mixing of outputs.
#
# **Next**: `09_failures`, and `gl.tabular("nasbench201").rank(search.genotype)` after any search of your own; also
# `table.isomorphs` and `table.top(10)`.
