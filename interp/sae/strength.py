"""How strongly numbers differ between two kinds of token, with problems as the units: effect size, test, discovery."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from interp.sae.auroc import MIN_PROBLEMS, resamples

_COLUMNS_AT_ONCE = 128
POSITIONS = 64
"""With more positions than this hardly two tokens would share one."""


def cohens_d(
    scores: Float[np.ndarray, " token"],
    positive: Bool[np.ndarray, " token"],
    problem: Int[np.ndarray, " token"],
    *,
    level: float = 0.95,
    n_resamples: int = 2_000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Cohen's d, (mean of positives - mean of negatives) / pooled standard deviation, and its interval by problem.

    The interval is the percentile one when whole problems are drawn again. NaN where a side has fewer than two tokens
    or nothing varies; the ends are NaN when positives come from fewer than `MIN_PROBLEMS` problems.
    """
    problems, cluster = np.unique(problem, return_inverse=True)
    moments = np.stack(
        [
            np.bincount(cluster[side], weights=scores[side] ** power, minlength=len(problems))
            for side in (positive, ~positive)
            for power in (0, 1, 2)
        ],
        1,
    )
    d = float(_d(moments.sum(0)[None])[0])
    if len(np.unique(cluster[positive])) < MIN_PROBLEMS or np.isnan(d):
        return d, np.nan, np.nan
    n = len(problems)
    low, high = np.nanquantile(_d(resamples(n, n_resamples, seed) @ moments), [(1 - level) / 2, (1 + level) / 2])
    return d, float(low), float(high)


def _d(moments: Float[np.ndarray, "draw 6"]) -> Float[np.ndarray, " draw"]:
    """Cohen's d from count, sum and sum of squares of either side; NaN where it is not defined."""
    n_1, sum_1, square_1, n_0, sum_0, square_0 = moments.T
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = (square_1 - sum_1**2 / n_1 + square_0 - sum_0**2 / n_0) / (n_1 + n_0 - 2)
        d = (sum_1 / n_1 - sum_0 / n_0) / np.sqrt(np.where(spread > 1e-12 * (square_1 + square_0), spread, np.nan))
    return np.where((n_1 > 1) & (n_0 > 1), d, np.nan)


def rank_test(
    scores: Float[Tensor, "token candidate"], positive: Bool[Tensor, " token"], problem: Int[Tensor, " token"]
) -> Float[Tensor, " candidate"]:
    """Two-sided p of the Mann-Whitney test for every candidate, with problems as the independent units.

    Tokens of one problem resemble each other, so the test that counts tokens as independent finds far too much. Here
    z = (AUROC - 1/2) / se with the clustered variance of Obuchowski (1997, Biometrics 53:567): how much each
    problem's tokens win above or below what the others win. With one token per problem it is DeLong's test. NaN where
    positives come from fewer than `MIN_PROBLEMS` problems; 1 where all scores are equal.
    """
    _, cluster = problem.unique(return_inverse=True)
    n, n_positive = int(cluster.max()) + 1, int(positive.sum())
    if len(cluster[positive].unique()) < MIN_PROBLEMS or n_positive == len(positive):
        return torch.full((scores.shape[1],), torch.nan, dtype=torch.float64)
    found = []
    for columns in scores.split(_COLUMNS_AT_ONCE, 1):
        wins = _placements(columns[positive], columns[~positive])
        losses = 1 - _placements(columns[~positive], columns[positive])
        auroc = wins.mean(0)
        centred = torch.zeros(n, columns.shape[1], dtype=torch.float64)
        centred.index_add_(0, cluster[positive], (wins - auroc) / len(wins))
        centred.index_add_(0, cluster[~positive], (losses - auroc) / len(losses))
        error = (centred.square().sum(0) * n / (n - 1)).sqrt()
        gap = (auroc - 0.5).abs()
        z = torch.where(gap > 0, gap / error, 0.0)
        found.append(torch.special.erfc(z / 2**0.5))
    return torch.cat(found)


def _placements(ours: Float[Tensor, "token candidate"], theirs: Float[Tensor, "other candidate"]) -> Tensor:
    """For each of our tokens the share of theirs that it scores above, ties as halves."""
    ordered = theirs.T.contiguous().sort(1).values
    queries = ours.T.contiguous()
    below = torch.searchsorted(ordered, queries)
    up_to = torch.searchsorted(ordered, queries, right=True)
    return ((below + up_to).double() / 2 / theirs.shape[0]).T


def discoveries(p: Float[np.ndarray, " test"]) -> Float[np.ndarray, " test"]:
    """The q of every test: the false discovery rate at which it is found (Benjamini, Hochberg 1995); NaN stays NaN."""
    q = np.full(len(p), np.nan)
    real = np.flatnonzero(~np.isnan(p))
    order = real[np.argsort(p[real], kind="stable")]
    scaled = p[order] * len(order) / np.arange(1, len(order) + 1)
    q[order] = np.minimum.accumulate(scaled[::-1])[::-1].clip(max=1.0)
    return q


class Matched(NamedTuple):
    """An AUROC over pairs of one stratum, its 95% interval over problems, and the share of positives so paired."""

    auroc: float
    low: float
    high: float
    paired: float


def matched_auroc(
    scores: Float[np.ndarray, " token"],
    positive: Bool[np.ndarray, " token"],
    stratum: Shaped[np.ndarray, " token"],
    problem: Int[np.ndarray, " token"],
) -> Matched:
    """AUROC over pairs of one stratum only: the same token, or the same position.

    AUROC = sum over strata of wins / sum over strata of pairs, ties as halves. What the stratum itself tells cannot
    help here, so a feature that only reads the token, or only counts positions, falls to 0.5. NaN where no stratum
    holds both kinds. The interval is estimate +- 1.96 s, with s from what each problem's tokens add to wins beyond
    their share of pairs (Obuchowski 1997, clustered, summed over strata); NaN where the paired positives come from
    fewer than `MIN_PROBLEMS` problems.
    """
    order = np.lexsort((scores, stratum))
    s, g, on, who = scores[order], stratum[order], positive[order], problem[order]
    opens = np.r_[True, g[1:] != g[:-1]]
    tie = np.cumsum(opens | np.r_[True, s[1:] != s[:-1]]) - 1
    group = np.cumsum(opens) - 1

    def below(kind: Bool[np.ndarray, " token"]) -> tuple[Float[np.ndarray, " token"], Float[np.ndarray, " token"]]:
        """Of each token's stratum, how many of this kind score lower, ties as halves, and how many there are."""
        tied, total = np.bincount(tie, kind), np.bincount(group, kind)
        before = (np.cumsum(tied) - tied)[tie] - (np.cumsum(total) - total)[group]
        return before + tied[tie] / 2, total[group]

    (beaten, negatives), (under, positives) = below(~on), below(on)
    won, pairs = float(beaten[on].sum()), float(negatives[on].sum())
    paired = float((negatives[on] > 0).mean()) if on.any() else 0.0
    if not pairs:
        return Matched(np.nan, np.nan, np.nan, paired)
    auroc = won / pairs
    beyond = np.where(on, beaten - auroc * negatives, positives - under - auroc * positives)
    problems, cluster = np.unique(who, return_inverse=True)
    if len(np.unique(who[on & (negatives > 0)])) < MIN_PROBLEMS:
        return Matched(auroc, np.nan, np.nan, paired)
    n = len(problems)
    s_error = float(np.sqrt(n / (n - 1) * np.square(np.bincount(cluster, beyond, n)).sum()) / pairs)
    return Matched(auroc, auroc - 1.96 * s_error, auroc + 1.96 * s_error, paired)


def strata(position: Int[np.ndarray, " token"]) -> Int[np.ndarray, " token"]:
    """Positions as strata: each on its own, or, where there are more than 64 of them, in 64 groups of equal size."""
    if len(np.unique(position)) <= POSITIONS:
        return position
    ends = np.quantile(position, np.linspace(0, 1, POSITIONS + 1)[1:-1], method="lower")
    return np.searchsorted(np.unique(ends), position)


def mean_interval(
    values: Float[np.ndarray, " place"], problem: Int[np.ndarray, " place"], *, seed: int = 0
) -> tuple[float, float, float]:
    """The mean and its 95% percentile interval when whole problems are drawn again."""
    problems, cluster = np.unique(problem, return_inverse=True)
    n = len(problems)
    sums, counts = np.bincount(cluster, values, n), np.bincount(cluster, minlength=n)
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=2_000)
    low, high = np.quantile((draws @ sums) / (draws @ counts), [0.025, 0.975])
    return float(values.mean()), float(low), float(high)
