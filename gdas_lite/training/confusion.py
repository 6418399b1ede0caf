"""Which class is taken for which: what an accuracy hides, above all where classes are of different size."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ..data.images import ImageData, ImageSet
from ..data.loaders import evaluation_batches
from ..data.streaming import StreamedData, StreamedSet
from ..evaluating import evaluating


def confusion(network: nn.Module, images: ImageSet | StreamedSet, data: ImageData | StreamedData, batch_size: int = 256
              ) -> np.ndarray:
    """How often each class was taken for each: (classes, classes) counts, rows the true class, columns the predicted one.

    As `evaluate`: not augmented, evaluation mode, the network's own mode is kept; the share on the diagonal is its accuracy.
    """
    classes = len(data.class_names)
    counts = torch.zeros(classes * classes, dtype=torch.int64)
    device = next(network.parameters()).device
    with evaluating(network):
        for _, x, y in evaluation_batches(images, data, batch_size, device=device).own_batches():
            counts += torch.bincount((classes * y + network(x).argmax(-1)).cpu(), minlength=classes * classes)
    return counts.view(classes, classes).numpy()
