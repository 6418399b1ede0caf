"""Texts for language models: words as numbers, read from the usual files or from any text file, cut into windows.

A text is one long row of tokens: the words of each line, then `<eos>`. The vocabulary is every word of train, valid and
test, in the order of first appearance (quark0/darts). Training sees it as parallel streams in windows: truncated
backpropagation through time (quark0/darts, rnn; the random window length is that of the AWD-LSTM, Merity et al., 2018).
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..runs.schema import Range, Rate, check_fields, open_file, text_of
from .places import find, missing

END, RARE = "<eos>", "<unk>"
TEXT_SETS = ("grammar", "ptb", "wikitext-2")
_TEXT_SUFFIXES = (".txt", ".text", ".tokens", ".raw", ".md")
_CORPORA = {        # title, folders, and the files of train, valid and test as they may be called
    "ptb": ("The Penn Treebank", ("ptb", "penn", "PTB"), [("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt")]),
    "wikitext-2": ("WikiText-2", ("wikitext-2", "wikitext2", "WikiText-2"), [
        ("train.txt", "valid.txt", "test.txt"), ("wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens")])}
_OF_CORPORA = [files for *_, kinds in _CORPORA.values() for files in kinds]
_USUAL_FILES = [*_OF_CORPORA, ("wiki.train.raw", "wiki.valid.raw", "wiki.test.raw"),
                *(("train.txt", f"{valid}.txt", "test.txt") for valid in ("val", "validation", "dev"))]


@dataclass(frozen=True, eq=False, repr=False)
class TextData:
    """A text in three parts that follow or come beside each other; tokens are numbers of `words`.

    train, valid: what a search sees; its lower and upper level. test: only for the end. int64, (tokens,).
    entropy_rate: of the language, nats a token, where it is known: no model is better on long texts. None elsewhere.
    Raises ValueError if a part is empty or holds a number that is no word.
    """

    name: str
    words: tuple[str, ...]
    train: Tensor
    valid: Tensor
    test: Tensor
    entropy_rate: float | None = None

    def __post_init__(self) -> None:
        for part in ("train", "valid", "test"):
            tokens = getattr(self, part)
            if tokens.ndim != 1 or tokens.dtype != torch.int64 or not len(tokens):
                raise ValueError(f"{self.name}, {part}: expected a row of int64 numbers that is not empty, got "
                                 f"{tuple(tokens.shape)} of {tokens.dtype}")
            if not 0 <= int(tokens.min()) <= int(tokens.max()) < len(self.words):
                raise ValueError(f"{self.name}, {part}: numbers must be 0..{len(self.words) - 1}, the vocabulary, got "
                                 f"{int(tokens.min())}..{int(tokens.max())}")

    @property
    def vocabulary(self) -> int:
        """The number of different words."""
        return len(self.words)

    @property
    def perplexity_floor(self) -> float | None:
        """The lowest perplexity that a model can have, e^entropy_rate; None where nobody knows it."""
        return None if self.entropy_rate is None else float(np.exp(self.entropy_rate))

    def decode(self, tokens: Tensor | Sequence[int]) -> str:
        """Returns the words of some tokens, each line of the text as a line."""
        words = [self.words[int(token)] for token in tokens]
        return re.sub(" ?\n ?", "\n", " ".join("\n" if word == END else word for word in words)).strip()

    def __repr__(self) -> str:
        floor = "" if self.entropy_rate is None else f", perplexity at least {self.perplexity_floor:.2f}"
        return (f"TextData {self.name}: {self.vocabulary:,} words; train {len(self.train):,}, valid "
                f"{len(self.valid):,}, test {len(self.test):,} tokens{floor}")


def text_data(name: str, parts: Sequence[Iterable[str]], entropy_rate: float | None = None) -> TextData:
    """Returns TextData of the tokens of train, valid and test."""
    numbers: dict[str, int] = {}
    rows = [torch.tensor([numbers.setdefault(token, len(numbers)) for token in part], dtype=torch.int64)
            for part in parts]
    return TextData(name, tuple(numbers), *rows, entropy_rate)


def is_text(name: str | os.PathLike) -> bool:
    """Returns whether a path is that of a text: a file with the suffix of one, or a folder with usual files of a text.

    A folder that lacks some of the three is one only without folders in it: lists of pictures are called train.txt too.
    """
    path = Path(name).expanduser()
    if not path.is_dir():
        return os.fspath(name).lower().endswith(_TEXT_SUFFIXES)
    if any(all((path / file).is_file() for file in files) for files in _OF_CORPORA):
        return True
    has_text = any((path / files[0]).is_file() for files in _USUAL_FILES)
    return has_text and not any(entry.is_dir() for entry in path.iterdir())


def load_text(name: str | os.PathLike, root: str | os.PathLike | None = None, **options: Any) -> TextData:
    """Returns a text by name, or of a text file or a folder of three, by its path.

    "grammar"; "ptb", the Penn Treebank in Mikolov's preparation, and "wikitext-2", looked for in `root` and the usual
    places, in a folder of the data set's name or directly. options: held_out, max_words of a text file.
    Raises FileNotFoundError with the places, ValueError for a file that is empty or no text, TypeError for an option
    that this text does not have.
    """
    key, path = name.lower() if isinstance(name, str) else "", Path(name).expanduser()
    if key not in TEXT_SETS and not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(f"there is no text file {path}; the embedded text is called grammar")
        return load_text_file(path, **options)
    if options:
        raise TypeError(f"{next(iter(options))} is an option for a .txt file of your own; {name} has a fixed form")
    if key == "grammar":
        from .grammar import GRAMMAR, SENTENCES
        parts = [GRAMMAR.text(count, part)[0] for part, count in SENTENCES.items()]
        return text_data("grammar", parts, GRAMMAR.entropy_rate)
    if key in _CORPORA and (path := corpus_folder(key, root)) is None:
        title, folders, kinds = _CORPORA[key]
        raise missing(title, root, folders[0], f"it needs the files {' or '.join(map(', '.join, kinds))}; no download "
                                               "is built in")
    usual = ([path / file for file in files] for files in _USUAL_FILES)
    if (paths := next((paths for paths in usual if all(map(Path.is_file, paths))), None)) is None:
        raise FileNotFoundError(f"{path} lacks one of the three files of a text: "
                                f"{'; '.join(map(', '.join, _USUAL_FILES))}")
    return text_data(key if key in TEXT_SETS else str(path), [tokens_of(file) for file in paths])


def corpus_folder(key: str, root: str | os.PathLike | None = None) -> Path | None:
    """Returns the folder of "ptb" or "wikitext-2" in the usual places, None if it is in none."""
    _, folders, kinds = _CORPORA[key]
    return find(root, folders, [file for files in kinds for file in files], None)


def load_text_file(path: str | os.PathLike, *, held_out: float = 0.1, max_words: int | None = None) -> TextData:
    """Returns any text file as a text: words are what white space separates; lines end in `<eos>`. Its end is held out.

    held_out: share of the tokens that are valid and test, half each, 0 < held_out < 1.
    max_words: size of the vocabulary; the rarer words become `<unk>`. None keeps all.
    Raises ValueError for an empty file, one that is no text (UTF-8, or UTF-16 with its mark), or one too short.
    """
    if not 0 < held_out < 1:
        raise ValueError(f"held_out must be between 0 and 1, got {held_out}")
    tokens = tokens_of(path)
    if max_words is not None:
        tokens = _without_rare(tokens, max_words)
    valid = test = int(len(tokens) * held_out / 2)
    if valid < 2:
        raise ValueError(f"{path} has {len(tokens)} tokens, so valid and test would have {valid} each; give a longer "
                         f"text or a larger held_out (now {held_out})")
    train = len(tokens) - valid - test
    return text_data(str(path), [tokens[:train], tokens[train:train + valid], tokens[train + valid:]])


def _without_rare(tokens: list[str], max_words: int) -> list[str]:
    if max_words < 3:
        raise ValueError(f"max_words must be at least 3 (<unk>, <eos> and a word), got {max_words}")
    counts = Counter(tokens)
    if len(counts) <= max_words:
        return tokens
    # of equally frequent words the first to appear
    kept = {END, *[word for word, _ in counts.most_common() if word not in (END, RARE)][:max_words - 2]}
    return [token if token in kept else RARE for token in tokens]


def tokens_of(path: str | os.PathLike) -> list[str]:
    """Returns the words of a text file, `<eos>` after each line. Raises ValueError if it is empty, or no text."""
    try:
        with open_file(path) as file:
            text = text_of(file.read())
    except UnicodeDecodeError as problem:
        raise ValueError(f"{path} is no text in {problem.encoding.upper()} (byte {problem.start}); convert it to UTF-8 "
                         "first") from None
    if "\0" in text:
        raise ValueError(f"{path} is no text: it holds zero bytes; give a plain text file in UTF-8")
    # Lines end as Python reads them, and so the DARTS code; a mark before one is no letter, within a word it stays.
    text = re.sub("^\ufeff+", "", text.replace("\r\n", "\n").replace("\r", "\n"), flags=re.MULTILINE)
    if not text.split():
        raise ValueError(f"{path} is empty: it holds no word")
    lines = text.removesuffix("\n").split("\n")     # the end of the last line is not a line of its own
    return [token for line in lines for token in (*line.split(), END)]


@dataclass(frozen=True)
class WindowLengths:
    """How long a window is, words.

    bptt: the usual length. short_probability: chance of half of it instead. jitter: standard deviation of the normal
    draw around either, 0 for none. A window has at least `shortest` and at most bptt + `longest_extra` words then.
    Defaults: quark0/darts' search, without jitter; its training has jitter 5.
    """

    bptt: Annotated[int, Range(1, whole=True)] = 35
    short_probability: Annotated[float, Range(0, 1)] = 0.05
    jitter: Rate = 0.0
    shortest: Annotated[int, Range(1, whole=True)] = 5
    longest_extra: Annotated[int, Range(0, whole=True)] = 20

    def __post_init__(self) -> None:
        check_fields(self, "WindowLengths")

    def draw(self, generator: torch.Generator) -> int:
        """Returns the length of the next window, words."""
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
            raise ValueError(f"{name} has {len(tokens)} tokens, that is {length} for each of {batch_size} streams, but "
                             f"a window needs {bptt + 1}; give more text, or less batch_size, valid_batch or bptt")
        self.rows = tokens[:length * batch_size].view(batch_size, length).t().contiguous().to(device)

    def __len__(self) -> int:
        return len(self.rows)

    def window(self, start: int, length: int) -> Window:
        """Returns `length` words from row `start`, fewer at the end of the text."""
        end = min(start + length, len(self.rows) - 1)
        return Window(self.rows[start:end], self.rows[start + 1:end + 1], length)

    def positions(self, lengths: WindowLengths, generator: torch.Generator) -> list[tuple[int, int]]:
        """Returns (start, length) of every window of one pass; a last one of one word is left out (quark0/darts)."""
        found, start = [], 0
        while start < max(1, len(self.rows) - 2):
            length = lengths.draw(generator)
            found.append((start, length))
            start += length
        return found

    def in_order(self, length: int) -> Iterator[Window]:
        """Yields all words once, in windows of one length: evaluation."""
        return (self.window(start, length) for start in range(0, len(self.rows) - 1, length))
