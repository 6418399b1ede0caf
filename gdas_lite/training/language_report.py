"""What a language model reached, in words: beside what others published, and beside the best that is possible."""

from __future__ import annotations

from ..published import published
from .language import LanguageTraining

PUBLISHED = ("valid_perplexity", "test_perplexity")


def language_report(training: LanguageTraining, name: str | None = None) -> str:
    """Lines with the measured perplexities, the lowest possible one where it is known, and published ones of the cell
    called `name` on the same text, each with its source.

    Raises RuntimeError before the last epoch, KeyError for a name that the zoo's published results do not have.
    """
    scores, data = training.result, training.data
    epoch = max(record.epoch for record in training.history if record.is_best)
    lines = [f"{data.name}: validation perplexity {scores['valid'].perplexity:.2f} (epoch {epoch}, the lowest), test "
             f"perplexity {scores['test'].perplexity:.2f}; measured, recipe {training.recipe.name}, seed {training.seed}"]
    if data.perplexity_floor is not None:
        lines.append(f"{data.name}: no model has a perplexity below {data.perplexity_floor:.2f} on long texts; exact, from "
                     "the grammar")
    if name is not None and data.name in ("ptb", "wikitext-2"):
        lines += [str(result) for result in published(name, space="recurrent", data=data.name)
                  if result.metric in PUBLISHED]
    return "\n".join(lines)
