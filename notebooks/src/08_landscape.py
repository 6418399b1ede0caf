# %% [markdown]
# # The landscape: every cell is known
#
# **Course**: [0 Quick start](00_quickstart.ipynb) · [1 Spaces](01_spaces.ipynb) · [2 Gumbel](02_gumbel.ipynb) ·
# [3 GDAS](03_gdas.ipynb) · [4 DARTS](04_darts.ipynb) · [5 NASNet](05_nasnet.ipynb) · [6 Training](06_training.ipynb) ·
# [7 Recurrent cells](07_recurrent.ipynb) · **8 Landscape** · [9 Failures](09_failures.ipynb) ·
# [10 Own pictures](10_own_pictures.ipynb) · [11 ImageNet](11_imagenet.ipynb) · [12 Reproduce](12_reproduce.ipynb) ·
# [Glossary](glossary.md)
#
# **You will see** all 15,625 cells of the NAS-Bench-201 space at once: how good they are, what makes them good, how soon one
# can tell, and how far below the best cell random search, evolution and REINFORCE end.
#
# - Reading: 30 minutes. Computing: half a minute on two CPU cores. No network, no GPU: nothing is trained here.
# - You need the quick start (`00_quickstart`): cell, genotype, derived accuracy.
# - Papers: Dong & Yang, *NAS-Bench-201*, ICLR 2020; Real et al., *Regularized Evolution for Image Classifier Architecture
#   Search*, AAAI 2019.

# %% tags=["setup"] jupyter={"source_hidden": true}
# Set-up: looks for gdas_lite.
import importlib.util, os, sys
from IPython import get_ipython
if importlib.util.find_spec("gdas_lite") is None:
    if "google.colab" not in sys.modules and "KAGGLE_KERNEL_RUN_TYPE" not in os.environ:
        raise ModuleNotFoundError("no gdas_lite here: in the checkout run `python3 run.py lab`")
    raise ModuleNotFoundError("upload a zip of gdas-lite and run `%pip install --no-deps gdas-lite.zip`")
import torch, gdas_lite
device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
print("gdas_lite", gdas_lite.__version__, "| torch", torch.__version__, "|", device)

# %% tags=["parameters"]
recipe = "lesson"

# %% [markdown]
# ## The question
#
# A search returns a cell. Is it a good one? One can train it and a few random ones, as the quick start did, and still not know
# what would have been possible. Here someone has done all the work: **every** cell of the space was trained on the embedded
# digits, with several seeds, and the accuracies are a table inside this package. How it was computed:

# %%
import numpy as np
import gdas_lite as gl

digits = gl.tabular("digits")
protocol = digits.about["protocol"]
for what, value in (protocol | protocol.get("recipe", {})).items():
    if what != "recipe" and value:
        print(f"{what:18} {value}")

# %% [markdown]
# Many cells compute the same function: an operation behind a `none` is without effect, and the order of a sum does not matter.
# One cell of each function was trained, and stands for the others.

# %%
from gdas_lite.genotypes.functions import computed_function

functions = {computed_function(cell.edges) for cell in gl.NASBench201Genotype.all()}
print(f"{len(digits):,} cells, {len(functions):,} functions")

# %% [markdown]
# The same was done on CIFAR-10 by the authors of NAS-Bench-201, with far larger networks and 200 epochs. Their accuracies come
# with this package, too, and stand first from here on. (A table of your own, in the folder that the environment variable
# `GDAS_LITE_DATA` names, takes their place.)

# %%
tables = {"CIFAR-10": gl.tabular("nasbench201"), "digits": digits}
print("\n".join(tables["CIFAR-10"].about.get("citations", [])))
for name, table in tables.items():
    print(f"{name}: ranks by {table.default_column}, searches choose by {table.search_column}")

# %% [markdown]
# A column's name says data set, part and epochs: `digits_valid_1` is the accuracy on validation images after the first epoch.
# A search may look at **valid** columns only. **Test** columns are for the end: they say how good the choice was.
#
# ## One cell by hand
#
# The **rank** of a cell is one more than the number of cells that are strictly better; its **regret** is how far it lies below
# the best one, in percentage points. Take the cell with `skip_connect` on every edge, to which DARTS collapses in this space.

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
# ## How the accuracies lie
#
# *Before you run it: what share of the 15,625 cells lies within one point of the best? One in a hundred, in ten, in two?*
#
# Mind the vertical axis: each step up is ten times as many cells.

# %%
from gdas_lite.visual.tables import distribution

scores = {name: table.values(table.default_column) for name, table in tables.items()}
distribution(scores, {name: {"all skip": table.accuracy(skips)} for name, table in tables.items()})

# %% [markdown]
# Three things to take from it:
#
# - Cells at chance level are those whose output does not depend on the image: `none` cuts every way through.
# - Three cells of the digits stand alone, their nearest rivals are a point behind. On CIFAR-10, where every network was trained
#   for 200 epochs, the top is crowded: many cells are nearly as good as the best, and random search is a strong opponent.
# - The tail is long. A search that goes wrong can go very wrong.
#
# ## What the seeds say
#
# A number in the table is a mean over seeds, and still has chance in it. How much? Compare the spread of one cell over seeds
# with the spread of the cells.

# %%
seeds = [name for name in digits.columns if name.startswith(f"{digits.default_column}_seed")]
by_seed = np.stack([digits.values(name) for name in seeds])                         # (seeds, cells)
within = np.sqrt(by_seed.var(axis=0, ddof=1).mean())
correlation = gl.landscape.rank_correlation(by_seed[0], by_seed[1])
print(f"standard deviation of one cell over seeds: {within:.2f} points (of the mean of {len(seeds)}: {within / len(seeds)**0.5:.2f})")
print(f"standard deviation between cells:          {accuracies.std():.2f} points")
print(f"rank correlation of two seeds: {correlation:.3f}")
top = np.argsort(-by_seed[0])[:100]
print(f"of the 100 best cells by the first seed, {np.isin(top, np.argsort(-by_seed[1])[:100]).sum()} are so by the second")
close = accuracies > accuracies.max() - within / len(seeds)**0.5
print(f"{close.sum()} cells lie within one such deviation of the best")

# %% [markdown]
# So *good or bad* is told by one seed, and *best or tenth best* is not told by three. The number in
# brackets is the standard error of *one* cell; of a difference of two it is 1.4 times as large, and by notebook 06's rule only twice that
# counts, whichever search the cells come from; a rank near the top is to be read as "among the best hundred". And the
# best of 15,625 noisy numbers owes part of its height to luck.
#
# ## Accuracy and what it costs
#
# Only convolutions have weights, so a cell's parameters and multiply-adds depend on how many of its six edges are 3×3 or 1×1
# convolutions. *Before you run it: is the best cell the largest one?*

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
best = digits.best()
largest = gl.NASBench201Genotype(("nor_conv_3x3",) * 6)
for what, cell in {"best": best, "six 3×3 convolutions": largest}.items():
    row = digits.query(cell)
    print(f"{what:21} {digits.accuracy(cell):.2f} %, rank {digits.rank(cell):,}, {row['params']:,} parameters, "
          f"{row['multiply_adds']:,} multiply-adds")

# %% [markdown]
# On CIFAR-10 cost explains much of the *order*, which is why "count the parameters" is a baseline that any clever predictor has to
# beat. On the digits it explains nothing: six epochs on 701 images are few, and what counts is whether a network learns *soon*.
# Six convolutions and no skip do not. In both worlds the cells of one cost spread widely: the same operations in other places make
# another network.
#
# ## What each operation on each edge is worth
#
# The **main effect** of operation $k$ on edge $e$ is the mean accuracy of all cells that have it there, minus the mean of all
# cells:
#
# $$m_{e,k} = \operatorname{mean}\{\,a(c) : c_e = k\,\} - \operatorname{mean}\{\,a(c)\,\}$$
#
# By hand, for `none` on the edge 0 → 3:

# %%
from gdas_lite.genotypes.notation import NASBENCH201_OPS

cells = [gl.NASBench201Genotype.parse(text) for text in digits.cells]
edge = gl.NASBench201Genotype.EDGES.index((0, 3))
without = [value for cell, value in zip(cells, accuracies) if cell.ops[edge] == "none"]
effects = gl.landscape.main_effects(digits)                 # (6 edges, 5 operations)
assert np.isclose(np.mean(without) - np.mean(accuracies), effects[edge, NASBENCH201_OPS.index("none")])
print(f"{len(without):,} cells have none on 0→3; their mean is {np.mean(without) - np.mean(accuracies):+.2f} points off")

# %% [markdown]
# All thirty of them. *Before you look: on which edge does a convolution help most, and on which does `none` hurt most?*

# %%
from gdas_lite.visual.tables import effects as draw_effects

draw_effects({name: gl.landscape.main_effects(table) for name, table in tables.items()})

# %% [markdown]
# A cell could be predicted by adding its six effects up. How good is that prediction? The share of the variance it explains:

# %%
for name, table in tables.items():
    print(f"{name}: {100 * gl.landscape.additive_share(table):.0f} % of the variance is additive")

# %% [markdown]
# The rest is how edges act *together*: an operation on 1 → 3 is worth nothing if nothing arrives at node 1. This is worth a
# thought about alpha: DARTS and GDAS keep **one number for each of these thirty squares**, and derive the cell edge by edge. If the
# landscape were additive, that would be all one needs.
#
# On the digits the square that is worth most is a skip from the cell's input to its output. Alone, with `none` elsewhere, it makes
# the cell *absent*, and that is what six epochs on small images reward: fewer operations. On CIFAR-10, after 200 epochs, it is a
# convolution.
#
# ## Neighbours, one edit away
#
# Change the operation on one edge and you have one of a cell's 24 **neighbours**. Go to the best of them, again and again, until
# none is better: a **climb**. A cell without a better neighbour is a **local optimum**. *Before you run it: from how many of the
# 15,625 starts does a climb reach the best cell?*

# %%
from gdas_lite.visual.tables import climbs

ascents = {name: gl.landscape.climb(table) for name, table in tables.items()}
for name, ascent in ascents.items():
    print(f"{name}: {ascent.steps.mean():.1f} steps on average, that is {24 * ascent.steps.mean():.0f} cells looked at")
climbs({name: (scores[name], ascent) for name, ascent in ascents.items()})

# %% [markdown]
# A landscape in which climbs end high is easy for a search that makes small changes, like evolution below. But mind the noise:
# some of these optima are only there because their three seeds were lucky.
#
# ## How soon can one tell?
#
# A search cannot afford to train every candidate to its end. It stops early and hopes that the order is already there. The
# **rank correlation** says whether it is: 1 if the orders are equal, 0 if one says nothing about the other.

# %%
from gdas_lite.visual.tables import early_prediction

valid, loss = digits.over_epochs("digits_valid"), digits.over_epochs("digits_loss")
curves = {"valid accuracy": {e: gl.landscape.rank_correlation(digits.values(c), accuracies) for e, c in valid.items()},
          "train loss, lower first": {e: gl.landscape.rank_correlation(-digits.values(c), accuracies) for e, c in loss.items()}}
early_prediction(curves, f"test accuracy after epoch {max(valid)}")

# %%
good = accuracies >= np.quantile(accuracies, 0.9)                # the best tenth of all cells
for what, chosen in {"all cells": np.ones(len(good), bool), "the best tenth": good}.items():
    values = [gl.landscape.rank_correlation(digits.values(column)[chosen], accuracies[chosen]) for column in valid.values()]
    print(f"{what:15}", *(f"epoch {epoch} {value:5.2f} " for epoch, value in zip(valid, values)))
early = tables["CIFAR-10"].values("c10_valid_12")
top = scores["CIFAR-10"] >= np.quantile(scores["CIFAR-10"], 0.9)
print(f"CIFAR-10, 12 epochs against 200: all cells {gl.landscape.rank_correlation(early, scores['CIFAR-10']):.2f}, "
      f"the best tenth {gl.landscape.rank_correlation(early[top], scores['CIFAR-10'][top]):.2f}")

# %% [markdown]
# The second line is the one that matters to a search. To tell bad cells from good ones is easy; among the good ones early accuracy
# says little: who starts fastest is not who ends highest. (Part of that is selection: the best tenth was chosen by the accuracy that is to
# be predicted, and a narrower range lowers any correlation.) Even after the last epoch the *validation* accuracy says
# little about the order by *test* accuracy there, because what is left between those cells is mostly noise.
#
# The train loss sorts sooner than the validation accuracy: it is a finer measure than some hundred right-or-wrong answers.
#
# ## What random search reaches, exactly
#
# Draw $k$ cells, keep the one with the highest accuracy. If $F(a)$ is the share of cells with an accuracy of at most $a$, the
# best of $k$ independent draws is at most $a$ with probability $F(a)^k$. So the mean needs no experiment:
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
# This random search saw the test accuracy. An honest one chooses by validation accuracy and is judged by test accuracy:

# %%
for evaluations in (1, 10, 100):
    curve = digits.random_search_curve(evaluations, score=digits.search_column)
    print(f"{evaluations:4} cells: {curve.mean[-1]:.2f} % on average, one run in ten below {curve.low[-1]:.2f} %, "
          f"regret {curve.regret[-1]:.2f} points")

# %% [markdown]
# Whoever shows a found cell should show this beside it, with as many evaluations as the search has cost.
#
# ## Evolution and REINFORCE
#
# - **Regularised evolution** (REA) begins with ten random cells. Then three are drawn from the population, the best of them gets
#   a child, which is the parent with one edge switched to another operation, and the *oldest* member is removed, not the worst.
# - **REINFORCE** has an alpha like GDAS, draws a cell from $\mathrm{softmax}(\alpha)$ and raises the probability of what it drew
#   if the score is above its moving average. It knows nothing about gradients *through* the network: a score is all it gets.
#
# Each evaluation here is a look-up, so many runs take a second. *Before you run it: after how many evaluations will evolution
# leave random search behind?*

# %%
import time
from gdas_lite.visual.tables import regret_curves

evaluations, runs = {"lesson": (300, 500)}.get(recipe, (40, 20))
algorithms = (gl.baselines.random_search, gl.baselines.regularised_evolution, gl.baselines.reinforce)
start = time.perf_counter()
found = {name: [search(table, evaluations, runs=runs) for search in algorithms] for name, table in tables.items()}
print(f"{len(found) * len(algorithms) * runs:,} searches of {evaluations} evaluations in {time.perf_counter() - start:.1f} s")
exact = {name: table.random_search_curve(evaluations, score=table.search_column) for name, table in tables.items()}
regret_curves(found, exact=exact)

# %% [markdown]
# A line is the mean over the runs, a band the middle half of them; the dotted line is the formula above.
#
# - Random search falls along the formula.
# - Evolution does what random search does for its first ten evaluations, since they are random, and needs some dozens more
#   until its population has moved.
# - REINFORCE depends on its learning rate. The published script names 0.001, the published description 0.5. The figure has the
#   first. Try others:

# %%
for rate in (0.001, 0.01, 0.05, 0.1, 0.5):
    policy = {name: gl.baselines.reinforce(table, evaluations, runs=runs, learning_rate=rate) for name, table in tables.items()}
    print(f"learning rate {rate:<5}", *(f" {name}: regret {result.regret()[:, -1].mean():.2f} ± {result.regret()[:, -1].std():.2f}"
                                        for name, result in policy.items()))

# %% [markdown]
# Too small, and nothing is learned in so few evaluations; too large, and the policy settles on one of the first cells it liked.
# But a learning rate that was chosen by looking at this table has used the very thing a search is supposed to find out.
#
# ## The same seconds
#
# Evaluations are not equally dear. A search that trains each candidate for one epoch only can look at several times as many. Is
# that a good bargain? Give each the same time, in the seconds that the trainings of the table took.

# %%
budget = 100 * digits.values(f"digits_train_seconds_{max(valid)}").mean()       # s, about 100 full trainings
for search in algorithms[:2]:
    for epoch, column in valid.items():
        result = search(digits, seconds=budget, runs=runs, score=column)
        last = result.regret()[:, -1]
        print(f"{result.algorithm:22} score after epoch {epoch}: {result.counts.mean():5.0f} cells, "
              f"regret {last.mean():.2f} ± {last.std() / runs**0.5:.2f}")

# %% [markdown]
# (± is the uncertainty of the mean here, not the spread of the runs.) Six times as many cells do not make up for a score that sorts
# them badly: here whole trainings win for both algorithms, and the figure of early prediction says why.
#
# ## The same images: where GDAS stands
#
# GDAS, DARTS and random search with shared weights train *one* network that holds all cells, instead of many cells for a few epochs.
# What is that worth at equal cost? Count the images that go through a network, forward and backward:
#
# - Looking one cell up costs a training of 12 epochs on half of CIFAR-10's training images, whose validation accuracy the search sees.
# - A GDAS or DARTS search costs its published epochs on *both* halves, one for the weights, one for alpha. Random search with shared
#   weights trains on one half only.
# - The found cell's own training, 200 epochs on all images, comes on top, for every search alike. It is the dotted line.
#
# *Before you run it: how many cells could be trained to their end for the price of one GDAS search? Hundreds, ten, one?*

# %%
from gdas_lite.benchmark.equal_cost import equal_cost

evaluations, runs = {"lesson": (300, 500)}.get(recipe, (60, 20))
comparison = equal_cost("nasbench201", evaluations, runs=runs)
gdas = comparison.point("GDAS")
print(f"one look-up: {comparison.images[0]:,} images; one GDAS search: {gdas.images:,}; "
      f"one cell to its end: {comparison.one_cell:,}")
print({name: f"{regret:.2f}" for name, regret in comparison.regret_at(gdas.images).items()})
gl.plots.equal_cost(comparison)

# %% [markdown]
# One GDAS search costs about as much as training one cell to its end. That is its honest place: with the few dozen look-ups that the
# same images buy, random search is close behind, and evolution, given many more, goes on to the best cells while one search with shared
# weights is at its end. DARTS costs less and ends at a cell that is worse than *no cell at all*, a single skip from input to
# output. And the ResNet cell, which nobody had to search, is a strong neighbour of them all.
#
# An image is not an image: DARTS runs every operation for each one, GDAS one an edge. Counting seconds would move DARTS to the right.
#
# ## Perfect weights: is it the relaxation that fails?
#
# A differentiable search does two things at once. It *relaxes* the choice of an operation to a number, so that a gradient can move
# it, and it lets all cells *share weights*, so that one training serves them all. When such a search ends at a poor cell, which of
# the two is to blame? With a table of all cells the first can be tried alone. Take the accuracy as a function of relaxed choices,
#
# $$f(h) = \sum_{\text{cells } c} \text{accuracy}(c) \prod_{e} h_{e, c_e},$$
#
# which equals the table wherever $h$ is one-hot, and is differentiable between. No weights are shared on it and none can be
# wrong. On this function run
#
# - **darts**: $h = \mathrm{softmax}(\alpha)$;
# - **gumbel**: a soft Gumbel-softmax sample; **straight-through**: its one-hot, with the gradient of every candidate;
# - **gdas**: the same one-hot, but only the drawn candidate has a gradient, since only it was computed (variant P); once more with
#   a moving mean of the accuracies taken off (**with a baseline**);
# - **reinforce**: the score function, with that baseline.
#
# Each climbs the validation accuracy after twelve epochs and is judged by the test accuracy after two hundred.

# %%
seeds = range(5 if recipe == "smoke" else 20)
perfect = [gl.perfect_weights.search(rule, seeds=seeds) for rule in gl.perfect_weights.RULES]
gl.plots.perfect_weights(perfect)

# %%
for runs in perfect:
    print(f"{runs.rule:20s} regret {runs.regret().mean():5.2f} ± {runs.regret().std():4.2f}   seed 0: {runs.genotypes[0]}")
print(f"DARTS-V1 with shared weights, as published: {gl.tabular('nasbench201').accuracy('|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|'):.2f} %, every edge a skip")

# %% [markdown]
# So the relaxation is not what fails. Whatever sees the slope of every candidate finds the best cell of all in every seed; the
# published DARTS, with the same softmax and *shared weights*, ends at the cell of skips. And GDAS' own rule pays for its cheapness:
# a drawn candidate's slope is the whole accuracy of the drawn cell, so whatever is drawn is reinforced, the more often drawn the
# more. Taking off a baseline mends most of it. Which temperature suits which rule? Each change below is ten new searches; another
# step size is `gl.perfect_weights.search("gdas", tau=(1, 0.1), learning_rate=0.05)`.

# %%
gl.PerfectWeightsExplorer("gdas")

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
# Little. The cells that cannot learn are bad in both worlds, and CIFAR-10's best cell is a very good one here; the reverse does not
# hold. A cheap stand-in (fewer epochs, smaller networks, easier data) is a **proxy**, and its rank correlation with the real thing is
# the first number to ask of it. Everything this course finds on the digits is a truth about the digits and this protocol.
#
# ## Exercise 8.1: the expected best of k
#
# 15 minutes · difficulty ●●●○○ · importance ●●●●○
#
# The search that sees only *validation* accuracy. Draw $k$ cells uniformly with replacement, keep the one with the highest
# validation accuracy (of equal ones each is as likely): what is the mean of its **test** accuracy?

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
# Let $F(v)$ be the share of cells with validation accuracy at most $v$: the best of $k$ draws is at most $v$ with probability
# $F(v)^k$, and a level has what $F^k$ gains there. Then
# `np.unique(valid, return_inverse=True, return_counts=True)` gives the levels, the level of each cell and how many cells a level
# has. `np.bincount(level, test)` sums test accuracy by level.
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
# The level of the winner is an order statistic of the *validation* accuracies. Given the level, the winner is any of its cells,
# so its test accuracy is the level's mean.
# </details>
#
# ## Exercise 8.2: a child with exactly one change
#
# 10 minutes · difficulty ●●○○○ · importance ●●●○○
#
# Write the mutation of regularised evolution. It has two traps, and both pass a quick look.

# %%
def mutate(parent, rng):
    """parent: a list of six operations. Returns a new list: one edge, each as likely, has *another* operation, each of the
    four others as likely."""
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
#     others = [op for op in NASBENCH201_OPS if op != parent[edge]]
#     child[edge] = others[rng.integers(4)]
#     return child
# ```
#
# Without `list(parent)` the child *is* the parent, and the whole population drifts while its stored scores stay. If the old
# operation may be drawn again, a fifth of the evaluations are wasted on cells already known. (AutoDL-Projects draws the *node*
# first and then one of its edges, so that 0 → 1 is changed three times as often as 0 → 3:
# `regularised_evolution(table, ..., mutation="node")`.)
# </details>
#
# ## What can go wrong
#
# - *`Table digits: expected a cell of the NAS-Bench-201 space`*: NASNet cells have no table. Nobody can train $10^{18}$ cells.
# - *My GDAS cell has rank 900, evolution's has rank 40.* Evolution has trained hundreds of networks for that, GDAS one supernet.
#   Compare at equal seconds, and mind that neither rank is certain.
# - *My own training of a cell gives another accuracy than the table.* Other seeds, or another protocol: size, split and epochs
#   are those printed at the top.
# - *Two different strings have exactly the same numbers.* They compute the same function, and were trained once.
#
# ## Recap
#
# - A table of all cells turns "found a good cell" into a rank and a regret, with the noise of the seeds as their unit.
# - The best of $k$ random cells is known exactly, $\sum_a a\,(F(a)^k - F(a^-)^k)$; a search has to be better than that at equal cost.
# - Operations have main effects, $m_{e,k}$, but a cell is more than their sum; early accuracy sorts out the bad cells, and is of
#   little help among the good ones.
#
# **Next**: `gl.tabular("digits").rank(search.genotype)` after any search of your own; `table.isomorphs`, `table.top(10)`; the searches
# with gradients in the other notebooks, seen against the curves above.
