"""How strongly numbers differ between two kinds of token, with problems as the units: effect size, test, discovery."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from interp.sae.auroc import MIN_PROBLEMS, aurocs

_COLUMNS_AT_ONCE = 128


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
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(float)
    low, high = np.nanquantile(_d(draws @ moments), [(1 - level) / 2, (1 + level) / 2])
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


def matched_auroc(
    scores: Float[np.ndarray, " token"], positive: Bool[np.ndarray, " token"], stratum: Shaped[np.ndarray, " token"]
) -> tuple[float, float]:
    """AUROC over pairs of one stratum only (the same token, the same position), and the share of positives so paired.

    AUROC = sum over strata of wins / sum over strata of pairs. What the stratum itself tells cannot help here, so a
    feature that only reads the token, or only counts positions, falls to 0.5. NaN where no stratum holds both kinds.
    """
    won = pairs = paired = 0.0
    for value in np.unique(stratum):
        here = stratum == value
        n_positive, n_negative = int(positive[here].sum()), int((~positive[here]).sum())
        if n_positive and n_negative:
            found = aurocs(torch.from_numpy(scores[here])[:, None], torch.from_numpy(positive[here])[:, None])
            won += float(found) * n_positive * n_negative
            pairs += n_positive * n_negative
            paired += n_positive
    return (won / pairs if pairs else np.nan), paired / max(1, int(positive.sum()))
