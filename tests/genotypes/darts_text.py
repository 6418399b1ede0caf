"""A genotype as the DARTS code prints it, for tests of what people paste."""

from __future__ import annotations

from gdas_lite.genotypes.nasnet import NASNetGenotype
from gdas_lite.genotypes.recurrent import RecurrentGenotype


def darts_text(genotype: NASNetGenotype | RecurrentGenotype) -> str:
    """Returns `Genotype(normal=[('sep_conv_3x3', 1), ...], ...)` or `Genotype(recurrent=[('relu', 0), ...], ...)`."""
    if isinstance(genotype, RecurrentGenotype):
        return f"Genotype(recurrent={list(genotype.steps)}, concat={list(genotype.concat)})"
    normal, reduce = ([pair for node in cell for pair in node] if cell is not None else None
                      for cell in (genotype.normal, genotype.reduce))
    return (f"Genotype(normal={normal}, normal_concat={list(genotype.normal_concat)}, reduce={reduce}, "
            f"reduce_concat={list(genotype.reduce_concat)})")
