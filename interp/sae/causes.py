"""Does it matter? What the models write next when a strategy's feature is added, clamped or taken away."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from interp.measurement import Measurement
from interp.pair import Pair
from interp.sae.activations import activations, digest_of
from interp.sae.directions import mean_difference, random_directions
from interp.sae.intervene import Edit, add, as_far, clamp_direction, clamp_feature, edited_logprobs, nothing
from interp.sae.sites import Sites, places
from interp.sae.trained import TrainedSAE
from interp.tasks.task import Reading

CONTROLS = 20
"""Random features and random directions that an effect is held against, each."""
HOWS = ("add", "clamp", "ablate")


@dataclass(frozen=True, eq=False)
class Asked:
    """Places where the models are asked for the next token, and the tokens that count as the strategy's."""

    prefixes: Sequence[Sequence[int]]
    wanted: Bool[Tensor, "place d_vocab"]
    problem: Int[np.ndarray, " place"]


def feature_causes(
    pair: Pair,
    sae: TrainedSAE,
    readings: Sequence[Reading],
    features: Measurement,
    *,
    at: str = "onset",
    chosen_in: Literal["base", "tuned"] = "base",
    strategies: Sequence[str] | None = None,
    hows: Sequence[str] = HOWS,
    n_controls: int = CONTROLS,
    n_places: int = 48,
    dose: float = 1.0,
    seed: int = 0,
) -> Measurement:
    """For each strategy, how its feature and its difference of means move the chance that the model opens with it.

    `effect` is the mean change in the probability of the strategy's tokens, over places of held-out problems:
    "add" and "clamp" act where another strategy opens, "ablate" where the strategy itself does. At the onset the
    strategy's tokens are those that open it; in its content, the token that was written next, and all three act on
    the strategy's own tokens. `before` is the probability without an edit; `low` and `high` its 95% interval over
    problems. Every edit is made at one token, in base and in tuned, on the same `readings`.

    All additions have one norm, `dose` times that of the difference of means. Clamping sets a feature to its mean
    where it fires on the strategy, a direction to its mean there; ablating sets a feature to zero, a direction to
    its mean over all tokens. Each has twins that move the very same activations just as far: along the decoders of
    the `n_controls` features that fire nearest as often over all compared tokens, and along as many random
    directions. `controls_mean`, `controls_low`, `controls_high` are the mean, the smallest and the largest of their
    effects, `rank_p` the share of twins and itself that do as much.
    `kl` is what the edit does elsewhere, KL(without, with) in nats at random places of the same texts, and
    `elsewhere` the change in the strategy's tokens there. `chosen_in` says in which model feature, direction, level
    and norm were taken; `sae` has to be of that model.
    """
    sites = next((found for found in places(readings) if found.at == at), None)
    if sites is None:
        raise ValueError(f"strategies cannot be told apart at {at!r} in these readings; ask for another place")
    x = activations(pair.models[chosen_in], readings, sae.hook)[torch.from_numpy(sites.row)]
    search, held_out = ~sites.held_out, np.flatnonzero(sites.held_out)
    random = random_directions(x.shape[1], n_controls, seed=seed).to(x.device)
    encoded = sae.encode(x)
    firing = (encoded > 0).double().mean(0)
    elsewhere = _random_places(readings, n_places, seed)
    chosen = features.table[(features.table["at"] == at) & (features.table.source == "sae")]
    chosen = chosen[chosen.model == chosen_in].drop_duplicates("strategy").set_index("strategy")
    rows = []
    for strategy in tqdm(strategies or sites.strategies, desc="interventions", leave=False, disable=None):
        positive = sites.strategy == strategy
        asked = _asked(pair, readings, sites, strategy, held_out, n_places, seed)
        if asked is None or strategy not in chosen.index or chosen.feature.isna()[strategy]:
            continue
        feature, sign = int(chosen.feature[strategy]), int(chosen.sign[strategy])
        difference = mean_difference(x[search], torch.from_numpy(positive[search])[:, None])[:, 0]
        near = [i for i in (firing - firing[feature]).abs().argsort().tolist() if i != feature and firing[i] > 0]
        on, norm = torch.from_numpy(positive & search), dose * difference.norm()
        edits = _Edits(sae, x, encoded, on, norm)
        made = {
            (how, source): edits.of(source, how, feature, sign, difference, near[:n_controls], random)
            for how in hows
            for source in ("sae feature", "difference of means")
        }
        for model, bridge in pair.models.items():
            measured = _effects(pair, bridge, sae.hook, made, asked, elsewhere)
            what = {"strategy": strategy, "at": at, "model": model, "feature": feature, "norm": float(norm)}
            rows += [{**what, "how": how, "source": source, **found} for (how, source), found in measured.items()]
    if not rows:
        raise ValueError("no strategy has a feature and places to change; give more text")
    made_with = pair.made_with(
        sae=dict(sae.trained_on),
        readings=digest_of(readings),
        options={"at": at, "controls": n_controls, "places": n_places, "dose": dose, "seed": seed},
    )
    return Measurement("causes", "change in the probability of a strategy's tokens", pd.DataFrame(rows), made_with)


@dataclass(frozen=True, eq=False)
class _Edits:
    """The edits of one strategy: all of one norm when added, at the strategy's own level when clamped."""

    sae: TrainedSAE
    x: Float[Tensor, "site d_in"]
    encoded: Float[Tensor, "site d_sae"]
    on: Bool[Tensor, " site"]
    norm: Float[Tensor, ""]

    def of(
        self,
        source: str,
        how: str,
        feature: int,
        sign: int,
        difference: Float[Tensor, " d_in"],
        near: Sequence[int],
        random: Float[Tensor, "d_in direction"],
    ) -> list[Edit]:
        """The edit asked for, and behind it its twins, which move every activation as far along other directions."""
        if source == "sae feature":
            edit, own = self.of_feature(feature, how, sign), self.sae.sae.W_dec[feature]
            return [edit, *(as_far(edit, own, self.sae.sae.W_dec[i]) for i in near)]
        edit = self.of_direction(difference, how)
        return [edit, *(as_far(edit, difference, vector) for vector in random.T)]

    def of_feature(self, feature: int, how: str, sign: int) -> Edit:
        decoder = self.sae.sae.W_dec[feature]
        if how == "add":
            return add(sign * self.norm * decoder / decoder.norm())
        values = self.encoded[self.on, feature]
        level = float(values[values > 0].mean()) if bool((values > 0).any()) else float(self.encoded[:, feature].max())
        # Of a feature that is lower on the strategy, its absence is what marks it.
        return clamp_feature(self.sae, feature, level if (how == "clamp") == (sign > 0) else 0.0)

    def of_direction(self, direction: Float[Tensor, " d_in"], how: str) -> Edit:
        if how == "add":
            return add(self.norm * direction / direction.norm())
        rows = self.x[self.on] if how == "clamp" else self.x
        return clamp_direction(direction, rows.mean(0) @ (direction / direction.norm()))


def _asked(
    pair: Pair, readings: Sequence[Reading], sites: Sites, strategy: str, held_out: Any, n_places: int, seed: int
) -> Mapping[str, Asked] | None:
    """Where each kind of edit is made for one strategy; None where the strategy or the others have no place."""
    own = [int(i) for i in held_out if sites.strategy[i] == strategy]
    rest = [int(i) for i in held_out if sites.strategy[i] != strategy]
    if sites.at == "content":
        own = [i for i in own if _goes_on(readings[sites.reading[i]], int(sites.position[i]))]
        rest = own
    if not own or not rest:
        return None
    openers = torch.zeros(pair.d_vocab, dtype=torch.bool)
    opens = {
        readings[r].tokens[p + 1]
        for r, p, s in zip(sites.reading, sites.position, sites.strategy, strict=True)
        if sites.at == "onset" and s == strategy
    }
    openers[list(opens)] = True
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(f"{strategy}{seed}".encode()).digest()[:4]))

    def ask(numbers: list[int]) -> Asked:
        some = sorted(rng.permutation(numbers)[:n_places])
        ids = [readings[sites.reading[i]].tokens for i in some]
        ends = [int(sites.position[i]) for i in some]
        wanted = openers.repeat(len(some), 1)
        if sites.at == "content":
            wanted[torch.arange(len(some)), torch.tensor([t[e + 1] for t, e in zip(ids, ends, strict=True)])] = True
        return Asked([t[: e + 1] for t, e in zip(ids, ends, strict=True)], wanted, sites.problem[some])

    others, strategy_s = ask(rest), ask(own)
    return {"add": others, "clamp": others, "ablate": strategy_s if sites.at == "onset" else others}


def _goes_on(reading: Reading, position: int) -> bool:
    """Whether the next token belongs to the same stretch."""
    return (
        position + 1 < len(reading.labels) and reading.labels[position + 1].stretch == reading.labels[position].stretch
    )


def _random_places(readings: Sequence[Reading], n_places: int, seed: int) -> list[tuple[int, ...]]:
    """Prefixes that end at tokens of responses drawn evenly, whatever their labels."""
    every = [
        (number, position)
        for number, reading in enumerate(readings)
        for position in range(1, len(reading.tokens))
        if reading.labels[position].role != "prompt"
    ]
    drawn = np.random.default_rng(seed).permutation(len(every))[:n_places]
    return [tuple(readings[every[i][0]].tokens[: every[i][1] + 1]) for i in sorted(drawn)]


def _effects(
    pair: Pair,
    model: Any,
    hook: str,
    made: Mapping[tuple[str, str], Sequence[Edit]],
    asked: Mapping[str, Asked],
    elsewhere: Sequence[Sequence[int]],
) -> dict[tuple[str, str], dict[str, Any]]:
    """What each edit does beside its controls; every set of places is read once for all edits made there."""
    there = edited_logprobs(model, elsewhere, hook, [nothing, *(edits[0] for edits in made.values())], pad=pair.pad_id)
    lost = (there[0].exp() * (there[0] - there).double()).sum(-1).mean(1)
    told: dict[tuple[str, str], Tensor] = {}
    for places_asked in {id(a): a for a in asked.values()}.values():
        here = {key: edits for key, edits in made.items() if asked[key[0]] is places_asked}
        every = [nothing, *(edit for edits in here.values() for edit in edits)]
        logprobs = edited_logprobs(model, places_asked.prefixes, hook, every, pad=pair.pad_id)
        chance = (logprobs.exp() * places_asked.wanted.to(logprobs.device)).sum(-1).double()
        parts = chance[1:].split([len(edits) for edits in here.values()])
        told |= {key: torch.cat([chance[:1], part]) for key, part in zip(here, parts, strict=True)}
    return {
        key: {
            **_summary(told[key].cpu().numpy(), asked[key[0]].problem),
            "kl": float(lost[1 + number]),
            "elsewhere": float(((there[1 + number].exp() - there[0].exp()) * asked["add"].wanted[0]).sum(-1).mean()),
        }
        for number, key in enumerate(made)
    }


def _summary(chance: Float[np.ndarray, "edit place"], problem: Int[np.ndarray, " place"]) -> dict[str, Any]:
    """Row 0 is without an edit, row 1 the edit, the others its controls."""
    change = chance[1:] - chance[0]
    effect, controls = change[0].mean(), change[1:].mean(1)
    low, high = _interval(change[0], problem)
    as_much = controls >= effect if effect >= 0 else controls <= effect
    return {
        **{"before": float(chance[0].mean()), "effect": float(effect), "low": low, "high": high},
        **{"controls_mean": float(controls.mean()), "controls_low": float(controls.min())},
        **{"controls_high": float(controls.max()), "rank_p": float((1 + as_much.sum()) / (1 + len(controls)))},
        **{"n": len(change[0]), "n_controls": len(controls)},
    }


def _interval(change: Float[np.ndarray, " place"], problem: Int[np.ndarray, " place"]) -> tuple[float, float]:
    """Percentile interval of the mean when problems are drawn again."""
    _, cluster = np.unique(problem, return_inverse=True)
    n = int(cluster.max()) + 1
    sums, counts = np.bincount(cluster, change, n), np.bincount(cluster, minlength=n)
    draws = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=2_000)
    low, high = np.quantile((draws @ sums) / (draws @ counts), [0.025, 0.975])
    return float(low), float(high)
