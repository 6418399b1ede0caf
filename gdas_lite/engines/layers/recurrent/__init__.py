"""A window of text through a recurrent cell, of a search or derived, as one function, forwards and backwards."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from ....relaxation import Mixture
from ....spaces import recurrent
from ....spaces.language_model import LanguageModel, WordLoss
from ....spaces.recurrent import DerivedCell, SearchCell
from ...parts import is_following
from ..word_loss import word_loss
from .plan import KNOWN, CellPlan, plan_of_genotype, plan_of_mixture
from .sequence import CellWeights, run_sequence


def run(cell: Callable[..., Tensor], *inputs: Tensor | None, sequence: Callable[..., Tensor] = run_sequence,
        **options: Mixture) -> Tensor:
    """Returns what `cell(*inputs, **options)` does; that is called if its class or an activation is unknown here, or
    PyTorch `is_following`.

    inputs: see `SearchCell`. sequence: what runs the words, called as `run_sequence`.
    """
    plan = None if is_following() else _plan_of(cell, options.get("mixture"))
    if plan is None:
        return cell(*inputs, **options)
    embedded, hidden, mask = inputs
    return sequence(plan, embedded, hidden, CellWeights(cell.start, cell.steps), mask, getattr(cell, "norm", None),
                    options.get("mixture"))


def attach_language_model(model: LanguageModel, sequence: Callable[..., Tensor] = run_sequence,
                          loss: Callable[..., WordLoss] = word_loss) -> None:
    """Let a language model run its cell and its loss by this engine. sequence: see `run`."""
    model.run_cell, model.word_loss = partial(run, sequence=sequence), loss


def _plan_of(cell: Callable[..., Tensor], mixture: Mixture | None) -> CellPlan | None:
    if type(cell) is SearchCell and isinstance(mixture, Mixture) and recurrent.CANDIDATES == KNOWN:
        return plan_of_mixture(mixture)
    if type(cell) is DerivedCell and {name for name, _ in cell.genotype.steps} <= set(KNOWN):
        return plan_of_genotype(cell.genotype)
    return None
