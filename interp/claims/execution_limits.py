"""'Collapse on long problems is of execution: a tool removes it', held against a tool that answers at random."""

import numpy as np

from interp.claims.change import decided
from interp.claims.register import REGISTER
from interp.claims.verdict import Says, Verdict, outcomes, rows_of, shown
from interp.intervals import Interval, difference, wilson
from interp.measurement import Measurement

PAPER = REGISTER["C18"]
LITTLE = 0.05
"""A gain of accuracy below this is none."""
FEW = 20
"""Problems of the largest size below which nothing is said."""
NEAR = 0.10
"""How far the accuracy may lie from what independent errors of one step predict."""


def execution_limits(execution: Measurement, *, one_steps: Measurement | None = None, arm: str = "tuned") -> Verdict:
    """On the largest problems, does a tool that does the steps raise accuracy, and one that answers at random not?

    `estimate` is accuracy with the tool minus without, on problems of the largest size.

    - supported: accuracy falls with size without a tool, the tool's gain lies above 0 (at least 0.05) and above that of
      a random tool, and leaves less than half of the fall
    - contradicted: the tool gains less than 0.05 (high end) although accuracy fell: reasoning, not execution
    - undecided: anything between, or no fall to explain

    Beside it: (1 - eps)^N of the one-step errors; where it is the accuracy found and eps is flat in N, execution is
    enough to explain the fall.
    """
    table = rows_of(execution, "problem", "arm", "size", "tool", "correct")
    of = table[table["arm"] == arm]
    if missing := {"none", "tool", "random tool"} - set(of["tool"]):
        raise ValueError(
            f"measurement 'execution' lacks runs of {arm!r} with {min(missing)!r}; the claim needs all three"
        )
    small, large = of["size"].min(), of["size"].max()
    wide = outcomes(of[of["size"] == large], "tool")
    if len(wide) < FEW:
        because = PAPER.told(f"{len(wide)} problems of the largest size, {large}, where {FEW} are needed")
        return Verdict(PAPER.claim, None, None, None, None, len(wide), "undecided", because)
    gain = difference(wide["tool"].to_numpy(), wide["none"].to_numpy())
    beyond = difference(wide["tool"].to_numpy(), wide["random tool"].to_numpy())
    plain = of[of["tool"] == "none"].groupby("size")["correct"].agg(["mean", "size"])
    least, most = plain.loc[small], plain.loc[large]
    fell = float(least["mean"] - most["mean"])
    ends = (
        wilson(round(least["mean"] * least["size"]), int(least["size"]))[0],
        wilson(round(most["mean"] * most["size"]), int(most["size"]))[1],
    )
    says: Says = decided(gain, sign=1, little=LITTLE)
    if ends[0] <= ends[1]:
        says, why = "undecided", "Accuracy does not clearly fall with size, so there is no collapse to explain."
    else:
        why = f"Without a tool accuracy falls by {fell:.2f} from {small} to {large} steps."
        if says == "supported" and not (beyond.low > 0 and gain.estimate >= fell / 2):
            says = "undecided"
    found = f"a gain of {_told(gain)} by the tool on problems of {large} steps"
    control = f"Control: it is {_told(beyond)} above a tool that answers at random."
    reasons = [PAPER.told(found), why, control, _predicted(plain["mean"].to_dict(), one_steps, arm)]
    return Verdict(PAPER.claim, None, gain.estimate, gain.low, gain.high, gain.n, says, " ".join(reasons))


def _predicted(found: dict[int, float], one_steps: Measurement | None, arm: str) -> str:
    if one_steps is None:
        return "One-step accuracy was not measured, so independent errors predict nothing here."
    table = rows_of(one_steps, "arm", "size", "correct")
    right = table[table["arm"] == arm].groupby("size")["correct"].mean()
    sizes = sorted(set(right.index) & set(found))
    told = ", ".join(f"{n}: {found[n]:.2f} ({right[n] ** n:.2f} predicted)" for n in sizes)
    near = all(abs(found[n] - right[n] ** n) <= NEAR for n in sizes)
    flat = float(np.ptp(right.to_numpy())) <= NEAR
    kind = "execution explains the fall" if near and flat else "one step after a true prefix does not explain the fall"
    return f"Accuracy by size, and as (1 - eps)^N of one-step errors: {told}; {kind}."


def _told(found: Interval) -> str:
    return shown(found.estimate, found.low, found.high)
