"""A whole cell, given as a `Graph`, as one differentiable function made of compiled passes.

Between a node and the next nothing is stored but the maps in front of batch norms; normalisation, weight and sum over
all candidates of all incoming edges are one pass, and so is their backward pass. The plain twin is the cell itself.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..first_order import first_order
from ..graph import Graph, trained
from ..layers.maps import dense
from .backward import BackwardPass
from .forward import ForwardPass


def run_graph(graph: Graph, inputs: Sequence[Tensor], weights: Tensor | None = None,
              masks: np.ndarray | None = None, hands_on: bool = False) -> Tensor:
    """Returns a graph's result (B, sum of C, H, W) from inputs (B, C, H, W). weights: any shape, read flat, float32.
    masks: of drop path, (droppable terms, B). hands_on: the next cell reads the last input, too, as `handed_on`.

    The inputs are float32, or bfloat16: then so are all maps that are stored, and gradients of maps; sums and what lies
    between are float32. Raises ValueError for inputs of other types, and weights that are not float32.
    """
    kinds, parameters = {x.dtype for x in inputs}, graph.parameters()
    if len(kinds) > 1 or not kinds <= {torch.float32, torch.bfloat16}:
        raise ValueError(f"the kernels need maps of float32, or all of bfloat16, these are {sorted(map(str, kinds))}")
    if others := {one.dtype for one in parameters if one is not None} - {torch.float32}:
        raise ValueError(f"the kernels need weights of float32, some of these are {sorted(map(str, others))}")
    last = inputs[-1]
    hands_on = (hands_on and last.requires_grad and torch.is_grad_enabled() and kinds == {torch.float32}
                and all(x is not last for x in inputs[:-1]))
    learning = parameters if any(one is not None and one.requires_grad for one in parameters) else ()
    made = _Cell.apply(graph, masks, hands_on, parameters, weights, *inputs, *learning)
    if hands_on:
        made, last.handed_on = made
    return made


def handed_on(x: Tensor) -> Tensor:
    """Returns x, as it comes out of the cell before this one, if that read it, too. Then its gradient here goes into
    that cell's backward pass, which adds its own where it writes it; autograd would take one more pass."""
    return vars(x).pop("handed_on", x)


class _Cell(torch.autograd.Function):

    @staticmethod
    def forward(ctx, graph: Graph, masks: np.ndarray | None, hands_on: bool, parameters: Sequence[Tensor | None],
                weights: Tensor | None, *tensors: Tensor | None) -> Tensor | tuple[Tensor, Tensor]:
        state = ForwardPass(graph, weights, [dense(x) for x in tensors[:graph.inputs]], masks)
        ctx.graph, ctx.state = graph, state if any(ctx.needs_input_grad) else None
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors[:graph.inputs], *(parameters[at] for at in graph.read_again))    # may not change
        out = state.forward().permute(0, 3, 1, 2).detach()
        # aliases, not views: of those, autograd would keep the base, and let nobody change them in place
        return (out, tensors[graph.inputs - 1].detach()) if hands_on else out

    @staticmethod
    @first_order
    def backward(ctx, grad: Tensor | None, of_last: Tensor | None = None) -> tuple[Tensor | None, ...]:
        graph, state, needs = ctx.graph, ctx.state, ctx.needs_input_grad[4:]
        if grad is None:            # the loss does not depend on this cell
            return *(None,) * (4 + graph.inputs), of_last, *(None,) * (len(needs) - 1 - graph.inputs)
        if state is None:
            raise RuntimeError("a fused cell's backward pass can run once only; use engine 'plain' for more")
        ctx.state, _ = None, ctx.saved_tensors
        of_parameters, of_last = needs[1 + graph.inputs:], None if of_last is None else dense(of_last)
        backward = BackwardPass(state, needs[0], needs[1:1 + graph.inputs], any(of_parameters), of_last)
        backward.run(dense(grad))
        inputs = [None if grad is None else grad.permute(0, 3, 1, 2) for grad in backward.grads[:graph.inputs]]
        found = []
        for conv in graph.convs:
            taps, pointwise = backward.of_weights.get(conv, (None, None))
            found += [_without_padding(taps, conv.depthwise), _without_padding(pointwise, conv.pointwise),
                      None if pointwise is None or (bias := conv.pointwise.bias) is None else torch.zeros_like(bias)]
        for norm in graph.norms:
            found += [None if gradient is None else torch.from_numpy(
                gradient[:trained(norm).num_features].astype(np.float32))
                for gradient in backward.of_norms.get(norm, (None, None))]
        of_mixture = None if backward.of_mixture is None else torch.from_numpy(backward.of_mixture.astype(np.float32))
        return None, None, None, None, of_mixture, *inputs, *found[:len(of_parameters)]     # none if all are frozen


def _without_padding(gradient: Tensor | None, module: nn.Module) -> Tensor | None:
    if gradient is None or trained(module) is module:
        return gradient
    rows, columns = trained(module).weight.shape[:2]
    return gradient[:rows, :columns].contiguous()
