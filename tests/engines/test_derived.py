"""Cells of derived networks on the compiled kernels beside their plain forms in double precision: outputs, gradients of
inputs and parameters, running estimates; in training and in evaluation, with drop path and without, in widths that fill
whole vectors and in such that do not.

A ReLU whose input is zero up to rounding falls on its other side in float32 and moves a gradient. So three seeds run, and
the best of them must agree: what is computed wrongly is wrong in all.
"""

from __future__ import annotations

import copy
import itertools

import pytest
import torch

import gdas_lite as gl
from gdas_lite.engines import layers
from gdas_lite.engines.cpu.engine import SMALLEST, CpuEngine, numba_obstacle
from gdas_lite.genotypes.notation import NASNET_GENOTYPE_OPS
from gdas_lite.genotypes.zoo import zoo_genotype
from gdas_lite.relaxation import soft_mixture
from gdas_lite.spaces import nasbench201, nasnet_cells
from gdas_lite.spaces.operations import DropPath, Identity, LayerStyle, Pooling

if numba_obstacle() is not None:
    pytest.skip(f"engine cpu: {numba_obstacle()}", allow_module_level=True)

from gdas_lite.engines import cpu
from gdas_lite.engines.cpu import backward, derived, forward, maps, padding
from gdas_lite.engines.cpu import cell as graphs
from gdas_lite.engines.cpu.sgd import SGD

CELLS = ("|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|",
         "|none~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|avg_pool_3x3~0|none~1|skip_connect~2|",
         "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
BEST = 1e-4


def randomised(cell: torch.nn.Module) -> torch.nn.Module:
    """With affine parameters that are neither 1 nor 0, of either sign."""
    for module in cell.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            if module.affine:
                torch.nn.init.normal_(module.weight)
                torch.nn.init.normal_(module.bias)
            if module.track_running_stats:
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
    return cell


def nasbench201_case(genotype: str, channels: int, size: tuple[int, int] = (9, 7)):
    return randomised(nasbench201.Cell(gl.parse_genotype(genotype), channels)), [torch.randn(5, channels, *size)]


def twice(operation: str) -> gl.NASNetGenotype:
    """Nothing but one operation: twice on one input, on different ones and on its own result."""
    nodes = tuple(tuple((operation, source) for source in pair) for pair in ((0, 0), (1, 2), (3, 3)))
    return gl.NASNetGenotype(nodes, nodes, (2, 4), (2, 4))


def nasnet_case(name: str, channels: int, reduces: bool, follows: bool, pool_norm: bool = False):
    widths = 4 * channels if not follows else 2 * channels, 4 * channels
    genotype = twice(name) if name in NASNET_GENOTYPE_OPS else zoo_genotype(name)
    cell = nasnet_cells.Cell(genotype, reduces, widths, channels, follows, LayerStyle(pool_norm=pool_norm))
    side = 16 if follows else 8
    return randomised(cell), [torch.randn(3, widths[0], side, side), torch.randn(3, widths[1], 8, 8)]


CASES = {f"{index} C={channels}": (lambda text=text, channels=channels: nasbench201_case(text, channels))
         for (index, text), channels in itertools.product(enumerate(CELLS), (12, 16))}
CASES["0 C=16 large tiles"] = lambda: nasbench201_case(CELLS[0], 16, (18, 15))
CASES |= {f"{name} C={channels} {'reduction' if reduces else 'normal'}{' after one' if follows else ''}{' pool norm' * norm}": (
              lambda given=(name, channels, reduces, follows, norm): nasnet_case(*given))
          for (name, norm), channels, reduces, follows in itertools.product(
              (("GDAS_V1", False), ("DARTS_V2", False), ("DARTS_V1", True)), (16, 36), (False, True), (False, True))}


def masks(cell: torch.nn.Module, rate: float, images: int):
    if not rate or not getattr(cell, "num_masks", 0):
        return {}
    found = iter(DropPath(rate, torch.Generator().manual_seed(3)).masks(cell.num_masks, torch.empty(images, 1, 1, 1)))
    return {"drop": lambda part: part * next(found).to(part.dtype)}


def outcome(cell: torch.nn.Module, inputs, run, trains: bool, rate: float = 0.0, before=None, between=None
            ) -> list[torch.Tensor]:
    """Output; in training then the gradients of inputs and parameters, and the buffers. before, between: what is done
    before the forward and before the backward pass."""
    cell = copy.deepcopy(cell).train(trains)
    _ = before and before(cell, run, inputs)
    inputs = [x.clone().contiguous(memory_format=torch.channels_last).requires_grad_(trains) for x in inputs]
    with torch.set_grad_enabled(trains):
        out = run(cell, *inputs, **masks(cell, rate if trains else 0.0, len(inputs[0])))
    if not trains:
        return [out]
    weights = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view(out.shape).sin().to(out.dtype)
    variables = [*inputs, *cell.parameters()]
    found = [None] * len(variables)
    if out.requires_grad:       # a cell of nothing but `none` gives zeros
        _ = between and between(cell)
        found = torch.autograd.grad((out * weights).sum(), variables, allow_unused=True)
    found = [torch.zeros_like(variable) if gradient is None else gradient
             for variable, gradient in zip(variables, found, strict=True)]
    return [out.detach(), *found, *(buffer for buffer in cell.buffers() if buffer.is_floating_point())]


def distance(found: list[torch.Tensor], wanted: list[torch.Tensor]) -> float:
    """The largest relative one; a gradient that batch norms behind it make nearly zero is held against the largest one."""
    assert [one.shape for one in found] == [other.shape for other in wanted]
    largest = max(float(other.norm()) for other in wanted)
    apart = [(one.double() - other).norm() / (other.norm() + 0.03 * largest + 1e-9)
             for one, other in zip(found, wanted, strict=True)]
    return float(torch.stack(apart).max())      # NaN if any is; Python's own would pass over it


def best_distance(make, trains: bool, rate: float, run=None, **around) -> float:
    distances = []
    for seed in range(3):
        torch.manual_seed(seed)
        cell, inputs = make()
        exact = copy.deepcopy(cell).double(), [x.double() for x in inputs]
        truth = outcome(*exact, type(cell).__call__, trains, rate, **around)
        distances.append(distance(outcome(cell, inputs, run or cpu.run_cell, trains, rate, **around), truth))
        if distances[-1] != distances[-1]:
            return float("inf")                 # no ReLU's other side is NaN
        if distances[-1] < BEST:
            break
    return min(distances)


@pytest.fixture
def runs(monkeypatch) -> list:
    """The graphs that the kernels ran."""
    calls, run_graph = [], graphs.run_graph
    monkeypatch.setattr(graphs, "run_graph", lambda *given: calls.append(given) or run_graph(*given))
    return calls


@pytest.mark.parametrize("trains, rate", [(True, 0.0), (True, 0.4), (False, 0.0)], ids=["training", "drop path", "evaluation"])
@pytest.mark.parametrize("case", CASES)
def test_a_cell(case, trains, rate, runs):
    fits = derived.fits(CASES[case]()[0])
    assert best_distance(CASES[case], trains, rate) < BEST
    assert bool(runs) == fits and (len(runs) <= 1 or trains)        # another seed runs where a ReLU's input is nearly zero


@pytest.mark.parametrize("reduces", [False, True], ids=["normal", "reduction"])
@pytest.mark.parametrize("operation", [name for name in NASNET_GENOTYPE_OPS if name != "none"])
def test_an_operation_twice_on_one_input(operation, reduces):
    assert best_distance(lambda: nasnet_case(operation, 16, reduces, False), True, 0.4) < BEST


def gradients(network: torch.nn.Module, run, images: int = 5) -> list[torch.Tensor]:
    """Of all parameters, of copies; run: None leaves the plain cells, in double precision."""
    dtype = torch.float32 if run else torch.float64
    network = copy.deepcopy(network).to(dtype).to(memory_format=torch.channels_last).train()
    if run:
        network.run_cell = run
    x = torch.randn(images, 1, 8, 8, generator=torch.Generator().manual_seed(images)).to(dtype)
    torch.nn.functional.cross_entropy(network(x), torch.arange(images) % 2).backward()
    return [parameter.grad for parameter in network.parameters()]


@pytest.mark.parametrize("channels", [2, 4, 6, 8, 10, 16])
@pytest.mark.parametrize("cell", ["GDAS_V1", "DARTS_V2", "sep_conv_3x3", "skip_connect", CELLS[0]])
def test_cells_in_a_row_hand_each_other_the_right_gradients(cell, channels):
    """Of any width: a cell's gradient is a part of a wider one, in memory of its own or of the next cell's."""
    genotype = twice(cell) if cell in NASNET_GENOTYPE_OPS else gl.parse_genotype(cell) if "~" in cell else zoo_genotype(cell)
    sizes = {"cells_per_stage": 2} if "~" in cell else {"cells": 6}

    def away(seed: int) -> float:
        torch.manual_seed(seed)
        network = gl.network(genotype, channels=channels, classes=2, image_channels=1, **sizes)
        return distance(gradients(network, cpu.run_cell), gradients(network, None))
    assert min(map(away, range(3))) < BEST


def norms_of(cell: torch.nn.Module) -> list[torch.nn.BatchNorm2d]:
    return [module for module in cell.modules() if isinstance(module, torch.nn.BatchNorm2d)]


def some_norms_in_evaluation(cell, run, inputs):
    for norm in norms_of(cell)[::2]:
        norm.eval()


def cumulative_estimates(cell, run, inputs):
    for norm in norms_of(cell):
        norm.momentum = None


def another_order_of_memory(cell, run, inputs):
    for param in cell.parameters():
        if param.dim() == 4:
            param.data = param.data.transpose(0, 1).contiguous().transpose(0, 1)


def another_default_type(cell, run, inputs):
    torch.set_default_dtype(torch.float64)


def inference_before(cell, run, inputs):
    with torch.inference_mode():
        run(cell, *inputs)


def hooks(cell, run, inputs):
    for norm in norms_of(cell)[::2]:
        norm.register_forward_hook(lambda module, given, out: 1.1 * out)
    cell.register_full_backward_hook(lambda module, slopes, given: tuple(0.9 * slope for slope in slopes))


def another_epsilon(cell, run, inputs):
    with torch.no_grad():
        run(cell.eval(), *inputs)
    for norm in norms_of(cell.train()):
        norm.eps = 0.1


def other_layers(cell, run, inputs):
    with torch.no_grad():
        run(cell.eval(), *inputs)
    for parent in list(cell.train().modules()):
        for name, part in parent.named_children():
            if isinstance(part, torch.nn.Conv2d) and part.kernel_size != (1, 1):
                setattr(parent, name, copy.deepcopy(part))
                getattr(parent, name).weight.data *= 1.5
            elif isinstance(part, torch.nn.Conv2d):
                setattr(parent, name, torch.nn.Sequential(part, torch.nn.Tanh()))


def norms_that_stand_twice(cell, run, inputs):
    found = {}
    for part in cell.modules():
        if hasattr(part, "norm") and part.norm is not None:
            part.norm = found.setdefault((part.norm.num_features, part.norm.affine), part.norm)


def operations_that_stand_twice(cell, run, inputs):
    operations, found = getattr(cell, "edges", getattr(cell, "operations", None)), {}
    for name, part in operations.items():
        operations[name] = found.setdefault(str(part), part)


def without(*names):
    def taken(cell, run, inputs):
        for norm in norms_of(cell):
            for name in names:
                setattr(norm, name, None)
    taken.__name__ = f"without_{names[0]}"
    return taken


def estimates_lie_apart(cell, run, inputs):
    for norm in norms_of(cell):
        for name in ("running_mean", "running_var"):
            setattr(norm, name, getattr(norm, name)[:, None].repeat(1, 2)[:, 0])


def weights_elsewhere(cell):
    for param in cell.parameters():
        param.data = param.data.clone()
    for size in {param.numel() for param in cell.parameters()}:     # where they were is written over
        _ = [torch.full((size,), torch.nan) for _ in range(50)]


AROUND = [*({"before": what} for what in (some_norms_in_evaluation, cumulative_estimates, another_order_of_memory,
                                          another_default_type, inference_before, hooks, another_epsilon, other_layers,
                                          norms_that_stand_twice, operations_that_stand_twice, estimates_lie_apart, without("bias"),
                                          without("weight"), without("running_mean", "running_var"),
                                          without("num_batches_tracked"))),
          {"between": weights_elsewhere}]


@pytest.mark.parametrize("case", ["0 C=16", "1 C=12", "GDAS_V1 C=36 normal", "DARTS_V2 C=16 reduction"])
@pytest.mark.parametrize("around", AROUND, ids=lambda around: next(iter(around.values())).__name__)
def test_whatever_is_done_around_a_pass(around, case):
    try:
        assert best_distance(CASES[case], True, 0.0, **around) < BEST
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("case", ["0 C=16", "GDAS_V1 C=16 normal"])
def test_affine_numbers_may_lie_apart(case):
    """Against the kernels themselves: there PyTorch 2.15 has wrong gradients."""
    def one_for_all_channels(lies: str):
        def change(cell, run, inputs):
            for norm in norms_of(cell):
                for one in (norm.weight, norm.bias):
                    one.data = getattr(one.data[:1].expand(one.shape), lies)()
        return change

    torch.manual_seed(0)
    cell, inputs = CASES[case]()
    found = [outcome(cell, inputs, cpu.run_cell, True, before=one_for_all_channels(lies))
             for lies in ("contiguous", "detach")]
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def added_to(cell):
    with torch.no_grad():
        for param in cell.parameters():
            param.add_(1.0)


def moved_by_a_compiled_step(cell):
    for param in cell.parameters():
        param.grad = torch.ones_like(param)
    SGD(cell.parameters(), 0.1, momentum=0.9).step()


@pytest.mark.parametrize("change", [added_to, moved_by_a_compiled_step])
@pytest.mark.parametrize("case", ["1 C=16", "GDAS_V1 C=36 normal"])
def test_weights_that_changed_between_two_passes_are_noticed(case, change):
    torch.manual_seed(0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outcome(*CASES[case](), cpu.run_cell, True, between=change)


@pytest.mark.parametrize("case", ["0 C=16", "GDAS_V1 C=16 normal"])
def test_a_cells_output_may_be_changed_in_place_and_a_changed_input_is_noticed(case):
    def rectified(cell, *inputs, **options):
        return torch.relu_(cpu.run_cell(cell, *inputs, **options))

    def changed(cell, *inputs, **options):
        out = cpu.run_cell(cell, *inputs, **options)
        with torch.no_grad():
            _ = [x.zero_() for x in inputs]
        return out

    torch.manual_seed(0)
    made = CASES[case]()
    plain = outcome(made[0].double(), [x.double() for x in made[1]], lambda cell, *inputs: cell(*inputs).relu(), True)
    assert distance(outcome(made[0].float(), made[1], rectified, True), plain) < BEST
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outcome(*made, changed, True)


def test_weights_in_bfloat16_are_left_to_layers(runs):
    torch.manual_seed(0)
    cell, (x,) = nasbench201_case(CELLS[0], 16)
    found = []
    for run in (cpu.run_cell, layers.run_cell):
        with torch.autocast("cpu", torch.bfloat16):
            found.append(run(copy.deepcopy(cell).bfloat16().train(), x.bfloat16()))
    assert torch.equal(*found) and not runs


def fault_no_affine(monkeypatch):
    monkeypatch.setattr(maps.LayerOutput, "__post_init__", lambda made: None)
    monkeypatch.setattr("gdas_lite.engines.cpu.layers.norm_row", lambda *given: None)


def fault_no_masks(monkeypatch):
    monkeypatch.setattr(forward.ForwardPass, "mask_of", lambda *given: None)


def fault_masks_forward_only(monkeypatch):
    original = backward.BackwardPass._enter

    def enter(self, node, terms):
        kept, self.state.masks = self.state.masks, None
        original(self, node, terms)
        self.state.masks = kept
    monkeypatch.setattr(backward.BackwardPass, "_enter", enter)


def fault_batch_statistics_in_evaluation(monkeypatch):
    monkeypatch.setattr(maps.LayerOutput, "settle", lambda made, bias=None: None)


def fault_stale_weights(monkeypatch):
    monkeypatch.setattr(padding.PaddedConv, "refresh", lambda self: None)


@pytest.mark.parametrize("fault, case, trains, rate", [
    (fault_no_affine, "GDAS_V1 C=16 normal", True, 0.0), (fault_no_masks, "GDAS_V1 C=16 normal", True, 0.4),
    (fault_masks_forward_only, "DARTS_V2 C=16 reduction", True, 0.4),
    (fault_batch_statistics_in_evaluation, "0 C=16", False, 0.0), (fault_stale_weights, "GDAS_V1 C=36 normal", True, 0.0)],
    ids=lambda value: getattr(value, "__name__", None))
def test_a_planted_fault_is_seen(fault, case, trains, rate, monkeypatch):
    fault(monkeypatch)
    assert best_distance(CASES[case], trains, rate) > 30 * BEST


def test_an_unknown_operation_runs_by_layers(runs):
    """AmoebaNet's 7x1 and 1x7 convolutions are no chain that the kernels know."""
    torch.manual_seed(0)
    cell, inputs = nasnet_case("AmoebaNet", 16, True, False)
    assert not derived.fits(cell)
    found, wanted = (outcome(cell, inputs, run, True) for run in (cpu.run_cell, layers.run_cell))
    assert not runs and all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))


def test_drop_path_takes_the_masks_in_the_plain_order():
    torch.manual_seed(0)
    cell, inputs = nasnet_case("DARTS_V2", 16, False, False)
    asked = []

    def drop(part):
        asked.append(part.shape[0])
        return part * torch.ones(3, 1, 1, 1)
    cpu.run_cell(cell.train(), *inputs, drop=drop)
    assert len(asked) == cell.num_masks
    assert cell.num_masks == sum(not isinstance(cell.operations[name], Identity) for pair in cell.operands for name, _ in pair)


def test_drop_path_of_one_mask_for_all_images_counts_for_all_and_other_masks_are_refused():
    torch.manual_seed(0)
    cell, inputs = nasnet_case("DARTS_V2", 16, False, False)
    found, wanted = (run(copy.deepcopy(cell).train(), *inputs, drop=lambda part: 0.5 * part)
                     for run in (cpu.run_cell, layers.run_cell))
    assert torch.allclose(found, wanted, atol=1e-4)
    with pytest.raises(RuntimeError):
        cpu.run_cell(cell.train(), *inputs, drop=lambda part: part * torch.ones(3, 16, 1, 1))


SIZES = {"channels of older": ((3, 40, 8, 8), (3, 64, 8, 8)), "channels of newer": ((3, 64, 8, 8), (3, 16, 8, 8)),
         "larger": ((3, 64, 16, 16), (3, 64, 8, 8)), "smaller": ((3, 64, 8, 8), (3, 64, 16, 16)),
         "fewer images": ((2, 64, 8, 8), (3, 64, 8, 8))}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("kind", ["search", "derived"])
def test_maps_that_a_cell_was_not_built_for_are_refused(kind, sizes):
    """PyTorch refuses them; kernels would read and write beyond their memory."""
    torch.manual_seed(0)
    if kind == "derived":
        cell, options = nasnet_case("DARTS_V2", 16, False, False)[0], {}
    else:
        cell = nasnet_cells.SearchCell((64, 64), 16, False, False, LayerStyle(affine=False, track_running_stats=False))
        options = {"mixture": soft_mixture(torch.zeros(len(nasnet_cells.EDGES), len(nasnet_cells.NASNET_CANDIDATES)))}
    for run, error in ((type(cell).__call__, RuntimeError), (cpu.run_cell, ValueError)):
        with pytest.raises(error, match="size|channels"):
            run(cell.train(), *map(torch.randn, sizes), **options)


@pytest.mark.parametrize("channels, given", [(12, 8), (12, 16), (16, 8), (16, 32)])
def test_a_map_of_other_channels_is_refused_also_where_padding_makes_them_alike(channels, given):
    cell, _ = nasbench201_case(CELLS[0], channels)
    for run, error in ((type(cell).__call__, RuntimeError), (cpu.run_cell, ValueError)):
        with pytest.raises(error, match=f"{channels}.* channels"):
            run(cell.train(), torch.randn(5, given, 9, 7))


def test_parts_of_different_size_are_not_joined():
    """Each node of this cell is made of one input alone."""
    nodes = tuple((("dil_conv_3x3", source), ("dil_conv_3x3", source)) for source in (0, 1))
    genotype = gl.NASNetGenotype(nodes, nodes, (2, 3), (2, 3))
    cell = nasnet_cells.Cell(genotype, False, (64, 64), 16, False, LayerStyle()).train()
    for run, error in ((type(cell).__call__, RuntimeError), (cpu.run_cell, ValueError)):
        with pytest.raises(error, match="size"):
            run(cell, torch.randn(3, 64, 16, 16), torch.randn(3, 64, 8, 8))


@pytest.mark.parametrize("images, expected", [(SMALLEST // (48 * 64) - 1, 0), (SMALLEST // (48 * 64) + 1, 3)])
def test_small_maps_are_left_to_layers(images, expected, runs):
    network = gl.network(zoo_genotype("GDAS_V1"), channels=16, cells=3, classes=4)
    CpuEngine().attach_network(network)
    network.train()(torch.randn(images, 3, 8, 8)).sum().backward()
    assert len(runs) == expected


@pytest.mark.parametrize("size", [(1, 1), (3, 1), (1, 3)])
def test_maps_of_a_pixel_or_a_column(size):
    """Their strides can be anything where a side is one pixel long; PyTorch's gradient of a mean has odd ones."""
    torch.manual_seed(0)
    cell, direction = randomised(nasbench201.Cell(gl.parse_genotype(CELLS[1]), 16)).train(), torch.randn(7, 16)
    found = []
    for kind, run in ((torch.float32, cpu.run_cell), (torch.float64, type(cell).__call__)):
        own, x = copy.deepcopy(cell).to(kind), torch.randn(7, 16, *size, generator=torch.Generator().manual_seed(1))
        x = x.to(kind).requires_grad_()
        out = run(own, x)
        found.append([out.detach(), *torch.autograd.grad((out.mean((2, 3)) * direction).sum(), [x, *own.parameters()])])
    assert distance(*found) < BEST


@pytest.mark.parametrize("size, expected", [((1, 12), 0), ((1, 13), 1)])
def test_a_channel_of_few_numbers_is_left_to_layers(size, expected, runs):
    cell, x = nasbench201.Cell(gl.parse_genotype(CELLS[0]), 16).train(), torch.randn(1, 16, *size, requires_grad=True)
    cpu.run_cell(cell, x)
    assert len(runs) == expected


@pytest.mark.parametrize("run", [cpu.run_cell, layers.run_cell])
@pytest.mark.parametrize("size", [1, 2])
def test_a_single_pixel_of_a_single_image_is_refused_as_pytorch_refuses_it(size, run):
    torch.manual_seed(0)
    cell, _ = nasnet_case("dil_conv_3x3", 16, size == 2, False)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        run(cell.train(), *(torch.randn(1, 64, size, size) for _ in range(2)))


def affine_pools():
    """As somebody made them, of a cell whose pooled maps are normalised."""
    cell, inputs = nasnet_case("DARTS_V1", 16, True, False, True)
    for module in cell.modules():
        if isinstance(module, Pooling):
            module.norm = torch.nn.BatchNorm2d(16)
    return randomised(cell), inputs


@pytest.mark.parametrize("case", ["1 C=12", "GDAS_V1 C=16 normal", "GDAS_V1 C=36 normal", "affine pools"])
def test_two_passes_with_weights_of_their_own_go_back_through_these(case):
    """Each by `functional_call`, which takes the weights away again before the backward pass."""
    def both(cell, inputs, run):
        called = Called(cell, run)
        sets = [{name: (param.detach() * scale).requires_grad_() for name, param in called.named_parameters()}
                for scale in (1.0, 0.5)]
        outs = [torch.func.functional_call(called, weights, tuple(inputs)) for weights in sets]
        slopes = torch.linspace(-1, 1, outs[0].numel(), dtype=outs[0].dtype).view(outs[0].shape).sin()
        total = sum((out * slopes).sum() for out in outs)
        found = torch.autograd.grad(total, [one for weights in sets for one in weights.values()], allow_unused=True)
        return [torch.zeros(()) if one is None else one for one in found]

    distances = []
    for seed in range(3):
        torch.manual_seed(seed)
        cell, inputs = affine_pools() if case == "affine pools" else CASES[case]()
        exact = copy.deepcopy(cell).double().train(), [x.double() for x in inputs], type(cell).__call__
        distances.append(distance(both(cell.train(), inputs, cpu.run_cell), both(*exact)))
    assert min(distances) < BEST


class Called(torch.nn.Module):
    """A cell as a function runs it."""

    def __init__(self, cell: torch.nn.Module, run) -> None:
        super().__init__()
        self.cell, self.run = cell, run

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.run(self.cell, *inputs)


@pytest.mark.parametrize("channels", [16, 36])
def test_an_input_that_reaches_no_output_has_no_gradient_instead_of_zeros(channels):
    """Zeros would decay weights that PyTorch leaves alone."""
    torch.manual_seed(0)
    nodes = (("sep_conv_3x3", 1), ("skip_connect", 1)), (("dil_conv_3x3", 0), ("max_pool_3x3", 2))
    genotype, found = gl.NASNetGenotype(nodes, nodes, (2,), (2,)), []
    cell = nasnet_cells.Cell(genotype, False, (2 * channels, 4 * channels), channels, True, LayerStyle()).train()
    inputs = [torch.randn(3, width * channels, side, side).requires_grad_() for width, side in ((2, 16), (4, 8))]
    for run in (cpu.run_cell, layers.run_cell, type(cell).__call__):
        slopes = torch.autograd.grad(run(cell, *inputs).sum(), [*inputs, *cell.parameters()], allow_unused=True)
        found.append([slope is None for slope in slopes])
    assert found[0] == found[1] == found[2] and any(found[2])


def test_every_pass_in_training_is_counted_once_and_no_other():
    torch.manual_seed(0)
    cell, inputs = nasnet_case("DARTS_V2", 16, True, True)      # with norms behind two convolutions
    for count, trains in enumerate((True, False, True)):
        with torch.no_grad():
            cpu.run_cell(cell.train(trains), *inputs)
        counted = {int(module.num_batches_tracked) for module in cell.modules() if isinstance(module, torch.nn.BatchNorm2d)}
        assert counted == {1 + count // 2}


@pytest.mark.parametrize("room, copies", [(0, True), (backward.ROOM, False)])
def test_a_gradient_is_read_where_it_stands_if_there_is_room_behind_it(room, copies):
    flat = torch.randn(2 * 3 * 3 * 72 + room)
    grad = flat[:2 * 3 * 3 * 72].view(2, 3, 3, 72)
    for first in (0, 36):
        part = backward.part_of(grad, first, 36, 48)
        assert part.shape == (2, 3, 3, 48) and torch.equal(part[..., :36], grad[..., first:first + 36])
        is_copy = part.untyped_storage().data_ptr() != flat.untyped_storage().data_ptr()
        assert is_copy == (copies and first == 36)      # the first part has the second one behind it
    made = backward.with_room_behind(grad)
    assert made.shape == grad.shape and made.is_contiguous()
    assert not torch.as_strided(made, (backward.ROOM,), (1,), made.numel()).any()


def test_a_frozen_network_gives_its_input_a_gradient():
    torch.manual_seed(0)
    cell, inputs = nasnet_case("GDAS_V1", 36, False, False)
    cell.train().requires_grad_(False)
    by_kernels, plain = ([x.clone().requires_grad_() for x in inputs] for _ in range(2))
    cpu.run_cell(cell, *by_kernels).square().sum().backward()
    copy.deepcopy(cell)(*plain).square().sum().backward()
    for one, other in zip(by_kernels, plain, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-3 * float(other.grad.abs().max()))


@pytest.mark.parametrize("images", [1, 16], ids=["layers", "kernels"])
@pytest.mark.parametrize("space", ["nasbench201", "nasnet"])
def test_hooks_are_called_and_change_no_output(space, images, runs):
    """As one takes maps out of a trained network: on a cell, on a layer in one, before and after it."""
    torch.manual_seed(0)
    cell = nasbench201.NASBench201Genotype.parse(CELLS[0]) if space == "nasbench201" else zoo_genotype("GDAS_V1")
    network = gl.network(cell, 16, *((1,) if space == "nasbench201" else (3,)), classes=3).eval()
    CpuEngine().attach_network(network)
    x, seen = torch.randn(images, 3, 32, 32), []
    first = network.stages[0][0] if space == "nasbench201" else network.cells[0]
    layer = next(module for module in first.modules() if isinstance(module, torch.nn.Conv2d))
    with torch.no_grad():
        expected = network(x)
        handles = [first.register_forward_hook(lambda _, inputs, output: seen.append(output)),
                   layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))]
        found = network(x)
        assert len(seen) == 2 and seen[1].shape[0] == images
        assert torch.allclose(found, expected, atol=1e-4)
        for handle in handles:
            handle.remove()
        assert torch.equal(network(x), expected) and len(seen) == 2
