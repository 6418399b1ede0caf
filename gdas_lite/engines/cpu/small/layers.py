"""Layers of a small network on the CPU, each bound to its maps in memory: `forward(is_training)`, `backward(learns)`.

learns: whether gradients of the layer's own weights are wanted. A `Map` holds values and their gradients; every layer
adds to its target's values and to its source's gradients, so a node of a cell is simply the target of all edges that
lead into it. Weights are views into one flat theta.
"""

from collections.abc import Callable

import numpy as np

from . import convolutions, loops


class Map:
    """channels x side x side pixels of `count` images, images innermost. values, gradients (their gradients): flat."""

    def __init__(self, channels: int, side: int, count: int) -> None:
        self.channels, self.side, self.count = channels, side, count
        self._both = np.zeros((2, channels * side * side * count), np.float32)
        self.values, self.gradients = self._both

    def clear(self) -> None:
        """Zeros in values and gradients, for the layers to add to."""
        self._both.fill(0)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.channels, self.side, self.side, self.count

    def maps(self) -> tuple[np.ndarray, np.ndarray]:
        """Values and gradients as (channels, side, side, images)."""
        return self.values.reshape(self.shape), self.gradients.reshape(self.shape)

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Values and gradients as (channels, pixels * images)."""
        return self.values.reshape(self.channels, -1), self.gradients.reshape(self.channels, -1)


class Conv3:
    """3x3 convolution, no bias. weight, gradient: (C_out, C_in, 9). needs_input: the source wants one."""

    def __init__(self, source: Map, target: Map, weight: np.ndarray, gradient: np.ndarray, rectifies: bool,
                 needs_input: bool) -> None:
        self._weight, self._gradient, self._rectifies, self._needs_input = weight, gradient, rectifies, needs_input
        (self._x, self._x_grad), (self._y, self._y_grad) = source.maps(), target.maps()
        self._padded, self._padded_grad = _with_border(source), _with_border(target)
        width, count = source.side + 2, source.count
        self._first, self._length = (width + 1) * count, ((source.side - 1) * width + source.side) * count
        self._wide, self._met = (np.zeros((values.channels, source.side * width * count), np.float32)
                                 for values in (target, source))
        self._turned = np.empty((weight.shape[1], weight.shape[0], 9), np.float32)

    def forward(self, is_training: bool) -> None:
        convolutions.pad(self._x, self._padded, self._rectifies)
        convolutions.conv3(self._padded, self._weight, self._wide, self._length, 1)
        convolutions.add_cropped(self._wide, self._y)

    def backward(self, learns: bool = True) -> None:
        convolutions.pad(self._y_grad, self._padded_grad, False)
        if learns:
            rows = self._padded_grad.reshape(len(self._padded_grad), -1)
            convolutions.conv3_to_weight(self._padded, rows, self._gradient, self._first, self._length, 1)
        if not self._needs_input:
            return
        convolutions.turned(self._weight, self._turned)
        convolutions.conv3(self._padded_grad, self._turned, self._met, self._length, 1)
        if self._rectifies:
            convolutions.add_cropped_rectified(self._met, self._x, self._x_grad)
        else:
            convolutions.add_cropped(self._met, self._x_grad)


class StridedConv3:
    """ReLU and 3x3 convolution without bias, stride 2. weight, gradient: (C_out, C_in, 9)."""

    def __init__(self, source: Map, target: Map, weight: np.ndarray, gradient: np.ndarray) -> None:
        self._weight, self._gradient, self._count = weight, gradient, source.count
        (self._x, self._x_grad), self._y_grad = source.maps(), target.maps()[1]
        self._rows, self._rows_grad = target.rows()
        self._padded, self._met = _with_border(source), _with_border(source)

    def forward(self, is_training: bool) -> None:
        convolutions.pad(self._x, self._padded, True)
        convolutions.conv3(self._padded, self._weight, self._rows, self._count, 2)

    def backward(self, learns: bool = True) -> None:
        if learns:
            convolutions.conv3_to_weight(self._padded, self._rows_grad, self._gradient, 0, self._count, 2)
        self._met.fill(0)
        convolutions.conv3_to_input(self._y_grad, self._weight, self._met)
        self._x_grad += self._met[:, 1:-1, 1:-1] * (self._x > 0)


class Conv1:
    """1x1 convolution without bias. weight, gradient: (C_out, C_in)."""

    def __init__(self, source: Map, target: Map, weight: np.ndarray, gradient: np.ndarray, rectifies: bool) -> None:
        self._source, self._weight, self._gradient, self._rectifies = source, weight, gradient, rectifies
        self._x = np.empty_like(source.values) if rectifies else source.values
        self._rows = self._x.reshape(source.channels, -1)
        self._y, self._y_grad = target.rows()
        self._met = np.empty_like(self._rows)

    def forward(self, is_training: bool) -> None:
        if self._rectifies:
            loops.rectify(self._source.values, self._x)
        loops.conv1(self._rows, self._weight, self._y)

    def backward(self, learns: bool = True) -> None:
        if learns:
            loops.conv1_to_weight(self._rows, self._y_grad, self._gradient)
        self._met.fill(0)
        loops.conv1(self._y_grad, np.ascontiguousarray(self._weight.T), self._met)
        if self._rectifies:
            loops.add_rectified(self._met.reshape(-1), self._source.values, self._source.gradients)
        else:
            self._source.gradients += self._met.reshape(-1)


class Norm:
    """Batch norm. gamma, beta, their gradients, mean and variance (running estimates): (channels,)."""

    def __init__(self, source: Map, target: Map, gamma: np.ndarray, beta: np.ndarray, gamma_gradient: np.ndarray,
                 beta_gradient: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> None:
        (self._x, self._x_grad), (self._y, self._y_grad) = source.rows(), target.rows()
        self._gamma, self._beta, self._gradients = gamma, beta, (gamma_gradient, beta_gradient)
        self._estimates, self._saved = (mean, variance), np.zeros((source.channels, 2), np.float32)

    def forward(self, is_training: bool) -> None:
        loops.norm(self._x, self._y, self._gamma, self._beta, *self._estimates, self._saved, is_training)

    def backward(self, learns: bool = True) -> None:
        loops.norm_backward(self._x, self._y_grad, self._x_grad, self._gamma, self._saved, *self._gradients)


class Pool:
    """avg_pool_3x3 with stride 1, or the 2x2 mean with stride 2 of a residual block's shortcut, by its loop."""

    def __init__(self, loop: Callable[..., None], source: Map, target: Map) -> None:
        self._loop, (self._x, self._x_grad), (self._y, self._y_grad) = loop, source.maps(), target.maps()

    def forward(self, is_training: bool) -> None:
        self._loop(self._x, self._y, False)

    def backward(self, learns: bool = True) -> None:
        self._loop(self._y_grad, self._x_grad, True)


class Add:
    """skip_connect, and the sum of a residual block."""

    def __init__(self, source: Map, target: Map) -> None:
        self._source, self._target = source, target

    def forward(self, is_training: bool) -> None:
        self._target.values += self._source.values

    def backward(self, learns: bool = True) -> None:
        self._source.gradients += self._target.gradients


class Head:
    """ReLU, mean over pixels, linear classifier, mean cross entropy. weight (classes, C), bias (classes,)."""

    def __init__(self, source: Map, weight: np.ndarray, bias: np.ndarray, weight_gradient: np.ndarray,
                 bias_gradient: np.ndarray) -> None:
        shape = source.channels, source.side**2, source.count
        self._x, self._x_grad = source.values.reshape(shape), source.gradients.reshape(shape)
        self._weight, self._bias, self._gradients = weight, bias, (weight_gradient, bias_gradient)
        self._features = np.empty((source.channels, source.count), np.float32)
        self._features_grad = np.empty_like(self._features)
        self._logits, self._chances = (np.empty((len(bias), source.count), np.float32) for _ in range(2))

    def forward(self, labels: np.ndarray) -> tuple[float, int]:
        """Returns sum of the losses, number of correct answers."""
        loops.pixel_mean(self._x, self._features)
        self._logits[:] = self._bias[:, None]
        loops.conv1(self._features, self._weight, self._logits)
        return loops.softmax(self._logits, labels, self._chances)

    def backward(self, labels: np.ndarray, learns: bool = True) -> None:
        grad, count = self._chances, len(labels)
        grad[labels, np.arange(count)] -= 1
        grad /= np.float32(count)
        if learns:
            loops.conv1_to_weight(self._features, grad, self._gradients[0])
            self._gradients[1][:] += grad.sum(1)
        self._features_grad.fill(0)
        loops.conv1(grad, np.ascontiguousarray(self._weight.T), self._features_grad)
        loops.pixel_mean_backward(self._features_grad, self._x, self._x_grad)


def _with_border(values: Map) -> np.ndarray:
    """A map of zeros with a border of one pixel."""
    return np.zeros((values.channels, values.side + 2, values.side + 2, values.count), np.float32)
