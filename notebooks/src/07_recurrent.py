# %% [markdown]
# # Recurrent cells: a search on a language whose floor is known
#
# **Course**: [0 Quick start](00_quickstart.ipynb) · [1 Spaces](01_spaces.ipynb) · [2 Gumbel](02_gumbel.ipynb) ·
# [3 GDAS](03_gdas.ipynb) · [4 DARTS](04_darts.ipynb) · [5 NASNet](05_nasnet.ipynb) · [6 Training](06_training.ipynb) ·
# **7 Recurrent cells** · [8 Landscape](08_landscape.ipynb) · [9 Failures](09_failures.ipynb) ·
# [10 Own pictures](10_own_pictures.ipynb) · [11 ImageNet](11_imagenet.ipynb) · [12 Reproduce](12_reproduce.ipynb) ·
# [Glossary](glossary.md)
#
# **You will see** GDAS search the cell of a language model, and how far the found cell, published cells, a random cell
# and a plain tanh RNN of the same size stay above the lowest perplexity that is possible at all.
#
# - Reading: 20 minutes, exercises 15 minutes. Computing: about 4 minutes on two CPU cores. No network, no GPU.
# - You need the quick start (`00_quickstart`): alpha, supernet, genotype. And what a recurrent network is.
# - Papers: Dong & Yang, *Searching for a Robust Neural Architecture in Four GPU Hours*, CVPR 2019 (GDAS);
#   Liu, Simonyan & Yang, *DARTS: Differentiable Architecture Search*, ICLR 2019, whose recurrent space this is.

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
# ## A language with a known entropy
#
# A language model predicts the next word. Its **perplexity** is $e^L$, with $L$ the mean cross entropy in nats per
# word: a model that guesses evenly among $n$ words has perplexity $n$. For English nobody knows the lowest possible
# perplexity. So here the text comes from a small stochastic grammar whose entropy can be computed: no model gets below
# it on a long text.

# %%
import gdas_lite as gl

from dataclasses import replace

data = gl.load_data("grammar")
if recipe == "smoke":
    data = replace(data, train=data.train[:20_000])
print(data.decode(data.train[:60]), "...\n")
print(data)

# %% [markdown]
# (The grammar knows no *an*.) A verb agrees with its subject (*the dog sleeps*, *the dogs sleep*), however many clauses
# come between the two. So memory pays. How much? Two models without a network give an idea: one counts how often each
# word occurs, the other how often each word follows the one before it.
#
# *Before you run it: the text above prints the number of words and the floor. Where between them will the two models
# be?*

# %%
import math

def counted_perplexity(context):
    """Perplexity of word counts on the valid text, given the last `context` words (0 or 1); 0.1 added to each count."""
    counts = torch.full((data.vocabulary**context, data.vocabulary), 0.1)
    rows, words = (data.train[:-1], data.train[1:]) if context else (torch.zeros_like(data.train), data.train)
    counts.index_put_((rows, words), torch.ones(len(words)), accumulate=True)
    log_probabilities = (counts / counts.sum(1, keepdim=True)).log()
    rows, words = (data.valid[:-1], data.valid[1:]) if context else (torch.zeros_like(data.valid), data.valid)
    return math.exp(-log_probabilities[rows, words].mean())

baselines = {"each word by itself": counted_perplexity(0), "given the last word": counted_perplexity(1)}
for name, perplexity in baselines.items():
    print(f"{name:20} {perplexity:6.2f}")
print(f"{'the floor':20} {data.perplexity_floor:6.2f}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Both are above the floor, as every model must be; the one that knows the last word is far nearer to it.
# </details>

# %% [markdown]
# The distance between the last two lines is what a longer memory is worth: this is what a recurrent cell is for.
#
# The floor is a mean over endless text. This valid text is finite, so luck plays a part. The grammar itself knows the
# probability of every sentence that it made. What would it score here?

# %%
from gdas_lite.data.grammar import GRAMMAR, SENTENCES

tokens, log_probability = GRAMMAR.text(SENTENCES["valid"], "valid")
own_score = math.exp(-log_probability / len(tokens))
print(f"the grammar itself, on the valid text: {own_score:.2f} (on endless text {data.perplexity_floor:.2f})")

# %% [markdown]
# ## The space
#
# At every word $x_t$ a **recurrent cell** makes the new hidden state $h_t$ from $x_t$ and $h_{t-1}$. State 0 comes from
# both of them. Then eight **steps** follow, and each makes a new state from *one* of the states before it. The output
# $h_t$ is the mean of the eight. A step with weights $W$ (H × 2H) from state $s_p$, with an activation $f$, is
#
# $$[\,\tilde c,\ \tilde h\,] = s_p W, \qquad c = \sigma(\tilde c), \qquad
#   s = s_p + c \odot \left(f(\tilde h) - s_p\right)$$
#
# ($\odot$: number by number.) The **gate** $c$ decides how much of $s_p$ is replaced. State 0 is such a step, from
# $h_{t-1}$, with tanh and with $[x_t, h_{t-1}]\,W_0$ as the product. A cell is a choice, for each step, of the
# predecessor $p$ and of $f$.

# %%
space = gl.Recurrent(hidden=32)     # the papers' search: hidden=300; trained: 850
labels = space.labels["recurrent"]
print(len(labels.edges), "edges (from, to):", *labels.edges[:6], "...")
print(len(labels.candidates), "candidates:", *labels.candidates)
cells_in_all = math.prod((step + 1) * 4 for step in range(8))
print(f"{cells_in_all:.1e} cells")

# %% [markdown]
# So alpha has 36 × 5 numbers. In the supernet of DARTS every step is the weighted sum over all its predecessors and
# activations; GDAS draws one candidate for each *edge* (`none` leaves the edge out), so that a step adds up what
# arrives.
#
# ## A cell by hand
#
# A cell is a list of (activation, predecessor), and ten lines run it. Compared with the library on some words:

# %%
functions = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "identity": lambda h: h}

def highway(state, product, name):
    gate, h = product.chunk(2, -1)
    return state + gate.sigmoid() * (functions[name](h) - state)

def cell_by_hand(network, x, hidden):
    """One word: x (batch, H), hidden (batch, H) -> the next hidden state."""
    states = [highway(hidden, torch.cat([x, hidden], -1) @ network.start, "tanh")]
    for W, (name, source) in zip(network.steps, network.genotype.steps):
        states.append(highway(states[source], states[source] @ W, name))
    return torch.stack(states[1:]).mean(0)

network = gl.network(gl.zoo_genotype("GDAS@recurrent"), hidden=32, vocabulary=data.vocabulary)
words = data.train[:8].view(4, 2)                               # 4 words of 2 texts
with torch.no_grad():
    hidden = network.start_state(2)
    for x in network.embedding[words]:
        hidden = cell_by_hand(network, x, hidden)
    logits, library = network(words)
torch.testing.assert_close(hidden, library)
print("largest difference after four words:", f"{(hidden - library).abs().max():.0e}")

# %% [markdown]
# ## The search
#
# The weights learn on the train text, alpha on the **valid text**. Each text is read in many streams side by side, cut
# into windows of 20 words, and the hidden state is carried from window to window.
#
# *Before you run it: will `none` win on most edges?*

# %%
settings = gl.search_recipe(recipe, "recurrent", "gdas")
if recipe == "lesson":
    settings = replace(settings, epochs=8, batch_size=128, alpha_learning_rate=0.02)    # shorter: 40 steps an epoch
search = gl.Search(space, data, gl.GDAS(), recipe=settings, seed=0)
for record in gl.watch(search):
    pass        # stop the cell and run it again: it goes on

# %% [markdown]
# ## How alpha moved
#
# In the lower picture (`plots.alpha_evolution(search.history)` draws it again) one panel is one edge: its row is the
# state it leads to, its column where it comes from. The dotted line is 1/5. Bold is what the derived cell uses; each
# row has one such panel, because a step keeps **one** predecessor. Pale panels are edges that it drops. Some numbers:

# %%
import numpy as np

op_probs = search.history.op_probs["recurrent"][-1]             # (edges, candidates)
best = op_probs[:, 1:].max(-1)
print(f"best activation of each edge: {best.min():.3f} to {best.max():.3f}, mean {best.mean():.3f}; even is 0.200")
print("edges where `none` is the highest:", int((op_probs.argmax(-1) == 0).sum()), "of", len(op_probs))
print(f"train loss {record.train_loss:.2f}, valid loss {record.valid_loss:.2f} nats a word: perplexity "
      f"{math.exp(record.valid_loss):.1f} with shared weights and random draws")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Not on most: the second line printed has the count.
# </details>

# %% [markdown]
# What else the numbers and the picture say:
#
# - **When?** The bold lines part in the last epochs; many a pale one rises early and falls back. The gradient of alpha
#   has the factor 1 / tau, and tau falls from 10 to 0.1; it is below 2 in the last two epochs only. So this short
#   search decides late, on few draws.
# - **Height**: all probabilities stay well below 1, as in the other spaces. Ranking decides, and a slightly
#   different run can order two close lines the other way.
# - **The first panel**: the lines of edge 0→1 coincide, at 1/5, as if it had learned nothing at all.
#
# *Before you run it: has it? State 1 has this one predecessor, and in the supernet every state passes through a batch
# norm.*
#
# Here is the gradient of alpha, summed over some draws, edge by edge:

# %%
from gdas_lite.search.algorithms import Sampler

def alpha_gradient(algorithm, draws):
    """Sizes of the gradient of the valid loss for each edge, added up over some draws; (edges,)."""
    pair, total = next(search.task.pairs(seed=0, epoch=0)), 0
    draw = Sampler(space, 1.0, torch.Generator().manual_seed(0))       # at temperature 1
    for _ in range(draws):
        mixtures = algorithm.mixtures(search.state.alphas, draw)
        loss = search.task.objective(search.state.supernet, mixtures, pair.valid).loss
        total = total + torch.autograd.grad(loss, list(search.state.alphas.values()))[0].abs().sum(-1)
    return total

for name, algorithm, draws in (("GDAS", gl.GDAS(), 8), ("DARTS", gl.DARTS(order=1), 1)):
    sizes = alpha_gradient(algorithm, draws)
    print(f"{name:5} edge 0→1: {sizes[0]:.0e}, the others: {sizes[1:].median():.0e} in the median")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Nothing at all, under GDAS. It runs one candidate on the edge, so state 1 is $w \cdot s$ with a single number $w = 1$,
# and batch norm removes every such factor: the loss does not depend on $w$, so nothing reaches alpha. The first step of
# a cell found by GDAS is decided by chance. (The small remainder comes from the number added under batch norm's root.)
# In DARTS all candidates are added, and their ratios survive the batch norm. The GDAS paper does not discuss this, and
# we do not know whether its own search had the problem: the code of that search was not published.
# </details>

# %% [markdown]
# Here is the cell; the number beside each operation is its probability.

# %%
from gdas_lite.visual.diagrams import CellDrawing, edge_probabilities

CellDrawing(search.genotype, probabilities=edge_probabilities(search.genotype, search.history))

# %% [markdown]
# ## Beside published cells
#
# All of these were found on the Penn Treebank, those of GDAS and DARTS with 300 units, in searches of hours on a GPU.
# What do they have in common? Look at the most frequent activation, and at the **depth**: the number of steps from
# state 0 to the last.

# %%
names = ("GDAS", "DARTS_V1", "DARTS_V2", "ENAS")
published_cells = {name: gl.zoo_genotype(name, "recurrent") for name in names}
gl.Gallery({"found here": search.genotype, **published_cells})

# %%
def depth(genotype):
    depths = [0]
    for _, source in genotype.steps:
        depths.append(depths[source] + 1)
    return max(depths)

for name, cell in {"found here": search.genotype, **published_cells}.items():
    used = [name for name, _ in cell.steps]
    print(f"{name:10} depth {depth(cell):2}", {f: used.count(f) for f in functions if f in used})
print("\npublished, Penn Treebank:")
for name in names:
    results = gl.published(name, space="recurrent", data="ptb", metric="test_perplexity")
    print(results[0])

# %% [markdown]
# <details><summary>Answer</summary>
#
# In each of the four `relu` is the most frequent activation. In depth they differ.
# </details>

# %% [markdown]
# ## Train what came out
#
# Now language models are built from cells and trained from new weights, with the **same number of weights**: those of
# the eight-step cells with 32 units. The tanh RNN is $h_t = \tanh([x_t, h_{t-1}] W)$, one small matrix, so it gets more
# units. The random cell is one uniform draw from the space.
#
# All gated cells have the learning rate 10. A tanh RNN does not train at every rate, so it gets two: 10 and 5.
#
# *Before you run it: predict the order of the rows. Where do you put the tanh RNN?*

# %%
from gdas_lite.training.plain_rnn import equally_large

generator = torch.Generator().manual_seed(0)
random_cell = space.genotype_of(space.random_mixtures(generator))
cells = {"found here": search.genotype, "random cell": random_cell, "GDAS": published_cells["GDAS"],
         "DARTS_V2": published_cells["DARTS_V2"]}
weights = gl.count_parameters(gl.network(search.genotype, 32, data.vocabulary))
rnn_units = equally_large(weights, data.vocabulary)

def build(name):
    return gl.network(cells[name], 32, data.vocabulary) if name in cells else gl.PlainRNN(rnn_units, data.vocabulary)

rates = dict.fromkeys(cells, 10.0) | {"tanh RNN, rate 5": 5.0, "tanh RNN, rate 10": 10.0}
for name in rates:
    print(f"{name:18} {build(name).hidden_size:3} units {gl.count_parameters(build(name)):6,} weights")

# %%
epochs = {"lesson": 5, "smoke": 1}.get(recipe)
settings = gl.language_recipe(recipe, data.name)
if epochs:          # many streams in the evaluation, too: a word takes as long for 64 of them as for one
    settings = replace(settings, epochs=epochs, batch_size=64, valid_batch=64, test_batch=64)
twice = ("found here", "random cell", "tanh RNN, rate 5") if recipe != "smoke" else ()
seeds = {name: [0, 1] if name in twice else [0] for name in rates}

curves = {}
for name, rate in rates.items():
    for seed in seeds[name]:
        run = gl.LanguageTraining(build(name), data, recipe=replace(settings, learning_rate=rate), seed=seed).run()
        curves[name, seed] = [record.evaluation["valid"]["perplexity"] for record in run.history]
        print(f"{name:18} seed {seed}: validation perplexity", *(f"{value:6.2f}" for value in curves[name, seed]))

# %% [markdown]
# The same as a picture. Lines of one colour differ by nothing but the seed: initial weights, dropout and window
# lengths.

# %%
from gdas_lite.visual.figure import new_figure, styled
from gdas_lite.visual.palette import STRONG

COLOURS = {"found here": "#C2185B", "random cell": "#8A8F98", "GDAS": "#1B7F5C", "DARTS_V2": "#D9822B",
           "tanh RNN, rate 5": "#7B5EA7", "tanh RNN, rate 10": "#2F6DB5"}
@styled
def draw(curves):
    figure = new_figure(3.8, 8.0)
    axes = figure.subplots()
    axes.set_yscale("log")          # ticks before the curves: afterwards they would stretch the axis
    axes.set_yticks([7, 8, 10, 14, 20, 40], ["7", "8", "10", "14", "20", "40"])
    for (name, seed), values in curves.items():
        axes.plot(range(1, len(values) + 1), values, ".-", color=COLOURS[name], lw=2 if name == "found here" else 1.2,
                  label=name if seed == 0 else None)
    axes.axhline(data.perplexity_floor, color=STRONG, ls=":")
    axes.annotate(f"floor {data.perplexity_floor:.2f}", (1, data.perplexity_floor), xytext=(0, 3),
                  textcoords="offset points", fontsize=8.5)
    axes.set(xlabel="epochs done", ylabel="validation perplexity, log scale", xticks=range(1, len(values) + 1))
    axes.minorticks_off()
    axes.legend(frameon=False, ncols=2)
    lowest = min(curves, key=lambda key: curves[key][-1])
    return figure.state(f"after {len(values)} epochs the lowest is {lowest[0]}, {curves[lowest][-1]:.2f}; "
                        f"the floor is {data.perplexity_floor:.2f}")

draw(curves)

# %% [markdown]
# What this figure can say, computed:

# %%
last = {name: [curves[name, seed][-1] for seed in seeds[name]] for name in rates}
for name, values in last.items():
    spread = f", seeds apart by {np.ptp(values):.2f}" if len(values) > 1 else ", one seed"
    print(f"{name:18} {np.mean(values):6.2f}{spread}")
widest = max(np.ptp(values) for values in last.values())
found = np.mean(last["found here"])
for name in rates:
    distance = np.mean(last[name]) - found
    if name != "found here":
        print(f"found here is {abs(distance):.2f} {'below' if distance > 0 else 'above'} {name}:",
              "more than seeds differ" if abs(distance) > widest else "no more than seeds differ")

# %% [markdown]
# <details><summary>Answer</summary>
#
# There is no order to predict: the rows whose learning rate suits them lie no farther apart than two seeds of one row.
# The tanh RNN with rate 5 is ahead early and level at the end; with the gated cells' rate its curve jumps and ends
# last. That is one seed at one rate; it suggests, and does not show, that gates allow larger steps.
# </details>

# %% [markdown]
# So **this lesson does not show that the search found a better cell than chance does**, nor a better one than a plain
# RNN with a rate that suits it. All rows are still above the floor.
#
# What the figure cannot say: there is **one** search and one random cell, so other search seeds are unknown. Two seeds
# are a poor estimate of a spread. A few epochs reward cells that learn *fast*. The published cells were chosen for
# 10,000 words, 850 units and thousands of epochs; their authors' own comparison is printed above, without a spread.
#
# ## Exercise 7.1: the perplexity of a text
#
# 5 minutes · difficulty ●○○○○ · importance ●●●●○
#
# A text is scored window by window: each window has a mean loss (nats per word) and a number of words. Make one
# perplexity of them.

# %%
def perplexity_of(losses, counts):
    """The perplexity of the whole text. losses: mean of each window, in nats per word; counts: words of each window."""
    raise NotImplementedError("exercise 7.1")

# %%
from gdas_lite.lessons import check

print(check("7.1", perplexity_of))

# %% [markdown]
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def perplexity_of(losses, counts):
#     return math.exp(sum(loss * count for loss, count in zip(losses, counts)) / sum(counts))
# ```
#
# The exponential comes last: $e^L$ is convex, so a mean of perplexities is never lower than the perplexity of the mean
# loss, and one bad window can dominate it.
# </details>

# %% [markdown]
# ## Exercise 7.2: from alpha to a step
#
# 10 minutes · difficulty ●●○○○ · importance ●●●●○
#
# Write the rule by which a step gets its predecessor and its activation: an edge counts as much as its **best candidate
# other than `none`**, by softmax(alpha) *of that edge, `none` included*; the best edge wins.

# %%
CANDIDATES = labels.candidates

def derive_step(alpha):
    """alpha (predecessors, 5), columns as in CANDIDATES. Returns (activation, predecessor)."""
    raise NotImplementedError("exercise 7.2")

# %%
print(check("7.2", derive_step))

# %% [markdown]
# <details><summary>Hint</summary>
#
# `alpha.softmax(-1)[:, 1:]` are the probabilities that are ranked. The largest of all has a row and a column.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def derive_step(alpha):
#     op_probs = alpha.softmax(-1)[:, 1:]                 # none takes part in the softmax, and is then left out
#     source = int(op_probs.max(-1).values.argmax())
#     return CANDIDATES[1 + int(op_probs[source].argmax())], source
# ```
#
# A derived step has to have an input, so `none` is no answer. The code that the GDAS authors released ranks `none` with
# the others and would write it into the cell, and then neither code base can run the cell. This kit has both readings
# by name: `gl.Recurrent(none="counted")` ranks as that code does.
# </details>

# %% [markdown]
# Your rule on the alpha of the search above, for the last step, beside the library's:

# %%
from gdas_lite.lessons import use

derive_step = use("7.2", derive_step)
alpha = torch.from_numpy(search.history[-1].alphas["recurrent"])
print("yours", derive_step(alpha[-8:]), "the library's", search.genotype.steps[-1])     # its edges are the last eight

# %% [markdown]
# ## What can go wrong
#
# - *`the loss became nan`, or a curve jumps up*: the learning rate is too large for this cell. A window's rate is
#   proportional to its length, and gradients are clipped; a tanh RNN still needs a smaller rate than the gated cells.
# - *The loss stands still for the first epochs*: at the published initialisation (±0.04) hardly anything passes through
#   eight steps of a cell with few units. The small recipes draw from ±0.2; see `gl.LanguageRecipe.init_range`.
# - *The perplexity is below the floor*: on a short text this happens by luck, as the grammar's own score above shows.
# - *The search's loss is far above that of the trained cells*: shared weights under random draws, and one network
#   trained for itself. They are different quantities; never compare them.
#
# ## Recap
#
# - A recurrent cell is eight gated steps, $s = s_p + c \odot (f(\tilde h) - s_p)$, and a choice of predecessor and
#   activation for each; alpha has 36 × 5 numbers.
# - A perplexity means something beside its floor and beside simple baselines. With a grammar the floor is exact.
# - Cells of equal size differ in how fast they learn. Whether a found cell is *better* takes more seeds, more searches
#   and more random cells than a lesson has time for.
#
# **Next**: `08_landscape`, all cells of a space at once. Or `gl.load_data("ptb")` if you have the Penn Treebank, or any
# text file of your own by its path; `recipe="paper"` and a GPU for the published protocol; `gdas-lite train
# GDAS@recurrent --data ptb` for a published cell.
