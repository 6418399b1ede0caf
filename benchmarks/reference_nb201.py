"""The NAS-Bench-201 searches as published code formulates them: what the package is timed against and tested against.

Written anew from the definitions in the GDAS, DARTS and NAS-Bench-201 papers, in the manner of AutoDL-Projects: NCHW,
stock layers, every candidate a module of its own (`none` multiplies by 0), nothing shared between edges, products
`weight * op(x)` summed, both backward passes compute every gradient, DARTS' second order works on a deep copy of the
network. It imports nothing of the package. Same search, so same numbers: tests/search/test_reference_formulation.py.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
INPUTS = {1: (0,), 2: (0, 1), 3: (0, 1, 2)}     # node: nodes that it sums over; rows of alpha count in this order
NUM_EDGES = 6
CLIP_NORM = 5.0
RADIUS = 0.01       # of the finite difference, over the norm of its direction


class Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mul(0.0)


def relu_conv_norm(channels: int, kernel: int, track: bool) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=True),
        nn.BatchNorm2d(channels, affine=False, track_running_stats=track))


def candidate(name: str, channels: int, track: bool) -> nn.Module:
    if name == "none":
        return Zero()
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return relu_conv_norm(channels, 1 if name == "nor_conv_1x1" else 3, track)


class SearchCell(nn.Module):
    def __init__(self, channels: int, track: bool) -> None:
        super().__init__()
        self.edges = nn.ModuleList(
            nn.ModuleList(candidate(name, channels, track) for name in OPS) for _ in range(NUM_EDGES))

    def forward(self, x: Tensor, weights: Tensor, drawn: Sequence[int] | None) -> Tensor:
        """weights (edges, candidates). drawn: GDAS, the one candidate of each edge that runs; the others add their
        weight, a scalar of value 0 (gradient variant N). None: all run."""
        nodes, row = [x], 0
        for sources in INPUTS.values():
            edges = []
            for src in sources:
                terms = []
                for k, op in enumerate(self.edges[row]):
                    runs = drawn is None or drawn[row] == k
                    terms.append(weights[row, k] * op(nodes[src]) if runs else weights[row, k])
                edges.append(sum(terms))
                row += 1
            nodes.append(sum(edges))
        return nodes[-1]


class ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.main = nn.Sequential(
            nn.ReLU(), nn.Conv2d(channels, wide, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(wide),
            nn.ReLU(), nn.Conv2d(wide, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, stride=2), nn.Conv2d(channels, wide, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x) + self.shortcut(x)


class Supernet(nn.Module):
    """Stem, N cells, residual block, N cells, residual block, N cells, batch norm, ReLU, average, linear layer."""

    def __init__(self, channels: int = 16, cells_per_stage: int = 5, classes: int = 10, image_channels: int = 3,
                 track: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(image_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        self.body = nn.ModuleList()
        for width in (channels, 2 * channels, 4 * channels):
            if width > channels:
                self.body.append(ResidualBlock(width // 2))
            self.body.extend(SearchCell(width, track) for _ in range(cells_per_stage))
        self.last = nn.Sequential(nn.BatchNorm2d(4 * channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(4 * channels, classes)

    def forward(self, x: Tensor, weights: Tensor, drawn: Sequence[int] | None = None) -> Tensor:
        """Images (B, image_channels, H, W) to logits (B, classes)."""
        x = self.stem(x)
        for block in self.body:
            x = block(x, weights, drawn) if isinstance(block, SearchCell) else block(x)
        return self.classifier(self.last(x))


WITH_WEIGHTS = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)


def layers(net: nn.Module) -> list[nn.Module]:
    """Layers with weights or estimates, of this supernet or of the package's, in the order in which this one runs its blocks."""
    if isinstance(net, Supernet):
        return [layer for layer in net.modules() if isinstance(layer, WITH_WEIGHTS)]
    blocks = [net.stem]
    for index, stage in enumerate(net.stages):
        blocks += ([net.reductions[index - 1]] if index else []) + [stage]
    return [layer for block in (*blocks, net.last_norm, net.classifier) for layer in block.modules()
            if isinstance(layer, WITH_WEIGHTS)]


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Weights and running estimates of one supernet into the other, this one or the package's."""
    for a, b in zip(layers(source), layers(target), strict=True):
        b.load_state_dict(a.state_dict())


class ReferenceSearch:
    """Network, alpha, both optimisers and the steps of three searches.

    algorithm: "gdas", "darts-v1" or "darts-v2". generator: GDAS' only source of chance. tau: GDAS' temperature.
    """

    def __init__(self, net: Supernet, algorithm: str, generator: torch.Generator, tau: float = 10.0) -> None:
        self.net, self.algorithm, self.generator, self.tau = net, algorithm, generator, tau
        like = net.classifier.weight
        self.alpha = nn.Parameter((1e-3 * torch.randn(NUM_EDGES, len(OPS), generator=generator)).to(like.dtype))
        self.sgd = torch.optim.SGD(net.parameters(), 0.025, momentum=0.9, weight_decay=5e-4, nesterov=True)
        self.adam = torch.optim.Adam([self.alpha], 3e-4, betas=(0.5, 0.999), weight_decay=1e-3)

    def step(self, train: tuple[Tensor, Tensor], valid: tuple[Tensor, Tensor]) -> Tensor:
        """One step: weights then alpha; second order: alpha then weights. Returns the weight step's loss."""
        if self.algorithm == "darts-v2":
            self.second_order_alpha_step(train, valid)
            return self.weight_step(train)
        loss = self.weight_step(train)
        self.alpha_step(valid)
        return loss

    def weight_step(self, train: tuple[Tensor, Tensor]) -> Tensor:
        """The norm that is clipped includes alpha's gradient, what the last alpha step left of it too. Returns the loss."""
        self.sgd.zero_grad(set_to_none=False)
        loss = self.loss(train)
        loss.backward()
        nn.utils.clip_grad_norm_([*self.net.parameters(), self.alpha], CLIP_NORM)
        self.sgd.step()
        return loss.detach()

    def alpha_step(self, valid: tuple[Tensor, Tensor]) -> None:
        """The backward pass computes the gradients of the weights too; nobody uses them."""
        self.adam.zero_grad(set_to_none=False)
        self.loss(valid).backward()
        self.adam.step()

    def second_order_alpha_step(self, train: tuple[Tensor, Tensor], valid: tuple[Tensor, Tensor]) -> None:
        self.alpha.grad = self.second_order_gradient(train, valid)
        self.adam.step()

    def loss(self, batch: tuple[Tensor, Tensor], net: Supernet | None = None, alpha: Tensor | None = None) -> Tensor:
        """Cross entropy of a batch, with a new draw for GDAS."""
        x, y = batch
        weights, drawn = self.mixture(self.alpha if alpha is None else alpha)
        return F.cross_entropy((net or self.net)(x, weights, drawn), y)

    def mixture(self, alpha: Tensor) -> tuple[Tensor, list[int] | None]:
        if self.algorithm != "gdas":
            return alpha.softmax(-1), None
        gumbel = -torch.empty(alpha.shape, dtype=alpha.dtype).exponential_(generator=self.generator).log().to(alpha.device)
        soft = ((alpha.log_softmax(-1) + gumbel) / self.tau).softmax(-1)
        index = soft.argmax(-1, keepdim=True)
        hard = torch.zeros_like(soft).scatter_(-1, index, 1.0)
        return hard - soft.detach() + soft, index.flatten().tolist()

    def second_order_gradient(self, train: tuple[Tensor, Tensor], valid: tuple[Tensor, Tensor]) -> Tensor:
        """alpha's gradient after a virtual weight step, corrected by a finite difference (DARTS paper, eq. 7 and 8)."""
        params, group = list(self.net.parameters()), self.sgd.param_groups[0]
        xi = group["lr"]
        gradients = torch.autograd.grad(self.loss(train), params)
        virtual, virtual_alpha = copy.deepcopy(self.net), self.alpha.detach().clone().requires_grad_()
        with torch.no_grad():
            for moved, w, gradient in zip(virtual.parameters(), params, gradients, strict=True):
                velocity = self.sgd.state[w].get("momentum_buffer")
                inertia = 0.0 if velocity is None else group["momentum"] * velocity
                moved.copy_(w - xi * (inertia + gradient + group["weight_decay"] * w))
        virtual.zero_grad()
        self.loss(valid, virtual, virtual_alpha).backward()
        u = [param.grad for param in virtual.parameters()]
        epsilon = RADIUS / torch.cat([part.flatten() for part in u]).norm()
        plus = self._alpha_gradient_moved(train, u, epsilon)
        minus = self._alpha_gradient_moved(train, u, -2 * epsilon)
        self._move(u, epsilon)
        return virtual_alpha.grad - xi * (plus - minus) / (2 * epsilon)

    def _alpha_gradient_moved(self, batch: tuple[Tensor, Tensor], direction: list[Tensor], length: Tensor) -> Tensor:
        self._move(direction, length)
        return torch.autograd.grad(self.loss(batch), self.alpha)[0]

    def _move(self, direction: list[Tensor], length: Tensor) -> None:
        with torch.no_grad():
            for param, part in zip(self.net.parameters(), direction, strict=True):
                param.add_(length * part)
