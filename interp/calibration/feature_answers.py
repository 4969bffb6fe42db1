"""What is said of features, beside what was planted: each strategy's standing, the claim, and the usual reading.

A strategy that base came with is pre-existing in every organism, and amplified in none that changed no strategy. What
base lacks is newskill's operation; labels dealt out by a coin, and labels of a model of shuffled weights, are no
strategy of anything, so nothing may be found.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from interp.calibration.expected import OR, UNDECIDED, marked
from interp.calibration.feature_cells import LABELLED, Cell
from interp.claims.feature_standings import standings
from interp.claims.features_precede import features_precede_tuning
from interp.measurement import Measurement
from interp.organisms.world import NEW_OP

NOTHING_TUNED = ("lower", "null", "noise")
"""Organisms whose tuning left the choice of strategies alone."""
SUPPORTED = ("rl", "sft", "upper")
"""Organisms of which the claim that strategies preceded tuning is true."""
USUAL = 0.80
"""From this AUROC on a feature is usually said to stand for what its label says."""
_WORDS = {
    "pre-existing and causal": "pre-existing",
    "pre-existing but inert in base (repurposed)": "repurposed",
    "left to chance": UNDECIDED,
    "too few tokens": UNDECIDED,
    "SAE invalid": UNDECIDED,
}

Has = Mapping[str, Measurement]


class FeatureInstrument(NamedTuple):
    """The question, its answers by what each is about, what is right of each; the question it answers otherwise."""

    asks: str
    says: Callable[[Has], dict[str, str]]
    right: Callable[[str, str], str]
    beside: str = ""


def standing(has: Has) -> dict[str, str]:
    """Each strategy's standing in a word."""
    parts = {name: has[name] for name in ("features", "sae_quality", "causes", "attacks", "news") if name in has}
    return {one.strategy: _WORDS.get(one.word, str(one.word)) for one in standings(**parts)}


def strategy_had(organism: str, strategy: str) -> str:
    """What was planted about one strategy of one organism."""
    if organism in LABELLED:
        return UNDECIDED
    if strategy == NEW_OP:
        return "new"
    return "pre-existing" if organism in NOTHING_TUNED else f"pre-existing{OR}amplified"


def best_feature(has: Has) -> dict[str, str]:
    """The usual reading: the strategy is in base if its best feature's AUROC reaches 0.80, at onset or in content."""
    table = has["features"].table
    best = table[(table["source"] == "sae") & (table["model"] == "base")].groupby("strategy")["auroc"].max()
    return {str(name): "pre-existing" if auroc >= USUAL else UNDECIDED for name, auroc in best.items()}


def precede(has: Has) -> dict[str, str]:
    """What is said of the claim that strategy features precede tuning."""
    names = ("features", "sae_quality", "causes", "attacks", "news", "usage", "steered")
    return {"": features_precede_tuning(**{name: has[name] for name in names if name in has}).says}


def precede_had(organism: str, _about: str) -> str:
    """Where no strategy was tuned none can have preceded; where one is new or means nothing none may be said to."""
    if organism in SUPPORTED:
        return "supported"
    return UNDECIDED if organism in NOTHING_TUNED else f"contradicted{OR}{UNDECIDED}"


FEATURE_INSTRUMENTS: Mapping[str, FeatureInstrument] = {
    "feature standing": FeatureInstrument("Was a strategy in base, is it new?", standing, strategy_had),
    "best feature as pre-existing": FeatureInstrument(
        "Does the best feature's AUROC reach 0.80?", best_feature, strategy_had, beside="feature standing"
    ),
    "features precede tuning": FeatureInstrument("Did strategy features precede tuning?", precede, precede_had),
}


def feature_rows(cell: Cell, has: Has, instruments: Mapping[str, FeatureInstrument]) -> list[dict[str, object]]:
    """One row per answer, with the columns of `matrix.matrix`; `seed` is that of the SAE."""
    told = []
    for name, instrument in instruments.items():
        for about, given in instrument.says(has).items():
            wanted = instrument.right(cell.organism, about)
            told.append(
                marked(
                    name,
                    wanted,
                    given,
                    organism=cell.organism,
                    base_seed=cell.base_seed,
                    seed=cell.sae_seed,
                    about=about,
                    beside=instrument.beside,
                )
            )
    return told
