"""Where each arm stands between base and tuned: what it solved, and which share of the gap that is."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from interp.intervals import gap_recovered, paired_bootstrap, wilson


def outcomes(table: pd.DataFrame, arm: str) -> pd.DataFrame:
    """A row per problem, a column per value of `arm` in the table's order: the share of draws that solved it.

    An arm without random draws has one answer per problem, so that its cells are 0 and 1. Raises ValueError where an
    arm has not answered every problem equally often: shares of a gap pair problems.
    """
    cells = table.groupby(["problem", arm]).correct.agg(["size", "mean"])
    counts = cells["size"].unstack(fill_value=0).T
    uneven = counts[counts.min(axis=1) < counts.max(axis=1)]
    if len(uneven):
        low, high = int(uneven.iloc[0].min()), int(uneven.iloc[0].max())
        raise ValueError(
            f"{uneven.index[0]!r} has {low} answers to some of {counts.shape[1]} problems and {high} to others; "
            "an arm has to answer each equally often"
        )
    return cells["mean"].unstack()[list(table[arm].unique())]


def standing(solved: pd.DataFrame, base: str, tuned: str, *, arms: Sequence[str] | None = None) -> pd.DataFrame:
    """One row per arm (of `arms`, or of all): `n`, `accuracy` and `recovered`, each with its 95% interval.

    `accuracy` (`low` to `high`) has Wilson's interval, or where several draws were averaged the bootstrap's over
    problems. `recovered` (`recovered_low` to `recovered_high`) is `(arm - base) / (tuned - base)` with its paired
    bootstrap interval, by definition 0 for base and 1 for tuned. It is missing in every row where the gap's own
    interval reaches 0: then `refused` is true and `reason` says why. `gap`, `gap_low`, `gap_high`, `refused` and
    `reason` are the same in every row.
    """
    missing = [name for name in (base, tuned) if name not in solved]
    if missing:
        raise ValueError(f"there is no arm {missing[0]!r} among {list(solved)}; a gap needs base and tuned themselves")
    return pd.DataFrame([_stand(solved, arm, base, tuned) for arm in (solved if arms is None else arms)])


def share(value: float) -> str:
    """`97%`; with a decimal where that matters, near 0 and 1 (`3.4%`, `99.7%`); a dash where there is none."""
    if math.isnan(value):
        return "–"
    return f"{value:.1%}" if 0 < abs(value) < 0.1 or 0.99 < value < 1 else f"{value:.0%}"


def span(estimate: float, low: float, high: float) -> str:
    """`97% (95% to 99%)`; an end that resamples cannot bound is called so."""
    if math.isnan(estimate):
        return "–"
    ends = ["no bound" if math.isinf(end) else share(end) for end in (low, high)]
    return f"{share(estimate)} ({ends[0]} to {ends[1]})"


def _stand(solved: pd.DataFrame, arm: str, base: str, tuned: str) -> dict[str, object]:
    low, high = _interval(solved[arm].to_numpy())
    found = gap_recovered(solved[arm].to_numpy(), solved[base].to_numpy(), solved[tuned].to_numpy())
    ends = (found.estimate, found.estimate) if arm in (base, tuned) else (found.low, found.high)
    return {
        "arm": arm,
        "n": len(solved),
        "accuracy": float(solved[arm].mean()),
        "low": low,
        "high": high,
        "recovered": found.estimate,
        "recovered_low": ends[0],
        "recovered_high": ends[1],
        "gap": found.gap,
        "gap_low": found.gap_low,
        "gap_high": found.gap_high,
        "refused": found.refused,
        "reason": found.reason,
    }


def _interval(solved: Float[np.ndarray, " problem"]) -> tuple[float, float]:
    """The 95% interval of a mean over problems."""
    if np.isin(solved, (0, 1)).all():
        return wilson(int(solved.sum()), len(solved))
    found = paired_bootstrap(lambda mean: mean, solved)
    return found.low, found.high
