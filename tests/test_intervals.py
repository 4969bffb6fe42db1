"""Intervals: coverage where the truth is known, refusal where there is no gap, and independent oracles."""

import math

import numpy as np
import pytest
from scipy import stats

from interp import intervals
from interp.intervals import (
    Interval,
    Recovered,
    difference,
    gap_recovered,
    independent_difference,
    mcnemar,
    paired_bootstrap,
    wilson,
)

N_SIMULATED = 200


def arms(n: int, gap: float, share: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """hybrid, base, tuned of one data set whose true gap and true recovered share are known.

    Tuned solves what base solves and a share `gap` more; the hybrid copies tuned on a share of those, and besides
    differs from base on 2% of the problems in each direction.
    """
    place, copies = np.random.default_rng(seed).random((2, n))
    base, tuned = place < 0.2, place < 0.2 + gap
    hybrid = np.where(base == tuned, base, copies < share)
    hybrid = np.where(place < 0.02, False, np.where(place > 0.98, True, hybrid))
    return hybrid, base, tuned


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (57, 300)])
def test_wilson_equals_scipys(k: int, n: int) -> None:
    theirs = stats.binomtest(k, n).proportion_ci(method="wilson")
    assert wilson(k, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_refuses_what_is_no_share() -> None:
    with pytest.raises(ValueError, match=r"0 <= k <= n and n > 0, got k=3 and n=2"):
        wilson(3, 2)


@pytest.mark.parametrize(("only_a", "only_b"), [(14, 1), (8, 5), (0, 0), (0, 3), (700, 800)])
def test_mcnemar_equals_the_binomial_test(only_a: int, only_b: int) -> None:
    a = np.array([True] * only_a + [False] * only_b + [True, False])
    b = np.array([False] * only_a + [True] * only_b + [True, False])
    n = only_a + only_b
    assert mcnemar(a, b) == pytest.approx(stats.binomtest(only_a, n).pvalue if n else 1.0)


def test_bca_equals_scipys_on_a_skewed_ratio() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=150) ** 2
    b = a + rng.normal(size=150) * 0.5 + 1
    ours = paired_bootstrap(np.divide, a, b)
    theirs = stats.bootstrap(
        (a, b), lambda a, b, axis: a.mean(axis) / b.mean(axis), paired=True, rng=np.random.default_rng(1)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.method == "BCa"
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.05 * width)


def test_drawing_equal_rows_as_one_is_drawing_rows() -> None:
    rng = np.random.default_rng(0)
    hybrid, base, _ = arms(80, 0.3, 0.6, seed=0)
    rows = rng.integers(80, size=(20_000, 80))
    plain = np.quantile(hybrid[rows].mean(1) - base[rows].mean(1), [0.2, 0.5, 0.8])
    # The plain percentile ends of a symmetric statistic at level 0.6 are these quantiles.
    ours = difference(hybrid, base, n_resamples=20_000, level=0.6)
    assert (ours.low, ours.high) == pytest.approx((plain[0], plain[2]), abs=2 / 80)
    assert ours.estimate == pytest.approx(plain[1], abs=1 / 80)


def test_differences_of_independent_estimates_add_their_variances() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=400), rng.normal(size=90) * 2
    found = independent_difference(paired_bootstrap(np.positive, one), paired_bootstrap(np.positive, other))
    error = math.sqrt(one.var() / 400 + other.var() / 90)
    assert found.n == 490
    assert found.estimate == pytest.approx(one.mean() - other.mean())
    assert (found.low, found.high) == pytest.approx(
        (found.estimate - 1.96 * error, found.estimate + 1.96 * error), abs=0.15 * error
    )


def test_an_unbounded_estimate_leaves_the_difference_unbounded_on_its_side() -> None:
    found = independent_difference(Interval(1.0, 0.8, 1.1, 9, ""), Interval(0.5, -math.inf, 0.6, 9, ""))
    assert (found.low, found.high) == (pytest.approx(0.5 - math.hypot(0.2, 0.1)), math.inf)


def test_same_seed_same_interval_and_other_seed_another() -> None:
    columns = arms(200, 0.4, 0.7, seed=0)
    assert gap_recovered(*columns) == gap_recovered(*columns)
    assert gap_recovered(*columns, n_resamples=500).low != gap_recovered(*columns, n_resamples=500, seed=1).low


def test_tuned_recovers_all_and_base_nothing() -> None:
    _, base, tuned = arms(300, 0.5, 0.9, seed=0)
    assert gap_recovered(tuned, base, tuned).estimate == 1.0
    assert gap_recovered(base, base, tuned).estimate == 0.0


def test_exchanging_base_and_tuned_gives_the_rest() -> None:
    hybrid, base, tuned = arms(300, 0.5, 0.7, seed=0)
    forth, back = gap_recovered(hybrid, base, tuned), gap_recovered(hybrid, tuned, base)
    assert back.estimate == pytest.approx(1 - forth.estimate)
    assert (1 - back.high, 1 - back.low) == pytest.approx((forth.low, forth.high), abs=0.01)
    assert back.gap == -forth.gap
    assert back.reason == "tuned is below base: this is a share of a loss"


def test_shares_below_0_and_above_1_are_not_clipped() -> None:
    base = np.arange(200) < 60
    tuned = np.arange(200) < 120
    worse, better = np.arange(200) < 30, np.arange(200) < 150
    below, above = gap_recovered(worse, base, tuned), gap_recovered(better, base, tuned)
    assert (below.estimate, above.estimate) == (pytest.approx(-0.5), pytest.approx(1.5))
    assert below.high < 0
    assert above.low > 1


@pytest.mark.parametrize("gap", [0.2, 0.5])
@pytest.mark.parametrize("share", [0.0, 0.9])
def test_95_percent_intervals_cover_the_truth_95_percent_of_the_time(gap: float, share: float) -> None:
    found = [gap_recovered(*arms(200, gap, share, seed), n_resamples=600, seed=seed) for seed in range(N_SIMULATED)]
    assert not any(one.refused for one in found)
    share_covered = np.mean([one.low <= share <= one.high for one in found])
    gap_covered = np.mean([one.gap_low <= gap <= one.gap_high for one in found])
    three_errors = 3 * math.sqrt(0.95 * 0.05 / N_SIMULATED)
    assert share_covered == pytest.approx(0.95, abs=three_errors)
    assert gap_covered == pytest.approx(0.95, abs=three_errors)


@pytest.mark.parametrize(("n", "gap", "share"), [(100, 0.8, 0.5), (200, 0.8, 0.0), (2000, 0.05, 0.9)])
def test_intervals_cover_at_the_ends_of_what_is_promised(n: int, gap: float, share: float) -> None:
    """A small version of benchmarks/coverage.py; with n = 200 and nothing recovered plain resamples cover 88%."""
    found = [gap_recovered(*arms(n, gap, share, seed), n_resamples=600, seed=seed) for seed in range(N_SIMULATED)]
    covered = np.mean([one.low <= share <= one.high for one in found])
    assert covered == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / N_SIMULATED))


def test_a_gap_too_small_for_its_problems_is_refused_mostly_and_one_that_is_not_never() -> None:
    def refused(n: int, gap: float) -> float:
        return float(np.mean([gap_recovered(*arms(n, gap, 0.5, s), n_resamples=400).refused for s in range(60)]))

    assert refused(40, 0.05) > 0.5
    assert refused(1000, 0.05) == refused(100, 0.4) == 0.0


def test_no_gap_is_refused_as_often_as_the_level_says() -> None:
    rng = np.random.default_rng(0)
    found = [gap_recovered(*(rng.random((3, 200)) < 0.4), n_resamples=600) for _ in range(N_SIMULATED)]
    refused = np.mean([one.refused for one in found])
    assert refused == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / N_SIMULATED))
    assert all(math.isnan(one.estimate) and "a share of it means nothing" in one.reason for one in found if one.refused)


def test_equal_arms_are_refused_and_told_so() -> None:
    base = np.arange(50) < 20
    found = gap_recovered(base, base, base)
    assert found.refused
    assert found.reason == "tuned and base score the same on each of 50 problems: there is no gap to recover"
    assert (found.gap, found.gap_lost) == (0.0, 1.0)
    assert math.isnan(found.low)


def test_a_weak_gap_says_how_often_it_vanishes_and_agrees_with_fieller() -> None:
    hybrid, base, tuned = arms(150, 0.06, 0.5, seed=3)
    found = gap_recovered(hybrid, base, tuned)
    assert not found.refused
    assert 0 < found.gap_lost < 0.025
    # Fieller: the shares r for which the mean of (hybrid - base) - r (tuned - base) is within 1.96 errors of 0.
    part, whole = hybrid * 1.0 - base, tuned * 1.0 - base
    shares = np.linspace(-5, 5, 20_001)[:, None]
    rest = part - shares * whole
    inside = shares[np.abs(rest.mean(1)) <= 1.96 * rest.std(1) / math.sqrt(150), 0]
    assert (found.low, found.high) == pytest.approx((inside.min(), inside.max()), abs=0.2 * np.ptp(inside))


def test_a_share_that_resamples_cannot_bound_has_an_infinite_end() -> None:
    base, tuned = np.arange(100) < 10, (np.arange(100) >= 2) & (np.arange(100) < 21)
    hybrid = np.where(np.arange(100) < 21, tuned, np.arange(100) >= 92)  # tuned, and 8 problems of its own
    found = gap_recovered(hybrid, base, tuned)
    assert not found.refused
    assert 0 < found.gap_lost < 0.025
    assert found.high > 5
    unbounded = gap_recovered(hybrid, base, tuned, level=0.99)
    assert unbounded.refused or unbounded.high == math.inf


def test_a_gap_that_many_resamples_lose_is_refused_even_where_bca_is_sure() -> None:
    base, tuned = np.arange(60) >= 59, np.arange(60) < 6
    found = gap_recovered(tuned, base, tuned)
    assert found.gap_low > 0
    assert found.refused
    assert "of resamples lose the gap, so a share of it means nothing" in found.reason


def test_an_arm_that_is_always_right_still_has_an_interval() -> None:
    right, wrong = np.ones(300, dtype=bool), np.zeros(300, dtype=bool)
    bound = wilson(0, 300)[1]
    found = gap_recovered(right, wrong, right)
    assert found.method == "all resamples agree: Wilson bound"
    assert (found.low, found.high) == pytest.approx((1 - bound, 1 / (1 - bound)))
    assert found.gap_low == pytest.approx(1 - bound)
    assert found.gap_high == 1.0


def test_a_hybrid_that_is_base_is_not_surely_0_of_a_small_gap() -> None:
    base, tuned = np.zeros(300, dtype=bool), np.arange(300) < 6
    found = gap_recovered(base, base, tuned)
    assert found.estimate == 0.0
    assert found.high == pytest.approx(wilson(0, 300)[1] / 0.02)


def test_the_method_is_named_where_it_is_not_bca() -> None:
    numbers = np.arange(40.0) ** 1.5
    one_sided = paired_bootstrap(lambda mean: np.abs(mean - numbers.mean()), numbers)
    assert one_sided.method == "percentile (BCa undefined: all resamples lie on one side of the estimate)"
    constant = paired_bootstrap(lambda mean: mean * 0 + 7, numbers)
    assert (constant.low, constant.high, constant.method) == (7.0, 7.0, "all resamples agree: constant")


def test_resamples_without_a_value_count_against_both_ends() -> None:
    numbers = np.arange(40.0)
    cut = numbers.mean() + 1.5
    found = paired_bootstrap(lambda mean: np.where(mean > cut, np.nan, mean), numbers)
    without = int(found.method.split("; ")[1].split(" of ")[0])
    assert without > 500
    assert "resamples had no value and count against both ends" in found.method
    assert (found.low, found.high) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ((np.ones(3), np.ones(4)), r"columns are not aligned: they have \[3, 4\] rows"),
        ((np.ones(1), np.ones(1)), "at least 2 rows to draw from, got 1"),
        ((np.array([1.0, np.nan]), np.ones(2)), "1 of 2 rows hold a value that is not finite"),
    ],
)
def test_columns_that_cannot_be_compared_are_refused(columns: tuple[np.ndarray, np.ndarray], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        difference(*columns)


def test_a_level_has_to_be_a_probability() -> None:
    with pytest.raises(ValueError, match=r"level is a probability such as 0\.95, got 95.0"):
        wilson(1, 2, level=95.0)


def test_mcnemar_wants_right_and_wrong() -> None:
    with pytest.raises(ValueError, match="compares right with wrong"):
        mcnemar(np.array([0.5, 1.0]), np.array([0.0, 1.0]))


def test_a_refused_share_cannot_carry_a_number() -> None:
    with pytest.raises(ValueError, match="refused exactly when it is NaN"):
        Recovered(0.9, 0.8, 1.0, 0.0, -0.1, 0.1, 0.5, 10, True, "no gap", "none")


def test_one_problem_is_refused_with_its_reason() -> None:
    found = gap_recovered(np.array([True]), np.array([False]), np.array([True]))
    assert found.refused
    assert found.reason == "there is one problem, and an interval needs at least two"


def test_draws_that_are_kept_are_those_that_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = np.random.default_rng(0).normal(size=(2, 40))
    kept = [paired_bootstrap(lambda mean: mean, column, n_resamples=500) for column in (one, other, one)]
    intervals._means.cache_clear()
    monkeypatch.setattr(intervals, "_CELLS_KEPT", 0)
    anew = [paired_bootstrap(lambda mean: mean, column, n_resamples=500) for column in (one, other, one)]
    assert kept == anew and kept[0] != kept[1]
