"""Strategy features: the SAE feature that best tells a strategy apart, in base and in tuned, beside its controls.

Which text is read matters as much as which model reads it, so every score names both.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.measurement import Measurement
from interp.pair import Pair
from interp.sae.activations import activations, check_varied, digest_of
from interp.sae.asked import own_openers
from interp.sae.auroc import aurocs
from interp.sae.choice import opening
from interp.sae.directions import linear_probe, mean_difference, random_directions
from interp.sae.scores import MIN_TOKENS, scored
from interp.sae.sites import NothingToTell, Sites, places, shuffled
from interp.sae.strength import discoveries, rank_test
from interp.sae.trained import TrainedSAE
from interp.tasks.task import Reading

SHUFFLES = 5
"""How often strategy labels are dealt out anew."""
FOUND = 0.05
"""False discovery rate at which a feature counts as found."""
OWN_CHOICE = "own choice"

Key = tuple[str, str]
"""Which model reads, and whose text."""
Scores = Mapping[Key, Float[Tensor, "site candidate"]]


def strategy_features(
    pair: Pair,
    sae: TrainedSAE,
    texts: Mapping[str, Sequence[Reading]],
    *,
    others: Mapping[str, tuple[Any, TrainedSAE]] | None = None,
    chosen_in: Literal["base", "tuned"] = "base",
    n_random: int | None = None,
    seed: int = 0,
) -> Measurement:
    """For each strategy the best feature of the SAE, scored on problems it was not chosen on, in both models.

    `texts` names who wrote what ("base", "tuned"). On the first of them, half of the problems (by a hash of their
    name) choose feature and sign by AUROC in base; the other half score that feature in both models, on every text.
    Rows with the first text compare the models on the same words; (base, base's text) against (tuned, tuned's text)
    is each on its own, where what was written differs as well.

    Columns: `auroc` with a 95% interval over problems; `d`, Cohen's d with its interval; `firing` (share above zero)
    and `mean` on the strategy's tokens and on the `_others`; `position_matched` and `token_matched`, the AUROC over
    pairs at the same position, of the same token, with intervals (`position_low`...). For the SAE, on the first text:
    `p` (Mann-Whitney by problem) of the feature, its `q` over all `n_searched` features and strategies of the place,
    and `n_found`, how many of the strategy's features have q below 0.05. `sign` -1: it is lower on the strategy.

    Baselines through the same choice and scoring, as `source`: the best raw dimension, the best of `n_random` random
    directions (as many as the SAE has features), the difference of means and a linear probe (fitted with the labels of
    the search half), and shuffled labels, the mean of five draws whose range stands as the interval. `others` adds more
    SAEs by name, each with a model to read instead of base, or None: a second seed, one of an untrained model, of whose
    activations a linear probe is added too. At the onset "own choice" is the ceiling: how well each model's own
    probability of a strategy's opening tokens tells that it comes (`mean`: that probability). `chosen_in` "tuned" asks
    the other way round: what tells the strategies in tuned, and what of it is in base.

    `at` "onset" compares the tokens before a strategy opens with those before another opens; "content" compares
    digits (or words) inside the strategy's stretches with those outside. With fewer than 100 positive or negative
    held-out tokens the numbers are NaN. Memory: d_sae floats for every compared token, model and text.
    """
    first = next(iter(texts))
    numbers = {name: _read(pair, readings, sae.hook) for name, readings in texts.items()}
    sites = {name: {s.at: s for s in places(readings)} for name, readings in texts.items() if name == first}
    rows: list[dict[str, Any]] = []
    for at, here in sites[first].items():
        told = {first: here, **{name: found for name in texts if name != first and (found := _at(texts[name], at))}}
        x = {
            (model, name): numbers[name][model][_rows(sites_here)]
            for name, sites_here in told.items()
            for model in sorted(pair.models, key=lambda model: model != chosen_in)
        }
        rows += [{"at": at, **row} for row in _sources(sae, told, x, n_random or sae.d_sae, seed)]
        if at == "onset":
            rows += [{"at": at, "source": OWN_CHOICE, **row} for row in _own_choice(pair, told, texts, list(x), seed)]
        for source, (model, other) in (others or {}).items():
            rows += [{"at": at, **row} for row in _other(source, model, other, told, x, texts[first], seed)]
    table = pd.DataFrame(rows).astype({"feature": "Int64", "sign": "Int64", "n_found": "Int64"})
    made_with = pair.made_with(
        sae=dict(sae.trained_on),
        others={source: dict(other.trained_on) for source, (_, other) in (others or {}).items()},
        readings={name: digest_of(readings) for name, readings in texts.items()},
        n_random=n_random or sae.d_sae,
        shuffles=SHUFFLES,
        seed=seed,
    )
    return Measurement("features", "AUROC on held-out problems", table, made_with)


def _read(pair: Pair, readings: Sequence[Reading], hook: str) -> dict[str, Float[Tensor, "token d_in"]]:
    x = {name: activations(model, readings, hook) for name, model in pair.models.items()}
    for values in x.values():
        check_varied(values, hook)
    return x


def _at(readings: Sequence[Reading], at: str) -> Sites | None:
    """The sites of a further text; None where it holds one strategy alone, as that of a tuned model may."""
    try:
        return next((sites for sites in places(readings) if sites.at == at), None)
    except NothingToTell:
        return None


def _rows(sites: Sites) -> Int[Tensor, " site"]:
    return torch.from_numpy(sites.row)


def _sources(sae: TrainedSAE, sites: Mapping[str, Sites], x: Scores, n_random: int, seed: int) -> list[dict[str, Any]]:
    """The rows of the SAE and of the baselines that need nothing but the same activations."""
    here = next(iter(sites.values()))
    first = x[next(iter(x))]
    positive = torch.from_numpy(np.stack([here.strategy == strategy for strategy in here.strategies], 1))
    search = torch.from_numpy(~here.held_out)
    directions = {
        "random direction": random_directions(first.shape[1], n_random, seed=seed).to(first.device),
        "difference of means": mean_difference(first[search], positive[search]),
        "linear probe": linear_probe(first[search], positive[search]),
    }
    encoded = {key: sae.encode(values) for key, values in x.items()}
    rows = [{"source": "sae", **row} for row in best_candidates(sites, encoded, seed=seed, test=True)]
    rows += [{"source": "raw dimension", **row} for row in best_candidates(sites, x, seed=seed)]
    for source, matrix in directions.items():
        scores = {key: values @ matrix for key, values in x.items()}
        fitted = source != "random direction"
        rows += [{"source": source, **row} for row in best_candidates(sites, scores, seed=seed, fitted=fitted)]
    return rows + [{"source": "shuffled labels", **row} for row in _shuffles(sites, encoded, seed)]


def _own_choice(
    pair: Pair, sites: Mapping[str, Sites], texts: Mapping[str, Sequence[Reading]], keys: Sequence[Key], seed: int
) -> list[dict[str, Any]]:
    """The rows of what each model itself expects, of every text, for strategies with an opening token of their own."""
    first = next(iter(sites.values()))
    scores = {}
    for model, name in keys:
        chance = opening(pair.models[model], pair.d_vocab, texts[name], sites[name])
        told = {strategy: chance[:, number] for number, strategy in enumerate(sites[name].strategies)}
        # A strategy that a further text does not hold opens with nothing there.
        columns = [told.get(strategy, np.zeros(len(chance))) for strategy in first.strategies]
        scores[model, name] = torch.from_numpy(np.stack(columns, 1))
    rows = best_candidates(sites, scores, fitted=True, seed=seed)
    # How likely a token is that opens several strategies says nothing of any one of them.
    owning = [strategy for strategy in first.strategies if own_openers(texts[keys[0][1]], first, strategy)]
    return [row for row in rows if row["strategy"] in owning]


def _other(
    source: str,
    model: Any,
    sae: TrainedSAE,
    sites: Mapping[str, Sites],
    x: Scores,
    readings: Sequence[Reading],
    seed: int,
) -> list[dict[str, Any]]:
    """The rows of another SAE; with a model of its own, only of that one, and with a probe of it."""
    if model is None:
        scores = {key: sae.encode(values) for key, values in x.items()}
        return [{"source": source, **row} for row in best_candidates(sites, scores, seed=seed)]
    chosen_on = next(iter(x))
    here = sites[chosen_on[1]]
    read = activations(model, readings, sae.hook)[_rows(here)]
    search = torch.from_numpy(~here.held_out)
    positive = torch.from_numpy(np.stack([here.strategy == strategy for strategy in here.strategies], 1))
    probe = linear_probe(read[search], positive[search])
    rows = best_candidates(sites, {chosen_on: sae.encode(read)}, seed=seed)
    probed = best_candidates(sites, {chosen_on: read @ probe}, fitted=True, seed=seed)
    return [{"source": source, **row} for row in rows] + [
        {"source": f"linear probe of an {source}", **row} for row in probed
    ]


def best_candidates(
    sites: Mapping[str, Sites], scores: Scores, *, fitted: bool = False, test: bool = False, seed: int = 0
) -> list[dict[str, Any]]:
    """Each strategy's best candidate on the search half of the first (model, text), scored on all held-out halves.

    With `fitted`, candidate i was made for strategy i and nothing is searched. `test` adds p, q and the number found.
    """
    chosen_on = next(iter(scores))
    here, first = sites[chosen_on[1]], scores[chosen_on]
    positive = np.stack([here.strategy == strategy for strategy in here.strategies], 1)
    search = torch.from_numpy(~here.held_out)
    found = aurocs(first[search], torch.from_numpy(positive)[search])
    tests = _tests(here, first, positive) if test else {}
    rows = []
    for number, strategy in enumerate(here.strategies):
        chosen = (number, 1) if fitted else _choose(found[number])
        n_searched = 1 if fitted else found.shape[1]
        feature, sign = chosen if chosen else (pd.NA, pd.NA)
        for (model, text), values in scores.items():
            where = sites[text]
            column = None if chosen is None else values[torch.from_numpy(where.held_out), chosen[0]]
            row = scored(column, chosen[1] if chosen else 0, strategy, where, seed)
            told = {"p": np.nan, "q": np.nan, "n_found": pd.NA}
            if test and chosen and (model, text) == chosen_on:
                p, q = tests[strategy]
                told = {"p": p[chosen[0]], "q": q[chosen[0]], "n_found": int((q < FOUND).sum())}
            what = {"strategy": strategy, "feature": feature, "sign": sign, "model": model, "text": text}
            rows.append({**what, **row, **told, "n_searched": n_searched})
    return rows


def _tests(
    sites: Sites, scores: Float[Tensor, "site candidate"], positive: Bool[np.ndarray, "site strategy"]
) -> dict[str, tuple[Float[np.ndarray, " candidate"], Float[np.ndarray, " candidate"]]]:
    """Per strategy p and q of every candidate on the held-out half; q counts all candidates and strategies."""
    held_out = torch.from_numpy(sites.held_out)
    problem = torch.from_numpy(sites.problem)[held_out]
    p = [
        rank_test(scores[held_out].cpu(), torch.from_numpy(column)[held_out], problem).numpy() for column in positive.T
    ]
    q = discoveries(np.concatenate(p)).reshape(len(p), -1)
    return {strategy: (p[number], q[number]) for number, strategy in enumerate(sites.strategies)}


def _shuffles(sites: Mapping[str, Sites], scores: Scores, seed: int) -> list[dict[str, Any]]:
    """The same search under labels that mean nothing: the mean of several draws, their range as the interval."""
    chosen_on = next(iter(scores))
    here, first = sites[chosen_on[1]], scores[chosen_on]
    mixed = [shuffled(here, seed=seed + draw).strategy for draw in range(SHUFFLES)]
    positive = np.stack([labels == strategy for strategy in here.strategies for labels in mixed], 1)
    search = torch.from_numpy(~here.held_out)
    found = aurocs(first[search], torch.from_numpy(positive)[search])
    rows = []
    for number, strategy in enumerate(here.strategies):
        columns = range(number * SHUFFLES, (number + 1) * SHUFFLES)
        for key, values in scores.items():
            if key[1] != chosen_on[1]:
                continue
            drawn = [_drawn(values, _choose(found[i]), positive[:, i], here) for i in columns]
            told = {"auroc": np.mean(drawn), "low": np.min(drawn), "high": np.max(drawn), "n_searched": found.shape[1]}
            half = positive[here.held_out, columns[0]]
            sizes = {"n_positive": int(half.sum()), "n_negative": int((~half).sum())}
            what = {"strategy": strategy, "feature": pd.NA, "sign": pd.NA, "model": key[0], "text": key[1]}
            rows.append({**what, **told, **sizes, "n_found": pd.NA})
    return rows


def _drawn(
    values: Float[Tensor, "site candidate"],
    chosen: tuple[int, int] | None,
    positive: Bool[np.ndarray, " site"],
    sites: Sites,
) -> float:
    """AUROC of one draw's candidate on the held-out half."""
    half = sites.held_out
    if chosen is None or min(positive[half].sum(), (~positive[half]).sum()) < MIN_TOKENS:
        return float("nan")
    column = chosen[1] * values[torch.from_numpy(half), chosen[0]][:, None]
    return float(aurocs(column, torch.from_numpy(positive[half])[:, None])[0, 0])


def _choose(found: Float[Tensor, " candidate"]) -> tuple[int, int] | None:
    """The candidate farthest from 0.5 and its sign; none where the search half has only one kind of token."""
    if found.isnan().all():
        return None
    best = int((found - 0.5).abs().nan_to_num(-1).argmax())
    return best, 1 if found[best] >= 0.5 else -1
