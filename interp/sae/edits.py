"""What is done to a strategy: its feature and its difference of means are added, clamped or taken away, with twins.

A twin moves the very same activations just as far along another direction. Directions drawn evenly from the sphere lie
mostly where activations never do, and models hardly react to them; so the difference of means is also held against
directions along which the activations do differ: differences of means of labels that were dealt out anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp.sae.directions import mean_difference, random_directions
from interp.sae.intervene import Edit, add, as_far, clamp_direction, clamp_feature
from interp.sae.sites import Sites, shuffled
from interp.sae.trained import TrainedSAE

FEATURE, DIRECTION = "sae feature", "difference of means"


@dataclass(frozen=True, eq=False)
class Compared:
    """The activations at the compared tokens, and what is made of them once for all strategies.

    `spread` is how far an activation lies from their mean: sqrt(mean ||x - mean(x)||^2) over the half of the problems
    that is searched. `dealt` holds, for each strategy, the differences of means of that half when its labels are
    dealt out anew among the stretches, one per draw.
    """

    sae: TrainedSAE
    sites: Sites
    x: Float[Tensor, "site d_in"]
    encoded: Float[Tensor, "site d_sae"]
    spread: float
    random: Float[Tensor, "d_in direction"]
    dealt: Float[Tensor, "direction d_in strategy"]

    @property
    def search(self) -> Bool[Tensor, " site"]:
        """The half in which directions and levels are taken."""
        return torch.from_numpy(~self.sites.held_out)

    def on(self, strategy: str) -> Bool[Tensor, " site"]:
        """The tokens of a strategy in the half that is searched."""
        return torch.from_numpy(self.sites.strategy == strategy) & self.search

    def comparable(self, strategy: str) -> bool:
        """Whether the searched half holds tokens of this strategy and others."""
        return 0 < int(self.on(strategy).sum()) < int(self.search.sum())


def compared(sae: TrainedSAE, sites: Sites, x: Float[Tensor, "site d_in"], *, n: int, seed: int) -> Compared:
    """What the edits at these sites are made of, with `n` twins of each kind."""
    searched = torch.from_numpy(~sites.held_out)
    half = x[searched]
    draws = []
    for draw in range(n):
        dealt = shuffled(sites, seed=seed * n + draw).strategy[~sites.held_out]
        draws.append(mean_difference(half, torch.from_numpy(np.stack([dealt == s for s in sites.strategies], 1))))
    return Compared(
        sae,
        sites,
        x,
        sae.encode(x),
        float((half - half.mean(0)).square().sum(1).mean().sqrt()),
        random_directions(x.shape[1], n, seed=seed).to(x.device),
        torch.stack(draws),
    )


def edits_of(
    here: Compared, strategy: str, feature: int, sign: int, how: str, *, dose: float, n: int
) -> dict[str, list[Edit]]:
    """By source, the edit asked for and behind it its twins: `n` of a feature, twice as many of a direction.

    "add" moves by `dose` times the spread of the compared activations, whatever is added. "clamp" sets a feature to
    its mean where it fires on the strategy, a direction to its mean there; "ablate" sets a feature to zero, a direction
    to its mean over all tokens.
    """
    on = here.on(strategy)
    far = dose * here.spread
    direction = mean_difference(here.x[here.search], on[here.search][:, None])[:, 0]
    unit = direction / direction.norm()
    decoder = here.sae.sae.W_dec
    if how == "add":
        of_feature, of_direction = add(sign * far * decoder[feature] / decoder[feature].norm()), add(far * unit)
    else:
        values = here.encoded[on][:, feature]
        level = float(values[values > 0].mean()) if bool((values > 0).any()) else 0.0
        # Of a feature that is lower on the strategy, its absence is what marks it.
        of_feature = clamp_feature(here.sae, feature, level if (how == "clamp") == (sign > 0) else 0.0)
        of_direction = clamp_direction(direction, here.x[on if how == "clamp" else slice(None)].mean(0) @ unit)
    return {
        FEATURE: [of_feature, *(as_far(of_feature, decoder[feature], decoder[i]) for i in _near(here, feature, n))],
        DIRECTION: [of_direction, *(as_far(of_direction, unit, twin) for twin in _twins(here, strategy, unit))],
    }


def _near(here: Compared, feature: int, n: int) -> list[int]:
    """The features that fire nearest as often over all compared tokens."""
    firing = (here.encoded > 0).double().mean(0)
    order = (firing - firing[feature]).abs().argsort().tolist()
    return [i for i in order if i != feature and firing[i] > 0][:n]


def _twins(here: Compared, strategy: str, unit: Float[Tensor, " d_in"]) -> Sequence[Float[Tensor, " d_in"]]:
    """Random directions, and differences of means of labels that mean nothing, less their part along `unit`.

    Strategies are much of what activations differ by, so without that a twin would often be the direction itself (in
    the organisms cosines reach 0.8).
    """
    dealt = here.dealt[:, :, here.sites.strategies.index(strategy)]
    beside = dealt - torch.outer(dealt @ unit, unit)
    return [*here.random.T, *beside]
