"""'Wrong answers switch thoughts more': within a problem, since hard problems make both; and a penalty on switching."""

import numpy as np
import pandas as pd

from interp.claims.change import decided
from interp.claims.register import REGISTER
from interp.claims.verdict import Says, Verdict, outcomes, rows_of, shown
from interp.intervals import Interval, difference, paired_bootstrap
from interp.measurement import Measurement

PAPER, PENALTY = REGISTER["C21"], REGISTER["C21b"]
LITTLE = 0.10
"""Wrong answers that switch by less than a tenth more do not switch more."""
FEW = 20
"""Problems with right and wrong samples below which nothing is said."""
GAIN = 0.02
"""A gain of accuracy below this is none."""


def wrong_switch_more(switching: Measurement, *, arm: str = "tuned") -> Verdict:
    """Do wrong samples of a problem switch more than right ones of the same problem?

    `estimate` is (switches in wrong - switches in right) / (switches in right), both averaged within each problem that
    has samples of either outcome and then over these problems; the published 4.18 compares over all problems, where
    difficulty makes an answer wrong and long at once. That number is told beside it.

    - supported: the interval lies above 0 and wrong samples switch at least a tenth more
    - contradicted: they switch less than a tenth more (high end)
    - undecided: anything between, or fewer than 20 problems with both outcomes, or right samples that never switch
    """
    table = rows_of(switching, "problem", "arm", "correct", "switches", "tokens", "under")
    of = table[table["arm"] == arm]
    means = of.groupby(["problem", "correct"])[["switches", "tokens"]].mean().unstack()
    both = means.dropna() if means.shape[1] == 4 else means.iloc[:0]
    xi = of.loc[~of["correct"], "under"].mean()
    if len(both) < FEW or both["switches", True].sum() == 0:
        why = "right samples never switch" if len(both) >= FEW else f"{len(both)} problems with right and wrong samples"
        because = (
            f"{PAPER.told(why + f' of {arm}')} {FEW} such problems, and switches in both, are needed. {_naive(of)}"
        )
        return Verdict(PAPER.claim, PAPER.number, None, None, None, len(both), "undecided", because)
    more = _excess(both, "switches")
    longer = _excess(both, "tokens")
    found = (
        f"{shown(more.estimate, more.low, more.high)} more switches in wrong answers of {arm} within {more.n} problems"
    )
    reasons = [
        PAPER.told(found),
        f"Tokens: {shown(longer.estimate, longer.low, longer.high)} more.",
        _naive(of),
        f"Of wrong texts {xi:.2f} came after a right thought (xi_UT).",
    ]
    says = decided(more, sign=1, little=LITTLE)
    return Verdict(PAPER.claim, PAPER.number, more.estimate, more.low, more.high, more.n, says, " ".join(reasons))


def switch_penalty_helps(penalties: Measurement) -> Verdict:
    """Does a penalty on switch tokens raise tuned's accuracy more than its twins, and more than it raises base's?

    Takes rows of problem, arm ("base", "tuned"), method ("none", "switch penalty", "random penalty") and correct. The
    random penalty acts on as many tokens that are as frequent. `estimate` is the gain of tuned under the penalty.

    - supported: the gain's interval lies above 0, it is at least 0.02, and above the random penalty's and base's gain
    - contradicted: the gain is under 0.02 (high end)
    - undecided: anything between; a gain that base shares is about decoding and not about tuning
    """
    table = rows_of(penalties, "problem", "arm", "method", "correct")
    wide = outcomes(table.assign(cell=table["arm"] + ": " + table["method"]), "cell")
    cells = [f"{arm}: {how}" for arm in ("base", "tuned") for how in ("none", "switch penalty", "random penalty")]
    if missing := [cell for cell in cells if cell not in wide]:
        raise ValueError(f"measurement 'penalties' lacks {missing[0]!r}; base and tuned need all three methods")
    gain = difference(wide["tuned: switch penalty"].to_numpy(), wide["tuned: none"].to_numpy())
    beyond = difference(wide["tuned: switch penalty"].to_numpy(), wide["tuned: random penalty"].to_numpy())
    base = wide["base: switch penalty"] - wide["base: none"]
    more = difference((wide["tuned: switch penalty"] - wide["tuned: none"]).to_numpy(), base.to_numpy())
    says: Says = decided(gain, sign=1, little=GAIN)
    if says == "supported" and not (beyond.low > 0 and more.low > 0):
        says = "undecided"
    found = (
        f"a gain of {_told(gain)} in tuned under the penalty, {_told(beyond)} more than under a penalty on tokens as "
        f"frequent and {_told(more)} more than base gains"
    )
    because = f"{PENALTY.told(found)} The strength was chosen on other problems, or this number is too high."
    return Verdict(PENALTY.claim, PENALTY.number, gain.estimate, gain.low, gain.high, gain.n, says, because)


def _naive(of: pd.DataFrame) -> str:
    """The published comparison, in which hard problems make a text both long and wrong."""
    mean = of.groupby("correct")["switches"].mean()
    if len(mean) < 2 or mean[True] == 0:
        return "Over all problems, as published, nothing can be compared: right answers never switch, or are not there."
    return f"Over all problems, as published, {mean[False] / mean[True] - 1:.2f} more, difficulty included."


def _excess(both: pd.DataFrame, what: str) -> Interval:
    """(mean over wrong - mean over right) / mean over right, problems drawn again."""
    wrong, right = both[what, False].to_numpy(float), both[what, True].to_numpy(float)
    return paired_bootstrap(_more, wrong, right)


def _more(wrong: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (wrong - right) / right


def _told(found: Interval) -> str:
    return shown(found.estimate, found.low, found.high)
