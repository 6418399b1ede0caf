"""A text as parallel streams, cut into windows: what truncated backpropagation through time trains on.

Source: quark0/darts, rnn; the random window length is that of the AWD-LSTM (Merity et al., 2018).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class WindowLengths:
    """How long a window is, words.

    bptt: the usual length. short_probability: chance of half of it instead. jitter: standard deviation of the normal
    draw around either, 0 for none. A window has at least `shortest` and at most bptt + `longest_extra` words then.
    Defaults: quark0/darts' search, without jitter; its training has jitter 5.
    """

    bptt: int = 35
    short_probability: float = 0.05
    jitter: float = 0.0
    shortest: int = 5
    longest_extra: int = 20

    def __post_init__(self) -> None:
        if self.bptt < 1 or self.shortest < 1 or self.longest_extra < 0 or self.jitter < 0:
            raise ValueError(f"window lengths must be at least 1 and their jitter at least 0, got {self}")
        if not 0 <= self.short_probability <= 1:
            raise ValueError(f"short_probability must be in 0..1, got {self.short_probability}")

    def draw(self, generator: torch.Generator) -> int:
        """The length of the next window."""
        is_short = torch.rand((), generator=generator).item() < self.short_probability
        base = self.bptt / 2 if is_short else self.bptt
        if self.jitter == 0:
            return max(1, int(base))
        drawn = int(base + self.jitter * torch.randn((), generator=generator).item())
        return min(max(self.shortest, drawn), self.bptt + self.longest_extra)


class Window(NamedTuple):
    """words and the ones that follow them, targets, both int64 (T, B). length: as drawn; the last may be shorter."""

    words: Tensor
    targets: Tensor
    length: int


class Streams:
    """A text of N tokens as `batch_size` streams that run beside each other; the remainder is left off.

    rows: int64 (N // batch_size, batch_size); a column is one stream.
    Raises ValueError if a stream is shorter than one window.
    """

    def __init__(self, tokens: Tensor, batch_size: int, bptt: int, device: torch.device | str = "cpu",
                 name: str = "the text") -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        length = len(tokens) // batch_size
        if length < bptt + 1:
            raise ValueError(f"{name} has {len(tokens)} tokens, that is {length} for each of {batch_size} streams, but a "
                             f"window needs {bptt + 1}; give a longer text, or a smaller batch_size or bptt")
        self.rows = tokens[:length * batch_size].view(batch_size, length).t().contiguous().to(device)

    def __len__(self) -> int:
        return len(self.rows)

    def window(self, start: int, length: int) -> Window:
        """`length` words from row `start`, fewer at the end of the text."""
        end = min(start + length, len(self.rows) - 1)
        return Window(self.rows[start:end], self.rows[start + 1:end + 1], length)

    def positions(self, lengths: WindowLengths, generator: torch.Generator) -> list[tuple[int, int]]:
        """(start, length) of every window of one pass; a last one of a single word is left out (quark0/darts)."""
        found, start = [], 0
        while start < max(1, len(self.rows) - 2):
            length = lengths.draw(generator)
            found.append((start, length))
            start += length
        return found

    def in_order(self, length: int) -> Iterator[Window]:
        """All words once, in windows of one length: evaluation."""
        return (self.window(start, length) for start in range(0, len(self.rows) - 1, length))
