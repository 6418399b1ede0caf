"""Convolution weights in the order that the compiled passes read them in."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..graph import SMALL, Conv
from .compiled import job_table as t
from .compiled.launch import launch
from .compiled.tiles import POINTS, kernel_matrix

REAL = 4                # bytes of a float32
# G times G by the side of Winograd's tiles, (side^2, 9)
TRANSFORMS = {side: torch.from_numpy(np.kron(kernel_matrix(side), kernel_matrix(side))).float() for side in POINTS}


class PackedWeights:
    """Weights as FORWARD reads them: depth-wise as (k*k, C), point-wise as (C_in, C_out). of: the addresses of both and
    of the point-wise weight itself, (C_out, C_in), which BACKWARD reads. halves: as the passes' maps, so that one
    compilation serves them all. side: of Winograd's tiles."""

    def __init__(self, convs: Iterable[Conv], halves: bool = False, side: int = SMALL) -> None:
        self.side = side
        self.of: dict[Conv, tuple[int, int, int]] = {}
        self._kept: list[Tensor] = []
        rows, places, size, dense = [], [], 0, {}
        for conv in convs:
            if conv.is_dense:
                dense.setdefault(conv.pointwise.weight.shape, []).append(conv)
                continue
            matrix, pointwise = self._matrix(conv.pointwise), conv.pointwise
            channels_out, channels = pointwise.out_channels, pointwise.in_channels
            at = [0, size, matrix]
            rows.append([matrix, size, channels_out, channels])
            size += channels_out * channels
            if conv.kernel:
                at[0] = size
                rows.append([self._matrix(conv.depthwise), size, channels, conv.kernel**2])
                size += channels * conv.kernel**2
            places.append((conv, at))
        self._packed = torch.empty(size, dtype=torch.float32, device="cpu")
        base = self._packed.data_ptr()
        for row in rows:
            row[t.TURNED] = base + row[t.TURNED] * REAL
        for conv, (taps, pointwise, matrix) in places:
            self.of[conv] = base + taps * REAL, base + pointwise * REAL, matrix
        if rows:
            launch(t.TURN, 1, rows, halves=halves)
        for alike in dense.values():
            self._transform(alike)

    def _transform(self, convs: Sequence[Conv]) -> None:
        """3x3 convolutions with weights of one shape."""
        together = torch.stack([conv.pointwise.weight.detach() for conv in convs])
        backward = transformed(together, self.side)
        pairs = backward.transpose(2, 3).contiguous(), backward
        self._kept += pairs
        for conv, forward, backward in zip(convs, *pairs, strict=True):
            self.of[conv] = 0, forward.data_ptr(), backward.data_ptr()

    def _matrix(self, module: nn.Module) -> int:
        self._kept.append(module.weight.detach().contiguous())      # the numbers: a parameter may move to others
        return self._kept[-1].data_ptr()


def transformed(weights: Tensor, side: int) -> Tensor:
    """Returns Winograd's G g G^T of weights (n, C_out, C_in, 3, 3): (n, side^2, C_out, C_in)."""
    rows = weights.flatten(3).flatten(1, 2).transpose(1, 2)                     # (n, 9, C_out * C_in)
    # autocast would make bfloat16 of a product; as a decorator it is one object, which two threads cannot share
    with torch.autocast("cpu", enabled=False):
        return (TRANSFORMS[side] @ rows).unflatten(2, weights.shape[1:3])
