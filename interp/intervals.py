"""How sure a number is: intervals for shares, paired differences and recovered gaps. Functions of arrays, no torch."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Float, Int, Shaped

_CELLS_AT_ONCE = 2**22
_CELLS_KEPT = 2**20
"""Resamples times distinct rows up to which a draw is kept for the next column: 8 MB."""
_NORMAL = NormalDist()
_DIFFERING = np.array([[1, 0, 0], [0, 1, 1], [0, 1, 0], [1, 0, 1], [0, 0, 1], [1, 1, 0]], dtype=np.float64)
"""Right and wrong under hybrid, base and tuned, wherever one of them differs from the two others."""
_BITS = 8
"""Columns of 0 and 1 up to which every row that could be is counted."""
_FEW = 100
"""Resamples that show whether all agree."""

Statistic = Callable[..., np.ndarray]
"""A function of the columns' means, one array per column and one entry per resample, to one array."""


@dataclass(frozen=True)
class Interval:
    """An estimate over `n` rows, the ends of its interval, and in words how they were found."""

    estimate: float
    low: float
    high: float
    n: int
    method: str


@dataclass(frozen=True)
class Recovered:
    """The share of a gap that a hybrid recovers, beside the gap itself; NaN and a `reason` where it is refused.

    `low` or `high` is infinite where resamples cannot bound the share. `gap_lost` is the share of resamples in
    which the gap vanished or changed its sign.
    """

    estimate: float
    low: float
    high: float
    gap: float
    gap_low: float
    gap_high: float
    gap_lost: float
    n: int
    refused: bool
    reason: str
    method: str

    def __post_init__(self) -> None:
        if self.refused != math.isnan(self.estimate) or (self.refused and not self.reason):
            raise ValueError(
                f"a share is refused exactly when it is NaN, and with a reason: {self.estimate}, {self.reason!r}"
            )


def wilson(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The interval of a share from `k` of `n`; never of width zero, never outside 0 to 1 (Wilson 1927)."""
    if not 0 <= k <= n or n == 0:
        raise ValueError(f"a share needs 0 <= k <= n and n > 0, got k={k} and n={n}")
    z = _z(level)
    centre, spread = k + z * z / 2, z * math.sqrt(k * (n - k) / n + z * z / 4)
    low = 0.0 if k == 0 else (centre - spread) / (n + z * z)
    high = 1.0 if k == n else (centre + spread) / (n + z * z)
    return low, high


def paired_bootstrap(
    statistic: Statistic,
    *columns: Shaped[np.ndarray, " _problem"],
    n_resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """The interval of a function of aligned columns' means when rows (problems) are drawn again, all columns together.

    `statistic` gets one array of means per column and has to work entry by entry: `lambda a, b: a - b`. A ratio over
    clustered rows (tokens of one problem) is a function of per-problem sums: `lambda hit, tokens: hit / tokens`.

    BCa (Efron 1987), its acceleration by jackknife; `method` says where it is not defined and the plain percentiles
    stand instead. Where all resamples agree (an arm that is always right) the bootstrap has nothing to say and would
    give an interval of width 0: then, for columns of 0 and 1, the ends are what the statistic becomes when one
    column's mean moves by `wilson(0, n)`, the share of problems that could behave otherwise and not have been drawn.

    A resample in which the statistic has no value counts against both ends.
    """
    return _bootstrap(statistic, _table(columns), n_resamples, seed, level)


def difference(
    a: Shaped[np.ndarray, " _problem"],
    b: Shaped[np.ndarray, " _problem"],
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """mean(a) - mean(b) over the same problems, with its paired bootstrap interval."""
    return paired_bootstrap(np.subtract, a, b, n_resamples=n_resamples, seed=seed, level=level)


def independent_difference(one: Interval | Recovered, other: Interval | Recovered) -> Interval:
    """`one` - `other`, two estimates over different rows, from their own intervals.

    Each end lies sqrt(d1^2 + d2^2) from the difference, d1 and d2 being the distances of the two ends that pull it that
    way: the variances are recovered from the intervals, whatever their shape (MOVER; Zou and Donner 2008).
    """
    estimate = one.estimate - other.estimate
    low = estimate - math.hypot(one.estimate - one.low, other.high - other.estimate)
    high = estimate + math.hypot(one.high - one.estimate, other.estimate - other.low)
    return Interval(estimate, low, high, one.n + other.n, "MOVER")


def gap_recovered(
    hybrid: Shaped[np.ndarray, " _problem"],
    base: Shaped[np.ndarray, " _problem"],
    tuned: Shaped[np.ndarray, " _problem"],
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Recovered:
    """(hybrid - base) / (tuned - base) over the same problems: signed, never clipped, refused when there is no gap.

    No gap: the interval of tuned - base reaches 0, by BCa or by plain percentiles (2.5% or more of the resampled gaps
    vanish or change their sign; BCa alone is too sure of a handful of problems). The same function serves any axis,
    U = (x - base) / (tuned - base).

    The bootstrap runs over the angle of the point (gap, part recovered), of which the share is the tangent. Where no
    resampled gap changes its sign that is the bootstrap of the share itself; where some do, they lie past 90 degrees,
    beyond every finite share, instead of coming back as small shares of the opposite sign.

    Answers that are right or wrong are drawn from the problems and one more, which is each of the six ways in which two
    of the three arms may differ to a sixth, opposites together, so that no mean difference moves (the idea of Agresti
    and Min 2005). Plain resamples never hold what no problem showed: where a handful of problems told hybrid and base
    apart, their 95% intervals covered 80 to 90%.

    In simulation (`benchmarks/coverage.py`: gaps of 0.05 to 0.8, 100 to 2,000 problems, shares of 0 to 1.1) 95%
    intervals cover 93 to 97%, but for the cells that its block of benchmarks/README.md names. Too wide are those of a
    hybrid that is base and differs from it on one problem each way: so few outcomes are possible then that no rule
    covers 93 to 97% both at one and at two. A little too narrow, 91 to 92%, are some of a hundred problems or two
    hundred with a gap of ten or fifteen problems.
    """
    if len(hybrid) == len(base) == len(tuned) == 1:
        return _one_problem(float(tuned[0]) - float(base[0]))
    table = _table([hybrid, base, tuned])
    unseen = _DIFFERING if ((table >= 0) & (table <= 1)).all() and np.isin(table[:, 1:], (0, 1)).all() else None
    gap = _bootstrap(_whole, table, n_resamples, seed, level, unseen)
    lost = float(np.mean(_draws(_whole, *_distinct(table, unseen), n_resamples, seed) * gap.estimate <= 0))
    refused = gap.low <= 0 <= gap.high or lost >= (1 - level) / 2
    if refused:
        share, reason = Interval(math.nan, math.nan, math.nan, gap.n, "none"), _no_gap(gap, lost, base, tuned)
    else:
        share = _share(table, n_resamples, seed, level, unseen)
        reason = "" if gap.estimate > 0 else "tuned is below base: this is a share of a loss"
    ends = (share.estimate, share.low, share.high, gap.estimate, gap.low, gap.high)
    return Recovered(*ends, lost, gap.n, refused, reason, share.method)


def mcnemar(a: Shaped[np.ndarray, " _problem"], b: Shaped[np.ndarray, " _problem"]) -> float:
    """Exact two-sided p of `a` and `b` being right equally often, from problems only one gets right (McNemar 1947)."""
    table = _table([a, b])
    if not np.isin(table, (0, 1)).all():
        raise ValueError("mcnemar compares right with wrong: give booleans, or 0 and 1")
    only_a, only_b = int(np.sum(table[:, 0] > table[:, 1])), int(np.sum(table[:, 0] < table[:, 1]))
    n = only_a + only_b
    tail = sum(math.comb(n, i) for i in range(min(only_a, only_b) + 1))
    return min(1.0, 2 * tail / (1 << n))


def _table(columns: Sequence[Shaped[np.ndarray, " _problem"]]) -> Float[np.ndarray, "row column"]:
    """Aligned columns side by side as fp64, checked."""
    lengths = [len(column) for column in columns]
    if len(set(lengths)) != 1:
        raise ValueError(f"columns are not aligned: they have {lengths} rows; give one row per problem to each")
    if lengths[0] < 2:
        raise ValueError(f"an interval needs at least 2 rows to draw from, got {lengths[0]}")
    table = np.stack([np.asarray(column, dtype=np.float64) for column in columns], 1)
    if not np.isfinite(table).all():
        bad = int((~np.isfinite(table)).any(1).sum())
        raise ValueError(f"{bad} of {len(table)} rows hold a value that is not finite; leave them out of every column")
    return table


def _bootstrap(
    statistic: Statistic,
    table: Float[np.ndarray, "row column"],
    n_resamples: int,
    seed: int,
    level: float,
    unseen: Float[np.ndarray, "unseen column"] | None = None,
) -> Interval:
    """`paired_bootstrap` of a table, drawn from its rows and one more that is made up of `unseen` rows."""
    estimate = float(statistic(*table.mean(0)[:, None])[0])
    rows, counts = _distinct(table)
    draws = _draws(statistic, rows, counts, n_resamples if unseen is None else _FEW, seed)
    missing = np.isnan(draws)
    if missing.mean() < (1 - level) / 2 and np.ptp(draws[~missing]) < 1e-12:
        low, high = _if_unseen(statistic, table, estimate, level)
        method = "all resamples agree: " + ("Wilson bound" if low < high else "constant")
        return Interval(estimate, low, high, len(table), method)
    if unseen is not None:
        rows, counts = _distinct(table, unseen)
        draws = _draws(statistic, rows, counts, n_resamples, seed)
        missing = np.isnan(draws)
    tails, method = _tails(statistic, rows, counts, estimate, draws, level)
    if missing.any():
        method += f"; {missing.sum()} of {n_resamples} resamples had no value and count against both ends"
    low = float(np.quantile(np.where(missing, -np.inf, draws), tails[0], method="lower"))
    high = float(np.quantile(np.where(missing, np.inf, draws), tails[1], method="higher"))
    return Interval(estimate, low, high, len(table), method)


def _distinct(
    table: Float[np.ndarray, "row column"], unseen: Float[np.ndarray, "unseen column"] | None = None
) -> tuple[Float[np.ndarray, "distinct column"], Float[np.ndarray, " distinct"]]:
    """Each row once, in order, and how often it came up; `unseen` rows come up once all together."""
    if table.shape[1] <= _BITS and ((table == 0) | (table == 1)).all():  # counted, which is faster than sorting
        tally = np.bincount((table @ (1 << np.arange(table.shape[1])[::-1])).astype(int))
        codes = np.flatnonzero(tally)
        rows, counts = (codes[:, None] >> np.arange(table.shape[1])[::-1] & 1).astype(np.float64), tally[codes]
    else:
        rows, counts = _sorted(table.shape, table.tobytes())
    if unseen is None:
        return rows, counts.astype(np.float64)
    return np.concatenate([rows, unseen]), np.concatenate([counts, np.full(len(unseen), 1 / len(unseen))])


@functools.lru_cache(maxsize=8)
def _sorted(
    shape: tuple[int, ...], cells: bytes
) -> tuple[Float[np.ndarray, "distinct column"], Int[np.ndarray, " distinct"]]:
    """A table's distinct rows in order, and how often each came up. One recovered gap asks five times."""
    return np.unique(np.frombuffer(cells).reshape(shape), axis=0, return_counts=True)


def _draws(
    statistic: Statistic,
    rows: Float[np.ndarray, "distinct column"],
    counts: Float[np.ndarray, " distinct"],
    n_resamples: int,
    seed: int,
) -> Float[np.ndarray, " resample"]:
    """The statistic of every resample.

    Equal rows are drawn as one: how often each distinct row comes up in n draws is multinomial with their shares. Right
    and wrong under three arms are at most eight distinct rows, so 10,000 resamples cost milliseconds whatever n is.
    """
    means = _means(rows.shape, rows.tobytes(), counts.tobytes(), n_resamples, seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(statistic(*means.T), dtype=np.float64)


@functools.lru_cache(maxsize=64)
def _means(
    shape: tuple[int, ...], rows: bytes, counts: bytes, n_resamples: int, seed: int
) -> Float[np.ndarray, "resample column"]:
    """Every resample's means. A page, a verdict and a figure ask for the same arms: the last ones are kept."""
    table, n = np.frombuffer(rows).reshape(shape), round(np.frombuffer(counts).sum())
    if n_resamples * len(table) <= _CELLS_KEPT:
        return _times_drawn(counts, n_resamples, seed) @ table / n
    rng, at_once = np.random.default_rng(seed), max(1, _CELLS_AT_ONCE // len(table))
    sizes = [min(at_once, n_resamples - start) for start in range(0, n_resamples, at_once)]
    return np.concatenate([_multinomial(rng, counts, size) @ table / n for size in sizes])


@functools.lru_cache(maxsize=4)
def _times_drawn(counts: bytes, n_resamples: int, seed: int) -> Int[np.ndarray, "resample distinct"]:
    """How often each distinct row comes up in each resample. Columns without equal rows have it in common."""
    return _multinomial(np.random.default_rng(seed), counts, n_resamples)


def _multinomial(rng: np.random.Generator, counts: bytes, size: int) -> Int[np.ndarray, "resample distinct"]:
    often = np.frombuffer(counts)
    return rng.multinomial(round(often.sum()), often / often.sum(), size=size)


def _tails(
    statistic: Statistic,
    rows: Float[np.ndarray, "distinct column"],
    counts: Float[np.ndarray, " distinct"],
    estimate: float,
    draws: Float[np.ndarray, " resample"],
    level: float,
) -> tuple[tuple[float, float], str]:
    """Which quantiles of the draws are the interval's ends, and by which method."""
    plain, z = ((1 - level) / 2, (1 + level) / 2), _z(level)
    below = float(np.mean(draws < estimate) + np.mean(draws == estimate) / 2)
    acceleration = _acceleration(statistic, rows, counts)
    if not 0 < below < 1:
        return plain, "percentile (BCa undefined: all resamples lie on one side of the estimate)"
    if not math.isfinite(acceleration):
        return plain, "percentile (BCa undefined: the statistic has no value with one row left out)"
    shift = _NORMAL.inv_cdf(below)
    stretch = [1 - acceleration * (shift - z), 1 - acceleration * (shift + z)]
    if min(stretch) <= 0:
        return plain, "percentile (BCa undefined: too skewed)"
    low, high = (_NORMAL.cdf(shift + (shift + end) / by) for end, by in zip((-z, z), stretch, strict=True))
    return (low, high), "BCa"


def _acceleration(
    statistic: Statistic, rows: Float[np.ndarray, "distinct column"], counts: Float[np.ndarray, " distinct"]
) -> float:
    """How fast the statistic's spread changes with its value: a sixth of the skewness of its jackknife."""
    without = (counts @ rows - rows) / (counts.sum() - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        left_out = np.asarray(statistic(*without.T), dtype=np.float64)
    influence = np.average(left_out, weights=counts) - left_out
    spread = float(counts @ influence**2)
    return float(counts @ influence**3) / (6 * spread**1.5) if spread > 0 else math.nan


def _if_unseen(
    statistic: Statistic, table: Float[np.ndarray, "row column"], estimate: float, level: float
) -> tuple[float, float]:
    """Extremes of the statistic when one column of 0 and 1 moves by the share of rows that may have gone unseen."""
    found, means, unseen = [estimate], table.mean(0), wilson(0, len(table), level)[1]
    for column in np.flatnonzero(np.isin(table, (0, 1)).all(0)):
        for moved in (max(0.0, means[column] - unseen), min(1.0, means[column] + unseen)):
            shifted = means.copy()
            shifted[column] = moved
            found.append(float(statistic(*shifted[:, None])[0]))
    return min(found), max(found)


def _whole(_hybrid: np.ndarray, base: np.ndarray, tuned: np.ndarray) -> np.ndarray:
    return tuned - base


def _share(
    table: Float[np.ndarray, "row column"],
    n_resamples: int,
    seed: int,
    level: float,
    unseen: Float[np.ndarray, "unseen column"] | None,
) -> Interval:
    """(hybrid - base) / (tuned - base) of a real gap, its interval found over the angle of (gap, part)."""
    h, b, t = table.mean(0)
    sign = math.copysign(1, t - b)

    def angle(h: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
        part, whole = sign * (h - b), sign * (t - b)
        return np.where((part == 0) & (whole == 0), np.nan, np.arctan2(part, whole))

    turned = _bootstrap(angle, table, n_resamples, seed, level, unseen)
    return Interval(float((h - b) / (t - b)), _tangent(turned.low), _tangent(turned.high), turned.n, turned.method)


def _no_gap(
    gap: Interval, lost: float, base: Shaped[np.ndarray, " _problem"], tuned: Shaped[np.ndarray, " _problem"]
) -> str:
    if np.array_equal(base, tuned):
        return f"tuned and base score the same on each of {gap.n} problems: there is no gap to recover"
    found = f"tuned - base is {gap.estimate:+.3f} ({gap.low:+.3f} to {gap.high:+.3f}) over {gap.n} problems"
    if gap.low <= 0 <= gap.high:
        return f"{found}: the gap's interval reaches 0, so a share of it means nothing"
    return f"{found}, but {lost:.1%} of resamples lose the gap, so a share of it means nothing"


def _one_problem(gap: float) -> Recovered:
    nothing = dict.fromkeys(("estimate", "low", "high", "gap_low", "gap_high", "gap_lost"), math.nan)
    reason = "there is one problem, and an interval needs at least two"
    return Recovered(**nothing, gap=gap, n=1, refused=True, reason=reason, method="none")


def _tangent(angle: float) -> float:
    """The share an angle stands for; infinite at 90 degrees and beyond."""
    return math.tan(angle) if abs(angle) < math.pi / 2 else math.copysign(math.inf, angle)


def _z(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level is a probability such as 0.95, got {level}")
    return _NORMAL.inv_cdf((1 + level) / 2)
