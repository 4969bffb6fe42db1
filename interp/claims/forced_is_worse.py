"""'Forced to think on, a model answers worse': accuracy when an answer may not begin before some length."""

import pandas as pd

from interp.claims.change import decided
from interp.claims.register import REGISTER
from interp.claims.verdict import Verdict, rows_of, shown
from interp.intervals import Interval, difference
from interp.measurement import Measurement

PAPER = REGISTER["C22c"]
LITTLE = 0.05
"""A fall of accuracy below this is none."""
FEW = 10
"""Problems below which nothing is said."""


def forced_is_worse(forced: Measurement, *, arm: str = "tuned") -> Verdict:
    """Does accuracy fall from the least forced length to the greatest, problem by problem?

    Takes `lengths` of forced texts, whose `dose` says how much was forced. `estimate` is accuracy at the largest dose
    minus that at the smallest one.

    - supported: its interval lies below 0 and it fell by at least 0.05
    - contradicted: a fall of 0.05 is excluded
    - undecided: anything between, or fewer than 10 problems

    A forced continuation is text that the model would not have written: this says nothing of lengths it chooses.
    ValueError for lengths that were not forced, below two doses, or a problem without one of them.
    """
    table = rows_of(forced, "problem", "arm", "mode", "dose", "length", "correct")
    of = table[table["arm"] == arm]
    if of.empty or set(of["mode"]) != {"forced"} or of["dose"].nunique() < 2:
        raise ValueError(f"forced lengths of {arm!r} at two doses or more are needed; give `lengths` of forced texts")
    if (n := int(of["problem"].nunique())) < FEW:
        because = PAPER.told(f"forced texts of {arm} on {n} problems, where {FEW} are needed")
        return Verdict(PAPER.claim, PAPER.number, None, None, None, n, "undecided", because)
    change = _fall(of)
    means = of.groupby("dose")[["correct", "length"]].mean()
    found = (
        f"accuracy of {arm} changed by {_told(change)} from a forced dose of {means.index[0]:g} to {means.index[-1]:g}"
    )
    curve = ", ".join(f"{dose:g}: {row.correct:.2f} in {row.length:.1f} tokens" for dose, row in means.iterrows())
    reasons = [PAPER.told(found), f"By dose: {curve}."]
    if arm != "base" and (of_base := table[table["arm"] == "base"])["dose"].nunique() > 1:
        reasons.append(f"Control: base changes by {_told(_fall(of_base))} under the same forcing.")
    reasons.append(
        "A forced continuation is text the model would not have written; lengths it chooses are another claim."
    )
    says = decided(change, sign=-1, little=LITTLE)
    because = " ".join(reasons)
    return Verdict(PAPER.claim, PAPER.number, change.estimate, change.low, change.high, change.n, says, because)


def _fall(of: pd.DataFrame) -> Interval:
    """Accuracy at the largest dose minus that at the smallest, over problems."""
    means = of.assign(y=of["correct"].astype(float)).groupby(["problem", "dose"])["y"].mean().unstack()
    if means.isna().any().any():
        raise ValueError("some problem lacks a forced dose; ask every problem at every dose")
    means = means.loc[of["problem"].drop_duplicates()]  # in the table's order, whatever problems are called
    return difference(means[means.columns.max()].to_numpy(), means[means.columns.min()].to_numpy())


def _told(found: Interval) -> str:
    return shown(found.estimate, found.low, found.high)
