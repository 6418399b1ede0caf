# %% [markdown]
# # From a discrete choice to a gradient
#
# **Course**: [0 Quick start](00_quickstart.ipynb) · [1 Spaces](01_spaces.ipynb) · **2 Gumbel** ·
# [3 GDAS](03_gdas.ipynb) · [4 DARTS](04_darts.ipynb) · [5 NASNet](05_nasnet.ipynb) · [6 Training](06_training.ipynb) ·
# [7 Recurrent cells](07_recurrent.ipynb) · [8 Landscape](08_landscape.ipynb) · [9 Failures](09_failures.ipynb) ·
# [10 Own pictures](10_own_pictures.ipynb) · [11 ImageNet](11_imagenet.ipynb) · [12 Reproduce](12_reproduce.ipynb) ·
# [Glossary](glossary.md)
#
# **You will see** how one operation out of five can be drawn at random and still be moved by a gradient, what the
# temperature tau does to that gradient, and what it does not do to the draw.
#
# - Reading: 25 minutes, exercises 30 minutes. Computing: seconds on any computer. No network, no GPU.
# - You need softmax and the chain rule. `00_quickstart` says what a cell, an edge and alpha are.
# - Papers: Dong & Yang, CVPR 2019 (GDAS), section 3.2; Jang, Gu & Poole, ICLR 2017, and Maddison, Mnih & Teh, ICLR 2017
#   (Gumbel-softmax).

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
# ## One edge, five operations
#
# An edge of a cell must carry one operation. Five numbers, its row of **alpha**, say how much each is wanted. A search
# draws operation $k$ with the probability
#
# $$\pi_k = \mathrm{softmax}(\alpha)_k = \frac{e^{\alpha_k}}{\sum_m e^{\alpha_m}}$$

# %%
import torch

import gdas_lite as gl
from gdas_lite.genotypes.notation import NASBENCH201_OPS as names

alpha = torch.tensor([0.1, -0.2, 0.3, 0.0, 0.05], dtype=torch.float64)
for name, probability in zip(names, alpha.softmax(-1)):
    print(f"{name:14} {probability:.3f}")

# %% [markdown]
# ## Drawing with noise: the Gumbel-max trick
#
# There is more than one way to draw from $\pi$. This one adds noise and takes the largest. With five independent
# numbers $g_k = -\log(-\log u_k)$, $u_k$ uniform in (0, 1) (the **Gumbel distribution**),
#
# $$\mathrm{idx} = \arg\max_k\,(\alpha_k + g_k) \quad\text{has the probability}\quad P(\mathrm{idx} = k) = \pi_k .$$
#
# The distribution of the noise does not depend on alpha. Chance has become an *input* of the draw, next to alpha, and
# given the noise the draw is an ordinary function of alpha. This is called **reparameterisation**, and it is what makes
# a gradient possible below. Code often writes $-\log(\text{Exp}(1)\text{ draw})$ for the same noise, because $-\log u$
# *is* an Exp(1) draw.
#
# ## Exercise 2.1: draw an operation with noise
#
# 5 minutes · difficulty ●○○○○ · importance ●●●●●

# %%
def gumbel_max(alpha, gumbel):
    """The draw by the Gumbel-max trick. alpha, gumbel: (5,). Returns the index of the operation, an int."""
    raise NotImplementedError("exercise 2.1")

# %%
from gdas_lite.lessons import check

print(check("2.1", gumbel_max))

# %% [markdown]
# <details><summary>Hint</summary>
#
# `tensor.argmax()` gives a tensor with one number; `int(...)` makes it an int.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def gumbel_max(alpha, gumbel):
#     return int((alpha + gumbel).argmax())
# ```
#
# On alpha, not on the probabilities: the trick works for logits. Adding the noise to $\pi$ draws something else.
# </details>

# %% [markdown]
# Does it draw from $\pi$? Count 20,000 draws, and those of `torch.multinomial` beside them.

# %%
from gdas_lite.relaxation import sample_gumbel

count = {"lesson": 20_000}.get(recipe, 500)
generator = torch.Generator().manual_seed(0)
noise = sample_gumbel((count, 5), generator, torch.float64)
by_noise = (alpha + noise).argmax(-1).bincount(minlength=5) / count
by_multinomial = torch.multinomial(alpha.softmax(-1), count, True, generator=generator).bincount(minlength=5) / count
for name, *numbers in zip(names, alpha.softmax(-1), by_noise, by_multinomial):
    print(f"{name:14} softmax {numbers[0]:.3f}   Gumbel-max {numbers[1]:.3f}   multinomial {numbers[2]:.3f}")

# %% [markdown]
# *Would `torch.multinomial` do in a search?*
#
# <details><summary>Answer</summary>
#
# For drawing, yes. But it returns an index and nothing else, and no gradient passes through it. With the noise kept,
# the draw is a function of alpha.
# </details>

# %% [markdown]
# ## Softening the draw: temperature
#
# `argmax` is flat: move alpha a little and the index stays; its derivative is zero or does not exist. GDAS replaces it,
# for the gradient only, by a softmax of the same numbers divided by the **temperature** tau (GDAS paper, section 3.2):
#
# $$p = \mathrm{softmax}\!\left(\frac{\alpha + g}{\tau}\right)$$
#
# *Before you run it: the same noise at tau 10, 1 and 0.1. Which $p$ will be nearly uniform, which nearly one-hot? Will
# another entry become the largest?*

# %%
gumbel = torch.tensor([0.5, -0.1, 0.2, 1.0, -0.3], dtype=torch.float64)
for tau in (10, 1, 0.1):
    p = ((alpha + gumbel) / tau).softmax(-1)
    print(f"tau {tau:4}:", p.numpy().round(4), " largest:", names[p.argmax()])

# %% [markdown]
# <details><summary>Answer</summary>
#
# At tau 10 $p$ is nearly uniform, at tau 0.1 nearly one-hot, and the largest entry stays the same.
# </details>

# %% [markdown]
# Division by tau does not change the order of five numbers. So **tau does not change which operation is drawn**, nor
# how often. It changes how soft $p$ is, and with it the gradient.
#
# ## Straight-through: hard forward, soft backward
#
# GDAS uses the one-hot draw $h$ in the forward pass, so that only one operation must be computed, and the derivative of
# $p$ in the backward pass. In code this is one line, about which readers of GDAS ask more than about any other:
#
# ```python
# h = one_hot + p - p.detach()
# ```
#
# $p - p$ is zero, so the *value* is the one-hot vector. `detach` says "a constant" to autograd, so the *derivative* is
# that of $p$:
#
# $$\frac{\partial L}{\partial \alpha_m}
# = \frac{1}{\tau} \sum_k \frac{\partial L}{\partial h_k}\, p_k\,(\delta_{km} - p_m)$$
#
# ## Exercise 2.2: the gradient through the soft sample
#
# 15 minutes · difficulty ●●●○○ · importance ●●●●●

# %%
def alpha_gradient(h_gradient, p, tau):
    """dL/dalpha of all five operations at once. h_gradient = dL/dh and the soft sample p: (5,). Returns (5,)."""
    raise NotImplementedError("exercise 2.2")

# %%
print(check("2.2", alpha_gradient))

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Multiply out: $\sum_k g_k p_k \delta_{km}$ is one term, $g_m p_m$. The other is $p_m \sum_k g_k p_k$.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Both terms hold $p_m$: put it in front. What is left in the bracket is "how far is $g_m$ from the mean of $g$ under
# $p$".
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def alpha_gradient(h_gradient, p, tau):
#     return p * (h_gradient - (h_gradient * p).sum()) / tau
# ```
#
# The sum over $m$ is zero: making all five alphas larger by the same amount changes no probability.
# </details>

# %% [markdown]
# Now run that line on an edge whose five operations give 1, 2, 3, 4 and 5 and whose loss is its output, with the noise
# from above.

# %%
from gdas_lite.relaxation import hard_gumbel

outputs = torch.tensor([1.0, 2, 3, 4, 5], dtype=torch.float64)
for tau in (10, 1, 0.1):
    row = alpha.clone().requires_grad_()
    h = hard_gumbel(row[None], tau, gumbel[None])[0]
    drawn = int(h.argmax())
    loss = h[drawn] * outputs[drawn]            # GDAS: only what was drawn is computed
    loss.backward()
    print(f"tau {tau:4}: loss {loss.item():.1f}, gradient", row.grad.numpy().round(4), f" length {row.grad.norm():.4f}")

# %% [markdown]
# Three observations. Only $h_{\mathrm{idx}}$ entered the loss, yet **all five alphas have a gradient**: through the
# softmax, the others must fall when one rises. The signs are the same at every tau. The length is not: at tau 10 the
# soft sample hardly reacts and $1/\tau$ is small; at tau 0.1 it depends on the noise, and if $p$ is already one-hot,
# nothing moves.
#
# ## Play with the temperature
#
# *Move tau first, with the noise fixed. Which of the pictures changes, and which never does? Then draw again at tau 0.1
# a few times: how often is there any gradient?*

# %%
gl.TemperatureExplorer(alpha.tolist())

# %% [markdown]
# <details><summary>Answer</summary>
#
# The soft sample and the gradient change, the draw never does. At tau 0.1 more than half of the draws have hardly any
# gradient.
# </details>

# %% [markdown]
# Draws and gradients of many noises at three temperatures, as a picture:

# %%
from gdas_lite.lessons.estimators import draws_and_gradients

draws_and_gradients(alpha, outputs, taus=(10, 1, 0.1), draws={"lesson": 2000}.get(recipe, 100), seed=0, names=names)

# %% [markdown]
# Left: the share of each operation among the draws, and $\pi$ (the long marks). The three temperatures agree with it up
# to chance. Right: the length of the gradient. At tau 10 it says little more than which operation was drawn: it grows
# with that operation's output, 1 to 5, and the noise hardly changes it. At tau 0.1 it is nearly zero in more than half
# of the draws, and large in a quarter.
#
# ## Right on average? Bias and variance
#
# What should the gradient be? If each operation $k$ leads to the loss $L_k$, the search wants the expected loss to
# fall:
#
# $$J(\alpha) = \sum_k \pi_k L_k, \qquad \pi = \mathrm{softmax}(\alpha).$$
#
# ## Exercise 2.3: the exact gradient
#
# 10 minutes · difficulty ●●○○○ · importance ●●●○○

# %%
def expected_loss_gradient(losses, alpha):
    """The gradient of J towards alpha, from your own derivation. losses L, alpha: (5,). Returns (5,)."""
    raise NotImplementedError("exercise 2.3")

# %%
print(check("2.3", expected_loss_gradient))

# %% [markdown]
# <details><summary>Hint</summary>
#
# It has the form of exercise 2.2 without tau; the losses stand where the gradient of $h$ stood.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def expected_loss_gradient(losses, alpha):
#     p = alpha.softmax(-1)
#     return p * (losses - (p * losses).sum())
# ```
#
# That is $\partial J/\partial\alpha_m = \pi_m\,(L_m - J)$. An operation gains if its loss is below the expected one.
# This needs all five losses; a search computes one.
# </details>

# %% [markdown]
# With five operations we can compute this exactly, and compare estimates from single draws with it. Let the edge's
# output be $x = \sum_k h_k o_k$ and the loss $(x - 2.6)^2$: the operation with output 3 is the best. Four estimates:
#
# - **GDAS**, the paper's rule, called *variant P* in this course: only the drawn operation is computed,
#   $\partial L/\partial h_{\mathrm{idx}} = 2(x - 2.6)\, o_{\mathrm{idx}}$.
# - **GDAS, variant N**: the authors' code in the NAS-Bench-201 space,
#   $\partial L/\partial h_{\mathrm{idx}} = 2(x - 2.6)\,(o_{\mathrm{idx}} - 1)$ (notebook 03 shows where the 1 comes
#   from).
# - **straight-through with all operations**: $\partial L/\partial h_k = 2(x - 2.6)\, o_k$ for every $k$. It costs five
#   operations.
# - **score function** (REINFORCE): $(L_{\mathrm{idx}} - b)\,\partial \log \pi_{\mathrm{idx}} / \partial\alpha$, here
#   with the usual constant for $b$, the expected loss. Unbiased, no tau.
#
# *Before you run it: which of them is biased? Does a small tau help?*

# %%
from gdas_lite.lessons.estimators import bias_and_spread, estimates

losses = (outputs - 2.6)**2
draws = {"lesson": 20_000}.get(recipe, 500)
for tau in (10, 1, 0.1):
    for name, gradients in estimates(alpha, outputs, 2.6, tau, draws, seed=0).items():
        if name != "score function" or tau == 10:
            mean = gradients.mean(0)
            print(f"{name:26} {'' if name == 'score function' else f'tau {tau:<4}':9} mean {mean.numpy().round(2)}"
                  f"  spread of one draw {gradients.var(0).sum().sqrt():.2f}")
print(f"{'exact':36} mean {(alpha.softmax(-1) * (losses - alpha.softmax(-1) @ losses)).numpy().round(2)}")

# %%
bias_and_spread(alpha, outputs, 2.6, taus=(10, 5, 2, 1, 0.5, 0.2, 0.1), draws=draws, seed=0)

# %% [markdown]
# <details><summary>Answer</summary>
#
# All but the score function are biased. A small tau helps the estimate that runs all five operations; the price is the
# spread of its single draws.
# </details>

# %% [markdown]
# The bias is the distance of the mean from the exact gradient. An estimate that is always zero would have the bias of
# the dotted line, the exact gradient's own length. And a mean lies off by chance as well, by about the spread of one
# draw over the root of their number: that is all that is seen of the score function, and of the last point of the
# estimate that runs all five. Read the picture with care:
#
# - At **large tau** the estimates with a tau are small, $1/\tau$ times something, so nearly all of the exact gradient
#   is missing; the draws agree with each other, about the wrong vector.
# - At **small tau** the estimate that runs all five operations comes close to the exact gradient *on average*. But a
#   single draw then lies far off, many times the gradient's own length.
# - The GDAS estimate does not come close to it at any tau in this example; variant N, which takes a baseline off, is
#   nearer or farther, depending on the outputs. Both see the output of the drawn operation and not of the others. They
#   say "more" or "less" of what was drawn, variant P by the sign of
#   $\langle \partial L/\partial x,\ o_{\mathrm{idx}}\rangle$, whatever the alternatives are. This is the price of
#   computing one operation instead of five.
#
# That GDAS finds good cells nevertheless is an observation, not a theorem. Adam removes the length, thousands of steps
# average the spread, and a convolution's outputs have mean zero behind batch norm, unlike our 1 to 5 (skips and
# poolings have no batch norm in this space). During a search tau falls from 10 to 0.1, from left to right in the
# figure.
#
# Notebook 03 derives both variants, and notebook 08 shows on a real benchmark what a better baseline is worth.
#
# ## What can go wrong
#
# - *`tau must be a finite number > 0`*: the logits are divided by it. tau = 0 would be the argmax, without a gradient.
# - *alpha becomes NaN at small tau*: $g$ can be infinite where $u$ rounds to 0 or 1; libraries draw again then
#   (`gumbel_mixture` here; it is the `while` loop in the authors' code that readers ask about).
# - *The sampled operations change when I change tau*: then the noise changed, too. Fix the seed of the generator.
#
# ## Recap
#
# - $\mathrm{idx} = \arg\max(\alpha + g)$ draws from $\mathrm{softmax}(\alpha)$, whatever tau.
# - The draw uses the derivative of $p = \mathrm{softmax}((\alpha + g)/\tau)$,
#   $\frac{1}{\tau}\sum_k \frac{\partial L}{\partial h_k} p_k(\delta_{km} - p_m)$; its sum over $m$ is zero.
# - The estimate is biased, and a small tau costs variance. A search is judged by what it finds: look at the spread over
#   seeds.
#
# **Next**: `03_gdas` puts this draw on all six edges and makes a search of it.
