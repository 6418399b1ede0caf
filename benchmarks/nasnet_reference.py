"""The NASNet supernet as published code formulates it: NCHW, stock layers, every gradient. What the package is timed against.

Written from the papers' definitions in the manner of AutoDL-Projects and quark0/darts: each edge is a list of modules whose
outputs are multiplied by a weight and added; nothing is shared between edges. The layout and the style are the package's,
so that both compute the same function.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Batch = tuple[Tensor, Tensor]
STEPS = 4
OPS = ("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3",
       "dil_conv_5x5")


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, affine=False, track_running_stats=False)


def unit(channels: int, kernel: int, stride: int, dilation: int, bias: bool) -> list[nn.Module]:
    padding = dilation * (kernel - 1) // 2
    return [nn.ReLU(), nn.Conv2d(channels, channels, kernel, stride, padding, dilation, channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=bias), norm(channels)]


class Zero(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, ::self.stride, ::self.stride].mul(0.0)


class FactorisedReduction(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, bias: bool) -> None:
        super().__init__()
        self.halves = nn.ModuleList(nn.Conv2d(channels_in, channels_out // 2, 1, 2, bias=bias) for _ in range(2))
        self.norm = norm(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.norm(torch.cat([self.halves[0](x), self.halves[1](shifted)], 1))


def operation(name: str, channels: int, stride: int, bias: bool) -> nn.Module:
    if name == "none":
        return Zero(stride)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorisedReduction(channels, channels, bias)
    if "pool" in name:
        pool = nn.MaxPool2d(3, stride, 1) if name.startswith("max") else \
            nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        return pool if bias else nn.Sequential(pool, norm(channels))
    kernel = int(name[-1])
    if name.startswith("dil"):
        return nn.Sequential(*unit(channels, kernel, stride, 2, bias))
    return nn.Sequential(*unit(channels, kernel, stride, 1, bias), *unit(channels, kernel, 1, 1, bias))


class Cell(nn.Module):
    def __init__(self, channels_in: tuple[int, int], channels: int, is_reduction: bool, follows_reduction: bool,
                 bias: bool) -> None:
        super().__init__()
        def flat(count: int) -> nn.Module:
            return nn.Sequential(nn.ReLU(), nn.Conv2d(count, channels, 1, bias=bias), norm(channels))

        self.is_reduction = is_reduction
        self.older = FactorisedReduction(channels_in[0], channels, bias) if follows_reduction else flat(channels_in[0])
        self.newer = flat(channels_in[1])
        self.edges = nn.ModuleList(
            nn.ModuleList(operation(name, channels, 2 if is_reduction and src < 2 else 1, bias) for name in OPS)
            for step in range(STEPS) for src in range(step + 2))

    def forward(self, older: Tensor, newer: Tensor, weights: Tensor, is_hard: bool) -> Tensor:
        nodes, row = [self.older(older), self.newer(newer)], 0
        for _ in range(STEPS):
            terms = []
            for source in nodes:
                columns = [weights[row].argmax().item()] if is_hard else range(len(OPS))
                terms += [weights[row, k] * self.edges[row][k](source) for k in columns]
                row += 1
            nodes.append(sum(terms))
        return torch.cat(nodes[2:], 1)


class Supernet(nn.Module):
    """layout "paper" (8 cells unless told otherwise) or "autodl" (6; biases, batch norm and ReLU before the classifier)."""

    def __init__(self, layout: str, channels: int = 16, classes: int = 10, cells: int | None = None) -> None:
        super().__init__()
        published, bias = (6, True) if layout == "autodl" else (8, False)
        cells = cells or published
        self.stem = nn.Sequential(nn.Conv2d(3, 3 * channels, 3, padding=1, bias=False), nn.BatchNorm2d(3 * channels))
        widths, follows, self.cells = (3 * channels,) * 2, False, nn.ModuleList()
        for index in range(cells):
            is_reduction = index in (cells // 3, 2 * cells // 3)
            channels = channels * 2 if is_reduction else channels
            self.cells.append(Cell(widths, channels, is_reduction, follows, bias))
            widths, follows = (widths[1], STEPS * channels), is_reduction
        self.last = nn.Sequential(nn.BatchNorm2d(widths[1]), nn.ReLU()) if bias else nn.Identity()
        self.classifier = nn.Linear(widths[1], classes)

    def forward(self, x: Tensor, weights: dict[str, Tensor], is_hard: bool) -> Tensor:
        older = newer = self.stem(x)
        for cell in self.cells:
            out = cell(older, newer, weights["reduce" if cell.is_reduction else "normal"], is_hard)
            older, newer = newer, out
        return self.classifier(F.adaptive_avg_pool2d(self.last(newer), 1).flatten(1))


class ReferenceSearch:
    """The updates of a step, the way published code makes them: all gradients in every pass, the second order of DARTS on a copy.

    algorithm: "gdas" (at temperature 10), "darts-v1" or "darts-v2".
    """

    def __init__(self, layout: str, algorithm: str, channels: int = 16, cells: int | None = None) -> None:
        self.generator, self.algorithm = torch.Generator().manual_seed(0), algorithm
        self.net, self.is_hard = Supernet(layout, channels, cells=cells), algorithm == "gdas"
        self.alphas = {kind: nn.Parameter(1e-3 * torch.randn(14, len(OPS))) for kind in ("normal", "reduce")}
        self.sgd = torch.optim.SGD(self.net.parameters(), 0.025, 0.9, weight_decay=5e-4, nesterov=True)
        self.adam = torch.optim.Adam(self.alphas.values(), 3e-4, (0.5, 0.999), weight_decay=1e-3)

    def weights(self) -> dict[str, Tensor]:
        if not self.is_hard:
            return {kind: alpha.softmax(-1) for kind, alpha in self.alphas.items()}
        drawn = {}
        for kind, alpha in self.alphas.items():
            gumbel = -torch.empty(alpha.shape, dtype=alpha.dtype).exponential_(generator=self.generator).log().to(alpha.device)
            soft = ((alpha.log_softmax(-1) + gumbel) / 10).softmax(-1)
            hard = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
            drawn[kind] = hard - soft.detach() + soft
        return drawn

    def loss(self, batch: Batch, net: nn.Module | None = None) -> Tensor:
        x, y = batch
        return F.cross_entropy((net or self.net)(x, self.weights(), self.is_hard), y)

    def step(self, train: Batch, valid: Batch) -> Tensor:
        """Returns the weight step's loss."""
        if self.algorithm == "darts-v2":
            self.second_order_alpha_step(train, valid)
        self.sgd.zero_grad()
        loss = self.loss(train)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 5)
        self.sgd.step()
        if self.algorithm != "darts-v2":
            self.adam.zero_grad()
            self.loss(valid).backward()
            self.adam.step()
        return loss.detach()

    def second_order_alpha_step(self, train: Batch, valid: Batch) -> None:
        """Alpha's gradient after a virtual weight step, corrected by a finite difference (DARTS paper, eq. 7 and 8)."""
        params, alphas, group = list(self.net.parameters()), list(self.alphas.values()), self.sgd.param_groups[0]
        virtual, slopes = copy.deepcopy(self.net), torch.autograd.grad(self.loss(train), params)
        with torch.no_grad():
            for moved, w, slope in zip(virtual.parameters(), params, slopes, strict=True):
                velocity = self.sgd.state[w].get("momentum_buffer")
                inertia = 0.0 if velocity is None else group["momentum"] * velocity
                moved.sub_(group["lr"] * (inertia + slope + group["weight_decay"] * w))
        slopes = torch.autograd.grad(self.loss(valid, virtual), [*alphas, *virtual.parameters()])
        u = slopes[len(alphas):]
        epsilon = 0.01 / torch.cat([part.flatten() for part in u]).norm()
        plus, minus = (self._alpha_gradients_moved(train, params, u, sign * epsilon) for sign in (1, -1))
        for alpha, direct, p, n in zip(alphas, slopes[:len(alphas)], plus, minus, strict=True):
            alpha.grad = direct - group["lr"] * (p - n) / (2 * epsilon)
        self.adam.step()

    def _alpha_gradients_moved(self, batch: Batch, params: list[nn.Parameter], direction: Sequence[Tensor], length: Tensor
                               ) -> tuple[Tensor, ...]:
        """At other weights; they are back afterwards, up to rounding."""
        with torch.no_grad():
            torch._foreach_add_(params, torch._foreach_mul(direction, length))
        found = torch.autograd.grad(self.loss(batch), list(self.alphas.values()))
        with torch.no_grad():
            torch._foreach_sub_(params, torch._foreach_mul(direction, length))
        return found
