"""Did tuning change which strategy is used? The chance of opening with each, in base and in tuned, at one place."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from interp.measurement import Measurement
from interp.pair import Pair
from interp.sae.activations import digest_of
from interp.sae.choice import opening
from interp.sae.sites import Sites, onset_sites
from interp.sae.strength import mean_interval
from interp.tasks.task import Reading

N_TEXTS = 300
"""Texts that are read; more make the intervals narrower than anything hangs on."""


def strategy_usage(pair: Pair, readings: Sequence[Reading], *, n_texts: int = N_TEXTS) -> Measurement:
    """For each strategy, the chance that base and that tuned open with it, at the same decisions of the same texts.

    A decision is a token behind which some strategy opens; `decision` says whether it is the "first" of its text or a
    "later" one. `base` and `tuned` are the mean probabilities of the tokens that open the strategy in these readings.
    With D = P_tuned - P_base at one decision, `gained` is the mean of max(0, D) and `lost` that of max(0, -D), with
    95% intervals over problems: summed over strategies, each is the total variation distance between the two models'
    choices among them. The mean of D alone would not see a strategy that tuning moved from one kind of problem to
    another. Probabilities, unlike counts of what was written, do not hang on how each model was sampled.

    Every prefix counts once. About `n_texts` of the readings are read, evenly over all of them.
    """
    some = list(readings[:: max(1, round(len(readings) / n_texts))])
    sites = onset_sites(some)
    once = _distinct(some, sites)
    chances = {name: opening(model, pair.d_vocab, some, sites, once) for name, model in pair.models.items()}
    change = chances["tuned"] - chances["base"]
    first = np.array([_is_first(some[sites.reading[i]], int(sites.position[i])) for i in once])
    problem = sites.problem[once]
    rows: list[dict[str, Any]] = []
    for number, strategy in enumerate(sites.strategies):
        for decision, here in (("first", first), ("later", ~first)):
            if not here.any():
                continue
            row: dict[str, Any] = {"strategy": strategy, "decision": decision}
            row |= {name: float(chance[here, number].mean()) for name, chance in chances.items()}
            for name, sign in (("gained", 1), ("lost", -1)):
                moved = (sign * change[here, number]).clip(min=0.0)
                row |= dict(
                    zip((name, f"{name}_low", f"{name}_high"), mean_interval(moved, problem[here]), strict=True)
                )
            rows.append({**row, "n": int(here.sum()), "n_problems": len(np.unique(problem[here]))})
    made_with = pair.made_with(readings=digest_of(some))
    return Measurement("usage", "probability of opening with a strategy", pd.DataFrame(rows), made_with)


def _distinct(readings: Sequence[Reading], sites: Sites) -> list[int]:
    """One site for every prefix."""
    prefixes = [readings[r].tokens[: p + 1] for r, p in zip(sites.reading, sites.position, strict=True)]
    return sorted({prefix: number for number, prefix in reversed(list(enumerate(prefixes)))}.values())


def _is_first(reading: Reading, position: int) -> bool:
    """Whether no strategy opens before the one behind this position."""
    return all(label.role != "opener" for label in reading.labels[: position + 1])
