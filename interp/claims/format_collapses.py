"""'Reinforcement learning collapses what is written onto one format': shares and entropy, in all and per problem."""

import math

import numpy as np
import pandas as pd

from interp.claims.change import decided
from interp.claims.register import REGISTER
from interp.claims.verdict import Says, Verdict, rows_of, shown
from interp.intervals import Interval, paired_bootstrap
from interp.measurement import Measurement

PAPER = REGISTER["C6"]
ONE = 0.90
"""The share of one format from which writing has collapsed onto it; the paper's curves end above it."""
FEW = 4
"""Two problems to choose the most frequent format on and two others to judge it: the least that has an interval."""
LITTLE = 0.05
"""A rise of the top share below this is none."""


def format_collapses(formats: Measurement, *, control: str | None = None) -> Verdict:
    """Does one format take at least 90% of what tuned writes, more than any took in base?

    `estimate` is the share of tuned's most frequent format minus that of base's, each chosen on half of the problems
    and measured on the others (a maximum over its own sample is always too high).

    - supported: the rise's interval lies above 0 and above that of the `control` arm (training on a random reward),
      where there is one, and the share's low end is at least 90%
    - contradicted: the share's high end is under 90%, or the rise stays under 0.05
    - undecided: anything between
    """
    shares = {arm: _shares(formats, arm) for arm in dict.fromkeys(rows_of(formats, "arm", "format")["arm"])}
    if missing := [arm for arm in ("base", "tuned", *([control] if control else [])) if arm not in shares]:
        raise ValueError(f"measurement 'formats' has no arm {missing[0]!r}; it has {', '.join(shares)}")
    if (n := len(shares["tuned"])) < FEW:
        because = PAPER.told(f"{n} problems, where {FEW} are needed to choose a format and to judge it on others")
        return Verdict(PAPER.claim, None, None, None, None, n, "undecided", because)
    choose, judge = np.arange(len(shares["tuned"])) % 2 == 0, np.arange(len(shares["tuned"])) % 2 == 1
    winner, before = (shares[arm][choose].mean().idxmax() for arm in ("tuned", "base"))
    base, tuned = shares["base"][before][judge].to_numpy(), shares["tuned"][winner][judge].to_numpy()
    share = paired_bootstrap(lambda x: x, tuned)
    rise = paired_bootstrap(np.subtract, tuned, base)
    says: Says = decided(rise, sign=1, little=LITTLE)
    if share.high < ONE:
        says = "contradicted"
    elif says == "supported" and share.low < ONE:
        says = "undecided"
    found = (
        f"the share of {winner!r} at {shown(share.estimate, share.low, share.high)} in tuned, "
        f"{shown(rise.estimate, rise.low, rise.high)} more than {before!r}, the most frequent one, has in base"
    )
    reasons = [PAPER.told(found), _entropies(shares), _within(shares)]
    if control:
        beyond = paired_bootstrap(np.subtract, tuned, shares[control][winner][judge].to_numpy())
        reasons.append(f"Control {control!r}: tuned's share is {_told(beyond)} above it.")
        says = says if says != "supported" or beyond.low > 0 else "undecided"
    else:
        reasons.append("Control: base itself; whether the reward did it needs an arm trained on a random reward.")
    reasons.append(_since(formats, winner))
    return Verdict(PAPER.claim, None, rise.estimate, rise.low, rise.high, rise.n, says, " ".join(reasons))


def entropy(shares: pd.Series) -> float:
    """H(q) / log F in 0 to 1, over F formats; 0 where there is one format only."""
    some = shares[shares > 0]
    return float(-(some * np.log(some)).sum() / math.log(len(shares))) if len(shares) > 1 else 0.0


def _shares(formats: Measurement, arm: str) -> pd.DataFrame:
    """Problems by format: the share of samples."""
    rows = rows_of(formats, "problem", "arm", "format", "n", "count")
    of = rows[rows["arm"] == arm]
    wide = of.assign(share=of["count"] / of["n"]).pivot(index="problem", columns="format", values="share")
    return wide.loc[rows["problem"].drop_duplicates()]  # in the table's order, whatever problems are called


def _entropies(shares: dict[str, pd.DataFrame]) -> str:
    told = [f"{entropy(shares[arm].mean()):.2f} in {arm}" for arm in ("base", "tuned")]
    return f"Entropy of formats over all samples, of its maximum: {' and '.join(told)}."


def _within(shares: dict[str, pd.DataFrame]) -> str:
    told = [f"{shares[arm].max(axis=1).mean():.2f} in {arm}" for arm in ("base", "tuned")]
    return (
        f"The most frequent format of each problem takes {' and '.join(told)}: where this rises and the share above "
        "does not, tuning chose a format per problem, not one for all."
    )


def _since(formats: Measurement, winner: str) -> str:
    table = rows_of(formats, "step", "format", "n", "count")
    series = table[table["step"].notna() & (table["format"] == winner)].groupby("step")[["count", "n"]].sum()
    if series.empty:
        return "Since when cannot be said without a checkpoint series."
    reached = series.index[(series["count"] / series["n"]) >= ONE]
    return f"It first takes {ONE:.0%} at step {reached[0]:g}." if len(reached) else f"It never takes {ONE:.0%}."


def _told(found: Interval) -> str:
    return shown(found.estimate, found.low, found.high)
