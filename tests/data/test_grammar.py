"""The embedded language: its entropy is exact, and no sentence has two derivations."""

from __future__ import annotations

import hashlib
import heapq
import math
import random
from functools import cache

import pytest

from gdas_lite.data.grammar import GRAMMAR, SENTENCES, Grammar
from gdas_lite.data.text import load_text

SMALL = Grammar({
    "S": [(0.6, ("a", "T")), (0.4, ("b",))],
    "T": [(0.5, ("c",)), (0.3, ("d", "S")), (0.2, ("e", "S", "f"))],
})


def test_geometric_language_has_its_textbook_entropy():
    """S -> x S with probability q, else y: the length is geometric."""
    q = 0.3
    grammar = Grammar({"S": [(q, ("x", "S")), (1 - q, ("y",))]})
    step = -(q * math.log(q) + (1 - q) * math.log(1 - q))
    assert grammar.sentence_entropy == pytest.approx(step / (1 - q), abs=1e-12)
    assert grammar.sentence_length == pytest.approx(1 / (1 - q) + 1, abs=1e-12)
    assert grammar.entropy_rate == pytest.approx(step / (1 - q) / (1 / (1 - q) + 1), abs=1e-12)


def enumerated(grammar: Grammar, mass: float) -> dict[tuple[str, ...], float]:
    """Sentences with their probabilities, the most probable first, until they hold `mass` together: no formula."""
    found: dict[tuple[str, ...], float] = {}
    heap = [(-1.0, (grammar.start,))]
    total = 0.0
    while total < mass:
        negative, form = heapq.heappop(heap)
        at = next((i for i, symbol in enumerate(form) if symbol in grammar.rules), None)
        if at is None:
            assert form not in found        # unambiguous
            found[form] = -negative
            total -= negative
            continue
        for probability, choice in grammar.rules[form[at]]:
            heapq.heappush(heap, (negative * probability, form[:at] + choice + form[at + 1:]))
    return found


def test_entropy_equals_that_of_all_sentences_written_out():
    found = enumerated(SMALL, 1 - 1e-7)
    assert -sum(p * math.log(p) for p in found.values()) == pytest.approx(SMALL.sentence_entropy, abs=1e-5)
    assert sum(p * (len(form) + 1) for form, p in found.items()) == pytest.approx(SMALL.sentence_length, abs=1e-5)


@pytest.mark.parametrize("part", SENTENCES)
def test_the_embedded_texts_have_the_entropy_that_is_promised(part):
    """Mean -log p of what was generated is within three standard errors of the exact value."""
    source = random.Random(f"check/{part}")
    drawn = [GRAMMAR.sentence(source) for _ in range(3000)]
    surplus = [-log_probability - GRAMMAR.entropy_rate * (len(words) + 1) for words, log_probability in drawn]
    mean = sum(surplus) / len(surplus)
    error = (sum((value - mean) ** 2 for value in surplus) / len(surplus) ** 2) ** 0.5
    assert abs(mean) < 3 * error
    tokens, log_probability = GRAMMAR.text(500, part)
    assert -log_probability / len(tokens) == pytest.approx(GRAMMAR.entropy_rate, rel=0.05)


def derivations(grammar: Grammar, words: tuple[str, ...]) -> tuple[int, float]:
    """How many derivations a sentence has, and the sum of their probabilities: every way to divide it is tried."""
    @cache
    def of_symbol(symbol: str, start: int, end: int) -> tuple[int, float]:
        if symbol not in grammar.rules:
            matches = end == start + 1 and words[start] == symbol
            return int(matches), float(matches)
        counted = [(p, of_row(choice, start, end)) for p, choice in grammar.rules[symbol]]
        return sum(count for _, (count, _) in counted), sum(p * inner for p, (_, inner) in counted)

    @cache
    def of_row(symbols: tuple[str, ...], start: int, end: int) -> tuple[int, float]:
        if not symbols:
            return int(start == end), float(start == end)
        if len(symbols) == 1:
            return of_symbol(symbols[0], start, end)
        count, probability = 0, 0.0
        for middle in range(start, end + 1):
            first, p_first = of_symbol(symbols[0], start, middle)
            if first:
                rest, p_rest = of_row(symbols[1:], middle, end)
                count, probability = count + first * rest, probability + p_first * p_rest
        return count, probability

    return of_symbol(grammar.start, 0, len(words))


def test_no_sentence_has_two_derivations():
    source = random.Random(1)
    for _ in range(120):
        words, log_probability = GRAMMAR.sentence(source)
        if len(words) <= 30:
            count, probability = derivations(GRAMMAR, tuple(words))
            assert count == 1, " ".join(words)
            assert math.log(probability) == pytest.approx(log_probability, abs=1e-9)


def test_the_counter_finds_an_ambiguous_grammar():
    ambiguous = Grammar({"S": [(0.3, ("a", "S")), (0.2, ("a", "a")), (0.5, ("a",))]})
    count, probability = derivations(ambiguous, ("a", "a"))
    assert count == 2 and probability == pytest.approx(0.3 * 0.5 + 0.2)


def test_the_text_is_always_the_same_and_its_floor_is_known():
    data = load_text("grammar")
    rows = (" ".join(data.words[token] for token in part.tolist()) for part in (data.train, data.valid, data.test))
    assert [hashlib.sha256(row.encode()).hexdigest()[:16] for row in rows] == [     # as run folders and lessons have it
        "7317550ce25956b7", "799454fef3651d5a", "86b206f224cee452"]
    symbols = {symbol for choices in GRAMMAR.rules.values() for _, choice in choices for symbol in choice}
    assert data.vocabulary == len(symbols - GRAMMAR.rules.keys()) + 1
    assert data.perplexity_floor == pytest.approx(math.exp(GRAMMAR.entropy_rate))
    assert "perplexity at least 7.27" in repr(data)
    assert not (data.train[:1000] == data.valid[:1000]).all()
    assert data.decode(data.test[:6]).count("\n") <= 2


@pytest.mark.parametrize("rules, sentence", [
    ({"S": [(0.5, ("a",))]}, "must be > 0 and add to 1, they add to 0.5"),
    ({"S": [(1.5, ("a",)), (-0.5, ("b",))]}, "must be > 0"), ({"T": [(1.0, ("a",))]}, "no rules for the start symbol 'S'"),
    ({"S": [(0.6, ("S", "S")), (0.4, ("a",))]}, "sentences do not end"),
])
def test_bad_grammars_are_refused(rules, sentence):
    with pytest.raises(ValueError, match=sentence):
        Grammar(rules)
