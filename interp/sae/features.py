"""Strategy features: the single SAE feature that best tells a strategy apart, in base and in tuned on the same text."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.measurement import Measurement
from interp.pair import Pair
from interp.sae.activations import activations, check_varied, digest_of
from interp.sae.auroc import auroc_interval, aurocs
from interp.sae.sites import Sites, content_sites, onset_sites, shuffled
from interp.sae.trained import TrainedSAE
from interp.tasks.task import Reading

MIN_TOKENS = 100
"""Fewer held-out positive or negative tokens than this and no AUROC is given."""


def strategy_features(
    pair: Pair, sae: TrainedSAE, readings: Sequence[Reading], *, n_random: int | None = None, seed: int = 0
) -> Measurement:
    """For each strategy the best feature of the SAE, scored on problems it was not chosen on, in both models.

    Half of the problems (by a hash of their name) choose feature and sign by AUROC in base; the other half give
    the AUROC, with a 95% interval over problems, of that same feature in base and in tuned, which read the same
    text. The baselines go through the same choice and the same scoring: the best raw dimension, the best of
    `n_random` random directions (as many as the SAE has features), and the SAE's features under strategy labels
    shuffled between stretches. A feature that does not beat them says nothing that the activations did not.

    Rows: `at` "onset" compares the tokens just before a strategy opens with those before another opens; `at`
    "content" compares digits (or words) inside the strategy's stretches with those inside others'. `sign` -1 means
    that the feature is lower on the strategy. `firing` and `mean` describe held-out positive tokens: how often the
    feature is above zero and its mean there. With fewer than 100 positive or negative held-out tokens `auroc` is NaN.

    The SAE may have been trained on texts of either half, since training sees no labels. Memory: d_sae floats for
    every compared token and model.
    """
    x = {name: activations(model, readings, sae.hook) for name, model in pair.models.items()}
    for values in x.values():
        check_varied(values, sae.hook)
    n_random = sae.d_sae if n_random is None else n_random
    directions = torch.randn(x["base"].shape[1], n_random, generator=torch.Generator().manual_seed(seed))
    directions = (directions / directions.norm(dim=0)).to(x["base"].device)
    rows: list[dict[str, Any]] = []
    for sites in (onset_sites(readings), content_sites(readings)):
        at_sites = {name: values[torch.from_numpy(sites.row).to(values.device)] for name, values in x.items()}
        encoded = {name: sae.encode(values) for name, values in at_sites.items()}
        mixed = shuffled(sites, seed=seed)
        for source, where, scores in (
            ("sae", sites, encoded),
            ("raw dimension", sites, at_sites),
            ("random direction", sites, {name: values @ directions for name, values in at_sites.items()}),
            ("shuffled labels", mixed, encoded),
        ):
            rows += [{"at": sites.at, "source": source, **row} for row in best_candidates(where, scores, seed=seed)]
    table = pd.DataFrame(rows).astype({"feature": "Int64", "sign": "Int64"})
    made_with = pair.made_with(sae=dict(sae.trained_on), readings=digest_of(readings), n_random=n_random, seed=seed)
    return Measurement("features", "AUROC on held-out problems", table, made_with)


def best_candidates(
    sites: Sites, scores: Mapping[str, Float[Tensor, "site candidate"]], *, seed: int = 0
) -> list[dict[str, Any]]:
    """Each strategy's best candidate by AUROC on base's search half, scored on the held-out half of every model."""
    strategies = sorted(set(sites.strategy.tolist()))
    positive = np.stack([sites.strategy == strategy for strategy in strategies], 1)
    search, held_out = ~sites.held_out, sites.held_out
    found = aurocs(scores["base"][torch.from_numpy(search)], torch.from_numpy(positive[search]))
    rows = []
    for number, strategy in enumerate(strategies):
        chosen = _choose(found[number])
        for model, values in scores.items():
            column = None if chosen is None else values[torch.from_numpy(held_out), chosen[0]].double().cpu().numpy()
            row = _score(column, chosen[1] if chosen else 0, positive[held_out, number], sites.problem[held_out], seed)
            feature, sign = chosen if chosen else (pd.NA, pd.NA)
            what = {"strategy": strategy, "feature": feature, "sign": sign, "model": model}
            rows.append({**what, **row, "n_searched": found.shape[1]})
    return rows


def _choose(found: Float[Tensor, " candidate"]) -> tuple[int, int] | None:
    """The candidate farthest from 0.5 and its sign; none where the search half has only one kind of token."""
    if found.isnan().all():
        return None
    best = int((found - 0.5).abs().argmax())
    return best, 1 if found[best] >= 0.5 else -1


def _score(
    column: Float[np.ndarray, " token"] | None,
    sign: int,
    positive: Bool[np.ndarray, " token"],
    problem: Int[np.ndarray, " token"],
    seed: int,
) -> dict[str, Any]:
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    sizes = {"n_positive": n_positive, "n_negative": n_negative, "n_problems": len(np.unique(problem[positive]))}
    nothing = dict.fromkeys(("auroc", "low", "high", "firing", "mean"), np.nan)
    if column is None or min(n_positive, n_negative) < MIN_TOKENS:
        return {**nothing, **sizes}
    values = torch.from_numpy(sign * column)[:, None]
    auroc = float(aurocs(values, torch.from_numpy(positive)[:, None])[0, 0])
    low, high = auroc_interval(sign * column, positive, problem, seed=seed)
    on = column[positive]
    found = {"auroc": auroc, "low": low, "high": high, "firing": float((on > 0).mean()), "mean": float(on.mean())}
    return {**found, **sizes}
