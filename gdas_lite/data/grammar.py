"""The embedded language: sentences of a small stochastic grammar, whose entropy is known exactly.

A model of this language can be compared with the best that is possible: no predictor has a lower perplexity than
2^entropy (here: e^nats), and `Grammar.entropy_rate` computes it instead of estimating it. The grammar has what makes
recurrent cells differ: a verb agrees with its subject, however many clauses stand between them, and clauses nest.
"""

import bisect
import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

END = "<eos>"
SEED = 201
SENTENCES = {"train": 12_000, "valid": 1_200, "test": 1_200}

Choice = tuple[float, tuple[str, ...]]      # (probability, symbols); a symbol without rules of its own is a word


@dataclass(frozen=True)
class Grammar:
    """A stochastic context-free grammar. rules: by symbol its choices, whose probabilities add to 1.

    Sentences are drawn independently, each followed by <eos>. The entropy is that of derivations, so it is the
    language's own only if the grammar is unambiguous: no sentence has two derivations.
    Raises ValueError if a symbol's probabilities do not add to 1, the start is missing, or sentences do not end.
    """

    rules: Mapping[str, Sequence[Choice]]
    start: str = "S"

    def __post_init__(self) -> None:
        if self.start not in self.rules:
            raise ValueError(f"Grammar: no rules for the start symbol {self.start!r}, only for {', '.join(self.rules)}")
        for symbol, choices in self.rules.items():
            total = sum(probability for probability, _ in choices)
            if abs(total - 1) > 1e-9 or any(probability <= 0 for probability, _ in choices):
                raise ValueError(f"Grammar: the probabilities of {symbol!r} must be > 0 and add to 1, they add to "
                                 f"{total}")
        if max(abs(np.linalg.eigvals(self._expected_symbols()))) >= 1:
            raise ValueError("Grammar: sentences do not end: a symbol makes at least one of its own kind on average")

    def _expected_symbols(self) -> np.ndarray:
        """Entry (a, b): how many symbols b one step of a makes on average."""
        names = list(self.rules)
        matrix = np.zeros((len(names), len(names)))
        for row, choices in enumerate(self.rules.values()):
            for probability, choice in choices:
                for symbol in choice:
                    if symbol in self.rules:
                        matrix[row, names.index(symbol)] += probability
        return matrix

    def _summed(self, of_step: Sequence[float]) -> float:
        """Mean over sentences of a quantity that every step of a derivation adds to: solves x = step + M x."""
        names = list(self.rules)
        solved = np.linalg.solve(np.eye(len(names)) - self._expected_symbols(), np.asarray(of_step, dtype=float))
        return float(solved[names.index(self.start)])

    @property
    def sentence_entropy(self) -> float:
        """The entropy of a sentence, nats: each step of a derivation adds the entropy of its choice."""
        return self._summed([-sum(p * math.log(p) for p, _ in choices) for choices in self.rules.values()])

    @property
    def sentence_length(self) -> float:
        """The mean number of tokens of a sentence, with its <eos>."""
        return 1 + self._summed([sum(p * sum(symbol not in self.rules for symbol in choice) for p, choice in choices)
                                 for choices in self.rules.values()])

    @property
    def entropy_rate(self) -> float:
        """Nats a token: the lowest mean cross entropy that any model of long texts can have."""
        return self.sentence_entropy / self.sentence_length

    @cached_property
    def _bounds(self) -> dict[str, list[float]]:
        return {symbol: list(itertools.accumulate(p for p, _ in choices)) for symbol, choices in self.rules.items()}

    def sentence(self, source: random.Random) -> tuple[list[str], float]:
        """Returns one sentence, without <eos>, and the logarithm of its probability."""
        words, log_probability, stack = [], 0.0, [self.start]
        while stack:
            symbol = stack.pop()
            if symbol not in self.rules:
                words.append(symbol)
                continue
            choices, bounds = self.rules[symbol], self._bounds[symbol]
            index = min(bisect.bisect(bounds, source.random()), len(choices) - 1)
            log_probability += math.log(choices[index][0])
            stack += reversed(choices[index][1])
        return words, log_probability

    def text(self, sentences: int, seed: int | str) -> tuple[list[str], float]:
        """Returns the tokens of `sentences` sentences, each with <eos>, and the log-probability of all of it."""
        source = random.Random(f"{SEED}/{seed}")        # its `random()` is the same in every version of Python
        drawn = [self.sentence(source) for _ in range(sentences)]
        return [token for words, _ in drawn for token in (*words, END)], sum(logarithm for _, logarithm in drawn)


def _zipf(words: str) -> Iterator[Choice]:
    """Words with probabilities proportional to 1, 1/2, 1/3, ..."""
    split = words.split()
    total = sum(1 / rank for rank in range(1, len(split) + 1))
    return ((1 / rank / total, (word,)) for rank, word in enumerate(split, 1))


def _of_number(number: str, nouns: str, stay: str, take: str, say: str, determiners: str) -> dict[str, list[Choice]]:
    """Noun and verb phrases of a number ("1" singular, "2" plural); the verb agrees with the noun before the clause."""
    return {
        f"NP{number}": [(1.0, (f"Det{number}", "Adj", f"N{number}", f"Clause{number}"))],
        f"Clause{number}": [(0.72, ()), (0.16, ("who", f"VP{number}")), (0.06, ("whom", "NP1", "Take1")),
                            (0.06, ("whom", "NP2", "Take2"))],
        f"VP{number}": [(0.42, (f"Stay{number}", "Adv")), (0.26, (f"Take{number}", "NP1")),
                        (0.22, (f"Take{number}", "NP2")), (0.10, (f"Say{number}", "that", "S"))],
        f"Det{number}": list(_zipf(determiners)), f"N{number}": list(_zipf(nouns)), f"Stay{number}": list(_zipf(stay)),
        f"Take{number}": list(_zipf(take)), f"Say{number}": list(_zipf(say)),
    }


GRAMMAR = Grammar({
    "S": [(0.55, ("NP1", "VP1")), (0.45, ("NP2", "VP2"))],
    "Adj": [(0.7, ()), *((0.3 * probability, choice) for probability, choice in
                         _zipf("small old quiet clever hungry grey lucky"))],
    "Adv": [(0.75, ()), *((0.25 * probability, choice) for probability, choice in _zipf("today often outside again"))],
    **_of_number("1", "dog cat child teacher bird neighbour farmer doctor sailor horse",
                 "sleeps runs waits sings falls", "sees likes follows hears helps paints", "says thinks knows",
                 "the a every this"),
    **_of_number("2", "dogs cats children teachers birds neighbours farmers doctors sailors horses",
                 "sleep run wait sing fall", "see like follow hear help paint", "say think know", "the some two these"),
})
