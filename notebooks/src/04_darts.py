# %% [markdown]
# # DARTS, first and second order
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/gdas-lite/blob/main/notebooks/04_darts.ipynb)
#
# **You will see** what it costs to run every operation at once, what the second order adds and how a famous bug lost it, and
# how often a search ends at `skip_connect`.
#
# - Reading: 30 minutes, exercises 25 minutes. Computing: about 4 minutes on two CPU cores. No network, no GPU.
# - You need `03_gdas`: supernet, alpha, the two halves of the data.
# - Paper: Liu, Simonyan & Yang, *DARTS: Differentiable Architecture Search*, ICLR 2019.

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
# ## No draw: a mixture of everything
#
# DARTS makes the choice continuous in another way than GDAS. An edge computes *all* operations and adds them up, weighted by
# softmax(alpha) (DARTS paper, equation 2):
#
# $$\bar o(x) = \sum_k \mathrm{softmax}(\alpha)_k\; o_k(x)$$
#
# ## Exercise 4.1: the mixed operation
#
# 5 minutes · difficulty ●○○○○ · importance ●●●●○

# %%
def mixed_output(alpha, outputs):
    """The output of one edge. alpha (K,); outputs (K, n), one row an operation's output. Returns (n,)."""
    raise NotImplementedError("exercise 4.1")

# %%
from gdas_lite.lessons import check

print(check("4.1", mixed_output))

# %% [markdown]
# <details><summary>Hint</summary>
#
# `alpha.softmax(-1)[:, None]` stands upright and multiplies row by row.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def mixed_output(alpha, outputs):
#     return (alpha.softmax(-1)[:, None] * outputs).sum(0)
# ```
#
# Published code has gone wrong here: without the softmax, alphas grow without bound and their signs decide.
# </details>
#
# ## What it costs
#
# A gradient step must keep the operations' maps for the backward pass. Count the bytes that one alpha step keeps, and time
# it, with the same supernet under both algorithms. *Before you run it: how many times as much will DARTS keep? GDAS runs one
# of five operations, of which two (`none`, `skip_connect`) need no map.*

# %%
import time

import torch
import torch.nn.functional as F

import gdas_lite as gl
from gdas_lite.relaxation import gumbel_mixture, soft_mixture

data = gl.load_data("digits")
space = gl.NASBench201(channels=16, cells_per_stage=3)
torch.manual_seed(0)
supernet, alpha = space.supernet(10, 1), torch.zeros(6, 5, requires_grad=True)
x, y = torch.randn(64, 1, 8, 8), torch.randint(10, (64,))

def measure(mixture):
    kept = {}
    def pack(tensor):
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor
    started = time.perf_counter()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = F.cross_entropy(supernet(x, {"cell": mixture}), y)
    loss.backward()
    return sum(kept.values()) / 2**20, time.perf_counter() - started

# %%
import statistics

generator, rounds = torch.Generator().manual_seed(0), {"lesson": 15}.get(recipe, 3)
kept, seconds = {"GDAS": [], "DARTS": []}, {"GDAS": [], "DARTS": []}
for _ in range(rounds):
    for name, mixture in (("GDAS", gumbel_mixture(alpha, 1.0, generator)), ("DARTS", soft_mixture(alpha))):
        mib, duration = measure(mixture)
        kept[name].append(mib)
        seconds[name].append(duration)
for name in kept:
    print(f"{name:6} keeps {statistics.mean(kept[name]):5.1f} MiB, takes {1000 * statistics.median(seconds[name]):4.0f} ms")
print(f"DARTS / GDAS: {statistics.mean(kept['DARTS']) / statistics.mean(kept['GDAS']):.1f} times the memory, "
      f"{statistics.median(seconds['DARTS']) / statistics.median(seconds['GDAS']):.1f} times the time")

# %% [markdown]
# In return DARTS hears of all operations at every step, without the noise of a draw.
#
# ## Second order: look one step ahead
#
# Alpha should be good for the weights that come *after* training with it, $w^*(\alpha)$, not for the weights of now. DARTS
# replaces $w^*$ by one step of training, the **virtual step** (DARTS paper, equation 6):
#
# $$\nabla_\alpha L_{\mathrm{valid}}(w', \alpha), \qquad w' = w - \xi\,\nabla_w L_{\mathrm{train}}(w, \alpha).$$
#
# $w'$ depends on alpha, so the chain rule gives a second term (equation 7):
#
# $$\nabla_\alpha L_{\mathrm{valid}}(w', \alpha)\ -\ \xi\,\nabla^2_{\alpha, w} L_{\mathrm{train}}(w, \alpha)\,
# \nabla_{w'} L_{\mathrm{valid}}(w', \alpha).$$
#
# $\xi = 0$ leaves the second term out: that is **first order**.
#
# The paper's toy has one weight and one alpha: $L_{\mathrm{valid}} = \alpha w - 2\alpha + 1$,
# $L_{\mathrm{train}} = w^2 - 2\alpha w + \alpha^2$. The inner problem is solved by $w = \alpha$, and then
# $L_{\mathrm{valid}} = (\alpha - 1)^2$: the answer is $\alpha = w = 1$. *Before you run it: where will first order end?*

# %%
from gdas_lite.lessons.estimators import toy_gradient, toy_paths

print("at alpha = 2, w = -2: first order", toy_gradient(2, -2, 0), " second order, xi = 0.1:", round(toy_gradient(2, -2, 0.1), 2))
toy_paths((0, 0.1, 0.3, 0.5))

# %% [markdown]
# First order stops where $\partial L_{\mathrm{valid}}/\partial\alpha = w - 2 = 0$: it believes that $w$ will stay where it is.
#
# ## Exercise 4.2: the virtual step
#
# 10 minutes · difficulty ●●○○○ · importance ●●○○○
#
# In a real search the weights move by SGD with momentum and weight decay. The virtual step imitates that (without Nesterov):

# %%
def virtual_weights(weights, gradient, velocity, rate, momentum, decay):
    """The weights after one step as `torch.optim.SGD` takes it. Three tensors of one shape, three floats."""
    raise NotImplementedError("exercise 4.2")

# %%
print(check("4.2", virtual_weights))

# %% [markdown]
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def virtual_weights(weights, gradient, velocity, rate, momentum, decay):
#     return weights - rate * (momentum * velocity + gradient + decay * weights)
# ```
#
# The velocity of a running search is ten times a gradient (momentum 0.9); a virtual step without it looks elsewhere.
# </details>
#
# ## The product without the Hessian
#
# $\nabla^2_{\alpha,w} L\, u$ is a matrix times a vector, and the matrix is never needed. It is the derivative of
# $\nabla_\alpha L$ in the direction $u$; two values of $\nabla_\alpha L$ give it (equation 8):
#
# $$\frac{\nabla_\alpha L(w + \epsilon u) - \nabla_\alpha L(w - \epsilon u)}{2\epsilon}, \qquad \epsilon = 0.01 / \lVert u\rVert .$$
#
# ## Exercise 4.3: find the bug
#
# 10 minutes · difficulty ●●○○○ · importance ●●●●●
#
# These lines stood in copies of the code by others, not in the authors'; searches with them ran, and for a long time nobody who used
# them saw that the second order had gone. Below they run on a function whose derivative along $u$ is known. Find what is wrong and
# write it right.

# %%
def as_published(alpha_gradient, weights, direction):
    eps = 0.01 / direction.norm()
    positive = alpha_gradient(weights + eps * direction)
    negative = alpha_gradient(weights - eps * direction)
    return (positive - negative) / 2.0 * eps

def cubes(w):                       # in the place of the gradient towards alpha; its derivative along u is 3 w² u
    return w**3

point, along = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 1.0])
print("exact       ", (3 * point**2 * along).tolist())
print("as published", as_published(cubes, point, along).tolist())

# %%
def finite_difference(alpha_gradient, weights, direction):
    """d/deps of alpha_gradient(weights + eps direction) at 0. alpha_gradient: weights -> (K,). Returns (K,)."""
    raise NotImplementedError("exercise 4.3")

# %%
print(check("4.3", finite_difference))

# %% [markdown]
# <details><summary>Hint</summary>
#
# What does Python do first in `a / 2. * eps`?
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def finite_difference(alpha_gradient, weights, direction):
#     eps = 0.01 / direction.norm()
#     positive = alpha_gradient(weights + eps * direction)
#     negative = alpha_gradient(weights - eps * direction)
#     return (positive - negative) / (2 * eps)
# ```
#
# From left to right: `(a / 2.) * eps`. The product comes out 1/eps² times too small, some ten thousand times and more, and "second
# order" is first order at four times the price. Only a comparison with the exact product shows it.
# </details>
#
# The check knows the mistake:

# %%
print(check("4.3", as_published))

# %% [markdown]
# Here is the comparison on a network: the exact product by differentiating twice, the finite difference at several $\epsilon$. The network
# is one edge with four smooth operations and a classifier, on the digits.

# %%
from gdas_lite.lessons.estimators import difference_errors

OPERATIONS = (torch.tanh, torch.sigmoid, torch.sin, lambda x: x)
pixels, digit = data.train_half.images[:200].flatten(1) / 255, data.train_half.labels[:200]
generator = torch.Generator().manual_seed(0)
w = [0.3 * torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((4, 64, 12), (12, 10))]
u = [torch.randn(part.shape, generator=generator, dtype=torch.float64) for part in w]
length = torch.sqrt(sum((part**2).sum() for part in u)).item()

def gradient_at(shift, kind="float64", graph=False):
    """Gradient of the loss towards alpha, (4,), at w + shift * u."""
    dtype = getattr(torch, kind)
    alpha = torch.zeros(4, dtype=dtype, requires_grad=True)
    inner, outer = (part.to(dtype) + shift * direction.to(dtype) for part, direction in zip(w, u))
    branches = torch.stack([o(pixels.to(dtype) @ inner[k]) for k, o in enumerate(OPERATIONS)])
    mixed = (alpha.softmax(-1)[:, None, None] * branches).sum(0)
    gradient, = torch.autograd.grad(F.cross_entropy(mixed @ outer, digit), alpha, create_graph=graph)
    return gradient

# %%
shift = torch.zeros((), dtype=torch.float64, requires_grad=True)
exact = torch.stack([torch.autograd.grad(entry, shift, retain_graph=True)[0] for entry in gradient_at(shift, graph=True)])

def error_at(radius, kind):
    eps = radius / length
    product = (gradient_at(eps, kind) - gradient_at(-eps, kind)) / (2 * eps)
    return ((product.double() - exact).norm() / exact.norm()).item()

radii = {"lesson": (10, 3, 1, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4, 1e-5)}.get(recipe, (1, 0.1, 0.01))
difference_errors(error_at, radii)

# %% [markdown]
# From right to left the error falls with $\epsilon^2$, as for every two-sided difference, until rounding takes over. The
# papers' 0.01 is a good choice in float32, which is what a search computes in.
#
# One thing more, which the papers do not say. Networks with ReLU have kinks. Between $w - \epsilon u$ and $w + \epsilon u$ many
# ReLUs switch, and each switch is curvature that differentiating twice *at* $w$ cannot see. In such a network the two do not
# agree, and there it is the finite difference that sees more of the truth.
#
# ## Three searches and a baseline
#
# *Before you run it: which of them will have the most `skip_connect`?*

# %%
searches, tiny = {}, gl.NASBench201(channels=4, cells_per_stage=1)
runs = [("DARTS first order", gl.DARTS(order=1), 0), ("DARTS first order, seed 1", gl.DARTS(order=1), 1),
        ("DARTS second order", gl.DARTS(order=2), 0), ("GDAS", gl.GDAS(), 0)]
for name, algorithm, seed in runs:
    started = time.perf_counter()
    searches[name] = gl.Search(tiny, data, algorithm, recipe=recipe, seed=seed).run()
    print(f"{name:26} {time.perf_counter() - started:4.0f} s  {searches[name].genotype}")

# %%
from gdas_lite.visual.plots import operation_counts

operation_counts({name: search.history for name, search in searches.items()})

# %%
gl.plots.search_overview(searches["DARTS first order"].history)

# %% [markdown]
# The figure shows little of it, so take it from the record: on CIFAR-10 the collapse is complete. Published DARTS searches in this space, first order and second, end with
# `skip_connect` on all six edges, 54.30 % test accuracy (NAS-Bench-201 paper, table 5; the best cell has 94.37 %). Why skips?
# They have no weights, so they are useful from the first step, while convolutions must be trained first; and the more weight
# a skip has, the less its convolution neighbours learn. Thirty short epochs on digits may show the beginning of that, or not:
# look at the lines, not at the expectation.
#
# Whether it hurts is known here: all 15,625 cells were trained on the digits beforehand (notebook 08), so each cell that a search passed
# has a regret, its distance from the best one in points.

# %%
from gdas_lite.visual.tables import regret_over_epochs

table = gl.tabular("digits")
for name, search in searches.items():
    print(f"{name:26} rank {table.rank(search.genotype):6,} of {len(table):,}, regret {table.regret(search.genotype):.1f} points")
print(f"{'all skip_connect':26} rank {table.rank(gl.zoo_genotype('all_idnt')):6,}")
paths = {name: gl.landscape.regrets(table, [record.genotype for record in search.history])[None]
         for name, search in searches.items()}
regret_over_epochs(paths, {"random search, best of 10": table.random_search_curve(10, score=table.search_column).regret[-1]})

# %% [markdown]
# (Ten trainings of six epochs pass as many images as one of these searches, if each update counts once.)
#
# ## What came out, trained

# %%
import numpy as np

cells = {name: search.genotype for name, search in searches.items()}
rng = np.random.default_rng(0)
for number in range({"lesson": 4}.get(recipe, 1)):
    cells[f"random cell {number + 1}"] = gl.NASBench201Genotype.random(rng)
accuracies, seeds = {}, {"lesson": (0, 1)}.get(recipe, (0,))
for name, cell in cells.items():
    accuracies[name] = [gl.Training(gl.network(cell, 4, 2, data.classes, data.image_channels), data, recipe=recipe, seed=seed,
                                    evaluate_every=100).run().derived_accuracy for seed in seeds]

# %%
gl.plots.bars(list(accuracies), list(accuracies.values()), quantity="test accuracy (%)")

# %% [markdown]
# Two seeds of one search differ as two algorithms do. Four searches are far too few to rank methods; what this picture can
# show is whether a search beats random cells at all, and in so small a search not even that is certain.
#
# ## What can go wrong
#
# - *Out of memory*: DARTS keeps all maps. Fewer channels, a smaller batch, or GDAS.
# - *Second order is no better than first.* Common, in papers too. It costs three more passes; the second term is small when
#   the learning rate is.
# - *`the loss became nan` in second order*: the virtual step is not clipped. Lower the learning rate.
#
# ## Recap
#
# - $\bar o(x) = \sum_k \mathrm{softmax}(\alpha)_k\, o_k(x)$: all operations run, all are kept.
# - Second order adds $-\xi\,\nabla^2_{\alpha,w} L_{\mathrm{train}}\,\nabla_{w'} L_{\mathrm{valid}}$, by two gradients at
#   $w \pm \epsilon u$, divided by $2\epsilon$.
# - A test against the exact product is worth more than a running search.
#
# **Next**: `05_nasnet`, a space where nobody can list the cells.
