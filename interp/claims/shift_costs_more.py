"""'Tuning costs accuracy on structurally shifted problems': a difference in differences, paired by instance."""

import numpy as np
import pandas as pd

from interp.claims.change import decided
from interp.claims.register import REGISTER
from interp.claims.verdict import Says, Verdict, listed, rows_of, shown
from interp.intervals import difference, paired_bootstrap
from interp.measurement import Measurement

PAPER = REGISTER["C5"]
LITTLE = 0.04
"""A difference of drops below this is none (the register plans 2,000 instances for it)."""


def shift_costs_more(shifted: Measurement) -> Verdict:
    """Does tuned lose more than base when the structure changes? (T_orig - T_shift) - (B_orig - B_shift).

    Only instances whose variant needs as many steps as the original enter, where steps are known: otherwise a variant
    may be harder for both.

    - supported: the interval lies above 0 and the estimate is at least 0.04
    - contradicted: its high end is under 0.04
    - undecided: anything between, or base solves so little that it could not have dropped as much as tuned did
    """
    cells, matched = _cells(shifted)
    drops = {arm: cells[arm, "original"] - cells[arm, "shifted"] for arm in ("base", "tuned")}
    more = difference(drops["tuned"], drops["base"])
    says: Says = decided(more, sign=1, little=LITTLE)
    floor = cells["base", "original"].mean() < drops["tuned"].mean()
    of_tuned = f"{cells['tuned', 'original'].mean():.2f} to {cells['tuned', 'shifted'].mean():.2f}"
    of_base = f"{cells['base', 'original'].mean():.2f} to {cells['base', 'shifted'].mean():.2f}"
    found = (
        f"tuned from {of_tuned} and base from {of_base}, a drop {shown(more.estimate, more.low, more.high)} larger in "
        "tuned"
    )
    reasons = [PAPER.told(found), _kept(cells), matched]
    if floor and says == "supported":
        says = "undecided"
        reasons.append("Base solves fewer originals than tuned lost, so it could not have dropped as much.")
    return Verdict(PAPER.claim, None, more.estimate, more.low, more.high, more.n, says, " ".join(reasons))


def _kept(cells: dict[tuple[str, str], np.ndarray]) -> str:
    """The share of its accuracy that tuned keeps, where it has any."""
    if not cells["tuned", "original"].any():
        return "Tuned solves none of the originals, so there is nothing to keep."
    kept = paired_bootstrap(np.divide, cells["tuned", "shifted"], cells["tuned", "original"])
    return f"Tuned keeps {shown(kept.estimate, kept.low, kept.high)} of its accuracy."


def _cells(shifted: Measurement) -> tuple[dict[tuple[str, str], np.ndarray], str]:
    """Accuracy of each instance by arm and split, and in words which instances they are."""
    table = rows_of(shifted, "problem", "arm", "split", "correct", "required")
    wanted = [(arm, split) for arm in ("base", "tuned") for split in ("original", "shifted")]
    there = set(zip(table["arm"], table["split"], strict=True))
    if missing := [f"{arm} on {split}" for arm, split in wanted if (arm, split) not in there]:
        raise ValueError(f"measurement 'shifted' lacks {listed(missing)}; a difference in differences needs all four")
    wide = table.pivot(index="problem", columns=["arm", "split"], values=["correct", "required"])
    if wide["correct"][wanted].isna().any().any():
        raise ValueError("measurement 'shifted' lacks an outcome for some instance; answer each by both arms")
    needed = wide["required"]["tuned"]
    if needed.isna().any().any():
        return _arrays(wide["correct"], wanted), "Steps needed are not known: the variants may simply be harder."
    same = needed["original"] == needed["shifted"]
    told = f"Control: {int(same.sum())} of {len(same)} instances whose variant needs as many steps."
    return _arrays(wide["correct"][same.to_numpy()], wanted), told


def _arrays(wide: pd.DataFrame, wanted: list[tuple[str, str]]) -> dict[tuple[str, str], np.ndarray]:
    if len(wide) < 2:
        raise ValueError(f"{len(wide)} instances have variants that need as many steps; at least 2 are needed")
    return {cell: wide[cell].to_numpy(float) for cell in wanted}
