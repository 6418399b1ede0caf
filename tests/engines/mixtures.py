"""A pass of a supernet under every kind of mixture: what an engine finds beside double precision and PyTorch in float32.

    wanted, plain = truth(case), plain_in_float32(case)
    assert_as_good(engine(case), wanted, plain)

Values near a corner (a ReLU near 0, two nearly equal pixels under a maximum) fall on either side by rounding, and a
gradient jumps there. With 15 cells (C=16, 16x16, batch 8) two of a million ReLUs on their other side, in double precision,
change alpha's gradient by 2e-3 to 1e-1; so plain float32 was off by 1e-2 where the kernels had 8e-6, and the other way round
with another seed, though the kernels' logits were always the nearer. So `example` looks for weights and images whose values
keep their distance: then no engine is off by more than three times what plain float32 is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import gdas_lite as gl
from gdas_lite.engines import cpu, cuda, layers
from gdas_lite.engines.cuda.draws import DeviceMixture
from gdas_lite.relaxation import Mixture, fixed_mixture, hard_gumbel, soft_mixture

SIDE, CLASSES, DISTANCE = 8, 4, 3e-6
SPACES = {"nasbench201": gl.NASBench201(8, 1), "nasnet": gl.NASNet(8, cells=3)}
BATCH = {"nasbench201": 4, "nasnet": 3}
CELLS = {"nasbench201": (3, 1, 2, 0, 4, 3), "nasnet": tuple((3 * row + 1) % 8 for row in range(14)),
         "recurrent": tuple((3 * row + 1) % 5 for row in range(36))}        # every candidate
Alphas = dict[str, Tensor]


def gumbel(variant: str, is_constant: bool = False, nones: int = 0
           ) -> Callable[[gl.NASBench201 | gl.NASNet, Alphas], dict[str, Mixture]]:
    """GDAS, with noise that draws the cell of CELLS, `none` on its first edges."""
    def mixtures(space: gl.NASBench201 | gl.NASNet, alphas: Alphas) -> dict[str, Mixture]:
        columns, found = (0,) * nones + CELLS[space.name][nones:], {}
        for kind, alpha in alphas.items():
            noise = 10 * F.one_hot(torch.tensor(columns), alpha.shape[1]).to(alpha.dtype)
            sample = hard_gumbel(alpha.detach() if is_constant else alpha, 10.0, noise)
            found[kind] = Mixture(sample, tuple((one,) for one in columns), is_hard=True, adds_unsampled=variant == "N")
        return found
    return mixtures


def some_excluded(alpha: Tensor) -> Mixture:
    """GDAS where alpha lacks the first and the last candidate."""
    columns = tuple((2 * row + 1) % (alpha.shape[1] - 2) for row in range(len(alpha)))
    noise = 10 * F.one_hot(torch.tensor(columns), alpha.shape[1] - 2).to(alpha.dtype)
    sample = hard_gumbel(alpha[:, 1:-1], 10.0, noise)
    return Mixture(sample, tuple((one,) for one in columns), True, adds_unsampled=True).around((0, alpha.shape[1] - 1))


def of_each(make: Callable[[Tensor], Mixture]) -> Callable[[object, Alphas], dict[str, Mixture]]:
    return lambda _, alphas: {kind: make(alpha) for kind, alpha in alphas.items()}


def weighed(alpha: Tensor, width: int) -> Mixture:
    """What no algorithm of the kit makes: `width` neighbouring candidates an edge, with weights that are not 1."""
    edges, candidates = alpha.shape
    return Mixture(alpha.detach().softmax(-1), tuple(tuple((row + shift) % candidates for shift in range(width))
                                                     for row in range(edges)))


KINDS = {       # of space and alphas
    "soft": of_each(soft_mixture),
    "soft without gradient": of_each(lambda alpha: soft_mixture(alpha.detach())),       # a weight step of DARTS
    "hard P": gumbel("P"),
    "hard N": gumbel("N"),
    "hard without gradient": gumbel("P", is_constant=True),                             # a weight step of GDAS
    "hard N without gradient": gumbel("N", is_constant=True),
    "fixed": lambda space, alphas: {kind: fixed_mixture(CELLS[space.name], one.shape[1]) for kind, one in alphas.items()},
    "soft, some excluded": of_each(lambda alpha: soft_mixture(alpha[:, 1:-1]).around((0, alpha.shape[1] - 1))),
    "hard N, some excluded": of_each(lambda alpha: some_excluded(alpha)),
    "hard N, a node of zeros": gumbel("N", nones=2),
    "uniform": lambda space, alphas: space.random_mixtures(torch.Generator().manual_seed(2)),
    "two of many": of_each(lambda alpha: weighed(alpha, 2)),
    "one, weighed": of_each(lambda alpha: weighed(alpha, 1)),
}
LIKE = {"soft without gradient": "soft", "hard P": "fixed", "hard N": "fixed", "hard without gradient": "fixed",
        "hard N without gradient": "fixed"}
ON_DEVICE = tuple(KINDS)[:-2]       # all candidates, or one with weight 1


class Case(NamedTuple):
    space: str
    kind: str
    trains: bool
    tracked: bool

    def __str__(self) -> str:
        return "-".join((self.space, self.kind.replace(" ", "_"), "train" if self.trains else "eval",
                         "tracked" if self.tracked else "batch"))


def every_case(space: str, kinds: tuple[str, ...] = tuple(KINDS)) -> list[Case]:
    """Only NAS-Bench-201 can exclude candidates. The recurrent cell normalises zeros: rounding grows 316 times there."""
    kinds = [kind for kind in kinds if (space == "nasbench201" or "excluded" not in kind)
             and (space != "recurrent" or "zeros" not in kind)]
    return [Case(space, kind, trains, tracked) for kind in kinds for trains in (True, False) for tracked in (False, True)]


@dataclass(frozen=True)
class Found:
    """By name. weights, alphas: gradients, None where there is none."""

    logits: dict[str, Tensor]
    weights: dict[str, Tensor | None]
    alphas: dict[str, Tensor | None]
    estimates: dict[str, Tensor]


class Example(NamedTuple):
    """supernet: in double precision, never run. alphas: in double precision."""

    supernet: nn.Module
    alphas: Alphas
    x: Tensor
    y: Tensor

    def mixtures(self, case: Case, dtype: torch.dtype) -> dict[str, Mixture]:
        """Of fresh alphas, whose gradients come back in double precision."""
        made = KINDS[case.kind](SPACES[case.space], self.alphas)
        return {kind: replace(one, weights=one.weights.to(dtype)) for kind, one in made.items()}


class Corners(TorchDispatchMode):
    """The smallest distance of a value from where a gradient jumps, relative to its map; exact zeros and equals do not count."""

    def __init__(self) -> None:
        super().__init__()
        self.distance = float("inf")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.split(".")[0]
        if name in ("relu", "relu_", "clamp_min", "clamp_min_") and args[0].ndim == 4:
            self._look(args[0].abs(), args[0])
        elif name == "max_pool2d_with_indices":
            x, stride = args[0], args[2]
            windows = F.unfold(F.pad(x, (1, 1, 1, 1), value=-1e9).flatten(0, 1)[:, None], 3, stride=stride)
            first, second = windows.topk(2, 1).values.unbind(1)
            self._look(first - second, x)
        return func(*args, **(kwargs or {}))

    def _look(self, distances: Tensor, x: Tensor) -> None:
        some = distances[distances > 0]
        if len(some):
            self.distance = min(self.distance, (some.min() / x.square().mean().sqrt()).item())


def example(case: Case) -> Example:
    """Weights, images and alphas at a distance from corners; one for all kinds that are the same in value."""
    return _at_a_distance(case._replace(kind=LIKE.get(case.kind, case.kind)))


@lru_cache(maxsize=64)
def _at_a_distance(case: Case) -> Example:
    for seed in range(100):
        made = _example(case, seed)
        corners = Corners()
        with torch.no_grad(), corners:
            copy.deepcopy(made.supernet)(made.x, made.mixtures(case, torch.float64))
        if corners.distance > DISTANCE:
            return made
    raise AssertionError(f"no example of {case} keeps its distance from corners")


def _example(case: Case, seed: int) -> Example:
    torch.manual_seed(seed)
    generator, space = torch.Generator().manual_seed(seed), replace(SPACES[case.space], track_running_stats=case.tracked)
    supernet = space.supernet(CLASSES).to(memory_format=torch.channels_last).train(case.trains)
    with torch.no_grad():
        for module in supernet.modules():       # scales, shifts and estimates that are not 1 and 0
            if isinstance(module, nn.BatchNorm2d):
                for value, low, high in ((module.weight, 0.5, 1.5), (module.bias, -0.5, 0.5), (module.running_mean, -0.5, 0.5),
                                         (module.running_var, 0.5, 1.5)):
                    if value is not None:
                        value.uniform_(low, high, generator=generator)
    alphas = {kind: torch.randn(labels.shape, dtype=torch.float64, generator=generator).requires_grad_()
              for kind, labels in space.labels.items()}
    x = torch.randn(BATCH[case.space], 3, SIDE, SIDE, generator=generator).contiguous(memory_format=torch.channels_last)
    return Example(supernet.double(), alphas, x.double(), torch.arange(len(x)) % CLASSES)


def by_pytorch(case: Case, dtype: torch.dtype, change: Callable = lambda supernet, mixtures: mixtures) -> Found:
    """One forward and backward pass. change: lets an engine prepare the supernet and the mixtures."""
    given = example(case)
    supernet = copy.deepcopy(given.supernet).to(dtype)
    mixtures = change(supernet, given.mixtures(case, dtype))
    logits = supernet(given.x.to(dtype), mixtures)
    variables = {**dict(supernet.named_parameters()), **given.alphas}
    slopes = torch.autograd.grad(F.cross_entropy(logits, given.y), list(variables.values()), allow_unused=True)
    found = dict(zip(variables, slopes, strict=True))
    return Found({"logits": logits.detach()}, {name: found[name] for name, _ in supernet.named_parameters()},
                 {kind: found[kind] for kind in given.alphas}, {name: one.clone() for name, one in supernet.named_buffers()})


@lru_cache(maxsize=64)
def truth(case: Case) -> Found:
    return by_pytorch(case, torch.float64)


@lru_cache(maxsize=64)
def plain_in_float32(case: Case) -> Found:
    return by_pytorch(case, torch.float32)


def by_layers(case: Case) -> Found:
    """The engine `layers`, on which the kernels fall back."""
    def change(supernet: nn.Module, mixtures: dict[str, Mixture]) -> dict[str, Mixture]:
        supernet.run_cell = layers.run_cell
        return mixtures
    return by_pytorch(case, torch.float32, change)


def cells(case: Case) -> Found:
    """The compiled kernels of kernels/."""
    def change(supernet: nn.Module, mixtures: dict[str, Mixture]) -> dict[str, Mixture]:
        supernet.run_cell = cpu.run_cell
        return mixtures
    return by_pytorch(case, torch.float32, change)


def loops(case: Case) -> Found:
    """The compiled loops of kernels/small/. Each gradient has a supernet of its own: a pass moves the estimates."""
    from gdas_lite.engines.cpu.small.supernet import CompiledSupernet
    given = example(case)
    mixture, flat = given.mixtures(case, torch.float32)["cell"], given.x.float().permute(1, 2, 3, 0).reshape(-1, len(given.x))
    of_weights, of_mixture = (CompiledSupernet(copy.deepcopy(given.supernet).float(), SIDE) for _ in range(2))
    for one in (of_weights, of_mixture):
        one.forward(flat.contiguous().numpy(), given.y.numpy(), mixture)
    logits = torch.from_numpy(of_weights._passes[len(given.x)]._head._logits.T.copy())
    of_weights.learn()
    supernet, slopes = of_weights._supernet, of_weights.flat
    weights = {name: torch.from_numpy(slopes.views(param, *param.shape)[1].copy()) if reached else None
               for (name, param), reached in zip(supernet.named_parameters(), slopes.reached, strict=True)}
    alpha, gradient = given.alphas["cell"], torch.from_numpy(of_mixture.mixture_gradient())
    of_alpha, = torch.autograd.grad(mixture.weights, [alpha], gradient) if mixture.weights.requires_grad else (None,)
    return Found({"logits": logits}, weights, {"cell": of_alpha}, dict(supernet.named_buffers()))


def on_device(case: Case) -> Found:
    """What captured steps run: mixtures whose draw is data. By PyTorch's operations, with TRITON_INTERPRET=1 by Triton's.

    What was not drawn has gradients of zeros here.
    """
    def change(supernet: nn.Module, mixtures: dict[str, Mixture]) -> dict[str, DeviceMixture]:
        supernet.run_cell = cuda.run_cell
        return {kind: DeviceMixture(one.weights, torch.tensor([column for column, in one.active]) if one.is_hard else None,
                                    one.adds_unsampled) for kind, one in mixtures.items()}
    return by_pytorch(case, torch.float32, change)


def errors(found: dict[str, Tensor | None], wanted: dict[str, Tensor | None]) -> dict[str, float]:
    """Of each tensor, length over its own length, or over a hundredth of the largest where that is more."""
    sizes = {name: 0.0 if one is None else one.double().norm().item() for name, one in wanted.items()}
    least, result = max(sizes.values(), default=0.0) / 100, {}
    for name, size in sizes.items():
        here, there = (torch.zeros(()) if one is None else one.detach().double() for one in (found[name], wanted[name]))
        result[name] = (here - there).norm().item() / max(size, least, 1e-12)
    return result


def assert_as_good(found: Found, wanted: Found, plain: Found, knows_none: bool = True) -> None:
    """Of every tensor: off from the truth by at most ten times what plain float32 is off, there or in the middle of its group, or
    by 1e-6. knows_none: where the plain pass has no gradient, it has none either."""
    wrong = []
    for group in ("logits", "weights", "alphas", "estimates"):
        ours, theirs = (errors(getattr(one, group), getattr(wanted, group)) for one in (found, plain))
        middle = sorted(theirs.values())[len(theirs) // 2] if theirs else 0.0
        wrong += [f"{group} {name}: off by {ours[name]:.1e}, plain float32 by {theirs[name]:.1e}" for name in ours
                  if not ours[name] <= 10 * max(theirs[name], middle) + 1e-6]
    for group in ("weights", "alphas") if knows_none else ():
        here, there = getattr(found, group), getattr(wanted, group)
        wrong += [f"{group} {name}: a gradient in one, none in the other" for name in here
                  if (here[name] is None) != (there[name] is None)]
    assert not wrong, f"{len(wrong)} differ: " + "; ".join(wrong[:5])


def same(a: Found, b: Found) -> bool:
    """Bit for bit."""
    return all(
        (one is None) == (other is None) and (one is None or torch.equal(one, other))
        for group in ("logits", "weights", "alphas", "estimates")
        for one, other in zip(getattr(a, group).values(), getattr(b, group).values(), strict=True))
