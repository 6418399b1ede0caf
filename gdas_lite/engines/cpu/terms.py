"""The operations of image cells as terms of a `Graph`, which name the cell's own modules: one set of weights."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from ...spaces.operations import (
    AvgPool3x3,
    CentredConv2d,
    DilatedConv,
    FactorisedReduction,
    Pooling,
    ReLUConvBN,
    SeparableConv,
)
from ...spaces.operations import Identity as IdentityModule
from ..graph import LANES, Chain, Conv, Graph, Identity, Layer, Pool, Term
from ..layers.convolutions import is_depthwise
from ..parts import made_of_modules

# What the loops are written for: size, stride, padding, dilation
DENSE = {((k, k), (1, 1), (k // 2, k // 2), (1, 1)) for k in (1, 3)}
POOLS = {nn.MaxPool2d: "max", AvgPool3x3: "avg"}
USUAL = {(type(pool), pool.stride): pool
         for stride in (1, 2) for pool in (nn.MaxPool2d(3, stride, padding=1), AvgPool3x3(stride))}
Own = Callable[[Any], Any]      # from a convolution or a norm (or None) to what stands for it in a graph
_LAYERS = made_of_modules()     # with the rows that each one keeps


class Unknown(Exception):
    """An operation is none that the kernels compute."""


def term_of(module: nn.Module, source: int, weight: int | None = None, mask: int | None = None,
            own: Own | None = None) -> Term:
    """Returns what an operation does to a node; own: None if modules stand for themselves. Raises Unknown for what is
    of another class: that is somebody's own."""
    if type(module) is IdentityModule:
        return Identity(source, weight)
    if type(module) is AvgPool3x3 and _is_usual(module, module.stride):
        return Pool(source, "avg", module.stride, None, weight, mask)
    if type(module) is Pooling:
        pool, norm = module.pool, module.norm
        if not _is_usual(pool, module.stride) or type(norm) not in (type(None), nn.BatchNorm2d):
            raise Unknown("a pooling is not what it was built with")
        return Pool(source, POOLS[type(pool)], module.stride, norm if own is None else own(norm), weight, mask)
    if own is not None:
        return Chain(source, _layers_of(module, own), weight, mask)
    if module not in _LAYERS:
        _LAYERS[module] = _layers_of(module, lambda layer: layer)
    return Chain(source, _LAYERS[module], weight, mask)


def _layers_of(module: nn.Module, own: Own) -> tuple[Layer, ...]:
    if type(module) is SeparableConv:
        return tuple(layer for half in (module.first, module.second) for layer in _layers_of(half, own))
    if type(module) is DilatedConv and are_known(module.norm, module.pointwise, module.depthwise):
        return (Layer((Conv(own(module.pointwise), own(module.depthwise)),), own(module.norm)),)
    if type(module) is FactorisedReduction and are_known(module.norm, module.even, module.odd):
        odd = Conv(module.odd, every=2, offset=1, first_channel=module.even.out_channels)   # side by side: never padded
        return (Layer((Conv(module.even, every=2), odd), own(module.norm)),)
    if type(module) is ReLUConvBN and are_known(module.norm, module.conv):
        return (Layer((Conv(own(module.conv)),), own(module.norm)),)
    raise Unknown(f"{type(module).__name__} is no chain of ReLU, convolutions and batch norm")


def _is_usual(pool: nn.Module, stride: int) -> bool:
    """Returns whether a pooling is one that the kernels know, with all settings as it was built."""
    usual = USUAL.get((type(pool), stride))
    return usual is not None and all(getattr(pool, name) == getattr(usual, name) for name in pool.__constants__)


def are_known(norm: nn.Module, *convs: nn.Module) -> bool:
    """Returns whether the kernels have loops for these convolutions, all are PyTorch's own, and their widths agree."""
    if type(norm) is not nn.BatchNorm2d or not all(
            type(conv) in (nn.Conv2d, CentredConv2d) and conv.padding_mode == "zeros" for conv in convs):
        return False
    across = [conv for conv in convs if conv.groups == 1]       # over all channels; 1x1 beside another one
    return (sum(conv.out_channels for conv in across) == norm.num_features
            and len({conv.in_channels for conv in convs}) == 1 and all(
                is_depthwise(conv) and conv.kernel_size[0] <= 5 for conv in convs if conv.groups > 1)
            and all((conv.kernel_size, conv.stride, conv.padding, conv.dilation) in DENSE
                    and (len(convs) == 1 or conv.kernel_size == (1, 1)) for conv in across))


def all_fit(modules: Iterable[nn.Module]) -> bool:
    """Returns whether the kernels compute a search cell: operations known, channels in eights, no affine norm."""
    try:
        graph = Graph(1, (tuple(term_of(module, 0) for module in modules),), ())
    except Unknown:
        return False
    return not graph.norms and all(width % LANES == 0 for conv in graph.convs
                                   for width in (conv.pointwise.in_channels, conv.pointwise.out_channels))
