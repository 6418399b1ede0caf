"""The engine proves itself on the GPU at hand before it is used: kernels beside PyTorch's operations in double
precision, captured searches beside plain ones. A small case of each; the families of cases are in tests/engines."""

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...data.augment import Augmentation
from ...data.images import ImageData, ImageSet
from ...runs.distributed import ProcessGroup
from ...search.algorithms import DARTS, GDAS
from ...search.recipes import search_recipe
from ...spaces import nasbench201, nasnet_cells
from ...spaces.nasbench201 import NASBench201
from ...spaces.nasnet import NASNet
from .capturing import CapturingEngine
from .draws import DeviceMixture

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 0.1}      # of maps; rounding to bfloat16 switches some ReLUs
LOSS_TOLERANCE = 1e-3
Side = tuple[Callable[..., Tensor], Sequence[Tensor]]       # a function and the leaves that it is given


@lru_cache(maxsize=8)
def kernels_obstacle(device: torch.device, space: str, dtype: torch.dtype = torch.float32) -> str | None:
    """Returns why a space's kernels cannot be used on this GPU for maps of a type, or None. Compiles them."""
    if find_spec("triton") is None:
        return "Triton is not installed"
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} sees no CUDA GPU"
    try:
        error = kernel_error(device, space, dtype)
    except Exception as problem:        # a compiler fails in many ways
        return f"the Triton kernels do not work here ({first_line(problem)})"
    return None if error < TOLERANCE[dtype] else (
        f"the Triton kernels are wrong here: they differ from PyTorch by {error:.1g}")


@lru_cache(maxsize=8)
def steps_obstacle(device: torch.device, space: str) -> str | None:
    """Returns why captured steps of a space cannot be used on this GPU, or None. Runs searches of six steps."""
    try:
        error = steps_error(device, space)
    except Exception as problem:        # a capture fails in many ways
        return f"steps cannot be captured here ({first_line(problem)})"
    return None if error < LOSS_TOLERANCE else (
        f"captured steps are wrong here: their losses differ from the plain ones by {error:.1g}")


def first_line(problem: Exception) -> str:
    """Returns kind and first line of an error; compilers print pages."""
    return f"{type(problem).__name__}: {(str(problem).splitlines() or ['no message'])[0]}"


def relative(found: Tensor, wanted: Tensor) -> float:
    """Returns the length of the difference over length."""
    wanted = wanted.double()
    return ((found.double() - wanted).norm() / wanted.norm().clamp_min(1e-6)).item()


def kernel_error(device: torch.device, space: str, dtype: torch.dtype) -> float:
    """Returns the largest relative error of outputs and gradients of small cells by the kernels of a space."""
    worst, generator = [], torch.Generator().manual_seed(0)
    cases = {"nasbench201": _nasbench201_cells, "nasnet": _nasnet_cells}[space]

    def noise(*size: int) -> Tensor:
        return torch.randn(size, generator=generator).to(device)

    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for kernels, (plain, exact) in cases(noise, device, dtype):
            with torch.no_grad():       # a slope along which products with the output do not cancel out
                slope = (noise(*(out := plain(*exact)).shape) + out).to(dtype)
            worst += map(relative, _results(kernels, slope), _results((plain, exact), slope))
    return torch.tensor(worst, dtype=torch.float64).max().item()        # NaN if any is


def _results(side: Side, slope: Tensor) -> list[Tensor]:
    """The output, and the gradient of each leaf, zeros where there is none."""
    function, leaves = side
    out = function(*(leaf.requires_grad_() for leaf in leaves))
    grads = torch.autograd.grad(out, leaves, slope.to(out.dtype), allow_unused=True)
    return [out.detach(), *(torch.zeros_like(leaf) if grad is None else grad
                            for leaf, grad in zip(leaves, grads, strict=True))]


def _nasbench201_cells(noise: Callable[..., Tensor], device: torch.device,
                       dtype: torch.dtype) -> Iterator[tuple[Side, Side]]:
    """A drawn cell with variant N, and all candidates: two blocks of pixels."""
    from .nasbench201 import kernel_cell, plain_cell
    for index in (torch.tensor([3, 2, 4, 1, 3, 0], device=device), None):
        def run(function: Callable, cell: nn.Module, x: Tensor, weights: Tensor,
                index: Tensor | None = index) -> Tensor:
            return function(cell, x, DeviceMixture(weights, index, index is not None))[0]

        cell = nasbench201.SearchCell(16, False)
        yield _sides(cell, [(noise(2, 16, 6, 7) + 0.3).to(dtype), 1 + 0.3 * noise(6, 5)], noise,
                     partial(run, kernel_cell), partial(run, plain_cell))


def _nasnet_cells(noise: Callable[..., Tensor], device: torch.device,
                  dtype: torch.dtype) -> Iterator[tuple[Side, Side]]:
    """A drawn cell of each kind; between them every candidate."""
    from .nasnet import drawn_cell, sampled_cell
    index = torch.tensor([3, 6, 7, 1, 4, 0, 2, 5, 3, 4, 1, 2, 6, 7], device=device)
    for is_reduction in (False, True):
        def run(function: Callable, cell: nn.Module, older: Tensor, newer: Tensor, weights: Tensor) -> Tensor:
            return function(cell, older, newer, index, weights)

        cell = nasnet_cells.SearchCell((8, 16), 16, is_reduction, False, NASNet(8).style)
        leaves = [noise(3, 8, 9, 7).to(dtype), noise(3, 16, 9, 7).to(dtype), 1 + 0.3 * noise(14)]
        yield _sides(cell, leaves, noise, partial(run, sampled_cell), partial(run, drawn_cell))


def _sides(cell: nn.Module, leaves: list[Tensor], noise: Callable[..., Tensor], ours: Callable[..., Tensor],
           plain: Callable[..., Tensor]) -> tuple[Side, Side]:
    """A cell with random weights by kernels, and by PyTorch's operations in double precision."""
    for param in cell.to(leaves[0].device).parameters():
        param.data.copy_(noise(*param.shape) / param[0].numel() ** 0.5)
    exact = copy.deepcopy(cell).double()
    return ((lambda *given: ours(cell, *given[:len(leaves)]), [*leaves, *cell.parameters()]),
            (lambda *given: plain(exact, *given[:len(leaves)]), [*(leaf.detach().double() for leaf in leaves),
                                                                 *exact.parameters()]))


class Case(NamedTuple):
    """What is searched. size: pixels on a side. The deeper a network, the more a ReLU or a maximum that falls on its
    other side does to later losses; large maps and small steps keep errors at rounding (cells: 1e-6, losses: 1e-5)."""

    space: NASBench201 | NASNet
    size: int
    changes: dict[str, float]


CASES = {"nasbench201": Case(NASBench201(8, 1), 8, {}),
         "nasnet": Case(NASNet(8, cells=3), 16, {"learning_rate": 0.005, "alpha_learning_rate": 0.05})}


def steps_error(device: torch.device, space: str) -> float:
    """Returns how far the losses of small captured searches are from the plain ones, relative, at most."""
    worst = 0.0
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for algorithm in (GDAS(), DARTS(1)):
            plain, captured = (_losses(CASES[space], algorithm, device, is_captured) for is_captured in (False, True))
            worst = max([worst, *(abs(a - b) / abs(a) if a == a and b == b else float("inf")
                                  for a, b in zip(plain, captured, strict=True))])
    return worst


def _losses(case: Case, algorithm: GDAS | DARTS, device: torch.device, is_captured: bool) -> list[float]:
    from ...search.loop import Search  # it builds on the engines
    recipe = search_recipe("smoke", case.space.name, algorithm.name, epochs=2, batch_size=8, alpha_eps=0.01,
                           **case.changes)
    search = Search(case.space, _data(case.size), algorithm, recipe=recipe, group=ProcessGroup(device=device),
                    engine="plain")
    if is_captured:
        search.engine = CapturingEngine()
    search.run()
    return [loss for record in search.history for loss in (record.train_loss, record.valid_loss)]


def _data(size: int) -> ImageData:
    generator = torch.Generator().manual_seed(0)
    halves = [ImageSet(torch.randint(256, (20, 3, size, size), dtype=torch.uint8, generator=generator),
                       torch.arange(20) % 2) for _ in range(2)]
    return ImageData("noise", 2, ("a", "b"), size, 3, (0.5,) * 3, (0.25,) * 3, Augmentation(1, True, 2), halves[0],
                     *halves, {})
