"""'Reasoning tuning makes models abstain less where they should': recall, precision, d' and the criterion."""

from statistics import NormalDist

import numpy as np

from interp.claims.change import decided, levels, ratio_change, statistic_change, totals
from interp.claims.register import REGISTER
from interp.claims.verdict import Verdict, rows_of, shown
from interp.intervals import Interval, Statistic
from interp.measurement import Measurement

PAPER = REGISTER["C19"]
LITTLE = 0.05
"""A fall of recall below this is none."""
CLEAR = 0.5
"""A fall of d' by half a standard deviation is a loss of discrimination; one that stays below is not."""


_z = np.vectorize(NormalDist().inv_cdf, otypes=[float])


def abstention_falls(abstention: Measurement, *, answerability: Measurement | None = None) -> Verdict:
    """Did recall of abstention fall, and is that lost knowledge or only another criterion?

    H = P(abstain | no answer), F = P(abstain | answer); d' = z(H) - z(F), criterion c = -(z(H) + z(F)) / 2, each rate
    with half a count added on either side (Hautus 1995). `estimate` is tuned - base in H, the recall.

    - supported: its interval lies below 0 and it fell by at least 0.05
    - contradicted: a fall of 0.05 is excluded
    - undecided: anything between

    What kind of fall it is stands in the reason: d' fell too (lost discrimination), or only c rose (a shift of the
    criterion); the probe by layer says whether the inside still knows.
    """
    rows_of(abstention, "wanted", "hits", "plain", "alarms", "abstained")
    recall = ratio_change(abstention, "hits", "wanted")
    n = len(totals(abstention, "hits", arms=("base",))[0])
    apart = statistic_change(abstention, _discrimination(n), "hits", "wanted", "alarms", "plain")
    shift = statistic_change(abstention, _criterion(n), "hits", "wanted", "alarms", "plain")
    says = decided(recall, sign=-1, little=LITTLE)
    level = levels(abstention, "hits", "wanted")
    found = f"recall from {level['base']:.2f} to {level['tuned']:.2f}, a change of {_told(recall)}"
    reasons = [PAPER.told(found), _precision(abstention), f"d' changed by {_told(apart)}, c by {_told(shift)}."]
    if says == "supported":
        lost = apart.high < 0 and apart.estimate <= -CLEAR
        kept = apart.low > -CLEAR and shift.low > 0
        kind = "lost discrimination" if lost else "a shift of the criterion" if kept else "not clearly either"
        reasons.append(f"The fall is {kind}.")
    reasons.append(_inside(answerability))
    return Verdict(
        PAPER.claim, PAPER.number, recall.estimate, recall.low, recall.high, recall.n, says, " ".join(reasons)
    )


def _rates(n: int, hits: np.ndarray, wanted: np.ndarray, alarms: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """Z of both rates out of means per problem, half a count added on either side."""
    return np.stack([_z((hits * n + 0.5) / (wanted * n + 1)), _z((alarms * n + 0.5) / (plain * n + 1))])


def _discrimination(n: int) -> Statistic:
    def of(*means: np.ndarray) -> np.ndarray:
        hit, alarm = _rates(n, *means)
        return hit - alarm

    return of


def _criterion(n: int) -> Statistic:
    def of(*means: np.ndarray) -> np.ndarray:
        hit, alarm = _rates(n, *means)
        return -(hit + alarm) / 2

    return of


def _precision(abstention: Measurement) -> str:
    level = levels(abstention, "hits", "abstained")
    false = levels(abstention, "alarms", "plain")
    told = "has no value, since an arm never abstains" if level.isna().any() else "went from {base:.2f} to {tuned:.2f}"
    return f"Precision {told.format(**level)}; abstentions where there was an answer from {false['base']:.2f} to " + (
        f"{false['tuned']:.2f}."
    )


def _inside(answerability: Measurement | None) -> str:
    if answerability is None:
        return "No probe says whether the inside still knows."
    best = rows_of(answerability, "model", "layer", "auroc", "null").sort_values("auroc").groupby("model").last()
    told = [f"{best.auroc[m]:.2f} in {m} (layer {best.layer[m]}, shuffled {best.null[m]:.2f})" for m in best.index]
    return f"Best linear probe for having no answer: {' and '.join(told)}."


def _told(found: Interval) -> str:
    return shown(found.estimate, found.low, found.high)
