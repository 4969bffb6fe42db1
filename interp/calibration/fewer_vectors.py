"""How often would a planted answer about features be missed if autoencoders were fitted on fewer vectors?

The cells of `feature_cells` are measured again with SAEs of fewer activations; texts, strategies and every control stay
as they are.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from interp.calibration import feature_cells
from interp.calibration.feature_answers import FEATURE_INSTRUMENTS, feature_rows
from interp.calibration.feature_cells import SAMPLES, Cell
from interp.measurement import Measurement, provenance

VECTORS = (5_120, SAMPLES)
"""Activations that each SAE of a cell is fitted on; 5,120 are the fewest that `train_sae` takes."""
ORGANISMS = ("rl", "newskill", "null")
"""One of which the claim is true, one with something new, and one in which nothing was tuned."""
BASE_SEEDS = (0, 5, 7)
"""One on which rules about features were chosen, and those on which none was."""
UNIT = "one answer of an instrument per row, beside what was planted"


def fewer_vectors(
    folder: Path, *, base_seeds: Sequence[int] = BASE_SEEDS, sae_seed: int = 0, kept: bool = False
) -> Measurement:
    """`vectors`: what is said of features when every SAE is fitted on `samples` vectors, beside what was planted.

    The columns of `matrix.matrix`, one row per answer, and `samples`. The cells are kept in `folder/features`, those of
    the full number being the matrix' own; with `kept` nothing is measured, and a pair that lacks one of the numbers is
    left out, so that all numbers are told of the same pairs. LookupError if none is left.
    """
    rows = list[dict[str, object]]()
    for base_seed in base_seeds:
        for organism in ORGANISMS:
            cells = [Cell(organism, base_seed, sae_seed, folder / "features", samples) for samples in VECTORS]
            if not cells[0].there or (kept and not all(cell.done for cell in cells)):
                continue
            for cell in cells:
                has = feature_cells.kept(cell) if kept else feature_cells.measured(cell)
                rows += [row | {"samples": cell.samples} for row in feature_rows(cell, has, FEATURE_INSTRUMENTS)]
    if not rows:
        raise LookupError(
            f"of no pair are features kept for every number of vectors in {folder.name}; measure them first"
        )
    made_with = provenance(base_seeds=list(base_seeds), sae_seed=sae_seed)
    return Measurement("vectors", UNIT, pd.DataFrame(rows), made_with)


def lines(vectors: Measurement) -> list[str]:
    """How often each of our own instruments misses what was planted, number by number, as text."""
    table = vectors.table[vectors.table["planted"].astype(bool) & (vectors.table["beside"] == "")]
    return [
        f"{name}, SAEs of {samples:,} vectors: missed in {int((of['outcome'] != 'right').sum())} of {len(of)} answers"
        for (name, samples), of in table.groupby(["instrument", "samples"], sort=False)
    ]
