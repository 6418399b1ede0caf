# %% [markdown]
# # GDAS, step by step
#
# **Course**: [0 Quick start](00_quickstart.ipynb) · [1 Spaces](01_spaces.ipynb) · [2 Gumbel](02_gumbel.ipynb) ·
# **3 GDAS** · [4 DARTS](04_darts.ipynb) · [5 NASNet](05_nasnet.ipynb) · [6 Training](06_training.ipynb) ·
# [7 Recurrent cells](07_recurrent.ipynb) · [8 Landscape](08_landscape.ipynb) · [9 Failures](09_failures.ipynb) ·
# [10 Own pictures](10_own_pictures.ipynb) · [11 ImageNet](11_imagenet.ipynb) · [12 Reproduce](12_reproduce.ipynb) ·
# [Glossary](glossary.md)
#
# **You will build** GDAS yourself, in eight pieces: temperature, gradient, derivation, draw, cell, weight step, alpha
# step, loop. Then your search and the library's run side by side, and after thirty epochs their alphas are the same
# numbers.
#
# - Reading: 30 minutes, exercises 90 minutes. Computing: about 2 minutes on two CPU cores. No network, no GPU.
# - You need `02_gumbel`: the draw, the temperature, the straight-through gradient.
# - Paper: Dong & Yang, *Searching for a Robust Neural Architecture in Four GPU Hours*, CVPR 2019, section 3 and
#   algorithm 1.

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
# ## Two sets of numbers, two halves of the data
#
# The supernet has **weights** $w$, and **alpha**, here 6 edges × 5 operations. They are learned on different data:
#
# $$\min_\alpha\ L_{\mathrm{valid}}(w^*, \alpha) \quad\text{where}\quad w^* = \arg\min_w L_{\mathrm{train}}(w, \alpha)$$
#
# If both were learned on the same images, the search would prefer the operations that memorise best. GDAS does not
# solve the inner problem. It alternates: one step on the weights, one step on alpha.

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
# Tau falls in a straight line from 10 in the first epoch to 0.1 in the last. (The paper prints 10 to 1. Its authors
# corrected that, and every script they published says 0.1.)
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
# (`max` is for a search of one epoch.) With `epochs` in the denominator tau would never reach 0.1. Off-by-one schedules
# are common and change results little, so they are rarely found.
# </details>

# %% [markdown]
# ## What alpha is told: variants P and N
#
# Only the drawn operation of an edge runs, so in the backward pass only the drawn entry of its row receives something:
#
# $$S_P = \frac{\partial L}{\partial h_{\mathrm{idx}}} = \langle G,\ o_{\mathrm{idx}}(x)\rangle, \qquad
# G = \frac{\partial L}{\partial(\text{edge output})},$$
#
# one number, summed over images, channels and pixels. This is the paper's rule, **variant P**. The authors' code for
# this space also adds the *scalars* $h_k$ of the operations that were not drawn. They are zero, so no value changes,
# but each of them receives the gradient $\langle G, 1\rangle$. This is **variant N**. The formula of exercise 2.2 turns
# either into
#
# $$\frac{\partial L}{\partial \alpha_m} = \frac{1}{\tau}\, p_{\mathrm{idx}}\, (\delta_{m,\mathrm{idx}} - p_m)\, S .$$
#
# For variant N, add a constant to all five entries of $\partial L/\partial h$: the softmax does not notice. So the four
# numbers $\langle G, 1\rangle$ can be made zero. What is then left at the drawn entry?
#
# ## Exercise 3.2: what the two variants tell alpha
#
# 15 minutes · difficulty ●●●●○ · importance ●●●○○

# %%
def both_variants(output, gradient):
    """S of variant P and S of variant N, two numbers. output: o_idx(x), gradient: G, both (B, C, H, W)."""
    raise NotImplementedError("exercise 3.2")

# %%
print(check("3.2", both_variants))

# %% [markdown]
# <details><summary>Hint</summary>
#
# $\langle a, b\rangle$ is the sum of all entries of `a * b`. $\langle G, o\rangle - \langle G, 1\rangle$ is one
# product.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def both_variants(output, gradient):
#     return (gradient * output).sum(), (gradient * (output - 1)).sum()
# ```
#
# Five equal numbers cancel in the softmax. Four entries with $\langle G, 1\rangle$ each are therefore the same as
# $-\langle G, 1\rangle$ at the fifth, the drawn one. Variant N is variant P with a baseline of ones.
# </details>

# %% [markdown]
# One consequence: if `none` is drawn, $o(x) = 0$. Then $S_P = 0$, and in variant P the row learns nothing; in variant N
# it learns from $-\langle G, 1\rangle$. Here you build variant P; `gl.GDAS(variant="P")` and `"N"` are the library's
# names. We know of no published comparison of the two.
#
# At the end of a search alpha is read as a choice.
#
# ## Exercise 3.3: from alpha to a cell
#
# 5 minutes · difficulty ●○○○○ · importance ●●●○○

# %%
def derive(alpha, candidates):
    """On each edge the operation that alpha prefers, none included. alpha (6, 5). Returns a list of six names."""
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

# %% [markdown]
# ## A draw for the whole cell
#
# The draw of `02_gumbel`, for six rows at once: the value is one-hot in each row, the gradient is that of the soft
# sample $p$.
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
# `F.one_hot(index, alpha.shape[1])` makes whole numbers; `.to(p)` gives them the type of `p`. The line with `detach` is
# in `02_gumbel`.
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
# With `p - p.detach()` in brackets the zeros are exact: an operation that was not drawn has weight 0, not 1e-9.
# </details>

# %%
from gdas_lite.lessons import use

tau_of, derive, one_hot_draw = use("3.1", tau_of), use("3.3", derive), use("3.4", one_hot_draw)

gumbel = -torch.empty(6, 5).exponential_(generator=torch.Generator().manual_seed(0)).log()
mixture = one_hot_draw(1e-3 * torch.randn(6, 5), gumbel, 10)
print(mixture)

# %% [markdown]
# ## The cell of the supernet
#
# A cell has four nodes: its input, and three sums. Node $i$ adds up, over the edges $(j, i)$, the edge's drawn
# operation applied to node $j$, times its entry of the draw. That entry is 1, but it carries the gradient to alpha.
# All nodes are maps of one shape, (B, C, H, W); gradients also go to `x` and into the operations.
#
# ## Exercise 3.5: the forward pass of a cell
#
# 15 minutes · difficulty ●●●○○ · importance ●●●●●

# %%
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))       # row e of the draw belongs to edge e, from node to node

def cell_output(x, weights, operations):
    """Node 3 of the cell. weights (6, 5), each row one-hot; operations[e][k]: a function of a node. Six of them run."""
    raise NotImplementedError("exercise 3.5")

# %%
print(check("3.5", cell_output))

# %% [markdown]
# <details><summary>Hint</summary>
#
# Begin with `nodes = [x, 0, 0, 0]` and go through `enumerate(EDGES)`: when edge $(j, i)$ is reached, node $j$ is
# complete.
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
# Running all thirty and multiplying by zeros and ones gives the same output at five times the cost. That is what DARTS
# pays.
# </details>

# %% [markdown]
# Does a cell of the library's supernet compute the same?

# %%
from gdas_lite.relaxation import gumbel_mixture

cell_output = use("3.5", cell_output)

def my_cell(cell, x, mixture):
    operations = [[torch.zeros_like, *row[1:]] for row in cell.edges]       # the library never calls `none`
    return cell_output(x, mixture, operations)

cell, maps = space.supernet(10, 1).stages[0][0], torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
drawn = gumbel_mixture(torch.zeros(6, 5), 1.0, torch.Generator().manual_seed(0))
print(f"largest difference: {(my_cell(cell, maps, drawn.weights) - cell(maps, drawn)).abs().max().item():.0e}")

# %% [markdown]
# ## The two steps
#
# First the weights, on a train batch. Here alpha is a constant, and the norm of all gradients together is clipped. One
# detail decides whether your search equals the published code: an operation that was *not* drawn has no gradient in
# this step, but its momentum carries it on, and it decays. `torch.optim.SGD` leaves out every parameter whose `grad` is
# `None`.
#
# ## Exercise 3.6: the weight step
#
# 15 minutes · difficulty ●●●○○ · importance ●●●●○

# %%
def weight_step(supernet, mixture, batch, sgd, limit):
    """One step of `sgd` on the supernet's weights; moves nothing else. Returns the loss before the step, a float.

    mixture: a draw, with a gradient to alpha that is not wanted here. batch: images and labels. limit: of the norm.
    supernet(x, {"cell": mixture}) gives logits, supernet.parameters() the weights.
    """
    raise NotImplementedError("exercise 3.6")

# %%
print(check("3.6", weight_step))

# %% [markdown]
# <details><summary>Hint</summary>
#
# Zero the gradients; cross entropy; backward; `torch.nn.utils.clip_grad_norm_`; step. `zero_grad` has an argument that
# says whether gradients become `None` or zeros.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def weight_step(supernet, mixture, batch, sgd, limit):
#     x, y = batch
#     sgd.zero_grad(set_to_none=False)  # zeros, so that what was not drawn keeps its momentum and its decay
#     loss = F.cross_entropy(supernet(x, {"cell": mixture.detach()}), y)
#     loss.backward()
#     torch.nn.utils.clip_grad_norm_(supernet.parameters(), limit)
#     sgd.step()
#     return loss.item()
# ```
#
# Without `detach` the backward pass would also compute alpha's gradient, and leave it in `alpha.grad`.
# </details>

# %% [markdown]
# Then alpha, with a *new* draw, on a valid batch. Here the weights are constants.
#
# ## Exercise 3.7: the alpha step
#
# 10 minutes · difficulty ●●○○○ · importance ●●●●○

# %%
def alpha_step(supernet, mixture, batch, alpha, adam):
    """One step of `adam` on alpha; moves nothing else. mixture: a draw from alpha. Returns the loss, a float."""
    raise NotImplementedError("exercise 3.7")

# %%
print(check("3.7", alpha_step))

# %% [markdown]
# <details><summary>Hint</summary>
#
# Adam reads `alpha.grad`. `torch.autograd.grad(loss, alpha)` computes one gradient and adds it to nothing.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def alpha_step(supernet, mixture, batch, alpha, adam):
#     x, y = batch
#     loss = F.cross_entropy(supernet(x, {"cell": mixture}), y)
#     alpha.grad, = torch.autograd.grad(loss, alpha)  # of alpha alone: nothing is added to the weights' gradients
#     adam.step()
#     return loss.item()
# ```
#
# `loss.backward()` works too if `alpha.grad` is cleared first. It computes the gradients of all weights for nothing and
# leaves them there: weights that no weight step has drawn yet begin to decay, so alpha in your search below soon differs
# from the library's. Nor may all of them be emptied (`supernet.zero_grad()` makes them `None`): in the next weight step,
# what is not drawn would then stand still.
# </details>

# %% [markdown]
# ## The loop
#
# What is left is to take turns, and to keep alpha after each epoch: the search's **history**.
#
# ## Exercise 3.8: the search
#
# 15 minutes · difficulty ●●●○○ · importance ●●●●●

# %%
def search(alpha, epochs, pairs, draw, weight_step, alpha_step):
    """In each step the weights first, then alpha, each with a draw of its own. Returns the alphas, one for each epoch.

    pairs(epoch): the (train batch, valid batch) of its steps. draw(alpha, epoch): a draw at the epoch's temperature.
    weight_step(mixture, batch), alpha_step(mixture, batch): what you wrote; alpha_step moves alpha in place.
    """
    raise NotImplementedError("exercise 3.8")

# %%
print(check("3.8", search))

# %% [markdown]
# <details><summary>Hint</summary>
#
# Two loops. What does `history.append(alpha)` hold when Adam has moved `alpha` once more?
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def search(alpha, epochs, pairs, draw, weight_step, alpha_step):
#     history = []
#     for epoch in range(epochs):
#         for train, valid in pairs(epoch):
#             weight_step(draw(alpha, epoch), train)
#             alpha_step(draw(alpha, epoch), valid)
#         history.append(alpha.detach().clone())
#     return history
# ```
#
# Without `clone` all entries are one tensor, and the whole history shows the last epoch.
# </details>

# %% [markdown]
# ## Your search and the library's
#
# Now they run. To compare them we take the start, the batches and the random numbers of a library search with the same
# seed, and put `my_cell` in the place of the library's cell. Both compute in float64 here: a draw is a threshold, so in
# float32 two sums taken in another order become two different searches within a few epochs.

# %%
import copy
import math

from gdas_lite.runs.resumable import generator_for

weight_step, alpha_step, search = use("3.6", weight_step), use("3.7", alpha_step), use("3.8", search)

def start(seed):
    """A library search before its first step; a copy of its supernet and its alpha for you. All in float64."""
    library = gl.Search(space, data, gl.GDAS(variant="P"), recipe=settings, seed=seed, device="cpu", engine="plain")
    library.state.supernet.double().register_forward_pre_hook(lambda net, inputs: (inputs[0].double(), *inputs[1:]))
    library.state.alphas["cell"].data = library.state.alphas["cell"].data.double()
    alpha = library.state.alphas["cell"].detach().clone().requires_grad_()
    return library, copy.deepcopy(library.state.supernet), alpha

# %%
torch.set_num_threads(1)
library, supernet, alpha = start(seed=0)
supernet.run_cell = my_cell
sgd = torch.optim.SGD(supernet.parameters(), settings.learning_rate, settings.momentum, nesterov=settings.nesterov,
                      weight_decay=settings.weight_decay)
adam = torch.optim.Adam([alpha], settings.alpha_learning_rate, settings.alpha_betas,
                        weight_decay=settings.alpha_weight_decay)
chance = [generator_for(0, epoch, "sampling") for epoch in range(settings.epochs)]

def pairs(epoch):
    """The batches of an epoch. The learning rate falls along half a cosine."""
    share = 0.5 * (1 + math.cos(math.pi * epoch / settings.epochs))
    first, last = settings.learning_rate, settings.learning_rate_end
    sgd.param_groups[0]["lr"] = last + (first - last) * share
    return [(pair.train, pair.valid) for pair in library.task.pairs(0, epoch)]

def draw(alpha, epoch):
    gumbel = -torch.empty_like(alpha).exponential_(generator=chance[epoch]).log()
    return one_hot_draw(alpha.log_softmax(-1), gumbel, tau_of(epoch, settings.epochs))     # the same draw as from alpha

# %%
history = search(alpha, settings.epochs, pairs, draw,
                 lambda mixture, batch: weight_step(supernet, mixture, batch, sgd, settings.grad_clip_norm),
                 lambda mixture, batch: alpha_step(supernet, mixture, batch, alpha, adam))
for record in library:
    mine, theirs = history[record.epoch], torch.from_numpy(record.alphas["cell"])
    if record.epoch % 5 == 4 or record.epoch < 2:
        print(f"epoch {record.epoch:2}: alpha between {mine.min():+.3f} and {mine.max():+.3f}; "
              f"yours and the library's differ by up to {(mine - theirs).abs().max():.0e}")
print(*derive(history[-1], gl.NASBench201.labels["cell"].candidates))
print(library.genotype)

# %% [markdown]
# Some thirty lines, and they are GDAS. What the library adds is speed, checks, other spaces, records and resuming.
#
# ## What a step computes
#
# *Before you run it: which share of the supernet's weights has a gradient in one weight step?*

# %%
in_cells = [p for name, p in supernet.named_parameters() if "edges" in name]
(x, y), _ = pairs(0)[0]
shares, generator = [], torch.Generator().manual_seed(4)
for _ in range(40):
    supernet.zero_grad()                            # to None: what does not run gets no gradient at all
    weights = gumbel_mixture(torch.zeros(6, 5, dtype=torch.float64), 1.0, generator).weights
    F.cross_entropy(supernet(x, {"cell": weights}), y).backward()
    shares.append(sum(p.numel() for p in in_cells if p.grad is not None) / sum(p.numel() for p in in_cells))
print(f"{sum(p.numel() for p in in_cells):,} weights in cells; {100 * sum(shares) / len(shares):.0f} % had a gradient, "
      f"on average over {len(shares)} draws, between {100 * min(shares):.0f} and {100 * max(shares):.0f} %")

# %% [markdown]
# <details><summary>Answer</summary>
#
# At most one operation in five runs on each edge, so the average is near a fifth of the weights, or below: what no path
# leads to the output of has no gradient either. A single draw can hold six convolutions or none.
# </details>

# %% [markdown]
# ## A whole search
#
# Thirty short epochs on digits are enough to compare two programs, and too few to find a cell. From here on the library
# searches, in float32 and with the compiled loops where they are installed, on the quick start's pictures: CIFAR-10 at
# 8 × 8 pixels. The rule is the one that you have built. To work at this size its settings are not all the published
# ones: above all, the weights train alone for the first half of the epochs, `none` is no candidate, and tau falls from
# 1 to 0.5. Notebook 09 takes each back and shows what becomes of the search.
#
# *Before you run it: at the end, how large will the largest probability of an edge be? Between 0.25, where it starts,
# and 1.*

# %%
thumbnails = gl.load_data("thumbnails")
without_none = gl.NASBench201(channels=4, cells_per_stage=1, exclude=("none",))
gdas, size = gl.GDAS(tau=(1.0, 0.5), variant="P"), {"lesson": "laptop"}.get(recipe, recipe)
search = gl.Search(without_none, thumbnails, gdas, recipe=size, seed=4)
for record in gl.watch(search):
    pass

# %% [markdown]
# <details><summary>Answer</summary>
#
# The panels show it: far below 1. This is the rule and not a failure: the published cell GDAS_V1 comes from
# probabilities of 0.127 to 0.131, where uniform is 0.125 (notebook 05). **Ranking, not height, decides.**
# </details>

# %% [markdown]
# Now go through its epochs. *In which epoch does the cell become the one that is returned? How close were the
# runners-up?* Below the cell stands how good it is: NAS-Bench-201 trained all 15,625 cells at full size on CIFAR-10,
# and `gl.tabular("nasbench201")` knows their accuracies and ranks (notebook 08). The search knows nothing of it.

# %%
table = gl.tabular("nasbench201")
gl.AlphaPlayer(search.history, table)

# %%
gl.plots.search_overview(search.history)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Step back from the last epoch in the player until an edge changes. Most edges have had the same leader for many
# epochs, but the runner-up is near: the title of the panels has the median lead. Ask of each edge whether one more
# epoch could have changed it.
# </details>

# %% [markdown]
# The top row of the last figure has the search's own numbers. Losses are in **nats** (natural logarithms: guessing
# among ten classes costs $\ln 10 \approx 2.30$). The **entropy** says how undecided an edge is: $\ln 4 \approx 1.39$ if
# all four operations are equally probable, 0 if one has everything; grey lines are edges, the thick one is their mean.
#
# If ranking decides, ask how stable it is: in other epochs, with other seeds. Here are three more seeds, and the
# **regret** of the cell that each search would have returned after each epoch: how many points it lies below the best
# cell of the space. The dotted lines are random cells, on average, and two fixed ones: a lone skip from input to
# output, which is *no cell at all*, and that of the ResNet, which people found.

# %%
import numpy as np
from gdas_lite.lessons.laptop import fixed_rows
from gdas_lite.visual.tables import regret_over_epochs

more = (5, 6, 7) if recipe == "lesson" else (5,)
searches = [search, *gl.searches(without_none, thumbnails, gdas, recipe=size, seeds=more).run().searches]
paths = np.stack([gl.landscape.regrets(table, [record.genotype for record in one.history]) for one in searches])
for one in searches:
    print(f"seed {one.seed}: {table.accuracy(one.genotype):.2f} %, rank {table.rank(one.genotype):6,}  {one.genotype}")
allowed = [cell for cell in gl.NASBench201Genotype.all() if "none" not in cell.ops]
dotted = {"a random cell": table.random_search_curve(1).regret[0],
          "the same, without none": gl.landscape.regrets(table, allowed).mean()}
dotted |= {name: table.regret(cell) for name, cell in fixed_rows().items()}
regret_over_epochs({"GDAS": paths}, dotted)

# %% [markdown]
# Thin lines are seeds, the thick one is their mean. While the weights train alone the cell is chance, and its regret
# anything: in the stored run one seed starts at a cell worse than *no cell* and two at better ones than they end with.
# Then alpha learns, and the lines come together below those of random cells. So small a search keeps away from most of
# the bad cells, though not always: of the twelve seeds that notebook 00 shows, these four among them, two end in the
# lower half of all cells. And it does not find the best. The published ones, full size and 250 epochs, come nearer
# (notebook 00 plays one of that size), on CIFAR-10; on other pictures their authors' later runs ended farther off
# (notebook 09).
#
# They do not all end at one cell (in the stored run two of four do), so one search says little about the algorithm.
# Single lines jump, so one *epoch* says little about a search.
#
# ## Drive it yourself
#
# `gl.Dashboard` runs a search in the background. The kernel stays free for other cells, and the buttons pause, resume
# and stop the search. Each takes effect when the current step is complete, so the result is bit for bit that of an
# undisturbed search. This cell starts one and pauses it after five epochs; press *resume*.

# %%
board = gl.Dashboard(gl.Search(without_none, thumbnails, gdas, recipe=size, seed=8), table)
board.start()
board.wait(epochs=5)        # this cell waits, the search goes on
board.pause()
board.wait()                # until the current step is complete
board

# %% [markdown]
# While it runs, execute this cell a few times and watch the cell change:

# %%
print(board)
print(f"rank {table.rank(board.genotype):,}: {board.genotype}")

# %% [markdown]
# ## Questions people ask
#
# **Where is one sub-graph sampled?** In the draw: `idx` for all edges, once for each forward pass. All cells of the
# network share it, and so do all images of the batch. (The paper speaks of a draw for each image; in the authors' code
# it is one for the batch.)
#
# **Is the forward pass hard or soft?** Hard. The value of the weights is exactly one-hot; only the gradient is soft.
#
# **Why `one_hot - p.detach() + p`?** To have the value of the one and the derivative of the other (notebook 02).
#
# **Why a `while` loop around the draw?** The noise is infinite if the uniform number rounds to 0 or 1. Then draw again.
#
# **Why is `-log` of an exponential draw Gumbel noise?** Because $-\log u$ of a uniform $u$ *is* an exponential draw.
#
# **Why add the scalars of operations that were not chosen?** Variant N above. The author's reason was to let the
# gradient reach every entry of a row. It does so anyway, through the softmax. What changes is the baseline.
#
# **Would `torch.multinomial` do?** For the draw, not for the gradient (notebook 02).
#
# **Weights first or alpha first? The same draw for both?** Here weights first and two draws. Both are options of the
# recipe: `gl.search_recipe("lesson", "nasbench201", "gdas", update_order="alpha_first")`, `redraw=False`.
#
# **Which epoch's cell is the result?** The last one's. Picking the epoch with the best valid accuracy is a second
# search.
#
# ## What can go wrong
#
# - *The accuracy during the search is poor.* It is that of shared weights under random draws. It ranks nothing; train
#   the derived network.
# - *Another seed gives another cell.* Yes. A search is an experiment; report several (the quick start does).
# - *alpha hardly moves.* The published rate of 3e-4 is made for many steps: `laptop` has some 3,800 alpha steps. The
#   `lesson` recipe, with some 300, has a larger one.
#
# ## Recap
#
# - A step: draw, move $w$ on a train batch; draw again, move alpha on a valid batch.
# - Only what is drawn is computed; alpha's row gets
#   $\frac{1}{\tau}\, p_{\mathrm{idx}} (\delta_{m,\mathrm{idx}} - p_m)\, S$.
# - The cell is the argmax of each row in the last epoch.
#
# **Next**: `04_darts` runs all operations at once, and pays for it.
