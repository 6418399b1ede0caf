"""Which NAS-Bench-201 cells are known to compute the same function.

Source: the figure of 6,466 distinct cells usually quoted from the NAS-Bench-201 paper, computed as in AutoDL-Projects
(`Structure.to_unique_str(consider_zero=True)`). Each node gets a text: a skip is replaced by the text of its input, the
summands of a node are sorted, an edge that carries nothing (none, or from a node that is nothing) is the mark `#`.

The marks stay as summands, so two cells that differ only by adding nothing may count as two; leaving the marks out
gives 5,390 classes, and flattening sums that a skip passes on gives 4,930.
"""

from collections.abc import Iterable

ZERO = "#"


def canonical_function(edges: Iterable[tuple[int, int, str]]) -> str:
    """Returns the text of the output node; equal texts mean equal functions (the reverse does not hold, see above).

    edges: (src, dst, operation), those into a node before those out of it, as in NASBench201Genotype.edges.
    """
    texts = {0: "0"}
    summands: dict[int, list[str]] = {}
    for src, dst, op in edges:
        text = ZERO if op == "none" else texts[src]
        summands.setdefault(dst, []).append(text if op == "skip_connect" or text == ZERO else f"({text})@{op}")
        texts[dst] = "+".join(sorted(summands[dst]))
    return texts[max(texts)]


def live_edges(edges: Iterable[tuple[int, int, str]]) -> list[bool]:
    """Returns whether each edge is live: carries an operation, is reached from the input, reaches the output."""
    edges = list(edges)
    forward, backward = {0}, {max(dst for _, dst, _ in edges)}
    for src, dst, op in edges:
        if op != "none" and src in forward:
            forward.add(dst)
    for src, dst, op in reversed(edges):
        if op != "none" and dst in backward:
            backward.add(src)
    return [op != "none" and src in forward and dst in backward for src, dst, op in edges]


def computed_function(edges: Iterable[tuple[int, int, str]]) -> str:
    """Returns `canonical_function` with the marks left out and sums that a skip passes on flattened.

    4,930 texts for the 15,625 cells: those with equal ones compute the same, whatever their weights; "" is nothing.
    """
    terms: dict[int, list[str]] = {0: ["0"]}
    for src, dst, op in edges:
        passed = terms.get(src, [])
        into = terms.setdefault(dst, [])
        if op == "skip_connect":
            into.extend(passed)
        elif op != "none" and passed:
            into.append(f"({'+'.join(sorted(passed))})@{op}")
    return "+".join(sorted(terms[max(terms)]))
