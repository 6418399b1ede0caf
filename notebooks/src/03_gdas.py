# %% [markdown]
# # GDAS, step by step
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/gdas-lite/blob/main/notebooks/03_gdas.ipynb)
#
# **You will see** the whole search in some thirty lines of PyTorch, shown equal to the library's, and alpha's path from
# uniform noise to a cell.
#
# - Reading: 30 minutes, exercises 50 minutes. Computing: about 2 minutes on two CPU cores. No network, no GPU.
# - You need `02_gumbel`: the draw, the temperature, the straight-through gradient.
# - Paper: Dong & Yang, *Searching for a Robust Neural Architecture in Four GPU Hours*, CVPR 2019, section 3 and algorithm 1.

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
# ## Two sets of numbers, two halves of the data
#
# The supernet has **weights** $w$, and **alpha**, here 6 edges × 5 operations. They are learned for different ends:
#
# $$\min_\alpha\ L_{\mathrm{valid}}(w^*, \alpha) \quad\text{where}\quad w^* = \arg\min_w L_{\mathrm{train}}(w, \alpha)$$
#
# If both were learned on the same images, the search would simply prefer the operations that memorise best. GDAS does not
# solve the inner problem; it takes turns, one step of each.

# %%
import torch
import torch.nn.functional as F

import gdas_lite as gl

data = gl.load_data("digits")
space = gl.NASBench201(channels=4, cells_per_stage=1)
settings = gl.search_recipe(recipe, "nasbench201", "gdas")
print(f"{len(data.train_half)} images for the weights, {len(data.valid_half)} for alpha; {settings.epochs} epochs")
print(f"weights: SGD, rate {settings.learning_rate}, clipped at {settings.grad_clip_norm}"
      f"; alpha: Adam, rate {settings.alpha_learning_rate}, betas {settings.alpha_betas}")

# %% [markdown]
# ## The temperature of an epoch
#
# Tau falls in a straight line from 10 in the first epoch to 0.1 in the last. (The paper prints 10 to 1; its authors corrected
# that, and every script they published says 0.1.)
#
# ## Exercise 3.1: the temperature of an epoch
#
# 5 minutes · difficulty ●○○○○ · importance ●●○○○

# %%
def tau_of(epoch, epochs):
    """10 in epoch 0, 0.1 in epoch epochs - 1, a straight line between. Returns a float."""
    raise NotImplementedError("exercise 3.1")

# %%
from gdas_lite.lessons import check

print(check("3.1", tau_of))

# %% [markdown]
# <details><summary>Hint</summary>
#
# The first and the last of $E$ epochs are $E - 1$ steps apart.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def tau_of(epoch, epochs):
#     return 10 - (10 - 0.1) * epoch / max(epochs - 1, 1)
# ```
#
# (`max` for the search of a single epoch.) With `epochs` in the denominator tau would never arrive; such off-by-one schedules are common and change results little,
# which is why nobody finds them.
# </details>
#
# ## A draw for the whole cell
#
# The draw of `02_gumbel`, for six rows at once: the value is one-hot in each row, the gradient that of the soft sample $p$.
#
# ## Exercise 3.4: a draw whose gradient is soft
#
# 10 minutes · difficulty ●●○○○ · importance ●●●●●

# %%
def one_hot_draw(alpha, gumbel, tau):
    """alpha, gumbel: (edges, operations). Returns a tensor of that shape: the value of the draw, the gradient of p."""
    raise NotImplementedError("exercise 3.4")

# %%
print(check("3.4", one_hot_draw))

# %% [markdown]
# <details><summary>Hint</summary>
#
# `F.one_hot(index, alpha.shape[1])` makes whole numbers; `.to(p)` makes them numbers like those of `p`. The line with `detach`
# stands in `02_gumbel`.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def one_hot_draw(alpha, gumbel, tau):
#     p = ((alpha + gumbel) / tau).softmax(-1)
#     one_hot = F.one_hot(p.argmax(-1), p.shape[-1]).to(p)
#     return one_hot + (p - p.detach())               # value: one-hot; gradient: that of p
# ```
#
# In this order, `p - p.detach()` first, the zeros are exact: an operation that was not drawn weighs nothing, not 1e-9.
# </details>
#
# A **mixture** is what the supernet is handed: `weights`, six rows by five, and `active`, which operations run on each edge: the
# drawn one. Your draw, if it is right, is the one that the search below makes.

# %%
from gdas_lite.lessons import use
from gdas_lite.relaxation import Mixture

tau_of, one_hot_draw = use("3.1", tau_of), use("3.4", one_hot_draw)

def draw(alpha, tau, generator):
    gumbel = -torch.empty(alpha.shape).exponential_(generator=generator).log()
    weights = one_hot_draw(alpha.log_softmax(-1), gumbel, tau)      # the same draw as from alpha, and rounded as the library does
    return {"cell": Mixture(weights, tuple((k,) for k in weights.argmax(-1).tolist()), is_hard=True, adds_unsampled=True)}

mixture = draw(1e-3 * torch.randn(6, 5), tau=10, generator=torch.Generator().manual_seed(0))["cell"]
print(mixture.weights)
print("runs:", mixture.active)

# %% [markdown]
# (`adds_unsampled` is the gradient's variant N, of which more below.)
#
# ## The cell of the supernet
#
# The four nodes of a cell are its input and three sums: node $i$ adds up, over the edges $(j, i)$, the drawn operation of that edge
# on node $j$, times its entry of the draw. The entry is 1, but it is what carries the gradient to alpha.
#
# ## Exercise 3.5: the forward pass of a cell
#
# 15 minutes · difficulty ●●●○○ · importance ●●●●●

# %%
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))       # row e of the draw belongs to edge e, from node to node

def cell_output(x, weights, operations):
    """Node 3 of the cell. weights (6, 5), each row one-hot; operations[e][k]: a function of a node. Runs six of them."""
    raise NotImplementedError("exercise 3.5")

# %%
print(check("3.5", cell_output))

# %% [markdown]
# <details><summary>Hint</summary>
#
# Begin with `nodes = [x, 0, 0, 0]` and go through `enumerate(EDGES)`: when edge $(j, i)$ is reached, node $j$ is complete.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def cell_output(x, weights, operations):
#     nodes = [x, 0, 0, 0]
#     for row, (source, node) in enumerate(EDGES):
#         k = int(weights[row].argmax())
#         nodes[node] = nodes[node] + weights[row, k] * operations[row][k](nodes[source])
#     return nodes[3]
# ```
#
# Running all thirty and multiplying by zeros and ones gives the same output at five times the price; that is DARTS' price.
# </details>
#
# Does a cell of the library's supernet compute the same?

# %%
cell = space.supernet(10, 1).stages[0][0]
operations = [[torch.zeros_like, *row[1:]] for row in cell.edges]       # the library never calls `none`; we do
drawn = draw(torch.zeros(6, 5), 1.0, torch.Generator().manual_seed(0))["cell"]
maps = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
by_hand, library = use("3.5", cell_output)(maps, drawn.weights, operations), cell(maps, drawn)
print(f"largest difference: {(by_hand - library).abs().max().item():.0e}")

# %% [markdown]
# ## One step
#
# First the weights, on a train batch; then a *new* draw, and alpha, on a valid batch. In the first, alpha is a constant; in
# the second the weights are.

# %%
def weight_step(x, y, alpha, tau, generator):
    sgd.zero_grad(set_to_none=False)                # what is not drawn keeps its decay and momentum, as in the authors' code
    F.cross_entropy(supernet(x, draw(alpha.detach(), tau, generator)), y).backward()
    torch.nn.utils.clip_grad_norm_(supernet.parameters(), settings.grad_clip_norm)
    sgd.step()

def alpha_step(x, y, alpha, tau, generator):
    loss = F.cross_entropy(supernet(x, draw(alpha, tau, generator)), y)
    alpha.grad, = torch.autograd.grad(loss, alpha)
    adam.step()
    return loss.item()

# %% [markdown]
# ## The search
#
# What is left is bookkeeping: rates and temperatures by epoch. To be able to compare, we take the start and the batches
# from a search of the library with the same seed, and one thread, as the library does for images this small: two threads add the
# same numbers up in another order, and after some steps the last digits of that are visible.

# %%
import copy
import math

from gdas_lite.runs.resumable import generator_for

def start(seed):
    """Supernet, alpha and their optimisers as the library's search with this seed begins."""
    library = gl.Search(space, data, gl.GDAS(), recipe=settings, seed=seed, device="cpu", engine="plain")
    supernet, alpha = copy.deepcopy(library.state.supernet), library.state.alphas["cell"].detach().clone().requires_grad_()
    sgd = torch.optim.SGD(supernet.parameters(), settings.learning_rate, settings.momentum, nesterov=settings.nesterov,
                          weight_decay=settings.weight_decay)
    adam = torch.optim.Adam([alpha], settings.alpha_learning_rate, settings.alpha_betas,
                            weight_decay=settings.alpha_weight_decay)
    return library, supernet, alpha, sgd, adam

# %%
torch.set_num_threads(1)
library, supernet, alpha, sgd, adam = start(seed=0)
epochs, by_hand = 3, [alpha.detach().clone()]
for epoch in range(min(epochs, settings.epochs)):
    cosine = 0.5 * (1 + math.cos(math.pi * epoch / settings.epochs))
    sgd.param_groups[0]["lr"] = (settings.learning_rate_end
                                 + (settings.learning_rate - settings.learning_rate_end) * cosine)
    tau, generator = tau_of(epoch, settings.epochs), generator_for(0, epoch, "sampling")
    losses = []
    for pair in library.task.pairs(0, epoch):
        weight_step(*pair.train, alpha, tau, generator)
        losses.append(alpha_step(*pair.valid, alpha, tau, generator))
    by_hand.append(alpha.detach().clone())
    print(f"epoch {epoch}: tau {tau:5.2f}, loss on the valid half {sum(losses) / len(losses):.3f}")

# %% [markdown]
# The same with the library:

# %%
for record in library:
    difference = (torch.from_numpy(record.alphas["cell"]) - by_hand[record.epoch + 1]).abs().max().item()
    moved = (by_hand[record.epoch + 1] - by_hand[0]).abs().max().item()
    print(f"epoch {record.epoch}: alpha moved by up to {moved:.4f}; by hand and library differ by up to {difference:.1e}")
    if record.epoch + 2 == len(by_hand):
        break

# %% [markdown]
# Those lines are the algorithm; what the library adds is speed, checks, other spaces, records and resuming.
#
# ## What a step computes
#
# Of the supernet's operations a step runs one on each edge: on average a fifth of the weights. Count those that had a gradient in one
# weight step; this draw holds more convolutions than most.

# %%
sgd.zero_grad()                                     # to None: what does not run gets no gradient at all
mixtures = draw(alpha.detach(), 1.0, torch.Generator().manual_seed(4))
pair = next(library.task.pairs(0, 0))
F.cross_entropy(supernet(pair.train[0], mixtures), pair.train[1]).backward()
in_cells = [(name, p) for name, p in supernet.named_parameters() if "edges" in name]
touched = sum(p.numel() for _, p in in_cells if p.grad is not None)
print("drawn:", [gl.NASBench201.labels["cell"].candidates[k] for k, in mixtures["cell"].active])
print(f"{touched:,} of {sum(p.numel() for _, p in in_cells):,} weights in the cells had a gradient")

# %% [markdown]
# ## What alpha is told: variants P and N
#
# In the backward pass the drawn entry of an edge's row receives
#
# $$\frac{\partial L}{\partial h_{\mathrm{idx}}} = \langle G,\ o_{\mathrm{idx}}(x)\rangle, \qquad
# G = \frac{\partial L}{\partial(\text{edge output})},$$
#
# one number, summed over images, channels and pixels. That is the paper's rule, **variant P**. The authors' code for this
# space also adds the *scalars* $h_k$ of all operations that were not drawn. They are zero, so no value changes, but each
# receives the gradient $\langle G, 1\rangle$: **variant N**. Put into the formula of exercise 2.2, where
# $p_{\mathrm{idx}}$ and tau are those of the draw, both give
#
# $$\frac{\partial L}{\partial \alpha_m} = \frac{1}{\tau}\, p_{\mathrm{idx}}\, (\delta_{m,\mathrm{idx}} - p_m)\, S .$$
#
# ## Exercise 3.2: what the two variants tell alpha
#
# 15 minutes · difficulty ●●●●○ · importance ●●●○○

# %%
def both_variants(output, gradient):
    """S of variant P and S of variant N, two numbers. output = op(x), gradient = G: (B, C, H, W)."""
    raise NotImplementedError("exercise 3.2")

# %%
print(check("3.2", both_variants))

# %% [markdown]
# <details><summary>Hint</summary>
#
# $\langle a, b\rangle$ is the sum of all entries of `a * b`. $\langle G, o\rangle - \langle G, 1\rangle$ is one product.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def both_variants(output, gradient):
#     return (gradient * output).sum(), (gradient * (output - 1)).sum()
# ```
#
# The other four entries each get $\langle G, 1\rangle$; five equal numbers would cancel in the softmax, so this is the same as
# taking $\langle G, 1\rangle$ from the drawn one. Variant N is variant P with a baseline of ones.
# </details>
#
# One consequence can be seen without computing: if `none` is drawn, $o(x) = 0$. Then $S_P = 0$ and the row learns nothing in
# variant P; in variant N it learns from $-\langle G, 1\rangle$. Both are a word away: `gl.GDAS(variant="P")`. Nobody has
# published a comparison.
#
# ## A whole search
#
# *Before you run it: after thirty epochs, how large will the largest probability of an edge be? Between 0.2, where it
# starts, and 1.*

# %%
search = gl.Search(space, data, gl.GDAS(), recipe=recipe, seed=0)
for record in gl.watch(search):
    pass

# %% [markdown]
# Now go through its epochs. *In which epoch does the cell become the one that is returned? How close were the runners-up?* Below the
# cell stands how good it is: all 15,625 cells were trained on the digits beforehand, and `gl.tabular("digits")` knows their accuracies
# and ranks (notebook 08).

# %%
table = gl.tabular("digits")
gl.AlphaPlayer(search.history, table)

# %%
gl.plots.search_overview(search.history)

# %% [markdown]
# Two things stand in this figure. Which operations lead: on most edges `none` or a pooling, and the cell that is returned hardly
# computes anything. On these digits such cells train well (notebook 08), so the search is not blind; whether that is a success is
# what notebook 09 asks. And how high: probabilities near 1/5 are the rule, not a failure: published GDAS cells for the NASNet space come from probabilities of 0.127
# to 0.131, where uniform is 0.125. **Ranking, not height, decides.** So ask how stable the ranking is: other epochs, other
# seeds. Here are seven more seeds, stacked in one process, and the **regret** of the cell that each search would have returned
# after each epoch: how many points it lies below the best cell of the space.

# %%
import numpy as np
from gdas_lite.visual.tables import regret_over_epochs

more = range(1, 8) if recipe == "lesson" else (1, 2)
searches = [search, *gl.searches(space, data, gl.GDAS(), recipe=recipe, seeds=more).run().searches]
paths = np.stack([gl.landscape.regrets(table, [record.genotype for record in one.history]) for one in searches])
for one in searches:
    print(f"seed {one.seed}: rank {table.rank(one.genotype):6,} of {len(table):,}  {one.genotype}")
middle = np.median(table.values(table.default_column))
regret_over_epochs({"GDAS": paths}, {"the median cell": table.accuracy(table.best()) - middle})

# %% [markdown]
# If the lines of the seeds lie far apart, one search says little about the algorithm; if a line jumps, one *epoch* says little about
# the search.
#
# ## Exercise 3.3: from alpha to a cell
#
# 5 minutes · difficulty ●○○○○ · importance ●●●○○

# %%
def derive(alpha, candidates):
    """On each edge the operation with the largest alpha, none included. alpha (6, 5). Returns a list of six names."""
    raise NotImplementedError("exercise 3.3")

# %%
print(check("3.3", derive))

# %% [markdown]
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def derive(alpha, candidates):
#     return [candidates[k] for k in alpha.argmax(-1).tolist()]
# ```
#
# `none` takes part here. In the NASNet space it does not, and that space has a rule of its own (notebook 05).
# </details>
#
# On the alpha of the last epoch of the search above:

# %%
last = torch.from_numpy(search.history[-1].alphas["cell"])
print(*use("3.3", derive)(last, gl.NASBench201.labels["cell"].candidates))
print(search.genotype)

# %% [markdown]
#
# ## Drive it yourself
#
# `gl.Dashboard` runs a search in the background: the kernel stays free for other cells, and the buttons pause it, go on with it
# and stop it. Each takes effect when the step at hand is whole, so the result is bit for bit that of a search which nobody
# touched. This cell starts one and pauses it after five epochs; press *resume*.

# %%
board = gl.Dashboard(gl.Search(space, data, gl.GDAS(), recipe=recipe, seed=3), table)
board.start()
board.wait(epochs=5)        # this cell waits, the search goes on
board.pause()
board.wait()                # until the step at hand is whole
board

# %% [markdown]
# *While it runs, execute this cell a few times. When did the cell change last?*

# %%
print(board)
print(f"rank {table.rank(board.genotype):,}: {board.genotype}")

# %% [markdown]
# ## The questions people ask
#
# **Where is one sub-graph sampled?** In the draw: `idx` for all edges, once a forward pass. All cells of the network share it,
# and so do all images of the batch. (The paper speaks of a draw for each image; no published code does that.)
#
# **Is the forward pass hard or soft?** Hard. The value of the weights is exactly one-hot; only the gradient is soft.
#
# **Why `one_hot - p.detach() + p`?** To have the value of the one and the derivative of the other (notebook 02).
#
# **Why a `while` loop around the draw?** The noise is infinite if the uniform number rounds to 0 or 1. Then draw again.
#
# **Why is `-log` of an exponential draw Gumbel noise?** Because $-\log u$ of a uniform $u$ *is* an exponential draw.
#
# **Why add the scalars of operations that were not chosen?** Variant N above. The author's reason was to let gradient reach
# every entry of a row; it does so anyway, through the softmax. What it changes is the baseline.
#
# **Would `torch.multinomial` do?** For the draw, not for the gradient (notebook 02).
#
# **Weights first or alpha first? The same draw for both?** Here weights first and two draws. Both are options of the recipe:
# `gl.search_recipe("lesson", "nasbench201", "gdas", update_order="alpha_first")`, `redraw=False`.
#
# **Which epoch's cell is the result?** The last one's. Picking the epoch with the best valid accuracy is a second search.
#
# ## What can go wrong
#
# - *The accuracy during the search is poor.* It is that of shared weights under random draws. It ranks nothing; train the
#   derived network.
# - *Another seed gives another cell.* Yes. A search is an experiment; report several (the quick start does).
# - *alpha hardly moves.* The published rate of 3e-4 is made for 250 epochs of 391 steps; thirty epochs of eleven steps need
#   more. The `lesson` recipe has it.
#
# ## Recap
#
# - A step: draw, move $w$ on a train batch; draw again, move alpha on a valid batch.
# - Only what is drawn is computed; alpha's row gets $\frac{1}{\tau}\, p_{\mathrm{idx}} (\delta_{m,\mathrm{idx}} - p_m)\, S$.
# - The cell is the argmax of each row in the last epoch.
#
# **Next**: `04_darts` runs all operations at once, and pays for it.
