# %% [markdown]
# # The three search spaces
#
# **Course**: [0 Quick start](00_quickstart.ipynb) · **1 Spaces** · [2 Gumbel](02_gumbel.ipynb) ·
# [3 GDAS](03_gdas.ipynb) · [4 DARTS](04_darts.ipynb) · [5 NASNet](05_nasnet.ipynb) · [6 Training](06_training.ipynb) ·
# [7 Recurrent cells](07_recurrent.ipynb) · [8 Landscape](08_landscape.ipynb) · [9 Failures](09_failures.ipynb) ·
# [10 Own pictures](10_own_pictures.ipynb) · [11 ImageNet](11_imagenet.ipynb) · [12 Reproduce](12_reproduce.ipynb) ·
# [Glossary](glossary.md)
#
# **You will see** what a cell is in each of three spaces, how many there are, and how to build one by hand.
#
# - Reading: 20 minutes, exercises 20 minutes. Computing: seconds on any computer. No network, no GPU.
# - You need to know how to build a network with PyTorch, and nothing about architecture search.
# - Papers: Dong & Yang, *NAS-Bench-201*, ICLR 2020; Zoph et al., CVPR 2018 (the NASNet space); Liu, Simonyan & Yang,
#   ICLR 2019 (DARTS: its version of that space, and the recurrent one).

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
# ## What a cell is
#
# Networks that people design repeat a block: one residual block, or one inception block, many times. Cell-based search
# does the same. The outer shape of the network is fixed; what is searched is the block, called a **cell**: a small
# graph whose **nodes** are feature maps and whose **edges** carry **operations**. A node is the sum of what arrives.
#
# A **search space** says which graphs and which operations are allowed. This kit has three.
#
# ## NAS-Bench-201: four nodes, six edges, five operations
#
# Node 0 is the cell's input, node 3 its output; every earlier node has an edge to every later one. Each edge carries
# one of

# %%
import gdas_lite as gl

space = gl.NASBench201()
print(*space.labels["cell"].candidates)
print("edges (from, to):", *space.labels["cell"].edges)
print(f"{5**6:,} cells")

# %% [markdown]
# These are few enough to train them all, and the benchmark's authors did so on CIFAR-10: the accuracy of each of the
# 15,625 cells is known. The builder shows it, and the cell's rank among all. Build a cell. *Which single change adds
# most parameters? Which edges can be `none` while the output still depends on the input?*

# %%
gl.CellBuilder()

# %% [markdown]
# <details><summary>Answer</summary>
#
# A 3×3 convolution in the place of an operation without weights. All edges can be `none` but those of one way from
# node 0 to node 3: 0→3 alone is enough, or 0→1 and 1→3, or 0→2 and 2→3, or 0→1, 1→2 and 2→3.
# </details>

# %% [markdown]
# A cell is written as a string: the operations into node 1, then node 2, then node 3, each with the node it comes from.

# %%
arch = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"
cell = gl.NASBench201Genotype.parse(arch)
cell

# %% [markdown]
# ## Exercise 1.1: read an architecture string
#
# 10 minutes · difficulty ●●○○○ · importance ●●○○○

# %%
def incoming(arch, node):
    """The edges into `node` (1, 2 or 3) of an architecture string, in its order: a list of (operation, source node)."""
    raise NotImplementedError("exercise 1.1")

# %%
from gdas_lite.lessons import check

print(check("1.1", incoming))

# %% [markdown]
# <details><summary>Hint</summary>
#
# `+` stands between nodes, `|` around edges, `~` between operation and node. `"|a|b|".strip("|")` is `"a|b"`.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def incoming(arch, node):
#     part = arch.split("+")[node - 1].strip("|")
#     return [(op, int(source)) for op, source in (entry.split("~") for entry in part.split("|"))]
# ```
#
# The library's parser also refuses strings that are no cell: a missing edge, an unknown operation, a source that comes
# later. It parses strings and never evaluates them.
# </details>

# %% [markdown]
# ## The network around the cell
#
# The network has a stem, three stages of $N$ equal cells with $C$, $2C$ and $4C$ channels, a residual block between
# stages that halves the image, and a classifier. Published: $C = 16$, $N = 5$.

# %%
for channels, cells_per_stage in ((16, 5), (4, 1)):
    network = gl.network(cell, channels, cells_per_stage)
    print(f"C = {channels:2}, N = {cells_per_stage}: {gl.cost_of(network, (3, 32, 32))}")

# %% [markdown]
# *Multiply-adds* are counted for one image of 32 × 32 pixels; many papers call them FLOPs.
#
# Different strings can be the same function: swap two branches that end in one sum, or put an operation on an edge that
# leads nowhere. The benchmark's authors count distinct cells in this way. (Notebook 08 counts more strictly and finds
# fewer functions: there a sum that a skip passes on is the same as its summands passed on one by one, and what stands
# behind a `none` leaves no trace.)

# %%
groups = {}
for one in gl.NASBench201Genotype.all():
    groups.setdefault(one.canonical_function(), []).append(one)
largest = max(groups.values(), key=len)
print(f"{len(groups):,} distinct functions; the largest group has {len(largest)} strings, among them")
print(largest[0], largest[-1], sep="\n")

# %% [markdown]
# Both are one 1×1 convolution from the input to the output. *What does the rest of the second string do?*
#
# <details><summary>Answer</summary>
#
# Nothing. Its other operations feed nodes that nothing reads: they are **dead**. Parameter counts that include them are
# too high.
# </details>

# %% [markdown]
# ## The NASNet space: two inputs, four nodes, two edges each
#
# A cell has two inputs, the outputs of the two cells before it. Each of its four nodes takes **two** of the maps before
# it (an input or an earlier node), each through one of seven operations; the four nodes side by side are the output. A
# network has two kinds of cell, **normal** and **reduction**, searched together. In edges and in genotypes the inputs
# have the numbers 0 and 1 and the nodes 2 to 5. The drawing calls the inputs $c_{k-2}$ (from the cell before the last)
# and $c_{k-1}$ (from the last one), and numbers the nodes from 0.

# %%
gl.zoo_genotype("GDAS_V1")

# %% [markdown]
# ## Exercise 1.2: how many cells
#
# 10 minutes · difficulty ●●●○○ · importance ●●●○○

# %%
import math

def count_cells(nodes, operations):
    """How many cells, an int. nodes: how many; node i = 0, 1, ... takes two different ones of i + 2 maps, each through
    one operation. operations: how many there are to choose from."""
    raise NotImplementedError("exercise 1.2")

# %%
print(check("1.2", count_cells))

# %% [markdown]
# <details><summary>Hint</summary>
#
# `math.comb(n, 2)` ways to take two of $n$; each of the two edges has an operation of its own. Multiply over the nodes.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def count_cells(nodes, operations):
#     return math.prod(math.comb(inputs, 2) * operations**2 for inputs in range(2, 2 + nodes))
# ```
#
# Both edges of a node go into a sum, so their order does not count: `comb`, not `perm`.
# </details>

# %%
from gdas_lite.lessons import use

cells = float(use("1.2", count_cells)(4, 7))        # squared below: more than 64 bits hold
print(f"{cells:.2e} cells of one kind, {cells**2:.2e} pairs of normal and reduction cell")

# %% [markdown]
# At a GPU day each, training them all would take one GPU some 200,000 times the age of the universe. A published search
# takes some twenty thousand steps.
#
# ## The recurrent space: eight steps, one predecessor each
#
# A recurrent cell reads a word and the state before it, and takes eight **steps**. Each step chooses *one* earlier
# state and one of four activations, $s_i = s_j + c_i \cdot (f(h_i) - s_j)$ with its own gate $c_i$; the new state is
# the mean of all eight.

# %%
gl.zoo_genotype("DARTS_V2@recurrent")

# %%
print(f"{math.prod(step * 4 for step in range(1, 9)):.2e} recurrent cells")

# %% [markdown]
# ## Cells that were found
#
# These cells were found by searches in the three spaces; each has its source, size and published results. Go through
# the list with the arrow keys; `gdas-lite zoo` prints it. *Which of the NASNet cells have nodes that only other nodes
# read? What are the cells that DARTS found on CIFAR-10 in the NAS-Bench-201 space?*

# %%
gl.ZooBrowser("AmoebaNet")

# %% [markdown]
# <details><summary>Answer</summary>
#
# AmoebaNet's two cells and NASNet's reduction cell. In all others every node is part of the output. (The cells that
# are older than DARTS have five nodes.)
#
# DARTS found skips on all six edges, `all_idnt` in the list: the whole cell only multiplies its input. Notebooks 04 and
# 09 ask why.
# </details>

# %% [markdown]
# ## Side by side
#
# | space | cell | chosen | number of answers | best one known? |
# |---|---|---|---|---|
# | NAS-Bench-201 | 4 nodes, 6 edges | an operation (of 5) for each edge | 15,625 | yes |
# | NASNet | 2 inputs, 4 nodes | two edges for each node, an operation (of 7) on each | about $10^{18}$ pairs | no |
# | recurrent | 8 steps | a predecessor and an activation (of 4) for each step | about $3 \cdot 10^9$ | no |
#
# Where the best cell is known, one can say how good a search *really* was. Where it is unknown, one can only compare
# trained networks, with their spread.
#
# ## What can go wrong
#
# - *`ValueError` from `parse`*: the message says which part it could not read. A string copied from a log may hold
#   spaces or line breaks.
# - *Two strings have one accuracy*: they may be the same function; ask `cell.canonical_function()`.
# - *My parameter count differs from the paper's*: CIFAR-100 has more classes; an auxiliary head counts in some tables
#   and not in others. `gl.cost_of` says what it counted.
#
# ## Recap
#
# - A cell is a small graph; a node sums what arrives; each edge carries an operation.
# - A space is finite: $5^6$ cells, or $10^{18}$ pairs. Alpha will be one number for each edge and operation.
# - A genotype is a value: a string, a drawing, a network.
#
# **Next**: `02_gumbel`, how a choice can have a gradient.
