"""'Reasoning models wander instead of exploring': coverage between a random walk and an exhaustive explorer."""

import math

import numpy as np
import pandas as pd

from interp.claims.change import totals
from interp.claims.register import REGISTER
from interp.claims.verdict import Says, Verdict, rows_of, shown
from interp.intervals import Recovered, gap_recovered
from interp.measurement import Measurement

PAPER = REGISTER["C23"]
HALF = 0.5
"""An explorer nearer to the random walk than to the exhaustive one wanders."""


def explorers_wander(wandering: Measurement, *, arm: str = "tuned") -> Verdict:
    """Is the arm's coverage nearer to that of a random walk than to that of an exhaustive explorer?

    `estimate` is its systematicity (coverage - walk) / (exhaustive - walk), all with as many moves on the same graphs:
    0 is a random walk, 1 explores exhaustively.

    - supported: its high end is below one half
    - contradicted: its low end is above one half
    - undecided: anything between, or graphs so small that a random walk covers as much as anybody
    """
    columns = ("coverage", "walk", "exhaustive", "moves", "invalid", "revisits", "unnecessary", "solved", "depth")
    table = rows_of(wandering, "problem", "arm", *columns)
    found = {name: _index(wandering, name) for name in ("base", arm) if name in set(table["arm"]) or name == arm}
    own = found[arm]
    if own.refused:
        because = PAPER.told("a random walk that covers as much as an exhaustive explorer")
        because = f"{because} Exhaustive - walk: {shown(own.gap, own.gap_low, own.gap_high)}. Give larger graphs."
        return Verdict(PAPER.claim, None, None, None, None, own.n, "undecided", because)
    says: Says = "supported" if own.high < HALF else "contradicted" if own.low > HALF else "undecided"
    reasons = [PAPER.told(f"a systematicity of {_told(own)} in {arm}, 0 being a random walk and 1 exhaustive")]
    if "base" in found and arm != "base" and not found["base"].refused:
        reasons.append(f"Base: {_told(found['base'])}.")
    moves = table[table["arm"] == arm][["moves", "invalid", "revisits", "unnecessary"]].sum()
    told = ", ".join(f"{what} {moves[what] / moves['moves']:.2f}" for what in ("invalid", "revisits", "unnecessary"))
    cover = table[table["arm"] == arm][["coverage", "walk", "exhaustive"]].mean()
    reasons.append(f"Of its moves: {told}.")
    reasons.append(
        f"Coverage {cover['coverage']:.2f}; a random walk of as many moves {cover['walk']:.2f} and an exhaustive one "
        f"{cover['exhaustive']:.2f}."
    )
    because = " ".join([*reasons, _depth(table, arm)])
    return Verdict(PAPER.claim, None, own.estimate, own.low, own.high, own.n, says, because)


def wander_rate(table: pd.DataFrame, arm: str) -> float:
    """p_w of success ~ (1 - p_w)^depth, from the slope of log success on depth; NaN below two depths with success."""
    by_depth = table[table["arm"] == arm].groupby("depth")["solved"].agg(["mean", "size"])
    some = by_depth[by_depth["mean"] > 0]
    if len(some) < 2:
        return math.nan
    slope = np.polyfit(some.index.to_numpy(float), np.log(some["mean"].to_numpy(float)), 1, w=np.sqrt(some["size"]))[0]
    return float(1 - math.exp(slope))


def _index(wandering: Measurement, arm: str) -> Recovered:
    return gap_recovered(*totals(wandering, "coverage", "walk", "exhaustive", arms=(arm,)))


def _depth(table: pd.DataFrame, arm: str) -> str:
    rate = wander_rate(table, arm)
    if math.isnan(rate):
        return "Success at two depths is needed to say how it falls with depth."
    return f"Success falls with depth as (1 - {rate:.2f})^depth."


def _told(found: Recovered) -> str:
    return shown(found.estimate, found.low, found.high)
