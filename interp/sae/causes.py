"""Does it matter? What the models write next when a strategy's feature is added, clamped or taken away."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from interp.measurement import Measurement, digest
from interp.pair import Pair
from interp.sae.activations import activations, digest_of
from interp.sae.asked import Asked, Places, asked_of, random_places
from interp.sae.edits import compared, edits_of
from interp.sae.intervene import Edit, edited_logprobs, nothing
from interp.sae.sites import places
from interp.sae.strength import mean_interval
from interp.sae.trained import TrainedSAE
from interp.tasks.task import Reading

CONTROLS = 20
"""Features, random directions and directions of dealt-out labels that an effect is held against, each."""
HOWS = {"onset": ("add", "clamp", "ablate"), "content": ("ablate",)}
"""Edits made at each place. Inside its own stretch a strategy can be taken away but not brought about."""


def feature_causes(
    pair: Pair,
    sae: TrainedSAE,
    readings: Sequence[Reading],
    features: Measurement,
    *,
    at: str | None = None,
    chosen_in: Literal["base", "tuned"] = "base",
    strategies: Sequence[str] | None = None,
    hows: Sequence[str] | None = None,
    unrelated: Sequence[Sequence[int]] | None = None,
    n_controls: int = CONTROLS,
    n_places: int = 48,
    dose: float = 1.0,
    seed: int = 0,
) -> Measurement:
    """For each strategy, how its feature and its difference of means move the chance that the model follows it.

    `effect` is the mean change in the probability of the strategy's tokens, over places of held-out problems; `low`
    and `high` its 95% interval over problems; `before` the probability without an edit. At the onset the strategy's
    tokens are those that open it more often than all others (`asked.OWN`); without any it is not judged there. "add"
    and "clamp" act where another strategy opens, at positions at which this one opens too, so that what only says how
    far the text has come brings nothing about; "ablate" acts where the strategy itself opens. In its content only
    "ablate" acts, on the strategy's own tokens, and what is asked for is the token that was written next: can it still
    be carried out? Without `at`, both places. Every edit is made at one token, in base and in tuned, on the same
    `readings`.

    All additions have one norm, `dose` times the spread of the compared activations (how far one of them lies from
    their mean), so the same for every strategy and source. Clamping sets a feature to its mean where it fires on the
    strategy, a direction to its mean there; ablating sets a feature to zero, a direction to its mean over all tokens.
    Each has twins that move the very same activations just as far: of a feature, along the decoders of the
    `n_controls` features that fire nearest as often over all compared tokens; of the difference of means, along
    `n_controls` random directions and along as many differences of means of labels dealt out anew, less their part
    along the direction itself. `controls_mean`, `controls_low`, `controls_high` are the mean, the smallest and the
    largest of their effects, `rank_p` the share of twins and itself that do as much.

    What the edit does elsewhere, each with an interval (`_low`, `_high`): `elsewhere`, the change in the strategy's
    tokens at random places of the same texts; `kl`, KL(without, with) in nats there; `kl_unrelated`, the same behind
    each of the `unrelated` token sequences, NaN without any. `chosen_in` says in which model feature, direction,
    level and norm were taken; `sae` has to be of that model.
    """
    found = [sites for sites in places(readings) if at in (None, sites.at)]
    if not found:
        raise ValueError(f"strategies cannot be told apart at {at!r} in these readings; ask for another place")
    every = activations(pair.models[chosen_in], readings, sae.hook)
    outside = {"": random_places(readings, n_places, seed)}
    if unrelated:
        outside["_unrelated"] = Places([tuple(ids) for ids in unrelated], np.arange(len(unrelated)))
    rows: list[dict[str, Any]] = []
    for sites in found:
        here = compared(sae, sites, every[torch.from_numpy(sites.row)], n=n_controls, seed=seed)
        chosen = _chosen(features, sites.at, chosen_in)
        for strategy in tqdm(strategies or sites.strategies, desc="interventions", leave=False, disable=None):
            asked = asked_of(pair, readings, sites, strategy, n_places, seed)
            if asked is None or strategy not in chosen or not here.comparable(strategy):
                continue
            feature, sign = chosen[strategy]
            made = {
                (how, source): edits
                for how in hows or HOWS[sites.at]
                for source, edits in edits_of(here, strategy, feature, sign, how, dose=dose, n=n_controls).items()
            }
            what = {"strategy": strategy, "at": sites.at, "feature": feature, "norm": dose * here.spread}
            for model, bridge in pair.models.items():
                measured = _effects(pair, bridge, sae.hook, made, asked, outside)
                rows += [
                    {**what, "model": model, "how": how, "source": source, **told}
                    for (how, source), told in measured.items()
                ]
    if not rows:
        raise ValueError("no strategy has a feature and places to change; give more text")
    made_with = pair.made_with(
        sae=dict(sae.trained_on),
        readings=digest_of(readings),
        unrelated=digest([list(ids) for ids in unrelated or ()]),
        options={"at": at, "controls": n_controls, "places": n_places, "dose": dose, "seed": seed},
    )
    return Measurement("causes", "change in the probability of a strategy's tokens", pd.DataFrame(rows), made_with)


def _chosen(features: Measurement, at: str, model: str) -> dict[str, tuple[int, int]]:
    """The feature and sign of every strategy that has one at this place."""
    table = features.table[(features.table["at"] == at) & (features.table.source == "sae")]
    table = table[(table.model == model) & table.feature.notna()].drop_duplicates("strategy")
    return {
        row.strategy: (int(row.feature), int(row.sign)) for row in table[["strategy", "feature", "sign"]].itertuples()
    }


def _effects(
    pair: Pair,
    model: Any,
    hook: str,
    made: Mapping[tuple[str, str], Sequence[Edit]],
    asked: Mapping[str, Asked],
    outside: Mapping[str, Places],
) -> dict[tuple[str, str], dict[str, Any]]:
    """What each edit does beside its controls; every set of places is read once for all edits made there."""
    alone = [nothing, *(edits[0] for edits in made.values())]
    there = {
        name: edited_logprobs(model, some.prefixes, hook, alone, pad=pair.pad_id) for name, some in outside.items()
    }
    told: dict[tuple[str, str], Tensor] = {}
    for places_asked in {id(a): a for a in asked.values()}.values():
        here = {key: edits for key, edits in made.items() if asked[key[0]] is places_asked}
        if not here:
            continue
        every = [nothing, *(edit for edits in here.values() for edit in edits)]
        logprobs = edited_logprobs(model, places_asked.prefixes, hook, every, pad=pair.pad_id)
        wanted = places_asked.wanted.to(logprobs.device)
        # One edit after the other: with a large vocabulary all at once would be gigabytes, twice.
        chance = torch.stack([(one.exp() * wanted).sum(-1) for one in logprobs]).double()
        parts = chance[1:].split([len(edits) for edits in here.values()])
        told |= {key: torch.cat([chance[:1], part]) for key, part in zip(here, parts, strict=True)}
    return {
        key: {
            **_summary(told[key].cpu().numpy(), asked[key[0]].problem),
            **_elsewhere(there, outside, 1 + number, asked["add"].wanted[0]),
        }
        for number, key in enumerate(made)
    }


def _elsewhere(
    there: Mapping[str, Float[Tensor, "edit place d_vocab"]],
    outside: Mapping[str, Places],
    number: int,
    wanted: Bool[Tensor, " d_vocab"],
) -> dict[str, float]:
    """What one edit does where it has no business: the KL, and at random places the strategy's tokens, with ends."""
    first = there[""].exp().double()
    change = ((first[number] - first[0]) * wanted.to(first.device)).sum(-1)
    found = {"elsewhere": (change, outside[""].problem)}
    for name, logprobs in there.items():
        found[f"kl{name}"] = (
            (logprobs[0].exp() * (logprobs[0] - logprobs[number])).double().sum(-1),
            outside[name].problem,
        )
    numbers = dict.fromkeys((f"kl_unrelated{end}" for end in ("", "_low", "_high")), float("nan"))
    for name, (values, problem) in found.items():
        mean, low, high = mean_interval(values.cpu().numpy(), problem)
        numbers |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return numbers


def _summary(chance: Float[np.ndarray, "edit place"], problem: Int[np.ndarray, " place"]) -> dict[str, Any]:
    """Row 0 is without an edit, row 1 the edit, the others its controls."""
    change = chance[1:] - chance[0]
    controls = change[1:].mean(1)
    effect, low, high = mean_interval(change[0], problem)
    as_much = controls >= effect if effect >= 0 else controls <= effect
    return {
        **{"before": float(chance[0].mean()), "effect": effect, "low": low, "high": high},
        **{"controls_mean": float(controls.mean()), "controls_low": float(controls.min())},
        **{"controls_high": float(controls.max()), "rank_p": float((1 + as_much.sum()) / (1 + len(controls)))},
        **{"n": len(change[0]), "n_controls": len(controls)},
    }
