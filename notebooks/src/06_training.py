# %% [markdown]
# # Training what came out: the recipe makes the accuracy, and one number says nothing
#
# **Course**: [0 Quick start](00_quickstart.ipynb) · [1 Spaces](01_spaces.ipynb) · [2 Gumbel](02_gumbel.ipynb) ·
# [3 GDAS](03_gdas.ipynb) · [4 DARTS](04_darts.ipynb) · [5 NASNet](05_nasnet.ipynb) · **6 Training** ·
# [7 Recurrent cells](07_recurrent.ipynb) · [8 Landscape](08_landscape.ipynb) · [9 Failures](09_failures.ipynb) ·
# [10 Own pictures](10_own_pictures.ipynb) · [11 ImageNet](11_imagenet.ipynb) · [12 Reproduce](12_reproduce.ipynb) ·
# [Glossary](glossary.md)
#
# **You will see** what cutout, drop path, the auxiliary head and the cosine schedule do to the accuracy of a cell, how
# much "the best epoch" flatters, and how many trainings it takes until a difference means something.
#
# - Reading: 25 minutes, exercises 30 minutes. Computing: 3 minutes on two CPU cores. No network, no GPU.
# - You need the quick start (`00_quickstart`); `05_nasnet` for the NASNet space.
# - Papers: Dong & Yang, CVPR 2019 (GDAS), section 4.2; Liu, Simonyan & Yang, ICLR 2019 (DARTS), appendix A.2; DeVries &
#   Taylor, *Improved Regularization of Convolutional Neural Networks with Cutout*, 2017.

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
# ## What stands behind a published number
#
# GDAS_V1 has a test error of 2.93 % on CIFAR-10. That number belongs to a cell *and to a way of training it*. The
# second half, field by field (GDAS paper, section 4.2, and its code):

# %%
import gdas_lite as gl

published = gl.training_recipe("paper", "nasnet")
for field in ("epochs", "batch_size", "learning_rate", "learning_rate_end", "schedule", "weight_decay",
              "grad_clip_norm", "cutout", "drop_path", "auxiliary_weight"):
    print(f"{field:18} {getattr(published, field)}")

# %% [markdown]
# The paper itself says how much the recipe matters. The cell is the same in both lines:

# %%
for result in gl.published("GDAS_V1", data="cifar10", metric="test_error"):
    if result.source == "GDAS paper, table 1":
        print(result)

# %% [markdown]
# Cutout is worth 0.94 points here. (The authors' scripts drop paths at 0.3 without it, at 0.2 with it; the paper does
# not speak of that.) In the same table the best and the worst of the cells found by DARTS and GDAS, all with cutout,
# differ by 0.18. **An accuracy is the accuracy of a cell under a recipe.** Let us take the recipe apart on a network
# that trains in seconds: the published cell DARTS_V2 (cheap to compute), three cells and 8 channels, on a few of the
# digits.

# %%
from dataclasses import replace

digits = gl.load_data("digits")
few, checked = {"lesson": (256, 200)}.get(recipe, (64, 64))
data = replace(digits, train_half=digits.train_half.subset(range(few)),      # what we train on
               valid_half=digits.valid_half.subset(range(checked)))          # what may help to choose
cell = gl.zoo_genotype("DARTS_V2")
network = gl.network(cell, channels=8, cells=3, classes=10, image_channels=1)
print(gl.cost_of(network, (1, 8, 8)))
data

# %% [markdown]
# ## Cutout
#
# Erase a square at a random place of every training image, a new one each time. The network cannot rely on one part.
# The published square has half the side of the image, 16 of 32 pixels; here that is 4 of 8. Its *centre* may be any
# pixel, so at the border a part of the square falls outside. Test images stay whole.

# %%
from gdas_lite.data.batches import training_batches
from gdas_lite.lessons.figures import pictures

def first_images(length, seed=1):
    batches = training_batches(data.train_half, data, 10, cutout=length, device=torch.device("cpu"))
    return next(batches.epoch(torch.Generator().manual_seed(seed), shuffle=False))[0]

pictures({"shifted only": first_images(0), "cutout 2": first_images(2), "cutout 4": first_images(4),
          "cutout 4,\nnext epoch": first_images(4, seed=2)},
         "The same ten digits as the network gets them: cutout erases what it could rely on")

# %% [markdown]
# The erased pixels are grey, not black: the square is put in *after* normalisation, where 0 is the mean colour of the
# data.
#
# ## Exercise 6.1: cutout on a batch
#
# 15 minutes · difficulty ●●○○○ · importance ●●●○○
#
# Write it for a batch, each image with its own centre. In row and column alike the square starts `length // 2` before
# the centre and is `length` pixels long. What lies outside the image is lost.

# %%
def cut_squares(pixels, centre_y, centre_x, length):
    """pixels (B, C, H, W); centre_y, centre_x int (B,). Returns a new batch with a square of zeros in each image."""
    raise NotImplementedError("exercise 6.1")

# %%
from gdas_lite.lessons import check

print(check("6.1", cut_squares))

# %% [markdown]
# <details><summary>Hint</summary>
#
# `torch.arange(height) - (centre_y[:, None] - length // 2)` is (B, H), and lies in 0..length-1 in the rows of the
# square. Two such tables make a mask of (B, 1, H, W).
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def cut_squares(pixels, centre_y, centre_x, length):
#     height, width = pixels.shape[2:]
#     rows = torch.arange(height) - (centre_y[:, None] - length // 2)
#     columns = torch.arange(width) - (centre_x[:, None] - length // 2)
#     inside = (((rows >= 0) & (rows < length))[:, None, :, None]
#               & ((columns >= 0) & (columns < length))[:, None, None, :])
#     return pixels.masked_fill(inside, 0)
# ```
#
# No loop over images, so it runs on a GPU in one go. And a new tensor: erasing in place would erase the data set.
# </details>

# %% [markdown]
# ## Drop path
#
# In training, each operation's output is set to zero for single images with probability $p$; identities are never
# dropped. What is left is divided by $1-p$:
#
# $$\tilde x = \frac{m}{1-p}\; o(x), \qquad m = 1 \text{ with probability } 1-p, \text{ else } 0.$$
#
# Which paths of our network do the images of one batch lose at $p = 0.2$?

# %%
from gdas_lite.runs.schedules import drop_path_at
from gdas_lite.spaces.operations import DropPath

paths = sum(part.num_masks for part in network.cells)
masks = DropPath(0.2, torch.Generator().manual_seed(0)).masks(paths, like=torch.zeros(32, 1, 1, 1))
lost = masks[:, :, 0, 0, 0] == 0                 # (paths, images)
print(f"{lost.sum()} of {lost.numel()} outputs are dropped")
for image in range(3):
    print(f"image {image} loses the paths", *lost[:, image].nonzero().flatten().tolist())

# %% [markdown]
# ## Exercise 6.2: drop path that keeps the mean
#
# 5 minutes · difficulty ●○○○○ · importance ●●●●○

# %%
def drop_paths(outputs, kept, rate):
    """outputs (B, C, H, W) of one operation; kept (B,), 1 or 0; rate p. Returns what the node gets, (B, C, H, W)."""
    raise NotImplementedError("exercise 6.2")

# %%
print(check("6.2", drop_paths))

# %% [markdown]
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def drop_paths(outputs, kept, rate):
#     return outputs * kept[:, None, None, None] / (1 - rate)
# ```
#
# The mean of $m/(1-p)$ is 1: at test time nothing is dropped, and each node gets on average what it got in training.
# </details>

# %% [markdown]
# Is the mean kept? Take an operation whose output is 3, and draw often. *Before you run it: the mean stays 3. What
# happens to the spread?*

# %%
for p in (0.0, 0.1, 0.2, 0.5):
    draws = 3.0 * DropPath(p, torch.Generator().manual_seed(1)).masks(1, like=torch.zeros(100_000, 1, 1, 1)).flatten()
    values = " or ".join(f"{value:.2f}" for value in draws.unique().tolist())
    print(f"p = {p}: values {values:12}  mean {draws.mean():.2f}  standard deviation {draws.std():.2f}"
          f"  (3 sqrt(p / (1 - p)) = {3 * (p / (1 - p))**0.5:.2f})")

# %% [markdown]
# <details><summary>Answer</summary>
#
# It grows with $p$, as the last column says: what is kept must be enlarged the more, the more is dropped.
# </details>

# %% [markdown]
# The mean of *a path* is kept; the mean of the network's output is not, because what follows is not linear. The rate
# starts at 0 and grows with the epochs, $p_e = 0.2\, e / E$. (NASNet's authors, whose schedule this is, report that it
# helps their networks, and a constant rate hardly.)

# %%
print("rate in epochs 0, 150, 300, 450, 599 of 600:",
      [round(drop_path_at(0.2, epoch, 600), 3) for epoch in (0, 150, 300, 450, 599)])

# %% [markdown]
# ## The auxiliary head
#
# A second classifier reads the output of the second reduction cell, at two thirds of the network's depth. The loss
# becomes (GDAS paper, section 4.2; the idea is GoogLeNet's)
#
# $$L = L_{\text{output}} + 0.4\; L_{\text{auxiliary}} .$$
#
# It needs maps of 8 × 8 pixels at that place, that is images of at least 29: enlarge the digits.

# %%
import torch.nn.functional as F

def enlarged(images, side=29):
    pixels = F.interpolate(images.images.float(), size=(side, side), mode="bilinear", align_corners=False)
    return gl.ImageSet(pixels.round().to(torch.uint8), images.labels)

size, tested = {"lesson": (128, 395)}.get(recipe, (64, 64))
large = replace(data, image_size=29, train_half=enlarged(data.train_half.subset(range(size))),
                train=enlarged(data.train), valid_half=enlarged(data.valid_half),
                evaluation={"test": enlarged(data.evaluation["test"].subset(range(tested)))})

# %% [markdown]
# We use a small cell written by hand, because a step costs many times as much as at 8 pixels: two nodes instead of
# four, and cheap operations.

# %%
cheap = gl.NASNetGenotype(
    normal=((("sep_conv_3x3", 1), ("skip_connect", 0)), (("skip_connect", 2), ("skip_connect", 1))),
    reduce=((("max_pool_3x3", 0), ("max_pool_3x3", 1)), (("max_pool_3x3", 1), ("skip_connect", 2))),
    normal_concat=(2, 3), reduce_concat=(2, 3))

def build_large(auxiliary):
    return gl.network(cheap, channels=6, cells=4, classes=10, image_channels=1, auxiliary=auxiliary)

for auxiliary in (False, True):
    print(f"auxiliary={auxiliary!s:5}", gl.cost_of(build_large(auxiliary), (1, 29, 29)))

# %% [markdown]
# Compare the two lines. The head has many more weights than this small network, but the multiply-adds of an image are
# the same: after training the head does not run.
#
# What does it add? Take one batch and the gradient of each of the two terms, part by part.

# %%
torch.manual_seed(0)
two_heads = build_large(True).train()
x, y = next(training_batches(large.train_half, large, 32, cutout=0, device=torch.device("cpu"))
            .epoch(torch.Generator().manual_seed(0)))
logits, auxiliary_logits = two_heads(x, with_auxiliary=True)
output_loss, auxiliary_loss = F.cross_entropy(logits, y), F.cross_entropy(auxiliary_logits, y)
total = output_loss + 0.4 * auxiliary_loss
print(f"output {output_loss:.3f} + 0.4 x auxiliary {auxiliary_loss:.3f} = {total:.3f} nats\n")
parts = {"stem": two_heads.stem} | {f"cell {i}": part for i, part in enumerate(two_heads.cells)}
parts |= {"classifier": two_heads.classifier, "auxiliary": two_heads.auxiliary}
print("norm of the gradient of     output    0.4 auxiliary")
for name, part in parts.items():
    norms = []
    for loss in (output_loss, 0.4 * auxiliary_loss):
        gradients = torch.autograd.grad(loss, list(part.parameters()), retain_graph=True, allow_unused=True)
        norms.append(sum((g**2).sum() for g in gradients if g is not None) ** 0.5)
    print(f"  {name:22} {float(norms[0]):10.3f} {float(norms[1]):12.3f}")

# %% [markdown]
# Cells 1 and 2 are the reduction cells; the head comes after cell 2. Everything before it gets a gradient from both
# losses, from the second over a shorter way. Cell 3 and the classifier get nothing from the second. In a network of 20
# cells, where the gradient of the first loss has to pass through all of them, this is the point; ours has four.
#
# ## The schedule
#
# The published recipes end with a learning rate near 0. Three ways to get there:

# %%
from gdas_lite.lessons.figures import learning_rates
from gdas_lite.runs.schedules import learning_rate_at

schedules = {"cosine (GDAS)": published,
             "autodl_cosine (AutoDL-Projects)": gl.training_recipe("paper-autodl", "nasnet"),
             "exponential (GDAS, ImageNet)": gl.training_recipe("paper-imagenet", "nasnet")}
learning_rates({name: [learning_rate_at(r, epoch, 0, 1) for epoch in range(r.epochs)] for name, r in schedules.items()})

# %% [markdown]
# The middle one has two details that belong to its published numbers: five epochs of warm-up, and five at exactly 0 at
# the end. In the figure they are narrow: look at both ends of its line.
#
# ## Each switch on and off
#
# Now four recipes, four seeds each. `plain` has the cosine and none of the extras; the next two add one thing; the last
# takes the cosine away and keeps the first rate, 0.05 (twice the published one, since the training is short). *Before
# you run it: which of the four will be best? Which will have the widest spread?*

# %%
import numpy as np
import time

epochs, seeds = {"lesson": (20, range(4))}.get(recipe, (2, range(2)))
plain = gl.training_recipe("lesson", "nasnet", epochs=epochs, batch_size=32, learning_rate=0.05)
recipes = {"plain": plain, "cutout 4": replace(plain, cutout=4), "drop path 0.2": replace(plain, drop_path=0.2),
           "constant rate": replace(plain, schedule="exponential", gamma=1.0)}

runs = {name: [] for name in recipes}
for name, changed in recipes.items():
    start = time.perf_counter()
    print(f"{name:14} test accuracy after the last epoch:", end="", flush=True)
    for seed in seeds:
        network = gl.network(cell, channels=8, cells=3, classes=10, image_channels=1)
        run = gl.Training(network, data, recipe=changed, seed=seed, train_on="train_half").run()
        runs[name].append(run)
        print(f" {run.derived_accuracy:.1f}", end="", flush=True)
    learned = np.mean([run.history[-1].train_accuracy for run in runs[name]])
    print(f"  (in training: {learned:.0f})   {time.perf_counter() - start:.0f} s")

# %%
accuracies = {name: [run.derived_accuracy for run in group] for name, group in runs.items()}
gl.plots.bars(list(accuracies), list(accuracies.values()), quantity=f"test accuracy after {epochs} epochs (%)")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Cutout is the lowest. The title of the figure says which mean is the highest and by how much; the spread of each
# recipe's seeds stands at the right. Whether a difference is more than chance is computed below, after exercise 6.3.
# </details>

# %% [markdown]
# And the auxiliary head, on the enlarged digits, with the cheap cell and half of the images.

# %%
short = {"lesson": 16}.get(recipe, 1)
heads = {"one head": 0.0, "auxiliary head": 0.4}
for name, weight in heads.items():
    changed = gl.training_recipe("lesson", "nasnet", epochs=short, batch_size=16, learning_rate=0.1,
                                 auxiliary_weight=weight)
    print(f"{name:14} test accuracy after the last epoch:", end="", flush=True)
    accuracies[name] = []
    for seed in seeds:
        run = gl.Training(build_large(weight > 0), large, recipe=changed, seed=seed, train_on="train_half",
                          evaluate_every=99)
        accuracies[name].append(run.run().derived_accuracy)
        print(f" {accuracies[name][-1]:.1f}", end="", flush=True)
    print()

# %% [markdown]
# ## Exercise 6.3: a difference and its error
#
# 10 minutes · difficulty ●●○○○ · importance ●●●●●
#
# Is a difference of two means more than chance? Its **standard error** says how far it would vary from one repetition
# to the next. Of independent trainings, with $s$ the standard deviation over seeds and $n$ their number,
#
# $$\text{error} = \sqrt{s_a^2 / n_a + s_b^2 / n_b}.$$

# %%
def difference(a, b):
    """a, b: accuracies of the seeds of two recipes. Returns (mean of a - mean of b, standard error of that)."""
    raise NotImplementedError("exercise 6.3")

# %%
print(check("6.3", difference))

# %% [markdown]
# <details><summary>Hint</summary>
#
# `np.var(a, ddof=1)` is $s_a^2$. Without `ddof=1` it is too small, with three seeds by a third.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def difference(a, b):
#     error = np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))
#     return np.mean(a) - np.mean(b), error
# ```
#
# Variances of independent means add up; their roots do not.
# </details>

# %% [markdown]
# Rule of thumb: below two standard errors, say nothing. With few seeds even two are little evidence, since $s$ itself
# is estimated from a handful of numbers.

# %%
from gdas_lite.lessons import use

compare = use("6.3", difference)
for name, reference in [(name, "plain") for name in list(recipes)[1:]] + [("auxiliary head", "one head")]:
    gap, error = compare(np.array(accuracies[name]), np.array(accuracies[reference]))
    verdict = "more than two standard errors" if abs(gap) > 2 * error else "cannot be told from chance"
    print(f"{name:14} - {reference}: {gap:+5.1f} ± {error:.1f} points, {verdict}")

# %% [markdown]
# Read the lines above with care:
#
# - **Cutout** costs accuracy here. Look at the numbers in brackets further up: under `plain` the network knows its
#   training images by heart; under cutout it has not learned them yet, with holes in them. This short run shows what
#   cutout costs, not what it brings: in the paper it takes the test error of GDAS_V1 from 3.87 % to 2.93 %, after 600
#   epochs of 521 steps, more than 300,000 in all, where this training has 160. A recipe belongs to its length. Would
#   cutout pay here with many more epochs? We have not measured it; `epochs` is yours.
# - **Drop path** costs little here, if anything. The title of the figure speaks of the spread of single trainings, the
#   line above of the error of a mean of four, so the two can disagree. And with four against four the error itself is a
#   rough estimate: Student's t test asks for 2.45 errors here, not for 2.
# - **The constant rate** is lower in the mean. Look at its single seeds: with one of them alone the cosine would be
#   worth a great deal, with another one little.
# - **The auxiliary head**: where its line says that it cannot be told from chance, it takes more seeds to say anything.
# - **The same seeds elsewhere**: with another number of threads, or another processor, sums are rounded in another
#   order, and trainings as short as these end some points higher or lower. Your verdicts may differ from the stored
#   ones. A seed makes a run repeatable on one machine; only several seeds make a result.
#
# One more source of noise is in no bar above: the test images are a sample, too, and every seed was tested on the same.
# At an accuracy of $a$, the accuracy on another sample of $n$ images would vary by $\sqrt{a(1-a)/n}$:

# %%
best = max(np.mean(values) for values in accuracies.values()) / 100
spread = 100 * (best * (1 - best))**0.5
print(f"standard error of one accuracy near {100 * best:.0f} %: {spread / 395**0.5:.1f} points with 395 images, "
      f"{spread / 100:.2f} with 10,000")

# %% [markdown]
# ## Last epoch, not best epoch
#
# All numbers so far are those of the **last** epoch. Many codes report the best epoch *on the test set*. *Before you
# run it: how much higher is that, and for which recipe most?*

# %%
from gdas_lite.lessons.figures import epoch_choice

names = ("plain", "constant rate")
epoch_choice({name: [run.history.column("test accuracy") for run in runs[name]] for name in names})

# %%
print("test accuracy (%), means over the seeds")
print("                 last epoch   best on test   best on the valid half")
for name, group in runs.items():
    test = np.array([run.history.column("test accuracy") for run in group])         # (seeds, epochs)
    valid = np.array([run.history.column("valid_half accuracy") for run in group])
    chosen = test[np.arange(len(test)), valid.argmax(1)]
    assert (test.max(1) >= test[:, -1]).all() and (test.max(1) >= chosen).all()
    print(f"{name:14} {test[:, -1].mean():12.1f} {test.max(1).mean():14.1f} {chosen.mean():18.1f}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# The middle column cannot be below the others, whatever one trains: a maximum over epochs picks what was lucky *on
# those very images*. How much it flatters depends on how much the curve moves: little under the cosine, whose last
# epochs hardly change, and much at a constant rate, where a training can end in a dip. The right column is allowed: it
# chooses by images that were set aside for choosing, and looks at the test set once. Under the cosine this gains
# little; with cutout, where accuracy still rises, it even loses.
# </details>

# %% [markdown]
# The authors' logs give both numbers for two trainings. The 26.0 of the paper's table 2 is the best epoch:

# %%
for result in gl.published(space="nasnet"):
    if "log" in result.source and result.metric in ("test_error", "top1_error"):
        print(result)

# %% [markdown]
# ## How many seeds?
#
# To tell a difference $d$ from chance, it should be at least twice its standard error, $d \ge 2\sqrt{2 s^2/n}$. So
# $n \ge 8\, s^2 / d^2$ trainings *of each*. Half the difference takes four times the trainings. And this is the least:
# a measured difference falls below the true one as often as above it, so with so many trainings a true $d$ shows up
# every second time only. Twice as many show it four times in five.

# %%
def trainings_needed(spread, gap):
    return max(2, int(np.ceil(8 * spread**2 / gap**2)))

spread = np.sqrt(np.mean([np.var(accuracies[name], ddof=1) for name in ("plain", "drop path 0.2")]))
needed = ", ".join(f"{gap} point{'s' * (gap > 1)}: {trainings_needed(spread, gap)}" for gap in (4, 2, 1))
print(f"with s = {spread:.1f} (plain, drop path), trainings of each to see a difference of {needed}")
(v2,) = [r for r in gl.published("DARTS_V2", data="cifar10", metric="test_error") if "10 trainings" in r.setting]
print(v2)
for a, b in (("GDAS_V1", 2.93), ("DARTS_V1", 3.00)):
    gap = b - 2.82
    print(f"{a} {b:.2f} % against DARTS_V2 2.82 %, published, GDAS paper, table 1: "
          f"with that spread, {trainings_needed(0.09, gap)} each")

# %% [markdown]
# Table 1 of the GDAS paper has one number for each cell. So it cannot say which of GDAS_V1 and DARTS_V2 is the better
# cell, nor that GDAS_V1 is better than DARTS_V1: a user's trainings by the code of GDAS' author, AutoDL-Projects, have
# 2.89 ± 0.05 % for GDAS_V1 and 2.79 ± 0.11 % for DARTS_V1 (its issue 57). (What the paper adds is the price: 0.21 GPU
# days for the search beside 1, on different GPUs; see notebook 05.)
#
# ## What can go wrong
#
# - *`this network has no auxiliary head; build it with auxiliary=True`*: the recipe has `auxiliary_weight` > 0. The
#   head belongs to the network, its weight to the recipe.
# - *`... the auxiliary head` needs larger images*: below 29 pixels there is no room for it.
# - *My accuracy is below the published one, with the same cell.* Compare the recipes first, all fields, then the
#   epochs: every schedule ends at its last epoch, so the first 100 epochs of a 600-epoch schedule are not a short
#   training but an unfinished one. Set `epochs=100` instead.
# - *Cutout or drop path makes it worse.* As above. They pay where a network has enough time and weights to learn its
#   training images by heart.
# - *It was better yesterday.* Another seed? Print it, and train three.
#
# ## Recap
#
# - Accuracy is a property of a cell under a recipe: augmentation (cutout), noise (drop path,
#   $\tilde x = m\,o(x)/(1-p)$), a second loss ($L = L_{\text{output}} + 0.4 L_{\text{auxiliary}}$), a schedule that
#   ends near 0.
# - Report the last epoch; the best one on the test set flatters, the more the curve moves.
# - A mean, its spread, the number of seeds; a difference counts above two standard errors,
#   $\sqrt{s_a^2/n_a + s_b^2/n_b}$.
#
# **Next**: `07_recurrent`, cells that read text; `11_imagenet`, the same recipe on photographs and several GPUs.
