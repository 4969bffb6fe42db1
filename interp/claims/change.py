"""How far a number moved from base to tuned over the same problems, and what may be said of it."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from interp.claims.verdict import Says, rows_of
from interp.intervals import Interval, paired_bootstrap
from interp.measurement import Measurement

PAIR = ("base", "tuned")


def totals(measurement: Measurement, *values: str, arms: tuple[str, ...] = PAIR) -> list[np.ndarray]:
    """Sums over each problem's rows: for every arm in turn one array per value, aligned over problems.

    ValueError where an arm is missing or answers other problems, or a value is not finite.
    """
    table = rows_of(measurement, "problem", "arm", *values)
    there = list(dict.fromkeys(table["arm"]))
    if absent := [arm for arm in arms if arm not in there]:
        raise ValueError(f"measurement {measurement.name!r} has no arm {absent[0]!r}; it has {', '.join(there)}")
    summed = table.astype(dict.fromkeys(values, float)).groupby(["arm", "problem"])[list(values)].sum(min_count=1)
    found = {arm: summed.loc[arm] for arm in arms}
    problems = found[arms[0]].index
    for arm in arms[1:]:
        if not found[arm].index.equals(problems):
            raise ValueError(
                f"arm {arm!r} is measured on {len(found[arm])} problems and {arms[0]!r} on {len(problems)}, not the "
                "same ones; arms are compared on the same problems"
            )
    return [found[arm][value].to_numpy(float) for arm in arms for value in values]


def ratio(measurement: Measurement, over: str, under: str, *, arm: str) -> Interval:
    """sum(over) / sum(under) of one arm, its problems drawn again."""
    return paired_bootstrap(np.divide, *totals(measurement, over, under, arms=(arm,)))


def ratio_change(measurement: Measurement, over: str, under: str, *, arms: tuple[str, str] = PAIR) -> Interval:
    """The same ratio in the second arm minus that in the first, problems drawn again with both arms together."""
    return paired_bootstrap(_ratios, *totals(measurement, over, under, arms=arms))


def statistic_change(
    measurement: Measurement, of: Callable[..., np.ndarray], *values: str, arms: tuple[str, str] = PAIR
) -> Interval:
    """of(means of the second arm) - of(means of the first), the means being those of per-problem sums of `values`."""
    k = len(values)
    return paired_bootstrap(lambda *means: of(*means[k:]) - of(*means[:k]), *totals(measurement, *values, arms=arms))


def decided(change: Interval, *, sign: int, little: float) -> Says:
    """Supported: the interval lies on the side of `sign` and the estimate is at least `little`.

    Contradicted: whatever there is on that side is smaller than `little`, or it went the other way. Else undecided.
    """
    near, far = sorted((sign * change.low, sign * change.high))
    if near > 0 and sign * change.estimate >= little:
        return "supported"
    return "contradicted" if far < little else "undecided"


def levels(measurement: Measurement, over: str, under: str, arms: tuple[str, ...] = PAIR) -> pd.Series:
    """sum(over) / sum(under) per arm, as sentences quote it."""
    table = rows_of(measurement, "arm", over, under)
    summed = table.astype({over: float, under: float}).groupby("arm")[[over, under]].sum()
    return (summed[over] / summed[under]).reindex(list(arms))


def _ratios(over_a: np.ndarray, under_a: np.ndarray, over_b: np.ndarray, under_b: np.ndarray) -> np.ndarray:
    return over_b / under_b - over_a / under_a
