"""'Base catches up with tuned when it is sampled often': pass@k of both, with a verified process."""

import math

import numpy as np
import pandas as pd

from interp.claims.ceiling import SHORT
from interp.claims.register import REGISTER
from interp.claims.verdict import Says, Verdict, rows_of, shown
from interp.intervals import difference
from interp.measurement import Measurement

PAPER = REGISTER["C17"]
GAIN = 0.05
"""Below this gain at k = 1 there is nothing that base would have to catch up with."""
LARGE = 32
"""Below this k, base that has not caught up says little: a strategy taken in one answer of ten is missed by 8 draws on
43% of the problems and by 32 on 3%."""


def base_catches_up(pass_counts: Measurement) -> Verdict:
    """Does base's verified pass@k reach tuned's at half the samples, where tuned is ahead at k = 1?

    `estimate` is base - tuned at k = n/2, paired over problems.

    - supported: its low end is above -0.05 (`SHORT`): base solves what tuned solves
    - contradicted: its high end is below that at k of at least 32: tuned solves what base hardly ever does
    - undecided: no gain at k = 1, no process could be verified (guesses would count), or anything between
    """
    base, tuned, verified = _sides(pass_counts)
    column = "verified" if verified else "right"
    k = int(min(base["n"].min(), tuned["n"].min())) // 2
    gain = difference(_passed(tuned, column, 1), _passed(base, column, 1))
    ahead = difference(_passed(base, column, k), _passed(tuned, column, k))
    says: Says = "undecided"
    if verified and gain.low > 0 and gain.estimate >= GAIN:
        behind = ahead.high < -SHORT and k >= LARGE
        says = "supported" if ahead.low >= -SHORT else "contradicted" if behind else "undecided"
    found = (
        f"base {_passed(base, column, k).mean():.2f} and tuned {_passed(tuned, column, k).mean():.2f} at k = {k}, a "
        f"difference of {shown(ahead.estimate, ahead.low, ahead.high)}"
    )
    reasons = [PAPER.told(found), f"At k = 1 tuned is {shown(gain.estimate, gain.low, gain.high)} ahead."]
    if gain.low <= 0 or gain.estimate < GAIN:
        reasons.append("Tuning gained nothing at k = 1, so there is nothing to catch up with.")
    elif ahead.high < -SHORT and k < LARGE:
        reasons.append(f"k = {k} is too few to say that base never catches up; sample at least {2 * LARGE} times.")
    elif (met := _crossover(base, tuned, column, k)) is not None:
        reasons.append(f"Base comes within {SHORT} of tuned from k = {met} on.")
    reasons.append(_guesses(pass_counts, k) if verified else "No process could be verified, so guesses count in both.")
    return Verdict(PAPER.claim, PAPER.number, ahead.estimate, ahead.low, ahead.high, ahead.n, says, " ".join(reasons))


def _sides(pass_counts: Measurement) -> tuple[pd.DataFrame, pd.DataFrame, bool]:
    table = rows_of(pass_counts, "problem", "arm", "n", "right", "verified", "guess")
    base, tuned = (table[table["arm"] == arm].set_index("problem") for arm in ("base", "tuned"))
    if set(base.index) != set(tuned.index) or base.empty:
        raise ValueError(f"base was sampled on {len(base)} problems and tuned on {len(tuned)}; sample both on the same")
    tuned = tuned.reindex(base.index)
    return base, tuned, not (base["verified"].isna().any() or tuned["verified"].isna().any())


def _passed(side: pd.DataFrame, column: str, k: int) -> np.ndarray:
    pairs = zip(side["n"], side[column], strict=True)
    return np.array([1 - math.comb(n - int(c), k) / math.comb(n, k) for n, c in pairs])


def _crossover(base: pd.DataFrame, tuned: pd.DataFrame, column: str, most: int) -> int | None:
    """The smallest power of two from which on base stays within `SHORT` of tuned; None where there is none."""
    ks = [2**i for i in range(most.bit_length()) if 2**i <= most]
    short = [k for k in ks if _passed(tuned, column, k).mean() - _passed(base, column, k).mean() > SHORT]
    return next((k for k in ks if not short or k > short[-1]), None)


def _guesses(pass_counts: Measurement, k: int) -> str:
    guess = float(pass_counts.table["guess"].iloc[0])
    lucky = pass_counts.table["right"].sum() - pass_counts.table["verified"].sum()
    shares = f"{lucky / pass_counts.table['n'].sum():.1%} of all samples were right without a true process"
    if math.isnan(guess):
        return f"Control: only verified processes count; {shares}."
    return f"Control: only verified processes count; {shares}; blind guesses come to {1 - (1 - guess) ** k:.2f}."
