# %% [markdown]
# # Transfer to ImageNet, and several GPUs
#
# **Course**: [0 Quick start](00_quickstart.ipynb) · [1 Spaces](01_spaces.ipynb) · [2 Gumbel](02_gumbel.ipynb) ·
# [3 GDAS](03_gdas.ipynb) · [4 DARTS](04_darts.ipynb) · [5 NASNet](05_nasnet.ipynb) · [6 Training](06_training.ipynb) ·
# [7 Recurrent cells](07_recurrent.ipynb) · [8 Landscape](08_landscape.ipynb) · [9 Failures](09_failures.ipynb) ·
# [10 Own pictures](10_own_pictures.ipynb) · **11 ImageNet** · [12 Reproduce](12_reproduce.ipynb) ·
# [Glossary](glossary.md)
#
# **You will see** how a cell that was searched on small images becomes an ImageNet network of under 600 million
# multiply-adds, what each of several processes does, and how long the real training would take *on this machine*.
#
# - Reading: 25 minutes, exercises 20 minutes. Computing: 1 minute on two CPU cores. No network, no GPU.
# - You need `06_training`: recipe, auxiliary head, schedule. `05_nasnet` for the cells.
# - Papers: Dong & Yang, CVPR 2019 (GDAS), section 4.2; Liu, Simonyan & Yang, ICLR 2019 (DARTS), section 3.3; Goyal et
#   al., *Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour*, 2017.

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

# %% [markdown]
# `photos` may be the path of a folder of photographs, with `train/CLASS/*.jpg` and `val/CLASS/*.jpg`. With `None` the
# notebook looks for a folder `imagenet` or `imagenet-sample-flowers` in the place that the environment variable
# `GDAS_LITE_DATA` names, and draws JPEGs itself if there is none.

# %% tags=["parameters"]
recipe = "lesson"
photos = None

# %% [markdown]
# ## The mobile setting
#
# Searching on ImageNet would be expensive (GDAS' authors tried it and report no good results), so GDAS and DARTS search
# on CIFAR-10, and **transfer**: the same cell, another stem, 14 cells instead of 20, and as many channels as a rule
# allows. The rule is the **mobile setting**: fewer than 600 million multiply-adds for an image of 224 × 224 pixels. It
# stands for what a phone can compute, and keeps papers from comparing sizes instead of cells.
#
# How many channels does a cell get? Count, by bisection. The networks are built on PyTorch's `meta` device: shapes
# only.

# %%
import gdas_lite as gl

def imagenet_network(name, channels, **settings):
    with torch.device("meta"):
        return gl.network(gl.zoo_genotype(name), channels=channels, cells=14, classes=1000, stem="imagenet", **settings)

def widths_tried(name, limit=600e6, low=16, high=80, step=2):
    """(channels, multiply-adds) of the widths that the bisection looks at; step: what channels must be divisible by."""
    tried = {}
    while high - low > step:
        middle = (low + high) // (2 * step) * step
        tried[middle] = gl.cost_of(imagenet_network(name, middle), (3, 224, 224)).multiply_adds
        low, high = (middle, high) if tried[middle] < limit else (low, middle)
    return sorted(tried.items())

# %%
from gdas_lite.lessons.figures import costs_by_width

steps = {"GDAS_V1": 2, "DARTS_V2": 2, "GDAS_F1": 4}      # the fixed reduction cell splits its channels into groups
names, between = {"smoke": (["GDAS_V1"], {"low": 48, "high": 52})}.get(recipe, (list(steps), {}))
curves = {name: widths_tried(name, step=steps[name], **between) for name in names}
costs_by_width(curves, 600e6)

# %% [markdown]
# The published widths, and what this kit counts for them beside the papers' numbers:

# %%
for name in names:
    channels = {"GDAS_V1": 50, "DARTS_V2": 48, "GDAS_F1": 52}[name]
    cost = gl.cost_of(imagenet_network(name, channels), (3, 224, 224))
    said = [f"{r.number} {r.unit}" for metric in ("params_M", "mult_adds_M")
            for r in gl.published(name, data="imagenet", metric=metric)]
    print(f"{name:9} C={channels}: {cost.parameters / 1e6:.2f} M parameters, "
          f"{cost.multiply_adds / 1e6:.0f} M multiply-adds; published {', '.join(said)}")

# %% [markdown]
# GDAS_V1's 50 channels are the widest (even) number below the limit. **The other two networks could have been wider**:
# compare their published widths with the rings of the figure. For GDAS_F1 this is certain, since our count of its
# published network is the paper's; keep it in mind when you compare its error below with those of larger networks. For
# DARTS_V2 two papers state different numbers: 4.7 M and 574 M are the DARTS paper's own, 4.9 M and 595 M those of an
# earlier version, which the GDAS paper quotes. Both state more multiply-adds than we count, and neither says how it
# counted.
#
# ## The stem
#
# At 224 × 224 pixels the first cells would be far too expensive. So the ImageNet stem halves the image three times, by
# convolutions of stride 2, before the first cell sees it. What would the same network cost with the stem of CIFAR?

# %%
with torch.device("meta"):
    wrong_stem = gl.network(gl.zoo_genotype("GDAS_V1"), channels=50, cells=14, classes=1000, stem="cifar")
factor = gl.cost_of(wrong_stem, (3, 224, 224)).multiply_adds / dict(curves["GDAS_V1"])[50]
print(f"with CIFAR's stem {factor:.0f} times the multiply-adds\n")

network, shapes = imagenet_network("GDAS_V1", 50).eval(), {}
for index, part in enumerate(network.cells):
    part.register_forward_hook(lambda part, _, out, index=index: shapes.update({index: (part, tuple(out.shape[1:]))}))
with torch.no_grad():
    older, newer = network.stem(torch.empty(1, 3, 224, 224, device="meta"))
    network(torch.empty(1, 3, 224, 224, device="meta"))
print("stem, c_{k-2} and c_{k-1}:", tuple(older.shape[1:]), tuple(newer.shape[1:]))
reductions = [index for index in shapes if index in (14 // 3, 2 * 14 // 3)]
for index in (0, *reductions, 13):
    print(f"cell {index:2}, {'reduction' if index in reductions else 'normal':9}", *shapes[index][1])

# %% [markdown]
# ## What was published
#
# Errors in percent. ImageNet has 1,000 classes, many of them similar, so two errors are stated: **top-1**, and
# **top-5**, where an image counts as right if its class is among the five largest logits.

# %%
rows = {}
for r in gl.published(space="nasnet", data="imagenet"):
    rows.setdefault((r.source, r.name, r.setting), {})[r.metric] = r.number
print(f"{'published':10} {'top-1':>6} {'top-5':>6} {'M param':>7} {'M mult-add':>9}")
for (source, name, setting), values in rows.items():
    numbers = [values.get(key, "-") for key in ("top1_error", "top5_error", "params_M", "mult_adds_M")]
    print("{:10} {:>6} {:>6} {:>7} {:>9}".format(name, *numbers), f"  {source}{', ' if setting else ''}{setting}")

# %% [markdown]
# No row has a spread: one training each, as far as the papers say. And the 26.0 of GDAS is the *best* epoch on the
# images that it is reported on; the last epoch of the same log has 26.15. The largest top-1 error is that of GDAS_F1,
# whose network is a sixth smaller than the limit allows.
#
# ## Exercise 11.1: top-5 accuracy
#
# 10 minutes · difficulty ●○○○○ · importance ●●●○○

# %%
def top_five(logits, labels):
    """logits (B, classes), labels (B,). Returns the percentage of images whose label is in the top five."""
    raise NotImplementedError("exercise 11.1")

# %%
from gdas_lite.lessons import check

print(check("11.1", top_five))

# %% [markdown]
# <details><summary>Hint</summary>
#
# `logits.topk(5, dim=-1).indices` is (B, 5). Compare it with `labels[:, None]`.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def top_five(logits, labels):
#     among = logits.topk(5, dim=-1).indices == labels[:, None]
#     return 100 * among.any(-1).float().mean().item()
# ```
#
# At most one of the five can be right, so `any` counts images. With five classes or fewer, every image is right.
# </details>

# %% [markdown]
# In this kit every evaluation with more than five classes reports it: `training.result["test"].top5`, and
# `gdas-lite evaluate`.
#
# ## Photographs
#
# A million photographs do not fit into memory. They are read from their files, in as many processes as there are cores,
# while the network computes. The next cells look for some, or draw some.

# %%
import tempfile
from pathlib import Path
from PIL import Image
from gdas_lite.data.places import places

scratch = tempfile.TemporaryDirectory()         # everything this notebook writes; gone at its end

def draw_jpegs(folder):
    """JPEGs of 120 x 96 pixels from the embedded digits, in class folders: 12 a class to train, 4 to evaluate."""
    digits = gl.load_data("digits").train
    for label in range(10):
        images = digits.images[digits.labels == label]
        for part, numbers in (("train", range(12)), ("val", range(12, 16))):
            (folder / part / f"digit {label}").mkdir(parents=True)
            for number in numbers:
                picture = Image.fromarray(images[number, 0].numpy()).resize((120, 96), Image.Resampling.BICUBIC)
                picture.convert("RGB").save(folder / part / f"digit {label}" / f"{number}.jpg", quality=90)
    return folder

usual = (folder / name for folder, _ in places() for name in ("imagenet", "imagenet-sample-flowers"))
found = Path(photos) if photos else next((folder for folder in usual if (folder / "train").is_dir()), None)

# %%
from dataclasses import replace
import numpy as np

def some(images, most):
    """At most so many images, spread evenly over the classes: for the case that `found` is all of ImageNet."""
    chosen = np.linspace(0, len(images) - 1, min(most, len(images))).round().astype(int)
    return replace(images, names=images.names[chosen], labels=images.labels[chosen])

folder = found or draw_jpegs(Path(scratch.name) / "drawn")
pixels, most = {"smoke": (64, 48)}.get(recipe, (96, 200))
data = gl.load_data(str(folder), streamed=True, image_size=pixels, num_workers=0)       # 0: read in this process
data = replace(data, train=some(data.train, most), evaluation={"test": some(data.evaluation["test"], most)})
print(f"photographs from the folder {found.name}" if found else "no photographs found: JPEGs drawn from the digits")
print(f"{data.classes} classes, {len(data.train)} training images, {len(data.evaluation['test'])} to evaluate on")

# %% [markdown]
# ## The augmentation, as pictures
#
# Each image is changed anew each time: a random part of 8 to 100 % of its area, stretched to a square; mirrored or not;
# brightness, contrast, saturation and hue changed (quark0/darts and the original GDAS code). AutoDL-Projects' code adds
# a shift of the colours, the *lighting*. For an evaluation: shorter side to 256 pixels, the middle 224 × 224. The
# photograph comes with scikit-learn (china.jpg, by danielbuechele, CC BY 2.0).

# %%
from sklearn.datasets import load_sample_image
from gdas_lite.data.augment import PhotoAugmentation, seeded
from gdas_lite.data.pictures import photo_reading
from gdas_lite.lessons.figures import pictures

photo = Image.fromarray(load_sample_image("china.jpg"))

def as_array(picture):
    return np.asarray(picture).transpose(2, 0, 1)

def drawn(augmentation, count=6):
    with seeded(8):
        return np.stack([as_array(augmentation.transform(112)(photo)) for _ in range(count)])

pictures({"evaluation": as_array(photo_reading(112).cut(photo))[None], "darts": drawn(PhotoAugmentation("darts")),
          "autodl": drawn(PhotoAugmentation("autodl")),
          "autodl,\nlighting 255": drawn(PhotoAugmentation("autodl", 255.0))},
         "One photograph: as it is evaluated, and as training sees it, six times each", height=1.1)

# %% [markdown]
# Some crops hold hardly anything of the building. A network that is trained for 250 epochs sees 250 crops of each
# photograph.
#
# Compare the last two rows: only the lighting differs. The code of AutoDL-Projects adds a shift made for pixels in 0..1
# to pixels in 0..255, so it changes almost nothing. `lighting_scale=255` is probably what was meant; no published
# number was made with it.
#
# ## A smoke run
#
# The whole way at toy size: files, augmentation, the ImageNet stem, label smoothing, the falling rate. In so few steps
# nothing is learned, so loss and accuracies mean nothing. The result is that it runs to its end.

# %%
epochs = {"smoke": 1}.get(recipe, 2)
toy = gl.training_recipe("paper-imagenet", "nasnet", epochs=epochs, batch_size=16, auxiliary_weight=0.0)
network = gl.network(gl.zoo_genotype("GDAS_F1"), channels=8, cells=4, classes=data.classes, stem="imagenet")
training = gl.Training(network, data, recipe=toy, seed=0)
for record in training:
    print(f"epoch {record.epoch + 1}: loss {record.train_loss:.2f}, {record.images_per_second:.0f} images/s")
score = training.result["test"]
top_5 = f"top-5 {score.top5:.1f} %" if score.top5 is not None else "no top-5: too few classes"
print(f"top-1 {score.accuracy:.1f} %,", top_5)

# %% [markdown]
# ## How long would the real thing take here?
#
# Measure a step and multiply. The network below is the published one (GDAS_V1, C = 50, 14 cells, auxiliary head), the
# images have 224 pixels, and the data set is a stand-in of ImageNet's size: 1,281,167 files, namely those we have,
# again and again. Only the batch is smaller than the published 128, so that it fits a laptop. *Before you run it: days?
# weeks?*

# %%
import time

size = {"smoke": (4, 64, 8)}.get(recipe, (8, 224, 50))      # batch, pixels, channels
count, train = 1_281_167, data.train
repeated = replace(train, names=np.resize(train.names, count),
                   labels=torch.from_numpy(np.resize(train.labels.numpy(), count)))
stand_in = replace(data, name="imagenet", image_size=size[1], class_names=tuple(map(str, range(1000))), train=repeated)
has_head = size[1] >= 193       # the auxiliary head needs maps of that size
real = gl.training_recipe("paper-imagenet", "nasnet", batch_size=size[0], auxiliary_weight=0.4 * has_head)
network = gl.network(gl.zoo_genotype("GDAS_V1"), channels=size[2], cells=14, classes=1000, stem="imagenet",
                     auxiliary=has_head)
run = gl.Training(network, stand_in, recipe=real, seed=0)
step = run.begin_epoch()
next(step)                      # the first one warms up
measured, start = {"smoke": 1}.get(recipe, 4), time.perf_counter()
for _ in range(measured):
    next(step)
progress = gl.progress(run, steps_done=measured, seconds=time.perf_counter() - start)
print(f"{progress.images_per_second:.2f} images/s; "
      f"{real.epochs} epochs would take {progress.seconds_left / 86400:,.0f} days")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Months or years: a CPU is for learning how it works, and not for more.
# </details>

# %% [markdown]
# The number is rough: a few steps of a small batch, the decoding of the pictures included, beside whatever else the
# machine does. Notebook 12 and `benchmarks/results` measure without decoding and find fewer days.
# `print(gl.progress(training))` gives the same estimate with the published errors beside it, and `gdas-lite train`
# prints it after the first epoch.
#
# ## The commands
#
# The program's own parser checks each line before it is printed.

# %%
import shlex
import textwrap
from gdas_lite.reproduction.cli.parser import build_parser

cell = ("GDAS_V1 --data imagenet --data-root DATA --channels 50 --cells 14 --with pool_norm=true "
        "--with auxiliary_last_norm=false --recipe paper-imagenet --seed 0 --out runs/v1")
four = "torchrun --standalone --nproc-per-node=4 -m gdas_lite"
commands = {
    "one GPU": f"gdas-lite train {cell}",
    "half precision where it is safe": f"gdas-lite train {cell} --precision bf16",
    "four GPUs of one machine": f"{four} train {cell}",
    "statistics of the whole batch": f"{four} train {cell} --sync-batch-norm",
    "two machines of 8 GPUs": f"torchrun --nnodes=2 --nproc-per-node=8 --rdzv-backend=c10d --rdzv-endpoint=FIRST:29500 "
                              f"-m gdas_lite train {cell}",
    "go on after a stop": f"{four} resume runs/v1 --data-root DATA",
    "top-1 and top-5": "gdas-lite evaluate runs/v1 --data-root DATA"}
for what, command in commands.items():
    words = command.replace("torchrun", "").split("gdas_lite ")[-1].removeprefix("gdas-lite ")
    build_parser().parse_args(shlex.split(words))
    lines = textwrap.wrap(command, 96, break_long_words=False, break_on_hyphens=False)
    print(f"# {what}", " \\\n    ".join(lines), "", sep="\n")

# %% [markdown]
# ## What each process does
#
# `torchrun` starts the same program several times; each process finds its number, the **rank**, in its environment. All
# processes hold the same weights. In a step each computes the gradient on its part of the batch, the gradients are
# averaged, and all take the same step. **The batch size of a recipe is that of the whole training**: with more
# processes the parts get smaller, and nothing else changes.

# %%
from gdas_lite.runs.shards import Shard

for batch, world in ((128, 4), (7, 3)):
    for rank in range(world):
        shard = Shard(rank, world)
        first, end = shard.bounds(batch)
        print(f"batch of {batch}, process {rank} of {world}: images {first} to {end - 1}, "
              f"loss times {shard.loss_scale(batch):.3f}")

# %% [markdown]
# ## Exercise 11.2: what a part weighs
#
# 10 minutes · difficulty ●●●○○ · importance ●●●●○
#
# Seven images do not split evenly among three. Each process has the *mean* loss of its part, and the gradients of the
# processes are *averaged*. By what must each multiply its loss, so that the average is the gradient of the mean loss
# over all images?

# %%
def loss_scales(sizes):
    """sizes: images of each process's part, a list. Returns the factor for the mean loss of each part, a list."""
    raise NotImplementedError("exercise 11.2")

# %%
print(check("11.2", loss_scales))

# %% [markdown]
# <details><summary>Hint</summary>
#
# Write the mean over all images as a sum over parts: a part contributes its size / all × its mean. Then think of the
# average over processes, which divides by their number.
# </details>
#
# <details><summary>Solution, with the reason</summary>
#
# ```python
# def loss_scales(sizes):
#     return [len(sizes) * size / sum(sizes) for size in sizes]
# ```
#
# Even parts have factors of 1, so code without factors looks right until the last, short batch of an epoch.
# </details>

# %% [markdown]
# ## What is not the same: batch norm
#
# Batch norm takes its mean and variance from the images that *its process* sees. With parts of 32 images this is
# harmless. With parts of 2 it is not:

# %%
import torch.nn.functional as F

values = torch.randn(64, 16, 7, 7, generator=torch.Generator().manual_seed(0))
values = values * torch.linspace(0.5, 2, 64)[:, None, None, None]
values = values[torch.randperm(64, generator=torch.Generator().manual_seed(1))]
whole = F.batch_norm(values, None, None, training=True)
for part in (32, 16, 8, 4, 2):
    parts = torch.cat([F.batch_norm(piece, None, None, training=True) for piece in values.split(part)])
    print(f"64 images in parts of {part:2}: outputs differ from those of the whole "
          f"by {(parts - whole).square().mean().sqrt():.3f} (root mean square)")

# %% [markdown]
# `--sync-batch-norm` lets the processes share their sums, so that all normalise by the whole batch. It is PyTorch's own
# layer, for GPUs only, and costs communication; the published code for several GPUs does not use it.
#
# Searches on images run in the same way (`torchrun ... -m gdas_lite search`): all processes draw the same cell, and the
# gradients of weights and alpha are averaged before they are clipped; `--seeds 0..7` gives each process seeds of its
# own instead.
#
# ## Two processes, for real, and a stop in between
#
# No GPU is needed to see it: processes can communicate through `gloo` on a CPU. The plan: train one epoch in this
# notebook, stop, and let **two** processes go on from the run folder. We compare with the same training in one piece,
# and with one that is resumed by one process.

# %%
digits = gl.load_data("digits")
digits = replace(digits, train=digits.train.subset(range({"smoke": 64}.get(recipe, 320))))
plan = gl.training_recipe("lesson", "nasnet", epochs=2, batch_size=32, learning_rate=0.05)

def begin(out=None):
    network = gl.network(gl.zoo_genotype("DARTS_V2"), channels=8, cells=3, classes=10, image_channels=1)
    return gl.Training(network, digits, recipe=plan, seed=0, out=out, device="cpu")

whole = begin().run()
stopped = begin(Path(scratch.name) / "run")
stopped.run_epoch()
stopped.close()                 # as if the power had failed here
print("in one piece: epochs", whole.epochs_done, "| stopped: epochs", stopped.epochs_done)

# %% [markdown]
# The two processes need a program of their own. It is short, because the folder knows everything else. (On all of a
# data set that the kit knows by name no program is needed: `torchrun ... -m gdas_lite resume RUN`.)

# %%
import shutil, subprocess

shutil.copytree(Path(scratch.name) / "run", Path(scratch.name) / "alone")
(Path(scratch.name) / "go_on.py").write_text(f"""
import sys
import gdas_lite as gl
from dataclasses import replace
data = gl.load_data("digits")
data = replace(data, train=data.train.subset(range({len(digits.train)})))
run = gl.resume("run", data, "cpu")
shard = run.group.shard
run.run()
line = "process %d of %d did images %s of each full batch\\n" % (shard.rank, shard.world, shard.bounds(32))
sys.stdout.write(line)          # at once: what two processes print word by word may be mixed
run.close()
""")
environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(gdas_lite.__file__).parents[1])}
command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "go_on.py"]
done = subprocess.run(command, cwd=scratch.name, env=environment, capture_output=True, text=True)
assert done.returncode == 0, done.stderr[-2000:]
print(*sorted(done.stdout.splitlines()), sep="\n")

# %% [markdown]
# *Before you run the next cell: will the three trainings have the same weights?*

# %%
alone = gl.resume(Path(scratch.name) / "alone", digits, "cpu").run()
alone.close()
by_two = gl.load_network(Path(scratch.name) / "run")
ours = whole.network.state_dict()
for name, network in (("resumed by one process", alone.network), ("resumed by two processes", by_two)):
    gaps = [float((value - ours[key]).abs().max()) for key, value in network.state_dict().items()]
    print(f"{name:25} largest difference of a number in the network: {max(gaps):.0e}")
assert all(torch.equal(value, ours[key]) for key, value in alone.network.state_dict().items())

# %% [markdown]
# <details><summary>Answer</summary>
#
# Resumed by one process: bit for bit the same. Resumed by two: another training from there on, because each process
# normalises by its half of each batch. The kit warns when a run goes on with another number of processes. Without batch
# norm only the order of the sums would differ, and with it the last digits.
# </details>

# %% [markdown]
# ## More GPUs, larger batches, larger rates
#
# With the recipe's 128 images, eight GPUs have 16 each and wait for each other much of the time. Larger batches avoid
# this, but then the recipe has to change. The usual rule is **linear scaling** (Goyal et al. 2017): $k$ times the
# batch, $k$ times the learning rate, and a warm-up, because the training diverges if it starts with such a rate. For 8
# × 128 images in all:

# %%
scaled = gl.training_recipe("paper-imagenet-autodl", "nasnet")
print(f"{scaled.name}: batch {scaled.batch_size}, rate {scaled.learning_rate}, warm-up {scaled.warm_up_epochs} epochs")
k = 1024 // scaled.batch_size
print(f"--set batch_size=1024 --set learning_rate={k * scaled.learning_rate:g}")

# %% [markdown]
# This is a rule of thumb for a *different* training; we know of no published GDAS numbers with it.

# %%
scratch.cleanup()

# %% [markdown]
# ## What can go wrong
#
# - *A file cannot be read, after hours.* By default the run stops and names it; the last checkpoint is good.
#   `--data-option on_error=skip` reads every file once before it begins and leaves out what cannot be read, and
#   `unreadable_photos(data)` in `gdas_lite.data.photos` looks at all of them beforehand.
# - *The GPU is idle half of the time.* Decoding JPEGs is the limit: compare images/s with a second run of the same
#   command, when the files are in the memory cache. A process reads with as many workers as it has cores, 8 at most.
# - *`batch_size ... is that of the whole training, and ... processes would have fewer than 2 images each`*: start fewer
#   processes.
# - *The validation pictures have no class folders*: ILSVRC's own archive is flat; the usual `valprep.sh` sorts it.
# - *Other numbers of parameters, or a run that fills no row of notebook 12.* The original GDAS code leaves a batch norm
#   out in the auxiliary head, and has others, without parameters, after its poolings: hence the two `--with` in the
#   commands above.
#
# ## Recap
#
# - Transfer keeps the cell and changes the network around it: stem of stride 8, 14 cells, channels up to 600 million
#   multiply-adds.
# - A batch is divided among processes; part $i$ of $n_i$ images has its mean loss multiplied by $P\, n_i / \sum_j n_j$,
#   with $P$ processes, and the averaged gradient is that of the whole batch. Batch norm alone sees parts, unless it is
#   synchronised.
# - Report top-1 and top-5 of the last epoch, and measure the time before you start.
#
# **Next**: `12_reproduce`, every published number beside its command. `gdas-lite train --help` lists what a training
# takes; `benchmarks/README.md` has a command for each script of the original repositories.
