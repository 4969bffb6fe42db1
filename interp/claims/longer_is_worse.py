"""'Beyond an optimum, longer chains answer worse': natural lengths within a problem, and lengths that were set."""

import numpy as np
import pandas as pd

from interp.claims.register import REGISTER
from interp.claims.verdict import Says, Verdict, rows_of, shown
from interp.intervals import Interval, difference, paired_bootstrap
from interp.measurement import Measurement

PAPER = REGISTER["C22"]
FEW = 20
"""Problems with samples of different lengths and outcomes below which nothing is said."""
INNER = (0.1, 0.9)
"""Quantiles of the lengths between which an optimum has to lie; at the ends it would be a monotone curve."""


def longer_is_worse(lengths: Measurement, *, arm: str = "tuned") -> Verdict:
    """Does accuracy fall beyond some length, problem by problem?

    Natural lengths: y - y_p = b1 (x - x_p) + b2 (x^2 - (x^2)_p) over samples, x the length in units of the mean and
    x_p, y_p the means of the sample's problem, so that difficulty, which makes chains both longer and worse, drops out.
    `estimate` is the slope beyond the optimum -b1 / (2 b2) (or beyond the median, where there is none) of the same
    regression on the samples there.

    - supported: b2 is below 0, the optimum lies between the 10th and the 90th percentile, and the slope beyond it is
      below 0 (intervals, problems drawn again)
    - contradicted: the slope beyond it is above 0: a monotone curve, the null, is enough
    - undecided: anything between, or fewer than 20 problems that hold both right and wrong samples

    Deviation: the null of a monotone fit is tested by the slope beyond the optimum instead of by isotonic regression.
    Set lengths (column `dose`): the best dose is chosen on half of the problems; `estimate` is the accuracy of the
    largest dose minus that of the best one on the others.
    """
    table = rows_of(lengths, "problem", "arm", "mode", "dose", "length", "correct")
    modes, of = table["mode"].unique(), table[table["arm"] == arm]
    if of.empty or len(modes) != 1:
        raise ValueError(f"lengths of one mode and of an arm {arm!r} are needed; there are {', '.join(modes)}")
    return _natural(of, arm) if modes[0] == "natural" else _set(of, arm, modes[0])


def _natural(of: pd.DataFrame, arm: str) -> Verdict:
    both = of.groupby("problem")["correct"].transform("nunique") > 1
    varies = of.groupby("problem")["length"].transform("nunique") > 1
    usable = of[both & varies]
    n = usable["problem"].nunique()
    if n < FEW:
        because = PAPER.told(
            f"{n} problems whose samples of {arm} differ in length and outcome, where {FEW} are needed"
        )
        return Verdict(PAPER.claim, None, None, None, None, n, "undecided", f"{because} Sample harder problems more.")
    unit = float(usable["length"].mean())
    bend = paired_bootstrap(_curvature, *_moments(usable, unit))
    top = _optimum(*(np.array([m.mean()]) for m in _moments(usable, unit)))[0] * unit
    inner = tuple(float(q) for q in usable["length"].quantile(list(INNER)))
    peaked = bend.high < 0 and inner[0] <= top <= inner[1]
    beyond = usable[usable["length"] >= (top if peaked else usable["length"].median())]
    slope = _slope(beyond, unit)
    plain = _slope(usable, unit)
    says: Says = "undecided"
    if slope is not None:
        says = "supported" if peaked and slope.high < 0 else "contradicted" if slope.low > 0 else "undecided"
    peak = f"an optimum at {top:.1f} tokens" if peaked else "no optimum inside the lengths written"
    found = f"{peak} of {arm}, within {n} problems (curvature {shown(bend.estimate, bend.low, bend.high)})"
    reasons = [PAPER.told(found)]
    if plain is not None:
        reasons.append(f"Over all lengths the slope per mean length is {_told(plain)}.")
    if slope is None:
        return Verdict(PAPER.claim, None, None, None, None, n, says, " ".join([*reasons, "Too few lie beyond it."]))
    reasons.append(f"Beyond {'it' if peaked else 'the median'} it is {_told(slope)}; a monotone curve would not fall.")
    reasons.append("These lengths are the model's own choice: what sets them may also make the answer wrong.")
    return Verdict(PAPER.claim, None, slope.estimate, slope.low, slope.high, n, says, " ".join(reasons))


def _moments(rows: pd.DataFrame, unit: float) -> list[np.ndarray]:
    """Per problem: sums of the products of centred x, x^2 and y that the regression needs."""
    x, y = rows["length"] / unit, rows["correct"].astype(float)
    data = pd.DataFrame({"p": rows["problem"], "x": x, "q": x**2, "y": y})
    data[["x", "q", "y"]] -= data.groupby("p")[["x", "q", "y"]].transform("mean")
    products = {a + b: data[a] * data[b] for a, b in ("xx", "xq", "qq", "xy", "qy")}
    summed = pd.DataFrame(products).groupby(data["p"]).sum()
    return [summed[name].to_numpy() for name in products]


def _curvature(xx: np.ndarray, xq: np.ndarray, qq: np.ndarray, xy: np.ndarray, qy: np.ndarray) -> np.ndarray:
    return (xx * qy - xq * xy) / (xx * qq - xq**2)


def _optimum(xx: np.ndarray, xq: np.ndarray, qq: np.ndarray, xy: np.ndarray, qy: np.ndarray) -> np.ndarray:
    return -(qq * xy - xq * qy) / (2 * (xx * qy - xq * xy))


def _slope(rows: pd.DataFrame, unit: float) -> Interval | None:
    """The within-problem slope of correctness on length; None where too few problems vary."""
    varies = rows.groupby("problem")["length"].transform("nunique") > 1
    if rows[varies]["problem"].nunique() < FEW:
        return None
    xx, _, _, xy, _ = _moments(rows[varies], unit)
    return paired_bootstrap(np.divide, xy, xx)


def _set(of: pd.DataFrame, arm: str, mode: str) -> Verdict:
    means = of.assign(y=of["correct"].astype(float)).groupby(["problem", "dose"])["y"].mean().unstack()
    if means.isna().any().any() or means.shape[1] < 3:
        raise ValueError(f"{mode} lengths need at least three doses, each asked of every problem; got {means.shape[1]}")
    means = means.loc[of["problem"].drop_duplicates()]  # in the table's order, whatever problems are called
    choose, judge = means.iloc[::2], means.iloc[1::2]
    best, most = choose.mean().idxmax(), means.columns.max()
    fall = difference(judge[most].to_numpy(), judge[best].to_numpy())
    rise = difference(judge[best].to_numpy(), judge[means.columns.min()].to_numpy())
    says: Says = "undecided"
    if best == most or fall.low > 0:
        says = "contradicted"
    elif fall.high < 0 and rise.low > 0:
        says = "supported"
    found = f"{arm} best at a {mode} dose of {best:g}, and {_told(fall)} at {most:g}"
    curve = ", ".join(f"{dose:g}: {value:.2f}" for dose, value in means.mean().items())
    reasons = [PAPER.told(found), f"Accuracy by dose: {curve}. The best one is {_told(rise)} above the smallest dose."]
    if mode == "forced":
        reasons.append("A forced continuation is text the model would not have written; it says nothing of its own.")
    return Verdict(PAPER.claim, None, fall.estimate, fall.low, fall.high, fall.n, says, " ".join(reasons))


def _told(found: Interval) -> str:
    return shown(found.estimate, found.low, found.high)
