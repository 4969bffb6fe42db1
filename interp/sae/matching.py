"""Is a feature of one SAE also in another? Decoder directions, held against a second seed of the same SAE."""

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from interp.measurement import Measurement
from interp.sae.directions import random_directions
from interp.sae.trained import TrainedSAE

SEED_SHARE = 0.05
"""A feature that is further from the other SAE than all but this share of a second seed's features has no match."""


def best_cosines(sae: TrainedSAE, other: TrainedSAE) -> Float[Tensor, " d_sae"]:
    """For each feature of `sae` the largest cosine of its decoder direction with one of `other`."""
    if sae.d_in != other.d_in or sae.hook != other.hook:
        raise ValueError(
            f"the SAEs read {sae.hook!r} of width {sae.d_in} and {other.hook!r} of width {other.d_in}; "
            "directions can be compared at one hook only"
        )
    ours, theirs = (one.sae.W_dec / one.sae.W_dec.norm(dim=1, keepdim=True) for one in (sae, other))
    return (ours @ theirs.T).max(1).values


def feature_news(
    features: Measurement, causes: Measurement, tuned: TrainedSAE, base: TrainedSAE, second: TrainedSAE
) -> Measurement:
    """`causes` of the features of tuned's SAE, each with how near base's SAE has a direction.

    `features` and `causes` were made with `chosen_in="tuned"` on an SAE of tuned. `cosine` is the best match of the
    strategy's feature among base's features; `seed_low` the cosine that 95% of the features of a second seed of base's
    SAE reach, what finding the same feature again looks like; `random_high` the one that 5% of random directions
    reach, what finding nothing looks like. `told_low` is the low end of the feature's AUROC in tuned.
    """
    cosines = best_cosines(tuned, base)
    again = best_cosines(second, base)
    directions = random_directions(base.d_in, 1_000, seed=0).to(base.sae.W_dec.device).T
    unit = base.sae.W_dec / base.sae.W_dec.norm(dim=1, keepdim=True)
    chance = (directions @ unit.T).max(1).values
    table = features.table
    told = table[(table.source == "sae") & (table.model == "tuned") & (table.text == table.text.iloc[0])]
    low = told.set_index(["strategy", "at"]).low.to_dict()
    rows = causes.table.assign(
        told_low=[low[key] for key in zip(causes.table.strategy, causes.table["at"], strict=True)],
        cosine=[float(cosines[feature]) for feature in causes.table.feature],
        seed_low=float(again.quantile(SEED_SHARE)),
        random_high=float(chance.quantile(0.95)),
    )
    return Measurement("news", causes.unit, pd.DataFrame(rows), causes.made_with)
