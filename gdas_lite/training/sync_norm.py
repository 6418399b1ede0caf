"""Batch norm over the whole batch of several processes, where the ordinary one sees each process's part."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .collectives import all_reduce


class SyncBatchNorm2d(nn.BatchNorm2d):
    """The plain formula, for the CPU, where PyTorch has none.

    is_shared: False while every process has the whole batch, so that nothing need be told. Shapes: x (B, C, H, W) of
    this process; weight () or None, as our layers hand it on.
    """

    is_shared = True

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        out = self._over_processes(x) if self.training and self.is_shared else super().forward(x)
        return out if weight is None else out * weight

    def _over_processes(self, x: Tensor) -> Tensor:
        channels = (1, -1, 1, 1)
        own = x.new_tensor([x.numel() / x.shape[1]], dtype=torch.float32)
        sums = _SumOverProcesses.apply(torch.cat([x.float().sum((0, 2, 3)), own]))
        count = sums[-1].detach()
        mean = sums[:-1] / count                                                     # (C,)
        centred = x.float() - mean.view(channels)
        var = _SumOverProcesses.apply((centred * centred).sum((0, 2, 3))) / count    # (C,), biased
        if self.running_mean is not None:
            with torch.no_grad():
                self.num_batches_tracked.add_(1)
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var * count / (count - 1), self.momentum)
        out = centred * (var + self.eps).rsqrt().view(channels)
        if self.weight is not None:
            out = out * self.weight.view(channels) + self.bias.view(channels)
        return out.to(x.dtype)


class GPUSyncBatchNorm2d(nn.SyncBatchNorm):
    """PyTorch's own, which exists for GPUs only. Arguments as `SyncBatchNorm2d`."""

    is_shared = True

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        out = super().forward(x) if self.training and self.is_shared else nn.BatchNorm2d.forward(self, x)
        return out if weight is None else out * weight


class _SumOverProcesses(torch.autograd.Function):
    """The sum over processes. Its gradient towards one process's term is the sum of the gradients of all."""

    @staticmethod
    def forward(ctx, values: Tensor) -> Tensor:
        values = values.clone()
        all_reduce(values)
        return values

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        grad = grad.clone(memory_format=torch.contiguous_format)
        all_reduce(grad)
        return grad


def synchronise_batch_norm(network: nn.Module, device: torch.device) -> list[SyncBatchNorm2d | GPUSyncBatchNorm2d]:
    """Replace every batch norm of the network, in place, by one over all processes. Parameters and names stay.

    device: where the network is. Returns the new layers.
    """
    kind = GPUSyncBatchNorm2d if device.type == "cuda" else SyncBatchNorm2d
    found = []
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.BatchNorm2d):
                found.append(_same_state(kind, layer))
                setattr(parent, name, found[-1])
    return found


def _same_state(kind: type, layer: nn.BatchNorm2d) -> nn.Module:
    new = kind(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
    new.weight, new.bias = layer.weight, layer.bias
    new.running_mean, new.running_var = layer.running_mean, layer.running_var
    new.num_batches_tracked = layer.num_batches_tracked
    return new.train(layer.training)
