"""How well one number separates two kinds of token: AUROC of many candidates at once, and its interval by problem."""

import functools

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_COLUMNS_AT_ONCE = 256
MIN_PROBLEMS = 10
"""An interval by problem needs positives from this many problems; from fewer it would only look narrow."""


def aurocs(
    scores: Float[Tensor, "token candidate"], positive: Bool[Tensor, "token label"]
) -> Float[Tensor, "label candidate"]:
    """AUROC of every candidate for every label: the chance that a positive token scores above a negative one.

    Rank formula `(sum of positive ranks - P(P+1)/2) / (P N)` in fp64, ties at their average rank, so it equals
    counting pairs with ties as halves (Mann and Whitney 1947). A label that all or no tokens carry gives NaN.
    """
    labels = positive.to(scores.device).double()
    n_positive = labels.sum(0)[:, None]
    pairs = n_positive * (len(positive) - n_positive)
    found = [
        labels.T @ _average_ranks(columns.T.contiguous()).T - n_positive * (n_positive + 1) / 2
        for columns in scores.split(_COLUMNS_AT_ONCE, 1)
    ]
    return torch.cat(found, 1) / torch.where(pairs > 0, pairs, torch.nan)


def _average_ranks(scores: Float[Tensor, "candidate token"]) -> Float[Tensor, "candidate token"]:
    """Ranks from 1 within each row, tied scores sharing their average rank."""
    ordered, order = scores.sort(1)
    place = torch.arange(1, scores.shape[1] + 1, device=scores.device).expand_as(scores)
    starts = torch.ones_like(scores, dtype=torch.bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    ends = torch.ones_like(starts)
    ends[:, :-1] = starts[:, 1:]
    first = torch.where(starts, place, 0).cummax(1).values
    last = torch.where(ends, place, scores.shape[1]).flip(1).cummin(1).values.flip(1)
    return torch.empty_like(scores, dtype=torch.float64).scatter_(1, order, (first + last).double() / 2)


def auroc_interval(
    scores: Float[np.ndarray, " token"],
    positive: Bool[np.ndarray, " token"],
    problem: Int[np.ndarray, " token"],
    *,
    level: float = 0.95,
    n_resamples: int = 2_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of the AUROC when whole problems are drawn again, with replacement.

    Tokens of one problem resemble each other, so problems and not tokens are the units. Resamples without a
    positive or a negative token are left out; NaN when positives come from fewer than `MIN_PROBLEMS` problems.
    """
    problems, cluster = np.unique(problem, return_inverse=True)
    if len(np.unique(cluster[positive])) < MIN_PROBLEMS or positive.all():
        return np.nan, np.nan
    n = len(problems)
    wins = _wins_between(scores, positive, cluster, n)
    sizes = [np.bincount(cluster[side], minlength=n) for side in (positive, ~positive)]
    draws = resamples(n, n_resamples, seed)
    pairs = (draws @ sizes[0]) * (draws @ sizes[1])
    won = ((draws @ wins) * draws).sum(1)
    low, high = np.quantile(won[pairs > 0] / pairs[pairs > 0], [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@functools.lru_cache(maxsize=2)
def resamples(n: int, n_resamples: int, seed: int) -> Float[np.ndarray, "resample problem"]:
    """How often each of n problems is drawn in each resample; kept, since all rows of a table ask for the same ones."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(float)


def _wins_between(
    scores: Float[np.ndarray, " token"],
    positive: Bool[np.ndarray, " token"],
    cluster: Int[np.ndarray, " token"],
    n: int,
) -> Float[np.ndarray, "problem problem"]:
    """How often a positive of the row's problem scores above a negative of the column's, ties as halves.

    The AUROC of any resample of problems is a quadratic form in this table, so it is built once, along the sorted
    distinct scores and in pieces, and no resample sorts again.
    """
    distinct, rank = np.unique(scores, return_inverse=True)
    wins, below = np.zeros((n, n)), np.zeros((n, 1))
    order = np.argsort(rank, kind="stable")
    edges = range(0, len(distinct), 1024)
    bounds = [*np.searchsorted(rank[order], list(edges)), len(order)]
    for start, low, high in zip(edges, bounds, bounds[1:], strict=False):
        tokens = order[low:high]
        width = min(1024, len(distinct) - start)
        counts = np.zeros((2, n, width))
        np.add.at(counts, (positive[tokens].astype(int), cluster[tokens], rank[tokens] - start), 1)
        negatives, positives = counts
        beaten = below + negatives.cumsum(1) - negatives / 2
        wins += positives @ beaten.T
        below += negatives.sum(1, keepdims=True)
    return wins
